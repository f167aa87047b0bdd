//! What is asked for, as a case writes it: everything that a [`Target`] can be.

use super::known::Known;
use super::named::plain;
use super::read::list_of_texts;
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::rules::AGENTS;
use crate::policy::tree::{Key, Node, Value};
use crate::policy::words::{Feature, Part, Surface, Target, Tool, Unjudged};
use crate::policy::written::Spotted;
use crate::policy::written::read::{mapping, stray, text, word};
use crate::report::{Fault, nearest, quoted};

const KEYS: &[&str] = &["endpoint", "model", "agent", "models", "tools", "unjudged", "tool", "feature", "surface"];
const FORMS: &str = "write openAI|gpt-4o, { endpoint: openAI, model: gpt-4o }, { agent: agent_..., models: [...], tools: [...] }, \
                     { tool: web_search }, { feature: user_keys } or { surface: assistants }";
const PAIR: &str = "write the endpoint, \"|\" and the model: openAI|gpt-4o";

const FEATURES: [(&str, Feature); 2] = [("user_keys", Feature::UserKeys), ("speech", Feature::Speech)];
const SURFACES: [(&str, Surface); 3] =
    [("agents", Surface::Agents), ("remote_api", Surface::RemoteApi), ("assistants", Surface::Assistants)];

/// Why an agent cannot be judged: the codes that stand for it in the record.
pub const UNJUDGED: [&str; 10] = [
    "agent.missing",
    "agent.no-version",
    "agent.no-store",
    "agent.too-many",
    "agent.too-deep",
    "agent.document",
    "agent.changed",
    "agent.provider",
    "agent.model",
    "agent.parameters",
];

/// The keys of something asked for, as far as they are there.
#[derive(Default)]
struct Keys {
    endpoint: Option<Spotted<String>>,
    model: Option<Spotted<String>>,
    agent: Option<Spotted<String>>,
    models: Vec<(Box<str>, Box<str>)>,
    tools: Vec<Tool>,
    unjudged: Option<&'static str>,
    tool: Option<Spotted<String>>,
    feature: Option<Feature>,
    surface: Option<Surface>,
}

/// `asks:`: one thing, or a list of them.
pub(super) fn asks(key: &Key, node: &Node, known: &Known<'_>, faults: &mut Faults<'_>) -> Vec<Target> {
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            items.iter().flat_map(|item| one(item, item.spot, known, faults)).collect()
        }
        _ => one(node, node.spot_or(key), known, faults),
    }
}

/// A model of an endpoint: `openAI|gpt-4o`. The same word that prices and records have for it.
pub(super) fn pair(
    written: &Spotted<String>,
    known: &Known<'_>,
    faults: &mut Faults<'_>,
) -> Option<(Box<str>, Box<str>)> {
    match written.value.split_once('|') {
        Some((endpoint, model)) if !endpoint.is_empty() && !model.is_empty() => {
            known.named.endpoint(endpoint, written.spot, faults);
            plain(model, "a model", written.spot, faults);
            Some((endpoint.into(), model.into()))
        }
        _ => {
            let message = format!("{} is no model of an endpoint", quoted(&written.value));
            faults.push(written.spot, Fault::error(codes::BAD_VALUE, message).help(PAIR));
            None
        }
    }
}

/// The target that a model of this endpoint is.
pub(super) fn model(endpoint: Box<str>, model: Box<str>) -> Target {
    match &*endpoint {
        "assistants" | "azureAssistants" => Target::Assistant { endpoint, model },
        _ => Target::Model { endpoint, model },
    }
}

fn one(node: &Node, spot: Spot, known: &Known<'_>, faults: &mut Faults<'_>) -> Vec<Target> {
    if let Value::Text(written) = &node.value {
        let pair = pair(&Spotted { value: written.clone(), spot }, known, faults);
        return pair.and_then(|(endpoint, of)| named(endpoint, of, spot, faults)).into_iter().collect();
    }
    let before = faults.errors();
    let keys = keys(node, known, faults);
    if faults.errors() > before {
        return Vec::new();
    }
    targets(keys, spot, faults)
}

fn keys(node: &Node, known: &Known<'_>, faults: &mut Faults<'_>) -> Keys {
    let mut keys = Keys::default();
    for (key, node) in mapping(node, "what is asked for", faults).unwrap_or_default() {
        match key.name.as_str() {
            "endpoint" => keys.endpoint = text(node, "an endpoint", faults),
            "model" => keys.model = text(node, "a model", faults),
            "agent" => keys.agent = text(node, "the id of an agent", faults),
            "models" => {
                let written = list_of_texts(key, node, "a model", "[openAI|gpt-4o]", faults).unwrap_or_default();
                keys.models = written.iter().filter_map(|name| pair(name, known, faults)).collect();
            }
            "tools" => {
                let written = list_of_texts(key, node, "a tool", "[web_search]", faults).unwrap_or_default();
                keys.tools = written.iter().map(|name| tool(name, faults)).collect();
            }
            "unjudged" => keys.unjudged = unjudged(node, faults),
            "tool" => keys.tool = text(node, "a tool", faults),
            "feature" => keys.feature = word(key, node, &FEATURES, faults).map(|word| word.value),
            "surface" => keys.surface = word(key, node, &SURFACES, faults).map(|word| word.value),
            _ => stray(key, KEYS, faults),
        }
    }
    if let Some(endpoint) = &keys.endpoint {
        known.named.endpoint(&endpoint.value, endpoint.spot, faults);
    }
    for (name, what) in [(&keys.model, "a model"), (&keys.agent, "an agent")] {
        if let Some(name) = name {
            plain(&name.value, what, name.spot, faults);
        }
    }
    keys
}

fn targets(keys: Keys, spot: Spot, faults: &mut Faults<'_>) -> Vec<Target> {
    let has_parts = !keys.models.is_empty() || !keys.tools.is_empty() || keys.unjudged.is_some();
    match keys {
        Keys {
            endpoint: Some(of), model: Some(name), agent: None, tool: None, feature: None, surface: None, ..
        } if !has_parts => named(of.value.into(), name.value.into(), spot, faults).into_iter().collect(),
        Keys { endpoint: Some(of), model: None, agent: None, tool: None, feature: None, surface: None, .. }
            if !has_parts =>
        {
            vec![Target::Endpoint(of.value.into())]
        }
        Keys { agent: Some(id), endpoint: None, model: None, tool: None, feature: None, surface: None, .. } => {
            agent(id.value.into(), keys.models, keys.tools, keys.unjudged)
        }
        Keys { tool: Some(name), endpoint: None, model: None, agent: None, feature: None, surface: None, .. }
            if !has_parts =>
        {
            vec![Target::Tool(tool(&name, faults))]
        }
        Keys {
            feature: Some(feature), endpoint: None, model: None, agent: None, tool: None, surface: None, ..
        } if !has_parts => {
            vec![Target::Feature(feature)]
        }
        Keys {
            surface: Some(surface), endpoint: None, model: None, agent: None, tool: None, feature: None, ..
        } if !has_parts => {
            vec![Target::Surface(surface)]
        }
        _ => {
            let fault = Fault::error(codes::BAD_VALUE, "this is not one thing that can be asked for");
            faults.push(spot, fault.help(FORMS));
            Vec::new()
        }
    }
}

fn named(endpoint: Box<str>, name: Box<str>, spot: Spot, faults: &mut Faults<'_>) -> Option<Target> {
    if &*endpoint == AGENTS {
        let fault = Fault::error(codes::BAD_VALUE, "the endpoint \"agents\" has no models of its own");
        faults
            .push(spot, fault.help("write { agent: agent_..., models: [openAI|gpt-4o] }: the agent and what it runs"));
        return None;
    }
    Some(model(endpoint, name))
}

/// An agent is itself and all that it would run.
fn agent(id: Box<str>, models: Vec<(Box<str>, Box<str>)>, tools: Vec<Tool>, why: Option<&'static str>) -> Vec<Target> {
    let models = models.into_iter().map(|(endpoint, model)| Part::Model { endpoint, model });
    let unjudged = why.map(|code| Part::Unjudged(Unjudged { code, detail: code.into() }));
    let parts = std::iter::once(Part::Itself).chain(models).chain(tools.into_iter().map(Part::Tool)).chain(unjudged);
    parts.map(|part| Target::Agent { agent: id.clone(), part }).collect()
}

/// One tool, or with a star before the rest of the name all tools of a server, as the record writes them.
fn tool(name: &Spotted<String>, faults: &mut Faults<'_>) -> Tool {
    let end = name.value.strip_prefix('*');
    plain(end.unwrap_or(&name.value), "a tool", name.spot, faults);
    match end {
        Some(end) => Tool::Ending(end.into()),
        None => Tool::Named(name.value.as_str().into()),
    }
}

fn unjudged(node: &Node, faults: &mut Faults<'_>) -> Option<&'static str> {
    let name = text(node, "\"unjudged\"", faults)?;
    let known = UNJUDGED.into_iter().find(|code| *code == name.value);
    if known.is_none() {
        let message = format!("{} is no reason for which an agent cannot be judged", quoted(&name.value));
        let help = match nearest(&name.value, UNJUDGED) {
            Some(code) => format!("did you mean {}?", quoted(code)),
            None => format!("write one of {}", UNJUDGED.join(", ")),
        };
        faults.push(name.spot, Fault::error(codes::BAD_VALUE, message).help(help));
    }
    known
}
