//! The room as a whole, against what LibreChat really did: `tests/captures`.

use std::path::PathBuf;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::assistants::Part;
use super::catalog::{ModelsAnswer, config_needs_models, filter_config, filter_endpoints, filter_models};
use super::content::json_body_expected;
use super::path::CanonicalPath;
use super::routes::{Class, Deed, Remote, Unrouted, classify};
use super::selection::{TurnRequest, select_turn};
use super::specs::{SpecLookup, Specs};
use crate::policy::words::{Sight, Surface, Target};

fn captures(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn exchanges(file: &str) -> Vec<Value> {
    captures(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A request as the room sees it.
struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What the room makes of a request: the class, the targets of a turn, or the code of the refusal.
fn judge(asked: &Asked) -> Result<(Class, Option<TurnRequest>), String> {
    let path = CanonicalPath::read(&asked.target).map_err(|fault| fault.code().to_owned())?;
    let route = classify(&asked.method, &path).map_err(|fault| match fault {
        Unrouted::UnknownPath => "route-unknown".to_owned(),
        Unrouted::Method { .. } => "route-method".to_owned(),
    })?;
    if route.class != Class::Turn {
        return Ok((route.class, None));
    }
    json_body_expected(&asked.headers).map_err(|fault| fault.code().to_owned())?;
    let turn = select_turn(&asked.body).map_err(|fault| fault.code().to_owned())?;
    Ok((Class::Turn, Some(turn)))
}

/// A captured raw request. Its bytes are stored as Latin-1 text. None if its framing is not HTTP, which an HTTP server
/// refuses before this room.
fn raw(text: &str) -> Option<Asked> {
    let bytes: Vec<u8> = text.chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = text.chars().take(end).collect::<String>();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let method = request_line.next()?.parse().ok()?;
    let target = request_line.next()?.to_owned();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        headers.append(name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?);
    }
    let mut body = bytes[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        body = unchunked(&body);
    }
    Some(Asked { method, target, headers, body })
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    out
}

fn model(endpoint: &str, model: &str) -> Target {
    Target::Model { endpoint: endpoint.into(), model: model.into() }
}

/// Requests that LibreChat answered with 2xx and that have no route: refused by intention.
const REFUSED_ON_PURPOSE: &[(&str, &str)] = &[
    // The client library of the recording resolved the dots itself.
    ("POST /api/x/../agents/chat/openAI", "path-dot-segment"),
];

#[test]
fn nothing_that_librechat_served_in_the_captures_is_without_a_route() {
    let mut seen = 0;
    for file in ["base.jsonl", "specs.jsonl", "specs-enforce.jsonl", "browser.jsonl"] {
        for exchange in exchanges(file) {
            let request = &exchange["request"];
            let (method, target) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
            let status = exchange["response"]["status"].as_u64().unwrap();
            let asked = format!("{method} {target}");
            // Angle brackets stand for what the recording left out.
            let path = CanonicalPath::read(&target.replace(['<', '>'], "_"));
            let found = match path.as_ref().map(|path| classify(&method.parse().unwrap(), path)) {
                Err(fault) => Err(fault.code()),
                Ok(Err(_)) => Err("route"),
                Ok(Ok(route)) => Ok(route),
            };
            seen += 1;
            if let Some((_, code)) = REFUSED_ON_PURPOSE.iter().find(|(refused, _)| *refused == asked) {
                assert_eq!(found.unwrap_err(), *code, "{asked}");
            } else if (200..300).contains(&status) {
                assert!(found.is_ok(), "{file} {asked} answered {status} but is refused: {found:?}");
            } else if exchange["response"]["body"] == json!({"message": "Endpoint not found"}) {
                assert!(found.is_err(), "{asked} is unknown to LibreChat but has a route");
            }
        }
    }
    assert!(seen > 700, "{seen}");
}

#[test]
fn every_request_of_the_web_client_has_a_route_that_a_restricted_caller_may_use() {
    for line in captures("web-client.txt").lines() {
        let (method, target) = line.split_once(' ').unwrap();
        let path = CanonicalPath::read(target).unwrap();
        let route = classify(&method.parse().unwrap(), &path).unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
        let open = matches!(
            route.class,
            Class::Pass | Class::Noted(_) | Class::Balance | Class::Stream | Class::Catalog(_) | Class::Turn
        );
        assert!(open, "{line}: {route:?}");
        assert_eq!(route.target(&path), target, "the client's own spelling is canonical");
    }
}

#[test]
fn every_turn_of_the_real_client_is_understood() {
    let mut turns = 0;
    for exchange in exchanges("browser.jsonl") {
        let request = &exchange["request"];
        let path = CanonicalPath::read(request["path"].as_str().unwrap()).unwrap();
        let route = classify(&request["method"].as_str().unwrap().parse().unwrap(), &path).unwrap();
        if route.class == Class::Turn {
            let body = match &request["body"] {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let turn = select_turn(body.as_bytes()).unwrap();
            let value: Value = serde_json::from_str(&body).unwrap();
            let primary = model(value["endpoint"].as_str().unwrap(), value["model"].as_str().unwrap());
            assert_eq!(turn.targets[0], primary);
            assert_eq!(turn.targets.len(), 1 + usize::from(value["addedConvo"].is_object()));
            assert_eq!(serde_json::from_slice::<Value>(&turn.body).unwrap(), value);
            turns += 1;
        }
    }
    assert_eq!(turns, 8);
}

#[test]
fn whatever_librechat_called_in_the_raw_captures_was_refused_or_judged() {
    let mut refused = Vec::new();
    let mut called = 0;
    for exchange in exchanges("raw.jsonl") {
        let name = exchange["name"].as_str().unwrap();
        let Some(asked) = raw(exchange["request_raw"].as_str().unwrap()) else {
            assert_eq!(exchange["upstream_models"], json!([]), "{name}");
            continue;
        };
        let judged = judge(&asked);
        let answer = exchange["response_raw"].as_str().unwrap_or_default();
        if answer.contains("{\"message\":\"Endpoint not found\"}") {
            // Without its trailing slashes, which is how it goes upstream, LibreChat serves this one.
            let made_canonical = name == "07_path-trailing-slashes";
            assert!(judged.is_err() || made_canonical, "{name} is unknown to LibreChat but has a route: {judged:?}");
        }
        let models: Vec<&str> =
            exchange["upstream_models"].as_array().unwrap().iter().map(|model| model.as_str().unwrap()).collect();
        let started = answer.contains("{\"streamId\":");
        called += usize::from(!models.is_empty());
        match judged {
            Err(code) if !models.is_empty() => refused.push(format!("{name} {code}")),
            Err(_) => {}
            Ok((class, None)) => assert!(models.is_empty() && !started, "{name} started a turn but is {class:?}"),
            Ok((_, Some(turn))) => {
                for model in models {
                    let judged = turn.targets.iter().any(|target| match target {
                        Target::Model { model: judged, .. } => **judged == *model,
                        Target::Surface(surface) => *surface == Surface::Agents,
                        Target::Agent { .. } => true,
                        Target::Tool(_) => false,
                        Target::Assistant { .. } | Target::Endpoint(_) | Target::Feature(_) => false,
                    });
                    assert!(judged, "{name}: {model} was called, judged were {:?}", turn.targets);
                }
            }
        }
    }
    assert_eq!(refused, REFUSED);
    assert_eq!(called, 42, "raw captures that made LibreChat call a model");
}

/// The raw captures that made LibreChat call a model and that are refused, with the reason.
const REFUSED: &[&str] = &[
    "09_path-absolute-form path-form",
    "10_path-absolute-other-host path-form",
    "12_path-fragment path-fragment",
    "13_path-semicolon path-semicolon",
    "16_path-encoded-endpoint path-encoded-plain",
    "24_path-nul path-encoded-control",
    "27_json-dup-key body-duplicate-key",
    "28_json-escaped-key body-duplicate-key",
    "29_json-proto body-prototype-key",
    "30_json-proto-nomodel body-prototype-key",
    "35_json-lone-surrogate body-lone-surrogate",
    "36_json-invalid-utf8 body-not-utf8",
    "37_json-proto-added body-prototype-key",
    "38_json-added-proto body-prototype-key",
    "45_form-encoded-key content-type",
    "56_json-added-array select-added-convo",
    "57_form content-type",
    "59_form-nested-added content-type",
    "60_form-charset content-type",
    "62_ct-params content-type",
    "63_ct-charset-utf7 content-type",
    "66_body-utf16le content-type",
    "67_body-utf32 content-type",
    "68_body-bom body-byte-order-mark",
    "69_body-gzip content-encoding",
    "70_body-deflate content-encoding",
    "71_body-br content-encoding",
    "72_body-gzip-upper content-encoding",
    "99_ep-openAI-type-custom select-endpoint-type",
    "101_ep-mindroom-type-openAI select-endpoint-type",
];

#[test]
fn captured_specs_are_found_by_their_names() {
    for (file, enforced) in [("specs.jsonl", false), ("specs-enforce.jsonl", true)] {
        let exchanges = exchanges(file);
        let config = exchanges.iter().find(|exchange| exchange["request"]["path"] == "/api/config").unwrap();
        let specs = Specs::read(config["response"]["body"].to_string().as_bytes()).unwrap().unwrap();
        assert_eq!(specs.enforced(), enforced);
        assert_eq!(specs.targets("smart"), SpecLookup::Found(vec![model("openAI", "gpt-4o")]));
        assert_eq!(specs.targets("room-pro"), SpecLookup::Found(vec![model("MindRoom", "mindroom-pro")]));
        assert_eq!(specs.targets("nope"), SpecLookup::Unknown);
    }
    let base = exchanges("base.jsonl");
    let named =
        |name: &str| base.iter().find(|exchange| exchange["name"] == name).unwrap()["response"]["body"].to_string();
    let signed_in = Specs::read(named("066_boot_api_config").as_bytes()).unwrap();
    assert_eq!(signed_in.unwrap().targets("x"), SpecLookup::NoList);
    // Who is not signed in is not told of any specs, so that nothing is known of them.
    for anonymous in ["026_config-anon", "027_config-share"] {
        assert_eq!(Specs::read(named(anonymous).as_bytes()).unwrap(), None, "{anonymous}");
    }
}

struct OnlyMini;

impl Sight for OnlyMini {
    fn model(&self, endpoint: &str, model: &str) -> bool {
        (endpoint, model) == ("openAI", "gpt-4o-mini")
    }

    fn surface(&self, _: Surface) -> bool {
        false
    }

    fn agents(&self) -> bool {
        false
    }

    fn target(&self, _: &Target) -> bool {
        false
    }

    fn everything(&self) -> bool {
        false
    }
}

#[test]
fn captured_catalogues_are_narrowed_to_the_one_model() {
    let answer = |path: &str| {
        let exchanges = exchanges("specs.jsonl");
        let found = exchanges.iter().find(|exchange| {
            exchange["request"]["path"] == path && exchange["response"]["status"] == 200 && exchange["who"] == "user"
        });
        Bytes::from(found.unwrap()["response"]["body"].to_string())
    };
    let models = answer("/api/models");
    assert_eq!(filter_models(&models, &OnlyMini).unwrap(), r#"{"openAI":["gpt-4o-mini"]}"#);
    let offered = ModelsAnswer::read(&models).unwrap();
    let endpoints: Value =
        serde_json::from_slice(&filter_endpoints(&answer("/api/endpoints"), Some(&offered), &OnlyMini).unwrap())
            .unwrap();
    assert_eq!(endpoints, json!({"openAI": {"userProvide": false, "userProvideURL": false, "order": 0}}));
    let config = answer("/api/config");
    assert!(!config_needs_models(&config));
    let narrowed: Value = serde_json::from_slice(&filter_config(&config, None, &OnlyMini).unwrap()).unwrap();
    let names: Vec<&Value> =
        narrowed["modelSpecs"]["list"].as_array().unwrap().iter().map(|spec| &spec["name"]).collect();
    assert_eq!(names, ["fast"]);
    let mut expected: Value = serde_json::from_slice(&config).unwrap();
    expected["modelSpecs"]["list"].as_array_mut().unwrap().truncate(1);
    assert_eq!(narrowed, expected);
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const CHAT: &str = "/api/agents/chat";
const CHEAP: &str = r#"{"endpoint":"openAI","model":"cheap"}"#;

/// What is expected of a request.
enum Expect {
    /// The code of the refusal.
    Refused(&'static str),
    /// The models that are judged.
    Models(&'static [(&'static str, &'static str)]),
    /// Stored agents are judged (perhaps beside models).
    Agents,
    /// Another class than a turn.
    Is(Class),
}

use Expect::{Agents, Is, Models, Refused};

type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [u8], Expect);

/// Name, method and target, headers, body, expected. The attempts of CONTRACT.md D.8 and SECURITY.md 2.
const CASES: &[Case] = &[
    ("plain", "POST /api/agents/chat", JSON, CHEAP.as_bytes(), Models(&[("openAI", "cheap")])),
    (
        "path names another endpoint",
        "POST /api/agents/chat/anthropic",
        JSON,
        CHEAP.as_bytes(),
        Models(&[("openAI", "cheap")]),
    ),
    ("upper case path", "POST /API/AGENTS/CHAT", JSON, br#"{"endpoint":"agents","agent_id":"agent_dear"}"#, Agents),
    ("upper case path, model", "POST /Api/Agents/Chat/x", JSON, CHEAP.as_bytes(), Models(&[("openAI", "cheap")])),
    ("backslash and fragment", "POST /api\\agents/chat#", JSON, CHEAP.as_bytes(), Refused("path-backslash")),
    ("fragment", "POST /api/agents/chat#x", JSON, CHEAP.as_bytes(), Refused("path-fragment")),
    ("absolute form", "POST http://x/api/agents/chat/", JSON, CHEAP.as_bytes(), Refused("path-form")),
    ("absolute form, other scheme", "POST ftp://a/api/agents/chat", JSON, CHEAP.as_bytes(), Refused("path-form")),
    ("trailing slashes", "POST /api/agents/chat//", JSON, CHEAP.as_bytes(), Models(&[("openAI", "cheap")])),
    ("query", "POST /api/agents/chat?model=dear", JSON, CHEAP.as_bytes(), Models(&[("openAI", "cheap")])),
    ("leading slashes", "POST //api/agents/chat", JSON, CHEAP.as_bytes(), Refused("path-empty-segment")),
    ("dot segments", "POST /api/x/../agents/chat", JSON, CHEAP.as_bytes(), Refused("path-dot-segment")),
    ("one dot", "POST /api/./agents/chat", JSON, CHEAP.as_bytes(), Refused("path-dot-segment")),
    ("encoded dots", "POST /api/x/%2e%2E/agents/chat", JSON, CHEAP.as_bytes(), Refused("path-dot-segment")),
    ("encoded letter", "POST /%61pi/agents/chat", JSON, CHEAP.as_bytes(), Refused("path-encoded-plain")),
    ("encoded slash", "POST /api%2fagents/chat", JSON, CHEAP.as_bytes(), Refused("path-encoded-slash")),
    ("encoded backslash", "POST /api%5Cagents/chat", JSON, CHEAP.as_bytes(), Refused("path-encoded-slash")),
    ("matrix parameter", "POST /api/agents;x=1/chat", JSON, CHEAP.as_bytes(), Refused("path-semicolon")),
    ("encoded NUL", "POST /api/agents/chat/%00", JSON, CHEAP.as_bytes(), Refused("path-encoded-control")),
    ("bad escape", "POST /api/agents/chat/%zz", JSON, CHEAP.as_bytes(), Refused("path-escape")),
    ("raw UTF-8", "POST /api/agents/chat/é", JSON, CHEAP.as_bytes(), Refused("path-non-ascii")),
    ("PUT", "PUT /api/agents/chat", JSON, CHEAP.as_bytes(), Refused("route-method")),
    ("lower-case method", "post /api/agents/chat", JSON, CHEAP.as_bytes(), Refused("route-method")),
    ("deeper path", "POST /api/agents/chat/openAI/resume", JSON, CHEAP.as_bytes(), Refused("route-unknown")),
    ("legacy path", "POST /api/ask/openAI", JSON, CHEAP.as_bytes(), Refused("route-unknown")),
    ("agent named chat", "POST /api/agents/chat/duplicate", JSON, b"{}", Refused("select-endpoint-missing")),
    ("encoded literal", "GET /api/%6dodels", &[], b"", Refused("path-encoded-plain")),
    ("catalogue with slashes", "GET /api/models//", &[], b"", Is(Class::Catalog(super::routes::Catalog::Models))),
    ("HEAD on a catalogue", "HEAD /Api/Config", &[], b"", Is(Class::Catalog(super::routes::Catalog::Config))),
    ("metrics in upper case", "GET /METRICS", &[], b"", Is(Class::Closed)),
    ("assistants abort", "POST /api/assistants/v1/chat/abort", JSON, b"{}", Is(Class::Assistants(Part::Abort))),
    (
        "assistants model in path",
        "DELETE /api/assistants/v2/actions/a/b/dear",
        &[],
        b"",
        Is(Class::Assistants(Part::RemoveAction)),
    ),
    (
        "assistants model in query",
        "POST /api/assistants/v2/chat?model=dear",
        JSON,
        b"{}",
        Is(Class::Assistants(Part::Chat)),
    ),
    ("remote chat", "POST /api/agents/v1/chat/completions", JSON, b"{}", Is(Class::Remote(Remote::Run))),
    ("revert", "POST /api/agents/agent_x/revert", JSON, b"{}", Is(Class::Agent(Deed::Revert))),
    ("no content type", "POST /api/agents/chat", &[], CHEAP.as_bytes(), Refused("content-type")),
    ("text", "POST /api/agents/chat", &[("content-type", "text/plain")], CHEAP.as_bytes(), Refused("content-type")),
    (
        "vendor JSON",
        "POST /api/agents/chat",
        &[("content-type", "application/vnd.api+json")],
        CHEAP.as_bytes(),
        Refused("content-type"),
    ),
    (
        "form",
        "POST /api/agents/chat",
        &[("content-type", "application/x-www-form-urlencoded")],
        b"endpoint=openAI&model=cheap&addedConvo%5Bendpoint%5D=openAI&addedConvo%5Bmodel%5D=dear",
        Refused("content-type"),
    ),
    (
        "multipart",
        "POST /api/agents/chat",
        &[("content-type", "multipart/form-data; boundary=x")],
        b"",
        Refused("content-type"),
    ),
    (
        "UTF-16",
        "POST /api/agents/chat",
        &[("content-type", "application/json; charset=utf-16le")],
        b"{\0}\0",
        Refused("content-type"),
    ),
    (
        "UTF-7",
        "POST /api/agents/chat",
        &[("content-type", "application/json; charset=utf-7")],
        br#"{"endpoint":"openAI","model":"cheap","+AG0-odel":"dear"}"#,
        Refused("content-type"),
    ),
    (
        "two charsets",
        "POST /api/agents/chat",
        &[("content-type", "application/json; charset=utf-8; charset=utf-16le")],
        CHEAP.as_bytes(),
        Refused("content-type"),
    ),
    (
        "two content types",
        "POST /api/agents/chat",
        &[("content-type", "application/json"), ("content-type", "text/plain")],
        CHEAP.as_bytes(),
        Refused("content-type"),
    ),
    (
        "brotli",
        "POST /api/agents/chat",
        &[("content-type", "application/json"), ("content-encoding", "br")],
        CHEAP.as_bytes(),
        Refused("content-encoding"),
    ),
    (
        "empty encoding",
        "POST /api/agents/chat",
        &[("content-type", "application/json"), ("content-encoding", "")],
        CHEAP.as_bytes(),
        Refused("content-encoding"),
    ),
    ("empty body", "POST /api/agents/chat", JSON, b"", Refused("body-not-json")),
    ("byte order mark", "POST /api/agents/chat", JSON, b"\xef\xbb\xbf{}", Refused("body-byte-order-mark")),
    ("invalid UTF-8 in a key", "POST /api/agents/chat", JSON, b"{\"mod\xffel\":\"dear\"}", Refused("body-not-utf8")),
    ("array", "POST /api/agents/chat", JSON, br#"[{"endpoint":"openAI","model":"dear"}]"#, Refused("body-not-object")),
    (
        "two values",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap"} {}"#,
        Refused("body-trailing"),
    ),
    (
        "trailing NUL",
        "POST /api/agents/chat",
        JSON,
        b"{\"endpoint\":\"openAI\",\"model\":\"cheap\"}\0",
        Refused("body-trailing"),
    ),
    (
        "duplicate key",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","model":"dear"}"#,
        Refused("body-duplicate-key"),
    ),
    (
        "escaped duplicate key",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","\u006dodel":"dear"}"#,
        Refused("body-duplicate-key"),
    ),
    (
        "duplicate in addedConvo",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","addedConvo":{"endpoint":"openAI","model":"cheap","model":"dear"}}"#,
        Refused("body-duplicate-key"),
    ),
    (
        "model in the prototype",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","__proto__":{"model":"dear"}}"#,
        Refused("body-prototype-key"),
    ),
    (
        "constructor",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","constructor":{"prototype":{"model":"dear"}}}"#,
        Refused("body-prototype-key"),
    ),
    (
        "dollar key",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","$model":"dear"}"#,
        Refused("body-sanitised-key"),
    ),
    (
        "NaN",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","x":NaN}"#,
        Refused("body-not-json"),
    ),
    (
        "infinite",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","x":1e400}"#,
        Refused("body-number-range"),
    ),
    (
        "lone surrogate",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","x":"\ud800"}"#,
        Refused("body-lone-surrogate"),
    ),
    (
        "endpoint as array",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":["anthropic"],"model":"dear"}"#,
        Refused("select-endpoint"),
    ),
    (
        "model as array",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":["dear"]}"#,
        Refused("select-model"),
    ),
    (
        "model as object",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":{"$ne":null}}"#,
        Refused("select-model"),
    ),
    (
        "model with a space",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"dear "}"#,
        Refused("select-model"),
    ),
    (
        "model with NUL",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"dear\u0000"}"#,
        Refused("select-model"),
    ),
    (
        "model in full width",
        "POST /api/agents/chat",
        JSON,
        r#"{"endpoint":"openAI","model":"ｄear"}"#.as_bytes(),
        Models(&[("openAI", "ｄear")]),
    ),
    (
        "key in other case",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","Model":"dear"}"#,
        Refused("select-model-missing"),
    ),
    ("no model", "POST /api/agents/chat", JSON, br#"{"endpoint":"openAI"}"#, Refused("select-model-missing")),
    ("no endpoint", "POST /api/agents/chat/openAI", JSON, br#"{"model":"dear"}"#, Refused("select-endpoint-missing")),
    (
        "endpointType",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","endpointType":"x","model":"cheap"}"#,
        Refused("select-endpoint-type"),
    ),
    (
        "addedConvo",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","addedConvo":{"endpoint":"anthropic","model":"dear"}}"#,
        Models(&[("openAI", "cheap"), ("anthropic", "dear")]),
    ),
    (
        "addedConvo agent",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","addedConvo":{"agent_id":"agent_dear"}}"#,
        Agents,
    ),
    (
        "addedConvo array",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","addedConvo":[{"endpoint":"openAI","model":"dear"}]}"#,
        Refused("select-added-convo"),
    ),
    (
        "model options elsewhere",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"openAI","model":"cheap","modelOptions":{"model":"dear"},"model_parameters":{"model":"dear"}}"#,
        Models(&[("openAI", "cheap")]),
    ),
    (
        "bedrock's own model",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"bedrock","model":"cheap","additionalModelRequestFields":{"thinking":{"budget_tokens":{}}}}"#,
        Refused("select-model-request-fields"),
    ),
    (
        "bedrock's own model by a number that is none",
        "POST /api/agents/chat",
        JSON,
        br#"{"endpoint":"bedrock","model":"cheap","maxTokens":"many"}"#,
        Refused("select-parameter"),
    ),
];

#[test]
fn every_way_around_is_refused_or_judged_for_what_it_is() {
    assert!(CASES.len() >= 60, "{}", CASES.len());
    for (name, line, headers, body, expect) in CASES {
        let (method, target) = line.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (header, value) in *headers {
            map.append(*header, value.parse().unwrap());
        }
        let asked = Asked { method: method.parse().unwrap(), target: target.into(), headers: map, body: body.to_vec() };
        match (judge(&asked), expect) {
            (Err(code), Refused(expected)) => assert_eq!(code, *expected, "{name}"),
            (Ok((Class::Turn, Some(turn))), Models(models)) => {
                let models: Vec<Target> = models.iter().map(|(endpoint, name)| model(endpoint, name)).collect();
                assert_eq!(turn.targets, models, "{name}");
            }
            (Ok((Class::Turn, Some(turn))), Agents) => {
                let by_agent = turn.targets.iter().any(|target| super::agents::unresolved(target).is_some());
                let closed = turn.targets.contains(&Target::Surface(Surface::Agents));
                assert!(by_agent || closed, "{name}: {:?}", turn.targets);
            }
            (Ok((class, None)), Is(expected)) => assert_eq!(class, *expected, "{name}"),
            (judged, _) => panic!("{name}: {judged:?}"),
        }
    }
}

#[test]
fn long_and_deep_bodies_are_refused() {
    let chat = |body: String| {
        let headers =
            HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        judge(&Asked { method: Method::POST, target: CHAT.into(), headers, body: body.into_bytes() })
    };
    let with = |value: String| format!(r#"{{"endpoint":"openAI","model":"cheap","x":{value}}}"#);
    assert_eq!(chat(with(format!("\"{}\"", "x".repeat(3 << 20)))).unwrap_err(), "body-too-large");
    assert_eq!(chat(with("[".repeat(100_000))).unwrap_err(), "body-too-deep");
    let keys: Vec<String> = (0..100_000).map(|key| format!("\"k{key}\":0")).collect();
    assert!(chat(with(format!("{{{}}}", keys.join(",")))).is_ok());
    assert_eq!(super::unreadable::Unreadable::TooLarge.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
