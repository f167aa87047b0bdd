//! What LibreChat's own settings and database say about what somebody may use, to be shown beside the policy (CONTRACT.md A.3, F).
//!
//! A role has permissions for parts of LibreChat; settings may be laid over for roles, groups and users, and say which models an
//! endpoint offers. What LibreChat takes from its environment, and from a `librechat.yaml` that was not handed in, is not seen here. Values of
//! settings are never told but for names of models and providers: there are keys among them.

use serde::Serialize;
use serde_json::{Map, Value};

/// A permission that has a counterpart in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The kind, as `roles.permissions` has it.
    pub kind: &'static str,
    /// What it permits.
    pub what: &'static str,
}

/// To use stored agents at all.
pub const AGENTS: Permission = Permission { kind: "AGENTS", what: "USE" };
/// To use the remote-agent API.
pub const REMOTE_AGENTS: Permission = Permission { kind: "REMOTE_AGENTS", what: "USE" };
/// Permissions for tools, with the tool's name in policies; `*` for all that MCP servers have.
pub const TOOLS: [(Permission, &str); 4] = [
    (Permission { kind: "WEB_SEARCH", what: "USE" }, "web_search"),
    (Permission { kind: "RUN_CODE", what: "USE" }, "execute_code"),
    (Permission { kind: "FILE_SEARCH", what: "USE" }, "file_search"),
    (Permission { kind: "SKILLS", what: "USE" }, "skills"),
];
/// To use what MCP servers have.
pub const MCP_SERVERS: Permission = Permission { kind: "MCP_SERVERS", what: "USE" };

/// What an endpoint offers, by settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// LibreChat's name of the endpoint.
    pub endpoint: String,
    /// Its models, or the providers that agents may have, for `agents`.
    pub models: Vec<String>,
    /// Whether LibreChat asks the provider for more.
    pub fetches: bool,
}

/// Settings that are laid over for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Override {
    /// Whom for: `role USER`, `group 6b01...`, `user 6b01...`; `role __base__` is everybody.
    pub principal: String,
    /// What has more wins.
    pub priority: i64,
    /// Which settings, as ways to them: `endpoints.custom`, `interface.agents`. Never what they say.
    pub settings: Vec<String>,
    /// What endpoints offer by it.
    pub offers: Vec<Offer>,
}

// === impl Permission ===

impl Permission {
    /// The name to show: `AGENTS.USE`.
    pub fn name(self) -> String {
        format!("{}.{}", self.kind, self.what)
    }

    /// What a document of `roles` says about it; none where it says nothing.
    pub fn of(self, role: &Map<String, Value>) -> Option<bool> {
        role.get("permissions")?.get(self.kind)?.get(self.what)?.as_bool()
    }
}

// === impl Override ===

impl Override {
    /// Reads a document of `configs`.
    pub fn read(document: &Map<String, Value>) -> Self {
        let of = |name: &str| document.get(name).map(shown).unwrap_or_default();
        let overrides = document.get("overrides").unwrap_or(&Value::Null);
        Self {
            principal: format!("{} {}", of("principalType"), of("principalId")).trim_end().to_owned(),
            // LibreChat's own default.
            priority: document.get("priority").and_then(Value::as_i64).unwrap_or(10),
            settings: ways(overrides),
            offers: offers(overrides),
        }
    }
}

/// What endpoints offer, by settings in the form of `librechat.yaml`.
pub fn offers(settings: &Value) -> Vec<Offer> {
    let Some(endpoints) = settings.get("endpoints").and_then(Value::as_object) else { return Vec::new() };
    let mut offers = Vec::new();
    for (name, value) in endpoints {
        match name.as_str() {
            "custom" => offers.extend(value.as_array().into_iter().flatten().filter_map(custom)),
            "azureOpenAI" => {
                let groups = value.get("groups").and_then(Value::as_array).into_iter().flatten();
                let models = groups.filter_map(|group| group.get("models")?.as_object());
                let models: Vec<String> = models.flat_map(|models| models.keys().cloned()).collect();
                offers.extend((!models.is_empty()).then(|| Offer::new(name, models, false)));
            }
            "agents" => {
                offers.extend(names(value.get("allowedProviders")).map(|models| Offer::new(name, models, false)))
            }
            _ => {
                let list = value.get("models");
                let default = list.and_then(|list| list.get("default")).or(list);
                offers.extend(names(default).map(|models| Offer::new(name, models, false)));
            }
        }
    }
    offers
}

fn custom(endpoint: &Value) -> Option<Offer> {
    let models = endpoint.get("models")?;
    let fetches = models.get("fetch").and_then(Value::as_bool).unwrap_or(false);
    Some(Offer::new(endpoint.get("name")?.as_str()?, names(models.get("default")).unwrap_or_default(), fetches))
}

/// Ways to what settings say, two names deep.
fn ways(settings: &Value) -> Vec<String> {
    let mut ways = Vec::new();
    for (section, value) in settings.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) if !inner.is_empty() => ways.extend(inner.keys().map(|name| format!("{section}.{name}"))),
            _ => ways.push(section.clone()),
        }
    }
    ways
}

/// A list of names; models may be written as objects with a name.
fn names(list: Option<&Value>) -> Option<Vec<String>> {
    let name = |item: &Value| item.as_str().or_else(|| item.get("name")?.as_str()).map(str::to_owned);
    Some(list?.as_array()?.iter().filter_map(name).collect())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.get("$oid").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

// === impl Offer ===

impl Offer {
    fn new(endpoint: &str, models: Vec<String>, fetches: bool) -> Self {
        Self { endpoint: endpoint.to_owned(), models, fetches }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn captured_roles_say_what_they_permit() {
        let roles: Vec<Map<String, Value>> =
            serde_json::from_str(include_str!("../../tests/captures/mongo/roles.json")).unwrap();
        let of = |name: &str, permission: Permission| {
            let role = roles.iter().find(|role| role["name"] == name).unwrap();
            permission.of(role)
        };
        assert_eq!((of("ADMIN", AGENTS), of("USER", AGENTS)), (Some(true), Some(true)));
        assert_eq!((of("ADMIN", REMOTE_AGENTS), of("premium", AGENTS)), (Some(true), None), "a new role says nothing");
        assert_eq!(Permission { kind: "NOTHING", what: "USE" }.of(&roles[0]), None);
        for (permission, _) in TOOLS {
            assert!(of("USER", permission).is_some(), "{}: LibreChat has another name for it", permission.name());
        }
        assert_eq!(MCP_SERVERS.name(), "MCP_SERVERS.USE");
        assert!(of("USER", MCP_SERVERS).is_some());
    }

    #[test]
    fn overrides_tell_which_models_and_never_a_value() {
        let document = json!({
            "principalType": "group", "principalId": {"$oid": "6b012e4109cc968f8a928bce"}, "priority": 20,
            "overrides": {
                "interface": {"agents": false, "customWelcome": "hidden-text"},
                "version": "1.2",
                "endpoints": {
                    "custom": [
                        {"name": "MindRoom", "apiKey": "sk-secret", "models": {"default": ["a", {"name": "b"}], "fetch": true}},
                        {"name": "Nameless"}, 7,
                    ],
                    "azureOpenAI": {"groups": [{"group": "eu", "apiKey": "sk-secret", "models": {"gpt-4o": {"deploymentName": "d"}}}]},
                    "bedrock": {"models": ["claude"]},
                    "agents": {"allowedProviders": ["openAI"]},
                    "openAI": {"titleModel": "x"},
                },
            },
        });
        let read = Override::read(document.as_object().unwrap());
        assert_eq!((read.principal.as_str(), read.priority), ("group 6b012e4109cc968f8a928bce", 20));
        let ways: Vec<&str> = read.settings.iter().map(String::as_str).collect();
        for way in ["interface.agents", "version", "endpoints.custom", "endpoints.openAI"] {
            assert!(ways.contains(&way), "{way}: {ways:?}");
        }
        let offer = |endpoint: &str| read.offers.iter().find(|offer| offer.endpoint == endpoint).cloned();
        let of = |endpoint: &str, models: &[&str], fetches| {
            Some(Offer::new(endpoint, models.iter().map(|model| (*model).to_owned()).collect(), fetches))
        };
        assert_eq!(offer("MindRoom"), of("MindRoom", &["a", "b"], true));
        assert_eq!(offer("azureOpenAI"), of("azureOpenAI", &["gpt-4o"], false));
        assert_eq!(offer("bedrock"), of("bedrock", &["claude"], false));
        assert_eq!(offer("agents"), of("agents", &["openAI"], false));
        assert_eq!(read.offers.len(), 4, "{:?}", read.offers);
        let told = serde_json::to_string(&read).unwrap();
        assert!(!told.contains("sk-secret") && !told.contains("hidden-text"), "{told}");
    }

    #[test]
    fn what_has_another_form_offers_nothing() {
        for settings in
            [json!(null), json!({"endpoints": []}), json!({"endpoints": {"custom": {}, "bedrock": {"models": 1}}})]
        {
            assert_eq!(offers(&settings), [], "{settings}");
        }
        let read = Override::read(json!({"principalType": "role", "principalId": "__base__"}).as_object().unwrap());
        assert_eq!((read.principal.as_str(), read.priority, read.settings.len()), ("role __base__", 10, 0));
    }
}
