//! Looks after those who record: a disk that does not answer, and a writer or a lane that ends when it should not, are noticed and told,
//! so that nothing goes on that is not written down.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::lane::Lane;
use super::standing::{Standing, Trouble};
use crate::clock::Clock;

/// Looks after writer and lanes.
pub(super) struct Watch {
    standing: Arc<Standing>,
    clock: Clock,
    patience: Duration,
}

// === impl Watch ===

impl Watch {
    pub(super) fn new(standing: &Arc<Standing>, clock: &Clock, patience: Duration) -> Self {
        Self { standing: Arc::clone(standing), clock: clock.clone(), patience }
    }

    /// Looks, without end, whether the disk answers.
    pub(super) async fn disk(&self) {
        loop {
            sleep(self.patience / 8).await;
            self.standing.look(self.clock.tick(), self.patience);
        }
    }

    /// Waits for the end of the writer.
    pub(super) async fn writer(&self, writer: JoinHandle<()>) {
        if writer.await.is_err() {
            self.ended(&"the writer of the record ended badly; restart tollgate");
        }
    }

    /// Runs a lane to its end. Where others go on then, what waits for its sink reaches it after a restart.
    pub(super) async fn lane(&self, lane: Lane) {
        let (sink, over) = (lane.sink(), lane.over());
        let ended = AssertUnwindSafe(lane.run()).catch_unwind().await;
        if ended.is_err() || !over.holds() {
            self.ended(&format_args!("no entries go to the sink {sink} any more; restart tollgate"));
        }
    }

    fn ended(&self, why: &dyn std::fmt::Display) {
        self.standing.note(Trouble::Ended, Some(why));
    }
}
