//! Looks after the stores of the record: sums by day are brought up to date, and what is too old goes.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Kept;
use crate::clock::Clock;
use crate::store::{Keep, StoreError};

/// How often what has been appended is added up.
pub const ADD_UP: Duration = Duration::from_secs(3);

/// Every so many of these, what is too old goes: once a minute.
const EXPIRE: u32 = 20;

/// The pause between steps where there is more to do: others write meanwhile.
const STEP: Duration = Duration::from_millis(50);

/// Looks after one store.
pub struct Keeper {
    kept: Kept,
    keep: Keep,
    clock: Clock,
    failing: bool,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper of this store, which keeps entries for so long.
    pub fn new(kept: Kept, keep: Keep, clock: &Clock) -> Self {
        Self { kept, keep, clock: clock.clone(), failing: false }
    }

    /// Looks after the store until the task is ended. Where the store does not answer, what was to be done is done later.
    pub async fn run(mut self) {
        let mut pace = interval(ADD_UP);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            pace.tick().await;
            let done = self.look_after(round.is_multiple_of(EXPIRE)).await;
            self.note(done.err());
            round = round.wrapping_add(1);
        }
    }

    async fn look_after(&self, expire: bool) -> Result<(), StoreError> {
        while self.kept.ledger.add_up(self.clock.now()).await? {
            tokio::time::sleep(STEP).await;
        }
        while expire && self.kept.ledger.expire(&self.keep, self.clock.now()).await? {
            tokio::time::sleep(STEP).await;
        }
        Ok(())
    }

    /// A change is logged, a lasting state is not.
    fn note(&mut self, error: Option<StoreError>) {
        let sink = self.kept.sink;
        match (error, self.failing) {
            (Some(error), false) => {
                tracing::warn!(sink, %error, "records are not looked after: sums by day stay behind")
            }
            (None, true) => tracing::info!(sink, "records are looked after again"),
            (Some(_), true) | (None, false) => return,
        }
        self.failing = !self.failing;
    }
}

#[cfg(test)]
mod tests;
