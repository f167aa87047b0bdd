//! `tollgate migrate`: from a fork's `librechat.yaml` to a policy, and cases that pin what the fork allows.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::record::{Desk, Failure, end};
use crate::cases;
use crate::config::{Flags, Settings};
use crate::lifecycle::House;
use crate::policy::fork::{self, Fork, Note};
use crate::policy::{self, Source, compile_listed};
use crate::report::{Place, counted};
use crate::store::mongo::Mongo;

use pinned::Pinned;

mod balance;
mod made;
mod others;
mod pinned;
#[cfg(test)]
mod tests;

/// The files that are written, with what is in them.
type Files = Vec<(&'static str, String)>;

/// Make a policy of the roles: and groups: sections that some forks of LibreChat have in librechat.yaml.
///
/// Writes policy.yaml, policy.test.yaml (cases that pin what the fork allows) and the schemas for editors into a new directory, and tells what was
/// taken over, what was not, and what LibreChat itself goes on doing. Both files have been tried when they are written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate migrate librechat.yaml --to policies/mine
  tollgate migrate librechat.yaml --to policies/mine --mongo --config /etc/tollgate/tollgate.yaml

Exit codes: 0 written, 1 it could not be, 64 the file has faults, or the directory is there already.")]
pub struct Args {
    /// LibreChat's configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The directory to make. Nothing that is there is overwritten
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Look into LibreChat's database, too (configs and balances, read only), and tell what it goes on doing. Needs MONGO_URI
    #[arg(long)]
    pub mongo: bool,
    /// Settings file that names LibreChat's database; the environment counts, too
    #[arg(long, value_name = "FILE", requires = "mongo")]
    pub config: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let result = work(args, desk);
    end(result, desk)
}

fn work(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let text = fs::read_to_string(&args.file)
        .map_err(|error| Failure::Asked(format!("{} cannot be read: {error}", args.file.display())))?;
    if args.to.exists() {
        let shown = args.to.display();
        return Err(Failure::Asked(format!(
            "{shown} is there already, and nothing is overwritten; name a new directory"
        )));
    }
    let fork = fork::read(&Source { path: args.file.clone(), text: text.into() }).map_err(Failure::Settings)?;
    if fork.roles.is_empty() && fork.groups.is_empty() {
        let shown = args.file.display();
        let help = "policies/README.md has policies to begin with";
        return Err(Failure::Asked(format!(
            "{shown} has neither roles: nor groups:, so there is nothing to make a policy of; {help}"
        )));
    }
    let database = if args.mongo { others::in_mongo(&mongo(args, desk)?)? } else { Vec::new() };
    let (files, pinned) = tried(&fork)?;
    write(&args.to, &files).map_err(|error| Failure::Failed(format!("{}: {error}", args.to.display())))?;
    report(args, &fork, &pinned, &database, desk.out)?;
    Ok(Exit::Ok)
}

/// LibreChat's database.
fn mongo(args: &Args, desk: &Desk<'_>) -> Result<(House, Mongo), Failure> {
    let flags = Flags { config: args.config.clone(), ..Flags::default() };
    let settings = Settings::record(&flags, desk.environment).map_err(Failure::Settings)?;
    let Some(named) = settings.mongo else {
        return Err(Failure::Asked(
            "no MongoDB is configured; set MONGO_URI, or name the settings with --config".into(),
        ));
    };
    let house = House::open().map_err(|error| Failure::Failed(format!("no thread can be started: {error}")))?;
    let mongo = house.wait_for(Mongo::connect(named.uri.reveal(), &named.database))?;
    Ok((house, mongo))
}

/// The files, once the policy has no fault and each case holds; and what the cases pin.
fn tried(fork: &Fork) -> Result<(Files, Pinned), Failure> {
    let (policy, pinned) = (made::policy(fork), pinned::cases(fork));
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let (snapshot, statements, _) =
        compile_listed(&[source("policy.yaml", &policy)], &Default::default()).map_err(Failure::Settings)?;
    let (listed, _) = policy::cases::read(&[source("policy.test.yaml", &pinned.text)], &snapshot, &statements)
        .map_err(Failure::Settings)?;
    let run = cases::run(&snapshot, statements, listed, 1);
    if let Some(tried) = run.failures().next() {
        let shown = cases::failure(tried, Path::new("policy.yaml"));
        return Err(Failure::Failed(format!("what the fork allows cannot be written as a policy:\n{shown}")));
    }
    let files = vec![
        ("policy.yaml", policy),
        ("policy.test.yaml", pinned.text.clone()),
        ("policy.schema.json", include_str!("../../policies/policy.schema.json").to_owned()),
        ("cases.schema.json", include_str!("../../policies/cases.schema.json").to_owned()),
    ];
    Ok((files, pinned))
}

fn write(directory: &Path, files: &Files) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    // Fails where somebody else was quicker.
    fs::create_dir(directory)?;
    files.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}

fn report(args: &Args, fork: &Fork, pinned: &Pinned, database: &[String], out: &mut dyn Write) -> io::Result<()> {
    let shown = args.to.display();
    writeln!(out, "written: {shown}/policy.yaml, {shown}/policy.test.yaml and the schemas for editors")?;
    writeln!(
        out,
        "taken over: {}, {}; {} pin what the fork allows, and hold",
        counted(fork.roles.len(), "role"),
        counted(fork.groups.len(), "group"),
        counted(pinned.cells, "case"),
    )?;
    section("pinned by no case", pinned.left_out.clone(), out)?;
    section("not taken over as it stands", fork.notes.iter().map(line).collect(), out)?;
    section("what Tollgate judges and the fork does not", others::beyond(), out)?;
    section("what LibreChat goes on doing by its file", others::in_file(fork).iter().map(line).collect(), out)?;
    section("what LibreChat goes on doing by its database", database.to_vec(), out)?;
    writeln!(out, "\nnext: take roles: and groups: out of {}, and", args.file.display())?;
    writeln!(out, "  tollgate check --policies {shown}\n  tollgate test --policies {shown}")
}

fn section(title: &str, lines: Vec<String>, out: &mut dyn Write) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn line(note: &Note) -> String {
    match &note.place {
        Some(Place { file, line, .. }) => format!("{}:{line}: {}", file.display(), note.told),
        None => note.told.clone(),
    }
}
