//! From a tree of YAML to the language's words. Every wrong key and every wrong type is a fault; reading goes on
//! after it.

use super::mapping as claims;
use super::{Endpoint, Entry, File, Names, Section, Spotted, Tools};
use super::{admission, defaults, limits, prices, turns};
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::snapshot::{Fallback, Mode};
use crate::policy::tree::{Key, Node, Value};
use crate::report::{Fault, nearest, quoted};

const FILE_KEYS: &[&str] = &[
    "version",
    "mode",
    "unlisted",
    "roles",
    "groups",
    "users",
    "blocked",
    "email_domains",
    "agents",
    "assistants",
    "user_keys",
    "system_models",
    "role_mapping",
    "group_mapping",
    "remote_api",
    "limits",
    "prices",
    "defaults",
    "turns",
    "messages",
];
/// Whether something that nothing else decides is open.
const OPEN_OR_NOT: &[(&str, Fallback)] = &[("allow", Fallback::Allow), ("deny", Fallback::Deny)];
/// Whether what is refused is refused, or only written down.
pub(super) const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];
const ENTRY_KEYS: &[&str] = &["unrestricted", "mode", "endpoints", "tools", "limits"];
const ENDPOINT_KEYS: &[&str] = &["models", "deny", "mode"];
const TOOLS_KEYS: &[&str] = &["allow", "deny", "mode"];
const AGENTS_KEYS: &[&str] = &["parameters", "tools"];

/// The keys of a mapping and what stands behind them.
pub(in crate::policy) type Entries = [(Key, Node)];

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
            "mode" => file.mode = word(key, node, MODES, faults),
            "unlisted" => unlisted(node, &mut file, faults),
            "messages" => messages(node, &mut file, faults),
            "blocked" => admission::blocked(key, node, &mut file, faults),
            "email_domains" => admission::email_domains(key, node, &mut file, faults),
            "agents" => agents(node, &mut file, faults),
            "role_mapping" => file.role_mapping = claims::roles(key, node, faults),
            "group_mapping" => file.group_mapping = claims::groups(key, node, faults),
            "assistants" => assistants(node, &mut file, faults),
            "user_keys" => file.user_keys = word(key, node, OPEN_OR_NOT, faults),
            "system_models" => system_models(node, &mut file, faults),
            "remote_api" => remote_api(key, node, &mut file, faults),
            "limits" => file.limits = limits::of_everybody(key, node, faults),
            "defaults" => file.defaults = defaults::defaults(node, faults),
            "turns" => turns::turns(key, node, &mut file, faults),
            "prices" => prices::prices(key, node, &mut file, faults),
            name => match Section::ALL.into_iter().find(|section| section.as_str() == name) {
                Some(section) => section_entries(section, node, &mut file.entries, faults),
                None => stray(key, FILE_KEYS, faults),
            },
        }
    }
    file
}

pub(in crate::policy) fn version(source: usize, entries: &Entries, faults: &mut Faults<'_>) {
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
    for (key, node) in mapping(node, "\"unlisted\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "endpoint" => file.unlisted_endpoint = word(key, node, OPEN_OR_NOT, faults),
            "role" => file.unlisted_role = word(key, node, OPEN_OR_NOT, faults),
            _ => stray(key, &["endpoint", "role"], faults),
        }
    }
}

fn assistants(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"assistants\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "enabled" => file.assistants = truth(key, node, faults),
            _ => stray(key, &["enabled"], faults),
        }
    }
}

fn system_models(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"system_models\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "speech" => file.speech = word(key, node, OPEN_OR_NOT, faults),
            _ => stray(key, &["speech"], faults),
        }
    }
}

fn messages(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"messages\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "model_denied" => file.model_denied = text(node, "a message", faults),
            "limit_reached" => file.limit_reached = text(node, "a message", faults),
            _ => stray(key, &["model_denied", "limit_reached"], faults),
        }
    }
}

fn agents(node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"agents\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "parameters" => file.agent_parameters = only(key, node, "allow", "a parameter", faults),
            "tools" => file.tools_deny = only(key, node, "deny", "a tool", faults),
            _ => stray(key, AGENTS_KEYS, faults),
        }
    }
}

fn remote_api(section: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"remote_api\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "enabled" => file.remote_api = truth(key, node, faults),
            _ => stray(key, &["enabled"], faults),
        }
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"remote_api\" has no \"enabled\"");
        faults.push(section.spot, fault.help("write \"enabled: false\", or remove the key"));
    }
}

/// The one list of a mapping that must have it.
fn only(section: &Key, node: &Node, wanted: &str, item: &str, faults: &mut Faults<'_>) -> Option<Names> {
    let mut list = None;
    let what = quoted(&section.name);
    let entries = mapping(node, &what, faults)?;
    for (key, node) in entries {
        if key.name == wanted {
            list = names(key, node, item, faults);
        } else {
            stray(key, &[wanted], faults);
        }
    }
    if entries.is_empty() {
        faults.push(section.spot, says_nothing(&what, &quoted(wanted)));
    }
    list
}

fn tools(section: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Tools>> {
    let mut tools = Tools::default();
    let entries = mapping(node, "\"tools\"", faults)?;
    for (key, node) in entries {
        match key.name.as_str() {
            "allow" => tools.allow = names(key, node, "a tool", faults),
            "deny" => tools.deny = names(key, node, "a tool", faults),
            "mode" => tools.mode = word(key, node, MODES, faults),
            _ => stray(key, TOOLS_KEYS, faults),
        }
    }
    if entries.is_empty() {
        faults.push(section.spot, says_nothing("\"tools\"", "\"allow\" nor \"deny\""));
    }
    Some(Spotted { value: tools, spot: section.spot })
}

fn says_nothing(what: &str, lacking: &str) -> Fault {
    let neither = if lacking.contains(" nor ") { "neither " } else { "no " };
    Fault::error(codes::SAYS_NOTHING, format!("{what} has {neither}{lacking}")).help("write a list, or remove the key")
}

fn section_entries(section: Section, node: &Node, list: &mut Vec<Entry>, faults: &mut Faults<'_>) {
    let what = format!("{:?}", section.as_str());
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        list.push(entry(section, key, node, faults));
    }
}

/// Reads the entry of a role, a group or a user.
pub(in crate::policy) fn entry(section: Section, key: &Key, node: &Node, faults: &mut Faults<'_>) -> Entry {
    let faults_before = faults.count();
    let mut entry = Entry {
        section,
        name: named(key),
        unrestricted: None,
        mode: None,
        endpoints: None,
        tools: None,
        limits: None,
        sound: true,
    };
    // `ADMIN:` with nothing behind it is how the fork's own documentation writes an entry without restrictions.
    if matches!(node.value, Value::Null) {
        return entry;
    }
    let what = format!("the entry of {} {}", section.noun(), quoted(&key.name));
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        match key.name.as_str() {
            "unrestricted" => entry.unrestricted = truth(key, node, faults),
            "mode" => entry.mode = word(key, node, MODES, faults),
            "endpoints" => entry.endpoints = Some(Spotted { value: endpoints(node, faults), spot: key.spot }),
            "tools" => entry.tools = tools(key, node, faults),
            "limits" => entry.limits = limits::of_entry(key, node, faults),
            _ => stray(key, ENTRY_KEYS, faults),
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
    let mut endpoint = Endpoint { name: named(key), custom, models: None, deny: None, mode: None };
    let what = format!("endpoint {}", quoted(&key.name));
    for (key, node) in mapping(node, &what, faults).unwrap_or_default() {
        match key.name.as_str() {
            "models" => endpoint.models = names(key, node, "a model", faults),
            "deny" => endpoint.deny = names(key, node, "a model", faults),
            "mode" => endpoint.mode = word(key, node, MODES, faults),
            _ => stray(key, ENDPOINT_KEYS, faults),
        }
    }
    endpoint
}

pub(super) fn names(key: &Key, node: &Node, item: &str, faults: &mut Faults<'_>) -> Option<Names> {
    let Value::List(items) = &node.value else {
        let help = match item {
            "a model" => "write a list: [gpt-4o, \"o1*\"]",
            "a tool" => "write a list: [web_search, \"*_mcp_github\"]",
            "an endpoint" => "write a list: [openAI, MindRoom]",
            "a user" => "write a list: [ann@example.edu]",
            "a group" => "write a list: [former-staff]",
            "a domain" => "write a list: [example.edu, \"*.example.edu\"]",
            _ => "write a list: [service_tier]",
        };
        let what = format!("{:?}", key.name);
        faults.push(node.spot_or(key), wrong_type(&what, "a list", &node.value).help(help));
        return None;
    };
    let value = items.iter().filter_map(|node| text(node, item, faults)).collect();
    Some(Spotted { value, spot: key.spot })
}

pub(in crate::policy) fn mapping<'a>(node: &'a Node, what: &str, faults: &mut Faults<'_>) -> Option<&'a Entries> {
    if let Value::Map(entries) = &node.value {
        return Some(entries);
    }
    let fault = wrong_type(what, "a mapping", &node.value);
    let fault =
        if matches!(node.value, Value::Null) { fault.help("remove the key, or say what it is about") } else { fault };
    faults.push(node.spot, fault);
    None
}

pub(in crate::policy) fn text(node: &Node, what: &str, faults: &mut Faults<'_>) -> Option<Spotted<String>> {
    let fault = wrong_type(what, "text", &node.value);
    match &node.value {
        Value::Text(text) => return Some(Spotted { value: text.clone(), spot: node.spot }),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => faults.push(node.spot, fault.help("put it in quotes")),
        _ => faults.push(node.spot, fault),
    }
    None
}

pub(super) fn truth(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<bool>> {
    if let Value::Bool(value) = node.value {
        return Some(Spotted { value, spot: node.spot });
    }
    faults.push(node.spot, wrong_type(&quoted(&key.name), "true or false", &node.value));
    None
}

pub(in crate::policy) fn word<T: Copy>(
    key: &Key,
    node: &Node,
    words: &[(&str, T)],
    faults: &mut Faults<'_>,
) -> Option<Spotted<T>> {
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
pub(in crate::policy) fn stray(key: &Key, known: &[&str], faults: &mut Faults<'_>) {
    let name = quoted(&key.name);
    let help = match nearest(&key.name, known.iter().copied()) {
        Some(word) => format!("did you mean {}?", quoted(word)),
        None => format!("known here: {}", known.join(", ")),
    };
    faults.push(key.spot, Fault::error(codes::UNKNOWN_KEY, format!("unknown key {name}")).help(help));
}

pub(in crate::policy) fn wrong_type(what: &str, wanted: &str, found: &Value) -> Fault {
    Fault::error(codes::WRONG_TYPE, format!("{what} must be {wanted}, not {}", found.kind()))
}

fn named(key: &Key) -> Spotted<String> {
    Spotted { value: key.name.clone(), spot: key.spot }
}

// === impl Node ===

impl Node {
    /// The value's place, or its key's where there is no value to underline.
    pub(in crate::policy) fn spot_or(&self, key: &Key) -> Spot {
        if self.spot.start == self.spot.end { key.spot } else { self.spot }
    }
}
