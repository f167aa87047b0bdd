//! `tollgate shadow`: what shadow mode has shown.

use clap::Subcommand;

use super::exit::Exit;
use super::record::{Desk, end, on_threads};

pub mod report;
mod tally;

/// Tell what shadow mode would have refused
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate shadow report --config /etc/tollgate/tollgate.yaml
  tollgate shadow report --since 30d --quiet 14 --format json

Exit codes: 0 done, 1 failed, 64 bad usage or settings, or a policy with faults.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with what shadow mode has shown.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add up what would have been refused, by rule, and say which rules can be enforced
    Report(report::Args),
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let Command::Report(args) = &args.command;
    let result = on_threads(report::run(args, desk));
    end(result, desk)
}
