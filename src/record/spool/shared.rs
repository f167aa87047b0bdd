//! What the appender and the readers know together: which segments there are, how far they may be read, and who has read how far.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::SpoolFault;
use super::slots::Slots;
use crate::store::own;

/// The directory of the segments.
const SEGMENTS: &str = "spool";

/// Shared by the appender and its readers.
#[derive(Debug)]
pub(super) struct Shared {
    /// The directory of the segments.
    pub(super) directory: PathBuf,
    segments: Mutex<Segments>,
    cursors: Mutex<BTreeMap<Box<str>, Cursor>>,
    /// How many segments stay that everybody has passed, as long as there is room.
    spare: usize,
    /// Kept for its lock, until nobody reads or writes here any more.
    _lock: File,
}

/// The segments there are, the oldest first.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) list: VecDeque<Segment>,
    /// The number after the last frame that is on the disk: so far may be read.
    pub(super) committed: u64,
    /// The number after the last one that the head on the disk covers: so far may be removed.
    pub(super) settled: u64,
    /// Readers are given only what is before this number.
    pub(super) held: u64,
}

/// A file of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The number of its first frame, which is its name.
    pub(super) first: u64,
    /// Bytes of frames in it that are on the disk.
    pub(super) bytes: u64,
}

/// Where a number is to be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) segment: Segment,
    /// The number after the last one that is in there.
    pub(super) end: u64,
}

/// How far a reader is.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) file: Slots,
    /// It has done with the frames before this one.
    pub(super) next: u64,
    /// The same, as it is on the disk.
    pub(super) synced: u64,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        records: &Path,
        segments: Segments,
        cursors: BTreeMap<Box<str>, Cursor>,
        spare: usize,
        lock: File,
    ) -> Self {
        let (segments, cursors) = (Mutex::new(segments), Mutex::new(cursors));
        Self { directory: directory(records), segments, cursors, spare, _lock: lock }
    }

    /// The file of a segment.
    pub(super) fn file(&self, first: u64) -> PathBuf {
        file(&self.directory, first)
    }

    /// Changes the segments, or reads them.
    pub(super) fn segments<T>(&self, with: impl FnOnce(&mut Segments) -> T) -> T {
        with(&mut self.segments.lock())
    }

    /// How far this reader is, where there is one of this name.
    pub(super) fn cursor(&self, reader: &str) -> Option<u64> {
        self.cursors.lock().get(reader).map(|cursor| cursor.next)
    }

    /// Moves this reader's cursor on, and removes what everybody has passed.
    pub(super) fn advance(&self, reader: &str, next: u64) -> Result<(), SpoolFault> {
        let next = next.min(self.segments(|segments| segments.committed));
        if let Some(cursor) = self.cursors.lock().get_mut(reader)
            && cursor.next < next
        {
            cursor.file.write(next, &[])?;
            cursor.next = next;
        }
        self.prune()
    }

    /// The reader that is the furthest behind, and how far it is.
    pub(super) fn last(&self) -> Option<(Box<str>, u64)> {
        let cursors = self.cursors.lock();
        cursors.iter().min_by_key(|(_, cursor)| cursor.next).map(|(name, cursor)| (name.clone(), cursor.next))
    }

    /// Removes the segments that every reader has passed, but for those that are spared. What the cursors say is on the disk before
    /// that.
    pub(super) fn prune(&self) -> Result<(), SpoolFault> {
        self.prune_but(self.spare)
    }

    /// Removes all of them: there is no room.
    pub(super) fn prune_all(&self) -> Result<(), SpoolFault> {
        self.prune_but(0)
    }

    fn prune_but(&self, spare: usize) -> Result<(), SpoolFault> {
        let mut cursors = self.cursors.lock();
        let passed = cursors.values().map(|cursor| cursor.next).min().unwrap_or(u64::MAX);
        while let Some(Range { start, end }) = self.segments(|segments| segments.removable(passed, spare)) {
            for cursor in cursors.values_mut().filter(|cursor| cursor.synced < end) {
                cursor.file.sync()?;
                cursor.synced = cursor.next;
            }
            let path = self.file(start);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(SpoolFault::io(&path, &error)),
                _ => self.segments(|segments| segments.list.pop_front()),
            };
        }
        Ok(())
    }
}

// === impl Segments ===

impl Segments {
    /// The oldest frame there may be.
    pub(super) fn oldest(&self) -> u64 {
        self.list.front().map_or(self.committed, |segment| segment.first)
    }

    /// Bytes in all of them but the last.
    pub(super) fn closed_bytes(&self) -> u64 {
        let closed = self.list.len().saturating_sub(1);
        self.list.iter().take(closed).map(|segment| segment.bytes).sum()
    }

    /// Where this number is to be looked for: none where it is not on the disk yet, or its segment is gone.
    pub(super) fn stretch(&self, number: u64) -> Option<Stretch> {
        let after = self.list.partition_point(|segment| segment.first <= number);
        let segment = *self.list.get(after.checked_sub(1)?)?;
        let end = self.list.get(after).map_or(self.committed, |next| next.first.min(self.committed));
        (number < end).then_some(Stretch { segment, end })
    }

    /// The numbers of the oldest segment, where it and `spare` after it are passed and there is a younger one.
    fn removable(&self, passed: u64, spare: usize) -> Option<Range<u64>> {
        let (oldest, next, young) = (self.list.front()?, self.list.get(1)?, self.list.get(1 + spare)?);
        (young.first <= passed.min(self.settled)).then_some(oldest.first..next.first)
    }
}

// === helpers ===

/// The directory of the segments in that of the records.
pub(super) fn directory(records: &Path) -> PathBuf {
    records.join(SEGMENTS)
}

/// The file of the segment that begins with this frame.
pub(super) fn file(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.seg"))
}

/// The segments in the directory, the oldest first. What was never finished is removed.
pub(super) fn list(directory: &Path) -> Result<VecDeque<Segment>, SpoolFault> {
    let mut list = Vec::new();
    let fault = |error: std::io::Error| SpoolFault::io(directory, &error);
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.ends_with(".seg.new") {
            fs::remove_file(&path).map_err(|error| SpoolFault::io(&path, &error))?;
        }
        let number = name.strip_suffix(".seg").filter(|digits| digits.len() == 20);
        if let Some(first) = number.and_then(|digits| digits.parse().ok()) {
            let bytes = fs::metadata(&path).map_err(|error| SpoolFault::io(&path, &error))?.len();
            list.push(Segment { first, bytes });
        }
    }
    list.sort_unstable_by_key(|segment| segment.first);
    Ok(list.into())
}

/// Makes an empty segment whose name is on the disk.
pub(super) fn begin(directory: &Path, first: u64) -> Result<File, SpoolFault> {
    let path = file(directory, first);
    let made = own::create(&path, true).and_then(|file| own::sync_parent(&path).map(|()| file));
    made.map_err(|error| SpoolFault::io(&path, &error))
}
