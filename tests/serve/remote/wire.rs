//! How runs over the remote-agent API travel: word by word, until somebody leaves, and not without the database.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::{ADMINS_KEY, COMPLETIONS, KEY, MODELS, RESPONSES, ask, bearer, called, fill, refused, run, with_keys};
use crate::POLICY;
use crate::fake::Fake;
use crate::mongo::{Relay, Way, server_of, through};
use crate::mongod::with_mongod;
use crate::support::{get, open};
use crate::world::World;

#[tokio::test]
async fn a_streamed_answer_comes_word_by_word() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let world = with_keys(POLICY, mongod, &mongod.uri).start().await;
        for path in [COMPLETIONS, RESPONSES] {
            let text = "[[words=6 delay=60]]";
            let body = json!({
                "model": "agent_cheap", "messages": [{"role": "user", "content": text}], "input": text, "stream": true,
            });
            let key = bearer(KEY);
            let headers =
                [("authorization", key.as_str()), ("content-type", "application/json"), ("accept-encoding", "gzip")];
            let answer = open(world.addr, Method::POST, path, &headers, body.to_string().into()).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
            assert_eq!((answer.header("cache-control"), answer.header("content-encoding")), ("no-cache", ""));
            let pieces = answer.rest().await;
            assert!(pieces.len() >= 7, "{path}: {} pieces", pieces.len());
            let (first, last) = (pieces[0].after, pieces[pieces.len() - 1].after);
            // Six pauses of 60 ms lie between the first and the last.
            assert!(last - first > Duration::from_millis(300), "{path}: from {first:?} to {last:?}");
            let said: String = pieces.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
            assert!(said.contains("[gpt-4o-mini]") && said.ends_with("data: [DONE]\n\n"), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_leaves_ends_the_run() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        // Says its first word, or not even the head of an answer, and waits for the connection to end.
        let fake = Fake::start(|mut socket, head| async move {
            if head.contains("chat/completions") {
                let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
                             c\r\ndata: word\n\n\r\n";
                socket.write_all(begun.as_bytes()).await.ok()?;
            }
            let mut byte = [0];
            let _ended = tokio::io::AsyncReadExt::read(&mut socket, &mut byte).await;
            None
        })
        .await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).upstream(&fake.url()).start().await;
        let key = bearer(KEY);
        let headers =
            |mark| [("authorization", key.as_str()), ("content-type", "application/json"), ("user-agent", mark)];
        let body = || Bytes::from(run("agent_cheap").to_string());
        let closed = fake.closed();
        let mut streamed = open(world.addr, Method::POST, COMPLETIONS, &headers("streamed"), body()).await;
        assert_eq!(streamed.next().await.expect("a word").bytes, "data: word\n\n");
        assert_eq!(fake.closed(), closed, "it runs");
        drop(streamed);
        world.until("the run has ended", async |_| fake.closed() == closed + 1).await;

        let addr = world.addr;
        // Dropping the set breaks the request off.
        let mut asking = JoinSet::new();
        {
            let (headers, body) = (headers("waiting").map(|(name, value)| (name, value.to_owned())), body());
            asking.spawn(async move {
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                open(addr, Method::POST, RESPONSES, &headers, body).await
            });
        }
        world.until("it is asked", async |_| fake.heads().len() == 2).await;
        drop(asking);
        world.until("that run has ended, too", async |_| fake.closed() == closed + 2).await;
        let entry = world.entry_from("waiting").await;
        assert_eq!(entry["details"]["response"]["status"], 499);
        let request = entry["requestId"].clone();
        let usage = world.entry("its use", |entry| entry["kind"] == "usage" && entry["requestId"] == request).await;
        assert_eq!(usage["outcome"], "abandoned");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_long_in_coming_is_waited_for() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        // LibreChat answers a run that does not stream when the agent has finished.
        let fake = Fake::start(|mut socket, _| async move {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.ok()?;
            Some(socket)
        })
        .await;
        let plan = with_keys(POLICY, mongod, &mongod.uri).upstream(&fake.url());
        let world = plan.settings("timeouts: { response: 1s }").start().await;
        assert_eq!(ask(&world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await.status, 200);
        let list = get(world.addr, MODELS, &[("authorization", &bearer(KEY))]).await;
        refused(&list, 504, "server_error", "upstream.timeout", "upstream.timeout");
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_an_agent_takes_no_room_from_others() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        // Reads all that it is sent, and says nothing.
        let fake = Fake::start(|mut socket, _| async move {
            tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.ok()?;
            None
        })
        .await;
        let mut world = with_keys(POLICY, mongod, &mongod.uri).upstream(&fake.url()).start().await;
        let mut body = run("agent_cheap");
        body["input"] = "x".repeat(2_500_000).into();
        let body = Bytes::from(body.to_string());
        // Together more than may be held at once, each after the other one has gone to LibreChat.
        let mut asking = JoinSet::new();
        for asked in 1..=30 {
            let (addr, body) = (world.addr, body.clone());
            asking.spawn(async move {
                let key = bearer(KEY);
                let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
                open(addr, Method::POST, RESPONSES, &headers, body).await.status
            });
            world.until("it is asked", async |_| fake.heads().len() == asked).await;
        }
        assert!(asking.try_join_next().is_none(), "nobody has an answer yet");
    })
    .await;
}

#[tokio::test]
async fn a_run_is_counted_by_what_librechat_answers() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        for (answer, status, outcome) in [
            ("HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}", 500, "refused"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, "started"),
            ("HTTP/1.1 what", 502, "failed"),
        ] {
            let fake = Fake::says(answer).await;
            let mut world = with_keys(POLICY, mongod, &mongod.uri).upstream(&fake.url()).start().await;
            let got = ask(&world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await;
            assert_eq!(got.status.as_u16(), status, "{}", got.text());
            let usage = world.entry("its use", |entry| entry["kind"] == "usage").await;
            assert_eq!((&usage["outcome"], &usage["status"]), (&json!(outcome), &json!(status)), "{usage}");
        }
    })
    .await;
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_run_or_shown() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let plan = with_keys(POLICY, mongod, &through(&relay, &mongod.uri)).settings("identity: { cache: 60s }");
        let mut world = plan.start().await;
        assert_eq!(ask(&world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await.status, 200);
        relay.set(Way::Cut);
        world.until("it is not ready", async |world| get(world.admin, "/readyz", &[]).await.status == 503).await;
        world.stand_in.forget();
        // This key and its owner are remembered, the other key is not; agents never are.
        for key in [KEY, ADMINS_KEY] {
            let answer = ask(&world, key, COMPLETIONS, &run("agent_cheap"), key).await;
            refused(&answer, 503, "server_error", "directory.down", "directory.down");
            assert_eq!(answer.header("retry-after"), "5");
            assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
        }
        assert_eq!(called(&world), [""; 0]);
        relay.set(Way::Open);
        let again =
            async |world: &mut World| ask(world, KEY, COMPLETIONS, &run("agent_cheap"), "x").await.status == 200;
        world.until("agents run again", again).await;
    })
    .await;
}
