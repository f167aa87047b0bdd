//! Names that a case uses: a case about an endpoint, a role or a group with a slip in its name holds, and guards nothing.

use std::collections::BTreeSet;

use crate::policy::check::BUILT_IN;
use crate::policy::codes;
use crate::policy::faults::{Faults, Spot};
use crate::policy::snapshot::Snapshot;
use crate::policy::written::{Section, Spotted};
use crate::report::{Fault, nearest, quoted};

/// LibreChat's own roles, which are there whether the policy names them or not (CONTRACT.md F).
const ROLES: [&str; 2] = ["USER", "ADMIN"];

/// The names that there are.
pub(super) struct Named<'a> {
    endpoints: BTreeSet<&'a str>,
    roles: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    /// Whether the policy says what holds for roles that it does not name: then cases may well be about one.
    says_of_other_roles: bool,
}

// === impl Named ===

impl<'a> Named<'a> {
    pub(super) fn new(policy: &'a Snapshot) -> Self {
        let written = policy.written();
        let of = |wanted: Section| {
            let entries = written.entries.values().filter(move |entry| entry.section == wanted);
            entries.map(|entry| entry.name.value.as_str())
        };
        let texts = |names: &'a Option<_>| texts(names.as_ref());
        let own = written.entries.values().flat_map(|entry| entry.limits());
        let limits = written.limits.iter().flat_map(|limits| &limits.value).chain(own);
        let listed = written.entries.values().flat_map(|entry| entry.endpoints()).map(|endpoint| endpoint.key());
        let mapped = written.role_mapping.iter().flat_map(|rules| &rules.value).map(|rule| rule.role.value.as_str());
        Self {
            endpoints: BUILT_IN.into_iter().chain(listed).chain(limits.flat_map(|of| texts(&of.endpoints))).collect(),
            roles: ROLES.into_iter().chain(of(Section::Roles)).chain(mapped).collect(),
            groups: of(Section::Groups).chain(texts(&written.blocked_groups)).collect(),
            says_of_other_roles: written.settings.iter().any(|(setting, _)| *setting == "unlisted.role"),
        }
    }

    /// An endpoint that a case asks for. One that nothing names may be meant: what holds for it is a question, too. One that is like another
    /// is a slip, by which the case would be about nothing.
    pub(super) fn endpoint(&self, name: &str, spot: Spot, faults: &mut Faults<'_>) {
        if !plain(name, "an endpoint", spot, faults) || self.endpoints.contains(name) {
            return;
        }
        let Some(like) = nearest(name, self.endpoints.iter().copied()) else { return };
        let message = format!("{} is no endpoint that is built in or that the policy names", quoted(name));
        let help = format!(
            "did you mean {}? If LibreChat has a custom endpoint of this very name, name it in the policy: custom: {{ {}: {{ models: [] }} }}",
            quoted(like),
            quoted(name)
        );
        faults.push(spot, Fault::error(codes::UNKNOWN_ENDPOINT, message).help(help));
    }

    /// A caller's role. Only a warning: LibreChat may have more roles and groups than the policy names.
    pub(super) fn role(&self, role: &Spotted<String>, faults: &mut Faults<'_>) {
        if self.roles.contains(role.value.as_str()) {
            return;
        }
        let like = nearest(&role.value, self.roles.iter().copied());
        if like.is_none() && self.says_of_other_roles {
            return;
        }
        let help = match like {
            Some(like) => format!("did you mean {}?", quoted(like)),
            None => "correct the name, or say with \"unlisted: { role: ... }\" what holds for roles without an entry"
                .to_owned(),
        };
        warn("role", role, help, faults);
    }

    /// A caller's group.
    pub(super) fn group(&self, group: &Spotted<String>, faults: &mut Faults<'_>) {
        if self.groups.contains(group.value.as_str()) {
            return;
        }
        let help = match nearest(&group.value, self.groups.iter().copied()) {
            Some(like) => format!("did you mean {}?", quoted(like)),
            None => "correct the name, or remove it: it changes nothing".to_owned(),
        };
        warn("group", group, help, faults);
    }
}

/// A name of something that is asked for: exact, as in a request.
pub(super) fn plain(name: &str, what: &str, spot: Spot, faults: &mut Faults<'_>) -> bool {
    if !name.contains('*') {
        return true;
    }
    let message = format!("\"*\" has no meaning in the name of {what} that a case asks for: {}", quoted(name));
    faults.push(spot, Fault::error(codes::WILDCARD_IN_NAME, message).help("write the name that a request would have"));
    false
}

fn warn(noun: &str, name: &Spotted<String>, help: String, faults: &mut Faults<'_>) {
    let message = format!("the policy names no {noun} {}", quoted(&name.value));
    faults.push(name.spot, Fault::warning(codes::NOT_NAMED, message).help(help));
}

fn texts(names: Option<&crate::policy::written::Names>) -> impl Iterator<Item = &str> {
    names.into_iter().flat_map(|names| &names.value).map(|name| name.value.as_str())
}
