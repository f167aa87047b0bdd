//! `kill -9` in the middle of turns: the next Tollgate with the same data settles what is open, once, and the counters are what
//! the record says, wherever they are kept.
//!
//! `TOLLGATE_CRASH_KILLS` says how often each point is killed at (2 where it does not), and `TOLLGATE_CRASH_TURNS` how many turns
//! the mixed run has (200).

use std::cell::RefCell;
use std::collections::HashMap;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};
use crate::support::{Open, get, patiently, post_json};
use crate::turns::whose::{NO_PARENT, keep_as};
use crate::turns::{CHAT, POLICY, SOON, body, charged, listen, plan, start, used, who};
use crate::world::{Plan, World};

mod in_redis;

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "how long a test runs, not a setting of the product")]
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The usage entries that were ever written, by their ids: one that is written again is the same.
#[derive(Default)]
struct Record {
    entries: HashMap<String, Value>,
    /// What all of them have put on each limit.
    sums: [u64; LIMITS.len()],
}

/// The limits whose sums are compared.
const LIMITS: [&str; 3] = ["month", "out", "said"];

impl Record {
    /// Takes over what was written since it was last asked.
    fn read(&mut self, world: &World) {
        for entry in world.take_entries().into_iter().filter(|entry| entry["kind"] == "usage") {
            let id = entry["_id"].as_str().expect("an id").to_owned();
            let charges = LIMITS.map(|limit| charged(&entry, limit));
            let source = entry["source"].clone();
            match self.entries.insert(id, entry) {
                Some(known) => {
                    let before = (LIMITS.map(|limit| charged(&known, limit)), &known["source"]);
                    assert_eq!(before, (charges, &source));
                }
                None => self.sums.iter_mut().zip(charges).for_each(|(sum, charged)| *sum += charged),
            }
        }
    }

    fn of(&self, stream: &str) -> Option<&Value> {
        self.entries.values().find(|entry| entry["conversationId"] == stream)
    }
}

/// LibreChat writes down what a turn of Bob's used.
async fn spend(mongod: &Mongod, world: &World, stream: &str, response: &str, prompt: i64, completion: i64) {
    let user = ObjectId::parse_str(&world.person(who(world)).id).expect("an id");
    let row = |kind: &str, tokens: i64| -> Document {
        doc! {
            "user": user, "conversationId": stream, "tokenType": kind, "model": "gpt-4o-mini", "context": "message",
            "rate": 0.15, "rawAmount": -tokens, "tokenValue": -1.0, "messageId": response, "createdAt": DateTime::now(),
        }
    };
    let rows = mongod.librechat.collection::<Document>("transactions");
    rows.insert_many([row("prompt", prompt), row("completion", completion)]).await.expect("rows");
    // Whose they are, the conversation tells who has not heard it.
    keep_as(response, mongod, world, stream, NO_PARENT, "an answer", DateTime::now()).await;
}

/// Reads a stream to its end: the id of the response, under which LibreChat writes its rows.
async fn response(stream: Open) -> String {
    let pieces = stream.rest().await;
    let text: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    let text = String::from_utf8_lossy(&text).into_owned();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).expect("a last event");
    let last: Value = serde_json::from_str(last).expect("JSON");
    last["responseMessage"]["messageId"].as_str().unwrap_or_else(|| panic!("{last}")).to_owned()
}

/// The id of the response of a turn that runs, as LibreChat tells it.
async fn response_so_far(world: &World, stream: &str) -> String {
    let path = format!("/api/agents/chat/status/{stream}");
    let status = get(world.stand_in.addr(), &path, &[("authorization", &world.bearer(who(world)))]).await.json();
    status["resumeState"]["responseMessageId"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
}

async fn kill(world: &mut World, record: &mut Record) {
    world.signal("KILL");
    world.ended().await;
    record.read(world);
}

/// Waits until nothing is open, and checks the counters against the record.
async fn assert_settled(world: &mut World, record: &mut Record, turns: usize) {
    world.until("no turn is open", async |world| used(world, "open").await == 0).await;
    let read = RefCell::new(std::mem::take(record));
    let all = async |world: &mut World| {
        read.borrow_mut().read(world);
        read.borrow().entries.len() == turns
    };
    world.until("all entries are written", all).await;
    *record = read.into_inner();
    for (id, sum) in LIMITS.into_iter().zip(record.sums) {
        assert_eq!(used(world, id).await, sum, "{id}");
    }
}

/// An installation whose LibreChat writes down what turns use.
fn with_rows(mongod: &Mongod) -> Plan {
    with_directory(POLICY, mongod, &mongod.uri).settings(SOON)
}

#[tokio::test]
async fn a_turn_is_settled_once_wherever_tollgate_is_killed() {
    with_mongod(async |mongod| killed_at_every_point(mongod, with_rows(mongod)).await).await;
}

/// Kills Tollgate at each point of a turn, as often as is asked for.
async fn killed_at_every_point(mongod: &Mongod, plan: Plan) {
    let kills = number("TOLLGATE_CRASH_KILLS", 2);
    let mut world = plan.start().await;
    let (mut record, mut turns) = (Record::default(), 0);
    for round in 0..i64::try_from(kills).expect("not so many") {
        let (prompt, completion) = (100 + round, 10 + round);

        // LibreChat has it, and has named its stream.
        let stream = start(&world, "hello [[words=3 delay=1]]").await;
        kill(&mut world, &mut record).await;
        spend(mongod, &world, &stream, "a-response", prompt, completion).await;
        world.start_again().await;
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
        assert_rows(&record, &stream, prompt, completion);

        // Its stream is read.
        let stream = start(&world, "hello [[words=50 delay=5]]").await;
        let mut reader = listen(&world, &stream).await;
        for _ in 0..5 {
            reader.next().await.expect("a piece");
        }
        let response = response_so_far(&world, &stream).await;
        kill(&mut world, &mut record).await;
        drop(reader);
        world.start_again().await;
        // It goes on at LibreChat, and ends there.
        spend(mongod, &world, &stream, &response, prompt, completion).await;
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
        assert_rows(&record, &stream, prompt, completion);

        // It has ended, and is not settled: LibreChat's rows are waited for.
        let stream = start(&world, "hello [[words=3 delay=1]]").await;
        let response = self::response(listen(&world, &stream).await).await;
        kill(&mut world, &mut record).await;
        spend(mongod, &world, &stream, &response, prompt, completion).await;
        world.start_again().await;
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
        assert_rows(&record, &stream, prompt, completion);

        // It is being settled, or has just been.
        let stream = start(&world, "hello [[words=3 delay=1]]").await;
        let response = self::response(listen(&world, &stream).await).await;
        spend(mongod, &world, &stream, &response, prompt, completion).await;
        tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(round).unwrap_or(0) * 17 % 700)).await;
        kill(&mut world, &mut record).await;
        world.start_again().await;
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
        assert_rows(&record, &stream, prompt, completion);
    }
}

fn assert_rows(record: &Record, stream: &str, prompt: i64, completion: i64) {
    let entry = record.of(stream).unwrap_or_else(|| panic!("no entry of {stream}"));
    let tokens = json!({"input": prompt, "cachedInput": 0, "cacheWrite": 0, "output": completion});
    assert_eq!((&entry["source"], &entry["tokens"]), (&json!("transactions"), &tokens), "{entry}");
}

/// What was taken and not sent, as far as anybody can know, pays the estimate: LibreChat may have it.
#[tokio::test]
async fn a_turn_of_which_nobody_knows_whether_librechat_has_it_pays_the_estimate_once() {
    killed_before_librechat_answers(plan()).await;
}

async fn killed_before_librechat_answers(plan: Plan) {
    let kills = number("TOLLGATE_CRASH_KILLS", 2);
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut world = plan.upstream(&format!("http://{}", hole.local_addr().unwrap())).start().await;
    let (mut record, mut turns) = (Record::default(), 0);
    for _ in 0..kills {
        let asking = ask(&world).await;
        // LibreChat has it and says nothing.
        let reached = async {
            loop {
                let (mut socket, _) = hole.accept().await.unwrap();
                let mut start = [0; 4];
                if socket.read_exact(&mut start).await.is_ok() && &start == b"POST" {
                    return socket;
                }
            }
        };
        let socket = patiently("the turn reaches LibreChat", reached).await;
        kill(&mut world, &mut record).await;
        drop(socket);
        drop(asking);
        world.start_again().await;
        turns += 1;
        assert_settled(&mut world, &mut record, turns).await;
    }
    assert!(record.entries.values().all(|entry| entry["source"] == "estimate" && entry["outcome"] == "abandoned"));
    assert_eq!(record.sums[2], kills, "each is one request");
}

/// Sends a turn of Bob's and waits for nothing: the answer may never come.
async fn ask(world: &World) -> TcpStream {
    let mut asking = TcpStream::connect(world.addr).await.unwrap();
    let (text, bearer) = (body("hi").to_string(), world.bearer("Bob"));
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: t\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    asking.write_all(head.as_bytes()).await.unwrap();
    asking
}

/// Turns of all kinds, one in twenty stopped, some of them not read, and Tollgate killed after every hundred.
#[tokio::test]
async fn after_many_turns_the_counters_are_what_the_record_says() {
    many_turns(plan()).await;
}

async fn many_turns(plan: Plan) {
    let turns = usize::try_from(number("TOLLGATE_CRASH_TURNS", 200)).expect("a number");
    let mut world = plan.start().await;
    let mut record = Record::default();
    for first in (0..turns).step_by(100) {
        let last = turns.min(first + 100);
        let mut at_once = Vec::new();
        for turn in first..last {
            at_once.push(turn);
            if at_once.len() == 20 || turn + 1 == last {
                let all = at_once.drain(..).map(|turn| one(&world, turn));
                futures_util::future::join_all(all).await;
            }
        }
        // One in a hundred is in the middle of something.
        let stream = start(&world, "hello [[words=200 delay=5]]").await;
        let mut reader = listen(&world, &stream).await;
        reader.next().await.expect("a piece");
        kill(&mut world, &mut record).await;
        drop(reader);
        world.start_again().await;
        assert_settled(&mut world, &mut record, last + first / 100 + 1).await;
    }
}

async fn one(world: &World, turn: usize) {
    let words = turn % 7;
    if turn % 20 == 3 {
        let stream = start(world, "stop me [[words=100 delay=5]]").await;
        let mut reader = listen(world, &stream).await;
        reader.next().await.expect("a piece");
        let bob = world.bearer("Bob");
        post_json(world.addr, "/api/agents/chat/abort", &[("authorization", &bob)], &json!({"streamId": stream})).await;
        reader.rest().await;
        return;
    }
    let stream = start(world, &format!("hello [[words={words} delay=0]]")).await;
    if !turn.is_multiple_of(3) {
        listen(world, &stream).await.rest().await;
    }
}
