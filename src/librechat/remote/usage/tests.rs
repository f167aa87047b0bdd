use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STREAM: &str = "text/event-stream; charset=utf-8";

/// The response of a captured exchange.
fn captured(name: &str) -> Value {
    let lines = include_str!("../../../../tests/captures/base.jsonl").lines();
    let mut exchanges = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    exchanges.find(|exchange| exchange["name"] == name).unwrap()["response"].clone()
}

fn stream(name: &str) -> Vec<u8> {
    let response = captured(name);
    response["sse"].as_array().unwrap().iter().flat_map(|event| event.as_str().unwrap().bytes()).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    ids: Vec<String>,
    text: String,
    reasoning: String,
    calls: String,
    usage: Vec<Usage>,
    failed: usize,
    too_long: u64,
}

fn hear<'a>(content_type: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let (mut reader, mut heard) = (Reader::new(content_type), Heard::default());
    let mut tell = |event: Event<'_>| match event {
        Event::Id(id) => heard.ids.push(id.to_owned()),
        Event::Text(text) => heard.text += text,
        Event::Reasoning(text) => heard.reasoning += text,
        Event::Call(text) => heard.calls += text,
        Event::Usage(usage) => heard.usage.push(usage),
        Event::Failed => heard.failed += 1,
        Event::TooLong(bytes) => heard.too_long += bytes,
    };
    for chunk in chunks {
        reader.push(chunk, &mut tell);
    }
    reader.end(&mut tell);
    heard
}

fn whole(answer: &Value) -> Heard {
    hear("application/json; charset=utf-8", [answer.to_string().as_bytes()])
}

fn streamed(events: &[Value]) -> Heard {
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    hear(STREAM, [stream.as_bytes()])
}

fn used(input: u64, cached: u64, output: u64) -> Usage {
    Usage { input, cached, output, whole: true }
}

#[test]
fn every_captured_answer_tells_its_usage_and_its_text() {
    for (heard, id, usage, end) in [
        (whole(&captured("294_remote-chat")["body"]), "chatcmpl-", used(26, 0, 41), "mike november"),
        (hear(STREAM, [&stream("296_remote-chat-stream-identity")[..]]), "chatcmpl-", used(30, 0, 21), "sierra tango"),
        (whole(&captured("298_remote-responses")["body"]), "resp_", used(26, 0, 41), "mike november"),
        (hear(STREAM, [&stream("297_remote-responses-stream-identity")[..]]), "resp_", used(30, 0, 21), "sierra tango"),
    ] {
        assert_eq!(heard.usage, [usage], "{heard:?}");
        // The captured provider counts a word as a token.
        assert_eq!(heard.text.split(' ').count() as u64, usage.output, "{heard:?}");
        assert!(heard.text.starts_with("[gpt-4o] alpha") && heard.text.ends_with(end), "{heard:?}");
        assert!(heard.ids.len() == 1 && heard.ids[0].starts_with(id), "{heard:?}");
        assert_eq!((heard.failed, heard.too_long), (0, 0));
    }
}

#[test]
fn a_refusal_tells_no_usage() {
    for name in ["300_remote-chat-plain-model", "301_remote-chat-nomodel", "302_remote-responses-plain-model"] {
        let heard = whole(&captured(name)["body"]);
        assert_eq!((heard.usage.len(), heard.failed), (0, 1), "{name}");
    }
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "usage": null}});
    let heard = streamed(&[failed]);
    assert_eq!((heard.failed, heard.usage.len(), &*heard.ids[0]), (1, 0, "resp_1"));
}

#[test]
fn what_is_cached_is_within_the_input_or_beside_it() {
    let details = json!({"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 60}});
    let [usage] = whole(&json!({"id": "resp_1", "output": [], "usage": details})).usage[..] else { panic!() };
    assert_eq!(usage, used(100, 60, 7));
    let tokens = |input, cached_input| Tokens { input, cached_input, cache_write: 0, output: 7 };
    for (endpoint, expected) in [
        ("openAI", tokens(40, 60)),
        ("MindRoom", tokens(40, 60)),
        ("anthropic", tokens(100, 60)),
        ("Anthropic", tokens(100, 60)),
        ("bedrock", tokens(100, 60)),
    ] {
        assert_eq!(usage.tokens(endpoint), expected, "{endpoint}");
    }
    assert_eq!(used(10, 60, 7).tokens("openAI"), tokens(10, 60));
}

#[test]
fn what_cannot_be_true_is_no_usage() {
    for usage in [
        json!(null),
        json!({}),
        json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        json!({"prompt_tokens": -1, "completion_tokens": 5}),
        json!({"prompt_tokens": 5, "completion_tokens": -5}),
        json!({"prompt_tokens": 1.5, "completion_tokens": 5}),
        json!({"prompt_tokens": "5", "completion_tokens": 5}),
        json!({"prompt_tokens": 5}),
        json!({"prompt_tokens": 5, "completion_tokens": null}),
        json!({"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -1}}),
        json!([5, 5]),
    ] {
        let heard = streamed(&[json!({"id": "chatcmpl-1", "choices": [], "usage": usage})]);
        assert_eq!(heard.usage, [], "{usage}");
    }
    let heard = whole(&json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}));
    assert_eq!(heard.usage, [used(5, 0, 0)], "an explicit zero is zero");
}

#[test]
fn thoughts_and_calls_are_told() {
    // The shapes that LibreChat's handlers write (packages/api/src/agents/openai, responses); no capture has them.
    let chunk = |delta: Value| json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta}]});
    let call = |function: Value| chunk(json!({"tool_calls": [{"index": 0, "function": function}]}));
    let heard = streamed(&[
        chunk(json!({"role": "assistant"})),
        chunk(json!({"reasoning": "hm"})),
        call(json!({"name": "add", "arguments": ""})),
        call(json!({"arguments": "{\"a\":1}"})),
        chunk(json!({"content": "2"})),
        json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}),
    ]);
    assert_eq!((&*heard.reasoning, &*heard.calls, &*heard.text), ("hm", "add{\"a\":1}", "2"));
    assert_eq!(heard.usage, [used(5, 0, 6)]);
    let response = json!({"id": "resp_1", "status": "completed", "usage": {"input_tokens": 5, "output_tokens": 6}});
    let heard = streamed(&[
        json!({"type": "response.reasoning.delta", "delta": "hm"}),
        json!({"type": "response.output_item.added", "item": {"type": "function_call", "name": "add", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "delta": "{}"}),
        json!({"type": "response.output_text.delta", "delta": "2"}),
        json!({"type": "response.output_text.done", "text": "2"}),
        json!({"type": "response.completed", "response": response}),
    ]);
    assert_eq!((&*heard.reasoning, &*heard.calls, &*heard.text), ("hm", "add{}", "2"));
    assert_eq!(heard.usage, [Usage { whole: false, ..used(5, 0, 6) }], "the last of several calls");
    let heard = whole(&json!({"id": "resp_1", "status": "completed", "output": [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []},
        {"type": "function_call", "name": "add", "arguments": "{}"},
        {"type": "message", "content": [{"type": "output_text", "text": "2"}]},
    ], "usage": {"input_tokens": 5, "output_tokens": 6}}));
    assert_eq!((&*heard.reasoning, &*heard.calls, &*heard.text), ("hm", "add{}", "2"));
    assert_eq!(heard.usage, [Usage { whole: false, ..used(5, 0, 6) }]);
}

#[test]
fn an_answer_that_is_too_long_is_said() {
    let part = vec![b' '; LONGEST / 2 + 1];
    let heard = hear("application/json", [&part[..], &part, b"{}"]);
    assert_eq!(heard, Heard { too_long: LONGEST as u64 + 4, ..Heard::default() });
}

#[test]
fn an_answer_that_breaks_off_has_told_its_text() {
    let stream = stream("296_remote-chat-stream-identity");
    let cut = stream.len() / 2;
    let heard = hear(STREAM, [&stream[..cut]]);
    assert_eq!(heard.usage, []);
    assert!(heard.text.starts_with("[gpt-4o] alpha bravo"), "{heard:?}");
}

#[test]
fn no_depth_is_a_fault() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    for inner in [
        deep("[", "]"),
        deep(r#"{"function":{"tool_calls":["#, "]}}"),
        deep(r#"{"content":["#, "]}"),
        deep(r#"{"choices":["#, "]}"),
        deep(r#"{"response":"#, "}"),
    ] {
        let answer = format!(
            r#"{{"id":"c","choices":[{{"delta":{{"content":{inner},"tool_calls":[{inner}]}}}}],"output":[{inner}],"usage":{inner}}}"#
        );
        assert_eq!(hear("application/json", [answer.as_bytes()]).ids, ["c"], "{:.30}", inner);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn where_chunks_are_cut_changes_nothing(size in 1_usize..500, responses in any::<bool>()) {
        let name = if responses { "297_remote-responses-stream-identity" } else { "296_remote-chat-stream-identity" };
        let stream = stream(name);
        prop_assert_eq!(hear(STREAM, stream.chunks(size)), hear(STREAM, [&stream[..]]));
    }

    #[test]
    fn no_bytes_are_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), streamed in any::<bool>()) {
        hear(if streamed { STREAM } else { "application/json" }, [&bytes[..]]);
    }
}
