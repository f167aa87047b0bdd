//! `tollgate audit tail`: the newest entries, and those that come.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::shown::{Columns, Row};
use crate::cli::exit::Exit;
use crate::cli::record::filters::{AuditFilters, Filters, Query};
use crate::cli::record::names::Names;
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::reading::{Reading, warn};
use crate::cli::record::{Desk, Failure};
use crate::record::{Kind, Line};
use crate::store::Ledger;

mod arrivals;

use arrivals::Arrivals;

/// The pause between two looks at the ledger.
const PACE: Duration = Duration::from_secs(1);

/// What `tollgate audit tail` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate audit tail --config /etc/tollgate/tollgate.yaml
  tollgate audit tail -n 50 --severity warning --since 2h --names
  tollgate audit tail --follow --decision deny --format json | jq .rules
  tollgate audit tail --data /var/lib/tollgate --user ann@example.edu --utc

Without --kind, audit entries are shown. --follow shows each entry once when it reaches the store,
also one whose time is older than those already shown, as when a replica was cut off for a while;
it ends with Ctrl-C, or when nobody reads its output any more.

Exit codes: 0 done, 1 failed, 64 bad usage or settings.")]
pub struct Args {
    /// How many entries to show at first
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    pub lines: u32,
    /// Go on and show what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Show e-mail addresses in place of user ids, where the directory knows them
    #[arg(long)]
    pub names: bool,
    /// Times are UTC: those that are shown, and those that are given without a zone
    #[arg(long)]
    pub utc: bool,
    /// How to print entries
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where the record is
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
    /// Which audit entries
    #[command(flatten)]
    pub audit: AuditFilters,
}

/// How entries are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line of columns for each
    #[default]
    Human,
    /// JSON lines, as they are kept
    Json,
}

/// Prints entries.
struct Printer {
    format: Format,
    zone: TimeZone,
    columns: Columns,
    names: Option<Names>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let mut place = Place::read(&args.place, desk)?;
    let zone = if args.utc { TimeZone::UTC } else { desk.zone.clone() };
    let mut query = args.filters.query(&args.audit, &mut place, &zone, desk).await?;
    if query.filter.kinds.is_empty() {
        query.filter.kinds = vec![Kind::Audit];
    }
    let ledger = place.ledger().await?;
    let names = if args.names { Some(Names::of(place.people().await?)) } else { None };
    let mut printer = Printer { format: args.format, zone, columns: Columns::new(desk.terminal.out), names };
    // Where the chains end is found out first: what comes from now on is not missed, and what is shown already is known.
    let arrivals = if args.follow { Some(Arrivals::from_now(&ledger, &query.filter.kinds).await?) } else { None };
    let lines = newest(&ledger, &query, args.lines, desk).await?;
    printer.print(&lines, desk).await?;
    match arrivals {
        Some(arrivals) => {
            let shown = lines.iter().map(|line| line.id).collect();
            follow(arrivals, shown, &query, &mut printer, desk).await
        }
        None => {
            if lines.is_empty() && args.format == Format::Human {
                writeln!(desk.err, "no such entries")?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// The newest lines, the newest last.
async fn newest(ledger: &Arc<dyn Ledger>, query: &Query, most: u32, desk: &mut Desk<'_>) -> Result<Vec<Line>, Failure> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    let mut reading = Reading::newest(ledger, query, most);
    while lines.len() < most
        && let Some(line) = reading.next().await?
    {
        lines.push(line);
    }
    warn(&reading.passed_over(), desk.err)?;
    lines.reverse();
    Ok(lines)
}

/// Prints what comes, until nobody reads any more.
async fn follow(
    mut arrivals: Arrivals,
    mut shown: HashSet<Uuid>,
    query: &Query,
    printer: &mut Printer,
    desk: &mut Desk<'_>,
) -> Result<Exit, Failure> {
    desk.out.flush()?;
    let mut told = false;
    loop {
        tokio::time::sleep(PACE).await;
        match arrivals.look(desk.clock.tick()).await {
            Ok(mut lines) => {
                told = false;
                warn(&arrivals.passed_over(), desk.err)?;
                lines.retain(|line| query.lets(line) && !shown.remove(&line.id));
                lines.sort_by_key(|line| (line.at, line.id));
                printer.print(&lines, desk).await?;
                desk.out.flush()?;
            }
            // A store that is away comes back.
            Err(error) if error.transient => {
                if !std::mem::replace(&mut told, true) {
                    writeln!(desk.err, "{error}; looking again every second")?;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

// === impl Printer ===

impl Printer {
    async fn print(&mut self, lines: &[Line], desk: &mut Desk<'_>) -> Result<(), Failure> {
        if self.format == Format::Json {
            return Ok(lines.iter().try_for_each(|line| writeln!(desk.out, "{}", line.text))?);
        }
        let mut rows = Vec::with_capacity(lines.len());
        for line in lines {
            let name = match (&mut self.names, Row::user(line)) {
                (Some(names), Some(id)) => names.email(&id).await?,
                _ => None,
            };
            rows.push(Row::of(line, name.as_deref(), &self.zone));
        }
        Ok(self.columns.write(&rows, desk.out)?)
    }
}
