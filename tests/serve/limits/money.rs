//! What a turn is thought to take, what bounds it, and LibreChat's own balance.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::*;
use crate::mongo::{Relay, Way, server_of, through, with_directory};
use crate::mongod::Mongod;
use crate::turns::{SOON, listen, start, used as units};

/// Users may use everything.
const FREE: &str = "version: 1\nroles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true } }\n";

/// A turn that runs until it is stopped.
const LONG: &str = "hello [[words=5000 delay=20]]";

/// Gives the person whose turns these are this balance.
async fn give(mongod: &Mongod, world: &World, who: &str, balance: Document) {
    let user = ObjectId::parse_str(&world.person(who).id).expect("an id");
    let balances = mongod.librechat.collection::<Document>("balances");
    balances.delete_many(doc! {"user": user}).await.expect("no balance");
    let mut document = balance;
    document.insert("user", user);
    balances.insert_one(document).await.expect("a balance");
}

/// The body of the last chat that LibreChat received.
fn received(world: &World) -> Value {
    let is_chat =
        |seen: &tollgate::demo::Seen| seen.method == Method::POST && seen.target.starts_with("/api/agents/chat");
    let seen = world.reached().into_iter().rfind(is_chat);
    serde_json::from_slice(&seen.expect("a chat").body).expect("JSON")
}

async fn stop(world: &World, who: &str, stream: &str) {
    let bearer = world.bearer(who);
    let headers = [("authorization", bearer.as_str())];
    let answer = post_json(world.addr, "/api/agents/chat/abort", &headers, &json!({"streamId": stream})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn what_was_said_before_counts_with_the_next_turn() {
    let policy = limits("      - { id: in, input_tokens: 1M, per: user, window: month }");
    let mut world = World::with(&policy).settings(SOON).start().await;
    let text = "seven different words make quite a sentence ".repeat(40);
    let first = start(&world, &format!("{text} [[words=3]]")).await;
    let said = listen(&world, &first).await.rest().await;
    let said: Vec<u8> = said.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    let said = String::from_utf8_lossy(&said).into_owned();
    let last: Value =
        serde_json::from_str(said.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap()).unwrap();
    let of_first = |entry: &Value| entry["kind"] == "usage" && entry["conversationId"] == first.as_str();
    world.entry("the first turn's entry", of_first).await;
    let before = units(&world, "in").await;
    // The same short text, in a new conversation and in the first one.
    let mut held = Vec::new();
    for (conversation, parent) in [
        (Value::Null, json!("00000000-0000-0000-0000-000000000000")),
        (json!(first), last["responseMessage"]["messageId"].clone()),
    ] {
        let body = json!({"text": LONG, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": conversation,
                          "parentMessageId": parent});
        let answer = say(&world, "Bob", &body).await;
        assert_started(&answer);
        let stream = answer.json()["streamId"].as_str().unwrap().to_owned();
        held.push(units(&world, "in").await);
        stop(&world, "Bob", &stream).await;
        let turns = held.len() / 2 + 2;
        let usage = |entry: &&Value| entry["kind"] == "usage";
        let all = async |world: &mut World| world.entries().iter().filter(usage).count() == turns;
        world.until("the stopped turn's entry is written", all).await;
        held.push(units(&world, "in").await);
    }
    let (new, more) = (held[0] - before, held[2] - held[1]);
    assert!((5..60).contains(&new), "a short text is counted, with what stands around it: {new}");
    // 40 times seven words, and the answer.
    assert!((new + 280..new + 420).contains(&more), "the conversation counts: {new}, then {more}");
}

#[tokio::test]
async fn a_strict_limit_bounds_the_answer_to_what_is_left_and_refuses_what_it_cannot_bound() {
    let policy = limits("      - { id: it, tokens: 2000, per: user, window: month, strict: true }");
    let world = World::with(&policy).settings(SOON).start().await;
    // The caller's own bound is kept where it is smaller.
    let mut body = turn(LONG);
    body["max_tokens"] = json!(10);
    let answer = say(&world, "Bob", &body).await;
    assert_started(&answer);
    assert_eq!(received(&world)["max_tokens"], 10);
    let held = units(&world, "it").await;
    assert!(held > LONG.len() as u64 && held < 1_000, "all that the prompt can have, and ten: {held}");
    // The next one gets all that is left, whatever it asks for.
    body["max_tokens"] = json!(100_000);
    assert_started(&say(&world, "Bob", &body).await);
    let bound = received(&world)["max_tokens"].as_u64().expect("a bound");
    // Its prompt has four digits more.
    assert_eq!((units(&world, "it").await, bound), (2_000, 2_000 - 2 * held + 10 - 4));
    // Nothing is left for a third.
    let refused = say(&world, "Bob", &turn("hello")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (429, &json!("roles.USER.limits.it")));
    // What cannot be bounded is refused, whatever is left.
    let world = World::with(&policy).start().await;
    for (member, value, told) in [
        ("files", json!([{"file_id": "f", "filepath": "/f", "type": "text/plain"}]), "the size of files is not known"),
        ("web_search", json!(true), "tools make the model answer several times"),
        ("promptPrefix", json!("You serve {{current_user}}."), "a variable"),
        ("addedConvo", json!({"endpoint": "openAI", "model": "gpt-4o"}), "a second conversation runs beside it"),
    ] {
        let mut body = turn("hello");
        body[member] = value;
        let refused = say(&world, "Bob", &body).await;
        let said = refused.json();
        assert_eq!(
            (refused.status.as_u16(), &said["rule"]),
            (403, &json!("roles.USER.limits.it")),
            "{member}: {}",
            refused.text()
        );
        assert!(said["message"].as_str().is_some_and(|message| message.contains(told)), "{member}: {said}");
    }
    assert!(!world.reached().iter().any(|seen| seen.target.starts_with("/api/agents/chat")), "none reached LibreChat");
    assert_eq!(limit(&world, "Bob", "it").await["used"], 0);
}

#[tokio::test]
async fn a_strict_limit_of_money_pays_for_the_longest_answer() {
    // The prompt counts a millionth of a dollar for each token, the answer four.
    let policy = "version: 1\nroles:\n  USER:\n    unrestricted: true\n    limits:\n\
                  \x20     - { id: it, cost: 0.002 USD, per: user, window: month, strict: true }\n\
                  prices: { default: { input: 1, output: 4 } }\nturns: { strict_output: 50 }\n";
    let world = World::with(policy).start().await;
    assert_started(&say(&world, "Bob", &turn(LONG)).await);
    assert_eq!(received(&world)["max_tokens"], 50, "no longer than the policy wants");
    assert_started(&say(&world, "Bob", &turn(LONG)).await);
    let mine = limit(&world, "Bob", "it").await;
    let used: f64 = mine["used"].as_str().expect("dollars").parse().expect("a number");
    assert!(used > 0.0004 && used <= 0.002, "{mine}");
}

#[tokio::test]
async fn librechats_balance_is_held_while_turns_run_and_stopped_ones_are_not_forgotten() {
    with_mongod(async |mongod| {
        let mut world = with_directory(FREE, mongod, &mongod.uri).settings(SOON).start().await;
        give(mongod, &world, "User", doc! {"tokenCredits": 1_000.0}).await;
        // An answer of 1,000 tokens is 600 credits by LibreChat's rates.
        let first = start(&world, LONG).await;
        let refused = say(&world, "User", &turn("hello")).await;
        let said = refused.json();
        assert_eq!(
            (refused.status.as_u16(), &said["type"], &said["rule"]),
            (402, &json!("token_balance"), &json!("librechat.balance"))
        );
        let [balance, cost] = ["balance", "tokenCost"].map(|name| said[name].as_u64().expect("a number"));
        assert!((390..400).contains(&balance) && (600..610).contains(&cost), "{said}");
        assert!(refused.header("retry-after").is_empty(), "waiting does not help");
        // LibreChat debits nothing for a turn that was stopped (CONTRACT.md E.4): it goes on counting here.
        let reading = listen(&world, &first).await;
        stop(&world, "User", &first).await;
        drop(reading);
        let entry = world.entry("the stopped turn's entry", |entry| {
            entry["kind"] == "usage" && entry["conversationId"] == first.as_str()
        });
        let entry = entry.await;
        let undebited = entry["charged"]
            .as_array()
            .unwrap()
            .iter()
            .find(|charge| charge["counter"].as_str().is_some_and(|counter| counter.starts_with("balance:user:")));
        let undebited = undebited.expect("the balance's counter")["amount"].as_u64().unwrap();
        assert!(undebited > 0 && undebited < 100, "{entry}");
        give(mongod, &world, "User", doc! {"tokenCredits": (cost + undebited - 1) as i64}).await;
        let refused = say(&world, "User", &turn("hello")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["balance"].as_u64()),
            (402, Some(cost - 1)),
            "{}",
            refused.text()
        );
        give(mongod, &world, "User", doc! {"tokenCredits": (cost + undebited) as i64}).await;
        assert_started(&say(&world, "User", &turn("hello")).await);
    })
    .await;
}

#[tokio::test]
async fn a_refill_that_is_due_counts_and_a_check_that_is_off_does_not() {
    with_mongod(async |mongod| {
        let world = with_directory(FREE, mongod, &mongod.uri).settings(SOON).start().await;
        let empty = doc! {"tokenCredits": 0.0, "autoRefillEnabled": true, "refillAmount": 700.0, "refillIntervalValue": 1,
                          "refillIntervalUnit": "hours"};
        let with = |hours: i64| {
            let at = mongodb::bson::DateTime::now().timestamp_millis() - hours * 3_600_000;
            let mut balance = empty.clone();
            balance.insert("lastRefill", mongodb::bson::DateTime::from_millis(at));
            balance
        };
        give(mongod, &world, "User", with(0)).await;
        let refused = say(&world, "User", &turn("hello")).await;
        assert_eq!((refused.status.as_u16(), refused.json()["balance"].as_u64()), (402, Some(0)), "{}", refused.text());
        give(mongod, &world, "User", with(2)).await;
        assert_started(&say(&world, "User", &turn("hello")).await);
        let off = with_directory(FREE, mongod, &mongod.uri).settings(SOON).settings("balance: { check: off }").start().await;
        give(mongod, &off, "User", with(0)).await;
        assert_started(&say(&off, "User", &turn("hello")).await);
    })
    .await;
}

#[tokio::test]
async fn what_librechat_never_debits_does_not_keep_a_refill_away() {
    with_mongod(async |mongod| {
        let mut world = with_directory(FREE, mongod, &mongod.uri).settings(SOON).start().await;
        let yesterday = mongodb::bson::DateTime::now().timestamp_millis() - 25 * 3_600_000;
        let balance = doc! {"tokenCredits": 605.0, "autoRefillEnabled": true, "refillAmount": 700.0, "refillIntervalValue": 1,
                            "refillIntervalUnit": "days", "lastRefill": mongodb::bson::DateTime::from_millis(yesterday)};
        give(mongod, &world, "User", balance).await;
        let first = start(&world, LONG).await;
        let mut reading = listen(&world, &first).await;
        for _ in 0..20 {
            reading.next().await.expect("a piece");
        }
        stop(&world, "User", &first).await;
        drop(reading);
        let of_first = |entry: &Value| entry["kind"] == "usage" && entry["conversationId"] == first.as_str();
        world.entry("the stopped turn's entry", of_first).await;
        // What it cost is more than what the balance has beyond the next turn's cost.
        assert_started(&say(&world, "User", &turn("hello")).await);
    })
    .await;
}

#[tokio::test]
async fn turns_that_could_not_be_followed_are_refused_where_they_take_something() {
    let world = World::with(&limits("      - { id: it, requests: 9, per: user, window: month }")).start().await;
    for (member, value) in [
        ("conversationId", json!("a b.0")),
        ("conversationId", json!("ä".repeat(100))),
        ("overrideConvoId", json!("b0076b47-3e54-4ad6-9d1e-21b2a3f0c0de")),
        ("overrideConvoId", json!(["b0076b47-3e54-4ad6-9d1e-21b2a3f0c0de"])),
    ] {
        let mut body = turn("hello");
        body[member] = value;
        let refused = say(&world, "Bob", &body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["rule"]),
            (400, &json!("select-conversation")),
            "{member}: {}",
            refused.text()
        );
        assert_started(&say(&world, "Ann", &body).await);
    }
    assert_eq!(limit(&world, "Bob", "it").await["used"], 0);
}

#[tokio::test]
async fn a_balance_that_is_no_number_is_refused_without_asking_to_try_again() {
    with_mongod(async |mongod| {
        let mut world = with_directory(FREE, mongod, &mongod.uri).start().await;
        let decimal: mongodb::bson::Decimal128 = "1000000".parse().expect("a decimal");
        for balance in
            [doc! {"tokenCredits": "1000000"}, doc! {"tokenCredits": decimal}, doc! {"tokenCredits": [1_000_000]}]
        {
            give(mongod, &world, "User", balance.clone()).await;
            let refused = say(&world, "User", &turn("hello")).await;
            let body = refused.json();
            assert_eq!(
                (refused.status.as_u16(), &body["rule"]),
                (502, &json!("balance.unreadable")),
                "{balance}: {body}"
            );
            assert_eq!(refused.header("retry-after"), "", "{balance}");
            assert!(body.to_string().contains("Waiting does not help"), "{body}");
            let entry = world.entry_of(&body).await;
            assert!(entry.to_string().contains("correct it in LibreChat's collection"), "{entry}");
            assert!(!entry.to_string().contains("1000000"), "what somebody has is not in the record: {entry}");
        }
        // What LibreChat's own arithmetic can do with is a number here, too.
        for (credits, status) in [(f64::INFINITY, 200), (f64::NEG_INFINITY, 402), (f64::NAN, 402)] {
            give(mongod, &world, "User", doc! {"tokenCredits": credits}).await;
            let answer = say(&world, "User", &turn("hello")).await;
            assert_eq!(answer.status, status, "{credits}: {}", answer.text());
        }
    })
    .await;
}

#[tokio::test]
async fn a_balance_that_cannot_be_read_covers_nothing_and_in_shadow_mode_none_is_read() {
    with_mongod(async |mongod| {
        let relay = Relay::to(server_of(&mongod.uri)).await;
        let uri = through(&relay, &mongod.uri);
        // People are remembered for a minute, so that the directory is not what is missed.
        let plan = |mode: &str| {
            with_directory(&format!("mode: {mode}\n{FREE}"), mongod, &uri).settings("identity: { cache: 60s }")
        };
        let (mut enforced, shadow) = (plan("enforce").start().await, plan("shadow").start().await);
        for world in [&enforced, &shadow] {
            assert_started(&say(world, "User", &turn("hello")).await);
        }
        relay.set(Way::Cut);
        enforced.until("it is not ready", async |world| get(world.admin, "/readyz", &[]).await.status == 503).await;
        let refused = say(&enforced, "User", &turn("hello")).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["rule"]),
            (503, &json!("limits.unavailable")),
            "{}",
            refused.text()
        );
        assert_started(&say(&shadow, "User", &turn("hello")).await);
    })
    .await;
}

#[tokio::test]
async fn callers_may_be_shown_what_is_left_of_their_own_budget() {
    let budget = "      - { id: it, cost: 0.5 USD, per: user, window: month }";
    for (settings, credits) in [("balance: { show: tollgate }", 500_000), ("balance: { show: librechat }", 20_000_000)]
    {
        let world = World::with(&limits(budget)).settings(settings).start().await;
        let bearer = world.bearer("Bob");
        let answer = get(world.addr, "/api/balance", &[("authorization", &bearer)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["tokenCredits"].as_u64()),
            (200, Some(credits)),
            "{}",
            answer.text()
        );
    }
}
