//! Verification: whether a record is what was written. It reads each line once, in the order of its chain, and keeps nothing of an entry but what the next one is held
//! against: memory grows with heads (some 100 bytes each, of one instance at a time) and not with entries.
//!
//! For each instance, in ascending order: its heads by number, its audit entries by seq, its usage entries by seq.
//!
//! What vouches for an entry is a signed head at or after it, and an unbroken chain from it to there. What no head vouches for counts as nothing: an event that
//! tells of a gap or of an erasure is believed only where a head covers it.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::heads::{Head, Public};
use super::line::{Kind, Line};
use super::link::{Hash, Link};

mod beginnings;
mod erasures;
mod files;
mod finding;
mod heads;
mod instance;
mod item;
mod known;
mod missing;
mod report;
mod walk;

use erasures::Erasures;
use finding::Findings;
use instance::Instance;
use missing::Missing;

pub use files::{Files, FilesFault};
pub use finding::{Finding, What};
pub use known::Known;
pub use report::{Chained, Report};

/// An entry's time is when its request arrived, and it is written when its turn is settled: up to a day after, and some hours for holds. What is missing about the
/// time from which entries expire is taken as expired within this span.
const DISORDER: SignedDuration = SignedDuration::from_hours(30);
/// A head is due every minute: an entry that was written longer ago than this has one after it. Clocks may differ by as much.
const GRACE: SignedDuration = SignedDuration::from_mins(2);
/// A head is due after 1,000 entries, and comes with the round of at most 1,024 that made them so many.
pub const UNSIGNED: u64 = 999 + 1_024;

/// What is believed from the start.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The public keys of all whose heads count: those of earlier keys too.
    pub keys: Vec<Public>,
    /// Heads that are known from elsewhere (the log): they must be there.
    pub seen: Vec<Seen>,
    /// Heads that entries of the record name: they must be there, too.
    pub known: Vec<Known>,
}

/// A head as the log told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose head.
    pub instance: Uuid,
    /// Its number.
    pub number: u64,
    /// SHA-256 of its text.
    pub hash: Hash,
}

/// For how long lines of each kind are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Audit entries.
    pub audit: Expiry,
    /// Usage entries.
    pub usage: Expiry,
    /// Heads.
    pub heads: Expiry,
}

/// What may be missing because of its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing.
    Never,
    /// What is older than this, as heads tell.
    After(SignedDuration),
    /// The beginning of each chain, however long: an export has a part of the record.
    Unknown,
}

/// Verifies one record.
pub struct Verifier {
    facts: Facts,
    at: Option<Instance>,
    notes: Notes,
    /// Sums by day without a name, of which events must still tell.
    nameless: u64,
    report: Report,
}

/// What is noted on the way.
#[derive(Default)]
struct Notes {
    findings: Findings,
    erasures: Erasures,
    /// Of one instance.
    missing: Missing,
    /// What has no head that is due, unless that is on its way.
    overdue: Vec<Overdue>,
    /// Entries after the last heads.
    late: u64,
    /// When the first audit entry or head was made that is in a chain.
    began: Option<Timestamp>,
}

/// The last entries of a chain, whose head is due.
#[derive(Debug)]
struct Overdue {
    instance: Uuid,
    /// The number of the last good head.
    head: u64,
    count: u64,
    finding: Finding,
}

/// What stays the same during a verification.
#[derive(Debug)]
struct Facts {
    keys: HashMap<Box<str>, Public>,
    seen: Vec<Seen>,
    known: Vec<Known>,
    keep: Keep,
    now: Timestamp,
    /// When the record was read out: what was written shortly before may have no head yet.
    read: Timestamp,
}

// === impl Verifier ===

impl Verifier {
    /// Begins; `now` is the time at which what is missing must have been expired.
    pub fn new(trust: Trust, keep: Keep, now: Timestamp) -> Self {
        let keys = trust.keys.into_iter().map(|key| (key.id().into(), key)).collect();
        Self {
            facts: Facts { keys, seen: trust.seen, known: trust.known, keep, now, read: now },
            at: None,
            notes: Notes::default(),
            nameless: 0,
            report: Report::default(),
        }
    }

    /// The record was read out at this time, and not now: it lies in files.
    pub fn read_at(&mut self, at: Timestamp) {
        self.facts.read = at.min(self.facts.now);
    }

    /// A store is read while others write to it: what comes now is read at this time.
    pub fn goes_on(&mut self, now: Timestamp) {
        (self.facts.now, self.facts.read) = (now, now);
    }

    /// The instances whose last entries have no head that is due, when all chains are read.
    pub fn overdue(&self) -> Vec<Uuid> {
        let mut instances: Vec<Uuid> = self.notes.overdue.iter().map(|overdue| overdue.instance).collect();
        instances.dedup();
        instances
    }

    /// Takes the head that an instance has now. One that came while the record was read tells that a store is catching up, as after an outage:
    /// what has no head yet is no finding then.
    pub fn came(&mut self, line: &Line) {
        let Ok(head) = Head::read(&line.text) else { return };
        if !self.facts.keys.get(&head.key).is_some_and(|key| head.is_signed_by(key)) {
            return;
        }
        let on_its_way = |overdue: &mut Overdue| overdue.instance == head.instance && overdue.head < head.number;
        for Overdue { count, .. } in self.notes.overdue.extract_if(.., on_its_way) {
            self.report.behind = self.report.behind.saturating_add(count);
        }
    }

    /// Goes on to the next instance: a higher one than all before.
    pub fn instance(&mut self, instance: Uuid) {
        self.close();
        let seen = self.facts.seen.iter().filter(|seen| seen.instance == instance).copied().collect();
        let known = self.facts.known.iter().filter(|known| known.instance == instance).copied().collect();
        self.at = Some(Instance::new(instance, seen, known));
    }

    /// Takes the instance's next line: first heads by number, then audit entries, then usage entries by seq. A line before the first instance
    /// belongs to no chain, and is a finding.
    pub fn take(&mut self, line: &Line) {
        match &mut self.at {
            Some(instance) => instance.take(line, &self.facts, &mut self.notes),
            None => self.unreadable(Some(line), "it is of no instance"),
        }
    }

    /// Takes an entry that is in no chain, when all chains are read. From before the first chained one nothing vouches for it; since then all
    /// entries are chained, and it was put in.
    pub fn unchained(&mut self, line: &Line) {
        self.report.unchained = self.report.unchained.saturating_add(1);
        self.report.newest_unchained = self.report.newest_unchained.max(Some(line.at));
        if self.notes.began.is_some_and(|began| line.at >= began) {
            let why = "it is in no chain, and since the first that is in one, all entries are".to_owned();
            let finding = Finding { kind: Some(line.kind), order: line.at, ..Finding::new(What::Inserted, why) };
            self.notes.findings.push(finding.entry(line.id, line.at));
        }
    }

    /// Takes a line that the store finds by something else than its text says: the names of what differs.
    pub fn misplaced(&mut self, line: &Line, differs: &[Box<str>]) {
        let why = format!(
            "the store has copies beside its text that say something else, so that it is not found by what it says: {}",
            differs.join(", ")
        );
        let link = Link::read(&line.text).ok();
        let finding = Finding {
            kind: Some(line.kind),
            instance: link.as_ref().map(|link| link.instance),
            seq: link.map(|link| (link.seq, link.seq)),
            order: line.at,
            ..Finding::new(What::Edited, why)
        };
        self.notes.findings.push(finding.entry(line.id, line.at));
    }

    /// Takes what was found of the sums of a day: how many users' are good, are not all added up yet, have nothing that vouches for them, and
    /// are wrong.
    pub fn sums(&mut self, day: &str, (good, behind, alone): (u64, u64, u64), wrong: &[(Box<str>, String)]) {
        let report = &mut self.report;
        report.sums = report.sums.saturating_add(good);
        report.sums_behind = report.sums_behind.saturating_add(behind);
        report.sums_alone = report.sums_alone.saturating_add(alone);
        for (user, why) in wrong {
            // What is wrong with entries comes first: sums follow from them.
            let finding = Finding::new(What::Sums, format!("of user {user} on {day}: {why}"));
            self.notes.findings.push(Finding { order: Timestamp::MAX, ..finding });
        }
    }

    /// Takes how many sums have no name of which the erasures cannot have expired.
    pub fn sums_erased(&mut self, count: u64) {
        self.nameless = self.nameless.saturating_add(count);
    }

    /// Ends the instance that is being read: what comes then is in no chain.
    pub fn chains_read(&mut self) {
        self.close();
    }

    /// Takes a line that cannot be read: what it is and where it stands.
    pub fn unreadable(&mut self, line: Option<&Line>, why: &str) {
        let mut finding = Finding::new(What::Unreadable, why.to_owned());
        finding.kind = line.map(|line| line.kind);
        finding.id = line.map(|line| line.id);
        finding.at = line.map(|line| line.at);
        self.notes.findings.push(finding);
    }

    /// Ends, and says what was found.
    pub fn finish(mut self) -> Report {
        self.close();
        let heads = self
            .facts
            .seen
            .iter()
            .filter(|seen| !self.report.chains.iter().any(|chain| chain.instance == seen.instance));
        for seen in heads.copied().collect::<Vec<_>>() {
            self.notes.findings.push(heads::unseen(&seen));
        }
        let chains = &self.report.chains;
        let known =
            self.facts.known.iter().filter(|known| !chains.iter().any(|chain| chain.instance == known.instance));
        // One is enough of each instance that is gone: the last that is named.
        let mut gone: BTreeMap<Uuid, &Known> = BTreeMap::new();
        for known in known.filter(|known| known.is_missed(&self.facts)) {
            let last = gone.entry(known.instance).or_insert(known);
            if known.number > last.number {
                *last = known;
            }
        }
        gone.values().for_each(|known| self.notes.findings.push(known.finding(true)));
        let Notes { findings, erasures, overdue, late, .. } = &mut self.notes;
        overdue.drain(..).for_each(|overdue| findings.push(overdue.finding));
        if let Some(told) = erasures.days().filter(|told| *told < self.nameless) {
            let why = format!("{} are of erased users, and the erasures tell of {told}", self.nameless);
            findings.push(Finding { order: Timestamp::MAX, ..Finding::new(What::Sums, why) });
        }
        self.report.late = *late;
        self.report.erasures = erasures.close(&self.facts, self.report.expired() > 0, findings);
        self.report.take_findings(std::mem::take(findings));
        self.report
    }

    fn close(&mut self) {
        if let Some(instance) = self.at.take() {
            instance.close(&self.facts, &mut self.notes, &mut self.report);
        }
    }
}

impl Notes {
    /// Something was in a chain at this time.
    fn chained(&mut self, at: Timestamp) {
        self.began = Some(self.began.map_or(at, |began| began.min(at)));
    }
}

impl Facts {
    /// What was written until then may have expired; none where nothing may.
    fn limit(&self, kind: Kind) -> Option<Timestamp> {
        match self.expiry(kind) {
            Expiry::Never => None,
            Expiry::After(time) => Some(
                self.now
                    .saturating_sub(time)
                    .unwrap_or(Timestamp::MIN)
                    .saturating_add(DISORDER)
                    .unwrap_or(Timestamp::MAX),
            ),
            Expiry::Unknown => Some(Timestamp::MIN),
        }
    }

    fn expiry(&self, kind: Kind) -> Expiry {
        match kind {
            Kind::Audit => self.keep.audit,
            Kind::Usage => self.keep.usage,
            Kind::Head => self.keep.heads,
        }
    }
}

#[cfg(test)]
mod tests;
