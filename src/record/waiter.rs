//! Somebody who waits for an entry to be on the disk, but not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::meters::Loss;
use super::recorder::Unkept;

/// The writer's end.
pub(super) struct Waiter {
    told: oneshot::Sender<Result<(), Unkept>>,
    gave_up: Arc<AtomicBool>,
}

/// The end of who waits.
pub(super) struct Patient {
    told: oneshot::Receiver<Result<(), Unkept>>,
    gave_up: Arc<AtomicBool>,
}

/// Both ends.
pub(super) fn waiter() -> (Waiter, Patient) {
    let (sender, receiver) = oneshot::channel();
    let gave_up = Arc::new(AtomicBool::new(false));
    (Waiter { told: sender, gave_up: Arc::clone(&gave_up) }, Patient { told: receiver, gave_up })
}

// === impl Waiter ===

impl Waiter {
    /// Whether nobody waits any more, and the request was refused for that. Who has merely left has not given up.
    pub(super) fn has_given_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    /// Tells what became of the entry. False where that is too late, and the request was refused.
    pub(super) fn tell(self, kept: Result<(), Unkept>) -> bool {
        self.told.send(kept).is_ok() || !self.gave_up.load(Ordering::Acquire)
    }
}

// === impl Patient ===

impl Patient {
    /// Waits no longer than this. `refuses`: the request is refused if it was too long.
    ///
    /// # Errors
    /// [`Unkept`] where the entry is not on the disk by then.
    pub(super) async fn wait(mut self, patience: Duration, refuses: bool) -> Result<(), Unkept> {
        if let Ok(told) = timeout(patience, &mut self.told).await {
            return told.unwrap_or(Err(Unkept(Loss::Stopped)));
        }
        if refuses {
            self.gave_up.store(true, Ordering::Release);
        }
        // From here on the writer cannot tell any more; what it has told until now counts.
        self.told.close();
        self.told.try_recv().unwrap_or(Err(Unkept(Loss::SpoolFull)))
    }
}
