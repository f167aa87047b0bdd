//! What a chat request would make LibreChat call (CONTRACT.md B.1 to B.3, B.9, B.13).
//!
//! The path says nothing: LibreChat reads the endpoint, the model, the agent, the spec and a second conversation from the
//! body. Each of them must be text, and text that LibreChat's exact comparison and Tollgate's give the same meaning, or
//! absent; whatever LibreChat would coerce, blank or repair is refused. Unknown members pass through unread.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::agents;
use super::json::{Canonical, Kind, Limits, Value, read_strict};
use super::unreadable::Unreadable;
use crate::policy::words::{Surface, Target};

/// A chat request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRequest {
    /// Everything the body itself would make LibreChat call. Specs add to it, see [`super::specs`]; agents are only named
    /// in it and have to be looked up, see [`agents::unresolved`].
    pub targets: Vec<Target>,
    /// The model spec named, if any.
    pub spec: Option<Arc<str>>,
    /// The model spec named within `addedConvo`, if any.
    pub added_spec: Option<Arc<str>>,
    /// `conversationId`, which is also the id of the stream; absent in a new conversation.
    pub conversation: Option<Arc<str>>,
    /// `endpoint`.
    pub endpoint: Arc<str>,
    /// `model`; absent where a stored agent decides it.
    pub model: Option<Arc<str>>,
    /// The body to send to LibreChat: `application/json; charset=utf-8`.
    pub body: Bytes,
}

/// Greatest length of a name, in characters; LibreChat's own bound for models (CONTRACT.md B.9).
const NAME_LENGTH: usize = 256;

/// LibreChat's built-in endpoints (CONTRACT.md C.1). Any other name is a custom endpoint.
const BUILT_IN: [&str; 8] =
    ["openAI", "azureOpenAI", "google", "anthropic", "bedrock", "assistants", "azureAssistants", "agents"];

/// The parameters of `addedConvo` that LibreChat takes without checking their type (CONTRACT.md B.3).
const ADDED_NUMBERS: [&[u8]; 9] = [
    b"temperature",
    b"top_p",
    b"topP",
    b"topK",
    b"presence_penalty",
    b"frequency_penalty",
    b"maxOutputTokens",
    b"maxTokens",
    b"max_tokens",
];

/// The parameters that LibreChat's reader for Bedrock reads twice, the second time as numbers. A text that is none has become
/// `NaN` by then, for which all parameters are dropped, the model too, and the provider's client takes one of its own.
const READ_TWICE: [&[u8]; 3] = [b"maxTokens", b"maxOutputTokens", b"thinkingBudget"];

/// The members that choose what is called, of the body or of `addedConvo`. `null` counts as absent.
#[derive(Default)]
struct Choice<'a> {
    endpoint: Option<Cow<'a, str>>,
    endpoint_type: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    agent: Option<Cow<'a, str>>,
    spec: Option<Cow<'a, str>>,
}

/// Reads the body of `POST /api/agents/chat[/:endpoint]`.
///
/// # Errors
/// See [`Unreadable`].
pub fn select_turn(body: &[u8]) -> Result<TurnRequest, Unreadable> {
    let read = read_strict(body, Limits::CHAT)?;
    let mut choice = Choice::default();
    let mut added = None;
    let mut conversation = None;
    for (key, value) in read.members() {
        refuse_sanitised(key)?;
        if choice.take(key, value)? || value.kind() == Kind::Null {
            continue;
        }
        match key {
            b"addedConvo" => added = Some(value),
            b"conversationId" => conversation = Some(name(value, Unreadable::Conversation)?),
            b"region" if !value.as_text().is_some_and(|text| is_region(&text)) => return Err(Unreadable::Region),
            // LibreChat's schema blanks all fields if one inside has the wrong type, and the provider's client then takes
            // a model of its own (CONTRACT.md B.5.4).
            b"additionalModelRequestFields" => return Err(Unreadable::ModelRequestFields),
            key if READ_TWICE.contains(&key) && !is_number(value) => return Err(Unreadable::Parameter),
            _ => {}
        }
    }

    let endpoint = choice.endpoint.as_deref().ok_or(Unreadable::MissingEndpoint)?;
    let mut targets = vec![choice.primary(endpoint)?];
    choice.check_type(endpoint)?;
    let mut added_spec = None;
    if let Some(added) = added {
        let added = Choice::added(&read, added)?;
        targets.extend(added.second());
        added_spec = added.spec.as_deref().map(Into::into);
    }
    let by_model = matches!(targets.first(), Some(Target::Model { .. }));
    Ok(TurnRequest {
        spec: choice.spec.as_deref().map(Into::into),
        added_spec,
        conversation: conversation.as_deref().map(Into::into),
        endpoint: endpoint.into(),
        model: choice.model.as_deref().filter(|_| by_model).map(Into::into),
        body: read.text(),
        targets,
    })
}

/// Where a model of an endpoint is judged: as a model, or as a part of LibreChat.
pub(super) fn target(endpoint: &str, model: &str) -> Target {
    match endpoint {
        "agents" => Target::Surface(Surface::Agents),
        "assistants" | "azureAssistants" => Target::Surface(Surface::Assistants),
        _ => Target::Model { endpoint: endpoint.into(), model: model.into() },
    }
}

// === impl Choice ===

impl<'a> Choice<'a> {
    /// Takes a member if it is one of these. Whether it was.
    fn take(&mut self, key: &[u8], value: Value<'a>) -> Result<bool, Unreadable> {
        let (place, fault) = match key {
            b"endpoint" => (&mut self.endpoint, Unreadable::Endpoint),
            b"endpointType" => (&mut self.endpoint_type, Unreadable::EndpointType),
            b"model" => (&mut self.model, Unreadable::Model),
            b"agent_id" => (&mut self.agent, Unreadable::Agent),
            b"spec" => (&mut self.spec, Unreadable::Spec),
            _ => return Ok(false),
        };
        if value.kind() != Kind::Null {
            *place = Some(name(value, fault)?);
        }
        Ok(true)
    }

    /// The members of `addedConvo`, which must be an object: LibreChat checks access on nothing else (CONTRACT.md B.3).
    fn added(read: &'a Canonical, added: Value<'a>) -> Result<Self, Unreadable> {
        if added.kind() != Kind::Object {
            return Err(Unreadable::AddedConvo);
        }
        let mut choice = Self::default();
        for (key, value) in read.members_of(added) {
            refuse_sanitised(key)?;
            let number = matches!(value.kind(), Kind::Number | Kind::Null);
            if !choice.take(key, value)? && ADDED_NUMBERS.contains(&key) && !number {
                return Err(Unreadable::AddedConvo);
            }
        }
        if let Some(endpoint) = choice.endpoint.as_deref() {
            choice.check_type(endpoint)?;
        }
        Ok(choice)
    }

    /// What the body's own endpoint calls.
    fn primary(&self, endpoint: &str) -> Result<Target, Unreadable> {
        match (endpoint, self.agent.as_deref(), self.model.as_deref()) {
            ("agents", None, _) => Err(Unreadable::MissingAgent),
            ("agents", Some(agent), _) if is_stored_agent(agent) => Ok(agents::named(agent)),
            // An id that is not stored makes an agent of the provider "agents", which fails in LibreChat (B.1, step 3).
            ("agents", Some(_), _) => Err(Unreadable::Agent),
            (_, _, Some(model)) => Ok(target(endpoint, model)),
            (_, _, None) => Err(Unreadable::MissingModel { endpoint: endpoint.into() }),
        }
    }

    /// What `addedConvo` calls beside it. LibreChat needs a stored agent, or both endpoint and model; with less it adds
    /// nothing.
    fn second(&self) -> Option<Target> {
        match (self.agent.as_deref(), self.endpoint.as_deref(), self.model.as_deref()) {
            (Some(agent), ..) if is_stored_agent(agent) => Some(agents::named(agent)),
            (_, Some(endpoint), Some(model)) => Some(target(endpoint, model)),
            _ => None,
        }
    }

    /// The client sends `custom` for custom endpoints and nothing, or the endpoint itself, for built-in ones. With
    /// anything else LibreChat skips its balance check (CONTRACT.md E.2).
    fn check_type(&self, endpoint: &str) -> Result<(), Unreadable> {
        let fits = match self.endpoint_type.as_deref() {
            None => true,
            Some("custom") => !BUILT_IN.contains(&endpoint),
            Some(kind) => kind == endpoint && BUILT_IN.contains(&endpoint),
        };
        if fits { Ok(()) } else { Err(Unreadable::EndpointType) }
    }
}

/// A text that can be a name: LibreChat compares names exactly, so nothing is trimmed or folded here either, and a text
/// that some reader would trim or fold is none.
pub(super) fn name(value: Value<'_>, fault: Unreadable) -> Result<Cow<'_, str>, Unreadable> {
    value.as_text().filter(|text| is_name(text)).ok_or(fault)
}

pub(super) fn is_name(text: &str) -> bool {
    // Nearly all names are of these bytes, which need no decoding.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b':' | b'/');
    if (1..=NAME_LENGTH).contains(&text.len()) && text.bytes().fold(true, |all, byte| all & plain(byte)) {
        return true;
    }
    !text.is_empty()
        && text.chars().count() <= NAME_LENGTH
        && !text.starts_with(is_js_space)
        && !text.ends_with(is_js_space)
        // Braces would end the client's search for the refusal's text, and the bar divides endpoint from model in it
        // (CONTRACT.md E.6). Control characters have no place in a header, a log line or a name.
        && !text.contains(|char: char| char.is_control() || matches!(char, '{' | '}' | '|' | '\u{2028}' | '\u{2029}'))
}

/// What `String.prototype.trim` removes: white space, line ends, and the byte order mark that Unicode does not count.
fn is_js_space(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

pub(super) fn is_stored_agent(agent: &str) -> bool {
    agent.strip_prefix("agent_").is_some_and(|rest| !rest.is_empty())
}

/// A number, or a text that both JavaScript's `parseFloat` and everybody else read as one. A blank text is none at all there.
fn is_number(value: Value<'_>) -> bool {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let reads = |text: &str| text.is_empty() || (text.bytes().all(plain) && text.parse::<f64>().is_ok());
    value.kind() == Kind::Number || value.as_text().is_some_and(|text| reads(text.trim_matches(' ')))
}

/// A region becomes part of a host name.
pub(super) fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// LibreChat deletes such keys after parsing (CONTRACT.md D.5). Among the members that choose a model they are refused.
pub(super) fn refuse_sanitised(key: &[u8]) -> Result<(), Unreadable> {
    // Without a branch for each byte: keys are many and short.
    let dotted = key.iter().fold(false, |found, byte| found | (*byte == b'.'));
    if dotted || key.starts_with(b"$") { Err(Unreadable::SanitisedKey) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
