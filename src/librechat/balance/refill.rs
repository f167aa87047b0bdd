//! When LibreChat refills a balance by itself: from an interval after the last refill on, by JavaScript's calendar
//! (`packages/data-provider/src/balance.ts`, `packages/api/src/middleware/checkBalance.ts`).
//!
//! LibreChat adds days and months by the clocks of its server. They are taken to show UTC, as in its image.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Map, Value};

use super::NoNumber;
use crate::librechat::number;

/// The refill of a balance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refill {
    /// What is added, in credits.
    pub(super) amount: f64,
    /// From when on; none where that is never.
    due: Option<Timestamp>,
}

impl Refill {
    /// Reads it from a document of `balances`; none where there is none, or where it adds nothing.
    pub(super) fn read(fields: &Map<String, Value>) -> Result<Option<Self>, NoNumber> {
        if fields.get("autoRefillEnabled") != Some(&Value::Bool(true)) {
            return Ok(None);
        }
        let numbers = |name: &'static str| match fields.get(name) {
            None | Some(Value::Null) => Ok(0.0),
            Some(value) => number::read(value).ok_or(NoNumber(name)),
        };
        let (amount, interval) = (numbers("refillAmount")?, numbers("refillIntervalValue")?);
        let unit = match fields.get("refillIntervalUnit") {
            None | Some(Value::Null) => "days",
            Some(unit) => unit.as_str().unwrap_or_default(),
        };
        let last = match fields.get("lastRefill") {
            None | Some(Value::Null) => Timestamp::UNIX_EPOCH,
            Some(last) => instant(last).ok_or(NoNumber("lastRefill"))?,
        };
        Ok((amount > 0.0).then(|| Self { amount, due: later(last, interval, unit) }))
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| now >= due)
    }
}

/// So much later; none where there is no such moment. A unit that LibreChat does not know adds nothing.
fn later(from: Timestamp, interval: f64, unit: &str) -> Option<Timestamp> {
    if !interval.is_finite() {
        return None;
    }
    let seconds = match unit {
        "seconds" => interval.floor(),
        "minutes" => interval.floor() * 60.0,
        "hours" => interval.floor() * 3_600.0,
        "days" => interval.floor() * 86_400.0,
        "weeks" => (interval * 7.0).floor() * 86_400.0,
        "months" => return months_later(from, interval.floor()),
        _ => 0.0,
    };
    from.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

/// The same day of a later month. A day that the month does not have is as many days into the next one: January 31st and a
/// month is March 3rd, or 2nd.
fn months_later(from: Timestamp, months: f64) -> Option<Timestamp> {
    // Whole, and small enough for the calendar if it is in this range.
    let months = if months.abs() <= 240_000.0 { months as i64 } else { return None };
    let clock: DateTime = TimeZone::UTC.to_datetime(from);
    let first: Date = clock.date().first_of_month().checked_add(months.months()).ok()?;
    let date = first.checked_add((i64::from(clock.day()) - 1).days()).ok()?;
    Some(date.to_datetime(clock.time()).to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A moment as MongoDB's extended JSON has it: milliseconds, or RFC 3339.
fn instant(value: &Value) -> Option<Timestamp> {
    let date = value.get("$date")?;
    match (date.as_i64(), date.as_str()) {
        (Some(milliseconds), _) => Timestamp::from_millisecond(milliseconds).ok(),
        (_, Some(text)) => text.parse().ok(),
        _ => None,
    }
}
