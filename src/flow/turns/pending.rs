//! A turn on its way to LibreChat, until it is known whether LibreChat took it.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::assisted::Assisted;
use super::claim::Claim;
use super::diary::{self, Begun, Started};
use super::open::Facts;
use super::run::Run;
use super::{Receipts, Turn, Turns};
use crate::identity::Bearer;
use crate::meter::Receipt;
use crate::record::Usage;
use crate::record::entry::TurnOutcome;
use crate::store::StoreError;

/// A turn on its way to LibreChat. Dropped, it may run all the same: it is followed as far as that is possible, and else settled at
/// the estimate.
#[must_use = "dropping it means that LibreChat may run it"]
pub(in crate::flow) struct Pending {
    turns: Turns,
    /// None once it has been handed on.
    turn: Option<Arc<Turn>>,
}

// === impl Pending ===

impl Pending {
    pub(super) async fn begin(
        turns: Turns,
        claim: Claim,
        bearer: Option<Arc<Bearer>>,
        arrived: Instant,
        entry: Box<Usage>,
    ) -> Result<Self, (StoreError, Box<Usage>)> {
        let id: Uuid = entry.id;
        let begun = Begun::of(&claim, *entry);
        let Claim { receipt, shadow, policy, caller, targets, .. } = claim;
        let mut receipts = Receipts { main: receipt, shadow };
        if let (true, Some(file)) = (begun.holds(), &turns.parts().diary)
            && let Err(error) = diary::begin(file, id, &begun)
        {
            receipts.give_back().await;
            return Err((error, Box::new(begun.entry)));
        }
        receipts.sent();
        let now = turns.parts().clock.tick();
        let turn =
            Turn::new(Facts { id, begun, policy, caller, targets, bearer, arrived: Some(arrived) }, receipts, now);
        Ok(Self { turns, turn: Some(Arc::new(turn)) })
    }

    /// LibreChat took it, and named its stream. `time` is as in the usage entry.
    pub(in crate::flow) fn started(mut self, stream: Arc<str>, status: u16, time: f64) {
        if let Some(turn) = self.turn.take() {
            let started = Started { stream: Some(stream), outcome: TurnOutcome::Started, status, time };
            open(&self.turns, &turn, started);
        }
    }

    /// The answer is the run itself, over the remote-agent API: it is read while it passes, and the turn is settled when it ends.
    /// `content_type` is the answer's.
    pub(in crate::flow) fn running(self, content_type: &str, status: u16, time: f64) -> Option<Run> {
        self.runs(None, status, time, |turns, turn| Run::new(turns, turn, content_type))
    }

    /// The answer is a run of an assistant: it is read while it passes, also for the conversation that LibreChat's rows are found by.
    pub(in crate::flow) fn assisting(self, status: u16, time: f64) -> Option<Assisted> {
        let conversation = self.turn.as_ref().and_then(|turn| turn.begun.conversation.clone());
        self.runs(conversation, status, time, Assisted::new)
    }

    fn runs<R>(
        mut self,
        stream: Option<Arc<str>>,
        status: u16,
        time: f64,
        run: impl FnOnce(Turns, Arc<Turn>) -> R,
    ) -> Option<R> {
        let turn = self.turn.take()?;
        let run = run(self.turns.clone(), Arc::clone(&turn));
        open(&self.turns, &turn, Started { stream, outcome: TurnOutcome::Started, status, time });
        Some(run)
    }

    /// LibreChat was asked, and gave no answer: it may run the turn.
    pub(in crate::flow) fn unanswered(mut self, status: u16, time: f64) {
        if let Some(turn) = self.turn.take() {
            let stream = turn.begun.conversation.clone();
            open(&self.turns, &turn, Started { stream, outcome: TurnOutcome::Failed, status, time });
        }
    }

    /// LibreChat refused it, or was never reached: all is given back. The usage entry comes back, too.
    pub(in crate::flow) async fn give_back(mut self) -> Option<Box<Usage>> {
        let turn = self.turn.take()?;
        turn.receipts().give_back().await;
        strike(&self.turns, &turn);
        Some(Box::new(turn.begun.entry.clone()))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The caller left, or LibreChat broke off, while it was being asked.
        if let Some(turn) = self.turn.take() {
            let stream = turn.begun.conversation.clone();
            let started = Started { stream, outcome: TurnOutcome::Abandoned, status: LEFT, time: 0.0 };
            open(&self.turns, &turn, started);
        }
    }
}

/// Status written for a caller who left before the answer (nginx' word for it; no client ever sees it).
pub(super) const LEFT: u16 = 499;

/// From here on the turn is followed.
fn open(turns: &Turns, turn: &Arc<Turn>, started: Started) {
    let parts = turns.parts();
    diary::started(turns, turn, &started);
    let stream = started.stream.clone();
    turn.start(started, parts.clock.tick(), &parts.pace);
    turns.add(turn);
    match stream {
        Some(stream) => turns.name(turn, &stream),
        None => turns.wake(),
    }
}

/// Nothing is left to settle.
fn strike(turns: &Turns, turn: &Turn) {
    if let Some(file) = &turns.parts().diary
        && let Err(error) = file.strike(turn.id)
    {
        tracing::warn!(%error, "a turn that was given back stays written down: after a restart that is found out");
    }
}

// === impl Receipts ===

impl Receipts {
    /// The turn goes to LibreChat now.
    fn sent(&mut self) {
        self.main.iter_mut().chain(&mut self.shadow).for_each(Receipt::sent);
    }

    /// Settles nothing: what was taken stays taken until it expires, or whoever finds it written down settles it.
    pub(super) fn leave_open(self) {
        for receipt in [self.main, self.shadow].into_iter().flatten() {
            receipt.leave_open();
        }
    }

    /// Gives everything back. Where the store does not answer, that is done later, in the background.
    pub(super) async fn give_back(self) {
        for receipt in [self.main, self.shadow].into_iter().flatten() {
            if let Err(error) = receipt.release().await {
                tracing::debug!(%error, "what a refused turn had taken is given back later");
            }
        }
    }
}
