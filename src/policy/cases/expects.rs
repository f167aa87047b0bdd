//! What must come out, as a case writes it.

use jiff::Timestamp;

use super::known::Known;
use super::read::{list_of_texts, moment};
use super::{Expected, ExpectedRules, Expects};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::tree::{Key, Node, Value};
use crate::policy::words::RuleId;
use crate::policy::written::Spotted;
use crate::policy::written::read::{Entries, mapping, stray, text, word};
use crate::report::Fault;

const KEYS: &[&str] = &["verdict", "rule", "resets_at", "remaining", "role", "groups"];
const EXAMPLE: &str = "write expect: { verdict: deny, rule: roles.USER.endpoints.openAI.models }";

/// `expect:`: a mapping, or a verdict alone.
pub(super) fn expects(key: &Key, node: &Node, known: &Known<'_>, faults: &mut Faults<'_>) -> Option<Expects> {
    if let Value::Text(_) = node.value {
        let verdict = word(key, node, &Expected::WORDS, faults)?;
        possible(&verdict, known, faults);
        return Some(Expects { verdict: verdict.value, ..Expects::default() });
    }
    let entries = mapping(node, "\"expect\"", faults)?;
    let Some((verdict_key, verdict)) = entries.iter().find(|(key, _)| key.name == "verdict") else {
        let fault = Fault::error(codes::MISSING_KEY, "the case does not say which verdict it expects");
        faults.push(key.spot, fault.help(EXAMPLE));
        return None;
    };
    let verdict = word(verdict_key, verdict, &Expected::WORDS, faults);
    if let Some(verdict) = &verdict {
        possible(verdict, known, faults);
    }
    let mut expects = keys(entries, verdict.as_ref().map(|verdict| verdict.value), known, faults);
    expects.verdict = verdict?.value;
    Some(expects)
}

fn keys(entries: &Entries, verdict: Option<Expected>, known: &Known<'_>, faults: &mut Faults<'_>) -> Expects {
    let mut expects = Expects::default();
    for (key, node) in entries {
        match key.name.as_str() {
            "verdict" => {}
            "rule" => expects.rules = rules(key, node, verdict, known, faults),
            "resets_at" => expects.resets_at = resets_at(key, node, verdict, faults),
            "remaining" => expects.remaining = known.amounts("\"remaining\"", node, faults),
            "role" => expects.role = text(node, "a role", faults).map(|role| role.value.into()),
            "groups" => {
                let groups = list_of_texts(key, node, "a group", "[students, staff]", faults);
                expects.groups = groups.map(|groups| groups.into_iter().map(|group| group.value.into()).collect());
            }
            _ => stray(key, KEYS, faults),
        }
    }
    expects
}

fn possible(verdict: &Spotted<Expected>, known: &Known<'_>, faults: &mut Faults<'_>) {
    if let Some((why, help)) = known.never(verdict.value) {
        faults.push(verdict.spot, Fault::error(codes::IMPOSSIBLE_CASE, why).help(help));
    }
}

/// One rule, or all that decide.
fn rules(
    key: &Key,
    node: &Node,
    verdict: Option<Expected>,
    known: &Known<'_>,
    faults: &mut Faults<'_>,
) -> Option<ExpectedRules> {
    let Value::List(items) = &node.value else {
        let name = text(node, "a rule", faults)?;
        return known.rule(&name, verdict, faults).map(ExpectedRules::Deciding);
    };
    if items.is_empty() {
        let fault = Fault::error(codes::IMPOSSIBLE_CASE, "every verdict has a rule");
        faults.push(key.spot, fault.help("name the rules, or remove the key"));
        return None;
    }
    let named: Vec<Spotted<String>> = items.iter().filter_map(|item| text(item, "a rule", faults)).collect();
    let rules: Vec<RuleId> = named.iter().filter_map(|name| known.rule(name, verdict, faults)).collect();
    (rules.len() == items.len()).then_some(ExpectedRules::Exactly(rules))
}

/// A moment, or `none` where nobody can say when.
fn resets_at(key: &Key, node: &Node, verdict: Option<Expected>, faults: &mut Faults<'_>) -> Option<Option<Timestamp>> {
    if matches!(verdict, Some(Expected::Allow | Expected::Deny)) {
        let fault = Fault::error(codes::IMPOSSIBLE_CASE, "only a limit that has no room resets");
        faults.push(key.spot, fault.help("expect the verdict limit, or remove the key"));
        return None;
    }
    match &node.value {
        Value::Text(text) if text == "none" => Some(None),
        _ => moment(key, node, faults).map(Some),
    }
}
