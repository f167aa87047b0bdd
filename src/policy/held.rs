//! The limits that count for one caller, each with its counter: what somebody may be told of their own limits.

use super::charge::{Charge, Window};
use super::explain::LimitStatement;
use super::limits::{Limit, Measure};
use super::snapshot::{Mode, Snapshot};
use super::words::{Caller, RuleId};

/// A limit that counts for a caller.
#[derive(Clone, Debug)]
pub struct HeldLimit {
    /// What it says.
    pub statement: LimitStatement,
    /// What it counts, which is the unit of its charge.
    pub measure: Measure,
    /// Whether it refuses, or only records.
    pub mode: Mode,
    /// The counter with its ceiling; the amount is 0: a question, which takes nothing.
    pub charge: Charge,
}

// === impl Snapshot, for limits of one caller ===

impl Snapshot {
    /// Whether there is any limit, for anybody. Cheap: most requests need to know no more.
    pub fn has_limits(&self) -> bool {
        self.counts().limits > 0 || self.overrides().limits
    }

    /// The rules of all limits of the files, for anybody, those in shadow mode too.
    pub fn limit_rules(&self) -> impl Iterator<Item = &RuleId> {
        self.limit_terms().keys()
    }

    /// The limits that count for a caller, the nearest first, those in shadow mode too. Neither limits that a nearer one stands
    /// in for nor those that `limits: none` lifts are among them.
    pub fn limits_of(&self, caller: &Caller) -> Vec<HeldLimit> {
        let view = self.view(caller);
        let standings = view.limits().into_iter().filter(|standing| standing.counts);
        standings.map(|standing| self.held(standing.limit, caller)).collect()
    }

    fn held(&self, limit: &Limit, caller: &Caller) -> HeldLimit {
        HeldLimit {
            statement: LimitStatement::new(self, limit, true),
            measure: limit.terms.measure,
            mode: self.mode_of(limit),
            charge: limit.charge(&caller.user, 0),
        }
    }
}

// === impl Charge ===

impl Charge {
    /// The id of the limit that asks, as the policy names it: the key begins with it, and no id has a colon.
    pub fn id(&self) -> &str {
        self.key.split(':').next().unwrap_or_default()
    }

    /// Whether not even an unused counter has room for the amount.
    pub fn never_fits(&self) -> bool {
        self.amount > self.ceiling
    }
}

// === impl Window ===

impl Window {
    /// The time zone whose days it goes by; none where it has no days.
    pub fn zone(&self) -> Option<&jiff::tz::TimeZone> {
        match self {
            Self::Calendar { zone, .. } => Some(zone),
            Self::Rolling(_) | Self::Open | Self::Always => None,
        }
    }
}
