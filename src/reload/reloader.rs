//! The policy in force follows its files, while Tollgate runs.
//!
//! The files are looked at rather than watched: that works the same on every file system, and nothing is missed. What was changed is taken
//! when it has stood still for a moment, as a whole or not at all; until it is free of faults and all of its cases hold, the last good
//! policy stays in force, and log, metrics, record and `/readyz` say so. `SIGHUP` asks for it at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::in_force::InForce;
use super::load_tested;
use super::look::Look;
use crate::clock::Clock;
use crate::metrics::IntCounterVec;
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
    /// The policy in force, and what is told of it.
    pub in_force: Arc<InForce>,
    /// Where failed attempts are written down.
    pub recorder: Recorder,
    /// The time.
    pub clock: Clock,
    /// Attempts, by result.
    pub loads: IntCounterVec,
}

/// Keeps the policy in force.
pub struct Reloader {
    parts: ReloaderParts,
    hangups: Signal,
    /// What the files looked like when they were read last.
    read: Option<Look>,
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
        for load in [Load::Taken, Load::Unchanged, Load::Refused] {
            parts.loads.with_label_values(&[load.as_str()]);
        }
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
        self.parts.loads.with_label_values(&[load.as_str()]).inc();
    }

    fn take(&self, snapshot: Snapshot, warnings: &Report, asked: bool) -> Load {
        let in_force = &self.parts.in_force;
        if !in_force.says_something_else(&snapshot) {
            if in_force.fresh_again() {
                tracing::info!(policy = snapshot.revision(), "the files say again what is in force");
            } else if asked {
                tracing::info!(policy = snapshot.revision(), "the policy is unchanged");
            }
            return Load::Unchanged;
        }
        if let Err(objections) = in_force.take_files(&snapshot) {
            let load = self.refuse(&objections);
            in_force.wait_with(&snapshot);
            return load;
        }
        log(warnings);
        Load::Taken
    }

    fn refuse(&self, faults: &Report) -> Load {
        let parts = &self.parts;
        let now = parts.clock.now();
        let in_force = parts.in_force.policy();
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
        parts.in_force.refused(faults, now);
        Load::Refused
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

pub(super) fn log(report: &Report) {
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
