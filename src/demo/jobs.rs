//! Turns that are running: what was said so far, who listens, and how they end (CONTRACT.md G.1).
//!
//! A turn goes on whether or not anybody listens. What it says is kept, so that the first listener misses nothing;
//! those who come later hear the rest only, or ask for a summary first (`?resume=true`).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::choice::Run;
use super::events;
use super::state::lock;

/// All turns that can still be asked for, oldest first.
#[derive(Default)]
pub(super) struct Jobs {
    all: Vec<Arc<Job>>,
}

/// One turn.
pub(super) struct Job {
    /// The stream's id, which is the conversation's.
    pub(super) id: String,
    /// Whose it is.
    pub(super) user: String,
    /// What was asked, as the `created` event shows it.
    pub(super) question: Value,
    /// The id of the answer, which is the run's.
    pub(super) answer_id: String,
    /// Who answers.
    pub(super) sender: String,
    /// When it began, in milliseconds since 1970.
    pub(super) started: i64,
    said: Mutex<Said>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Said {
    frames: Vec<Bytes>,
    steps: Vec<Value>,
    texts: Vec<Value>,
    done: bool,
    failed: bool,
    heard: bool,
}

/// A place in what is said.
struct Listener {
    job: Arc<Job>,
    changed: watch::Receiver<()>,
    next: usize,
    first: Option<Bytes>,
}

// === impl Jobs ===

impl Jobs {
    /// Adds a turn in place of an older one of the same conversation.
    pub(super) fn add(&mut self, job: Arc<Job>) {
        self.all.retain(|old| old.id != job.id);
        self.all.push(job);
    }

    /// The turn of this id, running or not yet heard. A failed one stays: it can be read again (capture
    /// `385_balance-zero-restream`).
    pub(super) fn find(&mut self, id: &str) -> Option<Arc<Job>> {
        self.all.retain(|job| !job.is_over());
        self.all.iter().find(|job| job.id == id).cloned()
    }

    /// Somebody's running turns, oldest first.
    pub(super) fn running(&self, user: &str) -> Vec<Arc<Job>> {
        self.all.iter().filter(|job| job.user == user && job.is_running()).cloned().collect()
    }
}

// === impl Job ===

impl Job {
    /// A turn that has said nothing yet.
    pub(super) fn new(id: String, user: String, question: Value, answer_id: String, sender: String, now: i64) -> Job {
        let (changed, _) = watch::channel(());
        Job { id, user, question, answer_id, sender, started: now, said: Mutex::default(), changed }
    }

    /// Says the `created` event.
    pub(super) fn created(&self) {
        let event = events::created(&self.question, &self.id);
        self.change(|said| said.frames.push(events::message(&event)));
    }

    /// Says that a model begins. `index` is the model's place, and `parallel` whether there are two.
    pub(super) fn step(&self, id: &str, index: usize, run: &Run, parallel: bool) -> bool {
        let step = events::step(id, index, &self.answer_id, parallel.then_some(run.agent.as_str()));
        let frame = events::message(&json!({"event": "on_run_step", "data": step}));
        self.change(|said| {
            said.frames.push(frame);
            said.steps.push(step);
            said.texts.push(events::content("", parallel.then_some(run.agent.as_str())));
        })
    }

    /// Says a word of the model at `index`.
    pub(super) fn word(&self, id: &str, index: usize, word: &str) -> bool {
        let frame = events::message(&events::delta(id, word));
        self.change(|said| {
            said.frames.push(frame);
            if let Some(Value::String(text)) = said.texts.get_mut(index).and_then(|content| content.get_mut("text")) {
                text.push_str(word);
            }
        })
    }

    /// Says the last event, if the turn has not ended otherwise.
    pub(super) fn end(&self, event: &Value) -> bool {
        self.change(|said| {
            said.frames.push(events::message(event));
            said.done = true;
        })
    }

    /// Ends with an error event.
    pub(super) fn fail(&self, error: &str) -> bool {
        self.change(|said| {
            said.frames.push(events::error(error));
            said.done = true;
            said.failed = true;
        })
    }

    /// What was said so far, by model.
    pub(super) fn content(&self) -> Vec<Value> {
        lock(&self.said).texts.clone()
    }

    /// The summary that a resuming listener gets first, and that the status shows.
    pub(super) fn resume_state(&self) -> Value {
        let said = lock(&self.said);
        let field = |name: &str| self.question.get(name).cloned().unwrap_or_default();
        json!({
            "runSteps": said.steps, "aggregatedContent": said.texts,
            "userMessage": {
                "messageId": field("messageId"), "parentMessageId": field("parentMessageId"),
                "conversationId": self.id, "text": field("text"),
            },
            "responseMessageId": self.answer_id, "conversationId": self.id, "sender": self.sender,
        })
    }

    /// Whether it still speaks.
    pub(super) fn is_running(&self) -> bool {
        !lock(&self.said).done
    }

    /// What is said from now on; the first listener hears it from the beginning.
    pub(super) fn listen(self: Arc<Job>, resume: bool) -> impl Stream<Item = Bytes> + Send + 'static {
        let summary = resume
            .then(|| events::message(&json!({"sync": true, "resumeState": self.resume_state(), "pendingEvents": []})));
        let changed = self.changed.subscribe();
        let next = {
            let mut said = lock(&self.said);
            let from_the_start = (!said.heard && !resume) || said.failed;
            said.heard = true;
            if from_the_start { 0 } else { said.frames.len() }
        };
        stream::unfold(Listener { job: self, changed, next, first: summary }, Listener::hear)
    }

    /// Whether it has ended and somebody was there.
    fn is_over(&self) -> bool {
        let said = lock(&self.said);
        said.done && said.heard && !said.failed
    }

    /// Changes what was said and wakes the listeners. After the end nothing is said: then it is `false`.
    fn change(&self, change: impl FnOnce(&mut Said)) -> bool {
        {
            let mut said = lock(&self.said);
            if said.done {
                return false;
            }
            change(&mut said);
        }
        self.changed.send_replace(());
        true
    }
}

// === impl Listener ===

impl Listener {
    async fn hear(mut self) -> Option<(Bytes, Listener)> {
        if let Some(first) = self.first.take() {
            return Some((first, self));
        }
        loop {
            self.changed.mark_unchanged();
            let (frame, done) = {
                let said = lock(&self.job.said);
                (said.frames.get(self.next).cloned(), said.done)
            };
            match frame {
                Some(frame) => {
                    self.next += 1;
                    return Some((frame, self));
                }
                None if done => return None,
                None => self.changed.changed().await.ok()?,
            }
        }
    }
}
