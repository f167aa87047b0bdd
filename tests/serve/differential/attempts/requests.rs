//! Attempts with the target, the method, the headers and the identity: 80 to 110.

use super::super::written::{bare, chat, sent};
use super::super::{Outcome, Want};
use super::{Add, CHEAP, DEAR, LIST, MINI};
use Want::{Calls, Judged, Refused, Unread};

const JSON: &str = "Content-Type: application/json";
const MODELS: &str = "GET /api/models HTTP/1.1";

// What the gate says, before anything else is asked.
const TARGET: Want = Unread(400, "gate.target");
const METHOD: Want = Unread(405, "gate.method");
const BODY: Want = Unread(400, "gate.body");
const HOST: Want = Unread(400, "gate.host");
const TOO_LONG: Want = Unread(431, "gate.too-long");

pub(super) fn fill(add: &mut Add<'_>) {
    targets(add);
    methods(add);
    tokens(add);
    headers(add);
    answers(add);
}

fn post(target: &str, body: &str) -> Vec<u8> {
    sent(&format!("POST {target} HTTP/1.1"), &[JSON], body.as_bytes())
}

fn targets(add: &mut Add<'_>) {
    for (number, target) in [
        (80, "/API/agents/chat"),
        (80, "/api/AGENTS/Chat/OpenAI"),
        (86, "/api/agents/chat/"),
        (86, "/api/agents/chat//"),
        (88, "/api/agents/chat?"),
        (88, "/api/agents/chat?/../models"),
        (88, "/api/agents/chat?x=/api/models"),
    ] {
        add(number, &format!("dear {target}"), post(target, DEAR), Refused(403, LIST));
        add(number, &format!("cheap {target}"), post(target, CHEAP), Calls(200, MINI));
    }
    let path = |code| Refused(400, code);
    for (number, target, want) in [
        (81, "http://localhost:3080/api/agents/chat", TARGET),
        (81, "HTTPS://localhost/api/agents/chat", TARGET),
        (81, "ftp://localhost/api/agents/chat", TARGET),
        (82, "//api/agents/chat", path("path-empty-segment")),
        (82, "/api//agents/chat", path("path-empty-segment")),
        (83, "/api/./agents/chat", path("path-dot-segment")),
        (83, "/api/models/../agents/chat", path("path-dot-segment")),
        (84, "/api%2fagents/chat", path("path-encoded-slash")),
        (84, "/api%5Cagents/chat", path("path-encoded-slash")),
        (84, "/api/x/%2e%2e/agents/chat", path("path-dot-segment")),
        (85, "/api;x=y/agents/chat", path("path-semicolon")),
        (85, "/api/agents/chat;x=y", path("path-semicolon")),
        (87, "/%61pi/agents/chat", path("path-encoded-plain")),
        (87, "/api/agents/%63hat", path("path-encoded-plain")),
        (89, "/api\\agents\\chat", path("path-backslash")),
        (89, "/api\\agents/chat#", TARGET),
        (88, "/api/agents/chat#frag", TARGET),
    ] {
        for (kind, body) in [("cheap", CHEAP), ("dear", DEAR)] {
            add(number, &format!("{kind} {target}"), post(target, body), want);
        }
    }
    for target in ["/api/agents/ch\tat", "/api/agents/chat\0", "/api/agents/chat\u{b}"] {
        add(90, &format!("{}", target.escape_default()), post(target, CHEAP), TARGET);
    }
    add(90, "a space", post("/api/agents/chat x", CHEAP), Unread(400, "gate.request-line"));
}

fn methods(add: &mut Add<'_>) {
    let by = |line: &str| sent(line, &[JSON], CHEAP.as_bytes());
    for (number, line) in [
        (91, "post /api/agents/chat HTTP/1.1"),
        (91, "Post /api/agents/chat HTTP/1.1"),
        (92, "TRACE /api/agents/chat HTTP/1.1"),
        (92, "CONNECT localhost:3080 HTTP/1.1"),
        (92, "PROPFIND /api/agents/chat HTTP/1.1"),
    ] {
        add(number, line, by(line), METHOD);
    }
    for (number, line) in [
        (92, "HEAD /api/agents/chat HTTP/1.1"),
        (94, "OPTIONS /api/agents/chat HTTP/1.1"),
        (95, "GET /api/agents/chat HTTP/1.1"),
        (95, "GET /api/models HTTP/1.1"),
    ] {
        add(number, line, by(line), BODY);
    }
    let overridden = ["X-HTTP-Method-Override: GET", "X-Method-Override: GET", "X-HTTP-Method: GET"];
    add(93, "by a header, dear", chat(&overridden, DEAR.as_bytes()), Refused(403, LIST));
    let alone =
        Judged(200, |outcome| none_of(outcome, &["x-http-method-override", "x-method-override", "x-http-method"]));
    add(93, "by a header, cheap", chat(&overridden, CHEAP.as_bytes()), alone);
    add(93, "by the query", post("/api/agents/chat?_method=GET", DEAR), Refused(403, LIST));
    let refused = Refused(405, "route.method");
    add(
        93,
        "to a turn",
        sent("PUT /api/agents/chat HTTP/1.1", &[JSON, "X-HTTP-Method-Override: POST"], DEAR.as_bytes()),
        refused,
    );
}

fn tokens(add: &mut Add<'_>) {
    let with = |line: &str| chat(&[line], CHEAP.as_bytes());
    let malformed = Refused(401, "identity.malformed");
    let missing = Refused(401, "identity.missing");
    let two = |one: &str, other: &str| chat(&[one, other], CHEAP.as_bytes());
    let good = "Authorization: Bearer <TOKEN>";
    add(96, "twice the same", two(good, good), malformed);
    add(96, "a good one first", two(good, "Authorization: Bearer x"), malformed);
    add(96, "a good one last", two("Authorization: Basic eDp5", good), malformed);
    add(97, "two words", with("Authorization: Bearer <TOKEN> b"), malformed);
    add(97, "two spaces", with("Authorization: Bearer  <TOKEN>"), malformed);
    add(97, "a tab", with("Authorization: Bearer\t<TOKEN>"), missing);
    add(97, "a comma", with("Authorization: Bearer <TOKEN>, Bearer <TOKEN>"), malformed);
    let space = with("Authorization: Bearer?<TOKEN>");
    let space: Vec<u8> = space.into_iter().map(|byte| if byte == b'?' { 0xa0 } else { byte }).collect();
    add(97, "a space that does not break", space, malformed);
    add(97, "another scheme", with("Authorization: Basic <TOKEN>"), missing);
    add(97, "in lower case", with("Authorization: bearer <TOKEN>"), Judged(200, one_bearer));
    for bad in ["garbage", "a.b.c", "null", "undefined"] {
        add(98, bad, with(&format!("Authorization: Bearer {bad}")), malformed);
    }
    add(98, "..", with("Authorization: Bearer .."), Refused(401, "identity.unsigned"));
    add(98, "nothing", with("Authorization: "), missing);
    let nobody = |line: &str, more: &str| {
        let bytes = bare(line, &["Authorization", more], b"");
        // The helper leaves its own token out where there is such a line; ours says nothing.
        String::from_utf8_lossy(&bytes).replace("Authorization\r\n", "").into_bytes()
    };
    add(99, "in a cookie", nobody(MODELS, "Cookie: token=<TOKEN>; jwt=<TOKEN>"), missing);
    add(99, "in the query", nobody("GET /api/models?token=<TOKEN>&access_token=<TOKEN> HTTP/1.1", "X-A: 1"), missing);
    add(99, "in another header", nobody(MODELS, "X-Access-Token: <TOKEN>"), missing);
    add(100, "a refresh token", with("Authorization: Bearer <REFRESH>"), Refused(401, "identity.signature"));
}

fn headers(add: &mut Add<'_>) {
    let told = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Uri: /api/models",
        "X-Forwarded-Prefix: /x",
        "Forwarded: for=6.6.6.6;host=evil.example",
        "X-Real-IP: 6.6.6.6",
        "X-Original-URL: /api/models",
        "X-Rewrite-URL: /api/models",
    ];
    let underscored = ["X_Forwarded_For: 6.6.6.6", "x_forwarded_host: evil.example", "X_Real_IP: 6.6.6.6"];
    let role = ["X-User-Role: ADMIN", "x_user_role: ADMIN", "X-User-Id: 1", "X-Role: ADMIN"];
    let tenant = ["X-Tenant-Id: other", "X_Tenant_Id: other"];
    let nominating = ["Connection: Authorization, X-Request-Id, Content-Type, Content-Length, X-Forwarded-For"];
    for (number, name, lines, check) in [
        (101, "what proxies say", &told[..], ours_alone as fn(&Outcome) -> Option<String>),
        (102, "with underscores", &underscored[..], ours_alone),
        (103, "another tenant", &tenant[..], |outcome| none_of(outcome, &["x-tenant-id", "x_tenant_id"])),
        (104, "nominated", &nominating[..], ours_alone),
        (106, "constructor", &["constructor: x"][..], ours_alone),
    ] {
        add(number, &format!("{name}, cheap"), chat(lines, CHEAP.as_bytes()), Judged(200, check));
        add(number, &format!("{name}, dear"), chat(lines, DEAR.as_bytes()), Refused(403, LIST));
    }
    add(106, "__proto__", chat(&["__proto__: x"], CHEAP.as_bytes()), Unread(400, "gate.field-name"));
    // A role that somebody claims for himself is worth nothing.
    add(102, "a role of one's own", chat(&role, DEAR.as_bytes()), Refused(403, LIST));
    add(105, "two hosts", chat(&["Host: evil.example"], CHEAP.as_bytes()), HOST);
    add(105, "a host in the target", post("http://evil.example/api/agents/chat", CHEAP), TARGET);
    let long = format!("Cookie: a={}", "x".repeat(12_000));
    add(107, "a large cookie, dear", chat(&[&long], DEAR.as_bytes()), Refused(403, LIST));
    add(107, "a large cookie, cheap", chat(&[&long], CHEAP.as_bytes()), Calls(200, MINI));
    let longer = format!("Cookie: a={}", "x".repeat(20_000));
    add(107, "a cookie that is too large", chat(&[&longer], CHEAP.as_bytes()), TOO_LONG);
}

/// What is to be filtered comes whole and plain, whatever the client would rather have.
fn answers(add: &mut Add<'_>) {
    for (number, line) in [
        (109, "Range: bytes=0-"),
        (109, "Range: bytes=-1"),
        (109, "If-None-Match: *"),
        (109, "If-Modified-Since: Sat, 21 Nov 2099 05:38:09 GMT"),
        (110, "Accept-Encoding: br"),
        (110, "Accept-Encoding: br;q=1, gzip;q=1, identity;q=0"),
    ] {
        add(number, line, bare(MODELS, &[line], b""), Judged(200, filtered));
    }
}

fn filtered(outcome: &Outcome) -> Option<String> {
    let seen = &outcome.reached[0].headers;
    let plain = seen["accept-encoding"] == "identity"
        && !["range", "if-none-match", "if-modified-since"].iter().any(|name| seen.contains_key(*name));
    let shown = outcome.body.contains("gpt-4o-mini") && !outcome.body.contains(r#""gpt-4o""#);
    (!plain || !shown).then(|| format!("LibreChat was asked {seen:?}"))
}

fn one_bearer(outcome: &Outcome) -> Option<String> {
    let values: Vec<_> = outcome.reached[0].headers.get_all("authorization").iter().collect();
    let one = matches!(values.as_slice(), [value] if value.as_bytes().starts_with(b"Bearer eyJ"));
    (!one).then(|| format!("LibreChat got {} bearers", values.len())).or_else(|| called_mini(outcome))
}

fn none_of(outcome: &Outcome, names: &[&str]) -> Option<String> {
    let found = names.iter().find(|name| outcome.reached[0].headers.contains_key(**name));
    found.map(|name| format!("LibreChat got {name}")).or_else(|| called_mini(outcome))
}

/// LibreChat hears of the client what Tollgate knows, once, and what was judged came with it.
fn ours_alone(outcome: &Outcome) -> Option<String> {
    let seen = &outcome.reached[0].headers;
    for (name, value) in
        [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "localhost:3080")]
    {
        if seen.get_all(name).iter().collect::<Vec<_>>() != [value] {
            return Some(format!("LibreChat got {name} {:?}", seen.get(name)));
        }
    }
    let id = seen.get("x-request-id").map(|id| id.len());
    let evil = seen.iter().find(|(_, value)| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("6.6.6.6") || text.contains("evil.example") || text == "/api/models")
    });
    match (id, evil) {
        (Some(36), None) => one_bearer(outcome),
        other => Some(format!("LibreChat got {other:?}")),
    }
}

fn called_mini(outcome: &Outcome) -> Option<String> {
    (outcome.calls != MINI).then(|| format!("called {:?}", outcome.calls))
}
