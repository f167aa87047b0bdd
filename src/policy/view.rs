//! One caller's standing in a policy: the entries that hold for the caller, and what they say.
//!
//! 1. A denial of any entry that holds for the caller wins.
//! 2. Otherwise `unrestricted` on any of them allows.
//! 3. Otherwise a list of the user's own entry may allow: it adds to what follows.
//! 4. Otherwise, if a group of the caller stands in for the role, the union of those groups' lists decides; if none of
//!    them names the endpoint, `unlisted.endpoint` does.
//! 5. Otherwise the role's entry decides in the same way; a role without an entry follows `unlisted.role`.
//!
//! Agents by their ids and tools by their names are the other way round, see [`narrowed`].

mod limits;
mod narrowed;

use std::sync::Arc;

use super::overrides::Overlay;
use super::rules::{List, Lists, Rules};
use super::snapshot::{Fallback, Mode, Snapshot, Unlisted};
use super::words::{Caller, Part, RuleId, Sight, Surface, Target};

/// What one caller may see.
#[derive(Debug)]
pub struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    users: [Option<&'a Rules>; 2],
    groups: Groups<'a>,
    role: Option<&'a Rules>,
    /// What the documents of the caller come to. Its lists are those of one more entry of the user's.
    overlay: Option<Arc<Overlay>>,
    /// What of these entries refuses, where a part of any is in shadow mode.
    in_force: Option<Box<View<'a>>>,
}

/// The caller's groups that have an entry. The first few need no allocation.
#[derive(Debug)]
struct Groups<'a> {
    first: [Option<&'a Rules>; 8],
    more: Vec<&'a Rules>,
}

/// An answer, and the statement that gave it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    pub(super) allowed: bool,
    pub(super) rule: &'a RuleId,
}

// === impl View ===

impl<'a> View<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, caller: &Caller) -> Self {
        let by_email = caller.email.as_deref().and_then(|email| snapshot.user(email));
        let mut view = Self {
            snapshot,
            users: [snapshot.user(&caller.user), by_email],
            groups: caller.groups.iter().filter_map(|group| snapshot.group(group)).collect(),
            role: snapshot.role(&caller.role),
            overlay: snapshot.overlay(caller),
            in_force: None,
        };
        if snapshot.has_trials() && view.entries().any(Rules::is_on_trial) {
            view.in_force = Some(Box::new(Self {
                snapshot,
                users: view.users.map(|rules| rules.map(Rules::in_force)),
                groups: view.groups.iter().map(Rules::in_force).collect(),
                role: view.role.map(Rules::in_force),
                overlay: view.overlay.clone(),
                in_force: None,
            }));
        }
        view
    }

    /// What is not in shadow mode, for this caller.
    pub(super) fn in_force(&self) -> &Self {
        self.in_force.as_deref().unwrap_or(self)
    }

    /// Whether the caller is refused this, and by which statement: shadow mode refuses nothing.
    pub(super) fn refuses(&self, target: &Target) -> Option<Judged<'_>> {
        let refused = || Some(self.in_force().judge_target(target)).filter(|judged| !judged.allowed);
        if self.snapshot.mode() == Mode::Shadow { None } else { refused() }
    }

    /// Judges one model of one endpoint, without regard to shadow mode.
    pub(super) fn judge(&self, endpoint: &str, model: &str) -> Judged<'_> {
        let matching = |list: &&List| list.models.matches(model);
        if let Some(list) = self.entries().filter_map(|rules| denied(rules, endpoint)).find(matching) {
            return Judged::denied(&list.rule);
        }
        if let Some(rule) = self.unrestricted() {
            return Judged::allowed(rule);
        }
        if let Some(list) = self.users().filter_map(|rules| allowed(rules, endpoint)).find(matching) {
            return Judged::allowed(&list.rule);
        }
        let Some(mut bases) = self.bases() else { return Judged::unlisted(&self.snapshot.unlisted_role) };
        let mut first = None;
        match bases
            .by_ref()
            .filter_map(|rules| allowed(rules, endpoint))
            .inspect(|list| {
                first.get_or_insert(*list);
            })
            .find(matching)
        {
            Some(list) => Judged::allowed(&list.rule),
            None => first
                .map_or_else(|| Judged::unlisted(&self.snapshot.unlisted_endpoint), |list| Judged::denied(&list.rule)),
        }
    }

    /// Judges anything that a request would reach, without regard to shadow mode.
    pub(super) fn judge_target(&self, target: &Target) -> Judged<'_> {
        match target {
            Target::Model { endpoint, model } => self.judge(endpoint, model),
            Target::Agent { agent, part: Part::Itself } => self.judge_agent(agent),
            Target::Agent { part: Part::Model { endpoint, model }, .. } => self.judge_every_spelling(endpoint, model),
            Target::Agent { part: Part::Tool(tool), .. } | Target::Tool(tool) => self.judge_tool(tool),
            Target::Agent { part: Part::Unjudged(_), .. } => self.judge_unjudged(Surface::Agents),
            Target::Assistant { endpoint, model } => self.judge_assistant(endpoint, model),
            Target::Endpoint(endpoint) => self.judge_endpoint(endpoint),
            Target::Feature(feature) => self.judge_feature(*feature),
            Target::Surface(surface) => self.judge_surface(*surface),
        }
    }

    /// Judges whether any model of an endpoint may be allowed.
    pub(super) fn judge_any_model(&self, endpoint: &str) -> Judged<'_> {
        let whole = |list: &&List| list.models.is_everything();
        if let Some(list) = self.entries().filter_map(|rules| denied(rules, endpoint)).find(whole) {
            return Judged::denied(&list.rule);
        }
        if let Some(rule) = self.unrestricted() {
            return Judged::allowed(rule);
        }
        let some = |list: &&List| !list.models.written().is_empty();
        if let Some(list) = self.users().filter_map(|rules| allowed(rules, endpoint)).find(some) {
            return Judged::allowed(&list.rule);
        }
        let Some(bases) = self.bases() else { return Judged::unlisted(&self.snapshot.unlisted_role) };
        let mut lists = bases.filter_map(|rules| allowed(rules, endpoint)).peekable();
        match lists.peek().copied() {
            None => Judged::unlisted(&self.snapshot.unlisted_endpoint),
            Some(first) => lists.find(some).map_or(Judged::denied(&first.rule), |list| Judged::allowed(&list.rule)),
        }
    }

    /// Judges a part of LibreChat as a whole, without regard to shadow mode.
    pub(super) fn judge_surface(&self, surface: Surface) -> Judged<'_> {
        match (surface, self.openness()) {
            (Surface::Agents, Some(rule)) => Judged::allowed(rule),
            (Surface::Agents, None) => Judged::denied(self.snapshot.surface_rule(surface)),
            // What runs there is judged by itself, too.
            (Surface::RemoteApi, _) => Judged::unlisted(&self.snapshot.remote_api),
            (Surface::Assistants, _) => self.judge_unjudged(surface),
        }
    }

    /// Judges what cannot be looked into: neither its models nor its tools are known.
    fn judge_unjudged(&self, surface: Surface) -> Judged<'_> {
        match self.openness() {
            Some(rule) if !self.limits_tools() => Judged::allowed(rule),
            _ => Judged::denied(self.snapshot.surface_rule(surface)),
        }
    }

    /// Judges a model under the endpoint's name and under every spelling of it that the policy has. LibreChat finds a custom
    /// endpoint of an agent whatever the case of its letters (CONTRACT.md B.9).
    fn judge_every_spelling(&self, endpoint: &str, model: &str) -> Judged<'_> {
        let judged = self.judge(endpoint, model);
        if !judged.allowed {
            return judged;
        }
        let named = self.entries().flat_map(|rules| rules.endpoints.keys());
        let others = named.filter(|name| ***name != *endpoint && name.eq_ignore_ascii_case(endpoint));
        others.map(|name| self.judge(name, model)).find(|judged| !judged.allowed).unwrap_or(judged)
    }

    /// The statement by which the caller may use everything there is, if there is one.
    pub(super) fn openness(&self) -> Option<&RuleId> {
        if self.entries().any(Rules::denies) {
            return None;
        }
        if let Some(rule) = self.unrestricted() {
            return Some(rule);
        }
        let Some(bases) = self.bases() else { return self.snapshot.unlisted_role.allows() };
        let mut named = bases.flat_map(|rules| &rules.endpoints).filter(|(_, rules)| rules.allow.is_some());
        let rule = self.snapshot.unlisted_endpoint.allows()?;
        named.all(|(endpoint, _)| self.has_every_model(endpoint)).then_some(rule)
    }

    /// All entries that hold for the caller: the user's, then the groups', then the role's.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Rules> {
        self.users().chain(self.groups.iter()).chain(self.role)
    }

    /// Whether the lists of this entry count, or another entry stands in for it.
    pub(super) fn is_replaced(&self, rules: &Rules) -> bool {
        self.role.is_some_and(|role| std::ptr::eq(role, rules)) && self.groups.replace_role()
    }

    /// The statement `unrestricted: true` that holds for the caller, if there is one.
    pub(super) fn unrestricted(&self) -> Option<&RuleId> {
        self.entries().find_map(|rules| rules.unrestricted.as_ref())
    }

    /// What decides about an endpoint that no list names: `unlisted.role` or `unlisted.endpoint`.
    pub(super) fn unlisted(&self) -> Judged<'_> {
        match self.bases() {
            None => Judged::unlisted(&self.snapshot.unlisted_role),
            Some(_) => Judged::unlisted(&self.snapshot.unlisted_endpoint),
        }
    }

    /// The entries whose lists the caller's allowance is the union of; `None` for a role without an entry.
    fn bases(&self) -> Option<impl Iterator<Item = &Rules>> {
        let replaced = self.groups.replace_role();
        if !replaced && self.role.is_none() {
            return None;
        }
        let groups = self.groups.iter().filter(|group| group.replaces_role);
        Some(groups.chain(self.role.filter(|_| !replaced)))
    }

    fn users(&self) -> impl Iterator<Item = &Rules> {
        self.users.into_iter().flatten().chain(self.overlay.as_deref().map(|overlay| &overlay.rules))
    }

    fn has_every_model(&self, endpoint: &str) -> bool {
        let bases = self.bases().into_iter().flatten();
        self.users().chain(bases).filter_map(|rules| allowed(rules, endpoint)).any(|list| list.models.is_everything())
    }
}

impl Sight for View<'_> {
    fn model(&self, endpoint: &str, model: &str) -> bool {
        self.snapshot.mode() == Mode::Shadow || self.in_force().judge(endpoint, model).allowed
    }

    fn surface(&self, surface: Surface) -> bool {
        self.snapshot.mode() == Mode::Shadow || self.in_force().standing(surface).allowed
    }

    fn agents(&self) -> bool {
        self.snapshot.mode() == Mode::Shadow || self.in_force().judge_agents().allowed
    }

    fn target(&self, target: &Target) -> bool {
        self.refuses(target).is_none()
    }

    fn everything(&self) -> bool {
        self.snapshot.mode() == Mode::Shadow || self.in_force().openness().is_some()
    }

    fn every_agent(&self) -> bool {
        let view = self.in_force();
        self.snapshot.mode() == Mode::Shadow || (view.openness().is_some() && !view.limits_tools())
    }
}

// === impl Groups ===

impl<'a> Groups<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a Rules> {
        self.first.iter().flatten().chain(&self.more).copied()
    }

    fn replace_role(&self) -> bool {
        self.iter().any(|group| group.replaces_role)
    }
}

impl<'a> FromIterator<&'a Rules> for Groups<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Rules>>(groups: I) -> Self {
        let mut groups = groups.into_iter();
        let first = std::array::from_fn(|_| groups.next());
        Self { first, more: groups.collect() }
    }
}

// === impl Judged ===

impl<'a> Judged<'a> {
    fn allowed(rule: &'a RuleId) -> Self {
        Self { allowed: true, rule }
    }

    fn denied(rule: &'a RuleId) -> Self {
        Self { allowed: false, rule }
    }

    fn unlisted(unlisted: &'a Unlisted) -> Self {
        Self { allowed: unlisted.fallback == Fallback::Allow, rule: &unlisted.rule }
    }
}

// === impl Unlisted ===

impl Unlisted {
    fn allows(&self) -> Option<&RuleId> {
        (self.fallback == Fallback::Allow).then_some(&self.rule)
    }
}

fn allowed<'a>(rules: &'a Rules, endpoint: &str) -> Option<&'a List> {
    of_endpoint(rules, endpoint)?.allow.as_ref()
}

fn denied<'a>(rules: &'a Rules, endpoint: &str) -> Option<&'a List> {
    of_endpoint(rules, endpoint)?.deny.as_ref()
}

fn of_endpoint<'a>(rules: &'a Rules, endpoint: &str) -> Option<&'a Lists> {
    rules.endpoints.get(endpoint)
}
