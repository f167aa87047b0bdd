//! What a limit takes from its counter: the words between the policy, which knows the limits, and the meter, which counts.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::RuleId;

/// One thing that one limit asks of its counter. A request goes on only if all its charges fit, and then takes all of them at
/// once.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The counter: the limit's id and whom it counts for. The same in every version of the policy that has this limit.
    pub key: Arc<str>,
    /// The limit that asks, for refusals and records.
    pub rule: RuleId,
    /// How long what is taken counts.
    pub window: Window,
    /// What is taken, in the limit's own unit: requests, messages, tokens, millionths of a micro-dollar, open turns, or
    /// LibreChat's credits (a micro-dollar each).
    pub amount: u64,
    /// Most that the counter may hold, in the same unit.
    pub ceiling: u64,
}

/// How long what was taken counts against a ceiling.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// So long from the moment it was taken.
    Rolling(Duration),
    /// Until the end of the hour, day, week or month in which it was taken.
    Calendar {
        /// Which of them.
        unit: Unit,
        /// Where: midnight is not everywhere at once.
        zone: TimeZone,
    },
    /// While the turn runs.
    Open,
    /// For ever: what is settled never stops counting. No limit of a policy has it; LibreChat's balance does. When it resets,
    /// nobody can say.
    Always,
}

/// A piece of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight: 23, 24 or 25 hours.
    Day,
    /// From Monday to Monday (ISO 8601).
    Week,
    /// From the first of a month to that of the next.
    Month,
}
