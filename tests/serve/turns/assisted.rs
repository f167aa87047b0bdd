//! Runs of assistants, whose answer is the run itself: what they are charged for, by what they tell and by LibreChat's rows. Those say in
//! which conversation they were written, and not of which run.

use std::time::Duration;

use bytes::Bytes;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::fake::Fake;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};

const ASSISTANTS: &str = "/api/assistants/v2/chat";

/// Rows are waited for this long; LibreChat's balance is left alone.
const PATIENT: &str = "timeouts: { turn_usage: 6s }\nbalance: { check: off }";

const SAID: [&str; 4] = ["alpha", "alpha bravo", "alpha bravo charlie", "alpha bravo charlie delta"];

/// An event as LibreChat's `sendEvent` writes it.
fn event(data: &Value) -> String {
    format!("event: message\ndata: {data}\n\n")
}

/// What LibreChat 0.8.6 tells of a run in this conversation until it ends, by `chatV2.js` and `StreamRunManager.js`.
fn begun(conversation: &str) -> String {
    let ids = json!({"messageId": "m2", "conversationId": conversation, "thread_id": "thread_1"});
    let mut all = event(
        &json!({"sync": true, "conversationId": conversation, "requestMessage": {"text": "hi"}, "responseMessage": ids}),
    );
    for text in SAID {
        let mut piece = json!({"message": true, "initial": text == SAID[0], "text": text, "index": 0, "type": "text"});
        piece.as_object_mut().expect("members").extend(ids.as_object().expect("members").clone());
        all += &event(&piece);
    }
    all
}

fn finished(conversation: &str) -> String {
    let conversation = json!({"conversationId": conversation, "endpoint": "assistants", "assistant_id": "asst_x"});
    event(&json!({"final": true, "conversation": conversation, "requestMessage": {"thread_id": "thread_1"}}))
}

/// A call of the function that sees pictures.
fn picture(conversation: &str) -> String {
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "image_vision", "arguments": "{}", "output": null}});
    event(
        &json!({"index": 1, "type": "tool_call", "tool_call": call, "messageId": "m2", "conversationId": conversation}),
    )
}

/// The whole answer to a request with this mark, which is the way it goes and the conversation: `finished-1`.
fn answer(mark: &str) -> String {
    let refusal = json!({"type": "token_balance", "balance": 0, "tokenCost": 9}).to_string();
    match mark.split_once('-').expect("a mark").0 {
        "finished" => begun(mark) + &finished(mark),
        "picture" => begun(mark) + &picture(mark) + &finished(mark),
        "failed" => {
            let message = json!({"content": [{"type": "error", "text": {"value": "Operation timed out"}}]});
            begun(mark)
                + &event(&json!({"final": true, "conversation": {"conversationId": mark}, "runMessages": [message]}))
        }
        "refused" => {
            let error =
                json!({"error": true, "final": true, "text": refusal, "conversationId": mark, "messageId": "m2"});
            format!("event: error\ndata: {error}\n\n")
        }
        // Somebody has stopped it, or it never ends.
        _ => begun(mark),
    }
}

/// LibreChat, as far as assistants go.
async fn librechat() -> Fake {
    Fake::start(|mut socket, head| async move {
        if head.starts_with("GET /api/config ") {
            let config = r#"{"sharedLinksEnabled":true,"balance":{"enabled":true}}"#;
            return whole(socket, "application/json", config).await;
        }
        let mark = head.lines().find_map(|line| line.strip_prefix("user-agent: ")).unwrap_or("none-0").to_owned();
        if !mark.starts_with("endless") {
            return whole(socket, "text/event-stream", &answer(&mark)).await;
        }
        let said = answer(&mark);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(format!("{head}{:x}\r\n{said}\r\n", said.len()).as_bytes()).await.ok()?;
        std::future::pending().await
    })
    .await
}

async fn whole(mut socket: TcpStream, kind: &str, body: &str) -> Option<TcpStream> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket)
}

/// Starts a run of the user's: in a new conversation, or in this one.
async fn run(world: &World, mark: &str, conversation: Option<&str>) -> Open {
    let bearer = world.bearer("User");
    let body = json!({"endpoint": "assistants", "model": "gpt-4o-mini", "assistant_id": "asst_x", "text": "hello there",
                      "conversationId": conversation, "thread_id": conversation.map(|_| "thread_1")});
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("user-agent", mark)];
    let open = open(world.addr, Method::POST, ASSISTANTS, &headers, Bytes::from(body.to_string())).await;
    assert_eq!(open.status, 200, "{mark}");
    open
}

/// Runs one to the end of its answer, which must be what LibreChat has sent.
async fn hear(world: &World, mark: &str, conversation: Option<&str>) {
    let pieces = run(world, mark, conversation).await.rest().await;
    let heard: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    assert_eq!(String::from_utf8_lossy(&heard), answer(mark));
}

/// As `recordUsage` writes it: without a message.
async fn write(mongod: &Mongod, world: &World, conversation: &str, tokens: [i64; 2]) {
    let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
    let row = |kind: &str, tokens: i64| {
        doc! {
            "user": user, "conversationId": conversation, "tokenType": kind, "model": "gpt-4o-mini", "context": "message",
            "rate": 0.15, "rawAmount": -tokens, "tokenValue": -1.0, "createdAt": DateTime::now(),
        }
    };
    let rows = [row("prompt", tokens[0]), row("completion", tokens[1])];
    mongod.librechat.collection::<Document>("transactions").insert_many(rows).await.expect("rows");
}

/// A turn is not settled while its rows are looked for several times.
async fn still_waits(world: &mut World) {
    let begun = tokio::time::Instant::now();
    let waits = async |world: &mut World| {
        assert_eq!(world.metric("tollgate_turns_open").await, "1");
        begun.elapsed() > Duration::from_millis(1_200)
    };
    world.until("its rows were looked for", waits).await;
}

/// The usage entry of the request with this mark.
async fn its_use(world: &mut World, mark: &str) -> Value {
    let request = world.entry_from(mark).await["requestId"].clone();
    world.entry("its use", |entry| entry["kind"] == "usage" && entry["requestId"] == request).await
}

fn tokens(entry: &Value) -> (&str, [u64; 2]) {
    let of = |kind: &str| entry["tokens"][kind].as_u64().unwrap_or_else(|| panic!("{entry}"));
    (entry["source"].as_str().unwrap_or_else(|| panic!("{entry}")), [of("input"), of("output")])
}

#[tokio::test]
async fn a_run_in_a_new_conversation_is_charged_by_librechats_rows() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world =
            with_directory(POLICY, mongod, &mongod.uri).settings(PATIENT).upstream(&fake.url()).start().await;
        // By its whole answer, by one that failed, and by one that was stopped, which LibreChat writes down as well.
        let mut sum = 0;
        for (mark, rows) in [("finished-1", [5_000, 70]), ("failed-1", [400, 30]), ("stopped-1", [300, 20])] {
            hear(&world, mark, None).await;
            write(mongod, &world, mark, rows).await;
            let entry = its_use(&mut world, mark).await;
            assert_eq!(tokens(&entry), ("transactions", rows.map(i64::unsigned_abs)), "{entry}");
            assert_eq!((&entry["conversationId"], &entry["endpoint"]), (&json!(mark), &json!("assistants")));
            sum += charged(&entry, "month");
            assert_eq!((used(&world, "month").await, used(&world, "open").await), (sum, 0));
        }
        assert_eq!(sum, 5_070 + 430 + 320);
        // The caller has left, and LibreChat has ended the run.
        let mut left = run(&world, "endless-1", None).await;
        left.next().await.expect("a piece");
        drop(left);
        write(mongod, &world, "endless-1", [600, 50]).await;
        let entry = its_use(&mut world, "endless-1").await;
        assert_eq!(tokens(&entry), ("transactions", [600, 50]), "{entry}");
    })
    .await;
}

/// A run whose caller leaves goes on for some time. Who then asks again gets no place for it, though one is missing.
#[tokio::test]
async fn who_leaves_a_run_gets_no_place_for_it() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let one = POLICY.replace("concurrent: 50", "concurrent: 1");
        let plan = with_directory(&one, mongod, &mongod.uri).upstream(&fake.url());
        let mut world = plan.settings("timeouts: { turn_usage: 60s }\nbalance: { check: off }").start().await;
        let mut left = run(&world, "endless-7", None).await;
        left.next().await.expect("a piece");
        drop(left);
        // That the caller has left is known when rows are looked for.
        still_waits(&mut world).await;
        let bearer = world.bearer("User");
        let body = json!({"endpoint": "assistants", "model": "gpt-4o-mini", "assistant_id": "asst_x", "text": "hello"});
        let headers = [("authorization", bearer.as_str()), ("user-agent", "finished-7")];
        for _ in 0..2 {
            let refused = post_json(world.addr, ASSISTANTS, &headers, &body).await;
            assert_eq!((refused.status.as_u16(), used(&world, "open").await), (429, 1), "{}", refused.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_without_rows_is_charged_by_its_text_and_one_that_broke_off_by_no_less_than_the_estimate() {
    let fake = librechat().await;
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_usage: 500ms }\nbalance: { check: off }";
        for books in [false, true] {
            let plan = with_directory(POLICY, mongod, &mongod.uri).settings(settings).upstream(&fake.url());
            let mut world = if books { plan.start().await } else { without_books(&fake).await };
            hear(&world, "finished-2", None).await;
            let entry = its_use(&mut world, "finished-2").await;
            let (source, [input, output]) = tokens(&entry);
            assert_eq!(source, "stream", "{entry}");
            // Four words, told four times over.
            assert!((4..=8).contains(&output) && input > 0, "{entry}");
            assert_eq!((charged(&entry, "month"), &entry["conversationId"]), (input + output, &json!("finished-2")));
            for mark in ["stopped-2", "failed-2"] {
                hear(&world, mark, None).await;
                let entry = its_use(&mut world, mark).await;
                assert_eq!((tokens(&entry).0, tokens(&entry).1[1]), ("stream", 1_000), "the allowance: {entry}");
            }
            let before = used(&world, "month").await;
            hear(&world, "refused-2", None).await;
            let entry = its_use(&mut world, "refused-2").await;
            assert_eq!((&entry["source"], charged(&entry, "said")), (&json!("none"), 0), "{entry}");
            assert_eq!((used(&world, "month").await, used(&world, "open").await), (before, 0));
        }
    })
    .await;
}

/// The same without LibreChat's database.
async fn without_books(fake: &Fake) -> World {
    let person = |options: &mut tollgate::demo::StandInOptions| {
        let bob = options.people.iter_mut().find(|person| person.name == "Bob").expect("Bob");
        bob.name = "User".to_owned();
    };
    World::with(POLICY)
        .librechat(person)
        .settings("timeouts: { turn_usage: 500ms }")
        .upstream(&fake.url())
        .start()
        .await
}

/// Whoever sends the next message before LibreChat has written the rows of the last one is not charged by these: they would be the
/// price of a cheap run for a dear one.
#[tokio::test]
async fn rows_that_come_late_are_those_of_the_run_that_ended_first() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world =
            with_directory(POLICY, mongod, &mongod.uri).settings(PATIENT).upstream(&fake.url()).start().await;
        hear(&world, "finished-3", None).await;
        // Its rows are looked for less and less often.
        still_waits(&mut world).await;
        hear(&world, "finished-4", Some("finished-3")).await;
        write(mongod, &world, "finished-3", [20, 2]).await;
        let first = its_use(&mut world, "finished-3").await;
        assert_eq!(tokens(&first), ("transactions", [20, 2]), "{first}");
        write(mongod, &world, "finished-3", [90_000, 900]).await;
        let second = its_use(&mut world, "finished-4").await;
        assert_eq!(tokens(&second), ("transactions", [90_000, 900]), "{second}");
        assert_eq!(used(&world, "month").await, 22 + 90_900);
    })
    .await;
}

/// LibreChat writes rows for a picture that the assistant has asked about, before those of the run.
#[tokio::test]
async fn the_rows_of_a_picture_are_not_all_that_a_run_used() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world =
            with_directory(POLICY, mongod, &mongod.uri).settings(PATIENT).upstream(&fake.url()).start().await;
        hear(&world, "picture-1", None).await;
        write(mongod, &world, "picture-1", [800, 80]).await;
        still_waits(&mut world).await;
        write(mongod, &world, "picture-1", [3_000, 40]).await;
        let entry = its_use(&mut world, "picture-1").await;
        assert_eq!(tokens(&entry), ("transactions", [3_800, 120]), "{entry}");
    })
    .await;
}

/// What has ended makes room for the next turn at once; what its caller has left goes on at LibreChat for a while.
#[tokio::test]
async fn a_run_keeps_its_place_until_it_has_told_its_end_or_is_settled() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world =
            with_directory(POLICY, mongod, &mongod.uri).settings(PATIENT).upstream(&fake.url()).start().await;
        for mark in ["finished-8", "failed-8", "stopped-8"] {
            hear(&world, mark, None).await;
            world.until("its place is free", async |world| used(world, "open").await == 0).await;
            assert_eq!(world.metric("tollgate_turns_open").await, "1", "{mark} is not settled yet");
            its_use(&mut world, mark).await;
        }
        let mut left = run(&world, "endless-8", None).await;
        left.next().await.expect("a piece");
        drop(left);
        still_waits(&mut world).await;
        assert_eq!(used(&world, "open").await, 1);
        its_use(&mut world, "endless-8").await;
        assert_eq!(used(&world, "open").await, 0);
    })
    .await;
}

/// Rows of other kinds, of other people and of before are not the run's.
#[tokio::test]
async fn rows_that_are_not_of_the_run_are_left_alone() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let settings = "timeouts: { turn_usage: 1s }\nbalance: { check: off }";
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(settings).upstream(&fake.url()).start().await;
        let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
        let now = DateTime::now().timestamp_millis();
        let row = |more: Document| {
            let mut row = doc! {
                "user": user, "conversationId": "finished-5", "tokenType": "prompt", "model": "gpt-4o-mini", "context": "message",
                "rate": 0.15, "rawAmount": -7_000, "tokenValue": -1.0, "createdAt": DateTime::now(),
            };
            row.extend(more);
            row
        };
        let rows = [
            row(doc! {"messageId": "a-response"}),
            row(doc! {"context": "image_generation"}),
            row(doc! {"user": ObjectId::new()}),
            row(doc! {"createdAt": DateTime::from_millis(now - 60_000)}),
            row(doc! {"conversationId": "another"}),
        ];
        mongod.librechat.collection::<Document>("transactions").insert_many(rows).await.expect("rows");
        hear(&world, "finished-5", None).await;
        let entry = its_use(&mut world, "finished-5").await;
        assert_eq!(tokens(&entry).0, "stream", "{entry}");
        assert!(tokens(&entry).1[0] < 7_000, "{entry}");
    })
    .await;
}

#[tokio::test]
async fn the_conversation_that_a_run_has_told_is_known_after_a_crash() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world =
            with_directory(POLICY, mongod, &mongod.uri).settings(PATIENT).upstream(&fake.url()).start().await;
        let mut running = run(&world, "endless-6", None).await;
        running.next().await.expect("a piece");
        world.signal("KILL");
        world.ended().await;
        // LibreChat ends a run whose caller has gone, and writes down what it used.
        write(mongod, &world, "endless-6", [700, 60]).await;
        world.start_again().await;
        let entry = settled(&mut world, "endless-6").await;
        assert_eq!(tokens(&entry), ("transactions", [700, 60]), "{entry}");
        assert_eq!((used(&world, "month").await, used(&world, "open").await), (760, 0));
    })
    .await;
}

/// For assistants LibreChat writes rows, and takes nothing from the balance.
#[tokio::test]
async fn what_a_run_used_goes_on_counting_against_the_balance() {
    with_mongod(async |mongod| {
        let fake = librechat().await;
        let mut world = with_directory(POLICY, mongod, &mongod.uri)
            .settings("timeouts: { turn_usage: 4s }")
            .upstream(&fake.url())
            .start()
            .await;
        let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
        let balances = mongod.librechat.collection::<Document>("balances");
        balances.insert_one(doc! {"user": user, "tokenCredits": 10_000_000.0}).await.expect("a balance");
        hear(&world, "finished-7", None).await;
        write(mongod, &world, "finished-7", [10_000, 1_000]).await;
        let entry = its_use(&mut world, "finished-7").await;
        // LibreChat's rates of gpt-4o-mini: 0.15 and 0.60 credits a token.
        assert_eq!((tokens(&entry).0, charged(&entry, "balance")), ("transactions", 1_500 + 600), "{entry}");
    })
    .await;
}
