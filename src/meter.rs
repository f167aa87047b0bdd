//! Counts what limits allow: which counters a request's charges draw from, and what becomes of what was taken.
//!
//! The policy says what a request takes ([`crate::policy::charge`]); a store counts ([`crate::store::counters`]). Here each
//! charge finds its counter at this moment, by the store's time, and what was taken becomes a [`Receipt`], which is settled
//! once, whatever becomes of the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::clock::Clock;
use crate::policy::charge::Charge;
use crate::store::StoreError;
use crate::store::counters::{Answer, Counters, Draw, Hold, Lack, Reading, Use};

mod plan;
pub mod rebuild;
mod receipt;
pub mod tokens;
pub mod window;

pub use plan::plan;
pub use rebuild::Rebuilder;
pub use receipt::{Receipt, Unsettled};
use window::OutOfCalendar;

/// Takes charges from counters. Cheap to clone.
#[derive(Clone)]
pub struct Meter {
    counters: Arc<dyn Counters>,
    clock: Clock,
    /// By how many microseconds the store's clock is ahead of this one's, as far as is known.
    ahead: Arc<AtomicI64>,
    desk: receipt::Desk,
}

/// What became of charges.
#[derive(Debug)]
pub enum Taken {
    /// All fit and are taken.
    All {
        /// To be settled.
        receipt: Receipt,
        /// How each counter stands now, in the order of the charges.
        uses: Vec<Use>,
    },
    /// Some do not fit; none is taken.
    Short {
        /// The store's time.
        at: Timestamp,
        /// Which ones, by their place among the charges.
        lacks: Vec<Lack>,
    },
}

/// Charges could not be weighed. A request whose charges cannot be weighed does not go on, unless its limits say otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MeterError {
    /// The store cannot answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has lost its counters, or never had any, and waits to be rebuilt.
    #[error("the counters of limits are lost and not rebuilt yet")]
    Lost,
    /// The store's time is on no calendar, or runs away.
    #[error(transparent)]
    Calendar(#[from] OutOfCalendar),
    /// As many receipts are open as may be: one more might find no place in the queue of those to be settled.
    #[error("{0} turns are open, and no more can be kept")]
    Full(usize),
}

// === impl Meter ===

impl Meter {
    /// A meter over these counters, and the queue of receipts that nobody settled. `most` receipts can be open at once.
    pub fn new(counters: Arc<dyn Counters>, clock: Clock, most: usize) -> (Self, Unsettled) {
        let (desk, unsettled) = receipt::desk(Arc::clone(&counters), most);
        (Self { counters, clock, ahead: Arc::default(), desk }, unsettled)
    }

    /// Takes all charges or none. What is taken expires after `lives` where nobody settles it.
    ///
    /// # Errors
    /// [`MeterError`] where the charges cannot be weighed. What may have been taken all the same is given back in the background,
    /// also where the call is dropped on its way.
    pub async fn take(&self, charges: &[Charge], lives: Duration) -> Result<Taken, MeterError> {
        let place = self.desk.place()?;
        let (id, mut at) = (Uuid::now_v7(), self.about_now());
        let asked = |draws: &[Draw], at: Timestamp| {
            let expires = at.checked_add(lives).unwrap_or(Timestamp::MAX);
            Hold { id, draws: draws.to_vec(), at, expires }
        };
        let mut draws = plan(charges, at)?;
        let mut receipt = place.asking(asked(&draws, at));
        // A second time where the store's clock says another window than ours did.
        for _ in 0..2 {
            match self.counters.take(&draws, id, lives).await {
                Ok(Answer::Taken { hold, uses }) => return Ok(Taken::All { receipt: receipt.taken(hold), uses }),
                Ok(Answer::Short { at, lacks }) => {
                    receipt.forget();
                    return Ok(Taken::Short { at, lacks });
                }
                Ok(Answer::Moved { at: told }) => {
                    at = self.corrected(told);
                    draws = plan(charges, at)?;
                    receipt.asks(asked(&draws, at));
                }
                // The id is new: nobody can have ended it.
                Ok(Answer::Lost | Answer::Ended) => {
                    receipt.forget();
                    return Err(MeterError::Lost);
                }
                // Perhaps it was taken, and the answer did not arrive: dropping the receipt gives it back.
                Err(error) if error.transient => return Err(error.into()),
                Err(error) => {
                    receipt.forget();
                    return Err(error.into());
                }
            }
        }
        receipt.forget();
        Err(OutOfCalendar(at).into())
    }

    /// How the counters of these charges stand. Takes nothing.
    ///
    /// # Errors
    /// [`MeterError`] where that cannot be said.
    pub async fn read(&self, charges: &[Charge]) -> Result<Reading, MeterError> {
        let mut at = self.about_now();
        for _ in 0..2 {
            let draws = plan(charges, at)?;
            let reading = self.counters.read(&draws).await?.ok_or(MeterError::Lost)?;
            if draws.iter().all(|draw| draw.is_of(reading.at)) {
                return Ok(reading);
            }
            at = self.corrected(reading.at);
        }
        Err(OutOfCalendar(at).into())
    }

    /// The store's time as far as can be told without asking.
    fn about_now(&self) -> Timestamp {
        let ahead = SignedDuration::from_micros(self.ahead.load(Ordering::Relaxed));
        self.clock.now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// The store's time, which is remembered as the difference from our own.
    fn corrected(&self, told: Timestamp) -> Timestamp {
        let ahead = told.as_microsecond().saturating_sub(self.clock.now().as_microsecond());
        self.ahead.store(ahead, Ordering::Relaxed);
        told
    }
}

#[cfg(test)]
mod tests;
