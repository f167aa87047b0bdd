//! `blocked:` and `email_domains:` as they are written.

use super::File;
use super::read::{mapping, names, stray};
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::tree::{Key, Node, Value};
use crate::report::Fault;

pub(super) fn blocked(section: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    for (key, node) in mapping(node, "\"blocked\"", faults).unwrap_or_default() {
        match key.name.as_str() {
            "users" => file.blocked_users = names(key, node, "a user", faults),
            "groups" => file.blocked_groups = names(key, node, "a group", faults),
            _ => stray(key, &["users", "groups"], faults),
        }
    }
    if matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        let fault = Fault::error(codes::SAYS_NOTHING, "\"blocked\" has neither \"users\" nor \"groups\"");
        faults.push(section.spot, fault.help("write \"users: [ann@example.edu]\", or remove the key"));
    }
}

pub(super) fn email_domains(key: &Key, node: &Node, file: &mut File, faults: &mut Faults<'_>) {
    file.email_domains = names(key, node, "a domain", faults);
}
