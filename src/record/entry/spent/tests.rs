use serde_json::json;
use uuid::Uuid;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn draw(counter: &str, measure: Measure, amount: u64, ceiling: u64) -> Draw {
    Draw { counter: counter.into(), measure, amount, ceiling }
}

/// A hold of 10 on a day, a bucket and the open turns, taken in second 100.
fn hold() -> Hold {
    let day = Measure::Spend { from: at(0), until: at(86_400) };
    let draws = vec![
        draw("day", day, 10, 1_000),
        draw("minute", Measure::Rate { window: MINUTE }, 10, 100),
        draw("open", Measure::Open, 1, 2),
    ];
    Hold { id: Uuid::nil(), draws, at: at(100), expires: at(700) }
}

/// Counter, amount, from and until in seconds.
fn charges(used: [u64; 3], settled: Settled) -> Vec<(Box<str>, u64, i64, i64)> {
    let charged = Charged::of(&hold(), &used, settled);
    let seconds = |at: Timestamp| at.as_second() - 1_800_000_000;
    charged
        .into_iter()
        .map(|charge| (charge.counter, charge.amount, seconds(charge.from), seconds(charge.until)))
        .collect()
}

#[test]
fn what_the_store_answered_decides_what_was_put_where() {
    let day = |amount| ("day".into(), amount, 0, 86_400);
    let minute = |amount, from, until| ("minute".into(), amount, from, until);
    for (used, settled, expected) in [
        ([7, 7, 1], Settled::Now(at(130)), vec![day(7), minute(7, 100, 160)]),
        ([10, 10, 1], Settled::Now(at(130)), vec![day(10), minute(10, 100, 160)]),
        ([12, 12, 1], Settled::Now(at(130)), vec![day(12), minute(10, 100, 160), minute(2, 130, 190)]),
        ([0, 0, 1], Settled::Now(at(130)), vec![]),
        ([0, 3, 1], Settled::Now(at(130)), vec![minute(3, 100, 160)]),
        // An expired hold has been given back: all comes now.
        ([7, 12, 1], Settled::Late(at(800)), vec![day(7), minute(10, 800, 860), minute(2, 800, 860)]),
        ([7, 7, 1], Settled::Already, vec![]),
        ([7, 7, 1], Settled::TooLate, vec![]),
        ([7, 7, 1], Settled::Lost, vec![]),
        // 341 of 100 a minute takes four minutes to leak, as far as it comes at once.
        ([0, 351, 1], Settled::Now(at(130)), vec![minute(10, 100, 160), minute(341, 130, 370)]),
    ] {
        assert_eq!(charges(used, settled), expected, "{used:?} {settled:?}");
    }
}

#[test]
fn what_never_leaks_ends_with_time() {
    let closed = draw("never", Measure::Rate { window: Duration::from_secs(366 * 86_400) }, 0, 1);
    let hold = Hold { draws: vec![closed], ..hold() };
    let charged = Charged::of(&hold, &[u64::MAX], Settled::Now(at(130)));
    assert_eq!((charged[0].amount, charged[0].until), (u64::MAX, Timestamp::MAX));
    let shut = Hold { draws: vec![draw("shut", Measure::Rate { window: MINUTE }, 0, 0)], ..hold };
    assert_eq!(Charged::of(&shut, &[1], Settled::Now(at(130)))[0].until, at(190));
}

#[test]
fn money_has_all_its_digits() {
    for (picodollars, expected) in [
        (0, "0"),
        (1, "0.000000000001"),
        (150_000, "0.00000015"),
        (500_000_000_000, "0.5"),
        (1_000_000_000_000, "1"),
        (12_340_000_000_000, "12.34"),
        (u64::MAX, "18446744.073709551615"),
    ] {
        assert_eq!(Usd(picodollars).to_string(), expected);
        assert_eq!(expected.parse(), Ok(Usd(picodollars)));
        assert_eq!(serde_json::to_value(Usd(picodollars)).unwrap(), json!(expected));
    }
}

#[test]
fn a_number_that_63_bits_do_not_hold_is_a_text() {
    let tokens = TokensUsed { input: i64::MAX.unsigned_abs(), output: 1 << 63, ..TokensUsed::default() };
    let written = serde_json::to_value(tokens).unwrap();
    assert_eq!((&written["input"], &written["output"]), (&json!(i64::MAX), &json!("9223372036854775808")));
}
