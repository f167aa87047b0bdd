//! Reading the spool: each reader at its own pace, beside the appender and beside the others.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::vec;

use super::shared::{Shared, Stretch};
use super::walk::Walk;
use super::{Loss, Lost, SpoolFault};

/// Frames that a replay reads at once, and their bytes.
const REPLAY: (usize, usize) = (256, 1 << 20);

/// One of those who take what is in the spool. It begins behind what it has done with, in this process or an earlier one.
#[derive(Debug)]
pub struct Reader {
    name: Box<str>,
    scroll: Scroll,
}

/// What a reader finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Frames with their numbers, in order.
    pub frames: Vec<(u64, Vec<u8>)>,
    /// What was lost before, between and behind them.
    pub lost: Vec<Lost>,
}

/// The frames from some number on, up to the last one there was when the spool was opened. After an error it goes on where it was.
#[derive(Debug)]
pub struct Replay {
    scroll: Scroll,
    frames: vec::IntoIter<(u64, Vec<u8>)>,
}

/// A place in the spool.
#[derive(Debug)]
struct Scroll {
    shared: Arc<Shared>,
    /// The number that is read next.
    next: u64,
    /// Numbers from here on are not read.
    end: u64,
    /// The segment that was read last, by its first number.
    open: Option<(u64, Walk)>,
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(name: &str, shared: Arc<Shared>, next: u64) -> Self {
        Self { name: name.into(), scroll: Scroll { shared, next, end: u64::MAX, open: None } }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads on: at most so many frames, and frames until so many bytes are reached. At least one, where there is one that was
    /// committed and is not held back. Damaged and missing frames are passed and told of, once in the life of this reader. Blocks while the disk is read.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`] where a segment cannot be read; the next call tries again. What was read before that is given first.
    pub fn next(&mut self, most_frames: usize, most_bytes: usize) -> Result<Batch, SpoolFault> {
        self.scroll.end = self.scroll.shared.segments(|segments| segments.held);
        self.scroll.read(most_frames, most_bytes)
    }

    /// Writes down that all frames up to this one need not be given again, and removes segments that nobody needs any more. With
    /// the operating system when it returns: a loss of power may bring back what was done, and gives it again. Blocks.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`] where it cannot be written or a segment cannot be removed; what is done later includes it.
    pub fn done(&self, number: u64) -> Result<(), SpoolFault> {
        self.scroll.shared.advance(&self.name, number.saturating_add(1))
    }

    /// The number of the frame that it is given next.
    pub fn next_frame(&self) -> u64 {
        self.scroll.next
    }

    /// How many frames it has not yet done with, of those that were committed.
    pub fn behind(&self) -> u64 {
        let committed = self.scroll.shared.segments(|segments| segments.committed);
        committed.saturating_sub(self.scroll.shared.cursor(&self.name).unwrap_or(committed))
    }
}

// === impl Replay ===

impl Replay {
    pub(super) fn new(shared: Arc<Shared>, numbers: Range<u64>) -> Self {
        let Range { start: next, end } = numbers;
        Self { scroll: Scroll { shared, next, end, open: None }, frames: Vec::new().into_iter() }
    }
}

impl Iterator for Replay {
    type Item = Result<(u64, Vec<u8>), SpoolFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(frame) = self.frames.next() {
            return Some(Ok(frame));
        }
        match self.scroll.read(REPLAY.0, REPLAY.1) {
            Ok(batch) => self.frames = batch.frames.into_iter(),
            Err(fault) => return Some(Err(fault)),
        }
        self.frames.next().map(Ok)
    }
}

// === impl Scroll ===

impl Scroll {
    fn read(&mut self, most_frames: usize, most_bytes: usize) -> Result<Batch, SpoolFault> {
        let mut batch = Batch::default();
        let mut room = Room { frames: most_frames.max(1), bytes: most_bytes };
        while room.frames > 0 && self.next < self.end {
            let (stretch, oldest) = self.shared.segments(|segments| (segments.stretch(self.next), segments.oldest()));
            match stretch {
                Some(stretch) => {
                    if let Err(fault) = self.read_stretch(&stretch, &mut room, &mut batch) {
                        let empty = batch.frames.is_empty() && batch.lost.is_empty();
                        return if empty { Err(fault) } else { Ok(batch) };
                    }
                }
                // Removed by somebody else: the spool does not remove what a reader has not passed.
                None if self.next < oldest => self.lose(oldest, None, Loss::Missing, &mut batch),
                None => break,
            }
        }
        Ok(batch)
    }

    /// Reads one segment, until it is passed or there is no more room in the batch.
    fn read_stretch(&mut self, stretch: &Stretch, room: &mut Room, batch: &mut Batch) -> Result<(), SpoolFault> {
        let first = stretch.segment.first;
        let path = self.shared.file(first);
        let mut walk = match self.open.take() {
            Some((open, walk)) if open == first => walk,
            _ => match Walk::open(&path) {
                Ok(walk) => walk,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.lose(stretch.end, Some(first), Loss::Missing, batch);
                    return Ok(());
                }
                Err(error) => return Err(SpoolFault::unreadable(&path, &error)),
            },
        };
        let end = stretch.end.min(self.end);
        while room.frames > 0 && self.next < end {
            let numbers = self.next..end;
            let stepped =
                walk.step(stretch.segment.bytes, &numbers).map_err(|error| SpoolFault::unreadable(&path, &error))?;
            let Some(taken) = stepped else {
                let reason = if walk.is_after_damage() { Loss::Damaged } else { Loss::Missing };
                self.lose(end, Some(first), reason, batch);
                break;
            };
            let reason = if taken.after_damage { Loss::Damaged } else { Loss::Missing };
            self.lose(taken.number, Some(first), reason, batch);
            room.take(taken.payload.len());
            batch.frames.push((taken.number, taken.payload.to_owned()));
            self.next = taken.number + 1;
        }
        self.open = Some((first, walk));
        Ok(())
    }

    /// Passes to this number; what is passed is lost.
    fn lose(&mut self, to: u64, segment: Option<u64>, reason: Loss, batch: &mut Batch) {
        if self.next < to {
            let file = segment.map_or_else(|| self.shared.directory.clone(), |first| self.shared.file(first));
            batch.lost.push(Lost { frames: self.next..to, file, reason });
            self.next = to;
        }
    }
}

/// What still goes into a batch.
struct Room {
    frames: usize,
    bytes: usize,
}

// === impl Room ===

impl Room {
    /// Takes the room of a frame. None is left when the bytes are used up.
    fn take(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.frames = if self.bytes == 0 { 0 } else { self.frames.saturating_sub(1) };
    }
}
