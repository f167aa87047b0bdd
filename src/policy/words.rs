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
    pub groups: Arc<[Box<str>]>,
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
    /// Something that a stored agent would run. The caller named only the agent, so that a refusal may not name the rest.
    Agent {
        /// The agent that was named, by its id.
        agent: Box<str>,
        /// What it would run, itself or through agents that it can hand over to.
        part: Part,
    },
    /// A tool that a chat without a stored agent would give to its model.
    Tool(Tool),
    /// A model that OpenAI's or Azure's assistants would run. Where the policy has not opened assistants, only callers without
    /// any restriction may use one.
    Assistant {
        /// `assistants` or `azureAssistants`.
        endpoint: Box<str>,
        /// The model's name within the endpoint.
        model: Box<str>,
    },
    /// An endpoint, whatever the model: something that helps to use it, such as a key.
    Endpoint(Box<str>),
    /// Something that chooses no model and that a policy may close.
    Feature(Feature),
    /// A part of LibreChat that is judged as a whole: one whose models Tollgate cannot judge one by one yet is only for callers
    /// without any restriction.
    Surface(Surface),
}

/// A part of what a stored agent runs. All of them must be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The agent by its id: the names that policies list for the endpoint `agents`.
    Itself,
    /// A model of the agent, or of one that it can reach.
    Model {
        /// The endpoint, under the name that LibreChat has for it.
        endpoint: Box<str>,
        /// The model's name within the endpoint.
        model: Box<str>,
    },
    /// A tool of the agent, or of one that it can reach.
    Tool(Tool),
    /// Something that keeps it from being judged: only callers without any restriction may use it.
    Unjudged(Unjudged),
}

/// A tool, by the name that LibreChat has for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// One tool.
    Named(Box<str>),
    /// Every tool whose name ends so: all tools of one server, whatever they are called.
    Ending(Box<str>),
}

/// Why something cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unjudged {
    /// A stable code: the rule in the record.
    pub code: &'static str,
    /// What is wrong, and where. For the record, not for the caller.
    pub detail: Box<str>,
}

/// What a policy may close to callers with any restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Storing keys of one's own, for endpoints and for tools (CONTRACT.md B.11): `user_keys`.
    UserKeys,
    /// Speech to text and text to speech, by the models that the administrator chose (CONTRACT.md B.8): `system_models.speech`.
    Speech,
}

/// The parts of LibreChat that choose models in ways other than the body of a chat request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Agents that cannot be looked into: without an id, or [`Part::Unjudged`]. All others are judged by [`Target::Agent`].
    Agents,
    /// The remote-agent API, authenticated by `sk-` keys (CONTRACT.md B.6): open unless the policy closes it. The agents that
    /// it runs are judged by [`Target::Agent`].
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
    /// The caller is not let in, whatever is asked for: `blocked`, `email_domains`.
    Caller,
    /// The caller may not use this model of this endpoint.
    Model {
        /// The endpoint asked for.
        endpoint: Box<str>,
        /// The model asked for.
        model: Box<str>,
    },
    /// The caller may not use this agent, because of one of its parts. Only the agent may be named to the caller.
    Agent {
        /// The agent that was named, by its id.
        agent: Box<str>,
        /// What the caller may not use.
        part: Part,
    },
    /// The caller may not use this tool.
    Tool(Tool),
    /// The caller may use no model of this endpoint.
    Endpoint(Box<str>),
    /// The policy closes this to callers with any restriction.
    Feature(Feature),
    /// The caller may not use this part of LibreChat.
    Surface(Surface),
}

// === impl Part ===

impl fmt::Display for Part {
    /// For the record: `openAI|gpt-4o`, as everywhere in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => f.write_str("the agent itself"),
            Self::Model { endpoint, model } => write!(f, "{endpoint}|{model}"),
            Self::Tool(tool) => write!(f, "tool {tool}"),
            Self::Unjudged(unjudged) => f.write_str(&unjudged.detail),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Ending(end) => write!(f, "*{end}"),
        }
    }
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

// === impl Feature ===

impl Feature {
    /// The name used in messages and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserKeys => "user keys",
            Self::Speech => "speech services",
        }
    }
}

// === impl Surface ===

impl Surface {
    /// The name used in messages, metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "unchecked agents",
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
    /// Whether the caller may know that there are stored agents.
    fn agents(&self) -> bool;
    /// Whether the caller may use this, and so may know of it.
    fn target(&self, target: &Target) -> bool;
    /// Whether no model is hidden from the caller, so that a catalogue of models can pass as it is.
    fn everything(&self) -> bool;
    /// Whether no stored agent is hidden from the caller: an agent is, too, where one of its tools is denied.
    fn every_agent(&self) -> bool {
        self.everything()
    }
}
