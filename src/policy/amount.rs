//! Amounts as they are written: counts (`100k`), money (`0.50 USD`), spans of time (`90s`, `day`), shares (`80%`).
//!
//! A decimal number is read digit by digit into an integer, never through a float: 0.1 + 0.2 is 0.3 here.

use std::time::Duration;

use super::charge::Unit;

/// Longest rolling window: 366 days.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Digits after the point of a dollar that are kept: money is counted in picodollars, a millionth of a micro-dollar. A price
/// in dollars for a million tokens with up to six decimals is then a whole number for one token, so that no sum is ever
/// rounded. 64 bits of them are 18 million dollars.
pub(super) const DECIMALS_OF_DOLLAR: u32 = 12;

/// How long something counts, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `90s`, `1m`, `24h`, `7d`
    Rolling(Duration),
    /// `hour`, `day`, `week`, `month`
    Calendar(Unit),
}

/// A plain decimal number times 10^`decimals`. `None` for anything else, for a number with more decimals, and for one that is
/// too large.
pub(super) fn scaled(text: &str, decimals: u32) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = decimals.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let number: u64 = format!("{whole}{fraction}").parse().ok()?;
    number.checked_mul(10_u64.checked_pow(missing)?)
}

/// A count: `60`, `100k`, `1.5M`.
pub(super) fn count(text: &str) -> Option<u64> {
    if let Some(thousands) = text.strip_suffix('k') {
        return scaled(thousands, 3);
    }
    match text.strip_suffix('M') {
        Some(millions) => scaled(millions, 6),
        None => scaled(text, 0),
    }
}

/// Money in picodollars: `100 USD`, `0.50 USD`.
pub(super) fn money(text: &str) -> Option<u64> {
    scaled(text.strip_suffix("USD")?.trim_end(), DECIMALS_OF_DOLLAR)
}

/// A share of a hundred, from 1 to 100: `80`, `80%`.
pub(super) fn percent(text: &str) -> Option<u8> {
    let number = text.strip_suffix('%').unwrap_or(text);
    scaled(number, 0).and_then(|number| u8::try_from(number).ok()).filter(|number| (1..=100).contains(number))
}

/// A period: a number with `s`, `m`, `h` or `d`, from a second to 366 days, or a piece of the calendar.
pub(super) fn period(text: &str) -> Option<Period> {
    if let Some(unit) = Unit::ALL.into_iter().find(|unit| unit.as_str() == text) {
        return Some(Period::Calendar(unit));
    }
    let seconds = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)]
        .into_iter()
        .find_map(|(suffix, seconds)| scaled(text.strip_suffix(suffix)?, 0)?.checked_mul(seconds))?;
    let length = Duration::from_secs(seconds);
    (!length.is_zero() && length <= LONGEST).then_some(Period::Rolling(length))
}

/// Money for people: `0.5 USD`.
pub(super) fn dollars(picodollars: u64) -> String {
    format!("{} USD", decimal(picodollars, DECIMALS_OF_DOLLAR))
}

/// A number divided by 10^`decimals`, all digits of it: `0.5`.
pub(super) fn decimal(number: u64, decimals: u32) -> String {
    let width = usize::try_from(decimals).unwrap_or_default();
    let digits = format!("{number:0>width$}", width = width + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - width).unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

// === impl Period ===

impl Period {
    /// Whether all that lies in one window of this period lies in one of the other, wherever they begin.
    pub(super) fn lies_in(self, other: Self) -> bool {
        match (self, other) {
            (Self::Rolling(inner), Self::Rolling(outer)) => inner <= outer,
            (Self::Calendar(inner), Self::Calendar(outer)) => {
                inner == outer
                    || match inner {
                        Unit::Hour => true,
                        Unit::Day => outer != Unit::Hour,
                        // A week may have days of two months.
                        Unit::Week | Unit::Month => false,
                    }
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Calendar(unit) => f.write_str(unit.as_str()),
            Self::Rolling(length) => {
                let seconds = length.as_secs();
                let known = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
                match known.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)) {
                    Some((unit, suffix)) => write!(f, "{}{suffix}", seconds / unit),
                    None => write!(f, "{seconds}s"),
                }
            }
        }
    }
}

// === impl Unit ===

impl Unit {
    /// All pieces of the calendar, the short ones first.
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The word in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_exact() {
        for (text, expected) in [
            ("0", Some(0)),
            ("60", Some(60)),
            ("60.0", Some(60)),
            ("100k", Some(100_000)),
            ("1.5M", Some(1_500_000)),
            ("0.001k", Some(1)),
            ("0.0001k", None),
            ("1.5", None),
            ("-1", None),
            ("+1", None),
            ("1e6", None),
            ("", None),
            ("k", None),
            (".5k", None),
            ("5.k", None),
            ("1 000", None),
            ("2m", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551615k", None),
        ] {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }

    #[test]
    fn money_is_exact_and_names_its_currency() {
        for (text, expected) in [
            ("100 USD", Some(100_000_000_000_000)),
            ("0.50 USD", Some(500_000_000_000)),
            ("0.1USD", Some(100_000_000_000)),
            ("0.000000000001 USD", Some(1)),
            ("0.0000000000001 USD", None),
            ("18446744 USD", Some(18_446_744_000_000_000_000)),
            ("18446745 USD", None),
            ("100", None),
            ("100 EUR", None),
            ("USD", None),
            ("-1 USD", None),
        ] {
            assert_eq!(money(text), expected, "{text:?}");
        }
    }

    #[test]
    fn periods_are_spans_or_pieces_of_the_calendar() {
        let rolling = |seconds| Some(Period::Rolling(Duration::from_secs(seconds)));
        for (text, expected) in [
            ("90s", rolling(90)),
            ("1m", rolling(60)),
            ("24h", rolling(86_400)),
            ("7d", rolling(604_800)),
            ("366d", rolling(31_622_400)),
            ("367d", None),
            ("0s", None),
            ("1", None),
            ("1.5h", None),
            ("1M", None),
            ("minute", None),
            ("Day", None),
            ("day", Some(Period::Calendar(Unit::Day))),
            ("month", Some(Period::Calendar(Unit::Month))),
        ] {
            assert_eq!(period(text), expected, "{text:?}");
        }
        assert_eq!(
            ["90s", "1m", "24h", "7d", "week"].map(|text| period(text).unwrap().to_string()),
            ["90s", "1m", "1d", "7d", "week"]
        );
    }

    #[test]
    fn shares_are_of_a_hundred() {
        for (text, expected) in [("80", Some(80)), ("80%", Some(80)), ("0", None), ("101", None), ("x", None)] {
            assert_eq!(percent(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn money_is_read_as_it_is_printed(picodollars in any::<u64>()) {
            prop_assert_eq!(money(&dollars(picodollars)), Some(picodollars));
        }

        #[test]
        fn reading_never_panics(text in "[0-9a-zA-Z.% -]{0,30}") {
            let _ = (count(&text), money(&text), percent(&text), period(&text));
        }
    }
}
