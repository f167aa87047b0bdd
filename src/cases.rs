//! Runs the cases of a policy: what [`crate::policy::cases`] reads, asked of the policy and of the counters that Tollgate counts
//! with.
//!
//! A case goes the way of a request: mapped, decided, then charged. The counters are those of the memory store with a clock that
//! stands at the case's time, so that no second arithmetic can differ from the first. Nothing here asks for LibreChat or the
//! network.

mod counting;
mod coverage;
mod differs;
mod judged;
mod shown;

use crate::policy::Snapshot;
use crate::policy::cases::Case;
use crate::policy::codes;
use crate::policy::statements::Statement;
use crate::report::{Fault, quoted};

pub use coverage::Covered;
pub use differs::Row;
pub use judged::{Got, judge};
pub use shown::{asked, explain_line, failure, shell_word};

/// What became of the cases of a policy.
#[derive(Debug, Default)]
pub struct Run {
    /// The cases that were run, in the order of the files.
    pub tried: Vec<Tried>,
    /// What the policy says, to count what the cases decide.
    statements: Vec<Statement>,
    /// Case files that were read.
    pub files: usize,
}

/// What became of a case.
#[derive(Debug)]
pub struct Tried {
    /// The case.
    pub case: Case,
    /// What the policy answered, or why nobody can say: the case asks for what the caller does not have.
    pub got: Result<Got, String>,
    /// What was expected and what came out, side by side.
    pub rows: Vec<Row>,
}

/// Runs these cases.
pub fn run(policy: &Snapshot, statements: Vec<Statement>, cases: Vec<Case>, files: usize) -> Run {
    Run { tried: cases.into_iter().map(|case| Tried::of(policy, case)).collect(), statements, files }
}

// === impl Run ===

impl Run {
    /// The cases that fail.
    pub fn failures(&self) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(|tried| !tried.holds())
    }

    /// Whether all hold.
    pub fn holds(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The statements that are written in the policy, in the order of its files, and how many cases each decides.
    pub fn coverage(&self) -> Vec<Covered> {
        coverage::coverage(&self.statements, &self.tried)
    }
}

// === impl Tried ===

impl Tried {
    fn of(policy: &Snapshot, case: Case) -> Self {
        let got = judge(policy, &case);
        let rows = differs::rows(policy, &case, &got);
        Self { case, got, rows }
    }

    /// That it fails, as a fault of the case file: for logs and whoever else takes faults alone.
    pub fn fault(&self) -> Fault {
        let differing = self.rows.iter().filter(|row| row.differs);
        let differing: Vec<_> =
            differing.map(|row| format!("{}: expected {}, got {}", row.what, row.expected, row.got)).collect();
        let message = format!("the case {} fails: {}", quoted(&self.case.name), differing.join("; "));
        let help = "change the policy or the case; \"tollgate test\" shows all of it";
        Fault::error(codes::CASE_FAILED, message).help(help).at(self.case.place.clone())
    }

    /// Whether all came out as expected.
    pub fn holds(&self) -> bool {
        !self.rows.iter().any(|row| row.differs)
    }
}

#[cfg(test)]
mod tests;
