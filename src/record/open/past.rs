//! What an earlier process wrote that is still on the disk, and which numbers of the chains are missing there.

use std::collections::HashSet;

use serde_json::json;
use uuid::Uuid;

use super::super::Entry;
use super::super::chain::Ends;
use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::Link;
use super::super::spool::{Lost, Spool, SpoolFault};
use super::super::writer::gap_about;
use super::line;
use crate::clock::Clock;

/// What is still on the disk of what was written before.
#[derive(Default)]
pub(super) struct Past {
    /// The ids of usage entries. Turns that were being settled when Tollgate ended are settled by the next one, which cannot know
    /// whether their entries were written.
    pub(super) ids: HashSet<Uuid>,
    /// Numbers that are missing in a chain: kind, first, last.
    holes: Vec<(Kind, u64, u64)>,
}

// === impl Past ===

impl Past {
    /// Reads what is there. Numbers are only looked at where something is known to be lost.
    /// `first` is the oldest frame, `ends` where the chains go on.
    pub(super) fn read(spool: &Spool, first: u64, damaged: &[Lost], ends: &Ends) -> Result<Self, SpoolFault> {
        let mut past = Self::default();
        // What is before the oldest frame has been taken; before the very first there is nothing.
        let before = (first == 1).then_some(0);
        let mut last = [before; 3];
        for frame in spool.replay() {
            let (_, payload) = frame?;
            let Some(line) = line(&payload) else { continue };
            if line.kind == Kind::Usage {
                past.ids.insert(line.id);
            }
            if damaged.is_empty() {
                continue;
            }
            let Some((_, number)) = place(&line).filter(|(instance, _)| *instance == ends.instance) else { continue };
            past.came(line.kind, number, &mut last);
        }
        if !damaged.is_empty() {
            // No frame is behind those that are lost at the end, and the chain goes on behind them.
            for (kind, end) in
                [(Kind::Audit, ends.audit.seq), (Kind::Usage, ends.usage.seq), (Kind::Head, ends.head.number)]
            {
                past.came(kind, end.saturating_add(1), &mut last);
            }
        }
        Ok(past)
    }

    /// A line of this number comes after the last one of its kind, where that is known: what is between them is missing.
    fn came(&mut self, kind: Kind, number: u64, last: &mut [Option<u64>; 3]) {
        let [audit, usage, head] = last;
        let last = match kind {
            Kind::Audit => audit,
            Kind::Usage => usage,
            Kind::Head => head,
        };
        if let Some(before) = last.replace(number)
            && number > before.saturating_add(1)
        {
            self.holes.push((kind, before + 1, number - 1));
        }
    }

    /// What says so in the record.
    pub(super) fn gaps(&self, clock: &Clock, damaged: &[Lost]) -> Vec<Entry> {
        let reason = damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let about = |(kind, from, to): &(Kind, u64, u64)| json!({"kind": kind.as_str(), "from": from, "to": to, "reason": reason});
        self.holes.iter().map(|hole| gap_about(clock.now(), &about(hole))).collect()
    }
}

// === helpers ===

/// Whose line it is, and its number.
fn place(line: &Line) -> Option<(Uuid, u64)> {
    match line.kind {
        Kind::Head => Head::read(&line.text).ok().map(|head| (head.instance, head.number)),
        Kind::Audit | Kind::Usage => Link::read(&line.text).ok().map(|link| (link.instance, link.seq)),
    }
}
