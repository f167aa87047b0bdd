//! The sums of a day held against the entries that they add up: nothing signs the sums themselves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Sums, key};
use crate::record::Line;
use crate::store::facts::Facts;
use crate::store::{Daily, ERASED};

/// How far two averages may be from each other that were added up in another order.
const ROUNDING: f64 = 1e-6;

/// What the entries of one day add up to.
#[derive(Debug)]
pub struct DayCheck {
    day: Date,
    users: BTreeMap<Box<str>, Entries>,
}

/// Those of one user.
#[derive(Debug, Default)]
struct Entries {
    sums: Sums,
    /// The roles at the last moment.
    roles: BTreeSet<Box<str>>,
    last: i64,
}

/// What became of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayChecked {
    /// Users whose sums are what their entries add up to.
    pub good: u64,
    /// Users whose sums have not all of their entries yet.
    pub behind: u64,
    /// Sums of users who were erased: their entries do not say what they used.
    pub erased: u64,
    /// Users whose sums are something else, and how.
    pub wrong: Vec<(Box<str>, String)>,
}

// === impl DayCheck ===

impl DayCheck {
    /// Begins with a day (UTC).
    pub fn new(day: Date) -> Self {
        Self { day, users: BTreeMap::new() }
    }

    /// The first moment of the day, and the first after it.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        super::span(self.day)
    }

    /// Adds a usage entry of the day. A tombstone adds nothing.
    pub fn add(&mut self, line: &Line) {
        let Ok(turn) = Facts::read(&line.text) else { return };
        let Some(user) = &turn.user_id else { return };
        let entries = self.users.entry(user.clone()).or_default();
        let at = line.at.as_millisecond();
        if entries.roles.is_empty() || at > entries.last {
            entries.roles.clear();
            entries.last = at;
        }
        if at == entries.last {
            entries.roles.insert(turn.role.clone());
        }
        entries.sums.add(line.at, &turn);
    }

    /// Holds the sums that were kept before the entries were read against them. `growing`: entries of the day may still be added up.
    pub fn close(mut self, kept: Vec<Daily>, growing: bool) -> DayChecked {
        let mut checked = DayChecked::default();
        for kept in kept {
            if &*kept.user_id == ERASED {
                checked.erased = checked.erased.saturating_add(1);
                continue;
            }
            let user = kept.user_id.clone();
            match self.users.remove(&user) {
                None => checked.wrong.push((user, "there are sums, and no entries of that day".to_owned())),
                Some(entries) => match entries.fault(self.day, &kept, growing) {
                    Ok(true) => checked.good = checked.good.saturating_add(1),
                    Ok(false) => checked.behind = checked.behind.saturating_add(1),
                    Err(why) => checked.wrong.push((user, why)),
                },
            }
        }
        for (user, _) in self.users {
            if growing {
                checked.behind = checked.behind.saturating_add(1);
            } else {
                checked.wrong.push((user, "there are entries of that day, and no sums".to_owned()));
            }
        }
        checked
    }
}

impl Entries {
    /// Whether all entries are in the sums; what else is wrong with these.
    fn fault(self, day: Date, kept: &Daily, growing: bool) -> Result<bool, String> {
        let Self { sums, roles, .. } = self;
        let made = sums.told(key(day, &kept.user_id).into(), kept.user_id.clone(), day);
        if kept.api_calls < made.api_calls && growing {
            return Ok(false);
        }
        let near = |one: f64, other: f64| (one - other).abs() <= ROUNDING * one.abs().max(other.abs()).max(1.0);
        let (times, made_times) = (&kept.response_time, &made.response_time);
        let differs = [
            ("key", kept.key != made.key || kept.day != day),
            ("apiCalls", kept.api_calls != made.api_calls),
            ("messageCount", kept.message_count != made.message_count),
            ("errors", kept.errors != made.errors),
            ("tokenUsage", kept.token_usage != made.token_usage),
            ("modelUsage", kept.model_usage != made.model_usage),
            ("cost", kept.cost != made.cost),
            ("role", !roles.contains(&kept.role)),
            (
                "responseTime",
                !(near(times.avg, made_times.avg)
                    && near(times.min, made_times.min)
                    && near(times.max, made_times.max)),
            ),
        ];
        let differs: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        if differs.is_empty() {
            return Ok(true);
        }
        Err(format!("they are not what the entries of that day add up to: {}", differs.join(", ")))
    }
}
