//! The words a policy is written in: who asks, for what, and what the answer is.
//!
//! Other rooms translate into these words (`identity` makes a [`Caller`], `librechat` makes [`Target`]s) and read the
//! [`Verdict`]. Nothing here knows a URL, a header or a JSON body.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Someone who has been identified: LibreChat's user, with the role and groups that hold right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// LibreChat's `users._id` as a hex string (CONTRACT.md A.2 a: the only claim of the token that counts).
    pub user: Arc<str>,
    /// E-mail address in lower case, where the directory knows one. Policies may name users by it.
    pub email: Option<Box<str>>,
    /// `users.role`; `USER` where the record has none, as LibreChat itself writes it.
    pub role: Arc<str>,
    /// Names of the groups the user is a member of (CONTRACT.md A.3), in the directory's order.
    pub groups: Box<[Box<str>]>,
}

/// One thing that a request would make LibreChat call or reach. All targets of a request must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A model of an endpoint, both exactly as LibreChat will compare them (CONTRACT.md B.1): case-sensitive, untrimmed.
    Model {
        /// LibreChat's endpoint name: a built-in one (`openAI`) or a custom one (`MindRoom`).
        endpoint: Box<str>,
        /// The model's name within the endpoint.
        model: Box<str>,
    },
    /// A part of LibreChat whose models Tollgate cannot judge one by one yet: only callers without any restriction may use it.
    Surface(Surface),
}

/// The parts of LibreChat that choose models in ways other than the body of a chat request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Stored agents: a graph of models (CONTRACT.md B.4, B.5, B.7).
    Agents,
    /// The remote-agent API, authenticated by `sk-` keys (CONTRACT.md B.6).
    RemoteApi,
    /// OpenAI and Azure assistants (CONTRACT.md B.10).
    Assistants,
}

/// The name of the statement of the policy that decided, as a path into the files: `roles.USER.endpoints.openAI.models`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(Arc<str>);

/// A question to the policy: may this caller have all of these?
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Everything the request would reach. Empty means that it reaches no model.
    pub targets: &'a [Target],
}

/// The answer, and the statements that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub outcome: Outcome,
    /// The deciding statements: for a refusal the one that refused, for an allowance one for each target.
    pub because: Vec<RuleId>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Let it pass.
    Allow,
    /// The policy would refuse it, but runs in shadow mode: let it pass and record the reason.
    Shadowed(Reason),
    /// Refuse it.
    Deny(Reason),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The caller may not use this model of this endpoint.
    Model {
        /// The endpoint asked for.
        endpoint: Box<str>,
        /// The model asked for.
        model: Box<str>,
    },
    /// Only unrestricted callers may use this part of LibreChat.
    Surface(Surface),
}

// === impl RuleId ===

impl RuleId {
    /// A rule id from its path.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RuleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether the request may go on (in shadow mode it always may).
    pub fn goes_on(&self) -> bool {
        !matches!(self.outcome, Outcome::Deny(_))
    }
}

// === impl Surface ===

impl Surface {
    /// The name used in messages, metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::RemoteApi => "remote-agent API",
            Self::Assistants => "assistants",
        }
    }
}

/// What a caller may see: many small questions, asked while a catalogue is filtered.
pub trait Sight {
    /// Whether the caller may know of this model of this endpoint.
    fn model(&self, endpoint: &str, model: &str) -> bool;
    /// Whether the caller may use this part of LibreChat.
    fn surface(&self, surface: Surface) -> bool;
    /// Whether nothing at all is hidden from the caller, so that a catalogue can pass as it is.
    fn everything(&self) -> bool;
}
