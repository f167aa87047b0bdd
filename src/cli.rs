//! The command line: one file per subcommand.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use clap::{Parser, Subcommand};
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::config::Environment;

pub mod audit;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod migrate;
pub mod overrides;
pub mod record;
pub mod schema;
pub mod serve;
pub mod shadow;
pub mod test;
pub mod usage;
pub mod users;

pub use exit::Exit;

/// A policy proxy in front of LibreChat: who may use which model, and the record of it
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    max_term_width = 100,
    after_help = "Start here:
  tollgate demo                                  see it work, free of any outside service
  tollgate check --policies policies/university  check a policy before it is used
  tollgate test --policies policies/university   run the cases beside it
  tollgate doctor --policies policies/university look whether all that it needs is there
  tollgate serve --policies policies/university  run in front of LibreChat

Exit codes: 0 ok, 1 failed, 2 denied (explain), 64 bad usage, settings or policy."
)]
struct Tollgate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Check(check::Args),
    Explain(explain::Args),
    Test(test::Args),
    Schema(schema::Args),
    Migrate(migrate::Args),
    Doctor(doctor::Args),
    Users(users::Args),
    Overrides(overrides::Args),
    Audit(audit::Args),
    Usage(usage::Args),
    Shadow(shadow::Args),
}

/// Runs the command that these arguments (the program's name first) name.
pub fn run(args: impl IntoIterator<Item = OsString>, environment: &Environment) -> Exit {
    let colour = std::io::stderr().is_terminal();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let tollgate = match Tollgate::try_parse_from(args) {
        Ok(tollgate) => tollgate,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Help that cannot be printed has nobody to read it.
            let _ = error.print();
            return if wanted { Exit::Ok } else { Exit::Usage };
        }
    };
    let exit = match tollgate.command {
        Command::Serve(args) => serve::run(&args, environment, colour, &mut err),
        Command::Demo(args) => demo::run(&args, environment, colour, &mut out, &mut err),
        Command::Check(args) => check::run(&check::Args { colour, ..args }, environment, &mut out, &mut err),
        Command::Explain(args) => with_desk(environment, |desk| explain::run(&args, desk)),
        Command::Test(args) => test::run(&test::Args { colour, ..args }, environment, &mut out, &mut err),
        Command::Migrate(args) => with_desk(environment, |desk| migrate::run(&args, desk)),
        Command::Doctor(args) => with_desk(environment, |desk| doctor::run(&args, desk)),
        Command::Schema(args) => schema::run(&args, &mut out),
        Command::Users(args) => with_desk(environment, |desk| users::run(&args, desk)),
        Command::Overrides(args) => with_desk(environment, |desk| overrides::run(&args, desk)),
        Command::Audit(args) => with_desk(environment, |desk| audit::run(&args, desk)),
        Command::Usage(args) => with_desk(environment, |desk| usage::run(&args, desk)),
        Command::Shadow(args) => with_desk(environment, |desk| shadow::run(&args, desk)),
    };
    let _ = out.flush();
    exit
}

/// Runs a command that reads or writes the record, at the process's own terminal.
fn with_desk(environment: &Environment, work: impl FnOnce(&mut record::Desk<'_>) -> Exit) -> Exit {
    let (mut out, mut err, mut input) = (std::io::stdout(), std::io::stderr(), std::io::stdin().lock());
    work(&mut record::Desk {
        environment,
        terminal: record::Terminal {
            out: out.is_terminal(),
            err: err.is_terminal(),
            input: std::io::stdin().is_terminal(),
        },
        out: &mut out,
        err: &mut err,
        input: &mut input,
        clock: Clock::system(),
        zone: TimeZone::system(),
    })
}
