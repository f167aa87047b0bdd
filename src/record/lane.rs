//! One sink's lane: batches wait here, are written one after the other, and are tried again while the sink is away.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::meters::{Loss, RecorderMeters};
use super::recorder::{Mark, RecorderOptions};
use super::{Entry, Sink};
use crate::store::StoreError;

/// How long the writing of a batch may take that is already too old when its turn comes: long enough for a store that has
/// just come back.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// The dealing side of a lane.
pub(super) struct Feed {
    jobs: mpsc::UnboundedSender<Job>,
    /// Entries in the lane, the batch being written included. This side adds, the lane takes away.
    held: Arc<AtomicUsize>,
    capacity: usize,
    books: Books,
}

/// The writing side of a lane.
pub(super) struct Lane {
    sink: Sink,
    jobs: mpsc::UnboundedReceiver<Job>,
    held: Arc<AtomicUsize>,
    stop: watch::Receiver<Option<Instant>>,
    options: RecorderOptions,
    books: Books,
    /// Whether the last write failed: a change is logged, a lasting state is not.
    failing: bool,
}

enum Job {
    Batch { entries: Arc<[Entry]>, since: Instant },
    Mark(Mark),
}

/// The sink's counters.
#[derive(Clone)]
struct Books {
    sink: &'static str,
    meters: RecorderMeters,
    written: IntCounter,
    failures: IntCounter,
    queue: IntGauge,
}

/// A lane for this sink. The channel itself has no bound, the count of entries in it does.
pub(super) fn open(
    sink: Sink,
    meters: &RecorderMeters,
    options: &RecorderOptions,
    stop: watch::Receiver<Option<Instant>>,
) -> (Feed, Lane) {
    let books = Books::new(sink.name(), meters);
    let held = Arc::new(AtomicUsize::new(0));
    let (feed, jobs) = mpsc::unbounded_channel();
    let feed = Feed { jobs: feed, held: held.clone(), capacity: options.capacity, books: books.clone() };
    (feed, Lane { sink, jobs, held, stop, options: options.clone(), books, failing: false })
}

// === impl Feed ===

impl Feed {
    /// Puts a batch into the lane, or counts it as lost where the lane is full.
    pub(super) fn offer(&self, entries: &Arc<[Entry]>) {
        // Only this side adds, so the room that is seen here cannot shrink before the addition.
        let held = self.held.load(Ordering::Acquire).saturating_add(entries.len());
        if held > self.capacity {
            return self.books.lost(entries, Loss::Behind);
        }
        self.held.fetch_add(entries.len(), Ordering::AcqRel);
        self.books.queue.add(count(entries.len()));
        if self.jobs.send(Job::Batch { entries: entries.clone(), since: Instant::now() }).is_err() {
            self.books.lost(entries, Loss::Stopped);
        }
    }

    /// Puts a mark behind the batches.
    pub(super) fn mark(&self, mark: Mark) {
        // Where the lane is gone the mark is dropped with the message, which is what passing it means.
        let _gone = self.jobs.send(Job::Mark(mark));
    }
}

// === impl Lane ===

impl Lane {
    /// Works off the lane until its feed is gone and it is empty.
    pub(super) async fn run(mut self) {
        while let Some(job) = self.jobs.recv().await {
            match job {
                Job::Mark(mark) => drop(mark),
                Job::Batch { entries, since } => {
                    self.write_batch(&entries, since).await;
                    self.held.fetch_sub(entries.len(), Ordering::AcqRel);
                    self.books.queue.sub(count(entries.len()));
                }
            }
        }
    }

    async fn write_batch(&mut self, entries: &[Entry], since: Instant) {
        match self.write(entries, since).await {
            Ok(()) => {}
            // One entry that the sink will not have must not take the others with it.
            Err(Loss::Refused) if entries.len() > 1 => {
                for entry in entries.chunks(1) {
                    if let Err(loss) = self.write(entry, since).await {
                        self.books.lost(entry, loss);
                    }
                }
            }
            Err(loss) => self.books.lost(entries, loss),
        }
    }

    /// Writes, again and again while the sink says that it may help and there is time.
    async fn write(&mut self, entries: &[Entry], since: Instant) -> Result<(), Loss> {
        let until = (since + self.options.give_up).max(Instant::now() + LAST_CHANCE.min(self.options.give_up));
        let mut over = pin!(out_of_time(until, self.stop.clone()));
        let mut pause = self.options.retry_first;
        loop {
            let written = tokio::select! {
                biased;
                written = self.sink.write(entries) => written,
                loss = &mut over => {
                    note_failure(self.books.sink, &mut self.failing, &"no answer in time");
                    return Err(loss);
                }
            };
            match written {
                Ok(()) => {
                    self.books.written.inc_by(u64::try_from(entries.len()).unwrap_or(u64::MAX));
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(sink = self.books.sink, "records are written again");
                    }
                    return Ok(());
                }
                Err(error) => self.failed(&error)?,
            }
            tokio::select! {
                biased;
                loss = &mut over => return Err(loss),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(self.options.retry_most);
        }
    }

    /// Counts and logs a failure; an error where trying again is of no use.
    fn failed(&mut self, error: &StoreError) -> Result<(), Loss> {
        self.books.failures.inc();
        note_failure(self.books.sink, &mut self.failing, error);
        if error.transient { Ok(()) } else { Err(Loss::Refused) }
    }
}

// === impl Books ===

impl Books {
    fn new(sink: &'static str, meters: &RecorderMeters) -> Self {
        Self {
            sink,
            meters: meters.clone(),
            written: meters.written.with_label_values(&[sink]),
            failures: meters.failures.with_label_values(&[sink]),
            queue: meters.queue.with_label_values(&[sink]),
        }
    }

    fn lost(&self, entries: &[Entry], loss: Loss) {
        for entry in entries {
            self.meters.lost(self.sink, entry.kind(), loss);
        }
    }
}

// === helpers ===

/// Ends when the batch is too old, or when a stop has waited as long as it may.
async fn out_of_time(until: Instant, mut stop: watch::Receiver<Option<Instant>>) -> Loss {
    let stopped = async {
        let asked = stop.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
        match asked {
            Some(deadline) => sleep_until(deadline).await,
            // Every handle is gone without a stop: only age counts.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sleep_until(until) => Loss::GaveUp,
        () = stopped => Loss::Stopped,
    }
}

fn note_failure(sink: &'static str, failing: &mut bool, error: &dyn std::fmt::Display) {
    if !std::mem::replace(failing, true) {
        tracing::warn!(sink, %error, "records cannot be written");
    }
}

fn count(entries: usize) -> i64 {
    i64::try_from(entries).unwrap_or(i64::MAX)
}
