//! What counters hold by the ledger: sums for windows of the calendar, and for rolling ones the bucket as it would stand.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::counters::gcra::Bucket;
use super::counters::{Draw, Measure};
use crate::record::entry::Charged;

/// What was put into the bucket of a rolling window, once.
pub(super) struct Poured {
    pub(super) counter: Box<str>,
    pub(super) amount: u64,
    /// In microseconds since 1970.
    pub(super) at: i64,
    /// In microseconds.
    pub(super) window: u64,
    pub(super) ceiling: u64,
}

/// What a window of the calendar holds.
pub(super) struct Sum {
    pub(super) counter: Box<str>,
    pub(super) amount: u128,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// A charge by how it counts.
pub(super) enum Kind {
    Spent(Sum),
    Poured(Poured),
}

/// A bucket on its way through time.
struct Running {
    bucket: Bucket,
    window: u64,
    ceiling: u64,
}

/// The draws of these sums and of what is left in these buckets at this moment. What was poured comes in any order.
pub(super) fn draws(sums: Vec<Sum>, mut poured: Vec<Poured>, at: Timestamp) -> Vec<Draw> {
    poured.sort_by_key(|poured| poured.at);
    let mut buckets: BTreeMap<Box<str>, Running> = BTreeMap::new();
    for Poured { counter, amount, at, window, ceiling } in poured {
        let running = buckets.entry(counter).or_insert_with(|| Running { bucket: Bucket::default(), window, ceiling });
        // As in the store: what leaks until a step is at the ceiling of that step.
        running.bucket.leak(at, ceiling);
        running.bucket.add(u128::from(amount).saturating_mul(window.into()));
        running.ceiling = ceiling;
    }
    let levels = buckets.into_iter().map(|(counter, running)| running.draw(counter, at));
    sums.into_iter().map(Draw::from).chain(levels).filter(|draw| draw.amount > 0).collect()
}

// === impl Kind ===

impl From<&Charged> for Kind {
    fn from(charge: &Charged) -> Self {
        let Charged { counter, amount, from, until, window, ceiling } = charge.clone();
        match (window, ceiling) {
            (Some(window), Some(ceiling)) => {
                Self::Poured(Poured { counter, amount, at: from.as_microsecond(), window, ceiling })
            }
            _ => Self::Spent(Sum { counter, amount: amount.into(), from, until }),
        }
    }
}

// === impl Sum ===

impl From<Sum> for Draw {
    fn from(sum: Sum) -> Self {
        let Sum { counter, amount, from, until } = sum;
        Self { counter, measure: Measure::Spend { from, until }, amount: narrow(amount), ceiling: 0 }
    }
}

// === impl Running ===

impl Running {
    fn draw(mut self, counter: Box<str>, at: Timestamp) -> Draw {
        self.bucket.leak(at.as_microsecond(), self.ceiling);
        let level = self.bucket.level().div_ceil(u128::from(self.window).max(1));
        let measure = Measure::Rate { window: Duration::from_micros(self.window) };
        Draw { counter, measure, amount: narrow(level), ceiling: self.ceiling }
    }
}

// === helpers ===

fn narrow(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
