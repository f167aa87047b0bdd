//! Turns to their end: what they are charged for, by how they were read, left, stopped and refused.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Open, get, open, post_json};
use crate::world::{Plan, World};

pub(crate) mod alone;
mod asked;
mod assisted;
mod charged;
mod many_rows;
mod places;
pub(crate) mod whose;

pub(crate) const CHAT: &str = "/api/agents/chat/openAI";

/// Users may use everything, and have a month's tokens, and some turns at once.
pub(crate) const POLICY: &str = "version: 1
roles:
  USER:
    unrestricted: true
    limits:
      - { id: month, tokens: 10000M, per: user, window: month }
      - { id: out, output_tokens: 10000M, per: user, window: month }
      - { id: said, requests: 10M, per: user, window: month }
      - { id: open, concurrent: 50, per: user }
  ADMIN: { unrestricted: true }
prices: { default: { input: 1, output: 1 } }
";

/// LibreChat is asked soon, and its rows are not waited for long.
pub(crate) const SOON: &str = "timeouts: { turn_status: 100ms, turn_usage: 2s }";

/// What these tests want of an installation.
pub(crate) fn plan() -> Plan {
    World::with(POLICY).settings(SOON)
}

pub(crate) fn body(text: &str) -> Value {
    json!({"text": text, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null})
}

/// Whose turns these are: the stand-in's user, or the captured one.
pub(crate) fn who(world: &World) -> &'static str {
    if world.stand_in.options().people.iter().any(|person| person.name == "Bob") { "Bob" } else { "User" }
}

pub(crate) async fn say(world: &World, text: &str) -> Answer {
    post_json(world.addr, CHAT, &[("authorization", &world.bearer(who(world)))], &body(text)).await
}

/// Starts a turn of Bob's: its stream's id.
pub(crate) async fn start(world: &World, text: &str) -> String {
    let answer = say(world, text).await;
    answer.json()["streamId"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

/// Opens its stream.
pub(crate) async fn listen(world: &World, stream: &str) -> Open {
    let path = format!("/api/agents/chat/stream/{stream}");
    open(world.addr, Method::GET, &path, &[("authorization", &world.bearer(who(world)))], "".into()).await
}

/// How much of a limit of Bob's is used.
pub(crate) async fn used(world: &World, id: &str) -> u64 {
    let mine = get(world.addr, "/api/v1/me/limits", &[("authorization", &world.bearer(who(world)))]).await.json();
    let limits = mine["limits"].as_array().unwrap_or_else(|| panic!("{mine}"));
    limits.iter().find(|limit| limit["id"] == id).expect("the limit")["used"].as_u64().expect("a number")
}

/// The usage entry of a turn, once it is settled.
async fn settled(world: &mut World, stream: &str) -> Value {
    let of_turn = |entry: &Value| entry["kind"] == "usage" && entry["conversationId"] == stream;
    world.entry("the turn's usage entry", of_turn).await
}

/// What an entry says was put on the counter of this limit.
pub(crate) fn charged(entry: &Value, id: &str) -> u64 {
    let charges = entry["charged"].as_array().cloned().unwrap_or_default();
    let of = |charge: &&Value| charge["counter"].as_str().expect("a name").starts_with(&format!("{id}:"));
    charges.iter().filter(of).map(|charge| charge["amount"].as_u64().expect("an amount")).sum()
}

/// The entry is settled from this source, and its counters hold exactly what it says.
async fn assert_charged(world: &World, entry: &Value, source: &str) {
    assert_eq!(entry["source"], source, "{entry}");
    let sum: u64 = ["input", "cachedInput", "cacheWrite", "output"]
        .iter()
        .map(|kind| entry["tokens"][kind].as_u64().expect("a count"))
        .sum();
    assert_eq!((charged(entry, "month"), used(world, "month").await), (sum, sum), "{entry}");
    let output = entry["tokens"]["output"].as_u64().expect("a count");
    assert_eq!((charged(entry, "out"), used(world, "out").await), (output, output), "{entry}");
    assert_eq!(used(world, "open").await, 0, "the turn is over");
}

#[tokio::test]
async fn a_turn_that_was_read_is_charged_by_its_text() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[words=20 delay=2]]").await;
    assert!(used(&world, "month").await > 0, "it is held while it runs");
    assert_eq!(used(&world, "open").await, 1);
    let text: Vec<u8> =
        listen(&world, &stream).await.rest().await.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    assert!(String::from_utf8_lossy(&text).contains(r#""final":true"#));
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "stream").await;
    let output = entry["tokens"]["output"].as_u64().unwrap();
    // Its name in brackets, and nineteen words of one or two tokens each.
    assert!((20..=60).contains(&output), "{entry}");
    // LibreChat's own count of what the model was given.
    let last = String::from_utf8_lossy(&text).into_owned();
    let prompt = last.split(r#""promptTokens":"#).nth(1).and_then(|rest| rest.split(['.', ',']).next()).unwrap();
    assert_eq!(entry["tokens"]["input"].to_string(), prompt);
    let of = |name: &str| entry[name].as_f64().unwrap_or_else(|| panic!("{name}: {entry}"));
    assert_eq!(entry["ended"], "finished");
    // It was opened when LibreChat had answered, and nineteen words came two milliseconds apart after the first.
    assert!(of("time") <= of("firstByte") && of("firstByte") + 30.0 <= of("duration"), "{entry}");
    assert_eq!(entry.get("groups"), None, "Bob is in no group");
    assert_eq!((charged(&entry, "said"), used(&world, "said").await), (1, 1));
}

#[tokio::test]
async fn two_readers_of_one_stream_count_once() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[words=40 delay=5]]").await;
    let (one, two) = (listen(&world, &stream).await, listen(&world, &stream).await);
    tokio::join!(one.rest(), two.rest());
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "stream").await;
    assert!((40..=110).contains(&entry["tokens"]["output"].as_u64().unwrap()), "{entry}");
}

#[tokio::test]
async fn a_turn_that_nobody_reads_to_its_end_is_charged_by_what_librechat_keeps() {
    for pieces in [0, 3] {
        let mut world = plan().start().await;
        let stream = start(&world, "hello [[words=60 delay=10]]").await;
        if pieces > 0 {
            let mut reader = listen(&world, &stream).await;
            for _ in 0..pieces {
                reader.next().await.expect("a piece");
            }
        }
        let entry = settled(&mut world, &stream).await;
        assert_charged(&world, &entry, "stream").await;
        assert!((60..=150).contains(&entry["tokens"]["output"].as_u64().unwrap()), "{pieces}: {entry}");
        // A first reader who comes late still hears it from the beginning: nobody else has listened.
        assert!(!world.reached().iter().any(|seen| pieces == 0 && seen.target.contains("/chat/stream/")));
    }
}

#[tokio::test]
async fn a_turn_that_is_over_before_anybody_looks_is_charged_at_the_estimate() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[words=5 delay=0]]").await;
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "estimate").await;
    assert!(entry["tokens"]["input"].as_u64().unwrap() > 0, "{entry}");
}

#[tokio::test]
async fn a_turn_that_was_stopped_pays_for_what_was_written() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[words=500 delay=10]]").await;
    let held = used(&world, "month").await;
    let mut reader = listen(&world, &stream).await;
    for _ in 0..12 {
        reader.next().await.expect("a piece");
    }
    let bob = world.bearer("Bob");
    let stopped =
        post_json(world.addr, "/api/agents/chat/abort", &[("authorization", &bob)], &json!({"streamId": stream})).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    reader.rest().await;
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "stream").await;
    let (input, output) = (&entry["tokens"]["input"], entry["tokens"]["output"].as_u64().unwrap());
    assert!((8..=120).contains(&output), "{entry}");
    // The input is the estimate's: what LibreChat says of a stopped turn is not believed to be less.
    assert!(input.as_u64().unwrap() > 0 && input.as_u64().unwrap() <= held, "{entry} of {held}");
}

#[tokio::test]
async fn what_librechat_refuses_in_the_stream_is_given_back() {
    let mut world = plan().start().await;
    let refused = json!({"text": "x", "endpoint": "openAI", "model": "gpt-nope", "conversationId": null});
    let answer = post_json(world.addr, CHAT, &[("authorization", &world.bearer("Bob"))], &refused).await;
    let stream = answer.json()["streamId"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let text = listen(&world, &stream).await.rest().await;
    assert!(text.iter().any(|piece| String::from_utf8_lossy(&piece.bytes).contains("illegal_model_request")));
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "none").await;
    assert_eq!((charged(&entry, "said"), used(&world, "said").await), (0, 0));
}

#[tokio::test]
async fn a_turn_whose_model_failed_pays_for_what_it_was_given() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[fail=500]]").await;
    listen(&world, &stream).await.rest().await;
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "stream").await;
    assert_eq!(entry["tokens"]["output"], 0, "{entry}");
    assert!(entry["tokens"]["input"].as_u64().unwrap() > 0, "{entry}");
}

#[tokio::test]
async fn the_stream_of_somebody_else_tells_nothing_about_a_turn() {
    let mut world = plan().start().await;
    let stream = start(&world, "hello [[words=30 delay=10]]").await;
    let path = format!("/api/agents/chat/stream/{stream}");
    let ann = world.bearer("Ann");
    assert_eq!(get(world.addr, &path, &[("authorization", &ann)]).await.status, 403);
    listen(&world, &stream).await.rest().await;
    let entry = settled(&mut world, &stream).await;
    assert_charged(&world, &entry, "stream").await;
}

#[tokio::test]
async fn a_stop_settles_what_has_ended_and_leaves_the_rest_to_the_next_start() {
    let mut world =
        World::with(POLICY).settings("timeouts: { turn_status: 100ms, turn_usage: 2s, drain: 1s }").start().await;
    let ended = start(&world, "hello [[words=5 delay=1]]").await;
    listen(&world, &ended).await.rest().await;
    let entry = settled(&mut world, &ended).await;
    let first = charged(&entry, "month");
    let running = start(&world, "hello [[words=5000 delay=20]]").await;
    let mut reader = listen(&world, &running).await;
    reader.next().await.expect("a piece");
    world.signal("TERM");
    assert!(!reader.ends_cleanly().await, "it runs on");
    assert_eq!(world.ended().await.code(), Some(0), "{}", world.log());
    // A reader that was cut and a turn that is left open keep nobody waiting.
    assert!(!world.log().contains("could not be"), "{}", world.log());
    assert!(
        !world.entries().iter().any(|entry| entry["conversationId"] == running.as_str() && entry["kind"] == "usage")
    );
    world.start_again().await;
    // Nobody can be asked about it any more: it pays what was taken for it, once.
    let entry = settled(&mut world, &running).await;
    assert_eq!(entry["source"], "estimate", "{entry}");
    assert_eq!(used(&world, "month").await, first + charged(&entry, "month"));
    assert_eq!(used(&world, "open").await, 0);
    let entries = world.entries().into_iter().filter(|entry| entry["kind"] == "usage").count();
    assert_eq!(entries, 1, "the first one was written before, and once");
}
