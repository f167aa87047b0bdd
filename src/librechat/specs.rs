//! The model specs that hold for a caller, out of LibreChat's own `GET /api/config` (CONTRACT.md B.2).
//!
//! A spec may replace the model that the body names, or not, depending on a setting; so both must be allowed, and a spec
//! that is not in the list is refused. The list is the caller's own: LibreChat merges overrides into it.

use serde_json::{Map, Value};

use super::catalog::Misshapen;
use super::selection::{self, is_stored_agent};
use super::{agents, tools};
use crate::policy::words::Target;

/// A member that every answer for somebody who is signed in has, and no other one (captures base/026 and base/066).
const SIGNED_IN: &str = "sharedLinksEnabled";

/// The model specs of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specs {
    enforce: bool,
    /// The name of each, and what it stands for.
    list: Vec<(Box<str>, Vec<Target>)>,
}

/// What a spec's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecLookup {
    /// What the spec would make LibreChat call, its tools too. Empty if it names no model.
    Found(Vec<Target>),
    /// There are specs, but none of this name.
    Unknown,
    /// There are no specs at all: LibreChat ignores the name.
    NoList,
}

/// What a spec would set in a chat request.
#[derive(Debug)]
pub(super) struct Preset<'a> {
    endpoint: Option<&'a str>,
    model: Option<&'a str>,
    agent: Option<&'a str>,
}

// === impl Specs ===

impl Specs {
    /// Reads the answer to `GET /api/config`; `None` if it is the one for people who are not signed in, which names no specs
    /// whether there are any or not.
    ///
    /// # Errors
    /// [`Misshapen`] if it is not what LibreChat 0.8.6 answers.
    pub fn read(config: &[u8]) -> Result<Option<Self>, Misshapen> {
        let fault = |what| Misshapen { answer: "GET /api/config", what };
        let config: Map<String, Value> = serde_json::from_slice(config).map_err(|_| fault("it is not an object"))?;
        if !config.get(SIGNED_IN).is_some_and(Value::is_boolean) {
            return Ok(None);
        }
        let specs = match config.get("modelSpecs") {
            None | Some(Value::Null) => return Ok(Some(Self { enforce: false, list: Vec::new() })),
            Some(Value::Object(specs)) => specs,
            Some(_) => return Err(fault("modelSpecs is not an object")),
        };
        let enforce = specs.get("enforce").and_then(Value::as_bool).unwrap_or_default();
        let list = match specs.get("list") {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(fault("modelSpecs.list is not a list")),
        };
        let read = |spec: &Value| {
            let model = Preset::of(spec)?.target();
            let tools = tools::of_spec(spec)?.into_iter().map(Target::Tool);
            Some((spec.get("name")?.as_str()?.into(), model.into_iter().chain(tools).collect()))
        };
        let wrong = fault("a model spec has no name, no preset, or tools of another shape");
        let list = list.iter().map(read).collect::<Option<_>>().ok_or(wrong)?;
        Ok(Some(Self { enforce, list }))
    }

    /// Whether LibreChat accepts nothing but specs.
    pub fn enforced(&self) -> bool {
        self.enforce
    }

    /// Looks a spec up by its exact name. If several have it, the targets of all of them count.
    pub fn targets(&self, name: &str) -> SpecLookup {
        if self.list.is_empty() {
            return SpecLookup::NoList;
        }
        let mut named = self.list.iter().filter(|(spec, _)| **spec == *name).peekable();
        if named.peek().is_none() {
            return SpecLookup::Unknown;
        }
        SpecLookup::Found(named.flat_map(|(_, targets)| targets.clone()).collect())
    }
}

// === impl Preset ===

impl<'a> Preset<'a> {
    /// The preset of a spec; none if it has none, or one whose endpoint, model or agent is not text.
    pub(super) fn of(spec: &'a Value) -> Option<Self> {
        let preset = spec.get("preset")?.as_object()?;
        let text = |key: &str| match preset.get(key) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        Some(Self { endpoint: text("endpoint")?, model: text("model")?, agent: text("agent_id")? })
    }

    /// What it would make LibreChat call; none if it names no model and no part of LibreChat that is judged as a whole.
    pub(super) fn target(&self) -> Option<Target> {
        if let (Some("agents"), Some(agent)) = (self.endpoint, self.agent.filter(|agent| is_stored_agent(agent))) {
            return Some(agents::named(agent));
        }
        // A chat with assistants is judged by the model that it names; of a spec that names none nothing is known.
        if let (Some(endpoint @ ("assistants" | "azureAssistants")), Some(model)) = (self.endpoint, self.model) {
            return Some(Target::Assistant { endpoint: endpoint.into(), model: model.into() });
        }
        let target = selection::target(self.endpoint?, self.model.unwrap_or_default());
        match (&target, self.model) {
            (Target::Model { .. }, None) => None,
            _ => Some(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::words::{Surface, Tool};

    /// As somebody who is signed in is answered.
    fn read(mut config: serde_json::Value) -> Result<Specs, Misshapen> {
        if let Some(config) = config.as_object_mut() {
            config.insert(SIGNED_IN.to_owned(), false.into());
        }
        Specs::read(config.to_string().as_bytes()).map(|specs| specs.expect("specs of somebody who is signed in"))
    }

    fn model(model: &str) -> Target {
        Target::Model { endpoint: "openAI".into(), model: model.into() }
    }

    fn tool(name: &str) -> Target {
        Target::Tool(Tool::Named(name.into()))
    }

    #[test]
    fn a_spec_stands_for_its_presets_model_or_surface() {
        let specs = read(json!({"appTitle": "x", "modelSpecs": {"enforce": true, "prioritize": true, "list": [
            {"name": "fast", "label": "Fast", "preset": {"endpoint": "openAI", "model": "mini", "temperature": 1}},
            {"name": "agent", "preset": {"endpoint": "agents", "agent_id": "agent_x"}},
            {"name": "no-agent", "preset": {"endpoint": "agents", "model": "mini"}},
            {"name": "tools", "webSearch": true, "executeCode": false, "mcpServers": ["github"],
                "preset": {"endpoint": "openAI", "model": "mini"}},
            {"name": "helper", "preset": {"endpoint": "azureAssistants", "assistant_id": "asst_x"}},
            {"name": "judged", "preset": {"endpoint": "assistants", "assistant_id": "asst_x", "model": "mini"}},
            {"name": "bare", "preset": {"endpoint": "openAI"}},
            {"name": "twice", "preset": {"endpoint": "openAI", "model": "a"}},
            {"name": "twice", "preset": {"endpoint": "openAI", "model": "b"}},
        ]}}))
        .unwrap();
        assert!(specs.enforced());
        for (name, found) in [
            ("fast", SpecLookup::Found(vec![model("mini")])),
            ("agent", SpecLookup::Found(vec![agents::named("agent_x")])),
            ("no-agent", SpecLookup::Found(vec![Target::Surface(Surface::Agents)])),
            (
                "tools",
                SpecLookup::Found(vec![model("mini"), tool("web_search"), Target::Tool(tools::of_server("github"))]),
            ),
            ("helper", SpecLookup::Found(vec![Target::Surface(Surface::Assistants)])),
            (
                "judged",
                SpecLookup::Found(vec![Target::Assistant { endpoint: "assistants".into(), model: "mini".into() }]),
            ),
            ("bare", SpecLookup::Found(vec![])),
            ("twice", SpecLookup::Found(vec![model("a"), model("b")])),
            ("Fast", SpecLookup::Unknown),
            ("", SpecLookup::Unknown),
        ] {
            assert_eq!(specs.targets(name), found, "{name}");
        }
    }

    #[test]
    fn without_specs_a_name_means_nothing() {
        for config in [json!({}), json!({"modelSpecs": null}), json!({"modelSpecs": {"list": []}})] {
            let specs = read(config.clone()).unwrap();
            assert_eq!((specs.targets("fast"), specs.enforced()), (SpecLookup::NoList, false), "{config}");
        }
    }

    #[test]
    fn the_answer_for_nobody_does_not_say_that_there_are_no_specs() {
        for config in [json!({}), json!({"appTitle": "x"}), json!({"modelSpecs": {"list": []}, SIGNED_IN: null})] {
            assert_eq!(Specs::read(config.to_string().as_bytes()), Ok(None), "{config}");
        }
    }

    #[test]
    fn another_shape_is_an_error() {
        for config in [
            json!([]),
            json!("x"),
            json!({"modelSpecs": []}),
            json!({"modelSpecs": {"list": {}}}),
            json!({"modelSpecs": {"list": [{"name": "x"}]}}),
            json!({"modelSpecs": {"list": [{"name": "x", "preset": {"endpoint": "agents", "agent_id": ["agent_x"]}}]}}),
            json!({"modelSpecs": {"list": [{"name": "x", "mcpServers": "github", "preset": {}}]}}),
            json!({"modelSpecs": {"list": [{"name": "x", "preset": {"endpoint": ["openAI"]}}]}}),
        ] {
            assert_eq!(read(config.clone()).unwrap_err().answer, "GET /api/config", "{config}");
        }
        assert!(Specs::read(b"<html>").is_err());
    }
}
