//! What the meter counts about itself. The series are declared in [`crate::metrics`].

use crate::metrics::{Histogram, IntCounter, IntCounterVec, IntGauge};
use crate::policy::RuleId;

/// The meter's handles on the series it counts with.
#[derive(Clone)]
pub struct MeterMeters {
    /// 1 while the store does not count.
    pub degraded: IntGauge,
    /// Requests that were weighed, by result. See [`Outcome`].
    pub takes: IntCounterVec,
    /// How long questions to the store took.
    pub seconds: Histogram,
    /// Requests that left a limit near its ceiling, by its id.
    pub near: IntCounterVec,
    /// Turns that a limit in shadow mode would have refused, by its id. Counted by who asks.
    pub shadowed: IntCounterVec,
    /// Turns that wait to be counted.
    pub unsettled: IntGauge,
}

/// What became of a request's charges: the label `result` of `tollgate_limit_takes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They fit.
    Taken,
    /// Some did not fit.
    Short,
    /// They could not be weighed, and a limit says that this refuses.
    Refused,
    /// They could not be weighed by the store, and fit this replica's own share.
    Local,
}

/// The same, ready for use.
#[derive(Clone)]
pub(super) struct Told {
    taken: IntCounter,
    short: IntCounter,
    refused: IntCounter,
    local: IntCounter,
    near: IntCounterVec,
}

// === impl Outcome ===

impl Outcome {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Short => "short",
            Self::Refused => "refused",
            Self::Local => "local",
        }
    }
}

// === impl MeterMeters ===

impl MeterMeters {
    /// Makes the series of these limits, so that they are there before any of them is near, or would have refused.
    pub fn watch<'a>(&self, limits: impl Iterator<Item = &'a RuleId>) {
        for rule in limits {
            self.near.with_label_values(&[id(rule)]);
            self.shadowed.with_label_values(&[id(rule)]);
        }
    }
}

// === impl Told ===

impl Told {
    /// The series of all outcomes are there from the start: a rate sees its first event only if there was a value before it.
    pub(super) fn of(meters: &MeterMeters) -> Self {
        let takes = |outcome: Outcome| meters.takes.with_label_values(&[outcome.as_str()]);
        Self {
            taken: takes(Outcome::Taken),
            short: takes(Outcome::Short),
            refused: takes(Outcome::Refused),
            local: takes(Outcome::Local),
            near: meters.near.clone(),
        }
    }

    pub(super) fn outcome(&self, outcome: Outcome) {
        match outcome {
            Outcome::Taken => self.taken.inc(),
            Outcome::Short => self.short.inc(),
            Outcome::Refused => self.refused.inc(),
            Outcome::Local => self.local.inc(),
        }
    }

    /// A limit was left near its ceiling. Ids are those of the policy: a closed set. The rule is not told, for one that is a
    /// user's own has the user's name in it.
    pub(super) fn near(&self, rule: &RuleId) {
        self.near.with_label_values(&[id(rule)]).inc();
    }
}

/// The id of the limit that a rule is.
fn id(rule: &RuleId) -> &str {
    let rule = rule.as_str();
    rule.rsplit_once("limits.").map_or(rule, |(_, id)| id)
}
