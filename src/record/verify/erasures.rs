//! Erasures: whether what was erased is what the events tell of.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::Kind;
use super::super::link::Hash;
use super::finding::{Finding, Findings, What};
use super::item::Item;
use super::{Expiry, Facts};

/// The tombstones and events of all instances.
#[derive(Default)]
pub(super) struct Erasures {
    tallies: HashMap<Uuid, Tally>,
    events: HashMap<Uuid, Told>,
}

/// The tombstones of one erasure so far.
struct Tally {
    count: u64,
    hashes: Context,
    first: Place,
}

/// An event that tells of an erasure.
#[derive(Debug)]
struct Told {
    count: u64,
    root: Hash,
    /// Sums that lost their name; none where it is not told.
    days: Option<u64>,
    covered: bool,
    place: Place,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) instance: Uuid,
    pub(super) seq: u64,
    pub(super) id: Uuid,
    pub(super) at: Timestamp,
}

// === impl Erasures ===

impl Erasures {
    /// Counts a good tombstone.
    pub(super) fn count(&mut self, by: Uuid, place: Place, hash: Hash) {
        let tally =
            self.tallies.entry(by).or_insert_with(|| Tally { count: 0, hashes: Context::new(&SHA256), first: place });
        tally.count += 1;
        tally.hashes.update(&hash.0);
    }

    /// Hears of an erasure.
    pub(super) fn hear(&mut self, place: Place, (count, root, days): (u64, Hash, Option<u64>), covered: bool) {
        let told = Told { count, root, days, covered, place };
        if self.events.get(&place.id).is_none_or(|known| covered && !known.covered) {
            self.events.insert(place.id, told);
        }
    }

    /// How many sums have lost their name, as events tell of which a head covers; none where one of them does not know.
    pub(super) fn days(&self) -> Option<u64> {
        let covered = self.events.values().filter(|told| told.covered);
        covered.map(|told| told.days).try_fold(0_u64, |sum, days| Some(sum.saturating_add(days?)))
    }

    /// Holds tombstones and events against each other, and says how many fit. `expired`: something of the record has expired, tombstones perhaps among it.
    pub(super) fn close(&mut self, facts: &Facts, expired: bool, out: &mut Findings) -> u64 {
        let mut good = 0;
        for (by, tally) in &self.tallies {
            if self.events.get(by).is_some_and(|told| told.covered) {
                continue;
            }
            let heard = self.events.contains_key(by);
            if heard || !may_have_expired(*by, facts) {
                let count = tally.count;
                let why = if heard {
                    format!(
                        "it and all {count} that erasure {by} left are not vouched for: no head covers the event that tells of it"
                    )
                } else {
                    format!(
                        "erasure {by} left {count} such tombstones, and the event that tells of it is gone, or not written yet: the erasure runs, or broke off \
                         (`tollgate audit erase --finish`)"
                    )
                };
                out.push(tally.first.finding(What::Erased, why));
            }
        }
        for (by, told) in self.events.iter().filter(|(_, told)| told.covered) {
            let tally = self.tallies.get(by);
            let count = tally.map_or(0, |tally| tally.count);
            let hashes = tally.map_or_else(|| Context::new(&SHA256), |tally| tally.hashes.clone());
            let fits = match count.cmp(&told.count) {
                std::cmp::Ordering::Less => expired,
                std::cmp::Ordering::Equal => Hash::taken(&hashes.finish()) == told.root,
                std::cmp::Ordering::Greater => false,
            };
            if fits {
                good += 1;
            } else {
                let why = format!("it tells of {} erased entries, and {count} others are there", told.count);
                let why =
                    if count == told.count { "it tells of other entries than were erased".to_owned() } else { why };
                out.push(told.place.finding(What::Erasure, why));
            }
        }
        good
    }
}

impl Place {
    pub(super) fn of(kind: Kind, instance: Uuid, item: &Item) -> Self {
        Self { kind, instance, seq: item.link.seq, id: item.id, at: item.at }
    }

    pub(super) fn finding(self, what: What, why: String) -> Finding {
        let Self { kind, instance, seq, id, at } = self;
        Finding::about(what, kind, instance, (seq, seq), at, why).entry(id, at)
    }
}

/// Whether an event with this id, a UUIDv7, would be gone by now. Of another UUID the time is not known: then it must be there.
fn may_have_expired(event: Uuid, facts: &Facts) -> bool {
    if facts.expiry(Kind::Audit) == Expiry::Unknown {
        return true;
    }
    let Some((seconds, nanos)) = event.get_timestamp().map(|time| time.to_unix()) else { return false };
    let made = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok());
    made.zip(facts.limit(Kind::Audit)).is_some_and(|(made, limit)| made <= limit)
}
