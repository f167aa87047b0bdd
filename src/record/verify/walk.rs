//! One chain, entry by entry. An entry is judged when the next one is there: where two claim the same number, the next one tells which is right.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::{Kind, Line};
use super::super::link::Hash;
use super::erasures::Place;
use super::finding::{Finding, What};
use super::heads::Anchor;
use super::item::{Event, Item, written};
use super::missing::Stretch;
use super::report::Chained;
use super::{Facts, Notes};

mod fit;

/// So many entries with one number are weighed; what is more is inserted at once.
const RIVALS: usize = 8;

/// A chain that is being read.
#[derive(Debug)]
pub(super) struct Walk {
    kind: Kind,
    instance: Uuid,
    /// What the heads say, by number, of which so many are behind us.
    anchors: Vec<Anchor>,
    passed: usize,
    /// Entries with the same number that are not judged yet, and how many lines before them could not be read.
    held: Vec<Item>,
    held_after: u64,
    unread: u64,
    /// The number that is next.
    next: u64,
    /// The hash of the entry before; none where it is not known.
    prev: Option<Hash>,
    /// The entry before.
    last: Option<Place>,
    order: Timestamp,
    /// Up to here a head vouches.
    fixed: Option<Anchor>,
    /// The link to the entry before is broken: which side is false, the next head tells.
    broken: Option<Broken>,
    /// A head did not fit, and was told of: those after it do not either.
    adrift: bool,
    /// Events, and from which on no head covers them yet.
    pub(super) told: Vec<Told>,
    open: usize,
    entries: u64,
    erased: u64,
    /// Entries since the last head that fitted, and those that no head can vouch for any more.
    tail: u64,
    severed: u64,
    span: Option<(u64, u64)>,
    /// What comes after the last head.
    late: Option<Late>,
}

/// Entries after the last head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    /// Number of the first.
    pub(super) from: u64,
    pub(super) count: u64,
    /// When they were written, the one longest ago and the last, as far as they say so.
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
}

/// An event about the record.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) event: Event,
    pub(super) covered: bool,
}

#[derive(Clone, Copy, Debug)]
struct Broken {
    /// The entry that names another hash than that of the one before it.
    after: Place,
    /// The one before it.
    before: Option<Place>,
}

// === impl Walk ===

impl Walk {
    pub(super) fn new(kind: Kind, instance: Uuid, anchors: Vec<Anchor>) -> Self {
        Self {
            kind,
            instance,
            anchors,
            passed: 0,
            held: Vec::new(),
            held_after: 0,
            unread: 0,
            next: 1,
            prev: Some(Hash::ZERO),
            last: None,
            order: Timestamp::MIN,
            fixed: None,
            broken: None,
            adrift: false,
            told: Vec::new(),
            open: 0,
            entries: 0,
            erased: 0,
            tail: 0,
            severed: 0,
            span: None,
            late: None,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// When the last entry was written, about.
    pub(super) fn order(&self) -> Timestamp {
        self.order
    }

    /// What comes after the last head.
    pub(super) fn late(&self) -> Option<Late> {
        self.late
    }

    pub(super) fn take(&mut self, line: &Line, facts: &Facts, notes: &mut Notes) {
        let item = match Item::read(line, self.instance, facts) {
            Ok(item) => item,
            Err(why) => {
                let seq = self.held.first().map_or(self.next, |held| held.link.seq + 1) + self.unread;
                self.unread += 1;
                notes.findings.push(self.finding(What::Unreadable, (seq, seq), why).entry(line.id, line.at));
                return;
            }
        };
        if self.anchors.last().is_none_or(|last| item.link.seq > last.seq) {
            self.came_late(item.link.seq, written(line));
        }
        match self.held.first().map(|held| held.link.seq) {
            Some(seq) if item.link.seq == seq && self.held.len() < RIVALS => self.held.push(item),
            Some(seq) if item.link.seq == seq => self.inserted(&item, &self.held, notes),
            Some(seq) if item.link.seq < seq => {
                let why = format!("it comes after entry {seq}");
                notes.findings.push(Place::of(self.kind, self.instance, &item).finding(What::Reordered, why));
            }
            _ => {
                self.judge(Some(&item), notes);
                self.held.push(item);
                (self.held_after, self.unread) = (self.unread, 0);
            }
        }
    }

    fn came_late(&mut self, seq: u64, at: Timestamp) {
        let late = self.late.get_or_insert(Late { from: seq, count: 0, oldest: at, newest: at });
        late.count = late.count.saturating_add(1);
        (late.oldest, late.newest) = (late.oldest.min(at), late.newest.max(at));
    }

    pub(super) fn close(&mut self, notes: &mut Notes) {
        self.judge(None, notes);
        self.untie(notes);
        if let Some(Anchor { seq, .. }) = self.anchors.last().copied()
            && seq >= self.next
            && seq - self.next + 1 > self.unread
        {
            self.miss(seq, notes);
        }
    }

    pub(super) fn chained(&self) -> Chained {
        Chained {
            instance: self.instance,
            kind: self.kind,
            entries: self.entries,
            erased: self.erased,
            lost: 0,
            expired: 0,
            span: self.span,
            covered: self.fixed.map(|anchor| (anchor.seq, anchor.at)),
            uncovered: self.tail.saturating_add(self.severed),
        }
    }

    /// Judges what is held: which of it is the entry of this number, and how it stands to the one before.
    fn judge(&mut self, following: Option<&Item>, notes: &mut Notes) {
        let mut rivals = std::mem::take(&mut self.held);
        let Some(seq) = rivals.first().map(|item| item.link.seq) else { return };
        let anchor = self.anchor(seq);
        let named = following.filter(|item| item.is_whole() && item.link.seq == seq + 1).map(|item| item.link.prev);
        let fits = |item: &Item| {
            let hash = item.link.hash;
            (
                item.is_whole(),
                anchor.is_some_and(|anchor| anchor.hash == hash),
                named == Some(hash),
                self.prev == Some(item.link.prev),
            )
        };
        let best = rivals.iter().enumerate().rev().max_by_key(|(_, item)| fits(item)).map_or(0, |(place, _)| place);
        let item = rivals.swap_remove(best);
        for rival in &rivals {
            self.inserted(rival, std::slice::from_ref(&item), notes);
        }
        self.leap(seq, notes);
        self.step(&item, anchor, named, notes);
    }

    /// The head about the entry of this number.
    fn anchor(&mut self, seq: u64) -> Option<Anchor> {
        while self.anchors.get(self.passed).is_some_and(|anchor| anchor.seq < seq) {
            self.passed += 1;
        }
        self.anchors.get(self.passed).filter(|anchor| anchor.seq == seq).copied()
    }

    /// Notes what is missing before this number.
    fn leap(&mut self, seq: u64, notes: &mut Notes) {
        if seq > self.next {
            if seq - self.next > self.held_after {
                self.miss(seq - 1, notes);
            }
            // A head about the last of them tells its hash.
            let known = self.passed.checked_sub(1).and_then(|place| self.anchors.get(place));
            self.prev = known.filter(|anchor| anchor.seq + 1 == seq).map(|anchor| anchor.hash);
            self.sever(notes);
        }
    }

    /// All up to this number is missing.
    fn miss(&self, to: u64, notes: &mut Notes) {
        let stretch = Stretch { kind: self.kind, from: self.next, to, since: self.since(), order: self.order };
        notes.missing.note(self.instance, stretch, &mut notes.findings);
    }

    /// No head after this place can vouch for what is before it.
    fn sever(&mut self, notes: &mut Notes) {
        self.untie(notes);
        self.open = self.told.len();
        self.severed = self.severed.saturating_add(self.tail);
        self.tail = 0;
    }

    /// Goes one entry on.
    fn step(&mut self, item: &Item, anchor: Option<Anchor>, named: Option<Hash>, notes: &mut Notes) {
        let place = Place::of(self.kind, self.instance, item);
        let seq = item.link.seq;
        self.entries += 1;
        self.tail += 1;
        self.span = Some((self.span.map_or(seq, |span| span.0), seq));
        self.next = seq.saturating_add(1);
        if let Some((what, why)) = &item.fault {
            notes.findings.push(Finding { order: self.order, ..place.finding(*what, why.clone()) });
            self.prev = None;
            self.sever(notes);
            self.last = Some(place);
            return;
        }
        if self.prev.is_some_and(|prev| prev != item.link.prev) {
            self.broke(place, notes);
        }
        self.last = Some(place);
        self.prev = Some(item.link.hash);
        if let Some(erased) = &item.link.erased {
            self.erased += 1;
            notes.erasures.count(erased.by, place, item.link.hash);
        }
        if let Some(event) = &item.event {
            self.told.push(Told { place, event: event.clone(), covered: false });
        }
        self.order = self.order.max(item.at);
        if self.kind == Kind::Audit {
            notes.chained(item.at);
        }
        if let Some(anchor) = anchor {
            self.anchored(place, anchor, item.link.hash, named, notes);
        }
    }

    /// One that is not the entry of its number.
    fn inserted(&self, item: &Item, genuine: &[Item], notes: &mut Notes) {
        let copy = genuine.iter().any(|other| other.link == item.link && other.id == item.id && item.is_whole());
        let why = if copy {
            "it is there twice"
        } else {
            "it has the number of another entry, which fits the chain as this one does not"
        };
        let place = Place::of(self.kind, self.instance, item);
        notes.findings.push(Finding { order: self.order, ..place.finding(What::Inserted, why.to_owned()) });
    }

    fn finding(&self, what: What, seq: (u64, u64), why: String) -> Finding {
        Finding::about(what, self.kind, self.instance, seq, self.order, why)
    }
}
