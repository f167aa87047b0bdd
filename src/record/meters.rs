//! What the recorder counts. The series themselves are declared in [`crate::metrics`].

use prometheus::core::Collector as _;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// The recorder's handles on the series it counts with.
#[derive(Clone, Debug)]
pub struct RecorderMeters {
    /// Entries taken into the queue.
    pub recorded: IntCounter,
    /// Entries written, by sink.
    pub written: IntCounterVec,
    /// Entries lost, by kind and reason. See [`Loss`].
    pub dropped: IntCounterVec,
    /// Writes that failed, by sink. A write that is tried again counts each time.
    pub failures: IntCounterVec,
    /// Entries on the disk that wait for a sink, by sink.
    pub queue: IntGaugeVec,
    /// Entries that a sink refused, and that were set aside, by sink.
    pub aside: IntCounterVec,
    /// Bytes of the spool.
    pub spool: IntGauge,
    /// 1 while the spool takes nothing.
    pub full: IntGauge,
}

/// Why an entry was lost: the label `reason` of `tollgate_record_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue in front of the writer was full.
    QueueFull,
    /// It was about nobody, and there were too many of its kind: requests without a good token.
    Noise,
    /// The recorder had been stopped.
    Stopped,
    /// The spool took nothing: it was full, or its disk was.
    SpoolFull,
    /// It cannot be written as a line.
    Refused,
}

// === impl RecorderMeters ===

impl RecorderMeters {
    /// Makes the series of losses that are there from the start, at zero: a rate sees its first event only if there was a value
    /// before it.
    pub(super) fn open(&self) {
        for kind in ["audit", "usage"] {
            for loss in [Loss::QueueFull, Loss::SpoolFull, Loss::Noise] {
                self.dropped.with_label_values(&[kind, loss.as_str()]);
            }
        }
    }

    /// Counts an entry that no sink gets.
    pub(super) fn lost_everywhere(&self, kind: &str, loss: Loss) {
        self.dropped.with_label_values(&[kind, loss.as_str()]).inc();
    }

    /// How many usage entries this sink should have and has not. Those that it refused may be of either kind: each counts.
    pub(super) fn usage_lost(&self, sink: &str) -> u64 {
        let families = self.dropped.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        let missing = series
            .filter(|series| series.get_label().iter().any(|label| label.name() == "kind" && label.value() == "usage"));
        // Counters are whole numbers, which the exposition has as floats.
        missing.map(|series| series.get_counter().get_value() as u64).sum::<u64>()
            + self.aside.with_label_values(&[sink]).get()
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
            Self::SpoolFull => "spool_full",
            Self::Refused => "refused",
        }
    }
}
