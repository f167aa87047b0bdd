use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ID: &str = "b0076b47-3e54-4ad6-9d1e-21b2a3f0c0de";

/// As `sendEvent` writes it.
fn event(data: &Value) -> String {
    format!("event: message\ndata: {data}\n\n")
}

/// As `handleError` writes it.
fn error(data: &Value) -> String {
    format!("event: error\ndata: {data}\n\n")
}

/// As `sendInitialResponse` writes it.
fn begun() -> String {
    let request = json!({"user": "u", "text": "hi", "messageId": "m1", "conversationId": ID, "thread_id": "thread_1", "model": "asst_x"});
    let response =
        json!({"user": "u", "messageId": "m2", "parentMessageId": "m1", "conversationId": ID, "thread_id": "thread_1"});
    event(&json!({"sync": true, "conversationId": ID, "requestMessage": request, "responseMessage": response}))
}

/// As `createOnProgress` writes it: the whole text of the part until now.
fn text(index: u64, so_far: &str) -> String {
    event(&json!({"message": true, "initial": false, "text": so_far, "index": index, "messageId": "m2",
                  "conversationId": ID, "thread_id": "thread_1", "type": "text"}))
}

/// As `addContentData` writes it.
fn part(index: u64, kind: &str, part: &Value) -> String {
    event(
        &json!({"index": index, "type": kind, kind: part, "thread_id": "thread_1", "messageId": "m2", "conversationId": ID}),
    )
}

fn finished() -> String {
    let conversation = json!({"conversationId": ID, "endpoint": "assistants", "assistant_id": "asst_x"});
    event(
        &json!({"final": true, "conversation": conversation, "requestMessage": {"parentMessageId": "m0", "thread_id": "thread_1"}}),
    )
}

/// As `sendError` writes it.
fn refused(text: &str) -> String {
    error(
        &json!({"sender": "System", "messageId": "m2", "conversationId": ID, "parentMessageId": "m0", "unfinished": false,
                  "error": true, "final": true, "text": text, "isCreatedByUser": false, "thread_id": "thread_1"}),
    )
}

fn read(chunks: &[&[u8]]) -> Vec<String> {
    let (mut reader, mut told) = (Reader::default(), Vec::new());
    for chunk in chunks {
        reader.push(chunk, &mut |event| {
            told.push(match event {
                Event::Conversation(id) => format!("conversation {id}"),
                Event::Text(text) => format!("text {text}"),
                Event::Call(text) => format!("call {text}"),
                Event::Result(text) => format!("result {text}"),
                Event::Picture => "picture".to_owned(),
                Event::Ended(how) => format!("{how:?}"),
                Event::TooLong(bytes) => format!("too long {bytes}"),
            });
        });
    }
    told
}

fn told(stream: &str) -> Vec<String> {
    read(&[stream.as_bytes()])
}

/// What is told after the conversation's id.
fn rest(stream: &str) -> Vec<String> {
    let told = told(&(begun() + stream));
    assert_eq!(told[0], format!("conversation {ID}"));
    told[1..].to_vec()
}

#[test]
fn text_that_is_told_again_counts_once() {
    let stream = text(0, "Hel") + &text(0, "Hello\n\"wö") + &text(0, "Hello\n\"wörld\"") + &finished();
    assert_eq!(rest(&stream), ["text Hel", "text lo\n\"wö", "text rld\"", "Finished"]);
    // Each part by itself; nothing that was told is told again.
    let stream = text(0, "one") + &text(1, "two") + &text(0, "one") + &text(1, "two!");
    assert_eq!(rest(&stream), ["text one", "text two", "text !"]);
    // With its citations, which no model wrote; the text itself where nothing of it was told.
    let cited = part(0, "text", &json!({"value": "as it says ^1^\n\n^1.^ book.pdf"}));
    assert_eq!(rest(&(text(0, "as it says [1]") + &cited)), ["text as it says [1]"]);
    assert_eq!(rest(&cited), ["text as it says ^1^\n\n^1.^ book.pdf"]);
}

#[test]
fn calls_of_tools_are_told_as_they_grow() {
    let function = |arguments: &str, output: &Value| {
        json!({"index": 0, "id": "call_1", "type": "function", "progress": 0.01,
                                                            "function": {"name": "add", "arguments": arguments, "output": output}})
    };
    let stream = part(0, "tool_call", &function("", &Value::Null))
        + &part(0, "tool_call", &function("{\"a\"", &Value::Null))
        + &part(0, "tool_call", &function("{\"a\"", &Value::Null))
        + &part(0, "tool_call", &function("{\"a\":1}", &json!("2")))
        + &text(1, "It is 2.");
    assert_eq!(rest(&stream), ["call add", "call {\"a\"", "call :1}", "result 2", "text It is 2."]);
    let code = |input: &str, outputs: &Value| {
        json!({"index": 0, "type": "code_interpreter", "id": "call_2", "progress": 1,
                                                     "code_interpreter": {"input": input, "outputs": outputs}})
    };
    let stream = part(3, "tool_call", &code("print(", &json!([])))
        + &part(
            3,
            "tool_call",
            &code("print(1)", &json!([{"type": "logs", "logs": "1\n"}, {"type": "image", "image": {}}])),
        )
        + &part(
            3,
            "tool_call",
            &code("print(1)", &json!([{"type": "logs", "logs": "1\n"}, {"type": "logs", "logs": "2"}])),
        );
    assert_eq!(rest(&stream), ["call print(", "call 1)", "result 1\n", "result 2"]);
    // Pictures and searches say nothing that can be counted.
    let search = json!({"index": 0, "type": "file_search", "id": "call_3", "file_search": {}});
    let stream = part(4, "tool_call", &search) + &part(5, "image_file", &json!({"file_id": "f", "text": "no"}));
    assert_eq!(rest(&stream), Vec::<String>::new());
}

#[test]
fn a_picture_that_is_asked_about_is_told_once() {
    let call = |index: u64| {
        part(index, "tool_call", &json!({"type": "function", "function": {"name": "image_vision", "arguments": ""}}))
    };
    assert_eq!(rest(&(call(0) + &call(0))), ["call image_vision", "picture"]);
    assert_eq!(rest(&(call(0) + &call(1))), ["call image_vision", "picture", "call image_vision", "picture"]);
}

#[test]
fn how_a_run_ended_is_told() {
    let balance = json!({"type": "token_balance", "balance": 3, "tokenCost": 105}).to_string();
    let failed = event(&json!({"final": true, "conversation": {"conversationId": ID}, "runMessages": [
        {"messageId": "m2", "content": [{"type": "error", "text": {"value": "Operation timed out"}}]}]}));
    let started = "The Assistant run failed to initialize. Try sending a message in a new conversation.";
    for (stream, expected) in [
        (begun() + &finished(), "Finished"),
        (begun() + &failed, "Failed"),
        (begun() + &refused("The Assistant run failed"), "Failed"),
        (refused(&balance), "Refused"),
        (refused("Files are invalid, or may not have uploaded yet."), "Refused"),
        (refused("Message too long. The Assistants API has a limit"), "Refused"),
        // The provider may have begun it, and a tool's output may be too long, too.
        (refused(started), "Failed"),
        (begun() + &refused("Message too long. The Assistants API has a limit"), "Failed"),
        (begun() + &refused(&balance), "Failed"),
    ] {
        assert_eq!(told(&stream), [format!("conversation {ID}"), expected.to_owned()], "{stream}");
    }
    assert_eq!(told(&error(&json!("An error"))), ["Failed"]);
    // A run that was stopped.
    assert_eq!(rest(&text(0, "on")), ["text on"]);
}

#[test]
fn the_conversation_is_told_once_and_only_where_rows_can_be_found_by_it() {
    let other = event(&json!({"message": true, "text": "", "conversationId": "other"}));
    assert_eq!(told(&(finished() + &other)), [format!("conversation {ID}"), "Finished".to_owned()]);
    for odd in [json!(null), json!(7), json!(""), json!("a/b"), json!("a b"), json!("x".repeat(129))] {
        let stream = event(&json!({"sync": true, "conversationId": odd})) + &begun();
        assert_eq!(told(&stream), [format!("conversation {ID}")], "{odd}");
    }
}

#[test]
fn what_is_not_understood_is_passed_over() {
    for stream in [
        "one",
        "data: \n\n",
        "data: []\n\n",
        "data: 7\n\n",
        "data: {\"final\":1}\n\n",
        "data: {\"text\":7,\"message\":true}\n\n",
        "data: {\"index\":-1,\"tool_call\":[]}\n\n",
        "data: {\"tool_call\":{\"function\":7,\"code_interpreter\":\"x\"}}\n\n",
    ] {
        assert_eq!(told(stream), Vec::<String>::new(), "{stream}");
    }
    let long = format!("data: {}\n\n", "x".repeat(crate::librechat::sse::LONGEST + 1));
    assert_eq!(told(&long).len(), 1);
    assert!(told(&long)[0].starts_with("too long "));
}

/// However many parts there are, no more are remembered, and nothing of them is lost.
#[test]
fn parts_that_are_forgotten_are_told_again_and_never_less() {
    let stream: String =
        (0..200).map(|index| text(index, "ab")).collect::<String>() + &text(0, "ab") + &text(199, "abc");
    let told = rest(&stream);
    assert_eq!(told.len(), 202);
    assert_eq!(told[200..], ["text ab", "text c"]);
}

proptest! {
    #[test]
    fn where_chunks_are_cut_changes_nothing(pieces in prop::collection::vec("[aö\"\n ]{0,4}", 0..8), cut in 0_usize..2000) {
        let mut so_far = String::new();
        let mut stream = begun();
        for piece in &pieces {
            so_far.push_str(piece);
            stream += &text(0, &so_far);
        }
        stream += &finished();
        let bytes = stream.as_bytes();
        let (one, other) = bytes.split_at(cut.min(bytes.len()));
        let whole = read(&[bytes]);
        prop_assert_eq!(&read(&[one, other]), &whole);
        let said: String = whole.iter().filter_map(|told| told.strip_prefix("text ")).collect();
        prop_assert_eq!(said, so_far);
    }
}
