//! Reading a policy directory: which files belong to the policy, and what they say as a whole.
//!
//! A directory may be a mounted ConfigMap: its files are then links into a hidden directory that is swapped as a whole.
//! So links to files are followed and hidden names are left out. Sub-directories are not read; they may hold another
//! policy.

mod look;
mod reloader;

pub use reloader::{ReloadMeters, Reloader, ReloaderParts, Stale, Standing, Told};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::policy::codes;
use crate::policy::defaults::UserDefaults;
use crate::policy::{Snapshot, Source, compile_with};
use crate::report::{Fault, Place, Report};

/// Reads the policy of a directory, or of a single file.
///
/// # Errors
///
/// All faults of all files. Where there is a snapshot, the report beside it has warnings only.
pub fn load(policies: &Path) -> Result<(Snapshot, Report), Report> {
    load_with(policies, &UserDefaults::default())
}

/// Reads the policy of a directory, or of a single file, with defaults for users that stand in for its own.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(policies: &Path, defaults: &UserDefaults) -> Result<(Snapshot, Report), Report> {
    let (sources, mut report) = read(policies);
    // A file that cannot be read may define anything, so its absence must not be judged; the others are still checked.
    let unreadable = report.has_errors();
    match compile_with(&sources, defaults) {
        Ok((snapshot, warnings)) if !unreadable => {
            report.merge(warnings);
            Ok((snapshot, report))
        }
        Ok((_, warnings)) => {
            report.merge(warnings);
            Err(report)
        }
        Err(faults) => {
            report.merge(faults);
            Err(report)
        }
    }
}

/// Reads the policy files of a directory (or the single file given), sorted by name.
///
/// What cannot be read is a fault in the report; the sources are then not the whole policy.
pub fn read(policies: &Path) -> (Vec<Source>, Report) {
    let mut report = Report::new();
    let files = match fs::metadata(policies) {
        Ok(metadata) if metadata.is_dir() => files(policies, &mut report),
        Ok(_) => vec![policies.to_owned()],
        Err(error) => {
            report.push(unreadable(policies, &error));
            Vec::new()
        }
    };
    let mut sources = Vec::with_capacity(files.len());
    for path in files {
        match fs::read_to_string(&path) {
            Ok(text) => sources.push(Source { path, text: text.into() }),
            Err(error) => report.push(unreadable(&path, &error)),
        }
    }
    (sources, report)
}

/// Whether a file of this name belongs to a policy: `*.yaml` and `*.yml`, but no `*.test.yaml` and nothing hidden.
pub fn is_policy_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && !stem.ends_with(".test"))
}

fn files(directory: &Path, report: &mut Report) -> Vec<PathBuf> {
    let entries = match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => {
            report.push(unreadable(directory, &error));
            return Vec::new();
        }
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| !is_hidden(path)).collect();
    paths.sort();
    let (directories, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let files: Vec<_> = files.into_iter().filter(|path| is_policy_file(&name(path))).collect();
    let unread: Vec<_> = directories.into_iter().filter(|directory| has_policy_file(directory)).collect();
    if files.is_empty() {
        let help = match unread.first() {
            Some(directory) => format!("sub-directories are not read; did you mean {}?", directory.display()),
            None => "put a policy there; \"version: 1\" alone denies everything to everybody".to_owned(),
        };
        let fault = Fault::error(codes::NO_FILES, "the directory has no policy file (*.yaml, *.yml)");
        report.push(fault.help(help).at(Place::file(directory)));
        return files;
    }
    for directory in unread {
        let fault = Fault::warning(codes::SUB_DIRECTORY, "the policy files in this sub-directory are not read");
        report.push(fault.help("move them up, or move the directory away").at(Place::file(directory)));
    }
    files
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path; a link may point to nothing",
        io::ErrorKind::PermissionDenied => "let the user that Tollgate runs as read it",
        io::ErrorKind::InvalidData => "write it in UTF-8",
        _ => "check the file and the disk",
    };
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::InvalidData => "the file is not text in UTF-8".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Fault::error(codes::UNREADABLE, message).help(help).at(Place::file(path))
}

fn has_policy_file(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| is_policy_file(&name(&entry.path())))
}

fn is_hidden(path: &Path) -> bool {
    name(path).starts_with('.')
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
