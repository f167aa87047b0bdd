//! Reading a policy directory: which files belong to the policy, and what they say as a whole.
//!
//! A directory may be a mounted ConfigMap: its files are then links into a hidden directory that is swapped as a whole.
//! So links to files are followed and hidden names are left out. Sub-directories are not read; they may hold another
//! policy.
//!
//! Beside the files of a policy may lie its cases (`*.test.yaml`). What is about to be used is loaded with them
//! ([`load_tested`]): a policy that does not do what its cases say is not taken.

mod in_force;
mod look;
mod overrides;
mod reloader;

pub use in_force::{InForce, InForceParts, OverridesTold, ReloadMeters, Stale, Standing, Told};
pub use overrides::OverridesFollower;
pub use reloader::{Reloader, ReloaderParts};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cases::{self, Run};
use crate::policy::codes;
use crate::policy::defaults::UserDefaults;
use crate::policy::{Snapshot, Source, compile_listed, compile_with};
use crate::report::{Fault, Place, Report};

/// A policy whose cases all hold.
#[derive(Debug)]
pub struct Tested {
    /// The policy.
    pub policy: Snapshot,
    /// What its author should look at.
    pub warnings: Report,
    /// Its cases; none where there is no case file.
    pub run: Run,
}

/// Why a policy is not to be used.
#[derive(Debug, Default)]
pub struct Rejected {
    /// The faults of its files, or its warnings where it has cases that fail.
    pub report: Report,
    /// Its cases, where it has no fault: some of them fail.
    pub run: Run,
}

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

/// Reads a policy as [`load_with`] does, and the cases beside it, and runs them. Whoever begins to use a policy gets it from here: one
/// whose cases fail is not to be had.
///
/// # Errors
///
/// All faults of the policy; where it has none, all faults of its case files; where these have none, the cases that fail.
pub fn load_tested(policies: &Path, defaults: &UserDefaults) -> Result<Tested, Rejected> {
    let (sources, mut report) = read(policies);
    let files = match case_files(policies) {
        Ok(files) => files,
        Err(error) => {
            report.push(unreadable(policies, &error));
            Vec::new()
        }
    };
    let (files, unread) = read_all(files);
    report.merge(unread);
    // As above: what cannot be read may define anything.
    let unreadable = report.has_errors();
    let (policy, statements) = match compile_listed(&sources, defaults) {
        Ok((policy, statements, warnings)) => {
            report.merge(warnings);
            (policy, statements)
        }
        Err(faults) => {
            report.merge(faults);
            return Err(report.into());
        }
    };
    let cases = match crate::policy::cases::read(&files, &policy, &statements) {
        Ok((cases, warnings)) if !unreadable => {
            report.merge(warnings);
            cases
        }
        Ok(_) => return Err(report.into()),
        Err(faults) => {
            report.merge(faults);
            return Err(report.into());
        }
    };
    let run = cases::run(&policy, statements, cases, files.len());
    if run.holds() { Ok(Tested { policy, warnings: report, run }) } else { Err(Rejected { report, run }) }
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

/// The files in which the cases of a single file may be.
fn beside(policy: &Path) -> Vec<PathBuf> {
    let name = name(policy);
    let own = stem(&name).filter(|_| is_policy_file(&name));
    own.into_iter()
        .flat_map(|stem| ["yaml", "yml"].map(|end| policy.with_file_name(format!("{stem}.test.{end}"))))
        .collect()
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
    let (sources, unread) = read_all(files);
    report.merge(unread);
    (sources, report)
}

/// Whether a file of this name belongs to a policy: `*.yaml` and `*.yml`, but no `*.test.yaml` and nothing hidden.
pub fn is_policy_file(name: &str) -> bool {
    stem(name).is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && !stem.ends_with(".test"))
}

/// Whether a file of this name has cases of a policy: `*.test.yaml` and `*.test.yml`, nothing hidden.
pub fn is_case_file(name: &str) -> bool {
    stem(name).and_then(|stem| stem.strip_suffix(".test")).is_some_and(|of| !of.is_empty() && !of.starts_with('.'))
}

/// A name without `.yaml` or `.yml`; none where it has neither.
fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))
}

fn read_all(files: Vec<PathBuf>) -> (Vec<Source>, Report) {
    let mut report = Report::new();
    let mut sources = Vec::with_capacity(files.len());
    for path in files {
        match fs::read_to_string(&path) {
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

// === impl Rejected ===

impl Rejected {
    /// All of it as faults: those of the files, and one for each case that fails.
    pub fn into_faults(self) -> Report {
        let mut report = self.report;
        for tried in self.run.failures() {
            report.push(tried.fault());
        }
        report
    }

    /// All of it for people, faults in colour where that is wanted. `policies` is where the policy is.
    pub fn render_human(&self, colour: bool, policies: &Path) -> String {
        let mut text = self.report.render_human(colour);
        for tried in self.run.failures() {
            text.push_str(&cases::failure(tried, policies));
        }
        text
    }
}

impl From<Report> for Rejected {
    fn from(report: Report) -> Self {
        Self { report, run: Run::default() }
    }
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
