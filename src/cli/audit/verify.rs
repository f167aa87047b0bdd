//! `tollgate audit verify`: is the record what was written?

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::cli::exit::Exit;
use crate::cli::record::chains;
use crate::cli::record::deed::PUBLIC_KEY;
use crate::cli::record::files::FileArgs;
use crate::cli::record::filters::Query;
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::progress::Progress;
use crate::cli::record::reading::Reading;
use crate::cli::record::{Desk, Failure};
use crate::clock::Clock;
use crate::record::Kind;
use crate::record::heads::Public;
use crate::record::link::{Hash, Link, Unlinked};
use crate::record::verify::{Expiry, Files, Keep, Known, Seen, Trust, Verifier};
use crate::store::{self, Filter, Inspected, Ledger, Order, Row, Unread};

mod sums;
mod told;

use told::Verdict;

/// How often it is looked for a head that is due, and the pause between two looks: three seconds.
const LOOKS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

/// What `tollgate audit verify` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate audit verify --config /etc/tollgate/tollgate.yaml
  tollgate audit verify --file record.jsonl --key /var/lib/tollgate/records/signing.pub
  tollgate audit verify --format json | jq .ok

Each replica of Tollgate signs with a key of its own: give the public halves of all of them, the
old ones too. Keep them, and the log lines that tell of heads, where whoever can write to the record
cannot: with --head such a line is held against the record. What cannot be told by this is in
docs/records.md. Of an export of a part of the record only the end may be missing.

Exit codes: 0 it is what was written, 1 it is not (or could not be read), 3 what is signed is, and
there are entries at its end that nobody has signed (in files; in a store, more than one Tollgate
leaves unsigned, or any with --strict), 64 bad usage or settings.")]
pub struct Args {
    /// Public keys whose signatures count [default: records/signing.pub in the data directory]
    #[arg(long = "key", value_name = "FILE", num_args = 1..)]
    pub keys: Vec<PathBuf>,
    /// A head that the log told of, which must be there; may be given more than once
    #[arg(long = "head", value_name = "INSTANCE:NUMBER:HASH", value_parser = head)]
    pub heads: Vec<Seen>,
    /// End with 3 where an entry after the last head is signed by nobody yet; of files that is always so
    #[arg(long)]
    pub strict: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where the record is
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Files in its place
    #[command(flatten)]
    pub files: FileArgs,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table of the chains, and a sentence for each finding
    #[default]
    Human,
    /// A JSON object
    Json,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let mut place = Place::read(&args.place, desk)?;
    let mut trust = Trust { keys: keys(&args.keys, place.data())?, seen: args.heads.clone(), known: Vec::new() };
    let now = desk.clock.now();
    let mut progress = Progress::begin(&mut *desk.err, desk.terminal.err, &desk.clock, "verified");
    let report = match args.files.files.as_slice() {
        [] => {
            let kept_in = place.ledger().await?;
            trust.known = known(&kept_in, place.store_name()).await?;
            let mut verifier = Verifier::new(trust, kept(place.keep()), now);
            let rows = sums::inspect(&kept_in, place.keep(), now, &mut verifier, &mut progress).await?;
            ledger(&kept_in, &desk.clock, &mut verifier, &mut progress).await?;
            sums::verify(&kept_in, &rows, place.keep(), desk.clock.now(), &mut verifier, &mut progress).await?;
            catch_up(&kept_in, &mut verifier).await?;
            verifier.finish()
        }
        paths => {
            let mut files = Files::default();
            let failed = |error: crate::record::verify::FilesFault| Failure::Failed(error.to_string());
            paths.iter().try_for_each(|path| files.add(path)).map_err(failed)?;
            // A file may have a part of the record.
            let keep = Keep { audit: Expiry::Unknown, usage: Expiry::Unknown, heads: Expiry::Unknown };
            files.verify(trust, keep, now, |_, _| progress.step()).map_err(failed)?
        }
    };
    drop(progress);
    let verdict = Verdict::of(&report, args.strict || !args.files.files.is_empty());
    let zone = if args.utc { TimeZone::UTC } else { desk.zone.clone() };
    match args.format {
        Format::Human => told::human(&report, verdict, &zone, desk.out)?,
        Format::Json => told::json(&report, verdict, desk.out)?,
    }
    Ok(match verdict {
        Verdict::Good => Exit::Ok,
        Verdict::Unsigned => Exit::Unsigned,
        Verdict::Wrong => Exit::Failed,
    })
}

/// The heads that entries of this ledger name.
async fn known(ledger: &Arc<dyn Ledger>, store: &str) -> Result<Vec<Known>, Failure> {
    let filter = Filter { action: Some("records.linked".into()), kinds: vec![Kind::Audit], ..Filter::default() };
    let mut events = Reading::of(ledger, &Query { filter, at_least: None }, Order::Oldest);
    let mut known = Vec::new();
    while let Some(event) = events.next().await? {
        known.append(&mut Known::of(&event, Some(store)));
    }
    Ok(known)
}

/// Verifies all that a ledger has. Of each instance the heads are read first: what they vouch for is there when they are. Then all
/// rows are looked at: for entries that are in no chain, for what is no line, and for copies that are not what the text says.
async fn ledger(
    ledger: &Arc<dyn Ledger>,
    clock: &Clock,
    verifier: &mut Verifier,
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    for instance in ledger.instances().await? {
        verifier.instance(instance);
        let mut to = HashMap::new();
        for kind in [Kind::Head, Kind::Audit, Kind::Usage] {
            let take = |line: &_| {
                verifier.take(line);
                progress.step();
            };
            chains::each(ledger, instance, kind, to.get(&kind).copied().unwrap_or(u64::MAX), take).await?;
            if kind == Kind::Head {
                // What is written while chains are read has no head among those that were read.
                for kind in [Kind::Audit, Kind::Usage] {
                    let last = ledger.last(instance, kind).await?;
                    // One with half a link bounds nothing: others could hide behind it.
                    to.insert(kind, last.map_or(0, |last| Link::read(&last.text).map_or(u64::MAX, |link| link.seq)));
                }
                verifier.goes_on(clock.now());
            }
        }
    }
    verifier.chains_read();
    for kind in [Kind::Audit, Kind::Usage, Kind::Head] {
        let mut after = None;
        loop {
            let Inspected { rows, next } = ledger.inspect(kind, after.as_ref()).await?;
            for row in &rows {
                inspect(row, verifier);
                progress.step();
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

/// Looks whether heads that are due come after all: a store that was away gets hours of entries in a moment.
async fn catch_up(ledger: &Arc<dyn Ledger>, verifier: &mut Verifier) -> Result<(), Failure> {
    for look in 0..LOOKS {
        let overdue = verifier.overdue();
        if overdue.is_empty() {
            break;
        }
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for instance in overdue {
            if let Some(head) = ledger.last(instance, Kind::Head).await? {
                verifier.came(&head);
            }
        }
    }
    Ok(())
}

/// Looks at one row by itself.
fn inspect(row: &Row, verifier: &mut Verifier) {
    let (line, differs) = match row {
        Row::Line { line, differs } => (line, differs),
        Row::Unread(Unread { name, why }) => return verifier.unreadable(None, &format!("{name}: {why}")),
    };
    let chained = match line.kind {
        Kind::Head => true,
        Kind::Audit | Kind::Usage => match Link::read(&line.text) {
            Ok(_) => true,
            Err(Unlinked::None) => {
                verifier.unchained(line);
                false
            }
            // With a part of a link it may be in no chain that was read.
            Err(Unlinked::Form) => {
                if !chains::is_placed(line) {
                    verifier.unreadable(Some(line), &Unlinked::Form.to_string());
                }
                false
            }
        },
    };
    if chained && !differs.is_empty() {
        verifier.misplaced(line, differs);
    }
}

/// What may be missing of a store that keeps lines for so long.
fn kept(keep: store::Keep) -> Keep {
    let store::Keep { audit, usage, heads, .. } = keep;
    let expiry = |keep: Option<std::time::Duration>| match keep.map(SignedDuration::try_from) {
        Some(Ok(keep)) => Expiry::After(keep),
        Some(Err(_)) | None => Expiry::Never,
    };
    Keep { audit: expiry(audit), usage: expiry(usage), heads: expiry(heads) }
}

/// The keys that count.
fn keys(named: &[PathBuf], data: &Path) -> Result<Vec<Public>, Failure> {
    let own = [data.join(PUBLIC_KEY)];
    let paths = if named.is_empty() { &own } else { named };
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::Failed(format!(
                "the public key {} cannot be read: {error}; a running Tollgate writes it: name it with --key",
                path.display()
            ))
        })?;
        Public::read(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
    };
    paths.iter().map(read).collect()
}

/// Reads a head as the log names it.
fn head(text: &str) -> Result<Seen, String> {
    let mut parts = text.split(':');
    let (instance, number, hash) = (parts.next(), parts.next(), parts.next());
    let seen = || {
        let instance: Uuid = instance?.parse().ok()?;
        Some(Seen { instance, number: number?.parse().ok()?, hash: Hash::read(hash?)? })
    };
    seen()
        .filter(|_| parts.next().is_none())
        .ok_or_else(|| "write it as INSTANCE:NUMBER:HASH, as the log has them".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::record::memory::Memory;
    use crate::record::chain::Chain;
    use crate::record::heads::Signer;
    use crate::record::samples;

    /// A store that was away gets what it missed, the heads behind the entries.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_catches_up_while_it_is_verified_has_no_findings() {
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer::open_or_make(&directory.path().join("signing.key")).unwrap();
        let mut chain = Chain::new(Uuid::from_u128(1));
        let entries: Vec<_> = (1..=5).map(|n| chain.link(&samples::refusal(n).line().unwrap()).unwrap()).collect();
        let head = chain.head(&signer, Uuid::from_u128(99), entries[4].at).unwrap();
        let clock = Clock::manual(entries[4].at + SignedDuration::from_hours(3));
        for comes in [false, true] {
            let kept_in: Arc<dyn Ledger> = Arc::new(Memory::of(entries.clone()));
            let trust = Trust { keys: vec![signer.public().clone()], ..Trust::default() };
            let mut verifier = Verifier::new(trust, kept(store::Keep::default()), clock.now());
            let mut err = Vec::new();
            let mut progress = Progress::begin(&mut err, false, &clock, "verified");
            ledger(&kept_in, &clock, &mut verifier, &mut progress).await.unwrap();
            if comes {
                kept_in.append(std::slice::from_ref(&head)).await.unwrap();
            }
            catch_up(&kept_in, &mut verifier).await.unwrap();
            let report = verifier.finish();
            let verdict = if comes { Verdict::Unsigned } else { Verdict::Wrong };
            assert_eq!(
                (Verdict::of(&report, false), report.behind),
                (verdict, if comes { 5 } else { 0 }),
                "{report:?}"
            );
        }
    }

    #[test]
    fn heads_are_read_as_the_log_names_them() {
        let hash = "ab".repeat(32);
        let seen = head(&format!("00000000-0000-0000-0000-000000000007:12:{hash}")).unwrap();
        assert_eq!((seen.instance, seen.number, seen.hash.to_string()), (Uuid::from_u128(7), 12, hash.clone()));
        for text in [
            "",
            "7:12",
            &format!("7:12:{hash}"),
            &format!("{}:x:{hash}", seen.instance),
            &format!("{}:1:{hash}:2", seen.instance),
        ] {
            assert!(head(text).unwrap_err().contains("INSTANCE:NUMBER:HASH"), "{text}");
        }
    }
}
