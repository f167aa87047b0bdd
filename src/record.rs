//! What happened, written down: audit entries for decisions and refusals, usage entries for turns.
//!
//! [`Recorder::record`] never waits: entries go into a bounded queue, a worker takes them in batches to the sinks. What does
//! not fit is dropped and counted, never silently.

pub mod chain;
pub mod entry;
pub mod heads;
mod lane;
pub mod line;
pub mod link;
pub mod meters;
pub mod recorder;
#[cfg(test)]
pub(crate) mod samples;
pub mod sinks;
pub mod spool;
pub mod verify;

pub use entry::{Audit, Category, Decision, Entry, Severity, Spent, Usage};
pub use line::{Kind, Line};
pub use meters::RecorderMeters;
pub use recorder::{Recorder, RecorderOptions, RecorderWorker};
pub use sinks::{Kept, Sink};
