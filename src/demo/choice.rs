//! What a chat body makes LibreChat call (CONTRACT.md B.1 to B.3).
//!
//! This is the rule book the proxy's own reading is tested against, so it is written from the captures and on purpose
//! shares nothing with the proxy.

use http::StatusCode;
use serde_json::{Value, json};

use super::options::{ModelSpec, StandInOptions, StoredAgent};

/// Endpoints whose conversation schema LibreChat knows by name.
const BUILT_IN: [&str; 9] =
    ["openAI", "azureOpenAI", "custom", "google", "anthropic", "assistants", "azureAssistants", "agents", "bedrock"];

/// One model that would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The provider.
    pub(super) endpoint: String,
    /// The model.
    pub(super) model: String,
    /// What the events call the agent it runs as.
    pub(super) agent: String,
    /// What the client shows as the author of the answer.
    pub(super) sender: String,
    /// Whether it is a stored agent. Then nothing that the client sees names its provider or model (capture
    /// `264_chat-agent-stream`).
    pub(super) stored: bool,
}

/// What a chat body makes run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// What the body names.
    pub(super) primary: Run,
    /// What `addedConvo` names, if it may run.
    pub(super) added: Option<Run>,
}

/// Why nothing runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The turn starts, and ends with an error event of this type and info.
    Event {
        /// Such as `illegal_model_request`.
        kind: &'static str,
        /// Such as `openAI|gpt-nope`.
        info: String,
    },
    /// The POST is answered with this text as an error event.
    Text(&'static str),
    /// The POST is answered with this status and body, before anything else is looked at.
    Status(StatusCode, Value),
}

/// Reads a chat body. `path_as_written` says whether `/api/agents/chat` was written in lower case.
pub(super) fn choose(options: &StandInOptions, body: Option<&Value>, path_as_written: bool) -> Result<Choice, Refusal> {
    let body = body.ok_or_else(unvalidated)?;
    check_agents(options, body)?;
    let added = added(options, body);
    let mut endpoint = match body.get("endpoint") {
        Some(Value::String(endpoint)) => endpoint.as_str(),
        Some(Value::Array(_)) => {
            return Err(Refusal::Event { kind: "endpoint_models_not_loaded", info: String::new() });
        }
        _ => return Err(Refusal::Text("Error parsing conversation")),
    };
    let kind = body.get("endpointType").and_then(Value::as_str).unwrap_or_default();
    if !BUILT_IN.contains(&endpoint) && !BUILT_IN.contains(&kind) {
        return Err(Refusal::Text("Error parsing conversation"));
    }
    let mut model = text(body, "model").or_else(|| text(body.get("__proto__")?, "model"));
    let mut agent = text(body, "agent_id").filter(|_| endpoint == "agents");
    if let Some((spec, enforced)) = spec(options, body, endpoint)?
        && enforced
    {
        (endpoint, model, agent) = (&spec.endpoint, Some(spec.model.as_str()), spec.agent.as_deref());
    }
    if !path_as_written && endpoint != "agents" {
        return Err(Refusal::Text("Error building endpoint option"));
    }
    if let Some(stored) = agent.and_then(|id| stored(options, id)) {
        return Ok(Choice { primary: stored_run(stored), added });
    }
    let missing = || Refusal::Event { kind: "missing_model", info: endpoint.to_owned() };
    let model = model.filter(|_| endpoint != "agents").ok_or_else(missing)?;
    let primary = run(options, endpoint, model, "")
        .map_err(|kind| Refusal::Event { kind, info: illegal_info(kind, endpoint, model) })?;
    Ok(Choice { primary, added })
}

/// `canAccessAgentFromBody`: agents that are named must exist.
fn check_agents(options: &StandInOptions, body: &Value) -> Result<(), Refusal> {
    let unknown = |id: &str| id.starts_with("agent_") && stored(options, id).is_none();
    let not_found =
        || Refusal::Status(StatusCode::NOT_FOUND, json!({"error": "Not Found", "message": "agent not found"}));
    if body.get("endpoint").and_then(Value::as_str) == Some("agents") {
        match body.get("agent_id") {
            None | Some(Value::Null) => {
                let body = json!({"error": "Bad Request", "message": "agent_id is required in request body"});
                return Err(Refusal::Status(StatusCode::BAD_REQUEST, body));
            }
            Some(Value::String(id)) if unknown(id) => return Err(not_found()),
            Some(Value::String(_)) => {}
            Some(_) => return Err(unvalidated()),
        }
    }
    let added = body.get("addedConvo").and_then(|added| text(added, "agent_id"));
    if added.is_some_and(unknown) { Err(not_found()) } else { Ok(()) }
}

/// The spec a body names, and whether it replaces what the body chose. Without a list, or unenforced and unknown, there
/// is none (capture `043_spec-unknown` of specs.jsonl).
fn spec<'options>(
    options: &'options StandInOptions,
    body: &Value,
    endpoint: &str,
) -> Result<Option<(&'options ModelSpec, bool)>, Refusal> {
    let Some(specs) = &options.model_specs else { return Ok(None) };
    let named = text(body, "spec").filter(|name| !name.is_empty());
    let found = named.and_then(|name| specs.list.iter().find(|spec| spec.name == name));
    match (named, found) {
        (None, _) if specs.enforce => Err(Refusal::Text("No model spec selected")),
        (Some(_), None) if specs.enforce => Err(Refusal::Text("Invalid model spec")),
        (_, Some(spec)) if spec.endpoint != endpoint => Err(Refusal::Text("Model spec mismatch")),
        (_, Some(spec)) => Ok(Some((spec, specs.enforce))),
        (_, None) => Ok(None),
    }
}

/// The second model, taken from the raw body; one that may not run is left out without a word (capture
/// `185_chat-addedConvo-illegal`).
fn added(options: &StandInOptions, body: &Value) -> Option<Run> {
    let added = body.get("addedConvo").filter(|added| added.is_object())?;
    if let Some(id) = text(added, "agent_id").filter(|id| id.starts_with("agent_")) {
        let mut run = stored_run(stored(options, id)?);
        run.agent.push_str("____1");
        return Some(run);
    }
    run(options, text(added, "endpoint")?, text(added, "model")?, "____1").ok()
}

/// `validateAgentModel`: exact names only. The error is the type of the event that says no.
fn run(options: &StandInOptions, endpoint: &str, model: &str, suffix: &str) -> Result<Run, &'static str> {
    let entry = options.catalogue.endpoint(endpoint).ok_or("endpoint_models_not_loaded")?;
    if !entry.models.iter().any(|known| known == model) {
        return Err("illegal_model_request");
    }
    if !entry.configured {
        return Err("no_user_key");
    }
    let label = if entry.custom { format!("___{endpoint}") } else { String::new() };
    Ok(Run {
        endpoint: endpoint.to_owned(),
        model: model.to_owned(),
        agent: format!("{endpoint}__{model}{label}{suffix}"),
        sender: if entry.custom { endpoint.to_owned() } else { shown(model) },
        stored: false,
    })
}

fn illegal_info(kind: &str, endpoint: &str, model: &str) -> String {
    if kind == "illegal_model_request" { format!("{endpoint}|{model}") } else { endpoint.to_owned() }
}

fn stored<'options>(options: &'options StandInOptions, id: &str) -> Option<&'options StoredAgent> {
    options.agents.iter().find(|agent| agent.id == id)
}

fn stored_run(agent: &StoredAgent) -> Run {
    Run {
        endpoint: agent.provider.clone(),
        model: agent.model.clone(),
        agent: agent.id.clone(),
        sender: agent.name.clone(),
        stored: true,
    }
}

fn unvalidated() -> Refusal {
    let body = json!({"error": "Internal Server Error", "message": "Failed to validate agent access permissions"});
    Refusal::Status(StatusCode::INTERNAL_SERVER_ERROR, body)
}

fn text<'body>(body: &'body Value, name: &str) -> Option<&'body str> {
    body.get(name).and_then(Value::as_str)
}

/// The name above an answer: `gpt-4o-mini` is shown as `GPT-4o` in LibreChat.
fn shown(model: &str) -> String {
    let version = model.strip_prefix("gpt-").map(|rest| rest.split('-').next().unwrap_or_default());
    version.map_or_else(|| model.to_owned(), |version| format!("GPT-{version}"))
}

// === impl Run ===

impl Run {
    /// The endpoint that messages and conversations name.
    pub(super) fn shown_endpoint(&self) -> &str {
        if self.stored { "agents" } else { &self.endpoint }
    }

    /// The model that an answer names.
    pub(super) fn shown_model(&self) -> &str {
        if self.stored { &self.agent } else { &self.model }
    }
}

#[cfg(test)]
mod tests;
