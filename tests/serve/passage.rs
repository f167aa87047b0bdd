//! What passes: bodies of every size, streams in their own time, headers as LibreChat must see them.

use std::sync::Arc;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tollgate::demo::Seen;

use crate::POLICY;
use crate::fake::Fake;
use crate::support::{get, open, patiently, post_json, request, send_raw};
use crate::world::World;

/// The longest body that LibreChat reads.
const LIMIT: usize = 3 * 1024 * 1024;

/// A turn that Bob may have, of exactly this many bytes.
fn turn_of(bytes: usize) -> String {
    let empty = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": ""}).to_string();
    let text = "x".repeat(bytes - empty.len());
    json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": text}).to_string()
}

/// What reached the stand-in, Tollgate's own health checks left out.
pub(crate) fn seen(world: &World) -> Vec<Seen> {
    let asked_for = |seen: &Seen| seen.target != "/health" || seen.headers.contains_key("x-request-id");
    world.stand_in.seen().into_iter().filter(asked_for).collect()
}

fn chunked(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in bytes.chunks(piece) {
        all.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        all.extend_from_slice(piece);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

fn status_of(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn turns_of_every_size_arrive_whole() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let headers = [("authorization", bob.as_str()), ("content-type", "application/json")];
    for size in [100, 65_535, 65_536, 65_537, 1_000_000, LIMIT - 1, LIMIT] {
        let body = turn_of(size);
        assert_eq!(body.len(), size);
        for chunk in [None, Some(7_001), Some(100_000)] {
            world.stand_in.forget();
            let status = match chunk {
                None => {
                    let answer =
                        request(world.addr, Method::POST, "/api/agents/chat", &headers, body.clone().into()).await;
                    answer.status.as_str().to_owned()
                }
                Some(piece) => {
                    let mut raw = format!(
                        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
                         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                    )
                    .into_bytes();
                    raw.extend(chunked(body.as_bytes(), piece));
                    status_of(&send_raw(world.addr, &raw).await)
                }
            };
            assert_eq!(status, "200", "{size} bytes, pieces of {chunk:?}");
            let seen = seen(&world);
            assert_eq!(seen.len(), 1);
            assert!(seen[0].body == body.as_bytes(), "{size} bytes, pieces of {chunk:?}: the body has changed");
            assert_eq!(seen[0].headers["content-length"], size.to_string());
            assert!(!seen[0].headers.contains_key("transfer-encoding"));
        }
    }
}

#[tokio::test]
async fn one_byte_more_than_librechat_reads_is_refused() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let headers = [("authorization", bob.as_str()), ("content-type", "application/json")];
    let body = turn_of(LIMIT + 1);
    let answer = request(world.addr, Method::POST, "/api/agents/chat", &headers, body.clone().into()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["rule"], "body-too-large");
    assert_eq!(world.entry_of(&answer.json()).await["rules"], json!(["body-too-large"]));
    let head = format!(
        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let raw = [head.as_bytes(), &chunked(body.as_bytes(), 65_536)].concat();
    assert_eq!(status_of(&send_raw(world.addr, &raw).await), "413");
    let tiny = request(world.addr, Method::POST, "/api/agents/chat", &headers, "7".into()).await;
    assert_eq!((tiny.status.as_u16(), &tiny.json()["rule"]), (400, &json!("body-not-object")));
    assert!(seen(&world).is_empty(), "nothing of it reached LibreChat");
}

#[tokio::test]
async fn an_upload_streams_through_without_being_kept() {
    const SIZE: usize = 30 * 1024 * 1024;
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    get(world.addr, "/api/models", &[("authorization", &bob)]).await;
    world.stand_in.forget();
    let before = world.memory("VmHWM");
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n".to_vec();
    body.resize(SIZE, b'x');
    body.extend_from_slice(b"\r\n--b--\r\n");
    let size = body.len();
    let headers = [("authorization", bob.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    let answer = request(world.addr, Method::POST, "/api/files", &headers, body.into()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["bytes"], size);
    let seen = seen(&world);
    assert_eq!((seen.len(), seen[0].length), (1, size));
    assert_eq!(seen[0].headers["content-type"], "multipart/form-data; boundary=b");
    let grown = world.memory("VmHWM") - before;
    assert!(grown < 8 * 1024 * 1024, "the most memory ever used has grown by {grown} bytes");
}

#[tokio::test]
async fn assets_pass_as_they_are_compressed_and_conditional() {
    let world = World::with(POLICY).start().await;
    let path = "/assets/app.js";
    let direct = get(world.stand_in.addr(), path, &[("accept-encoding", "gzip")]).await;
    let answer = get(world.addr, path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-encoding"), "gzip");
    for name in ["etag", "cache-control", "content-type", "vary", "last-modified", "accept-ranges"] {
        assert!(!direct.header(name).is_empty(), "{name}");
        assert_eq!(answer.header(name), direct.header(name), "{name}");
    }
    assert_eq!(answer.body, direct.body);
    let held = [("accept-encoding", "gzip"), ("if-none-match", answer.header("etag"))];
    let again = get(world.addr, path, &held).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), answer.header("etag"));
    let head = request(world.addr, Method::HEAD, path, &[], "".into()).await;
    let plain = get(world.addr, path, &[]).await;
    assert_eq!(head.header("content-length"), plain.body.len().to_string());
    assert!(head.body.is_empty());
    let page = get(world.addr, "/c/new", &[]).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn downloads_redirects_and_odd_answers_pass_untouched() {
    let fake = Fake::start(|mut socket, head| async move {
        let answer: Vec<u8> = if head.starts_with("GET /api/files/download") {
            let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\
                         content-disposition: attachment; filename=\"r\xc3\xa4tsel.bin\"\r\ncontent-length: 300000\r\n\r\n";
            [head.as_slice(), &bytes].concat()
        } else if head.starts_with("GET /oauth/google") {
            b"HTTP/1.1 302 Found\r\nlocation: https://accounts.google.com/?x=1\r\nset-cookie: a=1; Path=/\r\n\
              set-cookie: b=2; HttpOnly\r\ncontent-length: 0\r\nconnection: x-hop, close\r\nx-hop: 1\r\n\r\n"
                .to_vec()
        } else {
            b"HTTP/1.1 418 Short and stout\r\nx-custom: kept\r\ncontent-length: 3\r\n\r\ntea".to_vec()
        };
        socket.write_all(&answer).await.is_ok().then_some(socket)
    })
    .await;
    let world = World::with(POLICY).upstream(&fake.url()).start().await;
    let bob = world.bearer("Bob");
    let file = get(world.addr, "/api/files/download/me/1", &[("authorization", &bob)]).await;
    assert_eq!(file.headers["content-disposition"].as_bytes(), b"attachment; filename=\"r\xc3\xa4tsel.bin\"");
    assert_eq!(file.body.len(), 300_000);
    assert!(file.body.iter().enumerate().all(|(n, byte)| usize::from(*byte) == n % 251), "every byte in its place");
    let away = get(world.addr, "/oauth/google", &[]).await;
    assert_eq!((away.status.as_u16(), away.header("location")), (302, "https://accounts.google.com/?x=1"));
    let cookies: Vec<_> = away.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; HttpOnly"]);
    assert!(!away.headers.contains_key("x-hop"), "what `Connection` names concerns one connection alone");
    let odd = get(world.addr, "/some/page", &[]).await;
    assert_eq!((odd.status.as_u16(), odd.header("x-custom"), odd.text().as_str()), (418, "kept", "tea"));
    assert_eq!(fake.heads().len(), 3, "the redirect was not followed");
}

#[tokio::test]
async fn a_stream_comes_piece_by_piece_and_ends_with_its_reader() {
    let (said, mut left) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let permit = Arc::clone(&go);
    let fake = Fake::start(move |mut socket, _| {
        let (permit, said) = (Arc::clone(&permit), said.clone());
        async move {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: identity\r\n\
                        cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            socket.write_all(head.as_bytes()).await.ok()?;
            for number in 0..5 {
                // The next piece is said only when the test has read the one before: whoever holds one back waits forever.
                permit.notified().await;
                let event = format!("data: {number}\n\n");
                socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()?;
            }
            let rest = socket.read_u8().await;
            said.send(rest.is_err()).ok()?;
            None
        }
    })
    .await;
    let mut world = World::with(POLICY).upstream(&fake.url()).start().await;
    let bob = world.bearer("Bob");
    let headers = [("authorization", bob.as_str()), ("accept", "text/event-stream")];
    let mut stream = open(world.addr, Method::GET, "/api/agents/chat/stream/s1", &headers, "".into()).await;
    assert_eq!(stream.header("content-encoding"), "identity");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    assert_eq!(stream.header("cache-control"), "no-cache, no-transform");
    for number in 0..5 {
        go.notify_one();
        let piece = stream.next().await.expect("a piece");
        assert_eq!(piece.bytes, format!("data: {number}\n\n"));
    }
    assert_eq!(world.metric("tollgate_in_flight").await, "1");
    drop(stream);
    assert_eq!(patiently("the end of the upstream connection", left.recv()).await, Some(true), "closed, nothing sent");
    world.until("nothing is in flight", async |world| world.metric("tollgate_in_flight").await == "0").await;
    assert_eq!(fake.heads().len(), 1, "one stream, asked for once");
}

#[tokio::test]
async fn words_of_the_stand_in_come_one_after_the_other() {
    let delay = std::time::Duration::from_millis(30);
    let world = World::with(POLICY).librechat(|options| (options.words, options.word_delay) = (8, delay)).start().await;
    let bob = world.bearer("Bob");
    let turn = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": "Hello"});
    let started = post_json(world.addr, "/api/agents/chat/openAI", &[("authorization", &bob)], &turn).await.json();
    let path = format!("/api/agents/chat/stream/{}", started["streamId"].as_str().unwrap());
    let stream = open(world.addr, Method::GET, &path, &[("authorization", &bob)], "".into()).await;
    let pieces = stream.rest().await;
    let words: Vec<_> = pieces
        .iter()
        .filter(|piece| String::from_utf8_lossy(&piece.bytes).contains("on_message_delta"))
        .map(|piece| piece.after)
        .collect();
    assert!(words.len() >= 6, "the words came in {} pieces", words.len());
    let (first, last) = (words[0], words[words.len() - 1]);
    assert!(last - first >= delay * 4, "{words:?}");
}

#[tokio::test]
async fn a_long_poll_waits_for_its_answer() {
    let go = Arc::new(Notify::new());
    let permit = Arc::clone(&go);
    let fake = Fake::start(move |mut socket, head| {
        let permit = Arc::clone(&permit);
        async move {
            if head.contains("gen_title") {
                permit.notified().await;
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.is_ok().then_some(socket)
        }
    })
    .await;
    let world = World::with(POLICY).upstream(&fake.url()).start().await;
    let bob = world.bearer("Bob");
    let headers = [("authorization", bob.as_str())];
    let waiting = get(world.addr, "/api/convos/gen_title/c1", &headers);
    let meanwhile = async {
        // Others are served while one waits.
        for _ in 0..3 {
            assert_eq!(get(world.addr, "/api/user", &headers).await.status, 200);
        }
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
}

#[tokio::test]
async fn a_preflight_is_answered_by_librechat() {
    let world = World::with(POLICY).start().await;
    let headers = [("origin", "https://other.example"), ("access-control-request-headers", "authorization")];
    let answer = request(world.addr, Method::OPTIONS, "/api/agents/chat", &headers, "".into()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), "authorization");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    let head =
        request(world.addr, Method::HEAD, "/api/user", &[("authorization", &world.bearer("Bob"))], "".into()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let seen = seen(&world);
    assert_eq!(seen.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["OPTIONS", "HEAD"]);
}

#[tokio::test]
async fn signing_in_sets_every_cookie_and_refreshing_sends_them_back() {
    let world = World::with(POLICY).start().await;
    let credentials = json!({"email": "bob@example.edu", "password": "demo-password"});
    let direct = post_json(world.stand_in.addr(), "/api/auth/login", &[], &credentials).await;
    let answer = post_json(world.addr, "/api/auth/login", &[], &credentials).await;
    assert_eq!(answer.status, 200);
    let names = |headers: &HeaderMap| -> Vec<String> {
        let values = headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        values.map(|value| value.split('=').next().unwrap().to_owned()).collect()
    };
    assert!(names(&answer.headers).len() >= 2, "{:?}", answer.headers);
    assert_eq!(names(&answer.headers), names(&direct.headers), "all of them, in their order");
    let cookies =
        answer.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().split(';').next().unwrap());
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    let renewed = post_json(world.addr, "/api/auth/refresh", &[(COOKIE.as_str(), &cookies)], &json!({})).await;
    assert_eq!(renewed.status, 200);
    assert!(renewed.json()["token"].is_string(), "the cookies came through: {}", renewed.text());
}

#[tokio::test]
async fn librechat_is_told_about_the_client_by_tollgate_alone() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let raw = format!(
        "GET /api/user HTTP/1.1\r\nHost: chat.example.edu\r\nAuthorization: {bob}\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X_Forwarded_For: 1.2.3.5\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
         X-Forwarded-Prefix: /x\r\nForwarded: for=1.2.3.6\r\nX-Real-IP: 1.2.3.7\r\nVia: 1.1 x\r\n\
         X-Tenant-Id: other\r\nx-request-id: mine\r\nx-correlation-id: mine\r\nTE: trailers\r\n\
         Proxy-Authorization: Basic eDp4\r\nKeep-Alive: timeout=9\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n\
         X-Http-Method-Override: POST\r\nX-Custom: kept\r\nCookie: a=1\r\nAccept-Language: de\r\n\r\n"
    );
    assert_eq!(status_of(&send_raw(world.addr, raw.as_bytes()).await), "200");
    let seen = &seen(&world)[0].headers;
    let one = |name: &str| -> Vec<String> {
        seen.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    for (name, wanted) in [
        ("host", "chat.example.edu"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "chat.example.edu"),
        ("authorization", bob.as_str()),
        ("x-custom", "kept"),
        ("cookie", "a=1"),
        ("accept-language", "de"),
    ] {
        assert_eq!(one(name), [wanted], "{name}");
    }
    let id = one("x-request-id");
    assert_eq!(id.len(), 1);
    assert_eq!(id[0].len(), 36, "an id of ours: {id:?}");
    let known = [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "authorization",
        "x-custom",
        "cookie",
        "accept-language",
        "x-request-id",
    ];
    let more: Vec<_> = seen.keys().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(more.is_empty(), "these should not have reached LibreChat: {more:?}");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_up_to_the_last_address_it_did_not_make() {
    let mut world = World::with(POLICY).settings("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]").start().await;
    let bob = world.bearer("Bob");
    let headers = [
        ("authorization", bob.as_str()),
        ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.2.3"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "chat.example.edu"),
    ];
    get(world.addr, "/api/user", &headers).await;
    let seen = seen(&world);
    assert_eq!(seen[0].headers["x-forwarded-for"], "203.0.113.9");
    assert_eq!(seen[0].headers["x-forwarded-proto"], "https");
    assert_eq!(seen[0].headers["x-forwarded-host"], "chat.example.edu");
    let refused = get(world.addr, "/api/nothing", &headers).await;
    let entry = world.entry_of(&refused.json()).await;
    assert_eq!(entry["details"]["ip"], "203.0.113.9");
    assert_eq!(seen[0].headers["host"], world.addr.to_string(), "the client's own Host goes on");
}

async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(end) {
        all.push(patiently("an interim answer", socket.read_u8()).await.expect("an open connection"));
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_at_once() {
    let world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let turn = turn_of(200);
    for (path, kind, body) in [
        ("/api/agents/chat", "application/json", turn.as_str()),
        ("/api/files", "multipart/form-data; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"),
    ] {
        world.stand_in.forget();
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut socket, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n", "{path}");
        socket.write_all(body.as_bytes()).await.unwrap();
        assert!(read_until(&mut socket, "\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"), "{path}");
        let seen = seen(&world);
        assert_eq!((seen.len(), seen[0].length), (1, body.len()), "{path}");
        assert!(!seen[0].headers.contains_key("expect"), "{path}");
    }
}

#[tokio::test]
async fn an_upgrade_is_judged_like_any_request_and_never_made() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let upgrade = |protocol: &str, model: &str| {
        let body = json!({"endpoint": "openAI", "model": model, "text": "Hello"}).to_string();
        format!(
            "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\nContent-Type: application/json\r\n\
             Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for protocol in ["websocket", "h2c"] {
        let refused = send_raw(world.addr, upgrade(protocol, "gpt-4o").as_bytes()).await;
        assert_eq!(status_of(&refused), "403", "{protocol}");
        let text = String::from_utf8_lossy(&refused).into_owned();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["info"], "openAI|gpt-4o");
        assert_eq!(world.entry_of(&body).await["rules"], json!(["roles.USER.endpoints.openAI.models"]));
        assert!(seen(&world).is_empty());
        let allowed = send_raw(world.addr, upgrade(protocol, "gpt-4o-mini").as_bytes()).await;
        assert_eq!(status_of(&allowed), "200", "{protocol}");
        let seen = seen(&world);
        assert_eq!(seen.len(), 1);
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(!seen[0].headers.contains_key(name), "{name} reached LibreChat");
        }
        world.stand_in.forget();
    }
}

/// `timeouts.response` is for LibreChat: it does not run while the client is still sending.
#[tokio::test]
async fn an_upload_over_a_slow_line_is_not_a_slow_answer() {
    let world = World::with(POLICY).settings("timeouts: {response: 1s}").start().await;
    let bob = world.bearer("Bob");
    let pieces = 10;
    let head = format!(
        "POST /api/files HTTP/1.1\r\nHost: h\r\nAuthorization: {bob}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {pieces}\r\nConnection: close\r\n\r\n"
    );
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut line = tokio::time::interval(std::time::Duration::from_millis(250));
    for _ in 0..pieces {
        line.tick().await;
        socket.write_all(b"x").await.unwrap();
    }
    let mut answer = String::new();
    patiently("the answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(!answer.contains("upstream.timeout"), "{answer}");
    let seen = seen(&world);
    assert_eq!((seen.len(), seen[0].length), (1, pieces), "{answer}");
}
