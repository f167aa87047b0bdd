//! Reads the answer of an assistant, which is itself the run, while it passes to the caller.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::progress::Progress;
use super::rule::End;
use super::{Turn, Turns};
use crate::flow::reply::Watch;
use crate::librechat::assistants::run::{Ending, Event, Reader};
use crate::librechat::said::Kind;

/// One run.
pub(in crate::flow) struct Assisted {
    turns: Turns,
    turn: Arc<Turn>,
    progress: Arc<Mutex<Progress>>,
    reader: Reader,
    /// Something of it was too long to be looked at.
    unseen: bool,
    /// It has come to its end.
    whole: bool,
}

// === impl Assisted ===

impl Assisted {
    pub(super) fn new(turns: Turns, turn: Arc<Turn>) -> Self {
        let progress = turn.read();
        progress.lock().from_start = true;
        Self { turns, turn, progress, reader: Reader::default(), unseen: false, whole: false }
    }
}

impl Watch for Assisted {
    fn chunk(&mut self, chunk: &Bytes) {
        let Self { turns, turn, progress, reader, unseen, .. } = self;
        let mut progress = progress.lock();
        let runs = turn.runs();
        // The answer does not say which of several models writes: of those it is the dearest.
        let writer = turn.runs_several().then_some("");
        let (mut conversation, mut ending, mut pictures) = (None, None, 0);
        reader.push(chunk, &mut |event| match event {
            Event::Conversation(id) => conversation = Some(Arc::from(id)),
            Event::Text(text) => progress.push(writer, Kind::Text, text, runs),
            Event::Call(text) => progress.push(writer, Kind::Call, text, runs),
            Event::Result(text) => progress.push(writer, Kind::Result, text, runs),
            Event::Picture => pictures += 1,
            Event::Ended(how) => ending = ending.or(Some(how)),
            Event::TooLong(_) => *unseen = true,
        });
        let first = progress.first_text();
        // A turn that is locked locks its readers: it is told when this one is free.
        drop(progress);
        if let Some(passed) = first {
            turn.writes(passed.then(|| turns.parts().clock.tick()));
        }
        turn.calls_beside(pictures);
        if let Some(conversation) = conversation {
            turns.learn(turn, &conversation);
        }
        match ending {
            Some(Ending::Finished) if !*unseen => turns.over(turn, End::Finished),
            Some(Ending::Finished | Ending::Failed) => turns.over(turn, End::Cut),
            Some(Ending::Refused) => turns.over(turn, End::Refused),
            None => {}
        }
    }

    fn end(&mut self) {
        self.whole = true;
    }
}

impl Drop for Assisted {
    fn drop(&mut self) {
        let Self { turns, turn, progress, whole, .. } = self;
        if *whole {
            // Without a last event it was stopped.
            return turns.over_unread(turn, progress, End::Cut);
        }
        // Nobody reads on, and LibreChat ends it some seconds later: until it is settled it keeps its place among those that run.
        let parts = turns.parts();
        turn.unread(progress, Some(End::Cut), parts.clock.tick(), &parts.pace);
        turns.wake();
    }
}
