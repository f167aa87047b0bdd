//! What the commands that read the record share: where it is, which entries are asked for, how they are shown.

use std::io::{self, BufRead, Write};

use jiff::tz::TimeZone;

use super::exit::Exit;
use crate::clock::Clock;
use crate::config::Environment;
use crate::lifecycle::House;
use crate::report::Report;
use crate::store::StoreError;

pub mod book;
pub mod chains;
pub mod deed;
pub mod files;
pub mod filters;
mod matching;
pub mod moments;
pub mod names;
pub mod place;
pub mod plain;
pub mod progress;
pub mod reading;
pub mod sheet;
pub mod table;

#[cfg(test)]
pub(super) mod memory;

/// What a command works with.
pub struct Desk<'a> {
    /// The environment's settings.
    pub environment: &'a Environment,
    /// Results.
    pub out: &'a mut dyn Write,
    /// What is not a result.
    pub err: &'a mut dyn Write,
    /// Answers of whoever sits there.
    pub input: &'a mut dyn BufRead,
    /// Which of the three are a terminal.
    pub terminal: Terminal,
    /// What time it is.
    pub clock: Clock,
    /// The zone of whoever reads.
    pub zone: TimeZone,
}

/// Where somebody sits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Standard output.
    pub out: bool,
    /// Standard error.
    pub err: bool,
    /// Standard input.
    pub input: bool,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was asked for what cannot be.
    #[error("{0}")]
    Asked(String),
    /// The settings have faults.
    #[error("{0}")]
    Settings(Report),
    /// The store has no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else did not work.
    #[error("{0}")]
    Failed(String),
    /// Nobody takes the output.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does the work of a command that waits for stores, on threads that end with it.
///
/// # Errors
/// [`Failure`] of the work, or where no thread can be started.
pub(super) fn on_threads<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let house = House::open().map_err(|error| Failure::Failed(format!("no thread can be started: {error}")))?;
    let result = house.wait_for(work);
    house.close();
    result
}

/// Ends a command: a failure is told on standard error. Whoever reads and has heard enough (`| head`) is no failure.
pub(super) fn end(result: Result<Exit, Failure>, desk: &mut Desk<'_>) -> Exit {
    let failure = match result.and_then(|exit| Ok(desk.out.flush().map(|()| exit)?)) {
        Ok(exit) => return exit,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Ok,
        Err(failure) => failure,
    };
    // A failure that cannot be told has nobody to hear it.
    let _unread = match &failure {
        Failure::Settings(report) => write!(desk.err, "{}", report.render_human(desk.terminal.err)),
        other => writeln!(desk.err, "error: {other}"),
    };
    match failure {
        Failure::Asked(_) | Failure::Settings(_) => Exit::Usage,
        Failure::Store(_) | Failure::Failed(_) | Failure::Output(_) => Exit::Failed,
    }
}
