//! Whose rows and messages are whose: a turn is charged for what LibreChat wrote under its own answer, and for nothing else.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use uuid::Uuid;

use super::alone::stop;
use super::*;
use crate::limits::together::redis;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};

/// LibreChat is asked about a turn by itself only when a minute is over.
const LATE: &str = "timeouts: { turn_status: 60s, turn_usage: 2s }";

pub(crate) const NO_PARENT: &str = "00000000-0000-0000-0000-000000000000";

/// A prompt of some 20,000 tokens, and an answer that takes a while.
fn long() -> String {
    format!("{} [[words=400 delay=50]]", "long prompt ".repeat(10_000))
}

/// Rows that LibreChat writes for one call: the answer that they are of, what for, and how many tokens. No completion where it is none.
async fn write(mongod: &Mongod, world: &World, of: (&str, &str), context: &str, tokens: (i64, Option<i64>)) {
    write_at(DateTime::now(), mongod, world, of, context, tokens).await;
}

/// The same, at this moment by LibreChat's clock.
async fn write_at(
    at: DateTime,
    mongod: &Mongod,
    world: &World,
    of: (&str, &str),
    context: &str,
    tokens: (i64, Option<i64>),
) {
    let user = ObjectId::parse_str(&world.person("User").id).expect("an id");
    let row = |kind: &str, tokens: i64| {
        doc! {
            "user": user, "conversationId": of.0, "messageId": of.1, "tokenType": kind, "model": "gpt-4o-mini",
            "context": context, "rate": 0.15, "rawAmount": -tokens, "tokenValue": -1.0, "createdAt": at,
        }
    };
    let rows = [Some(row("prompt", tokens.0)), tokens.1.map(|tokens| row("completion", tokens))];
    let rows: Vec<Document> = rows.into_iter().flatten().collect();
    mongod.librechat.collection::<Document>("transactions").insert_many(rows).await.expect("rows");
}

/// The question and the answer of a turn as LibreChat keeps them: the answer's id.
async fn keep(mongod: &Mongod, world: &World, stream: &str, parent: &str, text: &str, at: DateTime) -> String {
    let answer = Uuid::new_v4().to_string();
    keep_as(&answer, mongod, world, stream, parent, text, at).await;
    answer
}

/// The same with this id.
pub(crate) async fn keep_as(
    answer: &str,
    mongod: &Mongod,
    world: &World,
    stream: &str,
    parent: &str,
    text: &str,
    at: DateTime,
) {
    let message = |id: &str, parent: &str, by_user: bool, text: &str| {
        doc! {
            "messageId": id, "parentMessageId": parent, "conversationId": stream, "user": &world.person(who(world)).id,
            "isCreatedByUser": by_user, "text": text, "createdAt": at, "unfinished": false,
        }
    };
    let question = Uuid::new_v4().to_string();
    let both = [message(&question, parent, true, "a question"), message(answer, &question, false, text)];
    mongod.librechat.collection::<Document>("messages").insert_many(both).await.expect("messages");
}

/// Hears a turn to its end: the id of its response.
async fn hear(world: &World, stream: &str) -> String {
    let pieces = listen(world, stream).await.rest().await;
    let said: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    let said = String::from_utf8_lossy(&said).into_owned();
    let last = said.lines().rev().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    let last: Value = serde_json::from_str(last).expect("JSON");
    last["responseMessage"]["messageId"].as_str().expect("an id").to_owned()
}

/// The response of a turn that runs, as LibreChat tells it.
async fn response_so_far(world: &World, stream: &str) -> String {
    let path = format!("/api/agents/chat/status/{stream}");
    let status = get(world.stand_in.addr(), &path, &[("authorization", &world.bearer("User"))]).await.json();
    status["resumeState"]["responseMessageId"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
}

/// A turn that goes on in a conversation below this message.
async fn go_on(world: &World, stream: &str, parent: &str, text: &str) {
    let body = json!({
        "text": text, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": stream, "parentMessageId": parent,
    });
    let answer = post_json(world.addr, CHAT, &[("authorization", &world.bearer("User"))], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The usage entry of this turn of the conversation, the first one being 0.
async fn nth(world: &mut World, stream: &str, nth: usize) -> Value {
    let all = |world: &World| -> Vec<Value> {
        let of = |entry: &Value| entry["kind"] == "usage" && entry["conversationId"] == stream;
        world.entries().into_iter().filter(of).collect()
    };
    world.until("its usage entry", async |world| all(world).len() > nth).await;
    all(world).swap_remove(nth)
}

fn tokens(entry: &Value) -> (u64, u64) {
    let of = |kind: &str| entry["tokens"][kind].as_u64().unwrap_or_else(|| panic!("{entry}"));
    (of("input"), of("output"))
}

/// Nobody reads the second turn, and it is stopped before LibreChat has told the id of its answer.
#[tokio::test]
async fn a_stopped_turn_is_not_paid_by_rows_of_the_turn_before_it() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(LATE).start().await;
        let stream = start(&world, "hi [[words=3 delay=1]]").await;
        let first = hear(&world, &stream).await;
        write(mongod, &world, (&stream, &first), "message", (10, Some(3))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (10, 3)), "{entry}");
        go_on(&world, &stream, &first, &long()).await;
        // Its title comes late.
        write(mongod, &world, (&stream, &first), "title", (30, Some(5))).await;
        stop(&world, &stream).await;
        let entry = nth(&mut world, &stream, 1).await;
        assert!(tokens(&entry).0 > 15_000 && entry["source"] != "transactions", "{entry}");
        assert_eq!(charged(&entry, "month"), tokens(&entry).0 + tokens(&entry).1, "{entry}");
    })
    .await;
}

/// The rows that one Tollgate has settled a turn by are not known to another one.
#[tokio::test]
async fn a_stopped_turn_is_not_paid_by_rows_that_another_tollgate_has_used() {
    let Some(redis) = redis() else { return };
    with_mongod(async |mongod| {
        let plan = || with_directory(POLICY, mongod, &mongod.uri).settings(LATE).variable("TOLLGATE_REDIS", &redis);
        let mut first = plan().start().await;
        let upstream = format!("http://{}", first.stand_in.addr());
        let mut second = plan().upstream(&upstream).start().await;
        for world in [&mut first, &mut second] {
            let counted = async |world: &mut World| {
                get(world.addr, "/api/v1/me/limits", &[("authorization", &world.bearer("User"))]).await.status == 200
            };
            world.until("limits are counted", counted).await;
        }
        let stream = start(&first, "hi [[words=3 delay=1]]").await;
        let response = hear(&first, &stream).await;
        go_on(&second, &stream, &response, &long()).await;
        // By LibreChat's clock, after the second one began: as far as clocks say, they may be that one's.
        write(mongod, &first, (&stream, &response), "message", (10, Some(3))).await;
        let entry = nth(&mut first, &stream, 0).await;
        assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (10, 3)), "{entry}");
        stop(&second, &stream).await;
        let entry = nth(&mut second, &stream, 0).await;
        assert!(tokens(&entry).0 > 15_000 && entry["source"] != "transactions", "{entry}");
    })
    .await;
}

/// A title is no answer: its rows say nothing of what the answer used.
#[tokio::test]
async fn a_stopped_turn_is_not_paid_by_its_own_title() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(SOON).start().await;
        let stream = start(&world, &long()).await;
        let status = format!("/api/agents/chat/status/{stream}");
        let asked = async |world: &mut World| {
            world.reached().iter().filter(|seen| seen.target.starts_with(&status)).count() > 2
        };
        world.until("LibreChat has told its answer's id", asked).await;
        let response = response_so_far(&world, &stream).await;
        write(mongod, &world, (&stream, &response), "title", (30, Some(5))).await;
        stop(&world, &stream).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert!(tokens(&entry).0 > 15_000 && tokens(&entry).1 > 5 && entry["source"] == "stream", "{entry}");
    })
    .await;
}

/// Nobody hears the answer's id: it is the one below the turn's own question, whatever else is written in the conversation.
#[tokio::test]
async fn the_rows_of_a_turn_that_nobody_heard_are_found_by_its_question() {
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_status: 300ms, turn_usage: 2s }";
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(settings).start().await;
        let stream = start(&world, "hi [[words=3 delay=0]]").await;
        let at = DateTime::now();
        let answer = keep(mongod, &world, &stream, NO_PARENT, "an answer", at).await;
        // Another one below the same answer, of another turn.
        let other = keep(mongod, &world, &stream, &answer, "another answer", at).await;
        // And one in the same place, which the caller has written.
        keep(mongod, &world, &stream, NO_PARENT, "forged", at).await;
        write(mongod, &world, (&stream, &other), "message", (1, Some(1))).await;
        write(mongod, &world, (&stream, &answer), "message", (70, Some(7))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (70, 7)), "{entry}");
    })
    .await;
}

/// It is over before the usual pause between two questions, and its caller has deleted the conversation by then.
#[tokio::test]
async fn a_quick_turn_whose_answer_is_deleted_at_once_pays_its_rows() {
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_status: 6s, turn_usage: 2s }";
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(settings).start().await;
        let stream = start(&world, "hi [[words=40 delay=50]]").await;
        let response = response_so_far(&world, &stream).await;
        write(mongod, &world, (&stream, &response), "message", (10, Some(20_000))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (10, 20_000)), "{entry}");
    })
    .await;
}

/// The answer's id tells whose they are, and no clock.
#[tokio::test]
async fn rows_by_a_clock_that_is_wrong_count_for_their_answer() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(SOON).start().await;
        for seconds in [-3_600, -5, 3_600] {
            let stream = start(&world, "hi [[words=3 delay=1]]").await;
            let response = hear(&world, &stream).await;
            let at = DateTime::from_millis(DateTime::now().timestamp_millis() + seconds * 1_000);
            write_at(at, mongod, &world, (&stream, &response), "message", (10, Some(5_000))).await;
            let entry = nth(&mut world, &stream, 0).await;
            assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (10, 5_000)), "{seconds}: {entry}");
        }
        // Where nobody has heard the id, a second or two.
        let stream = start(&world, "hi [[words=3 delay=0]]").await;
        let at = DateTime::from_millis(DateTime::now().timestamp_millis() - 1_500);
        let answer = keep(mongod, &world, &stream, NO_PARENT, "an answer", at).await;
        write_at(at, mongod, &world, (&stream, &answer), "message", (70, Some(7_000))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_eq!((&entry["source"], tokens(&entry)), (&json!("transactions"), (70, 7_000)), "{entry}");
    })
    .await;
}

/// What is known of the answer is that it was written, and how long it is.
#[tokio::test]
async fn a_call_whose_completion_is_missing_pays_for_what_was_seen() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(SOON).start().await;
        let stream = start(&world, "hi [[words=300 delay=0]]").await;
        let response = hear(&world, &stream).await;
        write(mongod, &world, (&stream, &response), "message", (90, None)).await;
        let entry = nth(&mut world, &stream, 0).await;
        let (input, output) = tokens(&entry);
        assert_eq!((&entry["source"], input), (&json!("transactions"), 90), "{entry}");
        assert!(output >= 300, "{entry}");
        assert_charged(&world, &entry, "transactions").await;
    })
    .await;
}

#[tokio::test]
async fn a_title_counts_for_the_turn_that_begins_the_conversation() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(SOON).start().await;
        let stream = start(&world, "hi [[words=3 delay=1]]").await;
        let first = hear(&world, &stream).await;
        write(mongod, &world, (&stream, &first), "message", (20, Some(10))).await;
        write(mongod, &world, (&stream, &first), "title", (30, Some(5))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_eq!(tokens(&entry), (50, 15), "{entry}");
        assert_charged(&world, &entry, "transactions").await;
        // A title without the answer's rows is not the answer.
        let stream = start(&world, "hi [[words=40 delay=1]]").await;
        let before = used(&world, "month").await;
        let first = hear(&world, &stream).await;
        write(mongod, &world, (&stream, &first), "title", (30, Some(5))).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert!(
            before > 0 && tokens(&entry).0 > 30 && tokens(&entry).1 >= 45 && entry["source"] == "stream",
            "{entry}"
        );
    })
    .await;
}

/// LibreChat keeps the answer, wherever it is read from.
#[tokio::test]
async fn an_answer_that_nobody_opened_and_no_row_tells_is_counted_as_librechat_keeps_it() {
    let mut world = plan().start().await;
    let stream = start(&world, "hi [[words=20000 delay=0]]").await;
    let entry = settled(&mut world, &stream).await;
    assert!(tokens(&entry).1 >= 20_000, "{entry}");
    assert_charged(&world, &entry, "stream").await;
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_status: 300ms, turn_usage: 2s }";
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(settings).start().await;
        let stream = start(&world, "hi [[words=3 delay=0]]").await;
        keep(mongod, &world, &stream, NO_PARENT, &"word ".repeat(20_000), DateTime::now()).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert!(tokens(&entry).1 >= 20_000, "{entry}");
        assert_charged(&world, &entry, "stream").await;
    })
    .await;
}

/// A caller can make what LibreChat keeps shorter before anybody has read it.
#[tokio::test]
async fn what_was_only_read_afterwards_makes_no_turn_cheaper_than_it_was_taken_for() {
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_status: 300ms, turn_usage: 2s }";
        let mut world = with_directory(POLICY, mongod, &mongod.uri).settings(settings).start().await;
        let stream = start(&world, "hi [[words=300 delay=0]]").await;
        let held = used(&world, "month").await;
        keep(mongod, &world, &stream, NO_PARENT, "x", DateTime::now()).await;
        let entry = nth(&mut world, &stream, 0).await;
        assert_charged(&world, &entry, "estimate").await;
        assert_eq!(charged(&entry, "month"), held, "{entry}");
    })
    .await;
}
