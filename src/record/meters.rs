//! What the recorder counts.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The recorder's counters, to be made once for each registry.
#[derive(Clone, Debug)]
pub struct RecorderMeters {
    /// Entries taken into the queue.
    pub(super) recorded: IntCounter,
    /// Entries written, by sink.
    pub(super) written: IntCounterVec,
    /// Entries lost, by sink, kind and reason. See [`Loss`].
    pub(super) dropped: IntCounterVec,
    /// Writes that failed, by sink. A write that is tried again counts each time.
    pub(super) failures: IntCounterVec,
    /// Entries that wait for a sink, by sink.
    pub(super) queue: IntGaugeVec,
}

/// Why an entry was lost: the label `reason` of `tollgate_record_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue in front of the worker was full (sink `all`).
    QueueFull,
    /// The recorder had been stopped (sink `all`), or was stopped before the sink took the entry.
    Stopped,
    /// The sink was so far behind that its lane was full.
    Behind,
    /// The sink could not be written to until the entry was too old.
    GaveUp,
    /// The sink refused the entry for good: trying again would not have helped.
    Refused,
}

// === impl RecorderMeters ===

impl RecorderMeters {
    /// Makes the counters and registers them.
    ///
    /// # Errors
    /// Where the registry already has metrics of these names.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let meters = Self {
            recorded: IntCounter::new("tollgate_record_entries_total", "Entries taken into the recorder's queue.")?,
            written: IntCounterVec::new(
                Opts::new("tollgate_record_written_total", "Entries written, by sink."),
                &["sink"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "tollgate_record_dropped_total",
                    "Entries lost, by sink (all: before any sink), kind (audit, usage) and reason.",
                ),
                &["sink", "kind", "reason"],
            )?,
            failures: IntCounterVec::new(
                Opts::new("tollgate_record_failures_total", "Writes that failed, by sink, repetitions included."),
                &["sink"],
            )?,
            queue: IntGaugeVec::new(
                Opts::new("tollgate_record_waiting", "Entries that wait for a sink, by sink."),
                &["sink"],
            )?,
        };
        registry.register(Box::new(meters.recorded.clone()))?;
        registry.register(Box::new(meters.written.clone()))?;
        registry.register(Box::new(meters.dropped.clone()))?;
        registry.register(Box::new(meters.failures.clone()))?;
        registry.register(Box::new(meters.queue.clone()))?;
        Ok(meters)
    }

    /// Counts an entry that one sink did not get.
    pub(super) fn lost(&self, sink: &str, kind: &str, loss: Loss) {
        self.dropped.with_label_values(&[sink, kind, loss.as_str()]).inc();
    }

    /// Counts an entry that no sink got.
    pub(super) fn lost_everywhere(&self, kind: &str, loss: Loss) {
        self.lost("all", kind, loss);
    }
}

// === impl Loss ===

impl Loss {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Stopped => "stopped",
            Self::Behind => "behind",
            Self::GaveUp => "gave_up",
            Self::Refused => "refused",
        }
    }
}
