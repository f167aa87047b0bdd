//! The remote-agent API (CONTRACT.md B.6): which agent a request would run, and the lists of agents that it shows as models.
//!
//! The body of `POST /api/agents/v1/chat/completions` and `/responses` names one agent, in `model`. What else is in it goes on
//! as it came; only what LibreChat looks things up by must have the type that it should.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::agents;
use super::catalog::Misshapen;
use super::json::{Kind, Limits, Value as Member, read_strict};
use super::selection::{TurnRequest, is_name, refuse_sanitised};
use super::tools;
use super::unreadable::Unreadable;
use crate::policy::words::{Surface, Target};

pub mod usage;

/// Ids by which LibreChat finds what was said before.
const IDS: [&[u8]; 3] = [b"conversation_id", b"parent_message_id", b"previous_response_id"];
/// Members that are true or false.
const SWITCHES: [&[u8]; 2] = [b"stream", b"store"];

/// Reads the body of a request that runs an agent. The first of the targets is the API itself, the second the agent, which
/// has to be looked up, see [`agents::unresolved`].
///
/// # Errors
/// See [`Unreadable`].
pub fn select_run(body: &[u8]) -> Result<TurnRequest, Unreadable> {
    let read = read_strict(body, Limits::CHAT)?;
    let (mut agent, mut conversation) = (None, None);
    for (key, value) in read.members() {
        refuse_sanitised(key)?;
        if value.kind() == Kind::Null {
            continue;
        }
        match key {
            b"model" => agent = Some(name(value, Unreadable::Model)?),
            key if IDS.contains(&key) => {
                let id = name(value, Unreadable::RemoteMember)?;
                if key == b"conversation_id" {
                    conversation = Some(id.as_str().into());
                }
            }
            key if SWITCHES.contains(&key) && value.kind() != Kind::Bool => return Err(Unreadable::RemoteMember),
            _ => {}
        }
    }
    let agent = agent.ok_or(Unreadable::MissingModel { endpoint: "agents".into() })?;
    Ok(TurnRequest {
        targets: vec![Target::Surface(Surface::RemoteApi), agents::named(&agent)],
        spec: None,
        added_spec: None,
        conversation,
        endpoint: "agents".into(),
        model: None,
        body: read.text(),
    })
}

/// The tools that a body adds to those of the agent. LibreChat takes the skills of `ephemeralAgent`, and `manualSkills`;
/// whatever else would switch a tool on in a chat counts here, too.
///
/// # Errors
/// [`Unreadable::EphemeralAgent`]
pub fn tools_of_run(body: &[u8]) -> Result<Vec<Target>, Unreadable> {
    #[derive(Deserialize)]
    struct Skills {
        #[serde(default, rename = "manualSkills")]
        manual: Value,
    }
    let mut found = tools::of_turn(body)?;
    let skills: Skills = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    let none = matches!(&skills.manual, Value::Array(names) if names.is_empty());
    if tools::is_on(&skills.manual) && !none {
        found.extend(tools::of_skills().map(Target::Tool));
    }
    Ok(found)
}

fn name(value: Member<'_>, fault: Unreadable) -> Result<String, Unreadable> {
    value.as_text().filter(|text| is_name(text)).map(Into::into).ok_or(fault)
}

/// The agent that a path shows: `/api/agents/v1/models/<agent>`. None for what no agent is called, and would be read by
/// decoding it first.
pub fn shown_agent(path: &str) -> Option<&str> {
    let agent = path.rsplit('/').next()?;
    (!agent.contains('%') && is_name(agent)).then_some(agent)
}

/// The agents in an answer that lists them as models.
#[derive(Debug)]
pub struct Listed {
    entries: Vec<(Box<str>, Map<String, Value>)>,
}

// === impl Listed ===

impl Listed {
    /// Reads the answer to `GET /api/agents/v1/models` or `/responses/models` (capture `292_remote-models`).
    ///
    /// # Errors
    /// [`Misshapen`] if it is not a list of objects with ids.
    pub fn read(body: &[u8]) -> Result<Self, Misshapen> {
        let what = "it is not a list of models";
        // Read as an object: a derived reader would also take an array for its fields in their order.
        let mut list: Map<String, Value> = serde_json::from_slice(body).map_err(|_| misshapen(what))?;
        let (Some(Value::String(object)), Some(Value::Array(data))) = (list.remove("object"), list.remove("data"))
        else {
            return Err(misshapen(what));
        };
        if object != "list" {
            return Err(misshapen(what));
        }
        let with_id = |entry: Value| {
            let Value::Object(entry) = entry else { return Err(misshapen("a model is not an object")) };
            let id = entry.get("id").and_then(Value::as_str).filter(|id| is_name(id)).map(Box::<str>::from);
            id.map(|id| (id, entry)).ok_or(misshapen("a model has no id"))
        };
        Ok(Self { entries: data.into_iter().map(with_id).collect::<Result<_, _>>()? })
    }

    /// Their ids, in LibreChat's order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(id, _)| &**id)
    }

    /// The answer with these agents alone, in LibreChat's order, and nothing beside the list.
    ///
    /// # Errors
    /// [`Misshapen`] where it cannot be written.
    pub fn only(self, usable: &HashSet<Box<str>>) -> Result<Bytes, Misshapen> {
        let data: Vec<_> =
            self.entries.into_iter().filter(|(id, _)| usable.contains(id)).map(|(_, entry)| entry).collect();
        let list = json!({"object": "list", "data": data});
        serde_json::to_vec(&list).map(Bytes::from).map_err(|_| misshapen("it cannot be written again"))
    }
}

/// Checks that an answer shows this one agent and no other (capture `293_remote-model`).
///
/// # Errors
/// [`Misshapen`]
pub fn shows_only(body: &[u8], agent: &str) -> Result<(), Misshapen> {
    let shown: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    match shown.as_ref().and_then(|shown| shown.get("id")).and_then(Value::as_str) {
        Some(id) if id == agent => Ok(()),
        _ => Err(Misshapen {
            answer: "GET /api/agents/v1/models/:model",
            what: "it is not the model that was asked for",
        }),
    }
}

fn misshapen(what: &'static str) -> Misshapen {
    Misshapen { answer: "GET /api/agents/v1/models", what }
}

#[cfg(test)]
mod tests;
