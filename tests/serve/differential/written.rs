//! The requests that CONTRACT.md D lists, and their neighbours. They are sent by somebody who may use `gpt-4o-mini`.

use super::{Case, Want};
use Want::{Calls, Refused, Unread};

/// The model that users may have.
const MINI: &[&str] = &["openAI|gpt-4o-mini"];
const CHEAP: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini"}"#;
const DEAR: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o"}"#;
const AGENT: &str = r#"{"text":"hi","endpoint":"agents","agent_id":"agent_dear"}"#;
/// The rule that keeps users from OpenAI's other models.
const LIST: &str = "roles.USER.endpoints.openAI.models";
const JSON: &str = "Content-Type: application/json";

/// A request with its length.
pub(super) fn sent(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
    bare(line, &headers, body)
}

/// A request without anything about its body but what is among the headers.
pub(super) fn bare(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{line}\r\nHost: localhost:3080\r\nUser-Agent: <AGENT>\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Authorization")) {
        head.push_str("Authorization: Bearer <TOKEN>\r\n");
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A chat turn in JSON.
pub(super) fn chat(headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: Vec<&str> = headers.iter().copied().chain([JSON]).collect();
    sent("POST /api/agents/chat HTTP/1.1", &headers, body)
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, want: Want| cases.push(Case { name: name.to_owned(), bytes, want });
    by_number(&mut add);
    targets(&mut add);
    methods(&mut add);
    types(&mut add);
    encodings(&mut add);
    framing(&mut add);
    json(&mut add);
    selection(&mut add);
    cases
}

type Add<'a> = dyn FnMut(&str, Vec<u8>, Want) + 'a;

/// CONTRACT.md D.8, by number. Number 13 needs model specs and is a test of its own.
fn by_number(add: &mut Add<'_>) {
    let post = |target: &str, body: &str| sent(&format!("POST {target} HTTP/1.1"), &[JSON], body.as_bytes());
    // Editing agents is closed to users; using them needs LibreChat's database, which this world does not have.
    // Without LibreChat's database nobody can say what an agent runs; `tests/serve/editing.rs` has one.
    let unknown_agent = Refused(403, "agent.no-store");
    let no_assistants = Refused(403, "surface.assistants");
    let no_remote = Refused(403, "surface.remote_api");
    add("D.8 1", post("/API/AGENTS/CHAT", AGENT), unknown_agent);
    add("D.8 2", post("/api\\agents/chat#", AGENT), Unread(400, "gate.target"));
    add("D.8 2 both", post("/api\\agents\\chat#", AGENT), Unread(400, "gate.target"));
    add("D.8 3", post("http://x/api/agents/chat/", AGENT), Unread(400, "gate.target"));
    let form = "endpoint=openAI&model=gpt-4o-mini&text=hi&addedConvo%5Bendpoint%5D=openAI&addedConvo%5Bmodel%5D=gpt-4o";
    let form_type = "Content-Type: application/x-www-form-urlencoded";
    let line = "POST /api/agents/chat HTTP/1.1";
    add("D.8 4", sent(line, &[form_type], form.as_bytes()), Refused(415, "content-type"));
    let wide: Vec<u8> = DEAR.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = "Content-Type: application/json; charset=utf-16le";
    add("D.8 5", sent(line, &[utf16], &wide), Refused(415, "content-type"));
    add("D.8 5 unannounced", chat(&[], &wide), Refused(400, "body-not-json"));
    let utf7 = "Content-Type: application/json; charset=utf-7";
    let shifted = r#"{"text":"hi","endpoint":"openAI","model":"gpt+AC0-4o"}"#;
    add("D.8 6", sent(line, &[utf7], shifted.as_bytes()), Refused(415, "content-type"));
    // Stored, not compressed: what is in it does not matter.
    let brotli = [&[0x0b, 0x02, 0x80][..], b"{\"a\":1}", &[0x03]].concat();
    add("D.8 7", chat(&["Content-Encoding: br"], &brotli), Refused(415, "content-encoding"));
    let twice = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","model":"gpt-4o"}"#;
    add("D.8 8 key", chat(&[], twice.as_bytes()), Refused(400, "body-duplicate-key"));
    add("D.8 8 type", chat(&[form_type], CHEAP.as_bytes()), Refused(415, "content-type"));
    add("D.8 8 same type", chat(&[JSON], CHEAP.as_bytes()), Refused(415, "content-type"));
    let two = ["Authorization: Bearer <TOKEN>", "Authorization: Bearer <TOKEN>"];
    add("D.8 8 token", chat(&two, CHEAP.as_bytes()), Refused(401, "identity.malformed"));
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="];
    add("D.8 9", chat(&upgrade, DEAR.as_bytes()), Refused(403, LIST));
    add("D.8 9 cheap", chat(&upgrade, CHEAP.as_bytes()), Calls(200, MINI));
    let h2c = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    add("D.8 9 h2c", chat(&h2c, CHEAP.as_bytes()), Calls(200, MINI));
    let array = r#"{"text":"hi","endpoint":["openAI"],"model":"gpt-4o"}"#;
    add("D.8 10", chat(&[], array.as_bytes()), Refused(400, "select-endpoint"));
    let anthropic = r#"{"text":"hi","endpoint":"anthropic","model":"claude-opus-4-8"}"#;
    add("D.8 11", post("/api/agents/chat/openAI", anthropic), Refused(403, "unlisted.endpoint"));
    add("D.8 11 cheap", post("/api/agents/chat/anthropic", CHEAP), Calls(200, MINI));
    let kind = r#"{"text":"hi","endpoint":"openAI","endpointType":"x","model":"gpt-4o-mini"}"#;
    add("D.8 12", chat(&[], kind.as_bytes()), Refused(400, "select-endpoint-type"));
    add("D.8 14", chat(&[], AGENT.as_bytes()), unknown_agent);
    let within = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"agent_id":"agent_dear"}}"#;
    add("D.8 14 added", chat(&[], within.as_bytes()), unknown_agent);
    let hidden = r#"{"provider":"openAI","model":"gpt-4o-mini","model_parameters":{"modelKwargs":{"model":"gpt-4o"}}}"#;
    add("D.8 15 create", post("/api/agents", hidden), unknown_agent);
    add("D.8 15 change", sent("PATCH /api/agents/agent_dear HTTP/1.1", &[JSON], hidden.as_bytes()), unknown_agent);
    let key = "Authorization: Bearer sk-0123456789abcdef";
    let remote = r#"{"model":"agent_dear","messages":[{"role":"user","content":"hi"}]}"#;
    for target in ["/api/agents/v1/chat/completions", "/api/agents/v1/responses", "/API/agents/V1/Responses/"] {
        let bytes = sent(&format!("POST {target} HTTP/1.1"), &[JSON, key], remote.as_bytes());
        add(&format!("D.8 16 {target}"), bytes, no_remote);
    }
    add("D.8 17 revert", post("/api/agents/agent_dear/revert", r#"{"version_index":0}"#), unknown_agent);
    for index in [r#""0""#, "-1", "0.0", "1e0", "null", "[0]", r#""length""#] {
        let body = format!(r#"{{"version_index":{index}}}"#);
        add(
            &format!("D.8 17 {body}"),
            post("/api/agents/agent_dear/revert", &body),
            Refused(400, "select-version-index"),
        );
    }
    let twice = r#"{"model":"gpt-4o-mini","model":"gpt-4o"}"#;
    let patch = sent("PATCH /api/agents/agent_dear HTTP/1.1", &[JSON], twice.as_bytes());
    add("D.8 17 twice", patch, Refused(400, "body-duplicate-key"));
    let form = "Content-Type: application/x-www-form-urlencoded";
    let patch = sent("PATCH /api/agents/agent_dear HTTP/1.1", &[form], b"model=gpt-4o");
    add("D.8 17 form", patch, Refused(415, "content-type"));
    add("D.8 17 duplicate", post("/api/agents/agent_dear/duplicate", "{}"), unknown_agent);
    for part in [r#"{"model":"gpt-4o"}"#, r#"{"provider":"anthropic"}"#] {
        let bytes = sent("PATCH /api/agents/agent_dear HTTP/1.1", &[JSON], part.as_bytes());
        add(&format!("D.8 17 {part}"), bytes, unknown_agent);
    }
    let assistant = r#"{"endpoint":"azureAssistants","text":"hi","assistant_id":"asst_x"}"#;
    add("D.8 18", post("/api/assistants/v2/chat?model=gpt-4o", assistant), no_assistants);
    add("D.8 19 create", post("/api/assistants/v2", r#"{"model":"gpt-4o"}"#), no_assistants);
    add("D.8 19 action", sent("DELETE /api/assistants/v2/actions/a/b/gpt-4o HTTP/1.1", &[], b""), no_assistants);
    add("D.8 20 slashes", bare("GET /api/models// HTTP/1.1", &[], b""), Calls(200, &[]));
    add("D.8 20 head", bare("HEAD /api/models HTTP/1.1", &[], b""), Calls(200, &[]));
    add("D.8 20 condition", bare("GET /api/models HTTP/1.1", &["If-None-Match: *"], b""), Calls(200, &[]));
    add("D.8 20 case", bare("GET /Api/Config HTTP/1.1", &[], b""), Calls(200, &[]));
    let abort = r#"{"abortKey":"somebody-elses","endpoint":"openAI"}"#;
    add("D.8 21", post("/api/assistants/v1/chat/abort", abort), no_assistants);
    add("D.8 22", bare("GET /api/agents/v1/models HTTP/1.1", &[key, "X-Tenant-Id: other"], b""), no_remote);
    add("D.8 22 chat", chat(&["X-Tenant-Id: other", "X_Tenant_Id: other"], CHEAP.as_bytes()), Calls(200, MINI));
}

/// CONTRACT.md D.1.
fn targets(add: &mut Add<'_>) {
    let post = |target: &[u8], body: &str| {
        let length = format!("Content-Length: {}", body.len());
        let rest = bare("", &[JSON, &length], body.as_bytes());
        [b"POST ", target, b" HTTP/1.1", &rest].concat()
    };
    for target in [
        "/api/agents/chat",
        "/API/Agents/CHAT",
        "/api/agents/chat/",
        "/api/agents/chat//",
        "/api/agents/chat/openAI",
        "/api/agents/chat/whatever",
        "/api/agents/chat/openAI/",
        "/api/agents/chat?x=1",
        "/api/agents/chat?",
        "/api/agents/chat/duplicate",
        "/api/agents/chat/revert",
        "/api/agents/chat?model=gpt-4o-mini&endpoint=openAI",
        "/api/agents/chat/%C3%A9",
        "/api/agents/chat/a%20b",
    ] {
        add(&format!("dear {target}"), post(target.as_bytes(), DEAR), Refused(403, LIST));
        // LibreChat builds no turn for a path that is written in another case; it gets its own spelling.
        add(&format!("cheap {target}"), post(target.as_bytes(), CHEAP), Calls(200, MINI));
    }
    for (target, code) in [
        ("//api/agents/chat", "path-empty-segment"),
        ("/api//agents/chat", "path-empty-segment"),
        ("/api/agents//chat", "path-empty-segment"),
        ("/api/./agents/chat", "path-dot-segment"),
        ("/api/x/../agents/chat", "path-dot-segment"),
        ("/x/../api/agents/chat", "path-dot-segment"),
        ("/api/x/%2e%2e/agents/chat", "path-dot-segment"),
        ("/api/agents/chat/..", "path-dot-segment"),
        ("/api%2Fagents/chat", "path-encoded-slash"),
        ("/api%5Cagents/chat", "path-encoded-slash"),
        ("/api/agents/chat/%2F", "path-encoded-slash"),
        ("/api/agents/%63hat", "path-encoded-plain"),
        ("/%61pi/agents/chat", "path-encoded-plain"),
        ("/api/agents/chat/open%41I", "path-encoded-plain"),
        ("/api/agents/chat/%00", "path-encoded-control"),
        ("/api/agents/chat/%0d%0a", "path-encoded-control"),
        ("/api/agents/chat/%zz", "path-escape"),
        ("/api/agents/chat/%", "path-escape"),
        ("/api/agents/chat/%C3", "path-escape"),
        ("/api;x=1/agents/chat", "path-semicolon"),
        ("/api/agents/chat;x=1", "path-semicolon"),
        ("/api\\agents\\chat", "path-backslash"),
        ("/\\api/agents/chat", "path-backslash"),
    ] {
        add(&format!("path {target}"), post(target.as_bytes(), CHEAP), Refused(400, code));
    }
    for (target, code) in [
        (&b"http://localhost:3080/api/agents/chat"[..], "gate.target"),
        (b"http://evil.example/api/agents/chat", "gate.target"),
        (b"https://localhost/api/agents/chat", "gate.target"),
        (b"localhost:3080", "gate.target"),
        (b"*", "gate.target"),
        (b"/api/agents/chat#", "gate.target"),
        (b"/api\\agents/chat#", "gate.target"),
        (b"/api/agents/chat\"", "gate.target"),
        (b"/api/agents/chat/\xa0", "gate.target"),
        (b"/api/agents/chat/\xc3\xa9", "gate.target"),
        (b"/api/agents/chat/ x", "gate.request-line"),
        (b"/api/agents/ch\tat", "gate.target"),
    ] {
        add(&format!("path {}", target.escape_ascii()), post(target, CHEAP), Unread(400, code));
    }
    for target in [
        "/api/agents/chat/openAI/edit",
        "/api/agentschat",
        "/api/agents/chat/x/y",
        "/api/ask/openAI",
        "/api/edit/openAI",
    ] {
        add(&format!("path {target}"), post(target.as_bytes(), CHEAP), Refused(404, "route.unknown"));
    }
}

/// CONTRACT.md D.2.
fn methods(add: &mut Add<'_>) {
    let by = |method: &str| sent(&format!("{method} /api/agents/chat HTTP/1.1"), &[JSON], CHEAP.as_bytes());
    for method in ["post", "Post", "TRACE", "PROPFIND", "QUERY"] {
        add(&format!("method {method}"), by(method), Unread(405, "gate.method"));
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        add(&format!("method {method} with a body"), by(method), Unread(400, "gate.body"));
    }
    add("method PUT", by("PUT"), Refused(405, "route.method"));
    // `chat` is then the id of an agent.
    add("method PATCH", by("PATCH"), Refused(403, "agent.no-store"));
    add("method DELETE", by("DELETE"), Calls(404, &[]));
    add("method GET", bare("GET /api/agents/chat HTTP/1.1", &[], b""), Refused(403, "agent.no-store"));
    let override_ = ["X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE"];
    add("method overridden", chat(&override_, DEAR.as_bytes()), Refused(403, LIST));
    add("method overridden cheap", chat(&override_, CHEAP.as_bytes()), Calls(200, MINI));
}

/// CONTRACT.md D.3.
fn types(add: &mut Add<'_>) {
    let typed = |kind: &str| {
        let header = format!("Content-Type: {kind}");
        sent("POST /api/agents/chat HTTP/1.1", &[&header], CHEAP.as_bytes())
    };
    for kind in
        ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"]
    {
        add(&format!("type {kind}"), typed(kind), Calls(200, MINI));
    }
    for kind in [
        "",
        "text/json",
        "text/plain",
        "application/vnd.api+json",
        "application/json-patch+json",
        "application/json;",
        "application/json; x=y",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=utf-16be",
        "application/json; charset=utf-32",
        "application/json; charset=utf-7-imap",
        "application/json; charset=utf8",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16le; charset=utf-8",
        "application/json; charset=utf-8; charset=utf-16le",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "multipart/form-data; boundary=x",
    ] {
        add(&format!("type {kind}"), typed(kind), Refused(415, "content-type"));
    }
    let none = sent("POST /api/agents/chat HTTP/1.1", &[], CHEAP.as_bytes());
    add("no type", none, Refused(415, "content-type"));
}

/// CONTRACT.md D.4, content codings.
fn encodings(add: &mut Add<'_>) {
    for encoding in ["identity", "Identity"] {
        let header = format!("Content-Encoding: {encoding}");
        add(&format!("encoding {encoding}"), chat(&[&header], CHEAP.as_bytes()), Calls(200, MINI));
    }
    for encoding in
        ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "identity, identity", ""]
    {
        let header = format!("Content-Encoding: {encoding}");
        add(&format!("encoding {encoding}"), chat(&[&header], CHEAP.as_bytes()), Refused(415, "content-encoding"));
    }
}

/// CONTRACT.md D.4, framing.
fn framing(add: &mut Add<'_>) {
    let line = "POST /api/agents/chat HTTP/1.1";
    let chunked = format!("{:x}\r\n{CHEAP}\r\n0\r\n\r\n", CHEAP.len());
    let te = "Transfer-Encoding: chunked";
    add("chunked", bare(line, &[JSON, te], chunked.as_bytes()), Calls(200, MINI));
    let with_extension = format!("{:x};a=b\r\n{CHEAP}\r\n0\r\n\r\n", CHEAP.len());
    let with_trailer = format!("{:x}\r\n{CHEAP}\r\n0\r\nContent-Type: text/plain\r\n\r\n", CHEAP.len());
    add("chunk extension", bare(line, &[JSON, te], with_extension.as_bytes()), Refused(400, "gate.chunk"));
    add("a trailer", bare(line, &[JSON, te], with_trailer.as_bytes()), Refused(400, "gate.trailer"));
    let te_dear = format!("{:x}\r\n{DEAR}\r\n0\r\n\r\n", DEAR.len());
    add("chunked dear", bare(line, &[JSON, te], te_dear.as_bytes()), Refused(403, LIST));
    let bad = "zz\r\n{}\r\n0\r\n\r\n";
    add("a chunk without a size", bare(line, &[JSON, te], bad.as_bytes()), Refused(400, "gate.chunk"));
    for both in [[JSON, "Content-Length: 5", te], [JSON, te, "Content-Length: 5"]] {
        add(&format!("two framings {both:?}"), bare(line, &both, chunked.as_bytes()), Unread(400, "gate.length"));
    }
    add(
        "xchunked",
        sent(line, &[JSON, "Transfer-Encoding: xchunked"], CHEAP.as_bytes()),
        Unread(400, "gate.transfer-encoding"),
    );
    add("two lengths", sent(line, &[JSON, "Content-Length: 5"], CHEAP.as_bytes()), Unread(400, "gate.length"));
    add("no body", sent(line, &[JSON], b""), Refused(400, "body-not-json"));
    add("no length", bare(line, &[JSON], b""), Refused(400, "body-not-json"));
    add("expecting", chat(&["Expect: 100-continue"], CHEAP.as_bytes()), Calls(200, MINI));
    add("expecting dear", chat(&["Expect: 100-continue"], DEAR.as_bytes()), Refused(403, LIST));
    add("expecting more", chat(&["Expect: 200-ok"], CHEAP.as_bytes()), Unread(400, "gate.expect"));
    let padded = format!("{}{CHEAP}", " ".repeat(3 * 1024 * 1024 - CHEAP.len() + 1));
    add("a byte too much", chat(&[], padded.as_bytes()), Refused(413, "body-too-large"));
    add("the longest", chat(&[], &padded.as_bytes()[1..]), Calls(200, MINI));
    add("HTTP/1.0", sent("POST /api/agents/chat HTTP/1.0", &[JSON], DEAR.as_bytes()), Refused(403, LIST));
}

/// CONTRACT.md D.5.
fn json(add: &mut Add<'_>) {
    let cheap_with = |more: &str| format!("{}{more}}}", CHEAP.trim_end_matches('}'));
    for (more, code) in [
        (r#","model":"gpt-4o""#, "body-duplicate-key"),
        (r#","model":"gpt-4o-mini""#, "body-duplicate-key"),
        (r#","mod\u0065l":"gpt-4o""#, "body-duplicate-key"),
        (r#","x":{"y":1,"y":2}"#, "body-duplicate-key"),
        (r#","addedConvo":{"model":"gpt-4o-mini","model":"gpt-4o","endpoint":"openAI"}"#, "body-duplicate-key"),
        (r#","x":[{"y":{"z":1,"\u007a":1}}]"#, "body-duplicate-key"),
        (r#","__proto__":{"model":"gpt-4o"}"#, "body-prototype-key"),
        (r#","\u005f_proto__":{"model":"gpt-4o"}"#, "body-prototype-key"),
        (r#","constructor":{"prototype":{"model":"gpt-4o"}}"#, "body-prototype-key"),
        (r#","addedConvo":{"__proto__":{"endpoint":"openAI","model":"gpt-4o"}}"#, "body-prototype-key"),
        (r#","$model":"gpt-4o""#, "body-sanitised-key"),
        (r#","addedConvo.model":"gpt-4o""#, "body-sanitised-key"),
        (r#","addedConvo":{"$model":"gpt-4o"}"#, "body-sanitised-key"),
        (r#","x":"\ud800""#, "body-lone-surrogate"),
        (r#","x":"\udc00\ud800""#, "body-lone-surrogate"),
        (r#","x":1e999"#, "body-number-range"),
        (r#","x":-1e999"#, "body-number-range"),
        (r#","x":01"#, "body-not-json"),
        (r#","x":NaN"#, "body-not-json"),
        (r#","x":.5"#, "body-not-json"),
        (r#","x":'y'"#, "body-not-json"),
        (r#",/*x*/"x":1"#, "body-not-json"),
        (r#","x":"\x41""#, "body-not-json"),
        (",\"x\":\"\u{1}\"", "body-not-json"),
        (r#",}"#, "body-not-json"),
    ] {
        add(
            &format!("json {more}").replace(|char: char| !(' '..='~').contains(&char), "?"),
            chat(&[], cheap_with(more).as_bytes()),
            Refused(400, code),
        );
    }
    for (name, body, code) in [
        ("an array", b"[{\"endpoint\":\"openAI\",\"model\":\"gpt-4o\"}]".to_vec(), "body-not-object"),
        ("null", b"null".to_vec(), "body-not-object"),
        ("a number", b"1".to_vec(), "body-not-object"),
        ("text", b"\"x\"".to_vec(), "body-not-object"),
        ("garbage", b"model=gpt-4o".to_vec(), "body-not-json"),
        ("half", CHEAP.as_bytes()[..20].to_vec(), "body-not-json"),
        ("two objects", format!("{CHEAP}{DEAR}").into_bytes(), "body-trailing"),
        ("a trailing NUL", format!("{CHEAP}\0").into_bytes(), "body-trailing"),
        ("a byte order mark", [b"\xef\xbb\xbf", CHEAP.as_bytes()].concat(), "body-byte-order-mark"),
        ("a wide byte order mark", [b"\xff\xfe", CHEAP.as_bytes()].concat(), "body-not-utf8"),
        ("no UTF-8", [b"{\"x\":\"\xff\",", &CHEAP.as_bytes()[1..]].concat(), "body-not-utf8"),
        ("overlong UTF-8", [b"{\"x\":\"\xc0\xaf\",", &CHEAP.as_bytes()[1..]].concat(), "body-not-utf8"),
        ("an encoded surrogate", [b"{\"x\":\"\xed\xa0\x80\",", &CHEAP.as_bytes()[1..]].concat(), "body-not-utf8"),
        (
            "65 levels",
            cheap_with(&format!(",\"x\":{}{}", "[".repeat(64), "]".repeat(64))).into_bytes(),
            "body-too-deep",
        ),
    ] {
        add(&format!("json: {name}"), chat(&[], &body), Refused(400, code));
    }
    let deep = cheap_with(&format!(",\"x\":{}{}", "[".repeat(63), "]".repeat(63)));
    add("json: 64 levels", chat(&[], deep.as_bytes()), Calls(200, MINI));
    for more in [
        r#","Model":"gpt-4o","MODEL":"gpt-4o","model ":"gpt-4o""#,
        r#","model_parameters":{"model":"gpt-4o"},"modelOptions":{"model":"gpt-4o"},"endpointOption":{"model":"gpt-4o"}"#,
        r#","overrideModel":"gpt-4o","addParams":{"model":"gpt-4o"}"#,
        r#","x":{"$model":"gpt-4o","a.b":1}"#,
        r#","addedConvo":null"#,
        r#","spec":null,"agent_id":null,"endpointType":null"#,
    ] {
        add(&format!("json {more}"), chat(&[], cheap_with(more).as_bytes()), Calls(200, MINI));
    }
}

/// CONTRACT.md B.1, B.3, B.9 and D.5: what chooses a model must be what it seems.
fn selection(add: &mut Add<'_>) {
    for (body, status, code) in [
        (r#"{"text":"hi"}"#, 400, "select-endpoint-missing"),
        (r#"{"endpoint":null,"model":"gpt-4o"}"#, 400, "select-endpoint-missing"),
        (r#"{"endpoint":"openAI"}"#, 400, "select-model-missing"),
        (r#"{"endpoint":"openAI","model":null}"#, 400, "select-model-missing"),
        (r#"{"endpoint":"openAI","model":""}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":4}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":true}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":["gpt-4o-mini"]}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":{"$ne":null}}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":" gpt-4o-mini"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini\u00a0"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"\ufeffgpt-4o-mini"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini\u0000"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini|x"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini}"}"#, 400, "select-model"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini\u200b"}"#, 403, LIST),
        (r#"{"endpoint":"openAI","model":"GPT-4o-mini"}"#, 403, LIST),
        (r#"{"endpoint":"openAI","model":"gpt-4o-min\u0456"}"#, 403, LIST),
        (r#"{"endpoint":"OpenAI","model":"gpt-4o-mini"}"#, 403, "unlisted.endpoint"),
        (r#"{"endpoint":"OpenAI","endpointType":"custom","model":"gpt-4o-mini"}"#, 403, "unlisted.endpoint"),
        (r#"{"endpoint":"openAI ","model":"gpt-4o-mini"}"#, 400, "select-endpoint"),
        (r#"{"endpoint":{"openAI":1},"model":"gpt-4o-mini"}"#, 400, "select-endpoint"),
        (r#"{"endpoint":"azureOpenAI","model":"gpt-4o-mini"}"#, 403, "unlisted.endpoint"),
        (r#"{"endpoint":"custom","model":"gpt-4o-mini"}"#, 403, "unlisted.endpoint"),
        (r#"{"endpoint":"openAI","endpointType":"custom","model":"gpt-4o-mini"}"#, 400, "select-endpoint-type"),
        (r#"{"endpoint":"openAI","endpointType":"anthropic","model":"gpt-4o-mini"}"#, 400, "select-endpoint-type"),
        (r#"{"endpoint":"openAI","endpointType":["openAI"],"model":"gpt-4o-mini"}"#, 400, "select-endpoint-type"),
        (r#"{"endpoint":"MindRoom","endpointType":"openAI","model":"mindroom-basic"}"#, 400, "select-endpoint-type"),
        (r#"{"endpoint":"agents"}"#, 400, "select-agent-missing"),
        (r#"{"endpoint":"agents","model":"gpt-4o-mini"}"#, 400, "select-agent-missing"),
        (r#"{"endpoint":"agents","agent_id":"openAI__gpt-4o","model":"gpt-4o"}"#, 400, "select-agent"),
        (r#"{"endpoint":"agents","agent_id":"agent_"}"#, 400, "select-agent"),
        (r#"{"endpoint":"agents","agent_id":["agent_dear"]}"#, 400, "select-agent"),
        (r#"{"endpoint":"assistants","model":"gpt-4o-mini"}"#, 403, "surface.assistants"),
        (r#"{"endpoint":"azureAssistants","model":"gpt-4o-mini"}"#, 403, "surface.assistants"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","spec":["dear"]}"#, 400, "select-spec"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","spec":{"name":"dear"}}"#, 400, "select-spec"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","conversationId":["x"]}"#, 400, "select-conversation"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","region":"evil.example/#"}"#, 400, "select-region"),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","maxTokens":"many"}"#, 400, "select-parameter"),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","additionalModelRequestFields":{}}"#,
            400,
            "select-model-request-fields",
        ),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":"x"}"#, 400, "select-added-convo"),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":[{"endpoint":"openAI","model":"gpt-4o"}]}"#,
            400,
            "select-added-convo",
        ),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"endpoint":"openAI","model":"gpt-4o-mini","max_tokens":"x"}}"#,
            400,
            "select-added-convo",
        ),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"endpoint":["openAI"],"model":"gpt-4o"}}"#,
            400,
            "select-endpoint",
        ),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"endpoint":"openAI","model":["gpt-4o"]}}"#,
            400,
            "select-model",
        ),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"agent_id":["agent_dear"]}}"#,
            400,
            "select-agent",
        ),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"endpoint":"openAI","model":"gpt-4o"}}"#,
            403,
            LIST,
        ),
    ] {
        add(&format!("choice {body}"), chat(&[], body.as_bytes()), Refused(status, code));
    }
    for (body, models) in [
        (r#"{"endpoint":"openAI","endpointType":"openAI","model":"gpt-4o-mini"}"#, MINI),
        (r#"{"endpoint":"MindRoom","endpointType":"custom","model":"mindroom-basic"}"#, &["MindRoom|mindroom-basic"]),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","agent_id":"agent_dear"}"#, MINI),
        (
            r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"endpoint":"MindRoom","model":"mindroom-basic"}}"#,
            &["openAI|gpt-4o-mini", "MindRoom|mindroom-basic"],
        ),
        (r#"{"endpoint":"openAI","model":"gpt-4o-mini","addedConvo":{"model":"gpt-4o"}}"#, MINI),
    ] {
        add(&format!("choice {body}"), chat(&[], body.as_bytes()), Calls(200, models));
    }
}
