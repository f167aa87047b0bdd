//! Verification offline: lines of JSON in files, in any order and over any number of files. They are read twice: once to learn where each line's place is, and then in
//! the order of the chains. Of each line its place, its number and its hash are kept, not its text.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::{Hash, Link, Unlinked};
use super::item::written;
use super::{Keep, Known, Report, Trust, Verifier};

/// A line longer than this is none of the record's.
const LONGEST: u64 = 16 << 20;

/// Where the lines of a record are, in files.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<PathBuf>,
    places: Vec<Place>,
    /// Lines that are none: file, line number, why.
    unreadable: Vec<(usize, u64, Option<Line>, String)>,
    /// Lines that are in no chain, without their texts.
    unchained: Vec<Line>,
    /// Heads that entries name.
    known: Vec<Known>,
    /// When the newest head was made: the record was read out then, or later. What has no head tells nothing of that: anybody may have written it.
    signed: Option<Timestamp>,
    /// When the newest line was written, for files without any head.
    newest: Option<Timestamp>,
}

/// Files cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {error}")]
pub struct FilesFault {
    path: PathBuf,
    error: io::Error,
}

/// Where one line is. Its order is that in which lines are verified.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    instance: Uuid,
    /// Heads first.
    rank: u8,
    seq: u64,
    text: Hash,
    file: usize,
    offset: u64,
    length: u64,
}

// === impl Files ===

impl Files {
    /// Looks through one more file. `-` and compressed files are the caller's business. Whole lines are read; empty ones are passed.
    ///
    /// # Errors
    /// [`FilesFault`] where it cannot be read.
    pub fn add(&mut self, path: &Path) -> Result<(), FilesFault> {
        let fault = |error| FilesFault { path: path.to_owned(), error };
        let mut reader = BufReader::new(File::open(path).map_err(fault)?);
        let file = self.paths.len();
        self.paths.push(path.to_owned());
        let (mut offset, mut number, mut bytes) = (0, 0, Vec::new());
        loop {
            bytes.clear();
            let read = (&mut reader).take(LONGEST).read_until(b'\n', &mut bytes).map_err(fault)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            if !text.is_empty() {
                self.learn(text, (file, number, offset));
            }
            offset += read as u64;
        }
    }

    /// Verifies all that was added, calling `progress` with how many of how many lines are done.
    ///
    /// # Errors
    /// [`FilesFault`] where a file cannot be read again.
    pub fn verify(
        mut self,
        mut trust: Trust,
        keep: Keep,
        now: Timestamp,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Report, FilesFault> {
        trust.known.append(&mut self.known);
        let mut verifier = Verifier::new(trust, keep, now);
        verifier.read_at(self.signed.or(self.newest).unwrap_or(now));
        for (file, number, line, why) in &self.unreadable {
            let path = self.paths.get(*file).map(|path| path.display().to_string()).unwrap_or_default();
            verifier.unreadable(line.as_ref(), &format!("{path}:{number}: {why}"));
        }
        self.places.sort_unstable();
        let (all, mut copies) = (self.places.len(), 0);
        let mut open = Open { paths: &self.paths, files: Vec::new() };
        let mut last: Option<&Place> = None;
        for (done, place) in self.places.iter().enumerate() {
            // What two exports both have is one line; what one file has twice was put in.
            if last.is_some_and(|last| place.is_same(last) && place.file != last.file) {
                copies += 1;
                continue;
            }
            if last.is_none_or(|last| last.instance != place.instance) {
                verifier.instance(place.instance);
            }
            let text = open.read(place)?;
            match Line::read(&text) {
                Ok(line) => verifier.take(&line),
                Err(fault) => verifier.unreadable(None, &format!("{fault}, and was a line when it was looked through")),
            }
            last = Some(place);
            progress(done + 1, all);
        }
        verifier.chains_read();
        self.unchained.iter().for_each(|line| verifier.unchained(line));
        Ok(Report { copies, ..verifier.finish() })
    }

    fn learn(&mut self, bytes: &[u8], (file, number, offset): (usize, u64, u64)) {
        let mut unreadable = |line, why: String| self.unreadable.push((file, number, line, why));
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => return unreadable(None, "it is not UTF-8".to_owned()),
        };
        let line = match Line::read(text) {
            Ok(line) => line,
            Err(fault) => return unreadable(None, fault.to_string()),
        };
        self.known.extend(Known::of(&line, None));
        self.newest = self.newest.max(Some(written(&line)));
        let (instance, rank, seq) = match line.kind {
            Kind::Head => match Head::read(text) {
                Ok(head) => {
                    self.signed = self.signed.max(Some(head.at));
                    (head.instance, 0, head.number)
                }
                Err(fault) => return unreadable(Some(line), fault.to_string()),
            },
            kind => match Link::read(text) {
                Ok(link) => (link.instance, if kind == Kind::Audit { 1 } else { 2 }, link.seq),
                Err(Unlinked::None) => {
                    return self.unchained.push(Line { text: Box::default(), ..line });
                }
                Err(fault) => return unreadable(Some(line), fault.to_string()),
            },
        };
        let length = bytes.len() as u64;
        self.places.push(Place { instance, rank, seq, text: Hash::of(bytes), file, offset, length });
    }
}

impl Place {
    /// Whether it has the same text in the same place of a chain.
    fn is_same(&self, other: &Self) -> bool {
        (self.instance, self.rank, self.seq, self.text) == (other.instance, other.rank, other.seq, other.text)
    }
}

/// The files, open where they were needed; one at a time is, for most lines lie in order.
struct Open<'a> {
    paths: &'a [PathBuf],
    files: Vec<(usize, File)>,
}

impl Open<'_> {
    /// Files that are open at once.
    const MOST: usize = 64;

    fn read(&mut self, place: &Place) -> Result<String, FilesFault> {
        let path = self.paths.get(place.file).cloned().unwrap_or_default();
        self.bytes(place, &path).map_err(|error| FilesFault { path, error })
    }

    fn bytes(&mut self, place: &Place, path: &Path) -> io::Result<String> {
        if !self.files.iter().any(|(file, _)| *file == place.file) {
            if self.files.len() >= Self::MOST {
                self.files.remove(0);
            }
            self.files.push((place.file, File::open(path)?));
        }
        let mut text = String::new();
        for (_, file) in self.files.iter_mut().filter(|(file, _)| *file == place.file) {
            file.seek(SeekFrom::Start(place.offset))?;
            file.take(place.length).read_to_string(&mut text)?;
        }
        Ok(text)
    }
}
