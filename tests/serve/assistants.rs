//! OpenAI's and Azure's assistants under a policy that has opened them: judged by the model that a request names, with
//! answers narrowed. And keys of one's own and speech, which a policy may close.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tollgate::demo::{ModelSpec, ModelSpecs};

use crate::fake::Fake;
use crate::support::{Answer, open, request};
use crate::world::World;

/// Bob may have one model of OpenAI's assistants, and none of Azure's.
const OPENED: &str = "
version: 1
assistants: { enabled: true }
roles:
  USER:
    endpoints:
      openAI: { models: [gpt-4o-mini] }
      assistants: { models: [gpt-4o-mini] }
  ADMIN: { unrestricted: true }
";

const MODELS: &str = "roles.USER.endpoints.assistants.models";

/// A request as somebody sends it, with a body of JSON unless it is empty.
async fn send(world: &World, who: &str, method: Method, target: &str, body: &str) -> Answer {
    let bearer = world.bearer(who);
    let mut headers = vec![("authorization", bearer.as_str())];
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    request(world.addr, method, target, &headers, Bytes::from(body.to_owned())).await
}

fn told(answer: &Answer) -> (u16, String) {
    let rule = if answer.body.starts_with(b"{") { answer.json()["rule"].as_str().map(str::to_owned) } else { None };
    (answer.status.as_u16(), rule.unwrap_or_default())
}

#[tokio::test]
async fn a_chat_is_judged_by_the_model_that_it_names() {
    let mut world = World::with(OPENED).start().await;
    let chat = "/api/assistants/v2/chat";
    let with = |model: &str| json!({"endpoint": "assistants", "model": model, "assistant_id": "asst_x", "text": "hi", "conversationId": "c1"});
    send(&world, "Bob", Method::POST, "/API/assistants/V2/chat/", &format!("  {}", with("gpt-4o-mini"))).await;
    let reached = world.reached();
    assert_eq!(reached.len(), 1, "{reached:?}");
    assert_eq!((reached[0].target.as_str(), &reached[0].body), (chat, &Bytes::from(with("gpt-4o-mini").to_string())));
    assert_eq!(reached[0].headers["content-type"], "application/json; charset=utf-8");
    let usage = world.entry("the usage", |entry| entry["kind"] == "usage").await;
    assert_eq!((&usage["endpoint"], &usage["model"]), (&json!("assistants"), &json!("gpt-4o-mini")));
    assert_eq!(usage["outcome"], "refused", "the stand-in has no assistants");
    world.stand_in.forget();

    let denied = send(&world, "Bob", Method::POST, chat, &with("gpt-4o").to_string()).await;
    assert_eq!(told(&denied), (403, MODELS.to_owned()));
    // The client of assistants reads `text` as it reads the text of an error event.
    let shown: Value = serde_json::from_str(denied.json()["text"].as_str().expect("a text")).expect("an object");
    assert_eq!((&shown["type"], &shown["info"]), (&json!("illegal_model_request"), &json!("assistants|gpt-4o")));
    assert!(denied.text().starts_with(r#"{"text":"{\"type\":\"illegal_model_request\","#), "{}", denied.text());
    let entry = world.entry_of(&denied.json()).await;
    assert_eq!((&entry["action"], &entry["decision"]), (&json!("assistants"), &json!("deny")));
    assert_eq!(entry["metadata"]["model"], "gpt-4o");

    let azure = r#"{"endpoint":"azureAssistants","assistant_id":"asst_x","text":"hi"}"#;
    for (target, body, expected) in [
        // D.8 18
        ("?model=dear", azure.to_owned(), (403, "unlisted.endpoint")),
        ("?model=gpt-4o", with("gpt-4o-mini").to_string(), (400, "select-named-twice")),
        ("?endpoint=azureAssistants", with("gpt-4o-mini").to_string(), (400, "select-named-twice")),
        ("?%6dodel=gpt-4o", with("gpt-4o-mini").to_string(), (400, "select-named-twice")),
        ("?version=1", with("gpt-4o-mini").to_string(), (400, "select-version")),
        ("", with("gpt-4o-mini ").to_string(), (400, "select-model")),
        ("", with("gpt-4o-mini\u{feff}").to_string(), (400, "select-model")),
        ("", r#"{"endpoint":["assistants"],"model":"gpt-4o-mini"}"#.to_owned(), (400, "select-endpoint")),
        ("", r#"{"endpoint":"assistants","model":["gpt-4o"]}"#.to_owned(), (400, "select-model")),
        ("", r#"{"endpoint":"openAI","model":"gpt-4o-mini"}"#.to_owned(), (400, "select-assistants-endpoint")),
        ("", r#"{"endpoint":"assistants","model":"gpt-4o-mini","model":"o1"}"#.to_owned(), (400, "body-duplicate-key")),
        ("", azure.to_owned(), (400, "select-model-missing")),
    ] {
        let answer = send(&world, "Bob", Method::POST, &format!("{chat}{target}"), &body).await;
        assert_eq!(told(&answer), (expected.0, expected.1.to_owned()), "{target} {body}");
        assert!(answer.json()["text"].is_string(), "{}", answer.text());
    }
    let form = [("authorization", &*world.bearer("Bob")), ("content-type", "application/x-www-form-urlencoded")]
        .map(|(name, value)| (name, value.to_owned()));
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = request(world.addr, Method::POST, chat, &form, "endpoint=assistants&model=gpt-4o".into()).await;
    assert_eq!(told(&answer), (415, "content-type".to_owned()));
    let turn = r#"{"endpoint":"assistants","model":"gpt-4o-mini","text":"hi"}"#;
    let elsewhere = send(&world, "Bob", Method::POST, "/api/agents/chat", turn).await;
    assert_eq!(told(&elsewhere), (403, "surface.assistants".to_owned()), "assistants run on their own routes alone");
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    let json = [("content-type", "application/json")];
    let unknown = request(world.addr, Method::POST, chat, &json, azure.into()).await;
    assert_eq!(unknown.json(), json!({"message": "No auth token"}), "who is not known reads LibreChat's own words");
}

#[tokio::test]
async fn what_stores_a_model_is_judged_by_it() {
    let world = World::with(OPENED).start().await;
    let body = |model: &str| format!(r#"{{"endpoint":"assistants","model":"{model}","name":"x"}}"#);
    let list = "?endpoint=assistants";
    for (method, target, takes_body) in [
        (Method::POST, "/api/assistants/v1".to_owned(), true),
        (Method::POST, "/api/assistants/v2".to_owned(), true),
        (Method::PATCH, "/api/assistants/v1/asst_x".to_owned(), true),
        (Method::PATCH, "/api/assistants/v2/asst_x".to_owned(), true),
        (Method::POST, "/api/assistants/v2/actions/asst_x".to_owned(), true),
        (Method::DELETE, format!("/api/assistants/v2/actions/a/b/MODEL{list}"), false),
        (Method::DELETE, format!("/api/assistants/v2/asst_x{list}&model=MODEL"), false),
        (Method::GET, format!("/api/assistants/v1{list}&model=MODEL"), false),
    ] {
        for (model, expected) in [("gpt-4o-mini", ""), ("gpt-4o", MODELS), ("o1", MODELS)] {
            world.stand_in.forget();
            let sent = if takes_body { body(model) } else { String::new() };
            let target = target.replace("MODEL", model);
            let answer = send(&world, "Bob", method.clone(), &target, &sent).await;
            assert_eq!(told(&answer).1, expected, "{method} {target} {model}: {}", answer.text());
            let reached = world.reached();
            if expected.is_empty() {
                assert_eq!((reached[0].target.as_str(), &reached[0].method), (target.as_str(), &method));
                assert_eq!(reached[0].body, sent);
            } else {
                assert_eq!((answer.status.as_u16(), reached.len()), (403, 0), "{method} {target} {model}");
            }
        }
    }
    world.stand_in.forget();
    for (method, target, body, expected) in [
        (Method::POST, "/api/assistants/v2", r#"{"endpoint":"assistants"}"#, (400, "select-model-missing")),
        (Method::POST, "/api/assistants/v2", r#"{"model":"gpt-4o-mini"}"#, (400, "select-endpoint-missing")),
        (Method::DELETE, "/api/assistants/v2/actions/a/b/gpt%252D4o?endpoint=assistants", "", (400, "select-model")),
        (Method::GET, "/api/assistants/v2", "", (400, "select-endpoint-missing")),
        (Method::GET, "/api/assistants/v2?endpoint=azureAssistants", "", (403, "unlisted.endpoint")),
        (Method::POST, "/api/assistants/v2/avatar/asst_x", "{}", (403, "surface.assistants")),
        (Method::POST, "/api/files/images/assistants/asst_x/avatar", "{}", (403, "surface.assistants")),
        (Method::POST, "/api/assistants/v3/chat", "{}", (404, "route.unknown")),
        (Method::PUT, "/api/assistants/v2/asst_x", "{}", (405, "route.method")),
    ] {
        let answer = send(&world, "Bob", method.clone(), target, body).await;
        assert_eq!(told(&answer), (expected.0, expected.1.to_owned()), "{method} {target}: {}", answer.text());
        if target.contains("avatar") {
            let message = answer.json()["message"].clone();
            assert!(message.as_str().is_some_and(|said| said.contains("cannot be judged")), "{message}");
        }
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    // Who is kept from nothing passes unread, also where the query and the body do not agree.
    let target = "/api/assistants/v2/chat?model=x";
    send(&world, "Ann", Method::POST, target, r#" {"model":"y"}"#).await;
    let reached = world.reached();
    assert_eq!((reached[0].target.as_str(), &reached[0].body[..]), (target, br#" {"model":"y"}"#.as_slice()));
}

#[tokio::test]
async fn nobody_stops_another_persons_stream_by_way_of_assistants() {
    let closed = OPENED.replace("assistants: { enabled: true }", "");
    let shadow = OPENED.replace("version: 1", "version: 1\nmode: shadow");
    // D.8 21
    let other = r#"{"abortKey":"somebody-elses","endpoint":"openAI"}"#;
    let own = r#"{"abortKey":"c1:m1","endpoint":"assistants"}"#;
    for (policy, who, expected) in [
        (OPENED, "Bob", (400, "select-assistants-endpoint")),
        (OPENED, "Ann", (400, "select-assistants-endpoint")),
        (&closed, "Bob", (403, "surface.assistants")),
        (&closed, "Ann", (400, "select-assistants-endpoint")),
        (&shadow, "Bob", (400, "select-assistants-endpoint")),
    ] {
        let world = World::with(policy).start().await;
        for version in ["v1", "v2"] {
            let path = format!("/api/assistants/{version}/chat/abort");
            let answer = send(&world, who, Method::POST, &path, other).await;
            assert_eq!(told(&answer), (expected.0, expected.1.to_owned()), "{who} {policy}");
            assert!(world.reached().is_empty(), "{:?}", world.reached());
            if expected.0 == 400 {
                let missing = send(&world, who, Method::POST, &format!("{path}?endpoint=assistants"), "{}").await;
                assert_eq!(told(&missing), (400, "select-endpoint-missing".to_owned()));
                send(&world, who, Method::POST, &path, own).await;
                assert_eq!(world.reached()[0].body, own);
                world.stand_in.forget();
            }
        }
    }
}

fn answered(kind: &str, body: &str) -> String {
    let etag = "etag: W/\"5f-all\"";
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{etag}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// What a LibreChat with two assistants would say.
fn two_assistants(head: &str) -> String {
    let json = "application/json; charset=utf-8";
    let one = |id: &str, model: &str| format!(r#"{{"id":"{id}","object":"assistant","model":"{model}","tools":[]}}"#);
    let (cheap, dear) = (one("asst_a", "gpt-4o-mini"), one("asst_b", "gpt-4o"));
    let target = head.split(' ').nth(1).expect("a target");
    match target.split('?').next().expect("a path") {
        "/api/assistants/v2" if head.starts_with("POST") => answered(json, &cheap),
        "/api/assistants/v2" | "/api/assistants/v1" => {
            answered(json, &format!(r#"{{"object":"list","data":[{cheap},{dear}],"has_more":false}}"#))
        }
        "/api/assistants/v2/asst_b" => answered(json, &dear),
        "/api/assistants/v2/documents" => {
            answered(json, r#"[{"assistant_id":"asst_a"},{"assistant_id":"asst_b","model":"gpt-4o"}]"#)
        }
        "/api/assistants/v2/actions/asst_b" => answered(json, &format!(r#"["asst_b",{dear},{{"action_id":"x"}}]"#)),
        "/api/assistants/v2/odd" => answered("text/html", "<html>gpt-4o</html>"),
        "/api/assistants/v2/broken" => "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno".to_owned(),
        "/api/models" => answered(json, r#"{"openAI":["gpt-4o-mini"],"assistants":["gpt-4o-mini","gpt-4o"]}"#),
        "/api/endpoints" => answered(json, r#"{"openAI":{},"assistants":{"version":2},"azureAssistants":{}}"#),
        path => panic!("nobody asks for {path}"),
    }
}

#[tokio::test]
async fn answers_name_no_model_that_the_caller_may_not_know() {
    let fake = Fake::start(|mut socket, head| async move {
        // Who has left does not want it.
        let _ = socket.write_all(two_assistants(&head).as_bytes()).await;
        None
    })
    .await;
    let world = World::with(OPENED).upstream(&fake.url()).start().await;
    let cheap = json!({"id": "asst_a", "object": "assistant", "model": "gpt-4o-mini", "tools": []});
    let unnamed = json!({"id": "asst_b", "object": "assistant", "tools": []});
    let list = "?endpoint=assistants";
    let change = r#"{"endpoint":"assistants","name":"x"}"#;
    let action = r#"{"endpoint":"assistants","model":"gpt-4o-mini","functions":[]}"#;
    for (method, target, body, expected) in [
        (Method::GET, "/api/assistants/v2", "", json!({"object": "list", "data": [cheap], "has_more": false})),
        (Method::GET, "/Api/Assistants/v1/", "", json!({"object": "list", "data": [cheap], "has_more": false})),
        (Method::GET, "/api/assistants/v2/asst_b", "", unnamed.clone()),
        (Method::DELETE, "/api/assistants/v2/asst_b", "", unnamed.clone()),
        (Method::GET, "/api/assistants/v2/documents", "", json!([{"assistant_id": "asst_a"}])),
        (Method::PATCH, "/api/assistants/v2/asst_b", change, unnamed.clone()),
        (Method::POST, "/api/assistants/v2", action, cheap.clone()),
        (Method::POST, "/api/assistants/v2/actions/asst_b", action, json!(["asst_b", unnamed, {"action_id": "x"}])),
    ] {
        let query = if body.is_empty() { list } else { "" };
        let answer = send(&world, "Bob", method.clone(), &format!("{target}{query}"), body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{method} {target}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), ("", "no-store"), "{method} {target}");
    }
    let bob = world.bearer("Bob");
    let conditions =
        [("authorization", &*bob), ("accept-encoding", "br"), ("if-none-match", "*"), ("range", "bytes=0-9")];
    let listed =
        request(world.addr, Method::GET, "/api/assistants/v2?endpoint=assistants", &conditions, "".into()).await;
    assert_eq!(listed.json()["data"], json!([cheap]));
    let head = fake.heads().pop().expect("a request").to_ascii_lowercase();
    assert!(head.contains("accept-encoding: identity") && !head.contains("if-none-match") && !head.contains("range"));
    let length =
        request(world.addr, Method::HEAD, "/api/assistants/v2?endpoint=assistants", &conditions, "".into()).await;
    assert_eq!((length.header("content-length"), length.body.len()), (&*listed.body.len().to_string(), 0));
    let odd = send(&world, "Bob", Method::GET, "/api/assistants/v2/odd?endpoint=assistants", "").await;
    assert_eq!(told(&odd), (502, "upstream.misshapen".to_owned()));
    let broken = send(&world, "Bob", Method::GET, "/api/assistants/v2/broken?endpoint=assistants", "").await;
    assert_eq!((broken.status.as_u16(), broken.text().as_str()), (500, "no"));
    let models = send(&world, "Bob", Method::GET, "/api/models", "").await;
    assert_eq!(models.json(), json!({"openAI": ["gpt-4o-mini"], "assistants": ["gpt-4o-mini"]}));
    let endpoints = send(&world, "Bob", Method::GET, "/api/endpoints", "").await;
    assert_eq!(endpoints.json(), json!({"openAI": {}, "assistants": {"version": 2}}));
    let all = send(&world, "Ann", Method::GET, "/api/assistants/v2?endpoint=assistants", "").await;
    assert_eq!(all.json()["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_run_is_passed_on_word_by_word() {
    let fake = Fake::start(|mut socket, _| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(format!("{head}3\r\none\r\n").as_bytes()).await.ok()?;
        // The rest never comes: what was said must be there without it.
        std::future::pending().await
    })
    .await;
    let mut world = World::with(OPENED).upstream(&fake.url()).start().await;
    let bearer = world.bearer("Bob");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = r#"{"endpoint":"assistants","model":"gpt-4o-mini","conversationId":"c1"}"#;
    let mut run = open(world.addr, Method::POST, "/api/assistants/v1/chat", &headers, body.into()).await;
    assert_eq!((run.status.as_u16(), run.header("content-type")), (200, "text/event-stream"));
    assert_eq!(run.next().await.expect("a piece").bytes, "one");
    let usage = world.entry("the usage", |entry| entry["kind"] == "usage").await;
    assert_eq!((&usage["outcome"], &usage["conversationId"]), (&json!("started"), &json!("c1")));
}

#[tokio::test]
async fn shadow_mode_refuses_no_assistant_and_says_what_it_would_have_refused() {
    let shadow = OPENED.replace("version: 1", "version: 1\nmode: shadow");
    let mut world = World::with(&shadow).start().await;
    let body = r#"{"endpoint":"assistants","model":"gpt-4o"}"#;
    send(&world, "Bob", Method::POST, "/api/assistants/v2/chat", body).await;
    assert_eq!(world.reached()[0].body, body);
    let entry = world.entry("the decision", |entry| entry["decision"] == "shadow").await;
    assert_eq!((&entry["rules"], &entry["metadata"]["model"]), (&json!([MODELS]), &json!("gpt-4o")));
}

#[tokio::test]
async fn keys_are_stored_for_endpoints_that_the_caller_may_use() {
    let secret = "sk-a-very-secret-key";
    let closing = OPENED.replace("version: 1", "version: 1\nuser_keys: deny");
    let without = OPENED.replace("      openAI:", "      agents: { models: [] }\n      openAI:");
    assert_ne!(without, OPENED);
    let key = |name: &str| format!(r#"{{"name":"{name}","value":"{{\"apiKey\":\"{secret}\"}}","expiresAt":null}}"#);
    let tool = |action: &str| format!(r#"{{"pluginKey":"dalle","action":"{action}","auth":{{"KEY":"{secret}"}}}}"#);
    for (policy, who, method, target, body, expected) in [
        (OPENED, "Bob", Method::PUT, "/api/keys", key("openAI"), (0, "")),
        (OPENED, "Bob", Method::PUT, "/Api/Keys/", key("assistants"), (0, "")),
        (OPENED, "Bob", Method::PUT, "/api/keys", key("anthropic"), (403, "unlisted.endpoint")),
        (OPENED, "Bob", Method::PUT, "/api/keys", key("azureAssistants"), (403, "unlisted.endpoint")),
        (OPENED, "Bob", Method::PUT, "/api/keys", key("agents"), (0, "")),
        (&without, "Bob", Method::PUT, "/api/keys", key("agents"), (403, "roles.USER.endpoints.agents.models")),
        (OPENED, "Bob", Method::PUT, "/api/keys", r#"{"name":["openAI"]}"#.to_owned(), (400, "select-key-name")),
        (OPENED, "Bob", Method::PUT, "/api/keys", r#"{"name":"a","name":"b"}"#.to_owned(), (400, "body-duplicate-key")),
        (OPENED, "Bob", Method::POST, "/api/user/plugins", tool("install"), (0, "")),
        (OPENED, "Bob", Method::POST, "/api/user/plugins", tool("destroy"), (400, "select-key-action")),
        (OPENED, "Bob", Method::DELETE, "/api/keys/openAI", String::new(), (0, "")),
        (&closing, "Bob", Method::PUT, "/api/keys", key("openAI"), (403, "user_keys")),
        (&closing, "Bob", Method::POST, "/api/user/plugins", tool("install"), (403, "user_keys")),
        (&closing, "Bob", Method::POST, "/api/user/plugins", tool("uninstall"), (0, "")),
        (&closing, "Bob", Method::DELETE, "/api/keys/openAI", String::new(), (0, "")),
        (&closing, "Bob", Method::DELETE, "/api/keys?all=true", String::new(), (0, "")),
        (&closing, "Bob", Method::GET, "/api/keys?name=openAI", String::new(), (0, "")),
        (&closing, "Ann", Method::PUT, "/api/keys", key("anthropic"), (0, "")),
        (&closing, "Ann", Method::POST, "/api/user/plugins", tool("install"), (0, "")),
    ] {
        let world = World::with(policy).start().await;
        let answer = send(&world, who, method.clone(), target, &body).await;
        let reached = world.reached();
        if expected.0 == 0 {
            assert_eq!(reached.len(), 1, "{who} {method} {target}: {}", answer.text());
            assert_eq!(reached[0].body, body, "{who} {method} {target}");
        } else {
            assert_eq!(told(&answer), (expected.0, expected.1.to_owned()), "{who} {method} {target}");
            assert!(reached.is_empty(), "{who} {method} {target}");
        }
        let log = world.log();
        let (_, entries) = world.stop().await;
        let told = format!("{log}{}{}", json!(entries), answer.text());
        assert!(!told.contains(secret), "no key is told: {told}");
    }
}

#[tokio::test]
async fn speech_is_closed_where_the_policy_says_so() {
    let closing = OPENED.replace("version: 1", "version: 1\nsystem_models: { speech: deny }");
    let routes = [
        (Method::POST, "/api/files/speech/stt"),
        (Method::POST, "/api/files/speech/tts"),
        (Method::GET, "/api/files/speech/tts?messageId=m"),
        (Method::POST, "/api/files/speech/tts/manual"),
    ];
    for (policy, who, expected) in [(OPENED, "Bob", false), (&closing, "Bob", true), (&closing, "Ann", false)] {
        let world = World::with(policy).start().await;
        for (method, target) in &routes {
            let answer = send(&world, who, method.clone(), target, "").await;
            let refused = told(&answer) == (403, "system_models.speech".to_owned());
            assert_eq!(refused, expected, "{who} {method} {target}: {}", answer.text());
        }
        for free in ["/api/files/speech/config/get", "/api/files/speech/tts/voices"] {
            assert_ne!(told(&send(&world, who, Method::GET, free, "").await).1, "system_models.speech", "{free}");
        }
        assert_eq!(world.reached().len(), if expected { 2 } else { 6 });
    }
}

#[tokio::test]
async fn a_spec_beside_the_model_must_be_allowed_too() {
    let spec = |name: &str, endpoint: &str, model: &str| ModelSpec {
        name: name.to_owned(),
        label: name.to_owned(),
        endpoint: endpoint.to_owned(),
        model: model.to_owned(),
        ..ModelSpec::default()
    };
    let list = vec![
        spec("cheap", "assistants", "gpt-4o-mini"),
        spec("dear", "assistants", "gpt-4o"),
        spec("other", "anthropic", "claude-opus-4-8"),
    ];
    let specs = ModelSpecs { enforce: true, prioritize: false, list };
    let world = World::with(OPENED).librechat(|options| options.model_specs = Some(specs)).start().await;
    for (name, expected) in
        [("cheap", ""), ("dear", MODELS), ("other", "unlisted.endpoint"), ("unknown", "select.no-such-spec")]
    {
        world.stand_in.forget();
        let body = format!(r#"{{"endpoint":"assistants","model":"gpt-4o-mini","spec":"{name}"}}"#);
        let answer = send(&world, "Bob", Method::POST, "/api/assistants/v2/chat", &body).await;
        assert_eq!(told(&answer).1, expected, "{name}: {}", answer.text());
        let ran = world.reached().iter().any(|seen| seen.method == Method::POST);
        assert_eq!(ran, expected.is_empty(), "{name}");
    }
    let config = send(&world, "Bob", Method::GET, "/api/config", "").await;
    let shown: Vec<_> = config.json()["modelSpecs"]["list"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|spec| spec["name"].clone())
        .collect();
    assert_eq!(shown, ["cheap"]);
}
