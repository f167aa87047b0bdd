//! The bound, exact in both directions, and what giving back may do.

use proptest::prelude::*;

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
        bucket.take(u128::from(amount) * scale, true);
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

/// What a bucket would hold had everything been taken as it was used: replays all events.
fn replayed(events: &[(i64, u64)], until: i64, ceiling: u64, window: i64) -> u128 {
    let mut bucket = Bucket::default();
    for (at, amount) in events {
        bucket.leak(*at, ceiling);
        bucket.take(u128::from(*amount) * u128::try_from(window).unwrap(), true);
    }
    bucket.leak(until, ceiling);
    bucket.level()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// One hold after the other: giving back leaves exactly what the bucket would hold had no more been taken than used.
    #[test]
    fn giving_back_is_exact_where_holds_do_not_overlap(
        holds in prop::collection::vec((0_i64..90, 0_u64..60, 0_u64..60, 0_i64..90), 1..40),
    ) {
        let (mut bucket, mut now, mut real) = (Bucket::default(), 0_i64, Vec::new());
        for (pause, one, other, lasts) in holds {
            let (taken, used) = (one.max(other), one.min(other));
            now += pause * 1_000_000;
            bucket.leak(now, 60);
            bucket.take(u128::from(taken) * 60_000_000, true);
            real.push((now, used));
            now += lasts * 1_000_000;
            bucket.leak(now, 60);
            bucket.give_back(u128::from(taken - used) * 60_000_000);
            prop_assert_eq!(bucket.level(), replayed(&real, now, 60, MINUTE));
        }
    }

    /// However holds overlap, the bucket is never lower than it would be had no more been taken than used: giving back never
    /// breaks the bound.
    #[test]
    fn giving_back_never_gives_too_much(
        steps in prop::collection::vec((0_i64..40, 0_u64..60, 0_u64..60, 0_usize..6), 1..60),
    ) {
        let (mut bucket, mut now) = (Bucket::default(), 0_i64);
        let mut real: Vec<(i64, u64)> = Vec::new();
        let mut open: Vec<(usize, u64, u64)> = Vec::new();
        for (pause, one, other, which) in steps {
            let (taken, used) = (one.max(other), one.min(other));
            now += pause * 1_000_000;
            bucket.leak(now, 60);
            if which < open.len() {
                let (event, taken, used) = open.remove(which);
                bucket.give_back(u128::from(taken - used) * 60_000_000);
                real[event].1 = used;
            } else {
                bucket.take(u128::from(taken) * 60_000_000, open.is_empty());
                open.push((real.len(), taken, used));
                real.push((now, taken));
            }
            let least = replayed(&real, now, 60, MINUTE);
            prop_assert!(bucket.level() >= least, "{} < {}", bucket.level(), least);
        }
    }
}
