//! What a case expects and what came out, side by side.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::judged::Got;
use crate::policy::cases::{Case, Expected, ExpectedRules};
use crate::policy::limits::Measure;
use crate::policy::{RuleId, Snapshot};

/// One thing that a case may expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is: `verdict`, `rule`, `resets at`, `role`, `groups`, `left of` a limit.
    pub what: String,
    /// What must come out; `any` where the case does not say.
    pub expected: String,
    /// What came out.
    pub got: String,
    /// Whether these differ.
    pub differs: bool,
}

const ANY: &str = "any";
const NONE: &str = "none";

/// The rows of a case: the first three always, the others where the case says something of them.
pub(super) fn rows(policy: &Snapshot, case: &Case, got: &Result<Got, String>) -> Vec<Row> {
    let expects = &case.expects;
    let got = match got {
        Ok(got) => got,
        Err(why) => {
            let cannot = format!("cannot be told: {why}");
            return vec![Row::new("verdict", expects.verdict.as_str().to_owned(), cannot, true)];
        }
    };
    let mut rows = vec![verdict(expects.verdict, got), rule(expects.rules.as_ref(), got)];
    let zone = got.zone.clone().or_else(|| zone_of(policy, expects.rules.as_ref(), got));
    let told = |at: Option<Timestamp>| at.map_or_else(|| NONE.to_owned(), |at| moment(at, zone.as_ref()));
    rows.push(match expects.resets_at {
        None => Row::new("resets at", ANY.to_owned(), told(got.resets_at), false),
        Some(at) => Row::new("resets at", told(at), told(got.resets_at), at != got.resets_at),
    });
    if let Some(role) = &expects.role {
        rows.push(Row::new("role", role.to_string(), got.caller.role.to_string(), **role != *got.caller.role));
    }
    if let Some(groups) = &expects.groups {
        let (mut wanted, mut there) = (groups.clone(), got.caller.groups.to_vec());
        wanted.sort();
        there.sort();
        rows.push(Row::new("groups", list(&wanted), list(&there), wanted != there));
    }
    for ((rule, wanted), (_, left)) in expects.remaining.iter().zip(&got.left) {
        let unit = |amount| amount_of(policy, rule, amount);
        rows.push(Row::new(&format!("left of {rule}"), unit(*wanted), unit(*left), wanted != left));
    }
    rows
}

fn verdict(expected: Expected, got: &Got) -> Row {
    let holds = match expected {
        Expected::NotAllowed => got.verdict != Expected::Allow,
        word => got.verdict == word,
    };
    Row::new("verdict", expected.as_str().to_owned(), got.verdict.as_str().to_owned(), !holds)
}

fn rule(expected: Option<&ExpectedRules>, got: &Got) -> Row {
    let mut decided: Vec<&RuleId> = Vec::new();
    for rule in &got.rules {
        if !decided.contains(&rule) {
            decided.push(rule);
        }
    }
    let joined = |rules: &[&RuleId]| rules.iter().map(|rule| rule.as_str()).collect::<Vec<_>>().join(", ");
    let (wanted, holds) = match expected {
        None => (ANY.to_owned(), true),
        Some(ExpectedRules::Deciding(rule)) => {
            let holds = match got.verdict {
                Expected::Allow => decided.contains(&rule),
                _ => decided.first() == Some(&rule),
            };
            (rule.to_string(), holds)
        }
        Some(ExpectedRules::Exactly(rules)) => {
            let rules: Vec<&RuleId> = rules.iter().collect();
            (joined(&rules), decided == rules)
        }
    };
    Row::new("rule", wanted, joined(&decided), !holds)
}

/// The time zone of the limit that should have decided.
fn zone_of(policy: &Snapshot, expected: Option<&ExpectedRules>, got: &Got) -> Option<TimeZone> {
    let rule = match expected? {
        ExpectedRules::Deciding(rule) => rule,
        ExpectedRules::Exactly(rules) => rules.first()?,
    };
    let held = policy.limits_of(&got.caller).into_iter().find(|held| held.charge.rule == *rule)?;
    held.charge.window.zone().cloned()
}

/// The moment on the clocks of a place, with their distance from UTC.
pub(super) fn moment(at: Timestamp, zone: Option<&TimeZone>) -> String {
    let there = at.to_zoned(zone.cloned().unwrap_or(TimeZone::UTC));
    there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn list(names: &[Box<str>]) -> String {
    if names.is_empty() { NONE.to_owned() } else { names.join(", ") }
}

fn amount_of(policy: &Snapshot, rule: &RuleId, amount: u64) -> String {
    match policy.terms(rule).map(|terms| terms.measure) {
        Some(measure @ Measure::Cost) => format!("{} USD", measure.decimal(amount)),
        _ => amount.to_string(),
    }
}

// === impl Row ===

impl Row {
    fn new(what: &str, expected: String, got: String, differs: bool) -> Self {
        Self { what: what.to_owned(), expected, got, differs }
    }
}
