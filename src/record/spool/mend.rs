//! Writing the last segment, and what is done where the disk does not take it: nothing that was taken is given up, and nothing is
//! said to be on the disk that may not be there.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::shared::{self, Segment};
use super::walk::Walk;
use super::{Spool, SpoolFault, Synced, frame};
use crate::store::own::{self, DiskFault};

/// What happened to the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Its last byte is that of its last frame.
    Well,
    /// Behind its whole frames there may be a part of a batch that was not taken.
    Torn,
    /// Bringing it to the disk failed: the operating system may say next time that all is there, and it is not.
    Doubtful,
}

// === impl Spool ===

impl Spool {
    /// Goes on in a new segment. All that is in this one is on the disk.
    pub(super) fn begin_segment(&mut self) -> Result<(), SpoolFault> {
        let begun = shared::begin(&self.shared.directory, self.next);
        // There may be a file of that name now, and then what is in this one from that number on does not count.
        self.health = if begun.is_ok() { Health::Well } else { Health::Doubtful };
        self.enter(begun?, self.next, 0);
        Ok(())
    }

    /// Writes the buffer. Where that fails the segment is as it was before, or torn.
    pub(super) fn write(&mut self) -> Result<(), SpoolFault> {
        let Err(error) = self.file.write_all(&self.buffer) else {
            self.length += self.buffer.len() as u64;
            return Ok(());
        };
        self.health = Health::Torn;
        if self.cut().is_ok() {
            self.health = Health::Well;
        }
        Err(SpoolFault::io(&self.shared.file(self.first), &error))
    }

    /// Cuts off what is behind the last whole frame.
    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }

    /// Goes on in a new segment where the last one cannot be trusted.
    pub(super) fn mend(&mut self) -> Result<(), SpoolFault> {
        let well = match self.health {
            Health::Well => true,
            Health::Torn => self.cut().is_ok(),
            Health::Doubtful => false,
        };
        if !well {
            self.leave_segment()?;
        }
        self.health = Health::Well;
        Ok(())
    }

    /// Writes what was taken and is not on the disk into a new segment. It bears the number of its first frame: what has this number
    /// or a higher one in an older segment does not count.
    fn leave_segment(&mut self) -> Result<(), SpoolFault> {
        // From here on there may be a file of the new name, and then there is no way back.
        self.health = Health::Doubtful;
        let (old, new) = (self.shared.file(self.first), self.shared.file(self.synced.next));
        let bytes = read_frames(&old, self.synced.length..self.length, self.synced.next..self.next)?;
        let file = own::replace(&new, &bytes)?;
        own::sync_parent(&new).map_err(|error| SpoolFault::io(&new, &error))?;
        self.enter(file, self.synced.next, bytes.len() as u64);
        self.synced = Synced { length: self.length, next: self.next };
        Ok(())
    }

    /// Goes on in this segment.
    fn enter(&mut self, file: File, first: u64, length: u64) {
        (self.file, self.first, self.length) = (file, first, length);
        self.synced.length = 0;
        self.shared.segments(|segments| {
            segments.list.retain(|segment| segment.first < first);
            segments.list.push_back(Segment { first, bytes: 0 });
        });
    }
}

// === helpers ===

/// A stretch of a segment's bytes that has to hold these frames.
fn read_frames(path: &Path, bytes: Range<u64>, mut numbers: Range<u64>) -> Result<Vec<u8>, SpoolFault> {
    let mut found = Vec::new();
    let mut walk = Walk::open_at(path, bytes.start).map_err(|error| SpoolFault::io(path, &error))?;
    while !numbers.is_empty() {
        let taken = walk.step(bytes.end, &numbers).map_err(|error| SpoolFault::io(path, &error))?;
        let Some(taken) = taken.filter(|taken| taken.number == numbers.start) else {
            let why = format_args!("entry {} was written and cannot be read back", numbers.start);
            return Err(DiskFault::because(path, &why, true).into());
        };
        frame::put(&mut found, taken.number, taken.payload);
        numbers.start += 1;
    }
    Ok(found)
}
