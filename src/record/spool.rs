//! The write-ahead spool: numbered frames in files, which outlive the process and stay until every reader has taken them.
//!
//! It knows bytes and numbers. One appends and many read, each from its own thread; nothing here waits for anything but the disk.
//!
//! What [`Spool::append`] took is with the operating system, so that `kill -9` loses none of it. After [`Spool::commit`] it is on the
//! disk, and readers are given it only then: otherwise a loss of power could take back what a sink has, and its number be given
//! out again. What cannot be taken is not taken at all, and the next call tries again: the disk being well is all it needs.
//!
//! In the directory: `lock`; `head`, the caller's state after the last frame that was committed; `spool/<first number>.seg`;
//! `cursors/<reader>`; and `gaps`, which losses are in the record. `head` and the cursors are evidence, too: where frames are missing at
//! the end of the last segment, they tell. A number is never given out twice.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use self::gaps::Gaps;
use self::mend::Health;
use self::shared::Shared;
use self::slots::Slots;

mod fault;
mod frame;
mod gaps;
mod mend;
mod open;
mod reader;
mod shared;
mod slots;
mod survey;
#[cfg(test)]
mod tests;
mod walk;

pub use fault::{Loss, Lost, SpoolFault};
pub use open::Recovered;
pub use reader::{Batch, Reader, Replay};

/// A buffer of more bytes than this is not kept for the next batch.
const BUFFER: usize = 1 << 20;

/// What a spool is given.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// Bytes that it may hold.
    pub size: u64,
    /// Bytes of a segment; a quarter of the size is the most.
    pub segment: u64,
    /// How many segments stay although everybody has passed them, as long as there is room: who opens the spool again can see what it
    /// took last.
    pub spare: usize,
    /// Names of those who read it. They hold what they have not yet done with.
    pub readers: Vec<Box<str>>,
}

/// The appending side.
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    /// The last segment, open behind its last whole frame.
    file: File,
    /// Its first frame.
    first: u64,
    /// Bytes of whole frames in it.
    length: u64,
    /// As much of it as is on the disk.
    synced: Synced,
    /// What happened to the last segment.
    health: Health,
    /// The number of the next frame.
    next: u64,
    head: Slots,
    state: Vec<u8>,
    /// Whether the head says something else than the state.
    is_head_old: bool,
    /// The number of the first frame that the head does not cover.
    covered: u64,
    gaps: Gaps,
    /// The frames of a batch.
    buffer: Vec<u8>,
    size: u64,
    segment: u64,
}

/// How much is on the disk.
#[derive(Clone, Copy, Debug)]
struct Synced {
    /// Bytes of the last segment.
    length: u64,
    /// The number after the last frame.
    next: u64,
}

// === impl Spool ===

impl Spool {
    /// Takes these as frames, and the caller's state after them: all of it, or nothing. The numbers are those of the frames. With
    /// the operating system when it returns, on the disk after [`Self::commit`]. One write, however many they are.
    ///
    /// A process that is killed here may leave the first ones of the batch behind.
    ///
    /// # Errors
    /// [`SpoolFault`]: nothing was taken.
    pub fn append<'a>(
        &mut self,
        payloads: impl IntoIterator<Item = &'a [u8]>,
        state: &[u8],
    ) -> Result<Range<u64>, SpoolFault> {
        self.take(payloads, state, self.size)
    }

    /// The same for what must not wait until there is room by the size in the options: those who would make room wait for it.
    ///
    /// # Errors
    /// [`SpoolFault`]: nothing was taken.
    pub fn append_beyond<'a>(
        &mut self,
        payloads: impl IntoIterator<Item = &'a [u8]>,
        state: &[u8],
    ) -> Result<Range<u64>, SpoolFault> {
        self.take(payloads, state, u64::MAX)
    }

    fn take<'a>(
        &mut self,
        payloads: impl IntoIterator<Item = &'a [u8]>,
        state: &[u8],
        size: u64,
    ) -> Result<Range<u64>, SpoolFault> {
        if state.len() > slots::LONGEST {
            return Err(SpoolFault::Long { bytes: state.len(), most: slots::LONGEST });
        }
        let taken = self.next..self.encode(payloads)?;
        if !taken.is_empty() {
            self.mend()?;
            self.make_room(size)?;
            self.write()?;
        }
        self.next = taken.end;
        self.state.clear();
        self.state.extend_from_slice(state);
        self.is_head_old = true;
        Ok(taken)
    }

    /// Brings all that was appended to the disk, and gives it to the readers. Blocks.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`]: what was appended may not be on the disk, and is still in the spool; the next call tries again.
    pub fn commit(&mut self) -> Result<(), SpoolFault> {
        self.mend()?;
        if self.synced.length < self.length {
            self.file.sync_data().map_err(|error| {
                self.health = Health::Doubtful;
                SpoolFault::io(&self.shared.file(self.first), &error)
            })?;
            self.synced = Synced { length: self.length, next: self.next };
        }
        self.publish();
        if self.is_head_old {
            self.head.write(self.next, &self.state)?;
            (self.is_head_old, self.covered) = (false, self.next);
        }
        self.settle()
    }

    /// The reader of this name, behind what it has done with. None where the options do not name it.
    pub fn reader(&self, name: &str) -> Option<Reader> {
        let next = self.shared.cursor(name)?;
        Some(Reader::new(name, self.shared.clone(), next))
    }

    /// All frames there are, those that every reader has done with included, as long as their segment is there.
    pub fn replay(&self) -> Replay {
        Replay::new(self.shared.clone(), self.shared.segments(|segments| segments.oldest())..self.next)
    }

    /// What of these frames is not in the record as lost: see [`Self::recorded`].
    pub fn unrecorded(&self, frames: &Range<u64>) -> Vec<Range<u64>> {
        self.gaps.unknown(frames)
    }

    /// Keeps in mind that the loss of these frames is in the record: it is not told again when the spool is opened. Blocks.
    ///
    /// # Errors
    /// [`SpoolFault::Disk`]: it is told again then.
    pub fn recorded(&mut self, frames: Range<u64>) -> Result<(), SpoolFault> {
        self.gaps.add(frames, self.shared.segments(|segments| segments.oldest()))
    }

    /// Gives readers nothing from this frame on, until [`Self::let_go`]: who passes a loss takes the evidence of it away.
    pub fn hold(&self, from: u64) {
        self.shared.segments(|segments| segments.held = from);
    }

    /// Gives readers all that is on the disk again.
    pub fn let_go(&self) {
        self.hold(u64::MAX);
    }

    /// The number that the next frame gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes are in it.
    pub fn used(&self) -> u64 {
        self.shared.segments(|segments| segments.closed_bytes()) + self.length
    }

    /// Lays the payloads into the buffer as frames, and says which number comes after them.
    fn encode<'a>(&mut self, payloads: impl IntoIterator<Item = &'a [u8]>) -> Result<u64, SpoolFault> {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER);
        let mut next = self.next;
        for payload in payloads {
            if !frame::put(&mut self.buffer, next, payload) {
                return Err(SpoolFault::Long { bytes: payload.len(), most: frame::LONGEST });
            }
            next += 1;
        }
        Ok(next)
    }

    /// Begins a new segment where the buffer would make this one too long, and sees that all is no larger than this with it.
    fn make_room(&mut self, size: u64) -> Result<(), SpoolFault> {
        let wanted = self.buffer.len() as u64;
        if self.length > 0 && self.length + wanted > self.segment {
            self.commit()?;
            self.begin_segment()?;
            self.settle()?;
        }
        if self.used() + wanted > size {
            self.shared.prune_all()?;
        }
        let used = self.used();
        if used + wanted <= size {
            return Ok(());
        }
        let behind = self.shared.last().filter(|(_, next)| *next < self.synced.next).map(|(name, _)| name);
        Err(SpoolFault::Full { directory: self.shared.directory.clone(), used, wanted, size, behind })
    }

    /// Removes segments that everybody has passed, once they are covered by a head that is on the disk.
    fn settle(&self) -> Result<(), SpoolFault> {
        if self.shared.segments(|segments| segments.settled) >= self.first.min(self.covered) {
            return Ok(());
        }
        self.head.sync()?;
        self.shared.segments(|segments| segments.settled = self.covered);
        self.shared.prune()
    }

    /// Gives the readers what is on the disk.
    fn publish(&self) {
        self.shared.segments(|segments| {
            segments.committed = self.synced.next;
            if let Some(last) = segments.list.back_mut() {
                last.bytes = self.synced.length;
            }
        });
    }
}

// === impl SpoolOptions ===

impl Default for SpoolOptions {
    fn default() -> Self {
        Self { size: 256 << 20, segment: 8 << 20, spare: 0, readers: Vec::new() }
    }
}
