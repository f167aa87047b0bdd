//! Every way to say no: status, code, public sentence, private cause. One table from refusals to answers.

use bytes::Bytes;
use http::StatusCode;

use super::exceeded::Exceeded;
use super::gate::GateFault;
use super::passage::{BodyFault, UpstreamFault};
use super::turns::RUNNING;
use crate::identity::{KeyFault, TokenFault};
use crate::librechat::agents;
use crate::librechat::assistants::Part as AssistantsPart;
use crate::librechat::balance::NoNumber;
use crate::librechat::catalog::Misshapen;
use crate::librechat::path::PathFault;
use crate::librechat::phrasing::{self, Extras, Shortage, SignIn};
use crate::librechat::prompt::bound::Unbounded;
use crate::librechat::routes::{Class, Methods, Unrouted};
use crate::librechat::unreadable::Unreadable;
use crate::policy::charge::Charge;
use crate::policy::{Part, Reason, RuleId};
use crate::record::{Category, Severity, Unkept};
use crate::store::StoreError;
use crate::store::counters::MOST_DRAWS;

/// The rule that closes the remote-agent API where keys cannot be looked up (policies/README.md).
const REMOTE_API: &str = "surface.remote_api";

/// In place of the statement that keeps a caller from an agent: the statement may name a model that the caller may not know.
const AGENT: &str = "policy.agent";

/// What a second turn of a conversation lacks.
const ONE_AT_A_TIME: Shortage = Shortage::Open { limit: 1 };

/// Seconds after which somebody may try again who waits for a turn to end.
const SOON: u32 = 5;

/// Why a request is not forwarded, or its answer not passed on.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is malformed or ambiguous.
    Gate(GateFault),
    /// The request target is malformed or ambiguous.
    Path(PathFault),
    /// LibreChat has no such route.
    NoRoute(Unrouted),
    /// The route never passes.
    Closed,
    /// The credentials are missing or bad.
    Token(TokenFault),
    /// The same where tokens of an identity provider count: what is wrong is recorded, and not told.
    Unproven(TokenFault),
    /// The key of the remote-agent API is missing or bad.
    Key(KeyFault),
    /// The credentials are good, but the user does not exist.
    Nobody,
    /// The directory does not answer.
    NoDirectory(StoreError),
    /// The route is for LibreChat's administrators.
    NotAdmin,
    /// The body cannot be read, or chooses nothing that can be judged.
    Unreadable(Unreadable),
    /// The body came too slowly.
    Slow,
    /// So many bodies are held already that there is no room for this one.
    NoRoom,
    /// The client broke off while sending the body.
    BrokenOff(String),
    /// The policy says no.
    Denied {
        /// Why.
        reason: Reason,
        /// The statements that decided.
        rules: Vec<RuleId>,
        /// The operator's sentence for it.
        message: String,
    },
    /// The remote-agent API where LibreChat's database, which has its keys, is not configured.
    RemoteApi,
    /// The request names a model spec that LibreChat does not offer to this caller.
    NoSuchSpec,
    /// Limits have no room for it.
    Exceeded(Box<Exceeded>),
    /// Another turn runs in the same conversation.
    Running,
    /// Limits cannot be counted; why, for the record.
    Uncounted(String),
    /// The caller's balance in LibreChat's database is none.
    StrangeBalance(NoNumber),
    /// So many limits apply to it that they cannot be taken in one step of the counters.
    TooManyLimits(usize),
    /// A strict limit applies, and what the request may use cannot be bounded.
    Unbounded {
        /// The strict limits.
        rules: Vec<RuleId>,
        /// Why not.
        why: Unbounded,
    },
    /// What is decided cannot be written down.
    Unrecorded(Unkept),
    /// LibreChat gave no answer.
    Upstream(UpstreamFault),
    /// LibreChat's answer is not what it should be, and would have to be filtered.
    Misshapen(Misshapen),
    /// LibreChat's answer, which must be filtered, could not be read whole.
    Unfiltered(String),
}

/// A refusal as the caller, the record and the metrics see it.
pub(super) struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON body.
    pub body: Bytes,
    /// `Allow`, where the method is the fault.
    pub allow: Option<Methods>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// The public sentence.
    pub message: Box<str>,
    /// The stable code of the refusal.
    pub(super) code: &'static str,
    /// What went wrong inside, for the record alone.
    pub cause: Option<Box<str>>,
    /// Kind of event.
    pub category: Category,
    /// How grave it is.
    pub severity: Severity,
}

// === impl Answer ===

impl Answer {
    /// Whether it says that what was decided cannot be written down.
    pub(super) fn is_unrecorded(&self) -> bool {
        self.code == Refusal::UNRECORDED
    }

    /// What the record says of a failure: its code, and the cause where one is known. Nothing for what the caller did.
    pub(super) fn told_inside(&self) -> Option<Box<str>> {
        match &self.cause {
            Some(cause) => Some(format!("{}: {cause}", self.code).into()),
            None => self.status.is_server_error().then(|| self.code.into()),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// The code of what cannot be written down.
    const UNRECORDED: &str = "records.full";

    /// The stable code: the label in metrics, and the rule in the record where no statement of the policy decided.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Gate(fault) => fault.code(),
            Self::Path(fault) => fault.code(),
            Self::NoRoute(Unrouted::UnknownPath) => "route.unknown",
            Self::NoRoute(Unrouted::Method { .. }) => "route.method",
            Self::Closed => "route.closed",
            Self::Token(fault) | Self::Unproven(fault) => fault.code(),
            Self::Key(fault) => fault.code(),
            Self::Nobody => "identity.no-user",
            Self::NoDirectory(_) => "directory.down",
            Self::NotAdmin => "route.admins-only",
            Self::Unreadable(fault) => fault.code(),
            Self::Slow => "body.slow",
            Self::NoRoom => "body.no-room",
            Self::BrokenOff(_) => "body.broken-off",
            Self::Denied { reason: Reason::Caller, .. } => "policy.caller",
            Self::Denied { reason: Reason::Model { .. }, .. } => "policy.model",
            Self::Denied { reason: Reason::Agent { part: Part::Unjudged(unjudged), .. }, .. } => unjudged.code,
            Self::Denied { reason: Reason::Agent { .. }, .. } => AGENT,
            Self::Denied { reason: Reason::Tool(_), .. } => "policy.tool",
            Self::Denied { reason: Reason::Endpoint(_), .. } => "policy.endpoint",
            Self::Denied { reason: Reason::Feature(_), .. } => "policy.feature",
            Self::Denied { reason: Reason::Surface(_), .. } | Self::RemoteApi => "policy.surface",
            Self::NoSuchSpec => "select.no-such-spec",
            Self::Exceeded(exceeded) => match exceeded.shortage {
                Shortage::Count { .. } => "limits.reached",
                Shortage::Open { .. } => "limits.concurrent",
                Shortage::Funds { .. } => "limits.funds",
            },
            Self::Running => RUNNING,
            Self::Uncounted(_) => "limits.unavailable",
            Self::StrangeBalance(_) => "balance.unreadable",
            Self::TooManyLimits(_) => "limits.too-many",
            Self::Unbounded { .. } => "limits.unbounded",
            Self::Unrecorded(_) => Self::UNRECORDED,
            Self::Upstream(UpstreamFault::Timeout) => "upstream.timeout",
            Self::Upstream(UpstreamFault::Connect(_)) => "upstream.connect",
            Self::Upstream(UpstreamFault::Broken(_) | UpstreamFault::Request(_)) => "upstream.broken",
            Self::Upstream(UpstreamFault::NoneKnown) => "upstream.none-known",
            Self::Misshapen(_) => "upstream.misshapen",
            Self::Unfiltered(_) => "upstream.unreadable",
        }
    }

    /// The statements that decided, or the code in their place.
    pub(super) fn rules(&self) -> Vec<RuleId> {
        match self {
            Self::Denied { rules, .. } if !rules.is_empty() => rules.clone(),
            Self::RemoteApi => vec![RuleId::new(REMOTE_API)],
            Self::Exceeded(exceeded) => exceeded.rules.clone(),
            Self::Unbounded { rules, .. } => rules.clone(),
            _ => vec![RuleId::new(self.code())],
        }
    }

    /// Limits cannot be counted, for this cause.
    pub(super) fn uncounted(cause: &(impl ToString + ?Sized)) -> Self {
        Self::Uncounted(cause.to_string())
    }

    /// What the request may use under these strict limits cannot be bounded.
    pub(super) fn unbounded(strict: &[Charge], why: Unbounded) -> Self {
        Self::Unbounded { rules: strict.iter().map(|charge| charge.rule.clone()).collect(), why }
    }

    /// The limits that have no room, where these are the reason.
    pub(super) fn exceeded(&self) -> Option<&Exceeded> {
        match self {
            Self::Exceeded(exceeded) => Some(exceeded),
            _ => None,
        }
    }

    /// The same with another sentence, if the policy refused it.
    pub(super) fn saying(self, sentence: &str) -> Self {
        match self {
            Self::Denied { reason, rules, .. } => Self::Denied { reason, rules, message: sentence.to_owned() },
            other => other,
        }
    }

    /// The same for a caller to whom an agent that they may not use is not to be there. The record keeps what decided.
    pub(super) fn hiding_the_agent(self) -> Self {
        match self {
            Self::Denied { reason: Reason::Agent { agent, .. }, rules, .. } => {
                let part = agents::hidden(&agent);
                let message = format!("Agent not found: {agent}");
                Self::Denied { reason: Reason::Agent { agent, part }, rules, message }
            }
            other => other,
        }
    }

    /// Whether the fault lies behind Tollgate, not with the caller.
    pub(super) fn is_failure(&self) -> bool {
        self.status().is_server_error()
    }

    /// The answer to the caller of a route of this class.
    pub(super) fn answer(&self, class: Option<Class>, request: &str) -> Answer {
        let rules = self.rules();
        let rule = match self {
            Self::Denied { reason: Reason::Agent { .. }, .. } => self.code(),
            _ => rules.first().map_or(self.code(), RuleId::as_str),
        };
        let message = self.message();
        let extras = Extras { request_id: request, rule, message: Some(message.as_ref()) };
        let (status, body) = self.phrase(class, &extras);
        // The client of assistants looks for the same words one level down.
        let body = match class {
            Some(Class::Assistants(AssistantsPart::Chat)) if status != StatusCode::UNAUTHORIZED => {
                phrasing::for_assistants(&body, &extras)
            }
            _ => body,
        };
        let (category, severity) = self.gravity(status);
        Answer {
            status,
            body,
            allow: match self {
                Self::NoRoute(Unrouted::Method { allowed }) => Some(*allowed),
                _ => None,
            },
            retry_after: match self {
                Self::Exceeded(exceeded) => exceeded.retry_after(),
                Self::Running => Some(SOON),
                _ => matches!(status, StatusCode::SERVICE_UNAVAILABLE).then_some(5),
            },
            code: self.code(),
            cause: self.cause(),
            message,
            category,
            severity,
        }
    }

    fn phrase(&self, class: Option<Class>, extras: &Extras<'_>) -> phrasing::Phrase {
        let remote = matches!(class, Some(Class::Remote(_)));
        if let Self::Running = self {
            return phrasing::limit_reached(ONE_AT_A_TIME, None, extras);
        }
        if let Self::Exceeded(exceeded) = self {
            let phrase = if remote { phrasing::limit_reached_remote } else { phrasing::limit_reached };
            return phrase(exceeded.shortage, exceeded.resets_at().as_deref(), extras);
        }
        if remote {
            return phrasing::refused_remote(self.status(), self.remote_code(), extras);
        }
        let in_chat = matches!(class, Some(Class::Turn | Class::Assistants(AssistantsPart::Chat)));
        match self {
            Self::Path(fault) => phrasing::path_refused(*fault, extras),
            Self::NoRoute(unrouted) => phrasing::unrouted(*unrouted, extras),
            Self::Closed => phrasing::unrouted(Unrouted::UnknownPath, extras),
            Self::Token(fault) => phrasing::sign_in(sign_in(*fault)),
            Self::Unproven(_) | Self::Nobody => phrasing::sign_in(SignIn::Unauthorized),
            Self::Unreadable(fault) if in_chat => phrasing::unreadable(fault, extras),
            Self::Denied { reason: Reason::Model { endpoint, model }, .. } => {
                phrasing::model_denied(endpoint, model, extras)
            }
            Self::Denied { reason: Reason::Agent { agent, .. }, .. } if in_chat => {
                phrasing::agent_denied(self.status(), agent, extras)
            }
            Self::Denied { reason: Reason::Tool(_) | Reason::Caller, .. } if in_chat => phrasing::tool_denied(extras),
            Self::Denied { reason: Reason::Surface(surface), .. } if in_chat => {
                phrasing::surface_denied_in_chat(*surface, extras)
            }
            Self::Denied { reason: Reason::Caller | Reason::Endpoint(_) | Reason::Feature(_), .. } => {
                phrasing::refused(self.status(), extras)
            }
            Self::Denied { reason: Reason::Surface(surface), .. } => phrasing::surface_denied(*surface, extras),
            // Both are for the remote-agent API alone, which has had its answer above.
            Self::Key(_) | Self::RemoteApi => phrasing::refused(self.status(), extras),
            Self::NoSuchSpec => phrasing::spec_unknown(extras),
            // Have had their answer above.
            Self::Exceeded(_) | Self::Running => phrasing::refused(self.status(), extras),
            _ if in_chat => phrasing::failed_in_chat(self.status(), extras),
            _ => phrasing::refused(self.status(), extras),
        }
    }

    /// The word that programs look for on the remote-agent API: LibreChat's or OpenAI's own where there is one.
    fn remote_code(&self) -> &'static str {
        match self {
            Self::Key(KeyFault::Missing) => "missing_api_key",
            Self::Key(_) => "invalid_api_key",
            Self::Denied { reason, .. } if is_missing(reason) => "model_not_found",
            Self::Denied { reason: Reason::Caller, .. } => "account_not_allowed",
            Self::Denied { .. } | Self::RemoteApi => "model_not_allowed",
            Self::Unreadable(Unreadable::MissingModel { .. }) => "missing_model",
            _ => self.code(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Gate(fault) => fault.status(),
            Self::Path(_) | Self::BrokenOff(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute(_) | Self::Closed => StatusCode::NOT_FOUND,
            Self::Denied { reason, .. } if is_missing(reason) => StatusCode::NOT_FOUND,
            Self::Token(_) | Self::Unproven(_) | Self::Key(_) | Self::Nobody => StatusCode::UNAUTHORIZED,
            Self::NotAdmin | Self::Denied { .. } | Self::RemoteApi | Self::NoSuchSpec | Self::Unbounded { .. } => {
                StatusCode::FORBIDDEN
            }
            // The policy's fault, and no waiting mends it.
            Self::TooManyLimits(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreadable(fault) => fault.status(),
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Exceeded(exceeded) => exceeded.shortage.status(),
            Self::Running => ONE_AT_A_TIME.status(),
            Self::NoDirectory(_) | Self::NoRoom | Self::Uncounted(_) | Self::Unrecorded(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Upstream(UpstreamFault::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            // LibreChat's own data: no waiting mends them either.
            Self::Upstream(_) | Self::Misshapen(_) | Self::Unfiltered(_) | Self::StrangeBalance(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    fn message(&self) -> Box<str> {
        match self {
            Self::Gate(fault) => fault.message().into(),
            Self::Path(fault) => fault.sentence().into(),
            Self::NoRoute(Unrouted::UnknownPath) | Self::Closed => "LibreChat has no such address.".into(),
            Self::NoRoute(Unrouted::Method { .. }) => "LibreChat does not take this method here.".into(),
            // LibreChat's own words (captures 303_remote-badkey, 304_remote-nokey).
            Self::Key(KeyFault::Missing) => {
                "Missing or invalid Authorization header. Expected: Bearer <api_key>".into()
            }
            Self::Key(_) => "Invalid API key".into(),
            Self::Token(_) | Self::Unproven(_) | Self::Nobody => "Sign in again.".into(),
            Self::NoDirectory(_) => "Your permissions cannot be looked up at the moment. Try again shortly.".into(),
            Self::NotAdmin => "Only administrators may do this.".into(),
            Self::Unreadable(fault) => fault.sentence().into(),
            Self::Slow => "The request came too slowly.".into(),
            Self::NoRoom => "Too many large requests at once. Try again shortly.".into(),
            Self::BrokenOff(_) => "The request broke off.".into(),
            Self::Denied { message, .. } => message.as_str().into(),
            Self::RemoteApi => {
                "The remote-agent API needs LibreChat's database to look keys up: MONGO_URI is not set.".into()
            }
            Self::NoSuchSpec => "This model spec is not offered to you. Reload the page and choose another.".into(),
            Self::Exceeded(exceeded) => exceeded.message.as_str().into(),
            Self::Running => "An answer in this conversation is still being written. Wait for it, or stop it.".into(),
            Self::Uncounted(_) => "Your limits cannot be counted at the moment. Try again shortly.".into(),
            Self::Unrecorded(_) => "What you do cannot be recorded at the moment. Try again shortly.".into(),
            Self::StrangeBalance(_) => {
                "Your balance in LibreChat cannot be read. Waiting does not help: ask your administrator.".into()
            }
            Self::TooManyLimits(_) => {
                "More limits apply to this request than can be counted together. Waiting does not help: ask your administrator."
                    .into()
            }
            Self::Unbounded { why, .. } => {
                format!("You have a strict limit, and this request cannot be held to it: {why}.").into()
            }
            Self::Upstream(UpstreamFault::Timeout) => "LibreChat did not answer in time. Try again.".into(),
            Self::Upstream(_) => "LibreChat cannot be reached at the moment. Try again shortly.".into(),
            Self::Misshapen(_) | Self::Unfiltered(_) => "LibreChat's answer could not be read.".into(),
        }
    }

    fn cause(&self) -> Option<Box<str>> {
        match self {
            Self::NoDirectory(error) => Some(error.to_string().into()),
            Self::BrokenOff(cause) | Self::Unfiltered(cause) | Self::Uncounted(cause) => Some(cause.as_str().into()),
            Self::Upstream(UpstreamFault::Connect(cause) | UpstreamFault::Broken(cause)) => Some(cause.as_str().into()),
            Self::Misshapen(fault) => Some(fault.to_string().into()),
            Self::Unrecorded(unkept) => Some(unkept.to_string().into()),
            Self::StrangeBalance(fault) => Some(fault.to_string().into()),
            Self::TooManyLimits(count) => Some(
                format!("{count} limits apply to this request; at most {MOST_DRAWS} can be taken in one step").into(),
            ),
            // What the caller is not told.
            Self::Denied { reason: Reason::Agent { agent, part }, .. } => Some(format!("{agent}: {part}").into()),
            _ => None,
        }
    }

    /// DESIGN.md 6: 401 and 403 are security warnings, failures behind Tollgate are system errors.
    fn gravity(&self, status: StatusCode) -> (Category, Severity) {
        match self {
            _ if status.is_server_error() => (Category::System, Severity::Error),
            Self::NoRoute(_) | Self::BrokenOff(_) | Self::Slow => (Category::Api, Severity::Info),
            Self::Exceeded(_) | Self::Running => (Category::Api, Severity::Warning),
            Self::Denied { reason, .. } if is_missing(reason) => (Category::Api, Severity::Info),
            Self::Unreadable(Unreadable::MissingModel { .. } | Unreadable::TooLarge) => (Category::Api, Severity::Info),
            _ => (Category::Security, Severity::Warning),
        }
    }
}

/// Whether LibreChat has nothing under the id that was asked for: old conversations name agents that are gone.
fn is_missing(reason: &Reason) -> bool {
    matches!(reason, Reason::Agent { part: Part::Unjudged(unjudged), .. } if [agents::MISSING, agents::NO_VERSION].contains(&unjudged.code))
}

fn sign_in(fault: TokenFault) -> SignIn {
    match fault {
        TokenFault::Missing => SignIn::NoToken,
        TokenFault::Expired | TokenFault::Endless => SignIn::Expired,
        TokenFault::Unsigned => SignIn::NoSignature,
        TokenFault::Signature => SignIn::BadSignature,
        TokenFault::Malformed | TokenFault::Early => SignIn::Malformed,
        TokenFault::Nobody
        | TokenFault::Extension
        | TokenFault::Key
        | TokenFault::Issuer
        | TokenFault::Audience
        | TokenFault::Subject
        | TokenFault::Cookies
        | TokenFault::Mismatch
        | TokenFault::Unlinked => SignIn::Unauthorized,
    }
}

impl From<GateFault> for Refusal {
    fn from(fault: GateFault) -> Self {
        Self::Gate(fault)
    }
}

impl From<PathFault> for Refusal {
    fn from(fault: PathFault) -> Self {
        Self::Path(fault)
    }
}

impl From<Unrouted> for Refusal {
    fn from(unrouted: Unrouted) -> Self {
        Self::NoRoute(unrouted)
    }
}

impl From<TokenFault> for Refusal {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl From<Unreadable> for Refusal {
    fn from(fault: Unreadable) -> Self {
        Self::Unreadable(fault)
    }
}

impl From<UpstreamFault> for Refusal {
    fn from(fault: UpstreamFault) -> Self {
        match fault {
            // Not LibreChat's fault: what was on its way to it did not come whole.
            UpstreamFault::Request(fault) => fault.into(),
            fault => Self::Upstream(fault),
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Gate(fault) => Self::Gate(fault),
            BodyFault::BrokenOff(cause) => Self::BrokenOff(cause),
        }
    }
}

impl From<Misshapen> for Refusal {
    fn from(fault: Misshapen) -> Self {
        Self::Misshapen(fault)
    }
}

#[cfg(test)]
mod tests;
