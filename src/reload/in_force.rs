//! The policy in force: the files that were taken last and the overrides that were read last, put together and swapped as one.
//!
//! Files and overrides come from two tasks. Whichever of them has something new puts it together with what is there of the
//! other, under one lock, so that nobody ever asks one with half of the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use super::reloader::log;
use crate::clock::Clock;
use crate::metrics::{IntGauge, IntGaugeVec};
use crate::policy::Snapshot;
use crate::policy::overrides::{Document, Faulty, Principal};
use crate::record::entry::{PrincipalTold, VersionTold};
use crate::record::{About, Entry, Event, Happened, Recorder, Severity};
use crate::report::{Fault, Report};
use crate::store::overrides::Unreadable;

/// What helps where files are not taken because of an override.
const OBJECTION: &str =
    "change the files, or the override: `tollgate overrides set`, `disable` or `remove`; then these files are taken";

/// Most overrides that one event names.
const MOST_TOLD: usize = 1_000;

/// What the policy in force works with.
pub struct InForceParts {
    /// Where changes are written down.
    pub recorder: Recorder,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub meters: ReloadMeters,
    /// Told of a policy before it comes into force.
    pub coming: Box<dyn Fn(&Snapshot) + Send + Sync>,
}

/// The handles of the series about the policy in force.
#[derive(Clone)]
pub struct ReloadMeters {
    /// 1 for the policy in force, by revision and mode.
    pub info: IntGaugeVec,
    /// 1 while the files have faults and an earlier policy is in force.
    pub stale: IntGauge,
    /// When the policy in force was taken, in seconds since 1970.
    pub taken: IntGauge,
    /// Overrides, by state.
    pub overrides: IntGaugeVec,
    /// 1 while the overrides cannot be read.
    pub overrides_stale: IntGauge,
}

/// The policy in force.
pub struct InForce {
    parts: InForceParts,
    policy: Arc<ArcSwap<Snapshot>>,
    standing: Arc<Standing>,
    /// What is to be put together with files. Its lock is held while a policy is put together and swapped.
    known: Mutex<Known>,
}

/// The overrides, as they were read last.
#[derive(Default)]
struct Known {
    /// None before they were read for the first time; then nobody is judged.
    documents: Option<Vec<Document>>,
    /// Those that the policy in force leaves out, by their versions; none of one that cannot be read.
    faulty: BTreeMap<Principal, Option<u64>>,
    unreadable: Vec<Unreadable>,
    /// Files that are not taken because of overrides, which would be set aside under them.
    waiting: Option<Snapshot>,
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
    /// The overrides beside the files.
    pub overrides: OverridesTold,
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

/// The overrides, as `/readyz` tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverridesTold {
    /// Whether they were ever read. Before that nobody is judged.
    pub read: bool,
    /// How many are in force.
    pub in_force: usize,
    /// The first faults of those that are set aside; empty where none is.
    pub faulty: Vec<String>,
    /// Since when they cannot be read, where they cannot: the last ones that were read are in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
}

// === impl InForce ===

impl InForce {
    /// Puts a policy of files into force. Where overrides are to be read beside them (`awaited`), nobody is judged before that.
    pub fn new(files: Snapshot, awaited: bool, parts: InForceParts) -> Self {
        let now = parts.clock.now();
        let policy = if awaited { files.without_knowing_overrides() } else { files };
        (parts.coming)(&policy);
        let standing = Standing::of(&policy, now);
        parts.meters.in_force(&policy, now);
        for state in ["in_force", "inactive", "faulty"] {
            parts.meters.overrides.with_label_values(&[state]);
        }
        let documents = if awaited { None } else { Some(Vec::new()) };
        let known = Mutex::new(Known { documents, ..Known::default() });
        Self { parts, policy: Arc::new(ArcSwap::from_pointee(policy)), standing: Arc::new(standing), known }
    }

    /// The policy in force now.
    pub fn policy(&self) -> Arc<Snapshot> {
        self.policy.load_full()
    }

    /// The policy in force, for who asks it often.
    pub fn swapped(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.policy)
    }

    /// What is told of it.
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Whether these files say something else than those in force.
    pub(super) fn says_something_else(&self, files: &Snapshot) -> bool {
        files.files_revision() != self.policy.load().files_revision()
    }

    /// The files say what is in force. Whether they had not before.
    pub(super) fn fresh_again(&self) -> bool {
        self.known.lock().waiting = None;
        let fresh = self.standing.is_fresh_again();
        if fresh {
            self.parts.meters.stale.set(0);
        }
        fresh
    }

    /// Puts these files into force, with the overrides as they are.
    ///
    /// # Errors
    /// The faults of overrides that hold now and would be set aside under these files: what they deny would be open, or whom they are about
    /// refused. Nothing has changed then; [`Self::wait_with`] lets the files wait.
    pub(super) fn take_files(&self, files: &Snapshot) -> Result<(), Report> {
        self.take_with(&mut self.known.lock(), files)
    }

    /// Lets files wait that were not taken because of overrides: they come into force as soon as the overrides let them.
    pub(super) fn wait_with(&self, files: &Snapshot) {
        let mut known = self.known.lock();
        // The overrides may have changed since.
        if self.take_with(&mut known, files).is_err() {
            known.waiting = Some(files.without_knowing_overrides());
        }
    }

    fn take_with(&self, known: &mut Known, files: &Snapshot) -> Result<(), Report> {
        let before = self.policy.load_full();
        let (policy, faulty) = match &known.documents {
            Some(documents) => files.with_all_overrides(documents, &known.refused()),
            None => (files.without_knowing_overrides(), Vec::new()),
        };
        let held = before.override_versions();
        let mut objections = Report::new();
        for Faulty { report, .. } in faulty.iter().filter(|of| held.contains_key(&of.principal)) {
            for fault in report.faults() {
                let message = format!("these files would set an override aside: {}", fault.message);
                objections.push(Fault { message, ..fault.clone() }.help(OBJECTION));
            }
        }
        if objections.has_errors() {
            return Err(objections);
        }
        let about = About::Loaded {
            from: before.shared_revision(),
            mode: policy.mode().as_str(),
            files: policy.counts().files,
        };
        tracing::info!(
            from = before.revision(),
            to = policy.revision(),
            mode = policy.mode().as_str(),
            "a new policy is in force"
        );
        known.waiting = None;
        self.swap(known, &before, policy, faulty, Some((Happened::PolicyLoaded, about)));
        self.parts.meters.stale.set(0);
        self.standing.0.lock().stale = None;
        Ok(())
    }

    /// Puts these overrides into force, with the files as they are. `inactive` are so many more that do not count now.
    pub(super) fn take_overrides(&self, documents: Vec<Document>, unreadable: Vec<Unreadable>, inactive: usize) {
        let mut known = self.known.lock();
        let meters = &self.parts.meters;
        meters.overrides.with_label_values(&["inactive"]).set(i64::try_from(inactive).unwrap_or(i64::MAX));
        if self.standing.0.lock().overrides.stale_since.take().is_some() {
            tracing::info!("the overrides can be read again");
        }
        meters.overrides_stale.set(0);
        if known.documents.as_ref() == Some(&documents) && known.unreadable == unreadable {
            return;
        }
        let before = self.policy.load_full();
        for fault in unreadable.iter().filter(|fault| !known.unreadable.contains(fault)) {
            match (&fault.of, fault.is_active) {
                (Some(_), true) => {
                    tracing::error!(%fault, "an override is set aside: all whom it is about are refused until it is removed");
                }
                (None, true) => {
                    tracing::error!(%fault, "an override is set aside, and refuses nobody, as nobody can tell whom it is about");
                }
                (_, false) => tracing::warn!(%fault, "an override cannot be read, and is switched off"),
            }
        }
        known.unreadable = unreadable;
        let (policy, faulty) = before.with_all_overrides(&documents, &known.refused());
        known.documents = Some(documents);
        if before.revision() != policy.revision() {
            tracing::info!(from = before.revision(), to = policy.revision(), "other overrides are in force");
        }
        self.swap(&mut known, &before, policy, faulty, None);
        if let Some(files) = known.waiting.take()
            && self.take_with(&mut known, &files).is_err()
        {
            known.waiting = Some(files);
        }
    }

    /// The overrides cannot be read: the last ones stay in force.
    pub(super) fn overrides_stale(&self, why: &dyn std::fmt::Display) {
        self.parts.meters.overrides_stale.set(1);
        let mut told = self.standing.0.lock();
        if told.overrides.stale_since.is_none() {
            told.overrides.stale_since = Some(self.parts.clock.now());
            tracing::error!(%why, "the overrides cannot be read: those that were read last stay in force");
        }
    }

    /// The files have faults: since now, or already.
    pub(super) fn refused(&self, faults: &Report, now: Timestamp) {
        self.known.lock().waiting = None;
        self.standing.refused(faults, now);
        self.parts.meters.stale.set(1);
    }

    /// Everything but the decision what comes into force. What is written down about it comes before anybody is judged by it in no order:
    /// the revision says which entries belong to which policy.
    fn swap(
        &self,
        known: &mut Known,
        before: &Snapshot,
        policy: Snapshot,
        faulty: Vec<Faulty>,
        loaded: Option<(Happened, About)>,
    ) {
        let parts = &self.parts;
        let now = parts.clock.now();
        for Faulty { principal, version, report } in &faulty {
            if known.faulty.get(principal) != Some(&Some(*version)) || loaded.is_some() {
                tracing::error!(
                    of = %principal,
                    version,
                    "an override has faults and is set aside: all whom it is about are refused until it is mended, or \
                     `tollgate overrides` disables or removes it"
                );
                log(report);
            }
        }
        (parts.coming)(&policy);
        let unreadable = known.refused().into_iter().map(|principal| (principal, None));
        let left_out: BTreeMap<_, _> =
            faulty.iter().map(|of| (of.principal.clone(), Some(of.version))).chain(unreadable).collect();
        let taken = taken(before, &policy, &known.faulty, &left_out);
        self.standing.taken(&policy, now, first_faults(&faulty, &known.unreadable));
        let (count, set_aside) = (policy.override_count(), faulty.len() + known.unreadable.len());
        for (state, number) in [("in_force", count), ("faulty", set_aside)] {
            parts.meters.overrides.with_label_values(&[state]).set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        parts.meters.gone(before);
        parts.meters.in_force(&policy, now);
        known.faulty = left_out;
        let revision = policy.shared_revision();
        self.policy.store(Arc::new(policy));
        let severity = if set_aside > 0 { Severity::Error } else { Severity::Info };
        let events = loaded.map(|(action, about)| (action, about, Severity::Info)).into_iter();
        for (action, about, severity) in events.chain(taken.map(|about| (Happened::OverridesTaken, about, severity))) {
            let event = Event::of_tollgate(now, action, Some(Arc::clone(&revision)), about);
            parts.recorder.record(Entry::Event(Box::new(Event { severity, ..event })));
        }
    }
}

// === impl Known ===

impl Known {
    /// Whom documents are about that cannot be read, and do not say that they are switched off.
    fn refused(&self) -> Vec<Principal> {
        self.unreadable.iter().filter(|of| of.is_active).filter_map(|of| of.of.clone()).collect()
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
            overrides: OverridesTold { read: policy.is_whole(), ..OverridesTold::default() },
        }))
    }

    /// What is to be told.
    pub fn told(&self) -> Told {
        self.0.lock().clone()
    }

    fn taken(&self, policy: &Snapshot, now: Timestamp, faulty: Vec<String>) {
        let mut told = self.0.lock();
        if told.revision != policy.shared_revision() {
            told.since = now;
        }
        told.revision = policy.shared_revision();
        told.mode = policy.mode().as_str();
        let stale_since = told.overrides.stale_since;
        told.overrides =
            OverridesTold { read: policy.is_whole(), in_force: policy.override_count(), faulty, stale_since };
    }

    fn refused(&self, faults: &Report, now: Timestamp) {
        let first = faults.faults().first().map(ToString::to_string).unwrap_or_default();
        let mut told = self.0.lock();
        let since = told.stale.as_ref().map_or(now, |stale| stale.since);
        told.stale = Some(Stale { since, faults: faults.faults().len(), first });
    }

    fn is_fresh_again(&self) -> bool {
        self.0.lock().stale.take().is_some()
    }
}

// === impl ReloadMeters ===

impl ReloadMeters {
    fn in_force(&self, policy: &Snapshot, since: Timestamp) {
        self.info.with_label_values(&[policy.revision(), policy.mode().as_str()]).set(1);
        self.taken.set(since.as_second());
    }

    fn gone(&self, policy: &Snapshot) {
        // It is there: it was set when that policy came into force.
        let _ = self.info.remove_label_values(&[policy.revision(), policy.mode().as_str()]);
    }
}

// === helpers ===

/// Which overrides are in force that were not, or are no longer; none where nothing of that changes.
fn taken(
    before: &Snapshot,
    after: &Snapshot,
    faulty_before: &BTreeMap<Principal, Option<u64>>,
    faulty: &BTreeMap<Principal, Option<u64>>,
) -> Option<About> {
    let (old, new) = (before.override_versions(), after.override_versions());
    if old == new && faulty_before == faulty {
        return None;
    }
    let come = new.iter().filter(|(principal, version)| old.get(*principal) != Some(*version));
    let gone = old.keys().filter(|principal| !new.contains_key(*principal));
    let changed = come.map(|(principal, version)| told(principal, Some(*version))).chain(gone.map(|of| told(of, None)));
    Some(About::OverridesTaken {
        from: before.shared_revision(),
        in_force: new.len(),
        changed: changed.take(MOST_TOLD).collect(),
        faulty: faulty.iter().take(MOST_TOLD).map(|(principal, version)| told(principal, *version)).collect(),
    })
}

fn told(principal: &Principal, version: Option<u64>) -> VersionTold {
    let principal = PrincipalTold { kind: principal.kind.as_str(), id: principal.id.clone() };
    VersionTold { principal, config_version: version }
}

/// The first faults of what is set aside, for people.
fn first_faults(faulty: &[Faulty], unreadable: &[Unreadable]) -> Vec<String> {
    let of_faulty = faulty.iter().filter_map(|of| of.report.faults().first().map(ToString::to_string));
    of_faulty.chain(unreadable.iter().map(ToString::to_string)).take(20).collect()
}
