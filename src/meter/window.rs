//! Pieces of the calendar: from which instant to which one, in a time zone.
//!
//! Every instant lies in exactly one window of a unit and a zone, whatever its clocks do: a day has 23, 24 or 25 hours; a day
//! that a country skipped has none; an hour that clocks show twice is two windows, for both begin with a full hour.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::policy::charge::Unit;

/// One window of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Names the window among all of its unit, whatever the zone: the unit and the start. Goes into the counter's key.
    pub id: String,
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it, when the next one begins: what was used is reset.
    pub end: Timestamp,
}

/// The time is so far from now that no calendar has a window around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no window of the calendar can be told for {0}; check the clock of the server")]
pub struct OutOfCalendar(pub Timestamp);

/// The window around an instant.
///
/// # Errors
/// [`OutOfCalendar`] at the ends of time (the years -9999 and 9999).
pub fn around(unit: Unit, zone: &TimeZone, at: Timestamp) -> Result<Window, OutOfCalendar> {
    let (name, bounds) = match unit {
        Unit::Hour => ("hour", hour(zone, at)),
        Unit::Day => ("day", days(zone, at, Some, |date| date.tomorrow().ok())),
        Unit::Week => ("week", days(zone, at, monday, |date| date.checked_add(1.week()).ok())),
        Unit::Month => {
            ("month", days(zone, at, |date| Some(date.first_of_month()), |date| date.checked_add(1.month()).ok()))
        }
    };
    let (start, end) = bounds.ok_or(OutOfCalendar(at))?;
    Ok(Window { id: format!("{name}.{start}"), start, end })
}

// === helpers ===

/// From full hour to full hour of the zone's clocks. Where clocks are moved by less than an hour, or at another minute, the
/// moment at which they are moved ends a window, too.
fn hour(zone: &TimeZone, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let clock = zone.to_datetime(at);
    let into = i64::from(clock.minute()) * 60 + i64::from(clock.second());
    let start = Timestamp::from_second(whole_seconds(at).checked_sub(into)?).ok()?;
    let end = start.checked_add(1.hour()).ok()?;
    let offset = zone.to_offset(at);
    let start = if zone.to_offset(start) == offset {
        start
    } else {
        // Strictly before the next nanosecond is at or before this one.
        let moved = zone.preceding(at.checked_add(1.nanosecond()).ok()?).next();
        moved.map_or(start, |moved| moved.timestamp().max(start))
    };
    let moved = zone.following(at).next().map(|moved| moved.timestamp());
    let end = moved.filter(|moved| *moved < end && zone.to_offset(*moved) != offset).unwrap_or(end);
    Some((start, end))
}

/// From the first instant of one date to that of another.
fn days(
    zone: &TimeZone,
    at: Timestamp,
    first: impl Fn(Date) -> Option<Date>,
    next: impl Fn(Date) -> Option<Date>,
) -> Option<(Timestamp, Timestamp)> {
    // Midnight in a gap is the first instant after it; where clocks show it twice, it is the first.
    let begins = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    let mut date = first(zone.to_datetime(at).date())?;
    let mut start = begins(date)?;
    loop {
        let following = next(date)?;
        let end = begins(following)?;
        // Clocks that were put back past midnight show the old date once more, though the new one has begun.
        if at < end {
            return Some((start, end));
        }
        (date, start) = (following, end);
    }
}

fn monday(date: Date) -> Option<Date> {
    date.checked_sub(i64::from(date.weekday().since(Weekday::Monday)).days()).ok()
}

/// Whole seconds since 1970, rounded towards the past.
fn whole_seconds(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

#[cfg(test)]
mod tests;
