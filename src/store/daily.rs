//! The sums of one user's day, whichever store the entries are in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Tokens};
use super::ledger::{Daily, DayModel, DayTokens, ERASED, ResponseTime};
use crate::record::entry::Usd;

/// What the usage entries of one user and day add up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Of the last turn so far, its time and the role.
    pub(super) last: Option<(Timestamp, Box<str>)>,
    pub(super) calls: u64,
    pub(super) messages: u64,
    pub(super) errors: u64,
    pub(super) used: Used,
    /// Milliseconds from arrival to the answer: their sum, the shortest and the longest.
    pub(super) time: f64,
    pub(super) shortest: f64,
    pub(super) longest: f64,
    /// By endpoint and model; in JSON a list of pairs.
    #[serde(with = "pairs")]
    pub(super) models: Models,
}

/// What was used, by endpoint and model.
pub(super) type Models = BTreeMap<(Box<str>, Box<str>), (u64, Used)>;

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) input: u64,
    #[serde(default)]
    pub(super) cached: u64,
    pub(super) output: u64,
    /// Picodollars; none where nothing is known of any cost.
    pub(super) cost: Option<u64>,
}

/// The day (UTC) of a moment.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The first moment of a day (UTC).
pub(super) fn midnight(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |midnight| midnight.timestamp())
}

/// The first moment of a day (UTC), and the first after it.
pub(super) fn span(day: Date) -> (Timestamp, Timestamp) {
    (midnight(day), day.tomorrow().map_or(Timestamp::MAX, midnight))
}

/// Whether the key is that of this day and user; of an erased one it begins with both and ends with something that says nothing.
pub(super) fn fits(daily: &Daily) -> bool {
    let Daily { key: kept, user_id, day, .. } = daily;
    match &**user_id {
        ERASED => kept.strip_prefix(&key(*day, ERASED)).is_some_and(|rest| rest.len() > 1 && rest.starts_with('|')),
        user => **kept == key(*day, user),
    }
}

/// The place of a user's day in the order of [`Daily::key`].
pub(super) fn key(day: Date, user: &str) -> String {
    format!("{day}|{user}")
}

// === impl Sums ===

impl Sums {
    /// Adds a turn.
    pub(super) fn add(&mut self, at: Timestamp, turn: &Facts) {
        if self.last.as_ref().is_none_or(|(last, _)| *last <= at) {
            self.last = Some((at, turn.role.clone()));
        }
        (self.shortest, self.longest) = match self.calls {
            0 => (turn.time, turn.time),
            _ => (self.shortest.min(turn.time), self.longest.max(turn.time)),
        };
        self.calls = self.calls.saturating_add(1);
        self.messages = self.messages.saturating_add(u64::from(turn.outcome.as_deref() == Some(STARTED)));
        self.errors =
            self.errors.saturating_add(u64::from(turn.outcome.as_deref().is_some_and(|is| ERRORS.contains(&is))));
        self.time += turn.time;
        let all = Used::of(turn.tokens, turn.cost.map(|cost| cost.0));
        self.used.add(all);
        if turn.runs.is_empty() {
            self.ran(&turn.endpoint, &turn.model, all);
        }
        for run in &turn.runs {
            self.ran(&run.endpoint, &run.model, Used::of(run.tokens, run.cost.map(|cost| cost.0)));
        }
    }

    /// Adds what other turns of the same user and day add up to.
    pub(super) fn join(&mut self, other: Self) {
        let (none, of_none) = (self.calls == 0, other.calls == 0);
        if other.last.as_ref().map(|(at, _)| at) > self.last.as_ref().map(|(at, _)| at) {
            self.last = other.last;
        }
        (self.shortest, self.longest) = match (none, of_none) {
            (true, _) => (other.shortest, other.longest),
            (_, true) => (self.shortest, self.longest),
            _ => (self.shortest.min(other.shortest), self.longest.max(other.longest)),
        };
        self.calls = self.calls.saturating_add(other.calls);
        self.messages = self.messages.saturating_add(other.messages);
        self.errors = self.errors.saturating_add(other.errors);
        self.time += other.time;
        self.used.add(other.used);
        for (of, (more, used)) in other.models {
            let (count, sum) = self.models.entry(of).or_default();
            *count = count.saturating_add(more);
            sum.add(used);
        }
    }

    /// The role at the last turn.
    pub(super) fn role(&self) -> &str {
        self.last.as_ref().map(|(_, role)| &**role).unwrap_or_default()
    }

    fn ran(&mut self, endpoint: &str, model: &str, used: Used) {
        let (count, sum) = self.models.entry((endpoint.into(), model.into())).or_default();
        *count = count.saturating_add(1);
        sum.add(used);
    }

    /// What callers are told.
    pub(super) fn told(self, key: Box<str>, user_id: Box<str>, day: Date) -> Daily {
        let role = self.role().into();
        let models = self.models.into_iter().map(|((endpoint, model), (count, used))| DayModel {
            endpoint,
            model,
            count,
            tokens: used.tokens(),
            cost: used.cost.map(Usd),
        });
        #[expect(clippy::cast_precision_loss, reason = "an average of more than 2^53 turns is not asked for")]
        let avg = if self.calls == 0 { 0.0 } else { self.time / self.calls as f64 };
        Daily {
            key,
            user_id,
            day,
            role,
            message_count: self.messages,
            token_usage: self.used.tokens(),
            model_usage: models.collect(),
            cost: self.used.cost.map(Usd),
            api_calls: self.calls,
            errors: self.errors,
            response_time: ResponseTime { avg, min: self.shortest, max: self.longest },
        }
    }
}

/// The outcome of a turn that LibreChat took.
pub(super) const STARTED: &str = "started";

/// The outcomes of those that it did not take.
pub(super) const ERRORS: [&str; 2] = ["refused", "failed"];

// === impl Used ===

impl Used {
    fn of(tokens: Tokens, cost: Option<Usd>) -> Self {
        let Tokens { input, cached_input, cache_write, output } = tokens;
        let (cached, input) = (cached_input, input.saturating_add(cached_input).saturating_add(cache_write));
        Self { input, cached, output, cost: cost.map(|cost| cost.0) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.cost = match (self.cost, other.cost) {
            (Some(cost), Some(more)) => Some(cost.saturating_add(more)),
            (cost, more) => cost.or(more),
        };
    }

    fn tokens(&self) -> DayTokens {
        let Self { input, cached, output, .. } = *self;
        DayTokens { input, cached, output, total: input.saturating_add(output) }
    }
}

// === helpers ===

/// A map whose keys are no texts, as JSON.
mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Models;

    pub(super) fn serialize<S: Serializer>(models: &Models, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(models)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Models, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

mod check;

pub use check::{DayCheck, DayChecked};

#[cfg(test)]
mod tests;
