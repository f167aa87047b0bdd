//! Ends of instances that other instances name: what is named must be there.

use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::super::entry::LinkedEnd;
use super::super::line::{Kind, Line};
use super::super::link::{Hash, Link};
use super::finding::{Finding, What};
use super::item::Telling;
use super::{Expiry, Facts};

/// A head that an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Whose head.
    pub instance: Uuid,
    /// Its number.
    pub number: u64,
    /// SHA-256 of its text.
    pub hash: Hash,
    /// Its time.
    pub at: Timestamp,
    /// The entry that names it.
    pub by: Uuid,
}

#[derive(Deserialize)]
struct About {
    store: Box<str>,
    instances: Vec<LinkedEnd>,
}

// === impl Known ===

impl Known {
    /// What an entry names of this store, or of any; nearly all name nothing. What is in no chain names nothing: anybody could have written it.
    pub fn of(line: &Line, store: Option<&str>) -> Vec<Self> {
        let read = || {
            memchr::memmem::find(line.text.as_bytes(), br#""action":"records.linked""#)?;
            let Telling { action, about } = serde_json::from_str(&line.text).ok()?;
            let About { store: named, instances } = serde_json::from_value(about).ok()?;
            let taken = &*action == "records.linked" && store.is_none_or(|store| store == &*named);
            let link = Link::read(&line.text).ok().filter(|link| taken && link.holds(line.kind, line.id, line.at))?;
            Some((link.instance, instances))
        };
        let known = |LinkedEnd { instance, number, head, timestamp }: LinkedEnd| Self {
            instance,
            number,
            hash: head,
            at: timestamp,
            by: line.id,
        };
        read().map(|(_, instances)| instances.into_iter().map(known).collect()).unwrap_or_default()
    }

    /// It must be there, and is not.
    pub(super) fn is_missed(&self, facts: &Facts) -> bool {
        // A file may have a part of the record.
        facts.expiry(Kind::Head) != Expiry::Unknown && facts.limit(Kind::Head).is_none_or(|limit| self.at > limit)
    }

    pub(super) fn finding(&self, whole: bool) -> Finding {
        let gone = if whole { "the whole instance is gone" } else { "it is gone" };
        let why = format!("entry {} tells that it was there, with the hash {}, and {gone}", self.by, self.hash);
        let number = (self.number, self.number);
        Finding::about(What::HeadsMissing, Kind::Head, self.instance, number, self.at, why)
    }
}
