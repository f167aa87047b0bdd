//! One stored agent, read strictly out of its document (CONTRACT.md B.4, B.9).

use serde_json::Value;

use super::{DOCUMENT, Fields, MODEL, PROVIDER, parameters, quoted, unjudged};
use crate::librechat::selection::is_name;
use crate::librechat::tools;
use crate::policy::words::{Tool, Unjudged};

/// What an agent runs by itself, and what it can hand over to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// `agent_...`
    pub id: Box<str>,
    /// The endpoint that the model is called from, under the name that LibreChat has for it.
    pub endpoint: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// Its tools.
    pub tools: Vec<Tool>,
    /// The ids of other agents that it names, in the order of the document; its own may be among them.
    pub next: Vec<Box<str>>,
}

// === impl Agent ===

impl Agent {
    /// Reads the fields of a document, or of what one would become. `extra` names further harmless parameters.
    ///
    /// # Errors
    /// [`Unjudged`] where a field has another type than LibreChat writes, or says something that cannot be judged.
    pub fn read(fields: &Fields, extra: &[Box<str>]) -> Result<Self, Unjudged> {
        let id = text(fields.get("id")).filter(|id| is_name(id));
        let id = id.ok_or_else(|| unjudged(DOCUMENT, "an agent", "id is not text"))?;
        let reading = Reading { id, fields };
        let (endpoint, model) = reading.model()?;
        let parameters = fields.get("model_parameters").unwrap_or(&Value::Null);
        parameters::check(id, &endpoint, model, parameters, extra)?;
        Ok(Self { id: id.into(), tools: reading.tools()?, next: reading.next()?, model: model.into(), endpoint })
    }
}

/// A document while it is read.
struct Reading<'a> {
    id: &'a str,
    fields: &'a Fields,
}

// === impl Reading ===

impl<'a> Reading<'a> {
    fn model(&self) -> Result<(Box<str>, &'a str), Unjudged> {
        let provider = text(self.fields.get("provider")).filter(|provider| is_name(provider));
        let provider =
            provider.ok_or_else(|| unjudged(PROVIDER, self.id, "provider is not the name of an endpoint"))?;
        let Some(endpoint) = endpoint_of(provider) else {
            let what = format!("provider {} is none that a model is called from", quoted(provider));
            return Err(unjudged(PROVIDER, self.id, &what));
        };
        let model = text(self.fields.get("model")).filter(|model| is_name(model));
        Ok((endpoint, model.ok_or_else(|| unjudged(MODEL, self.id, "model is not the name of a model"))?))
    }

    fn tools(&self) -> Result<Vec<Tool>, Unjudged> {
        let mut found = Vec::new();
        for name in self.texts("tools", self.fields.get("tools"), false)? {
            found.extend(tools::of_agent(name));
        }
        let parameter = self.fields.get("model_parameters").and_then(|parameters| parameters.get(tools::WEB_SEARCH));
        if parameter.is_some_and(tools::is_on) {
            found.push(Tool::Named(tools::WEB_SEARCH.into()));
        }
        match self.fields.get("artifacts") {
            None | Some(Value::Null) => {}
            Some(Value::String(mode)) if mode.is_empty() => {}
            Some(Value::String(_)) => found.push(Tool::Named(tools::ARTIFACTS.into())),
            Some(_) => return Err(self.wrong("artifacts")),
        }
        match self.fields.get("skills") {
            None | Some(Value::Null) => {}
            Some(Value::Array(skills)) if skills.is_empty() => {}
            Some(Value::Array(_)) => found.push(Tool::Named(tools::SKILLS.into())),
            Some(_) => return Err(self.wrong("skills")),
        }
        // The list only narrows: switched on without one, an agent has all skills of whoever chats with it.
        match self.fields.get("skills_enabled") {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => found.extend(tools::of_skills()),
            Some(_) => return Err(self.wrong("skills_enabled")),
        }
        Ok(found)
    }

    /// Everything that could make LibreChat run another agent: also what it would only follow under some setting, and from
    /// any agent what it follows from the first one alone.
    fn next(&self) -> Result<Vec<Box<str>>, Unjudged> {
        let mut next = Vec::new();
        match self.fields.get("edges") {
            None | Some(Value::Null) => {}
            Some(Value::Array(edges)) => {
                for edge in edges {
                    let edge = edge.as_object().ok_or_else(|| self.wrong("edges"))?;
                    next.extend(self.ids("edges.from", edge.get("from"))?);
                    next.extend(self.ids("edges.to", edge.get("to"))?);
                }
            }
            Some(_) => return Err(self.wrong("edges")),
        }
        next.extend(self.ids("agent_ids", self.fields.get("agent_ids"))?);
        match self.fields.get("subagents") {
            None | Some(Value::Null) => {}
            Some(Value::Object(subagents)) => {
                next.extend(self.ids("subagents.agent_ids", subagents.get("agent_ids"))?);
            }
            Some(_) => return Err(self.wrong("subagents")),
        }
        Ok(next)
    }

    fn ids(&self, field: &str, value: Option<&'a Value>) -> Result<impl Iterator<Item = Box<str>>, Unjudged> {
        let ids = self.texts(field, value, true)?;
        // No agent has an empty id: LibreChat looks none up.
        Ok(ids.into_iter().filter(|id| !id.is_empty()).map(Box::from))
    }

    /// A list of texts; where `single`, one text counts as a list of one.
    fn texts(&self, field: &str, value: Option<&'a Value>, single: bool) -> Result<Vec<&'a str>, Unjudged> {
        let plain = |value: &'a Value| value.as_str().filter(|text| text.is_empty() || is_name(text));
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(plain).collect::<Option<_>>().ok_or_else(|| self.wrong(field))
            }
            Some(text) if single => plain(text).map(|text| vec![text]).ok_or_else(|| self.wrong(field)),
            Some(_) => Err(self.wrong(field)),
        }
    }

    fn wrong(&self, field: &str) -> Unjudged {
        unjudged(DOCUMENT, self.id, &format!("{field} has another type than LibreChat writes"))
    }
}

/// The endpoint of a provider. LibreChat's look-up falls back to lower case and knows aliases (CONTRACT.md B.9), so that
/// each spelling of a built-in one is that one; what is none of them is a custom endpoint, judged under its own name. None
/// for what calls no model.
fn endpoint_of(provider: &str) -> Option<Box<str>> {
    let endpoint = match provider.to_ascii_lowercase().as_str() {
        "openai" => "openAI",
        "azureopenai" => "azureOpenAI",
        "google" | "vertexai" => "google",
        "anthropic" => "anthropic",
        "bedrock" => "bedrock",
        "ollama" => "ollama",
        "agents" | "assistants" | "azureassistants" => return None,
        _ => provider,
    };
    Some(endpoint.into())
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}
