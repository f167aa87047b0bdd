//! `role_mapping:` and `group_mapping:`: lists of rules, each a mapping with few keys.

use super::Spotted;
use super::read::{mapping, stray, text, word, wrong_type};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::mapping::{Claim, TokenKind, WrittenGroup, WrittenRole};
use crate::policy::tree::{Key, Node, Value};
use crate::report::Fault;

/// The keys of a rule, as far as they are there.
#[derive(Default)]
struct Keys {
    claim: Option<Spotted<String>>,
    token: Option<Spotted<TokenKind>>,
    has: Option<Spotted<String>>,
    role: Option<Spotted<String>>,
    strip: Option<Spotted<String>>,
}

pub(super) fn roles(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<WrittenRole>>> {
    rules(key, node, &["claim", "token", "has", "role"], faults, |keys| {
        Some(WrittenRole { claim: keys.claim()?, has: keys.has?, role: keys.role? })
    })
}

pub(super) fn groups(key: &Key, node: &Node, faults: &mut Faults<'_>) -> Option<Spotted<Vec<WrittenGroup>>> {
    rules(key, node, &["claim", "token", "strip"], faults, |keys| {
        Some(WrittenGroup { claim: keys.claim()?, strip: keys.strip })
    })
}

fn rules<T>(
    key: &Key,
    node: &Node,
    known: &[&str],
    faults: &mut Faults<'_>,
    made_of: impl Fn(Keys) -> Option<T>,
) -> Option<Spotted<Vec<T>>> {
    let Value::List(items) = &node.value else {
        let what = format!("{:?}", key.name);
        let fault = wrong_type(&what, "a list", &node.value);
        faults.push(node.spot_or(key), fault.help(example(known)));
        return None;
    };
    let mut value = Vec::with_capacity(items.len());
    for item in items {
        let before = faults.count();
        let keys = rule(item, known, faults);
        // A rule that lacks something for another fault than that it was not written has had its fault.
        if faults.count() == before {
            missing(&keys, item, known, faults);
        }
        value.extend(made_of(keys));
    }
    Some(Spotted { value, spot: key.spot })
}

fn rule(node: &Node, known: &[&str], faults: &mut Faults<'_>) -> Keys {
    let mut keys = Keys::default();
    for (key, node) in mapping(node, "a rule of a mapping", faults).unwrap_or_default() {
        match key.name.as_str() {
            name if !known.contains(&name) => stray(key, known, faults),
            "claim" => keys.claim = text(node, "a claim", faults),
            "token" => keys.token = word(key, node, &TokenKind::WORDS, faults),
            "has" => keys.has = text(node, "the value of a claim", faults),
            "role" => keys.role = text(node, "a role", faults),
            _ => keys.strip = text(node, "the start of a name", faults),
        }
    }
    keys
}

fn missing(keys: &Keys, node: &Node, known: &[&str], faults: &mut Faults<'_>) {
    let there = |name: &str| match name {
        "claim" => keys.claim.is_some(),
        "token" => keys.token.is_some(),
        "has" => keys.has.is_some(),
        "role" => keys.role.is_some(),
        _ => true,
    };
    for name in known.iter().filter(|name| !there(name)) {
        let fault = Fault::error(codes::MISSING_KEY, format!("the rule does not say {name:?}"));
        faults.push(node.spot, fault.help(example(known)));
    }
}

fn example(known: &[&str]) -> &'static str {
    if known.contains(&"role") {
        "write rules like { claim: \"cognito:groups\", token: id, has: admin, role: ADMIN }"
    } else {
        "write rules like { claim: \"cognito:groups\", token: id }"
    }
}

// === impl Keys ===

impl Keys {
    fn claim(&self) -> Option<Spotted<Claim>> {
        let (claim, token) = (self.claim.as_ref()?, self.token.as_ref()?);
        let value = Claim { token: token.value, path: claim.value.as_str().into() };
        Some(Spotted { value, spot: claim.spot })
    }
}
