//! What passes unread and is nevertheless worth an entry in the record: who came in and by what, and what became of people's data.
//!
//! The issue of an access token for a session that exists (`POST /api/auth/refresh`) is not among it: the web client asks for one
//! whenever a page is opened. Reading what is one's own is not, either.

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Noted {
    /// A password, a second factor or an identity provider's word is shown for a session (CONTRACT.md A.2).
    SignIn,
    /// The session ends.
    SignOut,
    /// An account is made.
    Register,
    /// A password is forgotten, or a new one set in its place.
    Password,
    /// The second factor is set up, tried or taken away.
    SecondFactor,
    /// A key of the remote-agent API is made or withdrawn.
    ApiKeys,
    /// What a role may do in LibreChat is changed.
    Roles,
    /// Somebody deletes their own account.
    Account,
    /// A conversation is opened to others by a link, or closed again.
    Shares,
    /// Conversations or messages are deleted.
    Conversations,
    /// Files are fetched or deleted.
    Files,
    /// Something of one's own is opened to others by name, or closed again.
    Permissions,
    /// Files, pictures, skills or conversations are brought in.
    Uploads,
}

/// What a kind of them is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Who may come in.
    Access,
    /// How LibreChat is run.
    Running,
    /// Data of people.
    Data,
}

// === impl Noted ===

impl Noted {
    /// What it is about.
    pub const fn concern(self) -> Concern {
        match self {
            Self::SignIn | Self::SignOut | Self::Register | Self::Password | Self::SecondFactor | Self::ApiKeys => {
                Concern::Access
            }
            Self::Roles => Concern::Running,
            Self::Account | Self::Shares | Self::Conversations | Self::Files | Self::Permissions | Self::Uploads => {
                Concern::Data
            }
        }
    }
}
