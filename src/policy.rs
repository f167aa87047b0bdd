//! The policy: who may use what. Pure: no network, no clock, no LibreChat shapes.
//!
//! `compile` turns the YAML files of a policy directory into an immutable `Snapshot` or into faults, all at once.
//! `decide` answers an [`Ask`] from a snapshot, with the statements that decided; `Snapshot::view` answers many small
//! questions of one caller (which models to show); `explain` says the same in words.

pub mod check;
pub mod explain;
pub mod snapshot;
pub mod words;
pub mod written;

pub use words::{Ask, Caller, Outcome, Reason, RuleId, Sight, Surface, Target, Verdict};
