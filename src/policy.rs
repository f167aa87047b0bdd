//! The policy: who may use what. Pure: no network, no clock, no LibreChat shapes.
//!
//! [`compile`] turns the YAML files of a policy directory into an immutable [`Snapshot`] or into faults, all at once.
//! [`decide`] answers an [`Ask`] from a snapshot, with the statements that decided; [`Snapshot::view`] answers many
//! small questions of one caller (which models to show); [`explain`] says the same in words.
//!
//! The way of a policy: `tree` (YAML with positions) -> `written` (the language's words) -> `merge` (all files as one)
//! -> `check` (what contradicts itself) -> `snapshot` (what is asked). `policies/README.md` is the language's reference
//! for operators.

pub mod cases;
pub mod charge;
pub mod charges;
pub mod check;
pub mod codes;
pub mod defaults;
pub mod explain;
pub mod features;
pub mod held;
pub mod limits;
pub mod mapping;
pub mod overrides;
pub mod prices;
pub mod rates;
pub mod snapshot;
pub mod statements;
pub mod windows;
pub mod words;
pub mod written;

mod admission;
mod amount;
mod compile;
mod faults;
pub mod fork;
mod merge;
mod message;
mod pattern;
mod rules;
mod tree;
mod view;

pub use compile::{Source, compile, compile_listed, compile_with};
pub use snapshot::{Counts, Mode, Snapshot, decide};
pub(crate) use tree::LARGEST_FILE;
pub use view::View;
pub use words::{Ask, Caller, Feature, Outcome, Part, Reason, RuleId, Sight, Surface, Target, Tool, Unjudged, Verdict};

#[cfg(test)]
mod schema;
#[cfg(test)]
pub(crate) mod tests;
