//! What a caller is shown: the models, endpoints and model specs that the policy allows, and no byte of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tollgate::demo::{Endpoint, ModelSpec, ModelSpecs, StandInOptions, StoredAgent};

use crate::POLICY;
use crate::scripted::Scripted;
use crate::support::{Answer, get, post_json, request};
use crate::world::{World, token};

const MODELS: &str = "/api/models";
const ENDPOINTS: &str = "/api/endpoints";
const CONFIG: &str = "/api/config";

/// What a client may say about encodings.
const ENCODINGS: [&str; 7] =
    ["identity", "gzip", "br", "deflate", "gzip, deflate, br, zstd", "*", "identity;q=0, gzip;q=1"];

async fn shown(world: &World, who: &str, path: &str) -> Answer {
    get(world.addr, path, &[("authorization", &world.bearer(who))]).await
}

/// The names of an object's members, in order.
fn names(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The answer is one caller's own, and says nothing about LibreChat's whole one.
fn assert_private(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("vary"), "Authorization", "{what}");
    assert_eq!(answer.header("content-encoding"), "", "{what}");
    for header in ["etag", "last-modified", "accept-ranges", "content-range", "transfer-encoding"] {
        assert_eq!(answer.header(header), "", "{what}: {header}");
    }
}

/// A catalogue long enough for LibreChat to compress it.
fn long(options: &mut StandInOptions) {
    let models = (0..100).map(|number| format!("long-name-{number}")).collect();
    let endpoint = Endpoint { name: "Long".to_owned(), models, configured: true, custom: true };
    options.catalogue.endpoints.push(endpoint);
}

fn specs(enforce: bool) -> ModelSpecs {
    let spec = |name: &str, endpoint: &str, model: &str| ModelSpec {
        name: name.to_owned(),
        label: format!("The {name} one"),
        endpoint: endpoint.to_owned(),
        model: model.to_owned(),
        ..ModelSpec::default()
    };
    let list = vec![
        spec("dear", "openAI", "o1"),
        spec("quick", "openAI", "gpt-4o-mini"),
        spec("room", "MindRoom", "mindroom-basic"),
        spec("large-room", "MindRoom", "mindroom-pro"),
    ];
    ModelSpecs { enforce, prioritize: true, list }
}

fn spec_names(config: &Value) -> Vec<&str> {
    let list = config["modelSpecs"]["list"].as_array().expect("a list of specs");
    list.iter().map(|spec| spec["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn a_user_sees_exactly_the_allowed_models() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let answer = get(world.addr, MODELS, &[("authorization", &bob)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_private(&answer, "GET");
    let head = request(world.addr, Method::HEAD, MODELS, &[("authorization", &bob)], "".into()).await;
    assert_eq!(head.header("content-length"), answer.body.len().to_string());
    assert!(head.body.is_empty());
    assert_private(&head, "HEAD");
}

#[tokio::test]
async fn a_member_of_a_group_sees_the_models_of_the_group() {
    let world = World::with(POLICY).member("Bob", &["staff", "premium-openai"]).start().await;
    let models = shown(&world, "Bob", MODELS).await.json();
    assert_eq!(models, json!({"openAI": ["gpt-4o-mini", "gpt-4o"], "MindRoom": ["mindroom-basic"]}));
}

#[tokio::test]
async fn who_may_use_everything_sees_librechats_very_bytes() {
    let change = |options: &mut StandInOptions| {
        long(options);
        options.model_specs = Some(specs(true));
    };
    let world = World::with(POLICY).librechat(change).start().await;
    let ann = world.bearer("Ann");
    for path in [MODELS, ENDPOINTS, CONFIG] {
        let original = get(world.stand_in.addr(), path, &[("authorization", &ann)]).await;
        for encoding in ENCODINGS {
            let headers = [("authorization", ann.as_str()), ("accept-encoding", encoding)];
            let answer = get(world.addr, path, &headers).await;
            assert_eq!(answer.status, 200, "{path} {encoding}");
            assert_eq!(answer.text(), original.text(), "{path} {encoding}");
            assert_eq!(answer.header("content-type"), original.header("content-type"), "{path}");
            assert_private(&answer, path);
        }
    }
}

#[tokio::test]
async fn no_encoding_condition_or_range_changes_what_is_shown() {
    let world = World::with(POLICY).librechat(long).start().await;
    let bob = world.bearer("Bob");
    let plain = get(world.addr, MODELS, &[("authorization", &bob)]).await;
    let direct = [("authorization", bob.as_str()), ("accept-encoding", "gzip")];
    let original = get(world.stand_in.addr(), MODELS, &direct).await;
    assert_eq!(original.header("content-encoding"), "gzip", "LibreChat would compress it");
    let tag = original.header("etag");
    assert!(!tag.is_empty());
    let fresh = get(world.stand_in.addr(), MODELS, &[direct[0], ("if-none-match", tag)]).await;
    assert_eq!(fresh.status, 304, "LibreChat would answer 304");

    let odd = [
        ("if-none-match", tag),
        ("if-none-match", "*"),
        ("if-modified-since", "Sat, 21 Nov 2099 05:38:09 GMT"),
        ("if-match", "\"nothing\""),
        ("if-unmodified-since", "Sat, 21 Nov 1999 05:38:09 GMT"),
        ("range", "bytes=0-10"),
        ("range", "bytes=-1"),
    ];
    let encodings = ENCODINGS.map(|encoding| ("accept-encoding", encoding));
    for extra in odd.into_iter().chain(encodings) {
        world.stand_in.forget();
        let headers = [("authorization", bob.as_str()), extra];
        let answer = get(world.addr, MODELS, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, plain.text()), "{extra:?}");
        assert_private(&answer, extra.1);
        let head = request(world.addr, Method::HEAD, MODELS, &headers, "".into()).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{extra:?}");
        assert_eq!(head.header("content-length"), plain.body.len().to_string(), "{extra:?}");
        assert_private(&head, extra.1);
        let reached = world.reached();
        assert_eq!(reached.len(), 2);
        for seen in reached {
            assert_eq!(seen.method, Method::GET, "a HEAD is measured on the filtered answer");
            assert_eq!(seen.headers["accept-encoding"], "identity", "{extra:?}");
            let conditional = seen.headers.keys().any(|name| name.as_str().starts_with("if-") || name == "range");
            assert!(!conditional, "{extra:?}: {:?}", seen.headers);
        }
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_that_librechat_takes_is_filtered() {
    let world = World::with(POLICY).start().await;
    for (path, wanted) in [(MODELS, MODELS), (ENDPOINTS, ENDPOINTS), (CONFIG, CONFIG)] {
        let plain = shown(&world, "Bob", path).await;
        let upper = path.to_uppercase();
        let spellings = [
            upper.clone(),
            path.replacen("/api", "/API", 1),
            format!("{path}/"),
            format!("{path}//"),
            format!("{upper}///"),
        ];
        for spelling in spellings {
            world.stand_in.forget();
            let answer = shown(&world, "Bob", &spelling).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, plain.text()), "{spelling}");
            assert_private(&answer, &spelling);
            let targets: Vec<String> = world.reached().into_iter().map(|seen| seen.target).collect();
            assert!(targets.iter().all(|target| [wanted, MODELS].contains(&target.as_str())), "{targets:?}");
        }
        let queried = shown(&world, "Bob", &format!("{path}?refresh=true&x")).await;
        assert_eq!(queried.text(), plain.text(), "{path} with a query");
    }
    world.stand_in.forget();
    let refused = [
        ("//api/models", "path-empty-segment"),
        ("/api//models", "path-empty-segment"),
        ("/api/%6dodels", "path-encoded-plain"),
        ("/%61pi/models", "path-encoded-plain"),
        ("/api/models;x=1", "path-semicolon"),
        ("/api/./models", "path-dot-segment"),
        ("/api/x/../models", "path-dot-segment"),
        ("/api/x/%2e%2e/models", "path-dot-segment"),
        ("/api%2Fmodels", "path-encoded-slash"),
        ("/api/models%00", "path-encoded-control"),
        ("/api/models%20", "route.unknown"),
        ("/api/models/x", "route.unknown"),
    ];
    for (path, rule) in refused {
        let answer = shown(&world, "Bob", path).await;
        assert_eq!(answer.json()["rule"], rule, "{path}");
        assert_eq!(answer.status, if rule == "route.unknown" { 404 } else { 400 }, "{path}");
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
}

#[tokio::test]
async fn endpoints_without_an_allowed_model_are_gone_and_the_others_keep_their_order() {
    let world = World::with(POLICY).librechat(long).start().await;
    let whole = shown(&world, "Ann", ENDPOINTS).await;
    assert_eq!(names(&whole.json()), ["openAI", "agents", "MindRoom", "Long"]);
    let answer = shown(&world, "Bob", ENDPOINTS).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "as LibreChat calls it");
    assert_private(&answer, ENDPOINTS);
    let endpoints = answer.json();
    assert_eq!(names(&endpoints), ["openAI", "MindRoom"]);
    assert_eq!(endpoints["openAI"], whole.json()["openAI"], "what is shown is shown whole");
    assert_eq!(endpoints["MindRoom"], whole.json()["MindRoom"]);
}

#[tokio::test]
async fn a_model_that_librechat_does_not_offer_opens_no_endpoint() {
    let policy = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [gpt-99] } } } }\n";
    let world = World::with(policy).start().await;
    assert_eq!(shown(&world, "Bob", MODELS).await.text(), "{}");
    assert_eq!(shown(&world, "Bob", ENDPOINTS).await.text(), "{}");
    let none = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [] }, custom: { MindRoom: { models: ['*'] } } } } }\n";
    let world = World::with(none).start().await;
    assert_eq!(
        shown(&world, "Bob", ENDPOINTS).await.json()["openAI"],
        Value::Null,
        "asked before the models are known"
    );
    assert_eq!(shown(&world, "Bob", MODELS).await.json(), json!({"MindRoom": ["mindroom-basic", "mindroom-pro"]}));
}

#[tokio::test]
async fn who_is_denied_one_model_sees_the_others_but_no_agents_and_assistants() {
    let policy = "version: 1\nunlisted: { endpoint: allow, role: allow }\n\
                  roles: { USER: { endpoints: { openAI: { deny: [o1] } } } }\n";
    let world = World::with(policy).start().await;
    let (all, models) = (shown(&world, "Ann", MODELS).await.json(), shown(&world, "Bob", MODELS).await.json());
    assert_eq!(models["openAI"], json!(["gpt-4o-mini", "gpt-4o"]));
    let mut wanted = names(&all);
    wanted.retain(|name| !["assistants", "azureAssistants"].contains(name));
    assert_eq!(names(&models), wanted);
    // Without LibreChat's database nobody can say what an agent runs.
    assert_eq!(names(&shown(&world, "Bob", ENDPOINTS).await.json()), ["openAI", "MindRoom"]);
    assert_eq!(names(&shown(&world, "Ann", ENDPOINTS).await.json()), ["openAI", "agents", "MindRoom"]);
}

#[tokio::test]
async fn who_is_not_known_gets_librechats_anonymous_configuration() {
    let world = World::with(POLICY).librechat(|options| options.model_specs = Some(specs(true))).start().await;
    let anonymous = get(world.stand_in.addr(), CONFIG, &[]).await;
    assert_eq!(anonymous.json()["modelSpecs"], Value::Null);
    let (bob, secret) = (&world.person("Bob").id, &world.stand_in.options().jwt_secret);
    let expired = token(Algorithm::HS256, secret, &json!({"id": bob, "exp": 1_600_000_000}));
    let foreign = token(Algorithm::HS256, "a-secret-that-is-not-librechats-own", &json!({"id": bob, "exp": 4e9}));
    let credentials = [
        None,
        Some(format!("Bearer {expired}")),
        Some(format!("Bearer {foreign}")),
        Some("Bearer garbage".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Basic eDp5".to_owned()),
        Some(format!("{}, Bearer x", world.bearer("Bob"))),
    ];
    for credential in credentials {
        world.stand_in.forget();
        let headers: Vec<_> = credential.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = get(world.addr, CONFIG, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, anonymous.text()), "{credential:?}");
        assert_private(&answer, CONFIG);
        let reached = world.reached();
        assert_eq!(reached.len(), 1, "{credential:?}");
        assert!(!reached[0].headers.contains_key("authorization"), "what was not accepted stays here: {credential:?}");
    }
    for path in [MODELS, ENDPOINTS] {
        assert_eq!(get(world.addr, path, &[]).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn model_specs_are_filtered_by_what_they_would_run() {
    for enforce in [false, true] {
        let change = |options: &mut StandInOptions| options.model_specs = Some(specs(enforce));
        let world = World::with(POLICY).librechat(change).start().await;
        let whole = shown(&world, "Ann", CONFIG).await.json();
        assert_eq!(spec_names(&whole), ["dear", "quick", "room", "large-room"]);
        let answer = shown(&world, "Bob", CONFIG).await;
        assert_private(&answer, CONFIG);
        let config = answer.json();
        assert_eq!(spec_names(&config), ["quick", "room"]);
        assert_eq!(config["modelSpecs"]["enforce"], enforce);
        assert_eq!(names(&config), names(&whole), "everything else is there, in its order");
        assert_eq!(config["interface"], whole["interface"]);
    }
}

/// LibreChat has specs only for who is signed in, and where it reuses tokens of an identity provider, a cookie beside one of
/// its own tokens makes that nobody's (CONTRACT.md A.2 b, e).
#[tokio::test]
async fn an_answer_for_nobody_does_not_say_that_there_are_no_specs() {
    const ANONYMOUS: &str = r#"{"appTitle":"LibreChat","socialLogins":[]}"#;
    const SIGNED_IN: &str = r#"{"appTitle":"LibreChat","sharedLinksEnabled":true,"modelSpecs":{"enforce":true,"list":[
        {"name":"dear","preset":{"endpoint":"openAI","model":"o1"}}]}}"#;
    // The first time the token has just ended for LibreChat.
    let ended = AtomicBool::new(true);
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let upstream = Scripted::start(move |head| {
        if !head.starts_with("GET /api/config ") {
            counted.fetch_add(usize::from(head.starts_with("POST ")), Ordering::SeqCst);
            return ok("", b"{}");
        }
        let nobody = ended.swap(false, Ordering::SeqCst) || head.contains("token_provider=openid");
        ok("", if nobody { ANONYMOUS } else { SIGNED_IN }.as_bytes())
    });
    let upstream = upstream.await;
    let mut world = World::with(POLICY).upstream(&upstream.url()).start().await;
    let bob = world.bearer("Bob");
    let turn = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "spec": "dear", "text": "Hello"});
    for (agent, status, rule) in
        [("ended", 401, "identity.no-user"), ("as another's", 403, "roles.USER.endpoints.openAI.models")]
    {
        let cookie = ("cookie", "token_provider=openid; a=1");
        let headers = [("authorization", bob.as_str()), ("user-agent", agent), cookie];
        let answer = post_json(world.addr, "/api/agents/chat", &headers, &turn).await;
        assert_eq!(answer.status, status, "{agent}: {}", answer.text());
        assert_eq!(world.entry_from(agent).await["rules"], json!([rule]), "{agent}");
    }
    assert_eq!(turns.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_forbidden_name_is_in_any_byte_that_a_user_gets() {
    let change = |options: &mut StandInOptions| {
        options.model_specs = Some(specs(false));
        options.agents.push(StoredAgent {
            id: "agent_dear".to_owned(),
            name: "Helper".to_owned(),
            provider: "openAI".to_owned(),
            model: "o1".to_owned(),
            author: String::new(),
        });
    };
    let mut world = World::with(POLICY).librechat(change).start().await;
    let catalogue = &world.stand_in.options().catalogue;
    let allowed = ["openAI", "MindRoom", "gpt-4o-mini", "mindroom-basic"];
    let all = catalogue.endpoints.iter().flat_map(|endpoint| {
        // An endpoint may be called as an ordinary word is: it counts where it is a name of its own.
        endpoint.models.iter().cloned().chain([format!("\"{}\"", endpoint.name)])
    });
    let mut forbidden: Vec<String> = all.filter(|name| !allowed.contains(&name.trim_matches('"'))).collect();
    forbidden.sort();
    forbidden.dedup();
    assert!(forbidden.len() >= 15, "{forbidden:?}");
    forbidden.extend(["large-room", "The dear one"].map(str::to_owned));
    // A name that another one begins with counts where it stands alone.
    let holds = |text: &str, name: &str| text.replace("gpt-4o-mini", "").contains(name);
    let bob = world.bearer("Bob");
    let whole = get(world.stand_in.addr(), MODELS, &[("authorization", &bob)]).await.text();
    assert!(holds(&whole, "gpt-4o") && holds(&whole, "claude-opus-4-8"), "the sweep finds names where there are any");
    let paths = [
        MODELS,
        ENDPOINTS,
        CONFIG,
        "/API/Models/",
        "/api/endpoints//",
        "/Api/Config",
        "/api/agents",
        "/api/agents/agent_dear",
        "/api/agents/agent_dear/expanded",
        "/api/agents/v1/models",
        "/api/assistants/v1",
        "/api/assistants/v2/documents",
        "/api/user",
        "/api/balance",
        "/api/presets",
        "/api/models/x",
        "/api//models",
        "/api/admin/config",
        "/metrics",
    ];
    let mut looked_at = 0;
    for path in paths {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST] {
            for encoding in ["identity", "gzip, br"] {
                let headers = [("authorization", bob.as_str()), ("accept-encoding", encoding)];
                let answer = request(world.addr, method.clone(), path, &headers, "".into()).await;
                assert_eq!(answer.header("content-encoding"), "", "{method} {path}");
                let text = format!("{:?}\n{}", answer.headers, answer.text());
                let found: Vec<_> = forbidden.iter().filter(|name| holds(&text, name)).collect();
                assert!(found.is_empty(), "{method} {path} {encoding}: {found:?} in {text}");
                looked_at += 1;
            }
        }
    }
    assert_eq!(looked_at, paths.len() * 8);
    let refused = |entry: &Value| entry["details"]["path"] == "/api/agents/agent_dear" && entry["decision"] == "deny";
    let entry = world.entry("the refused document of an agent", refused).await;
    assert_eq!(entry["rules"], json!(["agent.no-store"]));
}

/// A 200 answer with this body.
fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn an_answer_that_cannot_be_filtered_is_never_shown() {
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", ok("", b"the-hidden-model is not JSON")),
        ("a page", ok("Content-Type: text/html\r\n", b"<html>the-hidden-model</html>")),
        ("nothing", ok("", b"")),
        ("an array", ok("", br#"["the-hidden-model"]"#)),
        ("text", ok("", br#""the-hidden-model""#)),
        ("null", ok("", b"null")),
        ("half an object", ok("", br#"{"openAI":["the-hidden-model"]"#)),
        ("two objects", ok("", br#"{"openAI":["gpt-4o-mini"]}{"openAI":["the-hidden-model"]}"#)),
        ("bytes that are no text", ok("", b"{\"openAI\":[\"the-hidden-model\xff\"]}")),
        ("gzip that was not asked for", ok("Content-Encoding: gzip\r\n", br#"{"openAI":["the-hidden-model"]}"#)),
        ("br that was not asked for", ok("Content-Encoding: br\r\n", br#"{"openAI":["the-hidden-model"]}"#)),
        ("two encodings", ok("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", b"{\"the-hidden-model\":[]}")),
        ("a part", b"HTTP/1.1 206 Partial Content\r\nContent-Length: 18\r\n\r\n\"the-hidden-model\"".to_vec()),
        ("a redirection", b"HTTP/1.1 302 Found\r\nLocation: /the-hidden-model\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("not modified", b"HTTP/1.1 304 Not Modified\r\nETag: \"the-hidden-model\"\r\n\r\n".to_vec()),
        ("less than announced", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"the-hidden-model\":[]}".to_vec()),
        ("no HTTP", b"the-hidden-model\r\n\r\n".to_vec()),
    ];
    let scripts: Vec<Vec<u8>> = odd.iter().map(|(_, bytes)| bytes.clone()).collect();
    let upstream = Scripted::start(move |head| scripts.get(wish(head)).cloned().unwrap_or_else(|| ok("", b"OK"))).await;
    let mut world = World::with(POLICY).upstream(&upstream.url()).start().await;
    let mut agents = Vec::new();
    for (wish, (name, _)) in odd.iter().enumerate() {
        for path in [MODELS, ENDPOINTS, CONFIG] {
            let agent = format!("{name} {path}");
            let (bob, wish) = (world.bearer("Bob"), wish.to_string());
            let headers = [("authorization", bob.as_str()), ("user-agent", &agent), ("x-wish", &wish)];
            let answer = get(world.addr, path, &headers).await;
            let text = format!("{:?} {}", answer.headers, answer.text());
            assert_eq!(answer.status, 502, "{name}: {path}: {text}");
            assert!(!text.contains("hidden"), "{name}: {path}: {text}");
            let rule = answer.json()["rule"].as_str().unwrap_or_default().to_owned();
            assert!(rule.starts_with("upstream."), "{name}: {path}: {rule}");
            agents.push(agent);
        }
    }
    for agent in agents {
        let entry = world.entry_from(&agent).await;
        assert_eq!((&entry["category"], &entry["severity"]), (&json!("SYSTEM"), &json!("ERROR")), "{agent}");
        assert_eq!(entry["details"]["response"]["status"], 502, "{agent}");
    }
}

/// The number in the header by which a test says what it wants to be answered.
fn wish(head: &str) -> usize {
    let wish = head.lines().find_map(|line| line.strip_prefix("x-wish: "));
    wish.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

#[tokio::test]
async fn lists_of_another_shape_are_never_shown() {
    // Each is an object, as it should be, with something inside that nobody can filter.
    let odd = [
        (MODELS, r#"{"openAI":"the-hidden-model"}"#),
        (MODELS, r#"{"openAI":[{"name":"the-hidden-model"}]}"#),
        (MODELS, r#"{"openAI":{"the-hidden-model":true}}"#),
        (MODELS, r#"{"openAI":["gpt-4o-mini",["the-hidden-model"]]}"#),
        (CONFIG, r#"{"modelSpecs":["the-hidden-model"]}"#),
        (CONFIG, r#"{"modelSpecs":{"list":{"name":"the-hidden-model"}}}"#),
        (CONFIG, r#"{"modelSpecs":{"list":["the-hidden-model"]}}"#),
        (CONFIG, r#"{"modelSpecs":{"list":[{"name":"the-hidden-model"}]}}"#),
        (CONFIG, r#"{"modelSpecs":{"list":[],"addedEndpoints":{"x":"the-hidden-model"}}}"#),
        (ENDPOINTS, r#"{"openAI":"the-hidden-model"}"#),
        (ENDPOINTS, r#"{"openAI":{"retrievalModels":"the-hidden-model"}}"#),
    ];
    let upstream = Scripted::start(move |head| {
        let asked = head.split(' ').nth(1).unwrap_or_default();
        let wanted = odd.get(wish(head)).filter(|(path, _)| *path == asked);
        ok("", wanted.map_or(r#"{"openAI":["gpt-4o-mini"]}"#, |(_, body)| body).as_bytes())
    });
    let upstream = upstream.await;
    let world = World::with(POLICY).upstream(&upstream.url()).start().await;
    for (wish, (path, body)) in odd.iter().enumerate() {
        let (bob, wish) = (world.bearer("Bob"), wish.to_string());
        let answer = get(world.addr, path, &[("authorization", &bob), ("x-wish", &wish)]).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (502, &json!("upstream.misshapen")), "{body}");
        assert!(!answer.text().contains("hidden"), "{body}");
    }
}

#[tokio::test]
async fn an_error_of_librechat_passes_and_is_kept_by_nobody() {
    let errors = [
        ("401 Unauthorized", r#"{"message":"Unauthorized"}"#),
        ("403 Forbidden", r#"{"type":"ban"}"#),
        ("404 Not Found", r#"{"message":"Endpoint not found"}"#),
        ("429 Too Many Requests", r#"{"message":"slow down"}"#),
        ("500 Internal Server Error", r#"{"message":"down"}"#),
    ];
    let upstream = Scripted::start(move |head| {
        let (status, body) = errors.get(wish(head)).unwrap_or(&errors[0]);
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
    });
    let upstream = upstream.await;
    let world = World::with(POLICY).upstream(&upstream.url()).start().await;
    for (wish, (status, body)) in errors.iter().enumerate() {
        for path in [MODELS, ENDPOINTS, CONFIG] {
            let (bob, wish) = (world.bearer("Bob"), wish.to_string());
            let answer = get(world.addr, path, &[("authorization", &bob), ("x-wish", &wish)]).await;
            assert_eq!(
                (answer.status.to_string(), answer.text()),
                ((*status).to_owned(), (*body).to_owned()),
                "{path}"
            );
            assert_eq!(answer.header("cache-control"), "no-store", "{status} {path}");
        }
    }
}
