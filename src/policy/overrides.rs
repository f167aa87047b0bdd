//! Overrides: stored documents that change what the files say, for one user, group or role, without a change of the files.
//!
//! A document holds what an entry of the files may hold. All documents that apply to a caller (of the role, of the groups, of the
//! user) are merged into one, in the order of their priorities ([`piece`]), and that one joins the files' entries for the
//! caller as one more entry of the user would: what it allows is added, what it denies is denied, and a denial of the files
//! keeps holding. A limit whose id the files have is changed instead, and keeps its counter ([`overlay`]).
//!
//! Files and documents are one [`super::Snapshot`]: they are asked together, and have one revision.

mod known;
mod overlay;
mod piece;
mod read;
mod set;
mod told;

use std::fmt;
use std::sync::Arc;

use super::written::Section;
use crate::report::Report;

pub(super) use overlay::Overlay;
pub use read::{Written, written};
pub(super) use set::{Overrides, check};
pub use told::{Applied, Conflict};

/// What whom a document is about: a role, a group or a user. Of equal priority, the nearer to the user comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// All callers of a role.
    Role,
    /// All members of a group.
    Group,
    /// One user.
    User,
}

/// Whom a document is about. There is one document for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    /// What it is.
    pub kind: Kind,
    /// The name of the role or the group, or LibreChat's user id in lower case.
    pub id: Box<str>,
}

/// A document that is in force, as far as it is free of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whom it is about.
    pub principal: Principal,
    /// Its place in the order: what has a higher priority comes later, and its word stands.
    pub priority: i32,
    /// Which version of it this is: another one with every change.
    pub version: u64,
    /// What an entry of the files could say, in YAML or JSON. The same text means the same.
    pub text: Arc<str>,
}

/// A document that is not in force, as it has faults.
#[derive(Clone, Debug)]
pub struct Faulty {
    /// Whom it is about.
    pub principal: Principal,
    /// Which version of it.
    pub version: u64,
    /// What is wrong.
    pub report: Report,
}

/// Who has said something: a document.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Author {
    // INVARIANT: the order of these fields is the order in which documents are merged.
    priority: i32,
    principal: Principal,
    version: u64,
}

// === impl Kind ===

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Self; 3] = [Self::Role, Self::Group, Self::User];

    /// The word for it: `role`, `group`, `user`.
    pub fn as_str(self) -> &'static str {
        self.section().noun()
    }

    /// The kind that has this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The priority of a document that says none.
    pub fn priority(self) -> i32 {
        match self {
            Self::Role => 10,
            Self::Group => 20,
            Self::User => 30,
        }
    }

    fn section(self) -> Section {
        match self {
            Self::Role => Section::Roles,
            Self::Group => Section::Groups,
            Self::User => Section::Users,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Principal {
    /// `user 6b012e4109cc968f8a928bce`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

// === impl Author ===

impl Author {
    /// The name in rules: `user.6b012e4109cc968f8a928bce`.
    fn rule(&self) -> String {
        format!("{}.{}", self.principal.kind, self.principal.id)
    }
}

impl fmt::Display for Author {
    /// `user 6b012e4109cc968f8a928bce (30)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.principal, self.priority)
    }
}

#[cfg(test)]
mod tests;
