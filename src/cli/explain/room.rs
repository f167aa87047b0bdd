//! Whether the limits that count for a model have room now for the smallest request there is.

use std::fmt::Write as _;

use serde::Serialize;

use crate::policy::charge::Charge;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::{Ask, Caller, RuleId, Snapshot, Target};

/// A limit that has no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Full {
    /// The limit.
    pub(super) rule: RuleId,
    /// `enforce`, or `shadow`: it refuses nothing.
    pub(super) mode: &'static str,
    /// When nothing of it counts any more, UTC; none where turns have to end first, or it never has room.
    pub(super) resets_at: Option<String>,
}

/// What the smallest request for a model takes: one message, one token each way. What has no room for that has none for any.
pub(super) fn smallest(policy: &Snapshot, caller: &Caller, target: Target) -> Vec<Charge> {
    let (Target::Model { endpoint, model } | Target::Assistant { endpoint, model }) = &target else {
        return Vec::new();
    };
    let tokens = Tokens { input: 1, output: 1, ..Tokens::default() };
    let runs = [Run { endpoint, model, tokens }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    let ask = Ask { caller, targets: std::slice::from_ref(&target) };
    let mut charges = policy.charges(&ask, &amounts);
    charges.extend(policy.shadow_charges(&ask, &amounts));
    charges
}

/// For people, a line for each.
pub(super) fn lines(full: &[Full]) -> String {
    let mut text = String::new();
    for Full { rule, mode, resets_at } in full {
        let refused = if *mode == "shadow" { "would refuse it now, but only records" } else { "refuses it now" };
        let until = resets_at.as_ref().map_or_else(String::new, |at| format!(" (until {at})"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "no room: {rule} {refused}{until}");
    }
    text
}
