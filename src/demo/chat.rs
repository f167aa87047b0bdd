//! The chat routes: a POST that starts a turn and answers at once, and the routes that follow the turn.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, streamed};
use super::choice::{Refusal, choose};
use super::events;
use super::jobs::Job;
use super::options::Person;
use super::state::{State, iso, lock, now};
use super::turn::Turn;

/// The id that stands above the first message of a conversation.
const NO_PARENT: &str = "00000000-0000-0000-0000-000000000000";

/// `POST /api/agents/chat` and `POST /api/agents/chat/:endpoint`. The endpoint in the path is never read.
pub(super) fn start(state: &Arc<State>, person: &Person, body: Option<&Value>, path_as_written: bool) -> Answer {
    let choice = choose(&state.options, body, path_as_written);
    if let Err(Refusal::Status(status, reason)) = &choice {
        return Answer::json(*status, reason);
    }
    let body = body.unwrap_or(&Value::Null);
    let conversation = text(body, "conversationId").filter(|id| !id.is_empty() && *id != "new");
    let owner = conversation.and_then(|id| lock(&state.history).find(id).map(|found| found.user.clone()));
    if owner.is_some_and(|owner| owner != person.id) {
        return intruded(body);
    }
    if let Err(Refusal::Text(reason)) = &choice {
        return Answer::written(StatusCode::OK, format!("event: error\ndata: {}\n\n", json!({"text": reason})));
    }
    let id = conversation.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let sender = choice.as_ref().map_or_else(|_| String::new(), |choice| choice.primary.sender.clone());
    let (answer_id, begun) = (Uuid::new_v4().to_string(), now().as_millisecond());
    let job = Arc::new(Job::new(id.clone(), person.id.clone(), question(body, &id), answer_id, sender, begun));
    lock(&state.jobs).add(Arc::clone(&job));
    match choice {
        Ok(choice) => Turn::new(state, job, choice, body).begin(state, body),
        Err(Refusal::Event { kind, info }) => {
            job.fail(&events::refusal(kind, &info));
        }
        // Both were answered above.
        Err(Refusal::Text(_) | Refusal::Status(..)) => {}
    }
    Answer::ok(&json!({"streamId": id, "conversationId": id, "status": "started"}))
}

/// `GET /api/agents/chat/stream/:id`.
pub(super) fn stream(state: &State, person: &Person, id: &str, resume: bool) -> Answer {
    match lock(&state.jobs).find(id) {
        None => {
            let message = "The generation job does not exist or has expired.";
            Answer::json(StatusCode::NOT_FOUND, &json!({"error": "Stream not found", "message": message}))
        }
        Some(job) if job.user != person.id => unauthorized(),
        Some(job) => Answer::events(streamed(job.listen(resume))),
    }
}

/// `GET /api/agents/chat/status/:id`.
pub(super) fn status(state: &State, person: &Person, id: &str) -> Answer {
    match lock(&state.jobs).find(id) {
        Some(job) if job.user != person.id => unauthorized(),
        Some(job) if job.is_running() => Answer::ok(&json!({
            "active": true, "streamId": job.id, "status": "running", "aggregatedContent": job.content(),
            "createdAt": job.started, "resumeState": job.resume_state(),
        })),
        _ => Answer::ok(&json!({"active": false})),
    }
}

/// `GET /api/agents/chat/active`.
pub(super) fn active(state: &State, person: &Person) -> Answer {
    let running = lock(&state.jobs).running(&person.id);
    let ids: Vec<&str> = running.iter().map(|job| job.id.as_str()).collect();
    Answer::ok(&json!({"activeJobIds": ids}))
}

/// `POST /api/agents/chat/abort`. An id that is not known means the newest running turn (CONTRACT.md G.1).
pub(super) fn abort(state: &State, person: &Person, body: Option<&Value>) -> Answer {
    let names = ["streamId", "conversationId", "abortKey"];
    let id = names.iter().find_map(|name| text(body?, name)).unwrap_or_default();
    let named = lock(&state.jobs).find(id).filter(|job| job.is_running());
    let job = named.or_else(|| lock(&state.jobs).running(&person.id).pop());
    match job {
        None => Answer::json(StatusCode::NOT_FOUND, &json!({"error": "Job not found", "streamId": id})),
        Some(job) if job.user != person.id => unauthorized(),
        Some(job) => {
            let content = job.content();
            let last = events::aborted(&job.id, &job.question, &job.answer_id, &job.sender, &content);
            job.end(&last);
            if let (Some(found), Some(answer)) = (lock(&state.history).find_mut(&job.id), last.get("responseMessage")) {
                found.keep(answer);
            }
            Answer::ok(&json!({"success": true, "aborted": job.id}))
        }
    }
}

/// `GET /api/convos/gen_title/:id`. LibreChat waits a quarter of a minute for a title that is not there; this does not.
pub(super) fn title(state: &State, person: &Person, id: &str) -> Answer {
    match lock(&state.history).find_mut(id).filter(|found| found.user == person.id) {
        Some(found) => {
            found.title = format!("{} alpha bravo", events::word(found.model.as_deref().unwrap_or(&found.agent), 0));
            Answer::ok(&json!({"title": found.title}))
        }
        None => Answer::json(
            StatusCode::NOT_FOUND,
            &json!({"message": "Title not found or method not implemented for the conversation's endpoint"}),
        ),
    }
}

/// What was asked, as LibreChat keeps it. A regenerated or continued answer keeps its question's id; every other gets a
/// new one, whatever the client sent.
fn question(body: &Value, conversation: &str) -> Value {
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or_default();
    let kept = match (flag("isRegenerate"), flag("isContinued")) {
        (true, _) => text(body, "overrideParentMessageId"),
        (_, true) => text(body, "messageId"),
        _ => None,
    };
    let id = kept.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let said = text(body, "text").unwrap_or_default();
    let tokens = said.split_whitespace().count() + 4;
    json!({
        "messageId": id, "parentMessageId": text(body, "parentMessageId").unwrap_or(NO_PARENT),
        "conversationId": conversation, "sender": "User", "text": said, "isCreatedByUser": true, "tokenCount": tokens,
    })
}

/// Somebody else's conversation (capture `249_cross-user-chat`).
fn intruded(body: &Value) -> Answer {
    let field = |name: &str| body.get(name).cloned().unwrap_or_default();
    let question = json!({
        "message": {
            "sender": "User", "messageId": field("messageId"), "parentMessageId": field("parentMessageId"),
            "conversationId": field("conversationId"), "isCreatedByUser": true, "text": field("text"),
        },
        "created": true,
    });
    let reason = json!({
        "type": "convo_access", "error": "User not authorized for this conversation", "prev_count": 0,
        "violation_count": 0, "date": iso(now()),
    });
    let error = json!({
        "sender": "GPT-4o", "messageId": Uuid::new_v4().to_string(), "conversationId": field("conversationId"),
        "parentMessageId": field("messageId"), "unfinished": false, "error": true, "final": true,
        "text": reason.to_string(), "isCreatedByUser": false,
    });
    let frames = format!("event: message\ndata: {question}\n\nevent: error\ndata: {error}\n\n");
    Answer::written(StatusCode::OK, frames)
}

fn unauthorized() -> Answer {
    Answer::json(StatusCode::FORBIDDEN, &json!({"error": "Unauthorized"}))
}

fn text<'body>(body: &'body Value, name: &str) -> Option<&'body str> {
    body.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repeated_question_keeps_its_id() {
        let id = |body: Value| question(&body, "c")["messageId"].as_str().unwrap().to_owned();
        assert_eq!(id(json!({"isRegenerate": true, "overrideParentMessageId": "q", "messageId": "m"})), "q");
        assert_eq!(id(json!({"isContinued": true, "messageId": "m"})), "m");
        assert_ne!(id(json!({"messageId": "m"})), "m");
    }
}
