//! `tollgate audit export`: the record as a file, for other programs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::tz::TimeZone;

use crate::cli::exit::Exit;
use crate::cli::record::files::{FileArgs, Sorted};
use crate::cli::record::filters::{AuditFilters, Filters, Query};
use crate::cli::record::place::{Place, PlaceArgs};
use crate::cli::record::progress::{Progress, grouped};
use crate::cli::record::reading::{Reading, warn};
use crate::cli::record::{Desk, Failure};
use crate::record::Kind;
use crate::store::{Filter, Order, Unread};

mod columns;

use columns::Sheet;

/// What `tollgate audit export` is told.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate audit export --config /etc/tollgate/tollgate.yaml --out record.jsonl
  tollgate audit export --since 2026-11-01 --until 2026-11-30 --format csv --out november.csv
  tollgate audit export --kind usage --format csv --out - | head
  tollgate audit export --file record.jsonl --severity error

JSON lines have both kinds of entries, and before them the signed heads: a whole export can be
verified with `tollgate audit verify --file`. CSV has one kind (--kind, else audit); its columns are
listed in docs/records.md, and a text that a spreadsheet would take for a formula has a ' before it.

Exit codes: 0 done, 1 failed, 64 bad usage or settings.")]
pub struct Args {
    /// The file to write, which must not be there yet; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// How to write entries
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Times that are given without a zone are UTC
    #[arg(long)]
    pub utc: bool,
    /// Where the record is
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Files in its place
    #[command(flatten)]
    pub files: FileArgs,
    /// Which entries
    #[command(flatten)]
    pub filters: Filters,
    /// Which audit entries
    #[command(flatten)]
    pub audit: AuditFilters,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON lines, byte for byte as they are kept
    #[default]
    Jsonl,
    /// A table for a spreadsheet
    Csv,
}

/// Writes lines in one of the formats.
enum Writer<W: Write> {
    Jsonl(W),
    Csv(Box<Sheet<W>>),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let mut place = Place::read(&args.place, desk)?;
    let zone = if args.utc { TimeZone::UTC } else { desk.zone.clone() };
    let mut query = args.filters.query(&args.audit, &mut place, &zone, desk).await?;
    if args.format == Format::Csv {
        query.filter.kinds = vec![one_kind(&query.filter.kinds)?];
    }
    let kind = query.filter.kinds.first().copied().unwrap_or(Kind::Audit);
    let target = Target::begin(&args.out)?;
    let seen = desk.terminal.err && (target.is_some() || !desk.terminal.out);
    let Desk { out, err, clock, .. } = desk;
    let mut progress = Progress::begin(*err, seen, clock, "read");
    let readings = readings(args, &mut place, &query, &mut progress).await?;
    match target {
        None => {
            let (_, passed_over) =
                write(readings, Writer::of(args.format, kind, BufWriter::new(&mut **out))?, &mut progress).await?;
            drop(progress);
            warn(&passed_over, *err)?;
        }
        Some(target) => {
            let (count, passed_over) =
                write(readings, Writer::of(args.format, kind, target.writer())?, &mut progress).await?;
            target.end()?;
            drop(progress);
            warn(&passed_over, *err)?;
            writeln!(err, "{} entries written to {}", grouped(count), args.out.display())?;
        }
    }
    Ok(Exit::Ok)
}

/// What is read, one after the other. Heads come first: whatever they vouch for is in the ledger when they are, so that it is
/// in the export, too, however much is written meanwhile.
async fn readings(
    args: &Args,
    place: &mut Place,
    query: &Query,
    progress: &mut Progress<'_>,
) -> Result<Vec<Reading>, Failure> {
    let of = |kinds: Vec<Kind>| Query { filter: Filter { kinds, ..query.filter.clone() }, ..query.clone() };
    let kinds = if query.filter.kinds.is_empty() {
        vec![Kind::Head, Kind::Audit, Kind::Usage]
    } else {
        query.filter.kinds.clone()
    };
    let (heads, entries): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|kind| *kind == Kind::Head);
    let parts: Vec<_> = [heads, entries].into_iter().filter(|kinds| !kinds.is_empty()).map(of).collect();
    if !args.files.files.is_empty() {
        return parts
            .iter()
            .map(|query| Ok(Reading::Files(Sorted::look(&args.files.files, query, progress)?)))
            .collect();
    }
    let ledger = place.ledger().await?;
    Ok(parts.iter().map(|query| Reading::of(&ledger, query, Order::Oldest)).collect())
}

async fn write(
    readings: Vec<Reading>,
    mut writer: Writer<impl Write>,
    progress: &mut Progress<'_>,
) -> Result<(u64, Vec<Unread>), Failure> {
    let (mut count, mut passed_over) = (0_u64, Vec::new());
    for mut reading in readings {
        while let Some(line) = reading.next().await? {
            match &mut writer {
                Writer::Jsonl(out) => writeln!(out, "{}", line.text)?,
                Writer::Csv(sheet) => sheet.row(&line)?,
            }
            count = count.saturating_add(1);
            progress.step();
        }
        passed_over.extend(reading.passed_over());
    }
    match writer {
        Writer::Jsonl(mut out) => out.flush()?,
        Writer::Csv(sheet) => sheet.end()?,
    }
    Ok((count, passed_over))
}

/// A table has one list of columns.
fn one_kind(kinds: &[Kind]) -> Result<Kind, Failure> {
    match kinds {
        [] => Ok(Kind::Audit),
        [kind @ (Kind::Audit | Kind::Usage)] => Ok(*kind),
        [Kind::Head] => Err(Failure::Asked("signed heads are no table: take --format jsonl".into())),
        _ => Err(Failure::Asked("a CSV file has entries of one kind: give --kind once".into())),
    }
}

// === impl Writer ===

impl<W: Write> Writer<W> {
    fn of(format: Format, kind: Kind, out: W) -> io::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => Self::Csv(Box::new(Sheet::begin(kind, out)?)),
        })
    }
}

/// A file that is only there when it is whole. Until then it has another name.
struct Target {
    path: PathBuf,
    part: PathBuf,
    file: File,
    done: bool,
}

// === impl Target ===

impl Target {
    /// Begins the file; none for standard output.
    fn begin(path: &Path) -> Result<Option<Self>, Failure> {
        if path.as_os_str() == "-" {
            return Ok(None);
        }
        let fault = |why: String| Failure::Failed(format!("cannot write {}: {why}", path.display()));
        if path.exists() {
            return Err(Failure::Failed(format!(
                "{} is there already; remove it, or name another file",
                path.display()
            )));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Who did what is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).map_err(|error| fault(error.to_string()))?;
        Ok(Some(Self { path: path.to_owned(), part: part.into(), file, done: false }))
    }

    fn writer(&self) -> BufWriter<&File> {
        BufWriter::with_capacity(1 << 16, &self.file)
    }

    fn end(mut self) -> Result<(), Failure> {
        let fault = |error: io::Error| Failure::Failed(format!("cannot write {}: {error}", self.path.display()));
        self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path)).map_err(fault)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.done {
            // What is left of a broken export is small trouble beside what broke it.
            let _left = fs::remove_file(&self.part);
        }
    }
}
