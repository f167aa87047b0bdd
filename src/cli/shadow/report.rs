//! `tollgate shadow report`: what each rule in shadow mode would have refused, and which can be enforced.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::tally::{Tally, Told, is_limit};
use crate::cli::check::Format;
use crate::cli::exit::Exit;
use crate::cli::record::files::{FileArgs, Sorted};
use crate::cli::record::filters::{AuditFilters, Filters, Query};
use crate::cli::record::names::Names;
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::cli::record::{Desk, Failure};
use crate::cli::serve::user_defaults;
use crate::config::{Flags, Settings};
use crate::policy::statements::Statement;
use crate::policy::{Mode, Snapshot, compile_listed};
use crate::record::Kind;
use crate::reload;
use crate::store::{Filter, Order};

mod page;

use page::Page;

/// For so long entries are looked through, where nothing is said.
const SINCE: &str = "30d";

/// What `tollgate shadow report` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate shadow report --config /etc/tollgate/tollgate.yaml
  tollgate shadow report --config /etc/tollgate/tollgate.yaml --since 90d --quiet 30 --names
  tollgate shadow report --policies policies/university --file record.jsonl --format json
  tollgate shadow report --role STUDENT --model gpt-4o

OF counts for a list of models or tools the requests whose entries name it, and for a limit all turns.
A rule can be enforced when it would have refused nothing for --quiet days, and the record shows that
it was watched for as long: it names the rule, or the policy as it is now. Days are those of UTC.

Exit codes: 0 done, 1 failed, 64 bad usage or settings, or a policy with faults.")]
pub struct Args {
    /// Directory of policy files, or one such file [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// After so many days without anything that it would have refused a rule can be enforced
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub quiet: u16,
    /// Show e-mail addresses in place of user ids, where the directory knows them
    #[arg(long)]
    pub names: bool,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Where the record is
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Files in its place
    #[command(flatten)]
    pub files: FileArgs,
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
}

/// The policy that is in force, as far as shadow mode goes.
pub(super) struct Shadow {
    pub(super) policy: Snapshot,
    /// What can refuse and only records: limits, or where the whole policy is in shadow mode all that is written.
    pub(super) rules: Vec<Box<str>>,
}

/// A rule, what is told of it, and what follows.
pub(super) struct Row {
    pub(super) rule: Box<str>,
    pub(super) told: Told,
    pub(super) advice: Advice,
}

/// What follows of what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// It has refused nothing for long enough.
    Enforce,
    /// It would have refused something lately.
    Refuses,
    /// It has refused nothing, and was not watched for long enough: whole days so far.
    Young(i64),
    /// It is not in shadow mode (any more), or nobody knows which policy is in force.
    Gone,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let shadow = Shadow::read(args, desk)?;
    let mut place = Place::read(&args.place, desk)?;
    let filters = Filters { since: args.filters.since.clone().or_else(|| Some(SINCE.into())), ..args.filters.clone() };
    let query = filters.query(&AuditFilters::default(), &mut place, &desk.zone, desk).await?;
    let query = Query { filter: Filter { kinds: vec![Kind::Audit], ..query.filter }, at_least: None };
    let mut progress = Progress::begin(&mut *desk.err, desk.terminal.err, &desk.clock, "added up");
    let mut reading = match args.files.files.as_slice() {
        [] => Reading::of(&place.ledger().await?, &query, Order::Oldest),
        files => Reading::Files(Sorted::look(files, &query, &mut progress)?),
    };
    let mut tally = Tally::default();
    while let Some(line) = reading.next().await? {
        tally.add(&line).map_err(Failure::Failed)?;
        progress.step();
    }
    drop(progress);
    let names = if args.names { Some(Names::of(place.people().await?)) } else { None };
    let until = query.filter.until.unwrap_or_else(|| desk.clock.now());
    let rows = rows(&tally, shadow.as_ref(), args.quiet, until);
    let page = Page { shadow, tally, rows, quiet: args.quiet, since: query.filter.since, until };
    page.write(args.format, names, desk.out).await?;
    Ok(Exit::Ok)
}

/// The rules in shadow mode, and others that would have refused: those that would most before the others.
fn rows(tally: &Tally, shadow: Option<&Shadow>, quiet: u16, until: Timestamp) -> Vec<Row> {
    let watched = shadow.map_or(&[][..], |shadow| &shadow.rules);
    let others = tally.rules.iter().filter(|(rule, told)| told.would_refuse > 0 && !watched.contains(rule));
    let row = |rule: &str, known: bool| {
        let mut told = tally.rules.get(rule).cloned().unwrap_or_default();
        if is_limit(rule) {
            told.of = tally.turns;
        }
        // What an entry in shadow mode does not name would be refused by a statement that stands elsewhere.
        let tried = |shadow: &&Shadow| known || (shadow.policy.has_shadows() && !is_limit(rule));
        let advice = match shadow.filter(tried) {
            Some(shadow) => advice(&told, tally.revisions.get(shadow.policy.revision()).copied(), quiet, until),
            None => Advice::Gone,
        };
        Row { rule: rule.into(), told, advice }
    };
    let mut rows: Vec<Row> =
        watched.iter().map(|rule| row(rule, true)).chain(others.map(|(rule, _)| row(rule, false))).collect();
    rows.sort_by(|a, b| (b.told.would_refuse, &a.rule).cmp(&(a.told.would_refuse, &b.rule)));
    rows
}

fn advice(told: &Told, policy_since: Option<Timestamp>, quiet: u16, until: Timestamp) -> Advice {
    let days = |since: Timestamp| until.duration_since(since).as_hours() / 24;
    if told
        .last
        .as_ref()
        .is_some_and(|(at, _)| until.duration_since(*at) < SignedDuration::from_hours(24 * i64::from(quiet)))
    {
        return Advice::Refuses;
    }
    match told.first_named.into_iter().chain(policy_since).min().map(days) {
        Some(watched) if watched >= i64::from(quiet) => Advice::Enforce,
        watched => Advice::Young(watched.unwrap_or(0).max(0)),
    }
}

// === impl Shadow ===

impl Shadow {
    /// Reads the policy that is named; none where none is.
    fn read(args: &Args, desk: &Desk<'_>) -> Result<Option<Self>, Failure> {
        let PlaceArgs { config, data, .. } = args.place.clone();
        let flags = Flags { config, data, policies: args.policies.clone(), ..Flags::default() };
        let Some(policies) = Settings::policies(&flags, desk.environment) else { return Ok(None) };
        Self::of(&policies, desk).map(Some)
    }

    fn of(policies: &Path, desk: &Desk<'_>) -> Result<Self, Failure> {
        let (sources, unread) = reload::read(policies);
        let compiled = compile_listed(&sources, &user_defaults(desk.environment));
        let (policy, statements) = match compiled {
            Ok((policy, statements, _)) if !unread.has_errors() => (policy, statements),
            Ok(_) => return Err(Failure::Settings(unread)),
            Err(mut faults) => {
                faults.merge(unread);
                return Err(Failure::Settings(faults));
            }
        };
        let rules = watched(&policy, &statements);
        Ok(Self { policy, rules })
    }
}

/// What can refuse, and only records.
fn watched(policy: &Snapshot, statements: &[Statement]) -> Vec<Box<str>> {
    let records = |statement: &&Statement| match policy.terms(&statement.rule) {
        Some(terms) => terms.mode == Mode::Shadow,
        None => {
            let shadow = statement.shadow || policy.mode() == Mode::Shadow;
            shadow && statement.can_refuse() && statement.place.is_some()
        }
    };
    statements.iter().filter(records).map(|statement| statement.rule.as_str().into()).collect()
}

#[cfg(test)]
mod tests;
