//! Where else on this machine entries of a user are.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::cli::record::{Desk, Failure};

/// Bytes that are looked at together.
const CHUNK: usize = 1 << 20;

/// A file that names the user, or that nobody can look into, and what to do about it.
pub(super) struct Left {
    path: PathBuf,
    why: &'static str,
}

/// The files that still name this user: of the spool, of what sinks refused, and of the sink `file`.
pub(super) fn left(data: &Path, file: Option<&Path>, user: &str) -> Vec<Left> {
    let records = data.join("records");
    let mut left = Vec::new();
    let spool = "the spool has entries of the user; they go when all sinks have them and it has gone on by some MiB: erase again then";
    let aside = "a sink has refused entries of the user: remove these lines";
    for (directory, why) in [(records.join("spool"), spool), (records.join("aside"), aside)] {
        let files = listed(&directory).into_iter().filter(|path| names(path, user));
        left.extend(files.map(|path| Left { path, why }));
    }
    // Earlier files have the name with the moment in it.
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(file) = file {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let own = |path: &PathBuf| stem(path).starts_with(&stem(file));
        let files = listed(directory).into_iter().filter(own).filter(|path| names(path, user));
        let why = "the sink `file` has written entries of the user: remove these lines once the file is begun anew, or the file";
        left.extend(files.map(|path| Left { path, why }));
    }
    left
}

/// Says so.
pub(super) fn told(left: &[Left], desk: &mut Desk<'_>) -> Result<(), Failure> {
    for Left { path, why } in left {
        writeln!(desk.err, "not erased: {}: {why}", path.display())?;
    }
    Ok(())
}

// === helpers ===

fn listed(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Whether the file has the user's id in it. One that cannot be read may.
fn names(path: &Path, user: &str) -> bool {
    let look = || {
        let (mut reader, mut window) = (BufReader::new(File::open(path)?), Vec::new());
        loop {
            let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut window)?;
            if memchr::memmem::find(&window, user.as_bytes()).is_some() {
                return Ok(true);
            }
            if read == 0 {
                return Ok::<_, std::io::Error>(false);
            }
            // The id may lie across two pieces.
            let keep = window.len().saturating_sub(user.len());
            window.drain(..keep);
        }
    };
    look().unwrap_or(true)
}
