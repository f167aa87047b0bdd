use jiff::ToSpan;
use proptest::prelude::*;

use super::*;

const MINUTE: u64 = 60_000_000;

fn at(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + microseconds).unwrap()
}

fn poured(counter: &str, amount: u64, microseconds: i64, ceiling: u64) -> Poured {
    Poured { counter: counter.into(), amount, at: at(microseconds).as_microsecond(), window: MINUTE, ceiling }
}

fn level(poured: Vec<Poured>, microseconds: i64) -> u64 {
    let draws = draws(vec![], poured, at(microseconds));
    draws.first().map_or(0, |draw| draw.amount)
}

#[test]
fn a_bucket_leaks_a_ceiling_a_window_and_counts_in_begun_units() {
    let second = 1_000_000;
    let two = || vec![poured("a", 30, 30 * second, 60), poured("a", 60, 0, 60)];
    // 60 at second 0 are 30 at second 30, and 60 again with 30 more; one is forgotten each second.
    for (seconds, expected) in [(30, 60), (31, 59), (89, 1), (90, 0), (1_000, 0)] {
        assert_eq!(level(two(), seconds * second), expected, "second {seconds}");
    }
    assert_eq!(level(two(), 31 * second + 1), 59, "a begun unit is a whole one");
    assert_eq!(level(two(), 32 * second - 1), 59);
    // More than fits, as turns may use: it takes as much longer.
    assert_eq!(level(vec![poured("a", 200, 0, 60)], 120 * second), 80);
}

#[test]
fn an_edited_ceiling_counts_from_the_step_that_has_it() {
    let second = 1_000_000;
    // 60 a minute until second 30, and 120 a minute up to there from the first step that has 120.
    let edited = || vec![poured("a", 60, 0, 60), poured("a", 10, 15 * second, 120)];
    assert_eq!(level(edited(), 15 * second), 60 - 30 + 10);
    assert_eq!(level(edited(), 20 * second), 30);
}

#[test]
fn each_counter_is_told_once_and_none_that_is_empty() {
    let sum = |counter: &str, amount| Sum { counter: counter.into(), amount, from: at(0), until: at(1) };
    let sums = vec![sum("day", 5), sum("nothing", 0), sum("much", u128::from(u64::MAX) + 1)];
    let told = draws(sums, vec![poured("a", 1, 0, 60), poured("b", 2, 0, 60), poured("a", 1, 0, 60)], at(0));
    let told: Vec<_> = told.iter().map(|draw| (&*draw.counter, draw.amount)).collect();
    assert_eq!(told, [("day", 5), ("much", u64::MAX), ("a", 2), ("b", 2)]);
    let rate = &draws(vec![], vec![poured("a", 1, 0, 60)], at(0))[0];
    assert_eq!((rate.measure, rate.ceiling), (Measure::Rate { window: Duration::from_secs(60) }, 60));
}

#[test]
fn time_before_the_first_step_is_no_fault() {
    assert_eq!(level(vec![poured("a", 7, 10, 60)], 0), 7, "a clock that is behind leaks nothing");
    let far = Timestamp::MIN.checked_add(1.hour()).unwrap();
    assert_eq!(draws(vec![], vec![poured("a", 7, 10, 60)], far)[0].amount, 7);
}

proptest! {
    /// Against the plain sum: what was put in less what leaked can be no more than all that was put in, and no less than
    /// that without a ceiling's leak for the whole time.
    #[test]
    fn order_of_the_rows_decides_nothing(
        mut rows in prop::collection::vec((0_u64..1_000, 0_i64..100_000_000), 1..20),
        turn in 0_usize..20,
        later in 0_i64..100_000_000,
    ) {
        rows.dedup_by_key(|(_, when)| *when);
        let pours = |rows: &[(u64, i64)]| rows.iter().map(|(amount, when)| poured("a", *amount, *when, 60)).collect();
        let end = 100_000_000 + later;
        let first = level(pours(&rows), end);
        let turn = turn % rows.len();
        rows.rotate_left(turn);
        prop_assert_eq!(level(pours(&rows), end), first);
        let all: u64 = rows.iter().map(|(amount, _)| amount).sum();
        prop_assert!(first <= all);
        let since = rows.iter().map(|(_, when)| *when).min().unwrap();
        let leaked = u64::try_from(end - since).unwrap() / 1_000_000;
        prop_assert!(first >= all.saturating_sub(leaked + 1), "{first} of {all}, {leaked} leaked at most");
    }
}
