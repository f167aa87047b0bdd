//! From a case file to its cases.

use std::collections::HashMap;

use jiff::Timestamp;

use super::asks::asks;
use super::callers::{Callers, callers, of_case};
use super::expects::expects;
use super::known::Known;
use super::matrix::matrix;
use super::{Case, Takes};
use crate::policy::amount;
use crate::policy::charges::Tokens;
use crate::policy::check::plain_name;
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::tree::{self, Key, Node, Value};
use crate::policy::written::Spotted;
use crate::policy::written::limits::written;
use crate::policy::written::read::{Entries, mapping, stray, text, version, wrong_type};
use crate::report::{Fault, quoted};

const FILE_KEYS: &[&str] = &["version", "now", "callers", "cases", "matrix"];
const CASE_KEYS: &[&str] = &["name", "caller", "now", "asks", "messages", "tokens", "used", "expect"];
const TOKEN_KEYS: &[&str] = &["input", "cached_input", "cache_write", "output"];
const EXAMPLE: &str =
    "write { name: Students have the small model, caller: student, asks: openAI|gpt-4o-mini, expect: allow }";

/// Most cases of all files: a matrix of more has a mistake in it, or takes minutes.
pub(super) const MOST: usize = 100_000;

/// The cases of all files so far.
#[derive(Default)]
pub(super) struct Cases {
    pub(super) list: Vec<Case>,
    /// Where each name was written first.
    names: HashMap<String, Spot>,
}

/// What a file says for all of its cases.
pub(super) struct Common<'a> {
    pub(super) callers: Callers,
    pub(super) now: Option<Timestamp>,
    pub(super) known: &'a Known<'a>,
}

/// Reads one file.
pub(super) fn file(source: usize, text: &str, known: &Known<'_>, cases: &mut Cases, faults: &mut Faults<'_>) {
    let Some(root) = tree::parse(source, text, faults) else { return };
    let none: &Entries = &[];
    let entries = match &root.value {
        Value::Null => none,
        _ => mapping(&root, "a case file", faults).unwrap_or(none),
    };
    let before = faults.errors();
    version(source, entries, faults);
    let mut common = Common { callers: Callers::default(), now: None, known };
    // What cases refer to may stand below them.
    for (key, node) in entries {
        match key.name.as_str() {
            "version" | "cases" | "matrix" => {}
            "now" => common.now = moment(key, node, faults),
            "callers" => common.callers = callers(node, known, faults),
            _ => stray(key, FILE_KEYS, faults),
        }
    }
    let mut written = 0;
    for (key, node) in entries.iter().filter(|(key, _)| matches!(key.name.as_str(), "cases" | "matrix")) {
        let Value::List(items) = &node.value else {
            faults.push(node.spot_or(key), wrong_type(&quoted(&key.name), "a list", &node.value).help(EXAMPLE));
            continue;
        };
        written += items.len();
        for item in items {
            match key.name.as_str() {
                "cases" => case(item, &common, cases, faults),
                _ => matrix(item, &common, cases, faults),
            }
        }
    }
    if written == 0 && faults.errors() == before {
        let fault = Fault::error(codes::NO_CASES, "the file has no case");
        faults.push_file(source, fault.help(format!("remove the file, or under \"cases\" {EXAMPLE}")));
    }
}

fn case(node: &Node, common: &Common<'_>, cases: &mut Cases, faults: &mut Faults<'_>) {
    let Some(entries) = mapping(node, "a case", faults) else { return };
    let before = faults.errors();
    let (mut name, mut caller, mut asked, mut expected) = (None, None, Vec::new(), None);
    let (mut now, mut used, mut needs_clock) = (common.now, Vec::new(), None);
    let mut takes = Takes { messages: 1, tokens: Tokens::default(), says_output: false };
    for (key, node) in entries {
        match key.name.as_str() {
            "name" => name = text(node, "the name of a case", faults),
            "caller" => caller = of_case(key, node, common, faults),
            "now" => now = moment(key, node, faults),
            "asks" => asked = asks(key, node, common.known, faults),
            "messages" => takes.messages = count(key, node, faults).unwrap_or_default(),
            "tokens" => tokens(node, &mut takes, faults),
            "used" => {
                used = common.known.amounts("\"used\"", node, faults);
                needs_clock = Some(key.spot);
            }
            "expect" => expected = expects(key, node, common.known, faults),
            _ => stray(key, CASE_KEYS, faults),
        }
    }
    for wanted in ["name", "caller", "asks", "expect"] {
        if !entries.iter().any(|(key, _)| key.name == wanted) {
            let fault = Fault::error(codes::MISSING_KEY, format!("the case does not say {wanted:?}"));
            faults.push(node.spot, fault.help(EXAMPLE));
        }
    }
    if let (Some(spot), None) = (needs_clock, now) {
        let fault =
            Fault::error(codes::CASE_WITHOUT_CLOCK, "what was used counts in a window, and the case has no time");
        faults.push(
            spot,
            fault.help("write \"now: 2026-11-23T09:00:00+01:00\" into the case, or for all cases above them"),
        );
    }
    if let Some(name) = &name {
        cases.name(name, faults);
    }
    let (Some(name), Some(caller), Some(expects)) = (name, caller, expected) else { return };
    if expects.resets_at.is_some_and(|at| at.is_some()) && now.is_none() {
        let fault =
            Fault::error(codes::CASE_WITHOUT_CLOCK, "when something resets depends on the time, and the case has none");
        faults.push(
            name.spot,
            fault.help("write \"now: 2026-11-23T09:00:00+01:00\" into the case, or for all cases above them"),
        );
    }
    if faults.errors() > before {
        return;
    }
    let Some(place) = faults.place(name.spot) else { return };
    cases.push(
        Case { name: name.value.into(), place, caller, now, asks: asked, takes, used, expects },
        name.spot,
        faults,
    );
}

/// `tokens:`, which each model of the request takes.
fn tokens(node: &Node, takes: &mut Takes, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"tokens\"", faults).unwrap_or_default() {
        let tokens = &mut takes.tokens;
        let slot = match key.name.as_str() {
            "input" => &mut tokens.input,
            "cached_input" => &mut tokens.cached_input,
            "cache_write" => &mut tokens.cache_write,
            "output" => &mut tokens.output,
            _ => {
                stray(key, TOKEN_KEYS, faults);
                continue;
            }
        };
        if let Some(count) = count(key, node, faults) {
            *slot = count;
            takes.says_output |= key.name == "output";
        }
    }
}

fn count(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<u64> {
    let read = written(node).as_deref().and_then(amount::count);
    if read.is_none() {
        let message = format!("{} must be a whole number", quoted(&key.name));
        let fault = Fault::error(codes::LIMIT_AMOUNT, message).help("write a whole number: 0, 60, 100k, 1.5M");
        faults.push(node.spot_or(key), fault);
    }
    read
}

/// A moment with its distance from UTC, so that it is the same one everywhere.
pub(super) fn moment(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Timestamp> {
    let read = match &node.value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    if read.is_none() {
        let message = format!("{} is no moment that is the same everywhere", quoted(&key.name));
        let help =
            "write date, time and the distance from UTC (RFC 3339): 2026-11-23T09:00:00+01:00, 2026-11-23T08:00:00Z";
        faults.push(node.spot_or(key), Fault::error(codes::BAD_TIME, message).help(help));
    }
    read
}

/// A list of texts with their places; `example` is what it may look like.
pub(super) fn list_of_texts(
    key: &Key,
    node: &Node,
    item: &str,
    example: &str,
    faults: &mut Faults<'_>,
) -> Option<Vec<Spotted<String>>> {
    let Value::List(items) = &node.value else {
        let fault = wrong_type(&quoted(&key.name), "a list", &node.value);
        faults.push(node.spot_or(key), fault.help(format!("write a list: {example}")));
        return None;
    };
    Some(items.iter().filter_map(|node| text(node, item, faults)).collect())
}

// === impl Cases ===

impl Cases {
    /// A name stands for one case or one matrix, whatever the file.
    pub(super) fn name(&mut self, name: &Spotted<String>, faults: &mut Faults<'_>) {
        if !plain_name(name, "the name of a case", faults) {
            return;
        }
        match self.names.get(&name.value) {
            Some(first) => {
                faults.push_twice(
                    codes::DEFINED_TWICE,
                    &format!("the case {}", quoted(&name.value)),
                    *first,
                    name.spot,
                );
            }
            None => {
                self.names.insert(name.value.clone(), name.spot);
            }
        }
    }

    pub(super) fn push(&mut self, case: Case, spot: Spot, faults: &mut Faults<'_>) {
        if self.list.len() == MOST {
            let fault = Fault::error(codes::TOO_LARGE, format!("there are more than {MOST} cases"));
            faults.push(spot, fault.help("write smaller matrices: one model of each list is enough to show the list"));
        }
        if self.list.len() <= MOST {
            self.list.push(case);
        }
    }
}
