//! The events of a stream, spelled as in the captures (CONTRACT.md E.5, captures `141_chat-openAI-mini-stream`,
//! `165_chat-abort-stream`, `174_resume-reader-b`, `182_chat-addedConvo-stream`).
//!
//! LibreChat 0.8.6 sends no `on_run_step_completed` for an answer that is text alone, and no usage at all.

use bytes::Bytes;
use serde_json::{Value, json};

/// What a model says after its name, over and over.
const WORDS: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray",
    "yankee", "zulu",
];

/// The word at `index` of what a model says. The first one is its name, so that an answer shows who gave it.
pub(super) fn word(model: &str, index: usize) -> String {
    match index.checked_sub(1).and_then(|rest| WORDS.get(rest % WORDS.len())) {
        None => format!("[{model}]"),
        Some(word) => format!(" {word}"),
    }
}

/// A frame of an ordinary event.
pub(super) fn message(event: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {event}\n\n"))
}

/// A frame that ends a stream with an error.
pub(super) fn error(text: &str) -> Bytes {
    Bytes::from(format!("event: error\ndata: {}\n\n", json!({"error": text})))
}

/// The text of an error that no model run caused. The blanks are LibreChat's.
pub(super) fn refusal(kind: &str, info: &str) -> String {
    format!("{{ \"type\": {}, \"info\": {} }}", json!(kind), json!(info))
}

/// The turn has begun.
pub(super) fn created(question: &Value, stream: &str) -> Value {
    json!({"created": true, "message": question, "streamId": stream})
}

/// A model begins; with two of them, each step names its agent.
pub(super) fn step(id: &str, index: usize, run: &str, agent: Option<&str>) -> Value {
    let details = json!({"type": "message_creation", "message_creation": {"message_id": format!("chatcmpl-{id}")}});
    let mut step = json!({
        "stepIndex": 0, "id": id, "type": "message_creation", "index": index, "stepDetails": details, "usage": null,
        "runId": run,
    });
    attribute(&mut step, agent);
    step
}

/// A word of an answer.
pub(super) fn delta(step: &str, word: &str) -> Value {
    let delta = json!({"content": [{"type": "text", "text": word}]});
    json!({"event": "on_message_delta", "data": {"id": step, "delta": delta}})
}

/// A part of an answer.
pub(super) fn content(text: &str, agent: Option<&str>) -> Value {
    let mut content = json!({"type": "text", "text": text});
    attribute(&mut content, agent);
    content
}

/// The turn is over.
pub(super) fn finished(conversation: &Value, question: &Value, answer: &Value) -> Value {
    let title = conversation.get("title").cloned().unwrap_or_default();
    json!({
        "final": true, "conversation": conversation, "title": title, "requestMessage": question,
        "responseMessage": answer,
    })
}

/// The turn was stopped.
pub(super) fn aborted(conversation: &str, question: &Value, answer_id: &str, sender: &str, content: &[Value]) -> Value {
    let field = |name: &str| question.get(name).cloned().unwrap_or_default();
    json!({
        "final": true, "conversation": {"conversationId": conversation}, "title": "New Chat",
        "requestMessage": {
            "messageId": field("messageId"), "parentMessageId": field("parentMessageId"),
            "conversationId": conversation, "text": field("text"), "isCreatedByUser": true,
        },
        "responseMessage": {
            "messageId": answer_id, "parentMessageId": field("messageId"), "conversationId": conversation,
            "content": content, "sender": sender, "unfinished": true, "error": false, "isCreatedByUser": false,
        },
        "aborted": true, "earlyAbort": false,
    })
}

fn attribute(value: &mut Value, agent: Option<&str>) {
    if let (Some(fields), Some(agent)) = (value.as_object_mut(), agent) {
        fields.insert("agentId".to_owned(), agent.into());
        fields.insert("groupId".to_owned(), 1.into());
    }
}
