//! `roles:` and `groups:` of a fork's `librechat.yaml`, as that fork reads them: exact names, an endpoint that is not listed is
//! open, groups with `endpoints` stand in for the role, and what several groups list is united.
//!
//! The fork's own reader refuses what is not of this form, and then LibreChat does not start; so does this.

use std::collections::BTreeMap;

use super::check::BUILT_IN;
use super::codes;
use super::compile::Source;
use super::faults::{Faults, Spot};
use super::tree::{self, Key, Node, Value};
use super::written::read::{mapping, text, wrong_type};
use crate::report::{Fault, Place, Report, quoted};

mod balance;

pub use balance::{Balance, Credits};

/// What the sections say.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    /// `roles:`, in the written order.
    pub roles: Vec<Entry>,
    /// `groups:`, in the written order.
    pub groups: Vec<Entry>,
    /// All other keys at the top level, with their places.
    pub others: Vec<(Box<str>, Option<Place>)>,
    /// The names below `endpoints.custom`.
    pub custom: Vec<Box<str>>,
    /// `balance:`
    pub balance: Option<Balance>,
    /// What is not taken as it stands, and why.
    pub notes: Vec<Note>,
}

/// The entry of a role or a group.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whom it is about.
    pub name: Box<str>,
    /// Where it is written.
    pub place: Option<Place>,
    /// The endpoints that it lists; none where it restricts nothing.
    pub endpoints: Option<Vec<Listed>>,
}

/// The list of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The endpoint, as LibreChat calls it.
    pub endpoint: Box<str>,
    /// Whether it is a custom one.
    pub custom: bool,
    /// Its models, each once.
    pub models: Vec<Box<str>>,
}

/// Something that is told.
#[derive(Clone, Debug)]
pub struct Note {
    /// Where it is written.
    pub place: Option<Place>,
    /// What it is, and what became of it.
    pub told: String,
}

/// The reader's state.
struct Reading<'a, 'f> {
    faults: &'a mut Faults<'f>,
    notes: Vec<(Spot, String)>,
}

/// Reads the file.
///
/// # Errors
/// All faults: what the fork refuses, too, and what cannot be written as a policy without opening something.
pub fn read(source: &Source) -> Result<Fork, Report> {
    let sources = std::slice::from_ref(source);
    let mut faults = Faults::new(sources);
    let root = tree::parse(0, &source.text, &mut faults);
    let mut fork = Fork::default();
    let mut reading = Reading { faults: &mut faults, notes: Vec::new() };
    for (key, node) in root.as_ref().and_then(|root| mapping(root, "the file", reading.faults)).unwrap_or_default() {
        match key.name.as_str() {
            "roles" => fork.roles = reading.section(node, "role"),
            "groups" => fork.groups = reading.section(node, "group"),
            name => {
                match name {
                    "endpoints" => fork.custom = custom(node),
                    "balance" => fork.balance = Some(balance::read(node)),
                    _ => {}
                }
                fork.others.push((name.into(), reading.faults.place(key.spot)));
            }
        }
    }
    let notes = reading.notes;
    fork.notes = notes.into_iter().map(|(spot, told)| Note { place: faults.place(spot), told }).collect();
    if faults.has_errors() { Err(without_text(&faults.into_report())) } else { Ok(fork) }
}

/// The same faults without the lines that they stand in: the file may hold keys of providers.
fn without_text(report: &Report) -> Report {
    let mut quiet = Report::new();
    report.faults().into_iter().for_each(|fault| quiet.push(fault.clone()));
    quiet
}

/// Names of custom endpoints.
fn custom(node: &Node) -> Vec<Box<str>> {
    let member = |node: &Node, wanted: &str| match &node.value {
        Value::Map(entries) => entries.iter().position(|(key, _)| key.name == wanted),
        _ => None,
    };
    let below = |node: &Node| -> Vec<Box<str>> {
        let Value::List(items) = &node.value else { return Vec::new() };
        let name = |item: &Node| match (&item.value, member(item, "name")) {
            (Value::Map(entries), Some(at)) => match entries.get(at).map(|(_, node)| &node.value) {
                Some(Value::Text(name)) => Some(name.as_str().into()),
                _ => None,
            },
            _ => None,
        };
        items.iter().filter_map(name).collect()
    };
    match (&node.value, member(node, "custom")) {
        (Value::Map(entries), Some(at)) => entries.get(at).map(|(_, node)| below(node)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

// === impl Reading ===

impl Reading<'_, '_> {
    fn note(&mut self, spot: Spot, told: String) {
        self.notes.push((spot, told));
    }

    fn section(&mut self, node: &Node, noun: &str) -> Vec<Entry> {
        let entries = mapping(node, &format!("\"{noun}s\""), self.faults).unwrap_or_default();
        entries.iter().map(|(key, node)| self.entry(key, node, noun)).collect()
    }

    fn entry(&mut self, key: &Key, node: &Node, noun: &str) -> Entry {
        self.plain(&key.name, key.spot, &format!("the name of a {noun}"));
        let mut entry = Entry { name: key.name.as_str().into(), place: self.faults.place(key.spot), endpoints: None };
        if matches!(node.value, Value::Null) {
            self.note(
                key.spot,
                format!("{noun} {} has nothing behind its name: it restricts nothing", quoted(&key.name)),
            );
            return entry;
        }
        let what = format!("the entry of {noun} {}", quoted(&key.name));
        for (key, node) in mapping(node, &what, self.faults).unwrap_or_default() {
            match key.name.as_str() {
                "endpoints" => entry.endpoints = Some(self.endpoints(node)),
                other => {
                    self.note(key.spot, format!("{} means nothing here, to the fork neither: left out", quoted(other)))
                }
            }
        }
        entry
    }

    fn endpoints(&mut self, node: &Node) -> Vec<Listed> {
        let mut list: Vec<Listed> = Vec::new();
        let mut seen = BTreeMap::new();
        for (key, node) in mapping(node, "\"endpoints\"", self.faults).unwrap_or_default() {
            if key.name == "custom" {
                for (key, node) in mapping(node, "\"custom\"", self.faults).unwrap_or_default() {
                    self.custom_name(key);
                    list.extend(self.listed(key, node, true, &mut seen));
                }
            } else if BUILT_IN.contains(&key.name.as_str()) {
                list.extend(self.listed(key, node, false, &mut seen));
            } else {
                let message =
                    format!("there is no built-in endpoint {}: with this LibreChat does not start", quoted(&key.name));
                let help = format!("put custom endpoints under \"custom:\"; built in are {}", BUILT_IN.join(", "));
                self.faults.push(key.spot, Fault::error(codes::UNKNOWN_ENDPOINT, message).help(help));
            }
        }
        list
    }

    fn custom_name(&mut self, key: &Key) {
        self.plain(&key.name, key.spot, "the name of an endpoint");
        if BUILT_IN.contains(&key.name.as_str()) {
            let message = format!("the built-in endpoint {} stands under \"custom:\"", quoted(&key.name));
            let help = "write it beside \"custom:\"; the fork takes whichever comes last";
            self.faults.push(key.spot, Fault::error(codes::BUILTIN_UNDER_CUSTOM, message).help(help));
        }
        if key.name.contains('|') {
            let message =
                format!("the endpoint {} has a \"|\" in its name, which stands before models", quoted(&key.name));
            self.faults
                .push(key.spot, Fault::error(codes::BAD_NAME, message).help("call it something else in LibreChat"));
        }
    }

    fn listed(&mut self, key: &Key, node: &Node, custom: bool, seen: &mut BTreeMap<String, Spot>) -> Option<Listed> {
        // LibreChat writes every spelling of it in lower case (CONTRACT.md B.9).
        let is_ollama = custom && key.name.eq_ignore_ascii_case("ollama");
        let endpoint = if is_ollama { "ollama" } else { key.name.as_str() };
        if let Some(first) = seen.insert(endpoint.to_owned(), key.spot) {
            self.faults.push_twice(codes::DEFINED_TWICE, &format!("endpoint {}", quoted(endpoint)), first, key.spot);
        }
        let what = format!("endpoint {}", quoted(&key.name));
        let mut models = None;
        for (inner, node) in mapping(node, &what, self.faults)? {
            match inner.name.as_str() {
                "models" => models = Some(self.models(inner, node)?),
                other => self
                    .note(inner.spot, format!("{} means nothing here, to the fork neither: left out", quoted(other))),
            }
        }
        let Some(models) = models else {
            let message = format!("{what} has no \"models\": with this LibreChat does not start");
            self.faults.push(key.spot, Fault::error(codes::MISSING_KEY, message).help("write \"models: [...]\""));
            return None;
        };
        if endpoint == "agents" {
            self.note(
                key.spot,
                "lists for \"agents\" restrict nothing in the fork, at most its menu: left out. Tollgate judges each agent by what it runs".into(),
            );
            return None;
        }
        Some(Listed { endpoint: endpoint.into(), custom, models })
    }

    fn models(&mut self, key: &Key, node: &Node) -> Option<Vec<Box<str>>> {
        let Value::List(items) = &node.value else {
            self.faults.push(node.spot_or(key), wrong_type("\"models\"", "a list", &node.value));
            return None;
        };
        let mut models: Vec<Box<str>> = Vec::with_capacity(items.len());
        for item in items {
            let Some(name) = text(item, "a model", self.faults) else { continue };
            let shown = quoted(&name.value);
            if name.value.contains('*') {
                let told = format!(
                    "{shown} is a name to the fork, not a pattern, and no model has it: left out. Patterns are Tollgate's own"
                );
                self.note(name.spot, told);
            } else if !is_plain(&name.value) {
                self.note(
                    name.spot,
                    format!("{shown} is empty, or has blanks around it: no model is called so; left out"),
                );
            } else if models.iter().any(|known| **known == *name.value) {
                self.note(name.spot, format!("{shown} stands twice in its list: written once"));
            } else {
                if name.value.contains("${") {
                    self.note(
                        name.spot,
                        format!("{shown} is taken as it stands: LibreChat fills in no variables here"),
                    );
                }
                models.push(name.value.as_str().into());
            }
        }
        Some(models)
    }

    /// A name that a policy can have. One that it cannot have is no reason to leave a restriction out.
    fn plain(&mut self, name: &str, spot: Spot, what: &str) {
        if !is_plain(name) || name.contains('*') {
            let message = format!("{what} cannot be {} in a policy", quoted(name));
            self.faults
                .push(spot, Fault::error(codes::BAD_NAME, message).help("give it another name in LibreChat first"));
        } else if name.contains("${") {
            self.note(spot, format!("{} is taken as it stands: LibreChat fills in no variables here", quoted(name)));
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && !name.chars().any(|char| char.is_control() || crate::report::is_invisible(char))
}

// === impl Fork: what it allows ===

impl Fork {
    /// Whether the fork lets somebody of this role and these groups use this model.
    pub fn allows(&self, role: &str, groups: &[&str], endpoint: &str, model: &str) -> bool {
        let named = |entries: &'_ [Entry], name: &str| -> Option<usize> {
            entries.iter().position(|entry| &*entry.name == name && entry.endpoints.is_some())
        };
        let of_groups: Vec<&Entry> =
            groups.iter().filter_map(|group| self.groups.get(named(&self.groups, group)?)).collect();
        let counting: Vec<&Entry> = match of_groups.is_empty() {
            true => named(&self.roles, role).and_then(|at| self.roles.get(at)).into_iter().collect(),
            false => of_groups,
        };
        let lists = counting.iter().flat_map(|entry| entry.endpoints.iter().flatten());
        let mut lists = lists.filter(|listed| &*listed.endpoint == endpoint).peekable();
        lists.peek().is_none() || lists.any(|listed| listed.models.iter().any(|name| **name == *model))
    }
}
