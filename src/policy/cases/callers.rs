//! Who asks, as a case file writes it.

use indexmap::IndexMap;

use super::known::Known;
use super::read::{Common, list_of_texts};
use super::{Asker, Plain};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::tree::{Key, Node, Value};
use crate::policy::words::Caller;
use crate::policy::written::Spotted;
use crate::policy::written::read::{mapping, stray, text, wrong_type};
use crate::report::{Fault, nearest, quoted};

const KEYS: &[&str] = &["role", "groups", "email", "id", "claims"];
const TOKENS: &[&str] = &["id", "access", "userinfo"];

/// LibreChat's role for who has no other.
const ROLE: &str = "USER";

/// The callers of a file by their names. One whose entry has a fault is there, so that those who name it have no second fault.
pub(super) type Callers = IndexMap<String, Option<Asker>>;

/// `callers:`
pub(super) fn callers(node: &Node, known: &Known<'_>, faults: &mut Faults<'_>) -> Callers {
    let entries = mapping(node, "\"callers\"", faults).unwrap_or_default();
    entries.iter().map(|(key, node)| (key.name.clone(), caller(Some(&key.name), node, known, faults))).collect()
}

/// `caller:` of a case: a name from above, or somebody written here.
pub(super) fn of_case(key: &Key, node: &Node, common: &Common<'_>, faults: &mut Faults<'_>) -> Option<Asker> {
    match &node.value {
        Value::Text(name) => named(&Spotted { value: name.clone(), spot: node.spot_or(key) }, &common.callers, faults),
        _ => caller(None, node, common.known, faults),
    }
}

/// A caller by the name that the file gives.
pub(super) fn named(name: &Spotted<String>, callers: &Callers, faults: &mut Faults<'_>) -> Option<Asker> {
    if let Some(caller) = callers.get(&name.value) {
        return caller.clone();
    }
    let message = format!("the file has no caller {}", quoted(&name.value));
    let help = match nearest(&name.value, callers.keys().map(String::as_str)) {
        Some(known) => format!("did you mean {}?", quoted(known)),
        None => format!("write who that is under \"callers\": {}: {{ role: USER, groups: [] }}", name.value),
    };
    faults.push(name.spot, Fault::error(codes::UNKNOWN_CALLER, message).help(help));
    None
}

fn caller(name: Option<&str>, node: &Node, known: &Known<'_>, faults: &mut Faults<'_>) -> Option<Asker> {
    let before = faults.errors();
    let (mut role, mut groups, mut email, mut id, mut claims) = (None, Vec::new(), None, None, None);
    // `student:` with nothing behind it is somebody of whom nothing is known.
    let entries = match &node.value {
        Value::Null => &[][..],
        _ => mapping(node, "a caller", faults).unwrap_or_default(),
    };
    for (key, node) in entries {
        match key.name.as_str() {
            "role" => role = text(node, "a role", faults),
            "groups" => groups = list_of_texts(key, node, "a group", "[students, staff]", faults).unwrap_or_default(),
            "email" => email = text(node, "an e-mail address", faults).and_then(|of| address(&of, faults)),
            "id" => id = text(node, "a user id", faults).and_then(|of| user_id(&of, faults)),
            "claims" => claims = self::claims(key, node, faults),
            _ => stray(key, KEYS, faults),
        }
    }
    role.iter().for_each(|role| known.named.role(role, faults));
    groups.iter().for_each(|group| known.named.group(group, faults));
    (faults.errors() == before).then(|| Asker {
        name: name.map(Into::into),
        caller: Caller {
            user: id.unwrap_or_default().into(),
            email: email.map(Into::into),
            role: role.map_or_else(|| ROLE.into(), |role| role.value.into()),
            groups: groups.into_iter().map(|group| group.value.into()).collect(),
        },
        claims,
    })
}

/// In lower case, as LibreChat stores it.
fn address(written: &Spotted<String>, faults: &mut Faults<'_>) -> Option<String> {
    if written.value.contains('@') {
        return Some(written.value.to_lowercase());
    }
    let message = format!("{} is no e-mail address", quoted(&written.value));
    faults.push(written.spot, Fault::error(codes::USER_KEY, message).help("write one, or the user's \"id\""));
    None
}

/// In lower case, as LibreChat writes it.
fn user_id(written: &Spotted<String>, faults: &mut Faults<'_>) -> Option<String> {
    if written.value.len() == 24 && written.value.chars().all(|c| c.is_ascii_hexdigit()) {
        return Some(written.value.to_lowercase());
    }
    let message = format!("{} is no user id", quoted(&written.value));
    let help = "write LibreChat's user id (24 hexadecimal digits, in quotes), or the user's \"email\"";
    faults.push(written.spot, Fault::error(codes::USER_KEY, message).help(help));
    None
}

fn claims(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Plain> {
    let entries = mapping(node, "\"claims\"", faults)?;
    for (key, node) in entries {
        if !TOKENS.contains(&key.name.as_str()) {
            stray(key, TOKENS, faults);
        } else if !matches!(node.value, Value::Map(_)) {
            let fault = wrong_type(&quoted(&key.name), "a mapping", &node.value);
            faults.push(
                node.spot_or(key),
                fault.help("write the claims by their names: { \"cognito:groups\": [staff] }"),
            );
        }
    }
    if entries.is_empty() {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"claims\" has no token");
        faults.push(key.spot, fault.help("write { id: { \"cognito:groups\": [staff] } }"));
    }
    Some(Plain::of(node))
}
