//! `tollgate audit`: the record, as it is written, as a file, and whether it is what was written.

use clap::Subcommand;

use super::exit::Exit;
use super::record::{Desk, end, on_threads};

pub mod erase;
pub mod export;
mod shown;
pub mod tail;
pub mod verify;

/// Read the record: show it, write it to files, verify it, take a user out of it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate audit tail --config /etc/tollgate/tollgate.yaml --follow
  tollgate audit export --since 7d --format csv --out audit.csv
  tollgate audit verify --config /etc/tollgate/tollgate.yaml

Each has a --help of its own. The record is read where `tollgate serve` writes it: give the same
--config and environment, or name a store with --sink.

Exit codes: 0 done, 1 failed, 64 bad usage or settings.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the newest entries, the newest last, and with --follow those that come
    Tail(tail::Args),
    /// Write entries to a file, the oldest first: just as they are kept, or as CSV for a spreadsheet
    Export(export::Args),
    /// Tell whether the record is what was written: nothing changed, removed, put in or moved
    Verify(verify::Args),
    /// Erase what the record says of a user, and leave a record that still verifies
    Erase(erase::Args),
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let result = on_threads(async {
        match &args.command {
            Command::Tail(args) => tail::run(args, desk).await,
            Command::Export(args) => export::run(args, desk).await,
            Command::Verify(args) => verify::run(args, desk).await,
            Command::Erase(args) => erase::run(args, desk).await,
        }
    });
    end(result, desk)
}
