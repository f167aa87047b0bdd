//! The remote-agent API: programs with a key of LibreChat's, judged as the owner of the key is in a chat.

use http::Method;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tollgate::demo::{Call, RemoteKey, StoredAgent};

use crate::POLICY;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};
use crate::support::{Answer, get, post_json, request};
use crate::world::{Plan, World};

mod shown;
mod wire;

const USER: &str = "6b012e4109cc968f8a928bce";
const ADMIN: &str = "6b012e4109cc968f8a928bc1";
/// Nobody's id.
const GONE: &str = "6b0000000000000000000000";

/// A user's key, and others.
pub(crate) const KEY: &str = "sk-00000000000000000000000000000000000000000000000000000000000000a1";
const ADMINS_KEY: &str = "sk-00000000000000000000000000000000000000000000000000000000000000a2";
const OLD_KEY: &str = "sk-00000000000000000000000000000000000000000000000000000000000000a3";
const ORPHANS_KEY: &str = "sk-00000000000000000000000000000000000000000000000000000000000000a4";
/// The one key that LibreChat has and its database, as Tollgate sees it, does not.
const FOREIGN_KEY: &str = "sk-00000000000000000000000000000000000000000000000000000000000000a5";

const COMPLETIONS: &str = "/api/agents/v1/chat/completions";
const RESPONSES: &str = "/api/agents/v1/responses";
const MODELS: &str = "/api/agents/v1/models";

/// LibreChat with agents and keys, for captured people: users may have `gpt-4o-mini` and `mindroom-basic`.
pub(crate) fn with_keys(policy: &str, mongod: &Mongod, uri: &str) -> Plan {
    with_directory(policy, mongod, uri).librechat(|options| {
        let agent = |id: &str, provider: &str, model: &str| StoredAgent {
            id: id.to_owned(),
            name: format!("The {id}"),
            provider: provider.to_owned(),
            model: model.to_owned(),
            author: USER.to_owned(),
        };
        options.agents = vec![
            agent("agent_dear", "openAI", "o1"),
            agent("agent_cheap", "openAI", "gpt-4o-mini"),
            agent("agent_test", "openAI", "gpt-4o-mini"),
            agent("agent_room", "MindRoom", "mindroom-basic"),
        ];
        let key = |key: &str, user: &str| RemoteKey { key: key.to_owned(), user: user.to_owned() };
        options.keys = vec![
            key(KEY, USER),
            key(ADMINS_KEY, ADMIN),
            key(OLD_KEY, USER),
            key(ORPHANS_KEY, USER),
            key(FOREIGN_KEY, USER),
        ];
    })
}

/// The keys as LibreChat stores them, and the agents that the stand-in has.
pub(crate) async fn fill(mongod: &Mongod) {
    let past = DateTime::from_millis(DateTime::now().timestamp_millis() - 1_000);
    for (key, user, expires) in
        [(KEY, USER, None), (ADMINS_KEY, ADMIN, None), (OLD_KEY, USER, Some(past)), (ORPHANS_KEY, GONE, None)]
    {
        put_key(mongod, key, user, expires).await;
    }
    put(mongod, "agent_dear", doc! {"model": "o1"}).await;
    put(mongod, "agent_cheap", doc! {}).await;
    put(mongod, "agent_test", doc! {}).await;
    put(mongod, "agent_room", doc! {"provider": "MindRoom", "model": "mindroom-basic"}).await;
}

pub(crate) async fn put_key(mongod: &Mongod, key: &str, user: &str, expires: Option<DateTime>) {
    let hash = Sha256::digest(key).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let prefix: String = key.chars().take(8).collect();
    let mut document = doc! {
        "userId": ObjectId::parse_str(user).expect("an id"), "name": "test", "keyHash": hash, "keyPrefix": prefix,
    };
    if let Some(expires) = expires {
        document.insert("expiresAt", expires);
    }
    mongod.librechat.collection::<Document>("agentapikeys").insert_one(document).await.expect("a stored key");
}

/// An agent that runs `gpt-4o-mini`, with more fields, or others.
async fn put(mongod: &Mongod, id: &str, fields: Document) {
    let mut document = doc! {"provider": "openAI", "model": "gpt-4o-mini", "tools": []};
    document.extend(fields);
    document.insert("id", id);
    mongod.put_agent(document).await;
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

fn run(agent: &str) -> Value {
    json!({"model": agent, "messages": [{"role": "user", "content": "hi"}], "input": "hi"})
}

async fn ask(world: &World, key: &str, path: &str, body: &Value, mark: &str) -> Answer {
    let bearer = bearer(key);
    post_json(world.addr, path, &[("authorization", &bearer), ("user-agent", mark)], body).await
}

fn called(world: &World) -> Vec<String> {
    world.stand_in.calls().into_iter().map(|Call { endpoint, model, .. }| format!("{endpoint}|{model}")).collect()
}

/// Refused in OpenAI's shape: status, type, code, rule.
fn refused(answer: &Answer, status: u16, kind: &str, code: &str, rule: &str) {
    let body = answer.json();
    let error = &body["error"];
    let told = [&error["type"], &error["code"], &error["rule"]].map(|member| member.as_str().unwrap_or_default());
    assert_eq!((answer.status.as_u16(), told), (status, [kind, code, rule]), "{body}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert!(error.as_object().is_some_and(|error| error["param"].is_null()), "{body}");
}

fn denied(answer: &Answer, rule: &str) {
    refused(answer, 403, "permission_error", "model_not_allowed", rule);
}

#[tokio::test]
async fn an_agent_of_allowed_models_answers_and_is_recorded_without_the_key() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        put(mongod, "agent_cheap", doc! {"edges": [{"from": "agent_cheap", "to": "agent_room"}]}).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        for (path, text) in [
            (COMPLETIONS, "/choices/0/message/content"),
            (RESPONSES, "/output/0/content/0/text"),
            ("/API/Agents/V1/Responses/", "/output/0/content/0/text"),
        ] {
            world.stand_in.forget();
            let body = " { \"model\" : \"agent_\\u0063heap\", \"messages\":[], \"input\":\"[[words=3]]\" } ";
            let bearer = bearer(KEY);
            let headers = [
                ("authorization", bearer.as_str()),
                ("user-agent", path),
                ("content-type", "application/json"),
                ("accept-encoding", "gzip, br"),
                ("x-tenant-id", "other"),
            ];
            let answer = request(world.addr, Method::POST, path, &headers, body.into()).await;
            let said = answer.json();
            assert_eq!(answer.status, 200, "{said}");
            assert!(said.pointer(text).and_then(Value::as_str).is_some_and(|said| said.starts_with("[gpt-4o-mini]")));
            assert_eq!(called(&world), ["openAI|gpt-4o-mini"]);
            let seen = world.reached().remove(0);
            assert_eq!(seen.body, r#"{"model":"agent_cheap","messages":[],"input":"[[words=3]]"}"#);
            assert!(seen.target == COMPLETIONS || seen.target == RESPONSES, "{}", seen.target);
            assert_eq!(seen.headers["authorization"], bearer.as_str());
            assert_eq!(seen.headers["accept-encoding"], "identity");
            assert!(!seen.headers.contains_key("x-tenant-id"), "CONTRACT.md D.8, 22");

            let entry = world.entry_from(path).await;
            assert_eq!((&entry["action"], &entry["decision"]), (&json!("remote.run"), &json!("allow")));
            assert_eq!((&entry["userId"], &entry["role"]), (&json!(USER), &json!("USER")));
            assert_eq!(entry["keyId"].as_str().map(str::len), Some(24), "{entry}");
            let models = json!(["openAI|gpt-4o-mini", "MindRoom|mindroom-basic"]);
            assert_eq!((&entry["metadata"]["agent"], &entry["metadata"]["also"]), (&json!("agent_cheap"), &models));
            let lists = ["roles.USER.endpoints.openAI.models", "roles.USER.endpoints.custom.MindRoom.models"];
            assert_eq!(entry["rules"], json!(["remote_api.enabled", "agents", lists[0], lists[1]]));
            let request = entry["requestId"].clone();
            let of = |entry: &Value| entry["kind"] == "usage" && entry["requestId"] == request;
            let usage = world.entry("its use", of).await;
            assert_eq!((&usage["endpoint"], &usage["model"]), (&json!("agents"), &json!("gpt-4o-mini")));
            assert_eq!((&usage["agent"], &usage["models"]), (&json!("agent_cheap"), &models));
            assert_eq!((&usage["outcome"], &usage["status"]), (&json!("started"), &json!(200)));
        }
        let everything = format!("{:?}{}", world.entries(), world.log());
        let hash = Sha256::digest(KEY).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        for secret in [KEY, "00000000a1", hash.as_str()] {
            assert!(!everything.contains(secret), "{secret} is written down");
        }
    })
    .await;
}

/// CONTRACT.md D.8, 16, and its neighbours.
#[tokio::test]
async fn one_member_that_is_denied_refuses_the_agent() {
    const LIST: &str = "roles.USER.endpoints.openAI.models";
    const UNLISTED: &str = "unlisted.endpoint";
    let parameters = |key: &str, value: Bson| doc! {"model_parameters": {key: value}};
    let cases: Vec<(Document, &str, &str)> = vec![
        (doc! {"model": "o1"}, LIST, "openAI|o1"),
        (doc! {"provider": "OPENAI", "model": "o1"}, LIST, "openAI|o1"),
        (doc! {"provider": "Anthropic", "model": "claude-opus-4-8"}, UNLISTED, "anthropic|claude-opus-4-8"),
        (doc! {"provider": "vertexai", "model": "gemini-2.5-pro"}, UNLISTED, "google|gemini-2.5-pro"),
        (doc! {"provider": "VERTEXAI", "model": "gpt-4o-mini"}, UNLISTED, "google|gpt-4o-mini"),
        (doc! {"provider": "Bedrock", "model": "gpt-4o-mini"}, UNLISTED, "bedrock|gpt-4o-mini"),
        (doc! {"provider": "xai", "model": "grok"}, UNLISTED, "xai|grok"),
        (doc! {"edges": [{"from": "agent_test", "to": ["agent_dear"]}]}, LIST, "openAI|o1"),
        (doc! {"edges": [{"from": ["agent_dear"], "to": "agent_test"}]}, LIST, "openAI|o1"),
        (doc! {"agent_ids": ["agent_dear"]}, LIST, "openAI|o1"),
        (doc! {"subagents": {"enabled": true, "agent_ids": ["agent_dear"]}}, LIST, "openAI|o1"),
        (parameters("modelKwargs", doc! {"model": "gpt-5-pro"}.into()), "agent.parameters", "modelKwargs"),
        (parameters("fallbacks", vec![doc! {"provider": "openAI"}].into()), "agent.parameters", "fallbacks"),
        (doc! {"provider": "agents"}, "agent.provider", "provider agents"),
        (doc! {"model": Bson::Null}, "agent.model", "model is not"),
    ];
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        for (number, (fields, rule, told)) in cases.into_iter().enumerate() {
            put(mongod, "agent_test", fields.clone()).await;
            for path in [COMPLETIONS, RESPONSES] {
                let mark = format!("case {number} {path}");
                let answer = ask(&world, KEY, path, &run("agent_test"), &mark).await;
                denied(&answer, if rule.starts_with("agent.") { rule } else { "policy.agent" });
                for hidden in ["gpt-4o", "o1", "openAI", "nthropic", "claude", "agent_dear", "roles."] {
                    assert!(!answer.text().contains(hidden), "{hidden} is told: {}", answer.text());
                }
                let entry = world.entry_from(&mark).await;
                assert_eq!((&entry["decision"], &entry["rules"]), (&json!("deny"), &json!([rule])), "{fields}");
                assert_eq!((&entry["userId"], &entry["metadata"]["agent"]), (&json!(USER), &json!("agent_test")));
                let error = entry["details"]["error"].as_str().expect("the reason");
                assert!(error.contains(told), "{fields}: {error}");
            }
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        // What LibreChat would run without a look at it is for those who may use everything.
        put(mongod, "agent_test", doc! {"provider": "Anthropic", "model": "claude-opus-4-8"}).await;
        assert_eq!(ask(&world, ADMINS_KEY, COMPLETIONS, &run("agent_test"), "x").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn who_has_no_good_key_is_refused_in_librechats_words() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        let jwt = world.bearer("User");
        let (key, old, orphan, foreign) = (bearer(KEY), bearer(OLD_KEY), bearer(ORPHANS_KEY), bearer(FOREIGN_KEY));
        let (lower, twice) = (key.replace("Bearer", "bearer"), format!("{key}, {key}"));
        let cases: [(&[&str], &str, &str); 10] = [
            (&[], "missing_api_key", "identity.missing"),
            (&[&lower], "missing_api_key", "identity.missing"),
            (&["Basic dXNlcjprZXk="], "missing_api_key", "identity.missing"),
            (&[&jwt], "invalid_api_key", "identity.not-a-key"),
            (&["Bearer sk-nope"], "invalid_api_key", "identity.unknown-key"),
            (&[&foreign], "invalid_api_key", "identity.unknown-key"),
            (&[&old], "invalid_api_key", "identity.expired-key"),
            (&[&orphan], "invalid_api_key", "identity.no-user"),
            (&[&key, &key], "invalid_api_key", "identity.malformed"),
            (&[&twice], "invalid_api_key", "identity.malformed"),
        ];
        let routes = [
            (Method::POST, COMPLETIONS),
            (Method::POST, RESPONSES),
            (Method::GET, MODELS),
            (Method::GET, "/api/agents/v1/models/agent_cheap"),
            (Method::GET, "/api/agents/v1/responses/models"),
            (Method::GET, "/api/agents/v1/responses/resp_1"),
        ];
        for (number, (values, code, rule)) in cases.into_iter().enumerate() {
            for (method, path) in routes.clone() {
                let mark = format!("{number} {method} {path}");
                let mut headers = vec![("user-agent", mark.as_str()), ("content-type", "application/json")];
                headers.extend(values.iter().map(|value| ("authorization", *value)));
                let body = if method == Method::POST { run("agent_cheap").to_string() } else { String::new() };
                let answer = request(world.addr, method.clone(), path, &headers, body.into()).await;
                refused(&answer, 401, "invalid_request_error", code, rule);
                let entry = world.entry_from(&mark).await;
                assert_eq!((&entry["rules"], &entry["severity"]), (&json!([rule]), &json!("WARNING")), "{mark}");
            }
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        let captured = "Missing or invalid Authorization header. Expected: Bearer <api_key>";
        assert_eq!(get(world.addr, MODELS, &[]).await.json()["error"]["message"], captured);
        let bad = get(world.addr, MODELS, &[("authorization", "Bearer sk-nope")]).await;
        assert_eq!(bad.json()["error"]["message"], "Invalid API key");
        // A key is good for the remote API alone, and managing keys is for people.
        for path in ["/api/models", "/api/api-keys", "/api/agents"] {
            assert_eq!(get(world.addr, path, &[("authorization", &key)]).await.status, 401, "{path}");
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        get(world.addr, "/api/api-keys", &[("authorization", &jwt)]).await;
        assert_eq!(world.reached().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn bodies_that_cannot_be_judged_are_refused_in_openais_shape() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        let key = bearer(KEY);
        let json_type = "application/json";
        for (number, (kind, body, status, code, rule)) in [
            (json_type, r#"{"messages":[]}"#, 400, "missing_model", "select-model-missing"),
            (json_type, r#"{"model":["agent_cheap"]}"#, 400, "select-model", "select-model"),
            (json_type, r#"{"model":{"$ne":null}}"#, 400, "select-model", "select-model"),
            (
                json_type,
                r#"{"model":"agent_cheap","model":"agent_dear"}"#,
                400,
                "body-duplicate-key",
                "body-duplicate-key",
            ),
            (
                json_type,
                r#"{"model":"agent_cheap","stream":"yes"}"#,
                400,
                "select-remote-member",
                "select-remote-member",
            ),
            (
                json_type,
                r#"{"model":"agent_cheap","previous_response_id":{"$gt":""}}"#,
                400,
                "select-remote-member",
                "select-remote-member",
            ),
            (json_type, r#"{"model":"agent_cheap""#, 400, "body-not-json", "body-not-json"),
            (json_type, r#"["agent_cheap"]"#, 400, "body-not-object", "body-not-object"),
            ("application/x-www-form-urlencoded", "model=agent_cheap", 415, "content-type", "content-type"),
            ("application/json; charset=utf-16le", r#"{"model":"agent_cheap"}"#, 415, "content-type", "content-type"),
        ]
        .into_iter()
        .enumerate()
        {
            for path in [COMPLETIONS, RESPONSES] {
                let mark = format!("body {number} {path}");
                let headers = [("authorization", key.as_str()), ("content-type", kind), ("user-agent", mark.as_str())];
                let answer = request(world.addr, Method::POST, path, &headers, body.into()).await;
                refused(&answer, status, "invalid_request_error", code, rule);
                assert_eq!(world.entry_from(&mark).await["rules"], json!([rule]), "{body}");
            }
        }
        let large = json!({"model": "agent_cheap", "input": "x".repeat(3_300_000)});
        let answer = ask(&world, KEY, RESPONSES, &large, "x").await;
        refused(&answer, 413, "invalid_request_error", "body-too-large", "body-too-large");
        // A name that no agent has, and a model's own name (captures 300 and 302): LibreChat's status and code.
        for name in ["agent_gone", "gpt-4o", "gpt-4o-mini"] {
            let answer = ask(&world, KEY, COMPLETIONS, &run(name), "x").await;
            refused(&answer, 404, "invalid_request_error", "model_not_found", "agent.missing");
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        let answer = ask(&world, ADMINS_KEY, COMPLETIONS, &run("gpt-4o"), "x").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
        assert_eq!(world.reached().len(), 1, "whom nothing limits hears LibreChat itself");
    })
    .await;
}

#[tokio::test]
async fn a_policy_can_close_it_and_limit_tools_in_it() {
    let closed = format!("{POLICY}\nremote_api: {{ enabled: false }}\n");
    let tools = POLICY.replace("  USER:\n", "  USER:\n    tools: { deny: [skills, \"*_mcp_github\"] }\n");
    with_mongod(async |mongod| {
        fill(mongod).await;
        let world = with_keys(&closed, mongod, &mongod.uri).start().await;
        for key in [KEY, ADMINS_KEY] {
            denied(&ask(&world, key, COMPLETIONS, &run("agent_cheap"), "x").await, "remote_api.enabled");
            for path in [MODELS, "/api/agents/v1/models/agent_cheap", "/api/agents/v1/responses/resp_1"] {
                denied(&get(world.addr, path, &[("authorization", &bearer(key))]).await, "remote_api.enabled");
            }
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());

        put(mongod, "agent_test", doc! {"tools": ["search_mcp_github"]}).await;
        let world = with_keys(&tools, mongod, &mongod.uri).start().await;
        denied(&ask(&world, KEY, COMPLETIONS, &run("agent_test"), "x").await, "policy.agent");
        for more in [json!({"ephemeralAgent": {"skills": true}}), json!({"manualSkills": ["a"]})] {
            let mut body = run("agent_cheap");
            body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            denied(&ask(&world, KEY, COMPLETIONS, &body, "x").await, "roles.USER.tools.deny");
        }
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        assert_eq!(ask(&world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn in_shadow_mode_everything_goes_on_that_librechat_might_accept() {
    let shadow = POLICY.replace("mode: enforce", "mode: shadow");
    with_mongod(async |mongod| {
        fill(mongod).await;
        let mut world = with_keys(&shadow, mongod, &mongod.uri).start().await;
        assert_eq!(ask(&world, KEY, COMPLETIONS, &run("agent_dear"), "dear").await.status, 200);
        assert_eq!(called(&world), ["openAI|o1"]);
        let entry = world.entry_from("dear").await;
        let rules = json!(["roles.USER.endpoints.openAI.models"]);
        assert_eq!((&entry["decision"], &entry["rules"]), (&json!("shadow"), &rules));
        let all = get(world.addr, MODELS, &[("authorization", &bearer(KEY))]).await.json();
        assert_eq!(all["data"].as_array().map(Vec::len), Some(4), "{all}");
        // An identity provider's token may be one that LibreChat takes here. This LibreChat does not.
        world.stand_in.forget();
        let headers = [("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.x"), ("user-agent", "federated")];
        let answer = get(world.addr, MODELS, &headers).await;
        assert_eq!((answer.status.as_u16(), world.reached().len()), (401, 1), "{}", answer.text());
        let entry = world.entry_from("federated").await;
        assert_eq!((&entry["decision"], &entry["rules"]), (&json!("shadow"), &json!(["identity.not-a-key"])));
        // A key that nobody has is nobody's in any mode.
        let unknown = get(world.addr, MODELS, &[("authorization", "Bearer sk-nope")]).await;
        refused(&unknown, 401, "invalid_request_error", "invalid_api_key", "identity.unknown-key");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_good_for_seconds_at_most() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let plan = with_keys(POLICY, mongod, &mongod.uri).settings("identity: { cache: 1s }");
        let mut world = plan.start().await;
        let status = async |world: &World| ask(world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await.status.as_u16();
        assert_eq!(status(&world).await, 200);
        let keys = mongod.librechat.collection::<Document>("agentapikeys");
        keys.delete_many(doc! {"userId": ObjectId::parse_str(USER).expect("an id")}).await.expect("deleted");
        world.until("the key is unknown", async |world| status(world).await == 401).await;
    })
    .await;
}
