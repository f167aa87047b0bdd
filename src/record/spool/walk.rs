//! From frame to frame through one segment, past whatever is damaged.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::frame::{self, Seen};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A place in a segment. Others may write behind the limit that each step is given.
#[derive(Debug)]
pub(super) struct Walk {
    file: File,
    /// Bytes of the file that were read and not yet dropped.
    window: Vec<u8>,
    /// Where in the file the window begins.
    begin: u64,
    /// How much of the window was passed.
    passed: usize,
    /// Bytes that were passed since the last frame and belong to none.
    damaged: bool,
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken<'a> {
    /// Its number.
    pub(super) number: u64,
    /// What was put into it.
    pub(super) payload: &'a [u8],
    /// Whether there were damaged bytes before it.
    pub(super) after_damage: bool,
}

// === impl Walk ===

impl Walk {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path, 0)
    }

    /// Begins there instead of at the first byte.
    pub(super) fn open_at(path: &Path, begin: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, window: Vec::new(), begin, passed: 0, damaged: false })
    }

    /// The next frame that ends before the limit (in bytes of the file) and has one of these numbers. What has a lower number is
    /// passed; what has a higher one is not.
    pub(super) fn step(&mut self, limit: u64, numbers: &Range<u64>) -> io::Result<Option<Taken<'_>>> {
        loop {
            let (number, size) = match frame::see(self.rest()) {
                Seen::Frame { number, payload } => (number, frame::HEADER + payload.len()),
                Seen::Short(needed) => {
                    if !self.fill(needed, limit)? && !self.find(limit, numbers)? {
                        return Ok(None);
                    }
                    continue;
                }
                Seen::Nothing => {
                    if !self.find(limit, numbers)? {
                        return Ok(None);
                    }
                    continue;
                }
            };
            if number >= numbers.end {
                return Ok(None);
            }
            self.passed += size;
            if number >= numbers.start {
                return Ok(Some(self.taken(number, size)));
            }
        }
    }

    /// Whether damaged bytes were passed since the last frame.
    pub(super) fn is_after_damage(&self) -> bool {
        self.damaged
    }

    /// How many bytes of the file were passed.
    pub(super) fn position(&self) -> u64 {
        self.begin + self.passed as u64
    }

    fn rest(&self) -> &[u8] {
        self.window.get(self.passed..).unwrap_or_default()
    }

    fn taken(&mut self, number: u64, size: usize) -> Taken<'_> {
        let after_damage = std::mem::take(&mut self.damaged);
        let payload = self.window.get(self.passed + frame::HEADER - size..self.passed).unwrap_or_default();
        Taken { number, payload, after_damage }
    }

    /// Passes on to the next frame that fits, or to the limit, and says whether there is such a frame.
    fn find(&mut self, limit: u64, numbers: &Range<u64>) -> io::Result<bool> {
        let left = limit.saturating_sub(self.position());
        self.fill(usize::try_from(left).map_err(io::Error::other)?, limit)?;
        let rest = self.rest();
        let found = frame::find(rest, numbers);
        let by = found.unwrap_or(rest.len());
        self.damaged |= by > 0;
        self.passed += by;
        Ok(found.is_some())
    }

    /// Reads on until so many bytes of the window are left to be passed, and says whether there are.
    fn fill(&mut self, needed: usize, limit: u64) -> io::Result<bool> {
        self.begin += self.passed as u64;
        self.window.drain(..self.passed);
        self.passed = 0;
        let have = self.window.len();
        let left = limit.saturating_sub(self.begin + have as u64);
        let more = left.min(needed.saturating_sub(have).max(CHUNK) as u64);
        if have < needed && more > 0 {
            // A window that was long for the sake of one damaged stretch is not kept.
            self.window.shrink_to(needed.max(CHUNK));
            self.file.seek(SeekFrom::Start(self.begin + have as u64))?;
            (&mut self.file).take(more).read_to_end(&mut self.window)?;
        }
        Ok(self.window.len() >= needed)
    }
}
