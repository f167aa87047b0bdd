//! From a tree of YAML to the language's words. Every wrong key and every wrong type is a fault; reading goes on
//! after it.

use super::{Endpoint, Entry, File, Section, Spotted};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::snapshot::{Fallback, Mode};
use crate::policy::tree::{Key, Node, Value};
use crate::report::{Fault, nearest, quoted};

const FILE_KEYS: &[&str] = &["version", "mode", "unlisted", "roles", "groups", "users", "messages"];
const ENTRY_KEYS: &[&str] = &["unrestricted", "endpoints"];
const ENDPOINT_KEYS: &[&str] = &["models", "deny"];
/// Sections that a later version will enforce. Silence about them would be a promise that is not kept.
const FILE_KEYS_TO_COME: &[&str] = &["limits", "prices", "agents", "role_mapping"];
const ENTRY_KEYS_TO_COME: &[&str] = &["limits", "mode"];

type Entries = [(Key, Node)];

/// Reads one file's tree.
pub(in crate::policy) fn read(source: usize, root: &Node, faults: &mut Faults<'_>) -> File {
    let mut file = File::default();
    let none: &Entries = &[];
    let entries = match &root.value {
        // A file without a word is not a wrong type; what it lacks is said below.
        Value::Null => none,
        _ => mapping(root, "a policy file", faults).unwrap_or(none),
    };
    version(source, entries, faults);
    for (key, node) in entries {
        match key.name.as_str() {
            "version" => {}
            "mode" => file.mode = word(key, node, &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)], faults),
            "unlisted" => unlisted(node, &mut file, faults),
            "messages" => messages(node, &mut file, faults),
            name => match Section::ALL.into_iter().find(|section| section.as_str() == name) {
                Some(section) => section_entries(section, node, &mut file.entries, faults),
                None => stray(key, FILE_KEYS, FILE_KEYS_TO_COME, faults),
            },
        }
    }
    file
}

fn version(source: usize, entries: &Entries, faults: &mut Faults<'_>) {
    let help = "write \"version: 1\" as the first line";
    match entries.iter().find(|(key, _)| key.name == "version") {
        None => {
            let fault =
                Fault::error(codes::VERSION_MISSING, "the file does not say which version of the language it is in");
            faults.push_file(source, fault.help(help));
        }
        Some((_, Node { value: Value::Integer(1), .. })) => {}
        Some((key, node)) => {
            let fault = Fault::error(codes::VERSION_UNKNOWN, "this version of the language is not known").help(help);
            faults.push(node.spot_or(key), fault);
        }
    }
}

fn unlisted(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    let words = [("allow", Fallback::Allow), ("deny", Fallback::Deny)];
    for (key, node) in mapping(node, "\"unlisted\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "endpoint" => file.unlisted_endpoint = word(key, node, &words, faults),
            "role" => file.unlisted_role = word(key, node, &words, faults),
            _ => stray(key, &["endpoint", "role"], &[], faults),
        }
    }
}

fn messages(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"messages\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "model_denied" => file.model_denied = text(node, "a message", faults),
            _ => stray(key, &["model_denied"], &[], faults),
        }
    }
}

fn section_entries(section: Section, node: &Node, list: &mut Vec<Entry>, faults: &mut Faults<'_>) {
    let what = format!("{:?}", section.as_str());
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        list.push(entry(section, key, node, faults));
    }
}

fn entry(section: Section, key: &Key, node: &Node, faults: &mut Faults<'_>) -> Entry {
    let faults_before = faults.count();
    let mut entry = Entry { section, name: named(key), unrestricted: None, endpoints: None, sound: true };
    // `ADMIN:` with nothing behind it is how the fork's own documentation writes an entry without restrictions.
    if matches!(node.value, Value::Null) {
        return entry;
    }
    let what = format!("the entry of {} {}", section.noun(), quoted(&key.name));
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        match key.name.as_str() {
            "unrestricted" => entry.unrestricted = truth(node, faults),
            "endpoints" => entry.endpoints = Some(Spotted { value: endpoints(node, faults), spot: key.spot }),
            _ => stray(key, ENTRY_KEYS, ENTRY_KEYS_TO_COME, faults),
        }
    }
    entry.sound = faults.count() == faults_before;
    entry
}

fn endpoints(node: &Node, faults: &mut Faults<'_>) -> Vec<Endpoint> {
    let mut list = Vec::new();
    for (key, node) in mapping(node, "\"endpoints\"", faults).unwrap_or_default() {
        if key.name == "custom" {
            for (key, node) in mapping(node, "\"custom\"", faults).unwrap_or_default() {
                list.push(endpoint(key, true, node, faults));
            }
        } else {
            list.push(endpoint(key, false, node, faults));
        }
    }
    list
}

fn endpoint(key: &Key, custom: bool, node: &Node, faults: &mut Faults<'_>) -> Endpoint {
    let mut endpoint = Endpoint { name: named(key), custom, models: None, deny: None };
    let what = format!("endpoint {}", quoted(&key.name));
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        match key.name.as_str() {
            "models" => endpoint.models = models(key, node, faults),
            "deny" => endpoint.deny = models(key, node, faults),
            _ => stray(key, ENDPOINT_KEYS, &[], faults),
        }
    }
    endpoint
}

fn models(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<Spotted<String>>>> {
    let Value::List(items) = &node.value else {
        let what = format!("{:?}", key.name);
        faults
            .push(node.spot_or(key), wrong_type(&what, "a list", &node.value).help("write a list: [gpt-4o, \"o1*\"]"));
        return None;
    };
    let value = items.iter().filter_map(|item| text(item, "a model", faults)).collect();
    Some(Spotted { value, spot: key.spot })
}

fn mapping<'a>(node: &'a Node, what: &str, faults: &mut Faults<'_>) -> Option<&'a Entries> {
    if let Value::Map(entries) = &node.value {
        return Some(entries);
    }
    let fault = wrong_type(what, "a mapping", &node.value);
    let fault =
        if matches!(node.value, Value::Null) { fault.help("remove the key, or say what it is about") } else { fault };
    faults.push(node.spot, fault);
    None
}

fn text(node: &Node, what: &str, faults: &mut Faults<'_>) -> Option<Spotted<String>> {
    let fault = wrong_type(what, "text", &node.value);
    match &node.value {
        Value::Text(text) => return Some(Spotted { value: text.clone(), spot: node.spot }),
        Value::Bool(_) | Value::Integer(_) | Value::Float => faults.push(node.spot, fault.help("put it in quotes")),
        _ => faults.push(node.spot, fault),
    }
    None
}

fn truth(node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<bool>> {
    if let Value::Bool(value) = node.value {
        return Some(Spotted { value, spot: node.spot });
    }
    faults.push(node.spot, wrong_type("\"unrestricted\"", "true or false", &node.value));
    None
}

fn word<T: Copy>(key: &Key, node: &Node, words: &[(&str, T)], faults: &mut Faults<'_>) -> Option<Spotted<T>> {
    let written = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
        return Some(Spotted { value: *value, spot: node.spot });
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{} must be {}", quoted(&key.name), known.join(" or "));
    let fault = Fault::error(codes::BAD_VALUE, message);
    let fault = match nearest(written, known) {
        Some(word) => fault.help(format!("did you mean {}?", quoted(word))),
        None => fault,
    };
    faults.push(node.spot_or(key), fault);
    None
}

/// A key that does not belong where it stands.
fn stray(key: &Key, known: &[&str], to_come: &[&str], faults: &mut Faults<'_>) {
    let name = quoted(&key.name);
    if to_come.contains(&key.name.as_str()) {
        let message = format!("{name} is not enforced by this version of Tollgate");
        faults.push(
            key.spot,
            Fault::error(codes::NOT_YET, message).help("remove it: a rule that nobody enforces is worse than none"),
        );
        return;
    }
    let help = match nearest(&key.name, known.iter().copied()) {
        Some(word) => format!("did you mean {}?", quoted(word)),
        None => format!("known here: {}", known.join(", ")),
    };
    faults.push(key.spot, Fault::error(codes::UNKNOWN_KEY, format!("unknown key {name}")).help(help));
}

fn wrong_type(what: &str, wanted: &str, found: &Value) -> Fault {
    Fault::error(codes::WRONG_TYPE, format!("{what} must be {wanted}, not {}", found.kind()))
}

fn named(key: &Key) -> Spotted<String> {
    Spotted { value: key.name.clone(), spot: key.spot }
}

// === impl Node ===

impl Node {
    /// The value's place, or its key's where there is no value to underline.
    fn spot_or(&self, key: &Key) -> Spot {
        if self.spot.start == self.spot.end { key.spot } else { self.spot }
    }
}
