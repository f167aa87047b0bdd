//! The calendar at its odd places, and its law: windows follow on each other without a gap.

use proptest::prelude::*;

use super::*;

const UNITS: [Unit; 4] = [Unit::Hour, Unit::Day, Unit::Week, Unit::Month];

/// Zones that are odd each in its own way.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe", // clocks are moved by half an hour
    "America/Havana",      // clocks are moved at midnight
    "America/St_Johns",    // until 2011 at 00:01
    "Asia/Kathmandu",      // 05:45 ahead
    "Asia/Beirut",
    "Pacific/Apia", // skipped the 30th of December 2011
    "Africa/Casablanca",
];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

#[test]
fn windows_are_where_the_calendar_has_them() {
    // (unit, zone, an instant, start, end, minutes, what is odd)
    let rows = [
        (
            Unit::Hour,
            "Europe/Berlin",
            "2026-11-21T15:47:04Z",
            "2026-11-21T15:00:00Z",
            "2026-11-21T16:00:00Z",
            "a plain hour",
        ),
        (
            Unit::Day,
            "Europe/Berlin",
            "2026-11-21T23:30:00Z",
            "2026-11-21T23:00:00Z",
            "2026-11-22T23:00:00Z",
            "a plain day",
        ),
        (
            Unit::Day,
            "Europe/Berlin",
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "23 hours",
        ),
        (
            Unit::Day,
            "Europe/Berlin",
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            "25 hours",
        ),
        (
            Unit::Day,
            "Europe/Berlin",
            "2026-03-28T22:59:59.999999999Z",
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "the last instant",
        ),
        (
            Unit::Day,
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "the first instant",
        ),
        (
            Unit::Hour,
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2 o'clock, first",
        ),
        (
            Unit::Hour,
            "Europe/Berlin",
            "2026-10-25T01:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
            "2 o'clock, again",
        ),
        (
            Unit::Hour,
            "Europe/Berlin",
            "2026-03-29T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
            "2 o'clock is skipped",
        ),
        (
            Unit::Week,
            "Europe/Berlin",
            "2026-11-22T22:59:59Z",
            "2026-11-15T23:00:00Z",
            "2026-11-22T23:00:00Z",
            "Sunday is its end",
        ),
        (
            Unit::Week,
            "UTC",
            "2027-01-01T00:00:00Z",
            "2026-12-28T00:00:00Z",
            "2027-01-04T00:00:00Z",
            "a week of two years",
        ),
        (
            Unit::Week,
            "Europe/Berlin",
            "2026-03-27T00:00:00Z",
            "2026-03-22T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "167 hours",
        ),
        (
            Unit::Month,
            "America/New_York",
            "2028-02-29T23:00:00Z",
            "2028-02-01T05:00:00Z",
            "2028-03-01T05:00:00Z",
            "a leap month",
        ),
        (
            Unit::Month,
            "America/New_York",
            "2026-03-15T00:00:00Z",
            "2026-03-01T05:00:00Z",
            "2026-04-01T04:00:00Z",
            "an hour less",
        ),
        (
            Unit::Month,
            "UTC",
            "2026-12-31T23:59:59Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "the last of a year",
        ),
        (
            Unit::Hour,
            "Asia/Kathmandu",
            "2026-11-21T00:00:00Z",
            "2026-11-20T23:15:00Z",
            "2026-11-21T00:15:00Z",
            "a quarter",
        ),
        // 02:00 +11:00 becomes 01:30 +10:30: what is shown twice ends a window where clocks are moved.
        (
            Unit::Hour,
            "Australia/Lord_Howe",
            "2026-04-04T14:30:00Z",
            "2026-04-04T14:00:00Z",
            "2026-04-04T15:00:00Z",
            "before the fold",
        ),
        (
            Unit::Hour,
            "Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:30:00Z",
            "half an hour again",
        ),
        // 02:00 +10:30 becomes 02:30 +11:00.
        (
            Unit::Hour,
            "Australia/Lord_Howe",
            "2026-10-03T15:40:00Z",
            "2026-10-03T15:30:00Z",
            "2026-10-03T16:00:00Z",
            "half an hour is left",
        ),
        // Midnight is shown twice, and the day begins with the first.
        (
            Unit::Day,
            "America/Havana",
            "2026-11-01T05:30:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
            "midnight twice",
        ),
        // Midnight does not happen.
        (
            Unit::Day,
            "America/Havana",
            "2026-03-08T12:00:00Z",
            "2026-03-08T05:00:00Z",
            "2026-03-09T04:00:00Z",
            "no midnight",
        ),
        // 00:01 becomes 23:01 of the day before: the new day had begun and goes on.
        (
            Unit::Day,
            "America/St_Johns",
            "2010-11-07T03:00:00Z",
            "2010-11-07T02:30:00Z",
            "2010-11-08T03:30:00Z",
            "the old date again",
        ),
        (
            Unit::Day,
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "before a skipped day",
        ),
        (
            Unit::Day,
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z",
            "after a skipped day",
        ),
        (Unit::Hour, "UTC", "1969-12-31T23:59:59.5Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z", "before 1970"),
    ];
    for (unit, name, at, start, end, odd) in rows {
        let window = around(unit, &zone(name), at.parse().unwrap()).unwrap();
        assert_eq!(
            (window.start.to_string(), window.end.to_string()),
            (start.into(), end.into()),
            "{name} {at}: {odd}"
        );
    }
}

#[test]
fn the_id_names_the_unit_and_the_start() {
    let at = "2026-11-21T15:47:04Z".parse().unwrap();
    let ids = UNITS.map(|unit| around(unit, &zone("Europe/Berlin"), at).unwrap().id);
    let expected = [
        "hour.2026-11-21T15:00:00Z",
        "day.2026-11-20T23:00:00Z",
        "week.2026-11-15T23:00:00Z",
        "month.2026-10-31T23:00:00Z",
    ];
    assert_eq!(ids, expected);
    // Midnight of two zones is two windows.
    assert_ne!(around(Unit::Day, &TimeZone::UTC, at).unwrap().id, expected[1]);
}

#[test]
fn no_window_at_the_ends_of_time_and_no_panic() {
    for at in [Timestamp::MIN, Timestamp::MAX] {
        for (unit, name) in UNITS.iter().flat_map(|unit| ZONES.map(|name| (*unit, name))) {
            if let Ok(window) = around(unit, &zone(name), at) {
                assert!(window.start <= at && at < window.end, "{unit:?} {name} {at}");
            }
        }
    }
    assert_eq!(around(Unit::Day, &TimeZone::UTC, Timestamp::MAX), Err(OutOfCalendar(Timestamp::MAX)));
}

#[test]
fn windows_follow_on_each_other_through_twenty_years() {
    let (from, to): (Timestamp, Timestamp) =
        ("2008-01-01T00:00:00Z".parse().unwrap(), "2028-01-01T00:00:00Z".parse().unwrap());
    for (unit, name) in ZONES.iter().flat_map(|name| [(Unit::Day, *name), (Unit::Week, *name), (Unit::Month, *name)]) {
        let zone = zone(name);
        let mut window = around(unit, &zone, from).unwrap();
        while window.end < to {
            let next = around(unit, &zone, window.end).unwrap();
            assert_eq!(next.start, window.end, "{unit:?} {name}");
            assert!(next.end > next.start, "{unit:?} {name} {next:?}");
            window = next;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// An instant lies in its window; the first and the last instant of that window, and any between, lie in the same.
    #[test]
    fn every_instant_has_one_window(
        second in 1_200_000_000_i64..2_500_000_000,
        nanosecond in 0_i32..1_000_000_000,
        unit in 0_usize..4,
        name in 0_usize..ZONES.len(),
        part in 0.0..1.0_f64,
    ) {
        let (unit, zone) = (UNITS[unit], zone(ZONES[name]));
        let at = Timestamp::new(second, nanosecond).unwrap();
        let window = around(unit, &zone, at).unwrap();
        prop_assert!(window.start <= at && at < window.end, "{window:?}");
        let length = window.end.as_nanosecond() - window.start.as_nanosecond();
        #[expect(clippy::cast_possible_truncation, reason = "any instant will do")]
        let between = Timestamp::from_nanosecond(window.start.as_nanosecond() + (length as f64 * part) as i128).unwrap();
        let last = window.end.checked_sub(1.nanosecond()).unwrap();
        for other in [window.start, between.min(last), last] {
            prop_assert_eq!(&around(unit, &zone, other).unwrap(), &window, "{}", other);
        }
        prop_assert_eq!(around(unit, &zone, window.end).unwrap().start, window.end);
    }
}
