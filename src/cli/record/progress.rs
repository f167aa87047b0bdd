//! Tells on a terminal how far long work is: after two seconds, and five times a second from then on.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Work that ends before this needs no word.
const QUIET: Duration = Duration::from_secs(2);

/// Between two words.
const PACE: Duration = Duration::from_millis(200);

/// The count of what is done.
pub struct Progress<'a> {
    err: &'a mut dyn Write,
    /// Nobody looks, where standard error is no terminal.
    seen: bool,
    clock: Clock,
    noun: &'static str,
    what: &'static str,
    next: Instant,
    shown: bool,
    count: u64,
}

// === impl Progress ===

impl<'a> Progress<'a> {
    /// Begins. `what` is done to entries: `read`.
    pub fn begin(err: &'a mut dyn Write, seen: bool, clock: &Clock, what: &'static str) -> Self {
        Self::of("entries", err, seen, clock, what)
    }

    /// Begins with other things than entries: `people`.
    pub fn of(noun: &'static str, err: &'a mut dyn Write, seen: bool, clock: &Clock, what: &'static str) -> Self {
        let next = clock.tick() + QUIET;
        Self { err, seen, clock: clock.clone(), noun, what, next, shown: false, count: 0 }
    }

    /// One more entry is done.
    pub fn step(&mut self) {
        self.count = self.count.saturating_add(1);
        // The clock is looked at now and then: most entries take a few microseconds.
        if !self.seen || !self.count.is_multiple_of(256) {
            return;
        }
        let now = self.clock.tick();
        if now >= self.next {
            self.next = now + PACE;
            self.shown = true;
            // A word that cannot be said is not missed.
            let _unread = write!(self.err, "\r{} {} {}", grouped(self.count), self.noun, self.what);
            let _unread = self.err.flush();
        }
    }

    /// How many entries were done.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.shown {
            let _unread = write!(self.err, "\r\x1b[K");
            let _unread = self.err.flush();
        }
    }
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_word_comes_after_two_seconds_and_is_wiped_at_the_end() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut err = Vec::new();
        let mut progress = Progress::begin(&mut err, true, &clock, "read");
        (0..1_024).for_each(|_| progress.step());
        clock.advance(Duration::from_secs(2));
        (0..1_024).for_each(|_| progress.step());
        assert_eq!(progress.count(), 2_048);
        drop(progress);
        assert_eq!(String::from_utf8(err).unwrap(), "\r1,280 entries read\r\x1b[K");
    }

    #[test]
    fn nothing_is_said_where_nobody_looks() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut err = Vec::new();
        let mut progress = Progress::begin(&mut err, false, &clock, "read");
        clock.advance(Duration::from_secs(9));
        (0..1_024).for_each(|_| progress.step());
        drop(progress);
        assert!(err.is_empty());
    }

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 7, 999, 1_000, 12_345, 999_999, 1_000_000, u64::MAX].map(grouped);
        assert_eq!(numbers, ["0", "7", "999", "1,000", "12,345", "999,999", "1,000,000", "18,446,744,073,709,551,615"]);
    }
}
