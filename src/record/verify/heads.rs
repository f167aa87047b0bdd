//! The heads of one instance: each signed by a trusted key, numbered without gaps, and about the one before it.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::chain::End;
use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::Hash;
use super::finding::{Finding, Findings, What};
use super::missing::Stretch;
use super::{Expiry, Facts, Known, Notes, Seen};

/// A signed statement about one chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) seq: u64,
    pub(super) hash: Hash,
    /// The head's number.
    pub(super) head: u64,
    /// The head's time.
    pub(super) at: Timestamp,
}

/// The heads as they come.
#[derive(Debug)]
pub(super) struct Heads {
    instance: Uuid,
    /// What the heads say of each chain; where a chain did not move, the first.
    pub(super) audit: Vec<Anchor>,
    pub(super) usage: Vec<Anchor>,
    /// Good heads.
    pub(super) good: u64,
    /// The number that is next.
    next: u64,
    /// The last head's hash; none where it is not known.
    last: Option<Hash>,
    /// Heads since the last good one that are not.
    bad: u64,
    order: Timestamp,
    /// Up to these numbers lines may have expired: heads, audit entries, usage entries.
    horizon: (u64, u64, u64),
    seen: Vec<Seen>,
    known: Vec<Known>,
    /// Something else than a prefix is missing.
    stood: bool,
}

// === impl Heads ===

impl Heads {
    pub(super) fn new(instance: Uuid, seen: Vec<Seen>, known: Vec<Known>) -> Self {
        Self {
            instance,
            audit: Vec::new(),
            usage: Vec::new(),
            good: 0,
            next: 1,
            last: Some(Hash::ZERO),
            bad: 0,
            order: Timestamp::MIN,
            horizon: (0, 0, 0),
            seen,
            known,
            stood: false,
        }
    }

    /// All lines of this kind up to this number may have expired.
    pub(super) fn horizon(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Head => self.horizon.0,
            Kind::Audit => self.horizon.1,
            Kind::Usage => self.horizon.2,
        }
    }

    pub(super) fn take(&mut self, line: &Line, facts: &Facts, notes: &mut Notes) {
        let hash = Hash::of(line.text.as_bytes());
        match self.read(line, facts) {
            Ok(head) if head.number < self.next => self.repeated(&head, hash, &mut notes.findings),
            Ok(head) => self.good(&head, hash, facts, notes),
            Err((what, number, why)) => {
                self.bad += 1;
                let number = number.unwrap_or(self.next + self.bad - 1);
                let finding = Finding::about(what, Kind::Head, self.instance, (number, number), self.order, why);
                notes.findings.push(finding.entry(line.id, line.at));
            }
        }
    }

    /// The number of the last good head; 0 where there is none.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// After the last head: what the log has seen must have been there.
    pub(super) fn close(&mut self, facts: &Facts, out: &mut Findings) {
        let missed = |known: &&Known| known.number > self.horizon.0 && known.is_missed(facts);
        // One is enough: who names an earlier one names what was before it.
        if let Some(known) = self.known.iter().filter(missed).max_by_key(|known| known.number) {
            out.push(known.finding(false));
        }
        for seen in self.seen.drain(..).filter(|seen| seen.number > self.horizon.0) {
            out.push(unseen(&seen));
        }
    }

    fn read(&self, line: &Line, facts: &Facts) -> Result<Head, (What, Option<u64>, String)> {
        let head = Head::read(&line.text).map_err(|fault| (What::Unreadable, None, fault.to_string()))?;
        if head.instance != self.instance || (head.id, head.at) != (line.id, line.at) {
            let why = "the store finds it by another instance, id or time than its text has".to_owned();
            return Err((What::Edited, Some(head.number), why));
        }
        let Some(key) = facts.keys.get(&head.key) else {
            let why = format!("it is signed with the key {}, which is not trusted", head.key);
            return Err((What::Key, Some(head.number), why));
        };
        if !head.is_signed_by(key) {
            let why = format!("its signature is not that of the key {}: it was changed or forged", head.key);
            return Err((What::Signature, Some(head.number), why));
        }
        Ok(head)
    }

    fn good(&mut self, head: &Head, hash: Hash, facts: &Facts, notes: &mut Notes) {
        let instance = self.instance;
        let about = |what, why: String| {
            let number = (head.number, head.number);
            Finding::about(what, Kind::Head, instance, number, head.at, why).entry(head.id, head.at)
        };
        if head.number > self.next {
            if head.number - self.next > self.bad {
                let (from, to) = (self.next, head.number - 1);
                let stretch = Stretch { kind: Kind::Head, from, to, since: from, order: self.order };
                notes.missing.note(self.instance, stretch, &mut notes.findings);
            }
            self.last = None;
        }
        if self.last.is_some_and(|last| last != head.prev) && self.bad == 0 {
            notes.findings.push(about(
                What::Head,
                "it was made after another head than the one before it: two histories have the same key".to_owned(),
            ));
        }
        let back = |anchors: &[Anchor], end: &End| {
            anchors.last().is_some_and(|last| end.seq < last.seq || end.seq == last.seq && end.hash != last.hash)
        };
        if back(&self.audit, &head.audit) || back(&self.usage, &head.usage) {
            notes.findings.push(about(
                What::Head,
                "it takes back what the head before it said: two histories have the same key".to_owned(),
            ));
        }
        self.widen(head, facts);
        notes.chained(head.at);
        let anchor = |end: &End| Anchor { seq: end.seq, hash: end.hash, head: head.number, at: head.at };
        add(&mut self.audit, anchor(&head.audit));
        add(&mut self.usage, anchor(&head.usage));
        if let Some(place) = self.seen.iter().position(|seen| seen.number == head.number) {
            let seen = self.seen.swap_remove(place);
            if seen.hash != hash {
                notes
                    .findings
                    .push(about(What::Head, format!("the log told of another head with this number: {}", seen.hash)));
            }
        }
        for known in self.known.extract_if(.., |known| known.number == head.number) {
            if known.hash != hash {
                let why = format!("entry {} tells of another head with this number: {}", known.by, known.hash);
                notes.findings.push(about(What::Head, why));
            }
        }
        (self.good, self.bad, self.stood) = (self.good + 1, 0, true);
        (self.next, self.last, self.order) = (head.number.saturating_add(1), Some(hash), head.at);
    }

    /// What this head shows to be old enough to have expired. The first that is there also tells of the one before it.
    fn widen(&mut self, head: &Head, facts: &Facts) {
        let old = |kind, at: Timestamp| facts.limit(kind).is_some_and(|limit| at <= limit);
        if !self.stood
            && let Some(since) = head.since
        {
            if old(Kind::Head, since.at) || facts.expiry(Kind::Head) == Expiry::Unknown {
                self.horizon.0 = head.number - 1;
            }
            if old(Kind::Audit, since.at) {
                self.horizon.1 = since.audit;
            }
            if old(Kind::Usage, since.at) {
                self.horizon.2 = since.usage;
            }
        }
        if old(Kind::Audit, head.at) {
            self.horizon.1 = self.horizon.1.max(head.audit.seq);
        }
        if old(Kind::Usage, head.at) {
            self.horizon.2 = self.horizon.2.max(head.usage.seq);
        }
    }

    fn repeated(&self, head: &Head, hash: Hash, out: &mut Findings) {
        let number = (head.number, head.number);
        let (what, why) = if self.last == Some(hash) {
            (What::Inserted, "it is there twice")
        } else if head.number + 1 == self.next {
            (What::Head, "there are two heads with this number: two histories have the same key")
        } else {
            (What::Reordered, "it comes after a head with a higher number")
        };
        let finding = Finding::about(what, Kind::Head, self.instance, number, head.at, why.to_owned());
        out.push(finding.entry(head.id, head.at));
    }
}

/// Adds an anchor where its chain has moved.
fn add(anchors: &mut Vec<Anchor>, anchor: Anchor) {
    if anchor.seq > anchors.last().map_or(0, |last| last.seq) {
        anchors.push(anchor);
    }
}

/// A head that the log told of is not there.
pub(super) fn unseen(seen: &Seen) -> Finding {
    let why = format!("the log told of it, with the hash {}, and it is gone", seen.hash);
    let number = (seen.number, seen.number);
    Finding::about(What::HeadsMissing, Kind::Head, seen.instance, number, Timestamp::MAX, why)
}
