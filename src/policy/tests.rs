//! The language as operators meet it: semantics, faults, laws, and the policies that are shipped.

mod admission;
pub(super) mod any;
mod cases;
mod defaults;
mod faults;
mod features;
mod laws;
mod limits;
mod mapping;
mod narrowing;
mod prices;
pub(crate) mod random;
mod semantics;
mod shadow;
pub(super) mod shipped;
mod size;
mod together;

use super::*;

/// A user id that no test names in a policy.
pub(super) const ID: &str = "000000000000000000000000";

pub(super) fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

/// The policy of one file, which says `version: 1` by itself.
pub(super) fn policy(text: &str) -> Snapshot {
    let text = format!("version: 1\n{text}");
    compile(&[source("policy.yaml", &text)]).unwrap_or_else(|report| panic!("{report}")).0
}

pub(super) fn caller(role: &str, groups: &[&str], user: &str) -> Caller {
    let email = user.contains('@').then(|| user.into());
    Caller {
        user: if email.is_some() { ID.into() } else { user.into() },
        email,
        role: role.into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
    }
}

pub(super) fn model(endpoint: &str, model: &str) -> Target {
    Target::Model { endpoint: endpoint.into(), model: model.into() }
}

/// What the policy answers about one target, as `allow <rule>`, `deny <rule>` or `shadowed <rule>`.
pub(super) fn answer(snapshot: &Snapshot, caller: &Caller, target: Target) -> String {
    let verdict = decide(snapshot, &Ask { caller, targets: &[target] });
    let word = match verdict.outcome {
        Outcome::Allow => "allow",
        Outcome::Deny(_) => "deny",
        Outcome::Shadowed(_) => "shadowed",
    };
    assert_eq!(verdict.because.len(), 1, "one target has one deciding rule");
    format!("{word} {}", verdict.because[0])
}
