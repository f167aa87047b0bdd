//! Every exported series, declared once: the doc comment is the help text, the field is the name.
//!
//! Labels are closed sets, and the handles of the hot path are resolved when Tollgate starts.

use prometheus::core::Collector;
use prometheus::{Encoder, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
pub use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::meter::MeterMeters;
use crate::record::RecorderMeters;

/// Declares the struct and how each of its series is made and registered.
macro_rules! metrics {
    ($(#[$outer:meta])* pub struct $name:ident {
        $(#[doc = $help:literal] pub $field:ident: $kind:ident $([$($label:literal),+])?,)+
    }) => {
        $(#[$outer])*
        pub struct $name {
            registry: Registry,
            $(#[doc = $help] pub $field: $kind,)+
        }

        impl $name {
            /// Makes and registers every series.
            ///
            /// # Errors
            /// A name that is not a valid Prometheus name, or is there twice: a fault of this file.
            pub fn new() -> Result<Self, Error> {
                let registry = Registry::new_custom(Some("tollgate".to_owned()), None)?;
                $(let $field = <$kind as Series>::make(stringify!($field), $help.trim(), &[$($($label),+)?])?;
                  registry.register(Box::new($field.clone()))?;)+
                Ok(Self { registry, $($field,)+ })
            }

            /// Name (without the `tollgate_` prefix) and help of every series.
            pub fn declared() -> &'static [(&'static str, &'static str)] {
                &[$((stringify!($field), $help),)+]
            }
        }
    };
}

metrics! {
    /// All series of one Tollgate process.
    pub struct Metrics {
        /// Requests answered, by the class of their route (pass, stream, upload, catalog, turn, tool, surface, admin, closed, none) and outcome (forwarded, refused, failed).
        pub requests_total: IntCounterVec["class", "outcome"],
        /// Requests refused, by the code of the refusal.
        pub refusals_total: IntCounterVec["code"],
        /// Decisions of the policy: allow, shadow (would have been refused), deny.
        pub decisions_total: IntCounterVec["decision"],
        /// Turns that a limit in shadow mode would have refused, by its id. The decision about them counts as allow, unless the policy is in shadow mode and would have refused them, too.
        pub limit_shadowed_total: IntCounterVec["limit"],
        /// Seconds from the arrival of a request to the head of its answer, by the class of its route.
        pub request_seconds: HistogramVec["class"],
        /// Requests whose answer has not been sent whole yet.
        pub in_flight: IntGauge,
        /// Open client connections.
        pub connections: IntGauge,
        /// Connections closed at once because the limit of open connections was reached.
        pub connections_shed_total: IntCounter,
        /// Requests that the HTTP engine could not read although the strict gate had let them through; they leave no entry, and there should be none.
        pub malformed_total: IntCounter,
        /// Failures towards LibreChat, by kind (connect, timeout, broken, none-known).
        pub upstream_errors_total: IntCounterVec["kind"],
        /// LibreChat instances that are known and healthy.
        pub upstreams_healthy: IntGauge,
        /// Look-ups in the directory, by result (hit, found, unknown, error).
        pub directory_lookups_total: IntCounterVec["result"],
        /// Checks of a bearer token, by result (hit, good, bad).
        pub token_checks_total: IntCounterVec["result"],
        /// Fetches of the identity provider's keys, by result (good, failed).
        pub oidc_fetches_total: IntCounterVec["result"],
        /// Signing keys of the identity provider that can be used.
        pub oidc_keys: IntGauge,
        /// Seconds since the identity provider's keys were last fetched; -1 where they never were.
        pub oidc_keys_age_seconds: IntGauge,
        /// 1 while limits are not counted where they should be: the store is down, slow, or has lost its counters.
        pub limits_degraded: IntGauge,
        /// Requests whose limits were weighed, by result (taken, short, refused: could not be counted, local: by this replica's own count).
        pub limit_takes_total: IntCounterVec["result"],
        /// Seconds that one question to the store of limits took, failed ones too.
        pub limit_store_seconds: Histogram,
        /// Requests after which a limit was used to its `warn_at` or more, by the limit's id.
        pub limits_near_total: IntCounterVec["limit"],
        /// Turns that were used and wait for the store to count them.
        pub limits_unsettled: IntGauge,
        /// Turns that have begun and not ended.
        pub turns_open: IntGauge,
        /// Turns that have ended, by where the word of what they used came from (transactions, provider, stream, estimate, none).
        pub settles_total: IntCounterVec["source"],
        /// Entries taken into the recorder's queue.
        pub record_entries_total: IntCounter,
        /// Entries written, by sink.
        pub record_written_total: IntCounterVec["sink"],
        /// Entries lost before they were on the disk, by kind (audit, usage) and reason (queue_full, noise, stopped, spool_full, refused).
        pub record_dropped_total: IntCounterVec["kind", "reason"],
        /// Entries that a sink refused for good and that were set aside in the data directory, by sink.
        pub record_aside_total: IntCounterVec["sink"],
        /// Bytes of the record that are on the disk of this machine and not yet in all sinks, in whole files.
        pub record_spool_bytes: IntGauge,
        /// 1 while nothing can be recorded, because the disk is full or broken or sinks have been away for too long; else 0.
        pub record_full: IntGauge,
        /// Writes of entries that failed, by sink, repetitions included.
        pub record_failures_total: IntCounterVec["sink"],
        /// Entries on the disk that wait for a sink, by sink.
        pub record_waiting: IntGaugeVec["sink"],
        /// 1 for the policy in force, by its revision and mode.
        pub policy_info: IntGaugeVec["revision", "mode"],
        /// Attempts to take the policy from its files, by result (taken, unchanged, refused).
        pub policy_loads_total: IntCounterVec["result"],
        /// 1 while the policy's files have faults and an earlier policy is in force.
        pub policy_stale: IntGauge,
        /// When the policy in force was taken, in seconds since 1970.
        pub policy_taken_timestamp_seconds: IntGauge,
        /// Overrides, by state (in_force; inactive: switched off or expired; faulty: set aside for their faults).
        pub overrides: IntGaugeVec["state"],
        /// 1 while the overrides cannot be read and the last ones that were read are in force.
        pub overrides_stale: IntGauge,
        /// 1 for the running version.
        pub build_info: IntGaugeVec["version"],
    }
}

/// How a kind of series is made from its name, help and labels.
trait Series: Sized + Collector {
    fn make(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error>;
}

/// Upper bounds in seconds: from a refusal (tens of microseconds) to a long poll of LibreChat (15.5 s, CONTRACT.md G.2).
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

// === impl Metrics ===

impl Metrics {
    /// All series in Prometheus' text format.
    ///
    /// # Errors
    /// Where a series cannot be written as text.
    pub fn render(&self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::with_capacity(8 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The handles that limits are counted with.
    pub fn meter(&self) -> MeterMeters {
        MeterMeters {
            degraded: self.limits_degraded.clone(),
            takes: self.limit_takes_total.clone(),
            seconds: self.limit_store_seconds.clone(),
            near: self.limits_near_total.clone(),
            shadowed: self.limit_shadowed_total.clone(),
            unsettled: self.limits_unsettled.clone(),
        }
    }

    /// The handles that the recorder counts with.
    pub fn recorder(&self) -> RecorderMeters {
        RecorderMeters {
            recorded: self.record_entries_total.clone(),
            written: self.record_written_total.clone(),
            dropped: self.record_dropped_total.clone(),
            failures: self.record_failures_total.clone(),
            queue: self.record_waiting.clone(),
            aside: self.record_aside_total.clone(),
            spool: self.record_spool_bytes.clone(),
            full: self.record_full.clone(),
        }
    }
}

// === impl Series ===

impl Series for IntCounter {
    fn make(name: &str, help: &str, _labels: &[&str]) -> Result<Self, Error> {
        Self::new(name, help)
    }
}

impl Series for IntGauge {
    fn make(name: &str, help: &str, _labels: &[&str]) -> Result<Self, Error> {
        Self::new(name, help)
    }
}

impl Series for IntCounterVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Series for IntGaugeVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Series for Histogram {
    fn make(name: &str, help: &str, _labels: &[&str]) -> Result<Self, Error> {
        Self::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
    }
}

impl Series for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_a_help_that_is_a_sentence_and_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.requests_total.with_label_values(&["turn", "refused"]).inc();
        metrics.in_flight.inc();
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("tollgate_requests_total{class=\"turn\",outcome=\"refused\"} 1"), "{text}");
        assert!(text.contains("tollgate_in_flight 1"), "{text}");
        for (name, help) in Metrics::declared() {
            assert!(help.trim().ends_with('.'), "{name}: {help}");
        }
    }
}
