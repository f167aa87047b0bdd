//! The generic cell rate algorithm as a leaky bucket, in whole numbers.
//!
//! A bucket holds what was taken and leaks one ceiling a window, steadily. What is taken has to fit under the ceiling. So in
//! any stretch of time t, wherever it begins, no more is taken than **ceiling × (1 + t / window)**: a full bucket at its
//! beginning, and what leaks meanwhile. And nothing is refused that would keep this bound.
//!
//! The level is counted in units × microseconds of the window, so that a microsecond leaks exactly `ceiling` of them and
//! nothing is ever rounded: 2^64 units × 366 days take 109 bits of 128.
//!
//! What was taken and not used is given back as if it had never been taken. Had it not, the bucket would be lower by as much
//! now, unless it had run dry since; so no more is given back than the lowest level since then. For this the bucket keeps the
//! lowest level of each *stretch*, from one open hold to the next. That is exact for the [`MOST_STRETCHES`] youngest holds that are
//! open at once. Holds beyond those share one stretch, by which they get back less rather than more: the bound holds always.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::standing::decimal;

/// Open holds of one bucket for which giving back is exact.
pub const MOST_STRETCHES: usize = 32;

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// What is in it, in units × microseconds of the window.
    #[serde(with = "decimal")]
    level: u128,
    /// Until when it has leaked, in microseconds since 1970.
    at: i64,
    /// From open hold to open hold, the oldest first.
    stretches: Vec<Stretch>,
    /// Open holds that are older than all that have a stretch of their own; the first stretch is theirs.
    older: usize,
}

/// The time from one hold to the next, or until now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    /// The hold that it begins with; nil for that of all older ones.
    hold: Uuid,
    /// The lowest level at which something was put in, from the hold on; none where nothing was.
    #[serde(with = "decimal::option")]
    low: Option<u128>,
}

// === impl Bucket ===

impl Bucket {
    /// A bucket with this much in it.
    pub fn filled(level: u128, now: i64) -> Self {
        Self { level, at: now, ..Self::default() }
    }

    /// What is in it.
    pub fn level(&self) -> u128 {
        self.level
    }

    /// Lets it leak `rate` a microsecond until `now`. A clock that went back leaks nothing until it is where it was.
    pub fn leak(&mut self, now: i64, rate: u64) {
        if let Ok(passed @ 1..) = u128::try_from(i128::from(now) - i128::from(self.at)) {
            self.level = self.level.saturating_sub(u128::from(rate).saturating_mul(passed));
            self.at = now;
        }
    }

    /// Puts in what a new hold takes.
    pub fn take(&mut self, hold: Uuid, amount: u128) {
        self.add(amount);
        self.stretches.push(Stretch { hold, low: None });
        if self.stretches.len() > MOST_STRETCHES {
            self.share_the_oldest();
        }
    }

    /// Puts in what was used beyond what was taken.
    pub fn add(&mut self, amount: u128) {
        let level = self.level;
        if let Some(last) = self.stretches.last_mut() {
            last.lower(Some(level));
        }
        self.level = self.level.saturating_add(amount);
    }

    /// Ends an open hold and takes out what it has not used, as far as that is still in there.
    pub fn end(&mut self, hold: Uuid, unused: u128) {
        let own = self.stretches.iter().position(|stretch| stretch.hold == hold);
        let mut back = unused;
        for stretch in self.stretches.iter_mut().skip(own.unwrap_or(0)) {
            back = stretch.low.map_or(back, |low| low.min(back));
            stretch.low = stretch.low.map(|low| low.saturating_sub(back));
        }
        self.level = self.level.saturating_sub(back);
        match own {
            Some(own) => self.join(own),
            None => self.forget_an_older(),
        }
    }

    /// The stretch becomes part of the one before; where there is none, nobody asks about it.
    fn join(&mut self, own: usize) {
        let ended = self.stretches.remove(own);
        if let Some(before) = own.checked_sub(1).and_then(|before| self.stretches.get_mut(before)) {
            before.lower(ended.low);
        }
    }

    fn share_the_oldest(&mut self) {
        if self.older > 0 {
            self.join(1);
        } else if let Some(first) = self.stretches.first_mut() {
            first.hold = Uuid::nil();
        }
        self.older += 1;
    }

    fn forget_an_older(&mut self) {
        self.older = self.older.saturating_sub(1);
        if self.older == 0 && self.stretches.first().is_some_and(|first| first.hold.is_nil()) {
            self.stretches.remove(0);
        }
    }
}

// === impl Stretch ===

impl Stretch {
    fn lower(&mut self, level: Option<u128>) {
        self.low = match (self.low, level) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

#[cfg(test)]
mod tests;
