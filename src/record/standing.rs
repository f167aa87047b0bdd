//! What writer, lanes and handles tell each other beside the queue: whether the record takes entries, and what was lost.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use prometheus::IntGauge;
use std::time::Instant;

use super::meters::RecorderMeters;

/// How the record stands.
pub(super) struct Standing {
    /// Nothing is taken at the moment: there is a trouble other than a full queue, which each entry finds out by itself.
    full: AtomicBool,
    /// The queue was full, and is not yet well.
    crowded: AtomicBool,
    /// Which ones, a bit for each.
    troubles: Mutex<u8>,
    gauge: IntGauge,
    /// Since when the writer is with the disk.
    busy: Mutex<Option<Instant>>,
    /// Entries that were lost and are not yet recorded as a gap.
    audit: Count,
    usage: Count,
    /// Entries about nobody that were counted in place of being recorded.
    noise: Count,
    /// Somebody waits for the disk: the writer gathers no more company.
    hurry: (Mutex<bool>, Condvar),
}

/// Why the record takes no entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The spool refuses them: it is full, or the disk says no.
    Spool = 1,
    /// The disk does not answer.
    Stuck = 2,
    /// A part of the recorder has ended that should not.
    Ended = 4,
    /// Entries come faster than the disk takes them.
    Queue = 8,
}

/// So many entries, and when the first of them was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) entries: u64,
    pub(super) since: Option<Timestamp>,
}

/// The same while it is counted.
struct Count {
    entries: AtomicU64,
    /// Microseconds; the highest number there is where nothing was counted.
    since: AtomicI64,
}

// === impl Standing ===

impl Standing {
    pub(super) fn new(meters: &RecorderMeters) -> Self {
        Self {
            full: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            troubles: Mutex::new(0),
            gauge: meters.full.clone(),
            busy: Mutex::new(None),
            audit: Count::nothing(),
            usage: Count::nothing(),
            noise: Count::nothing(),
            hurry: Default::default(),
        }
    }

    /// Whether nothing is taken at the moment.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Whether there is this trouble.
    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.is_full() && *self.troubles.lock() & trouble as u8 != 0
    }

    /// There is this trouble, for that reason, or it is over. A change is logged, a lasting state is not.
    pub(super) fn note(&self, trouble: Trouble, why: Option<&dyn Display>) {
        let mut troubles = self.troubles.lock();
        let before = *troubles;
        match why {
            Some(_) => *troubles |= trouble as u8,
            None => *troubles &= !(trouble as u8),
        }
        if *troubles == before {
            return;
        }
        let queue = Trouble::Queue as u8;
        self.full.store(*troubles & !queue != 0, Ordering::Release);
        self.crowded.store(*troubles & queue != 0, Ordering::Release);
        self.gauge.set((*troubles != 0).into());
        match why {
            Some(fault) => tracing::error!(%fault, "the record takes no entries"),
            None if *troubles == 0 => tracing::info!("the record takes entries again"),
            None => {}
        }
    }

    /// An entry found no place in the queue.
    pub(super) fn is_crowded(&self) {
        if !self.crowded.load(Ordering::Acquire) {
            self.note(Trouble::Queue, Some(&"entries come faster than the disk takes them"));
        }
    }

    /// There is room in the queue again, and not only for a moment.
    pub(super) fn has_room(&self) {
        if self.crowded.load(Ordering::Acquire) {
            self.note(Trouble::Queue, None);
        }
    }

    /// The writer goes to the disk, or is back.
    pub(super) fn busy(&self, since: Option<Instant>) {
        *self.busy.lock() = since;
        if since.is_none() {
            self.note(Trouble::Stuck, None);
        }
    }

    /// Whether the writer has been with the disk for longer than this is told to everybody.
    pub(super) fn look(&self, now: Instant, patience: Duration) {
        let busy = self.busy.lock();
        if busy.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
            // Still locked: the writer is not back before this is noted.
            self.note(Trouble::Stuck, Some(&format_args!("the disk has not answered for {patience:?}")));
        }
    }

    /// Counts an entry that was lost at this moment.
    pub(super) fn lost(&self, kind: &str, at: Timestamp) {
        if kind == "usage" { &self.usage } else { &self.audit }.add(Counted { entries: 1, since: Some(at) });
    }

    /// Takes what was lost: audit, usage.
    pub(super) fn take_lost(&self) -> [Counted; 2] {
        [self.audit.take(), self.usage.take()]
    }

    /// Puts back what could not be told.
    pub(super) fn put_back(&self, [audit, usage]: [Counted; 2]) {
        self.audit.add(audit);
        self.usage.add(usage);
    }

    /// Counts an entry about nobody in place of recording it.
    pub(super) fn noise(&self, at: Timestamp) {
        self.noise.add(Counted { entries: 1, since: Some(at) });
    }

    /// Takes the number of those.
    pub(super) fn take_noise(&self) -> Counted {
        self.noise.take()
    }

    /// Puts them back.
    pub(super) fn put_noise_back(&self, noise: Counted) {
        self.noise.add(noise);
    }

    pub(super) fn hurry(&self) {
        let (hurry, changed) = &self.hurry;
        *hurry.lock() = true;
        changed.notify_one();
    }

    /// Waits for company, but not where somebody waits for the disk.
    pub(super) fn linger(&self, for_at_most: Duration) {
        let (hurry, changed) = &self.hurry;
        let mut hurried = hurry.lock();
        if !*hurried {
            changed.wait_for(&mut hurried, for_at_most);
        }
        *hurried = false;
    }
}

// === impl Counted ===

impl Counted {
    /// The earlier of two beginnings.
    pub(super) fn earlier(self, other: Self) -> Option<Timestamp> {
        self.since.into_iter().chain(other.since).min()
    }
}

// === impl Count ===

impl Count {
    fn nothing() -> Self {
        Self { entries: AtomicU64::new(0), since: AtomicI64::new(i64::MAX) }
    }

    fn add(&self, counted: Counted) {
        if let Some(since) = counted.since {
            self.since.fetch_min(since.as_microsecond(), Ordering::AcqRel);
        }
        self.entries.fetch_add(counted.entries, Ordering::AcqRel);
    }

    fn take(&self) -> Counted {
        let entries = self.entries.swap(0, Ordering::AcqRel);
        if entries == 0 {
            return Counted::default();
        }
        let since = self.since.swap(i64::MAX, Ordering::AcqRel);
        Counted { entries, since: Timestamp::from_microsecond(since).ok() }
    }
}
