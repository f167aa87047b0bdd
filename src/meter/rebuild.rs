//! Brings lost counters back: by what the ledger says was put on them, under the fence of their store.
//!
//! What was settled is counted once. A turn's charges come into the ledger when its settling was answered; a turn whose settling
//! was not answered, or was answered that the counters are lost, is settled after the rebuild. What the ledger does not have
//! yet when it is asked is missing afterwards: so this process writes down first what it holds, and gives others time for
//! it. Who is slower by more than that has charged for nothing.
//!
//! Open holds are gone with the counters, and what was settled alone would leave room for what still runs. So nothing is taken from
//! counters that begin anew before the fence is over ([`FENCE`]), and each process puts back what it holds meanwhile
//! ([`super::Meter::put_back`]).
//!
//! Several processes may try at once: the store takes the sums of the first one that ends, and adds nothing to what is there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::record::{Kept, Recorder};
use crate::store::StoreError;
use crate::store::counters::{Counters, Rebuilt};

/// How long other processes are given to write down what they had settled before the counters were lost. They write within
/// a tenth of a second where nothing is in the way.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long nothing is taken from counters that begin anew, so that every process puts back what it holds: each of them looks
/// which counters there are twice a second.
pub const FENCE: Duration = Duration::from_secs(3);

/// Rebuilds counters that their store has lost. One for each store of counters in a process.
pub struct Rebuilder {
    counters: Arc<dyn Counters>,
    kept: Option<Kept>,
    recorder: Recorder,
    grace: Duration,
    fence: Duration,
    /// One rebuild at a time.
    turn: Mutex<()>,
}

// === impl Rebuilder ===

impl Rebuilder {
    /// Rebuilds these counters by this ledger, which has to be one of the recorder's sinks ([`crate::record::Sink::kept`]), and
    /// the same one for all processes that count together: embedded stores know what one process has settled. Without a
    /// ledger nobody knows what was spent, and counters begin at nothing.
    ///
    /// `grace` is [`GRACE`], or nothing where no other process counts on these counters.
    pub fn new(counters: Arc<dyn Counters>, kept: Option<Kept>, recorder: Recorder, grace: Duration) -> Self {
        Self { counters, kept, recorder, grace, fence: Duration::ZERO, turn: Mutex::default() }
    }

    /// The same, and nothing is taken before so much more time is over, in which what is held comes back: [`FENCE`] where other
    /// processes count on these counters.
    pub fn fenced(self, fence: Duration) -> Self {
        Self { fence, ..self }
    }

    /// Rebuilds once, whoever else tries: to be called when the counters answer that they are lost (or are new), and again after
    /// a pause where it fails. `now` tells the time of the counters (UTC), as far as that is known without them. Requests are not
    /// to wait for this: it takes the grace, and as long as the ledger takes for its sums.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger or the counters do not answer; then nothing is counted yet.
    pub async fn rebuild(&self, now: impl Fn() -> Timestamp) -> Result<Rebuilt, StoreError> {
        let _alone = self.turn.lock().await;
        if self.is_there().await? {
            return Ok(Rebuilt::NotNeeded);
        }
        sleep(self.grace).await;
        let Some(Kept { sink, ledger }) = &self.kept else {
            let rebuilt = self.counters.rebuild_behind(&[], self.fence).await?;
            if rebuilt == Rebuilt::Now {
                tracing::warn!("the counters of limits begin at nothing: no sink of records could tell what was spent");
            }
            return Ok(rebuilt);
        };
        let missing = self.recorder.flushed(sink).await;
        if self.is_there().await? {
            return Ok(Rebuilt::NotNeeded);
        }
        let known = ledger.charged(now()).await?;
        let rebuilt = self.counters.rebuild_behind(&known, self.fence).await?;
        if rebuilt == Rebuilt::Now {
            tracing::info!(counters = known.len(), sink, "the counters of limits are rebuilt");
            if missing > 0 {
                tracing::warn!(
                    missing,
                    sink,
                    "usage entries were lost before: what they charged is not counted any more"
                );
            }
        }
        Ok(rebuilt)
    }

    /// Whether the store has its counters: somebody was quicker.
    async fn is_there(&self) -> Result<bool, StoreError> {
        Ok(self.counters.epoch().await?.is_some())
    }
}

#[cfg(test)]
mod tests;
