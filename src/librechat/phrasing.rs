//! Refusals in the shapes that LibreChat's unmodified web client shows (CONTRACT.md E.6).
//!
//! On the chat routes the client takes the first JSON object of the body, which it finds by counting braces without regard
//! to strings, and looks its `type` up among its own texts. So a body is flat, `type` comes first, there is no `code` (it
//! would win over `type`), and no string holds a brace. The keys `request_id`, `rule` and `message` are ours: the client
//! ignores them, people who look for the reason do not. No policy refusal is a 401, which would make the client sign in again.
//!
//! Every body here is `application/json; charset=utf-8`.

mod limits;

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::path::PathFault;
use super::routes::Unrouted;
use super::unreadable::Unreadable;
use crate::policy::words::Surface;

pub use limits::{Shortage, limit_reached, limit_reached_remote};

/// A status and a JSON body.
pub type Phrase = (StatusCode, Bytes);

/// What every refusal says beside LibreChat's own words.
#[derive(Clone, Copy, Debug)]
pub struct Extras<'a> {
    /// The id under which the request is recorded.
    pub request_id: &'a str,
    /// The deciding rule or code.
    pub rule: &'a str,
    /// A sentence for people; none means a standard one.
    pub message: Option<&'a str>,
}

/// Why nobody could be identified, in LibreChat's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// `No auth token`
    NoToken,
    /// `jwt expired`
    Expired,
    /// `jwt signature is required`
    NoSignature,
    /// `invalid signature`
    BadSignature,
    /// `jwt malformed`
    Malformed,
    /// `Unauthorized`: the token is good but its user is not known.
    Unauthorized,
}

/// On the chat routes: `type` first, `info` where the client's text for the type has a place for it.
#[derive(Serialize)]
struct InChat<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Cow<'a, str>>,
    message: Cow<'a, str>,
    rule: Cow<'a, str>,
    request_id: Cow<'a, str>,
}

/// Elsewhere, as LibreChat's own handlers answer.
#[derive(Serialize)]
struct Plain<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    message: Cow<'a, str>,
    rule: Cow<'a, str>,
    request_id: Cow<'a, str>,
}

/// As OpenAI's clients expect it.
#[derive(Serialize)]
struct Remote<'a> {
    error: RemoteError<'a>,
}

#[derive(Serialize)]
struct RemoteError<'a> {
    message: Cow<'a, str>,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    rule: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<&'a str>,
    request_id: Cow<'a, str>,
}

/// The model is not allowed on a chat turn: 403. The client says that it is not available for the endpoint.
pub fn model_denied(endpoint: &str, model: &str, extras: &Extras<'_>) -> Phrase {
    let standard = "you may not use this model: choose another one or ask your administrator";
    illegal_model(endpoint, model, standard, extras)
}

/// A stored agent is not allowed on a chat turn, or is not there: 403 or 404, with the agent in place of the model. What
/// the agent runs is not named: the caller may not know it.
pub fn agent_denied(status: StatusCode, agent: &str, extras: &Extras<'_>) -> Phrase {
    let standard = "you may not use this agent: choose another one or ask your administrator";
    let info = format!("agents|{}", safe(agent));
    in_chat(status, "illegal_model_request", Some(info.into()), &extras.or_say(standard))
}

/// A tool is not allowed on a chat turn: 403.
pub fn tool_denied(extras: &Extras<'_>) -> Phrase {
    in_chat(StatusCode::FORBIDDEN, "policy_denied", None, &extras.or_say("you may not use this tool"))
}

/// A surface is not allowed, on a chat turn: 403, with the surface in place of the model.
pub fn surface_denied_in_chat(surface: Surface, extras: &Extras<'_>) -> Phrase {
    let (endpoint, model) = match surface {
        Surface::Agents => ("agents", "stored agents"),
        Surface::Assistants => ("assistants", "all assistants"),
        Surface::RemoteApi => ("agents", "remote agents"),
    };
    illegal_model(endpoint, model, surface_sentence(surface), extras)
}

/// A surface is not allowed, on its own routes: 403. The remote-agent API has a shape of its own, see [`refused_remote`].
pub fn surface_denied(surface: Surface, extras: &Extras<'_>) -> Phrase {
    refused(StatusCode::FORBIDDEN, &extras.or_say(surface_sentence(surface)))
}

/// A refusal of a chat turn, as the client of assistants shows it: its own error events have the words in `text`, and it reads
/// the body of a refusal as one of them (CONTRACT.md E.6).
pub fn for_assistants(in_chat: &Bytes, extras: &Extras<'_>) -> Bytes {
    #[derive(Serialize)]
    struct InText<'a> {
        text: Cow<'a, str>,
        message: Cow<'a, str>,
        rule: Cow<'a, str>,
        request_id: Cow<'a, str>,
    }
    let [message, rule, request_id] = extras.told();
    json(&InText { text: String::from_utf8_lossy(in_chat), message, rule, request_id })
}

/// The model spec is not known: 403.
pub fn spec_unknown(extras: &Extras<'_>) -> Phrase {
    let extras = extras.or_say("there is no such model spec: reload the page and choose again");
    in_chat(StatusCode::FORBIDDEN, "policy_denied", None, &extras)
}

/// The body of a chat turn could not be read: 400, 413 or 415. The fault's code takes the place of `extras.rule`.
pub fn unreadable(fault: &Unreadable, extras: &Extras<'_>) -> Phrase {
    let extras = Extras { rule: fault.code(), ..extras.or_say(fault.sentence()) };
    match fault {
        Unreadable::MissingModel { endpoint } => {
            in_chat(fault.status(), "missing_model", Some(safe(endpoint)), &extras)
        }
        _ => in_chat(fault.status(), "unreadable_request", None, &extras),
    }
}

/// The request target was refused: 400. The fault's code takes the place of `extras.rule`.
pub fn path_refused(fault: PathFault, extras: &Extras<'_>) -> Phrase {
    refused(StatusCode::BAD_REQUEST, &Extras { rule: fault.code(), ..extras.or_say(fault.sentence()) })
}

/// No such route: 404 in LibreChat's own words, or 405 (add `Allow` from [`super::routes::Methods::allow`]).
pub fn unrouted(unrouted: Unrouted, extras: &Extras<'_>) -> Phrase {
    match unrouted {
        Unrouted::UnknownPath => (
            StatusCode::NOT_FOUND,
            json(&Plain {
                error: None,
                message: "Endpoint not found".into(),
                rule: safe(extras.rule),
                request_id: safe(extras.request_id),
            }),
        ),
        Unrouted::Method { .. } => {
            refused(StatusCode::METHOD_NOT_ALLOWED, &extras.or_say("this path does not have this method"))
        }
    }
}

/// Nobody was identified: 401, byte for byte LibreChat's own body, so that its client renews the token as usual.
pub fn sign_in(why: SignIn) -> Phrase {
    #[derive(Serialize)]
    struct Only {
        message: &'static str,
    }
    let message = match why {
        SignIn::NoToken => "No auth token",
        SignIn::Expired => "jwt expired",
        SignIn::NoSignature => "jwt signature is required",
        SignIn::BadSignature => "invalid signature",
        SignIn::Malformed => "jwt malformed",
        SignIn::Unauthorized => "Unauthorized",
    };
    (StatusCode::UNAUTHORIZED, json(&Only { message }))
}

/// A failure on a chat turn that is not a matter of policy (500, 502, 503): the client shows the body as it is.
pub fn failed_in_chat(status: StatusCode, extras: &Extras<'_>) -> Phrase {
    in_chat(status, "proxy_error", None, extras)
}

/// Any other refusal or failure outside chat: `error` is the status in words.
pub fn refused(status: StatusCode, extras: &Extras<'_>) -> Phrase {
    let error = status.canonical_reason();
    let [message, rule, request_id] = extras.told();
    (status, json(&Plain { error, message, rule, request_id }))
}

/// A refusal on the remote-agent API, in OpenAI's shape. `code` is the word that programs look for, e.g.
/// `model_not_allowed`. A 401 has the type that LibreChat writes there, not OpenAI's own `authentication_error` (captures
/// `303_remote-badkey` to `305_remote-jwt`).
pub fn refused_remote(status: StatusCode, code: &str, extras: &Extras<'_>) -> Phrase {
    let kind = match status.as_u16() {
        402 | 429 => "rate_limit_error",
        403 => "permission_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let [message, rule, request_id] = extras.told();
    (
        status,
        json(&Remote {
            error: RemoteError { message, r#type: kind, param: None, code, rule, resets_at: None, request_id },
        }),
    )
}

fn illegal_model(endpoint: &str, model: &str, standard: &'static str, extras: &Extras<'_>) -> Phrase {
    // The client divides this at the bar: "The model <model> is not available for <endpoint>".
    let info = format!("{}|{}", safe(endpoint), safe(model));
    in_chat(StatusCode::FORBIDDEN, "illegal_model_request", Some(info.into()), &extras.or_say(standard))
}

fn in_chat(status: StatusCode, kind: &str, info: Option<Cow<'_, str>>, extras: &Extras<'_>) -> Phrase {
    let [message, rule, request_id] = extras.told();
    (status, json(&InChat { r#type: kind, info, message, rule, request_id }))
}

fn surface_sentence(surface: Surface) -> &'static str {
    match surface {
        Surface::Agents => "you may not use stored agents: choose a model or ask your administrator",
        Surface::Assistants => "you may not use assistants: choose a model or ask your administrator",
        Surface::RemoteApi => "you may not use the remote-agent API: ask your administrator",
    }
}

fn json(body: &impl Serialize) -> Bytes {
    // Plain structs of text cannot fail; should one ever, LibreChat's client still finds an object.
    serde_json::to_vec(body).map_or(Bytes::from_static(b"{}"), Bytes::from)
}

/// A text that the client can show: its search for the end of the body counts braces inside strings too, and control
/// characters would come out as escapes.
fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(|char: char| char.is_control() || matches!(char, '{' | '}')) {
        return Cow::Borrowed(text);
    }
    let safe = |char: char| match char {
        '{' => '(',
        '}' => ')',
        control if control.is_control() => ' ',
        plain => plain,
    };
    text.chars().map(safe).collect::<String>().into()
}

// === impl Extras ===

impl<'a> Extras<'a> {
    /// The same with a standard sentence where there is no other.
    fn or_say(&self, standard: &'a str) -> Self {
        Self { message: Some(self.message.unwrap_or(standard)), ..*self }
    }

    /// Message, rule and request id, safe to show.
    fn told(&self) -> [Cow<'a, str>; 3] {
        [safe(self.message.unwrap_or("the request was refused")), safe(self.rule), safe(self.request_id)]
    }
}

#[cfg(test)]
mod tests;
