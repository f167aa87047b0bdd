//! One entry as verification sees it: its link, whether it is whole, and what it tells of the record itself.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use super::super::chain::{statement, tombstone_text};
use super::super::line::{Kind, Line};
use super::super::link::{Hash, Link};
use super::beginnings::Beginning;
use super::finding::What;
use super::{DISORDER, Facts};

/// What is kept of an entry until the next one is there.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: Uuid,
    pub(super) at: Timestamp,
    pub(super) link: Link,
    /// What is wrong with it by itself.
    pub(super) fault: Option<(What, String)>,
    /// What it tells of the record.
    pub(super) event: Option<Event>,
}

/// An event about the record itself.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Lines of this instance were lost.
    Lost { kind: Kind, from: u64, to: u64 },
    /// Lines were lost of which nobody can tell how many are of which kind.
    Beginning(Beginning),
    /// Entries were never taken.
    Dropped { audit: u64, usage: u64 },
    /// Entries were erased.
    Erased { count: u64, root: Hash, days: Option<u64> },
}

/// What an event tells: its action, and what there is to say about it.
#[derive(Deserialize)]
pub(super) struct Telling {
    pub(super) action: Box<str>,
    #[serde(default)]
    pub(super) about: serde_json::Value,
}

#[derive(Deserialize)]
struct Lost {
    kind: Kind,
    from: u64,
    to: u64,
}

#[derive(Deserialize)]
struct Dropped {
    #[serde(default)]
    audit: u64,
    #[serde(default)]
    usage: u64,
}

#[derive(Deserialize)]
struct ErasedAbout {
    count: u64,
    root: Hash,
    #[serde(default)]
    days: Option<u64>,
}

/// What an entry says of the time that passed from its own time to when it was written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Took {
    settled: Option<Timestamp>,
    time: Option<f64>,
    details: TookDetails,
    erased: Option<Uuid>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TookDetails {
    response: TookResponse,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TookResponse {
    time: Option<f64>,
}

/// When an entry was written, as far as it says so: its time is when the request arrived, and it is written when that is answered, or the turn is
/// settled. No entry can be later than so long after its time, whatever it says: where no head vouches for it, anybody may have written that.
pub(super) fn written(line: &Line) -> Timestamp {
    let Took { settled, time, details, erased } = serde_json::from_str(&line.text).unwrap_or_default();
    let took = time.or(details.response.time).filter(|time| *time > 0.0).unwrap_or_default();
    let took = SignedDuration::try_from_secs_f64(took / 1_000.0).unwrap_or_default();
    let answered = line.at.saturating_add(took).unwrap_or(Timestamp::MAX);
    let latest = line.at.saturating_add(DISORDER).unwrap_or(Timestamp::MAX);
    // A tombstone has nothing of that any more; it was there when it was erased.
    let erased = erased.and_then(|erased| erased.get_timestamp()).and_then(|time| {
        let (seconds, nanos) = time.to_unix();
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    });
    settled.into_iter().chain(erased).fold(answered, Timestamp::max).min(latest)
}

// === impl Item ===

impl Item {
    /// Reads an entry of this chain; why not, where it is none.
    pub(super) fn read(line: &Line, instance: Uuid, facts: &Facts) -> Result<Self, String> {
        let read = Line::read(&line.text).map_err(|fault| fault.to_string())?;
        let link = Link::read(&line.text).map_err(|fault| fault.to_string())?;
        if link.instance != instance {
            return Err(format!("it says that it is of instance {}", link.instance));
        }
        let mut item = Self { id: read.id, at: read.at, link, fault: None, event: None };
        item.fault = item.find_fault(line, &read, facts);
        if item.fault.is_none() && read.kind == Kind::Audit && item.link.erased.is_none() {
            item.event = Event::read(&line.text);
        }
        Ok(item)
    }

    /// Whether it is as it was kept, as far as itself can tell.
    pub(super) fn is_whole(&self) -> bool {
        self.fault.is_none()
    }

    fn find_fault(&self, line: &Line, read: &Line, facts: &Facts) -> Option<(What, String)> {
        let edited = |why: &str| Some((What::Edited, why.to_owned()));
        if (line.kind, line.id, line.at) != (read.kind, read.id, read.at) || *read.text != *line.text {
            return edited("the store finds it by another kind, id or time than its text has");
        }
        if !self.link.holds(read.kind, read.id, read.at) {
            return edited("it is not what was kept: its hash is another");
        }
        let erased = self.link.erased.as_ref()?;
        let by_hand = |why: String| Some((What::Erased, why));
        let text = tombstone_text(line, &self.link, erased.by, &erased.key, &erased.signature);
        if !text.is_ok_and(|text| text == *line.text) {
            return edited("it is not written as Tollgate writes tombstones");
        }
        let Some(key) = facts.keys.get(&erased.key) else {
            return by_hand(format!("it was erased with the key {}, which is not trusted", erased.key));
        };
        if !key.verifies(&statement(erased.by, self.link.hash), &erased.signature) {
            return by_hand("it was erased, but not by an erasure: the signature is not Tollgate's".to_owned());
        }
        None
    }
}

impl Event {
    /// What an entry tells of the record; nearly all tell nothing.
    fn read(text: &str) -> Option<Self> {
        memchr::memmem::find(text.as_bytes(), br#""action":"records."#)?;
        let Telling { action, about } = serde_json::from_str(text).ok()?;
        match &*action {
            "records.gap" => Self::gap(about),
            "records.erased" => {
                let about: ErasedAbout = serde_json::from_value(about).ok()?;
                Some(Self::Erased { count: about.count, root: about.root, days: about.days })
            }
            _ => None,
        }
    }

    /// What a gap tells, by the members it has.
    fn gap(about: serde_json::Value) -> Option<Self> {
        let has = |member: &str| about.get(member).is_some();
        if has("before") {
            return serde_json::from_value(about).ok().map(Self::Beginning);
        }
        if has("kind") {
            let Lost { kind, from, to } = serde_json::from_value(about).ok()?;
            return Some(Self::Lost { kind, from, to });
        }
        serde_json::from_value(about).ok().map(|Dropped { audit, usage }| Self::Dropped { audit, usage })
    }
}
