//! What usage entries have put on counters, as every ledger has to tell it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tollgate::record::Entry;
use tollgate::record::entry::Charged;
use tollgate::store::counters::{Draw, Measure};
use tollgate::store::{Ledger, SLACK};

use crate::bench::Bench;
use crate::bench::entries::{lines, poured, refusal, settled, spent, turn};

for_each_store![
    nothing_is_charged_at_first,
    sums_are_by_counter,
    a_window_that_is_over_is_told_a_while_longer,
    what_is_current_outlives_what_is_long_over,
    amounts_of_64_bits_are_exact,
    a_rolling_window_is_told_as_it_stands,
    random_entries_are_summed_once_however_often_they_come,
    many_turns_are_summed_in_time,
];

/// So many microseconds into the checks.
fn at(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + microseconds).unwrap()
}

const HOUR: i64 = 3_600_000_000;

/// What the ledger tells, by counter.
async fn told(ledger: &dyn Ledger, when: Timestamp) -> BTreeMap<Box<str>, u64> {
    let draws = ledger.charged(when).await.unwrap();
    let told: BTreeMap<_, _> = draws.iter().map(|draw| (draw.counter.clone(), draw.amount)).collect();
    assert_eq!(told.len(), draws.len(), "each counter once");
    told
}

fn expected<const N: usize>(counters: [(&str, u64); N]) -> BTreeMap<Box<str>, u64> {
    counters.into_iter().map(|(counter, amount)| (counter.into(), amount)).collect()
}

async fn nothing_is_charged_at_first(bench: &dyn Bench) {
    assert_eq!(bench.ledger().charged(at(0)).await.unwrap(), []);
    bench.ledger().append(&lines(&[refusal(1), turn(2), settled(3, at(0), vec![])])).await.unwrap();
    assert_eq!(bench.ledger().charged(at(0)).await.unwrap(), [], "entries without charges");
}

async fn sums_are_by_counter(bench: &dyn Bench) {
    let day = |amount| spent("day:ann@day.1", amount, at(0), at(24 * HOUR));
    let next = |amount| spent("day:ann@day.2", amount, at(24 * HOUR), at(48 * HOUR));
    // Names are no patterns, fields or commands to any store.
    let odd = ["$day", "day.*", "'; --", "{\"a\":1}", "é\u{1}"].map(|name| spent(name, 1, at(0), at(HOUR)));
    let ledger = bench.ledger();
    ledger.append(&lines(&[settled(1, at(1), vec![day(5), next(70)]), settled(2, at(2), vec![day(6)])])).await.unwrap();
    ledger.append(&lines(&[settled(3, at(3), [vec![day(1)], odd.to_vec()].concat())])).await.unwrap();
    let mut expected = expected([("day:ann@day.1", 12), ("day:ann@day.2", 70)]);
    expected.extend(odd.map(|charge| (charge.counter, 1)));
    assert_eq!(told(ledger, at(4)).await, expected);
    let draws = ledger.charged(at(4)).await.unwrap();
    let today = draws.iter().find(|draw| &*draw.counter == "day:ann@day.1").unwrap();
    assert_eq!(today.measure, Measure::Spend { from: at(0), until: at(24 * HOUR) });
}

async fn a_window_that_is_over_is_told_a_while_longer(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let always = spent("always", 9, Timestamp::MIN, Timestamp::MAX);
    let charges = vec![spent("hour", 5, at(0), at(HOUR)), poured("minute", 60, at(HOUR), 60), always];
    ledger.append(&lines(&[settled(1, at(1), charges)])).await.unwrap();
    let slack = i64::try_from(SLACK.as_micros()).unwrap();
    let both = expected([("always", 9), ("hour", 5), ("minute", 60)]);
    assert_eq!(told(ledger, at(HOUR)).await, both);
    // A bucket leaks, whatever is told of windows.
    assert_eq!(told(ledger, at(HOUR + slack - 1_000)).await, expected([("always", 9), ("hour", 5)]));
    assert_eq!(told(ledger, at(HOUR + slack)).await, expected([("always", 9)]));
}

async fn what_is_current_outlives_what_is_long_over(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let month = |amount| spent("month", amount, at(0), at(700 * HOUR));
    let day = spent("day", 5, at(0), at(24 * HOUR));
    ledger.append(&lines(&[settled(1, at(1), vec![month(1), day, poured("minute", 60, at(0), 60)])])).await.unwrap();
    // Four days later.
    let late = at(120 * HOUR);
    ledger.append(&lines(&[settled(2, late, vec![month(2), poured("minute", 3, late, 60)])])).await.unwrap();
    assert_eq!(told(ledger, late).await, expected([("month", 3), ("minute", 3)]));
    // An entry that was held up for long.
    ledger.append(&lines(&[settled(3, at(2), vec![month(4)])])).await.unwrap();
    assert_eq!(told(ledger, late).await, expected([("month", 7), ("minute", 3)]));
}

async fn amounts_of_64_bits_are_exact(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let charge = |counter, amount| spent(counter, amount, at(0), at(HOUR));
    let large = (1 << 53) + 1;
    let first = vec![charge("double", large), charge("signed", i64::MAX as u64), charge("most", u64::MAX - 5)];
    ledger.append(&lines(&[settled(1, at(1), first)])).await.unwrap();
    let second = vec![charge("double", large), charge("signed", 5), charge("most", 5)];
    ledger.append(&lines(&[settled(2, at(1), second)])).await.unwrap();
    let mut sums = expected([("double", 2 * large), ("signed", i64::MAX as u64 + 5), ("most", u64::MAX)]);
    assert_eq!(told(ledger, at(2)).await, sums);
    ledger
        .append(&lines(&[settled(3, at(1), vec![charge("most", 1), poured("closed", u64::MAX, at(0), u64::MAX)])]))
        .await
        .unwrap();
    sums.insert("closed".into(), u64::MAX);
    assert_eq!(told(ledger, at(0)).await, sums, "what 64 bits do not hold is the most that they do");
}

async fn a_rolling_window_is_told_as_it_stands(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let second = 1_000_000;
    // In another order than that of time, and to the microsecond.
    ledger.append(&lines(&[settled(1, at(0), vec![poured("a", 30, at(30 * second + 1), 60)])])).await.unwrap();
    ledger
        .append(&lines(&[settled(2, at(0), vec![poured("a", 60, at(1), 60), poured("b", 1, at(7), 60)])]))
        .await
        .unwrap();
    for (microseconds, a) in [(30 * second + 1, 60), (31 * second, 60), (31 * second + 1, 59), (32 * second + 1, 58)] {
        assert_eq!(told(ledger, at(microseconds)).await, expected([("a", a)]), "{microseconds}");
    }
    assert_eq!(
        told(ledger, at(7)).await,
        expected([("a", 60), ("b", 1)]),
        "as after the last step: time does not go back"
    );
    let draws = ledger.charged(at(7)).await.unwrap();
    let bucket = Draw {
        counter: "b".into(),
        measure: Measure::Rate { window: Duration::from_secs(60) },
        amount: 1,
        ceiling: 60,
    };
    assert!(draws.contains(&bucket), "{draws:?}");
}

/// Numbers that look like chance and are the same each time.
fn chance(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

async fn random_entries_are_summed_once_however_often_they_come(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let (mut state, mut model) = (7, HashMap::<Box<str>, u64>::new());
    let mut kept: Vec<Entry> = Vec::new();
    for n in 0..600 {
        let charges: Vec<Charged> = (0..chance(&mut state, 4))
            .map(|limit| {
                let user = chance(&mut state, 20);
                let charge = spent(&format!("{limit}:{user}"), chance(&mut state, 1_000), at(0), at(HOUR));
                *model.entry(charge.counter.clone()).or_default() += charge.amount;
                charge
            })
            .collect();
        kept.push(settled(n, at(1), charges));
        // Now and then a batch, of which a part has been there before.
        if chance(&mut state, 10) == 0 {
            let from = usize::try_from(chance(&mut state, kept.len() as u64)).unwrap();
            ledger.append(&lines(&kept[from..])).await.unwrap();
        }
    }
    ledger.append(&lines(&kept)).await.unwrap();
    ledger.append(&lines(&kept)).await.unwrap();
    let doubled: Vec<Entry> = kept.iter().take(50).flat_map(|entry| [entry.clone(), entry.clone()]).collect();
    ledger.append(&lines(&doubled)).await.unwrap();
    model.retain(|_, amount| *amount > 0);
    assert!(model.len() > 50 && kept.len() == 600);
    assert_eq!(told(ledger, at(2)).await, model.into_iter().collect());
}

#[expect(clippy::print_stderr, reason = "how long it takes is what the check is about")]
#[expect(clippy::disallowed_methods, reason = "the time that the machine takes")]
async fn many_turns_are_summed_in_time(bench: &dyn Bench) {
    let ledger = bench.ledger();
    let mut entries = Vec::new();
    for n in 0..turns() {
        let user = n % 500;
        let now = at(i64::try_from(n).unwrap() * 1_000);
        let day = spent(&format!("day:{user}@day"), 1, at(0), at(24 * HOUR));
        let month = spent(&format!("month:{user}@month"), 1_000_000_007, at(0), at(700 * HOUR));
        let tokens = poured(&format!("tpm:{user}@60000000us"), 100, now, 100_000);
        entries.push(settled(n, now, vec![day, month, tokens]));
        if entries.len() == 2_000 {
            ledger.append(&lines(&entries)).await.unwrap();
            entries.clear();
        }
    }
    ledger.append(&lines(&entries)).await.unwrap();
    let end = at(i64::try_from(turns()).unwrap() * 1_000) + SignedDuration::from_secs(1);
    let start = Instant::now();
    let draws = ledger.charged(end).await.unwrap();
    let took = start.elapsed();
    eprintln!("{} turns with three charges each: sums of {} counters in {took:?}", turns(), draws.len());
    let sum = |kind: &str| {
        let of_kind = draws.iter().filter(|draw| draw.counter.starts_with(kind));
        of_kind.map(|draw| u128::from(draw.amount)).sum::<u128>()
    };
    assert_eq!((sum("day:"), sum("month:")), (turns(), turns() * 1_000_000_007));
    assert!(took < Duration::from_secs(30), "{took:?}");
}

fn turns() -> u128 {
    crate::counters::sized("TOLLGATE_LEDGER_TURNS", 10_000) as u128
}
