use serde_json::{Value, json};

use super::*;

fn entry(members: Value) -> Entry {
    let mut entry = json!({"action": "chat.turn", "decision": "allow", "rules": ["r"], "userId": "u", "role": "USER"});
    entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    serde_json::from_value(entry).unwrap()
}

fn model(endpoint: &str, model: &str) -> Target {
    Target::Model { endpoint: endpoint.into(), model: model.into() }
}

fn agent(part: Part) -> Target {
    Target::Agent { agent: "agent_x".into(), part }
}

#[test]
fn what_was_asked_is_made_anew() {
    let of_agent = |model: &str| agent(Part::Model { endpoint: "openAI".into(), model: model.into() });
    let tool = |name: &str| Target::Tool(Tool::Named(name.into()));
    let door = Target::Surface(Surface::RemoteApi);
    for (what, members, expected) in [
        ("a model", json!({"metadata": {"endpoint": "openAI", "model": "a"}}), Ok(vec![model("openAI", "a")])),
        (
            "a second conversation and tools",
            json!({"rules": ["r", "r", "r", "r"], "metadata": {"endpoint": "openAI", "model": "a", "also": ["google|b", "tool web_search", "tool *_mcp_x"]}}),
            Ok(vec![
                model("openAI", "a"),
                model("google", "b"),
                tool("web_search"),
                Target::Tool(Tool::Ending("_mcp_x".into())),
            ]),
        ),
        (
            "an agent, what it runs, and one that it hands over to",
            json!({"rules": ["r", "r", "r", "r"], "metadata": {"endpoint": "agents", "agent": "agent_x", "also": ["openAI|a", "agents|agent_y", "tool dalle"]}}),
            Ok(vec![
                agent(Part::Itself),
                of_agent("a"),
                Target::Agent { agent: "agent_y".into(), part: Part::Itself },
                tool("dalle"),
            ]),
        ),
        (
            "an agent that is being made",
            json!({"action": "agents", "metadata": {"agent": "agent_x", "also": ["openAI|a"]}}),
            Ok(vec![of_agent("a")]),
        ),
        (
            "a run of the remote-agent API",
            json!({"action": "remote.run", "rules": ["r", "r"], "metadata": {"endpoint": "agents", "agent": "agent_x", "also": ["openAI|a"]}}),
            Ok(vec![door.clone(), agent(Part::Itself), of_agent("a")]),
        ),
        ("its list", json!({"action": "remote.models"}), Ok(vec![door])),
        (
            "an assistant",
            json!({"action": "assistants", "metadata": {"endpoint": "assistants", "model": "a"}}),
            Ok(vec![Target::Assistant { endpoint: "assistants".into(), model: "a".into() }]),
        ),
        ("speech", json!({"action": "speech"}), Ok(vec![Target::Feature(Feature::Speech)])),
        (
            "a key",
            json!({"action": "user-keys", "rules": ["r", "r"], "metadata": {"endpoint": "openAI"}}),
            Ok(vec![Target::Feature(Feature::UserKeys), Target::Endpoint("openAI".into())]),
        ),
        (
            "agents without a name",
            json!({"metadata": {"endpoint": "agents"}}),
            Ok(vec![Target::Surface(Surface::Agents)]),
        ),
        (
            "what is refused names one statement, whatever it asked for",
            json!({"decision": "deny", "rules": ["unlisted.role"], "metadata": {"endpoint": "openAI", "model": "a", "also": ["google|b"]}}),
            Ok(vec![model("openAI", "a"), model("google", "b")]),
        ),
        (
            "a limit in shadow mode stands beside what allowed",
            json!({"decision": "shadow", "rules": ["r", "roles.USER.limits.x"], "wouldRefuse": ["roles.USER.limits.x"], "metadata": {"endpoint": "openAI", "model": "a"}}),
            Ok(vec![model("openAI", "a")]),
        ),
        (
            "words",
            json!({"rules": ["r", "r"], "metadata": {"endpoint": "openAI", "model": "a", "also": ["has no model"]}}),
            Err(Unknown::Words),
        ),
        (
            "fewer statements than things",
            json!({"metadata": {"endpoint": "openAI", "model": "a", "also": ["google|b"]}}),
            Err(Unknown::Otherwise),
        ),
        (
            "too much",
            json!({"metadata": {"endpoint": "openAI", "model": "a", "also": vec!["google|b"; 100]}}),
            Err(Unknown::TooMuch),
        ),
        ("a model of no endpoint", json!({"metadata": {"model": "a"}}), Err(Unknown::Words)),
    ] {
        assert_eq!(entry(members).targets(), expected, "{what}");
    }
}

#[test]
fn refusals_are_told_apart_by_what_refused() {
    let refused = |rules: Value| entry(json!({"decision": "deny", "rules": rules}));
    for (rules, of_limit, of_others, denied_by) in [
        (json!(["roles.USER.endpoints.openAI.models"]), false, false, Some("roles.USER.endpoints.openAI.models")),
        (json!(["unlisted.endpoint"]), false, false, Some("unlisted.endpoint")),
        (json!(["overrides.group.lab.tools.deny"]), false, false, Some("overrides.group.lab.tools.deny")),
        (json!(["overrides.group.lab.limits.day"]), true, false, None),
        (json!(["email_domains"]), false, false, Some("email_domains")),
        (json!(["roles.USER.limits.day"]), true, false, None),
        (json!(["librechat.balance"]), true, false, None),
        (json!(["limits.unavailable"]), true, false, None),
        (json!(["identity.expired"]), false, true, None),
        (json!(["body-duplicate-key"]), false, true, None),
    ] {
        let entry = refused(rules.clone());
        let told = (entry.is_refused_by_limit(), entry.is_refused_otherwise(), entry.denied_by());
        assert_eq!(told, (of_limit, of_others, denied_by), "{rules}");
    }
    let shadowed = entry(
        json!({"decision": "shadow", "rules": ["unlisted.role", "limits.all"], "wouldRefuse": ["unlisted.role", "limits.all"]}),
    );
    assert_eq!(shadowed.denied_by(), Some("unlisted.role"));
    assert!(!entry(json!({"action": "catalog.models", "rules": []})).is_question());
    assert!(!entry(json!({"action": "user-keys", "rules": []})).is_question(), "a key that is taken away");
    assert!(!entry(json!({"action": "policy.loaded", "decision": null})).is_question());
}
