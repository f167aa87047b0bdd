//! `tollgate test`: does the policy do what its cases say?

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::check::Format;
use super::exit::Exit;
use super::record::table::{Side, Table};
use super::serve::user_defaults;
use crate::cases::{self, Covered, Run, Tried};
use crate::config::Environment;
use crate::reload::{self, Rejected};
use crate::report::{Report, counted};

/// Run the cases beside a policy (*.test.yaml), and show those that do not come out as they say.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate test --policies policies/budget
  tollgate test --policies policies/budget --filter \"used up\"
  tollgate test --policies policies/budget --require-coverage
  tollgate test --policies policies/budget --format json | jq '.cases[] | select(.holds | not)'

policies/README.md has the form of a case. Tollgate itself runs the cases before it begins to use a policy.

Exit codes: 0 all cases hold, or there are none; 1 a case fails, or with --require-coverage a rule is
decided by no case; 64 the policy or a case file has faults, or no case has --filter in its name.")]
pub struct Args {
    /// Directory of policy files with their case files, or one policy file (with a.test.yaml beside a.yaml)
    #[arg(long, value_name = "DIR")]
    pub policies: PathBuf,
    /// Only cases whose name contains this, upper and lower case alike
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Show each rule of the policy, where it is written, and how many cases it decides
    #[arg(long)]
    pub coverage: bool,
    /// Fail where a rule of the policy is decided by no case. Shows the coverage
    #[arg(long, conflicts_with = "filter")]
    pub require_coverage: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Whether faults are printed in colour
    #[arg(skip)]
    pub colour: bool,
}

/// What is to be told.
struct Told<'a> {
    args: &'a Args,
    /// Faults, or warnings.
    report: Report,
    /// The cases; none where files have faults.
    run: Option<Run>,
    covered: Vec<Covered>,
}

/// Runs the command. Faults of files go to `err`, everything else to `out`.
pub fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let (report, run) = match reload::load_tested(&args.policies, &user_defaults(environment)) {
        Ok(tested) => (tested.warnings, Some(tested.run)),
        Err(Rejected { report, run }) => {
            let read = !report.has_errors();
            (report, read.then_some(run))
        }
    };
    let told = Told::of(args, report, run);
    let printed = match args.format {
        Format::Human => told.human(out, err),
        Format::Json => told.json(out),
    };
    printed.map(|()| told.exit()).into()
}

/// `1 case fails`, `2 cases fail`.
pub(super) fn fails(count: usize) -> String {
    format!("{} {}", counted(count, "case"), if count == 1 { "fails" } else { "fail" })
}

// === impl Told ===

impl<'a> Told<'a> {
    fn of(args: &'a Args, report: Report, mut run: Option<Run>) -> Self {
        if let (Some(run), Some(text)) = (&mut run, &args.filter) {
            let wanted = text.to_lowercase();
            run.tried.retain(|tried| tried.case.name.to_lowercase().contains(&wanted));
        }
        let shows = args.coverage || args.require_coverage;
        let covered = run.as_ref().filter(|_| shows).map(Run::coverage).unwrap_or_default();
        Self { args, report, run, covered }
    }

    fn exit(&self) -> Exit {
        let Some(run) = &self.run else { return Exit::Usage };
        // A filter with a slip in it must not look like cases that hold.
        if self.args.filter.is_some() && run.tried.is_empty() {
            return Exit::Usage;
        }
        let uncovered = self.args.require_coverage && self.covered.iter().any(|covered| covered.cases == 0);
        if run.holds() && !uncovered { Exit::Ok } else { Exit::Failed }
    }

    fn human(&self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        err.write_all(self.report.render_human(self.args.colour).as_bytes())?;
        let Some(run) = &self.run else { return Ok(()) };
        for tried in run.failures() {
            out.write_all(cases::failure(tried, &self.args.policies).as_bytes())?;
        }
        if self.args.coverage || self.args.require_coverage {
            self.coverage(out)?;
        }
        writeln!(out, "{}", self.summary(run))
    }

    /// The last line.
    fn summary(&self, run: &Run) -> String {
        if run.files == 0 {
            return "no cases: write them into a file *.test.yaml beside the policy".to_owned();
        }
        if run.tried.is_empty() {
            return "no case has this text in its name".to_owned();
        }
        let (all, failing) = (run.tried.len(), run.failures().count());
        let of = format!("{} in {}", counted(all, "case"), counted(run.files, "file"));
        match failing {
            0 if all == 1 => format!("ok: {of} holds"),
            0 => format!("ok: {of} hold"),
            failing => format!("{}, of {of}", fails(failing)),
        }
    }

    fn coverage(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([("RULE", Side::Left), ("WRITTEN AT", Side::Left), ("CASES", Side::Right)]);
        for Covered { rule, place, cases } in &self.covered {
            let cases = if *cases == 0 { "none".to_owned() } else { cases.to_string() };
            table.row(vec![rule.to_string(), place.to_string(), cases]);
        }
        table.write(out)?;
        let (all, decided) = (self.covered.len(), self.decided());
        // Rounded down: only all of them are 100 %.
        let percent = (decided * 100).checked_div(all).unwrap_or(100);
        writeln!(out, "{decided} of {} decided by a case, {percent} %\n", counted(all, "rule"))
    }

    fn decided(&self) -> usize {
        self.covered.iter().filter(|covered| covered.cases > 0).count()
    }

    /// An object with `cases` (null where files have faults), `coverage` (null unless it is asked for), `summary` and `faults`.
    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let faults: Value = serde_json::from_str(&self.report.render_json())?;
        let shows = self.args.coverage || self.args.require_coverage;
        let coverage: Vec<Value> = self.covered.iter().map(covered).collect();
        let summary = self.run.as_ref().map(|run| {
            let failing = run.failures().count();
            json!({ "files": run.files, "cases": run.tried.len(), "hold": run.tried.len() - failing, "fail": failing })
        });
        let object = json!({
            "cases": self.run.as_ref().map(|run| run.tried.iter().map(|tried| self.case(tried)).collect::<Vec<_>>()),
            "coverage": (shows && self.run.is_some()).then_some(coverage),
            "summary": summary,
            "faults": faults,
        });
        writeln!(out, "{object:#}")
    }

    fn case(&self, tried: &Tried) -> Value {
        let row = |row: &cases::Row| json!({ "what": row.what, "expected": row.expected, "got": row.got, "differs": row.differs });
        let rows: Vec<_> = tried.rows.iter().map(row).collect();
        json!({
            "name": tried.case.name,
            "file": tried.case.place.file.to_string_lossy(),
            "line": tried.case.place.line,
            "holds": tried.holds(),
            "asked": cases::asked(&tried.case),
            "rows": rows,
            "explain": cases::explain_line(tried, &self.args.policies),
        })
    }
}

fn covered(covered: &Covered) -> Value {
    let place = &covered.place;
    json!({ "rule": covered.rule, "file": place.file.to_string_lossy(), "line": place.line, "cases": covered.cases })
}

#[cfg(test)]
mod tests;
