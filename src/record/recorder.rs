//! The handle that never waits, and its worker.
//!
//! The road of an entry: [`Recorder::record`] puts it into a bounded queue; the worker takes entries out in batches and
//! hands each batch to every sink's lane; a lane writes one batch after the other and tries again while its store is
//! away. Each lane counts what it holds, so a sink that stands still costs a bounded amount of memory and delays nobody.
//!
//! Books are kept: for every sink, `recorded` = `written` + `dropped` once [`Recorder::flush`] has returned.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future;
use prometheus::IntCounter;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::Entry;
use super::lane::{self, Feed, Lane};
use super::meters::{Loss, RecorderMeters};
use super::sinks::Sink;

/// How much is held and for how long.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// Entries that may wait in front of the worker, and again in front of each sink. At least 1.
    pub capacity: usize,
    /// Entries written in one go, at most. At least 1, at most `capacity`.
    pub batch: usize,
    /// How long an entry waits for others to share its batch.
    pub linger: Duration,
    /// The pause before the first repetition; it doubles each time.
    pub retry_first: Duration,
    /// The longest pause between repetitions.
    pub retry_most: Duration,
    /// Age at which a batch that cannot be written is dropped.
    pub give_up: Duration,
}

/// Takes entries. Cheap to clone; every clone feeds the same worker.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// What all handles share. The worker holds no part of it: when the last handle goes, the queue ends.
struct Shared {
    queue: mpsc::Sender<Message>,
    stopped: AtomicBool,
    /// Says when a stop must be over. The worker holds the receivers, so its end can be awaited here.
    stop: watch::Sender<Option<Instant>>,
    recorded: IntCounter,
    meters: RecorderMeters,
}

/// The other end of a [`Recorder`]: whoever keeps the process's tasks runs it.
pub struct RecorderWorker {
    queue: mpsc::Receiver<Message>,
    stop: watch::Receiver<Option<Instant>>,
    feeds: Vec<Feed>,
    lanes: Vec<Lane>,
    options: RecorderOptions,
}

/// What travels to a lane behind the entries before it. Nothing is ever sent through it: whoever holds the receiver learns
/// that every copy is gone, that is, that all lanes have passed the mark.
pub(super) type Mark = mpsc::Sender<Infallible>;

enum Message {
    Entry(Entry),
    Mark(Mark),
}

// === impl Recorder ===

impl Recorder {
    /// A recorder that writes to all of these sinks, and the worker that does the writing. Nothing is written until the
    /// worker runs; entries wait in the queue until then.
    pub fn start(sinks: Vec<Sink>, meters: &RecorderMeters, options: RecorderOptions) -> (Self, RecorderWorker) {
        let options = options.within_bounds();
        let (queue, entries) = mpsc::channel(options.capacity);
        let (stop, stopping) = watch::channel(None);
        let (feeds, lanes) = sinks.into_iter().map(|sink| lane::open(sink, meters, &options, stopping.clone())).unzip();
        let recorded = meters.recorded.clone();
        let shared =
            Arc::new(Shared { queue, stopped: AtomicBool::new(false), stop, recorded, meters: meters.clone() });
        (Self { shared }, RecorderWorker { queue: entries, stop: stopping, feeds, lanes, options })
    }

    /// Writes this down. Never waits and never fails: an entry that does not fit is dropped and counted.
    pub fn record(&self, entry: Entry) {
        let kind = entry.kind();
        if self.shared.stopped.load(Ordering::Relaxed) {
            return self.shared.meters.lost_everywhere(kind, Loss::Stopped);
        }
        match self.shared.queue.try_send(Message::Entry(entry)) {
            Ok(()) => self.shared.recorded.inc(),
            Err(TrySendError::Full(_)) => self.shared.meters.lost_everywhere(kind, Loss::QueueFull),
            Err(TrySendError::Closed(_)) => self.shared.meters.lost_everywhere(kind, Loss::Stopped),
        }
    }

    /// Returns when everything recorded before the call is written, or counted as dropped. The worker must be running.
    pub async fn flush(&self) {
        let (mark, mut passed) = mpsc::channel(1);
        match self.shared.queue.send(Message::Mark(mark)).await {
            Ok(()) => {
                passed.recv().await;
            }
            // The worker takes no more: it has ended, or will when it has written what it holds.
            Err(_) => self.shared.stop.closed().await,
        }
    }

    /// Ends the recording: what is recorded afterwards is dropped and counted, what was recorded before is written. Returns
    /// when the sinks have everything, or when `within` has passed and the rest was dropped and counted.
    pub async fn stop(&self, within: Duration) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.stop.send_replace(Some(Instant::now() + within));
        self.shared.stop.closed().await;
    }
}

// === impl RecorderWorker ===

impl RecorderWorker {
    /// Works until [`Recorder::stop`], or until the last handle is gone and everything is written.
    pub async fn run(self) {
        let Self { queue, stop, feeds, lanes, options } = self;
        // When the dealing ends it drops the feeds, and each lane ends when it has worked off what it holds.
        tokio::join!(deal(queue, stop, feeds, options), future::join_all(lanes.into_iter().map(Lane::run)));
    }
}

// === impl RecorderOptions ===

impl RecorderOptions {
    fn within_bounds(mut self) -> Self {
        self.capacity = self.capacity.max(1);
        self.batch = self.batch.clamp(1, self.capacity);
        self
    }
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            capacity: 8192,
            batch: 256,
            linger: Duration::from_millis(250),
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            give_up: Duration::from_secs(60),
        }
    }
}

// === helpers ===

/// Takes entries from the queue, makes batches of them and gives each batch to all lanes. Never waits for a lane.
async fn deal(
    mut queue: mpsc::Receiver<Message>,
    mut stop: watch::Receiver<Option<Instant>>,
    feeds: Vec<Feed>,
    options: RecorderOptions,
) {
    let mut messages = Vec::with_capacity(options.batch);
    let mut batch = Vec::with_capacity(options.batch);
    let mut due = Instant::now();
    let mut open = true;
    loop {
        let room = options.batch.saturating_sub(batch.len());
        let taken = tokio::select! {
            _ = stop.changed(), if open => {
                // No more entries from now on; those in the queue still come out of it.
                open = false;
                queue.close();
                continue;
            }
            taken = take(&mut queue, &mut messages, room, (!batch.is_empty()).then_some(due)) => taken,
        };
        match taken {
            Taken::Some => {
                if batch.is_empty() {
                    due = Instant::now() + options.linger;
                }
                for message in messages.drain(..) {
                    match message {
                        Message::Entry(entry) => batch.push(entry),
                        Message::Mark(mark) => {
                            hand_over(&mut batch, &feeds);
                            feeds.iter().for_each(|feed| feed.mark(mark.clone()));
                        }
                    }
                }
                if batch.len() >= options.batch {
                    hand_over(&mut batch, &feeds);
                }
            }
            Taken::Due => hand_over(&mut batch, &feeds),
            Taken::End => return hand_over(&mut batch, &feeds),
        }
    }
}

enum Taken {
    /// There are messages.
    Some,
    /// The batch has waited long enough.
    Due,
    /// Nothing will come any more.
    End,
}

/// Waits for messages; where a batch has been begun, not beyond the time it is due.
async fn take(
    queue: &mut mpsc::Receiver<Message>,
    messages: &mut Vec<Message>,
    room: usize,
    due: Option<Instant>,
) -> Taken {
    let taken = match due {
        Some(due) => timeout_at(due, queue.recv_many(messages, room)).await,
        None => Ok(queue.recv_many(messages, room).await),
    };
    match taken {
        Ok(0) => Taken::End,
        Ok(_) => Taken::Some,
        Err(_) => Taken::Due,
    }
}

fn hand_over(batch: &mut Vec<Entry>, feeds: &[Feed]) {
    if batch.is_empty() {
        return;
    }
    let entries: Arc<[Entry]> = batch.drain(..).collect();
    feeds.iter().for_each(|feed| feed.offer(&entries));
}

#[cfg(test)]
mod tests;
