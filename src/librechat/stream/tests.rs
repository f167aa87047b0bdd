use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The exchanges of a file of captures, by name.
fn captured() -> BTreeMap<String, Value> {
    let lines = include_str!("../../../tests/captures/base.jsonl").lines();
    let read = |line| {
        let exchange: Value = serde_json::from_str(line).unwrap();
        (exchange["name"].as_str().unwrap().to_owned(), exchange["response"].clone())
    };
    lines.map(read).collect()
}

/// The bytes of a captured stream.
fn bytes(response: &Value) -> Vec<u8> {
    response["sse"].as_array().unwrap().iter().flat_map(|event| event.as_str().unwrap().bytes()).collect()
}

/// The events of a stream that comes in such chunks, for comparison.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for chunk in chunks {
        reader.push(chunk, &mut |event| events.push(format!("{event:?}")));
    }
    events
}

/// What a stream says in the end, and the text of its deltas by agent.
#[derive(Debug, Default)]
struct Heard {
    created: usize,
    steps: usize,
    text: BTreeMap<Option<String>, String>,
    sync: Option<SoFar>,
    last: Option<Final>,
    error: Option<String>,
}

fn hear(stream: &[u8]) -> Heard {
    let mut heard = Heard::default();
    Reader::default().push(stream, &mut |event| match event {
        Event::Created { message } => {
            assert_eq!(message.map(str::len), Some(36));
            heard.created += 1;
        }
        Event::Step { .. } => heard.steps += 1,
        Event::Call { .. } => {}
        Event::Text { agent, text } => *heard.text.entry(agent.map(str::to_owned)).or_default() += text,
        Event::Sync(so_far) => heard.sync = Some(so_far),
        Event::Final(last) => heard.last = Some(last),
        Event::Error(error) => heard.error = Some(error.to_owned()),
        other => panic!("{other:?}"),
    });
    heard
}

/// The pieces of an end as the deltas have them.
fn by_agent(said: &Said) -> BTreeMap<Option<String>, String> {
    let mut all = BTreeMap::<Option<String>, String>::new();
    for piece in &said.pieces {
        *all.entry(piece.agent.as_deref().map(str::to_owned)).or_default() += &piece.text;
    }
    all
}

#[test]
fn the_deltas_of_every_captured_stream_are_its_final_text() {
    let mut streams = 0;
    for (name, response) in captured() {
        let chat =
            response["sse"][0].as_str().is_some_and(|first| first.starts_with("event: message\ndata: {\"created\""));
        // The one answer that continues an older one repeats it at the end.
        if !chat || name == "162_chat-edit-continue-stream" {
            continue;
        }
        let heard = hear(&bytes(&response));
        if let Some(last) = heard.last {
            assert_eq!(heard.text, by_agent(&last.said), "{name}");
            assert!(heard.steps > 0 || last.said.failed || last.aborted, "{name}");
            streams += 1;
        }
    }
    assert!(streams > 30, "{streams}");
}

#[test]
fn every_captured_stream_is_counted_within_three_hundredths_of_the_providers_own_usage() {
    // The captured provider takes a word for a token, so that this shows what is read and lost, and not what a tokenizer makes
    // of it: each model's own text, in the provider's own unit.
    let count = |text: &str| text.split_whitespace().count() as f64;
    let captured = captured();
    let (mut streams, mut calls) = (0, 0);
    for line in include_str!("../../../tests/captures/usage.jsonl").lines() {
        let (name, usage): (String, Vec<(String, u64, u64)>) = serde_json::from_str(line).unwrap();
        let heard = hear(&bytes(&captured[&name]));
        // Each model begins its answer with its own name.
        for (model, _, output) in &usage {
            let own = heard.text.values().find(|text| text.starts_with(&format!("[{model}] ")));
            let counted = count(own.unwrap_or_else(|| panic!("{name}: {model} has no text")));
            let off = (counted - *output as f64).abs() / *output as f64;
            assert!(off <= 0.03, "{name} {model}: {counted} of {output}");
            calls += 1;
        }
        assert_eq!(heard.text.len(), usage.len(), "{name}");
        streams += 1;
    }
    assert_eq!((streams, calls), (29, 33));
}

#[test]
fn a_plain_turn_is_told() {
    let heard = hear(&bytes(&captured()["141_chat-openAI-mini-stream"]));
    assert_eq!((heard.created, heard.steps), (1, 1));
    let last = heard.last.unwrap();
    assert_eq!(last.response.as_deref(), Some("4dc573e1-9316-4c03-8055-f0f30612ef0b"));
    assert_eq!((last.prompt_tokens, last.aborted, last.early), (Some(7), false, false));
    assert_eq!((last.endpoint.as_deref(), last.model.as_deref()), (Some("openAI"), Some("gpt-4o-mini")));
    assert!(heard.text[&None].starts_with("[gpt-4o-mini] alpha bravo"), "{:?}", heard.text);
}

#[test]
fn a_stopped_turn_says_so_and_what_it_wrote() {
    let last = hear(&bytes(&captured()["165_chat-abort-stream"])).last.unwrap();
    assert_eq!((last.aborted, last.early, last.prompt_tokens), (true, false, None));
    assert_eq!(last.response.as_deref(), Some("676d7ae6-aac6-4274-bd92-b6776931e6ad"));
    let [piece] = &last.said.pieces[..] else { panic!("{last:?}") };
    assert!(piece.text.ends_with("juliett kilo lima"), "{piece:?}");
    let early = br#"data: {"final":true,"conversation":null,"requestMessage":null,"responseMessage":null,"aborted":true,"earlyAbort":true}"#;
    let last = hear(&[&early[..], b"\n\n"].concat()).last.unwrap();
    assert_eq!((last.aborted, last.early, last.response), (true, true, None));
}

#[test]
fn models_beside_each_other_are_told_apart() {
    let captured = captured();
    let heard = hear(&bytes(&captured["182_chat-addedConvo-stream"]));
    let agents: Vec<_> = heard.text.keys().map(|agent| agent.as_deref().unwrap()).collect();
    assert_eq!(agents, ["openAI__gpt-4o-mini", "openAI__gpt-4o____1"]);
    assert!(heard.text[&Some("openAI__gpt-4o____1".to_owned())].starts_with("[gpt-4o] "));
    let heard = hear(&bytes(&captured["280_chat-agent-edges-stream"]));
    let agents: Vec<_> = heard.text.keys().map(|agent| agent.as_deref().unwrap()).collect();
    assert_eq!(agents, ["agent_3jQ3rziVxJnmR5ZaSC0E0", "agent_CQR3f0jzgHjoOVQSE-t3J"]);
}

#[test]
fn who_comes_late_is_told_what_was_before() {
    let heard = hear(&bytes(&captured()["174_resume-reader-b"]));
    let (sync, last) = (heard.sync.unwrap(), heard.last.unwrap());
    assert_eq!(sync.response, last.response);
    assert_eq!(format!("{}{}", sync.said.pieces[0].text, heard.text[&None]), *last.said.pieces[0].text);
}

#[test]
fn a_failed_turn_is_told_from_an_empty_one() {
    let captured = captured();
    let last = hear(&bytes(&captured["231_upstream-400-stream"])).last.unwrap();
    assert!(last.said.failed && last.said.is_empty() && !last.aborted);
    let heard = hear(&bytes(&captured["382_chat-balance-zero-stream"]));
    assert!(heard.error.unwrap().contains("token_balance"));
    assert!(heard.last.is_none());
}

#[test]
fn tools_thoughts_and_agents_within_agents_are_told() {
    // The shapes of LibreChat's types (packages/data-provider, types/agents.ts and types/runs.ts); no capture has them.
    let events = [
        r#"{"event":"on_run_step","data":{"id":"s1","type":"tool_calls","agentId":"agent_a","stepDetails":{"type":"tool_calls","tool_calls":[{"name":"add","args":"","id":"c"}]}}}"#,
        r#"{"event":"on_run_step_delta","data":{"id":"s1","delta":{"type":"tool_calls","tool_calls":[{"args":"{\"a\"","index":0}]}}}"#,
        r#"{"event":"on_run_step_completed","data":{"result":{"id":"s1","index":0,"type":"tool_call","tool_call":{"name":"add","args":"{}","output":"3"}}}}"#,
        r#"{"event":"on_reasoning_delta","data":{"id":"s2","delta":{"content":[{"type":"think","think":"hm"}]}}}"#,
        r#"{"event":"on_subagent_update","data":{"subagentAgentId":"agent_b","phase":"message_delta","data":{"id":"x","delta":{"content":[{"type":"text","text":"sub"}]}}}}"#,
        r#"{"event":"on_subagent_update","data":{"subagentAgentId":"agent_b","phase":"stop"}}"#,
        r#"{"event":"on_summarize_delta","data":{"id":"y","delta":{"summary":{"type":"summary","content":[{"type":"text","text":"short"}]}}}}"#,
        r#"{"event":"attachment","data":{"id":"s1","delta":{"content":[{"type":"text","text":"no"}]}}}"#,
    ];
    let stream: String = events.iter().map(|event| format!("event: message\ndata: {event}\n\n")).collect();
    assert_eq!(
        read([stream.as_bytes()]),
        [
            r#"Step { agent: Some("agent_a"), calls: true }"#,
            r#"Call { agent: Some("agent_a"), text: "add" }"#,
            r#"Call { agent: Some("agent_a"), text: "{\"a\"" }"#,
            r#"Result { agent: Some("agent_a"), text: "3" }"#,
            r#"Reasoning { agent: None, text: "hm" }"#,
            r#"Text { agent: Some("agent_b"), text: "sub" }"#,
            r#"Reasoning { agent: None, text: "short" }"#,
        ]
    );
}

#[test]
fn no_depth_is_a_fault() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    for inner in [
        deep("[", "]"),
        deep(r#"{"content":["#, "]}"),
        deep(r#"{"data":"#, "}"),
        deep(r#"{"sync":true,"pendingEvents":["#, "]}"),
        deep(r#"{"tool_call":{"args":"#, "}}"),
    ] {
        let events = [
            format!(r#"{{"event":"on_message_delta","data":{{"id":"s","delta":{{"content":[{inner}]}}}}}}"#),
            format!(r#"{{"event":"on_subagent_update","data":{{"phase":"message_delta","data":{inner}}}}}"#),
            format!(r#"{{"sync":true,"resumeState":{{"aggregatedContent":[{inner}]}},"pendingEvents":[{inner}]}}"#),
            format!(r#"{{"final":true,"responseMessage":{{"messageId":"r","content":[{inner}]}}}}"#),
        ];
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        assert_eq!(hear(stream.as_bytes()).last.unwrap().response.as_deref(), Some("r"), "{:.30}", inner);
    }
}

#[test]
fn events_between_the_snapshot_and_the_stream_are_told_after_it() {
    let stream = br#"data: {"sync":true,"resumeState":{"runSteps":[{"id":"s","agentId":"agent_a"}],"aggregatedContent":[{"type":"text","text":"a"}],"responseMessageId":"r"},"pendingEvents":[{"event":"on_message_delta","data":{"id":"s","delta":{"content":[{"type":"text","text":"b"}]}}},{"final":true}]}

"#;
    let events = read([&stream[..]]);
    assert!(events[0].starts_with("Sync("), "{events:?}");
    assert_eq!(events[1..], [r#"Text { agent: Some("agent_a"), text: "b" }"#]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn where_chunks_are_cut_changes_nothing(cuts in prop::collection::vec(1_usize..400, 1..40), which in 0_usize..4) {
        let names = ["141_chat-openAI-mini-stream", "174_resume-reader-b", "182_chat-addedConvo-stream", "231_upstream-400-stream"];
        let whole = bytes(&captured()[names[which]]);
        let (mut chunks, mut rest) = (Vec::new(), &whole[..]);
        for cut in cuts.iter().cycle() {
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read(chunks), read([&whole[..]]));
    }

    #[test]
    fn no_bytes_are_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        read([a, b]);
    }

    #[test]
    fn no_shape_is_a_fault(
        value in prop::sample::select(vec!["null", "1", "\"x\"", "[]", "{}", "[null]", "[[]]", "[{\"text\":[]}]", "true", "[1,{\"type\":{}}]"]),
        at in 0_usize..6,
    ) {
        let shapes = [
            format!(r#"{{"event":"on_message_delta","data":{value}}}"#),
            format!(r#"{{"event":"on_message_delta","data":{{"id":{value},"delta":{{"content":{value}}}}}}}"#),
            format!(r#"{{"event":"on_run_step","data":{{"id":"s","agentId":{value},"stepDetails":{value}}}}}"#),
            format!(r#"{{"sync":true,"resumeState":{value},"pendingEvents":{value}}}"#),
            format!(r#"{{"final":true,"responseMessage":{value}}}"#),
            format!(r#"{{"final":true,"responseMessage":{{"messageId":{value},"promptTokens":{value},"content":{value}}}}}"#),
        ];
        let good = r#"{"event":"on_message_delta","data":{"id":"t","delta":{"content":[{"type":"text","text":"on"}]}}}"#;
        let events = read([format!("data: {}\n\ndata: {good}\n\n", shapes[at]).as_bytes()]);
        prop_assert_eq!(events.last().unwrap(), r#"Text { agent: None, text: "on" }"#);
        // However its members look, the end is the end.
        prop_assert!(at < 4 || events[0].starts_with("Final("));
    }
}
