//! JSON lines in a file that is begun anew when it is long; the old ones stay beside it, as many as are to be kept.
//!
//! What was written is on the disk before it counts as written. A line that a crash has cut is cut off when the file is opened again,
//! and whatever moves the file away (`logrotate`) is noticed: the next lines go into a new one of the name.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::clock::Clock;
use crate::record::Line;
use crate::store::StoreError;
use crate::store::own::{self, DiskFault};

/// The sink's name in metrics and logs.
pub const NAME: &str = "file";

/// How far back the end of the last whole line is looked for when a file is opened, in bytes: longer than a line can be.
const LONGEST_LINE: u64 = 16 << 20;

/// Bytes of the last lines that are recalled: more than a lane ships in one go.
const RECALLED: u64 = 4 << 20;

/// The file.
pub struct FileLines {
    inner: Arc<Mutex<Inner>>,
}

/// Which file, and when it is begun anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written.
    pub path: PathBuf,
    /// Bytes beyond which it is begun anew.
    pub size: u64,
    /// How many earlier files are kept.
    pub keep: usize,
}

struct Inner {
    options: FileOptions,
    clock: Clock,
    open: Option<Open>,
    /// The lines that were written last, by an earlier process perhaps: the first of those that come next may be among them.
    already: HashSet<Uuid>,
}

/// The file as it is open.
struct Open {
    file: File,
    /// Bytes of whole lines in it.
    length: u64,
}

// === impl FileLines ===

impl FileLines {
    /// Opens the file, or makes it, for its owner alone.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be used.
    pub fn open(options: FileOptions, clock: &Clock) -> Result<Self, StoreError> {
        let mut inner = Inner { options, clock: clock.clone(), open: None, already: HashSet::new() };
        inner.reopen().and_then(|()| inner.recall()).map_err(|error| inner.fault(&error))?;
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Writes the lines, all at once, and brings them to the disk. Who gives up waiting may come again with the same lines: the first
    /// write goes on, and what it has written is not written again.
    pub(super) async fn write(&self, lines: &[Line]) -> Result<(), StoreError> {
        let (inner, lines) = (Arc::clone(&self.inner), lines.to_vec());
        let written = spawn_blocking(move || {
            let mut inner = inner.lock();
            inner.write_new(&lines).map_err(|error| inner.fault(&error))
        });
        let ended = |_| StoreError { store: NAME, message: "the write was given up".into(), transient: true };
        written.await.map_err(ended)?
    }
}

// === impl Inner ===

impl Inner {
    /// Reads which lines were written last.
    fn recall(&mut self) -> io::Result<()> {
        let Some(Open { file, length }) = &mut self.open else { return Ok(()) };
        let from = length.saturating_sub(RECALLED);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        // The first may be a part of a line, and is none then.
        let lines = tail.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        self.already = lines.filter_map(|line| Line::read(line).ok()).map(|line| line.id).collect();
        Ok(())
    }

    /// Writes those that are not written yet: what was shipped before a crash, or given up on a slow disk, comes again, in order, and
    /// first.
    fn write_new(&mut self, lines: &[Line]) -> io::Result<()> {
        let known = lines.iter().take_while(|line| self.already.contains(&line.id)).count();
        let new = lines.get(known..).unwrap_or_default();
        if !new.is_empty() {
            self.write(&super::text_of(new))?;
            self.already = new.iter().map(|line| line.id).collect();
        }
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if !self.is_still_there()? {
            self.reopen()?;
        }
        if self.open.as_ref().is_some_and(|open| open.length > 0 && open.length + text.len() as u64 > self.options.size)
        {
            self.begin_anew()?;
        }
        let Some(Open { file, length }) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        let written = file.write_all(text).and_then(|()| file.sync_data());
        if written.is_err() {
            // What is half written is cut off; where that fails, too, opening it again does so.
            let cut = file.set_len(*length).and_then(|()| file.seek(SeekFrom::Start(*length)));
            if cut.is_err() {
                self.open = None;
            }
            return written;
        }
        *length += text.len() as u64;
        Ok(())
    }

    /// Whether the open file still has its name.
    fn is_still_there(&self) -> io::Result<bool> {
        let Some(open) = &self.open else { return Ok(false) };
        match fs::metadata(&self.options.path) {
            Ok(named) => Ok(same(&named, &open.file.metadata()?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        if let Some(directory) = self.options.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            own::make_directory(directory)?;
        }
        let mut file = own::create(&self.options.path, false)?;
        let length = whole_lines(&mut file)?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        self.open = Some(Open { file, length });
        Ok(())
    }

    /// The file gets another name, the oldest ones are removed, and a new one is begun.
    fn begin_anew(&mut self) -> io::Result<()> {
        let moment = self.clock.now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
        fs::rename(&self.options.path, suffixed(&self.options.path, &moment))?;
        self.reopen()?;
        own::sync_parent(&self.options.path)?;
        let earlier = self.earlier()?;
        for old in earlier.iter().rev().skip(self.options.keep) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The earlier files, the oldest first: their names are those of moments.
    fn earlier(&self) -> io::Result<Vec<PathBuf>> {
        let path = &self.options.path;
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = suffixed(Path::new(path.file_name().unwrap_or_default()), "").to_string_lossy().into_owned();
        let mut earlier = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(&prefix).is_some_and(is_moment) {
                earlier.push(entry.path());
            }
        }
        earlier.sort_unstable();
        Ok(earlier)
    }

    fn fault(&self, error: &io::Error) -> StoreError {
        DiskFault::new(&self.options.path, error).of(NAME)
    }
}

// === helpers ===

/// `records.jsonl` with `.moment` behind it.
fn suffixed(path: &Path, moment: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(moment);
    name.into()
}

/// Whether this is what an earlier file has behind its name: `20261121T081500.123456Z`.
fn is_moment(suffix: &str) -> bool {
    let bytes = suffix.as_bytes();
    bytes.len() == 23
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'.',
            22 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// How many bytes of the file are whole lines: what is behind the last line break was being written when a process ended.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let from = end.saturating_sub(LONGEST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(memchr::memrchr(b'\n', &tail).map_or(from, |at| from + at as u64 + 1))
}

#[cfg(unix)]
fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    one.created().ok() == other.created().ok()
}

#[cfg(test)]
mod tests;
