//! The handle that never waits, and its worker.
//!
//! The road of an entry: [`Recorder::record`] puts it into a bounded queue; the worker takes entries out in batches and
//! hands each batch to every sink's lane; a lane writes one batch after the other and tries again while its store is
//! away. Each lane counts what it holds, so a sink that stands still costs a bounded amount of memory and delays nobody.
//!
//! Books are kept: for every sink, `recorded` = `written` + `dropped` once [`Recorder::flush`] has returned.

use std::time::Duration;

use super::Entry;
use super::meters::RecorderMeters;
use super::sinks::Sink;

/// How much is held and for how long.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// Entries that may wait in front of the worker, and again in front of each sink. At least 1.
    pub capacity: usize,
    /// Entries written in one go, at most. At least 1.
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
pub struct Recorder {}

/// The other end of a [`Recorder`]: whoever keeps the process's tasks runs it.
pub struct RecorderWorker {}

// === impl Recorder ===

impl Recorder {
    /// A recorder that writes to all of these sinks, and the worker that does the writing. Nothing is written until the
    /// worker runs; entries wait in the queue until then.
    pub fn start(_sinks: Vec<Sink>, _meters: &RecorderMeters, _options: RecorderOptions) -> (Self, RecorderWorker) {
        (Self {}, RecorderWorker {})
    }

    /// Writes this down. Never waits and never fails: an entry that does not fit is dropped and counted.
    pub fn record(&self, _entry: Entry) {}

    /// Returns when everything recorded before the call is written, or counted as dropped.
    pub async fn flush(&self) {}

    /// Ends the recording: what is recorded afterwards is dropped and counted, what was recorded before is written. Returns
    /// when the sinks have everything, or when `within` has passed and the rest was dropped and counted.
    pub async fn stop(&self, _within: Duration) {}
}

// === impl RecorderWorker ===

impl RecorderWorker {
    /// Works until [`Recorder::stop`], or until the last handle is gone and everything is written.
    pub async fn run(self) {}
}

// === impl RecorderOptions ===

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
