//! Agents in LibreChat's answers, narrowed to what the caller may know of (CONTRACT.md C.1).
//!
//! An answer has the agent whole, with all its versions. The agent itself must be one that the caller may use. A version that
//! runs anything else keeps its place, because `version_index` counts places, but only its name and its times stay.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use super::{Agent, Fields};
use crate::librechat::catalog::Misshapen;
use crate::librechat::routes::Deed;

/// What stays of a version that the caller may not know of.
const STAYS: [&str; 6] = ["id", "name", "description", "category", "createdAt", "updatedAt"];

/// An answer to `GET /api/agents` while it is narrowed.
#[derive(Debug)]
pub struct Listed {
    answer: Fields,
    agents: Vec<(Box<str>, Value)>,
}

/// Narrows the answer to what was done with an agent. None where it has an agent that the caller may not know of. `may` says
/// whether a model of an endpoint is allowed, `extra` names further harmless parameters.
///
/// # Errors
/// [`Misshapen`]
pub fn narrowed(
    deed: Deed,
    body: &[u8],
    extra: &[Box<str>],
    may: impl Fn(&Agent) -> bool,
) -> Result<Option<Bytes>, Misshapen> {
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| misshapen("it is not JSON"))?;
    let agent = match deed {
        Deed::Duplicate => answer.get_mut("agent"),
        Deed::AddAction => answer.get_mut(0),
        Deed::Show | Deed::Create | Deed::Change | Deed::Revert | Deed::Avatar => Some(&mut answer),
        Deed::RemoveAction => {
            return message_only(&answer).then(|| Some(Bytes::copy_from_slice(body))).ok_or(NOT_A_MESSAGE);
        }
    };
    let agent = agent.and_then(Value::as_object_mut).ok_or(misshapen("there is no agent in it"))?;
    let may = |fields: &Fields| Agent::read(fields, extra).is_ok_and(|agent| may(&agent));
    if !may(agent) {
        return Ok(None);
    }
    let id = agent.get("id").cloned().unwrap_or_default();
    match agent.get_mut("versions") {
        None | Some(Value::Null) => {}
        Some(Value::Array(versions)) => {
            for version in versions {
                let version = version.as_object_mut().ok_or(misshapen("a version is not an object"))?;
                let mut whole = version.clone();
                whole.insert("id".to_owned(), id.clone());
                if !may(&whole) {
                    version.retain(|name, _| STAYS.contains(&name.as_str()));
                }
            }
        }
        Some(_) => return Err(misshapen("versions is not a list")),
    }
    write(&answer).map(Some)
}

// === impl Listed ===

impl Listed {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Misshapen`]
    pub fn read(body: &[u8]) -> Result<Self, Misshapen> {
        let mut answer: Fields = serde_json::from_slice(body).map_err(|_| misshapen("it is not an object"))?;
        let Some(Value::Array(data)) = answer.get_mut("data").map(Value::take) else {
            return Err(misshapen("data is not a list"));
        };
        let named = data.into_iter().map(|agent| Some((agent.get("id")?.as_str()?.into(), agent)));
        let agents = named.collect::<Option<_>>().ok_or(misshapen("data has something without an id"))?;
        Ok(Self { answer, agents })
    }

    /// The ids of the agents, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|(id, _)| &**id)
    }

    /// The answer with these agents alone. Where it goes on stays as it was: that is a place in LibreChat's list, not in this.
    ///
    /// # Errors
    /// [`Misshapen`] where it cannot be written.
    pub fn only(mut self, usable: &HashSet<Box<str>>) -> Result<Bytes, Misshapen> {
        self.agents.retain(|(id, _)| usable.contains(id));
        let end = |agent: Option<&(Box<str>, Value)>| agent.map_or(Value::Null, |(id, _)| (&**id).into());
        for (name, id) in [("first_id", end(self.agents.first())), ("last_id", end(self.agents.last()))] {
            if let Some(place) = self.answer.get_mut(name) {
                *place = id;
            }
        }
        let data = self.agents.into_iter().map(|(_, agent)| agent).collect();
        self.answer.insert("data".to_owned(), Value::Array(data));
        write(&self.answer)
    }
}

const NOT_A_MESSAGE: Misshapen = misshapen("it is more than a message");

/// An answer that says that something is done, and shows nothing.
fn message_only(answer: &Value) -> bool {
    answer.as_object().is_some_and(|answer| answer.iter().all(|(key, value)| key == "message" && value.is_string()))
}

const fn misshapen(what: &'static str) -> Misshapen {
    Misshapen { answer: "a request for agents", what }
}

fn write(answer: &impl serde::Serialize) -> Result<Bytes, Misshapen> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|_| misshapen("it cannot be written again"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Shows `openAI|mini` alone.
    fn shown(deed: Deed, answer: &Value) -> Result<Option<Value>, Misshapen> {
        let may = |agent: &Agent| (&*agent.endpoint, &*agent.model) == ("openAI", "mini");
        let narrowed = narrowed(deed, answer.to_string().as_bytes(), &[], may)?;
        Ok(narrowed.map(|text| serde_json::from_slice(&text).unwrap()))
    }

    fn agent(model: &str, versions: Value) -> Value {
        json!({"id": "agent_x", "name": "n", "provider": "openAI", "model": model, "versions": versions, "version": 2})
    }

    #[test]
    fn versions_keep_their_places_and_nothing_of_what_is_denied() {
        let plain = json!({"name": "old", "provider": "openAI", "model": "mini", "model_parameters": {"stop": ["x"]}});
        let times = json!({"name": "o", "createdAt": "2026-11-21", "updatedAt": "2026-11-22"});
        let hidden: Vec<Value> = [
            json!({"provider": "openAI", "model": "dear"}),
            json!({"provider": "OPENAI", "model": "dear", "instructions": "dear"}),
            json!({"provider": "anthropic", "model": "mini"}),
            json!({"provider": "openAI", "model": "mini", "model_parameters": {"modelKwargs": {"model": "dear"}}}),
            json!({"provider": "openAI", "model": "mini", "model_parameters": {"model": "dear"}}),
            json!({"provider": "openAI", "model": ["dear"]}),
            json!({"model": "dear", "agent_ids": ["agent_dear"], "tools": ["dear"], "avatar": {"filepath": "dear"}}),
        ]
        .into_iter()
        .map(|mut version| {
            version.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            version
        })
        .collect();
        let versions: Vec<Value> = hidden.iter().flat_map(|hidden| [plain.clone(), hidden.clone()]).collect();
        let answer = shown(Deed::Show, &agent("mini", versions.into())).unwrap().unwrap();
        let expected: Vec<Value> = hidden.iter().flat_map(|_| [plain.clone(), times.clone()]).collect();
        assert_eq!(answer, agent("mini", expected.into()));
        assert!(!answer.to_string().contains("dear"));
    }

    #[test]
    fn the_agent_is_found_where_each_answer_has_it() {
        let (mini, dear) = (agent("mini", json!([])), agent("dear", json!([])));
        let versions = agent("mini", json!([{"provider": "openAI", "model": "dear"}]));
        let stripped = agent("mini", json!([{}]));
        for deed in [Deed::Show, Deed::Create, Deed::Change, Deed::Revert, Deed::Avatar] {
            assert_eq!(shown(deed, &mini), Ok(Some(mini.clone())));
            assert_eq!(shown(deed, &versions), Ok(Some(stripped.clone())));
            assert_eq!(shown(deed, &dear), Ok(None));
        }
        let copy = |agent: &Value| json!({"agent": agent, "actions": []});
        assert_eq!(shown(Deed::Duplicate, &copy(&versions)), Ok(Some(copy(&stripped))));
        assert_eq!(shown(Deed::Duplicate, &copy(&dear)), Ok(None));
        let equipped = |agent: &Value| json!([agent, {"action_id": "a", "metadata": {}}]);
        assert_eq!(shown(Deed::AddAction, &equipped(&versions)), Ok(Some(equipped(&stripped))));
        assert_eq!(shown(Deed::AddAction, &equipped(&dear)), Ok(None));
        let done = json!({"message": "Action deleted successfully"});
        assert_eq!(shown(Deed::RemoveAction, &done), Ok(Some(done)));
    }

    #[test]
    fn an_answer_of_another_shape_is_not_passed_on() {
        let mini = agent("mini", json!([]));
        for (deed, answer) in [
            (Deed::Show, json!([mini])),
            (Deed::Show, json!("agent")),
            (Deed::Show, agent("mini", json!({}))),
            (Deed::Show, agent("mini", json!(["dear"]))),
            (Deed::Duplicate, mini.clone()),
            (Deed::AddAction, mini.clone()),
            (Deed::AddAction, json!([])),
            (Deed::RemoveAction, mini.clone()),
            (Deed::RemoveAction, json!({"message": {"model": "dear"}})),
        ] {
            assert!(shown(deed, &answer).is_err(), "{deed:?} {answer}");
        }
        assert!(narrowed(Deed::Show, b"event: error", &[], |_| true).is_err());
        assert_eq!(shown(Deed::Show, &json!({"message": "?"})), Ok(None), "no agent that could be judged");
    }

    #[test]
    fn a_list_keeps_its_order_its_ends_and_where_it_goes_on() {
        let list = |ids: &[&str]| {
            let data: Vec<Value> = ids.iter().map(|id| json!({"_id": "1", "id": id, "name": "n"})).collect();
            json!({"object": "list", "data": data, "first_id": ids.first(), "last_id": ids.last(),
                   "has_more": true, "after": "bmV4dA=="})
        };
        let all = ["a", "b", "c", "d"];
        for kept in [&all[..], &["b", "c"], &["a"], &["d"], &[]] {
            let listed = Listed::read(list(&all).to_string().as_bytes()).unwrap();
            assert_eq!(listed.ids().collect::<Vec<_>>(), all);
            let only = listed.only(&kept.iter().map(|id| Box::from(*id)).collect()).unwrap();
            assert_eq!(String::from_utf8_lossy(&only), list(kept).to_string(), "{kept:?}");
        }
        for wrong in
            [json!([]), json!({}), json!({"data": {}}), json!({"data": [{"name": "n"}]}), json!({"data": [{"id": 5}]})]
        {
            assert!(Listed::read(wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
    }
}
