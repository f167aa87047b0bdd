//! What the spine counts, with the handles of the hot path resolved at the start.

use super::passage::UpstreamFault;
use super::refusal::Refusal;
use crate::librechat::routes::Class;
use crate::metrics::{Histogram, IntCounter, IntCounterVec, Metrics};
use crate::policy::charge::Charge;
use crate::policy::{Outcome, Verdict};

/// The classes of routes, as labels; the last one is for requests that have no route.
const CLASSES: [&str; 13] = [
    "pass",
    "stream",
    "upload",
    "catalog",
    "turn",
    "tool",
    "agent",
    "remote",
    "assistants",
    "admin",
    "closed",
    "my-limits",
    "none",
];

/// The handles.
pub(super) struct Counted {
    classes: [Handles; CLASSES.len()],
    refusals: IntCounterVec,
    upstream_errors: IntCounterVec,
    allowed: IntCounter,
    shadowed: IntCounter,
    denied: IntCounter,
    limits_shadowed: IntCounterVec,
}

struct Handles {
    forwarded: IntCounter,
    refused: IntCounter,
    failed: IntCounter,
    seconds: Histogram,
}

// === impl Counted ===

impl Counted {
    /// Resolves the handles.
    pub(super) fn new(metrics: &Metrics) -> Self {
        let handles = |class: &str| Handles {
            forwarded: metrics.requests_total.with_label_values(&[class, "forwarded"]),
            refused: metrics.requests_total.with_label_values(&[class, "refused"]),
            failed: metrics.requests_total.with_label_values(&[class, "failed"]),
            seconds: metrics.request_seconds.with_label_values(&[class]),
        };
        // A series that is there from the start, at zero, lets a rate see its first event.
        for kind in UpstreamFault::KINDS {
            metrics.upstream_errors_total.with_label_values(&[kind]);
        }
        Self {
            classes: CLASSES.map(handles),
            refusals: metrics.refusals_total.clone(),
            upstream_errors: metrics.upstream_errors_total.clone(),
            allowed: metrics.decisions_total.with_label_values(&["allow"]),
            shadowed: metrics.decisions_total.with_label_values(&["shadow"]),
            denied: metrics.decisions_total.with_label_values(&["deny"]),
            limits_shadowed: metrics.limit_shadowed_total.clone(),
        }
    }

    /// LibreChat's answer went to the caller.
    pub(super) fn forwarded(&self, class: Option<Class>, seconds: f64) {
        let handles = self.of(class);
        handles.forwarded.inc();
        handles.seconds.observe(seconds);
    }

    /// A refusal went to the caller.
    pub(super) fn refused(&self, class: Option<Class>, refusal: &Refusal, seconds: f64) {
        let handles = self.of(class);
        if refusal.is_failure() { &handles.failed } else { &handles.refused }.inc();
        handles.seconds.observe(seconds);
        self.refusals.with_label_values(&[refusal.code()]).inc();
        if let Refusal::Upstream(fault) = refusal {
            self.upstream_errors.with_label_values(&[fault.kind()]).inc();
        }
    }

    /// The policy decided.
    pub(super) fn decided(&self, verdict: &Verdict) {
        match verdict.outcome {
            Outcome::Allow => &self.allowed,
            Outcome::Shadowed(_) => &self.shadowed,
            Outcome::Deny(_) => &self.denied,
        }
        .inc();
    }

    /// This limit, which is in shadow mode, would have refused a turn. Ids are those of the policy: a closed set.
    pub(super) fn limit_shadowed(&self, limit: &Charge) {
        self.limits_shadowed.with_label_values(&[limit.id()]).inc();
    }

    fn of(&self, class: Option<Class>) -> &Handles {
        let [pass, stream, upload, catalog, turn, tool, agent, remote, assistants, admin, closed, my_limits, none] =
            &self.classes;
        match class {
            Some(Class::Pass | Class::Noted(_) | Class::Balance | Class::Feature(_)) => pass,
            Some(Class::Stream) => stream,
            Some(Class::Upload) => upload,
            Some(Class::Catalog(_)) => catalog,
            Some(Class::Turn) => turn,
            Some(Class::Tool) => tool,
            Some(Class::Agent(_)) => agent,
            Some(Class::Remote(_)) => remote,
            Some(Class::Assistants(_)) => assistants,
            Some(Class::Admin) => admin,
            Some(Class::Closed) => closed,
            Some(Class::MyLimits) => my_limits,
            None => none,
        }
    }
}
