//! Lines out of files: rotated ones, exports, in any order and with repetitions. Only the place of each line is kept in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str;

use jiff::Timestamp;
use uuid::Uuid;

use super::Failure;
use super::filters::Query;
use super::progress::Progress;
use crate::record::{Kind, Line};

/// Files of JSON lines in place of a store.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where the record is")]
pub struct FileArgs {
    /// Read these files of JSON lines (exports, rotated files) and no store
    #[arg(long = "file", value_name = "FILE", num_args = 1.., conflicts_with_all = ["sink"])]
    pub files: Vec<PathBuf>,
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    at: Timestamp,
    id: Uuid,
    kind: Kind,
    file: usize,
    offset: u64,
    length: usize,
}

/// The lines of files that a query lets through, in the order of time, each once.
pub struct Sorted {
    files: Vec<(PathBuf, File)>,
    rows: std::vec::IntoIter<Row>,
}

// === impl Sorted ===

impl Sorted {
    /// Looks through the files.
    ///
    /// # Errors
    /// [`Failure`] where a file cannot be read, or has a line that is none of the record. A last line without its end, which a
    /// crash may leave, is passed over.
    pub fn look(paths: &[PathBuf], query: &Query, progress: &mut Progress<'_>) -> Result<Self, Failure> {
        let mut files = Vec::with_capacity(paths.len());
        let mut rows = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let mut reader = BufReader::with_capacity(1 << 16, open(path)?);
            let (mut text, mut offset, mut count) = (Vec::new(), 0_u64, 0_u64);
            loop {
                text.clear();
                let length = reader.read_until(b'\n', &mut text).map_err(|error| unread(path, &error))?;
                if length == 0 {
                    break;
                }
                count += 1;
                progress.step();
                if let Some(line) = read(&text, path, count)?
                    && query.lets(&line)
                {
                    rows.push(Row { at: line.at, id: line.id, kind: line.kind, file: number, offset, length });
                }
                offset = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            }
            files.push((path.clone(), reader.into_inner()));
        }
        rows.sort_unstable();
        rows.dedup_by_key(|row| (row.kind, row.id, row.at));
        Ok(Self { files, rows: rows.into_iter() })
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Failure> {
        let Some(row) = self.rows.next() else { return Ok(None) };
        let Some((path, file)) = self.files.get_mut(row.file) else { return Ok(None) };
        let mut text = vec![0; row.length];
        file.seek(SeekFrom::Start(row.offset))
            .and_then(|_| file.read_exact(&mut text))
            .map_err(|error| unread(path, &error))?;
        let line = str::from_utf8(&text).ok().and_then(|text| Line::read(text.trim_end()).ok());
        line.map(Some).ok_or_else(|| Failure::Failed(format!("{} was changed while it was read", path.display())))
    }
}

/// Reads a line; none for an empty one, and for one without its end that cannot be read.
fn read(bytes: &[u8], path: &Path, number: u64) -> Result<Option<Line>, Failure> {
    let fault = |why: String| Failure::Failed(format!("{}:{number}: {why}", path.display()));
    let whole = bytes.ends_with(b"\n");
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.trim_end(),
        Err(_) if !whole => return Ok(None),
        Err(_) => return Err(fault("not an entry of the record: it is not UTF-8".into())),
    };
    match Line::read(text) {
        _ if text.is_empty() => Ok(None),
        Ok(line) => Ok(Some(line)),
        Err(_) if !whole => Ok(None),
        Err(error) => Err(fault(format!("{error}; the files must have the record alone, one JSON object a line"))),
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unread(path, &error))
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::Clock;
    use crate::record::samples;

    fn look(paths: &[PathBuf]) -> Result<Vec<Line>, String> {
        let mut err = Vec::new();
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut progress = Progress::begin(&mut err, false, &clock, "read");
        let mut sorted =
            Sorted::look(paths, &Query::default(), &mut progress).map_err(|failure| failure.to_string())?;
        let mut lines = Vec::new();
        while let Some(line) = sorted.next().unwrap() {
            lines.push(line);
        }
        Ok(lines)
    }

    #[test]
    fn lines_of_several_files_come_in_the_order_of_time_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (0..9).map(|n| samples::refusal(n).line().unwrap()).collect();
        let write = |name: &str, which: &[usize], end: &str| {
            let texts: Vec<_> = which.iter().map(|n| format!("{}\n", lines[*n].text)).collect();
            let path = directory.path().join(name);
            fs::write(&path, format!("{}{end}", texts.concat())).unwrap();
            path
        };
        let paths = [write("b", &[8, 3, 1, 4], "\n"), write("a", &[0, 7, 2, 6, 5, 3, 8], "{\"kind\":\"aud")];
        assert_eq!(look(&paths).unwrap(), lines);
    }

    #[test]
    fn what_is_no_entry_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, format!("{}\nINFO tollgate starts\n", samples::turn(1).line().unwrap().text)).unwrap();
        let fault = look(&[path]).unwrap_err();
        assert!(fault.contains("log:2: not an entry of the record"), "{fault}");
        let fault = look(&[directory.path().join("none")]).unwrap_err();
        assert!(fault.contains("none cannot be read"), "{fault}");
    }
}
