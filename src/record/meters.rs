//! What the recorder counts. The series themselves are declared in [`crate::metrics`].

use prometheus::core::Collector as _;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

/// The recorder's handles on the series it counts with.
#[derive(Clone, Debug)]
pub struct RecorderMeters {
    /// Entries taken into the queue.
    pub recorded: IntCounter,
    /// Entries written, by sink.
    pub written: IntCounterVec,
    /// Entries lost, by sink, kind and reason. See [`Loss`].
    pub dropped: IntCounterVec,
    /// Writes that failed, by sink. A write that is tried again counts each time.
    pub failures: IntCounterVec,
    /// Entries that wait for a sink, by sink.
    pub queue: IntGaugeVec,
}

/// Why an entry was lost: the label `reason` of `tollgate_record_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue in front of the worker was full (sink `all`).
    QueueFull,
    /// It was about nobody, and there were too many of its kind (sink `all`): requests without a good token.
    Noise,
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
    /// Makes the series of losses that are there from the start, at zero: a rate sees its first event only if there was a value
    /// before it.
    pub(super) fn open(&self) {
        for kind in ["audit", "usage"] {
            self.dropped.with_label_values(&["all", kind, Loss::QueueFull.as_str()]);
            self.dropped.with_label_values(&["all", kind, Loss::Noise.as_str()]);
        }
    }

    /// Counts an entry that one sink did not get.
    pub(super) fn lost(&self, sink: &str, kind: &str, loss: Loss) {
        self.dropped.with_label_values(&[sink, kind, loss.as_str()]).inc();
    }

    /// How many usage entries this sink should have and has not.
    pub(super) fn usage_lost(&self, sink: &str) -> u64 {
        let families = self.dropped.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let missing = series.filter(|series| {
            let is = |name: &str, values: &[&str]| {
                series.get_label().iter().any(|label| label.name() == name && values.contains(&label.value()))
            };
            is("kind", &["usage"]) && is("sink", &["all", sink])
        });
        // Counters are whole numbers, which the exposition has as floats.
        missing.map(|series| series.get_counter().get_value() as u64).sum()
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
            Self::Noise => "noise",
            Self::Stopped => "stopped",
            Self::Behind => "behind",
            Self::GaveUp => "gave_up",
            Self::Refused => "refused",
        }
    }
}
