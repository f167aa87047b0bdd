//! The entries: their fields are an interface (DESIGN.md section 6), serialised in camel case as LibreChat's own documents are.
//!
//! What many entries have in common (who, which model, which policy) is shared and not copied: an entry is made while somebody waits.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::line::{Kind, Line};
use crate::policy::RuleId;

mod line;
mod spent;

pub use spent::{Charged, Ended, RunUsed, Source, Spent, TokensUsed, Usd};

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
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
pub struct Audit {
    /// Id of this entry, UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// Id of the request, UUIDv7, also sent to the caller in refusals (`request_id`) and to LibreChat (`x-request-id`).
    pub request_id: Uuid,
    /// When the request arrived (UTC).
    pub timestamp: Timestamp,
    /// LibreChat's user id; absent where nobody was identified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Arc<str>>,
    /// The caller's role at that moment; absent where it was not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Arc<str>>,
    /// The id of the key of the remote-agent API by which the caller was identified; absent on other routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Arc<str>>,
    /// What was attempted: `chat.turn`, `catalog.models`, `request` and so on.
    pub action: &'static str,
    /// Kind of event.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// What was decided.
    pub decision: Decision,
    /// The statements of the policy that decided, or the code of the refusal (`gate.path`, `identity.expired`).
    pub rules: Vec<RuleId>,
    /// Content hash of the policy that decided, 12 hex digits.
    pub policy_revision: Arc<str>,
    /// The request and the answer.
    pub details: Details,
    /// What the request was about.
    pub metadata: Metadata,
}

/// Something that was done to Tollgate itself, or befell it: no request was decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Id of this entry, UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// When it happened (UTC).
    pub timestamp: Timestamp,
    /// LibreChat's id of the user to whom it was done, where it was done to one: when that user is erased, so is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Box<str>>,
    /// Who did it, where somebody did: `cli` for a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Box<str>>,
    /// What happened: `tollgate.started`, `records.gap` and so on.
    pub action: &'static str,
    /// Kind of event.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
    /// Content hash of the policy in force; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_revision: Option<Arc<str>>,
    /// What there is to say about it, by the action.
    pub about: Map<String, Value>,
}

/// The request as it was seen and the answer as it was given. Never bodies, tokens, cookies or query values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Client address as Tollgate believes it (`trusted_proxies`).
    pub ip: Box<str>,
    /// `User-Agent`, at most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// HTTP method.
    pub method: Cow<'static, str>,
    /// Path as it was asked for, at most 512 bytes, with everything unprintable escaped, and `*` for the id of a shared conversation.
    pub path: Box<str>,
    /// Names of the query parameters, without their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<Box<str>>,
    /// The answer that the caller got; absent where the entry had to be on the disk before the request went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// What went wrong inside, where something did. Without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

/// The answer that the caller got.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The public sentence of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// From arrival to the head of the answer, in milliseconds.
    pub time: f64,
}

/// What the request was about.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// LibreChat's conversation id (it is the stream id too, CONTRACT.md G.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Arc<str>>,
    /// The endpoint asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Arc<str>>,
    /// The model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The stored agent asked for, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The model spec asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<str>>,
    /// Further `endpoint|model` pairs of the same request (`addedConvo`, the preset of the spec), and all that an agent and
    /// those it can reach would run; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Box<str>>,
}

/// An allowed turn, as LibreChat answered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Id of this entry, UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// Id of the request that started the turn.
    pub request_id: Uuid,
    /// When the request arrived (UTC).
    pub timestamp: Timestamp,
    /// LibreChat's user id.
    pub user_id: Arc<str>,
    /// The caller's role at that moment.
    pub role: Arc<str>,
    /// Names of the caller's groups at that moment, in the directory's order; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub groups: Option<Arc<[Box<str>]>>,
    /// The endpoint that runs.
    pub endpoint: Arc<str>,
    /// The model that runs; that of the agent itself where it is one.
    pub model: Arc<str>,
    /// The stored agent, by its id, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// `endpoint|model` of the agent and of all that it can hand over to; empty where no agent was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub models: Vec<Box<str>>,
    /// The model spec, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<str>>,
    /// LibreChat's stream id for the turn, where its answer named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Arc<str>>,
    /// Whether LibreChat took the turn.
    pub outcome: TurnOutcome,
    /// LibreChat's HTTP status for the request that started the turn.
    pub status: u16,
    /// Bytes of the body that LibreChat received.
    pub request_bytes: u64,
    /// From arrival to LibreChat's answer, in milliseconds.
    pub time: f64,
    /// What the turn used and what was charged for it, once it is settled; absent where nobody follows it (no limit applies,
    /// and nothing else wants to know). Its members are members of the entry.
    #[serde(flatten, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub spent: Option<Box<Spent>>,
}

/// Whether LibreChat took a turn that the policy allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnOutcome {
    /// LibreChat answered with a stream id.
    Started,
    /// LibreChat answered something else.
    Refused,
    /// LibreChat could not be reached or broke off.
    Failed,
    /// The caller left before LibreChat answered; the turn may run all the same.
    Abandoned,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It went on.
    Allow,
    /// The policy would have refused it, but runs in shadow mode.
    Shadow,
    /// It was refused.
    Deny,
}

/// Kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Category {
    /// Signing in and tokens.
    Auth,
    /// Ordinary use.
    Api,
    /// Administration.
    Admin,
    /// Refusals: 401, 403 and malformed requests.
    Security,
    /// Data of users.
    Data,
    /// Tollgate itself and LibreChat behind it.
    System,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
    /// Something failed that must not.
    Critical,
}

// === impl Event ===

impl Event {
    /// Something that befell Tollgate itself, for information. `about` is an object.
    pub fn of_tollgate(at: Timestamp, action: &'static str, policy: Option<Arc<str>>, about: &Value) -> Self {
        Self {
            id: id_at(at),
            timestamp: at,
            user_id: None,
            actor: None,
            action,
            category: Category::System,
            severity: Severity::Info,
            policy_revision: policy,
            about: about.as_object().cloned().unwrap_or_default(),
        }
    }
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
