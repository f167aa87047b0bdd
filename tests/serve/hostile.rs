//! Clients that take nothing, ask too much or speak an old language, and answers that say more than one thing.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::POLICY;
use crate::fake::Fake;
use crate::support::{get, patiently, request, send_raw};
use crate::world::World;

/// Reads until the other side closes.
async fn to_the_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = patiently("the end of a connection", socket.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn what_follows_an_answer_is_never_part_of_the_next_one() {
    for (name, more) in [
        ("a second answer", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
        ("rubbish", "EVIL"),
        ("an empty line and an answer", "\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL"),
    ] {
        let fake = Fake::start(move |mut socket, _| async move {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood{more}");
            socket.write_all(answer.as_bytes()).await.is_ok().then_some(socket)
        })
        .await;
        let world = World::with(POLICY).upstream(&fake.url()).start().await;
        let bob = world.bearer("Bob");
        for _ in 0..5 {
            let answer = get(world.addr, "/api/user", &[("authorization", &bob)]).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "good"), "{name}");
        }
        assert_eq!(fake.heads().len(), 5, "{name}: each answer belongs to a request of its own");
    }
}

#[tokio::test]
async fn answers_without_a_body_and_interim_answers_keep_their_place() {
    let fake = Fake::start(|mut socket, head| async move {
        let answer = match head.split(' ').nth(1).unwrap_or_default() {
            "/hints" => "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            "/continue" => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            "/none" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/fresh" => "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 999\r\n\r\n",
            "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n",
            "/both" => {
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
            }
            _ => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n",
        };
        socket.write_all(answer.as_bytes()).await.is_ok().then_some(socket)
    })
    .await;
    let world = World::with(POLICY).upstream(&fake.url()).start().await;
    for (method, path, status, length, body) in [
        (Method::GET, "/hints", 200, "2", "hi"),
        (Method::GET, "/continue", 200, "2", "hi"),
        (Method::GET, "/none", 204, "", ""),
        (Method::GET, "/fresh", 304, "", ""),
        (Method::HEAD, "/head", 200, "999", ""),
        (Method::GET, "/both", 200, "", "hi"),
        (Method::GET, "/trailer", 200, "", "hi"),
        (Method::GET, "/hints", 200, "2", "hi"),
    ] {
        let answer = request(world.addr, method, path, &[], "".into()).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{path}");
        assert_eq!(answer.header("content-length"), length, "{path}");
    }
}

/// An old client knows no chunks: the end of the answer is the end of the connection.
#[tokio::test]
async fn an_http_1_0_client_is_served_without_chunks() {
    let fake =
        Fake::says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").await;
    let world = World::with(POLICY).upstream(&fake.url()).start().await;
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(b"GET /page HTTP/1.0\r\nHost: t\r\n\r\n").await.unwrap();
    let answer = to_the_end(&mut socket).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.0 200 OK") || head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "onetwo");
    assert!(fake.heads()[0].starts_with("GET /page HTTP/1.1\r\n"), "{}", fake.heads()[0]);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let world = World::with(POLICY).settings("limits: {connections: 2}").start().await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        socket.write_all(b"GET /api/models HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        patiently("an answer", socket.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 401", "the first ones are served");
        kept.push(socket);
    }
    let mut third = TcpStream::connect(world.addr).await.unwrap();
    assert_eq!(to_the_end(&mut third).await, "");
    assert_eq!(world.metric("tollgate_connections_shed_total").await, "1");
    drop(kept);
    let mut world = world;
    world.until("there is room again", async |world| world.metric("tollgate_connections").await == "0").await;
    assert_eq!(get(world.addr, "/api/models", &[]).await.status, 401);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_and_librechat_with_it() {
    let (said, mut left) = mpsc::unbounded_channel();
    let fake = Fake::start(move |mut socket, _| {
        let said = said.clone();
        async move {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await.ok()?;
            let piece = vec![b'x'; 64 * 1024];
            let mut sent = 0_usize;
            while socket.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            said.send(sent).ok()?;
            None
        }
    })
    .await;
    let world = World::with(POLICY).settings("timeouts: {write_stall: 1s}").upstream(&fake.url()).start().await;
    let before = world.memory("VmHWM");
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(b"GET /page HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    let sent = patiently("LibreChat is let go", left.recv()).await.expect("what was sent");
    let grown = world.memory("VmHWM") - before;
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes were kept of {sent}");
}

/// LibreChat, or Tollgate itself, refuses an upload by its head: the answer must come through although the body is still on its way.
#[tokio::test]
async fn an_upload_that_is_refused_early_gets_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.ok()?);
                }
                let refusal = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 7\r\n\r\ntoo big";
                socket.write_all(refusal).await.ok()?;
                // As Node does: what is left of the body is read and dropped.
                tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.ok()
            });
        }
    });
    let world = World::with(POLICY).upstream(&url).start().await;
    let bob = world.bearer("Bob");
    let headers = [("authorization", bob.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    let body = vec![b'x'; 5_000_000];
    let answer = request(world.addr, Method::POST, "/api/files", &headers, body.clone().into()).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (413, "too big"));
    // A client that reads nothing before it has sent everything: many are written so.
    for (authorization, status) in [(bob.as_str(), "HTTP/1.1 413 "), ("Bearer nobody", "HTTP/1.1 401 ")] {
        let head = format!(
            "POST /api/files HTTP/1.1\r\nHost: t\r\nAuthorization: {authorization}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        for piece in body.chunks(100_000) {
            patiently("room for a piece", socket.write_all(piece)).await.unwrap();
        }
        let mut answer = Vec::new();
        patiently("the answer", socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(status), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_sends_costs_librechat_nothing() {
    let mut world = World::with(POLICY).start().await;
    let bob = world.bearer("Bob");
    let head = format!(
        "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nAuthorization: {bob}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{\"endpoint\":"
    );
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    drop(socket);
    let entry =
        world.entry("the entry of the broken request", |entry| entry["rules"] == json!(["body.broken-off"])).await;
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("API"), &json!("INFO")));
    assert!(crate::passage::seen(&world).is_empty());
    world.until("nothing is in flight", async |world| world.metric("tollgate_in_flight").await == "0").await;
    let (status, entries) = world.stop().await;
    assert_eq!((status.code(), entries.len()), (Some(0), 1), "{entries:?}");
}

/// Many at once, of every kind, on connections of their own: each gets the answer to its own request.
#[tokio::test]
async fn answers_never_go_to_somebody_else() {
    let fake = Fake::start(|mut socket, head| async move {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
        socket.write_all(answer.as_bytes()).await.is_ok().then_some(socket)
    })
    .await;
    let world = Arc::new(World::with(POLICY).upstream(&fake.url()).start().await);
    let mut clients = JoinSet::new();
    for client in 0..16 {
        let world = Arc::clone(&world);
        clients.spawn(async move {
            for number in 0..20 {
                let path = format!("/page/{client}/{number}");
                let raw = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
                let answer = String::from_utf8(send_raw(world.addr, raw.as_bytes()).await).unwrap();
                assert!(answer.ends_with(&format!("\r\n\r\n{path}")), "{path}: {answer}");
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    assert_eq!(fake.heads().len(), 16 * 20);
}
