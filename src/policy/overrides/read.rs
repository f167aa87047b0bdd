//! From the text of a document to what it says, by the readers and the checks of the files' entries.
//!
//! Three things are different from an entry: `null` takes away what documents before have said, `limits` may be a mapping by
//! ids, which is how limits are merged, and a limit that the files have needs no more than what is to be changed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::known::{Known, known};
use super::overlay::Said;
use super::piece::Piece;
use super::{Author, Document};
use crate::policy::check::{self, Changed, Priced};
use crate::policy::codes;
use crate::policy::compile::Source;
use crate::policy::faults::{Faults, Spot};
use crate::policy::limits::Measure;
use crate::policy::merge::Merged;
use crate::policy::snapshot::Mode;
use crate::policy::tree::{self, Key, Node, Value};
use crate::policy::written::limits::{Keys, keys};
use crate::policy::written::read::{entry, mapping, text};
use crate::policy::written::{Endpoint, Entry, Names, Section, Spotted, WrittenLimit, WrittenLimits};
use crate::report::{Fault, Report, quoted};

/// What a document says at one place, and which document that is.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) said: Said,
    pub(super) author: Arc<Author>,
}

/// What one document says, by its keys.
pub(super) type Tree = Piece<Leaf>;

/// A document that has no fault beside the files.
pub(super) struct Read {
    pub(super) tree: Tree,
    pub(super) priced: Priced,
}

/// A document as it is read.
struct Reading<'a> {
    files: &'a Merged,
    author: &'a Arc<Author>,
    tree: Tree,
    /// Paths of what is taken away, in their order.
    gone: Vec<Vec<String>>,
    /// Limits of the files, as they are changed.
    changed: Vec<Changed>,
}

/// A value as it is written: what a document may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Nothing, which takes away what other documents say.
    Nothing,
    /// `true` or `false`.
    Truth(bool),
    /// A whole number.
    Integer(i128),
    /// A text, or a number with a decimal point as it is written.
    Text(String),
    /// A list.
    List(Vec<Written>),
    /// A mapping, in its order.
    Map(Vec<(String, Written)>),
}

/// Reads YAML or JSON as it is written, with aliases and merge keys expanded.
///
/// # Errors
/// Where it is neither.
pub fn written(source: &Source) -> Result<Written, Report> {
    let sources = [source.clone()];
    let mut faults = Faults::new(&sources);
    match tree::parse(0, &source.text, &mut faults) {
        Some(root) => Ok(plainly(&root)),
        None => Err(faults.into_report()),
    }
}

fn plainly(node: &Node) -> Written {
    match &node.value {
        Value::Null => Written::Nothing,
        Value::Bool(truth) => Written::Truth(*truth),
        Value::Integer(number) => Written::Integer(*number),
        Value::Float(text) | Value::Text(text) => Written::Text(text.clone()),
        Value::List(items) => Written::List(items.iter().map(plainly).collect()),
        Value::Map(entries) => {
            Written::Map(entries.iter().map(|(key, node)| (key.name.clone(), plainly(node))).collect())
        }
    }
}

/// Reads a document for these files.
///
/// # Errors
/// All its faults, with this name in the place of a file's.
pub(super) fn read(document: &Document, author: &Arc<Author>, files: &Merged, name: &Path) -> Result<Read, Report> {
    let source = Source { path: name.to_owned(), text: Arc::clone(&document.text) };
    let sources = [source];
    let mut faults = Faults::new(&sources);
    let mut reading = Reading { files, author, tree: Tree::map(), gone: Vec::new(), changed: Vec::new() };
    let entry =
        tree::parse(0, &document.text, &mut faults).and_then(|root| reading.document(document, root, &mut faults));
    match entry {
        Some(entry) if !faults.has_errors() => {
            let priced = Priced::new(document.principal.kind.section(), entry, reading.changed);
            priced.check(files, &mut faults);
            if faults.has_errors() { Err(faults.into_report()) } else { Ok(Read { tree: reading.tree, priced }) }
        }
        _ => Err(faults.into_report()),
    }
}

// === impl Reading ===

impl Reading<'_> {
    /// What it says as an entry, where that can be told.
    fn document(&mut self, document: &Document, root: Node, faults: &mut Faults<'_>) -> Option<Entry> {
        mapping(&root, "an override", faults)?;
        let spot = root.spot;
        let Value::Map(mut entries) = root.value else { return None };
        self.take_gone(&mut entries, &[], &["unrestricted", "endpoints", "tools", "limits"]);
        let (mut changes, mut only_changes) = (Vec::new(), false);
        for (key, node) in &mut entries {
            match (key.name.as_str(), &mut node.value) {
                ("endpoints", Value::Map(endpoints)) => self.gone_of_endpoints(endpoints, faults),
                ("tools", Value::Map(lists)) => self.take_gone(lists, &["tools"], &["allow", "deny"]),
                ("limits", limits) => {
                    self.by_ids(limits);
                    changes = self.changes(limits);
                    let empty = matches!(limits, Value::List(items) if items.is_empty());
                    only_changes = empty && (!changes.is_empty() || self.has_gone(&["limits"]));
                }
                _ => {}
            }
        }
        // What says no more than what goes is no fault of the entry's reader's.
        let empty = |node: &Node| matches!(&node.value, Value::Map(entries) if entries.is_empty());
        entries.retain(|(key, node)| match key.name.as_str() {
            "limits" => !only_changes,
            "tools" | "endpoints" => !(empty(node) && self.has_gone(&[&key.name])),
            _ => true,
        });
        let section = document.principal.kind.section();
        let key = Key { name: document.principal.id.to_string(), spot };
        let rest = Node { value: Value::Map(entries), spot };
        let mut written = entry(section, &key, &rest, faults);
        // What a document allows is added, as a user's own entry adds.
        written.section = Section::Users;
        let gone: HashSet<&str> = self
            .gone
            .iter()
            .filter(|path| path.len() > 2)
            .filter_map(|path| path.get(path.len() - 2))
            .map(String::as_str)
            .collect();
        check::document(self.files, section, &written, |endpoint| gone.contains(endpoint), faults);
        let changes: Vec<_> = changes.iter().filter_map(|node| self.change(document, node, faults)).collect();
        if faults.has_errors() {
            return None;
        }
        self.put_entry(&written);
        for (path, said) in changes.into_iter().flatten() {
            self.put(&path, said);
        }
        for path in std::mem::take(&mut self.gone) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.tree.put(&path, Piece::Gone);
        }
        if self.tree.ends().is_empty() {
            let fault = Fault::error(codes::SAYS_NOTHING, "the override says nothing");
            faults.push(spot, fault.help("write what an entry of a policy may have, such as \"limits\"; or remove it"));
        }
        Some(written)
    }

    /// Takes keys without a value out of a mapping, where these may be there.
    fn take_gone(&mut self, entries: &mut Vec<(Key, Node)>, path: &[&str], keys: &[&str]) {
        entries.retain(|(key, node)| {
            let goes = matches!(node.value, Value::Null) && keys.contains(&key.name.as_str());
            if goes {
                self.gone.push(path.iter().copied().chain([key.name.as_str()]).map(str::to_owned).collect());
            }
            !goes
        });
    }

    fn has_gone(&self, path: &[&str]) -> bool {
        self.gone.iter().any(|gone| gone.len() > path.len() && gone.iter().zip(path).all(|(one, other)| one == other))
    }

    fn gone_of_endpoints(&mut self, endpoints: &mut Vec<(Key, Node)>, faults: &mut Faults<'_>) {
        self.gone_of_named(endpoints, false, faults);
        for (key, node) in endpoints.iter_mut() {
            if let ("custom", Value::Map(custom)) = (key.name.as_str(), &mut node.value) {
                self.gone_of_named(custom, true, faults);
            }
        }
        let custom_goes = self.has_gone(&["endpoints", "custom"]);
        endpoints.retain(|(key, node)| {
            !(custom_goes && key.name == "custom" && matches!(&node.value, Value::Map(custom) if custom.is_empty()))
        });
    }

    fn gone_of_named(&mut self, endpoints: &mut Vec<(Key, Node)>, custom: bool, faults: &mut Faults<'_>) {
        let path: &[&str] = if custom { &["endpoints", "custom"] } else { &["endpoints"] };
        let named = |key: &Key| {
            let name = Spotted { value: key.name.clone(), spot: key.spot };
            Endpoint { name, custom, models: None, deny: None, mode: None }
        };
        endpoints.retain_mut(|(key, node)| {
            let all_custom = !custom && key.name == "custom";
            let endpoint = named(key);
            let name = if all_custom { "custom" } else { endpoint.key() };
            if matches!(node.value, Value::Null) {
                if !all_custom {
                    check::named_endpoint(&endpoint.name, custom, faults);
                }
                self.gone.push(path.iter().copied().chain([name]).map(str::to_owned).collect());
                return false;
            }
            if let Value::Map(lists) = &mut node.value
                && !all_custom
            {
                let path: Vec<&str> = path.iter().copied().chain([name]).collect();
                self.take_gone(lists, &path, &["models", "deny"]);
            }
            true
        });
    }

    /// Writes a mapping of limits by their ids as the list that it stands for.
    fn by_ids(&mut self, limits: &mut Value) {
        let Value::Map(entries) = limits else { return };
        let mut items = Vec::with_capacity(entries.len());
        for (key, mut node) in std::mem::take(entries) {
            match &mut node.value {
                Value::Null => {
                    self.gone.push(vec!["limits".to_owned(), key.name]);
                    continue;
                }
                Value::Map(members) => {
                    let id = Node { value: Value::Text(key.name), spot: key.spot };
                    members.insert(0, (Key { name: "id".to_owned(), spot: key.spot }, id));
                }
                // Not a mapping: the reader of limits says so.
                _ => {}
            }
            items.push(node);
        }
        *limits = Value::List(items);
    }

    /// Takes the limits out of a list that the files have, too.
    fn changes(&self, limits: &mut Value) -> Vec<Node> {
        let Value::List(items) = limits else { return Vec::new() };
        let is_known = |node: &Node| match &node.value {
            Value::Map(members) => members.iter().any(|(key, node)| {
                key.name == "id" && matches!(&node.value, Value::Text(id) if known(self.files, id).is_some())
            }),
            _ => false,
        };
        let (changes, new) = std::mem::take(items).into_iter().partition(is_known);
        *items = new;
        changes
    }

    /// What is to be changed of a limit of the files.
    fn change(
        &mut self,
        document: &Document,
        node: &Node,
        faults: &mut Faults<'_>,
    ) -> Option<Vec<([String; 3], Said)>> {
        let Value::Map(members) = &node.value else { return None };
        let (_, id) = members.iter().find(|(key, _)| key.name == "id")?;
        let id = text(id, "the id of a limit", faults)?;
        let known = known(self.files, &id.value)?;
        if let Some(why) = known.is_fixed_for(&document.principal) {
            let help = "change it in the files, or write one more limit with an id of its own";
            faults.push(id.spot, Fault::error(codes::OVERRIDE_LIMIT, why).help(help));
            return None;
        }
        let path = |member: &str| ["limits".to_owned(), id.value.clone(), member.to_owned()];
        let before = faults.count();
        // A member without a value takes away what documents before have said of it.
        let goes = |key: &Key, node: &Node| {
            matches!(node.value, Value::Null) && MEMBERS.iter().any(|(word, _)| *word == key.name)
        };
        let (gone, rest): (Vec<_>, Vec<_>) = members.iter().partition(|(key, node)| goes(key, node));
        for (key, _) in gone {
            let member =
                MEMBERS.iter().find(|(word, _)| *word == key.name).map_or(key.name.as_str(), |(_, member)| member);
            self.gone.push(path(member).into());
        }
        let rest = Node { value: Value::Map(rest.into_iter().map(copied).collect()), spot: node.spot };
        let keys = keys(&rest, faults);
        fixed(&known, &keys, node.spot, faults);
        let said = said(keys);
        let mut changed = known.limit.clone();
        said.iter().for_each(|(_, said)| said.change(&mut changed));
        check::changed_limit(&changed, faults);
        if faults.count() > before {
            return None;
        }
        if said.is_empty() && !self.has_gone(&["limits", &id.value]) {
            let message = format!("nothing of the limit {} is changed", quoted(&id.value));
            let help = "write what is to be another: tokens: 1M";
            faults.push(id.spot, Fault::error(codes::OVERRIDE_LIMIT, message).help(help));
            return None;
        }
        self.changed.push(Changed { of: known.of.cloned(), limit: changed, spot: id.spot });
        Some(said.into_iter().map(|(member, said)| (path(member), said)).collect())
    }

    fn put(&mut self, path: &[String], said: Said) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.tree.put(&path, Piece::Leaf(Leaf { said, author: Arc::clone(self.author) }));
    }

    fn put_entry(&mut self, entry: &Entry) {
        let mut put = |path: &[&str], said| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            self.put(&path, said);
        };
        if let Some(unrestricted) = &entry.unrestricted {
            put(&["unrestricted"], Said::Truth(unrestricted.value));
        }
        for endpoint in entry.endpoints() {
            for (key, names) in [("models", &endpoint.models), ("deny", &endpoint.deny)] {
                let Some(names) = names else { continue };
                let name = endpoint.key();
                let path: &[&str] =
                    if endpoint.custom { &["endpoints", "custom", name, key] } else { &["endpoints", name, key] };
                put(path, Said::Names(plain(names)));
            }
        }
        if let Some(tools) = &entry.tools {
            for (key, names) in [("allow", &tools.value.allow), ("deny", &tools.value.deny)] {
                if let Some(names) = names {
                    put(&["tools", key], Said::Names(plain(names)));
                }
            }
        }
        match &entry.limits {
            Some(Spotted { value: WrittenLimits::None, .. }) => put(&["limits"], Said::NoLimits),
            Some(Spotted { value: WrittenLimits::List(limits), .. }) => {
                for limit in limits {
                    put(&["limits", &limit.id.value], Said::Limit(Box::new(limit.clone())));
                }
            }
            None => {}
        }
    }
}

// === helpers ===

/// What of a limit a document can change, by the words for it; all measures are its amount.
const MEMBERS: [(&str, &str); 13] = [
    ("requests", AMOUNT),
    ("messages", AMOUNT),
    ("tokens", AMOUNT),
    ("input_tokens", AMOUNT),
    ("output_tokens", AMOUNT),
    ("cost", AMOUNT),
    ("concurrent", AMOUNT),
    ("mode", "mode"),
    ("strict", "strict"),
    ("warn_at", "warn_at"),
    ("on_failure", "on_failure"),
    ("models", "models"),
    ("endpoints", "endpoints"),
];

/// The amount, whatever is counted.
const AMOUNT: &str = "amount";

/// What makes a limit's counter what it is cannot be changed: what was used would be somewhere else.
fn fixed(known: &Known<'_>, keys: &Keys, spot: Spot, faults: &mut Faults<'_>) {
    let limit = known.limit;
    let id = quoted(&limit.id.value);
    let mut other = |spot: Spot, what: &str| {
        let message = format!("{what} of the limit {id} cannot be changed by an override, for it would count anew");
        let help = "write one more limit with an id of its own, or change the files";
        faults.push(spot, Fault::error(codes::OVERRIDE_LIMIT, message).help(help));
    };
    for (measure, _) in &keys.amounts {
        if measure.value != limit.measure.value {
            other(measure.spot, "what is counted");
        }
    }
    if let Some(per) = keys.per.as_ref().filter(|per| per.value != limit.per.value) {
        other(per.spot, "\"per\"");
    }
    if let Some(window) = &keys.window
        && limit.window.as_ref().map(|window| window.value) != Some(window.value)
    {
        other(window.spot, "the window");
    }
    if let Some(zone) = &keys.timezone
        && limit.timezone.as_ref().map(|zone| &zone.value) != Some(&zone.value)
    {
        other(zone.spot, "the time zone");
    }
    if let Some(mode) = keys.mode.as_ref().filter(|mode| known.shadow && mode.value == Mode::Enforce) {
        let message =
            format!("the limit {id} stands in an entry that is in shadow mode, so that nothing in it is enforced");
        let help = "remove it, or put the entry into force in the files";
        faults.push(mode.spot, Fault::error(codes::OVERRIDE_LIMIT, message).help(help));
    }
    if keys.amounts.len() > 1 {
        let fault = Fault::error(codes::LIMIT_MEASURE, "the limit limits several things");
        faults.push(spot, fault.help("write one amount"));
    }
}

/// What the keys say, by the members that they are.
fn said(keys: Keys) -> Vec<(&'static str, Said)> {
    let amount =
        keys.amounts.into_iter().find_map(|(measure, amount): (Spotted<Measure>, _)| Some((measure.value, amount?)));
    [
        amount.map(|(measure, amount)| (AMOUNT, Said::Amount(measure, amount))),
        keys.mode.map(|mode| ("mode", Said::Mode(mode.value))),
        keys.strict.map(|strict| ("strict", Said::Strict(strict))),
        keys.warn_at.map(|percent| ("warn_at", Said::WarnAt(percent))),
        keys.on_failure.map(|on_failure| ("on_failure", Said::OnFailure(on_failure))),
        keys.models.map(|names| ("models", Said::Models(names))),
        keys.endpoints.map(|names| ("endpoints", Said::Endpoints(names))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn plain(names: &Names) -> Box<[Box<str>]> {
    names.value.iter().map(|name| name.value.as_str().into()).collect()
}

/// A member of a limit once more: the reader wants a whole mapping.
fn copied((key, node): &(Key, Node)) -> (Key, Node) {
    (Key { name: key.name.clone(), spot: key.spot }, copy(node))
}

fn copy(node: &Node) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Integer(number) => Value::Integer(*number),
        Value::Float(text) => Value::Float(text.clone()),
        Value::Text(text) => Value::Text(text.clone()),
        Value::List(items) => Value::List(items.iter().map(copy).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(copied).collect()),
    };
    Node { value, spot: node.spot }
}

/// All limits that a document adds, with what they are.
pub(super) fn added(tree: &Tree) -> impl Iterator<Item = &WrittenLimit> {
    let limits = tree.get("limits").into_iter().flat_map(Piece::entries);
    limits.filter_map(|(_, piece)| match &piece.leaf()?.said {
        Said::Limit(limit) => Some(&**limit),
        _ => None,
    })
}
