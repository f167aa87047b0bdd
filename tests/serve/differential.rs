//! Requests that a proxy and LibreChat could read differently, byte for byte over a raw socket.
//!
//! Each one is either refused, with the code that says why and before LibreChat has seen anything, or it is understood: then
//! LibreChat calls exactly the models that were judged. The tables are in `differential/`: what the captures hold, and what
//! CONTRACT.md D lists.

mod attempts;
mod captured;
mod remote;
mod written;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tollgate::demo::{ModelSpec, ModelSpecs, Seen, StandInOptions, StoredAgent};

use crate::POLICY;
use crate::support::send_raw;
use crate::world::{World, token};

/// What is to come of a request.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Refused with this status, and recorded with this rule or code.
    Refused(u16, &'static str),
    /// Refused with this status, recorded with the first rule, while the caller is told the second.
    Denied(u16, &'static str, &'static str),
    /// Refused by the strict gate with this status and code, before it is a request of which anything could be recorded.
    Unread(u16, &'static str),
    /// LibreChat answers with this status, and calls exactly these models.
    Calls(u16, &'static [&'static str]),
    /// Somebody answers with this status after LibreChat was reached, and this finds nothing odd about it.
    Judged(u16, fn(&Outcome) -> Option<String>),
    /// Refused as the first is, but after LibreChat was asked what its model specs are.
    AfterSpecs(u16, &'static str),
}

/// A request.
struct Case {
    name: String,
    bytes: Vec<u8>,
    want: Want,
}

/// What came of it.
struct Outcome {
    status: u16,
    body: String,
    reached: Vec<Seen>,
    calls: Vec<String>,
}

/// Sends all of them as this person, each over a connection of its own, and names every difference.
async fn differences(world: &mut World, who: &str, cases: &[Case]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut recorded = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let agent = format!("{who} {number}");
        let outcome = outcome(world, who, &agent, case).await;
        let Outcome { status, body, reached, calls } = &outcome;
        let seen: Vec<_> = reached.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        let told =
            format!("{}: wanted {:?}, got {status} {body:?}, reached {seen:?}, called {calls:?}", case.name, case.want);
        let only_specs = reached.iter().all(|seen| seen.method == Method::GET && seen.target == "/api/config");
        let as_wanted = match case.want {
            Want::Judged(wanted, check) => {
                let odd = if reached.is_empty() { None } else { check(&outcome) };
                differences.extend(odd.map(|odd| format!("{told}: {odd}")));
                wanted == *status && !reached.is_empty()
            }
            Want::AfterSpecs(wanted, code) => {
                recorded.push((agent, code, status_and_rule(&outcome), told.clone()));
                wanted == *status && only_specs && calls.is_empty()
            }
            Want::Refused(wanted, code) => {
                recorded.push((agent, code, status_and_rule(&outcome), told.clone()));
                wanted == *status && reached.is_empty() && calls.is_empty()
            }
            Want::Unread(wanted, code) => {
                wanted == *status
                    && status_and_rule(&outcome).1.as_deref() == Some(code)
                    && reached.is_empty()
                    && calls.is_empty()
            }
            Want::Denied(wanted, code, public) => {
                let (_, rule) = status_and_rule(&outcome);
                recorded.push((agent, code, (*status, None), told.clone()));
                wanted == *status && rule.as_deref() == Some(public) && reached.is_empty() && calls.is_empty()
            }
            Want::Calls(wanted, models) => {
                differences.extend(reached.iter().filter_map(|seen| odd(seen).map(|odd| format!("{told}: {odd}"))));
                wanted == *status && calls == models && !reached.is_empty()
            }
        };
        if !as_wanted {
            differences.push(told);
        }
    }
    for (agent, code, (status, rule), told) in recorded {
        if status < 400 {
            continue;
        }
        let entry = world.entry_from(&agent).await;
        let rules = &entry["rules"];
        let agrees =
            rules[0] == code && entry["decision"] == "deny" && entry["details"]["response"]["status"] == status;
        // A 401 is LibreChat's own, word for word, and says nothing of ours.
        if !agrees || rule.is_some_and(|rule| rule != code) {
            differences.push(format!("{told}: recorded as {rules} {}", entry["decision"]));
        }
    }
    differences
}

/// The status, and the rule that the body of a refusal names.
fn status_and_rule(outcome: &Outcome) -> (u16, Option<String>) {
    let body: Value = serde_json::from_str(&outcome.body).unwrap_or_default();
    let rule = body["rule"].as_str().or_else(|| body["error"]["rule"].as_str());
    (outcome.status, rule.map(str::to_owned))
}

async fn outcome(world: &World, who: &str, agent: &str, case: &Case) -> Outcome {
    world.stand_in.forget();
    let bearer = world.bearer(who);
    let token = bearer.strip_prefix("Bearer ").expect("a bearer");
    let bytes = replaced(&replaced(&case.bytes, b"<TOKEN>", token.as_bytes()), b"<AGENT>", agent.as_bytes());
    let bytes = replaced(&bytes, b"<REFRESH>", refresh_token(world, who).as_bytes());
    let answer = last_answer(world.addr, &bytes).await;
    let calls = world.stand_in.calls().into_iter().map(|call| format!("{}|{}", call.endpoint, call.model)).collect();
    Outcome { status: answer.0, body: answer.1, reached: world.reached(), calls }
}

/// What LibreChat would take for a renewal, and never for a request.
fn refresh_token(world: &World, who: &str) -> String {
    let claims = json!({"id": world.person(who).id, "exp": 4_000_000_000_u64});
    token(Algorithm::HS256, &world.stand_in.options().jwt_refresh_secret, &claims)
}

/// The status and the body of the last answer that comes; 0 if there is none.
async fn last_answer(addr: SocketAddr, bytes: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(&send_raw(addr, bytes).await).into_owned();
    let last = text.rmatch_indices("HTTP/1.").next().and_then(|(at, _)| text.get(at..)).unwrap_or_default();
    let (head, body) = last.split_once("\r\n\r\n").unwrap_or((last, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, body.to_owned())
}

/// What is odd about a request that has reached LibreChat: none may depend on who reads it.
fn odd(seen: &Seen) -> Option<String> {
    let odd_header = ["transfer-encoding", "content-encoding", "upgrade", "x-tenant-id", "te", "trailer", "expect"]
        .into_iter()
        .find(|name| seen.headers.contains_key(*name));
    if let Some(name) = odd_header {
        return Some(format!("LibreChat got the header {name}"));
    }
    let twice = ["content-type", "content-length", "authorization", "host"]
        .into_iter()
        .find(|name| seen.headers.get_all(*name).iter().count() > 1);
    if let Some(name) = twice {
        return Some(format!("LibreChat got the header {name} twice"));
    }
    if seen.method != Method::POST {
        return None;
    }
    let header = |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let canonical = serde_json::from_slice::<Value>(&seen.body).map(|body| body.to_string()).unwrap_or_default();
    if header("content-type") != "application/json; charset=utf-8" {
        return Some(format!("Content-Type {}", header("content-type")));
    }
    if header("content-length") != seen.body.len().to_string() {
        return Some(format!("Content-Length {} for {} bytes", header("content-length"), seen.body.len()));
    }
    (canonical.as_bytes() != seen.body).then(|| format!("LibreChat got {:?}", seen.body))
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut all = Vec::with_capacity(bytes.len() + with.len());
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    all.extend_from_slice(rest);
    all
}

/// LibreChat as it was when the captures were taken, with one more agent.
fn lab(options: &mut StandInOptions) {
    let agent = |id: &str, model: &str| StoredAgent {
        id: id.to_owned(),
        name: "Helper".to_owned(),
        provider: "openAI".to_owned(),
        model: model.to_owned(),
        author: String::new(),
    };
    options.agents = vec![agent("agent_3jQ3rziVxJnmR5ZaSC0E0", "gpt-4o"), agent("agent_dear", "o1")];
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn a_user_gets_no_captured_trick_past_the_policy() {
    let cases = captured::cases(|row| row.user);
    let mut world = World::with(POLICY).librechat(lab).start().await;
    assert_none(&differences(&mut world, "Bob", &cases).await);
    assert_eq!(cases.len(), 108);
}

#[tokio::test]
async fn an_administrators_captured_requests_call_what_was_judged_or_nothing() {
    let cases = captured::cases(|row| row.admin);
    let mut world = World::with(POLICY).librechat(lab).start().await;
    assert_none(&differences(&mut world, "Ann", &cases).await);
    assert_eq!(cases.len(), 108);
}

#[tokio::test]
async fn a_user_gets_no_listed_trick_past_the_policy() {
    let cases = written::cases();
    let mut world = World::with(POLICY).librechat(lab).start().await;
    assert_none(&differences(&mut world, "Bob", &cases).await);
    assert_eq!(cases.len(), 283);
}

/// CONTRACT.md D.8, 13.
#[tokio::test]
async fn a_dear_spec_beside_a_cheap_model_is_refused() {
    let specs = |options: &mut StandInOptions| {
        let spec = ModelSpec {
            name: "dear".to_owned(),
            label: "Dear".to_owned(),
            endpoint: "openAI".to_owned(),
            model: "gpt-4o".to_owned(),
            ..ModelSpec::default()
        };
        options.model_specs = Some(ModelSpecs { enforce: true, prioritize: true, list: vec![spec] });
    };
    let mut world = World::with(POLICY).librechat(specs).start().await;
    let body = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","spec":"dear"}"#;
    let bytes = written::chat(&[], body.as_bytes());
    let case = Case { name: "13".to_owned(), bytes, want: Want::Refused(403, "roles.USER.endpoints.openAI.models") };
    let outcome = outcome(&world, "Bob", "thirteen", &case).await;
    assert_eq!(outcome.status, 403, "{}", outcome.body);
    assert_eq!(world.entry_from("thirteen").await["rules"], json!(["roles.USER.endpoints.openAI.models"]));
    let reached: Vec<_> = outcome.reached.iter().map(|seen| (seen.method.clone(), seen.target.as_str())).collect();
    assert_eq!(reached, [(Method::GET, "/api/config")], "only what the spec stands for was asked");
    assert!(outcome.calls.is_empty());
}

#[tokio::test]
async fn librechat_receives_the_canonical_text_of_what_was_judged() {
    let world = World::with(POLICY).start().await;
    let body = "\t{ \"text\" : \"h\\u0069 \\/ \\ud83d\\ude00 \u{e4}\\u00e4\\t\" ,\r\n \"\\u006dodel\":\"gpt-4o-mini\", \
                \"endpoint\":\"openAI\",\"n\":[1.50, -0, 1E5 ,true,null , { } , [ ]],\"x\":{\"y\" : 1}}\n ";
    let headers =
        ["Content-Type: APPLICATION/JSON;charset=\"UTF-8\"", "Transfer-Encoding: chunked", "Trailer: X-Trailer"];
    let chunks = [&body.as_bytes()[..7], &body.as_bytes()[7..]]
        .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let chunked = [&chunks[0][..], &chunks[1], b"0\r\n\r\n"].concat();
    let bytes = written::bare("POST /API/Agents/Chat/openAI// HTTP/1.1", &headers, &chunked);
    let case = Case { name: "canonical".to_owned(), bytes, want: Want::Calls(200, &["openAI|gpt-4o-mini"]) };
    let outcome = outcome(&world, "Bob", "canonical", &case).await;
    assert_eq!((outcome.status, outcome.calls), (200, vec!["openAI|gpt-4o-mini".to_owned()]), "{}", outcome.body);
    let seen = &outcome.reached[0];
    let wanted = "{\"text\":\"hi / \u{1f600} \u{e4}\u{e4}\\t\",\"model\":\"gpt-4o-mini\",\"endpoint\":\"openAI\",\
                  \"n\":[1.50,-0,1E5,true,null,{},[]],\"x\":{\"y\":1}}";
    assert_eq!(String::from_utf8_lossy(&seen.body), wanted);
    assert_eq!(seen.target, "/api/agents/chat/openAI");
    assert_eq!(seen.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(seen.headers["content-length"], wanted.len().to_string());
    for gone in ["content-encoding", "transfer-encoding", "trailer", "x-trailer"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
}

/// CONTRACT.md D.8 has twenty-two requests. Number 13 needs model specs and is a test of its own.
#[test]
fn every_request_of_the_contract_is_made() {
    let cases = written::cases();
    let numbers = cases.iter().filter_map(|case| case.name.strip_prefix("D.8 ")?.split(' ').next()?.parse().ok());
    let made: BTreeSet<u8> = numbers.chain([13]).collect();
    assert_eq!(made, (1..=22).collect::<BTreeSet<u8>>());
}

/// The methods and targets of all requests here that are readable, for the report of the routes.
pub(crate) fn requests() -> Vec<(String, String)> {
    let all = captured::cases(|row| row.user)
        .into_iter()
        .chain(written::cases())
        .chain(attempts::all())
        .chain(remote::cases());
    all.filter_map(|case| {
        let line = case.bytes.split(|byte| *byte == b'\r').next()?;
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    })
    .collect()
}
