//! Places that are given back before their hold is settled, in the background: who says so never waits.
//!
//! What the store does not take now is repeated. Nothing depends on it: settling gives back every place that is still there, so
//! that what finds no room in this queue, or is left in it when the process ends, is free then.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

use super::asking::Asking;
use super::receipt::{AT_ONCE, PAUSES};
use crate::store::StoreError;
use crate::store::counters::{Hold, Vacated};

/// Where places are handed in.
#[derive(Clone)]
pub(super) struct Vacating(Sender<Hold>);

/// Those that were handed in.
pub(super) struct Vacant {
    queue: Receiver<Hold>,
    asking: Arc<Asking>,
}

/// A queue with room for so many.
pub(super) fn vacating(asking: Arc<Asking>, most: usize) -> (Vacating, Vacant) {
    let (sender, queue) = channel(most.max(1));
    (Vacating(sender), Vacant { queue, asking })
}

// === impl Vacating ===

impl Vacating {
    /// Gives back the places of this hold, where it has any.
    pub(super) fn vacate(&self, hold: &Hold) {
        if hold.places().next().is_some() && self.0.try_send(hold.clone()).is_err() {
            tracing::debug!(hold = %hold.id, "the places of a turn are given back when it is settled");
        }
    }
}

// === impl Vacant ===

impl Vacant {
    /// Gives back what comes. Goes on asking a store that does not answer.
    pub(super) async fn run(mut self) {
        let asking = &*self.asking;
        let holds = poll_fn(|context| self.queue.poll_recv(context));
        holds.for_each_concurrent(AT_ONCE, async |hold: Hold| vacate_in_the_end(asking, &hold).await).await;
    }
}

async fn vacate_in_the_end(asking: &Asking, hold: &Hold) {
    let (mut pause, longest) = PAUSES;
    loop {
        match asking.vacate(hold).await.map_err(StoreError::from) {
            Ok(Vacated::Now(_) | Vacated::Nothing) => return,
            // Perhaps they are put back.
            Ok(Vacated::Lost) => {}
            Err(error) if error.transient => {}
            Err(error) => {
                tracing::error!(%error, hold = %hold.id, "the places of a turn could not be given back before it is settled");
                return;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
