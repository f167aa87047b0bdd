//! Reads the answer of the remote-agent API, which is itself the run, while it passes to the caller.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::claim::Spent;
use super::progress::Progress;
use super::rule::End;
use super::{Turn, Turns};
use crate::flow::reply::Watch;
use crate::librechat::remote::usage::{Event, Reader, Usage};
use crate::librechat::said::Kind;
use crate::policy::rates;
use crate::record::entry::Source;

/// One run.
pub(in crate::flow) struct Run {
    turns: Turns,
    turn: Arc<Turn>,
    progress: Arc<Mutex<Progress>>,
    reader: Reader,
    usage: Option<Usage>,
    failed: bool,
    whole: bool,
}

// === impl Run ===

impl Run {
    /// An answer of this type.
    pub(super) fn new(turns: Turns, turn: Arc<Turn>, content_type: &str) -> Self {
        let progress = turn.read();
        progress.lock().from_start = true;
        let reader = Reader::new(content_type);
        Self { turns, turn, progress, reader, usage: None, failed: false, whole: false }
    }

    fn read(&mut self, chunk: Option<&Bytes>) {
        let Self { turns, turn, progress, reader, usage, failed, .. } = self;
        let mut progress = progress.lock();
        let runs = turn.runs();
        // The answer does not say which of several models writes: of those it is the dearest.
        let writer = turn.runs_several().then_some("");
        let mut hear = |event: Event<'_>| match event {
            Event::Id(id) => progress.response = Some(id.into()),
            Event::Text(text) => progress.push(writer, Kind::Text, text, runs),
            Event::Reasoning(text) => progress.push(writer, Kind::Reasoning, text, runs),
            Event::Call(text) => progress.push(writer, Kind::Call, text, runs),
            Event::Usage(told) => *usage = Some(told),
            Event::Failed => *failed = true,
            Event::TooLong(_) => progress.anything = true,
        };
        match chunk {
            Some(chunk) => reader.push(chunk, &mut hear),
            None => reader.end(&mut hear),
        }
        let first = progress.first_text();
        drop(progress);
        if let Some(passed) = first {
            turn.writes(passed.then(|| turns.parts().clock.tick()));
        }
    }
}

impl Watch for Run {
    fn chunk(&mut self, chunk: &Bytes) {
        self.read(Some(chunk));
    }

    fn end(&mut self) {
        self.whole = true;
        self.read(None);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(usage) = self.usage {
            self.progress.lock().input = Some(usage.input);
            // It is the sum over all models that ran. Which used how much, nobody says: it may all be of the dearest.
            if usage.whole
                && let Some(dearest) = dearest(&self.turn, &usage)
            {
                self.turn.was_told(vec![dearest]);
            }
        }
        let end = match (self.whole, self.failed) {
            (true, false) => End::Finished,
            (true, true) => End::Failed,
            // LibreChat ends the run when its caller leaves (CONTRACT.md G.2).
            (false, _) => End::Aborted,
        };
        self.turns.over_unread(&self.turn, &self.progress, end);
    }
}

/// What was used, if all of it was of the model of the turn that makes it the dearest; of several that are as dear, the first.
fn dearest(turn: &Turn, usage: &Usage) -> Option<Spent> {
    let all = turn.runs().iter().map(|run| Spent { tokens: usage.tokens(&run.endpoint), ..run.clone() });
    let cost = |run: &Spent| {
        let price = turn.policy.price_for(&run.endpoint, &run.model, run.tokens.given());
        price.unwrap_or_else(|| rates::rate(&run.model, run.tokens.given())).of(&run.tokens)
    };
    all.rev().max_by_key(cost)
}

// === impl Turn, for runs ===

impl Turn {
    /// Whether more than one model may run in it.
    pub(super) fn runs_several(&self) -> bool {
        let mut runs = self.runs().iter();
        runs.next().is_some_and(|first| runs.any(|run| !run.is_of(first)))
    }

    /// Whether what this source says is a sum over several models, of which nobody knows which used how much: so it is where the
    /// answer is the run itself.
    pub(super) fn shares(&self, source: Source) -> bool {
        let told = matches!(source, Source::Provider | Source::Stream);
        told && self.stream().is_none() && self.runs_several()
    }
}
