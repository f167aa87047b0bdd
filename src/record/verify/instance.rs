//! One instance: its heads, then its two chains.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::{Kind, Line};
use super::finding::{Finding, What};
use super::heads::Heads;
use super::item::Event;
use super::report::{Chained, Report};
use super::walk::{Late, Told, Walk};
use super::{Facts, GRACE, Known, Notes, Overdue, Seen, UNSIGNED};

/// The instance that is being read.
#[derive(Debug)]
pub(super) struct Instance {
    id: Uuid,
    heads: Heads,
    /// The chain that is being read.
    walk: Option<Walk>,
    /// The chains that are read.
    done: Vec<Chained>,
    dropped: (u64, u64),
}

// === impl Instance ===

impl Instance {
    pub(super) fn new(id: Uuid, seen: Vec<Seen>, known: Vec<Known>) -> Self {
        let heads = Heads::new(id, seen, known);
        Self { id, heads, walk: None, done: Vec::new(), dropped: (0, 0) }
    }

    pub(super) fn take(&mut self, line: &Line, facts: &Facts, notes: &mut Notes) {
        if line.kind == Kind::Head && self.walk.is_none() && self.done.is_empty() {
            return self.heads.take(line, facts, notes);
        }
        if self.reach(line.kind, facts, notes)
            && let Some(walk) = &mut self.walk
        {
            return walk.take(line, facts, notes);
        }
        let why = "it comes after lines that it belongs before".to_owned();
        let finding = Finding { kind: Some(line.kind), instance: Some(self.id), ..Finding::new(What::Reordered, why) };
        notes.findings.push(finding.entry(line.id, line.at));
    }

    pub(super) fn close(mut self, facts: &Facts, notes: &mut Notes, report: &mut Report) {
        self.reach(Kind::Usage, facts, notes);
        self.end(facts, notes);
        self.heads.close(facts, &mut notes.findings);
        let mut missing = std::mem::take(&mut notes.missing);
        missing.settle(Kind::Head, self.id, facts, self.heads.horizon(Kind::Head), &mut notes.findings);
        for chain in &mut self.done {
            let excused =
                missing.settle(chain.kind, self.id, facts, self.heads.horizon(chain.kind), &mut notes.findings);
            (chain.lost, chain.expired) = (excused.lost, excused.expired);
        }
        report.heads += self.heads.good;
        report.dropped.0 = report.dropped.0.saturating_add(self.dropped.0);
        report.dropped.1 = report.dropped.1.saturating_add(self.dropped.1);
        report.chains.append(&mut self.done);
    }

    /// Goes on to the chain of this kind; whether it is still to be read.
    fn reach(&mut self, kind: Kind, facts: &Facts, notes: &mut Notes) -> bool {
        if kind == Kind::Head {
            return false;
        }
        for next in [Kind::Audit, Kind::Usage] {
            if self.walk.as_ref().is_some_and(|walk| walk.kind() == kind) {
                return true;
            }
            if next > kind || self.done.iter().any(|chain| chain.kind == next) {
                continue;
            }
            if self.walk.as_ref().is_some_and(|walk| walk.kind() == next) {
                self.end(facts, notes);
                continue;
            }
            let anchors =
                std::mem::take(if next == Kind::Audit { &mut self.heads.audit } else { &mut self.heads.usage });
            self.walk = Some(Walk::new(next, self.id, anchors));
            if next != kind {
                self.end(facts, notes);
            }
        }
        self.walk.as_ref().is_some_and(|walk| walk.kind() == kind)
    }

    /// Ends the chain that is being read.
    fn end(&mut self, facts: &Facts, notes: &mut Notes) {
        let Some(mut walk) = self.walk.take() else { return };
        walk.close(notes);
        for Told { place, event, covered } in walk.told.drain(..) {
            match event {
                Event::Lost { kind, from, to } if covered => notes.missing.believe((kind, from, to)),
                Event::Lost { kind, from, to } => notes.missing.hear((kind, from, to)),
                Event::Beginning(lost) if covered => notes.missing.believe_beginning(lost),
                Event::Beginning(lost) => notes.missing.hear_beginning(lost),
                Event::Dropped { audit, usage } => {
                    self.dropped.0 = self.dropped.0.saturating_add(audit);
                    self.dropped.1 = self.dropped.1.saturating_add(usage);
                }
                Event::Erased { count, root, days } => notes.erasures.hear(place, (count, root, days), covered),
            }
        }
        let chain = walk.chained();
        self.find_unsigned(&walk, &chain, facts, notes);
        self.done.push(chain);
    }

    /// Heads are due: where many entries have none after them, or one that was not written just now, heads were removed, or entries put in.
    fn find_unsigned(&self, walk: &Walk, chain: &Chained, facts: &Facts, notes: &mut Notes) {
        let Some(Late { from, count, oldest, newest }) = walk.late() else { return };
        // Also those whose heads may have expired: nobody vouches for them, however old they say they are.
        notes.late = notes.late.saturating_add(count);
        if facts.limit(Kind::Head).is_some_and(|limit| walk.order() <= limit) {
            return;
        }
        let due = "a head is due every minute and every 1,000 entries";
        let gone =
            "heads were removed, these entries were put in, or their Tollgate was killed and never started again";
        let overdue = oldest < facts.read.saturating_sub(GRACE).unwrap_or(Timestamp::MIN);
        let (why, on_its_way) = if count > UNSIGNED {
            let why = format!("no head vouches for the last {count} entries, and {due}: {gone}");
            (why, false)
        } else if newest > facts.now.saturating_add(GRACE).unwrap_or(Timestamp::MAX) {
            (
                format!("no head vouches for the last {count} entries, and one of them is of the future ({newest})"),
                false,
            )
        } else if overdue {
            (format!("no head vouches for the last {count} entries, the oldest of {oldest}, and {due}: {gone}"), true)
        } else {
            return;
        };
        let to = chain.span.map_or(from, |span| span.1);
        let finding = Finding::about(What::HeadsMissing, chain.kind, self.id, (from, to), walk.order(), why);
        if on_its_way {
            notes.overdue.push(Overdue { instance: self.id, head: self.heads.last(), count, finding });
        } else {
            notes.findings.push(finding);
        }
    }
}
