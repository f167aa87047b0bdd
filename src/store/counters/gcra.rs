//! The generic cell rate algorithm as a leaky bucket, in whole numbers.
//!
//! A bucket holds what was taken and leaks one ceiling a window, steadily. What is taken has to fit under the ceiling. So in
//! any stretch of time t, wherever it begins, no more is taken than **ceiling × (1 + t / window)**: a full bucket at its
//! beginning, and what leaks meanwhile. And nothing is refused that would keep this bound.
//!
//! The level is counted in units × microseconds of the window, so that a microsecond leaks exactly `ceiling` of them and
//! nothing is ever rounded: 2^64 units × 366 days take 109 bits of 128.
//!
//! What was taken too much can be given back as far as it is still in the bucket. It leaks like the rest; had it not been
//! taken, the bucket would be lower by what was given back, unless it had run dry since. So no more is given back than the
//! lowest level since: `low`, which is kept from the oldest open hold on, and errs towards a fuller bucket where several
//! holds overlap.

use serde::{Deserialize, Serialize};

use super::standing::decimal;

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// What is in it, in units × microseconds of the window.
    #[serde(with = "decimal")]
    level: u128,
    /// Until when it has leaked, in microseconds since 1970.
    at: i64,
    /// The lowest level since the oldest open hold was taken; none before anything came after that.
    #[serde(with = "decimal::option")]
    low: Option<u128>,
}

// === impl Bucket ===

impl Bucket {
    /// A bucket with this much in it.
    pub fn filled(level: u128, now: i64) -> Self {
        Self { level, at: now, low: None }
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

    /// Puts in what a new hold takes; `alone` where no other hold is open.
    pub fn take(&mut self, amount: u128, alone: bool) {
        self.low = if alone { None } else { Some(self.lowest()) };
        self.level = self.level.saturating_add(amount);
    }

    /// Puts in what was used beyond what was taken.
    pub fn add(&mut self, amount: u128) {
        self.low = Some(self.lowest());
        self.level = self.level.saturating_add(amount);
    }

    /// Takes out what was taken and not used, as far as it is still in there.
    pub fn give_back(&mut self, amount: u128) {
        let back = amount.min(self.lowest());
        self.level -= back;
        self.low = self.low.map(|low| low - back.min(low));
    }

    fn lowest(&self) -> u128 {
        self.low.map_or(self.level, |low| low.min(self.level))
    }
}

#[cfg(test)]
mod tests;
