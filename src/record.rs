//! What happened, written down: audit entries for decisions and refusals, usage entries for turns.
//!
//! [`Recorder::record`] never waits: entries go into a bounded queue, and a few milliseconds later to the disk, bound into a chain that
//! shows what was changed or taken out since. From there they go to the sinks. What cannot be written is counted, and the record says
//! so; whether requests go on then is a setting.

mod aside;
pub mod chain;
pub mod entry;
pub mod heads;
pub mod keeper;
mod lane;
pub mod line;
pub mod link;
pub mod linker;
pub mod mask;
pub mod meters;
pub mod open;
pub mod recorder;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod schema;
pub mod sinks;
pub mod spool;
mod standing;
pub mod verify;
mod waiter;
mod watch;
mod writer;

pub use entry::{About, Action, Audit, Category, Decision, Entry, Event, Happened, Severity, Spent, Usage};
pub use keeper::Keeper;
pub use line::{Kind, Line};
pub use linker::Linker;
pub use mask::{Mask, MaskIp, Masks};
pub use meters::RecorderMeters;
pub use open::{OpenFault, RecorderOptions, RecorderWorker, Stored};
pub use recorder::{Durable, OnFull, Recorder, Unkept};
pub use sinks::{Kept, Sink};
