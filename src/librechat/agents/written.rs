//! What a request would write into LibreChat's collection of agents (CONTRACT.md B.7).
//!
//! LibreChat checks types there and no model. It replaces the top-level fields that a body has, a patch keeps the others,
//! and an earlier version is laid over the agent as it is. Therefore never the body alone is judged but the document that it
//! leads to. Fields that LibreChat's schema does not know are dropped by it; none of them is read here.

use serde_json::Value;

use super::{Fields, NO_VERSION, action, unjudged};
use crate::librechat::json::{Canonical, Kind};
use crate::librechat::path::CanonicalPath;
use crate::librechat::routes::Deed;
use crate::librechat::unreadable::Unreadable;
use crate::policy::words::{Part, Tool};

/// In the place of the id of an agent that is still to be made.
pub const NEW: &str = "agent_new";

/// What a body asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// A new agent with these fields.
    New(Fields),
    /// These fields in the place of the agent's own.
    Changed(Fields),
    /// The version at this place of `versions`.
    Version(u32),
    /// Further tools, beside all that the agent has.
    Equipped(Vec<Tool>),
}

/// Reads the body of a request that writes an agent. None for what has no body that is judged.
///
/// # Errors
/// [`Unreadable`]
pub fn written(deed: Deed, body: &Canonical) -> Result<Option<Written>, Unreadable> {
    Ok(match deed {
        Deed::Create => Some(Written::New(without_empty_parameters(fields(body)?))),
        Deed::Change => Some(Written::Changed(without_empty_parameters(fields(body)?))),
        Deed::Revert => Some(Written::Version(version(body)?)),
        Deed::AddAction => Some(Written::Equipped(action::tools_of(&fields(body)?)?)),
        Deed::Show | Deed::Duplicate | Deed::Avatar | Deed::RemoveAction => None,
    })
}

/// Whether the body of a request chooses what an agent runs. That of an action only chooses tools: where nothing limits
/// tools, it is not read.
pub fn has_body(deed: Deed, tools_are_limited: bool) -> bool {
    match deed {
        Deed::Create | Deed::Change | Deed::Revert => true,
        Deed::AddAction => tools_are_limited,
        Deed::Show | Deed::Duplicate | Deed::Avatar | Deed::RemoveAction => false,
    }
}

/// The agent that a path names; [`NEW`] where it names none yet.
///
/// # Errors
/// [`Unreadable::Agent`] where it is none that LibreChat makes: its ids have no characters that need an escape.
pub fn in_path(deed: Deed, path: &CanonicalPath) -> Result<Box<str>, Unreadable> {
    let place = match deed {
        Deed::Create => return Ok(NEW.into()),
        Deed::Show | Deed::Change | Deed::Duplicate | Deed::Revert => 2,
        Deed::AddAction | Deed::RemoveAction => 3,
        Deed::Avatar => 4,
    };
    let named = path.segments().nth(place).filter(|id| !id.is_empty() && !id.contains('%'));
    named.map(Box::from).ok_or(Unreadable::Agent)
}

/// The document of a new agent.
pub fn new(fields: &Fields) -> Fields {
    let nothing = Fields::from_iter([("id".to_owned(), NEW.into())]);
    merged(&nothing, fields)
}

/// A document with other fields laid over it, all but the id. LibreChat leaves a field alone that is null in a patch; where a
/// version has a null it takes it over, after which there is less to run and nothing else.
pub fn merged(stored: &Fields, over: &Fields) -> Fields {
    let mut document = stored.clone();
    let said = over.iter().filter(|(name, value)| *name != "id" && !value.is_null());
    document.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    document
}

/// Everything that must be allowed where an agent has no such version.
pub fn without_version(agent: &str, index: u32) -> Vec<Part> {
    let what = format!("it has no version {index}");
    vec![Part::Itself, Part::Unjudged(unjudged(NO_VERSION, agent, &what))]
}

fn fields(body: &Canonical) -> Result<Fields, Unreadable> {
    // LibreChat deletes such keys after it has parsed them (CONTRACT.md D.5).
    if body.members().any(|(key, _)| key.starts_with(b"$") || key.contains(&b'.')) {
        return Err(Unreadable::SanitisedKey);
    }
    serde_json::from_slice(&body.text()).map_err(|_| Unreadable::NotJson)
}

/// LibreChat stores no parameter that is null or an empty text: its client sends those for a field that was emptied, also
/// where a number belongs.
fn without_empty_parameters(mut fields: Fields) -> Fields {
    if let Some(Value::Object(parameters)) = fields.get_mut("model_parameters") {
        parameters.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
    fields
}

/// LibreChat takes whatever JavaScript finds under that name in a list: only plain digits are one place in it.
fn version(body: &Canonical) -> Result<u32, Unreadable> {
    let mut named = body.members().filter(|(key, _)| *key == b"version_index").map(|(_, value)| value);
    let value = named.next().filter(|value| value.kind() == Kind::Number).ok_or(Unreadable::VersionIndex)?;
    let digits = value.as_number().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|text| text.parse().ok())
        .filter(|index| i32::try_from(*index).is_ok())
        .ok_or(Unreadable::VersionIndex)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::librechat::agents::Agent;
    use crate::librechat::json::{Limits, read_strict};

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("not a document: {other}"),
        }
    }

    fn read(deed: Deed, body: &str) -> Result<Option<Written>, Unreadable> {
        written(deed, &read_strict(body.as_bytes(), Limits::CHAT)?)
    }

    #[test]
    fn a_patch_is_judged_with_what_it_leaves_alone() {
        let stored = fields(json!({
            "id": "agent_x", "provider": "openAI", "model": "mini", "model_parameters": {"temperature": 1},
            "tools": ["dalle"], "edges": [{"from": "agent_x", "to": "agent_y"}],
        }));
        // The patch, and what of the stored document it replaces.
        for (patch, replaced) in [
            (json!({}), json!({})),
            (json!({"model": "dear"}), json!({"model": "dear"})),
            (json!({"provider": "anthropic"}), json!({"provider": "anthropic"})),
            (json!({"model_parameters": {"top_p": 1}}), json!({"model_parameters": {"top_p": 1}})),
            (json!({"edges": []}), json!({"edges": []})),
            (json!({"tools": []}), json!({"tools": []})),
            (json!({"agent_ids": ["agent_z"]}), json!({"agent_ids": ["agent_z"]})),
            (json!({"subagents": {"agent_ids": ["agent_z"]}}), json!({"subagents": {"agent_ids": ["agent_z"]}})),
            (json!({"artifacts": "default", "skills": ["s"]}), json!({"artifacts": "default", "skills": ["s"]})),
            (json!({"skills_enabled": true}), json!({"skills_enabled": true})),
            // What says nothing about what runs, and what LibreChat leaves alone.
            (json!({"id": "agent_other", "name": "n", "unknown": 1}), json!({"name": "n", "unknown": 1})),
            (json!({"model": null, "provider": null, "edges": null, "model_parameters": null}), json!({})),
            (
                json!({"model_parameters": {"top_p": null, "region": "", "maxTokens": "", "topK": 0, "thinking": false}}),
                json!({"model_parameters": {"topK": 0, "thinking": false}}),
            ),
            // An odd type is not put right: it cannot be judged.
            (json!({"model": ["dear"]}), json!({"model": ["dear"]})),
        ] {
            let Ok(Some(Written::Changed(read))) = read(Deed::Change, &patch.to_string()) else { panic!("{patch}") };
            let mut expected = stored.clone();
            expected.extend(fields(replaced));
            assert_eq!(merged(&stored, &read), expected, "{patch}");
        }
    }

    #[test]
    fn the_id_of_a_new_agent_is_nobodys() {
        let body = json!({"id": "agent_dear", "provider": "openAI", "model": "mini", "agent_ids": ["agent_new"]});
        let document = new(&fields(body));
        let agent = Agent::read(&document, &[]).unwrap();
        assert_eq!((&*agent.id, &*agent.model), (NEW, "mini"));
        // Should there be an agent of that name, it is another one.
        let mut closure = crate::librechat::agents::Closure::of_new();
        closure.take(&[document], &[]);
        assert_eq!(closure.wanted(), [Box::from(NEW)]);
    }

    #[test]
    fn a_version_is_a_place_in_a_list() {
        for (body, index) in [
            (r#"{"version_index":0}"#, Some(0)),
            (r#"{"version_index":2147483647}"#, Some(2_147_483_647)),
            (r#"{"x":{"version_index":1},"version_index":7}"#, Some(7)),
            (r"{}", None),
            (r#"{"version_index":null}"#, None),
            (r#"{"version_index":"0"}"#, None),
            (r#"{"version_index":-1}"#, None),
            (r#"{"version_index":-0}"#, None),
            (r#"{"version_index":0.0}"#, None),
            (r#"{"version_index":1e0}"#, None),
            (r#"{"version_index":1.5}"#, None),
            (r#"{"version_index":2147483648}"#, None),
            (r#"{"version_index":99999999999999999999}"#, None),
            (r#"{"version_index":[0]}"#, None),
            (r#"{"version_index":"length"}"#, None),
            (r#"{"version_index":true}"#, None),
        ] {
            let expected = index.map(|index| Some(Written::Version(index))).ok_or(Unreadable::VersionIndex);
            assert_eq!(read(Deed::Revert, body), expected, "{body}");
        }
        assert_eq!(read(Deed::Revert, r#"{"version_index":0,"version_index":1}"#), Err(Unreadable::DuplicateKey));
    }

    #[test]
    fn keys_that_librechat_deletes_are_refused() {
        for body in [r#"{"$set":{"model":"dear"}}"#, r#"{"model_parameters.modelKwargs":{}}"#] {
            for deed in [Deed::Create, Deed::Change] {
                assert_eq!(read(deed, body), Err(Unreadable::SanitisedKey), "{body}");
            }
        }
        for deed in [Deed::Show, Deed::Duplicate, Deed::Avatar, Deed::RemoveAction] {
            assert_eq!((read(deed, r#"{"$set":1}"#), has_body(deed, true)), (Ok(None), false));
        }
        assert_eq!((has_body(Deed::AddAction, true), has_body(Deed::AddAction, false)), (true, false));
        assert_eq!(read(Deed::AddAction, r#"{"$set":1}"#), Err(Unreadable::SanitisedKey));
    }

    #[test]
    fn the_path_names_the_agent() {
        let id = |deed, path: &str| in_path(deed, &CanonicalPath::read(path).unwrap());
        let named = |id: &str| Ok(Box::from(id));
        for (deed, path, expected) in [
            (Deed::Create, "/api/agents", named(NEW)),
            (Deed::Show, "/api/agents/agent_x", named("agent_x")),
            (Deed::Show, "/API/Agents/agent_X/Expanded", named("agent_X")),
            (Deed::Change, "/api/agents/agent_x", named("agent_x")),
            (Deed::Duplicate, "/api/agents/agent_x/duplicate", named("agent_x")),
            (Deed::Revert, "/api/agents/agent_x/revert", named("agent_x")),
            (Deed::AddAction, "/api/agents/actions/agent_x", named("agent_x")),
            (Deed::RemoveAction, "/api/agents/actions/agent_x/a", named("agent_x")),
            (Deed::Avatar, "/api/files/images/agents/agent_x/avatar", named("agent_x")),
            (Deed::Show, "/api/agents/agent%20x", Err(Unreadable::Agent)),
            (Deed::Show, "/api/agents", Err(Unreadable::Agent)),
        ] {
            assert_eq!(id(deed, path), expected, "{path}");
        }
    }
}
