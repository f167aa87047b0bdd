//! Reads a turn's stream while it passes to the caller. Nothing of it is kept, delayed or changed.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::progress::Progress;
use super::rule::End;
use super::{Turn, Turns};
use crate::flow::reply::Watch;
use crate::librechat::running::refuses;
use crate::librechat::stream::{Event, Final, Reader};

/// One reader of a turn's stream.
pub(in crate::flow) struct Tap {
    turns: Turns,
    turn: Arc<Turn>,
    reader: Reader,
    progress: Arc<Mutex<Progress>>,
}

// === impl Tap ===

impl Tap {
    pub(super) fn new(turns: Turns, turn: Arc<Turn>) -> Self {
        let progress = turn.read();
        Self { turns, turn, reader: Reader::default(), progress }
    }
}

impl Watch for Tap {
    fn chunk(&mut self, chunk: &Bytes) {
        let Self { turn, reader, progress, .. } = self;
        // A turn that is locked locks its readers: what asks the turn waits until this one is free.
        let mut progress = progress.lock();
        let (mut end, mut error) = (None, None);
        reader.push(chunk, &mut |event| {
            progress.follow(&event, turn.runs());
            match event {
                Event::Final(last) => end = Some(finish(&mut progress, &last, turn)),
                Event::Error(text) => error = Some(refuses(text)),
                _ => {}
            }
        });
        let (from_start, anything, first) = (progress.from_start, progress.anything, progress.first_text());
        drop(progress);
        if let Some(passed) = first {
            turn.writes(passed.then(|| self.turns.parts().clock.tick()));
        }
        let broken = |refused| broken(refused, from_start || !turn.was_read_before(), anything);
        if let Some(end) = error.map(broken).or(end) {
            self.turns.over(turn, end);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let parts = self.turns.parts();
        self.turn.unread(&self.progress, None, parts.clock.tick(), &parts.pace);
    }
}

/// The turn has ended. Who has not read it from its beginning counts the whole answer, which the last event holds.
fn finish(progress: &mut Progress, last: &Final, turn: &Turn) -> End {
    if !progress.from_start && !last.said.is_empty() {
        *progress = Progress::of(&last.said, turn.runs());
    }
    // Stopped before LibreChat had made the message that a model would answer, and nobody has heard of one: none was asked.
    if last.early && !progress.from_start && !progress.anything {
        return End::Refused;
    }
    // An answer without a word is one of no tokens: that is known.
    progress.anything = true;
    progress.input = last.prompt_tokens;
    progress.response = last.response.clone().or_else(|| progress.response.take());
    match (last.aborted, last.said.failed) {
        (true, _) => End::Aborted,
        (false, true) => End::Failed,
        (false, false) => End::Finished,
    }
}

/// LibreChat gave it up. What it has a word of its own for, it refuses before any model is asked; whoever has read the stream
/// from its beginning, or alone, knows whether one was.
fn broken(refused: bool, saw_all: bool, anything: bool) -> End {
    if saw_all && !anything && refused { End::Refused } else { End::Failed }
}
