//! Moments as people name them (`2h` ago, a date, RFC 3339), and moments as they are shown.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, ToSpan};

/// Which end of a stretch a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// A date stands for its first moment.
    Since,
    /// A date stands for the end of the day: it is in the stretch.
    Until,
}

/// Reads a moment: RFC 3339 (`2026-11-21T08:15:00Z`), a date or a time of the day in the reader's zone (`2026-11-21`,
/// `2026-11-21T08:15`), or how long ago (`90s`, `2h`, `7d`, `2w`).
///
/// # Errors
/// A sentence that says what moments look like.
pub fn moment(text: &str, edge: Edge, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let civil = match (text.parse::<Date>(), edge) {
        // A date is read out of a date and time as well.
        (Ok(_), _) if text.contains(['T', 't', ' ']) => text.parse::<DateTime>().ok(),
        (Ok(date), Edge::Since) => Some(date.to_datetime(jiff::civil::Time::midnight())),
        (Ok(date), Edge::Until) => date.tomorrow().ok().map(|next| next.to_datetime(jiff::civil::Time::midnight())),
        (Err(_), _) => None,
    };
    if let Some(civil) = civil {
        return zone.to_timestamp(civil).map_err(|error| error.to_string());
    }
    let ago =
        text.parse::<Span>().ok().filter(|span| !span.is_negative() && text.starts_with(|c: char| c.is_ascii_digit()));
    let ago = ago.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        "no moment: write a time (2026-11-21T08:15:00Z), a date (2026-11-21), or how long ago (90s, 30m, 2h, 7d, 4w)".into()
    })
}

/// The moment in this zone, to the millisecond.
pub fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// The day (UTC) of a moment, and the moment before which it ends.
pub fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Whether a moment is the first of a day (UTC).
pub fn is_midnight(at: Timestamp) -> bool {
    day(at).to_zoned(TimeZone::UTC).is_ok_and(|midnight| midnight.timestamp() == at)
}

/// The last day (UTC) that ends at this moment or has moments before it.
pub fn last_day(until: Timestamp) -> Date {
    day(until.checked_sub(1.nanosecond()).unwrap_or(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let (zone, now) = (TimeZone::get("Europe/Berlin").unwrap(), at("2026-11-21T12:00:00Z"));
        for (text, edge, told) in [
            ("2026-11-21T08:15:00Z", Edge::Since, "2026-11-21T08:15:00Z"),
            ("2026-11-21T08:15:00.25+01:00", Edge::Until, "2026-11-21T07:15:00.25Z"),
            ("2026-11-21", Edge::Since, "2026-11-20T23:00:00Z"),
            ("2026-11-21", Edge::Until, "2026-11-21T23:00:00Z"),
            ("2026-07-01", Edge::Since, "2026-06-30T22:00:00Z"),
            ("2026-11-21T08:15", Edge::Until, "2026-11-21T07:15:00Z"),
            ("2026-11-21 08:15:30", Edge::Since, "2026-11-21T07:15:30Z"),
            ("90s", Edge::Since, "2026-11-21T11:58:30Z"),
            ("30m", Edge::Since, "2026-11-21T11:30:00Z"),
            ("2h", Edge::Until, "2026-11-21T10:00:00Z"),
            ("7d", Edge::Since, "2026-11-14T12:00:00Z"),
            ("2w", Edge::Since, "2026-11-07T12:00:00Z"),
            ("1h30m", Edge::Since, "2026-11-21T10:30:00Z"),
        ] {
            assert_eq!(moment(text, edge, &zone, now).as_ref(), Ok(&at(told)), "{text}");
        }
        for text in ["", "soon", "-2h", "2", "2 months", "1y", "2026-13-01", "2026-11", "P1D", "99999999d"] {
            let fault = moment(text, Edge::Since, &zone, now).unwrap_err();
            assert!(fault.contains("how long ago"), "{text}: {fault}");
        }
    }

    #[test]
    fn moments_are_shown_in_the_readers_zone() {
        let zone = TimeZone::get("America/New_York").unwrap();
        assert_eq!(shown(at("2026-11-21T02:15:00.1239Z"), &zone), "2026-11-20 21:15:00.123");
        assert_eq!(shown(at("2026-11-21T02:15:00Z"), &TimeZone::UTC), "2026-11-21 02:15:00.000");
    }

    #[test]
    fn days_end_before_midnight() {
        assert!(is_midnight(at("2026-11-21T00:00:00Z")) && !is_midnight(at("2026-11-21T00:00:00.001Z")));
        assert_eq!(last_day(at("2026-11-21T00:00:00Z")).to_string(), "2026-11-20");
        assert_eq!(last_day(at("2026-11-21T00:00:01Z")).to_string(), "2026-11-21");
    }
}
