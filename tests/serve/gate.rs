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

/// Who refuses.
enum By {
    /// The HTTP engine: an empty answer, and the connection is closed.
    Engine(&'static str),
    /// Tollgate, with this status and code.
    Tollgate(&'static str, &'static str),
    /// The HTTP engine, which takes it for no HTTP/1 at all and closes the connection.
    Nobody,
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
    let cases: Vec<(&str, Vec<u8>, By)> = vec![
        ("no Host", get(models, ""), By::Tollgate("400", "gate.host")),
        ("two Hosts", get(models, "Host: t\r\nHost: u\r\n"), By::Tollgate("400", "gate.host")),
        ("the same Host twice", get(models, "Host: t\r\nHost: t\r\n"), By::Tollgate("400", "gate.host")),
        ("empty Host", get(models, "Host: \r\n"), By::Tollgate("400", "gate.host")),
        ("Host with a path", get(models, "Host: t/x\r\n"), By::Tollgate("400", "gate.host")),
        ("HTTP/1.0 without Host", get("GET /api/models HTTP/1.0", ""), By::Tollgate("400", "gate.host")),
        ("two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", TURN), By::Engine("400")),
        ("length list", post(&format!("Content-Length: {length}, {length}\r\n"), TURN), By::Engine("400")),
        ("length with plus", post(&format!("Content-Length: +{length}\r\n"), TURN), By::Engine("400")),
        ("length with minus", post("Content-Length: -1\r\n", TURN), By::Engine("400")),
        ("length in hex", post("Content-Length: 0x37\r\n", TURN), By::Engine("400")),
        ("empty length", post("Content-Length: \r\n", TURN), By::Engine("400")),
        (
            "length led by zero",
            post(&format!("Content-Length: 0{length}\r\n"), TURN),
            By::Tollgate("400", "gate.length"),
        ),
        ("length beyond u64", post("Content-Length: 99999999999999999999\r\n", TURN), By::Engine("400")),
        ("xchunked", post("Transfer-Encoding: xchunked\r\n", &chunked), By::Engine("400")),
        (
            "gzip, chunked",
            post("Transfer-Encoding: gzip, chunked\r\n", &chunked),
            By::Tollgate("400", "gate.transfer-encoding"),
        ),
        (
            "chunked, chunked",
            post("Transfer-Encoding: chunked, chunked\r\n", &chunked),
            By::Tollgate("400", "gate.transfer-encoding"),
        ),
        ("chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", &chunked), By::Engine("400")),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunked),
            By::Tollgate("400", "gate.transfer-encoding"),
        ),
        ("chunked with VT", post("Transfer-Encoding: \x0bchunked\r\n", &chunked), By::Engine("400")),
        ("space before colon", post("Transfer-Encoding : chunked\r\n", &chunked), By::Engine("400")),
        ("space before a name", post(" Transfer-Encoding: chunked\r\n", &chunked), By::Engine("400")),
        ("folded line", post("X-Folded: a\r\n b\r\n", TURN), By::Engine("400")),
        ("no colon", post("X-Nothing\r\n", TURN), By::Engine("400")),
        ("empty name", post(": x\r\n", TURN), By::Engine("400")),
        (
            "chunked in HTTP/1.0",
            format!("POST /api/agents/chat HTTP/1.0\r\nHost: t\r\n{auth}Transfer-Encoding: chunked\r\n\r\n{chunked}")
                .into_bytes(),
            By::Engine("400"),
        ),
        (
            "bad chunk size",
            post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
            By::Tollgate("400", "body.broken-off"),
        ),
        (
            "chunk size beyond u64",
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            By::Tollgate("400", "body.broken-off"),
        ),
        (
            "chunk with a wrong end",
            post("Transfer-Encoding: chunked\r\n", "2\r\n{}xx0\r\n\r\n"),
            By::Tollgate("400", "body.broken-off"),
        ),
        ("absolute form", get("GET http://t/api/models HTTP/1.1", "Host: t\r\n"), By::Tollgate("400", "path-form")),
        (
            "absolute form, other host",
            get("GET http://evil/api/models HTTP/1.1", "Host: t\r\n"),
            By::Tollgate("400", "path-form"),
        ),
        ("authority form", get("GET t:80 HTTP/1.1", "Host: t\r\n"), By::Tollgate("400", "path-form")),
        ("asterisk", get("OPTIONS * HTTP/1.1", "Host: t\r\n"), By::Tollgate("400", "path-form")),
        ("asterisk for GET", get("GET * HTTP/1.1", "Host: t\r\n"), By::Tollgate("400", "path-form")),
        ("lower-case method", get("get /api/models HTTP/1.1", "Host: t\r\n"), By::Tollgate("405", "gate.method")),
        ("TRACE", get("TRACE /api/models HTTP/1.1", "Host: t\r\n"), By::Tollgate("405", "gate.method")),
        ("CONNECT", get("CONNECT t:443 HTTP/1.1", "Host: t\r\n"), By::Tollgate("405", "gate.method")),
        ("PROPFIND", get("PROPFIND /api/models HTTP/1.1", "Host: t\r\n"), By::Tollgate("405", "gate.method")),
        ("method with a bad byte", get("GE(T /api/models HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("HTTP/0.9", b"GET /api/models\r\n\r\n".to_vec(), By::Engine("400")),
        ("HTTP/1.2", get("GET /api/models HTTP/1.2", "Host: t\r\n"), By::Engine("400")),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), By::Nobody),
        ("two spaces", get("GET  /api/models HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("tab in the line", get("GET\t/api/models HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("NUL in the target", get("GET /api/mod\0els HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("ESC in the target", get("GET /api/mod\x1bels HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("DEL in the target", get("GET /api/mod\x7fels HTTP/1.1", "Host: t\r\n"), By::Engine("400")),
        ("NUL in a value", get(models, "Host: t\r\nX-A: a\0b\r\n"), By::Engine("400")),
        ("CTL in a value", get(models, "Host: t\r\nX-A: a\x01b\r\n"), By::Engine("400")),
        ("CR in a value", get(models, "Host: t\r\nX-A: a\rX-B: b\r\n"), By::Engine("400")),
        ("a head beyond 16 KiB", get(models, &format!("Host: t\r\n{long}")), By::Engine("431")),
        ("101 header lines", get(models, &format!("Host: t\r\n{many}")), By::Engine("431")),
        ("GET with a body", get(models, "Host: t\r\nContent-Length: 2\r\n"), By::Tollgate("400", "gate.body")),
        ("GET with chunks", get(models, "Host: t\r\nTransfer-Encoding: chunked\r\n"), By::Tollgate("400", "gate.body")),
        (
            "another expectation",
            post("Expect: 200-ok\r\nContent-Length: 2\r\n", "{}"),
            By::Tollgate("400", "gate.expect"),
        ),
    ];
    let mut refusals = Vec::new();
    for (name, bytes, by) in cases {
        let answers = answers(&send_raw(world.addr, &bytes).await);
        assert!(seen(&world).is_empty(), "{name} reached LibreChat");
        let [answer] = answers.as_slice() else {
            assert!(answers.is_empty() && matches!(by, By::Nobody), "{name}: {answers:?}");
            continue;
        };
        match by {
            By::Nobody => panic!("{name}: {answer:?}"),
            By::Engine(status) => {
                assert_eq!((answer.status.as_str(), answer.body.as_str()), (status, ""), "{name}: {answer:?}");
                assert!(answer.head.contains("connection: close"), "{name}: {}", answer.head);
            }
            By::Tollgate(status, code) => {
                assert_eq!((answer.status.as_str(), rule(answer).as_str()), (status, code), "{name}: {answer:?}");
                refusals.push((name, code, serde_json::from_str::<Value>(&answer.body).unwrap()));
            }
        }
    }
    for (name, code, refusal) in refusals {
        assert_eq!(world.entry_of(&refusal).await["rules"], json!([code]), "{name}");
    }
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

/// What the engine settles before the gate can see it. None of it can be read in two ways any more: LibreChat receives
/// one request, framed anew, with the body that was judged, and a connection that claimed two lengths is closed.
#[tokio::test]
async fn what_the_engine_settles_is_settled_for_everybody() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let auth = format!("Authorization: {bob}\r\nContent-Type: application/json\r\n");
    let length = TURN.len();
    let chunked = format!("{length:x}\r\n{TURN}\r\n0\r\n\r\n");
    let post =
        |headers: &str, body: &str| format!("POST /api/agents/chat HTTP/1.1\r\nHost: t\r\n{auth}{headers}\r\n{body}");
    let smuggled = format!("GET /api/user HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\r\n");
    let both = format!("{chunked}{smuggled}");
    for (name, bytes, closed) in [
        (
            "length, then chunked",
            post(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", both.len()), &both),
            true,
        ),
        (
            "chunked, then length",
            post(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", both.len()), &both),
            true,
        ),
        ("length, then chunked, short", post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", &both), true),
        (
            "the same length twice",
            post(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), TURN),
            false,
        ),
        ("bare line feeds", post(&format!("Content-Length: {length}\r\n"), TURN).replace("\r\n", "\n"), false),
        ("empty lines before", format!("\r\n\r\n{}", post(&format!("Content-Length: {length}\r\n"), TURN)), false),
        (
            "chunk extension and trailer",
            post(
                "Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n",
                &format!("{length:x};a=\"b\"\r\n{TURN}\r\n0\r\nX-Late: 1\r\nAuthorization: Bearer x\r\n\r\n"),
            ),
            false,
        ),
    ] {
        world.stand_in.forget();
        let answers = answers(&send_raw(world.addr, bytes.as_bytes()).await);
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert_eq!(answers[0].status, "200", "{name}: {answers:?}");
        assert_eq!(answers[0].head.contains("connection: close"), closed, "{name}: {answers:?}");
        let seen = seen(&world);
        assert_eq!(seen.len(), 1, "{name}: what was hidden in the body is no request");
        assert_eq!(seen[0].body, TURN, "{name}");
        assert_eq!(
            seen[0].headers.get_all("content-length").iter().collect::<Vec<_>>(),
            [&length.to_string()],
            "{name}"
        );
        assert_eq!(seen[0].headers["authorization"], bob, "{name}");
        for gone in ["transfer-encoding", "trailer", "x-late"] {
            assert!(!seen[0].headers.contains_key(gone), "{name}: {gone}");
        }
    }
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
