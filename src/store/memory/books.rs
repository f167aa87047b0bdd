//! The counters as values: what a step would do, and doing it. No clock, no lock, no disk.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::holds::Holds;
use crate::store::counters::gcra::Bucket;
use crate::store::counters::{
    Answer, Draw, Hold, KEPT, LATE, LONGEST_FENCE, Measure, Restored, Settled, Standing, Vacated,
};

/// Below so many counters and holds nothing is swept.
const WORTH_SWEEPING: usize = 4_096;

/// All counters and all holds that can still be settled.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    /// Whether these are counters, and not what is left after a loss.
    counts: bool,
    /// Before this moment nothing is taken or read.
    #[serde(default)]
    opens: Option<Timestamp>,
    counters: HashMap<Box<str>, Counter>,
    /// Holds that were taken, until nobody can settle them any more.
    holds: HashMap<Uuid, State>,
    /// How many there were after the last sweep.
    swept: usize,
}

/// One counter.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    tally: Tally,
    /// What is held, apart from what was settled.
    held: Holds,
    /// After this moment nobody asks about it any more.
    matters_until: Timestamp,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tally {
    /// What was settled in the window.
    Spent(u64),
    /// What was taken, as far as it has not leaked.
    Rate(Bucket),
    /// Nothing but what is held.
    Open,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum State {
    /// Taken, and neither settled nor released; it may have expired.
    Taken(Hold),
    /// Settled or released.
    Ended {
        /// When the hold would have expired.
        expires: Timestamp,
    },
}

/// A change of the books. The same changes in the same order make the same books.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Change {
    /// The hold is taken, at its own time.
    Take(Hold),
    /// The hold is settled with what was used, or released.
    End {
        at: Timestamp,
        hold: Hold,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Vec<u64>>,
    },
    /// The hold gives back its places, which are on these counters.
    Vacate { id: Uuid, counters: Vec<Box<str>> },
    /// Counting begins with what was known.
    Rebuild {
        at: Timestamp,
        known: Vec<Draw>,
        #[serde(default)]
        fence: Duration,
    },
}

// === impl Books ===

impl Books {
    /// Whether there are counters to count with.
    pub(super) fn counts(&self) -> bool {
        self.counts
    }

    /// Whether they are taken from and read now.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.counts && self.opens.is_none_or(|opens| opens <= now || opens > later(now, LONGEST_FENCE))
    }

    /// What putting a hold back would do.
    pub(super) fn restoring(&self, hold: &Hold, now: Timestamp) -> Restored {
        if !self.counts {
            return Restored::Lost;
        }
        match self.holds.contains_key(&hold.id) {
            true => Restored::There,
            false if now >= hold.expires => Restored::Over,
            false => Restored::Now(now),
        }
    }

    /// What would become of a step, and whether it would change the books.
    pub(super) fn weigh(&self, draws: &[Draw], id: Uuid, lives: Duration, now: Timestamp) -> (Answer, bool) {
        if !self.is_open(now) {
            return (Answer::Lost, false);
        }
        match self.holds.get(&id) {
            Some(State::Ended { .. }) => return (Answer::Ended, false),
            Some(State::Taken(hold)) => {
                let uses = hold.draws.iter().map(|draw| self.standing(draw, now).used(draw)).collect();
                return (Answer::Taken { hold: hold.clone(), uses }, false);
            }
            None => {}
        }
        if !draws.iter().all(|draw| draw.is_of(now)) {
            return (Answer::Moved { at: now }, false);
        }
        let standings: Vec<Standing> = draws.iter().map(|draw| self.standing(draw, now)).collect();
        let weighed = || draws.iter().zip(&standings);
        let lacks: Vec<_> =
            weighed().enumerate().filter_map(|(index, (draw, standing))| standing.lack(index, draw)).collect();
        if !lacks.is_empty() {
            return (Answer::Short { at: now, lacks }, false);
        }
        let uses = weighed().map(|(draw, standing)| standing.and(draw.cost(draw.amount)).used(draw)).collect();
        let hold = Hold { id, draws: draws.to_vec(), at: now, expires: later(now, lives) };
        (Answer::Taken { hold, uses }, true)
    }

    /// What ending the hold would do.
    pub(super) fn ending(&self, hold: &Hold, now: Timestamp) -> Settled {
        if !self.counts {
            return Settled::Lost;
        }
        if now >= later(hold.expires, LATE) {
            return Settled::TooLate;
        }
        match self.holds.get(&hold.id) {
            Some(State::Ended { .. }) => Settled::Already,
            _ if now < hold.expires => Settled::Now(now),
            _ => Settled::Late(now),
        }
    }

    /// What giving back the places of the hold would do.
    pub(super) fn vacating(&self, hold: &Hold, now: Timestamp) -> Vacated {
        if !self.counts {
            return Vacated::Lost;
        }
        let held = |draw: &Draw| self.counters.get(&draw.counter).is_some_and(|counter| counter.held.has(hold.id));
        if now < hold.expires && hold.places().any(held) { Vacated::Now(now) } else { Vacated::Nothing }
    }

    /// What counts against a draw's ceiling now.
    pub(super) fn standing(&self, draw: &Draw, now: Timestamp) -> Standing {
        let counter = self.counters.get(&draw.counter);
        Standing { counted: counter.map_or(0, |counter| counter.counted(draw, now)), at: now }
    }

    /// Makes a change that was weighed before.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Take(hold) => {
                for draw in &hold.draws {
                    let counter = self.counter(draw);
                    counter.take(draw, &hold);
                    counter.keep(draw, hold.at, hold.expires);
                }
                let at = hold.at;
                self.holds.insert(hold.id, State::Taken(hold));
                self.sweep_if_grown(at);
            }
            Change::End { at, hold, used } => {
                let used = used.unwrap_or_else(|| vec![0; hold.draws.len()]);
                for (draw, used) in hold.draws.iter().zip(used) {
                    let counter = self.counter(draw);
                    counter.end(draw, hold.id, used, at);
                    counter.keep(draw, at, hold.expires);
                }
                self.holds.insert(hold.id, State::Ended { expires: hold.expires });
            }
            Change::Vacate { id, counters } => {
                for name in &counters {
                    if let Some(counter) = self.counters.get_mut(name) {
                        counter.held.remove(id);
                    }
                }
            }
            Change::Rebuild { at, known, fence } => {
                (self.counts, self.opens) = (true, Some(later(at, fence.min(LONGEST_FENCE))));
                for draw in &known {
                    if !self.counters.contains_key(&draw.counter) {
                        let counter = self.counter(draw);
                        counter.set(draw, at);
                        counter.keep(draw, at, at);
                    }
                }
            }
        }
    }

    /// Forgets what nobody can ask about any more.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.counters.retain(|_, counter| now < counter.matters_until);
        self.holds.retain(|_, state| now < later(state.expires(), LATE));
        self.swept = self.counters.len() + self.holds.len();
    }

    /// So that each change pays for a share of a constant number of looks.
    fn sweep_if_grown(&mut self, now: Timestamp) {
        if self.counters.len() + self.holds.len() > 2 * self.swept.max(WORTH_SWEEPING) {
            self.sweep(now);
        }
    }

    fn counter(&mut self, draw: &Draw) -> &mut Counter {
        self.counters.entry(draw.counter.clone()).or_insert_with(|| Counter {
            tally: match draw.measure {
                Measure::Spend { .. } => Tally::Spent(0),
                Measure::Rate { .. } => Tally::Rate(Bucket::default()),
                Measure::Open => Tally::Open,
            },
            held: Holds::default(),
            matters_until: Timestamp::MIN,
        })
    }
}

// === impl Counter ===

impl Counter {
    /// What counts now, exactly as if the holds that have expired had been dropped.
    fn counted(&self, draw: &Draw, now: Timestamp) -> u128 {
        match &self.tally {
            Tally::Spent(spent) => u128::from(*spent) + self.held.open(now),
            Tally::Open => self.held.open(now),
            Tally::Rate(bucket) => {
                let mut bucket = bucket.clone();
                bucket.leak(now.as_microsecond(), draw.rate());
                self.held.expired(now).for_each(|(id, amount)| bucket.end(id, draw.cost(amount)));
                bucket.level()
            }
        }
    }

    /// Drops the holds that have expired.
    fn drop_expired(&mut self, draw: &Draw, now: Timestamp) {
        if let Tally::Rate(bucket) = &mut self.tally {
            bucket.leak(now.as_microsecond(), draw.rate());
            self.held.expired(now).for_each(|(id, amount)| bucket.end(id, draw.cost(amount)));
        }
        self.held.drop_expired(now);
    }

    fn take(&mut self, draw: &Draw, hold: &Hold) {
        self.drop_expired(draw, hold.at);
        if let Tally::Rate(bucket) = &mut self.tally {
            bucket.take(hold.id, draw.cost(draw.amount));
        }
        self.held.insert(hold.id, draw.amount, hold.expires);
    }

    fn end(&mut self, draw: &Draw, id: Uuid, used: u64, now: Timestamp) {
        self.drop_expired(draw, now);
        // An expired hold has been given back whole.
        let taken = self.held.remove(id);
        match &mut self.tally {
            Tally::Spent(spent) => *spent = spent.saturating_add(used),
            Tally::Rate(bucket) => {
                if let Some(taken) = taken {
                    bucket.end(id, draw.cost(taken.saturating_sub(used)));
                }
                match used.saturating_sub(taken.unwrap_or(0)) {
                    0 => {}
                    more => bucket.add(draw.cost(more)),
                }
            }
            Tally::Open => {}
        }
    }

    /// Keeps the counter as long as what it counts can matter: to the end of its window, or until it has leaked, and then for
    /// those who settle late.
    fn keep(&mut self, draw: &Draw, now: Timestamp, expires: Timestamp) {
        let last = match draw.measure {
            Measure::Spend { until, .. } => until,
            Measure::Rate { window } => self.empty(draw, now).unwrap_or(later(now, window)),
            Measure::Open => now,
        };
        self.matters_until = self.matters_until.max(later(last.max(expires), KEPT));
    }

    /// When nothing is left in a bucket.
    fn empty(&self, draw: &Draw, now: Timestamp) -> Option<Timestamp> {
        let Tally::Rate(bucket) = &self.tally else { return None };
        Standing { counted: bucket.level(), at: now }.used(draw).resets
    }

    fn set(&mut self, draw: &Draw, now: Timestamp) {
        match &mut self.tally {
            Tally::Spent(spent) => *spent = draw.amount,
            Tally::Rate(bucket) => *bucket = Bucket::filled(draw.cost(draw.amount), now.as_microsecond()),
            Tally::Open => {}
        }
    }
}

// === impl State ===

impl State {
    fn expires(&self) -> Timestamp {
        match self {
            Self::Taken(hold) => hold.expires,
            Self::Ended { expires } => *expires,
        }
    }
}

// === helpers ===

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
