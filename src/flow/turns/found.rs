//! Turns that another Tollgate has left open here: settled as if they were this one's, once.

use std::sync::Arc;

use super::diary::{self, Found};
use super::open::Facts;
use super::{Receipts, Turn, Turns};
use crate::policy::Snapshot;
use crate::store::diary::Found as Lines;

impl Turns {
    /// Takes over what the diary held when it was opened. `policy` is the one in force now: a limit that is still there is
    /// settled by its own measure and the prices of now, and one that is gone at what was taken.
    ///
    /// LibreChat cannot be asked about these turns, since the caller's token was never written down: its rows are waited for where
    /// its database is configured, until the turn has been open for as long as turns may be; without it they are settled at once,
    /// at the estimate. So is one of which it is not known whether LibreChat has it and under which id. One that is known to have ended
    /// gives back its places, and its rows are waited for no longer than if nothing had happened.
    pub fn take_over(&self, lines: &Lines, policy: &Arc<Snapshot>) {
        let mut found = 0_usize;
        for (id, lines) in lines {
            match diary::read(lines) {
                Ok(Some(turn)) => {
                    found += 1;
                    self.resume(*id, turn, policy);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%id, %error, "an open turn cannot be read: what was taken for it expires");
                }
            }
        }
        if found > 0 {
            tracing::info!(turns = found, "settles the turns that were open when the last Tollgate here ended");
        }
    }

    fn resume(&self, id: uuid::Uuid, found: Found, policy: &Arc<Snapshot>) {
        let Found { begun, started, ended, billed } = found;
        let (caller, targets) = (Arc::new(begun.caller()), begun.targets());
        let now = self.parts().clock.tick();
        let started = started.unwrap_or_else(|| diary::Started {
            stream: begun.conversation.clone(),
            outcome: crate::record::entry::TurnOutcome::Abandoned,
            status: super::pending::LEFT,
            time: 0.0,
        });
        // Where the store has lost them meanwhile, they are put back.
        [&begun.hold, &begun.shadow].into_iter().flatten().for_each(|hold| self.parts().meter.holds(hold));
        // Receipts are made from the holds when it is settled.
        let facts = Facts { id, begun, policy: Arc::clone(policy), caller, targets, bearer: None, arrived: None };
        let turn = Turn::new(facts, Receipts::default(), now);
        let turn = Arc::new(turn);
        let stream = started.stream.clone();
        turn.start(started, now, &self.parts().pace);
        match (billed, ended) {
            (Some(billed), _) => turn.was_billed(billed, now),
            (None, Some(end)) => {
                turn.ended(end, now);
                turn.vacate(&self.parts().meter);
            }
            (None, None) => {}
        }
        self.add(&turn);
        if let Some(stream) = stream {
            self.name(&turn, &stream);
        }
        self.wake();
    }
}
