//! Counts what limits allow: which counters a request's charges draw from, and what becomes of what was taken.
//!
//! The policy says what a request takes ([`crate::policy::charge`]); a store counts ([`crate::store::counters`]). Here each
//! charge finds its counter at this moment, by the store's time, and what was taken becomes a [`Receipt`], which is settled
//! once, whatever becomes of the request.
//!
//! While the store does not count, each limit follows its `on_failure`: the request is refused, or weighed against a share of the
//! limit that this replica counts by itself. What is used of that share is carried over once the store counts again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;
use crate::policy::RuleId;
use crate::policy::charge::Charge;
use crate::policy::limits::Terms;
use crate::store::StoreError;
use crate::store::counters::{Answer, Counters, Draw, Epoch, Hold, Lack, Reading, Use, Vacated};

mod anew;
mod asking;
pub mod bound;
mod circuit;
mod held;
mod keeping;
mod meters;
mod plan;
mod putting_back;
pub mod rebuild;
mod receipt;
pub mod room;
mod share;
pub mod tokens;
mod vacating;
pub mod window;

pub use anew::{Anew, anew};
use asking::{Asking, Silence};
pub use circuit::{PAUSE, TRIPS};
pub use keeping::keep;
pub use meters::{MeterMeters, Outcome};
pub use plan::plan;
pub use rebuild::Rebuilder;
pub use receipt::{Receipt, Unsettled};
use share::{Share, shares};
use window::OutOfCalendar;

/// By so much the store's clock may seem to differ from ours before the difference is remembered: its answers take time.
const AGREE: Duration = Duration::from_secs(1);

/// Takes charges from counters. Cheap to clone.
#[derive(Clone)]
pub struct Meter {
    asking: Arc<Asking>,
    own: Clock,
    /// By how many microseconds the store's clock is ahead of our own, as far as is known.
    ahead: Arc<AtomicI64>,
    /// The store's clock, as far as is known.
    clock: Clock,
    share: Share,
    desk: receipt::Desk,
    told: meters::Told,
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

/// Why the store has not weighed charges.
struct Unweighed {
    error: MeterError,
    /// Where this replica's own share may stand in: the place in the queue, and whether the store may have taken the charges.
    left: Option<(Receipt, bool)>,
}

// === impl Meter ===

impl Meter {
    /// A meter over these counters, and the queue of receipts that nobody settled. `most` receipts can be open at once.
    pub fn new(counters: Arc<dyn Counters>, clock: Clock, most: usize, meters: &MeterMeters) -> (Self, Unsettled) {
        let asking = Arc::new(Asking::new(counters, clock.clone(), meters.clone()));
        let (desk, unsettled) = receipt::desk(Arc::clone(&asking), most);
        let ahead: Arc<AtomicI64> = Arc::default();
        let (own, clock) = (clock.clone(), clock.ahead(Arc::clone(&ahead)));
        let (share, told) = (Share::new(clock.clone()), meters::Told::of(meters));
        (Self { asking, own, ahead, clock, share, desk, told }, unsettled)
    }

    /// Takes all charges or none. What is taken expires after `lives` where nobody settles it. `terms` says what the limit of a
    /// charge asks for ([`crate::policy::Snapshot::terms`]); a charge without terms is refused where it cannot be counted.
    ///
    /// # Errors
    /// [`MeterError`] where the charges cannot be weighed and a limit says that this refuses. What may have been taken all the
    /// same is given back in the background, also where the call is dropped on its way.
    pub async fn take(
        &self,
        charges: &[Charge],
        terms: impl Fn(&RuleId) -> Option<Terms>,
        lives: Duration,
    ) -> Result<Taken, MeterError> {
        let taken = match self.ask(charges, lives).await {
            Ok(taken) => Ok(taken),
            Err(Unweighed { error, left: Some((receipt, asked)) }) => {
                self.take_here(charges, &terms, lives, receipt, asked).unwrap_or(Err(error))
            }
            Err(Unweighed { error, left: None }) => Err(error),
        };
        self.told.outcome(match &taken {
            Ok(Taken::All { receipt, .. }) if receipt.is_local() => Outcome::Local,
            Ok(Taken::All { .. }) => Outcome::Taken,
            Ok(Taken::Short { .. }) => Outcome::Short,
            Err(_) => Outcome::Refused,
        });
        if let Ok(Taken::All { receipt, uses }) = &taken {
            self.tell_near(charges, &terms, receipt, uses);
        }
        taken
    }

    /// Takes from the counters that all replicas share.
    async fn ask(&self, charges: &[Charge], lives: Duration) -> Result<Taken, Unweighed> {
        let place = self.desk.place()?;
        let (id, mut at) = (Uuid::now_v7(), self.clock.now());
        let mut draws = plan(charges, at)?;
        let mut receipt = place.asking(asked_for(id, &draws, at, lives));
        // A second time where the store's clock says another window than ours did.
        for _ in 0..2 {
            match self.asking.take(&draws, id, lives).await {
                Ok(Answer::Taken { hold, uses }) => {
                    self.hears(hold.at);
                    return Ok(Taken::All { receipt: receipt.taken(hold), uses });
                }
                Ok(Answer::Short { at, lacks }) => {
                    receipt.forget();
                    return Ok(Taken::Short { at, lacks });
                }
                Ok(Answer::Moved { at: told }) => {
                    at = self.corrected(told);
                    match plan(charges, at) {
                        Ok(planned) => draws = planned,
                        Err(error) => {
                            receipt.forget();
                            return Err(error.into());
                        }
                    }
                    receipt.asks(asked_for(id, &draws, at, lives));
                }
                // The id is new: nobody can have ended it.
                Ok(Answer::Lost | Answer::Ended) => {
                    return Err(Unweighed { error: MeterError::Lost, left: Some((receipt, false)) });
                }
                Err(Silence::Unasked(error)) => {
                    return Err(Unweighed { error: error.into(), left: Some((receipt, false)) });
                }
                // Perhaps it was taken, and the answer did not arrive: dropping the receipt gives it back.
                Err(Silence::Failed(error)) => {
                    let asked = error.transient;
                    return Err(Unweighed { error: error.into(), left: Some((receipt, asked)) });
                }
            }
        }
        receipt.forget();
        Err(OutOfCalendar(at).into())
    }

    /// The receipt of a hold that was taken before, by this process or another. Settling it again changes nothing.
    ///
    /// # Errors
    /// [`MeterError::Full`].
    pub fn reopen(&self, hold: Hold) -> Result<Receipt, MeterError> {
        Ok(self.desk.place()?.asking(hold.clone()).taken(hold))
    }

    /// This hold was taken before, by this process or one that has ended, and is not settled: from here on it is put back where the
    /// store has lost it ([`Meter::put_back`]).
    pub fn holds(&self, hold: &Hold) {
        self.asking.held().taken(hold);
    }

    /// Which counters the store has; none where it has lost them.
    ///
    /// # Errors
    /// [`StoreError`] where it does not answer.
    pub async fn epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.asking.epoch().await.map_err(StoreError::from)
    }

    /// Puts back what this process holds, where the counters of this epoch do not know it. How many that were; none where these
    /// counters are lost again by now. Changes nothing the second time.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer: to be repeated then.
    pub async fn put_back(&self, epoch: &Epoch) -> Result<Option<usize>, StoreError> {
        self.asking.put_back(epoch, self.desk.vacating()).await
    }

    /// [`Receipt::vacate`] for a hold whose receipt is gone, or was made by another process.
    pub fn vacate(&self, hold: &Hold) {
        self.desk.vacating().vacate(hold);
    }

    /// The same, waited for: who asks next finds the places free where somebody else has not taken them.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer.
    pub async fn vacate_now(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        self.asking.vacate(hold).await.map_err(StoreError::from)
    }

    /// Takes from this replica's own share, where all limits have one. None where one of them refuses what cannot be counted.
    fn take_here(
        &self,
        charges: &[Charge],
        terms: &impl Fn(&RuleId) -> Option<Terms>,
        lives: Duration,
        receipt: Receipt,
        asked: bool,
    ) -> Option<Result<Taken, MeterError>> {
        let weighed = match shares(charges, terms) {
            Some(own) => self.weigh_here(&own, lives, &receipt),
            None => {
                receipt.not_taken(asked);
                return None;
            }
        };
        Some(match weighed {
            Ok(Answer::Taken { hold, uses }) => {
                Ok(Taken::All { receipt: receipt.taken_here(self.share.clone(), hold, asked), uses })
            }
            other => {
                receipt.not_taken(asked);
                match other {
                    Ok(Answer::Short { at, lacks }) => Ok(Taken::Short { at, lacks }),
                    // The share has counted since the beginning, and nobody else has the id.
                    Ok(_) => Err(MeterError::Lost),
                    Err(error) => Err(error),
                }
            }
        })
    }

    fn weigh_here(&self, own: &[Charge], lives: Duration, receipt: &Receipt) -> Result<Answer, MeterError> {
        let id = receipt.hold().ok_or(MeterError::Lost)?.id;
        let mut at = self.clock.now();
        for _ in 0..2 {
            match self.share.take(&plan(own, at)?, id, lives)? {
                // The window ended between two looks at the clock.
                Answer::Moved { at: told } => at = told,
                answer => return Ok(answer),
            }
        }
        Err(OutOfCalendar(at).into())
    }

    /// Counts the limits that are near their ceilings.
    fn tell_near(
        &self,
        charges: &[Charge],
        terms: &impl Fn(&RuleId) -> Option<Terms>,
        receipt: &Receipt,
        uses: &[Use],
    ) {
        let Some(hold) = receipt.weighed() else { return };
        for ((charge, draw), tally) in charges.iter().zip(&hold.draws).zip(uses) {
            let Some(terms) = terms(&charge.rule) else { continue };
            if u128::from(tally.used) * 100 >= u128::from(draw.ceiling) * u128::from(terms.warn_at) {
                self.told.near(&charge.rule);
            }
        }
    }

    /// Returns when a request, or a turn that ended, has found that the store has lost its counters, or never had any: somebody
    /// has to rebuild them. One waits at a time.
    pub async fn lost(&self) {
        self.asking.lost().await;
    }

    /// The store's time, as far as is known without asking.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether limits are counted now.
    ///
    /// # Errors
    /// [`MeterError`] saying why not.
    pub async fn ping(&self) -> Result<(), MeterError> {
        self.read(&[]).await.map(|_| ())
    }

    /// How the counters of these charges stand. Takes nothing.
    ///
    /// # Errors
    /// [`MeterError`] where that cannot be said.
    pub async fn read(&self, charges: &[Charge]) -> Result<Reading, MeterError> {
        let mut at = self.clock.now();
        for _ in 0..2 {
            let draws = plan(charges, at)?;
            let reading = self.asking.read(&draws).await.map_err(StoreError::from)?.ok_or(MeterError::Lost)?;
            if draws.iter().all(|draw| draw.is_of(reading.at)) {
                return Ok(reading);
            }
            at = self.corrected(reading.at);
        }
        Err(OutOfCalendar(at).into())
    }

    /// An answer told the store's time.
    fn hears(&self, told: Timestamp) {
        if told.duration_since(self.clock.now()).unsigned_abs() > AGREE {
            self.corrected(told);
        }
    }

    /// The store's time, which is remembered as the difference from our own.
    fn corrected(&self, told: Timestamp) -> Timestamp {
        let ahead = told.as_microsecond().saturating_sub(self.own.now().as_microsecond());
        self.ahead.store(ahead, Ordering::SeqCst);
        told
    }
}

// === impl Unweighed ===

impl<E: Into<MeterError>> From<E> for Unweighed {
    fn from(error: E) -> Self {
        Self { error: error.into(), left: None }
    }
}

// === helpers ===

/// What is asked for, before the store has said when it was taken.
fn asked_for(id: Uuid, draws: &[Draw], at: Timestamp, lives: Duration) -> Hold {
    let expires = at.checked_add(lives).unwrap_or(Timestamp::MAX);
    Hold { id, draws: draws.to_vec(), at, expires }
}

#[cfg(test)]
mod tests;
