//! What may be chosen: configuration, endpoints, models, agents (CONTRACT.md C.1).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::options::{ModelSpec, StoredAgent};
use super::state::{State, iso};

/// `GET /api/config`. Without a good token the specs, the balance and the interface are not shown.
pub(super) fn config(state: &State, signed_in: bool) -> Answer {
    let mut config = json!({
        "appTitle": "LibreChat stand-in", "discordLoginEnabled": false, "facebookLoginEnabled": false,
        "githubLoginEnabled": false, "googleLoginEnabled": false, "appleLoginEnabled": false,
        "openidLoginEnabled": false, "openidLabel": "Continue with OpenID", "openidAutoRedirect": false,
        "samlLoginEnabled": false, "serverDomain": state.own_url, "emailLoginEnabled": true,
        "registrationEnabled": true, "socialLoginEnabled": false, "emailEnabled": false,
        "passwordResetEnabled": false, "ldap": {"enabled": false}, "socialLogins": [], "turnstile": {},
    });
    if let (true, Some(fields), Value::Object(more)) = (signed_in, config.as_object_mut(), signed_in_config(state)) {
        fields.extend(more);
    }
    Answer::ok(&config)
}

fn signed_in_config(state: &State) -> Value {
    let all = json!({"use": true, "create": true, "share": true, "public": true});
    let mut more = json!({
        "showBirthdayIcon": false, "helpAndFaqURL": "https://librechat.ai", "sharedLinksEnabled": true,
        "publicSharedLinksEnabled": false, "openidReuseTokens": false, "allowAccountDeletion": true,
        "interface": {
            "modelSelect": true, "parameters": true, "presets": true,
            "mcpServers": {"use": true, "create": true, "share": false, "public": false},
            "autoSubmitFromUrl": true, "agents": all, "remoteAgents": all,
        },
        "balance": {"enabled": true, "startBalance": state.options.start_balance, "autoRefillEnabled": false},
        "sharePointFilePickerEnabled": false, "conversationImportMaxFileSize": 0,
    });
    if let (Some(fields), Some(specs)) = (more.as_object_mut(), &state.options.model_specs) {
        let list: Vec<Value> = specs.list.iter().map(spec).collect();
        let section = json!({"enforce": specs.enforce, "prioritize": specs.prioritize, "list": list});
        fields.insert("modelSpecs".to_owned(), section);
    }
    more
}

fn spec(spec: &ModelSpec) -> Value {
    let mut preset = match &spec.agent {
        Some(agent) => json!({"endpoint": spec.endpoint, "agent_id": agent}),
        None => json!({"endpoint": spec.endpoint, "model": spec.model}),
    };
    if let (Some(fields), Some(label)) = (preset.as_object_mut(), &spec.model_label) {
        fields.insert("modelLabel".to_owned(), label.clone().into());
    }
    let mut shown = json!({"name": spec.name, "label": spec.label, "preset": preset});
    if let Some(fields) = shown.as_object_mut() {
        if spec.default {
            fields.insert("default".to_owned(), true.into());
        }
        if let Some(description) = &spec.description {
            fields.insert("description".to_owned(), description.clone().into());
        }
    }
    shown
}

/// `GET /api/models`: every endpoint, configured or not.
pub(super) fn models(state: &State) -> Answer {
    let endpoints = state.options.catalogue.endpoints.iter();
    let models: Map<String, Value> =
        endpoints.map(|endpoint| (endpoint.name.clone(), endpoint.models.clone().into())).collect();
    Answer::ok(&Value::Object(models))
}

/// `GET /api/endpoints`: JSON that calls itself HTML (capture `067_boot_api_endpoints`).
pub(super) fn endpoints(state: &State) -> Answer {
    let configured = || state.options.catalogue.endpoints.iter().filter(|endpoint| endpoint.configured);
    let mut shown = Map::new();
    for endpoint in configured().filter(|endpoint| !endpoint.custom) {
        let order = shown.len();
        let entry = json!({"userProvide": false, "userProvideURL": false, "order": order});
        shown.insert(endpoint.name.clone(), entry);
    }
    let capabilities =
        ["execute_code", "file_search", "web_search", "artifacts", "actions", "context", "tools", "chain", "ocr"];
    let order = shown.len();
    let agents = json!({"userProvide": false, "capabilities": capabilities, "order": order, "disableBuilder": false});
    shown.insert("agents".to_owned(), agents);
    for endpoint in configured().filter(|endpoint| endpoint.custom) {
        let entry = json!({
            "order": shown.len(), "type": "custom", "userProvide": false, "userProvideURL": false,
            "modelDisplayLabel": endpoint.name, "iconURL": endpoint.name.to_lowercase(),
        });
        shown.insert(endpoint.name.clone(), entry);
    }
    Answer::text(StatusCode::OK, &Value::Object(shown).to_string())
}

/// `GET /api/agents`: the list, without models.
pub(super) fn agents(state: &State) -> Answer {
    let agents = &state.options.agents;
    let list: Vec<Value> = agents.iter().map(|agent| listed(state, agent)).collect();
    let id = |agent: Option<&StoredAgent>| agent.map(|agent| agent.id.clone());
    Answer::ok(&json!({
        "object": "list", "data": list, "first_id": id(agents.first()), "last_id": id(agents.last()),
        "has_more": false, "after": null,
    }))
}

/// `GET /api/agents/:id`: the whole document, with the model (capture `260_agent-get`).
pub(super) fn agent(state: &State, id: &str) -> Answer {
    let Some(agent) = state.options.agents.iter().find(|agent| agent.id == id) else {
        let body = json!({"error": "Not Found", "message": "agent not found"});
        return Answer::json(StatusCode::NOT_FOUND, &body);
    };
    let mut document = listed(state, agent);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("provider".to_owned(), agent.provider.clone().into());
        fields.insert("model".to_owned(), agent.model.clone().into());
        fields.insert("tools".to_owned(), json!([]));
        fields.insert("version".to_owned(), 1.into());
    }
    Answer::ok(&document)
}

fn listed(state: &State, agent: &StoredAgent) -> Value {
    // A document id from the agent's own: only that it is the same each time matters.
    let document = format!("6b{:022x}", agent.id.bytes().fold(0u64, |sum, byte| sum.rotate_left(5) ^ u64::from(byte)));
    json!({
        "_id": document, "id": agent.id, "name": agent.name, "author": agent.author, "category": "general",
        "is_promoted": false, "updatedAt": iso(state.started),
    })
}
