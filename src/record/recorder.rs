//! The handle that never waits, and its worker.
//!
//! The road of an entry: [`Recorder::record`] puts it into a bounded queue; the worker takes entries out in batches and
//! hands each batch to every sink's lane; a lane writes one batch after the other and tries again while its store is
//! away. Each lane counts what it holds, so a sink that stands still costs a bounded amount of memory and delays nobody.
//!
//! Books are kept: for every sink, `recorded` = `written` + `dropped` once [`Recorder::flush`] has returned.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::IntCounter;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

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

/// Entries about nobody (requests without a good token) that are taken each second, once [`NOISE_BURST`] is used up. Anybody can
/// cause them, so they must not be able to push out the entries about somebody.
const NOISE_A_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Entries about nobody that are taken at once.
const NOISE_BURST: NonZeroU32 = NonZeroU32::new(2_000).unwrap();

/// What all handles share. The worker holds no part of it: when the last handle goes, the queue ends.
struct Shared {
    queue: mpsc::Sender<Message>,
    stopped: AtomicBool,
    /// Ends the wait for company: somebody waits for what was recorded.
    hurry: Arc<Notify>,
    noise: DefaultDirectRateLimiter,
    /// Says when a stop must be over. The worker holds the receivers, so its end can be awaited here.
    stop: watch::Sender<Option<Instant>>,
    recorded: IntCounter,
    meters: RecorderMeters,
}

/// The other end of a [`Recorder`]: whoever keeps the process's tasks runs it.
pub struct RecorderWorker {
    queue: mpsc::Receiver<Message>,
    hurry: Arc<Notify>,
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
        meters.open();
        let (queue, entries) = mpsc::channel(options.capacity);
        let (stop, stopping) = watch::channel(None);
        let (feeds, lanes) = sinks.into_iter().map(|sink| lane::open(sink, meters, &options, stopping.clone())).unzip();
        let hurry = Arc::new(Notify::new());
        let shared = Shared {
            queue,
            stopped: AtomicBool::new(false),
            hurry: Arc::clone(&hurry),
            noise: RateLimiter::direct(Quota::per_second(NOISE_A_SECOND).allow_burst(NOISE_BURST)),
            stop,
            recorded: meters.recorded.clone(),
            meters: meters.clone(),
        };
        let worker = RecorderWorker { queue: entries, hurry, stop: stopping, feeds, lanes, options };
        (Self { shared: Arc::new(shared) }, worker)
    }

    /// Writes this down. Never waits and never fails: an entry that does not fit is dropped and counted.
    pub fn record(&self, entry: Entry) {
        let kind = entry.kind();
        if self.shared.stopped.load(Ordering::Relaxed) {
            return self.shared.meters.lost_everywhere(kind, Loss::Stopped);
        }
        if entry.is_about_nobody() && self.shared.noise.check().is_err() {
            return self.shared.meters.lost_everywhere(kind, Loss::Noise);
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
                self.shared.hurry.notify_one();
                passed.recv().await;
            }
            // The worker takes no more: it has ended, or will when it has written what it holds.
            Err(_) => self.shared.stop.closed().await,
        }
    }

    /// The same, for who is about to ask a sink's ledger for sums: all that this process has settled before the call is in
    /// there, but for what was lost since it began. How many usage entries that are is the answer; the sums lack what they charged.
    pub async fn flushed(&self, sink: &str) -> u64 {
        self.flush().await;
        self.shared.meters.usage_lost(sink)
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
        let Self { queue, hurry, stop, feeds, lanes, options } = self;
        // When the dealing ends it drops the feeds, and each lane ends when it has worked off what it holds.
        let dealing = deal(queue, stop, hurry, feeds, options);
        tokio::join!(dealing, future::join_all(lanes.into_iter().map(Lane::run)));
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
            linger: Duration::from_millis(20),
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(5),
            give_up: Duration::from_secs(60),
        }
    }
}

// === helpers ===

/// Takes entries from the queue, makes batches of them and gives each batch to all lanes. Never waits for a lane.
///
/// While entries gather nobody waits on the queue, so recording one wakes no thread: a wake costs the request several
/// microseconds, the entry itself a fraction of one.
async fn deal(
    mut queue: mpsc::Receiver<Message>,
    mut stop: watch::Receiver<Option<Instant>>,
    hurry: Arc<Notify>,
    feeds: Vec<Feed>,
    options: RecorderOptions,
) {
    let mut messages = Vec::with_capacity(options.batch);
    let mut open = true;
    loop {
        tokio::select! {
            _ = stop.changed(), if open => {
                // No more entries from now on; those in the queue still come out of it.
                open = false;
                queue.close();
            }
            taken = queue.recv_many(&mut messages, options.batch) => if taken == 0 {
                return;
            },
        }
        if open && messages.len() < options.batch {
            tokio::select! {
                _ = stop.changed() => {
                    open = false;
                    queue.close();
                }
                () = hurry.notified() => {}
                () = sleep(options.linger) => {}
            }
        }
        deal_out(&mut queue, &mut messages, &feeds, options.batch);
    }
}

/// Deals out these messages and all that have come since, in batches.
fn deal_out(queue: &mut mpsc::Receiver<Message>, messages: &mut Vec<Message>, feeds: &[Feed], most: usize) {
    let mut batch = Vec::with_capacity(messages.len());
    loop {
        for message in messages.drain(..) {
            match message {
                Message::Entry(entry) => batch.push(entry),
                Message::Mark(mark) => {
                    hand_over(&mut batch, feeds);
                    feeds.iter().for_each(|feed| feed.mark(mark.clone()));
                }
            }
        }
        let more = std::iter::from_fn(|| queue.try_recv().ok());
        messages.extend(more.take(most.saturating_sub(batch.len())));
        if batch.len() >= most || messages.is_empty() {
            hand_over(&mut batch, feeds);
        }
        if messages.is_empty() && queue.is_empty() {
            return;
        }
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
