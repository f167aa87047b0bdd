//! Days of 23 and 25 hours, and clocks that are wrong or jump: no window lets through more than its ceiling, nor less.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;

use jiff::SignedDuration;

use super::*;

const CEILING: u64 = 100;
const HOUR: i64 = 3_600_000_000;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn day(amount: u64) -> Charge {
    charge("day", Window::Calendar { unit: Unit::Day, zone: berlin() }, amount)
}

/// Takes all that there is room for, and settles it; how much that was.
async fn drain(meter: &Meter, charge: &Charge) -> u64 {
    let mut admitted = 0;
    while let Taken::All { receipt, .. } = meter.take(std::slice::from_ref(charge), denied, LIVES).await.unwrap() {
        receipt.settle(&[charge.amount]).await.unwrap();
        admitted += charge.amount;
    }
    admitted
}

/// A meter whose clock and whose store's clock are told apart. Who has the queue keeps it from ending.
async fn meter(store: Clock, own: Clock) -> (Meter, Unsettled) {
    let memory = Memory::volatile(store);
    memory.rebuild(&[]).await.unwrap();
    Meter::new(Arc::new(memory), own, 10, &Metrics::new().unwrap().meter())
}

/// What is admitted in each day of Berlin over three days, if somebody tries every ten minutes.
async fn by_day(from: &str, ahead: i64) -> BTreeMap<String, Vec<(String, u64)>> {
    let clock = Clock::manual(from.parse().unwrap());
    let own = clock.ahead(Arc::new(AtomicI64::new(ahead)));
    let (meter, _queue) = meter(clock.clone(), own).await;
    let mut days: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for _ in 0..3 * 24 * 6 {
        let at = clock.now().to_zoned(berlin());
        let admitted = drain(&meter, &day(10)).await;
        let day = days.entry(at.date().to_string()).or_default();
        if admitted > 0 {
            day.push((at.time().to_string(), admitted));
        }
        clock.advance(Duration::from_secs(600));
    }
    days
}

#[tokio::test]
async fn a_day_of_23_or_25_hours_has_one_ceiling_from_midnight_on() {
    // Midnight is 23:00 UTC in winter and 22:00 in summer; clocks go forward in March and back in October.
    for (from, hours) in [("2026-03-27T23:00:00Z", [24, 23, 24]), ("2026-10-23T22:00:00Z", [24, 25, 24])] {
        let mut begins: Timestamp = from.parse().unwrap();
        // Clocks of our own that are an hour wrong change nothing: the store's time counts.
        for ahead in [0, HOUR, -HOUR] {
            let days = by_day(from, ahead).await;
            let admitted: Vec<_> = days.values().take(3).cloned().collect();
            assert_eq!(admitted, vec![vec![("00:00:00".to_owned(), CEILING)]; 3], "{from}, {ahead} ahead: {days:?}");
        }
        for length in hours {
            let window = window::around(Unit::Day, &berlin(), begins).unwrap();
            assert_eq!((window.start, window.end.duration_since(window.start).as_hours()), (begins, length));
            begins = window.end;
        }
    }
}

#[tokio::test]
async fn a_stores_clock_that_jumps_an_hour_neither_resets_nor_doubles() {
    // A quarter past midnight in Berlin, and half an hour before it: each jump crosses midnight.
    for (start, jumps) in [
        ("2026-11-21T22:30:00Z", [0, HOUR, 0, HOUR, 0]),
        ("2026-11-21T23:15:00Z", [0, -HOUR, 0, -HOUR, 0]),
        // And none does.
        ("2026-11-21T12:00:00Z", [0, HOUR, -HOUR, HOUR, 0]),
    ] {
        let jump = Arc::new(AtomicI64::new(0));
        let own = Clock::manual(start.parse().unwrap());
        let store = own.ahead(Arc::clone(&jump));
        let (meter, _queue) = meter(store.clone(), own).await;
        let mut days: BTreeMap<String, u64> = BTreeMap::new();
        for ahead in jumps {
            jump.store(ahead, Ordering::SeqCst);
            let date = store.now().to_zoned(berlin()).date().to_string();
            *days.entry(date).or_default() += drain(&meter, &day(10)).await;
        }
        assert!(days.values().all(|admitted| *admitted == CEILING), "{start} {jumps:?}: {days:?}");
    }
}

#[tokio::test]
async fn a_rolling_window_gives_for_a_jump_what_that_time_would_have_given_and_once() {
    let jump = Arc::new(AtomicI64::new(0));
    let own = Clock::manual(NOW.parse().unwrap());
    let (meter, _queue) = meter(own.ahead(Arc::clone(&jump)), own.clone()).await;
    let rolling = charge("rolling", Window::Rolling(Duration::from_secs(4 * 3_600)), 1);
    assert_eq!(drain(&meter, &rolling).await, CEILING);
    // An hour is a quarter of the window. It is given once, however often the clock goes there and back.
    for (ahead, expected) in [(HOUR, 25), (0, 0), (-HOUR, 0), (HOUR, 0), (0, 0)] {
        jump.store(ahead, Ordering::SeqCst);
        assert_eq!(drain(&meter, &rolling).await, expected, "{ahead}");
    }
    // Back in step, nothing is given until the time has come for which it was given before.
    own.advance(Duration::from_secs(3_600));
    assert_eq!(drain(&meter, &rolling).await, 0);
    own.advance(Duration::from_secs(3_600));
    assert_eq!(drain(&meter, &rolling).await, 25);
}

#[tokio::test]
async fn open_turns_are_counted_whatever_the_clock_says() {
    let jump = Arc::new(AtomicI64::new(0));
    let own = Clock::manual(NOW.parse().unwrap());
    let (meter, _queue) = meter(own.ahead(Arc::clone(&jump)), own).await;
    let parallel = Charge { ceiling: 2, ..charge("parallel", Window::Open, 1) };
    let lives = Duration::from_secs(2 * 3_600);
    let take = async || meter.take(std::slice::from_ref(&parallel), denied, lives).await.unwrap();
    let (first, _second) = (take().await, take().await);
    for ahead in [HOUR, 0, -HOUR, 0] {
        jump.store(ahead, Ordering::SeqCst);
        assert!(matches!(take().await, Taken::Short { .. }), "{ahead}");
    }
    let Taken::All { receipt, .. } = first else { panic!("short") };
    receipt.settle(&[1]).await.unwrap();
    assert!(matches!(take().await, Taken::All { .. }));
    // What nobody ends, ends by itself.
    jump.store(SignedDuration::from_hours(3).as_micros().try_into().unwrap(), Ordering::SeqCst);
    assert!(matches!(take().await, Taken::All { .. }));
}
