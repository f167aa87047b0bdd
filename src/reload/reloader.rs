//! The policy in force follows its files, while Tollgate runs.
//!
//! The files are looked at rather than watched: that works the same on every file system, and nothing is missed. What was changed is taken
//! when it has stood still for a moment, as a whole or not at all; until it is free of faults and all of its cases hold, the last good
//! policy stays in force, and log, metrics, record and `/readyz` say so. `SIGHUP` asks for it at once.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::in_force::InForce;
use super::load_tested;
use super::look::Look;
use crate::clock::Clock;
use crate::metrics::IntCounterVec;
use crate::policy::defaults::UserDefaults;
use crate::policy::{Snapshot, codes};
use crate::record::entry::FaultFound;
use crate::record::{About, Entry, Event, Happened, Recorder, Severity};
use crate::report::{Fault, Place, Report};

/// How often the files are looked at. A change is taken when two looks in a row saw the same.
const LOOK: Duration = Duration::from_millis(250);

/// What could not be read is tried again after so many looks, three seconds: when a disk or a network file system is well again, nothing of
/// a file looks different.
const TRY_AGAIN: u32 = 12;

/// How long files are looked at, or read, before that is told as a fault. A network file system that is away lets nobody go.
const LONGEST: Duration = Duration::from_secs(30);

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
    /// What the files looked like before they were read last.
    read: Option<Look>,
    /// What they looked like last.
    seen: Option<Look>,
    /// Why they were not taken, if they were not.
    refused: Option<Refused>,
}

/// Files that were not taken.
struct Refused {
    faults: Vec<Fault>,
    /// Looks since then.
    looks: u32,
}

/// Why files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Somebody asks for it.
    Asked,
    /// They look different.
    Changed,
    /// They may say something else, although they look the same: they could not be read the last time, or had just been changed.
    Again,
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
        Ok(Self { parts, hangups, read: None, seen: None, refused: None })
    }

    /// Follows the files until the future is dropped.
    pub async fn run(mut self) {
        loop {
            let asked = tokio::select! {
                asked = self.hangups.recv() => asked.is_some(),
                () = sleep(LOOK) => false,
            };
            self.look(asked).await;
        }
    }

    /// Looks once, and reads the files where there is a reason to.
    async fn look(&mut self, asked: bool) {
        let (policies, now) = (self.parts.policies.clone(), self.parts.clock.now().into());
        let Some(look) = self.in_time(spawn_blocking(move || Look::at(&policies, now))).await else { return };
        if let Some(why) = self.why(asked, &look) {
            self.read = Some(look.clone());
            self.load(why).await;
        }
        self.seen = Some(look);
    }

    /// Why the files are to be read now; none where there is no reason to.
    fn why(&mut self, asked: bool, look: &Look) -> Option<Why> {
        let still = self.seen.as_ref() == Some(look);
        let changed = self.read.as_ref().is_none_or(|read| !read.saw_the_files_of(look));
        let settled = self.read.as_ref() != Some(look);
        let again = self.refused.as_mut().is_some_and(Refused::is_due);
        match () {
            () if asked => Some(Why::Asked),
            () if still && changed => Some(Why::Changed),
            () if (still && settled) || again => Some(Why::Again),
            () => None,
        }
    }

    /// Reads the files, and puts what they say into force if it is without faults and does what its cases say.
    async fn load(&mut self, why: Why) {
        let (policies, defaults) = (self.parts.policies.clone(), self.parts.defaults.clone());
        let loaded = self.in_time(spawn_blocking(move || load_tested(&policies, &defaults))).await;
        let load = match loaded {
            Some(Ok(tested)) => self.take(tested.policy, &tested.warnings, why),
            Some(Err(rejected)) => self.reject(&rejected.into_faults(), why),
            None => return,
        };
        self.parts.loads.with_label_values(&[load.as_str()]).inc();
    }

    /// Waits for work on the files to its end. Where that takes long, it is told meanwhile that the policy is stale; there is never more
    /// than one such work.
    async fn in_time<T>(&mut self, work: impl Future<Output = Result<T, JoinError>>) -> Option<T> {
        let mut work = pin!(work);
        let done = match timeout(LONGEST, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                // What could not be read before is told already.
                if !self.refused.as_ref().is_some_and(Refused::is_unread) {
                    self.reject(&overdue(&self.parts.policies), Why::Changed);
                }
                work.await
            }
        };
        done.inspect_err(|error| tracing::error!(%error, "the policy could not be read")).ok()
    }

    /// Tells faults, but not a second time where the same files are only tried again.
    fn reject(&mut self, faults: &Report, why: Why) -> Load {
        let found: Vec<_> = faults.faults().into_iter().cloned().collect();
        let told = why == Why::Again && self.refused.as_ref().is_some_and(|refused| refused.faults == found);
        self.refused = Some(Refused { faults: found, looks: 0 });
        if !told {
            self.refuse(faults);
        }
        Load::Refused
    }

    fn take(&mut self, snapshot: Snapshot, warnings: &Report, why: Why) -> Load {
        let in_force = Arc::clone(&self.parts.in_force);
        if !in_force.says_something_else(&snapshot) {
            self.refused = None;
            if in_force.fresh_again() {
                tracing::info!(policy = snapshot.revision(), "the files say again what is in force");
            } else if why == Why::Asked {
                tracing::info!(policy = snapshot.revision(), "the policy is unchanged");
            }
            return Load::Unchanged;
        }
        if let Err(objections) = in_force.take_files(&snapshot) {
            let load = self.reject(&objections, why);
            in_force.wait_with(&snapshot);
            return load;
        }
        self.refused = None;
        log(warnings);
        Load::Taken
    }

    fn refuse(&self, faults: &Report) {
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
    }
}

// === impl Refused ===

impl Refused {
    /// Whether there is a fault that may go away by itself.
    fn is_unread(&self) -> bool {
        self.faults.iter().any(|fault| fault.code == codes::UNREADABLE)
    }

    /// Whether it is time to try again, one look later.
    fn is_due(&mut self) -> bool {
        self.looks = self.looks.saturating_add(1);
        self.looks >= TRY_AGAIN && self.is_unread()
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

/// The fault of files that let nobody go.
fn overdue(policies: &Path) -> Report {
    let mut report = Report::new();
    let message = format!("to read the policy takes longer than {} seconds", LONGEST.as_secs());
    let fault =
        Fault::error(codes::UNREADABLE, message).help("check the disk, or the network file system that it is on");
    report.push(fault.at(Place::file(policies)));
    report
}

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

#[cfg(test)]
mod tests;
