//! Limits from outside: who is refused, when, and in which words; what LibreChat's own refusals give back; and what callers are
//! told of their limits.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tollgate::clock::Clock;

use crate::fake::Fake;
use crate::mongod::with_mongod;
use crate::remote::{KEY, fill, with_keys};
use crate::support::{Answer, get, open, post_json, request};
use crate::world::{World, free_address};

mod given_back;
mod kept;
mod lost;
mod many;
mod money;
mod near;
pub(crate) mod together;

const CHAT: &str = "/api/agents/chat/openAI";
const MINE: &str = "/api/v1/me/limits";

/// Users may use everything, and have these limits.
fn limits(limits: &str) -> String {
    format!(
        "version: 1\nroles:\n  USER:\n    unrestricted: true\n    limits:\n{limits}\n  ADMIN: {{ unrestricted: true }}\n\
         prices: {{ default: {{ input: 1, output: 1 }} }}\n"
    )
}

fn turn(text: &str) -> Value {
    json!({"text": text, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null})
}

async fn say(world: &World, who: &str, body: &Value) -> Answer {
    let bearer = world.bearer(who);
    post_json(world.addr, CHAT, &[("authorization", &bearer)], body).await
}

async fn mine(world: &World, who: &str) -> Value {
    let answer = get(world.addr, MINE, &[("authorization", &world.bearer(who))]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The caller's limit of this id.
async fn limit(world: &World, who: &str, id: &str) -> Value {
    let mine = mine(world, who).await;
    let limits = mine["limits"].as_array().expect("a list");
    limits.iter().find(|limit| limit["id"] == id).unwrap_or_else(|| panic!("{id} is not in {mine}")).clone()
}

/// Waits until so much of a limit is used.
async fn used(world: &mut World, id: &str, used: Value) {
    let what = format!("{used} of {id} is used");
    world.until(&what, async |world| limit(world, "Bob", id).await["used"] == used).await;
}

fn assert_started(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("started")), "{}", answer.text());
}

/// A number of a header, which is to be there.
fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|_| panic!("{name}: {:?} in {answer:?}", answer.header(name)))
}

#[tokio::test]
async fn requests_are_refused_at_the_limit_with_rule_reset_and_headers() {
    let policy = limits("      - { id: month, requests: 3, per: user, window: 30d }");
    let mut world = World::with(&policy).start().await;
    for left in [2, 1, 0] {
        let answer = say(&world, "Bob", &turn("hi")).await;
        assert_started(&answer);
        assert_eq!(answer.header("ratelimit-policy"), r#""month";q=3;qu="requests";w=2592000"#);
        let (limit, remaining) = (number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining"));
        assert_eq!((limit, remaining), (3, left));
        let resets = number(&answer, "ratelimit-reset");
        assert_eq!(answer.header("ratelimit"), format!(r#""month";r={left};t={resets}"#));
        // 80 % is the default.
        let near = if left == 0 { r#""month";used=100"# } else { "" };
        assert_eq!(answer.header("tollgate-limits-near"), near);
    }
    world.stand_in.forget();
    let before = Clock::system().now();
    let refused = say(&world, "Bob", &turn("hi")).await;
    let body = refused.json();
    assert_eq!(refused.status, 429, "{body}");
    let (id, resets_at) = (body["request_id"].as_str().expect("an id"), body["resets_at"].as_str().expect("a moment"));
    let moment: Timestamp = resets_at.parse().expect("RFC 3339");
    let (day, time) = resets_at.trim_end_matches('Z').split_once('T').expect("a date and a time");
    let message =
        format!("The limit month of 3 requests in 30 days is reached. There is room again on {day} at {time} (UTC).");
    assert_eq!(
        refused.text(),
        format!(
            r#"{{"type":"message_limit","max":3,"windowInMinutes":43200,"message":"{message}","rule":"roles.USER.limits.month","resets_at":"{resets_at}","request_id":"{id}"}}"#
        )
    );
    // One of three in thirty days.
    let wait = number(&refused, "retry-after");
    assert!((863_900..=864_001).contains(&wait), "{wait}");
    let told = moment.as_second() - before.as_second();
    assert!((told - i64::try_from(wait).expect("seconds")).abs() <= 2, "{told} and {wait}");
    assert_eq!(refused.header("ratelimit"), format!(r#""month";r=0;t={wait}"#));
    assert_eq!(number(&refused, "ratelimit-reset"), wait);
    assert_eq!(refused.header("cache-control"), "no-store");
    assert!(world.reached().is_empty(), "LibreChat hears nothing: {:?}", world.reached());

    let entry = world.entry_of(&body).await;
    assert_eq!((&entry["decision"], &entry["rules"]), (&json!("deny"), &json!(["roles.USER.limits.month"])));
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("API"), &json!("WARNING")));
    assert_eq!(
        (&entry["details"]["response"]["message"], &entry["metadata"]["model"]),
        (&json!(message), &json!("gpt-4o-mini"))
    );
    assert_started(&say(&world, "Ann", &turn("hi")).await);
    assert!(say(&world, "Ann", &turn("hi")).await.header("ratelimit").is_empty(), "who has no limit is told of none");
    let series = r#"tollgate_refusals_total{code="limits.reached"}"#;
    assert_eq!(world.metric(series).await, "1");
    let (_, entries) = world.stop().await;
    let of_it = entries.iter().filter(|entry| entry["requestId"] == body["request_id"]);
    assert_eq!(
        of_it.map(|entry| entry["kind"].clone()).collect::<Vec<_>>(),
        ["audit"],
        "what was refused has no usage"
    );
}

/// How many turns of this text are taken until one is refused, and that refusal.
async fn until_refused(world: &World, text: &str) -> (usize, Answer) {
    for taken in 0..40 {
        let answer = say(world, "Bob", &turn(text)).await;
        if answer.status != 200 {
            return (taken, answer);
        }
    }
    panic!("nothing is refused")
}

#[tokio::test]
async fn every_measure_holds_and_is_told_in_its_own_shape() {
    // About 2000 tokens.
    let text = "word ".repeat(2000);
    for (limit, least, most, start, rule) in [
        (
            "messages: 2, window: 30d",
            2,
            2,
            r#"{"type":"message_limit","max":2,"windowInMinutes":43200,"message":""#,
            429,
        ),
        (
            "tokens: 20k, window: 30d",
            4,
            14,
            r#"{"type":"message_limit","max":20000,"windowInMinutes":43200,"message":""#,
            429,
        ),
        (
            "input_tokens: 20k, window: 90m",
            4,
            14,
            r#"{"type":"message_limit","max":20000,"windowInMinutes":90,"message":""#,
            429,
        ),
        ("cost: 0.02 USD, window: 30d", 4, 14, r#"{"type":"token_balance","balance":"#, 402),
        (
            "requests: 0, window: 90s",
            0,
            0,
            r#"{"type":"message_limit","max":0,"windowInMinutes":1.5,"message":"This is closed to you"#,
            429,
        ),
    ] {
        let world = World::with(&limits(&format!("      - {{ id: it, per: user, {limit} }}"))).start().await;
        let (taken, refused) = until_refused(&world, &text).await;
        assert!((least..=most).contains(&taken), "{limit}: {taken} were taken");
        assert!(refused.text().starts_with(start), "{limit}: {}", refused.text());
        let body = refused.json();
        assert_eq!((refused.status.as_u16(), &body["rule"]), (rule, &json!("roles.USER.limits.it")), "{limit}");
        let closed = limit.starts_with("requests: 0");
        assert_eq!(
            (body.get("resets_at").is_none(), refused.header("retry-after").is_empty()),
            (closed, closed),
            "{limit}"
        );
        assert_eq!(refused.text().matches(['{', '}']).count(), 2, "the client counts braces: {}", refused.text());
        if rule == 402 {
            let [balance, cost, prompt] =
                ["balance", "tokenCost", "promptTokens"].map(|name| body[name].as_u64().expect("a number"));
            assert!(balance < cost && cost >= prompt && prompt > 1000, "{body}");
            assert!(refused.header("ratelimit-policy").starts_with(r#""it";q=20000;qu="micro-usd";"#), "in millionths");
        }
    }
}

#[tokio::test]
async fn so_many_at_a_time_are_open_and_no_more() {
    // LibreChat thinks about it until it is told to refuse.
    let (gate, opened) = tokio::sync::watch::channel(false);
    let fake = Fake::start(move |mut socket, _| {
        let mut opened = opened.clone();
        async move {
            opened.wait_for(|open| *open).await.ok()?;
            let said =
                "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            socket.write_all(said.as_bytes()).await.is_ok().then_some(socket)
        }
    })
    .await;
    let policy = limits("      - { id: parallel, concurrent: 2, per: user }");
    let mut world = World::with(&policy).upstream(&fake.url()).start().await;
    let mut open = JoinSet::new();
    for _ in 0..2 {
        let (addr, bearer) = (world.addr, world.bearer("Bob"));
        open.spawn(async move { post_json(addr, CHAT, &[("authorization", &bearer)], &turn("hi")).await });
    }
    world.until("LibreChat is asked twice", async |_| fake.heads().len() == 2).await;
    let refused = say(&world, "Bob", &turn("hi")).await;
    let body = refused.json();
    assert_eq!(refused.status, 429, "{body}");
    assert!(refused.text().starts_with(r#"{"type":"concurrent","limit":2,"message":"#), "{}", refused.text());
    assert_eq!((&body["rule"], body.get("resets_at")), (&json!("roles.USER.limits.parallel"), None));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-reset")), ("5", ""));
    assert_eq!(refused.header("ratelimit-policy"), r#""parallel";q=2;qu="concurrent-requests""#);
    assert_eq!(limit(&world, "Bob", "parallel").await["used"], 2);
    gate.send(true).expect("LibreChat waits");
    for answer in open.join_all().await {
        assert_eq!((answer.status.as_u16(), answer.text()), (429, "{}".to_owned()), "LibreChat's own words");
    }
    assert_eq!(limit(&world, "Bob", "parallel").await["used"], 0, "what it refuses is open no more");
    assert_eq!(say(&world, "Bob", &turn("hi")).await.text(), "{}");
}

#[tokio::test]
async fn what_is_larger_than_the_limit_is_told_so() {
    let world = World::with(&limits("      - { id: small, input_tokens: 50, per: user, window: 1h }")).start().await;
    let refused = say(&world, "Bob", &turn(&"word ".repeat(200))).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["type"], &body["max"]), (429, &json!("message_limit"), &json!(50)));
    let message = body["message"].as_str().expect("a sentence");
    assert!(message.starts_with("This request needs about ") && message.ends_with("Make it shorter."), "{message}");
    assert_eq!((body.get("resets_at"), refused.header("retry-after")), (None, ""), "waiting does not help");
}

#[tokio::test]
async fn nobody_is_told_to_shorten_what_the_answer_makes_too_large() {
    // A thousand tokens of an answer are all that there is money for.
    let world = World::with(&limits("      - { id: small, cost: 0.001 USD, per: user, window: day }")).start().await;
    let refused = say(&world, "Bob", &turn("what is the time now")).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["rule"]), (402, &json!("roles.USER.limits.small")), "{body}");
    let message = body["message"].as_str().expect("a sentence");
    assert!(
        message.ends_with(
            "No prompt is short enough, as the answer is counted with 0.001 USD beforehand: limit its length, or choose a cheaper model."
        ),
        "{message}"
    );
    // Who does what it says gets through.
    let mut bounded = turn("what is the time now");
    bounded["max_tokens"] = json!(100);
    assert_started(&say(&world, "Bob", &bounded).await);
}

#[tokio::test]
async fn of_several_limits_the_last_to_reset_is_told_and_all_are_recorded() {
    let policy = limits(
        "      - { id: minute, requests: 1, per: user, window: 1m }\n      - { id: month, messages: 1, per: user, window: 30d }\n      \
         - { id: wide, requests: 100, per: user, window: 1h }",
    ) + "messages: { limit_reached: 'Enough of {limit} until {resets_at}.' }\n";
    let mut world = World::with(&policy).start().await;
    assert_started(&say(&world, "Bob", &turn("hi")).await);
    let refused = say(&world, "Bob", &turn("hi")).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["rule"]), (429, &json!("roles.USER.limits.month")));
    assert!(body["message"].as_str().is_some_and(|message| message.starts_with("Enough of month until 2")), "{body}");
    assert!(number(&refused, "retry-after") > 60);
    let entry = world.entry_of(&body).await;
    assert_eq!(entry["rules"], json!(["roles.USER.limits.month", "roles.USER.limits.minute"]));
    assert_eq!(limit(&world, "Bob", "wide").await["used"], 1, "what is refused takes nothing from the others");
}

#[tokio::test]
async fn a_second_model_in_parallel_counts() {
    let policy = limits("      - { id: room, requests: 1, per: user, window: 30d, endpoints: [MindRoom] }");
    let world = World::with(&policy).start().await;
    let mut both = turn("hi");
    both["addedConvo"] = json!({"endpoint": "MindRoom", "model": "mindroom-basic"});
    assert_started(&say(&world, "Bob", &both).await);
    assert_eq!(say(&world, "Bob", &both).await.json()["rule"], "roles.USER.limits.room");
    assert_started(&say(&world, "Bob", &turn("without it")).await);
}

#[tokio::test]
async fn a_hundred_at_once_against_ten_are_exactly_ten() {
    let policy = limits(
        "      - { id: ten, requests: 10, per: user, window: 30d }\n      - { id: more, tokens: 100M, per: user, window: 1h }",
    );
    let world = World::with(&policy).start().await;
    let bearer = world.bearer("Bob");
    let mut asked = JoinSet::new();
    for _ in 0..100 {
        let (addr, bearer) = (world.addr, bearer.clone());
        asked.spawn(async move { post_json(addr, CHAT, &[("authorization", &bearer)], &turn("hi")).await });
    }
    let answers = asked.join_all().await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), refused.len()), (10, 90));
    for answer in refused {
        assert_eq!((answer.status.as_u16(), &answer.json()["rule"]), (429, &json!("roles.USER.limits.ten")));
    }
    assert_eq!(world.stand_in.calls().len(), 10);
    assert_eq!(limit(&world, "Bob", "ten").await["used"], 10);
}

#[tokio::test]
async fn a_limit_in_shadow_mode_counts_and_refuses_nothing() {
    let shadow = "      - { id: quiet, requests: 1, per: user, window: 30d, mode: shadow }";
    let whole = format!("mode: shadow\n{}", limits(&shadow.replace(", mode: shadow", "")));
    for policy in [limits(shadow), whole] {
        let mut world = World::with(&policy).start().await;
        for (decision, severity) in [("allow", "INFO"), ("shadow", "WARNING")] {
            let answer = say(&world, "Bob", &turn("hi")).await;
            assert_started(&answer);
            assert!(answer.header("ratelimit").is_empty(), "it limits nobody");
            let id = answer.json()["streamId"].clone();
            let of = |entry: &Value| entry["kind"] == "audit" && entry["metadata"]["conversationId"] == id;
            let entry = world.entry("the decision", of).await;
            assert_eq!((&entry["decision"], &entry["severity"]), (&json!(decision), &json!(severity)));
            let named = entry["rules"].as_array().expect("rules").contains(&json!("roles.USER.limits.quiet"));
            assert_eq!(named, decision == "shadow", "{entry}");
            let would = if named { json!(["roles.USER.limits.quiet"]) } else { Value::Null };
            assert_eq!(
                (&entry["wouldRefuse"], &entry["groups"]),
                (&would, &json!([])),
                "what allowed it is told apart"
            );
        }
        let quiet = limit(&world, "Bob", "quiet").await;
        assert_eq!((&quiet["used"], &quiet["mode"]), (&json!(1), &json!("shadow")));
        assert_eq!(world.metric("tollgate_limit_shadowed_total{limit=\"quiet\"}").await, "1");
    }
}

#[tokio::test]
async fn callers_are_told_their_own_limits() {
    let policy = limits(
        "      - { id: rpm, requests: 4, per: user, window: 1h, warn_at: 50 }\n      - { id: pool, cost: 0.50 USD, per: role, window: \
         month, timezone: Europe/Berlin, models: ['gpt-*'], endpoints: [openAI] }\n      - { id: parallel, concurrent: 50, per: user }\n      \
         - { id: shut, messages: 0, per: user, window: day, models: [o1] }",
    );
    let mut world = World::with(&policy).start().await;
    let untouched = mine(&world, "Bob").await;
    let ids: Vec<_> = untouched["limits"].as_array().expect("a list").iter().map(|limit| limit["id"].clone()).collect();
    assert_eq!(ids, ["parallel", "pool", "rpm", "shut"], "of one entry by their ids");
    assert_eq!(
        untouched["limits"][2],
        json!({"id": "rpm", "measure": "requests", "per": "user", "window": "1h", "limit": 4, "used": 0, "remaining": 4,
               "resets_at": null, "near": false, "mode": "enforce"})
    );
    assert_eq!(
        untouched["limits"][1],
        json!({"id": "pool", "measure": "cost", "per": "role", "window": "month", "timezone": "Europe/Berlin",
               "models": ["gpt-*"], "endpoints": ["openAI"], "limit": "0.5", "used": "0", "remaining": "0.5",
               "resets_at": null, "near": false, "mode": "enforce"})
    );
    for _ in 0..2 {
        assert_started(&say(&world, "Bob", &turn(&"word ".repeat(100))).await);
    }
    used(&mut world, "rpm", json!(2)).await;
    let rpm = limit(&world, "Bob", "rpm").await;
    assert_eq!((&rpm["remaining"], &rpm["near"]), (&json!(2), &json!(true)));
    assert!(rpm["resets_at"].as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok()), "{rpm}");
    let pool = limit(&world, "Bob", "pool").await;
    let [spent, left] = ["used", "remaining"].map(|name| pool[name].as_str().expect("decimal text").to_owned());
    assert!(spent.starts_with("0.00") && left.starts_with("0.49"), "{pool}");
    assert!(pool["resets_at"].as_str().is_some_and(|at| at.ends_with(":00:00Z")), "midnight in Berlin: {pool}");
    assert!(!pool.to_string().contains("Bob") && !pool.to_string().contains(&world.person("Bob").id));
    let shut = limit(&world, "Bob", "shut").await;
    assert_eq!((&shut["limit"], &shut["near"], &shut["resets_at"]), (&json!(0), &json!(true), &Value::Null));
    assert_eq!(mine(&world, "Ann").await["limits"], json!([]), "she has none");
    as_documented(&mine(&world, "Bob").await);
    assert!(world.reached().iter().all(|seen| seen.method == Method::POST), "LibreChat is never asked");
}

/// The page of limits shows an answer with the members that this one has.
fn as_documented(answer: &Value) {
    let page = include_str!("../../docs/limits.md");
    let (_, shown) = page.split_once("```json limits\n").expect("an example");
    let shown: Value = serde_json::from_str(shown.split("```").next().expect("its end")).expect("JSON");
    let kinds = |value: &Value| match value {
        Value::Object(members) => members.keys().cloned().collect::<Vec<_>>(),
        _ => panic!("{value} is no object"),
    };
    assert_eq!(kinds(&shown), kinds(answer));
    for limit in shown["limits"].as_array().expect("a list") {
        let same = answer["limits"].as_array().expect("a list").iter().find(|other| other["id"] == limit["id"]);
        let same = same.unwrap_or_else(|| panic!("{} is not in {answer}", limit["id"]));
        assert_eq!(kinds(limit), kinds(same));
        for fixed in ["measure", "per", "window", "timezone", "models", "endpoints", "limit", "near", "mode"] {
            assert_eq!(limit[fixed], same[fixed], "{fixed}");
        }
    }
}

#[tokio::test]
async fn the_route_of_ones_own_limits_is_for_those_who_are_signed_in() {
    let world = World::with(&limits("      - { id: rpm, requests: 4, per: user, window: 1h }")).start().await;
    let bearer = world.bearer("Bob");
    let nobody = get(world.addr, MINE, &[]).await;
    assert_eq!((nobody.status.as_u16(), nobody.text()), (401, r#"{"message":"No auth token"}"#.to_owned()));
    let forged = get(world.addr, MINE, &[("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")]).await;
    assert_eq!(forged.status, 401);
    let headers = [("authorization", bearer.as_str())];
    for (method, path, status) in [
        (Method::GET, "/API/V1/Me/Limits/", 200),
        (Method::HEAD, MINE, 200),
        (Method::POST, MINE, 405),
        (Method::DELETE, MINE, 405),
        (Method::GET, "/api/v1/me", 404),
        (Method::GET, "/api/v1/me/limits/x", 404),
        (Method::GET, "/api/v1/admin/users", 404),
    ] {
        let answer = request(world.addr, method.clone(), path, &headers, "".into()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.body.is_empty(), method == Method::HEAD);
        }
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
}

#[tokio::test]
async fn the_remote_agent_api_takes_from_the_owners_limits_in_its_own_shape() {
    with_mongod(async |mongod| {
        fill(mongod).await;
        for (limit, status, kind, code) in [
            ("requests: 2, window: 30d", 429, "rate_limit_error", "rate_limit_exceeded"),
            ("cost: 0.000001 USD, window: 30d", 402, "insufficient_quota", "insufficient_quota"),
        ] {
            let policy = limits(&format!("      - {{ id: it, per: user, {limit} }}"));
            let mut world = with_keys(&policy, mongod, &mongod.uri).start().await;
            let bearer = format!("Bearer {KEY}");
            let run = json!({"model": "agent_cheap", "messages": [{"role": "user", "content": "hi"}], "input": "hi"});
            for path in ["/api/agents/v1/chat/completions", "/api/agents/v1/responses"] {
                let answer = post_json(world.addr, path, &[("authorization", &bearer)], &run).await;
                assert_eq!(answer.status == 200, status == 429, "{}", answer.text());
                assert!(!answer.header("ratelimit-policy").is_empty(), "{}", answer.text());
            }
            world.stand_in.forget();
            let refused = post_json(world.addr, "/api/agents/v1/responses", &[("authorization", &bearer)], &run).await;
            let error = refused.json()["error"].clone();
            assert_eq!((refused.status.as_u16(), &error["type"], &error["code"]), (status, &json!(kind), &json!(code)));
            assert_eq!(error["rule"], "roles.USER.limits.it");
            assert!(error["message"].as_str().is_some_and(|message| message.contains("limit it")), "{error}");
            assert_eq!(refused.header("retry-after").is_empty(), status == 402, "what costs more than all never fits");
            assert!(world.reached().is_empty());
            let entry = world.entry_of(&error).await;
            assert_eq!((&entry["decision"], &entry["rules"]), (&json!("deny"), &json!(["roles.USER.limits.it"])));
        }
    })
    .await;
}

#[tokio::test]
async fn what_starts_no_model_takes_nothing() {
    let world = World::with(&limits("      - { id: one, requests: 1, per: user, window: 30d }")).start().await;
    let bearer = world.bearer("Bob");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let denied = turn("no model")["text"].clone();
    for (method, path, body) in [
        (Method::GET, "/api/agents/chat/stream/x", String::new()),
        (Method::GET, "/api/agents/chat/status/x", String::new()),
        (Method::GET, "/api/agents/chat/active", String::new()),
        (Method::POST, "/api/agents/chat/abort", json!({"streamId": "x"}).to_string()),
        (Method::GET, "/api/convos/gen_title/x", String::new()),
        (Method::GET, "/api/models", String::new()),
        // Refused: it has no model.
        (Method::POST, CHAT, json!({"text": denied, "endpoint": "openAI"}).to_string()),
    ] {
        let headers = if body.is_empty() { &headers[..1] } else { &headers[..] };
        request(world.addr, method, path, headers, body.into()).await;
    }
    assert_eq!(limit(&world, "Bob", "one").await["used"], 0);
    assert_started(&say(&world, "Bob", &turn("hi")).await);
    assert_eq!(limit(&world, "Bob", "one").await["used"], 1);
}

#[tokio::test]
async fn assistants_count_also_for_those_who_may_use_everything() {
    let policy = limits("      - { id: one, requests: 1, per: user, window: 30d, endpoints: [assistants] }");
    let fake = Fake::start(|mut socket, _| async move {
        let events = "data: {\"final\":true}\n\n";
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n", events.len());
        socket.write_all(format!("{head}{events}").as_bytes()).await.is_ok().then_some(socket)
    })
    .await;
    let world = World::with(&policy).upstream(&fake.url()).start().await;
    let bearer = world.bearer("Bob");
    let chat = json!({"endpoint": "assistants", "model": "gpt-4o", "assistant_id": "asst_x", "text": "hi"});
    let ask = async || post_json(world.addr, "/api/assistants/v2/chat", &[("authorization", &bearer)], &chat).await;
    let first = ask().await;
    assert_eq!((first.status.as_u16(), first.header("ratelimit-remaining")), (200, "0"));
    let refused = ask().await;
    assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (429, &json!("roles.USER.limits.one")));
    // The client of assistants reads `text` as it reads the text of an error event.
    let shown: Value = serde_json::from_str(refused.json()["text"].as_str().expect("a text")).expect("an object");
    assert_eq!((&shown["type"], &shown["max"]), (&json!("message_limit"), &json!(1)));
    assert_eq!(fake.heads().len(), 1);
}
