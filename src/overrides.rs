//! Changing overrides: read and checked against the policy's files, told in the record, and written where nobody was faster.
//!
//! The command line is one way to get here, and all ways are the same: [`Desk::change`] and [`Desk::remove`]. A document that has a fault is
//! not written, nor is one beside which another one would have a fault that it has not now.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::policy::Snapshot;
use crate::policy::overrides::{Document, Kind, Principal};
use crate::record::entry::{OverrideTold, PrincipalTold};
use crate::record::{About, Happened};
use crate::report::Report;
use crate::store::StoreError;
use crate::store::overrides::{Expected, Override, Overrides, Unchanged, Unreadable};

mod written;

pub use written::read;

/// Tells the record of what is about to be done.
#[async_trait]
pub trait Witness: Sync {
    /// Writes an event down; nothing is done before that. The user is the one to whom it is done, where it is done to one.
    ///
    /// # Errors
    /// A sentence that says why nothing was written.
    async fn tell(&self, action: Happened, user: Option<&str>, about: About) -> Result<Uuid, String>;

    /// Writes down that what an event told of was not done after all, for this reason; gives what to say of it.
    async fn take_back(&self, action: Happened, user: Option<&str>, told: Uuid, why: String) -> String;
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What was to be written has faults.
    #[error("the override has faults")]
    Faulty(Report),
    /// There is no override for this principal.
    #[error("there is no override for the {0}")]
    Missing(Principal),
    /// It has another version than whoever asks has seen.
    #[error(
        "the override of the {of} has version {found}, not {wanted}: look at it again, and say --if-version {found}"
    )]
    AnotherVersion {
        /// Whose it is.
        of: Principal,
        /// The version that it has.
        found: u64,
        /// The version that was expected.
        wanted: u64,
    },
    /// Somebody else has changed it at the same moment.
    #[error("{0}")]
    Overtaken(String),
    /// The store or the record does not do it.
    #[error("{0}")]
    Failed(String),
    /// The store has no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to be another. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it says.
    pub overrides: Option<Map<String, Value>>,
    /// Its place in the order; for a new one, that of its kind where it is not said.
    pub priority: Option<i32>,
    /// Whether it counts; a new one does where it is not said.
    pub active: Option<bool>,
    /// From when on it does not count any more; `Some(None)` for one that is to count until it is changed.
    pub until: Option<Option<Timestamp>>,
    /// Why.
    pub note: Option<Box<str>>,
    /// Who changes it.
    pub by: Option<Box<str>>,
    /// The version that whoever asks has seen; anything where it is not said. 0: there must be none yet.
    pub seen: Option<u64>,
}

/// What is needed to change overrides.
pub struct Desk<'a> {
    /// Where they are kept.
    pub store: &'a dyn Overrides,
    /// The policy of the files alone.
    pub files: &'a Snapshot,
    /// Who tells the record.
    pub witness: &'a dyn Witness,
    /// The moment at which it is done.
    pub at: Timestamp,
}

/// All overrides of a store.
#[derive(Debug, Default)]
pub struct Kept {
    /// Those that can be read, in the order of kinds and ids.
    pub documents: Vec<Override>,
    /// The others.
    pub unreadable: Vec<Unreadable>,
}

// === impl Kept ===

impl Kept {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer.
    pub async fn read(store: &dyn Overrides) -> Result<Self, StoreError> {
        let mut kept = Self::default();
        for document in store.all().await? {
            match document {
                Ok(document) => kept.documents.push(document),
                Err(fault) => kept.unreadable.push(fault),
            }
        }
        Ok(kept)
    }

    /// The one about this principal.
    pub fn of(&self, principal: &Principal) -> Option<&Override> {
        self.documents.iter().find(|document| document.principal == *principal)
    }

    /// These files with what counts at this moment, and the faults of what is set aside.
    pub fn over(&self, files: &Snapshot, at: Timestamp) -> (Snapshot, Vec<crate::policy::overrides::Faulty>) {
        let counting: Vec<_> = self.documents.iter().filter(|document| document.counts_at(at)).map(document).collect();
        let unreadable = self.unreadable.iter().filter(|of| of.is_active).filter_map(|of| of.of.clone());
        files.with_all_overrides(&counting, &unreadable.collect::<Vec<_>>())
    }

    /// The faults of each document as if all of them counted, by whom it is about.
    pub fn faults(&self, files: &Snapshot) -> Vec<(Principal, Report)> {
        let all: Vec<_> = self.documents.iter().map(document).collect();
        let (_, faulty) = files.with_overrides(&all);
        faulty.into_iter().map(|faulty| (faulty.principal, faulty.report)).collect()
    }
}

// === impl Desk ===

impl Desk<'_> {
    /// Makes an override, or changes the one there is. Where nothing changes, nothing is told and nothing is written.
    ///
    /// # Errors
    /// [`Refused`]; nothing was changed then.
    pub async fn change(&self, principal: &Principal, change: Change) -> Result<Override, Refused> {
        let kept = Kept::read(self.store).await?;
        let before = kept.of(principal);
        seen(principal, before, change.seen)?;
        let says_something_new = change.overrides.is_some();
        let mut after = self.changed(principal, before, change)?;
        if before.is_some_and(|before| says_the_same(before, &after)) {
            return Ok(after);
        }
        // What does not count decides nothing: an override that has come to be faulty can always be switched off.
        if after.is_active || says_something_new {
            self.check(&kept, &after)?;
        }
        after.config_version = self.store.draw().await?;
        let about = About::OverrideSet { principal: named(principal), before: before.map(told), after: told(&after) };
        let (action, user) = (Happened::OverrideSet, user(principal));
        let event = self.witness.tell(action, user, about).await.map_err(Refused::Failed)?;
        let expected = before.map_or(Expected::None, |before| Expected::Version(before.config_version));
        match self.store.put(&after, expected).await {
            Ok(()) => Ok(after),
            Err(fault) => Err(self.take_back(action, user, event, fault).await),
        }
    }

    /// Removes an override; of several about one principal the first, and one that cannot be read when there is no other.
    ///
    /// # Errors
    /// [`Refused`]; nothing was removed then.
    pub async fn remove(&self, principal: &Principal, version: Option<u64>) -> Result<(), Refused> {
        let kept = Kept::read(self.store).await?;
        let before = kept.of(principal);
        let is_its = |of: &Principal| {
            of == principal
                || (of.kind == Kind::User && of.kind == principal.kind && of.id.eq_ignore_ascii_case(&principal.id))
        };
        if before.is_none() && !kept.unreadable.iter().any(|fault| fault.of.as_ref().is_some_and(is_its)) {
            return Err(Refused::Missing(principal.clone()));
        }
        seen(principal, before, version)?;
        let about =
            About::OverrideRemoved { principal: named(principal), before: before.map_or_else(told_unreadable, told) };
        let (action, user) = (Happened::OverrideRemoved, user(principal));
        let event = self.witness.tell(action, user, about).await.map_err(Refused::Failed)?;
        let removed = match before {
            Some(before) => self.store.remove(principal, before.config_version).await,
            None => self.store.clear(principal).await.map(|_count| ()).map_err(Unchanged::Store),
        };
        match removed {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.take_back(action, user, event, fault).await),
        }
    }

    fn changed(&self, principal: &Principal, before: Option<&Override>, change: Change) -> Result<Override, Refused> {
        let new = || Override {
            principal: principal.clone(),
            priority: principal.kind.priority(),
            overrides: Map::new(),
            is_active: true,
            config_version: 0,
            updated_at: self.at,
            updated_by: None,
            note: None,
            expires_at: None,
        };
        let missing = before.is_none() && change.overrides.is_none();
        let mut after =
            if missing { Err(Refused::Missing(principal.clone())) } else { Ok(before.cloned().unwrap_or_else(new)) }?;
        if let Some(overrides) = change.overrides {
            after.overrides = overrides;
        }
        after.priority = change.priority.unwrap_or(after.priority);
        after.is_active = change.active.unwrap_or(after.is_active);
        after.expires_at = change.until.unwrap_or(after.expires_at);
        after.note = change.note.or(after.note);
        (after.updated_at, after.updated_by) = (self.at, change.by);
        Ok(after)
    }

    /// Whether a document can be put beside the others.
    fn check(&self, kept: &Kept, after: &Override) -> Result<(), Refused> {
        after.check_size().map_err(Refused::Failed)?;
        let before: HashSet<Principal> = kept.faults(self.files).into_iter().map(|(of, _)| of).collect();
        let others = kept.documents.iter().filter(|document| document.principal != after.principal);
        let with = Kept { documents: others.cloned().chain([after.clone()]).collect(), unreadable: Vec::new() };
        let mut report = Report::new();
        for (of, faults) in with.faults(self.files) {
            if of == after.principal || !before.contains(&of) {
                report.merge(faults);
            }
        }
        if report.has_errors() { Err(Refused::Faulty(report)) } else { Ok(()) }
    }

    async fn take_back(&self, action: Happened, user: Option<&str>, event: Uuid, fault: Unchanged) -> Refused {
        let why = self.witness.take_back(action, user, event, fault.to_string()).await;
        match fault {
            Unchanged::Overtaken => Refused::Overtaken(why),
            Unchanged::Store(_) => Refused::Failed(why),
        }
    }
}

/// A document as the policy has it.
pub fn document(document: &Override) -> Document {
    Document {
        principal: document.principal.clone(),
        priority: document.priority,
        version: document.config_version,
        text: Arc::from(document.text()),
    }
}

// === helpers ===

fn seen(principal: &Principal, before: Option<&Override>, wanted: Option<u64>) -> Result<(), Refused> {
    let found = before.map_or(0, |before| before.config_version);
    match wanted {
        Some(wanted) if wanted != found => Err(Refused::AnotherVersion { of: principal.clone(), found, wanted }),
        _ => Ok(()),
    }
}

fn says_the_same(before: &Override, after: &Override) -> bool {
    before.text() == after.text()
        && before.priority == after.priority
        && before.is_active == after.is_active
        && before.expires_at == after.expires_at
        && before.note == after.note
}

fn user(principal: &Principal) -> Option<&str> {
    (principal.kind == Kind::User).then_some(&*principal.id)
}

fn named(principal: &Principal) -> PrincipalTold {
    PrincipalTold { kind: principal.kind.as_str(), id: principal.id.clone() }
}

/// What can be told of an override that cannot be read.
fn told_unreadable() -> OverrideTold {
    OverrideTold {
        config_version: 0,
        priority: 0,
        state: "unreadable",
        expires_at: None,
        overrides: "null".into(),
        note: None,
    }
}

fn told(document: &Override) -> OverrideTold {
    OverrideTold {
        config_version: document.config_version,
        priority: document.priority,
        state: if document.is_active { "active" } else { "inactive" },
        expires_at: document.expires_at,
        overrides: document.text().into(),
        note: document.note.clone(),
    }
}
