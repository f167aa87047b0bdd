//! This replica's own count, for the time in which the store that all replicas share does not count.

use std::time::Duration;

use uuid::Uuid;

use crate::clock::Clock;
use crate::policy::RuleId;
use crate::policy::charge::Charge;
use crate::policy::limits::{OnFailure, Terms};
use crate::store::StoreError;
use crate::store::counters::{Answer, Draw, Hold, Rebuilt, Settled, Vacated};
use crate::store::memory::Memory;

/// Counters of this process alone. They are never emptied: what a window's share has let through before an outage ended
/// counts in the next one, so that a store that comes and goes lets through no more than one that is away.
#[derive(Clone)]
pub(super) struct Share(Memory);

// === impl Share ===

impl Share {
    /// By this clock, which should be the store's as far as it is known: windows have to be the same.
    pub(super) fn new(clock: Clock) -> Self {
        let memory = Memory::volatile(clock);
        // Nothing was counted before this process began, and memory without a journal cannot refuse to begin.
        let begun = memory.begin(&[], Duration::ZERO);
        debug_assert!(matches!(begun, Ok(Rebuilt::Now)));
        Self(memory)
    }

    pub(super) fn take(&self, draws: &[Draw], id: Uuid, lives: Duration) -> Result<Answer, StoreError> {
        self.0.weigh(draws, id, lives)
    }

    /// Counts what was used, or nothing. Never waits: also called where a receipt is dropped.
    pub(super) fn end(&self, hold: &Hold, used: Option<&[u64]>) -> Result<Settled, StoreError> {
        self.0.end(hold, used)
    }

    /// Gives back the places of a hold. Never waits.
    pub(super) fn vacate(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        self.0.free(hold)
    }
}

/// The charges under ceilings of this replica's own; none where one of them is refused when it cannot be counted.
/// A charge that no limit of the policy has is refused, too.
pub(super) fn shares(charges: &[Charge], terms: impl Fn(&RuleId) -> Option<Terms>) -> Option<Vec<Charge>> {
    let share = |charge: &Charge| match terms(&charge.rule)?.on_failure {
        OnFailure::Deny => None,
        OnFailure::LocalShare(percent) => {
            // No more than the ceiling, whatever the percentage.
            let ceiling = u128::from(charge.ceiling) * u128::from(percent.min(100)) / 100;
            Some(Charge { ceiling: u64::try_from(ceiling).unwrap_or(charge.ceiling), ..charge.clone() })
        }
    };
    charges.iter().map(share).collect()
}
