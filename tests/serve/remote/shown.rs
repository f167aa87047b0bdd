//! What the remote-agent API shows: lists of agents, single ones, stored answers.

use bytes::Bytes;
use http::Method;
use mongodb::bson::doc;
use serde_json::{Value, json};

use super::{ADMINS_KEY, KEY, MODELS, USER, bearer, fill, put, refused, with_keys};
use crate::POLICY;
use crate::fake::Fake;
use crate::mongod::with_mongod;
use crate::support::{get, request};

#[tokio::test]
async fn agents_that_may_not_be_used_are_not_shown() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        put(mongod, "agent_test", doc! {"agent_ids": ["agent_dear"]}).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        let key = bearer(KEY);
        let headers = [
            ("authorization", key.as_str()),
            ("accept-encoding", "gzip, br"),
            ("if-none-match", "*"),
            ("range", "bytes=0-10"),
            ("x-tenant-id", "other"),
        ];
        for path in [MODELS, "/api/agents/v1/responses/models", "/API/agents/V1/models/"] {
            world.stand_in.forget();
            let answer = get(world.addr, path, &headers).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let list = answer.json();
            let ids: Vec<_> =
                list["data"].as_array().expect("a list").iter().map(|entry| entry["id"].clone()).collect();
            assert_eq!(ids, ["agent_cheap", "agent_room"], "{list}");
            assert_eq!(list["data"][1]["provider"], "MindRoom");
            for gone in ["etag", "last-modified", "content-encoding", "accept-ranges"] {
                assert_eq!(answer.header(gone), "", "{gone}");
            }
            assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Authorization"));
            let head = request(world.addr, Method::HEAD, path, &headers, Bytes::new()).await;
            assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
            assert_eq!(head.header("content-length"), answer.body.len().to_string());
            for seen in world.reached() {
                for gone in ["x-tenant-id", "if-none-match", "range"] {
                    assert!(!seen.headers.contains_key(gone), "{gone} has reached LibreChat");
                }
                assert_eq!(
                    (seen.method, &seen.headers["accept-encoding"]),
                    (Method::GET, &"identity".parse().unwrap())
                );
            }
        }
        let all = get(world.addr, MODELS, &[("authorization", &bearer(ADMINS_KEY))]).await.json();
        assert_eq!(all["data"].as_array().map(Vec::len), Some(4), "{all}");

        world.stand_in.forget();
        for (agent, rule) in [
            ("agent_dear", "roles.USER.endpoints.openAI.models"),
            ("agent_test", "roles.USER.endpoints.openAI.models"),
            ("agent_gone", "agent.missing"),
            ("agent%20cheap", "agent.missing"),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let mark = format!("{method} {agent}");
                let headers = [("authorization", key.as_str()), ("user-agent", mark.as_str())];
                let path = format!("{MODELS}/{agent}");
                let answer = request(world.addr, method.clone(), &path, &headers, Bytes::new()).await;
                if method == Method::GET {
                    refused(&answer, 404, "invalid_request_error", "model_not_found", "agent.missing");
                }
                assert_eq!(answer.status, 404, "{mark}");
                let entry = world.entry_from(&mark).await;
                assert_eq!((&entry["rules"], &entry["decision"]), (&json!([rule]), &json!("deny")), "{mark}");
            }
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        let one = get(world.addr, "/api/agents/v1/models/agent_cheap", &headers).await;
        assert_eq!((one.status.as_u16(), &one.json()["id"]), (200, &json!("agent_cheap")));
        assert_eq!((one.header("etag"), one.header("cache-control")), ("", "no-store"));
        let entry = world.entry("the entry of a list", |entry| entry["action"] == "remote.models").await;
        assert_eq!((&entry["userId"], &entry["decision"]), (&json!(USER), &json!("allow")));
    })
    .await;
}

#[tokio::test]
async fn who_may_use_every_model_is_not_shown_an_agent_with_a_denied_tool() {
    let policy = POLICY.replace("  ADMIN:\n", "  ADMIN:\n    tools: { deny: [dalle] }\n");
    with_mongod(async |mongod| {
        fill(mongod).await;
        put(mongod, "agent_test", doc! {"tools": ["dalle"]}).await;
        put(mongod, "agent_room", doc! {"agent_ids": ["agent_test"]}).await;
        let world = with_keys(&policy, mongod, &mongod.uri).start().await;
        let key = bearer(ADMINS_KEY);
        let headers = [("authorization", key.as_str())];
        let list = get(world.addr, MODELS, &headers).await.json();
        let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|entry| entry["id"].clone()).collect();
        assert_eq!(ids, ["agent_dear", "agent_cheap"], "{list}");
        world.stand_in.forget();
        for agent in ["agent_test", "agent_room"] {
            let answer = get(world.addr, &format!("{MODELS}/{agent}"), &headers).await;
            refused(&answer, 404, "invalid_request_error", "model_not_found", "agent.missing");
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        assert_eq!(get(world.addr, &format!("{MODELS}/agent_dear"), &headers).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_passed_on() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        for (answer, rule) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n[\"agent_cheap\"]", "upstream.misshapen"),
            ("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\n{}", "upstream.unreadable"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"id\":\"agent_dear\"}", "upstream.misshapen"),
        ] {
            let fake = Fake::says(answer).await;
            let world = with_keys(POLICY, mongod, &mongod.uri).upstream(&fake.url()).start().await;
            for path in [MODELS, "/api/agents/v1/models/agent_cheap"] {
                let shown = get(world.addr, path, &[("authorization", &bearer(KEY))]).await;
                refused(&shown, 502, "server_error", rule, rule);
                assert!(!shown.text().contains("agent_dear"), "{}", shown.text());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_stored_answer_is_asked_for_with_a_good_key() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        let key = bearer(KEY);
        let headers = [("authorization", key.as_str()), ("user-agent", "stored")];
        let answer = get(world.addr, "/api/agents/v1/responses/resp_1", &headers).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["rule"]), (404, &Value::Null), "LibreChat's own");
        assert_eq!(world.reached().len(), 1);
        assert_eq!(world.entry_from("stored").await["action"], "remote.answer");
    })
    .await;
}
