//! Which files belong to a policy, and what all of them said at one moment.
//!
//! Files are read one after another. Where one of them is another one by the time that all are read, as when a mounted ConfigMap is swapped
//! meanwhile, what was read is no policy that anybody wrote: it is thrown away, and all are read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::look::Files;
use super::text;
use crate::policy::{Source, codes};
use crate::report::{Fault, Place, Report};

/// How often files are read that change while they are read.
const ATTEMPTS: usize = 20;

/// Reads the policy files of a directory (or the single file given), sorted by name, as they were at one moment.
///
/// What cannot be read is a fault in the report; the sources are then not the whole policy.
pub fn read(policies: &Path) -> (Vec<Source>, Report) {
    at_one_moment(policies, || policy(policies, text::read))
}

/// [`read`], and the case files beside them, of the same moment.
pub(super) fn read_with_cases(policies: &Path) -> ((Vec<Source>, Vec<Source>), Report) {
    at_one_moment(policies, || {
        let (policy, mut report) = policy(policies, text::read);
        let (cases, unread) = cases(policies, text::read);
        report.merge(unread);
        ((policy, cases), report)
    })
}

/// The case files of a policy: those of its directory, or those beside its single file (`school.test.yaml` beside `school.yaml`),
/// sorted by name.
///
/// # Errors
///
/// Where a directory cannot be listed. That there is no such directory is for who reads the policy to say.
pub fn case_files(policies: &Path) -> io::Result<Vec<PathBuf>> {
    if !policies.is_dir() {
        // What is there and cannot be looked at is for who reads it to say.
        let there =
            |path: &PathBuf| !matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        return Ok(beside(policies).into_iter().filter(there).collect());
    }
    let entries = fs::read_dir(policies)?.collect::<io::Result<Vec<_>>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| is_case_file(&name(path)) && !path.is_dir()).collect();
    files.sort();
    Ok(files)
}

/// Whether a file of this name belongs to a policy: `*.yaml` and `*.yml`, but no `*.test.yaml` and nothing hidden.
pub fn is_policy_file(name: &str) -> bool {
    stem(name).is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && !stem.ends_with(".test"))
}

/// Whether a file of this name has cases of a policy: `*.test.yaml` and `*.test.yml`, nothing hidden.
pub fn is_case_file(name: &str) -> bool {
    stem(name).and_then(|stem| stem.strip_suffix(".test")).is_some_and(|of| !of.is_empty() && !of.starts_with('.'))
}

// === helpers ===

/// Reads until no file has changed meanwhile.
fn at_one_moment<T>(policies: &Path, mut read: impl FnMut() -> (T, Report)) -> (T, Report) {
    let mut attempts = 1;
    loop {
        let before = Files::at(policies);
        let (said, mut report) = read();
        if before == Files::at(policies) {
            return (said, report);
        }
        if attempts == ATTEMPTS {
            let message = format!("the files were changed while they were read, {ATTEMPTS} times in a row");
            let fault = Fault::error(codes::UNREADABLE, message).help("try again when they stand still");
            report.push(fault.at(Place::file(policies)));
            return (said, report);
        }
        attempts += 1;
    }
}

fn policy(policies: &Path, text: impl FnMut(&Path) -> io::Result<String>) -> (Vec<Source>, Report) {
    let mut report = Report::new();
    let files = match fs::metadata(policies) {
        Ok(metadata) if metadata.is_dir() => files(policies, &mut report),
        Ok(_) => vec![policies.to_owned()],
        Err(error) => {
            report.push(unreadable(policies, &error));
            Vec::new()
        }
    };
    let (sources, unread) = read_all(files, text);
    report.merge(unread);
    (sources, report)
}

fn cases(policies: &Path, text: impl FnMut(&Path) -> io::Result<String>) -> (Vec<Source>, Report) {
    match case_files(policies) {
        Ok(files) => read_all(files, text),
        Err(error) => {
            let mut report = Report::new();
            report.push(unreadable(policies, &error));
            (Vec::new(), report)
        }
    }
}

fn read_all(files: Vec<PathBuf>, mut text: impl FnMut(&Path) -> io::Result<String>) -> (Vec<Source>, Report) {
    let mut report = Report::new();
    let mut sources = Vec::with_capacity(files.len());
    for path in files {
        match text(&path) {
            Ok(text) => sources.push(Source { path, text: text.into() }),
            Err(error) => report.push(unreadable(&path, &error)),
        }
    }
    (sources, report)
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

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path; a link may point to nothing",
        io::ErrorKind::PermissionDenied => "let the user that Tollgate runs as read it",
        io::ErrorKind::InvalidData => "write it in UTF-8",
        io::ErrorKind::InvalidInput => "put a file there, or a link to one, or move it away",
        _ => "check the file and the disk",
    };
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::InvalidData => "the file is not text in UTF-8".to_owned(),
        io::ErrorKind::InvalidInput => "this is not a regular file, but a pipe, a device or a socket".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Fault::error(codes::UNREADABLE, message).help(help).at(Place::file(path))
}

/// The files in which the cases of a single file may be.
pub(super) fn beside(policy: &Path) -> Vec<PathBuf> {
    let name = name(policy);
    let own = stem(&name).filter(|_| is_policy_file(&name));
    own.into_iter()
        .flat_map(|stem| ["yaml", "yml"].map(|end| policy.with_file_name(format!("{stem}.test.{end}"))))
        .collect()
}

/// A name without `.yaml` or `.yml`; none where it has neither.
fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))
}

fn has_policy_file(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| is_policy_file(&name(&entry.path())))
}

pub(super) fn is_hidden(path: &Path) -> bool {
    name(path).starts_with('.')
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
