//! The entries: their fields are an interface (DESIGN.md section 6), serialised in camel case as LibreChat's own documents are.
//!
//! What many entries have in common (who, which model, which policy) is shared and not copied: an entry is made while somebody waits.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::line::{Kind, Line};
use crate::policy::RuleId;

mod action;
mod event;
mod line;
mod spent;

pub use action::Action;
pub use event::{
    About, Changed, Event, FaultFound, ForkedAt, Happened, LimitAnew, LinkedEnd, LostBefore, LostFrames, OverrideTold,
    PrincipalTold, Rights, VersionTold,
};
pub use spent::{Charged, Ended, RunUsed, Source, Spent, TokensUsed, Usd};

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Entry {
    /// A decision or a refusal.
    Audit(Box<Audit>),
    /// A turn that was allowed.
    Usage(Box<Usage>),
    /// Something that was done to Tollgate itself. Kept among the audit entries.
    #[serde(rename = "audit")]
    Event(Box<Event>),
}

/// A decision of the policy, or a refusal for another reason (identity, form of the request, unknown route).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Audit {
    /// Id of the entry, a UUIDv7: it sorts by time.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// Id of the request, a UUIDv7; refusals tell it to the caller as `request_id`, LibreChat gets it as `x-request-id`.
    pub request_id: Uuid,
    /// When the request arrived, UTC.
    pub timestamp: Timestamp,
    /// LibreChat's user id; absent where nobody was identified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Arc<str>>,
    /// The caller's role at that moment; absent where it was not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Arc<str>>,
    /// The names of the caller's groups at that moment, in the directory's order; absent where they were not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Arc<[Box<str>]>>,
    /// The id of the key of the remote-agent API by which the caller was identified (`_id` of `agentapikeys`); the key itself
    /// is never recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Arc<str>>,
    /// What was attempted.
    pub action: Action,
    /// Kind of event.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// What was decided.
    pub decision: Decision,
    /// The statements of the policy that decided, as paths into its files; for other refusals a code such as
    /// `identity.expired`, `path-dot-segment`, `body-duplicate-key`.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub rules: Vec<RuleId>,
    /// Those of `rules` that would have refused it; there where the decision is `shadow`. The others have allowed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub would_refuse: Vec<RuleId>,
    /// The exact policy that decided: a hash of its files, 12 hex digits; where overrides are in force, `+` and 12 more of a hash of all of these.
    pub policy_revision: Arc<str>,
    /// The request and the answer.
    pub details: Details,
    /// What the request was about.
    pub metadata: Metadata,
}

/// The request as it was seen and the answer as it was given. Never bodies, tokens, cookies or query values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Details {
    /// The client's address, as far as `trusted_proxies` lets it be believed.
    pub ip: Box<str>,
    /// `User-Agent`, at most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// HTTP method.
    pub method: Cow<'static, str>,
    /// The path as it was asked for, at most 512 bytes, unprintable bytes escaped; `*` stands for the id of a shared
    /// conversation, which is as good as a key to it.
    pub path: Box<str>,
    /// Names of the query's parameters, without values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Box<str>>,
    /// The answer that the caller got; absent where the entry was on the disk before the request went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// What went wrong inside, where something did. Without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

/// The answer that the caller got.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Response {
    /// HTTP status of the answer; 499 where the caller left before it.
    #[cfg_attr(test, schemars(range(min = 100, max = 599)))]
    pub status: u16,
    /// The public sentence of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// Milliseconds from arrival to the head of the answer.
    pub time: f64,
}

/// Most things that are recorded of one turn beside what its body names: [`Metadata::also`].
pub const MOST_ALSO: usize = 100;

/// What the request was about.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Metadata {
    /// LibreChat's conversation, which is also the id of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Arc<str>>,
    /// The endpoint asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The stored agent asked for, by its id; `agent_new` for one that is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The model spec asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<str>>,
    /// Further `endpoint|model` pairs of the same request: a second conversation, the preset of the spec, the models of the
    /// agent and of all agents that it can hand over to; tools, where the policy says anything about tools. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Box<str>>,
}

/// An allowed turn, as LibreChat answered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Usage {
    /// Id of the entry, a UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// Id of the request that started the turn: the audit entry of the same turn has it, too.
    pub request_id: Uuid,
    /// When the request arrived, UTC.
    pub timestamp: Timestamp,
    /// LibreChat's user id.
    pub user_id: Arc<str>,
    /// The caller's role at that moment.
    pub role: Arc<str>,
    /// The names of the groups at that moment, in the directory's order; absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups: Option<Arc<[Box<str>]>>,
    /// The endpoint that runs.
    pub endpoint: Arc<str>,
    /// The model that runs; where a stored agent was asked for, the agent's own, or empty where LibreChat's database is not
    /// configured.
    pub model: Arc<str>,
    /// The stored agent, by its id, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// `endpoint|model` of the agent and of all that it can hand over to; absent where no agent was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub models: Vec<Box<str>>,
    /// The model spec, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<str>>,
    /// LibreChat's stream id, where its answer named one; the `conversation_id` of a remote request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Arc<str>>,
    /// What LibreChat made of the turn.
    pub outcome: TurnOutcome,
    /// HTTP status of LibreChat's answer; 499 where the caller left before it.
    #[cfg_attr(test, schemars(range(min = 100, max = 599)))]
    pub status: u16,
    /// Bytes of the body that LibreChat received.
    pub request_bytes: u64,
    /// Milliseconds from arrival to LibreChat's answer.
    pub time: f64,
    /// What the turn used and what was charged for it, once it is settled; absent where nobody follows it (no limit applies,
    /// and nothing else wants to know). Its members are members of the entry.
    #[serde(flatten, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub spent: Option<Box<Spent>>,
}

/// Whether LibreChat took a turn that the policy allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TurnOutcome {
    /// LibreChat named a stream, or ran the agent of a remote request.
    Started,
    /// LibreChat answered something else.
    Refused,
    /// It gave no answer.
    Failed,
    /// The caller left before LibreChat answered; the turn may run all the same.
    Abandoned,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Decision {
    /// It went on.
    Allow,
    /// It went on, but would have been refused were the policy enforced.
    Shadow,
    /// It was refused.
    Deny,
}

/// Kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Category {
    /// Signing in and out, accounts, passwords and keys, as far as LibreChat is the one who decides. Refusals are `SECURITY`.
    Auth,
    /// Ordinary use, and refusals by limits.
    Api,
    /// Administration that went on.
    Admin,
    /// Refusals of identity, policy and form.
    Security,
    /// Data of users: opened to others, brought in, fetched or deleted; and that the entries of one were erased.
    Data,
    /// Tollgate itself, and failures behind it.
    System,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Worth a look: refusals, and what shadow mode would have refused.
    Warning,
    /// Something failed.
    Error,
    /// Something failed that must not.
    Critical,
}

// === impl Entry ===

impl Entry {
    /// The entry's own id: what makes appending it twice harmless.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Audit(audit) => audit.id,
            Self::Usage(usage) => usage.id,
            Self::Event(event) => event.id,
        }
    }

    /// When the request arrived, or the event happened (UTC).
    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Audit(audit) => audit.timestamp,
            Self::Usage(usage) => usage.timestamp,
            Self::Event(event) => event.timestamp,
        }
    }

    /// Whether nobody was identified: anybody can cause such entries, in any number.
    pub fn is_about_nobody(&self) -> bool {
        matches!(self, Self::Audit(audit) if audit.user_id.is_none())
    }

    /// Appends the entry as one JSON object and a line break.
    ///
    /// # Errors
    /// Where a number cannot be written as JSON.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        line::write(self, out)
    }

    /// The entry as it is kept.
    ///
    /// # Errors
    /// Where a number cannot be written as JSON.
    pub fn line(&self) -> serde_json::Result<Line> {
        let mut text = Vec::with_capacity(1024);
        self.write_line(&mut text)?;
        text.truncate(text.len().saturating_sub(1));
        let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
        let kind = match self {
            Self::Audit(_) | Self::Event(_) => Kind::Audit,
            Self::Usage(_) => Kind::Usage,
        };
        Ok(Line { kind, id: self.id(), at: self.timestamp(), text: text.into() })
    }

    /// The member `kind` of the serialised entry, also a label of metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Audit(_) | Self::Event(_) => "audit",
            Self::Usage(_) => "usage",
        }
    }
}

// === helpers ===

/// A UUIDv7 for this moment (RFC 9562 5.7).
pub fn id_at(at: Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, nanoseconds, 0, 0))
}

#[cfg(test)]
mod tests;
