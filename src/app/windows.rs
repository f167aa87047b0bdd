//! Says which limits count anew because their window or time zone has changed: since the policy that was in force before, also where
//! that was before a restart.

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::Settings;
use crate::meter::{Anew, anew};
use crate::policy::Snapshot;
use crate::policy::windows::Windows;
use crate::record::entry::LimitAnew;
use crate::record::{About, Entry, Event, Happened, Recorder, Severity};
use crate::store::windows::KeptWindows;

/// Holds each policy that comes into force against the one before.
pub(super) struct ChangedWindows {
    file: KeptWindows,
    /// Those of the policy in force; none before the first one, and where nobody knows them.
    last: Mutex<Option<Windows>>,
    recorder: Recorder,
    clock: Clock,
}

// === impl ChangedWindows ===

impl ChangedWindows {
    /// Reads what was in force when Tollgate ran last with these data.
    pub(super) fn open(settings: &Settings, recorder: &Recorder, clock: &Clock) -> Self {
        let file = KeptWindows::at(&settings.data);
        let last = file.read().unwrap_or_else(|fault| {
            tracing::warn!(%fault, "in which windows limits were counted is not known: which of them count anew cannot be said");
            None
        });
        Self { file, last: Mutex::new(last), recorder: recorder.clone(), clock: clock.clone() }
    }

    /// A policy comes into force. Blocks for the disk where its windows are not those that were there.
    pub(super) fn coming(&self, policy: &Snapshot) {
        let windows = policy.windows();
        let mut last = self.last.lock();
        if last.as_ref() == Some(&windows) {
            return;
        }
        if let Some(before) = &*last {
            self.tell(policy, &anew(before, &windows, self.clock.now()));
        }
        if let Err(fault) = self.file.write(&windows) {
            tracing::warn!(%fault, "after a restart it cannot be said which limits count anew");
        }
        *last = Some(windows);
    }

    fn tell(&self, policy: &Snapshot, changed: &[Anew]) {
        if changed.is_empty() {
            return;
        }
        for Anew { limit, from, to } in changed {
            tracing::warn!(%limit, %from, %to, "the limit counts anew: its window has changed, and what was used in the old one is left behind");
        }
        let told = |Anew { limit, from, to }: &Anew| LimitAnew {
            limit: limit.clone(),
            from: from.as_str().into(),
            to: to.as_str().into(),
        };
        let about = About::Anew { limits: changed.iter().map(told).collect() };
        let revision = policy.shared_revision();
        let event = Event::of_tollgate(self.clock.now(), Happened::LimitsAnew, Some(revision), about);
        self.recorder.record(Entry::Event(Box::new(Event { severity: Severity::Warning, ..event })));
    }
}
