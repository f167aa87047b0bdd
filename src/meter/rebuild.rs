//! Brings lost counters back: from what the ledger says was put on them, under the fence of the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::record::Recorder;
use crate::store::counters::{Counters, Rebuilt};
use crate::store::{Ledger, StoreError};

/// Rebuilds counters that their store has lost. One for each store of counters in a process.
pub struct Rebuilder {
    counters: Arc<dyn Counters>,
    ledger: Option<Arc<dyn Ledger>>,
    recorder: Recorder,
    grace: Duration,
    /// One rebuild at a time.
    turn: tokio::sync::Mutex<()>,
}

/// How long other processes are given to write down what they have settled before the counters were lost.
pub const GRACE: Duration = Duration::from_secs(1);

// === impl Rebuilder ===

impl Rebuilder {
    /// Rebuilds these counters from this ledger, after the recorder has written what it holds. `ledger` is one of the recorder's
    /// sinks ([`crate::record::Sink::kept`]); without one nobody knows what was spent, and counters begin at nothing.
    pub fn new(
        counters: Arc<dyn Counters>,
        ledger: Option<Arc<dyn Ledger>>,
        recorder: Recorder,
        grace: Duration,
    ) -> Self {
        Self { counters, ledger, recorder, grace, turn: tokio::sync::Mutex::default() }
    }

    /// Rebuilds once, whoever else tries: to be called when the counters answer that they are lost, and again later where it fails.
    /// `at` is the time of the counters as far as is known (UTC). Requests are not to wait for it.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger or the counters do not answer; nothing is counted then.
    pub async fn rebuild(&self, at: Timestamp) -> Result<Rebuilt, StoreError> {
        let _alone = self.turn.lock().await;
        tokio::time::sleep(self.grace).await;
        self.recorder.flush().await;
        let known = match &self.ledger {
            Some(ledger) => ledger.charged(at).await?,
            None => Vec::new(),
        };
        self.counters.rebuild(&known).await
    }
}
