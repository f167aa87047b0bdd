//! What an earlier process wrote that is still on the disk, and which numbers of the chains are missing there.

use std::collections::HashSet;

use uuid::Uuid;

use super::super::chain::Ends;
use super::super::entry::{LostBefore, LostFrames};
use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::Link;
use super::super::spool::{Lost, Spool, SpoolFault};
use super::super::writer::{Losses, gap_about};
use super::super::{About, Entry};
use super::line;
use crate::clock::Clock;

/// So many losses are named by an event; the log names all.
const NAMED: usize = 3;

/// What is still on the disk of what was written before.
#[derive(Default)]
pub(super) struct Past {
    /// The ids of usage entries. Turns that were being settled when Tollgate ended are settled by the next one, which cannot know
    /// whether their entries were written.
    pub(super) ids: HashSet<Uuid>,
    /// Numbers that are missing in a chain: kind, first, last.
    holes: Vec<(Kind, u64, u64)>,
    /// Kinds that may have lost lines with nothing before them that would tell how many, and the first number that is there.
    beginnings: Vec<(Kind, u64)>,
    /// The number after the last frame that may have been one of those.
    beginnings_end: u64,
}

// === impl Past ===

impl Past {
    /// Reads what is there. Numbers are only looked at where something is known to be lost.
    /// `first` is the oldest frame, `ends` where the chains go on.
    pub(super) fn read(spool: &Spool, first: u64, damaged: &[Lost], ends: &Ends) -> Result<Self, SpoolFault> {
        let mut past = Self::default();
        // What is before the oldest frame has been taken, and nobody here knows its numbers; before the very first there is nothing.
        let whole = first == 1 || damaged.iter().any(|lost| lost.frames.start == 1);
        let mut last = [whole.then_some(0); 3];
        for frame in spool.replay() {
            let (frame, payload) = frame?;
            let Some(line) = line(&payload) else { continue };
            if line.kind == Kind::Usage {
                past.ids.insert(line.id);
            }
            if damaged.is_empty() {
                continue;
            }
            let Some((_, number)) = place(&line).filter(|(instance, _)| *instance == ends.instance) else { continue };
            past.came(line.kind, number, &mut last, frame, damaged);
        }
        if !damaged.is_empty() {
            // No frame is behind those that are lost at the end, and the chain goes on behind them.
            for (kind, end) in
                [(Kind::Audit, ends.audit.seq), (Kind::Usage, ends.usage.seq), (Kind::Head, ends.head.number)]
            {
                past.came(kind, end.saturating_add(1), &mut last, u64::MAX, damaged);
            }
        }
        Ok(past)
    }

    /// A line of this number comes after the last one of its kind, where that is known: what is between them is missing. Else nobody
    /// can tell which of its numbers were in frames that are lost before it.
    fn came(&mut self, kind: Kind, number: u64, last: &mut [Option<u64>; 3], frame: u64, damaged: &[Lost]) {
        let [audit, usage, head] = last;
        let last = match kind {
            Kind::Audit => audit,
            Kind::Usage => usage,
            Kind::Head => head,
        };
        match last.replace(number) {
            Some(before) if number > before.saturating_add(1) => self.holes.push((kind, before + 1, number - 1)),
            Some(_) => (),
            None if number > 1 && damaged.iter().any(|lost| lost.frames.start < frame) => {
                self.beginnings.push((kind, number));
                self.beginnings_end = self.beginnings_end.max(frame);
            }
            None => (),
        }
    }

    /// What says so in the record.
    pub(super) fn losses(&self, clock: &Clock, damaged: &[Lost]) -> Losses {
        let reason = reason(damaged);
        let mut about = Vec::new();
        for &(kind, from, to) in &self.holes {
            about.push(About::Lost { kind, from, to, reason: reason.as_str().into() });
        }
        if !self.beginnings.is_empty() {
            about.extend(self.beginning(damaged, self.beginnings_end, &reason));
        }
        if about.is_empty() {
            // No number of a chain is known to be missing, and frames are.
            about.extend(self.beginning(damaged, u64::MAX, &reason));
        }
        Losses {
            frames: damaged.iter().map(|lost| lost.frames.clone()).collect(),
            events: about.into_iter().map(|about| gap_about(clock.now(), about)).collect::<Vec<Entry>>(),
        }
    }

    /// What is known of lines that are lost with no earlier one left: the frames before this one that are lost, and what comes after them.
    fn beginning(&self, damaged: &[Lost], end: u64, reason: &str) -> Option<About> {
        let frames =
            || damaged.iter().map(|lost| lost.frames.start..lost.frames.end.min(end)).filter(|lost| !lost.is_empty());
        let (from, to) = (frames().map(|lost| lost.start).min()?, frames().map(|lost| lost.end - 1).max()?);
        let lost: u64 = frames().map(|lost| lost.end - lost.start).sum();
        let first = |of: Kind| self.beginnings.iter().find(|(kind, _)| *kind == of).map(|(_, first)| *first);
        let before = LostBefore { audit: first(Kind::Audit), usage: first(Kind::Usage), head: first(Kind::Head) };
        Some(About::Beginning { frames: LostFrames { from, to, lost }, before, reason: reason.into() })
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

/// The losses in words, of a bounded length.
fn reason(damaged: &[Lost]) -> String {
    let mut reason = damaged.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let Some(more) = damaged.len().checked_sub(NAMED).filter(|more| *more > 0) {
        reason.push_str(&format!("; and {more} more, which the log names"));
    }
    reason
}
