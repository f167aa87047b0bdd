//! Reading a policy directory: which files belong to the policy, and what they say as a whole.
//!
//! A directory may be a mounted ConfigMap: its files are then links into a hidden directory that is swapped as a whole.
//! So links to files are followed and hidden names are left out. Sub-directories are not read; they may hold another
//! policy.
//!
//! Beside the files of a policy may lie its cases (`*.test.yaml`). What is about to be used is loaded with them
//! ([`load_tested`]): a policy that does not do what its cases say is not taken.

mod files;
mod in_force;
mod look;
mod overrides;
mod reloader;
mod text;

pub use files::{case_files, is_case_file, is_policy_file, read};
pub use in_force::{InForce, InForceParts, OverridesTold, ReloadMeters, Stale, Standing, Told};
pub use overrides::OverridesFollower;
pub use reloader::{Reloader, ReloaderParts};

use std::path::Path;

use crate::cases::{self, Run};
use crate::policy::defaults::UserDefaults;
use crate::policy::{Snapshot, compile_listed, compile_with};
use crate::report::Report;

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
    let ((sources, files), mut report) = files::read_with_cases(policies);
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

#[cfg(test)]
mod tests;
