//! Counters in memory, kept in a file: for one process, without a server.
//!
//! One lock, held for some microseconds, makes a step of all its draws. With [`Memory::open`] each change is written to a
//! journal in the data directory before it is told to anybody, so what was told survives the end of the process, `kill -9`
//! too: no settled spend is lost, open holds stay open and expire as they would have. A loss of power may cost the changes
//! of the last second or so ([`Memory::sync`] brings what was written to the disk). The write goes to the system's
//! cache and waits for no disk. Where it fails, the step is refused and nothing has changed.
//!
//! Time is the clock that was handed in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use super::StoreError;
use super::counters::{
    Answer, Counters, Draw, Epoch, Hold, Reading, Rebuilt, Restored, Settled, Vacated, fault_in, fault_of_life,
};
use crate::clock::Clock;

mod books;
mod holds;
mod journal;

use books::{Books, Change};
use journal::Journal;

/// The one epoch of these counters: they are lost when the process ends, or never.
const EPOCH: &str = "memory";

/// Counters of this process. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    clock: Clock,
}

struct Kept {
    books: Books,
    journal: Option<Journal>,
}

// === impl Memory ===

impl Memory {
    /// Counters that end with the process. They count once they are rebuilt.
    pub fn volatile(clock: Clock) -> Self {
        Self { kept: Arc::new(Mutex::new(Kept { books: Books::default(), journal: None })), clock }
    }

    /// Counters that are kept in `dir`, which is made where it is missing. A directory without counters counts once it is
    /// rebuilt. Blocks while it reads the disk: for start-up.
    ///
    /// # Errors
    /// [`StoreError`] where the directory cannot be written, another process counts in it, or its journal is damaged.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, StoreError> {
        let now = now(&clock);
        let (journal, books) = Journal::open(dir, now)?;
        Ok(Self { kept: Arc::new(Mutex::new(Kept { books, journal: Some(journal) })), clock })
    }

    /// A copy of the counters that are kept in `dir` as they stand now, for looking at them: also while another process counts there. Nothing
    /// on the disk is changed, and what is taken from the copy nobody else sees. None where nothing was counted there. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] where the journal cannot be read, or is damaged.
    pub fn copy(dir: &Path, clock: Clock) -> Result<Option<Self>, StoreError> {
        let books = journal::look(dir)?;
        Ok(books.map(|books| Self { kept: Arc::new(Mutex::new(Kept { books, journal: None })), clock }))
    }

    /// Brings what was written to the disk itself, and writes the journal anew where it has grown long. Blocks: for a thread
    /// of the house, every second or so.
    ///
    /// # Errors
    /// [`StoreError`] where the disk does not take it; counting goes on.
    pub fn sync(&self) -> Result<(), StoreError> {
        let now = now(&self.clock);
        let Some(file) = self.kept.lock().keep_short(now)? else { return Ok(()) };
        // Outside the lock: nobody waits for the disk.
        file.sync()
    }

    /// Makes a change that the books allow: first in the journal, then in the books.
    fn change(kept: &mut Kept, change: Change) -> Result<(), StoreError> {
        if let Some(journal) = &mut kept.journal {
            journal.append(&change)?;
        }
        kept.books.apply(change);
        Ok(())
    }

    /// [`Counters::take`], at once.
    ///
    /// # Errors
    /// [`StoreError`] as there.
    pub(crate) fn weigh(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, StoreError> {
        if let Some(fault) = fault_in(draws).or_else(|| fault_of_life(lives)) {
            return Err(senseless(fault));
        }
        let now = now(&self.clock);
        let mut kept = self.kept.lock();
        let (answer, new) = kept.books.weigh(draws, hold, lives, now);
        if let Answer::Taken { hold, .. } = &answer
            && new
        {
            Self::change(&mut kept, Change::Take(hold.clone()))?;
        }
        Ok(answer)
    }

    /// [`Counters::read`], at once.
    pub(crate) fn look(&self, draws: &[Draw]) -> Option<Reading> {
        let now = now(&self.clock);
        let kept = self.kept.lock();
        let uses = draws.iter().map(|draw| kept.books.standing(draw, now).used(draw)).collect();
        kept.books.is_open(now).then_some(Reading { at: now, uses })
    }

    /// [`Counters::rebuild_behind`], at once.
    ///
    /// # Errors
    /// [`StoreError`] as there.
    pub(crate) fn begin(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError> {
        let now = now(&self.clock);
        let mut kept = self.kept.lock();
        if kept.books.counts() {
            return Ok(Rebuilt::NotNeeded);
        }
        Self::change(&mut kept, Change::Rebuild { at: now, known: known.to_vec(), fence })?;
        Ok(Rebuilt::Now)
    }

    /// [`Counters::settle`], or [`Counters::release`] where nothing is said to have been used, at once.
    ///
    /// # Errors
    /// [`StoreError`] as there.
    pub(crate) fn end(&self, hold: &Hold, used: Option<&[u64]>) -> Result<Settled, StoreError> {
        if used.is_some_and(|used| used.len() != hold.draws.len()) {
            return Err(senseless("amounts are settled for another number of draws than were taken".into()));
        }
        let now = now(&self.clock);
        let mut kept = self.kept.lock();
        let settled = kept.books.ending(hold, now);
        if matches!(settled, Settled::Now(_) | Settled::Late(_)) {
            let used = used.map(<[u64]>::to_vec);
            Self::change(&mut kept, Change::End { at: now, hold: hold.clone(), used })?;
        }
        Ok(settled)
    }

    /// [`Counters::vacate`], at once.
    ///
    /// # Errors
    /// [`StoreError`] as there.
    pub(crate) fn free(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        let now = now(&self.clock);
        let mut kept = self.kept.lock();
        let vacated = kept.books.vacating(hold, now);
        if let Vacated::Now(_) = vacated {
            let counters = hold.places().map(|draw| draw.counter.clone()).collect();
            Self::change(&mut kept, Change::Vacate { id: hold.id, counters })?;
        }
        Ok(vacated)
    }
}

#[async_trait]
impl Counters for Memory {
    async fn take(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, StoreError> {
        self.weigh(draws, hold, lives)
    }

    async fn settle(&self, hold: &Hold, used: &[u64]) -> Result<Settled, StoreError> {
        self.end(hold, Some(used))
    }

    async fn release(&self, hold: &Hold) -> Result<Settled, StoreError> {
        self.end(hold, None)
    }

    async fn vacate(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        self.free(hold)
    }

    async fn read(&self, draws: &[Draw]) -> Result<Option<Reading>, StoreError> {
        Ok(self.look(draws))
    }

    async fn rebuild_behind(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError> {
        self.begin(known, fence)
    }

    async fn epoch(&self) -> Result<Option<Epoch>, StoreError> {
        let now = now(&self.clock);
        let kept = self.kept.lock();
        Ok(kept.books.counts().then(|| Epoch { id: EPOCH.into(), open: kept.books.is_open(now) }))
    }

    async fn restore(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError> {
        let now = now(&self.clock);
        let mut kept = self.kept.lock();
        let restored = if *epoch.id == *EPOCH { kept.books.restoring(hold, now) } else { Restored::Lost };
        if let Restored::Now(at) = restored {
            Self::change(&mut kept, Change::Take(Hold { at, ..hold.clone() }))?;
        }
        Ok(restored)
    }
}

// === impl Kept ===

impl Kept {
    /// The file to be synchronised, after the journal was made short again where it had grown long.
    fn keep_short(&mut self, now: Timestamp) -> Result<Option<journal::Written>, StoreError> {
        let Some(journal) = &mut self.journal else { return Ok(None) };
        if journal.is_long() {
            self.books.sweep(now);
            journal.restart(&self.books)?;
        }
        journal.written().map(Some)
    }
}

// === helpers ===

/// The time in whole microseconds, which is what all stores count in.
fn now(clock: &Clock) -> Timestamp {
    let now = clock.now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

fn senseless(message: String) -> StoreError {
    StoreError { store: "memory", message, transient: false }
}
