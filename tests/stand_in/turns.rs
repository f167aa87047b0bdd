//! Turns: a POST that starts one, and the stream, status and abort that follow it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::compare;
use crate::lab::{BASE, Exchange, Lab, SPECS, SPECS_ENFORCED, exchange, exchanges, none};
use crate::support::{self, Open, get, open, post_json};

/// The differences between a captured turn and ours: the POST, the stream, and the models called.
async fn turn(lab: &Lab, post: &Exchange, stream: Option<&Exchange>) -> Vec<String> {
    let answer = lab.send(post, None).await;
    let mut differences = post.differences(&answer);
    let calls = lab.called();
    let Some(stream) = stream else {
        if !calls.is_empty() {
            differences.push(format!("{}: called {calls:?}, captured none", post.name));
        }
        return differences;
    };
    let path = format!("/api/agents/chat/stream/{}", answer.json()["streamId"].as_str().unwrap_or_default());
    let heard = lab.send(stream, Some(&path)).await;
    differences.extend(compare::headers(&stream.response["headers"], &heard.headers));
    let events = compare::events(&heard.text());
    differences
        .extend(compare::streams(&stream.events(), &events).into_iter().map(|line| format!("{}: {line}", stream.name)));
    if calls != stream.models() && !post.name.contains("upstream") {
        differences.push(format!("{}: called {calls:?}, captured {:?}", stream.name, stream.models()));
    }
    differences
}

/// Turns of a file: each POST that starts one, with the stream that follows it.
fn turns(file: &str, from: &str, to: &str) -> Vec<(Exchange, Option<Exchange>)> {
    let mut turns: Vec<(Exchange, Option<Exchange>)> = Vec::new();
    for exchange in exchanges(file) {
        let number = exchange.name.split('_').next().unwrap();
        if number < from || number > to {
            continue;
        }
        if exchange.method() == Method::POST && exchange.path().to_lowercase().starts_with("/api/agents/chat") {
            turns.push((exchange, None));
        } else if let Some(last) = turns.last_mut() {
            let title = |exchange: &Exchange| exchange.name.split_once('_').unwrap().1.to_owned();
            if title(&exchange) == format!("{}-stream", title(&last.0)) {
                last.1 = Some(exchange);
            }
        }
    }
    turns.retain(|(post, _)| !post.path().ends_with("/abort"));
    turns
}

#[tokio::test]
async fn turns_go_as_in_the_captures() {
    let lab = Lab::start().await;
    let mut differences = Vec::new();
    let mut count = 0;
    // Turns that need the conversation of an earlier one, or a clock, have tests of their own; so have body encodings.
    let apart =
        ["chat-continue", "chat-regenerate", "chat-switch", "chat-edit", "chat-slow", "chat-abort", "body-", "resume"];
    for (post, stream) in turns(BASE, "140", "233") {
        if !apart.iter().any(|part| post.name.contains(part)) && !post.path().contains("..") {
            count += 1;
            differences.extend(turn(&lab, &post, stream.as_ref()).await);
        }
    }
    none(&differences);
    assert!(count >= 24, "only {count} turns were found");
}

#[tokio::test]
async fn stored_agents_run_their_own_model() {
    let lab = Lab::with_agent().await;
    let mut differences = Vec::new();
    let turns = turns(BASE, "263", "273");
    assert_eq!(turns.len(), 6, "six turns name an agent");
    for (post, stream) in turns {
        differences.extend(turn(&lab, &post, stream.as_ref()).await);
    }
    none(&differences);
}

#[tokio::test]
async fn specs_choose_as_in_the_captures() {
    for (file, enforce) in [(SPECS, false), (SPECS_ENFORCED, true)] {
        let lab = Lab::with_specs(enforce).await;
        let mut differences = Vec::new();
        let mut turns = turns(file, "013", "049");
        turns.retain(|(post, _)| !post.name.contains("agent-"));
        assert!(turns.len() >= 15, "only {} turns were found", turns.len());
        for (post, stream) in turns {
            differences.extend(turn(&lab, &post, stream.as_ref()).await);
        }
        none(&differences);
    }
}

#[tokio::test]
async fn bodies_in_other_forms_are_taken_as_librechat_takes_them() {
    let lab = Lab::start().await;
    let (addr, bearer) = (lab.stand_in.addr(), lab.bearer(&lab.user));
    let urlencoded = exchange(BASE, "216_body-urlencoded");
    none(&turn(&lab, &urlencoded, Some(&exchange(BASE, "217_body-urlencoded-stream"))).await);

    let json = "application/json";
    let doubled = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini","model":"gpt-4o"}"#;
    let wide: Vec<u8> = r#"{"endpoint":"openAI","model":"gpt-4o"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &str, Vec<u8>, &[&str]); 4] = [
        ("the last of two keys wins", json, doubled.into(), &["gpt-4o"]),
        ("a byte order mark is skipped", json, format!("\u{feff}{doubled}").into(), &["gpt-4o"]),
        ("UTF-16 is read", "application/json; charset=utf-16le", wide, &["gpt-4o"]),
        (
            "a form may nest",
            "application/x-www-form-urlencoded",
            b"endpoint=openAI&model=gpt-4o-mini&addedConvo%5Bendpoint%5D=openAI&addedConvo[model]=o1".to_vec(),
            &["gpt-4o-mini", "o1"],
        ),
    ];
    for (what, content_type, body, models) in cases {
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        let answer = support::request(addr, Method::POST, "/api/agents/chat", &headers, body.into()).await;
        assert_eq!(answer.json()["status"], "started", "{what}");
        assert_eq!(lab.called(), models, "{what}");
    }
}

/// Starts a turn and returns its id.
async fn start(lab: &Lab, body: Value) -> String {
    let answer =
        post_json(lab.stand_in.addr(), "/api/agents/chat", &[("authorization", &lab.bearer(&lab.user))], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["streamId"].as_str().expect("a stream's id").to_owned()
}

async fn listen(lab: &Lab, id: &str, resume: bool) -> Open {
    let path = format!("/api/agents/chat/stream/{id}{}", if resume { "?resume=true" } else { "" });
    open(lab.stand_in.addr(), Method::GET, &path, &[("authorization", &lab.bearer(&lab.user))], Bytes::new()).await
}

async fn rest(stream: Open) -> Vec<compare::Event> {
    let bytes: Vec<u8> = stream.rest().await.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    compare::events(&String::from_utf8(bytes).expect("UTF-8"))
}

fn ask(text: &str) -> Value {
    json!({"text": text, "endpoint": "openAI", "model": "gpt-4o-mini", "isTemporary": false})
}

/// What was said, all of it.
fn said(events: &[compare::Event]) -> String {
    events.iter().filter_map(|(_, data)| data.pointer("/data/delta/content/0/text")?.as_str()).collect()
}

#[tokio::test]
async fn the_first_listener_hears_everything_and_after_the_end_there_is_nothing() {
    let lab = Lab::start().await;
    let id = start(&lab, ask("[[words=3 delay=20]]")).await;
    let events = rest(listen(&lab, &id, false).await).await;
    assert_eq!(said(&events), "[gpt-4o-mini] alpha bravo");
    let path = format!("/api/agents/chat/stream/{id}");
    for (name, path) in
        [("167_stream-after-done", path), ("168_status-after-done", format!("/api/agents/chat/status/{id}"))]
    {
        let captured = exchange(BASE, name);
        none(&captured.differences(&lab.send(&captured, Some(&path)).await));
    }
}

#[tokio::test]
async fn words_come_one_at_a_time() {
    let lab = Lab::start().await;
    let id = start(&lab, ask("[[words=4 delay=150]]")).await;
    let pieces = listen(&lab, &id, false).await.rest().await;
    let words = pieces.iter().filter(|piece| String::from_utf8_lossy(&piece.bytes).contains("on_message_delta"));
    let times: Vec<Duration> = words.map(|piece| piece.after).collect();
    assert_eq!(times.len(), 4, "each word is a piece of its own");
    let spread = times[3].checked_sub(times[0]).unwrap();
    assert!(spread >= Duration::from_millis(150), "the words came within {spread:?}");
}

#[tokio::test]
async fn a_turn_goes_on_without_listeners_and_others_may_join() {
    let lab = Lab::start().await;
    let id = start(&lab, ask("[[words=40 delay=25]]")).await;
    let mut first = listen(&lab, &id, false).await;
    let mut heard = String::new();
    while !heard.contains(" bravo") {
        heard.push_str(&String::from_utf8_lossy(&first.next().await.expect("more to come").bytes));
    }
    drop(first);
    let (second, third) = (listen(&lab, &id, true).await, listen(&lab, &id, true).await);
    let (second, third) = tokio::join!(rest(second), rest(third));
    let captured = exchange(BASE, "174_resume-reader-b");
    for events in [&second, &third] {
        none(&compare::streams(&captured.events(), events));
        let before = events[0].1.pointer("/resumeState/aggregatedContent/0/text").and_then(Value::as_str).unwrap();
        assert!(before.contains("[gpt-4o-mini] alpha bravo"), "the summary holds what the first one heard: {before}");
        let whole = format!("{before}{}", said(events));
        assert_eq!(whole.split(' ').count(), 40, "summary and rest make up the whole answer");
    }
}

#[tokio::test]
async fn a_running_turn_is_shown_and_can_be_stopped_by_its_owner_alone() {
    let lab = Lab::start().await;
    let addr = lab.stand_in.addr();
    let id = start(&lab, ask("[[words=400 delay=30]]")).await;
    let mut stream = listen(&lab, &id, false).await;
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("on_message_delta") {
        heard.extend_from_slice(&stream.next().await.expect("more to come").bytes);
    }
    let mut differences = Vec::new();
    let (on, other) =
        (["152_chat-slow-active", "153_chat-slow-status"], ["171_stream-other-user", "173_status-other-user"]);
    for name in on.into_iter().chain(other) {
        let captured = exchange(BASE, name);
        let (start, _) = captured.path().rsplit_once('/').unwrap();
        let path = if name.contains("active") { captured.path().to_owned() } else { format!("{start}/{id}") };
        differences.extend(captured.differences(&lab.send(&captured, Some(&path)).await));
    }
    let mut foreign = exchange(BASE, "172_abort-other-user");
    foreign.request["body"]["conversationId"] = id.clone().into();
    differences.extend(foreign.differences(&lab.send(&foreign, None).await));
    let mut abort = exchange(BASE, "164_chat-abort-abort");
    abort.request["body"]["conversationId"] = id.clone().into();
    differences.extend(abort.differences(&lab.send(&abort, None).await));
    none(&differences);

    for piece in stream.rest().await {
        heard.extend_from_slice(&piece.bytes);
    }
    let events = compare::events(&String::from_utf8(heard).unwrap());
    none(&compare::streams(&exchange(BASE, "165_chat-abort-stream").events(), &events));
    assert_eq!(events.last().unwrap().1["aborted"], true);
    assert!(said(&events).split(' ').count() < 400, "it did not say everything");
    let active = get(addr, "/api/agents/chat/active", &[("authorization", &lab.bearer(&lab.user))]).await;
    assert_eq!(active.json(), json!({"activeJobIds": []}));
}

#[tokio::test]
async fn an_abort_of_an_unknown_turn_ends_the_newest_one() {
    let lab = Lab::start().await;
    let (addr, bearer) = (lab.stand_in.addr(), lab.bearer(&lab.user));
    let older = start(&lab, ask("[[words=400 delay=30]]")).await;
    let newer = start(&lab, ask("[[words=400 delay=30]]")).await;
    let body = json!({"conversationId": "somewhere-else"});
    let answer = post_json(addr, "/api/agents/chat/abort", &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.json(), json!({"success": true, "aborted": newer}));
    let active = get(addr, "/api/agents/chat/active", &[("authorization", &bearer)]).await;
    assert_eq!(active.json(), json!({"activeJobIds": [older]}));
}

#[tokio::test]
async fn what_was_said_is_kept() {
    let lab = Lab::start().await;
    let post = exchange(BASE, "140_chat-openAI-mini");
    let id = lab.send(&post, None).await.json()["streamId"].as_str().unwrap().to_owned();
    rest(listen(&lab, &id, false).await).await;
    let mut differences = Vec::new();
    let pages = [
        ("142_chat-openAI-mini-gen_title", format!("/api/convos/gen_title/{id}")),
        ("235_convo-get", format!("/api/convos/{id}")),
        ("234_convos-list", "/api/convos".to_owned()),
        ("237_messages-get", format!("/api/messages/{id}")),
        ("236_convo-get-unknown", "/api/convos/unknown".to_owned()),
        ("248_cross-user-convo", format!("/api/convos/{id}")),
    ];
    for (name, path) in pages {
        let captured = exchange(BASE, name);
        differences.extend(captured.differences(&lab.send(&captured, Some(&path)).await));
    }
    let mut intrusion = exchange(BASE, "249_cross-user-chat");
    intrusion.request["body"]["conversationId"] = id.into();
    lab.stand_in.forget();
    differences.extend(intrusion.differences(&lab.send(&intrusion, None).await));
    // The captured history is longer than one turn, and long lists are compressed.
    differences.retain(|line| !line.contains("_convos-list: header") && !line.contains("messages-get: header"));
    none(&differences);
    assert!(lab.called().is_empty(), "somebody else's conversation starts nothing");
}

#[tokio::test]
async fn an_answer_costs_and_an_empty_purse_ends_the_turn() {
    let lab = Lab::start().await;
    let before = lab.stand_in.balance(&lab.user);
    let id = start(&lab, ask("[[words=10]]")).await;
    rest(listen(&lab, &id, false).await).await;
    let paid = before - lab.stand_in.balance(&lab.user);
    // Five tokens of question at 0.15 and ten words of answer at 0.60.
    assert!((paid - 6.75).abs() < 1e-6, "paid {paid}");

    lab.stand_in.set_balance(&lab.user, 0.0);
    lab.stand_in.forget();
    let id = start(&lab, ask("I am poor")).await;
    let captured = exchange(BASE, "382_chat-balance-zero-stream");
    for _ in ["the first time", "and again"] {
        none(&compare::streams(&captured.events(), &rest(listen(&lab, &id, false).await).await));
    }
    assert!(lab.called().is_empty(), "nothing is called on credit");
}
