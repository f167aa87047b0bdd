//! The answers that reveal models, narrowed to what the caller may see (CONTRACT.md C.1).
//!
//! Bytes in, bytes out: the same members in the same order, without what is hidden. An answer of another shape than
//! LibreChat 0.8.6 sends is an error, because nobody can say what it reveals. For a caller from whom nothing is hidden the
//! answer passes as it is.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::specs::Preset;
use super::tools;
use crate::policy::words::{Sight, Surface, Target};

/// An answer of LibreChat that does not have the expected shape. It must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer to {answer} is not what LibreChat 0.8.6 sends: {what}; check that the upstream is LibreChat")]
pub struct Misshapen {
    /// The route: `GET /api/models`.
    pub answer: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}

/// The models that LibreChat offers, by endpoint: an unfiltered answer to `GET /api/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsAnswer {
    endpoints: Vec<(Box<str>, Vec<Box<str>>)>,
}

/// A whole answer while it is narrowed.
type Object = Map<String, Value>;

/// One of the routes, so that faults can name it.
#[derive(Clone, Copy)]
struct Answer(&'static str);

const MODELS: Answer = Answer("GET /api/models");
const ENDPOINTS: Answer = Answer("GET /api/endpoints");
const CONFIG: Answer = Answer("GET /api/config");
const TOOLS: Answer = Answer("GET /api/agents/tools");

// === impl ModelsAnswer ===

impl ModelsAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Misshapen`] if it is not an object of lists of names.
    pub fn read(body: &[u8]) -> Result<Self, Misshapen> {
        let what = "it is not an object of lists of names";
        let lists: Object = MODELS.parse(body, what)?;
        let named = lists.into_iter().map(|(endpoint, models)| names(models).map(|models| (endpoint.into(), models)));
        let endpoints = named.collect::<Option<_>>().ok_or(MODELS.misshapen(what))?;
        Ok(Self { endpoints })
    }

    /// Endpoints and the names of their models, in LibreChat's order.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.endpoints.iter().map(|(endpoint, models)| (&**endpoint, &**models))
    }

    fn any_visible(&self, endpoint: &str, sight: &dyn Sight) -> bool {
        let mut named = self.endpoints().filter(|(name, _)| *name == endpoint);
        named.any(|(_, models)| models.iter().any(|model| sight.model(endpoint, model)))
    }
}

/// Narrows the answer to `GET /api/models`: only allowed models, in LibreChat's order, and no endpoint without any.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_models(body: &Bytes, sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    if sight.everything() {
        return Ok(body.clone());
    }
    let answer = ModelsAnswer::read(body)?;
    let mut visible = Object::new();
    for (endpoint, models) in answer.endpoints() {
        if surface(endpoint).is_some_and(|surface| !sight.surface(surface)) {
            continue;
        }
        let models: Vec<Value> =
            models.iter().filter(|model| sight.model(endpoint, model)).map(|model| Value::from(&**model)).collect();
        if !models.is_empty() {
            visible.insert(endpoint.to_owned(), models.into());
        }
    }
    MODELS.write(&visible)
}

/// Narrows the answer to `GET /api/endpoints`: an endpoint stays if at least one of the models that LibreChat offers there
/// is allowed. Without `models` none can be shown to have one, so only the surfaces that the caller may use stay.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_endpoints(body: &Bytes, models: Option<&ModelsAnswer>, sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    if sight.everything() {
        return Ok(body.clone());
    }
    let mut endpoints: Object = ENDPOINTS.parse(body, "it is not an object of endpoints")?;
    endpoints.retain(|endpoint, _| endpoint_visible(endpoint, models, sight));
    for (endpoint, settings) in &mut endpoints {
        let settings = match settings {
            Value::Null | Value::Bool(_) => continue,
            Value::Object(settings) => settings,
            _ => return Err(ENDPOINTS.misshapen("an endpoint's settings are not an object")),
        };
        if let Some(names) = settings.get_mut("retrievalModels") {
            ENDPOINTS
                .retain_names(names, "retrievalModels is not a list of names", |name| sight.model(endpoint, name))?;
        }
        if let Some(names) = settings.get_mut("allowedProviders") {
            let what = "allowedProviders is not a list of names";
            ENDPOINTS.retain_names(names, what, |name| endpoint_visible(name, models, sight))?;
        }
    }
    ENDPOINTS.write(&endpoints)
}

/// Narrows the answer to `GET /api/config`: only model specs whose model is allowed, only visible endpoints beside them.
/// The anonymous answer has neither. `models` is needed only if [`config_needs_models`] says so.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_config(body: &Bytes, models: Option<&ModelsAnswer>, sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    if sight.everything() {
        return Ok(body.clone());
    }
    let mut config: Object = CONFIG.parse(body, "it is not an object")?;
    let specs = match config.get_mut("modelSpecs") {
        None | Some(Value::Null) => return Ok(body.clone()),
        Some(Value::Object(specs)) => specs,
        Some(_) => return Err(CONFIG.misshapen("modelSpecs is not an object")),
    };
    match specs.get_mut("list") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            let mut visible = Vec::with_capacity(list.len());
            for spec in std::mem::take(list) {
                if spec_visible(&spec, sight)? {
                    visible.push(spec);
                }
            }
            *list = visible;
        }
        Some(_) => return Err(CONFIG.misshapen("modelSpecs.list is not a list")),
    }
    if let Some(names) = specs.get_mut("addedEndpoints").filter(|names| !names.is_null()) {
        let what = "modelSpecs.addedEndpoints is not a list of names";
        CONFIG.retain_names(names, what, |name| endpoint_visible(name, models, sight))?;
    }
    CONFIG.write(&config)
}

/// Narrows the answer to `GET /api/agents/tools`: only tools that the caller may use.
///
/// # Errors
/// [`Misshapen`]
pub fn filter_tools(body: &Bytes, sight: &dyn Sight) -> Result<Bytes, Misshapen> {
    let tools: Vec<Value> = TOOLS.parse(body, "it is not a list of tools")?;
    let mut visible = Vec::with_capacity(tools.len());
    for tool in tools {
        let name = tool.get("pluginKey").and_then(Value::as_str).ok_or(TOOLS.misshapen("a tool has no pluginKey"))?;
        if tools::of_agent(name).into_iter().all(|tool| sight.target(&Target::Tool(tool))) {
            visible.push(tool);
        }
    }
    TOOLS.write(&visible)
}

/// Whether an answer to `GET /api/config` lists endpoints (`modelSpecs.addedEndpoints`, a rare setting), so that
/// [`filter_config`] has to know LibreChat's models.
pub fn config_needs_models(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"addedEndpoints\"";
    body.windows(KEY.len()).any(|window| window == KEY)
}

fn spec_visible(spec: &Value, sight: &dyn Sight) -> Result<bool, Misshapen> {
    let preset = Preset::of(spec).ok_or(CONFIG.misshapen("a model spec has no preset"))?;
    Ok(match preset.target() {
        Some(Target::Model { endpoint, model }) => sight.model(&endpoint, &model),
        Some(Target::Assistant { endpoint, model }) => {
            sight.surface(Surface::Assistants) && sight.model(&endpoint, &model)
        }
        // Without a model there is nothing to judge an assistant by.
        Some(Target::Surface(Surface::Assistants) | Target::Endpoint(_) | Target::Feature(_)) => false,
        Some(Target::Surface(surface)) => sight.surface(surface),
        Some(Target::Agent { .. }) => sight.agents(),
        Some(Target::Tool(_)) => false,
        // It names no model, so there is none to allow; in LibreChat it cannot be used either.
        None => false,
    })
}

/// Whether a caller may know of an endpoint.
fn endpoint_visible(endpoint: &str, models: Option<&ModelsAnswer>, sight: &dyn Sight) -> bool {
    match surface(endpoint) {
        Some(Surface::Assistants) => {
            sight.surface(Surface::Assistants) && models.is_some_and(|models| models.any_visible(endpoint, sight))
        }
        Some(surface) => sight.surface(surface),
        // What an agent runs is judged when it is used; nothing here names it.
        None if endpoint == "agents" => sight.agents(),
        None => models.is_some_and(|models| models.any_visible(endpoint, sight)),
    }
}

/// A list of names and nothing else.
fn names(list: Value) -> Option<Vec<Box<str>>> {
    match list {
        Value::Array(list) => list.into_iter().map(|name| name.as_str().map(Into::into)).collect(),
        _ => None,
    }
}

/// The endpoints that are judged as a whole.
fn surface(endpoint: &str) -> Option<Surface> {
    match endpoint {
        "assistants" | "azureAssistants" => Some(Surface::Assistants),
        _ => None,
    }
}

// === impl Answer ===

impl Answer {
    fn misshapen(self, what: &'static str) -> Misshapen {
        Misshapen { answer: self.0, what }
    }

    fn parse<T: DeserializeOwned>(self, body: &[u8], what: &'static str) -> Result<T, Misshapen> {
        serde_json::from_slice(body).map_err(|_| self.misshapen(what))
    }

    fn write(self, object: &impl Serialize) -> Result<Bytes, Misshapen> {
        serde_json::to_vec(object).map(Bytes::from).map_err(|_| self.misshapen("it cannot be written again"))
    }

    /// Keeps the names that are wanted in a list of names.
    fn retain_names(
        self,
        names: &mut Value,
        what: &'static str,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<(), Misshapen> {
        let names = names.as_array_mut().filter(|names| names.iter().all(Value::is_string));
        names.ok_or(self.misshapen(what))?.retain(|name| name.as_str().is_some_and(&mut wanted));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
