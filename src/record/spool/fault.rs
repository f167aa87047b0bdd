//! Why the spool does not take or give something, and what of it is lost.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::store::own::DiskFault;

/// Why the spool cannot do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolFault {
    /// It holds as much as it may. There is room again when the readers have passed on.
    #[error(
        "{}: {used} bytes wait to be taken, and with {wanted} more it would be over the {size} of records.spool.size{}; \
         see why they are not taken, or give it more",
        .directory.display(), Behind(.behind.as_deref())
    )]
    Full {
        /// Where its segments are.
        directory: PathBuf,
        /// Bytes in it.
        used: u64,
        /// Bytes that were to be added.
        wanted: u64,
        /// Bytes that it may hold.
        size: u64,
        /// The reader that is the furthest behind.
        behind: Option<Box<str>>,
    },
    /// The disk, a file or a directory.
    #[error(transparent)]
    Disk(#[from] DiskFault),
    /// An entry, or the state, is longer than any may be: it can never be taken.
    #[error("{bytes} bytes are too many to be kept in one piece: {most} are the most")]
    Long {
        /// Its bytes.
        bytes: usize,
        /// Bytes that one may have.
        most: usize,
    },
}

/// Frames that were in the spool and are no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Their numbers.
    pub frames: Range<u64>,
    /// Where they were: the segment, or the directory where there is no segment for them.
    pub file: PathBuf,
    /// What happened to them.
    pub reason: Loss,
}

/// What happened to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Bytes are there which are not what was written.
    Damaged,
    /// The file was cut off or removed.
    Missing,
}

struct Behind<'a>(Option<&'a str>);

// === impl SpoolFault ===

impl SpoolFault {
    /// Whether trying again later may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Disk(fault) => fault.transient,
            Self::Long { .. } => false,
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        DiskFault::new(path, error).into()
    }

    /// A segment cannot be read. What is in it is not passed over as long as that may change.
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let mut fault = DiskFault::new(path, error);
        fault.message.push_str("; where that lasts, put the file aside: the entries in it then count as lost");
        fault.into()
    }
}

// === impl Loss ===

impl Loss {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Missing => "missing",
        }
    }
}

// === impl Lost ===

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Range { start, end }, file) = (&self.frames, self.file.display());
        let last = end.saturating_sub(1);
        let reason = match self.reason {
            Loss::Damaged => "bytes in it are not what was written",
            Loss::Missing => "it was cut off or removed",
        };
        write!(f, "{file}: entries {start} to {last} of the spool are lost: {reason}")
    }
}

// === impl Behind ===

impl fmt::Display for Behind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " (`{name}` is the furthest behind)"))
    }
}
