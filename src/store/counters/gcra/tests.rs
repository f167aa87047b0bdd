//! The bound, exact in both directions, and what giving back may do.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const MINUTE: i64 = 60_000_000;

/// A cheap source of chance with a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % below
    }
}

/// Offers a draw; whether it was taken.
fn offer(bucket: &mut Bucket, now: i64, amount: u64, ceiling: u64, window: i64) -> bool {
    let scale = u128::try_from(window).unwrap();
    bucket.leak(now, ceiling);
    let fits = bucket.level() + u128::from(amount) * scale <= u128::from(ceiling) * scale;
    if fits {
        bucket.add(u128::from(amount) * scale);
    }
    fits
}

/// 1,000,000 arrivals: over every stretch between two arrivals, what was taken is at most ceiling × (1 + t / window); and each
/// arrival that was refused would have broken that over some stretch.
#[test]
fn a_million_arrivals_keep_the_bound_and_lose_nothing() {
    for (seed, ceiling, window, largest) in [
        (1, 60, MINUTE, 1),
        (2, 100_000, MINUTE, 9_000),
        (3, 7, 1_000_003, 3),
        (4, 100_000_000_000_000, 30 * 24 * 60 * MINUTE, 1_000_000_000_000),
    ] {
        let mut chance = Chance(seed);
        let (mut bucket, mut now) = (Bucket::default(), 1_795_000_000_000_000_i64);
        let (scale, rate) = (i128::from(window), i128::from(ceiling));
        let full = rate * scale;
        // taken - rate × time, just before the arrivals so far: the lowest of them begins the stretch that is nearest the bound.
        let (mut taken, mut lowest) = (0_i128, i128::MAX);
        let (mut admitted, mut refused) = (0_u32, 0_u32);
        // As many arrivals a window as would be twice what it allows, in bursts and pauses.
        let pause = u64::try_from(scale * i128::from(largest) / (rate * 2)).unwrap().max(1);
        for _ in 0..250_000 {
            now += i64::try_from(match chance.next(10) {
                0..5 => 0,
                5..9 => chance.next(2 * pause),
                _ => chance.next(6 * pause),
            })
            .unwrap();
            let amount = 1 + chance.next(largest);
            let cost = i128::from(amount) * scale;
            lowest = lowest.min(taken - rate * i128::from(now));
            let stretch = taken + cost - rate * i128::from(now) - lowest;
            if offer(&mut bucket, now, amount, ceiling, window) {
                assert!(stretch <= full, "seed {seed}: {stretch} taken where {full} may be");
                taken += cost;
                admitted += 1;
            } else {
                assert!(stretch > full, "seed {seed}: refused though {stretch} of {full}");
                refused += 1;
            }
        }
        assert!(admitted > 10_000 && refused > 10_000, "seed {seed}: {admitted} admitted, {refused} refused");
    }
}

#[test]
fn a_ceiling_is_taken_at_once_and_comes_back_steadily() {
    let mut bucket = Bucket::default();
    let start = 1_795_000_000_000_000;
    assert_eq!((0..100).filter(|_| offer(&mut bucket, start, 1, 60, MINUTE)).count(), 60);
    assert!(!offer(&mut bucket, start + 999_999, 1, 60, MINUTE), "a second gives one back, not a microsecond less");
    assert!(offer(&mut bucket, start + 1_000_000, 1, 60, MINUTE));
    assert!(!offer(&mut bucket, start + 1_000_000, 1, 60, MINUTE));
    assert!(!offer(&mut bucket, start + 60 * MINUTE, 61, 60, MINUTE), "more than a ceiling never fits");
    assert!(offer(&mut bucket, start + 60 * MINUTE, 60, 60, MINUTE));
}

#[test]
fn a_clock_that_went_back_gives_nothing() {
    let mut bucket = Bucket::default();
    let start = 1_795_000_000_000_000;
    assert!(offer(&mut bucket, start, 60, 60, MINUTE));
    for now in [start - 60 * MINUTE, start - 1, start, start + 999_999] {
        assert!(!offer(&mut bucket, now, 1, 60, MINUTE), "{now}");
    }
    assert!(offer(&mut bucket, start + 1_000_000, 1, 60, MINUTE));
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let year = 366 * 24 * 60 * MINUTE;
    let mut bucket = Bucket::default();
    assert!(offer(&mut bucket, 0, u64::MAX, u64::MAX, year));
    assert!(!offer(&mut bucket, 0, 1, u64::MAX, year));
    bucket.add(u128::MAX);
    bucket.leak(i64::MAX, u64::MAX);
    bucket.leak(i64::MIN, u64::MAX);
    assert!(bucket.level() > 0);
}

/// What a bucket holds if everything is put in as it was used: all events again, from the beginning.
fn replayed(events: &[(i64, u64)], until: i64) -> u128 {
    let mut bucket = Bucket::default();
    for (at, amount) in events {
        bucket.leak(*at, 60);
        bucket.add(u128::from(*amount) * 60_000_000);
    }
    bucket.leak(until, 60);
    bucket.level()
}

/// Takes and ends holds as the steps say (pause in seconds, two amounts, which of the open holds ends), and compares the level
/// after each step with the one that the bucket had if nothing had ever been taken too much.
fn compare(steps: Vec<(i64, u64, u64, usize)>, compare: impl Fn(u128, u128) -> bool) {
    let (mut bucket, mut now) = (Bucket::default(), 0_i64);
    let mut real: Vec<(i64, u64)> = Vec::new();
    let mut open: Vec<(usize, u64, u64)> = Vec::new();
    for (pause, one, other, which) in steps {
        let (taken, used) = (one.max(other), one.min(other));
        now += pause * 1_000_000;
        bucket.leak(now, 60);
        if which < open.len() {
            let (event, taken, used) = open.remove(which);
            bucket.end(Uuid::from_u128(event as u128 + 1), u128::from(taken - used) * 60_000_000);
            real[event].1 = used;
        } else {
            bucket.take(Uuid::from_u128(real.len() as u128 + 1), u128::from(taken) * 60_000_000);
            open.push((real.len(), taken, used));
            real.push((now, taken));
        }
        let expected = replayed(&real, now);
        assert!(compare(bucket.level(), expected), "{} and not {expected}: {bucket:?}", bucket.level());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Giving back leaves exactly what there were had no more been taken than used, however holds overlap.
    #[test]
    fn giving_back_is_exact(steps in prop::collection::vec((0_i64..40, 0_u64..60, 0_u64..60, 0_usize..30), 1..80)) {
        compare(steps, |level, expected| level == expected);
    }

    /// Beyond the holds for which it is exact, less is given back, and never more.
    #[test]
    fn giving_back_never_gives_too_much(
        steps in prop::collection::vec((0_i64..3, 0_u64..60, 0_u64..60, 0_usize..90), 150..300),
    ) {
        compare(steps, |level, expected| level >= expected);
    }
}

#[test]
fn a_bucket_does_not_grow_with_its_holds() {
    let mut bucket = Bucket::default();
    let hold = |n: u32| Uuid::from_u128(u128::from(n) + 1);
    for n in 0..10_000 {
        bucket.take(hold(n), 7);
        // One more for all that are older.
        assert!(bucket.stretches.len() <= MOST_STRETCHES + 1);
    }
    assert_eq!(bucket.level(), 70_000);
    // The youngest are exact; the older ones get back what their common stretch allows.
    for n in (0..10_000).rev() {
        bucket.end(hold(n), 7);
    }
    assert_eq!((bucket.stretches.len(), bucket.older), (0, 0));
    assert!(bucket.level() <= 70_000 - 7 * MOST_STRETCHES as u128 + 7, "{}", bucket.level());
}
