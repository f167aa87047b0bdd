//! The gate over a raw socket: what is ambiguous or malformed is refused before LibreChat sees a byte of it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::POLICY;
use crate::passage::seen;
use crate::support::{patiently, send_raw};
use crate::world::World;

const TURN: &str = r#"{"endpoint":"openAI","model":"gpt-4o-mini","text":"Hi"}"#;
const FORBIDDEN: &str = r#"{"endpoint":"openAI","model":"gpt-4o","text":"Hi"}"#;

/// An answer as it came over the wire.
#[derive(Debug)]
struct Wire {
    status: String,
    head: String,
    body: String,
}

/// All answers in these bytes; each body has a known length or none.
fn answers(bytes: &[u8]) -> Vec<Wire> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut rest = text.as_str();
    let mut all = Vec::new();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let length =
            head.to_ascii_lowercase().split("content-length: ").nth(1).map_or(0, |length| {
                length.split("\r\n").next().and_then(|digits| digits.parse().ok()).expect("a length")
            });
        let (body, next) = after.split_at_checked(length).expect("the whole body");
        all.push(Wire { status, head: head.to_owned(), body: body.to_owned() });
        rest = next;
    }
    assert_eq!(rest, "", "what follows the last answer");
    all
}

fn rule(wire: &Wire) -> String {
    let body: Value = serde_json::from_str(&wire.body).unwrap_or_default();
    body["rule"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn malformed_and_ambiguous_heads_never_reach_librechat() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let length = TURN.len();
    let chunked = format!("{length:x}\r\n{TURN}\r\n0\r\n\r\n");
    let auth = format!("Authorization: {bob}\r\nContent-Type: application/json\r\n");
    let post = |headers: &str, body: &str| {
        format!("POST /api/agents/chat HTTP/1.1\r\nHost: t\r\n{auth}{headers}\r\n{body}").into_bytes()
    };
    let get = |line: &str, headers: &str| format!("{line}\r\n{headers}Authorization: {bob}\r\n\r\n").into_bytes();
    let many = "X-Many: 1\r\n".repeat(101);
    let long = format!("X-Long: {}\r\n", "x".repeat(17 * 1024));
    let models = "GET /api/models HTTP/1.1";
    let cases: Vec<(&str, Vec<u8>, (&str, &str))> = vec![
        ("no Host", get(models, ""), ("400", "gate.host")),
        ("two Hosts", get(models, "Host: t\r\nHost: u\r\n"), ("400", "gate.host")),
        ("the same Host twice", get(models, "Host: t\r\nHost: t\r\n"), ("400", "gate.host")),
        ("empty Host", get(models, "Host: \r\n"), ("400", "gate.host")),
        ("Host with a path", get(models, "Host: t/x\r\n"), ("400", "gate.host")),
        ("HTTP/1.0 without Host", get("GET /api/models HTTP/1.0", ""), ("400", "gate.host")),
        ("two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", TURN), ("400", "gate.length")),
        ("length list", post(&format!("Content-Length: {length}, {length}\r\n"), TURN), ("400", "gate.length")),
        ("length with plus", post(&format!("Content-Length: +{length}\r\n"), TURN), ("400", "gate.length")),
        ("length with minus", post("Content-Length: -1\r\n", TURN), ("400", "gate.length")),
        ("length in hex", post("Content-Length: 0x37\r\n", TURN), ("400", "gate.length")),
        ("empty length", post("Content-Length: \r\n", TURN), ("400", "gate.length")),
        ("length led by zero", post(&format!("Content-Length: 0{length}\r\n"), TURN), ("400", "gate.length")),
        ("length beyond u64", post("Content-Length: 99999999999999999999\r\n", TURN), ("400", "gate.length")),
        ("xchunked", post("Transfer-Encoding: xchunked\r\n", &chunked), ("400", "gate.transfer-encoding")),
        ("gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", &chunked), ("400", "gate.transfer-encoding")),
        (
            "chunked, chunked",
            post("Transfer-Encoding: chunked, chunked\r\n", &chunked),
            ("400", "gate.transfer-encoding"),
        ),
        (
            "chunked, identity",
            post("Transfer-Encoding: chunked, identity\r\n", &chunked),
            ("400", "gate.transfer-encoding"),
        ),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunked),
            ("400", "gate.transfer-encoding"),
        ),
        ("chunked with VT", post("Transfer-Encoding: \x0bchunked\r\n", &chunked), ("400", "gate.field-value")),
        ("space before colon", post("Transfer-Encoding : chunked\r\n", &chunked), ("400", "gate.field-name")),
        ("space before a name", post(" Transfer-Encoding: chunked\r\n", &chunked), ("400", "gate.field-name")),
        ("folded line", post("X-Folded: a\r\n b\r\n", TURN), ("400", "gate.field-name")),
        ("no colon", post("X-Nothing\r\n", TURN), ("400", "gate.field-name")),
        ("empty name", post(": x\r\n", TURN), ("400", "gate.field-name")),
        (
            "chunked in HTTP/1.0",
            format!("POST /api/agents/chat HTTP/1.0\r\nHost: t\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{chunked}")
                .into_bytes(),
            ("400", "gate.transfer-encoding"),
        ),
        ("bad chunk size", post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), ("400", "gate.chunk")),
        (
            "chunk size beyond u64",
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            ("400", "gate.chunk"),
        ),
        ("chunk with a wrong end", post("Transfer-Encoding: chunked\r\n", "2\r\n{}xx0\r\n\r\n"), ("400", "gate.chunk")),
        ("absolute form", get("GET http://t/api/models HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        (
            "absolute form, other host",
            get("GET http://evil/api/models HTTP/1.1", "Host: t\r\n"),
            ("400", "gate.target"),
        ),
        ("authority form", get("GET t:80 HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("asterisk", get("OPTIONS * HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("asterisk for GET", get("GET * HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("lower-case method", get("get /api/models HTTP/1.1", "Host: t\r\n"), ("405", "gate.method")),
        ("TRACE", get("TRACE /api/models HTTP/1.1", "Host: t\r\n"), ("405", "gate.method")),
        ("CONNECT", get("CONNECT t:443 HTTP/1.1", "Host: t\r\n"), ("405", "gate.method")),
        ("PROPFIND", get("PROPFIND /api/models HTTP/1.1", "Host: t\r\n"), ("405", "gate.method")),
        ("method with a bad byte", get("GE(T /api/models HTTP/1.1", "Host: t\r\n"), ("400", "gate.request-line")),
        ("HTTP/0.9", b"GET /api/models\r\n\r\n".to_vec(), ("400", "gate.request-line")),
        ("HTTP/1.2", get("GET /api/models HTTP/1.2", "Host: t\r\n"), ("400", "gate.version")),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), ("405", "gate.method")),
        ("two spaces", get("GET  /api/models HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("tab in the line", get("GET\t/api/models HTTP/1.1", "Host: t\r\n"), ("400", "gate.request-line")),
        ("NUL in the target", get("GET /api/mod\0els HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("ESC in the target", get("GET /api/mod\x1bels HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("DEL in the target", get("GET /api/mod\x7fels HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("NUL in a value", get(models, "Host: t\r\nX-A: a\0b\r\n"), ("400", "gate.field-value")),
        ("CTL in a value", get(models, "Host: t\r\nX-A: a\x01b\r\n"), ("400", "gate.field-value")),
        ("CR in a value", get(models, "Host: t\r\nX-A: a\rX-B: b\r\n"), ("400", "gate.line-end")),
        ("a head beyond 16 KiB", get(models, &format!("Host: t\r\n{long}")), ("431", "gate.too-long")),
        ("101 header lines", get(models, &format!("Host: t\r\n{many}")), ("431", "gate.headers")),
        ("GET with a body", get(models, "Host: t\r\nContent-Length: 2\r\n"), ("400", "gate.body")),
        ("GET with chunks", get(models, "Host: t\r\nTransfer-Encoding: chunked\r\n"), ("400", "gate.body")),
        ("another expectation", post("Expect: 200-ok\r\nContent-Length: 2\r\n", "{}"), ("400", "gate.expect")),
        (
            "length, then chunked",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &chunked),
            ("400", "gate.length"),
        ),
        (
            "chunked, then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", &chunked),
            ("400", "gate.length"),
        ),
        (
            "the same length twice",
            post(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), TURN),
            ("400", "gate.length"),
        ),
        (
            "bare line feeds",
            String::from_utf8_lossy(&post(&format!("Content-Length: {length}\r\n"), TURN))
                .replace("\r\n", "\n")
                .into_bytes(),
            ("400", "gate.line-end"),
        ),
        ("empty lines before", [b"\r\n\r\n", get(models, "Host: t\r\n").as_slice()].concat(), ("400", "gate.line-end")),
        ("a fragment", get("GET /api/models#x HTTP/1.1", "Host: t\r\n"), ("400", "gate.target")),
        ("__proto__", get(models, "Host: t\r\n__proto__: x\r\n"), ("400", "gate.field-name")),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), ("400", "gate.request-line")),
        (
            "chunk extension",
            post("Transfer-Encoding: chunked\r\n", &format!("{length:x};a=b\r\n{TURN}\r\n0\r\n\r\n")),
            ("400", "gate.chunk"),
        ),
        (
            "a trailer",
            post(
                "Transfer-Encoding: chunked\r\n",
                &format!("{length:x}\r\n{TURN}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"),
            ),
            ("400", "gate.trailer"),
        ),
    ];
    let mut refusals = Vec::new();
    for (name, bytes, (status, code)) in cases {
        let answers = answers(&until_closed(&world, &bytes).await);
        assert!(seen(&world).is_empty(), "{name} reached LibreChat");
        let [answer] = answers.as_slice() else { panic!("{name}: {answers:?}") };
        assert_eq!((answer.status.as_str(), rule(answer).as_str()), (status, code), "{name}: {answer:?}");
        assert!(answer.head.contains("connection: close"), "{name}: {}", answer.head);
        assert_eq!(answer.head.contains("allow: GET, HEAD, POST"), status == "405", "{name}: {}", answer.head);
        assert!(answer.head.contains("\r\ndate: "), "{name}: {}", answer.head);
        refusals.push((name, status, code, serde_json::from_str::<Value>(&answer.body).unwrap()));
    }
    let count = refusals.len();
    for (name, status, code, refusal) in refusals {
        let entry = world.entry_of(&refusal).await;
        assert_eq!((&entry["rules"], &entry["decision"]), (&json!([code]), &json!("deny")), "{name}");
        assert_eq!((&entry["category"], &entry["severity"]), (&json!("SECURITY"), &json!("WARNING")), "{name}");
        let details = &entry["details"];
        assert_eq!(
            (&details["ip"], details["response"]["status"].to_string()),
            (&json!("127.0.0.1"), status.to_owned())
        );
        // What was no head at all is not written down, a request whose body was bad is known.
        let known = matches!(code, "gate.chunk" | "gate.trailer");
        let wanted = if known { ("POST", "/api/agents/chat") } else { ("-", "*") };
        assert_eq!((&details["method"], &details["path"]), (&json!(wanted.0), &json!(wanted.1)), "{name}");
    }
    let metrics = get_text(world.admin).await;
    let refused = metrics.lines().filter_map(|line| line.strip_prefix("tollgate_refusals_total{code=\"gate."));
    let refused = refused.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    assert_eq!(refused.sum::<usize>(), count, "{metrics}");
    assert_eq!(world.metric("tollgate_malformed_total").await, "0", "nothing was left to the engine");
}

/// Sends bytes as they are and returns all that comes back until Tollgate closes the connection.
async fn until_closed(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    // It may refuse before it has read everything; what it said is still worth reading.
    let _ = socket.write_all(bytes).await;
    let mut all = Vec::new();
    // A reset is an end too.
    let _ = patiently("the end of a connection", socket.read_to_end(&mut all)).await;
    all
}

/// All series.
async fn get_text(admin: std::net::SocketAddr) -> String {
    crate::support::get(admin, "/metrics", &[]).await.text()
}

#[tokio::test]
async fn ninety_header_lines_are_not_too_many() {
    let world = World::with(POLICY).start().await;
    let many = "X-Many: 1\r\n".repeat(88);
    let bob = world.bearer("Bob");
    let request = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n{many}\r\n");
    assert_eq!(answers(&send_raw(world.addr, request.as_bytes()).await)[0].status, "200");
    assert_eq!(seen(&world)[0].headers.get_all("x-many").iter().count(), 88);
}

#[tokio::test]
async fn pipelined_requests_are_judged_one_by_one_and_answered_in_order() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let turn = |body: &str| {
        format!(
            "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let user = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\r\n");
    let nobody = "GET /api/models HTTP/1.1\r\nHost: t\r\n\r\n";
    let all = [turn(TURN), turn(FORBIDDEN), user, nobody.to_owned(), turn(FORBIDDEN), turn(TURN)].concat();
    let answers = answers(&send_raw(world.addr, all.as_bytes()).await);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_str()).collect();
    assert_eq!(statuses, ["200", "403", "200", "401", "403", "200"]);
    assert!(answers[1].body.contains("openAI|gpt-4o"), "{}", answers[1].body);
    let calls: Vec<_> = world.stand_in.calls().into_iter().map(|call| call.model).collect();
    assert_eq!(calls, ["gpt-4o-mini", "gpt-4o-mini"], "nothing but what was judged");
    let targets: Vec<_> = seen(&world).into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/api/agents/chat", "/api/user", "/api/agents/chat"]);
}

/// What was good before it is answered first, and nothing behind it is read.
#[tokio::test]
async fn the_last_word_comes_after_the_answers_due() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let user = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\r\n");
    let turn = format!(
        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{TURN}",
        TURN.len()
    );
    for (name, bad) in
        [("an empty line", "\r\n"), ("rubbish", "\0\0\0"), ("a half request", "GET /x HTTP/1.1\r\nA : b\r\n\r\n")]
    {
        world.stand_in.forget();
        let all = [user.as_str(), &turn, &user, bad, &turn].concat();
        let answers = answers(&until_closed(&world, all.as_bytes()).await);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_str()).collect();
        assert_eq!(statuses, ["200", "200", "200", "400"], "{name}");
        for answer in &answers[..3] {
            assert!(
                !answer.head.contains("connection: close"),
                "{name}: the client would not read on: {}",
                answer.head
            );
        }
        assert!(rule(&answers[3]).starts_with("gate."), "{name}: {:?}", answers[3]);
        assert_eq!(seen(&world).len(), 3, "{name}");
    }
    let close = user.replace("Host", "Connection: close\r\nHost");
    for behind in ["\0\0\0", turn.as_str(), "\r\n\r\n"] {
        world.stand_in.forget();
        let answers = answers(&until_closed(&world, [close.as_str(), behind].concat().as_bytes()).await);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_str()).collect();
        assert_eq!(statuses, ["200"], "nothing behind the last request is read: {behind:?}");
        assert_eq!(seen(&world).len(), 1);
    }
    world.until("every connection is closed", async |world| world.metric("tollgate_connections").await == "0").await;
}

/// Nothing is ever tunnelled: an upgrade is not answered, and what follows it is the next request.
#[tokio::test]
async fn an_upgrade_is_a_request_like_any_other() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let forbidden = format!(
        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\nContent-Type: application/json\r\n\
         {upgrade}Content-Length: {}\r\n\r\n{FORBIDDEN}",
        FORBIDDEN.len()
    );
    let user = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n{upgrade}\r\n");
    let last = user.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answers = answers(&until_closed(&world, [user.as_str(), &forbidden, &last].concat().as_bytes()).await);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_str()).collect();
    assert_eq!(statuses, ["200", "403", "200"]);
    for seen in seen(&world) {
        assert!(
            !seen.headers.contains_key("upgrade") && !seen.headers.contains_key("connection"),
            "{:?}",
            seen.headers
        );
    }
}

/// What other programs fold into a field that frames the body or says who asks does not reach LibreChat.
#[tokio::test]
async fn names_with_underscores_say_nothing() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let folded = "Content_Length: 5\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 1.2.3.4\r\nX_Request_Id: 1\r\nMy_Own: 1\r\n";
    let request = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n{folded}\r\n");
    assert_eq!(answers(&send_raw(world.addr, request.as_bytes()).await)[0].status, "200");
    let names: Vec<_> =
        seen(&world)[0].headers.keys().map(|name| name.as_str().to_owned()).filter(|name| name.contains('_')).collect();
    assert_eq!(names, ["my_own"]);
}

/// A refusal that comes before the body was read: what follows on the connection is either that body or a new request, and
/// must never be taken for the other.
#[tokio::test]
async fn an_unread_body_is_never_taken_for_a_request() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let hidden = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\r\n");
    let padding = "x".repeat(200_000);
    for (name, head, status) in [
        ("no token", "Content-Type: application/json\r\n".to_owned(), "401"),
        ("a form", format!("Authorization: {bob}\r\nContent-Type: application/x-www-form-urlencoded\r\n"), "415"),
        ("another expectation", format!("Authorization: {bob}\r\nExpect: x\r\n"), "400"),
    ] {
        for body in [hidden.clone(), format!("{hidden}{padding}"), format!("{padding}{hidden}")] {
            for framed in [
                format!("Content-Length: {}\r\n\r\n{body}", body.len()),
                format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            ] {
                world.stand_in.forget();
                let request = format!("POST /api/agents/chat HTTP/1.1\r\nHost: t\r\n{head}{framed}");
                let answers = answers(&send_raw(world.addr, request.as_bytes()).await);
                let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_str()).collect();
                assert_eq!(statuses, [status], "{name}, {} bytes", body.len());
                assert!(seen(&world).is_empty(), "{name}: the hidden request was served");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_is_good_for_more_after_a_refusal() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    for (body, status) in [(FORBIDDEN, "403"), (TURN, "200"), (FORBIDDEN, "403"), ("{", "400"), (TURN, "200")] {
        let request = format!(
            "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let answer = one_answer(&mut socket).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    assert_eq!(world.stand_in.calls().len(), 2);
}

#[tokio::test]
async fn a_slow_head_ends_the_connection_and_a_slow_body_the_request() {
    let mut world = World::with(POLICY).settings("timeouts: {head: 1s, body: 1s}").start().await;
    let bob = world.bearer("Bob");
    let mut head = TcpStream::connect(world.addr).await.unwrap();
    head.write_all(b"GET /api/models HTTP/1.1\r\nHost: t\r\n").await.unwrap();
    let mut silent = TcpStream::connect(world.addr).await.unwrap();
    let mut body = TcpStream::connect(world.addr).await.unwrap();
    let request = format!(
        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    body.write_all(request.as_bytes()).await.unwrap();
    let answer = one_answer(&mut body).await;
    assert_eq!((answer.status.as_str(), rule(&answer).as_str()), ("408", "body.slow"));
    assert_eq!(world.entry_of(&serde_json::from_str(&answer.body).unwrap()).await["rules"], json!(["body.slow"]));
    for (name, socket) in [("half a head", &mut head), ("nothing at all", &mut silent), ("half a body", &mut body)] {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = patiently(name, socket.read_to_end(&mut rest)).await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{name}: {}", String::from_utf8_lossy(&rest));
    }
    assert!(seen(&world).is_empty());
    world.until("every connection is closed", async |world| world.metric("tollgate_connections").await == "0").await;
}

#[tokio::test]
async fn nobody_takes_the_room_for_bodies_from_the_others() {
    let mut world = World::with(POLICY).start().await;
    let (ann, bob) = (world.bearer("Ann"), world.bearer("Bob"));
    let mut waiting = Vec::new();
    for _ in 0..25 {
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        let request = format!(
            "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
             Content-Type: application/json\r\nContent-Length: 3145728\r\n\r\n{{"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        waiting.push(socket);
    }
    let refused = "tollgate_refusals_total{code=\"body.no-room\"}";
    world.until("all but five are refused", async |world| world.metric(refused).await == "20").await;
    let say = async |who: &str| {
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        let request = format!(
            "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {who}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}{TURN}",
            TURN.len() + 1024 * 1024,
            " ".repeat(1024 * 1024)
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        one_answer(&mut socket).await
    };
    assert_eq!(say(&ann).await.status, "200", "another person's long turn has its room");
    let own = say(&bob).await;
    assert_eq!((own.status.as_str(), rule(&own).as_str()), ("503", "body.no-room"));
    drop(waiting);
    world.until("the share comes back", async |world| world.metric("tollgate_connections").await == "0").await;
}

/// The next answer on a connection that stays open.
async fn one_answer(socket: &mut TcpStream) -> Wire {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && head.split("content-length: ").nth(1).is_some_and(|length| {
                length.split("\r\n").next().and_then(|digits| digits.parse().ok()) == Some(body.len())
            })
        {
            break;
        }
        bytes.push(patiently("an answer", socket.read_u8()).await.expect("an open connection"));
    }
    answers(&bytes).remove(0)
}
