//! Which statements of a policy its cases decide.

use std::collections::HashMap;

use super::Tried;
use crate::policy::RuleId;
use crate::policy::cases::Expected;
use crate::policy::statements::Statement;
use crate::report::Place;

/// How often a statement decides.
#[derive(Clone, Debug)]
pub struct Covered {
    /// Its name.
    pub rule: RuleId,
    /// Where it is written.
    pub place: Place,
    /// How many cases it decides.
    pub cases: usize,
}

pub(super) fn coverage(statements: &[Statement], tried: &[Tried]) -> Vec<Covered> {
    let mut counts: HashMap<&RuleId, usize> = HashMap::new();
    for got in tried.iter().filter_map(|tried| tried.got.as_ref().ok()) {
        let deciding = match got.verdict {
            Expected::Allow => got.rules.len(),
            // What refuses first decides; the others would have refused, too.
            _ => 1,
        };
        let mut seen: Vec<&RuleId> = Vec::new();
        for rule in got.rules.iter().take(deciding) {
            if !seen.contains(&rule) {
                seen.push(rule);
                *counts.entry(rule).or_default() += 1;
            }
        }
    }
    let written = statements.iter().filter_map(|statement| Some((statement, statement.place.clone()?)));
    written
        .map(|(statement, place)| Covered {
            rule: statement.rule.clone(),
            place,
            cases: counts.get(&statement.rule).copied().unwrap_or(0),
        })
        .collect()
}
