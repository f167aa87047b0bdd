//! Everything that a real LibreChat answered well passes, where the policy allows everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::POLICY;
use crate::passage::seen;
use crate::support::request;
use crate::world::World;

const OPEN: &str = "version: 1\nmode: enforce\nunlisted: { endpoint: allow, role: allow }\n";

/// What is refused all the same, by which code, and why that is wanted.
const EXCEPTIONS: [(&str, &str, &str); 13] = [
    ("019_metrics-auth", "route.closed", "for a scraper beside LibreChat, not for its users"),
    ("194_missing-model", "select-model-missing", "LibreChat starts it and then refuses it with the same word"),
    ("196_missing-endpoint", "select-endpoint-missing", "LibreChat answers 200 with an error event"),
    ("197_model-spaces", "select-model", "LibreChat starts it and then refuses the name"),
    ("199_model-array", "select-model", "LibreChat starts it and then refuses the type"),
    ("212_endpoint-path-dotdot", "path-dot-segment", "LibreChat answers it with its page"),
    ("216_body-urlencoded", "content-type", "a form that LibreChat reads as a turn (CONTRACT.md D.3)"),
    ("218_body-gzip", "content-encoding", "a body that only LibreChat would unpack (CONTRACT.md D.4)"),
    ("220_body-utf16", "content-type", "a charset that only LibreChat would read (CONTRACT.md D.3)"),
    ("226_body-array", "body-not-object", "LibreChat answers 200 with an error event"),
    ("228_body-dollar-key", "body-sanitised-key", "LibreChat would delete the key (CONTRACT.md D.5)"),
    ("272_chat-agent-ephemeral-id", "select-agent", "LibreChat starts it and then finds no model"),
    ("365_admin-login-local", "route.closed", "the way into LibreChat's separate admin panel"),
];

/// The remote-agent API: without LibreChat's database nobody can tell whose key it is, so that it is closed.
const REMOTE: [&str; 11] = [
    "292_remote-models",
    "293_remote-model",
    "294_remote-chat",
    "295_remote-chat-stream",
    "296_remote-chat-stream-identity",
    "297_remote-responses-stream-identity",
    "298_remote-responses",
    "299_remote-responses-stream",
    "317_remote-chat-spend",
    "388_remote-balance-zero",
    "389_remote-balance-zero-stream",
];

/// One captured exchange that LibreChat answered with 2xx.
pub(crate) struct Capture {
    name: String,
    who: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

pub(crate) fn captures() -> Vec<Capture> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut all = Vec::new();
    for file in ["base.jsonl", "browser.jsonl"] {
        let text = fs::read_to_string(directory.join(file)).expect("a file of captures");
        all.extend(
            text.lines().map(|line| serde_json::from_str(line).expect("a capture")).filter_map(|line| read(&line)),
        );
    }
    all
}

fn read(line: &Value) -> Option<Capture> {
    let (request, status) = (&line["request"], line["response"]["status"].as_u64()?);
    if !(200..300).contains(&status) {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = match &request["headers"] {
        Value::Array(pairs) => pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        Value::Object(pairs) => pairs.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        _ => Vec::new(),
    };
    // What belongs to the recorded connection or person is said anew.
    let ours = ["host", "authorization", "cookie", "content-length", "connection", "transfer-encoding"];
    let headers = headers.into_iter().filter(|(name, _)| !ours.contains(&name.to_ascii_lowercase().as_str())).collect();
    let body = match (&request["body"], &request["body_text"]) {
        (Value::Null, Value::String(text)) => text.chars().map(|char| char as u8).collect::<Vec<u8>>().into(),
        (Value::Null, _) => Bytes::new(),
        // The stand-in takes the captured pauses at their word; nobody needs to wait for them here.
        (body, _) => body.to_string().replace(" delay=", " pause=").into(),
    };
    Some(Capture {
        name: text(&line["name"]),
        who: line["who"].as_str().unwrap_or("user").to_owned(),
        method: text(&request["method"]).parse().ok()?,
        path: text(&request["path"]),
        headers,
        body,
    })
}

/// Sends everything and returns what Tollgate refused: name and code.
async fn refused(world: &World, somebody: Option<&str>) -> BTreeMap<String, String> {
    let mut refused = BTreeMap::new();
    let captures = captures();
    assert!(captures.len() > 400, "only {} captures", captures.len());
    for capture in captures {
        world.stand_in.forget();
        let bearer = match (capture.who.as_str(), somebody) {
            ("anon", _) => None,
            ("apikey", _) => Some("Bearer sk-0123456789abcdef".to_owned()),
            (_, Some(name)) => Some(world.bearer(name)),
            ("admin", None) => Some(world.bearer("Ann")),
            _ => Some(world.bearer("Bob")),
        };
        let mut headers: Vec<_> = capture.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let answer = request(world.addr, capture.method, &capture.path, &headers, capture.body).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let rule = [&body["rule"], &body["error"]["rule"]].into_iter().find_map(Value::as_str);
        match rule {
            Some(rule) => {
                assert!(seen(world).is_empty(), "{}: refused and forwarded", capture.name);
                refused.insert(capture.name, rule.to_owned());
            }
            None => assert!(!seen(world).is_empty(), "{}: neither refused nor forwarded", capture.name),
        }
    }
    refused
}

fn exceptions() -> BTreeMap<String, String> {
    let remote = REMOTE.map(|name| (name, "surface.remote_api"));
    let others = EXCEPTIONS.map(|(name, rule, _why)| (name, rule));
    remote.into_iter().chain(others).map(|(name, rule)| (name.to_owned(), rule.to_owned())).collect()
}

#[tokio::test]
async fn what_librechat_answered_passes_under_an_open_policy() {
    let world = World::with(OPEN).start().await;
    assert_eq!(refused(&world, None).await, exceptions());
}

#[tokio::test]
async fn what_librechat_answered_passes_for_an_administrator() {
    let world = World::with(POLICY).start().await;
    assert_eq!(refused(&world, Some("Ann")).await, exceptions());
}
