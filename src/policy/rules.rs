//! The compiled entry of a role, a group or a user: its lists, each with the statement that it is.

use indexmap::IndexMap;

use super::limits::Limits;
use super::pattern::Models;
use super::snapshot::Mode;
use super::words::RuleId;
use super::written::{Endpoint, Entry, Names, Tools, WrittenLimits, is_shadow};

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
    /// What of this entry refuses, where a part of it is in shadow mode; none where all of it does.
    pub(super) in_force: Option<Box<Rules>>,
}

/// What an entry says about one endpoint, or about tools.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    /// `models:` of an endpoint, `allow:` of tools.
    pub(super) allow: Option<List>,
    /// `deny:`
    pub(super) deny: Option<List>,
    /// Whether they refuse nothing, and what they would refuse is written down.
    pub(super) shadow: bool,
}

/// A list and the statement that it is.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) rule: RuleId,
    pub(super) models: Models,
}

// === impl Rules ===

impl Rules {
    pub(super) fn new(name: &str, entry: &Entry) -> Self {
        let path = format!("{}.{name}", entry.section.as_str());
        let endpoints: IndexMap<Box<str>, _> =
            entry.endpoints().iter().map(|written| (written.key().into(), Lists::new(&path, entry, written))).collect();
        // A list of agents narrows what a caller may use, and gives nothing that could stand in for the role's models.
        let gives = |name: &str, lists: &Lists| lists.allow.is_some() && name != AGENTS;
        let only_denies = !endpoints.is_empty() && !endpoints.iter().any(|(name, lists)| gives(name, lists));
        let mut rules = Self {
            unrestricted: entry.is_unrestricted().then(|| RuleId::new(format!("{path}.unrestricted"))),
            tools: entry.tools.as_ref().map(|tools| Lists::of_tools(&path, entry, &tools.value)).unwrap_or_default(),
            limits: limits(name, entry),
            replaces_role: entry.endpoints.is_some() && !only_denies,
            endpoints,
            in_force: None,
        };
        let trial = entry.is_shadow() || rules.tools.shadow || rules.endpoints.values().any(|lists| lists.shadow);
        rules.in_force = trial.then(|| Box::new(rules.without_shadow(name, entry)));
        rules
    }

    /// What of this entry refuses. An entry in shadow mode refuses nothing to those for whom it holds; lists in shadow mode
    /// refuse nothing of what they are about.
    fn without_shadow(&self, name: &str, entry: &Entry) -> Self {
        let open = || RuleId::new(format!("{}.{name}.mode", entry.section.as_str()));
        let (tools, endpoints) = match entry.is_shadow() {
            true => (Lists::default(), IndexMap::new()),
            false => {
                let endpoints = self.endpoints.iter().map(|(name, lists)| (name.clone(), lists.without_shadow()));
                (self.tools.without_shadow(), endpoints.collect())
            }
        };
        Self {
            unrestricted: self.unrestricted.clone().or_else(|| entry.is_shadow().then(open)),
            endpoints,
            tools,
            limits: limits(name, entry),
            replaces_role: self.replaces_role,
            in_force: None,
        }
    }

    /// What of this entry refuses.
    pub(super) fn in_force(&self) -> &Self {
        self.in_force.as_deref().unwrap_or(self)
    }

    /// Whether a part of this entry is in shadow mode.
    pub(super) fn is_on_trial(&self) -> bool {
        self.in_force.is_some()
    }

    /// Whether anything is denied here.
    pub(super) fn denies(&self) -> bool {
        self.endpoints.values().any(|endpoint| endpoint.deny.is_some())
    }
}

// === impl Lists ===

impl Lists {
    fn new(path: &str, entry: &Entry, endpoint: &Endpoint) -> Self {
        let custom = if endpoint.custom { "custom." } else { "" };
        let path = format!("{path}.endpoints.{custom}{}", endpoint.name.value);
        let list = |names: &Option<Names>, key| names.as_ref().map(|names| List::new(&path, key, names));
        Self {
            allow: list(&endpoint.models, "models"),
            deny: list(&endpoint.deny, "deny"),
            shadow: entry.is_shadow() || is_shadow(endpoint.mode.as_ref()),
        }
    }

    fn of_tools(path: &str, entry: &Entry, tools: &Tools) -> Self {
        let path = format!("{path}.tools");
        let list = |names: &Option<Names>, key| names.as_ref().map(|names| List::new(&path, key, names));
        Self {
            allow: list(&tools.allow, "allow"),
            deny: list(&tools.deny, "deny"),
            shadow: entry.is_shadow() || is_shadow(tools.mode.as_ref()),
        }
    }

    /// Whether it is one of these.
    pub(super) fn has(&self, list: &List) -> bool {
        [&self.allow, &self.deny].into_iter().flatten().any(|own| std::ptr::eq(own, list))
    }

    /// What of these lists refuses: in shadow mode they allow all that they are about, and deny none of it.
    fn without_shadow(&self) -> Self {
        let everything = |list: &List| List { rule: list.rule.clone(), models: Models::new(std::iter::once("*")) };
        match self.shadow {
            true => Self { allow: self.allow.as_ref().map(everything), deny: None, shadow: true },
            false => self.clone(),
        }
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

/// The limits of an entry. Those of one in shadow mode are.
fn limits(name: &str, entry: &Entry) -> Limits {
    let none = entry.limits.as_ref().is_some_and(|limits| matches!(limits.value, WrittenLimits::None));
    let mut limits = Limits::new(Some((entry.section, name)), none, entry.limits());
    if entry.is_shadow() {
        limits.list.iter_mut().for_each(|limit| limit.terms.mode = Mode::Shadow);
    }
    limits
}
