//! The counters of limits: what one step takes, gives back and tells.
//!
//! A request's draws are taken all or none, in one step that no other can come between. What is taken is a *hold*: it keeps
//! the room until the turn says what it really used ([`Counters::settle`]), or expires by itself where nobody says so.
//!
//! - [`Measure::Spend`]: what was settled only grows, and lies apart from what is held. A hold that expires or is released
//!   leaves nothing behind. A new window is a new counter, so nothing is ever reset.
//! - [`Measure::Rate`]: counted when it is taken, and forgotten steadily from then on ([`gcra`] has the bound). Settling
//!   corrects it by what was used more or less.
//! - [`Measure::Open`]: counts the holds themselves.
//!
//! A hold is settled or released once, whoever tries, also after it expired, until [`LATE`] later; then nobody can. Before that
//! its places, which are its draws of [`Measure::Open`], may be given back by themselves ([`Counters::vacate`]).
//!
//! Time is the store's. A store that has lost its counters, or never had any, counts nothing before [`Counters::rebuild`], and has
//! another [`Epoch`] then. What was held before is put back by those who hold it ([`Counters::restore`]), behind a fence: until it is
//! over, the counters are told as lost to who takes or reads.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;

pub mod gcra;
mod standing;

pub(crate) use standing::Standing;

/// How long a hold that has expired can still be settled.
pub const LATE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a hold may be wanted for.
pub const LONGEST_HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest window of [`Measure::Rate`].
pub const LONGEST_WINDOW: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Most draws of one step.
pub const MOST_DRAWS: usize = 256;

/// The longest that counters are fenced off when they begin. What seems to be longer is no fence any more, but a clock that went back.
pub const LONGEST_FENCE: Duration = Duration::from_secs(60);

/// How long a counter is kept after the last moment at which it matters to those who take: until the last late settle.
pub(crate) const KEPT: Duration = Duration::from_secs(49 * 60 * 60);

/// What one step takes from one counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The counter. With [`Measure::Spend`] it names the window, too: each window has a counter of its own.
    pub counter: Box<str>,
    /// How it counts. A counter is only ever drawn from by one measure.
    pub measure: Measure,
    /// What is taken, in the limit's unit.
    pub amount: u64,
    /// Most that the counter may hold, in the limit's unit. May differ from step to step: a limit that is edited keeps its use.
    pub ceiling: u64,
}

/// How a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// What is settled stays until the window is over.
    Spend {
        /// The first instant of the window that the counter is of.
        from: Timestamp,
        /// The first instant after it.
        until: Timestamp,
    },
    /// What is taken is forgotten at the rate of one ceiling a window.
    Rate {
        /// In how much time a ceiling is forgotten: a microsecond to [`LONGEST_WINDOW`], in whole microseconds.
        window: Duration,
    },
    /// What is held.
    Open,
}

/// What was taken in one step, and is to be settled or released once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The caller's name for it.
    pub id: Uuid,
    /// What was taken.
    pub draws: Vec<Draw>,
    /// When it was taken, by the store's clock, in whole microseconds.
    pub at: Timestamp,
    /// When it gives its room back by itself.
    pub expires: Timestamp,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All draws fit and are taken. A step that is repeated with the same id gets the hold of the first; nothing is taken twice.
    Taken {
        /// What is to be settled.
        hold: Hold,
        /// How each counter stands after the step, in the order of the draws.
        uses: Vec<Use>,
    },
    /// Some draws do not fit; none is taken.
    Short {
        /// The store's time.
        at: Timestamp,
        /// The draws that do not fit, in their order.
        lacks: Vec<Lack>,
    },
    /// A draw names a window that is not that of the store's time; none is taken. To be repeated with the windows of `at`.
    Moved {
        /// The store's time.
        at: Timestamp,
    },
    /// The hold has been settled or released already; none is taken.
    Ended,
    /// The store has no counters, or lost them; none is taken. See [`Counters::rebuild`].
    Lost,
}

/// How a counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// What counts against the ceiling, held amounts too, in the limit's unit; a begun unit is a whole one.
    pub used: u64,
    /// When nothing of it will count any more if nothing is taken; none where that is when turns end.
    pub resets: Option<Timestamp>,
}

/// A draw that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which one, counted from 0.
    pub draw: usize,
    /// What would fit, in whole units.
    pub left: u64,
    /// When it would fit if nothing else is taken; for spend, when the window ends. None where it would never, being more than
    /// the ceiling of a rate, or where that is when turns end.
    pub resets: Option<Timestamp>,
}

/// What settling or releasing a hold did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was open and is settled, at this moment by the store's clock.
    Now(Timestamp),
    /// It had expired, and what was used is counted, at this moment.
    Late(Timestamp),
    /// Somebody has settled or released it before; nothing was changed.
    Already,
    /// It expired [`LATE`] ago or earlier; nothing was changed.
    TooLate,
    /// The store has no counters, or lost them; nothing was changed. To be repeated after [`Counters::rebuild`], if what was
    /// used is not among what that was told.
    Lost,
}

/// What giving back the places of a hold did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacated {
    /// They are given back, at this moment by the store's clock.
    Now(Timestamp),
    /// There were none: the hold was never taken, has none, or has given them back, has ended or has expired.
    Nothing,
    /// The store has no counters, or lost them, and with them all places.
    Lost,
}

/// How counters stand at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The store's time. A draw whose window is another one's was read all the same.
    pub at: Timestamp,
    /// In the order of the draws.
    pub uses: Vec<Use>,
}

/// What became of a wish to rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// The store counts from what was handed in.
    Now,
    /// The store has its counters; what was handed in is not looked at.
    NotNeeded,
}

/// Which counters a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// After each loss another one.
    pub id: Box<str>,
    /// Whether the fence is over, behind which holds are put back.
    pub open: bool,
}

/// What became of a wish to put a hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is held again, as if it had been taken at this moment by the store's clock, until it expires as it would have.
    Now(Timestamp),
    /// The store knows it: it is held, was settled or was released; nothing was changed.
    There,
    /// It has expired; nothing was changed.
    Over,
    /// The store has no counters, or others than those that were meant; nothing was changed.
    Lost,
}

/// Counts what limits allow.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Takes all draws or none, in one step. The hold expires after `lives`, at most [`LONGEST_HOLD`].
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer (the step may have been taken: repeat it with the same id, or release
    /// it), or where the draws make no sense: a counter named twice, more than [`MOST_DRAWS`], a window or a life out of bounds.
    async fn take(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, StoreError>;

    /// Counts what was really used instead of what is held: an amount for each draw, in their order. Also where the hold has
    /// expired, and where that is more than the ceiling.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer (may be repeated: it counts once), or where `used` has another length.
    async fn settle(&self, hold: &Hold, used: &[u64]) -> Result<Settled, StoreError>;

    /// Gives back all that is held: nothing was used.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn release(&self, hold: &Hold) -> Result<Settled, StoreError>;

    /// Gives back the places of a hold, which are its draws of [`Measure::Open`], and nothing else: the rest stays held, and the
    /// hold is settled or released later as if this had not been.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn vacate(&self, hold: &Hold) -> Result<Vacated, StoreError>;

    /// How the counters of these draws stand; nothing is taken. None where the store has lost its counters.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn read(&self, draws: &[Draw]) -> Result<Option<Reading>, StoreError>;

    /// Begins to count where the store has no counters: each draw's amount is what its counter has settled, by the records of
    /// the caller. A counter that is there is left as it is; nothing is ever added to one. Draws with [`Measure::Open`] are
    /// passed over. For so long as `fence` says nothing is taken or read yet ([`Answer::Lost`]): all who hold something put it back
    /// meanwhile, at most for [`LONGEST_FENCE`]. A store may make it longer while holds come back.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn rebuild_behind(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError>;

    /// The same without a fence: where nobody holds anything.
    ///
    /// # Errors
    /// [`StoreError`] as there.
    async fn rebuild(&self, known: &[Draw]) -> Result<Rebuilt, StoreError> {
        self.rebuild_behind(known, Duration::ZERO).await
    }

    /// Which counters the store has; none where it has lost them.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn epoch(&self) -> Result<Option<Epoch>, StoreError>;

    /// Puts a hold back that a loss has taken along, on the counters of this epoch: under its id, at its amounts, until it expires. No
    /// ceiling is looked at, for it was looked at when it was taken. What the store knows is left as it is, so that it may be
    /// repeated, and a hold that was settled meanwhile stays settled. What a rate holds counts as if it came now: never less than it would.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn restore(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError>;
}

// === impl Hold ===

impl Hold {
    /// The draws that count the hold itself.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Draw> {
        self.draws.iter().filter(|draw| draw.measure == Measure::Open)
    }
}

// === helpers ===

/// Why draws make no sense, in words for the log.
pub(crate) fn fault_in(draws: &[Draw]) -> Option<String> {
    if draws.len() > MOST_DRAWS {
        return Some(format!(
            "{} limits apply to one request; at most {MOST_DRAWS} can be taken in one step",
            draws.len()
        ));
    }
    draws.iter().enumerate().find_map(|(at, draw)| {
        if draws.iter().take(at).any(|other| other.counter == draw.counter) {
            return Some(format!("one step draws twice from the counter {}", draw.counter));
        }
        match draw.measure {
            Measure::Rate { window }
                if window > LONGEST_WINDOW || window.as_micros() == 0 || window.subsec_nanos() % 1_000 != 0 =>
            {
                Some(format!(
                    "the counter {} has a window of {window:?}; it can be whole microseconds up to 366 days",
                    draw.counter
                ))
            }
            Measure::Spend { from, until } if from >= until => {
                Some(format!("the counter {} has a window that ends before it begins", draw.counter))
            }
            _ => None,
        }
    })
}

/// Why a hold cannot live so long.
pub(crate) fn fault_of_life(lives: Duration) -> Option<String> {
    (lives > LONGEST_HOLD || lives.as_millis() == 0)
        .then(|| format!("a hold cannot live for {lives:?}; at least a millisecond, at most 24 hours"))
}
