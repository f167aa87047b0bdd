//! A place among the turns that run at a time is free when a turn has ended, and not when it is known what that used.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::Barrier;

use super::alone::{CONVERSATION, say_in, stop};
use super::{CHAT, listen, used};
use crate::fake::Fake;
use crate::mongo::with_directory;
use crate::mongod::with_mongod;
use crate::support::post_json;
use crate::world::World;

/// One turn at a time, and a month's output.
const ONE: &str = "version: 1
roles:
  USER:
    unrestricted: true
    limits:
      - { id: out, output_tokens: 10M, per: user, window: month }
      - { id: open, concurrent: 1, per: user }
  ADMIN: { unrestricted: true }
";

/// LibreChat is asked about a turn by itself, and its rows are given up, only when a minute is over (of a
/// turn that was stopped a quarter of it).
const PATIENT: &str = "timeouts: { turn_status: 60s, turn_usage: 60s }";

const LONG: &str = "hello [[words=4000 delay=20]]";

fn conversation(nth: usize) -> String {
    format!("b0076b47-3e54-4ad6-9d1e-21b2a3f0c{nth:03}")
}

/// How many turns of this conversation are settled.
fn settled(world: &World, conversation: &str) -> usize {
    let is = |entry: &&Value| entry["kind"] == "usage" && entry["conversationId"] == conversation;
    world.entries().iter().filter(is).count()
}

#[tokio::test]
async fn who_stops_a_turn_may_ask_again_at_once_though_no_rows_come() {
    with_mongod(async |mongod| {
        let mut world = with_directory(ONE, mongod, &mongod.uri).settings(PATIENT).start().await;
        for (nth, (read, same)) in [(false, false), (false, true), (true, false), (true, true)].into_iter().enumerate()
        {
            let place = format!("read {read}, same conversation {same}");
            let first = conversation(2 * nth);
            let answer = say_in(&world, &first, LONG).await;
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            let mut reader = None;
            if read {
                let mut stream = listen(&world, &first).await;
                stream.next().await.expect("a piece");
                reader = Some(stream);
            }
            let refused = say_in(&world, &conversation(2 * nth + 1), LONG).await;
            assert_eq!((refused.status.as_u16(), &refused.json()["type"]), (429, &json!("concurrent")), "{place}");
            stop(&world, &first).await;
            let second = if same { first.clone() } else { conversation(2 * nth + 1) };
            let next = say_in(&world, &second, LONG).await;
            assert_eq!(next.status, 200, "{place}: {}", next.text());
            assert_eq!(settled(&world, &first), 0, "{place}: nobody knows yet what was used");
            assert_eq!(used(&world, "open").await, 1, "{place}");
            drop(reader);
            stop(&world, &second).await;
            world.until("its place is free", async |world| used(world, "open").await == 0).await;
        }
        assert_eq!(world.stand_in.calls().len(), 8);
    })
    .await;
}

/// LibreChat says how far a turn is when it is asked a second time meanwhile: who comes at once asks by itself, and does not go by what
/// is found out in the background.
#[tokio::test]
async fn who_comes_before_it_is_known_that_the_stopped_turn_is_over_is_not_refused_for_it() {
    let asked = Arc::new(Barrier::new(2));
    let fake = Fake::start(move |mut socket, head| {
        let asked = Arc::clone(&asked);
        async move {
            let stream = if head.contains("x-nth: 1") { conversation(1) } else { conversation(0) };
            let body = if head.starts_with("GET /api/agents/chat/status/") {
                asked.wait().await;
                json!({"active": false})
            } else if head.starts_with("POST /api/agents/chat/abort") {
                json!({"success": true, "aborted": stream})
            } else {
                json!({"streamId": stream, "conversationId": stream, "status": "started"})
            };
            let body = body.to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
        }
    })
    .await;
    let world = World::with(ONE).settings(PATIENT).upstream(&fake.url()).start().await;
    let say = async |nth: usize| {
        let bob = world.bearer("Bob");
        let body =
            json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": conversation(nth)});
        post_json(world.addr, CHAT, &[("authorization", &bob), ("x-nth", &nth.to_string())], &body).await
    };
    assert_eq!(say(0).await.status, 200);
    assert_eq!(say(1).await.status, 429, "it runs, as far as anybody knows");
    assert!(!fake.heads().iter().any(|head| head.starts_with("GET")), "nobody has stopped anything");
    stop(&world, &conversation(0)).await;
    let next = say(1).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(used(&world, "open").await, 1);
}

#[tokio::test]
async fn a_turn_that_was_read_to_its_end_has_no_place_though_no_rows_come() {
    with_mongod(async |mongod| {
        let mut world = with_directory(ONE, mongod, &mongod.uri).settings(PATIENT).start().await;
        for nth in 0..3 {
            assert_eq!(say_in(&world, &conversation(nth), "hello [[words=3 delay=1]]").await.status, 200, "{nth}");
            listen(&world, &conversation(nth)).await.rest().await;
        }
        world.until("no place is taken", async |world| used(world, "open").await == 0).await;
        let all = (0..3).map(|nth| settled(&world, &conversation(nth))).sum::<usize>();
        assert_eq!(all, 0, "their rows are still waited for");
        assert!(used(&world, "out").await > 0, "what they took is held");
    })
    .await;
}

/// A place that is not given back before `kill -9` is given back by the next start, by what the diary says.
#[tokio::test]
async fn a_turn_that_has_ended_has_no_place_after_a_crash() {
    with_mongod(async |mongod| {
        let mut world = with_directory(ONE, mongod, &mongod.uri).settings(PATIENT).start().await;
        let journal = world.dir.path().join("data/counters.journal");
        assert_eq!(say_in(&world, CONVERSATION, "hello [[words=3 delay=1]]").await.status, 200);
        let begun = std::fs::read(&journal).expect("the counters, with the place of the turn");
        listen(&world, CONVERSATION).await.rest().await;
        world.until("its place is free", async |world| used(world, "open").await == 0).await;
        world.signal("KILL");
        world.ended().await;
        // As if the end had been written down, and Tollgate killed before the counters heard of it.
        std::fs::write(&journal, begun).expect("the counters as they were");
        world.start_again().await;
        world.until("its place is free", async |world| used(world, "open").await == 0).await;
        assert_eq!(settled(&world, CONVERSATION), 0);
        assert!(used(&world, "out").await > 0, "the rest is held");
        assert_eq!(say_in(&world, CONVERSATION, LONG).await.status, 200);
    })
    .await;
}
