//! A file of lines that outlives the process: what was begun and is not done yet.
//!
//! A line is with the operating system before [`Diary::append`] returns, so that `kill -9` loses none; a loss of power may lose
//! the last ones. Lines belong to somebody, by an id; when the last of all is struck out, the file is emptied.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::StoreError;
use super::own::{self, DiskFault};

/// The file in the data directory.
const FILE: &str = "turns.diary";
/// Locked by the process whose turns they are.
const LOCK: &str = "turns.lock";
/// What faults call this store.
const STORE: &str = "turns";
/// So many bytes make a file long: it is emptied, or written anew with what is still open.
const LONG: u64 = 16 << 20;

/// The open file. It is this process's alone.
pub struct Diary {
    inner: Mutex<Inner>,
}

struct Inner {
    directory: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    /// A line that could not be written could not be taken back either: nothing can be written after it.
    broken: bool,
    /// The lines of everything that is open, as they stand in the file.
    open: HashMap<Uuid, Vec<u8>>,
    /// Kept for its lock, which ends with the process.
    _lock: File,
}

/// A line.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: Uuid,
    /// What is written; none strikes out all lines of this id.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    says: Option<&'a RawValue>,
}

/// What was found in the file: the lines of everything that is open, in the order in which it was begun.
pub type Found = Vec<(Uuid, Vec<Box<RawValue>>)>;

// === impl Diary ===

impl Diary {
    /// Opens the file in this directory, which is made where it is not there, and tells what is still open.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be used, is damaged, or is another process's.
    pub fn open(directory: &Path) -> Result<(Self, Found), StoreError> {
        own::make_directory(directory).map_err(|error| fault(directory, &error))?;
        let taken = "another process keeps its open turns here; give each its own --data";
        let lock = own::claim(&directory.join(LOCK), taken).map_err(|fault| fault.of(STORE))?;
        let path = directory.join(FILE);
        let mut file = own::create(&path, false).map_err(|error| fault(&path, &error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| fault(&path, &error))?;
        let (found, open) = read(&path, &bytes)?;
        let mut inner = Inner { directory: directory.to_owned(), file, length: 0, broken: false, open, _lock: lock };
        inner.write_anew()?;
        Ok((Self { inner: Mutex::new(inner) }, found))
    }

    /// Writes a line of this id.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written; it is not in the file then.
    pub fn append(&self, id: Uuid, says: &impl Serialize) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        let raw = serde_json::value::to_raw_value(says).map_err(|error| inner.because(&error, false))?;
        let line = inner.write(&Line { id, says: Some(&raw) })?;
        inner.open.entry(id).or_default().extend_from_slice(&line);
        Ok(())
    }

    /// Strikes out all lines of this id.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be written; the lines are found again then.
    pub fn strike(&self, id: Uuid) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        if inner.open.remove(&id).is_none() {
            return Ok(());
        }
        inner.write(&Line { id, says: None })?;
        if inner.length > LONG { inner.write_anew() } else { Ok(()) }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.inner.lock().open.len()
    }
}

// === impl Inner ===

impl Inner {
    fn write(&mut self, line: &Line<'_>) -> Result<Vec<u8>, StoreError> {
        if self.broken {
            return Err(
                self.because(&"a line could not be written whole; restart tollgate once the disk is well", true)
            );
        }
        let mut bytes = serde_json::to_vec(line).map_err(|error| self.because(&error, false))?;
        bytes.push(b'\n');
        let Err(error) = self.file.write_all(&bytes) else {
            self.length += bytes.len() as u64;
            return Ok(bytes);
        };
        let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        self.broken = cut.is_err();
        Err(fault(&self.directory.join(FILE), &error))
    }

    /// Begins a new file with what is open. It gets its name when it is whole.
    fn write_anew(&mut self) -> Result<(), StoreError> {
        let mut all: Vec<&[u8]> = self.open.values().map(Vec::as_slice).collect();
        // By the ids, which hold the time in their first bytes, as they were begun.
        all.sort_unstable();
        let bytes = all.concat();
        let file = own::replace(&self.directory.join(FILE), &bytes).map_err(|fault| fault.of(STORE))?;
        (self.file, self.length, self.broken) = (file, bytes.len() as u64, false);
        Ok(())
    }

    fn because(&self, why: &dyn Display, transient: bool) -> StoreError {
        because(&self.directory.join(FILE), why, transient)
    }
}

// === helpers ===

/// What is open in these bytes. A last line without its end was being written when the process ended, and nobody was told of it.
fn read(path: &Path, bytes: &[u8]) -> Result<(Found, HashMap<Uuid, Vec<u8>>), StoreError> {
    let (mut found, mut open) = (Found::new(), HashMap::<Uuid, Vec<u8>>::new());
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    for (number, line) in lines.enumerate() {
        let read: Line<'_> = serde_json::from_slice(line).map_err(|error| {
            let why = format_args!(
                "line {} is damaged ({error}); put the file aside, then the turns in it expire",
                number + 1
            );
            because(path, &why, false)
        })?;
        match read.says {
            None => {
                open.remove(&read.id);
                found.retain(|(id, _)| *id != read.id);
            }
            Some(says) => {
                open.entry(read.id).or_default().extend_from_slice(line);
                match found.iter_mut().rev().find(|(id, _)| *id == read.id) {
                    Some((_, lines)) => lines.push(says.to_owned()),
                    None => found.push((read.id, vec![says.to_owned()])),
                }
            }
        }
    }
    Ok((found, open))
}

fn fault(path: &Path, error: &std::io::Error) -> StoreError {
    DiskFault::new(path, error).of(STORE)
}

fn because(path: &Path, why: &dyn Display, transient: bool) -> StoreError {
    DiskFault::because(path, why, transient).of(STORE)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    fn texts(found: &Found) -> Vec<(Uuid, Vec<&str>)> {
        found.iter().map(|(id, lines)| (*id, lines.iter().map(|line| line.get()).collect())).collect()
    }

    #[test]
    fn what_is_not_struck_out_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two, three) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        {
            let (diary, found) = Diary::open(directory.path()).unwrap();
            assert!(found.is_empty());
            for (id, says) in [(one, 1), (two, 2), (three, 3), (one, 4)] {
                diary.append(id, &says).unwrap();
            }
            diary.strike(two).unwrap();
            diary.strike(two).unwrap();
            assert_eq!(diary.count(), 2);
        }
        // Being written when the process ended.
        let path = directory.path().join(FILE);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"").unwrap();
        for _ in 0..2 {
            let (diary, found) = Diary::open(directory.path()).unwrap();
            assert_eq!(texts(&found), [(one, vec!["1", "4"]), (three, vec!["3"])]);
            assert_eq!(diary.count(), 2);
        }
        let (diary, _) = Diary::open(directory.path()).unwrap();
        let second = Diary::open(directory.path()).err().unwrap();
        assert!(second.message.contains("another process keeps its open turns here"), "{second}");
        diary.strike(one).unwrap();
        diary.strike(three).unwrap();
        drop(diary);
        assert!(Diary::open(directory.path()).unwrap().1.is_empty());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_process_that_is_just_ending_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let first = Diary::open(directory.path()).unwrap();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(own::LOOK * 5);
            drop(first);
        });
        Diary::open(directory.path()).unwrap();
        ending.join().unwrap();
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), format!("{{\"id\":\"{}\",\"says\":1}}\nnothing\n", Uuid::now_v7()))
            .unwrap();
        let fault = Diary::open(directory.path()).err().unwrap();
        assert!(fault.message.contains("line 2 is damaged") && !fault.transient, "{fault}");
    }

    #[test]
    fn a_long_file_is_written_anew_with_what_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let (diary, _) = Diary::open(directory.path()).unwrap();
        let (kept, text) = (Uuid::now_v7(), "x".repeat(1 << 20));
        diary.append(kept, &"kept").unwrap();
        for _ in 0..20 {
            let id = Uuid::now_v7();
            diary.append(id, &text).unwrap();
            diary.strike(id).unwrap();
        }
        assert!(fs::metadata(directory.path().join(FILE)).unwrap().len() < LONG);
        drop(diary);
        assert_eq!(texts(&Diary::open(directory.path()).unwrap().1), [(kept, vec!["\"kept\""])]);
    }
}
