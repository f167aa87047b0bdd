//! LibreChat down, slow, broken, and back again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::POLICY;
use crate::fake::Fake;
use crate::scripted::Scripted;
use crate::support::{Answer, get, open, post_json};
use crate::world::{World, free_address};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{\"openAI\":[\"o1\"]}";

fn turn() -> Value {
    json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": "Hello"})
}

async fn chat(world: &World) -> Answer {
    post_json(world.addr, "/api/agents/chat", &[("authorization", &world.bearer("Bob"))], &turn()).await
}

async fn user(world: &World) -> Answer {
    get(world.addr, "/api/user", &[("authorization", &world.bearer("Bob"))]).await
}

/// The failure as each part of the client can show it.
async fn fails(world: &mut World, status: u16, rule: &str) {
    let answer = chat(world).await;
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().starts_with(r#"{"type":"proxy_error""#), "{}", answer.text());
    assert_eq!(answer.json()["rule"], rule);
    let entry = world.entry_of(&answer.json()).await;
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("SYSTEM"), &json!("ERROR")));
    // The policy had allowed it, and the record says so.
    assert_eq!((&entry["decision"], &entry["details"]["response"]["status"]), (&json!("allow"), &json!(status)));
    let id = entry["requestId"].clone();
    let usage = world.entry("the usage entry", |entry| entry["kind"] == "usage" && entry["requestId"] == id).await;
    assert_eq!(usage["outcome"], "failed");
    for path in ["/api/user", "/api/models", "/c/new"] {
        let answer = get(world.addr, path, &[("authorization", &world.bearer("Bob"))]).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.json()["rule"], rule, "{path}");
        assert!(answer.json()["message"].as_str().is_some_and(|message| message.starts_with("LibreChat")), "{path}");
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn librechat_down_is_told_and_its_return_noticed() {
    let address = free_address();
    let mut world = World::with(POLICY).upstream(&format!("http://{address}")).start().await;
    fails(&mut world, 502, "upstream.connect").await;
    let ready = get(world.admin, "/readyz", &[]).await;
    assert_eq!(ready.status, 200, "Tollgate itself is ready, and its refusals say what is wrong");
    assert!(world.metric("tollgate_upstream_errors_total{kind=\"connect\"}").await.parse::<u32>().unwrap() >= 4);
    let listener = TcpListener::bind(address).await.unwrap();
    let fake = Fake::start_at(listener, |mut socket, _| async move {
        socket.write_all(OK.as_bytes()).await.is_ok().then_some(socket)
    });
    assert_eq!(user(&world).await.status, 200, "it works again with the first request");
    assert_eq!(chat(&world).await.status, 200);
    assert_eq!(fake.heads().len(), 2);
    world
        .until("it counts as healthy", async |world| {
            get(world.admin, "/readyz", &[]).await.json()["healthyUpstreams"] == 1
        })
        .await;
}

#[tokio::test]
async fn librechat_that_never_answers_is_given_up() {
    let fake = Fake::start(|socket, _| async move {
        std::future::pending::<()>().await;
        Some(socket)
    })
    .await;
    let mut world = World::with(POLICY).settings("timeouts: {response: 1s}").upstream(&fake.url()).start().await;
    fails(&mut world, 504, "upstream.timeout").await;
}

#[tokio::test]
async fn librechat_that_closes_before_it_answers_is_told() {
    let fake = Fake::start(|_socket, _| async move { None }).await;
    let mut world = World::with(POLICY).upstream(&fake.url()).start().await;
    fails(&mut world, 502, "upstream.broken").await;
    let sent = fake.heads().iter().filter(|head| head.starts_with("POST")).count();
    assert_eq!(sent, 1, "a turn is never sent twice");
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_ends_cleanly() {
    for head in ["transfer-encoding: chunked\r\n\r\n5\r\ndata:", "content-length: 100\r\n\r\ndata:"] {
        let fake = Fake::start(move |mut socket, _| async move {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{head}");
            // Whether it could be written shows at the other end.
            let _ = socket.write_all(head.as_bytes()).await;
            None
        })
        .await;
        let world = World::with(POLICY).upstream(&fake.url()).start().await;
        let bob = world.bearer("Bob");
        let headers = [("authorization", bob.as_str())];
        let stream = open(world.addr, http::Method::GET, "/api/agents/chat/stream/x", &headers, "".into()).await;
        assert_eq!(stream.status, 200);
        assert!(!stream.ends_cleanly().await, "{head:?}");
        let models = get(world.addr, "/api/models", &headers).await;
        assert_eq!((models.status.as_u16(), &models.json()["rule"]), (502, &json!("upstream.unreadable")), "{head:?}");
    }
}

/// Node closes a connection that was idle for five seconds, at the worst just as the next request is sent. Here every
/// connection is closed after its answer, without a word before.
#[tokio::test]
async fn a_connection_that_librechat_closes_costs_nobody_a_request() {
    let fake = Fake::says(OK).await;
    // One thread learns of things in their order. Of several, one could take a connection before another one, which the
    // machine lets wait, has heard that it was closed.
    let mut world = World::with(POLICY).settings("threads: 1").upstream(&fake.url()).start().await;
    let mut over = 0;
    for round in 0..50 {
        assert_eq!(user(&world).await.status, 200, "round {round}");
        over += 1;
        world.until("the connection is closed", async |_| fake.closed() >= over).await;
        assert_eq!(chat(&world).await.status, 200, "round {round}");
        over += 1;
        world.until("the connection is closed", async |_| fake.closed() >= over).await;
    }
    assert_eq!(fake.heads().len(), 100, "each was sent once");
}

#[tokio::test]
async fn nonsense_of_librechat_is_never_shown() {
    for nonsense in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nabc",
        "220 smtp.example.edu ESMTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 0\r\n\r\n",
    ] {
        let fake = Fake::says(nonsense).await;
        let world = World::with(POLICY).upstream(&fake.url()).start().await;
        let answer = user(&world).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (502, &json!("upstream.broken")), "{nonsense:?}");
    }
}

/// Who looks for refusals and failures in the record finds LibreChat's beside Tollgate's own.
#[tokio::test]
async fn what_librechat_refuses_or_fails_at_is_as_grave_in_the_record_as_if_tollgate_did() {
    let status = Arc::new(AtomicU16::new(200));
    let says = Arc::clone(&status);
    let scripted = Scripted::start(move |_| {
        let status = says.load(Ordering::SeqCst);
        format!("HTTP/1.1 {status} So\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes()
    })
    .await;
    let mut world = World::with(POLICY).upstream(&scripted.url()).start().await;
    for (code, category, severity, admin) in [
        (200, "API", "INFO", ("ADMIN", "INFO")),
        (404, "API", "INFO", ("ADMIN", "INFO")),
        (401, "SECURITY", "WARNING", ("SECURITY", "WARNING")),
        (403, "SECURITY", "WARNING", ("SECURITY", "WARNING")),
        (500, "SYSTEM", "ERROR", ("SYSTEM", "ERROR")),
        (503, "SYSTEM", "ERROR", ("SYSTEM", "ERROR")),
    ] {
        status.store(code, Ordering::SeqCst);
        let (bob, ann, agent) = (world.bearer("Bob"), world.bearer("Ann"), format!("says {code}"));
        let headers = [("authorization", bob.as_str()), ("user-agent", &agent)];
        let answer = post_json(world.addr, "/api/agents/chat", &headers, &turn()).await;
        assert_eq!(answer.status, code);
        let entry = world.entry_from(&agent).await;
        assert_eq!((&entry["category"], &entry["severity"]), (&json!(category), &json!(severity)), "{code}");
        assert_eq!((&entry["decision"], &entry["details"]["response"]["status"]), (&json!("allow"), &json!(code)));

        // Written before it was answered; the answer is told by an event.
        let agent = format!("administers {code}");
        let headers = [("authorization", ann.as_str()), ("user-agent", &agent)];
        post_json(world.addr, "/api/admin/config/role/USER", &headers, &json!({})).await;
        let entry = world.entry_from(&agent).await;
        assert_eq!((&entry["decision"], &entry["details"]["response"]), (&json!("allow"), &Value::Null), "{entry}");
        let id = entry["requestId"].clone();
        let find = |world: &World| world.record().into_iter().find(|event| event["about"]["request"] == id);
        world.until("what became of it is told", async |world| find(world).is_some()).await;
        let told = find(&world).expect("it was there just now");
        assert_eq!((&told["action"], &told["about"]["status"]), (&json!("request.answered"), &json!(code)));
        assert_eq!((&told["category"], &told["severity"]), (&json!(admin.0), &json!(admin.1)), "{told}");
        assert_eq!(told["userId"], entry["userId"]);
    }
}
