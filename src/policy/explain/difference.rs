//! What somebody gains and loses where one policy takes another's place.
//!
//! Lists have patterns, so that what may be used cannot be listed. What is compared is everything that either policy writes: each name and
//! each pattern as it is written, and for each endpoint whatever no list names. A pattern stands for itself there: `gpt-4*` is matched by
//! what matches all that it matches.

use std::collections::BTreeSet;
use std::slice;

use serde::Serialize;

use super::LimitStatement;
use super::fate::closed;
use crate::policy::charges::Amounts;
use crate::policy::limits::Limit;
use crate::policy::overrides::Overlay;
use crate::policy::pattern::Models;
use crate::policy::rules::{AGENTS, Lists};
use crate::policy::snapshot::Snapshot;
use crate::policy::view::View;
use crate::policy::words::{Ask, Caller, Feature, Part, RuleId, Surface, Target, Tool};

pub use super::fate::Fate;

/// Stands for every model, tool or agent that no list names.
const OTHERS: &str = "*";

/// All that two policies write about.
#[derive(Debug)]
pub struct Universe(Vec<Target>);

/// What somebody gains and loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Whether the caller is let in, where that changes. Nothing else is told then: it would be everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub let_in: Option<LetIn>,
    /// What may be used, and could not be before.
    pub gains: Vec<Change>,
    /// What could be used, and may not be any more.
    pub loses: Vec<Change>,
    /// Limits that count for the caller in one of the policies, or in both and say something else.
    pub limits: Vec<LimitChange>,
}

/// That somebody is let in who was turned away, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LetIn {
    /// The statement that turned the caller away; none where the caller was let in.
    pub before: Option<RuleId>,
    /// The one that does from then on; none where the caller is let in.
    pub after: Option<RuleId>,
}

/// Something that is decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `openAI|gpt-4o`, `tool web_search`, `agent agent_x`, or a part of LibreChat; `*` is whatever no list names.
    pub what: String,
    /// The statement that decided.
    pub before: RuleId,
    /// The one that decides from then on.
    pub after: RuleId,
}

/// A limit that is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitChange {
    /// Its id.
    pub id: Box<str>,
    /// What it said; none where it did not count for the caller.
    pub before: Option<LimitStatement>,
    /// What it says; none where it counts no more.
    pub after: Option<LimitStatement>,
}

// === impl Universe ===

impl Universe {
    /// All that these policies write about, in files and in overrides.
    pub fn of(policies: &[&Snapshot]) -> Self {
        let overlays: Vec<Overlay> = policies.iter().flat_map(|policy| policy.each_overlay()).collect();
        let (mut models, mut agents, mut tools) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        models.insert((OTHERS, OTHERS));
        agents.insert(OTHERS);
        tools.insert(OTHERS);
        let entries = policies.iter().flat_map(|policy| policy.entries());
        for rules in entries.chain(overlays.iter().map(|overlay| &overlay.rules)) {
            for (endpoint, lists) in &rules.endpoints {
                if **endpoint == *AGENTS {
                    agents.extend(names(lists));
                } else {
                    models.insert((endpoint, OTHERS));
                    models.extend(names(lists).map(|name| (&**endpoint, name)));
                }
            }
            tools.extend(names(&rules.tools));
        }
        let denied = policies.iter().filter_map(|policy| policy.tools_deny());
        tools.extend(denied.flat_map(|list| written(&list.models)));
        // A limit of 0 denies what it is about, on whichever endpoint. Of overrides one may close what another one names.
        let closing = policies.iter().flat_map(|policy| policy.all_limits()).filter(|limit| limit.closes());
        let closing: Vec<&Limit> = closing.chain(overlays.iter().flat_map(Overlay::limits_of_all)).collect();
        if !closing.is_empty() {
            let scoped = closing.iter().flat_map(|limit| limit.scope.endpoints()).map(|name| &**name);
            let endpoints: BTreeSet<&str> = models.iter().map(|(endpoint, _)| *endpoint).chain(scoped).collect();
            let closed = closing.iter().flat_map(|limit| limit.scope.models()).map(|name| &**name);
            let closed: BTreeSet<&str> = closed.chain([OTHERS]).collect();
            models
                .extend(endpoints.into_iter().flat_map(|endpoint| closed.iter().map(move |model| (endpoint, *model))));
        }
        let assistant = |endpoint: &str| matches!(endpoint, "assistants" | "azureAssistants");
        let models = models.into_iter().map(|(endpoint, model)| match assistant(endpoint) {
            true => Target::Assistant { endpoint: endpoint.into(), model: model.into() },
            false => Target::Model { endpoint: endpoint.into(), model: model.into() },
        });
        let agents = agents.into_iter().map(|agent| Target::Agent { agent: agent.into(), part: Part::Itself });
        let tools = tools.into_iter().map(|tool| Target::Tool(Tool::Named(tool.into())));
        let surfaces = [Surface::Agents, Surface::RemoteApi, Surface::Assistants].map(Target::Surface);
        let features = [Feature::UserKeys, Feature::Speech].map(Target::Feature);
        Self(models.chain(agents).chain(tools).chain(surfaces).chain(features).collect())
    }
}

// === impl Changes ===

impl Changes {
    /// What this caller gains and loses where `after` takes the place of `before`. A policy in shadow mode refuses nothing.
    pub fn between(before: &Snapshot, after: &Snapshot, universe: &Universe, caller: &Caller) -> Self {
        match (before.keeps_out(caller), after.keeps_out(caller)) {
            (None, None) => {}
            // Whoever is not let in has nothing that could change.
            (Some(_), Some(_)) => return Self::default(),
            (before, after) => {
                let let_in = LetIn { before: before.cloned(), after: after.cloned() };
                return Self { let_in: Some(let_in), ..Self::default() };
            }
        }
        let mut changes = Self { limits: limits(before, after, caller), ..Self::default() };
        let (was, is) = (before.view(caller), after.view(caller));
        let mut found: Vec<(bool, &Target, RuleId, RuleId)> = Vec::new();
        for target in &universe.0 {
            let (could, old) = may(&was, caller, target);
            let (can, new) = may(&is, caller, target);
            if could != can {
                found.push((can, target, old, new));
            }
        }
        for (gained, target, old, new) in &found {
            // What all of an endpoint gains by the same statements need not be said of each of its models.
            let same = |wider: &Option<Target>| {
                wider.as_ref().is_some_and(|wider| {
                    found.iter().any(|(to, of, was, is)| (to, *of, was, is) == (gained, wider, old, new))
                })
            };
            if wider(target).iter().any(same) {
                continue;
            }
            let change = Change { what: name(target), before: old.clone(), after: new.clone() };
            if *gained { changes.gains.push(change) } else { changes.loses.push(change) }
        }
        changes
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.let_in.is_none() && self.gains.is_empty() && self.loses.is_empty() && self.limits.is_empty()
    }
}

// === impl Snapshot, for who stands alike ===

impl Snapshot {
    /// What of a caller decides in this policy, as text: callers with the same one are decided about alike. It names nobody whom the
    /// policy does not name.
    pub fn standing(&self, caller: &Caller) -> String {
        let mut groups: Vec<&str> =
            caller.groups.iter().map(|group| &**group).filter(|group| self.group(group).is_some()).collect();
        groups.sort_unstable();
        groups.dedup();
        let role = self.role(&caller.role).map(|_| &*caller.role);
        let user = self.user(&caller.user).map(|_| &*caller.user);
        let email = caller.email.as_deref().filter(|email| self.user(email).is_some());
        let (turned_away, overrides) = (self.turned_away(caller), self.overrides().standing(caller));
        format!("{role:?} {groups:?} {user:?} {email:?} {turned_away:?} {overrides:?}")
    }

    /// Whether it matters which e-mail address somebody has.
    pub fn names_addresses(&self) -> bool {
        self.names_users(|name| name.contains('@')) || self.admits_by_address()
    }

    /// Whether it matters which groups somebody has.
    pub fn names_groups(&self) -> bool {
        self.counts().groups > 0 || self.admits_by_group() || self.overrides().names_groups()
    }
}

// === helpers ===

fn limits(before: &Snapshot, after: &Snapshot, caller: &Caller) -> Vec<LimitChange> {
    let of = |policy: &Snapshot| -> Vec<LimitStatement> {
        policy.limits_of(caller).into_iter().map(|held| held.statement).collect()
    };
    let (was, is) = (of(before), of(after));
    let find = |list: &[LimitStatement], id: &str| list.iter().find(|limit| &*limit.id == id).cloned();
    let ids: BTreeSet<&str> = was.iter().chain(&is).map(|limit| &*limit.id).collect();
    let changes = ids.into_iter().map(|id| LimitChange { id: id.into(), before: find(&was, id), after: find(&is, id) });
    changes.filter(|change| change.before != change.after).collect()
}

/// Whether the caller may use it, as the policy is in force, and the statement that says so.
fn may(view: &View<'_>, caller: &Caller, target: &Target) -> (bool, RuleId) {
    if let Some(refused) = view.refuses(target) {
        return (false, refused.rule.clone());
    }
    let policy = view.snapshot;
    let runs = matches!(
        target,
        Target::Model { .. } | Target::Assistant { .. } | Target::Agent { part: Part::Model { .. }, .. }
    );
    if !runs || !policy.has_limits() {
        return (true, view.judge_target(target).rule.clone());
    }
    match closed(policy.charges(&Ask { caller, targets: slice::from_ref(target) }, &Amounts::default())) {
        Some(rule) => (false, rule),
        None => (true, view.judge_target(target).rule.clone()),
    }
}

/// What a target is one of: all models of its endpoint, all models; all tools; all agents.
fn wider(target: &Target) -> [Option<Target>; 2] {
    let of = |endpoint: &str, other: &str| Target::Model { endpoint: endpoint.into(), model: other.into() };
    match target {
        Target::Model { endpoint, model } if **endpoint != *OTHERS => {
            [(**model != *OTHERS).then(|| of(endpoint, OTHERS)), Some(of(OTHERS, OTHERS))]
        }
        Target::Tool(Tool::Named(tool)) if **tool != *OTHERS => [Some(Target::Tool(Tool::Named(OTHERS.into()))), None],
        Target::Agent { agent, part } if **agent != *OTHERS => {
            [Some(Target::Agent { agent: OTHERS.into(), part: part.clone() }), None]
        }
        _ => [None, None],
    }
}

fn name(target: &Target) -> String {
    match target {
        Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => format!("{endpoint}|{model}"),
        Target::Agent { agent, .. } => format!("agent {agent}"),
        Target::Tool(tool) => format!("tool {tool}"),
        Target::Endpoint(endpoint) => endpoint.to_string(),
        Target::Feature(feature) => feature.as_str().to_owned(),
        Target::Surface(surface) => surface.as_str().to_owned(),
    }
}

fn names(lists: &Lists) -> impl Iterator<Item = &str> {
    lists.allow.iter().chain(&lists.deny).flat_map(|list| written(&list.models))
}

fn written(models: &Models) -> impl Iterator<Item = &str> {
    models.written().iter().map(|name| &**name)
}

#[cfg(test)]
mod tests;
