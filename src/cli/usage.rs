//! `tollgate usage`: what was used, added up.

use clap::Subcommand;

use super::exit::Exit;
use super::record::{Desk, end, on_threads};

pub mod report;
mod sums;

/// Add up what was used
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate usage report --config /etc/tollgate/tollgate.yaml --since 30d
  tollgate usage report --by day,model --format csv

Exit codes: 0 done, 1 failed, 64 bad usage or settings.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with what was used.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add up requests, turns, tokens and money; days are those of UTC
    Report(report::Args),
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let Command::Report(args) = &args.command;
    let result = on_threads(report::run(args, desk));
    end(result, desk)
}
