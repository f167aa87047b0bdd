//! `tollgate audit erase`: take a user out of the record, and leave a record that still verifies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::json;
use uuid::Uuid;

use crate::cli::exit::Exit;
use crate::cli::record::deed::{deed, signer, write};
use crate::cli::record::filters::Query;
use crate::cli::record::names::{Named, named};
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::progress::{Progress, grouped};
use crate::cli::record::reading::Reading;
use crate::cli::record::{Desk, Failure};
use crate::record::chain::{Erasure, ErasureFault, Tombed, root};
use crate::record::heads::Signer;
use crate::record::link::Unlinked;
use crate::record::{About, Happened, Kind, Line};
use crate::store::{Erased, Filter, Ledger, Order, Tomb};

mod left;

/// What the event of an erasure is called.
const ACTION: &str = "records.erased";

/// What `tollgate audit erase` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate audit erase ann@example.edu --reason \"request of 21 November\" --yes
  tollgate audit erase 6b012e4109cc968f8a928bce --reason \"left in 2025\" --yes --format json
  tollgate audit erase --finish

Each entry of the user becomes a tombstone: its place in the chain, and nothing of the user.
Sums by day keep their numbers without the name. An event tells how many entries were erased and
why, and not whose they were: do not name the user in --reason. Entries of others stay: those that name the user
(paths of LibreChat's administration and of files, overrides that came into force) are counted, and
tell what others did; `records: { mask: { path: ids } }` keeps ids out of paths. That is done in each store among
records.sinks, or in the one that is named. Files of this machine that still have entries of the
user are named, and the command ends with 1: the file of the sink `file` and those beside it,
records/spool (entries on their way to a sink, and the last ones that went), and records/aside.
Erase again when entries that were on their way have come. Other copies are not touched: standard
output and OTLP that somebody collected, exports, backups, LibreChat's own database, an override of
the user (tollgate overrides remove), and the stores, spools and files of other replicas.

Exit codes: 0 done, 1 failed (or entries were left), 64 bad usage or settings.")]
pub struct Args {
    /// LibreChat's user id, or the e-mail address that the directory has
    #[arg(value_name = "USER", value_parser = named, required_unless_present = "finish")]
    pub user: Option<Named>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", required_unless_present = "finish")]
    pub reason: Option<String>,
    /// Erase without asking
    #[arg(long)]
    pub yes: bool,
    /// Record the erasures that broke off before their event was written; whom they were about is known to nobody, so erase the
    /// user again
    #[arg(long, conflicts_with_all = ["user", "reason"])]
    pub finish: bool,
    /// The key that signs [default: records/signing.key in the data directory]
    #[arg(long, value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where the record is
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Sentences
    #[default]
    Human,
    /// A JSON object for each store, one after the other
    Json,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let mut place = Place::read(&args.place, desk)?;
    let signer = Arc::new(signer(args.signing_key.as_deref().or(place.signing_key()), place.data())?);
    let mut ledgers = Vec::new();
    for store in place.stores() {
        place.select(store);
        ledgers.push((place.store_name(), place.ledger().await?));
    }
    if ledgers.is_empty() {
        // Says which settings are missing.
        ledgers.push((place.store_name(), place.ledger().await?));
    }
    let Some(user) = &args.user else {
        for (store, ledger) in &ledgers {
            let broken = broken_off(ledger).await?;
            finish(args, (store, ledger), &signer, &broken, desk).await?;
        }
        return Ok(Exit::Ok);
    };
    let user = match user {
        Named::Id(id) => id.clone(),
        Named::Address(address) => place.people().await?.id(address).await?,
    };
    let reason = args.reason.as_deref().unwrap_or_default();
    if [Some(&*user), args.user.as_ref().and_then(Named::address)]
        .into_iter()
        .flatten()
        .any(|name| reason.contains(name))
    {
        return Err(Failure::Asked("--reason names the user, and is kept: say it without the name".into()));
    }
    let mut kept = 0_u64;
    for (store, ledger) in &ledgers {
        let broken = broken_off(ledger).await?;
        if !broken.is_empty() {
            writeln!(desk.err, "note: {}", unfinished(broken.len()))?;
        }
        if ledgers.len() > 1 {
            writeln!(desk.err, "in the store {store}:")?;
        }
        if !agreed(args, ledger, &user, desk).await? {
            writeln!(desk.err, "nothing was erased")?;
            return Ok(Exit::Failed);
        }
        let id = Uuid::now_v7();
        let erased = ledger.erase(&user, tomb(id, &signer)).await;
        let erased = erased.map_err(|error| {
            Failure::Failed(format!(
                "{error}; a part is erased: run the same command again, and then `tollgate audit erase --finish`"
            ))
        })?;
        let count = tell(id, Some(&erased), reason, (store, ledger), &signer, desk).await?;
        told(args.format, (store, id), count, &erased, desk)?;
        kept = kept.saturating_add(erased.kept);
    }
    let left = left::left(place.data(), place.file(), &user);
    left::told(&left, desk)?;
    Ok(if kept == 0 && left.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// Shows what is about to be erased, and asks.
async fn agreed(args: &Args, ledger: &Arc<dyn Ledger>, user: &str, desk: &mut Desk<'_>) -> Result<bool, Failure> {
    let filter = Filter { user: Some(user.into()), kinds: vec![Kind::Audit, Kind::Usage], ..Filter::default() };
    let mut counts = (0_u64, 0_u64);
    {
        let mut progress = Progress::begin(&mut *desk.err, desk.terminal.err, &desk.clock, "found");
        let mut reading = Reading::of(ledger, &Query { filter, at_least: None }, Order::Oldest);
        while let Some(line) = reading.next().await? {
            let count = if line.kind == Kind::Audit { &mut counts.0 } else { &mut counts.1 };
            *count = count.saturating_add(1);
            progress.step();
        }
    }
    let (audit, usage) = (grouped(counts.0), grouped(counts.1));
    writeln!(desk.err, "user {user} has {audit} audit entries and {usage} usage entries in the record")?;
    if args.yes {
        return Ok(true);
    }
    if !desk.terminal.input {
        return Err(Failure::Asked("nobody is there to be asked: say --yes to erase them".into()));
    }
    write!(desk.err, "Erase them? This cannot be undone. [y/N] ")?;
    desk.err.flush()?;
    let mut answer = String::new();
    desk.input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Writes the event of an erasure by what it left in the ledger; how many tombstones these are. What else it did is not known of one
/// that broke off.
async fn tell(
    id: Uuid,
    erased: Option<&Erased>,
    reason: &str,
    (store, ledger): (&str, &Arc<dyn Ledger>),
    signer: &Signer,
    desk: &Desk<'_>,
) -> Result<usize, Failure> {
    let filter = Filter { erased: Some(id), kinds: vec![Kind::Audit, Kind::Usage], ..Filter::default() };
    let mut reading = Reading::of(ledger, &Query { filter, at_least: None }, Order::Oldest);
    let mut tombs = Vec::new();
    while let Some(line) = reading.next().await? {
        tombs.extend(Tombed::read(&line, id));
    }
    let about = About::Erased {
        count: u64::try_from(tombs.len()).unwrap_or(u64::MAX),
        root: root(&mut tombs),
        removed: erased.map(|erased| erased.removed),
        days: erased.map(|erased| erased.days),
        reason: reason.into(),
    };
    write(&deed(id, desk.clock.now(), Happened::Erased, None, about), (store, ledger), signer).await?;
    Ok(tombs.len())
}

/// Writes the events of erasures that broke off.
async fn finish(
    args: &Args,
    ledger: (&str, &Arc<dyn Ledger>),
    signer: &Signer,
    broken: &BTreeSet<Uuid>,
    desk: &mut Desk<'_>,
) -> Result<Exit, Failure> {
    for id in broken {
        let count = tell(*id, None, "an erasure that broke off", ledger, signer, desk).await?;
        told(args.format, (ledger.0, *id), count, &Erased::default(), desk)?;
    }
    if broken.is_empty() && args.format == Format::Human {
        writeln!(desk.out, "no erasure broke off")?;
    }
    Ok(Exit::Ok)
}

/// The erasures that no event tells of.
async fn broken_off(ledger: &Arc<dyn Ledger>) -> Result<BTreeSet<Uuid>, Failure> {
    let mut broken: BTreeSet<Uuid> = ledger.erasures().await?.into_iter().collect();
    if broken.is_empty() {
        return Ok(broken);
    }
    let filter = Filter { action: Some(ACTION.into()), kinds: vec![Kind::Audit], ..Filter::default() };
    let mut events = Reading::of(ledger, &Query { filter, at_least: None }, Order::Oldest);
    while let Some(event) = events.next().await? {
        broken.remove(&event.id);
    }
    Ok(broken)
}

/// What makes tombstones. What was never chained is removed; what was changed stays as it is, as whoever finds out why needs it.
fn tomb(id: Uuid, signer: &Arc<Signer>) -> Tomb {
    let signer = Arc::clone(signer);
    Arc::new(move |line: &Line| match (Erasure { id, signer: &signer }).tombstone(line) {
        Ok(tombstone) => Ok(Some(tombstone)),
        Err(ErasureFault::Unlinked(_, Unlinked::None)) => Ok(None),
        Err(fault) => Err(fault.to_string()),
    })
}

fn told(
    format: Format,
    (store, id): (&str, Uuid),
    count: usize,
    erased: &Erased,
    desk: &mut Desk<'_>,
) -> Result<(), Failure> {
    if format == Format::Json {
        let Erased { removed, kept, why, days, named, .. } = erased;
        let object = json!({"store": store, "erasure": id, "tombstones": count, "removed": removed, "days": days, "named": named, "kept": kept, "why": why});
        return Ok(writeln!(desk.out, "{object:#}")?);
    }
    let count = grouped(u64::try_from(count).unwrap_or(u64::MAX));
    writeln!(desk.out, "erased: {count} entries are tombstones now, as event {id} tells")?;
    if erased.removed > 0 {
        writeln!(desk.out, "removed, as no chain needs them: {}", grouped(erased.removed))?;
    }
    if erased.days > 0 {
        writeln!(desk.out, "sums of a day that have no name any more: {}", grouped(erased.days))?;
    }
    if erased.named > 0 {
        let (count, name) = (
            grouped(erased.named),
            "entries of others name the user: paths of LibreChat's administration and files, overrides that came into force",
        );
        writeln!(desk.err, "note: {count} {name}: they tell what others did, and stay (--help)")?;
    }
    if let Some(why) = &erased.why {
        writeln!(desk.err, "{} entries were left as they are: {why}", grouped(erased.kept))?;
    }
    Ok(())
}

fn unfinished(count: usize) -> String {
    let erasures = if count == 1 { "1 erasure is".to_owned() } else { format!("{count} erasures are") };
    format!("{erasures} under way or broke off; `tollgate audit erase --finish` records what broke off")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::record::Terminal;
    use crate::clock::Clock;
    use crate::config::Environment;
    use crate::record::chain::Chain;
    use crate::record::samples;
    use crate::store::embedded::Embedded;

    const USER: &str = "6b012e4109cc968f8a928bce";

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    /// Answers what is asked on a terminal, and gives how it ended, what was asked, and whether the user is still in the record.
    async fn answered(answer: &str) -> (Exit, String, bool) {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let store = Embedded::open(data).unwrap();
        std::fs::create_dir(data.join("records")).unwrap();
        Signer::open_or_make(&data.join("records/signing.key")).unwrap();
        let mut chain = Chain::new(Uuid::from_u128(1));
        let lines: Vec<_> = (1..=3).map(|n| chain.link(&samples::refusal(n).line().unwrap()).unwrap()).collect();
        store.append(&lines).await.unwrap();
        let args = ["erase", USER, "--reason", "asked for", "--data", data.to_str().unwrap()];
        let args = Command::try_parse_from(args).unwrap().args;
        let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), answer.as_bytes());
        let mut desk = Desk {
            environment: &Environment::of([]),
            out: &mut out,
            err: &mut err,
            input: &mut input,
            terminal: Terminal { input: true, ..Terminal::default() },
            clock: Clock::manual(Timestamp::UNIX_EPOCH),
            zone: TimeZone::UTC,
        };
        let exit = run(&args, &mut desk).await.unwrap();
        let there = Filter { user: Some(USER.into()), ..Filter::default() };
        let there = !store.find(&there, None, 9).await.unwrap().lines.is_empty();
        (exit, String::from_utf8(err).unwrap(), there)
    }

    #[tokio::test]
    async fn nothing_is_erased_without_a_yes() {
        for (answer, exit, stays) in [
            ("y\n", Exit::Ok, false),
            (" Yes \n", Exit::Ok, false),
            ("n\n", Exit::Failed, true),
            ("\n", Exit::Failed, true),
            ("", Exit::Failed, true),
            ("yellow\n", Exit::Failed, true),
        ] {
            let (ended, asked, there) = answered(answer).await;
            assert_eq!((ended, there), (exit, stays), "{answer:?}");
            assert!(asked.contains("has 3 audit entries and 0 usage entries in the record\nErase them?"), "{asked}");
            assert_eq!(asked.ends_with("nothing was erased\n"), stays, "{asked}");
        }
    }
}
