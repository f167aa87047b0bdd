//! What is in the segments that an earlier process left behind.

use std::collections::VecDeque;
use std::path::Path;

use super::shared::{self, Segment};
use super::walk::Walk;
use super::{Loss, Lost, SpoolFault};
use crate::store::own::DiskFault;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// The oldest frame that was looked for.
    pub(super) first: u64,
    /// The number that the next frame gets.
    pub(super) next: u64,
    /// Frames that should be there, in order.
    pub(super) lost: Vec<Lost>,
    /// Where the last segment goes on, in bytes. None where none does: there is none, or frames at its end are lost, and what is left
    /// of them stays as it is.
    pub(super) goes_on: Option<u64>,
    /// Bytes behind that which are no frame: they were being written when the process ended, and nobody was told of them.
    pub(super) torn: u64,
}

/// A segment whose number is so far behind all that is known is none of this spool: nobody writes so many frames.
const LEAP: u64 = 1 << 40;

/// Reads all segments through. `known` is the number after the last frame that somebody is known to have seen.
pub(super) fn survey(directory: &Path, list: &VecDeque<Segment>, known: u64) -> Result<Survey, SpoolFault> {
    let mut before = known;
    for segment in list {
        if segment.first.saturating_sub(before) > LEAP {
            let path = shared::file(directory, segment.first);
            let why = "its name follows no other segment of the record; move it out of this directory";
            return Err(DiskFault::because(&path, &why, false).into());
        }
        before = before.max(segment.first);
    }
    let first = list.front().map_or(known, |segment| segment.first);
    let mut survey = Survey { first, next: first, lost: Vec::new(), goes_on: None, torn: 0 };
    let ends = list.iter().skip(1).map(|segment| segment.first).chain([u64::MAX]);
    for (segment, end) in list.iter().zip(ends) {
        let read = survey.read(directory, *segment, end);
        read.map_err(|error| SpoolFault::unreadable(&shared::file(directory, segment.first), &error))?;
    }
    // What is lost at the end has no younger frame behind it that would tell.
    if let Some(last) = list.back()
        && survey.next < known
    {
        let reason = if survey.torn > 0 { Loss::Damaged } else { Loss::Missing };
        survey.lose(known, directory, *last, reason);
        (survey.goes_on, survey.torn) = (None, 0);
    }
    Ok(survey)
}

// === impl Survey ===

impl Survey {
    /// Reads a segment whose frames have numbers below `end`: the next one begins there.
    fn read(&mut self, directory: &Path, segment: Segment, end: u64) -> std::io::Result<()> {
        let mut walk = Walk::open(&shared::file(directory, segment.first))?;
        let mut whole = 0;
        while let Some(taken) = walk.step(segment.bytes, &(self.next..end))? {
            let reason = if taken.after_damage { Loss::Damaged } else { Loss::Missing };
            let number = taken.number;
            self.lose(number, directory, segment, reason);
            self.next = number + 1;
            whole = walk.position();
        }
        if end < u64::MAX {
            let reason = if walk.is_after_damage() { Loss::Damaged } else { Loss::Missing };
            self.lose(end, directory, segment, reason);
        } else {
            (self.goes_on, self.torn) = (Some(whole), segment.bytes - whole);
        }
        Ok(())
    }

    fn lose(&mut self, to: u64, directory: &Path, segment: Segment, reason: Loss) {
        if self.next < to {
            let file = shared::file(directory, segment.first);
            self.lost.push(Lost { frames: self.next..to, file, reason });
            self.next = to;
        }
    }
}
