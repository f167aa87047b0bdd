//! Stored agents written and read: what a request would make of an agent is judged before LibreChat hears of it, and what
//! LibreChat answers shows nothing that the caller may not use (CONTRACT.md B.7, C.1, D.8 15 and 17).

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use crate::POLICY;
use crate::agents::{put, with_agents};
use crate::mongod::{Mongod, with_mongod};
use crate::scripted::Scripted;
use crate::support::{Answer, request};
use crate::world::World;

/// Users may have `gpt-4o-mini` and `mindroom-basic`.
const LIST: &str = "roles.USER.endpoints.openAI.models";

async fn ask(world: &World, who: &str, method: &str, path: &str, mark: &str, body: &str) -> Answer {
    let bearer = world.bearer(who);
    let mut headers = vec![("authorization", bearer.as_str()), ("user-agent", mark)];
    if path.ends_with("/avatar") {
        headers.push(("content-type", "multipart/form-data; boundary=x"));
    } else if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    request(world.addr, method.parse().unwrap(), path, &headers, body.to_owned().into()).await
}

/// What LibreChat got: method, target and body.
fn got(world: &World) -> Vec<(String, String, String)> {
    let told = |seen: tollgate::demo::Seen| {
        (seen.method.to_string(), seen.target, String::from_utf8_lossy(&seen.body).into_owned())
    };
    world.reached().into_iter().map(told).collect()
}

/// Refused in the shape that the builder gets, with no word of what the agent runs.
fn refused(answer: &Answer, status: u16, rule: &str, told: &str) {
    let (text, body) = (answer.text(), answer.json());
    assert_eq!((answer.status.as_u16(), &body["rule"]), (status, &json!(rule)), "{told}: {text}");
    assert!(body["error"].is_string() && body["message"].is_string() && body["type"].is_null(), "{told}: {text}");
    for hidden in ["gpt-4o", "o1\"", "openAI", "anthropic", "claude", "agent_dear", "roles."] {
        assert!(!text.contains(hidden), "{told}: {hidden} is told: {text}");
    }
}

/// Agents: one of a cheap model and one that hands over to it, a dear one and one that hands over to it.
async fn fill(mongod: &Mongod) {
    put(mongod, "agent_cheap", doc! {"model_parameters": {"temperature": 0.5}}).await;
    put(mongod, "agent_dear", doc! {"model": "o1"}).await;
    put(mongod, "agent_chain", doc! {"edges": [{"from": "agent_chain", "to": "agent_cheap"}]}).await;
    put(mongod, "agent_trap", doc! {"edges": [{"from": "agent_trap", "to": "agent_dear"}]}).await;
    let version = |fields: Document| -> Bson {
        let mut version = doc! {"name": "V", "provider": "openAI", "model": "gpt-4o-mini", "tools": []};
        version.extend(fields);
        version.into()
    };
    let versions = vec![
        version(doc! {}),
        version(doc! {"model": "o1"}),
        version(doc! {"provider": "anthropic"}),
        version(doc! {"model_parameters": {"modelKwargs": {"model": "o1"}}}),
        version(doc! {"agent_ids": ["agent_dear"]}),
        doc! {"name": "V"}.into(),
    ];
    put(mongod, "agent_old", doc! {"versions": versions}).await;
    let again = vec![version(doc! {"model": "gpt-4o-mini"}), doc! {"name": "V"}.into()];
    put(mongod, "agent_risen", doc! {"model": "o1", "versions": again}).await;
}

/// The method, the path, the body, and the rule that refuses it, in the answer and in the record.
type Row = (&'static str, &'static str, String, Option<(&'static str, &'static str)>);

fn creations() -> Vec<Row> {
    let made = |more: Value| {
        let mut body = json!({"name": "N", "provider": "openAI", "model": "gpt-4o-mini", "tools": []});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("POST", "/api/agents", body.to_string())
    };
    let allowed = |more: Value| (made(more), None);
    let denied = |more: Value, public, rule| (made(more), Some((public, rule)));
    let rows = [
        // The first is what LibreChat's own client sends (capture 253).
        allowed(json!({"description": "d", "model_parameters": {"temperature": 0.5}, "category": "general"})),
        allowed(json!({"provider": "MindRoom", "model": "mindroom-basic"})),
        allowed(json!({"edges": [{"from": "SELF", "to": "agent_cheap", "edgeType": "direct"}]})),
        allowed(json!({"agent_ids": ["agent_gone", "agent_chain"], "unknown": {"model": "o1"}})),
        denied(json!({"model": "o1"}), "policy.agent", LIST),
        denied(json!({"model": "gpt-nope"}), "policy.agent", LIST),
        denied(json!({"provider": "anthropic", "model": "claude-opus-4-8"}), "policy.agent", "unlisted.endpoint"),
        denied(json!({"provider": "OPENAI", "model": "o1"}), "policy.agent", LIST),
        denied(json!({"model": null}), "agent.model", "agent.model"),
        denied(json!({"model": ["gpt-4o-mini"]}), "agent.model", "agent.model"),
        denied(json!({"provider": null}), "agent.provider", "agent.provider"),
        denied(json!({"provider": "agents"}), "agent.provider", "agent.provider"),
        // D.8 15
        denied(json!({"model_parameters": {"modelKwargs": {"model": "o1"}}}), "agent.parameters", "agent.parameters"),
        denied(
            json!({"model_parameters": {"fallbacks": [{"provider": "openAI"}]}}),
            "agent.parameters",
            "agent.parameters",
        ),
        denied(
            json!({"model_parameters": {"configuration": {"baseURL": "https://x"}}}),
            "agent.parameters",
            "agent.parameters",
        ),
        denied(json!({"model_parameters": {"model": "o1"}}), "agent.parameters", "agent.parameters"),
        denied(json!({"model_parameters": "x"}), "agent.parameters", "agent.parameters"),
        // D.8 14, before it is stored
        denied(json!({"edges": [{"from": "SELF", "to": "agent_dear"}]}), "policy.agent", LIST),
        denied(json!({"edges": [{"from": ["agent_trap"], "to": "SELF"}]}), "policy.agent", LIST),
        denied(json!({"agent_ids": ["agent_dear"]}), "policy.agent", LIST),
        denied(json!({"subagents": {"enabled": false, "agent_ids": ["agent_trap"]}}), "policy.agent", LIST),
        denied(json!({"edges": {"0": {"to": "agent_dear"}}}), "agent.document", "agent.document"),
        denied(json!({"agent_ids": "agent_dear"}), "policy.agent", LIST),
    ];
    rows.into_iter().map(|((method, path, body), refused)| (method, path, body, refused)).collect()
}

fn changes() -> Vec<Row> {
    let patch = |path: &'static str, body: Value, refused| ("PATCH", path, body.to_string(), refused);
    let denied = Some(("policy.agent", LIST));
    let elsewhere = Some(("policy.agent", "unlisted.endpoint"));
    let parameters = Some(("agent.parameters", "agent.parameters"));
    const CHEAP: &str = "/api/agents/agent_cheap";
    vec![
        patch(CHEAP, json!({}), None),
        patch(CHEAP, json!({"name": "n", "instructions": "i"}), None),
        patch(CHEAP, json!({"model": "gpt-4o-mini", "model_parameters": {"temperature": 1}}), None),
        patch(CHEAP, json!({"provider": "MindRoom", "model": "mindroom-basic"}), None),
        patch(CHEAP, json!({"edges": [{"from": "agent_cheap", "to": "agent_chain"}]}), None),
        patch(CHEAP, json!({"model": null, "id": "agent_dear", "versions": [{"model": "o1"}]}), None),
        // D.8 17: the new half with the old one.
        patch(CHEAP, json!({"model": "o1"}), denied),
        patch(CHEAP, json!({"provider": "anthropic"}), elsewhere),
        patch(
            CHEAP,
            json!({"provider": "MindRoom"}),
            Some(("policy.agent", "roles.USER.endpoints.custom.MindRoom.models")),
        ),
        patch(CHEAP, json!({"model_parameters": {"modelKwargs": {"model": "o1"}}}), parameters),
        patch(CHEAP, json!({"edges": [{"from": "agent_dear", "to": "agent_cheap"}]}), denied),
        patch(CHEAP, json!({"agent_ids": ["agent_trap"]}), denied),
        patch(CHEAP, json!({"subagents": {"agent_ids": ["agent_dear"]}}), denied),
        patch(CHEAP, json!({"model": {"$ne": ""}}), Some(("agent.model", "agent.model"))),
        // What is not touched counts too, and may be mended.
        patch("/api/agents/agent_dear", json!({"name": "n"}), denied),
        patch("/api/agents/agent_dear", json!({"model": "gpt-4o-mini"}), None),
        patch("/api/agents/agent_trap", json!({"name": "n"}), denied),
        patch("/api/agents/agent_trap", json!({"edges": []}), None),
        // In any spelling of the path.
        patch("/API/Agents/agent_cheap/", json!({"model": "o1"}), denied),
    ]
}

fn others() -> Vec<Row> {
    let post = |path, body: &str, refused| ("POST", path, body.to_owned(), refused);
    let (denied, elsewhere) = (Some(("policy.agent", LIST)), Some(("policy.agent", "unlisted.endpoint")));
    let parameters = Some(("agent.parameters", "agent.parameters"));
    let gone = Some(("agent.no-version", "agent.no-version"));
    const OLD: &str = "/api/agents/agent_old/revert";
    const RISEN: &str = "/api/agents/agent_risen/revert";
    vec![
        // D.8 17
        post(OLD, r#"{"version_index":0}"#, None),
        post(OLD, r#"{"version_index":1}"#, denied),
        post(OLD, r#"{"version_index":2}"#, elsewhere),
        post(OLD, r#"{"version_index":3}"#, parameters),
        post(OLD, r#"{"version_index":4}"#, denied),
        post(OLD, r#"{"version_index":5}"#, None),
        post(OLD, r#"{"version_index":6}"#, gone),
        post(OLD, r#"{"version_index":2147483647}"#, gone),
        // What a version does not say stays as it is.
        post(RISEN, r#"{"version_index":0}"#, None),
        post(RISEN, r#"{"version_index":1}"#, denied),
        post("/api/agents/agent_cheap/duplicate", "{}", None),
        post("/api/agents/agent_chain/duplicate", "", None),
        post("/api/agents/agent_dear/duplicate", "{}", denied),
        post("/api/agents/agent_trap/duplicate", "{}", denied),
        post("/api/agents/actions/agent_cheap", r#"{"functions":[],"metadata":{"domain":"x"}}"#, None),
        post("/api/agents/actions/agent_dear", r#"{"functions":[]}"#, denied),
        ("DELETE", "/api/agents/actions/agent_cheap/a", String::new(), None),
        ("DELETE", "/api/agents/actions/agent_trap/a", String::new(), denied),
        post("/api/files/images/agents/agent_cheap/avatar", "--x--\r\n", None),
        post("/api/files/images/agents/agent_dear/avatar", "--x--\r\n", denied),
        ("GET", "/api/agents/agent_cheap", String::new(), None),
        ("GET", "/api/agents/agent_dear", String::new(), denied),
        ("HEAD", "/api/agents/agent_dear", String::new(), denied),
        ("GET", "/api/agents/agent_trap/expanded", String::new(), denied),
        // Its end is everybody's who may edit it.
        ("DELETE", "/api/agents/agent_dear", String::new(), None),
    ]
}

#[tokio::test]
async fn every_writer_and_reader_is_held_to_their_own_policy() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        let rows: Vec<Row> = [creations(), changes(), others()].into_iter().flatten().collect();
        assert_eq!((rows.len(), rows.iter().filter(|row| row.3.is_some()).count()), (67, 45));
        for (number, (method, path, body, rule)) in rows.into_iter().enumerate() {
            let (mark, told) = (format!("row {number}"), format!("{method} {path} {body}"));
            world.stand_in.forget();
            let answer = ask(&world, "User", method, path, &mark, &body).await;
            let Some((public, rule)) = rule else {
                assert!(answer.status != 403 && answer.status != 502, "{told}: {}", answer.text());
                let reached = got(&world);
                assert_eq!(reached, [(method.to_owned(), path.to_owned(), body)], "{told}");
                continue;
            };
            let status = if public == "agent.no-version" { 404 } else { 403 };
            if method == "HEAD" {
                assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{told}");
            } else {
                refused(&answer, status, public, &told);
            }
            assert!(world.reached().is_empty(), "{told}: {:?}", world.reached());
            let entry = world.entry_from(&mark).await;
            assert_eq!((&entry["decision"], &entry["rules"]), (&json!("deny"), &json!([rule])), "{told}");
            assert_eq!(
                (&entry["action"], &entry["severity"]),
                (&json!("agents"), &json!(if status == 404 { "INFO" } else { "WARNING" })),
                "{told}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn librechat_receives_what_was_judged() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        let spelt = " { \"m\\u006fdel\" : \"gpt-4o-mini\" , \"x\" : 1.0e0 } ";
        for who in ["User", "Admin"] {
            world.stand_in.forget();
            ask(&world, who, "PATCH", "/api/agents/agent_cheap", who, spelt).await;
            let [seen] = world.reached().try_into().expect("one request");
            assert_eq!(&seen.body[..], br#"{"model":"gpt-4o-mini","x":1.0e0}"#, "{who}");
            assert_eq!(seen.headers["content-type"], "application/json; charset=utf-8");
            assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
            let entry = world.entry_from(who).await;
            assert_eq!((&entry["decision"], &entry["metadata"]["agent"]), (&json!("allow"), &json!("agent_cheap")));
            assert_eq!(entry["metadata"]["also"], json!(["openAI|gpt-4o-mini"]), "{who}");
            world.stand_in.forget();
            for (body, status, rule) in [
                (r#"{"model":"gpt-4o-mini","model":"o1"}"#, 400, "body-duplicate-key"),
                (r#"{"model":"gpt-4o-mini","mod\u0065l":"o1"}"#, 400, "body-duplicate-key"),
                (r#"{"model_parameters":{"temperature":1,"temperature":2}}"#, 400, "body-duplicate-key"),
                (r#"{"__proto__":{"model":"o1"}}"#, 400, "body-prototype-key"),
                (r#"{"$set":{"model":"o1"}}"#, 400, "body-sanitised-key"),
                (r#"{"model_parameters.modelKwargs":{}}"#, 400, "body-sanitised-key"),
                (r#"[{"model":"o1"}]"#, 400, "body-not-object"),
                (r#"{"model":"gpt-4o-mini"} {}"#, 400, "body-trailing"),
                ("", 415, "content-type"),
            ] {
                for (method, path) in [("PATCH", "/api/agents/agent_cheap"), ("POST", "/api/agents")] {
                    let answer = ask(&world, who, method, path, "x", body).await;
                    refused(&answer, status, rule, body);
                }
            }
            let answer = ask(&world, who, "PATCH", "/api/agents/agent%20x", "x", "{}").await;
            refused(&answer, 400, "select-agent", "a path");
            assert!(world.reached().is_empty(), "{:?}", world.reached());
        }
        // Who may use everything, may write everything, and hears from LibreChat what it thinks of it.
        for (method, path, body, _) in [creations(), changes(), others()].into_iter().flatten() {
            world.stand_in.forget();
            let answer = ask(&world, "Admin", method, path, "x", &body).await;
            assert!(answer.status != 403 && answer.status != 502, "{method} {path} {body}: {}", answer.text());
            let path = path.replace("/API/Agents/agent_cheap/", "/api/agents/agent_cheap");
            assert_eq!(got(&world), [(method.to_owned(), path, body)]);
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_not_written_by_those_who_may_not_use_everything() {
    with_mongod(async |mongod| {
        let world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        for (method, path, body) in [
            ("PATCH", "/api/agents/agent_gone", r#"{"model":"gpt-4o-mini","provider":"openAI"}"#),
            ("POST", "/api/agents/agent_gone/revert", r#"{"version_index":0}"#),
            ("POST", "/api/agents/agent_gone/duplicate", "{}"),
            ("GET", "/api/agents/agent_gone", ""),
        ] {
            world.stand_in.forget();
            refused(&ask(&world, "User", method, path, "x", body).await, 404, "agent.missing", path);
            assert!(world.reached().is_empty(), "{:?}", world.reached());
            ask(&world, "Admin", method, path, "x", body).await;
            assert_eq!(world.reached().len(), 1, "{path}");
        }
    })
    .await;
}

/// LibreChat's answer with this body.
fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let kind = "Content-Type: application/json; charset=utf-8\r\nETag: W/\"30d-x\"\r\nVary: Accept-Encoding\r\n";
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// A document as LibreChat answers it, with an earlier version of a dear model.
fn document(model: &str) -> Value {
    let version = |model: &str| {
        json!({"name": "Old", "provider": "openAI", "model": model, "model_parameters": {"temperature": 0.5}, "tools": [],
               "id": "agent_cheap", "createdAt": "2026-11-21T05:38:45.534Z", "updatedAt": "2026-11-21T05:38:45.534Z"})
    };
    json!({"_id": "6b012e6509cc968f8a929026", "id": "agent_cheap", "provider": "openAI", "model": model, "tools": [],
           "versions": [version("o1"), version("gpt-4o-mini"), version("o1")], "version": 3})
}

#[tokio::test]
async fn an_answer_shows_the_agent_and_no_version_that_is_denied() {
    let whole = document("gpt-4o-mini");
    let expected = {
        let mut shown = whole.clone();
        for place in [0, 2] {
            shown["versions"][place]
                .as_object_mut()
                .unwrap()
                .retain(|key, _| ["id", "name", "createdAt", "updatedAt"].contains(&key.as_str()));
        }
        shown
    };
    let (copy, pair) = (json!({"agent": whole, "actions": []}), json!([whole, {"action_id": "a"}]));
    let answers = [whole.to_string(), copy.to_string(), pair.to_string()];
    let upstream = Scripted::start(move |head| {
        // The conditions, ranges and encodings of the caller would make another answer of it.
        let asked = head.to_ascii_lowercase();
        if ["if-none-match", "range:", "gzip", "head /"].iter().any(|word| asked.contains(word)) {
            return answer("304 Not Modified", "", "");
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let body = if path.ends_with("duplicate") {
            &answers[1]
        } else if path.contains("actions") {
            &answers[2]
        } else {
            &answers[0]
        };
        answer(if head.starts_with("POST") { "201 Created" } else { "200 OK" }, "", body)
    });
    let upstream = upstream.await;
    with_mongod(async |mongod| {
        fill(mongod).await;
        let world = with_agents(POLICY, mongod, &mongod.uri).upstream(&upstream.url()).start().await;
        let bearer = world.bearer("User");
        let path = "/api/agents/agent_cheap";
        for (method, path, body) in [
            ("GET", path, ""),
            ("HEAD", path, ""),
            ("GET", "/api/agents/agent_cheap/expanded", ""),
            ("PATCH", path, r#"{"name":"n"}"#),
            ("POST", "/api/agents", r#"{"provider":"openAI","model":"gpt-4o-mini"}"#),
            ("POST", "/api/agents/agent_old/revert", r#"{"version_index":0}"#),
            ("POST", "/api/agents/agent_cheap/duplicate", "{}"),
            ("POST", "/api/agents/actions/agent_cheap", r#"{"functions":[]}"#),
            ("POST", "/api/files/images/agents/agent_cheap/avatar", "--x--\r\n"),
        ] {
            let kind = if path.ends_with("avatar") { "multipart/form-data; boundary=x" } else { "application/json" };
            let mut headers = vec![("authorization", bearer.as_str()), ("accept-encoding", "gzip, br")];
            headers.extend([("if-none-match", "W/\"30d-x\""), ("range", "bytes=0-10")]);
            headers.extend((!body.is_empty()).then_some(("content-type", kind)));
            let shown = request(world.addr, method.parse::<Method>().unwrap(), path, &headers, body.into()).await;
            let told = format!("{method} {path}: {:?} {}", shown.headers, shown.text());
            assert_eq!(shown.status, if method == "POST" { 201 } else { 200 }, "{told}");
            let agent = match path {
                _ if path.ends_with("duplicate") => json!({"agent": expected, "actions": []}),
                _ if path.contains("actions") => json!([expected, {"action_id": "a"}]),
                _ => expected.clone(),
            };
            assert_eq!(shown.text(), if method == "HEAD" { String::new() } else { agent.to_string() }, "{told}");
            assert_eq!(shown.header("content-length"), agent.to_string().len().to_string(), "{told}");
            assert_eq!((shown.header("etag"), shown.header("cache-control")), ("", "no-store"), "{told}");
            assert!(!told.contains("o1"), "{told}");
        }
        // Who may use everything gets LibreChat's own answer, with what it says about keeping it.
        let admin = world.bearer("Admin");
        let own = request(world.addr, Method::GET, path, &[("authorization", &admin)], "".into()).await;
        assert_eq!((own.json(), own.header("etag")), (document("gpt-4o-mini"), "W/\"30d-x\""));
        let condition = [("authorization", admin.as_str()), ("if-none-match", "W/\"30d-x\"")];
        assert_eq!(request(world.addr, Method::GET, path, &condition, "".into()).await.status, 304);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_nobody_judged_is_not_shown() {
    let turn = AtomicUsize::new(0);
    // Somebody was quicker, LibreChat lost it, or it is not LibreChat.
    let answers = [
        answer("200 OK", "", &document("o1").to_string()),
        answer(
            "200 OK",
            "",
            r#"{"id":"agent_cheap","provider":"openAI","model":"gpt-4o-mini","versions":{"0":{"model":"o1"}}}"#,
        ),
        answer("200 OK", "Content-Encoding: gzip\r\n", "o1"),
        answer("200 OK", "", "o1"),
        answer("302 Found", "Location: /o1\r\n", ""),
        answer("404 Not Found", "", r#"{"error":"Not Found","message":"agent not found"}"#),
    ];
    let upstream = Scripted::start(move |head| {
        if head.contains(" /health ") {
            return answer("200 OK", "", "OK");
        }
        answers[turn.fetch_add(1, Ordering::Relaxed) % answers.len()].clone()
    });
    let upstream = upstream.await;
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(POLICY, mongod, &mongod.uri).upstream(&upstream.url()).start().await;
        for (method, body) in [("GET", ""), ("PATCH", r#"{"name":"n"}"#)] {
            for (status, rule) in [
                (403, "agent.changed"),
                (502, "upstream.misshapen"),
                (502, "upstream.unreadable"),
                (502, "upstream.misshapen"),
                (502, "upstream.unreadable"),
            ] {
                let mark = format!("{method} {status} {rule} {}", uuid::Uuid::new_v4());
                let shown = ask(&world, "User", method, "/api/agents/agent_cheap", &mark, body).await;
                refused(&shown, status, rule, &mark);
                assert_eq!((shown.header("location"), shown.header("etag")), ("", ""), "{mark}");
                let entry = world.entry_from(&mark).await;
                let decision = if status == 403 { "deny" } else { "allow" };
                assert_eq!(
                    (&entry["decision"], &entry["details"]["response"]["status"]),
                    (&json!(decision), &json!(status))
                );
            }
            // It is gone since it was judged: LibreChat's own words.
            let gone = ask(&world, "User", method, "/api/agents/agent_cheap", "x", body).await;
            assert_eq!(
                (gone.status.as_u16(), &gone.json()["message"]),
                (404, &json!("agent not found")),
                "{}",
                gone.text()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_list_has_the_agents_that_may_be_used() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let world = with_agents(POLICY, mongod, &mongod.uri).start().await;
        put(mongod, "agent_test", doc! {"agent_ids": ["agent_dear"]}).await;
        let ids = |list: &Value| -> Vec<String> {
            list["data"].as_array().unwrap().iter().map(|agent| agent["id"].as_str().unwrap().to_owned()).collect()
        };
        let path = "/api/agents?requiredPermission=1";
        let list = ask(&world, "User", "GET", path, "x", "").await;
        let body = list.json();
        assert_eq!(ids(&body), ["agent_cheap"], "{body}");
        assert_eq!((&body["first_id"], &body["last_id"]), (&json!("agent_cheap"), &json!("agent_cheap")), "{body}");
        assert_eq!((&body["has_more"], &body["object"]), (&json!(false), &json!("list")), "{body}");
        assert_eq!((list.header("etag"), list.header("cache-control")), ("", "no-store"));
        let head = ask(&world, "User", "HEAD", path, "x", "").await;
        assert_eq!((head.header("content-length"), head.body.len()), (list.header("content-length"), 0));
        let whole = ask(&world, "Admin", "GET", path, "x", "").await.json();
        assert_eq!(ids(&whole), ["agent_cheap", "agent_test", "agent_dear"], "{whole}");
        put(mongod, "agent_test", doc! {"agent_ids": ["agent_cheap"]}).await;
        let body = ask(&world, "User", "GET", path, "x", "").await.json();
        assert_eq!(ids(&body), ["agent_cheap", "agent_test"], "as it is at this moment: {body}");
        assert_eq!((&body["first_id"], &body["last_id"]), (&json!("agent_cheap"), &json!("agent_test")), "{body}");
    })
    .await;
}

#[tokio::test]
async fn tools_that_may_not_be_used_are_not_offered_and_not_written() {
    let policy = POLICY.replace("  USER:\n", "  USER:\n    tools: { deny: [dalle] }\n");
    let manifest = json!([{"name": "Images", "pluginKey": "dalle"}, {"name": "Run", "pluginKey": "execute_code"}]);
    let text = manifest.to_string();
    let upstream = Scripted::start(move |_| answer("200 OK", "", &text)).await;
    with_mongod(async |mongod| {
        fill(mongod).await;
        let world = with_agents(&policy, mongod, &mongod.uri).upstream(&upstream.url()).start().await;
        let offered = ask(&world, "User", "GET", "/api/agents/tools", "x", "").await;
        assert_eq!(offered.json(), json!([{"name": "Run", "pluginKey": "execute_code"}]));
        assert_eq!(ask(&world, "Admin", "GET", "/api/agents/tools", "x", "").await.json(), manifest);
        // Skills can bring any tool with them.
        for body in [r#"{"tools":["execute_code","dalle"]}"#, r#"{"skills_enabled":true}"#] {
            let answer = ask(&world, "User", "PATCH", "/api/agents/agent_cheap", "x", body).await;
            refused(&answer, 403, "policy.agent", body);
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_with_a_denied_tool_is_missing_in_the_list_of_who_may_use_every_model() {
    let policy = POLICY.replace("  ADMIN:\n", "  ADMIN:\n    tools: { deny: [dalle] }\n");
    with_mongod(async |mongod| {
        fill(mongod).await;
        put(mongod, "agent_test", doc! {"tools": ["dalle"]}).await;
        let world = with_agents(&policy, mongod, &mongod.uri).start().await;
        let list = ask(&world, "Admin", "GET", "/api/agents", "x", "").await.json();
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|agent| agent["id"].clone()).collect();
        assert_eq!(ids, ["agent_cheap", "agent_dear"], "{list}");
    })
    .await;
}

/// LibreChat adds a tool `<function>_action_<domain>` for each function; the domain in its own spelling.
#[tokio::test]
async fn an_action_brings_no_tool_that_its_writer_may_not_use() {
    let policy = POLICY.replace("  USER:\n", "  USER:\n    tools: { deny: [\"pay_*\", \"*_action_pay---me\"] }\n");
    let action = |functions: Value, domain: &str| {
        json!({"functions": functions, "metadata": {"domain": domain, "raw_spec": "{}"}}).to_string()
    };
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(&policy, mongod, &mongod.uri).start().await;
        let path = "/api/agents/actions/agent_cheap";
        for (body, rule) in [
            (action(json!([function("look_up")]), "https://a.test"), None),
            (action(json!([function("look_up"), function("pay_all")]), "https://a.test"), Some("policy.agent")),
            (action(json!([function("look_up")]), "https://pay.me/path"), Some("policy.agent")),
            (action(json!([function("look_up")]), "pay.me"), Some("policy.agent")),
            (action(json!([{"function": {"name": ["pay_all"]}}]), "https://a.test"), Some("select-action")),
            (action(json!({"0": function("pay_all")}), "https://a.test"), Some("select-action")),
            (
                json!({"functions": [function("look_up")], "metadata": {"domain": ["pay.me"]}}).to_string(),
                Some("select-action"),
            ),
        ] {
            world.stand_in.forget();
            let answer = ask(&world, "User", "POST", path, &body, &body).await;
            let Some(rule) = rule else {
                assert_eq!(got(&world), [("POST".to_owned(), path.to_owned(), body)], "{}", answer.text());
                continue;
            };
            refused(&answer, if rule == "policy.agent" { 403 } else { 400 }, rule, &body);
            assert!(world.reached().is_empty(), "{body}: {:?}", world.reached());
            if rule == "policy.agent" {
                assert_eq!(
                    world.entry("the refusal", |entry| entry["decision"] == "deny").await["rules"],
                    json!(["roles.USER.tools.deny"])
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn lists_of_agents_hold_for_writing_and_reading_too() {
    let policy = POLICY.replace("      openAI:", "      agents: { deny: [agent_cheap] }\n      openAI:");
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(&policy, mongod, &mongod.uri).start().await;
        for (method, body) in [("GET", ""), ("PATCH", r#"{"name":"n"}"#)] {
            let answer = ask(&world, "User", method, "/api/agents/agent_cheap", method, body).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (403, &json!("policy.agent")), "{method}");
            assert_eq!(
                world.entry_from(method).await["rules"],
                json!(["roles.USER.endpoints.agents.deny"]),
                "{method}"
            );
        }
        let made = json!({"provider": "openAI", "model": "gpt-4o-mini"}).to_string();
        assert_ne!(ask(&world, "User", "POST", "/api/agents", "x", &made).await.status, 403);
        let list = ask(&world, "User", "GET", "/api/agents", "x", "").await.json();
        assert!(!list.to_string().contains("agent_cheap"), "{list}");
    })
    .await;
}

#[tokio::test]
async fn in_shadow_mode_everything_is_written_shown_and_recorded() {
    let shadow = POLICY.replace("mode: enforce", "mode: shadow");
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_agents(&shadow, mongod, &mongod.uri).start().await;
        for (method, path, body) in [
            ("GET", "/api/agents/agent_dear", ""),
            ("PATCH", "/api/agents/agent_cheap", r#"{"model":"o1"}"#),
            ("POST", "/api/agents/agent_old/revert", r#"{"version_index":1}"#),
        ] {
            world.stand_in.forget();
            ask(&world, "User", method, path, path, body).await;
            assert_eq!(got(&world), [(method.to_owned(), path.to_owned(), body.to_owned())]);
            let entry = world.entry_from(path).await;
            assert_eq!((&entry["decision"], &entry["rules"]), (&json!("shadow"), &json!([LIST])), "{path}");
        }
        let list = ask(&world, "User", "GET", "/api/agents", "x", "").await.json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(3), "{list}");
    })
    .await;
}
