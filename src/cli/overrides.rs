//! `tollgate overrides`: stored changes to the policy for one user, group or role.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use clap::{Subcommand, ValueEnum};
use jiff::{Span, SpanRelativeTo, Timestamp};
use uuid::Uuid;

use super::exit::Exit;
use super::record::book::Book;
use super::record::moments::{Edge, moment};
use super::record::names::{Named, named};
use super::record::place::{Place, PlaceArgs, StoreName};
use super::record::{Desk, Failure, end, on_threads};
use super::serve::user_defaults;
use crate::config::{Flags, Settings};
use crate::overrides::{self, Change, Kept, Refused, Witness};
use crate::policy::overrides::{Kind, Principal};
use crate::policy::{Snapshot, Source, compile};
use crate::record::{About, Happened};
use crate::reload;
use crate::report::Report;
use crate::store::overrides::Override;

mod shown;
mod strangers;

/// Who changes something here.
const BY: &str = "cli";

/// Show and change overrides: stored changes to the policy for one user, group or role.
///
/// An override holds what an entry of a policy file may hold. Every running Tollgate takes it within a second, without a change of
/// the files. What is changed is checked against the files and written into the record first; without a record nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate overrides set user ann@example.edu --file change.yaml --until 2026-12-31
  tollgate overrides set user 6b012e4109cc968f8a928bce --file - < change.yaml
  tollgate overrides set group staff --file staff.yaml --priority 25
  tollgate overrides check user ann@example.edu --file change.yaml
  tollgate overrides list
  tollgate overrides show user ann@example.edu --format json
  tollgate overrides disable user ann@example.edu
  tollgate overrides remove group staff --if-version 7

Users are named by LibreChat's user id or by the e-mail address. Overrides are kept in Tollgate's own database where
MongoDB is configured, and in the embedded store otherwise.

Exit codes: 0 done, 1 failed (also where somebody else was faster), 64 the override, the policy or the settings have faults.")]
pub struct Args {
    /// Settings file, as `tollgate serve` reads it; the environment counts, too
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of policy files, or one such file [default: that of the settings]
    #[arg(long, global = true, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Directory of the embedded store and of the key that signs the record [default: that of the settings]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The store whose record tells of a change [default: the first store among the settings' records.sinks]
    #[arg(long, global = true, value_enum, value_name = "STORE")]
    pub sink: Option<StoreName>,
    /// The key that signs what the record tells [default: records/signing.key in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// How to print overrides
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How overrides are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Human,
    /// JSON: an array for `list`, an object otherwise
    Json,
}

/// What to do with overrides.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all overrides
    List,
    /// Show one override with all that it says
    Show(Whom),
    /// Make an override, or change one; what is not named stays as it is
    Set(Set),
    /// Remove an override
    Remove(Versioned),
    /// Let an override count again
    Enable(Versioned),
    /// Keep an override, and let it not count
    Disable(Versioned),
    /// Check a file that is to be an override, or all overrides there are, against the policy's files
    Check(Check),
}

/// Whom an override is about.
#[derive(Clone, Debug, clap::Args)]
pub struct Whom {
    /// What it is about
    #[arg(value_enum)]
    pub kind: KindName,
    /// The name of the role or the group, or the user's id or e-mail address
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
}

/// A role, a group or a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindName {
    /// All callers of a role
    Role,
    /// All members of a group
    Group,
    /// One user
    User,
}

/// An override that is to be as somebody has seen it.
#[derive(Clone, Debug, clap::Args)]
pub struct Versioned {
    /// Whom it is about.
    #[command(flatten)]
    pub whom: Whom,
    /// Only where it still has this version (`tollgate overrides show` tells it)
    #[arg(long, value_name = "N")]
    pub if_version: Option<u64>,
}

/// Make an override, or change one.
#[derive(Clone, Debug, clap::Args)]
pub struct Set {
    /// Whom it is about.
    #[command(flatten)]
    pub versioned: Versioned,
    /// YAML or JSON with what an entry of a policy file may have; - is standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Its place in the order: what is higher comes later, and its word stands [default: role 10, group 20, user 30]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// From when on it does not count any more: a time (2026-12-31T18:00:00Z), the end of a day (2026-12-31), or how long from now (2h, 7d)
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Let it count until it is changed
    #[arg(long, conflicts_with = "until")]
    pub for_good: bool,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub note: Option<String>,
}

/// Check overrides.
#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    /// What the file is to be about
    #[arg(value_enum, requires = "name")]
    pub kind: Option<KindName>,
    /// The name of the role or the group, or the user's id or e-mail address
    #[arg(value_name = "NAME", value_parser = name, requires = "file")]
    pub name: Option<String>,
    /// The file; - is standard input. Without it, all overrides that are kept are checked
    #[arg(long, value_name = "FILE", requires = "kind")]
    pub file: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let result = on_threads(work(args, desk));
    end(result, desk)
}

async fn work(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let named = PlaceArgs { config: args.config.clone(), sink: args.sink, data: args.data.clone() };
    let mut place = Place::read(&named, desk)?;
    let store = place.overrides(matches!(args.command, Command::Set(_))).await?;
    match &args.command {
        Command::List => {
            let kept = Kept::read(&*store).await?;
            shown::list(&kept, args.format, desk)?;
            Ok(Exit::Ok)
        }
        Command::Show(whom) => {
            let principal = principal(whom.kind, &whom.name, &mut place).await?;
            let kept = Kept::read(&*store).await?;
            let document = kept.of(&principal).ok_or_else(|| missing(&principal))?;
            shown::one(document, args.format, desk)?;
            Ok(Exit::Ok)
        }
        Command::Check(check) => {
            let files = files(args, desk)?;
            let report = match (check.kind, &check.name, &check.file) {
                (Some(kind), Some(name), Some(file)) => {
                    let principal = principal(kind, name, &mut place).await?;
                    let text = text(file, desk)?;
                    overrides::read(shown_path(file), &text, &principal, &files).err().unwrap_or_default()
                }
                _ => all_faults(&Kept::read(&*store).await?, &files),
            };
            shown::checked(&report, args.format, desk)?;
            Ok(if report.has_errors() { Exit::Usage } else { Exit::Ok })
        }
        Command::Set(set) => {
            let principal = principal(set.versioned.whom.kind, &set.versioned.whom.name, &mut place).await?;
            let files = files(args, desk)?;
            let overrides = match &set.file {
                Some(file) => {
                    let text = text(file, desk)?;
                    Some(overrides::read(shown_path(file), &text, &principal, &files).map_err(Failure::Settings)?)
                }
                None => None,
            };
            let until = set.until.as_deref().map(|until| ends(until, desk)).transpose()?;
            let change = Change {
                overrides,
                priority: set.priority,
                until: until.map(Some).or(set.for_good.then_some(None)),
                note: set.note.as_deref().map(Into::into),
                seen: set.versioned.if_version,
                ..Change::default()
            };
            let exit = change_one(args, &principal, change, &files, &mut place, desk).await?;
            if let Some(warning) = strangers::warning(&principal, &files, &mut place).await {
                writeln!(desk.err, "warning: {warning}")?;
            }
            Ok(exit)
        }
        Command::Enable(which) | Command::Disable(which) => {
            let principal = principal(which.whom.kind, &which.whom.name, &mut place).await?;
            let active = matches!(args.command, Command::Enable(_));
            let change = Change { active: Some(active), seen: which.if_version, ..Change::default() };
            // What is switched off is held against nothing: files with faults keep nobody from that.
            let files = if active { files(args, desk)? } else { no_files()? };
            change_one(args, &principal, change, &files, &mut place, desk).await
        }
        Command::Remove(which) => {
            let principal = principal(which.whom.kind, &which.whom.name, &mut place).await?;
            let files = no_files()?;
            let clock = desk.clock.clone();
            let book = Book::open(&mut place, args.signing_key.as_deref(), &clock).await?;
            let witness = Told(&book);
            let at = clock.now();
            let desk_of = overrides::Desk { store: &*store, files: &files, witness: &witness, at };
            desk_of.remove(&principal, which.if_version).await.map_err(failure)?;
            if args.format == Format::Human {
                writeln!(desk.out, "removed the override of the {principal}")?;
            }
            Ok(Exit::Ok)
        }
    }
}

async fn change_one(
    args: &Args,
    principal: &Principal,
    change: Change,
    files: &Snapshot,
    place: &mut Place,
    desk: &mut Desk<'_>,
) -> Result<Exit, Failure> {
    let store = place.overrides(true).await?;
    let clock = desk.clock.clone();
    let book = Book::open(place, args.signing_key.as_deref(), &clock).await?;
    let witness = Told(&book);
    let change = Change { by: Some(BY.into()), ..change };
    let desk_of = overrides::Desk { store: &*store, files, witness: &witness, at: clock.now() };
    let document: Override = desk_of.change(principal, change).await.map_err(failure)?;
    shown::one(&document, args.format, desk)?;
    Ok(Exit::Ok)
}

/// The record as the witness of a change.
struct Told<'a>(&'a Book<'a>);

#[async_trait]
impl Witness for Told<'_> {
    async fn tell(&self, action: Happened, user: Option<&str>, about: About) -> Result<Uuid, String> {
        self.0.tell(action, user, about).await.map_err(|failure| failure.to_string())
    }

    async fn take_back(&self, action: Happened, user: Option<&str>, told: Uuid, why: String) -> String {
        self.0.take_back(action, user, told, Failure::Failed(why)).await.to_string()
    }
}

// === helpers ===

/// The policy of the files that command line or settings name.
fn files(args: &Args, desk: &Desk<'_>) -> Result<Snapshot, Failure> {
    let flags = Flags {
        config: args.config.clone(),
        data: args.data.clone(),
        policies: args.policies.clone(),
        ..Flags::default()
    };
    let Some(policies) = Settings::policies(&flags, desk.environment) else {
        return Err(Failure::Asked(
            "no policy is named, against which overrides could be checked: name its directory with --policies, or the \
             settings with --config"
                .to_owned(),
        ));
    };
    let (files, _warnings) =
        reload::load_with(&policies, &user_defaults(desk.environment)).map_err(Failure::Settings)?;
    Ok(files)
}

/// A policy of no files, for what is checked against none.
fn no_files() -> Result<Snapshot, Failure> {
    let source = Source { path: "none".into(), text: "version: 1".into() };
    compile(&[source]).map(|(files, _)| files).map_err(Failure::Settings)
}

async fn principal(kind: KindName, name: &str, place: &mut Place) -> Result<Principal, Failure> {
    let (kind, id) = match kind {
        KindName::Role => (Kind::Role, name.into()),
        KindName::Group => (Kind::Group, name.into()),
        KindName::User => match named(name).map_err(Failure::Asked)? {
            Named::Id(id) => (Kind::User, id),
            Named::Address(address) => (Kind::User, place.people().await?.id(&address).await?),
        },
    };
    Ok(Principal { kind, id })
}

fn text(file: &Path, desk: &mut Desk<'_>) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        let mut text = String::new();
        desk.input.read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Failure::Asked(format!("{} cannot be read: {error}", shown_path(file).display())))
}

fn shown_path(file: &Path) -> &Path {
    if file == Path::new("-") { Path::new("standard input") } else { file }
}

/// When an override ends. A stretch of time is one from now on, as nothing ends in the past.
fn ends(text: &str, desk: &Desk<'_>) -> Result<Timestamp, Failure> {
    let now = desk.clock.now();
    let span = text
        .parse::<Span>()
        .ok()
        .filter(|_| text.ends_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(['T', '-', 'Z']));
    let end = match span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()) {
        Some(length) => now.checked_add(length).map_err(|error| error.to_string()),
        None => moment(text, Edge::Until, &desk.zone, now).map_err(|_| {
            "no moment: write a time (2026-12-31T18:00:00Z), a date (2026-12-31), or how long from now (2h, 7d)"
                .to_owned()
        }),
    };
    let end = end.map_err(|fault| Failure::Asked(format!("--until: {fault}")))?;
    if end <= now {
        return Err(Failure::Asked("--until is in the past: the override would never count".to_owned()));
    }
    Ok(end)
}

fn all_faults(kept: &Kept, files: &Snapshot) -> Report {
    let mut report = Report::new();
    for (_, faults) in kept.faults(files) {
        report.merge(faults);
    }
    for fault in &kept.unreadable {
        let fault = crate::report::Fault::error(crate::policy::codes::UNREADABLE, fault.to_string());
        report.push(fault.help("remove it with `tollgate overrides remove`, or from the store, and set it again"));
    }
    report
}

fn missing(principal: &Principal) -> Failure {
    Failure::Failed(format!("there is no override for the {principal}; `tollgate overrides list` shows all"))
}

fn failure(refused: Refused) -> Failure {
    match refused {
        Refused::Faulty(report) => Failure::Settings(report),
        Refused::Missing(principal) => missing(&principal),
        Refused::Store(error) => Failure::Store(error),
        other => Failure::Failed(other.to_string()),
    }
}

/// A name that can be seen whole.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err("must not be empty, begin or end with a blank, or hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
