//! The handle that requests have on the record.
//!
//! The road of an entry: [`Recorder::record`] puts it into a bounded queue; the writer ([`super::writer`]) makes it a line of the
//! chain and appends it to the spool on the disk; for every sink a lane ([`super::lane`]) reads the spool and ships it. Nothing but the
//! queue is between a request and the disk, nothing but the spool between the disk and the sinks.
//!
//! Books are kept: what was recorded is appended or counted as lost; what is appended reaches every sink, or is set aside and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::IntCounter;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::mask::Masks;
use super::meters::{Loss, RecorderMeters};
use super::standing::{Standing, Trouble};
use super::waiter::{Waiter, waiter};
use super::{Decision, Entry};
use crate::clock::Clock;

/// Takes entries. Cheap to clone; every clone feeds the same writer.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// Which entries are on the disk before the request goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Refusals of somebody who is known, before they are answered.
    pub refusals: bool,
    /// LibreChat's administration, before it goes to LibreChat.
    pub admin: bool,
    /// Turns and all else that starts a model, before it goes to LibreChat.
    pub turns: bool,
}

/// What happens to requests while entries cannot be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Those that are decided are refused with 503.
    Refuse,
    /// They go on. What is not written is counted, and recorded as a gap as soon as there is room.
    Drop,
}

/// An entry could not be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record takes no entries: {}", .0.as_str())]
pub struct Unkept(pub Loss);

/// Entries about nobody (requests without a good token) that are taken each second, once [`NOISE_BURST`] is used up. Anybody can
/// cause them, so they must not be able to push out the entries about somebody.
const NOISE_A_SECOND: std::num::NonZeroU32 = std::num::NonZeroU32::new(100).unwrap();

/// Entries about nobody that are taken at once.
const NOISE_BURST: std::num::NonZeroU32 = std::num::NonZeroU32::new(2_000).unwrap();

/// Entries that have a place in the queue beyond its length, where nothing goes on that is not written: what went on before the queue
/// was full. More than the connections that are open at once, each with a turn.
const AHEAD: usize = 32_768;

/// How much longer than it may a stop is waited for: what the disk holds up is left behind.
const GRACE: Duration = Duration::from_secs(1);

/// What all handles share. The writer holds no part of the queue's sending end: when the last handle goes, the queue ends.
struct Shared {
    queue: mpsc::Sender<Message>,
    noise: DefaultDirectRateLimiter,
    /// Says when a stop must be over. Writer and lanes hold receivers, so their end can be awaited here.
    stop: watch::Sender<Option<Instant>>,
    stopped: AtomicBool,
    standing: Arc<Standing>,
    /// How far each sink has come: frame numbers of the spool.
    shipped: Vec<watch::Receiver<u64>>,
    recorded: IntCounter,
    meters: RecorderMeters,
    durable: Durable,
    on_full: OnFull,
    masks: Masks,
    clock: Clock,
    /// Places of the queue that are for what went on before it was full.
    ahead: usize,
    /// How long somebody waits for the disk.
    patience: Duration,
}

/// What travels to the writer.
pub(super) enum Message {
    /// An entry, and who waits for it to be on the disk.
    Entry(Entry, Option<Waiter>),
    /// Answered with the number of the last frame when everything before it is appended.
    Mark(oneshot::Sender<u64>),
    /// It is time for a signed head, if there is anything new.
    Head,
    /// The writer ends badly.
    #[cfg(test)]
    Panic,
}

/// Reminds the writer of what is to be done from time to time. Does not keep the recorder open.
pub(super) struct Beat(mpsc::WeakSender<Message>);

/// The receiving end of the queue, and all that the handles are told by.
pub(super) struct Ends {
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) stop: watch::Receiver<Option<Instant>>,
    pub(super) standing: Arc<Standing>,
}

/// How requests and the record go together.
pub(super) struct Manner {
    pub(super) durable: Durable,
    pub(super) on_full: OnFull,
    pub(super) masks: Masks,
    /// How long somebody waits for the disk.
    pub(super) patience: Duration,
}

// === impl Recorder ===

impl Recorder {
    /// The handle, and what the writer works with.
    pub(super) fn new(
        capacity: usize,
        shipped: Vec<watch::Receiver<u64>>,
        (stop, stopping): (watch::Sender<Option<Instant>>, watch::Receiver<Option<Instant>>),
        meters: &RecorderMeters,
        Manner { durable, on_full, masks, patience }: Manner,
        clock: &Clock,
    ) -> (Self, Ends) {
        meters.open();
        let ahead = if on_full == OnFull::Refuse { AHEAD } else { 0 };
        // Room that nothing waits in takes no memory.
        let (queue, entries) = mpsc::channel(capacity.max(1) + ahead);
        let standing = Arc::new(Standing::new(meters));
        let shared = Shared {
            queue,
            noise: RateLimiter::direct(Quota::per_second(NOISE_A_SECOND).allow_burst(NOISE_BURST)),
            stop,
            stopped: AtomicBool::new(false),
            standing: Arc::clone(&standing),
            shipped,
            recorded: meters.recorded.clone(),
            meters: meters.clone(),
            durable,
            on_full,
            masks,
            clock: clock.clone(),
            ahead,
            patience,
        };
        (Self { shared: Arc::new(shared) }, Ends { queue: entries, stop: stopping, standing })
    }

    /// What reminds the writer.
    pub(super) fn beat(&self) -> Beat {
        Beat(self.shared.queue.downgrade())
    }

    /// Which entries have to be on the disk before the request goes on.
    pub fn durable(&self) -> Durable {
        self.shared.durable
    }

    /// What entries do not say of who asked: whoever makes an entry goes by this.
    pub fn masks(&self) -> &Masks {
        &self.shared.masks
    }

    /// Whether a request that is going to be decided can be written down.
    ///
    /// # Errors
    /// [`Unkept`] where it cannot, and is to be refused for that.
    pub fn open(&self) -> Result<(), Unkept> {
        if self.shared.on_full == OnFull::Refuse { self.has_room().map_err(Unkept) } else { Ok(()) }
    }

    /// Whether requests are decided and recorded.
    ///
    /// # Errors
    /// Why they are refused; or that a part of the record has ended, which nothing but a restart mends.
    pub fn health(&self) -> Result<(), &'static str> {
        if self.shared.standing.has(Trouble::Ended) {
            return Err("a part of the record has ended: restart tollgate");
        }
        self.open().map_err(|unkept| match unkept.0 {
            Loss::QueueFull => "entries come faster than the disk takes them",
            _ => "the disk takes no entries, or the spool is full",
        })
    }

    /// Whether there is room for an entry, and for what the request goes on with.
    fn has_room(&self) -> Result<(), Loss> {
        if self.shared.standing.is_full() {
            Err(Loss::SpoolFull)
        } else if self.is_crowded() {
            self.shared.standing.is_crowded();
            Err(Loss::QueueFull)
        } else {
            Ok(())
        }
    }

    /// Whether the places of the queue are taken that are for everybody.
    fn is_crowded(&self) -> bool {
        self.shared.queue.capacity() <= self.shared.ahead
    }

    /// Writes this down. Never waits and never fails: an entry that does not fit is dropped and counted, and the record says so.
    pub fn record(&self, entry: Entry) {
        if entry.is_about_nobody() && self.shared.noise.check().is_err() {
            self.shared.standing.noise(self.shared.clock.now());
            return self.shared.meters.lost_everywhere(entry.kind(), Loss::Noise);
        }
        // What is refused and does not wait for the disk must not take the places of what went on.
        if matches!(&entry, Entry::Audit(audit) if audit.decision == Decision::Deny) && self.is_crowded() {
            return self.lose(entry.kind(), Loss::QueueFull);
        }
        // Lost and counted there.
        let _ = self.send(entry, None);
    }

    /// Writes this down, and returns when it is on the disk: a loss of power does not lose it.
    ///
    /// # Errors
    /// [`Unkept`] where it is not, or not in time, and the request is to be refused for that. With [`OnFull::Drop`] there is no error.
    pub async fn record_durably(&self, entry: Entry) -> Result<(), Unkept> {
        let refuses = self.shared.on_full == OnFull::Refuse;
        if refuses && let Err(loss) = self.has_room() {
            self.lose(entry.kind(), loss);
            return Err(Unkept(loss));
        }
        if !refuses && (self.shared.standing.has(Trouble::Stuck) || self.shared.standing.has(Trouble::Ended)) {
            // Goes on in any case: there is nothing to wait for. Lost and counted there.
            let _ = self.send(entry, None);
            return Ok(());
        }
        let (waiter, patient) = waiter();
        let kept = match self.send(entry, Some(waiter)) {
            Ok(()) => {
                self.shared.standing.hurry();
                patient.wait(self.shared.patience, refuses).await
            }
            Err(loss) => Err(Unkept(loss)),
        };
        if refuses { kept } else { Ok(()) }
    }

    fn send(&self, entry: Entry, done: Option<Waiter>) -> Result<(), Loss> {
        let kind = entry.kind();
        let sent = match self.shared.stopped.load(Ordering::Relaxed) {
            true => Err(Loss::Stopped),
            false => self.shared.queue.try_send(Message::Entry(entry, done)).map_err(|error| match error {
                TrySendError::Full(_) => Loss::QueueFull,
                TrySendError::Closed(_) => Loss::Stopped,
            }),
        };
        match sent {
            Ok(()) => self.shared.recorded.inc(),
            Err(loss) => self.lose(kind, loss),
        }
        sent
    }

    fn lose(&self, kind: &'static str, loss: Loss) {
        if loss == Loss::QueueFull {
            self.shared.standing.is_crowded();
        }
        self.shared.meters.lost_everywhere(kind, loss);
        self.shared.standing.lost(kind, self.shared.clock.now());
    }

    /// Returns when everything recorded before the call is in the spool: `kill -9` does not lose it from then on.
    pub async fn kept(&self) {
        self.mark().await;
    }

    /// Returns when everything recorded before the call has reached every sink, or was set aside, or was never taken. Waits for sinks
    /// that are away.
    pub async fn flush(&self) {
        let Some(last) = self.mark().await else { return };
        for shipped in &self.shared.shipped {
            // An error means that the lane has ended: what is left is shipped by the next start.
            let mut shipped = shipped.clone();
            let _ended = shipped.wait_for(|number| *number >= last).await;
        }
    }

    /// The number of the last frame once everything before is appended; none where the writer has ended.
    async fn mark(&self) -> Option<u64> {
        let (done, passed) = oneshot::channel();
        match self.shared.queue.send(Message::Mark(done)).await {
            Ok(()) => {
                self.shared.standing.hurry();
                passed.await.ok()
            }
            Err(_) => {
                self.shared.stop.closed().await;
                None
            }
        }
    }

    /// The same as [`Self::flush`], for who is about to ask a sink's ledger for sums: all that this process has settled before the call
    /// is in there, but for what was lost since it began. How many usage entries that are is the answer; the sums lack what they charged.
    pub async fn flushed(&self, sink: &str) -> u64 {
        self.flush().await;
        self.shared.meters.usage_lost(sink)
    }

    /// Ends the recording: what is recorded afterwards is lost and counted, what was recorded before is in the spool. Returns when
    /// the sinks have everything, or when `within` has passed; the next start ships what is left. A disk that does not answer is not
    /// waited for: whether it was that is the answer.
    pub async fn stop(&self, within: Duration) -> bool {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let until = Instant::now() + within;
        self.shared.stop.send_replace(Some(until));
        let ended = timeout_at(until + GRACE, async {
            // Wakes the writer, which closes the queue.
            let _ended = self.shared.queue.send(Message::Head).await;
            self.shared.standing.hurry();
            self.shared.stop.closed().await;
        });
        ended.await.is_ok()
    }
}

// === impl Beat ===

impl Beat {
    /// Tells the writer, again and again at this pace, that it is time for a signed head. Ends with the recorder.
    pub(super) async fn run(self, pace: Duration) {
        loop {
            sleep(pace).await;
            let Some(queue) = self.0.upgrade() else { return };
            if queue.send(Message::Head).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
