//! The policy in force follows its files, while Tollgate runs.
//!
//! The files are looked at rather than watched: that works the same on every file system, and nothing is missed. What was changed is taken
//! when it has stood still for a moment, as a whole or not at all; until it is free of faults and all of its cases hold, the last good
//! policy stays in force, and log, metrics, record and `/readyz` say so. `SIGHUP` asks for it at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::load_tested;
use super::look::Look;
use crate::clock::Clock;
use crate::metrics::{IntCounterVec, IntGauge, IntGaugeVec};
use crate::policy::Snapshot;
use crate::policy::defaults::UserDefaults;
use crate::record::entry::FaultFound;
use crate::record::{About, Entry, Event, Happened, Recorder, Severity};
use crate::report::{Fault, Report};

/// How often the files are looked at. A change is taken when two looks in a row saw the same.
const LOOK: Duration = Duration::from_millis(250);

/// Most faults that are logged and recorded of one attempt.
const MOST_FAULTS: usize = 20;

/// What a reloader works with.
pub struct ReloaderParts {
    /// The directory of policy files, or one such file.
    pub policies: PathBuf,
    /// Defaults for users that stand in for those of the files.
    pub defaults: UserDefaults,
    /// The policy in force.
    pub policy: Arc<ArcSwap<Snapshot>>,
    /// What is told of it.
    pub standing: Arc<Standing>,
    /// Where changes and failed attempts are written down.
    pub recorder: Recorder,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub meters: ReloadMeters,
    /// Told of a policy before it comes into force.
    pub coming: Box<dyn Fn(&Snapshot) + Send + Sync>,
}

/// The handles of the reloader's series.
#[derive(Clone)]
pub struct ReloadMeters {
    /// 1 for the policy in force, by revision and mode.
    pub info: IntGaugeVec,
    /// Attempts, by result.
    pub loads: IntCounterVec,
    /// 1 while the files have faults and an earlier policy is in force.
    pub stale: IntGauge,
    /// When the policy in force was taken, in seconds since 1970.
    pub taken: IntGauge,
}

/// Keeps the policy in force.
pub struct Reloader {
    parts: ReloaderParts,
    hangups: Signal,
    /// What the files looked like when they were read last.
    read: Option<Look>,
}

/// What is told of the policy in force. Cheap to ask.
pub struct Standing(Mutex<Told>);

/// The policy in force, as `/readyz` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its revision.
    pub revision: Arc<str>,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Since when it is in force.
    pub since: Timestamp,
    /// Why the files are not in force as they are now, if they are not.
    pub stale: Option<Stale>,
}

/// A policy that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Since when the files have had faults.
    pub since: Timestamp,
    /// How many faults.
    pub faults: usize,
    /// The first of them, with its place.
    pub first: String,
}

/// What became of an attempt, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Another policy is in force.
    Taken,
    /// The files say what is in force.
    Unchanged,
    /// They have faults.
    Refused,
}

// === impl Reloader ===

impl Reloader {
    /// A reloader for the policy that is in force. From now on `SIGHUP` does not end the process.
    ///
    /// # Errors
    /// Where the machine has no such signal.
    pub fn new(parts: ReloaderParts) -> std::io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let policy = parts.policy.load();
        parts.meters.in_force(&policy, parts.standing.told().since);
        for load in [Load::Taken, Load::Unchanged, Load::Refused] {
            parts.meters.loads.with_label_values(&[load.as_str()]);
        }
        drop(policy);
        Ok(Self { parts, hangups, read: None })
    }

    /// Follows the files until the future is dropped.
    pub async fn run(mut self) {
        let mut last = None;
        loop {
            let asked = tokio::select! {
                asked = self.hangups.recv() => asked.is_some(),
                () = sleep(LOOK) => false,
            };
            let (policies, now) = (self.parts.policies.clone(), self.parts.clock.now().into());
            let Ok(look) = spawn_blocking(move || Look::at(&policies, now)).await else { continue };
            let still = last.as_ref() == Some(&look);
            if asked || (still && self.read.as_ref() != Some(&look)) {
                self.read = Some(look.clone());
                self.load(asked).await;
            }
            last = Some(look);
        }
    }

    /// Reads the files, and puts what they say into force if it is without faults and does what its cases say.
    async fn load(&self, asked: bool) {
        let (policies, defaults) = (self.parts.policies.clone(), self.parts.defaults.clone());
        let loaded = spawn_blocking(move || load_tested(&policies, &defaults)).await;
        let load = match loaded {
            Ok(Ok(tested)) => self.take(tested.policy, &tested.warnings, asked),
            Ok(Err(rejected)) => self.refuse(&rejected.into_faults()),
            Err(error) => {
                tracing::error!(%error, "the policy could not be read");
                return;
            }
        };
        self.parts.meters.loads.with_label_values(&[load.as_str()]).inc();
    }

    fn take(&self, snapshot: Snapshot, warnings: &Report, asked: bool) -> Load {
        let parts = &self.parts;
        let now = parts.clock.now();
        let before = parts.policy.load_full();
        if snapshot.revision() == before.revision() {
            if parts.standing.is_fresh_again() {
                parts.meters.stale.set(0);
                tracing::info!(policy = before.revision(), "the files say again what is in force");
            } else if asked {
                tracing::info!(policy = before.revision(), "the policy is unchanged");
            }
            return Load::Unchanged;
        }
        log(warnings);
        (parts.coming)(&snapshot);
        let (from, mode) = (before.shared_revision(), snapshot.mode().as_str());
        let about = About::Loaded { from, mode, files: snapshot.counts().files };
        let event = Event::of_tollgate(now, Happened::PolicyLoaded, Some(snapshot.shared_revision()), about);
        tracing::info!(
            from = before.revision(),
            to = snapshot.revision(),
            mode = snapshot.mode().as_str(),
            "a new policy is in force"
        );
        parts.standing.taken(&snapshot, now);
        parts.meters.gone(&before);
        parts.meters.in_force(&snapshot, now);
        parts.policy.store(Arc::new(snapshot));
        parts.recorder.record(Entry::Event(Box::new(event)));
        Load::Taken
    }

    fn refuse(&self, faults: &Report) -> Load {
        let parts = &self.parts;
        let now = parts.clock.now();
        let in_force = parts.policy.load_full();
        tracing::error!(
            in_force = in_force.revision(),
            "the policy has faults and is not taken: the last good one stays in force"
        );
        log(faults);
        // Codes and places: what a file says may be somebody's address.
        let all = faults.faults();
        let place = |fault: &Fault| fault.place.as_ref().map(|place| place.to_string().into());
        let found = all.iter().take(MOST_FAULTS).map(|fault| FaultFound { code: fault.code, place: place(fault) });
        let about = About::Refused { faults: all.len(), found: found.collect() };
        let event = Event::of_tollgate(now, Happened::PolicyRefused, Some(in_force.shared_revision()), about);
        parts.recorder.record(Entry::Event(Box::new(Event { severity: Severity::Error, ..event })));
        parts.standing.refused(faults, now);
        parts.meters.stale.set(1);
        Load::Refused
    }
}

// === impl Standing ===

impl Standing {
    /// This policy has just come into force.
    pub fn of(policy: &Snapshot, now: Timestamp) -> Self {
        Self(Mutex::new(Told {
            revision: policy.shared_revision(),
            mode: policy.mode().as_str(),
            since: now,
            stale: None,
        }))
    }

    /// What is to be told.
    pub fn told(&self) -> Told {
        self.0.lock().clone()
    }

    fn taken(&self, policy: &Snapshot, now: Timestamp) {
        *self.0.lock() =
            Told { revision: policy.shared_revision(), mode: policy.mode().as_str(), since: now, stale: None };
    }

    /// The files have faults: since now, or already.
    fn refused(&self, faults: &Report, now: Timestamp) {
        let first = faults.faults().first().map(ToString::to_string).unwrap_or_default();
        let mut told = self.0.lock();
        let since = told.stale.as_ref().map_or(now, |stale| stale.since);
        told.stale = Some(Stale { since, faults: faults.faults().len(), first });
    }

    /// The files say what is in force. Whether they had not before.
    fn is_fresh_again(&self) -> bool {
        self.0.lock().stale.take().is_some()
    }
}

// === impl ReloadMeters ===

impl ReloadMeters {
    fn in_force(&self, policy: &Snapshot, since: Timestamp) {
        self.info.with_label_values(&[policy.revision(), policy.mode().as_str()]).set(1);
        self.taken.set(since.as_second());
        self.stale.set(0);
    }

    fn gone(&self, policy: &Snapshot) {
        // It is there: it was set when that policy came into force.
        let _ = self.info.remove_label_values(&[policy.revision(), policy.mode().as_str()]);
    }
}

// === impl Load ===

impl Load {
    fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

// === helpers ===

fn log(report: &Report) {
    for fault in report.faults().iter().take(MOST_FAULTS) {
        let (code, help) = (fault.code, fault.help.as_deref().unwrap_or_default());
        match fault.severity {
            crate::report::Severity::Error => tracing::error!(code, help, "{fault}"),
            crate::report::Severity::Warning => tracing::warn!(code, help, "{fault}"),
        }
    }
    if let Some(more @ 1..) = report.faults().len().checked_sub(MOST_FAULTS) {
        tracing::error!("and {more} more; tollgate test shows all of them");
    }
}
