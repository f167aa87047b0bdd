//! `tollgate check`: is this policy free of faults?

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::exit::Exit;
use super::serve;
use crate::cases::shell_word;
use crate::config::{Environment, Flags, Settings};
use crate::policy::Snapshot;
use crate::reload;
use crate::report::{Report, counted};

/// Check a policy, or settings and their policy, and print all faults at once, each with its place and what to do about it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate check --policies policies/demo
  tollgate check --config /etc/tollgate/tollgate.yaml
  tollgate check --policies policies/demo --format json | jq '.faults[].code'

The cases beside a policy (*.test.yaml) are run by tollgate test.

Exit codes: 0 no fault (there may be warnings), 64 faults.")]
pub struct Args {
    /// Directory of policy files (*.yaml, *.yml; *.test.yaml are left out), or one such file
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub policies: Option<PathBuf>,
    /// Settings file: it is checked too, and names the policy unless --policies does. A missing JWT_SECRET is no fault here
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Whether faults are printed in colour
    #[arg(skip)]
    pub colour: bool,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: faults on standard error, results on standard output.
    #[default]
    Human,
    /// For programs: JSON on standard output.
    Json,
}

/// The JSON of a policy without faults.
#[derive(Serialize)]
struct Summary<'a> {
    files: usize,
    roles: usize,
    groups: usize,
    users: usize,
    limits: usize,
    prices: usize,
    case_files: usize,
    revision: &'a str,
    mode: &'static str,
}

/// What was found.
struct Checked {
    result: Result<(Snapshot, Report), Report>,
    /// Where the policy is, where anything says so.
    policies: Option<PathBuf>,
    /// Files with cases beside it, which are not read here.
    case_files: usize,
}

/// Runs the command. Human faults go to `err`, everything else to `out`.
pub fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let checked = check(args, environment);
    let exit = if checked.result.is_ok() { Exit::Ok } else { Exit::Usage };
    let printed = match args.format {
        Format::Human => human(&checked, args.colour, out, err),
        Format::Json => json(&checked, out),
    };
    printed.map(|()| exit).into()
}

fn check(args: &Args, environment: &Environment) -> Checked {
    let (result, policies) = match (&args.config, &args.policies) {
        (None, Some(policies)) => {
            (reload::load_with(policies, &serve::user_defaults(environment)), Some(policies.clone()))
        }
        (config, policies) => {
            let flags = Flags { config: config.clone(), policies: policies.clone(), ..Flags::default() };
            // Settings are checked where they are written, which is seldom where the secret is.
            let environment = environment.clone().or("JWT_SECRET", "stands in for the secret while checking");
            let result = serve::read(&flags, &environment).map(|(_settings, policy, warnings)| (policy, warnings));
            (result, Settings::policies(&flags, &environment))
        }
    };
    let case_files =
        policies.as_deref().and_then(|policies| reload::case_files(policies).ok()).map_or(0, |files| files.len());
    Checked { result, policies, case_files }
}

fn human(checked: &Checked, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let (snapshot, warnings) = match &checked.result {
        Err(faults) => return err.write_all(faults.render_human(colour).as_bytes()),
        Ok(read) => read,
    };
    err.write_all(warnings.render_human(colour).as_bytes())?;
    let counts = snapshot.counts();
    writeln!(
        out,
        "ok: {}, {}, {}, {}, {}, mode {}, revision {}",
        counted(counts.files, "file"),
        counted(counts.roles, "role"),
        counted(counts.groups, "group"),
        counted(counts.users, "user"),
        counted(counts.limits, "limit"),
        snapshot.mode().as_str(),
        snapshot.revision(),
    )?;
    match (&checked.policies, checked.case_files) {
        (Some(policies), files @ 1..) => writeln!(
            out,
            "{} with cases beside it, which were not run: tollgate test --policies {}",
            counted(files, "file"),
            shell_word(&policies.to_string_lossy()),
        ),
        _ => Ok(()),
    }
}

/// An object with `policy` (null if there are faults) and `faults` (the report's array, warnings included).
fn json(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let (policy, report) = match &checked.result {
        Ok((snapshot, report)) => (Some(summary(snapshot, checked.case_files)), report),
        Err(report) => (None, report),
    };
    let faults: serde_json::Value = serde_json::from_str(&report.render_json())?;
    let object = serde_json::json!({ "policy": policy, "faults": faults });
    writeln!(out, "{object:#}")
}

fn summary(snapshot: &Snapshot, case_files: usize) -> Summary<'_> {
    let counts = snapshot.counts();
    Summary {
        files: counts.files,
        roles: counts.roles,
        groups: counts.groups,
        users: counts.users,
        limits: counts.limits,
        prices: counts.prices,
        case_files,
        revision: snapshot.revision(),
        mode: snapshot.mode().as_str(),
    }
}

#[cfg(test)]
mod tests;
