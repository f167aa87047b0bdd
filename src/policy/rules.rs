//! The compiled entry of a role, a group or a user: its lists, each with the statement that it is.

use indexmap::IndexMap;

use super::limits::Limits;
use super::pattern::Models;
use super::words::RuleId;
use super::written::{Endpoint, Entry, Names, Tools, WrittenLimits};

/// The endpoint of stored agents. What is listed for it are agents by their ids, not models.
pub(super) const AGENTS: &str = "agents";

/// The compiled entry of a role, a group or a user.
#[derive(Debug)]
pub(super) struct Rules {
    /// The statement `unrestricted: true`, if it is there.
    pub(super) unrestricted: Option<RuleId>,
    /// By the name that LibreChat has for the endpoint, in the written order.
    pub(super) endpoints: IndexMap<Box<str>, Lists>,
    /// `tools:`
    pub(super) tools: Lists,
    /// `limits:`
    pub(super) limits: Limits,
    /// For a group: whether it stands in for the role's allowances. A group that only denies does not.
    pub(super) replaces_role: bool,
}

/// What an entry says about one endpoint, or about tools.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// `models:` of an endpoint, `allow:` of tools.
    pub(super) allow: Option<List>,
    /// `deny:`
    pub(super) deny: Option<List>,
}

/// A list and the statement that it is.
#[derive(Debug)]
pub(super) struct List {
    pub(super) rule: RuleId,
    pub(super) models: Models,
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(name: &str, entry: &Entry) -> Self {
        let path = format!("{}.{name}", entry.section.as_str());
        let endpoints: IndexMap<Box<str>, _> =
            entry.endpoints().iter().map(|endpoint| (endpoint.key().into(), Lists::new(&path, endpoint))).collect();
        // A list of agents narrows what a caller may use, and gives nothing that could stand in for the role's models.
        let gives = |name: &str, lists: &Lists| lists.allow.is_some() && name != AGENTS;
        let only_denies = !endpoints.is_empty() && !endpoints.iter().any(|(name, lists)| gives(name, lists));
        Self {
            unrestricted: entry.is_unrestricted().then(|| RuleId::new(format!("{path}.unrestricted"))),
            tools: entry.tools.as_ref().map(|tools| Lists::of_tools(&path, &tools.value)).unwrap_or_default(),
            limits: Limits::new(
                Some((entry.section, name)),
                entry.limits.as_ref().is_some_and(|limits| matches!(limits.value, WrittenLimits::None)),
                entry.limits(),
            ),
            replaces_role: entry.endpoints.is_some() && !only_denies,
            endpoints,
        }
    }

    /// Whether anything is denied here.
    pub(super) fn denies(&self) -> bool {
        self.endpoints.values().any(|endpoint| endpoint.deny.is_some())
    }
}

// === impl Lists ===

impl Lists {
    fn new(entry: &str, endpoint: &Endpoint) -> Self {
        let custom = if endpoint.custom { "custom." } else { "" };
        let path = format!("{entry}.endpoints.{custom}{}", endpoint.name.value);
        let list = |names: &Option<Names>, key| names.as_ref().map(|names| List::new(&path, key, names));
        Self { allow: list(&endpoint.models, "models"), deny: list(&endpoint.deny, "deny") }
    }

    fn of_tools(entry: &str, tools: &Tools) -> Self {
        let path = format!("{entry}.tools");
        let list = |names: &Option<Names>, key| names.as_ref().map(|names| List::new(&path, key, names));
        Self { allow: list(&tools.allow, "allow"), deny: list(&tools.deny, "deny") }
    }
}

// === impl List ===

impl List {
    pub(super) fn new(path: &str, key: &str, names: &Names) -> Self {
        Self {
            rule: RuleId::new(format!("{path}.{key}")),
            models: Models::new(names.value.iter().map(|name| name.value.as_str())),
        }
    }
}
