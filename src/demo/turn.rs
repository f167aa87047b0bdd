//! A turn as it is spoken: what it costs, word after word, and what it leaves behind.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::account::credit;
use super::choice::{Choice, Run};
use super::events;
use super::history::Conversation;
use super::jobs::Job;
use super::stand_in::Call;
use super::state::{State, iso, lock, now};

/// A turn that may start.
pub(super) struct Turn {
    job: Arc<Job>,
    primary: Run,
    runs: Vec<Run>,
    words: usize,
    delay: Duration,
    fails: Option<String>,
}

// === impl Turn ===

impl Turn {
    /// A turn of this pace, unless its message asks for another.
    pub(super) fn new(state: &State, job: Arc<Job>, choice: Choice, body: &Value) -> Turn {
        let text = text(body, "text").unwrap_or_default();
        let delay = directive(text, "delay").and_then(|delay| delay.parse().ok()).map(Duration::from_millis);
        Turn {
            job,
            primary: choice.primary.clone(),
            runs: [Some(choice.primary), choice.added].into_iter().flatten().collect(),
            words: directive(text, "words").and_then(|words| words.parse().ok()).unwrap_or(state.options.words),
            delay: delay.unwrap_or(state.options.word_delay),
            fails: directive(text, "fail").map(str::to_owned),
        }
    }

    /// Keeps the question, looks into the purse, counts the calls and starts speaking.
    pub(super) fn begin(self, state: &Arc<State>, body: &Value) {
        let (job, primary) = (&self.job, &self.primary);
        {
            let entry = state.options.catalogue.endpoint(primary.shown_endpoint());
            let custom = entry.is_some_and(|endpoint| endpoint.custom);
            let mut history = lock(&state.history);
            let mut new = Conversation::new(&job.id, &job.user, primary, custom);
            new.temporary = body.get("isTemporary").and_then(Value::as_bool);
            new.chosen = chosen(state, body);
            history.upsert(new);
            if let Some(found) = history.find_mut(&job.id) {
                found.keep(&job.question);
            }
        }
        let prompt = prompt_tokens(&job.question);
        let (balance, cost) = (state.balance(&job.user), prompt * rate(&primary.model).0);
        job.created();
        if balance < cost {
            let date = iso(now());
            let error = json!({
                "type": "token_balance", "balance": credit(balance), "tokenCost": credit(cost),
                "promptTokens": credit(prompt), "prev_count": 0, "violation_count": 0, "date": date,
            });
            job.fail(&error.to_string());
            return;
        }
        lock(&state.calls).extend(self.runs.iter().map(|run| Call {
            user: job.user.clone(),
            endpoint: run.endpoint.clone(),
            model: run.model.clone(),
        }));
        state.spawn(self.speak(Arc::clone(state)));
    }

    /// Says everything, a word at a time, until the end or until somebody stops it.
    async fn speak(self, state: Arc<State>) {
        let job = &self.job;
        let parallel = self.runs.len() > 1;
        let step = |run: usize| format!("step_{}_{run}", job.answer_id);
        let words = if self.fails.is_some() { 0 } else { self.words };
        for word in 0..words {
            for (place, run) in self.runs.iter().enumerate() {
                if word == 0 && !job.step(&step(place), place, run, parallel) {
                    return;
                }
                if !self.delay.is_zero() {
                    tokio::time::sleep(self.delay).await;
                }
                if !job.word(&step(place), place, &events::word(&run.model, word)) {
                    return;
                }
            }
        }
        self.finish(&state);
    }

    /// The last event, and what it leaves behind: the answer in the history, the cost off the balance.
    fn finish(&self, state: &State) {
        let (job, primary) = (&self.job, &self.primary);
        if !job.is_running() {
            return;
        }
        let content = match &self.fails {
            Some(status) => {
                let error = format!("An error occurred while processing the request: {status} no such luck");
                vec![json!({"type": "error", "error": error})]
            }
            None => job.content(),
        };
        let prompt = prompt_tokens(&job.question);
        let answer = json!({
            "messageId": job.answer_id, "conversationId": job.id,
            "parentMessageId": job.question.get("messageId"), "isCreatedByUser": false, "isEdited": false,
            "model": primary.shown_model(), "sender": job.sender, "promptTokens": credit(prompt),
            "endpoint": primary.shown_endpoint(), "text": "", "content": content, "attachments": [],
        });
        let conversation = {
            let mut history = lock(&state.history);
            let found = history.find_mut(&job.id);
            found.map(|found| {
                let mut kept = answer.clone();
                if let Some(fields) = kept.as_object_mut() {
                    fields.insert("tokenCount".to_owned(), self.words.into());
                }
                found.keep(&kept);
                found.document()
            })
        };
        // Paid before the last event, so that whoever heard it finds the new balance.
        if self.fails.is_none() {
            self.pay(state, prompt);
        }
        job.end(&events::finished(&conversation.unwrap_or_default(), &job.question, &answer));
    }

    fn pay(&self, state: &State, prompt: f64) {
        let said = u32::try_from(self.words).map_or(0.0, f64::from);
        let cost: f64 = self.runs.iter().map(|run| prompt * rate(&run.model).0 + said * rate(&run.model).1).sum();
        if let Some(balance) = lock(&state.balances).get_mut(&self.job.user) {
            *balance = (*balance - cost).max(0.0);
        }
    }
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

/// USD per million tokens, which is credits per token: prompt and completion (CONTRACT.md E.3; 6 where none is known).
fn rate(model: &str) -> (f64, f64) {
    match model {
        "gpt-4o-mini" => (0.15, 0.6),
        "gpt-4o" => (2.5, 10.0),
        "o1" => (15.0, 60.0),
        _ => (6.0, 6.0),
    }
}

/// The value of `name` in a message's `[[name=value other=value]]`.
pub(super) fn directive<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let inner = text.split_once("[[")?.1.split_once("]]")?.0;
    inner.split_whitespace().filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|pair| pair.1)
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
}
