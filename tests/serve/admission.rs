//! Who is let in at all: whom the policy turns away gets nothing that needs a token, and LibreChat sees nothing of it.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::POLICY;
use crate::support::{get, request};
use crate::world::World;

/// One route of each kind that takes a token.
const ROUTES: [(Method, &str); 12] = [
    (Method::GET, "/api/models"),
    (Method::GET, "/api/endpoints"),
    (Method::GET, "/api/user"),
    (Method::GET, "/api/convos"),
    (Method::GET, "/api/balance"),
    (Method::POST, "/api/agents/chat/openAI"),
    (Method::GET, "/api/agents/chat/stream/x"),
    (Method::POST, "/api/files"),
    (Method::GET, "/api/agents"),
    (Method::PUT, "/api/keys"),
    (Method::GET, "/api/admin/users"),
    (Method::GET, "/api/v1/me/limits"),
];

#[tokio::test]
async fn whom_the_policy_turns_away_gets_a_sentence_and_nothing_else() {
    for (statement, rule, words) in [
        ("blocked: { users: [Bob@example.edu] }", "blocked.users", "Your account may not be used here."),
        ("blocked: { groups: [gone] }", "blocked.groups", "Your account may not be used here."),
        (
            "email_domains: [\"*.example.edu\"]",
            "email_domains",
            "Accounts with your e-mail address may not be used here.",
        ),
    ] {
        let policy = POLICY.replace("version: 1", &format!("version: 1\n{statement}"));
        let mut world = World::with(&policy).member("Bob", &["gone"]).start().await;
        let bearer = world.bearer("Bob");
        for (method, path) in &ROUTES {
            let mark = format!("{rule} {path}");
            let headers = [("authorization", bearer.as_str()), ("user-agent", mark.as_str())];
            let answer = request(world.addr, method.clone(), path, &headers, Bytes::new()).await;
            let told = format!("{rule}: {method} {path}: {}", answer.text());
            assert_eq!(answer.status, 403, "{told}");
            let body = answer.json();
            assert_eq!(body["rule"], rule, "{told}");
            assert!(body["message"].as_str().is_some_and(|message| message.starts_with(words)), "{told}");
            if path.starts_with("/api/agents/chat/openAI") {
                assert_eq!(body["type"], "policy_denied", "what LibreChat's client shows comes first: {told}");
            }
            let entry = world.entry_from(&mark).await;
            assert_eq!((&entry["rules"], &entry["decision"]), (&json!([rule]), &json!("deny")), "{told}");
            assert_eq!((&entry["category"], &entry["severity"]), (&json!("SECURITY"), &json!("WARNING")), "{told}");
            assert_eq!(entry["userId"], world.person("Bob").id.as_str(), "{told}");
        }
        assert!(world.reached().is_empty(), "{rule}: {:?}", world.reached());
        // What needs no token still answers, with one or without.
        for path in ["/", "/login"] {
            assert_eq!(get(world.addr, path, &[]).await.status, 200, "{rule}: {path}");
        }
    }
}

#[tokio::test]
async fn everybody_else_is_served_as_ever_and_shadow_mode_only_tells() {
    let policy =
        POLICY.replace("version: 1", "version: 1\nblocked: { users: [bob@example.edu] }\nemail_domains: [example.edu]");
    let world = World::with(&policy).start().await;
    let ann = world.bearer("Ann");
    for path in ["/api/models", "/api/user"] {
        assert_eq!(get(world.addr, path, &[("authorization", &ann)]).await.status, 200, "{path}");
    }
    let policy = policy.replace("mode: enforce", "mode: shadow");
    let mut world = World::with(&policy).start().await;
    let bob = world.bearer("Bob");
    let answer = get(world.addr, "/api/user", &[("authorization", &bob)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": "hi", "messageId": "m",
                      "parentMessageId": "00000000-0000-0000-0000-000000000000", "conversationId": null});
    let headers = [("authorization", bob.as_str()), ("user-agent", "shadow")];
    let answer = crate::support::post_json(world.addr, "/api/agents/chat/openAI", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entry = world.entry_from("shadow").await;
    assert_eq!((&entry["rules"], &entry["decision"]), (&json!(["blocked.users"]), &json!("shadow")), "{entry}");
}
