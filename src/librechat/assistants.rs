//! What a request to OpenAI's or Azure's assistants names (CONTRACT.md B.10, D.6).
//!
//! LibreChat takes the endpoint, the model and the version from the body and, where the body has none, from the query; on
//! one route it takes the model from the path. Each may stand in one place only here. The model that is stored with an
//! assistant is not run: LibreChat starts a run with the model that the request names.
//!
//! [`shown`] narrows the answers; [`run`] reads the one that is a run.

pub mod run;
pub mod shown;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::json::{Canonical, Kind, Limits, Value, read_strict};
use super::path::CanonicalPath;
use super::selection::{TurnRequest, is_name, name, refuse_sanitised};
use super::unreadable::Unreadable;
use crate::policy::words::Target;

/// The parts of the assistants API, each under `/v1` and `/v2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `POST /chat`: starts a run; the answer is a stream of events.
    Chat,
    /// `POST /chat/abort`: stops a run.
    Abort,
    /// `GET /`: all assistants.
    List,
    /// `POST /`: makes an assistant.
    Create,
    /// `GET` and `DELETE /:id`.
    One,
    /// `PATCH /:id`.
    Change,
    /// `GET /documents`: what LibreChat itself keeps of assistants.
    Documents,
    /// `GET /tools`: the tools that an assistant may have.
    Tools,
    /// `POST /actions/:assistant_id`.
    Action,
    /// `DELETE /actions/:assistant_id/:action_id/:model`.
    RemoveAction,
    /// Uploads of a picture, whose form holds the model.
    Avatar,
}

/// A request that was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// `assistants` or `azureAssistants`.
    pub endpoint: Option<Arc<str>>,
    /// The model.
    pub model: Option<Arc<str>>,
    /// The model spec that a chat names.
    pub spec: Option<Arc<str>>,
    /// `conversationId` of a chat.
    pub conversation: Option<Arc<str>>,
    /// The body to send to LibreChat, if the request has one: `application/json; charset=utf-8`.
    pub body: Option<Bytes>,
}

/// The two endpoints that are assistants.
const ENDPOINTS: [&str; 2] = ["assistants", "azureAssistants"];

/// Most parameters of a query. Node reads 1,000 and passes over the rest; LibreChat's client sends six.
const MOST_PARAMETERS: usize = 32;

/// Reads a request. `body` is empty where there is none.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(part: Part, path: &CanonicalPath, body: &[u8]) -> Result<Named, Unreadable> {
    let needs_body = matches!(part, Part::Chat | Part::Abort | Part::Create | Part::Change | Part::Action);
    let mut named = Named::default();
    if needs_body || !body.is_empty() {
        named.take_body(&read_strict(body, Limits::CHAT)?, version(path))?;
    }
    // The route that aborts goes by the body alone.
    named.take_query(path)?;
    if part == Part::RemoveAction {
        let model = path.segments().last().and_then(decoded).ok_or(Unreadable::Model)?;
        put(&mut named.model, model)?;
    }
    match (part, named.endpoint.as_deref(), &named.model) {
        (Part::Documents | Part::Tools, None, _) => Ok(named),
        (_, None, _) => Err(Unreadable::MissingEndpoint),
        (Part::Chat | Part::Create | Part::Action | Part::RemoveAction, Some(endpoint), None) => {
            Err(Unreadable::MissingModel { endpoint: endpoint.into() })
        }
        _ => Ok(named),
    }
}

/// Checks the body that stops a run, whoever sends it: for any endpoint but assistants, LibreChat stops the stream of
/// whoever owns the conversation and answers with what it has said (CONTRACT.md B.10).
///
/// # Errors
/// See [`Unreadable`].
pub fn read_abort(path: &CanonicalPath, body: &[u8]) -> Result<Named, Unreadable> {
    let read = read_strict(body, Limits::CHAT)?;
    if !read.members().any(|(key, value)| key == b"endpoint" && value.kind() != Kind::Null) {
        return Err(Unreadable::MissingEndpoint);
    }
    self::read(Part::Abort, path, body)
}

/// `v1` or `v2`, as the path names it.
fn version(path: &CanonicalPath) -> Option<&str> {
    path.segments().nth(2)
}

/// A segment decoded once, as Express does; none if it could be decoded again.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    let text = super::path::decode_segment(segment)?;
    (is_name(&text) && !text.contains('%')).then_some(text)
}

/// Puts a value in a place that is still empty.
fn put(place: &mut Option<Arc<str>>, value: Cow<'_, str>) -> Result<(), Unreadable> {
    if place.is_some() {
        return Err(Unreadable::NamedTwice);
    }
    *place = Some(value.into());
    Ok(())
}

fn endpoint(value: Cow<'_, str>) -> Result<Cow<'_, str>, Unreadable> {
    if ENDPOINTS.contains(&&*value) { Ok(value) } else { Err(Unreadable::AssistantsEndpoint) }
}

/// Whether a version says what the path says already.
fn agrees(version: &str, path: Option<&str>) -> bool {
    path.is_some_and(|path| {
        let number = version.strip_prefix('v').unwrap_or(version);
        path.get(1..).is_some_and(|of_path| of_path == number)
    })
}

// === impl Named ===

impl Named {
    fn take_body(&mut self, read: &Canonical, of_path: Option<&str>) -> Result<(), Unreadable> {
        for (key, value) in read.members() {
            refuse_sanitised(key)?;
            if value.kind() == Kind::Null {
                continue;
            }
            match key {
                b"endpoint" => put(&mut self.endpoint, endpoint(name(value, Unreadable::Endpoint)?)?)?,
                b"model" => put(&mut self.model, name(value, Unreadable::Model)?)?,
                b"spec" => put(&mut self.spec, name(value, Unreadable::Spec)?)?,
                b"conversationId" => put(&mut self.conversation, name(value, Unreadable::Conversation)?)?,
                b"version" if !version_of(value).is_some_and(|version| agrees(&version, of_path)) => {
                    return Err(Unreadable::Version);
                }
                // Only chats with agents have a second model.
                b"addedConvo" => return Err(Unreadable::AddedConvo),
                _ => {}
            }
        }
        let kind = read.members().find(|(key, value)| *key == b"endpointType" && value.kind() != Kind::Null);
        match kind.map(|(_, value)| value.as_text()) {
            Some(kind) if kind.as_deref() != self.endpoint.as_deref() => return Err(Unreadable::EndpointType),
            _ => {}
        }
        self.body = Some(read.text());
        Ok(())
    }

    fn take_query(&mut self, path: &CanonicalPath) -> Result<(), Unreadable> {
        if path.query_names().count() > MOST_PARAMETERS {
            return Err(Unreadable::Query);
        }
        for value in path.query_values("endpoint") {
            put(&mut self.endpoint, endpoint(value)?)?;
        }
        for value in path.query_values("model") {
            let plain = is_name(&value) && !value.contains(char::REPLACEMENT_CHARACTER);
            put(&mut self.model, if plain { value } else { return Err(Unreadable::Model) })?;
        }
        let versions: Vec<_> = path.query_values("version").collect();
        match versions.as_slice() {
            [] => Ok(()),
            [only] if agrees(only, version(path)) => Ok(()),
            _ => Err(Unreadable::Version),
        }
    }

    /// Everything that the request itself would reach.
    pub fn targets(&self) -> Vec<Target> {
        let target = match (&self.endpoint, &self.model) {
            (Some(endpoint), Some(model)) => {
                Some(Target::Assistant { endpoint: endpoint.as_ref().into(), model: model.as_ref().into() })
            }
            (Some(endpoint), None) => Some(Target::Endpoint(endpoint.as_ref().into())),
            (None, _) => None,
        };
        target.into_iter().collect()
    }

    /// The same as a turn; of a chat alone.
    ///
    /// # Errors
    /// [`Unreadable::MissingEndpoint`] if it is none.
    pub fn into_turn(self) -> Result<TurnRequest, Unreadable> {
        let targets = self.targets();
        Ok(TurnRequest {
            targets,
            spec: self.spec,
            added_spec: None,
            conversation: self.conversation,
            endpoint: self.endpoint.ok_or(Unreadable::MissingEndpoint)?,
            model: self.model,
            body: self.body.unwrap_or_default(),
        })
    }
}

/// A version as the client writes it: `2`, `"2"` or `"v2"`.
fn version_of(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value.kind() {
        Kind::Number => value.as_number().map(Cow::Borrowed),
        _ => value.as_text(),
    }
}

#[cfg(test)]
mod tests;
