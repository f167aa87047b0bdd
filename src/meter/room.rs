//! When a limit that has no room for a request has room again, and which of several such limits decides.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::policy::charge::Charge;
use crate::store::counters::Lack;

/// When there is room again, the soonest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// When a turn ends.
    Soon,
    /// At this moment.
    At(Timestamp),
    /// Not for this request.
    Never,
    /// For no request: the limit allows nothing.
    Closed,
}

// === impl Room ===

impl Room {
    /// When there is room for a charge that does not fit now.
    pub fn of(charge: &Charge, lack: &Lack) -> Self {
        match lack.resets {
            _ if charge.ceiling == 0 => Self::Closed,
            _ if charge.never_fits() => Self::Never,
            Some(moment) => Self::At(moment),
            None => Self::Soon,
        }
    }

    /// What several limits are sorted by, stably: the first one decides. What resets last comes first, and before that what no other
    /// request could change; the order of charges holds among equals.
    pub fn last_first(self) -> Reverse<Self> {
        Reverse(self)
    }

    /// The moment; none where that is when turns end, or never.
    pub fn moment(self) -> Option<Timestamp> {
        match self {
            Self::At(moment) => Some(moment),
            Self::Soon | Self::Never | Self::Closed => None,
        }
    }
}

/// The moment as callers are told it, a begun second as a whole one: then there is room.
pub fn whole_second(moment: Timestamp) -> Timestamp {
    let second = moment.as_second() + i64::from(moment.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(moment)
}
