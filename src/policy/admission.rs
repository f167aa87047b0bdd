//! Who is let in at all: `blocked:` and `email_domains:`, asked before anything else; and nobody whose override cannot be read.

use std::collections::HashSet;

use super::merge::Merged;
use super::snapshot::{Mode, Snapshot};
use super::words::{Caller, RuleId};
use super::written::Names;

/// What the sign before the rest of a domain is: all domains below it.
pub(super) const BELOW: &str = "*.";

/// The rules of these statements.
pub(super) const RULES: [&str; 3] = ["blocked.users", "blocked.groups", "email_domains"];

/// The statements, compiled.
#[derive(Debug)]
pub(super) struct Admission {
    users: HashSet<Box<str>>,
    groups: HashSet<Box<str>>,
    domains: Option<Domains>,
    rules: [RuleId; 3],
}

/// Domains of e-mail addresses, in lower case.
#[derive(Debug)]
struct Domains {
    exact: HashSet<Box<str>>,
    /// Those whose parts are meant, without the sign before them.
    below: HashSet<Box<str>>,
}

// === impl Admission ===

impl Admission {
    /// None where the policy lets everybody in.
    pub(super) fn new(merged: &Merged) -> Option<Self> {
        let lists = [&merged.blocked_users, &merged.blocked_groups, &merged.email_domains];
        if lists.iter().all(|list| list.is_none()) {
            return None;
        }
        let lower = |names: &Option<Names>| texts(names).map(|name| name.to_lowercase().into()).collect();
        Some(Self {
            users: lower(&merged.blocked_users),
            groups: texts(&merged.blocked_groups).map(Into::into).collect(),
            domains: merged.email_domains.is_some().then(|| Domains {
                exact: texts(&merged.email_domains).filter(|name| !name.starts_with(BELOW)).map(lower_case).collect(),
                below: texts(&merged.email_domains)
                    .filter_map(|name| name.strip_prefix(BELOW))
                    .map(lower_case)
                    .collect(),
            }),
            rules: RULES.map(RuleId::new),
        })
    }

    /// The statement that turns the caller away.
    pub(super) fn against(&self, caller: &Caller) -> Option<&RuleId> {
        let [by_user, by_group, by_domain] = &self.rules;
        let email = caller.email.as_deref().map(str::to_lowercase);
        let is_named = |name: &str| self.users.contains(name);
        if is_named(&caller.user.to_lowercase()) || email.as_deref().is_some_and(is_named) {
            return Some(by_user);
        }
        if caller.groups.iter().any(|group| self.groups.contains(group)) {
            return Some(by_group);
        }
        // Whoever has no address has none of a domain that is let in.
        let is_let_in = |domains: &Domains| email.as_deref().is_some_and(|email| domains.have(email));
        self.domains.as_ref().filter(|domains| !is_let_in(domains)).map(|_| by_domain)
    }

    /// Whether it matters which e-mail address somebody has.
    fn goes_by_addresses(&self) -> bool {
        self.domains.is_some() || self.users.iter().any(|name| name.contains('@'))
    }

    /// The statement that turns away the members of this group.
    pub(super) fn against_group(&self, name: &str) -> Option<&RuleId> {
        let [_, by_group, _] = &self.rules;
        self.groups.contains(name).then_some(by_group)
    }

    /// The statement that turns away whoever has this address, or this id where it is none.
    pub(super) fn against_key(&self, key: &str) -> Option<&RuleId> {
        let [by_user, _, by_domain] = &self.rules;
        if self.users.contains(key) {
            return Some(by_user);
        }
        // Of somebody whose id is written the address is not known.
        self.domains.as_ref().filter(|domains| key.contains('@') && !domains.have(key)).map(|_| by_domain)
    }
}

// === impl Domains ===

impl Domains {
    fn have(&self, email: &str) -> bool {
        let Some((_, domain)) = email.rsplit_once('@') else { return false };
        let mut parents = domain.match_indices('.').filter_map(|(at, _)| domain.get(at + 1..));
        self.exact.contains(domain) || parents.any(|parent| self.below.contains(parent))
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Whether anybody is turned away, so that it matters for every request who sends it.
    pub fn turns_anybody_away(&self) -> bool {
        self.admission.is_some() || self.overrides().refuse_anybody()
    }

    /// The statement that turns this caller away whatever they ask for, without regard to shadow mode.
    pub fn turned_away(&self, caller: &Caller) -> Option<&RuleId> {
        let admission = self.admission.as_ref().and_then(|admission| admission.against(caller));
        admission.or_else(|| self.overrides().refuse(caller))
    }

    /// The statement that keeps this caller out: in shadow mode there is none.
    pub fn keeps_out(&self, caller: &Caller) -> Option<&RuleId> {
        self.turned_away(caller).filter(|_| self.mode() == Mode::Enforce)
    }

    /// Whether somebody's e-mail address decides whether they are let in.
    pub(super) fn admits_by_address(&self) -> bool {
        self.admission.as_ref().is_some_and(Admission::goes_by_addresses)
    }

    /// Whether somebody's groups decide whether they are let in.
    pub(super) fn admits_by_group(&self) -> bool {
        self.admission.as_ref().is_some_and(|admission| !admission.groups.is_empty())
    }
}

fn texts(names: &Option<Names>) -> impl Iterator<Item = &str> {
    names.iter().flat_map(|names| &names.value).map(|name| name.value.as_str())
}

fn lower_case(name: &str) -> Box<str> {
    name.to_lowercase().into()
}
