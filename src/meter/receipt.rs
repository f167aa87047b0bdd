//! What was taken, until it is settled: by its owner, or by the queue of those that nobody settled.
//!
//! A receipt that is dropped is settled at its estimate, in the background. For that each open receipt has its place in the
//! queue from the beginning: dropping never waits and never finds the queue full. What the queue cannot settle now, because
//! the store does not answer, it settles later; what is left when the process ends expires in the store.
//!
//! What was taken from this replica's own share is settled there at once, and carried over to the store under the same name,
//! which the store counts once, whether it had heard of it before or not. Who ends the process before the store is back loses
//! what waits to be carried over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{OwnedPermit, Receiver, Sender, channel};
use tokio::time::sleep;

use super::MeterError;
use super::asking::{Asking, Silence};
use super::share::Share;
use super::vacating::{Vacant, Vacating, vacating};
use crate::store::StoreError;
use crate::store::counters::{Hold, Settled};

/// The pause before the store is asked again, at first and at most.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// So many of those that nobody settled are settled at the same time.
pub(super) const AT_ONCE: usize = 16;

/// What was taken. Settled once: by [`Receipt::settle`] or [`Receipt::release`], and at the estimate where it is dropped.
#[must_use = "dropping it settles at the estimate"]
pub struct Receipt {
    /// None once the store has settled it.
    open: Option<(Task, OwnedPermit<Task>)>,
    asking: Arc<Asking>,
    vacating: Vacating,
}

/// What is to be settled, and at what.
#[derive(Debug)]
struct Task {
    hold: Hold,
    used: Used,
    /// Seldom there, and large.
    own: Option<Box<Own>>,
}

/// What was taken from this replica's own share.
struct Own {
    share: Share,
    /// Under the same id as the hold of all replicas, with other ceilings.
    hold: Hold,
    /// Whether the store may have taken the same.
    asked: bool,
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
    vacant: Vacant,
    asking: Arc<Asking>,
}

/// Where receipts are made.
#[derive(Clone)]
pub(super) struct Desk {
    queue: Sender<Task>,
    asking: Arc<Asking>,
    vacating: Vacating,
}

/// A place in the queue for a receipt to come.
pub(super) struct Place {
    permit: OwnedPermit<Task>,
    asking: Arc<Asking>,
    vacating: Vacating,
}

/// A desk, and the queue behind it with room for so many.
pub(super) fn desk(asking: Arc<Asking>, most: usize) -> (Desk, Unsettled) {
    let (sender, receiver) = channel(most.max(1));
    let (vacating, vacant) = vacating(Arc::clone(&asking), most);
    let desk = Desk { queue: sender, asking: Arc::clone(&asking), vacating };
    (desk, Unsettled { queue: receiver, vacant, asking })
}

// === impl Desk ===

impl Desk {
    /// A place in the queue, before anything is taken.
    pub(super) fn place(&self) -> Result<Place, MeterError> {
        let most = self.queue.max_capacity();
        let permit = self.queue.clone().try_reserve_owned().map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Closed(_) => MeterError::Full(most),
        })?;
        Ok(Place { permit, asking: Arc::clone(&self.asking), vacating: self.vacating.clone() })
    }

    /// Where places are given back.
    pub(super) fn vacating(&self) -> &Vacating {
        &self.vacating
    }
}

// === impl Place ===

impl Place {
    /// The receipt for what is about to be asked for. Until the answer is there, dropping it gives back what may have been taken.
    pub(super) fn asking(self, hold: Hold) -> Receipt {
        let task = Task { hold, used: Used::Nothing, own: None };
        Receipt { open: Some((task, self.permit)), asking: self.asking, vacating: self.vacating }
    }
}

// === impl Receipt ===

impl Receipt {
    /// What was taken, as the store knows it or will; none once it is settled.
    pub fn hold(&self) -> Option<&Hold> {
        self.open.as_ref().map(|(task, _)| &task.hold)
    }

    /// The same under the ceilings that held: those of this replica's own share, where it was taken from that.
    pub fn weighed(&self) -> Option<&Hold> {
        self.open.as_ref().map(|(task, _)| task.own.as_ref().map_or(&task.hold, |own| &own.hold))
    }

    /// Whether it was taken from this replica's own share, because the store did not count.
    pub fn is_local(&self) -> bool {
        self.open.as_ref().is_some_and(|(task, _)| task.own.is_some())
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

    /// What it was taken for has not gone out yet: until [`Receipt::sent`], dropping it gives everything back.
    pub fn unsent(mut self) -> Self {
        if let Some((task, _)) = &mut self.open {
            task.used = Used::Nothing;
        }
        self
    }

    /// What it was taken for goes out now: from here on dropping it settles at the estimate.
    pub fn sent(&mut self) {
        if let Some((task, _)) = &mut self.open {
            task.used = Used::Estimate;
        }
    }

    /// Gives back the places that it holds among what runs at a time, and nothing else: what it was for has ended, and what it used is
    /// not known yet. This replica's own share has them back at once; the store in the background, as soon as it answers. To say it
    /// again changes nothing, and settling gives nothing back twice.
    pub fn vacate(&self) {
        let Some((task, _)) = &self.open else { return };
        if let Some(own) = &task.own {
            if let Err(error) = own.share.vacate(&own.hold) {
                tracing::error!(%error, hold = %own.hold.id, "the places of a turn could not be given back before it is settled");
            }
            if !own.asked {
                // The store has never heard of it.
                return;
            }
        }
        self.vacating.vacate(&task.hold);
    }

    /// Settles nothing, and gives nothing back: somebody else does, or it expires.
    pub fn leave_open(mut self) {
        self.open = None;
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
            *task = Task { hold, used: Used::Estimate, own: None };
        }
        self
    }

    /// The store did not count, and this replica's own share had room for `own`. `asked` says whether the store may have taken
    /// it, too.
    pub(super) fn taken_here(mut self, share: Share, own: Hold, asked: bool) -> Self {
        if let Some((task, _)) = &mut self.open {
            task.used = Used::Estimate;
            task.own = Some(Box::new(Own { share, hold: own, asked }));
        }
        self
    }

    /// Nothing was taken here; the store may have taken it where it was asked, and gets it back.
    pub(super) fn not_taken(self, asked: bool) {
        if !asked {
            self.forget();
        }
    }

    /// Nothing was taken.
    pub(super) fn forget(mut self) {
        self.open = None;
    }

    async fn end(mut self, used: Used) -> Result<Settled, StoreError> {
        let Some((task, _)) = &mut self.open else { return Ok(Settled::Already) };
        // Said before the store is asked: from here on dropping means this, and no longer the estimate.
        task.used = used;
        task.settle_here();
        let settled = task.settle(&self.asking).await?;
        if settled != Settled::Lost {
            self.open = None;
        }
        Ok(settled)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some((task, place)) = self.open.take() {
            task.settle_here();
            self.asking.waiting().inc();
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
    /// What is counted, an amount for each draw; none where nothing is.
    fn amounts(&self) -> Option<Vec<u64>> {
        match &self.used {
            Used::Actual(used) => Some(used.clone()),
            Used::Nothing => None,
            Used::Estimate => Some(self.hold.draws.iter().map(|draw| draw.amount).collect()),
        }
    }

    /// Settles what was taken from this replica's own share. Changes nothing the second time.
    fn settle_here(&self) {
        let Some(own) = &self.own else { return };
        if let Err(error) = own.share.end(&own.hold, self.amounts().as_deref()) {
            tracing::error!(%error, hold = %own.hold.id, "a turn could not be settled");
        }
    }

    async fn settle(&self, asking: &Asking) -> Result<Settled, StoreError> {
        let settled = match (self.amounts(), &self.own) {
            (Some(used), _) => asking.settle(&self.hold, &used).await,
            // The store has never heard of it.
            (None, Some(own)) if !own.asked => Ok(Settled::Now(own.hold.at)),
            (None, _) => asking.release(&self.hold).await,
        };
        settled.map_err(Silence::into)
    }

    /// Settles it, however long that takes.
    async fn settle_in_the_end(&self, asking: &Asking) {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.settle(asking).await {
                Ok(Settled::Lost) => {}
                Ok(Settled::TooLate) => {
                    tracing::error!(hold = %self.hold.id, "a turn is settled a day after its hold expired, and is not counted");
                    return;
                }
                Ok(_) => return,
                Err(error) if error.transient => {}
                Err(error) => {
                    tracing::error!(%error, hold = %self.hold.id, "a turn could not be settled");
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").field("hold", &self.hold).field("asked", &self.asked).finish_non_exhaustive()
    }
}

// === impl Unsettled ===

impl Unsettled {
    /// Settles what comes until the meter and all receipts are gone. Goes on asking a store that does not answer.
    pub async fn run(mut self) {
        let asking = &*self.asking;
        let tasks = poll_fn(|context| self.queue.poll_recv(context));
        let settle = async |task: Task| {
            task.settle_in_the_end(asking).await;
            asking.waiting().dec();
        };
        // Apart from each other, so that neither waits for what the other repeats. What is settled has given back its places.
        tokio::select! {
            () = tasks.for_each_concurrent(AT_ONCE, settle) => {}
            () = async { self.vacant.run().await; std::future::pending().await } => {}
        }
    }
}
