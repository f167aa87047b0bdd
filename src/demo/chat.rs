//! The chat routes: a POST that starts a turn and answers at once, and the routes that follow the turn.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::account::credit;
use super::answer::{Answer, streamed};
use super::choice::{Choice, Run, choose};
use super::events;
use super::history::Conversation;
use super::jobs::Job;
use super::options::Person;
use super::stand_in::Call;
use super::state::{State, iso, lock, now};

/// The id that stands above the first message of a conversation.
const NO_PARENT: &str = "00000000-0000-0000-0000-000000000000";

/// A turn as it will be spoken.
struct Turn {
    job: Arc<Job>,
    runs: Vec<Run>,
    words: usize,
    delay: Duration,
    fails: Option<String>,
}

/// `POST /api/agents/chat` and `POST /api/agents/chat/:endpoint`. The endpoint in the path is never read.
pub(super) fn start(state: &Arc<State>, person: &Person, body: Option<&Value>, path_as_written: bool) -> Answer {
    let choice = choose(&state.options, body, path_as_written);
    let empty = Value::Null;
    let body = body.unwrap_or(&empty);
    let conversation = text(body, "conversationId").filter(|id| !id.is_empty() && *id != "new");
    let owner = conversation.and_then(|id| lock(&state.history).find(id).map(|found| found.user.clone()));
    if let Choice::Status(..) = choice {
        return choice.refusal().unwrap_or_else(|| Answer::nothing(StatusCode::INTERNAL_SERVER_ERROR));
    }
    if owner.is_some_and(|owner| owner != person.id) {
        return intruded(body);
    }
    if let Some(refusal) = choice.refusal() {
        return refusal;
    }
    let id = conversation.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let question = question(body, &id);
    let runs = match &choice {
        Choice::Runs { primary, added } => [Some(primary.clone()), added.clone()].into_iter().flatten().collect(),
        _ => Vec::new(),
    };
    let sender = runs.first().map(|run: &Run| run.sender.clone()).unwrap_or_default();
    let answer_id = Uuid::new_v4().to_string();
    let begun = now().as_millisecond();
    let job = Arc::new(Job::new(id.clone(), person.id.clone(), question, answer_id, sender, begun));
    lock(&state.jobs).add(Arc::clone(&job));
    if let Choice::Doomed { kind, info } = &choice {
        job.fail(&events::refusal(kind, info));
    } else {
        let text = text(body, "text").unwrap_or_default();
        let words = directive(text, "words").and_then(|words| words.parse().ok()).unwrap_or(state.options.words);
        let delay = directive(text, "delay").and_then(|delay| delay.parse().ok()).map(Duration::from_millis);
        let delay = delay.unwrap_or(state.options.word_delay);
        let turn = Turn { job, runs, words, delay, fails: directive(text, "fail").map(str::to_owned) };
        begin(state, person, body, turn);
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
            found.title = format!("{} alpha bravo", events::word(&found.model, 0));
            Answer::ok(&json!({"title": found.title}))
        }
        None => Answer::json(
            StatusCode::NOT_FOUND,
            &json!({"message": "Title not found or method not implemented for the conversation's endpoint"}),
        ),
    }
}

/// Counts the calls, keeps the question and starts speaking.
fn begin(state: &Arc<State>, person: &Person, body: &Value, turn: Turn) {
    let Some(primary) = turn.runs.first() else { return };
    {
        let custom = state.options.catalogue.endpoint(&primary.endpoint).is_some_and(|endpoint| endpoint.custom);
        let mut history = lock(&state.history);
        let mut new =
            Conversation::new(&turn.job.id, &person.id, &primary.endpoint, custom, &primary.agent, &primary.model);
        new.temporary = body.get("isTemporary").and_then(Value::as_bool);
        new.chosen = chosen(state, body);
        history.upsert(new);
        if let Some(found) = history.find_mut(&turn.job.id) {
            found.keep(&turn.job.question);
        }
    }
    let prompt = prompt_tokens(&turn.job.question);
    let (balance, cost) = (state.balance(&person.id), prompt * rate(&primary.model).0);
    turn.job.created();
    if balance < cost {
        let date = iso(now());
        let error = json!({
            "type": "token_balance", "balance": credit(balance), "tokenCost": credit(cost),
            "promptTokens": credit(prompt), "prev_count": 0, "violation_count": 0, "date": date,
        });
        turn.job.fail(&error.to_string());
        return;
    }
    lock(&state.calls).extend(turn.runs.iter().map(|run| Call {
        user: person.id.clone(),
        endpoint: run.endpoint.clone(),
        model: run.model.clone(),
    }));
    state.spawn(speak(Arc::clone(state), turn));
}

/// Says everything, a word at a time, until the end or until somebody stops it.
async fn speak(state: Arc<State>, turn: Turn) {
    let job = &turn.job;
    let parallel = turn.runs.len() > 1;
    let step = |run: usize| format!("step_{}_{run}", job.answer_id);
    let words = if turn.fails.is_some() { 0 } else { turn.words };
    for word in 0..words {
        for (place, run) in turn.runs.iter().enumerate() {
            if word == 0 && !job.step(&step(place), place, run, parallel) {
                return;
            }
            if !turn.delay.is_zero() {
                tokio::time::sleep(turn.delay).await;
            }
            if !job.word(&step(place), place, &events::word(&run.model, word)) {
                return;
            }
        }
    }
    finish(&state, &turn);
}

/// The last event, and what it leaves behind: the answer in the history, the cost off the balance.
fn finish(state: &State, turn: &Turn) {
    let job = &turn.job;
    let Some(primary) = turn.runs.first() else { return };
    let content = match &turn.fails {
        Some(status) => vec![json!({
            "type": "error", "error": format!("An error occurred while processing the request: {status} no such luck"),
        })],
        None => job.content(),
    };
    let prompt = prompt_tokens(&job.question);
    let answer = json!({
        "messageId": job.answer_id, "conversationId": job.id,
        "parentMessageId": job.question.get("messageId"), "isCreatedByUser": false, "isEdited": false,
        "model": primary.model, "sender": job.sender, "promptTokens": credit(prompt), "endpoint": primary.endpoint,
        "text": "", "content": content, "attachments": [],
    });
    let conversation = {
        let mut history = lock(&state.history);
        let found = history.find_mut(&job.id);
        found.map(|found| {
            let mut kept = answer.clone();
            if let Some(fields) = kept.as_object_mut() {
                fields.insert("tokenCount".to_owned(), turn.words.into());
            }
            found.keep(&kept);
            found.document()
        })
    };
    if !job.end(&events::finished(&conversation.unwrap_or_default(), &job.question, &answer)) || turn.fails.is_some() {
        return;
    }
    let said = u32::try_from(turn.words).map_or(0.0, f64::from);
    let cost: f64 = turn.runs.iter().map(|run| prompt * rate(&run.model).0 + said * rate(&run.model).1).sum();
    if let Some(balance) = lock(&state.balances).get_mut(&job.user) {
        *balance = (*balance - cost).max(0.0);
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

/// What a conversation remembers of a turn besides its model: the spec it named, even one that is not there, and the
/// label; from the spec itself what is not shown, and under `enforce` everything.
fn chosen(state: &State, body: &Value) -> Map<String, Value> {
    let mut chosen = Map::new();
    let specs = state.options.model_specs.as_ref().zip(text(body, "spec"));
    let found =
        specs.and_then(|(specs, name)| Some((specs.enforce, specs.list.iter().find(|spec| spec.name == name)?)));
    let label = match found {
        Some((true, spec)) => spec.model_label.as_deref(),
        _ => text(body, "modelLabel"),
    };
    let prefix = found.and_then(|(_, spec)| spec.prompt_prefix.as_deref());
    for (name, value) in [("modelLabel", label), ("promptPrefix", prefix), ("spec", text(body, "spec"))] {
        if let Some(value) = value {
            chosen.insert(name.to_owned(), value.into());
        }
    }
    chosen
}

fn prompt_tokens(question: &Value) -> f64 {
    question.get("tokenCount").and_then(Value::as_f64).unwrap_or_default()
}

/// USD per million tokens, which is credits per token: prompt and completion (CONTRACT.md E.3; 6 where no rate is known).
fn rate(model: &str) -> (f64, f64) {
    match model {
        "gpt-4o-mini" => (0.15, 0.6),
        "gpt-4o" => (2.5, 10.0),
        "o1" => (15.0, 60.0),
        _ => (6.0, 6.0),
    }
}

/// The value of `name` in a message's `[[name=value other=value]]`.
fn directive<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let inner = text.split_once("[[")?.1.split_once("]]")?.0;
    inner.split_whitespace().filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|pair| pair.1)
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
    fn a_message_may_ask_for_its_own_pace() {
        let text = "slow one [[words=30 delay=60]] please";
        assert_eq!(directive(text, "words"), Some("30"));
        assert_eq!(directive(text, "delay"), Some("60"));
        assert_eq!(directive(text, "fail"), None);
        assert_eq!(directive("words=30", "words"), None, "only inside the brackets");
    }

    #[test]
    fn only_a_repeated_question_keeps_its_id() {
        let id = |body: Value| question(&body, "c")["messageId"].as_str().unwrap().to_owned();
        assert_eq!(id(json!({"isRegenerate": true, "overrideParentMessageId": "q", "messageId": "m"})), "q");
        assert_eq!(id(json!({"isContinued": true, "messageId": "m"})), "m");
        assert_ne!(id(json!({"messageId": "m"})), "m");
    }
}
