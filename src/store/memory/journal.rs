//! The changes of the books as lines of a file, each written before it is told to anybody.
//!
//! The first line says what the file is and holds the books that it begins with; each other line is a change. A last line
//! without its end was being written when the process was ended: nobody was told of it, and it is cut off. Any other line
//! that cannot be read is damage, and damage is an error: counting on would forget spend.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::books::{Books, Change};
use crate::store::StoreError;
use crate::store::own::{self, DiskFault};

/// The file in the data directory.
const FILE: &str = "counters.journal";
/// Locked by the process that counts.
const LOCK: &str = "counters.lock";
/// What faults call this store.
const STORE: &str = "memory";
/// The form of the lines.
const VERSION: u32 = 1;
/// So many bytes of changes make a journal long.
const LONG: u64 = 64 << 20;

/// The open journal. Its directory is this process's alone.
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Bytes of the first line.
    first: u64,
    /// A line that could not be written could not be taken back either: nothing can be written after it.
    broken: bool,
    /// Kept for its lock, which ends with the process.
    _lock: File,
}

/// What was written so far, for bringing it to the disk.
pub(super) struct Written {
    path: PathBuf,
    file: File,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct First<B> {
    counters: u32,
    books: B,
}

// === impl Journal ===

impl Journal {
    /// Opens the journal, reads the books out of it, and writes it anew with these as its beginning.
    pub(super) fn open(directory: &Path, now: Timestamp) -> Result<(Self, Books), StoreError> {
        own::make_directory(directory).map_err(|error| fault(directory, &error))?;
        let taken = "another process counts in this directory; two that are to count together need Redis";
        let lock = own::claim(&directory.join(LOCK), taken).map_err(|fault| fault.of(STORE))?;
        let mut books = match File::open(directory.join(FILE)) {
            Ok(file) => read(&directory.join(FILE), file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Books::default(),
            Err(error) => return Err(fault(&directory.join(FILE), &error)),
        };
        books.sweep(now);
        let (file, first) = begin(directory, &books)?;
        name_is_kept(directory)?;
        let journal = Self { directory: directory.to_owned(), file, length: first, first, broken: false, _lock: lock };
        Ok((journal, books))
    }

    /// Writes a change. Where that fails the file is as it was before.
    pub(super) fn append(&mut self, change: &Change) -> Result<(), StoreError> {
        let path = self.directory.join(FILE);
        if self.broken {
            return Err(because(
                &path,
                &"a line could not be written whole; restart tollgate once the disk is well",
                true,
            ));
        }
        let mut line = serde_json::to_vec(change).map_err(|error| because(&path, &error, false))?;
        line.push(b'\n');
        let Err(error) = self.file.write_all(&line) else {
            self.length += line.len() as u64;
            return Ok(());
        };
        let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        self.broken = cut.is_err();
        Err(fault(&path, &error))
    }

    /// Whether it is worth writing anew.
    pub(super) fn is_long(&self) -> bool {
        self.length - self.first > LONG.max(self.first)
    }

    /// Begins a new file with the books as they are. Where it cannot be written the old one goes on.
    pub(super) fn restart(&mut self, books: &Books) -> Result<(), StoreError> {
        let (file, first) = begin(&self.directory, books)?;
        (self.file, self.first, self.length, self.broken) = (file, first, first, false);
        name_is_kept(&self.directory)
    }

    /// A handle on what was written so far.
    pub(super) fn written(&self) -> Result<Written, StoreError> {
        let path = self.directory.join(FILE);
        let file = self.file.try_clone().map_err(|error| fault(&path, &error))?;
        Ok(Written { path, file })
    }
}

// === impl Written ===

impl Written {
    /// Brings it to the disk. Blocks.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| fault(&self.path, &error))
    }
}

// === helpers ===

/// The books of a journal, whoever writes it; none where there is no journal. A last line that is being written is passed over.
pub(super) fn look(directory: &Path) -> Result<Option<Books>, StoreError> {
    let path = directory.join(FILE);
    match File::open(&path) {
        Ok(file) => read(&path, file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(&path, &error)),
    }
}

fn read(path: &Path, file: File) -> Result<Books, StoreError> {
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        let read = lines.read_until(b'\n', line).map_err(|error| fault(path, &error))?;
        Ok::<bool, StoreError>(read > 0 && line.ends_with(b"\n"))
    };
    // The first line is written whole before the file gets its name.
    let whole = next(&mut line)?;
    let damaged = |number: usize, error: &dyn Display| {
        because(
            path,
            &format_args!("line {number} is damaged ({error}); put the file aside, then spend is counted anew"),
            false,
        )
    };
    let first: First<IgnoredAny> = serde_json::from_slice(&line).map_err(|error| damaged(1, &error))?;
    if first.counters != VERSION || !whole {
        return Err(because(
            path,
            &format_args!("written by another Tollgate (form {}, this one knows {VERSION})", first.counters),
            false,
        ));
    }
    let mut books: Books = serde_json::from_slice::<First<Books>>(&line).map_err(|error| damaged(1, &error))?.books;
    let mut number = 1;
    while next(&mut line)? {
        number += 1;
        books.apply(serde_json::from_slice::<Change>(&line).map_err(|error| damaged(number, &error))?);
    }
    Ok(books)
}

/// Writes a journal of these books alone beside the one there is, and puts it in its place.
fn begin(directory: &Path, books: &Books) -> Result<(File, u64), StoreError> {
    let path = directory.join(FILE);
    let mut line =
        serde_json::to_vec(&First { counters: VERSION, books }).map_err(|error| because(&path, &error, false))?;
    line.push(b'\n');
    let file = own::replace(&path, &line).map_err(|fault| fault.of(STORE))?;
    Ok((file, line.len() as u64))
}

/// The new file's name is on the disk once the directory is.
fn name_is_kept(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    own::sync_parent(&path).map_err(|error| fault(&path, &error))
}

fn fault(path: &Path, error: &std::io::Error) -> StoreError {
    DiskFault::new(path, error).of(STORE)
}

fn because(path: &Path, why: &dyn Display, transient: bool) -> StoreError {
    DiskFault::because(path, why, transient).of(STORE)
}

#[cfg(test)]
mod tests;
