//! Time is handed in: the system's, or one that a test turns by hand.
//!
//! The only file that reads the machine's clocks. Wall time ([`Clock::now`]) is for tokens and records, [`Clock::tick`] for
//! durations: it never jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Where the time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual { milliseconds: Arc<AtomicI64>, start: Instant },
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

    /// Wall time, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one room that reads the machine's clocks")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual { milliseconds, .. } => {
                Timestamp::from_millisecond(milliseconds.load(Ordering::SeqCst)).unwrap_or_default()
            }
        }
    }

    /// A point in monotonic time, for measuring durations.
    #[expect(clippy::disallowed_methods, reason = "this is the one room that reads the machine's clocks")]
    pub fn tick(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual { milliseconds, start } => {
                let turned = u64::try_from(milliseconds.load(Ordering::SeqCst)).unwrap_or(0);
                *start + Duration::from_millis(turned)
            }
        }
    }

    /// Turns a manual clock forward; the system's clock cannot be turned and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { milliseconds, .. } = &self.0 {
            milliseconds.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
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
}
