//! The counters of one case: those of the memory store, at the case's time, with what was used before.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::Clock;
use crate::meter::plan;
use crate::meter::room::Room;
use crate::policy::charge::{Charge, Window};
use crate::policy::{Caller, RuleId, Snapshot};
use crate::store::counters::{Answer, Use};
use crate::store::memory::Memory;

/// How long what a case takes is held: longer than the case runs, as its clock stands.
const LIVES: Duration = Duration::from_secs(60);

/// The counters of one case.
pub(super) struct Counting {
    memory: Memory,
    at: Timestamp,
}

/// A limit that has no room, and when it has room again.
#[derive(Clone, Debug)]
pub(super) struct Short {
    pub(super) charge: Charge,
    pub(super) room: Room,
}

// === impl Counting ===

impl Counting {
    /// Counters at this moment, with this used before of limits that count for the caller.
    ///
    /// # Errors
    /// In words, where one of them does not count for the caller, or no calendar has the moment.
    pub(super) fn begin(
        policy: &Snapshot,
        caller: &Caller,
        used: &[(RuleId, u64)],
        now: Timestamp,
    ) -> Result<Self, String> {
        let clock = Clock::manual(now);
        let counting = Self { memory: Memory::volatile(clock.clone()), at: clock.now() };
        let mut before = Vec::with_capacity(used.len());
        for (rule, amount) in used {
            before.push(Charge { amount: *amount, ..limit(policy, caller, rule)? });
        }
        let (open, counted): (Vec<_>, Vec<_>) = before.into_iter().partition(|charge| charge.window == Window::Open);
        let known = plan(&counted, counting.at).map_err(|error| error.to_string())?;
        counting.memory.begin(&known, Duration::ZERO).map_err(|error| error.to_string())?;
        // What is open is held, and has no sum of its own. More may be open than a limit allows that was edited since.
        let open: Vec<_> = open.into_iter().map(|charge| Charge { ceiling: u64::MAX, ..charge }).collect();
        counting.take(&open)?;
        Ok(counting)
    }

    /// Takes all of these, or none. What has no room, the one that decides first.
    ///
    /// # Errors
    /// In words, where Tollgate could not count them either.
    pub(super) fn take(&self, charges: &[Charge]) -> Result<Vec<Short>, String> {
        let draws = plan(charges, self.at).map_err(|error| error.to_string())?;
        let answer = self.memory.weigh(&draws, Uuid::now_v7(), LIVES).map_err(|error| error.to_string())?;
        match answer {
            Answer::Taken { .. } => Ok(Vec::new()),
            Answer::Short { lacks, .. } => {
                let short = lacks.iter().filter_map(|lack| {
                    let charge = charges.get(lack.draw)?.clone();
                    Some(Short { room: Room::of(&charge, lack), charge })
                });
                let mut shorts: Vec<_> = short.collect();
                shorts.sort_by_key(|short| short.room.last_first());
                Ok(shorts)
            }
            // The clock stands, the counters were begun and the hold is new.
            other => Err(format!("the counters answer {other:?}")),
        }
    }

    /// How the counters of these charges stand.
    ///
    /// # Errors
    /// In words, as for [`Counting::take`].
    pub(super) fn uses(&self, charges: &[Charge]) -> Result<Vec<Use>, String> {
        let draws = plan(charges, self.at).map_err(|error| error.to_string())?;
        self.memory.look(&draws).map(|reading| reading.uses).ok_or_else(|| "the counters are lost".to_owned())
    }

    /// What is left of a limit of the caller.
    ///
    /// # Errors
    /// In words, where it does not count for the caller.
    pub(super) fn left(&self, policy: &Snapshot, caller: &Caller, rule: &RuleId) -> Result<u64, String> {
        let charge = limit(policy, caller, rule)?;
        let used = self.uses(std::slice::from_ref(&charge))?.first().map_or(0, |tally| tally.used);
        Ok(charge.ceiling.saturating_sub(used))
    }
}

/// The charge of a limit that counts for the caller; nothing is taken.
fn limit(policy: &Snapshot, caller: &Caller, rule: &RuleId) -> Result<Charge, String> {
    let held = policy.limits_of(caller).into_iter().find(|held| held.charge.rule == *rule);
    held.map(|held| held.charge).ok_or_else(|| format!("the limit {rule} does not count for this caller"))
}
