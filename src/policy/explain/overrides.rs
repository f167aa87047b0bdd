//! The overrides that apply to a caller, for people.

use std::fmt::Write as _;

use super::push_table;
use crate::policy::overrides::{Applied, Conflict};

/// The overrides as a table and their conflicts as lines, an empty line before each; nothing where there is none.
pub(super) fn push(text: &mut String, overrides: &[Applied], conflicts: &[Conflict]) {
    if overrides.is_empty() {
        return;
    }
    text.push('\n');
    let head = ["OVERRIDE OF", "PRIORITY", "VERSION"].map(str::to_owned);
    let row = |of: &Applied| [format!("{} {}", of.kind, of.id), of.priority.to_string(), of.version.to_string()];
    let rows: Vec<_> = std::iter::once(head).chain(overrides.iter().map(row)).collect();
    push_table(text, &rows);
    if !conflicts.is_empty() {
        text.push('\n');
    }
    for conflict in conflicts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "conflict: {conflict}");
    }
}
