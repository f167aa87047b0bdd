//! Reads the answer that is itself a run, while it passes to the caller: of the remote-agent API, or of an assistant.

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

/// One run.
pub(in crate::flow) struct Run {
    turns: Turns,
    turn: Arc<Turn>,
    progress: Arc<Mutex<Progress>>,
    /// None where the answer says nothing that can be counted.
    reader: Option<Reader>,
    usage: Option<Usage>,
    failed: bool,
    whole: bool,
}

// === impl Run ===

impl Run {
    /// An answer of the remote-agent API of this type.
    pub(super) fn remote(turns: Turns, turn: Arc<Turn>, content_type: &str) -> Self {
        Self::new(turns, turn, Some(Reader::new(content_type)))
    }

    /// An answer of an assistant.
    pub(super) fn assistant(turns: Turns, turn: Arc<Turn>) -> Self {
        Self::new(turns, turn, None)
    }

    fn new(turns: Turns, turn: Arc<Turn>, reader: Option<Reader>) -> Self {
        let progress = turn.read();
        progress.lock().from_start = true;
        Self { turns, turn, progress, reader, usage: None, failed: false, whole: false }
    }

    fn hear(&mut self, event: &Event<'_>) {
        let mut progress = self.progress.lock();
        let runs = self.turn.runs();
        match event {
            Event::Id(id) => progress.response = Some((*id).into()),
            Event::Text(text) => progress.push(None, Kind::Text, text, runs),
            Event::Reasoning(text) => progress.push(None, Kind::Reasoning, text, runs),
            Event::Call(text) => progress.push(None, Kind::Call, text, runs),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed => self.failed = true,
            Event::TooLong(_) => progress.anything = true,
        }
    }

    fn read(&mut self, chunk: Option<&Bytes>) {
        let Some(mut reader) = self.reader.take() else { return };
        let mut hear = |event: Event<'_>| self.hear(&event);
        match chunk {
            Some(chunk) => reader.push(chunk, &mut hear),
            None => reader.end(&mut hear),
        }
        self.reader = Some(reader);
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
        let parts = self.turns.parts();
        let now = parts.clock.tick();
        if let Some(usage) = self.usage {
            self.progress.lock().input = Some(usage.input);
            // It is the sum over all models that ran. Which used how much, nobody says: it counts for the first.
            let first = self.turn.runs().first().filter(|_| usage.whole);
            if let Some(Spent { endpoint, model, .. }) = first {
                let (endpoint, model) = (Arc::clone(endpoint), Arc::clone(model));
                let tokens = usage.tokens(&endpoint);
                self.turn.was_told(vec![Spent { endpoint, model, tokens }]);
            }
        }
        self.turn.unread(&self.progress, now, &parts.pace);
        let end = match (&self.reader, self.whole, self.failed) {
            // The run goes on without its reader.
            (None, ..) => End::Gone,
            (Some(_), true, false) => End::Finished,
            (Some(_), true, true) => End::Failed,
            // LibreChat ends the run when its caller leaves (CONTRACT.md G.2).
            (Some(_), false, _) => End::Aborted,
        };
        self.turn.ended(end, now);
        self.turns.wake();
    }
}
