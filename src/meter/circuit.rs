//! Whether the store is worth asking. A store that does not answer would cost every request its full time limit; after a few
//! failures nobody asks it any more but one request a second, which finds out whether it is back.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// So many failures in a row open the circuit.
pub const TRIPS: u32 = 3;

/// How long nobody asks before somebody tries again.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Closed while the store answers, open while it does not.
pub(super) struct Circuit {
    clock: Clock,
    began: Instant,
    /// Failures since the last answer.
    failures: AtomicU32,
    /// When the next one may try, in microseconds since the beginning.
    next: AtomicU64,
}

// === impl Circuit ===

impl Circuit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { began: clock.tick(), clock, failures: AtomicU32::new(0), next: AtomicU64::new(0) }
    }

    /// Whether the caller may ask. While the circuit is open, one a [`PAUSE`] may.
    pub(super) fn lets(&self) -> bool {
        if !self.is_open() {
            return true;
        }
        let (now, next) = (self.now(), self.next.load(Ordering::Acquire));
        // Of those who come at the same moment one wins.
        now >= next && self.next.compare_exchange(next, now + pause(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The store has answered. Says whether that closed the circuit.
    pub(super) fn answered(&self) -> bool {
        // Mostly there is nothing to write, and then nothing is.
        self.failures.load(Ordering::Relaxed) > 0 && self.failures.swap(0, Ordering::AcqRel) >= TRIPS
    }

    /// The store has not answered. Says whether that opened the circuit.
    pub(super) fn failed(&self) -> bool {
        let opened = self.failures.fetch_add(1, Ordering::AcqRel) + 1 == TRIPS;
        if opened {
            self.next.store(self.now() + pause(), Ordering::Release);
        }
        opened
    }

    /// Whether the store is not asked any more, tries apart.
    pub(super) fn is_open(&self) -> bool {
        self.failures.load(Ordering::Acquire) >= TRIPS
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.tick().saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

fn pause() -> u64 {
    u64::try_from(PAUSE.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit() -> (Circuit, Clock) {
        let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
        (Circuit::new(clock.clone()), clock)
    }

    #[test]
    fn a_few_failures_in_a_row_open_it_and_one_answer_closes_it() {
        let (circuit, clock) = circuit();
        for round in 0..3 {
            assert!(!circuit.failed() && !circuit.failed() && circuit.lets(), "round {round}");
            assert!(!circuit.answered());
            assert!(!circuit.failed() && !circuit.failed(), "an answer between them begins anew");
            assert!(circuit.failed() && !circuit.failed());
            assert!(circuit.is_open() && !circuit.lets());
            clock.advance(PAUSE);
            assert!(circuit.lets());
            assert!(circuit.answered() && !circuit.is_open() && circuit.lets());
        }
    }

    #[test]
    fn while_it_is_open_one_a_pause_tries() {
        let (circuit, clock) = circuit();
        assert_eq!((0..TRIPS).filter(|_| circuit.failed()).count(), 1);
        let mut tried = 0;
        for _ in 0..10_000 {
            clock.advance(Duration::from_millis(1));
            if circuit.lets() {
                tried += 1;
                circuit.failed();
            }
        }
        assert_eq!(tried, 10);
    }

    #[test]
    fn of_many_at_once_one_tries() {
        let (circuit, clock) = circuit();
        assert_eq!((0..TRIPS).filter(|_| circuit.failed()).count(), 1);
        clock.advance(PAUSE);
        let tried = std::thread::scope(|scope| {
            let callers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..1_000).filter(|_| circuit.lets()).count())).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
        });
        assert_eq!(tried, 1);
    }
}
