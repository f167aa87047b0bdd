//! Ways around a policy by the remote-agent API, where keys can be looked up: each is refused with the rule that says why, or
//! LibreChat runs exactly the agent that was judged.

use super::written::{bare, sent};
use super::{Case, Outcome, Want, assert_none, differences};
use crate::POLICY;
use crate::mongod::with_mongod;
use crate::remote::{KEY, fill, with_keys};
use Want::{Calls, Judged, Refused, Unread};

const MINI: &[&str] = &["openAI|gpt-4o-mini"];
const JSON: &str = "Content-Type: application/json";
const CHEAP: &str = r#"{"model":"agent_cheap","messages":[],"input":"hi"}"#;
const DEAR: &str = r#"{"model":"agent_dear","messages":[],"input":"hi"}"#;
const COMPLETIONS: &str = "POST /api/agents/v1/chat/completions HTTP/1.1";
/// What a run of an agent that may not be used is recorded as.
const LIST: &str = "roles.USER.endpoints.openAI.models";

fn shows_only_allowed(outcome: &Outcome) -> Option<String> {
    if outcome.reached.iter().any(|seen| seen.headers.contains_key("x-tenant-id")) {
        return Some("a tenant has reached LibreChat".to_owned());
    }
    outcome.body.contains("agent_dear").then(|| format!("a hidden agent is named: {}", outcome.body))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, want: Want| cases.push(Case { name: name.to_owned(), bytes, want });
    let key = format!("Authorization: Bearer {KEY}");
    let key = key.as_str();
    let post = |target: &str, body: &str| sent(&format!("POST {target} HTTP/1.1"), &[JSON, key], body.as_bytes());
    for target in [
        "/api/agents/v1/chat/completions",
        "/api/agents/v1/responses",
        "/API/Agents/V1/Chat/Completions",
        "/api/agents/v1/responses/",
        "/api/agents/v1/responses?model=agent_cheap",
        "/api/agents/v1/chat/completions?",
    ] {
        // The public rule is another one: the statement could name what the caller may not know.
        add(&format!("dear {target}"), post(target, DEAR), Want::Denied(403, LIST, "policy.agent"));
        add(&format!("cheap {target}"), post(target, CHEAP), Calls(200, MINI));
    }
    for (target, code) in [
        ("/api/agents/v1//responses", "path-empty-segment"),
        ("/api/agents/v1/x/../responses", "path-dot-segment"),
        ("/api/agents/v1%2Fresponses", "path-encoded-slash"),
        ("/api/agents/%76%31/responses", "path-encoded-plain"),
        ("/api/agents/v1;x=1/responses", "path-semicolon"),
        ("/api\\agents/v1/responses", "path-backslash"),
    ] {
        add(target, post(target, CHEAP), Refused(400, code));
    }
    let absolute = "http://x/api/agents/v1/responses";
    add(absolute, post(absolute, CHEAP), Unread(400, "gate.target"));
    for (name, authorization, code) in [
        ("lower case", format!("Authorization: bearer {KEY}"), "identity.missing"),
        ("a tab", format!("Authorization: Bearer\t{KEY}"), "identity.missing"),
        ("two spaces", format!("Authorization: Bearer  {KEY}"), "identity.not-a-key"),
        ("something behind it", format!("Authorization: Bearer {KEY} x"), "identity.malformed"),
        ("two of them", format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}"), "identity.malformed"),
        ("a token", "Authorization: Bearer <TOKEN>".to_owned(), "identity.not-a-key"),
        ("a renewal", "Authorization: Bearer <REFRESH>".to_owned(), "identity.not-a-key"),
        ("another one's", "Authorization: Bearer sk-0123456789abcdef".to_owned(), "identity.unknown-key"),
    ] {
        add(name, sent(COMPLETIONS, &[JSON, &authorization], CHEAP.as_bytes()), Refused(401, code));
    }
    for (name, headers, body, want) in [
        ("no type", vec![], CHEAP, Refused(415, "content-type")),
        (
            "a form",
            vec!["Content-Type: application/x-www-form-urlencoded"],
            "model=agent_cheap",
            Refused(415, "content-type"),
        ),
        ("two types", vec![JSON, JSON], CHEAP, Refused(415, "content-type")),
        ("utf-7", vec!["Content-Type: application/json; charset=utf-7"], CHEAP, Refused(415, "content-type")),
        ("gzip", vec![JSON, "Content-Encoding: gzip"], CHEAP, Refused(415, "content-encoding")),
        (
            "two models",
            vec![JSON],
            r#"{"model":"agent_cheap","model":"agent_dear"}"#,
            Refused(400, "body-duplicate-key"),
        ),
        (
            "spelt twice",
            vec![JSON],
            r#"{"model":"agent_cheap","m\u006fdel":"agent_dear"}"#,
            Refused(400, "body-duplicate-key"),
        ),
        ("a list", vec![JSON], r#"{"model":["agent_cheap"]}"#, Refused(400, "select-model")),
        ("an operator", vec![JSON], r#"{"model":{"$regex":"cheap"}}"#, Refused(400, "select-model")),
        (
            "a prototype",
            vec![JSON],
            r#"{"model":"agent_cheap","__proto__":{"model":"agent_dear"}}"#,
            Refused(400, "body-prototype-key"),
        ),
        ("a blank", vec![JSON], r#"{"model":"agent_dear "}"#, Refused(400, "select-model")),
        ("no-break space", vec![JSON], "{\"model\":\"agent_dear\u{a0}\"}", Refused(400, "select-model")),
        ("another case", vec![JSON], r#"{"model":"AGENT_DEAR"}"#, Refused(404, "agent.missing")),
        ("a suffix", vec![JSON], r#"{"model":"agent_dear____1"}"#, Refused(404, "agent.missing")),
        (
            "agent_id beside it",
            vec![JSON],
            r#"{"model":"agent_cheap","agent_id":"agent_dear","endpoint":"openAI"}"#,
            Calls(200, MINI),
        ),
        ("a method", vec![JSON, "X-HTTP-Method-Override: DELETE"], CHEAP, Calls(200, MINI)),
        ("a tenant", vec![JSON, "X-Tenant-Id: other", "X_Tenant_Id: other"], CHEAP, Calls(200, MINI)),
        (
            "the key named away",
            vec![JSON, "Connection: Authorization, X-Tenant-Id", "X-Tenant-Id: other"],
            CHEAP,
            Calls(200, MINI),
        ),
        ("an upgrade", vec![JSON, "Connection: Upgrade", "Upgrade: websocket"], CHEAP, Calls(200, MINI)),
    ] {
        let headers: Vec<&str> = headers.into_iter().chain([key]).collect();
        add(name, sent(COMPLETIONS, &headers, body.as_bytes()), want);
    }
    let list = Judged(200, shows_only_allowed);
    for (name, line, header) in [
        ("a list", "GET /api/agents/v1/models HTTP/1.1", "X-Other: x"),
        ("of responses", "GET /api/agents/v1/responses/models HTTP/1.1", "X-Other: x"),
        ("in another case", "GET /API/agents/v1/Models/ HTTP/1.1", "X-Other: x"),
        ("if changed", "GET /api/agents/v1/models HTTP/1.1", "If-None-Match: *"),
        ("a part", "GET /api/agents/v1/models HTTP/1.1", "Range: bytes=0-9"),
        ("packed", "GET /api/agents/v1/models HTTP/1.1", "Accept-Encoding: gzip;q=1, br"),
        ("D.8 22", "GET /api/agents/v1/models HTTP/1.1", "X-Tenant-Id: other"),
        ("its head", "HEAD /api/agents/v1/models HTTP/1.1", "X-Other: x"),
    ] {
        add(name, bare(line, &[key, header], b""), list);
    }
    let hidden = "GET /api/agents/v1/models/agent_dear HTTP/1.1";
    add("one", bare(hidden, &[key], b""), Want::Denied(404, LIST, "agent.missing"));
    add("its route as an agent", bare("GET /api/agents/v1 HTTP/1.1", &[key], b""), Refused(401, "identity.malformed"));
    cases
}

#[tokio::test]
async fn no_trick_with_the_remote_api_gets_past_the_policy() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        let cases = cases();
        assert_none(&differences(&mut world, "User", &cases).await);
        assert_eq!(cases.len(), 56);
    })
    .await;
}
