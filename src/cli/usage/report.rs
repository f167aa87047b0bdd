//! `tollgate usage report`: requests, turns, tokens and money by user, role, group, model, endpoint or day.

use std::sync::Arc;

use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::sums::{By, Sums};
use crate::cli::exit::Exit;
use crate::cli::record::files::{FileArgs, Sorted};
use crate::cli::record::filters::{AuditFilters, Filters, Query};
use crate::cli::record::moments::{day, is_midnight, last_day};
use crate::cli::record::names::Names;
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::plain::plain;
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::cli::record::{Desk, Failure};
use crate::record::Kind;
use crate::store::{Days, Filter, Ledger, Order, Span, Unread};

mod page;

use page::Page;

/// Users' days of a page.
const PAGE: usize = 1_000;

/// What `tollgate usage report` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate usage report --config /etc/tollgate/tollgate.yaml --since 30d --top 10 --names
  tollgate usage report --by day --since 2026-11-01 --until 2026-11-30
  tollgate usage report --by role,model --endpoint openAI --format csv
  tollgate usage report --by model --file record.jsonl --format json | jq .total

IN counts all tokens given to models, CACHED those of them that came from a provider's cache.
COST is exact, in US dollars by the prices of the policy. A turn of several models, or of a user
in several groups, counts in each of their rows, and once in the total. Reports by user and day
over whole days come from daily sums, which are kept when the entries have expired; --source says
otherwise.

Exit codes: 0 done, 1 failed, 64 bad usage or settings.")]
pub struct Args {
    /// What has a row; several with commas: day,model
    #[arg(long, value_enum, value_delimiter = ',', default_value = "user", value_name = "WHAT")]
    pub by: Vec<By>,
    /// Show the dearest N rows, and the rest as one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    /// Show e-mail addresses in place of user ids, where the directory knows them
    #[arg(long)]
    pub names: bool,
    /// What is added up
    #[arg(long, value_enum, default_value_t)]
    pub source: Source,
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
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

/// What is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Daily sums where they are enough, else entries
    #[default]
    Auto,
    /// The entries that are kept
    Events,
    /// The sums of each user's days
    Days,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Human,
    /// A JSON object
    Json,
    /// A table for a spreadsheet
    Csv,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let mut by = Vec::with_capacity(args.by.len());
    for what in &args.by {
        if !by.contains(what) {
            by.push(*what);
        }
    }
    let mut place = Place::read(&args.place, desk)?;
    let query = args.filters.query(&AuditFilters::default(), &mut place, &TimeZone::UTC, desk).await?;
    let query = Query { filter: Filter { kinds: vec![Kind::Usage], ..query.filter }, at_least: None };
    let days = args.days(&by, &query)?;
    let mut progress = Progress::begin(&mut *desk.err, desk.terminal.err, &desk.clock, "added up");
    let (mut sums, mut passed_over) = (Sums::by(&by), Vec::new());
    match &days {
        Some(span) => {
            let ledger = place.ledger().await?;
            // The sums may be behind the entries where no Tollgate runs.
            while ledger.add_up(desk.clock.now()).await? {}
            passed_over = add_days(&ledger, span, &mut sums, &mut progress).await?;
        }
        None => {
            let reading = match args.files.files.as_slice() {
                [] => Reading::of(&place.ledger().await?, &query, Order::Oldest),
                files => Reading::Files(Sorted::look(files, &query, &mut progress)?),
            };
            add_entries(reading, &mut sums, &mut progress).await?;
        }
    }
    drop(progress);
    for Unread { name, why } in &passed_over {
        let told = format!("{name} was passed over: {why}; see `tollgate audit verify`");
        writeln!(desk.err, "note: {}", plain(&told))?;
    }
    let names = if args.names { Some(Names::of(place.people().await?)) } else { None };
    let page = Page::of(sums, &query.filter, days.is_some(), args.top, names).await?;
    match args.format {
        Format::Human => page.human(desk.out)?,
        Format::Json => page.json(desk.out)?,
        Format::Csv => page.csv(desk.out)?,
    }
    Ok(Exit::Ok)
}

async fn add_entries(mut reading: Reading, sums: &mut Sums, progress: &mut Progress<'_>) -> Result<(), Failure> {
    while let Some(line) = reading.next().await? {
        sums.add(&line).map_err(Failure::Failed)?;
        progress.step();
    }
    Ok(())
}

async fn add_days(
    ledger: &Arc<dyn Ledger>,
    span: &Span,
    sums: &mut Sums,
    progress: &mut Progress<'_>,
) -> Result<Vec<Unread>, Failure> {
    let (mut after, mut passed_over) = (None::<Box<str>>, Vec::new());
    loop {
        let Days { days, unread, next } = ledger.days(span, after.as_deref(), PAGE).await?;
        for day in &days {
            sums.add_day(day);
            progress.step();
        }
        passed_over.extend(unread);
        match next {
            Some(next) => after = Some(next),
            None => return Ok(passed_over),
        }
    }
}

// === impl Args ===

impl Args {
    /// The days whose sums are added up; none where entries are.
    fn days(&self, by: &[By], query: &Query) -> Result<Option<Span>, Failure> {
        let filter = &query.filter;
        let whole = |at: Option<jiff::Timestamp>| at.is_none_or(is_midnight);
        let missing = [
            ("--file", self.files.files.is_empty()),
            ("--by: only user and day", by.iter().all(|by| matches!(by, By::User | By::Day))),
            ("--role", filter.role.is_none()),
            ("--group", filter.group.is_none()),
            ("--endpoint", filter.endpoint.is_none()),
            ("--model", filter.model.is_none()),
            ("--since and --until: only whole days of UTC", whole(filter.since) && whole(filter.until)),
        ];
        let missing = missing.iter().find(|(_, fits)| !fits).map(|(what, _)| *what);
        match (self.source, missing) {
            (Source::Events, _) | (Source::Auto, Some(_)) => Ok(None),
            (Source::Days, Some(what)) => {
                Err(Failure::Asked(format!("daily sums do not know {what}; leave --source out")))
            }
            (Source::Auto | Source::Days, None) => Ok(Some(Span {
                from: filter.since.map_or(Date::constant(1970, 1, 1), day),
                to: filter.until.map_or(Date::MAX, last_day),
                user: filter.user.clone(),
                role: None,
            })),
        }
    }
}
