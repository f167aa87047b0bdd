//! The remote-agent API (CONTRACT.md B.6), spelled as in the captures `292_remote-models` to `305_remote-jwt`. As LibreChat
//! does, it runs whatever model an agent has, for whoever has a key.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};

use super::answer::{Answer, Body, accepts_gzip, streamed};
use super::options::{Person, StoredAgent};
use super::stand_in::Call;
use super::state::{State, lock};
use super::turn::directive;
use super::{events, gzip};

/// What a message counts in these answers, in tokens.
const PROMPT: usize = 26;

/// Which of the two ways of asking.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// `POST /api/agents/v1/chat/completions`
    Completions,
    /// `POST /api/agents/v1/responses`
    Responses,
}

/// Who has the key that a request shows.
///
/// # Errors
/// LibreChat's 401.
pub(super) fn owner<'state>(state: &'state State, headers: &HeaderMap) -> Result<&'state Person, Answer> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(key) = header.strip_prefix("Bearer ") else {
        let message = "Missing or invalid Authorization header. Expected: Bearer <api_key>";
        return Err(refused(StatusCode::UNAUTHORIZED, message, "missing_api_key"));
    };
    let held = state.options.keys.iter().find(|held| held.key == key);
    let owner = held.and_then(|held| state.person(&held.user));
    owner.ok_or_else(|| refused(StatusCode::UNAUTHORIZED, "Invalid API key", "invalid_api_key"))
}

/// `GET /api/agents/v1/models` and `/responses/models`.
pub(super) fn models(state: &State) -> Answer {
    let list: Vec<Value> = state.options.agents.iter().map(|agent| shown(state, agent)).collect();
    Answer::ok(&json!({"object": "list", "data": list}))
}

/// `GET /api/agents/v1/models/:model`.
pub(super) fn model(state: &State, id: &str) -> Answer {
    match find(state, id) {
        Some(agent) => Answer::ok(&shown(state, agent)),
        None => refused(StatusCode::NOT_FOUND, &format!("Model not found: {id}"), "model_not_found"),
    }
}

/// `GET /api/agents/v1/responses/:id`. Nothing is stored.
pub(super) fn response(id: &str) -> Answer {
    refused(StatusCode::NOT_FOUND, &format!("Response not found: {id}"), "response_not_found")
}

/// Runs an agent.
pub(super) fn run(state: &State, me: &Person, headers: &HeaderMap, body: Option<&Value>, way: Way) -> Answer {
    let body = body.unwrap_or(&Value::Null);
    let Some(id) = body.get("model").and_then(Value::as_str) else {
        return refused(StatusCode::BAD_REQUEST, "Model (agent ID) is required", "missing_model");
    };
    let Some(agent) = find(state, id) else {
        return refused(StatusCode::NOT_FOUND, &format!("Agent not found: {id}"), "model_not_found");
    };
    lock(&state.calls).push(Call { user: me.id.clone(), endpoint: agent.provider.clone(), model: agent.model.clone() });
    let asked = asked(body);
    let number = |name: &str| directive(asked, name).and_then(|number| number.parse::<usize>().ok());
    let words = number("words").unwrap_or(state.options.words);
    let delay = number("delay").map_or(state.options.word_delay, |delay| Duration::from_millis(delay as u64));
    let said: Vec<String> = (0..words).map(|index| events::word(&agent.model, index)).collect();
    let made = state.started.as_second();
    match (way, body.get("stream").and_then(Value::as_bool).unwrap_or(false)) {
        (Way::Completions, true) => stream_of(headers, chunks(id, made, &said), delay),
        (Way::Completions, false) => Answer::ok(&completion(id, made, &said)),
        (Way::Responses, true) => stream_of(headers, steps(id, made, &said), delay),
        (Way::Responses, false) => Answer::ok(&reply(id, made, Some(&said))),
    }
}

fn find<'state>(state: &'state State, id: &str) -> Option<&'state StoredAgent> {
    state.options.agents.iter().find(|agent| agent.id == id)
}

fn refused(status: StatusCode, message: &str, code: &str) -> Answer {
    let error = json!({"message": message, "type": "invalid_request_error", "code": code});
    Answer::json(status, &json!({"error": error}))
}

fn shown(state: &State, agent: &StoredAgent) -> Value {
    json!({
        "id": agent.id, "object": "model", "created": state.started.as_second(), "owned_by": "librechat",
        "permission": [], "root": agent.id, "parent": null, "name": agent.name, "provider": agent.provider,
    })
}

/// The words of the last message, in either way of asking.
fn asked(body: &Value) -> &str {
    let last = body.pointer("/messages").and_then(Value::as_array).and_then(|messages| messages.last());
    let text = last.and_then(|message| message.get("content")).or_else(|| body.get("input"));
    text.and_then(Value::as_str).unwrap_or_default()
}

fn completion(agent: &str, made: i64, said: &[String]) -> Value {
    let message = json!({"role": "assistant", "content": said.concat()});
    json!({
        "id": "chatcmpl-standin", "object": "chat.completion", "created": made, "model": agent,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage(said),
    })
}

fn usage(said: &[String]) -> Value {
    json!({"prompt_tokens": PROMPT, "completion_tokens": said.len(), "total_tokens": PROMPT + said.len()})
}

/// The frames of a streamed completion.
fn chunks(agent: &str, made: i64, said: &[String]) -> Vec<String> {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({
            "id": "chatcmpl-standin", "object": "chat.completion.chunk", "created": made, "model": agent,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let mut last = chunk(json!({}), Some("stop"));
    if let Some(fields) = last.as_object_mut() {
        fields.insert("usage".to_owned(), usage(said));
    }
    let words = said.iter().map(|word| chunk(json!({"content": word}), None));
    let all = [chunk(json!({"role": "assistant"}), None)].into_iter().chain(words).chain([last]);
    all.map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// The object of the Responses API; `said` is there once all of it was said.
fn reply(agent: &str, made: i64, said: Option<&[String]>) -> Value {
    let usage = said.map(|said| {
        json!({
            "input_tokens": PROMPT, "output_tokens": said.len(), "total_tokens": PROMPT + said.len(),
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        })
    });
    let output: Vec<Value> = said.map(|said| item("completed", vec![part(&said.concat())])).into_iter().collect();
    json!({
        "id": "resp_standin", "object": "response", "created_at": made, "completed_at": said.map(|_| made),
        "status": if said.is_some() { "completed" } else { "in_progress" }, "incomplete_details": null,
        "model": agent, "previous_response_id": null, "instructions": null, "output": output, "error": null,
        "tools": [], "tool_choice": "auto", "truncation": "disabled", "parallel_tool_calls": true,
        "text": {"format": {"type": "text"}}, "temperature": 1, "top_p": 1, "presence_penalty": 0,
        "frequency_penalty": 0, "top_logprobs": 0, "reasoning": null, "user": null, "usage": usage,
        "max_output_tokens": null, "max_tool_calls": null, "store": false, "background": false,
        "service_tier": "default", "metadata": {}, "safety_identifier": null, "prompt_cache_key": null,
    })
}

fn item(status: &str, content: Vec<Value>) -> Value {
    json!({"type": "message", "id": "msg_standin", "role": "assistant", "status": status, "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The frames of a streamed response.
fn steps(agent: &str, made: i64, said: &[String]) -> Vec<String> {
    let of_part = |kind: &str, name: &str, value: Value| {
        let mut event = json!({"type": kind, "item_id": "msg_standin", "output_index": 0, "content_index": 0});
        if let Some(fields) = event.as_object_mut() {
            fields.insert(name.to_owned(), value);
            if name != "part" {
                fields.insert("logprobs".to_owned(), json!([]));
            }
        }
        event
    };
    let whole = |kind: &str, said| json!({"type": kind, "response": reply(agent, made, said)});
    let of_item = |kind: &str, item: Value| json!({"type": kind, "output_index": 0, "item": item});
    let mut events = vec![
        whole("response.created", None),
        whole("response.in_progress", None),
        of_item("response.output_item.added", item("in_progress", Vec::new())),
        of_part("response.content_part.added", "part", part("")),
    ];
    events.extend(said.iter().map(|word| of_part("response.output_text.delta", "delta", word.as_str().into())));
    let text = said.concat();
    events.extend([
        of_part("response.output_text.done", "text", text.as_str().into()),
        of_part("response.content_part.done", "part", part(&text)),
        of_item("response.output_item.done", item("completed", vec![part(&text)])),
        whole("response.completed", Some(said)),
    ]);
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        if let Some(fields) = event.as_object_mut() {
            fields.insert("sequence_number".to_owned(), number.into());
        }
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    numbered.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// Events one by one; compressed, and then all at once, for whoever takes gzip (capture `295_remote-chat-stream`). The run
/// ends with the connection: nobody says the rest.
fn stream_of(headers: &HeaderMap, frames: Vec<String>, delay: Duration) -> Answer {
    let packed = accepts_gzip(headers);
    let body: Body = if packed {
        let all: Bytes = gzip::wrap(frames.concat().as_bytes()).into();
        streamed(stream::iter([all]))
    } else {
        let frames = Arc::new(frames);
        streamed(stream::unfold(0, move |next| {
            let frames = Arc::clone(&frames);
            async move {
                let frame = frames.get(next)?;
                if next > 0 && !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Some((Bytes::from(frame.clone()), next + 1))
            }
        }))
    };
    let answer = Answer::stream(body)
        .with(CONTENT_TYPE, "text/event-stream")
        .with(CACHE_CONTROL, "no-cache")
        .with(CONNECTION, "keep-alive")
        .with(HeaderName::from_static("x-accel-buffering"), "no")
        .with(VARY, "Accept-Encoding");
    if packed { answer.with(CONTENT_ENCODING, "gzip") } else { answer }
}
