use super::*;
use crate::policy::{Source, compile};

fn policy(text: &str) -> Snapshot {
    compile(&[Source { path: "p.yaml".into(), text: format!("version: 1\n{text}").into() }]).unwrap().0
}

fn user() -> Caller {
    Caller { user: "6b012e4109cc968f8a928bce".into(), email: None, role: "USER".into(), groups: [].into() }
}

fn document(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn both_words_stand_beside_each_other() {
    let policy = policy(
        "remote_api: { enabled: false }\nroles: { USER: { endpoints: { openAI: { models: [a] } }, tools: { deny: [web_search, execute_code] } } }",
    );
    let role = document(json!({"permissions": {
        "AGENTS": {"USE": false}, "REMOTE_AGENTS": {"USE": true}, "WEB_SEARCH": {"USE": true}, "RUN_CODE": {"USE": false},
        "FILE_SEARCH": {"USE": true},
    }}));
    let told: Vec<_> = rows(&[role], &policy, &user())
        .iter()
        .map(|row| (row.what.clone(), row.together(), row.rule.clone()))
        .collect();
    let told: Vec<_> = told.iter().map(|(what, together, rule)| (what.as_str(), *together, rule.as_str())).collect();
    assert_eq!(
        told,
        [
            ("stored agents", "policy allows, LibreChat denies", "agents"),
            ("remote-agent API", "LibreChat allows, policy denies", "remote_api.enabled"),
            ("tool web_search", "LibreChat allows, policy denies", "roles.USER.tools.deny"),
            ("tool execute_code", "both deny", "roles.USER.tools.deny"),
            ("tool file_search", "open", "tools"),
            ("tool skills", "LibreChat does not say", "tools"),
            ("tools of MCP servers", "LibreChat does not say", "tools"),
        ]
    );
}

#[test]
fn documents_of_several_tenants_that_differ_say_nothing() {
    let role = |may: bool| document(json!({"permissions": {"AGENTS": {"USE": may}}}));
    let policy = policy("");
    let of = |roles: &[Map<String, Value>]| rows(roles, &policy, &user())[0].librechat;
    assert_eq!(of(&[role(true), role(true)]), Some(true));
    assert_eq!(of(&[role(true), role(false)]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn the_strongest_settings_say_what_is_offered_and_the_policy_what_of_it_is_denied() {
    let policy = policy("roles: { USER: { endpoints: { custom: { MindRoom: { models: [b] } } } } }");
    let laid = |priority: i64, models: Value| {
        document(json!({"principalType": "role", "principalId": "USER", "priority": priority,
            "overrides": {"endpoints": {"custom": [{"name": "MindRoom", "apiKey": "sk-secret", "models": {"default": models}}]}}}))
    };
    let word = OwnWord {
        user: document(
            json!({"provider": "openid", "openidId": "sub-1", "openidIssuer": "https://idp.test", "openidGroups": ["staff"]}),
        ),
        overrides: vec![laid(10, json!(["x"])), laid(20, json!(["a", "b"]))],
        balances: vec![document(json!({"tokenCredits": 1500.5}))],
        ..OwnWord::default()
    };
    let mut beside = Beside::default();
    beside.hear(&word, Timestamp::UNIX_EPOCH, &policy, &user());
    let told = beside.json();
    assert_eq!(
        told["offers"],
        json!([{"endpoint": "MindRoom", "models": ["a", "b"], "fetches": false, "from": "role USER", "denied": ["a"]}])
    );
    assert_eq!((&told["balance"], told["overrides"].as_array().unwrap().len()), (&json!({"credits": 1500}), 2));
    assert!(!told.to_string().contains("sk-secret"));
    assert_eq!(beside.account.as_deref(), Some("openid, sub-1 of https://idp.test, groups of the last sign-in: staff"));
}

#[test]
fn a_balance_that_cannot_be_read_is_not_guessed() {
    let mut beside = Beside::default();
    let word = OwnWord { balances: vec![document(json!({"tokenCredits": "many"}))], ..OwnWord::default() };
    beside.hear(&word, Timestamp::UNIX_EPOCH, &policy(""), &user());
    assert!(beside.json()["balance"]["unknown"].as_str().unwrap().contains("tokenCredits"));
}
