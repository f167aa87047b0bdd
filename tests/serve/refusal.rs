//! Chat turns that the policy refuses and ones that it allows: what the caller, LibreChat and the record see of each.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate::demo::{Call, ModelSpec, ModelSpecs, StandInOptions, StoredAgent};

use crate::POLICY;
use crate::support::{Answer, get, open, post_json, request};
use crate::world::{Plan, World};

const CHAT: &str = "/api/agents/chat";

/// The body of a turn as the web client sends it, as far as it matters.
fn turn(endpoint: &str, model: &str) -> Value {
    let kind = if endpoint == "MindRoom" { json!("custom") } else { Value::Null };
    json!({"text": "hello", "endpoint": endpoint, "endpointType": kind, "model": model, "conversationId": null,
           "parentMessageId": "00000000-0000-0000-0000-000000000000", "messageId": "m1", "isTemporary": false})
}

/// The same with more members.
fn turn_with(endpoint: &str, model: &str, more: Value) -> Value {
    let mut body = turn(endpoint, model);
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

fn agent_turn(id: &str) -> Value {
    json!({"text": "hello", "endpoint": "agents", "agent_id": id, "conversationId": null})
}

async fn say(world: &World, who: &str, body: &Value) -> Answer {
    let bearer = world.bearer(who);
    let headers = [("authorization", bearer.as_str()), ("user-agent", "a browser")];
    post_json(world.addr, &format!("{CHAT}/{}", body["endpoint"].as_str().unwrap_or("x")), &headers, body).await
}

/// The models that LibreChat would have called, in order.
fn called(world: &World) -> Vec<String> {
    world.stand_in.calls().into_iter().map(|Call { endpoint, model, .. }| format!("{endpoint}|{model}")).collect()
}

/// The turn was taken: LibreChat named a stream.
fn assert_started(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("started")), "{}", answer.text());
}

/// The turn was refused for this model and by this rule, in the form that the web client shows.
fn assert_denied(answer: &Answer, info: &str, rule: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 403, "{text}");
    let start = format!(r#"{{"type":"illegal_model_request","info":{},"#, json!(info));
    assert!(text.starts_with(&start), "{text}");
    let body = answer.json();
    assert_eq!(body["rule"], rule, "{text}");
    assert!(body["request_id"].as_str().is_some_and(|id| id.len() == 36), "{text}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
    assert_eq!(body.get("code"), None, "a code would win over the type: {text}");
    assert_eq!(text.matches(['{', '}']).count(), 2, "the client counts braces: {text}");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
}

fn dear_agent(options: &mut StandInOptions) {
    options.agents.push(StoredAgent {
        id: "agent_dear".to_owned(),
        name: "Helper".to_owned(),
        provider: "openAI".to_owned(),
        model: "o1".to_owned(),
        author: String::new(),
    });
}

fn with_specs(policy: &str, enforce: bool) -> Plan {
    let spec = |name: &str, endpoint: &str, model: &str| ModelSpec {
        name: name.to_owned(),
        label: name.to_owned(),
        endpoint: endpoint.to_owned(),
        model: model.to_owned(),
        ..ModelSpec::default()
    };
    let list = vec![spec("quick", "openAI", "gpt-4o-mini"), spec("dear", "openAI", "gpt-4o")];
    World::with(policy).librechat(|options| options.model_specs = Some(ModelSpecs { enforce, prioritize: false, list }))
}

#[tokio::test]
async fn a_forbidden_model_is_refused_before_librechat_hears_of_it() {
    let mut world = World::with(POLICY).start().await;
    let body = turn_with("openAI", "gpt-4o", json!({"text": "a-secret-prompt"}));
    let answer = say(&world, "Bob", &body).await;
    assert_denied(&answer, "openAI|gpt-4o", "roles.USER.endpoints.openAI.models");
    let message = "You do not have access to gpt-4o. Ask the help desk to add you to the group premium-openai.";
    assert_eq!(answer.json()["message"], message);
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    assert_eq!(called(&world), [""; 0]);

    let entry = world.entry_of(&answer.json()).await;
    assert_eq!(entry["userId"], world.person("Bob").id.as_str());
    assert_eq!(entry["role"], "USER");
    assert_eq!(entry["action"], "chat.turn");
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("SECURITY"), &json!("WARNING")));
    assert_eq!(entry["decision"], "deny");
    assert_eq!(entry["rules"], json!(["roles.USER.endpoints.openAI.models"]));
    assert_eq!(entry["metadata"], json!({"endpoint": "openAI", "model": "gpt-4o"}));
    let details = &entry["details"];
    assert_eq!((&details["method"], &details["path"]), (&json!("POST"), &json!("/api/agents/chat/openAI")));
    assert_eq!((&details["ip"], &details["userAgent"]), (&json!("127.0.0.1"), &json!("a browser")));
    assert_eq!((&details["response"]["status"], &details["response"]["message"]), (&json!(403), &json!(message)));
    assert_eq!(entry["policyRevision"].as_str().map(str::len), Some(12));

    let (_, entries) = world.stop().await;
    assert!(!json!(entries).to_string().contains("a-secret-prompt"), "prompts are not recorded");
    assert!(entries.iter().all(|entry| entry["kind"] == "audit"), "what did not run has no usage: {entries:?}");
}

#[tokio::test]
async fn an_allowed_model_streams_and_its_use_is_recorded() {
    let slow = |options: &mut StandInOptions| {
        options.words = 12;
        options.word_delay = Duration::from_millis(30);
    };
    let mut world = World::with(POLICY).librechat(slow).start().await;
    let bob = world.bearer("Bob");
    let answer = say(&world, "Bob", &turn("openAI", "gpt-4o-mini")).await;
    assert_started(&answer);
    let stream = answer.json()["streamId"].as_str().expect("a stream").to_owned();
    let path = format!("{CHAT}/stream/{stream}");
    let headers = [("authorization", bob.as_str()), ("accept", "text/event-stream")];
    let events = open(world.addr, Method::GET, &path, &headers, Bytes::new()).await;
    assert_eq!((events.status.as_u16(), events.header("content-type")), (200, "text/event-stream"));
    let pieces = events.rest().await;
    let (first, last) = (pieces.first().expect("a piece"), pieces.last().expect("a piece"));
    assert!(last.after - first.after >= Duration::from_millis(150), "{:?} {:?}", first.after, last.after);
    let text: String = pieces.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
    assert!(text.contains("[gpt-4o-mini]") && text.contains(r#""final":true"#), "{text}");
    let bob_id = world.person("Bob").id.clone();
    let call = Call { user: bob_id.clone(), endpoint: "openAI".to_owned(), model: "gpt-4o-mini".to_owned() };
    assert_eq!(world.stand_in.calls(), [call]);

    let sent = world.reached().into_iter().find(|seen| seen.method == Method::POST).expect("the turn").length;
    let usage = world.entry("the usage", |entry| entry["kind"] == "usage").await;
    assert_eq!((&usage["userId"], &usage["role"]), (&json!(bob_id), &json!("USER")));
    assert_eq!((&usage["endpoint"], &usage["model"]), (&json!("openAI"), &json!("gpt-4o-mini")));
    assert_eq!(usage["conversationId"], stream.as_str());
    assert_eq!((&usage["outcome"], &usage["status"]), (&json!("started"), &json!(200)));
    assert_eq!(usage["requestBytes"], sent);
    let id = usage["requestId"].clone();
    let audit = world.entry("its decision", |entry| entry["kind"] == "audit" && entry["requestId"] == id).await;
    assert_eq!((&audit["decision"], &audit["severity"]), (&json!("allow"), &json!("INFO")));
    assert_eq!(audit["rules"], json!(["roles.USER.endpoints.openAI.models"]));
    assert_eq!(audit["metadata"]["conversationId"], stream.as_str());
}

#[tokio::test]
async fn a_second_model_is_judged_like_the_first() {
    let mut world = World::with(POLICY).start().await;
    let added = |endpoint: &str, model: &str| json!({"addedConvo": {"endpoint": endpoint, "model": model}});
    let both = turn_with("openAI", "gpt-4o-mini", added("MindRoom", "mindroom-basic"));
    assert_started(&say(&world, "Bob", &both).await);
    assert_eq!(called(&world), ["openAI|gpt-4o-mini", "MindRoom|mindroom-basic"]);
    world.stand_in.forget();
    let room = "roles.USER.endpoints.custom.MindRoom.models";
    for (body, info, rule) in [
        (turn_with("openAI", "gpt-4o-mini", added("MindRoom", "mindroom-pro")), "MindRoom|mindroom-pro", room),
        (
            turn_with("openAI", "gpt-4o-mini", added("anthropic", "claude-opus-4-8")),
            "anthropic|claude-opus-4-8",
            "unlisted.endpoint",
        ),
        (
            turn_with("openAI", "gpt-4o-mini", json!({"addedConvo": {"agent_id": "agent_x"}})),
            "agents|agent_x",
            "agent.no-store",
        ),
        (turn_with("MindRoom", "mindroom-pro", added("openAI", "gpt-4o-mini")), "MindRoom|mindroom-pro", room),
    ] {
        let answer = say(&world, "Bob", &body).await;
        assert_denied(&answer, info, rule);
        let entry = world.entry_of(&answer.json()).await;
        assert_eq!(entry["metadata"]["also"].as_array().map(Vec::len), Some(1), "both were looked at: {entry}");
    }
    assert!(world.reached().is_empty());
}

#[tokio::test]
async fn a_spec_and_the_model_beside_it_must_both_be_allowed() {
    let rule = "roles.USER.endpoints.openAI.models";
    for enforce in [false, true] {
        let world = with_specs(POLICY, enforce).start().await;
        let spec = |name: &str, model: &str| turn_with("openAI", model, json!({"spec": name}));
        assert_started(&say(&world, "Bob", &spec("quick", "gpt-4o-mini")).await);
        assert_eq!(called(&world), ["openAI|gpt-4o-mini"]);
        world.stand_in.forget();
        assert_denied(&say(&world, "Bob", &spec("dear", "gpt-4o-mini")).await, "openAI|gpt-4o", rule);
        assert_denied(&say(&world, "Bob", &spec("quick", "gpt-4o")).await, "openAI|gpt-4o", rule);
        let added = json!({"addedConvo": {"spec": "dear", "endpoint": "openAI", "model": "gpt-4o-mini"}});
        let within = turn_with("openAI", "gpt-4o-mini", added);
        assert_denied(&say(&world, "Bob", &within).await, "openAI|gpt-4o", rule);
        let unknown = say(&world, "Bob", &spec("Quick", "gpt-4o-mini")).await;
        assert_eq!((unknown.status.as_u16(), &unknown.json()["rule"]), (403, &json!("select.no-such-spec")));
        let reached = world.reached();
        assert!(reached.iter().all(|seen| seen.method == Method::GET), "LibreChat was asked for its specs alone");
        assert_eq!(called(&world), [""; 0]);
        assert_started(&say(&world, "Ann", &spec("dear", "gpt-4o")).await);
        assert_eq!(called(&world), ["openAI|gpt-4o"]);
    }
}

#[tokio::test]
async fn what_an_administrator_changes_is_asked_for_anew() {
    let world = with_specs(POLICY, false).start().await;
    let (ann, bob) = (world.bearer("Ann"), world.bearer("Bob"));
    let asked = |world: &World| world.reached().iter().filter(|seen| seen.target == "/api/config").count();
    let turn = turn_with("openAI", "gpt-4o-mini", json!({"spec": "quick"}));
    for _ in 0..3 {
        assert_started(&say(&world, "Bob", &turn).await);
    }
    assert_eq!(asked(&world), 1, "what LibreChat offers is kept for seconds");
    let path = "/api/admin/config/role/USER";
    let changes = [
        (Method::PATCH, &bob, 1),
        (Method::GET, &ann, 1),
        (Method::PATCH, &ann, 2),
        (Method::PUT, &ann, 3),
        (Method::DELETE, &ann, 4),
    ];
    for (method, who, expected) in changes {
        request(world.addr, method.clone(), path, &[("authorization", who)], "".into()).await;
        assert_started(&say(&world, "Bob", &turn).await);
        assert_eq!(asked(&world), expected, "after {method} by {who}");
    }
}

#[tokio::test]
async fn where_there_are_no_specs_the_name_of_one_means_nothing() {
    let world = World::with(POLICY).start().await;
    let body = turn_with("openAI", "gpt-4o-mini", json!({"spec": "anything"}));
    assert_started(&say(&world, "Bob", &body).await);
    assert_eq!(called(&world), ["openAI|gpt-4o-mini"]);
}

#[tokio::test]
async fn without_librechats_database_editing_agents_is_for_those_who_may_use_everything() {
    let mut world = World::with(POLICY).librechat(dear_agent).start().await;
    let (ann, bob) = (world.bearer("Ann"), world.bearer("Bob"));
    assert_denied(&say(&world, "Bob", &agent_turn("agent_dear")).await, "agents|agent_dear", "agent.no-store");
    let routes = [
        (Method::GET, "/api/agents/agent_dear"),
        (Method::GET, "/api/agents/agent_dear/expanded"),
        (Method::PATCH, "/api/agents/agent_dear"),
        (Method::POST, "/api/agents"),
        (Method::POST, "/api/agents/agent_dear/duplicate"),
        (Method::POST, "/api/agents/agent_dear/revert"),
        (Method::POST, "/api/agents/actions/agent_dear"),
        (Method::DELETE, "/api/agents/actions/agent_dear/action_x"),
        (Method::POST, "/api/files/images/agents/agent_dear/avatar"),
    ];
    for (method, path) in routes {
        let (kind, sent) = match method {
            Method::POST | Method::PATCH => ("application/json", r#"{"version_index":0}"#),
            _ => ("", ""),
        };
        let headers = [("authorization", bob.as_str()), ("content-type", kind)];
        let headers = &headers[..1 + usize::from(!kind.is_empty())];
        let answer = request(world.addr, method.clone(), path, headers, sent.into()).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["error"]), (403, &json!("Forbidden")), "{method} {path}");
        assert_eq!(body["rule"], "agent.no-store", "{method} {path}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains("MONGO_URI")), "{body}");
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    assert_started(&say(&world, "Ann", &agent_turn("agent_dear")).await);
    assert_eq!(called(&world), ["openAI|o1"]);
    let document = get(world.addr, "/api/agents/agent_dear", &[("authorization", &ann)]).await;
    assert_eq!((document.status.as_u16(), &document.json()["model"]), (200, &json!("o1")));
    let entry = world.entry("Ann's reading", |entry| entry["action"] == "agents" && entry["decision"] == "allow").await;
    // For the agent by its id, and for what nobody could look up.
    assert_eq!(entry["rules"], json!(["roles.ADMIN.unrestricted", "roles.ADMIN.unrestricted"]));
    let list = get(world.addr, "/api/agents", &[("authorization", &bob)]).await;
    assert_eq!(list.status, 200, "the client asks for it when it starts");
    assert_eq!(list.json()["data"], json!([]), "none of them could be used");
}

#[tokio::test]
async fn assistants_are_for_those_who_may_use_everything() {
    let world = World::with(POLICY).start().await;
    let (ann, bob) = (world.bearer("Ann"), world.bearer("Bob"));
    let routes = [
        (Method::POST, "/api/assistants/v2/chat"),
        (Method::POST, "/api/assistants/v2/chat?model=o1"),
        (Method::POST, "/api/assistants/v1/chat/abort"),
        (Method::GET, "/api/assistants/v1"),
        (Method::POST, "/api/assistants/v2"),
        (Method::GET, "/api/assistants/v2/documents"),
        (Method::PATCH, "/api/assistants/v1/asst_x"),
        (Method::DELETE, "/api/assistants/v2/actions/a/b/o1"),
        (Method::POST, "/api/files/images/assistants/asst_x/avatar"),
    ];
    let body = || Bytes::from_static(br#"{"endpoint":"assistants","model":"o1"}"#);
    for (method, path) in routes.clone() {
        let headers = [("authorization", bob.as_str()), ("content-type", "application/json")];
        let sent = if method == Method::GET { Bytes::new() } else { body() };
        let answer = request(world.addr, method.clone(), path, &headers, sent).await;
        let rule = answer.json()["rule"].clone();
        assert_eq!((answer.status.as_u16(), rule), (403, json!("surface.assistants")), "{method} {path}");
    }
    assert!(world.reached().is_empty());
    let turn = turn("assistants", "gpt-4o-mini");
    assert_denied(&say(&world, "Bob", &turn).await, "assistants|all assistants", "surface.assistants");
    for (method, path) in routes {
        let answer = request(world.addr, method.clone(), path, &[("authorization", &ann)], "".into()).await;
        // What could stop somebody else's stream is read for everybody.
        let read = path.ends_with("/abort").then(|| json!("body-not-json"));
        assert_eq!(answer.json().get("rule"), read.as_ref(), "LibreChat itself has answered {method} {path}");
    }
    assert_eq!(world.reached().len(), 8);
}

#[tokio::test]
async fn the_remote_agent_api_is_closed_where_keys_cannot_be_looked_up() {
    let world = World::with(POLICY).start().await;
    let routes = [
        (Method::GET, "/api/agents/v1/models"),
        (Method::GET, "/api/agents/v1/models/agent_x"),
        (Method::GET, "/api/agents/v1/responses/models"),
        (Method::GET, "/api/agents/v1/responses/resp_1"),
        (Method::POST, "/api/agents/v1/chat/completions"),
        (Method::POST, "/API/Agents/V1/Responses/"),
    ];
    let ann = world.bearer("Ann");
    for credential in ["Bearer sk-0123456789", ann.as_str(), "bearer sk-0123456789"] {
        for (method, path) in routes.clone() {
            let headers = [("authorization", credential), ("x-tenant-id", "other")];
            let answer = request(world.addr, method.clone(), path, &headers, "".into()).await;
            let error = &answer.json()["error"];
            assert_eq!((answer.status.as_u16(), &error["type"]), (403, &json!("permission_error")), "{path}");
            assert_eq!((&error["code"], &error["rule"]), (&json!("model_not_allowed"), &json!("surface.remote_api")));
        }
    }
    assert!(world.reached().is_empty());
}

#[tokio::test]
async fn in_shadow_mode_everything_goes_on_and_is_recorded() {
    let shadow = POLICY.replace("mode: enforce", "mode: shadow");
    let plan = with_specs(&shadow, false).librechat(dear_agent);
    let mut world = plan.start().await;
    let rule = "roles.USER.endpoints.openAI.models";
    let stale = turn_with("openAI", "gpt-4o-mini", json!({"spec": "of-last-year"}));
    for (body, decision, rules) in [
        (turn("openAI", "gpt-4o"), "shadow", json!([rule])),
        (turn("openAI", "gpt-4o-mini"), "allow", json!([rule])),
        (agent_turn("agent_dear"), "shadow", json!(["agent.no-store"])),
        (turn_with("openAI", "gpt-4o-mini", json!({"spec": "dear"})), "shadow", json!([rule])),
        (stale, "allow", json!([rule])),
    ] {
        let answer = say(&world, "Bob", &body).await;
        assert_started(&answer);
        let id = answer.json()["streamId"].clone();
        let of = |entry: &Value| entry["kind"] == "audit" && entry["metadata"]["conversationId"] == id;
        let entry = world.entry("the decision", of).await;
        assert_eq!((&entry["decision"], &entry["rules"]), (&json!(decision), &rules), "{body}");
        let severity = if decision == "shadow" { "WARNING" } else { "INFO" };
        assert_eq!((&entry["severity"], &entry["details"]["response"]["status"]), (&json!(severity), &json!(200)));
    }
    assert_eq!(
        called(&world),
        ["openAI|gpt-4o", "openAI|gpt-4o-mini", "openAI|o1", "openAI|gpt-4o-mini", "openAI|gpt-4o-mini"]
    );
    let bob = world.bearer("Bob");
    for path in ["/api/models", "/api/endpoints", "/api/config"] {
        let original = get(world.stand_in.addr(), path, &[("authorization", &bob)]).await;
        assert_eq!(get(world.addr, path, &[("authorization", &bob)]).await.text(), original.text(), "{path}");
    }
    world.stand_in.forget();
    let key = "Bearer sk-0123456789";
    let headers = [("authorization", key), ("x-tenant-id", "other"), ("user-agent", "a program")];
    let remote = get(world.addr, "/api/agents/v1/models", &headers).await;
    assert_ne!(remote.status, 403);
    let reached = world.reached();
    assert_eq!(reached[0].headers["authorization"], key, "the key is LibreChat's to check");
    assert!(!reached[0].headers.contains_key("x-tenant-id"), "nobody chooses a tenant");
    let entry = world.entry_from("a program").await;
    assert_eq!((&entry["decision"], &entry["rules"]), (&json!("shadow"), &json!(["surface.remote_api"])));
}

/// One endpoint's list is tried out while all else is in force.
#[tokio::test]
async fn a_list_in_shadow_mode_refuses_and_hides_nothing_and_is_recorded() {
    let policy = "version: 1\nroles:\n  USER:\n    endpoints:\n      openAI: { models: [gpt-4o-mini], mode: shadow }\n      \
                  custom: { MindRoom: { models: [mindroom-basic] } }\n";
    let mut world = World::with(policy).start().await;
    let (list, custom) = ("roles.USER.endpoints.openAI.models", "roles.USER.endpoints.custom.MindRoom.models");
    for (endpoint, model, decision, rule) in [
        ("openAI", "gpt-4o", "shadow", list),
        ("openAI", "gpt-4o-mini", "allow", list),
        ("MindRoom", "mindroom-large", "deny", custom),
    ] {
        let answer = say(&world, "Bob", &turn(endpoint, model)).await;
        assert_eq!(answer.status, if decision == "deny" { 403 } else { 200 }, "{model}: {}", answer.text());
        let of = |entry: &Value| entry["kind"] == "audit" && entry["metadata"]["model"] == model;
        let entry = world.entry("the decision", of).await;
        assert_eq!((&entry["decision"], &entry["rules"]), (&json!(decision), &json!([rule])), "{model}");
    }
    assert_eq!(called(&world), ["openAI|gpt-4o", "openAI|gpt-4o-mini"]);
    for (decision, count) in [("allow", "1"), ("shadow", "1"), ("deny", "1")] {
        let series = format!("tollgate_decisions_total{{decision=\"{decision}\"}}");
        assert_eq!(world.metric(&series).await, count, "{series}");
    }
    let bob = world.bearer("Bob");
    let shown = get(world.addr, "/api/models", &[("authorization", &bob)]).await.json();
    let all = get(world.stand_in.addr(), "/api/models", &[("authorization", &bob)]).await.json();
    assert_eq!((&shown["openAI"], &shown["MindRoom"]), (&all["openAI"], &json!(["mindroom-basic"])));
}

#[tokio::test]
async fn what_the_policy_does_not_name_follows_unlisted() {
    let named = "roles: { USER: { endpoints: { openAI: { models: [gpt-4o-mini] } } } }\n";
    let nobody = "roles: { STAFF: { endpoints: { openAI: { models: [gpt-4o-mini] } } } }\n";
    for (policy, allowed, rule) in [
        (format!("version: 1\n{named}"), false, "unlisted.endpoint"),
        (format!("version: 1\nunlisted: {{ endpoint: deny, role: allow }}\n{named}"), false, "unlisted.endpoint"),
        (format!("version: 1\nunlisted: {{ endpoint: allow, role: deny }}\n{named}"), true, "unlisted.endpoint"),
        (format!("version: 1\n{nobody}"), false, "unlisted.role"),
        (format!("version: 1\nunlisted: {{ endpoint: allow, role: deny }}\n{nobody}"), false, "unlisted.role"),
        (format!("version: 1\nunlisted: {{ endpoint: deny, role: allow }}\n{nobody}"), true, "unlisted.role"),
    ] {
        let mut world = World::with(&policy).start().await;
        let answer = say(&world, "Bob", &turn("MindRoom", "mindroom-pro")).await;
        if allowed {
            assert_started(&answer);
            assert_eq!(called(&world), ["MindRoom|mindroom-pro"], "{policy}");
            let entry = world.entry("its decision", |entry| entry["action"] == "chat.turn").await;
            assert_eq!(entry["rules"], json!([rule]), "{policy}");
        } else {
            assert_denied(&answer, "MindRoom|mindroom-pro", rule);
            assert!(world.reached().is_empty(), "{policy}");
        }
    }
}

#[tokio::test]
async fn a_group_stands_in_for_the_role_and_a_users_own_entry_adds() {
    let policy = format!("{POLICY}\nusers: {{ BOB@example.edu: {{ endpoints: {{ openAI: {{ models: [o1] }} }} }} }}\n");
    let mut world = World::with(&policy).member("Bob", &["premium-openai"]).start().await;
    for (endpoint, model, rule) in [
        ("openAI", "gpt-4o", "groups.premium-openai.endpoints.openAI.models"),
        ("openAI", "o1", "users.bob@example.edu.endpoints.openAI.models"),
        ("MindRoom", "mindroom-basic", "groups.premium-openai.endpoints.custom.MindRoom.models"),
    ] {
        world.stand_in.forget();
        let answer = say(&world, "Bob", &turn(endpoint, model)).await;
        assert_started(&answer);
        assert_eq!(called(&world), [format!("{endpoint}|{model}")]);
        let id = answer.json()["streamId"].clone();
        let of = |entry: &Value| entry["kind"] == "audit" && entry["metadata"]["conversationId"] == id;
        assert_eq!(world.entry("the decision", of).await["rules"], json!([rule]));
    }
    let denied = say(&world, "Bob", &turn("MindRoom", "mindroom-pro")).await;
    assert_denied(&denied, "MindRoom|mindroom-pro", "groups.premium-openai.endpoints.custom.MindRoom.models");
}

#[tokio::test]
async fn a_denial_holds_for_an_administrator_too() {
    let policy = "version: 1\nroles:\n  ADMIN: { unrestricted: true, endpoints: { openAI: { deny: ['o*'] } } }\n";
    let world = World::with(policy).start().await;
    let denied = say(&world, "Ann", &turn("openAI", "o1")).await;
    assert_denied(&denied, "openAI|o1", "roles.ADMIN.endpoints.openAI.deny");
    assert!(world.reached().is_empty());
    assert_started(&say(&world, "Ann", &turn("openAI", "gpt-4o")).await);
}

#[tokio::test]
async fn what_librechat_itself_refuses_passes_as_it_said_it() {
    let mut world = World::with(POLICY).start().await;
    // An endpoint that nobody has configured there: LibreChat says so in its own words, within the stream.
    let answer = say(&world, "Ann", &turn("anthropic", "claude-opus-4-8")).await;
    assert_started(&answer);
    // A body that LibreChat answers with 200 and server-sent events.
    let mut odd = turn("MindRoom", "mindroom-basic");
    odd["endpointType"] = Value::Null;
    let answer = say(&world, "Bob", &odd).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("event: error\n"), "{}", answer.text());
    let usage = world.entry("the refused turn", |entry| entry["outcome"] == "refused").await;
    assert_eq!((&usage["model"], &usage["status"]), (&json!("mindroom-basic"), &json!(200)));
    assert_eq!(usage.get("conversationId"), None);
}
