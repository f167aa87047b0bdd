//! What was taken, until it is settled: by its owner, or by the queue of those that nobody settled.
//!
//! A receipt that is dropped is settled at its estimate, in the background. For that each open receipt has its place in the
//! queue from the beginning: dropping never waits and never finds the queue full. What the queue cannot settle now, because
//! the store does not answer, it settles later; what is left when the process ends expires in the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::time::sleep;

use super::MeterError;
use crate::store::StoreError;
use crate::store::counters::{Counters, Hold, Settled};

/// The pause before the store is asked again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What was taken. Settled once: by [`Receipt::settle`] or [`Receipt::release`], and at the estimate where it is dropped.
#[must_use = "dropping it settles at the estimate"]
pub struct Receipt {
    /// None once the store has settled it.
    open: Option<(Task, OwnedPermit<Task>)>,
    counters: Arc<dyn Counters>,
}

/// What is to be settled, and at what.
#[derive(Debug)]
struct Task {
    hold: Hold,
    used: Used,
}

#[derive(Debug)]
enum Used {
    /// What was taken.
    Estimate,
    /// So much of each draw.
    Actual(Vec<u64>),
    /// Nothing.
    Nothing,
}

/// The queue of receipts that nobody settled. Somebody has to run it.
pub struct Unsettled {
    queue: Receiver<Task>,
    counters: Arc<dyn Counters>,
}

/// Where receipts are made.
#[derive(Clone)]
pub(super) struct Desk {
    queue: Sender<Task>,
    counters: Arc<dyn Counters>,
}

/// A place in the queue for a receipt to come.
pub(super) struct Place {
    permit: OwnedPermit<Task>,
    counters: Arc<dyn Counters>,
}

/// A desk, and the queue behind it with room for so many.
pub(super) fn desk(counters: Arc<dyn Counters>, most: usize) -> (Desk, Unsettled) {
    let (sender, receiver) = channel(most.max(1));
    (Desk { queue: sender, counters: Arc::clone(&counters) }, Unsettled { queue: receiver, counters })
}

// === impl Desk ===

impl Desk {
    /// A place in the queue, before anything is taken.
    pub(super) fn place(&self) -> Result<Place, MeterError> {
        let most = self.queue.max_capacity();
        let permit = self.queue.clone().try_reserve_owned().map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Closed(_) => MeterError::Full(most),
        })?;
        Ok(Place { permit, counters: Arc::clone(&self.counters) })
    }
}

// === impl Place ===

impl Place {
    /// The receipt for what is about to be asked for. Until the answer is there, dropping it gives back what may have been taken.
    pub(super) fn asking(self, hold: Hold) -> Receipt {
        Receipt { open: Some((Task { hold, used: Used::Nothing }, self.permit)), counters: self.counters }
    }
}

// === impl Receipt ===

impl Receipt {
    /// What was taken; none once it is settled.
    pub fn hold(&self) -> Option<&Hold> {
        self.open.as_ref().map(|(task, _)| &task.hold)
    }

    /// Settles at what was really used, an amount for each charge. Where the store does not answer, or the call is dropped on
    /// its way, the queue goes on with the same amounts.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer now; there is nothing left for the caller to do.
    pub async fn settle(self, used: &[u64]) -> Result<Settled, StoreError> {
        self.end(Used::Actual(used.to_vec())).await
    }

    /// Gives everything back: nothing was used. The rest is as with [`Receipt::settle`].
    ///
    /// # Errors
    /// [`StoreError`] as there.
    pub async fn release(self) -> Result<Settled, StoreError> {
        self.end(Used::Nothing).await
    }

    /// The question is asked anew, for another hold.
    pub(super) fn asks(&mut self, hold: Hold) {
        if let Some((task, _)) = &mut self.open {
            task.hold = hold;
        }
    }

    /// The hold was taken.
    pub(super) fn taken(mut self, hold: Hold) -> Self {
        if let Some((task, _)) = &mut self.open {
            *task = Task { hold, used: Used::Estimate };
        }
        self
    }

    /// Nothing was taken.
    pub(super) fn forget(mut self) {
        self.open = None;
    }

    async fn end(mut self, used: Used) -> Result<Settled, StoreError> {
        let Some((task, _)) = &mut self.open else { return Ok(Settled::Already) };
        // Said before the store is asked: from here on dropping means this, and no longer the estimate.
        task.used = used;
        let settled = task.settle(&*self.counters).await?;
        if settled != Settled::Lost {
            self.open = None;
        }
        Ok(settled)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some((task, place)) = self.open.take() {
            // Where nobody runs the queue any more, the hold expires.
            drop(place.send(task));
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("open", &self.open.as_ref().map(|(task, _)| task)).finish_non_exhaustive()
    }
}

// === impl Task ===

impl Task {
    async fn settle(&self, counters: &dyn Counters) -> Result<Settled, StoreError> {
        match &self.used {
            Used::Actual(used) => counters.settle(&self.hold, used).await,
            Used::Nothing => counters.release(&self.hold).await,
            Used::Estimate => {
                let taken: Vec<u64> = self.hold.draws.iter().map(|draw| draw.amount).collect();
                counters.settle(&self.hold, &taken).await
            }
        }
    }
}

// === impl Unsettled ===

impl Unsettled {
    /// Settles what comes until the meter and all receipts are gone. Goes on asking a store that does not answer.
    pub async fn run(mut self) {
        while let Some(task) = self.queue.recv().await {
            self.settle(&task).await;
        }
    }

    /// Settles one; those behind it wait, for they need the same store.
    async fn settle(&self, task: &Task) {
        let (mut pause, longest) = PAUSES;
        loop {
            match task.settle(&*self.counters).await {
                Ok(Settled::Lost) => {}
                Ok(_) => return,
                Err(error) if error.transient => {}
                Err(error) => {
                    tracing::error!(%error, hold = %task.hold.id, "a turn could not be settled");
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
