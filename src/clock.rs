//! Time is handed in: the system's, or one that a test turns by hand.
//!
//! The only file that reads the machine's clocks. Wall time ([`Clock::now`]) is for tokens and records, [`Clock::tick`] for
//! durations: it never jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual { milliseconds: Arc<AtomicI64>, start: Instant },
    Ahead { of: Box<Source>, microseconds: Arc<AtomicI64> },
}

// === impl Clock ===

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `at` until [`Clock::advance`] turns it. Ticks follow it.
    #[expect(clippy::disallowed_methods, reason = "this is the one room that reads the machine's clocks")]
    pub fn manual(at: Timestamp) -> Self {
        let milliseconds = Arc::new(AtomicI64::new(at.as_millisecond()));
        Self(Source::Manual { milliseconds, start: Instant::now() })
    }

    /// A clock whose wall time is that of this one and so many microseconds more, however many there are when it is asked: the
    /// time of another machine. Its ticks are this one's.
    #[must_use]
    pub fn ahead(&self, microseconds: Arc<AtomicI64>) -> Self {
        Self(Source::Ahead { of: Box::new(self.0.clone()), microseconds })
    }

    /// Wall time, UTC.
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// A point in monotonic time, for measuring durations.
    pub fn tick(&self) -> Instant {
        self.0.tick()
    }

    /// Turns a manual clock forward; the system's clock cannot be turned and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { milliseconds, .. } = &self.0 {
            milliseconds.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

// === impl Source ===

impl Source {
    #[expect(clippy::disallowed_methods, reason = "this is the one room that reads the machine's clocks")]
    fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual { milliseconds, .. } => {
                Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap_or_default()
            }
            Self::Ahead { of, microseconds } => {
                let ahead = SignedDuration::from_micros(microseconds.load(Ordering::SeqCst));
                let now = of.now();
                // At the ends of time; no machine is there.
                now.checked_add(ahead).unwrap_or(now)
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one room that reads the machine's clocks")]
    fn tick(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Manual { milliseconds, start } => {
                let turned = u64::try_from(milliseconds.load(Ordering::SeqCst)).unwrap_or(0);
                *start + Duration::from_millis(turned)
            }
            Self::Ahead { of, .. } => of.tick(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_turned() {
        let at = Timestamp::from_second(1_795_239_489).unwrap();
        let clock = Clock::manual(at);
        let tick = clock.tick();
        assert_eq!(clock.now(), at);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now().as_millisecond() - at.as_millisecond(), 1_500);
        assert_eq!(clock.tick() - tick, Duration::from_millis(1_500));
    }

    #[test]
    fn another_machine_has_its_own_wall_time_and_the_same_ticks() {
        let clock = Clock::manual(Timestamp::from_second(1_795_239_489).unwrap());
        let microseconds = Arc::new(AtomicI64::new(-3_600_000_000));
        let other = clock.ahead(Arc::clone(&microseconds));
        assert_eq!(clock.now().as_second() - other.now().as_second(), 3_600);
        microseconds.store(250_000, Ordering::SeqCst);
        assert_eq!(other.now().as_millisecond() - clock.now().as_millisecond(), 250);
        assert_eq!(clock.tick(), other.tick());
    }
}
