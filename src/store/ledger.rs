//! Where entries are kept, found, aged, added up and erased.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::StoreError;
use super::counters::Draw;
use crate::record::{Kind, Line};

mod day;
mod filter;
mod found;
#[cfg(test)]
pub(crate) mod partial;

pub use day::{Daily, DayModel, DayTokens, ERASED, ResponseTime, Span};
pub use filter::{Filter, Order, Place};
pub use found::{DayRow, Days, Found, Inspected, InspectedDays, Mark, Row, Unread};

/// Keeps the lines of the record. What comes back is the text that was appended, byte for byte.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Appends the lines, in order. Appending a line again (same kind and id) changes nothing: shipping may be repeated.
    ///
    /// # Errors
    /// [`StoreError`]; none, some or all of the lines may then be stored, and the call can be repeated whole.
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError>;

    /// What the appended usage entries have put on counters (`charged`), as far as it still counts at this moment: for each
    /// counter a draw, in the form that [`super::counters::Counters::rebuild`] wants. Of a window of the calendar that is the
    /// sum, of a rolling one what has not been forgotten yet, in begun units. More than 64 bits hold counts as so much. In no
    /// order; an entry counts once, however often it was appended.
    ///
    /// `at` is by the clock of the counters. A window that is over counts for [`SLACK`] longer, since clocks differ.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn charged(&self, at: Timestamp) -> Result<Vec<Draw>, StoreError>;

    /// The lines that the filter lets through, in its order, at most so many; those that come after this place, where one is
    /// given: a page goes on after the last line of the one before it ([`Place::of`]). What is appended meanwhile is found
    /// where its time puts it. What cannot be read, or has another id or time than the store finds it by, is passed over and named.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn find(&self, filter: &Filter, after: Option<&Place>, most: usize) -> Result<Found, StoreError>;

    /// The lines of one chain in the order of their numbers (`seq`, of heads `number`), from this number on, at most so many.
    /// What is there twice comes twice. What cannot be read is passed over and named.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn chain(&self, instance: Uuid, kind: Kind, from: u64, most: usize) -> Result<Found, StoreError>;

    /// The line of a chain with the highest number, of those that can be read.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn last(&self, instance: Uuid, kind: Kind) -> Result<Option<Line>, StoreError>;

    /// All that the store has of a kind, whatever it is, one page after the other: after this mark, where one is given. Says of each row
    /// whether a line can be read out of it, and which of the copies beside its text, by which it is found, are not what the text says.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn inspect(&self, kind: Kind, after: Option<&Mark>) -> Result<Inspected, StoreError>;

    /// The instances that any line names, in the order of their ids. What is no id is passed over.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn instances(&self) -> Result<Vec<Uuid>, StoreError>;

    /// Makes a tombstone of each entry of this user (`userId`) and takes the user's name out of the sums. Works in bounded
    /// steps. Where it broke off it is begun again, and ends as if it had not. What was erased under one id is found by
    /// [`Filter::erased`].
    ///
    /// What is on its way here (in a spool, or in another process) is not erased: erase again when it has come. What counters
    /// for roles, groups and everybody have got from the user stays with the counters, and is not in [`Self::charged`] any more
    /// where that is read out of the entries (MongoDB).
    ///
    /// # Errors
    /// [`StoreError`]; a part may then be erased, and the call can be repeated whole.
    async fn erase(&self, user: &str, tomb: Tomb) -> Result<Erased, StoreError>;

    /// The ids under which anything was erased, in their order. One that no event tells of broke off before its event was
    /// written.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn erasures(&self) -> Result<Vec<Uuid>, StoreError>;

    /// The sums by user and day, in the order of [`Daily::key`], at most so many; those after this key, where one is given.
    /// They may be some seconds behind the entries ([`Self::add_up`]). What cannot be read is passed over and named.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn days(&self, span: &Span, after: Option<&str>, most: usize) -> Result<Days, StoreError>;

    /// All that the store has of sums by user and day, whatever it is, one page after the other: after this mark, where one is given.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; may be repeated.
    async fn inspect_days(&self, after: Option<&Mark>) -> Result<InspectedDays, StoreError>;

    /// Brings the sums by day up to date, in one bounded step; whether there is more to do. To be called every few seconds,
    /// and again at once while there is more. `at` is now.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; what was to be added up is added up by the next call.
    async fn add_up(&self, at: Timestamp) -> Result<bool, StoreError>;

    /// Lets go of what is older than is to be kept, in one bounded step; whether there is more to do. To be called once a
    /// minute, and again at once while there is more. A store that does this by itself is told what to keep. `at` is now.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot do it now; may be repeated.
    async fn expire(&self, keep: &Keep, at: Timestamp) -> Result<bool, StoreError>;
}

/// For how long [`Ledger::charged`] goes on telling what a window held that is over.
pub const SLACK: Duration = Duration::from_secs(2 * 60 * 60);

/// Makes the tombstone of a line: a line of the same kind, id and time that says `erased`, the id of the erasure, and nothing of
/// the user. None for a line that leaves no tombstone, as no chain needs it: it is removed. An error says why the line must stay.
pub type Tomb = Arc<dyn Fn(&Line) -> Result<Option<Line>, String> + Send + Sync>;

/// What [`Ledger::erase`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Entries that are tombstones now.
    pub tombstones: u64,
    /// Entries that were removed.
    pub removed: u64,
    /// Entries that stay as they are.
    pub kept: u64,
    /// Why the first of these stays.
    pub why: Option<String>,
    /// Days of [`Daily`] that have no user any more.
    pub days: u64,
    /// Audit entries that are not the user's and name the user nevertheless: what others did with the user's account or files.
    pub named: u64,
}

/// For how long lines and sums are kept, by their time; forever where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Audit entries.
    pub audit: Option<Duration>,
    /// Usage entries.
    pub usage: Option<Duration>,
    /// The sums by day.
    pub daily: Option<Duration>,
    /// Signed heads.
    pub heads: Option<Duration>,
}

// === impl Erased ===

impl Erased {
    /// An entry stays, for this reason.
    pub(in crate::store) fn keep(&mut self, why: String) {
        self.kept = self.kept.saturating_add(1);
        self.why.get_or_insert(why);
    }

    /// Adds what another step did.
    pub(in crate::store) fn add(&mut self, other: Self) {
        self.tombstones = self.tombstones.saturating_add(other.tombstones);
        self.removed = self.removed.saturating_add(other.removed);
        self.kept = self.kept.saturating_add(other.kept);
        self.days = self.days.saturating_add(other.days);
        self.why = self.why.take().or(other.why);
    }
}

// === impl Keep ===

impl Default for Keep {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { audit: Some(DAY * 90), usage: Some(DAY * 400), daily: None, heads: Some(DAY * 400) }
    }
}
