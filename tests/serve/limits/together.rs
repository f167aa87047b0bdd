//! Several of Tollgate that count in one Redis admit together what one would, of requests and of money.
//!
//! `TOLLGATE_RACE_ROUNDS` says how often each race is run (3 where it does not), and `TOLLGATE_RACE_TURNS` how many turns run in
//! it at once (100); a tenth of them has room.

use uuid::Uuid;

use super::{number as number_of, *};
use crate::crash::number;
use crate::turns::alone::{say_in, stop};

/// A turn that runs until it is stopped.
const LONG: &str = "hello [[words=4000 delay=20]]";

/// The test's Redis, in a database that no other test has. None where there is none.
#[expect(clippy::disallowed_methods, reason = "where the test's server is, not a setting of the product")]
#[expect(clippy::print_stderr, reason = "a check that is not run says so")]
pub(crate) fn redis() -> Option<String> {
    let server = std::env::var("TOLLGATE_TEST_REDIS_URI").ok();
    if server.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "TOLLGATE_TEST_REDIS_URI is not set");
        eprintln!("not run, TOLLGATE_TEST_REDIS_URI is not set (tests/services/start starts a server)");
    }
    server.map(|server| format!("{}/11", server.trim_end_matches('/')))
}

/// So many installations with this policy and the same people, and one Redis, or each with counters of its own.
async fn together(count: usize, policy: &str, redis: Option<&str>) -> Vec<World> {
    // A machine with much to do answers late; what is shown here is not how soon.
    let patient = || World::with(policy).settings("timeouts: { limits: 10s, turn_status: 30s }");
    let plan = || redis.into_iter().fold(patient(), |plan, redis| plan.variable("TOLLGATE_REDIS", redis));
    let mut worlds = Vec::new();
    for _ in 0..count {
        let mut world = plan().start().await;
        let counted = async |world: &mut World| {
            get(world.addr, MINE, &[("authorization", &world.bearer("Bob"))]).await.status == 200
        };
        // A Redis that never counted is rebuilt first.
        world.until("limits are counted", counted).await;
        worlds.push(world);
    }
    assert!(worlds.windows(2).all(|pair| pair[0].person("Bob").id == pair[1].person("Bob").id));
    worlds
}

/// An id that no other run of the tests has counted under.
fn fresh() -> String {
    format!("t-{}", Uuid::now_v7().simple())
}

/// How often each race is run, and how many turns run in it.
fn races() -> (u64, usize) {
    let turns = number("TOLLGATE_RACE_TURNS", 100);
    (number("TOLLGATE_RACE_ROUNDS", 3), usize::try_from(turns).expect("a number"))
}

/// So many turns with this text at once, spread over the installations: each is taken, or refused with this status. Exactly `room` are
/// taken, and LibreChat hears of no other.
async fn race(worlds: &[World], turns: usize, text: &str, room: usize, refused: u16) {
    let mut asked = JoinSet::new();
    for world in worlds.iter().cycle().take(turns) {
        let (addr, bearer, body) = (world.addr, world.bearer("Bob"), turn(text));
        asked.spawn(async move { post_json(addr, CHAT, &[("authorization", &bearer)], &body).await });
    }
    let answers = asked.join_all().await;
    let with = |wanted: u16| answers.iter().filter(|answer| answer.status == wanted).count();
    let strange = answers.iter().find(|answer| answer.status != 200 && answer.status != refused);
    assert_eq!((with(200), with(refused)), (room, turns - room), "{} processes; {strange:?}", worlds.len());
    let called: Vec<_> = worlds.iter().map(|world| world.stand_in.calls().len()).collect();
    assert_eq!(called.iter().sum::<usize>(), room, "{called:?}");
}

#[tokio::test]
async fn one_process_and_three_with_one_redis_admit_exactly_what_the_limit_is() {
    let Some(redis) = redis() else { return };
    let (rounds, turns) = races();
    for count in [1, 3] {
        for _ in 0..rounds {
            let (id, room) = (fresh(), turns / 10);
            let policy = limits(&format!("      - {{ id: {id}, requests: {room}, per: user, window: 30d }}"));
            let worlds = together(count, &policy, Some(&redis)).await;
            race(&worlds, turns, "hi", room, 429).await;
            for world in &worlds {
                assert_eq!(limit(world, "Bob", &id).await["used"], room, "all tell the same");
            }
        }
    }
}

/// A turn that does not end while a test runs, so that it gives nothing back.
pub(super) const ENDLESS: &str = "hello [[words=9 delay=3600000]]";

/// A limit of so many millionths of a US dollar. In a month of the calendar nothing comes back while a race is run.
fn budget(id: &str, micros: u64) -> String {
    let (dollars, rest) = (micros / 1_000_000, micros % 1_000_000);
    limits(&format!("      - {{ id: {id}, cost: {dollars}.{rest:06} USD, per: user, window: month }}"))
}

/// What an endless turn is taken to cost, in millionths of a US dollar.
pub(super) async fn price() -> u64 {
    let world = World::with(&budget("it", 1_000_000)).start().await;
    let answer = say(&world, "Bob", &turn(ENDLESS)).await;
    assert_started(&answer);
    let price = number_of(&answer, "ratelimit-limit") - number_of(&answer, "ratelimit-remaining");
    assert!((1_000..10_000).contains(&price), "a prompt, and the allowance for an answer: {price}");
    price
}

#[tokio::test]
async fn of_money_one_process_and_three_with_one_redis_admit_exactly_what_fits() {
    let (Some(redis), price, (rounds, turns)) = (redis(), price().await, races()) else { return };
    let room = turns / 10;
    for (count, redis) in [(1, None), (1, Some(redis.as_str())), (3, Some(redis.as_str()))] {
        for round in 0..rounds {
            // So much that the last one fits exactly, and so much that one more lacks a millionth of a dollar.
            let spare = if round % 2 == 0 { 0 } else { price - 1 };
            let (id, fits) = (fresh(), price * room as u64);
            let worlds = together(count, &budget(&id, fits + spare), redis).await;
            race(&worlds, turns, ENDLESS, room, 402).await;
            for world in &worlds {
                let told = limit(world, "Bob", &id).await;
                let micros =
                    |name: &str| told[name].as_str().and_then(|told| Some((told.parse::<f64>().ok()? * 1e6).round()));
                assert_eq!((micros("used"), micros("remaining")), (Some(fits as f64), Some(spare as f64)), "{told}");
            }
        }
    }
}

/// Two of them before the LibreChat of the first, where `id` is a limit. One that nobody reads is asked about only when a minute is
/// over.
async fn two_before_one_librechat(id: &str, redis: &str) -> [World; 2] {
    let policy = limits(&format!(
        "      - {{ id: {id}, output_tokens: 10M, per: user, window: month }}\n      - {{ id: {id}-open, concurrent: 9, per: user }}"
    ));
    let plan = || {
        let settings = "timeouts: { limits: 10s, turn_status: 60s }";
        World::with(&policy).settings(settings).variable("TOLLGATE_REDIS", redis)
    };
    let counted =
        async |world: &mut World| get(world.addr, MINE, &[("authorization", &world.bearer("Bob"))]).await.status == 200;
    let mut first = plan().start().await;
    let mut second = plan().upstream(&format!("http://{}", first.stand_in.addr())).start().await;
    first.until("limits are counted", counted).await;
    second.until("limits are counted", counted).await;
    [first, second]
}

fn assert_waits(answer: &Answer) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["rule"]), (429, &json!("turns.running")), "{body}");
    assert_eq!((&body["type"], &body["limit"], answer.header("retry-after")), (&json!("concurrent"), &json!(1), "5"));
}

#[tokio::test]
async fn a_second_turn_of_a_conversation_waits_for_the_first_of_another_tollgate() {
    let Some(redis) = redis() else { return };
    let (id, conversation) = (fresh(), Uuid::now_v7().to_string());
    let [mut first, mut second] = two_before_one_librechat(&id, &redis).await;
    let answer = say_in(&first, &conversation, LONG).await;
    assert_started(&answer);
    let headers: Vec<_> = ["ratelimit-policy", "tollgate-limits-near"].map(|name| answer.header(name)).into();
    assert!(headers.iter().all(|header| !header.contains("running")), "{headers:?}");
    let taken = limit(&first, "Bob", &id).await["used"].clone();
    for world in [&mut second, &mut first] {
        let refused = say_in(world, &conversation, LONG).await;
        assert_waits(&refused);
        let entry = world.entry_of(&refused.json()).await;
        assert_eq!(entry["rules"], json!(["turns.running"]), "{entry}");
    }
    // They have taken nothing, and have not come to a model.
    assert_eq!((&limit(&second, "Bob", &id).await["used"], first.stand_in.calls().len()), (&taken, 1));
    assert_eq!(limit(&second, "Bob", &format!("{id}-open")).await["used"], 1);
    // In another conversation, and of somebody else, there is room.
    assert_started(&say_in(&second, &Uuid::now_v7().to_string(), LONG).await);
    stop(&first, &conversation).await;
    let free = async |second: &mut World| say_in(second, &conversation, LONG).await.status == 200;
    second.until("there is room for the next", free).await;
    assert_waits(&say_in(&first, &conversation, LONG).await);
    assert_eq!(first.stand_in.calls().len(), 3);
}

#[tokio::test]
async fn of_turns_that_are_sent_to_one_conversation_over_two_tollgates_one_runs() {
    let Some(redis) = redis() else { return };
    let worlds = two_before_one_librechat(&fresh(), &redis).await;
    for round in 1..=3 {
        let conversation = Uuid::now_v7().to_string();
        let all = (0..8).map(|at| say_in(&worlds[at % 2], &conversation, LONG));
        let answers = futures_util::future::join_all(all).await;
        let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((taken.len(), refused.len()), (1, 7), "round {round}");
        refused.into_iter().for_each(assert_waits);
        assert_eq!(worlds[0].stand_in.calls().len(), round);
    }
}

/// What LibreChat refuses has no place in its conversation.
#[tokio::test]
async fn a_turn_that_librechat_refuses_leaves_room_for_that_of_another_tollgate() {
    let Some(redis) = redis() else { return };
    let fake = Fake::start(|mut socket, head| async move {
        if head.starts_with("POST") {
            let body = r#"{"error":"no"}"#;
            let head = format!(
                "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            return socket.write_all(format!("{head}{body}").as_bytes()).await.is_ok().then_some(socket);
        }
        None
    })
    .await;
    let policy = limits(&format!("      - {{ id: {}, requests: 9, per: user, window: 30d }}", fresh()));
    let plan = || World::with(&policy).upstream(&fake.url()).settings("timeouts: { limits: 10s }");
    let plan = || plan().variable("TOLLGATE_REDIS", &redis);
    let worlds = [plan().start().await, plan().start().await];
    let conversation = Uuid::now_v7().to_string();
    for at in 0..4 {
        let answer = say_in(&worlds[at % 2], &conversation, "hi").await;
        assert_eq!(answer.status, 500, "{at}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_and_all_else_goes_on() {
    let away = format!("redis://{}/0", free_address());
    let policy = limits("      - { id: rpm, requests: 10, per: user, window: 1m }");
    let mut world = World::with(&policy).variable("TOLLGATE_REDIS", &away).unready().await;
    let refused = say(&world, "Bob", &turn("hi")).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["type"]), (503, &json!("proxy_error")), "{body}");
    assert_eq!((&body["rule"], refused.header("retry-after")), (&json!("limits.unavailable"), "5"));
    assert!(body["message"].as_str().is_some_and(|message| message.contains("cannot be counted")), "{body}");
    assert!(world.reached().is_empty());
    let entry = world.entry_of(&body).await;
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("SYSTEM"), &json!("ERROR")));
    assert!(
        entry["details"]["error"].as_str().is_some_and(|error| error.starts_with("limits.unavailable: ")),
        "{entry}"
    );
    let mine = get(world.addr, MINE, &[("authorization", &world.bearer("Bob"))]).await;
    assert_eq!((mine.status.as_u16(), &mine.json()["rule"]), (503, &json!("limits.unavailable")));
    assert_started(&say(&world, "Ann", &turn("she has no limit")).await);
}
