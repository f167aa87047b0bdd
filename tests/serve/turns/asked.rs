//! Turns that LibreChat is asked about: with whose token, when, and what does not wait for its answer.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::alone::{CONVERSATION, TWO, say_in, stop};
use super::{CHAT, SOON, charged, listen, settled, used, who};
use crate::fake::Fake;
use crate::support::{get, post_json};
use crate::world::World;

const OTHER: &str = "c0076b47-3e54-4ad6-9d1e-21b2a3f0c0de";

/// How often LibreChat was asked about this turn.
fn asked(world: &World, stream: &str) -> usize {
    let path = format!("/api/agents/chat/status/{stream}");
    world.reached().iter().filter(|seen| seen.target == path).count()
}

#[tokio::test]
async fn a_turn_outlives_the_token_that_started_it() {
    let one = TWO.replace("concurrent: 2", "concurrent: 1");
    let mut world = World::with(&one)
        .librechat(|options| options.token_lifetime = Duration::from_secs(4))
        .settings(SOON)
        .start()
        .await;
    let bearer = world.bearer(who(&world));
    assert_eq!(say_in(&world, CONVERSATION, "hello [[words=4000 delay=20]]").await.status, 200);
    // How often LibreChat was asked when the token was good for the last time.
    let before = Cell::new(0);
    world
        .until("the token is good no more", async |world| {
            let count = asked(world, CONVERSATION);
            let user = get(world.stand_in.addr(), "/api/user", &[("authorization", &bearer)]).await;
            if user.status != 401 {
                before.set(count);
            }
            user.status == 401
        })
        .await;
    let before = before.get();
    // LibreChat tells so when it is asked: from then on nobody can ask any more.
    world.until("LibreChat is asked once more", async |world| asked(world, CONVERSATION) > before).await;
    // It runs, and its place is taken.
    let more = say_in(&world, OTHER, "hello [[words=1]]").await;
    assert_eq!(
        (more.status.as_u16(), &more.json()["rule"]),
        (429, &json!("roles.USER.limits.open")),
        "{}",
        more.text()
    );
    // That request had a new token: LibreChat is asked with it.
    let before = asked(&world, CONVERSATION);
    world.until("LibreChat is asked again", async |world| asked(world, CONVERSATION) > before + 1).await;
    assert!(world.entries().iter().all(|entry| entry["kind"] != "usage"), "it is not charged for yet");
    stop(&world, CONVERSATION).await;
    let entry = settled(&mut world, CONVERSATION).await;
    assert_eq!(entry["source"], "stream", "{entry}");
    assert_eq!((charged(&entry, "out"), used(&world, "open").await), (used(&world, "out").await, 0));
}

#[tokio::test]
async fn a_turn_that_is_stopped_is_looked_at_at_once() {
    let late = "timeouts: { turn_status: 60s, turn_usage: 2s }";
    let mut world = World::with(TWO).settings(late).start().await;
    assert_eq!(say_in(&world, CONVERSATION, "hello [[words=4000 delay=20]]").await.status, 200);
    stop(&world, CONVERSATION).await;
    settled(&mut world, CONVERSATION).await;
    assert_eq!(used(&world, "open").await, 0);
}

/// The caller hangs up before LibreChat has named the turn: which of LibreChat's turns it is nobody knows, but whether there is one is.
#[tokio::test]
async fn a_turn_whose_name_nobody_heard_is_open_as_long_as_librechat_runs_one() {
    let runs = Arc::new(AtomicUsize::new(0));
    let running = Arc::clone(&runs);
    let fake = Fake::start(move |mut socket, head| {
        let running = Arc::clone(&running);
        async move {
            if head.starts_with("POST /api/agents/chat/openAI ") {
                // It is begun, and the answer never comes.
                running.store(1, Ordering::Release);
                let _ = socket.read(&mut [0; 16]).await;
                return None;
            }
            let ids = if running.load(Ordering::Acquire) == 1 { r#"["unheard-of"]"# } else { "[]" };
            let body = format!(r#"{{"activeJobIds":{ids}}}"#);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
        }
    })
    .await;
    let mut world = World::with(TWO).settings(SOON).upstream(&fake.url()).start().await;
    let (addr, bob) = (world.addr, world.bearer("Bob"));
    let mut leaving = JoinSet::new();
    leaving.spawn(async move {
        let body = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null});
        post_json(addr, CHAT, &[("authorization", &bob)], &body).await
    });
    world.until("the turn is at LibreChat", async |_| runs.load(Ordering::Acquire) == 1).await;
    leaving.abort_all();
    let active = || fake.heads().iter().filter(|head| head.starts_with("GET /api/agents/chat/active ")).count();
    world.until("LibreChat is asked twice", async |_| active() > 2).await;
    assert_eq!(used(&world, "open").await, 1, "it runs");
    runs.store(0, Ordering::Release);
    let entry = world.entry("its entry", |entry| entry["kind"] == "usage").await;
    assert_eq!((&entry["source"], &entry["outcome"]), (&json!("estimate"), &json!("abandoned")), "{entry}");
    assert_eq!(used(&world, "open").await, 0);
}

#[tokio::test]
async fn a_librechat_that_is_slow_to_tell_of_one_turn_delays_no_other() {
    let given_up = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (leaves, asks) = (Arc::clone(&given_up), Arc::clone(&waiting));
    let fake = Fake::start(move |mut socket, head| {
        let (given_up, waiting) = (Arc::clone(&leaves), Arc::clone(&asks));
        async move {
            let (kind, body) = if head.starts_with("POST ") {
                // The first is slow to tell, the second is read to its end.
                let id = if head.contains("x-turn: second") { OTHER } else { CONVERSATION };
                ("application/json", format!(r#"{{"streamId":"{id}","conversationId":"{id}","status":"started"}}"#))
            } else if head.contains("/chat/status/") {
                waiting.fetch_add(1, Ordering::AcqRel);
                let _ = socket.read(&mut [0; 16]).await;
                given_up.fetch_add(1, Ordering::AcqRel);
                return None;
            } else {
                let last = r#"{"final":true,"responseMessage":{"messageId":"r","text":"hello there"}}"#;
                ("text/event-stream", format!("event: message\ndata: {last}\n\n"))
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
        }
    })
    .await;
    let mut world = World::with(TWO).settings(SOON).upstream(&fake.url()).start().await;
    assert_eq!(say_in(&world, CONVERSATION, "hello").await.status, 200);
    world.until("LibreChat is asked", async |_| waiting.load(Ordering::Acquire) == 1).await;
    let bob = world.bearer("Bob");
    let body = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": OTHER});
    let second = post_json(world.addr, CHAT, &[("authorization", &bob), ("x-turn", "second")], &body).await;
    assert_eq!(second.status, 200, "{}", second.text());
    listen(&world, OTHER).await.rest().await;
    let entry = settled(&mut world, OTHER).await;
    assert_eq!(entry["source"], "stream", "{entry}");
    assert_eq!(given_up.load(Ordering::Acquire), 0, "LibreChat is still being asked about the first");
}
