//! A table of callers and models: who has what, and that nobody has more.

use std::collections::HashSet;

use super::asks::{model, pair};
use super::callers::named;
use super::read::{Cases, Common, MOST, list_of_texts};
use super::{Asker, Case, Expected, Expects, Takes};
use crate::policy::charges::Tokens;
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::tree::{Key, Node, Value};
use crate::policy::written::Spotted;
use crate::policy::written::read::{mapping, stray, text};
use crate::report::{Fault, nearest, quoted};

const KEYS: &[&str] = &["name", "callers", "models", "allow"];
const EXAMPLE: &str = "write { name: Who has what, callers: [student, teacher], models: [openAI|gpt-4o-mini, openAI|gpt-4o], \
                       allow: { student: [openAI|gpt-4o-mini], teacher: all } }";

/// The keys of a matrix, as far as they are there.
#[derive(Default)]
struct Keys<'n> {
    name: Option<Spotted<String>>,
    callers: Vec<Spotted<String>>,
    models: Vec<Spotted<String>>,
    allow: Option<(&'n Key, &'n Node)>,
}

/// What one caller has of the models of a matrix.
struct Row<'n> {
    key: &'n Key,
    has: HashSet<String>,
}

/// Reads one table: a case for each of its cells.
pub(super) fn matrix(node: &Node, common: &Common<'_>, cases: &mut Cases, faults: &mut Faults<'_>) {
    let before = faults.errors();
    let keys = keys(node, faults);
    if let Some(name) = &keys.name {
        cases.name(name, faults);
    }
    let askers: Vec<Option<Asker>> =
        keys.callers.iter().map(|name| self::named(name, &common.callers, faults)).collect();
    let pairs: Vec<_> = keys.models.iter().filter_map(|name| pair(name, common.known, faults)).collect();
    for (list, what) in [(&keys.callers, "caller"), (&keys.models, "model")] {
        twice(list, what, faults);
    }
    if keys.callers.len().saturating_mul(keys.models.len()) > MOST {
        let fault = Fault::error(codes::TOO_LARGE, format!("the matrix has more than {MOST} cells"));
        faults.push(node.spot, fault.help("name fewer models: one of each list is enough to show the list"));
        return;
    }
    let rows = keys.allow.map(|(key, node)| rows(key, node, &keys, faults)).unwrap_or_default();
    let (Some(name), true) = (&keys.name, faults.errors() == before) else { return };
    for (asker, caller) in askers.into_iter().zip(&keys.callers) {
        let (Some(asker), Some(row)) = (asker, rows.iter().find(|row| row.key.name == caller.value)) else { continue };
        let Some(place) = faults.place(row.key.spot) else { continue };
        for (written, (endpoint, of)) in keys.models.iter().zip(&pairs) {
            let verdict = if row.has.contains(&written.value) { Expected::Allow } else { Expected::NotAllowed };
            let case = Case {
                name: format!("{}: {}, {}", name.value, caller.value, written.value).into(),
                place: place.clone(),
                caller: asker.clone(),
                now: common.now,
                asks: vec![model(endpoint.clone(), of.clone())],
                takes: Takes { messages: 1, tokens: Tokens::default(), says_output: false },
                used: Vec::new(),
                expects: Expects { verdict, ..Expects::default() },
            };
            cases.push(case, written.spot, faults);
        }
    }
}

fn keys<'n>(node: &'n Node, faults: &mut Faults<'_>) -> Keys<'n> {
    let mut keys = Keys::default();
    let Some(entries) = mapping(node, "a matrix", faults) else { return keys };
    for (key, node) in entries {
        match key.name.as_str() {
            "name" => keys.name = text(node, "the name of a matrix", faults),
            "callers" => keys.callers = filled(key, node, "a caller", "[student, teacher]", faults),
            "models" => keys.models = filled(key, node, "a model", "[openAI|gpt-4o-mini]", faults),
            "allow" => keys.allow = Some((key, node)),
            _ => stray(key, KEYS, faults),
        }
    }
    for wanted in KEYS {
        if !entries.iter().any(|(key, _)| key.name == *wanted) {
            let fault = Fault::error(codes::MISSING_KEY, format!("the matrix does not say {wanted:?}"));
            faults.push(node.spot, fault.help(EXAMPLE));
        }
    }
    keys
}

/// A list of texts with at least one: without it the table has no cell.
fn filled(key: &Key, node: &Node, item: &str, example: &str, faults: &mut Faults<'_>) -> Vec<Spotted<String>> {
    let list = list_of_texts(key, node, item, example, faults);
    if list.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error(codes::NO_CASES, format!("{} is empty: the matrix has no case", quoted(&key.name)));
        faults.push(key.spot, fault.help(format!("write a list: {example}")));
    }
    list.unwrap_or_default()
}

/// `allow:`, which names every caller of the table.
fn rows<'n>(key: &Key, node: &'n Node, table: &Keys<'_>, faults: &mut Faults<'_>) -> Vec<Row<'n>> {
    let entries = mapping(node, "\"allow\"", faults).unwrap_or_default();
    for caller in table.callers.iter().filter(|caller| !entries.iter().any(|(key, _)| key.name == caller.value)) {
        let message = format!("\"allow\" does not say what {} has", quoted(&caller.value));
        let help = format!("write {}: all, {0}: [] or {0}: [...] with models of the table", caller.value);
        faults.push(key.spot, Fault::error(codes::MISSING_KEY, message).help(help));
    }
    let mut rows = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if !table.callers.iter().any(|caller| caller.value == key.name) {
            let message = format!("{} is none of the callers of this matrix", quoted(&key.name));
            let fault = Fault::error(codes::UNKNOWN_CALLER, message);
            let callers = table.callers.iter().map(|caller| caller.value.as_str());
            faults.push(
                key.spot,
                fault.help(match nearest(&key.name, callers) {
                    Some(known) => format!("did you mean {}?", quoted(known)),
                    None => "add it to \"callers\" of the matrix, or remove it".to_owned(),
                }),
            );
            continue;
        }
        rows.push(Row { key, has: has(key, node, &table.models, faults) });
    }
    rows
}

fn has(key: &Key, node: &Node, models: &[Spotted<String>], faults: &mut Faults<'_>) -> HashSet<String> {
    if matches!(&node.value, Value::Text(text) if text == "all") {
        return models.iter().map(|model| model.value.clone()).collect();
    }
    let named = list_of_texts(key, node, "a model", "[openAI|gpt-4o-mini], or all", faults).unwrap_or_default();
    twice(&named, "model", faults);
    for name in named.iter().filter(|name| !models.iter().any(|model| model.value == name.value)) {
        let message = format!("{} is none of the models of this matrix", quoted(&name.value));
        let help = match nearest(&name.value, models.iter().map(|model| model.value.as_str())) {
            Some(known) => format!("did you mean {}?", quoted(known)),
            None => "add it to \"models\" of the matrix, or remove it".to_owned(),
        };
        faults.push(name.spot, Fault::error(codes::BAD_VALUE, message).help(help));
    }
    named.into_iter().map(|name| name.value).collect()
}

fn twice(list: &[Spotted<String>], what: &str, faults: &mut Faults<'_>) {
    let mut seen = HashSet::new();
    for name in list.iter().filter(|name| !seen.insert(name.value.as_str())) {
        let message = format!("the {what} {} stands twice in this list", quoted(&name.value));
        faults.push(name.spot, Fault::error(codes::DUPLICATE_MODEL, message).help("remove one of the two"));
    }
}
