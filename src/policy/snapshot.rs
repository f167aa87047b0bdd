//! The compiled policy: immutable, indexed by role, group, user and endpoint, with a hash of what it was made from.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::admission::Admission;
use super::features::Features;
use super::limits::{Limit, Limits, Terms};
use super::mapping::Mapping;
use super::merge::Merged;
use super::message::Messages;
use super::overrides::{self, Document, Faulty, Overlay, Overrides, Principal};
use super::prices::{Price, Prices};
use super::rules::{List, Rules};
use super::view::View;
use super::words::{Ask, Caller, Outcome, Part, Reason, RuleId, Surface, Target, Verdict};
use super::written::{Names, Section};
use crate::report::Report;

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse what the policy refuses.
    Enforce,
    /// Refuse and hide nothing; say what would have been refused.
    Shadow,
}

/// What holds for something that the policy does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
}

/// How much a policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Files read.
    pub files: usize,
    /// Roles with an entry.
    pub roles: usize,
    /// Groups with an entry.
    pub groups: usize,
    /// Users with an entry.
    pub users: usize,
    /// Limits, in entries and at the top level.
    pub limits: usize,
    /// Prices, the default not counted.
    pub prices: usize,
}

/// A policy that can be asked: files, and the documents beside them. Made by [`super::compile`] only, so it has no fault.
#[derive(Debug)]
pub struct Snapshot {
    files: Arc<Files>,
    overrides: Overrides,
    revision: Arc<str>,
    whole: bool,
}

/// What the files say.
#[derive(Debug)]
pub struct Files {
    revision: Arc<str>,
    written: Merged,
    mode: Mode,
    counts: Counts,
    messages: Messages,
    pub(super) admission: Option<Admission>,
    pub(super) mapping: Mapping,
    pub(super) unlisted_endpoint: Unlisted,
    pub(super) unlisted_role: Unlisted,
    roles: HashMap<Box<str>, Rules>,
    groups: HashMap<Box<str>, Rules>,
    users: HashMap<Box<str>, Rules>,
    features: Features,
    limits: Limits,
    defaults: Limits,
    /// Whether any entry has a part in shadow mode.
    trials: bool,
    limit_terms: HashMap<RuleId, Terms>,
    prices: Prices,
    output_allowance: u64,
    strict_output: u64,
    surface_rules: [(Surface, RuleId); 2],
    no_rule: RuleId,
    agents_rule: RuleId,
    tools_rule: RuleId,
    limits_tools: bool,
    tools_deny: Option<List>,
    pub(super) remote_api: Unlisted,
    agent_parameters: Box<[Box<str>]>,
}

/// A setting of `unlisted:`, or another one that opens or closes.
#[derive(Debug)]
pub(super) struct Unlisted {
    pub(super) fallback: Fallback,
    pub(super) rule: RuleId,
}

/// Answers a question. Pure, and quick enough for every chat request: a few look-ups for each target.
///
/// The first target that is refused decides. What only something in shadow mode would refuse is not refused: where nothing is, the first of
/// those decides, and the answer is [`Outcome::Shadowed`].
pub fn decide(snapshot: &Snapshot, ask: &Ask<'_>) -> Verdict {
    if let Some(rule) = snapshot.turned_away(ask.caller) {
        let outcome = match snapshot.mode {
            Mode::Enforce => Outcome::Deny(Reason::Caller),
            Mode::Shadow => Outcome::Shadowed(Reason::Caller),
        };
        return Verdict { outcome, because: vec![rule.clone()] };
    }
    let view = snapshot.view(ask.caller);
    let mut because = Vec::with_capacity(ask.targets.len());
    let mut shadowed = None;
    for target in ask.targets {
        let judged = view.judge_target(target);
        if judged.allowed {
            because.push(judged.rule.clone());
            continue;
        }
        match view.refuses(target) {
            Some(refused) => {
                let outcome = Outcome::Deny(reason(&view, target));
                return Verdict { outcome, because: vec![deciding(target, refused.rule)] };
            }
            None => shadowed = shadowed.or(Some((target, judged.rule))),
        }
    }
    match shadowed {
        Some((target, rule)) => {
            Verdict { outcome: Outcome::Shadowed(reason(&view, target)), because: vec![deciding(target, rule)] }
        }
        None => Verdict { outcome: Outcome::Allow, because },
    }
}

/// The statement by which a target is refused.
fn deciding(target: &Target, rule: &RuleId) -> RuleId {
    match target {
        // No statement of the policy is at fault.
        Target::Agent { part: Part::Unjudged(unjudged), .. } => RuleId::new(unjudged.code),
        _ => rule.clone(),
    }
}

/// The reason for which a target is refused.
fn reason(view: &View<'_>, target: &Target) -> Reason {
    match target.clone() {
        Target::Assistant { .. } if !view.judges_assistants() => Reason::Surface(Surface::Assistants),
        Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => Reason::Model { endpoint, model },
        Target::Agent { agent, part } => Reason::Agent { agent, part },
        Target::Tool(tool) => Reason::Tool(tool),
        Target::Endpoint(endpoint) => Reason::Endpoint(endpoint),
        Target::Feature(feature) => Reason::Feature(feature),
        Target::Surface(surface) => Reason::Surface(surface),
    }
}

// === impl Mode ===

impl Mode {
    /// The mode as policies, metrics and records have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// A policy of files alone.
    pub(super) fn new(merged: Merged, messages: Messages, revision: Arc<str>, files: usize) -> Self {
        let files = Arc::new(Files::new(merged, messages, revision, files));
        Self { revision: Arc::clone(&files.revision), files, overrides: Overrides::default(), whole: true }
    }

    /// The same files with these documents, and those that are left out for their faults. What has not changed of documents is
    /// not read again.
    pub fn with_overrides(&self, documents: &[Document]) -> (Self, Vec<Faulty>) {
        self.with_all_overrides(documents, &[])
    }

    /// The same, where there are documents about others that nobody can read: these are refused.
    pub fn with_all_overrides(&self, documents: &[Document], unreadable: &[Principal]) -> (Self, Vec<Faulty>) {
        let before = Some(&self.overrides);
        let (overrides, faulty) = Overrides::new(documents, unreadable, &self.files.written, before);
        let revision = match overrides.digest() {
            Some(digest) => format!("{}+{digest}", self.files.revision).into(),
            None => Arc::clone(&self.files.revision),
        };
        (Self { files: Arc::clone(&self.files), overrides, revision, whole: true }, faulty)
    }

    /// The same files, of which nobody knows yet which documents change them: nobody may be judged by it.
    pub fn without_knowing_overrides(&self) -> Self {
        let (revision, files) = (Arc::clone(&self.files.revision), Arc::clone(&self.files));
        Self { files, overrides: Overrides::default(), revision, whole: false }
    }

    /// The revision of the files alone.
    pub fn files_revision(&self) -> &str {
        &self.files.revision
    }

    /// Whether all of the policy is known, so that somebody may be judged by it.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Checks one document against the files, by itself. `name` is what its faults call it.
    ///
    /// # Errors
    /// All its faults.
    pub fn check_override(&self, document: &Document, name: &Path) -> Result<(), Report> {
        overrides::check(document, &self.files.written, name)
    }

    /// How many documents are in force.
    pub fn override_count(&self) -> usize {
        self.overrides.len()
    }

    /// Which version of each document is in force.
    pub fn override_versions(&self) -> BTreeMap<Principal, u64> {
        self.overrides.versions()
    }

    /// The policy of the files, as it is written.
    pub(super) fn written(&self) -> &Merged {
        &self.files.written
    }

    pub(super) fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// What each document comes to by itself.
    pub(super) fn each_overlay(&self) -> Vec<Overlay> {
        self.overrides.each(&self.files.written)
    }

    /// What the documents of a caller come to.
    pub(super) fn overlay(&self, caller: &Caller) -> Option<Arc<Overlay>> {
        if self.overrides.is_empty() { None } else { self.overrides.overlay(caller, &self.files.written) }
    }

    /// The first 12 hexadecimal digits of the SHA-256 of the sources and of the defaults that stand in for theirs. Names of
    /// files and directories do not count, so replicas with the same policy in different places agree. Where documents are in force, `+`
    /// and as many digits of a hash of all of them follow.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The revision, to be kept for longer than the snapshot.
    pub fn shared_revision(&self) -> Arc<str> {
        Arc::clone(&self.revision)
    }

    /// What one caller may see, for many questions in a row.
    pub fn view(&self, caller: &Caller) -> View<'_> {
        View::new(self, caller)
    }

    /// Whether any limit, also one in shadow mode, counts tokens or money.
    pub fn counts_tokens(&self) -> bool {
        self.overrides.tokens || self.limit_terms.values().any(|terms| terms.measure.is_of_tokens())
    }

    /// Whether anything is said about tools, so that it matters which ones a request would use.
    pub fn limits_tools(&self) -> bool {
        self.limits_tools || self.overrides.tools
    }
}

impl Deref for Snapshot {
    type Target = Files;

    fn deref(&self) -> &Files {
        &self.files
    }
}

// === impl Files ===

impl Files {
    fn new(merged: Merged, messages: Messages, revision: Arc<str>, files: usize) -> Self {
        let section = |section: Section| -> HashMap<Box<str>, Rules> {
            let entries = merged.entries.iter().filter(|((of, _), _)| *of == section);
            entries.map(|((_, name), entry)| (name.as_str().into(), Rules::new(name, entry))).collect()
        };
        let (roles, groups, users) = (section(Section::Roles), section(Section::Groups), section(Section::Users));
        let limits = |rules: &Rules| rules.tools.allow.is_some() || rules.tools.deny.is_some();
        let trials = roles.values().chain(groups.values()).chain(users.values()).any(Rules::is_on_trial);
        let limits_tools =
            merged.tools_deny.is_some() || roles.values().chain(groups.values()).chain(users.values()).any(limits);
        let top = Limits::new(None, false, merged.limits.as_ref().map_or(&[], |limits| &limits.value));
        let defaults = Limits::of_defaults(&merged.defaults);
        let in_entries = roles.values().chain(groups.values()).chain(users.values()).map(|rules| &rules.limits);
        let in_force = |limit: &Limit| if merged.mode == Mode::Shadow { Mode::Shadow } else { limit.terms.mode };
        let limit_terms: HashMap<_, _> = in_entries
            .chain([&top, &defaults])
            .flat_map(|limits| &limits.list)
            .map(|limit| (limit.rule.clone(), Terms { mode: in_force(limit), ..limit.terms }))
            .collect();
        let prices = Prices::new(&merged);
        let surface_rule = |surface, name| (surface, RuleId::new(format!("surface.{name}")));
        Self {
            revision,
            mode: merged.mode,
            counts: Counts {
                files,
                roles: roles.len(),
                groups: groups.len(),
                users: users.len(),
                limits: limit_terms.len(),
                prices: prices.count(),
            },
            messages,
            admission: Admission::new(&merged),
            mapping: Mapping::new(
                merged.role_mapping.as_ref().map_or(&[], |rules| &rules.value),
                merged.group_mapping.as_ref().map_or(&[], |rules| &rules.value),
            ),
            unlisted_endpoint: Unlisted { fallback: merged.unlisted_endpoint, rule: RuleId::new("unlisted.endpoint") },
            unlisted_role: Unlisted { fallback: merged.unlisted_role, rule: RuleId::new("unlisted.role") },
            roles,
            groups,
            users,
            features: Features::new(&merged),
            limits: top,
            defaults,
            trials,
            limit_terms,
            prices,
            output_allowance: merged.output_allowance,
            strict_output: merged.strict_output,
            surface_rules: [surface_rule(Surface::Agents, "agents"), surface_rule(Surface::Assistants, "assistants")],
            no_rule: RuleId::new("surface"),
            agents_rule: RuleId::new("agents"),
            tools_rule: RuleId::new("tools"),
            limits_tools,
            tools_deny: merged.tools_deny.as_ref().map(|names| List::new("agents.tools", "deny", names)),
            remote_api: Unlisted {
                fallback: if merged.remote_api { Fallback::Allow } else { Fallback::Deny },
                rule: RuleId::new("remote_api.enabled"),
            },
            agent_parameters: names(merged.agent_parameters.as_ref()),
            written: merged,
        }
    }

    /// Whether refusals are carried out.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether anything that the policy refuses may only be written down: all of it, or what an entry or a list in shadow mode refuses.
    pub fn has_shadows(&self) -> bool {
        self.mode == Mode::Shadow || self.trials
    }

    /// Whether any entry has a part in shadow mode.
    pub(super) fn has_trials(&self) -> bool {
        self.trials
    }

    /// How much the policy has.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The sentence that tells a caller that a model is denied. It has no braces and no control characters, whatever
    /// the names are (CONTRACT.md E.6), and long names are cut.
    pub fn message_model_denied(&self, endpoint: &str, model: &str, role: &str) -> String {
        self.messages.denial.render(&[model, endpoint, role])
    }

    /// The operator's sentence that tells a caller that a limit is reached, if the policy has one: `amount` and `window` as
    /// people say them, `resets_at` as people read it. As free of braces and control characters as the other.
    pub fn message_limit_reached(&self, limit: &str, amount: &str, window: &str, resets_at: &str) -> Option<String> {
        self.messages.limit.as_ref().map(|message| message.render(&[limit, amount, window, resets_at]))
    }

    pub(super) fn role(&self, name: &str) -> Option<&Rules> {
        self.roles.get(name)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Rules> {
        self.groups.get(name)
    }

    pub(super) fn user(&self, name: &str) -> Option<&Rules> {
        self.users.get(name)
    }

    /// Whether any user's entry has a name like this.
    pub(super) fn names_users(&self, like: impl Fn(&str) -> bool) -> bool {
        self.users.keys().any(|name| like(name))
    }

    /// All entries, of roles, groups and users, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Rules> {
        self.roles.values().chain(self.groups.values()).chain(self.users.values())
    }

    /// All limits, whomever they are written for, in no order.
    pub(super) fn all_limits(&self) -> impl Iterator<Item = &Limit> {
        let entries = self.roles.values().chain(self.groups.values()).chain(self.users.values());
        let limits = entries.map(|rules| &rules.limits).chain([&self.limits, &self.defaults]);
        limits.flat_map(|limits| &limits.list)
    }

    /// What each limit of the policy asks of those who count, with the mode that is in force.
    pub(super) fn limit_terms(&self) -> &HashMap<RuleId, Terms> {
        &self.limit_terms
    }

    /// The price of a model, LibreChat's rate where the policy takes these, or that of all models that have none; none where the policy
    /// has nothing of these. A policy with a limit of money has one for every model that the limit covers. What is dearer in a
    /// call that gives the model very much has its plain price here, see [`Snapshot::price_for`].
    pub fn price(&self, endpoint: &str, model: &str) -> Option<Price> {
        self.price_for(endpoint, model, 0)
    }

    /// The same, for a call that gives the model so many tokens, cached ones included.
    pub fn price_for(&self, endpoint: &str, model: &str, given: u64) -> Option<Price> {
        self.prices.of(endpoint, model, given)
    }

    /// Tokens that are taken for each answer that is still to come (`turns.output_allowance`). What an answer did not take is given back.
    pub fn output_allowance(&self) -> u64 {
        self.output_allowance
    }

    /// Most tokens of one answer under a strict limit (`turns.strict_output`), where more are left: providers refuse a bound that
    /// is more than the model can write.
    pub fn strict_output(&self) -> u64 {
        self.strict_output
    }

    /// The limits at the top level, for everybody.
    pub(super) fn top_limits(&self) -> &Limits {
        &self.limits
    }

    /// The limits of each user who is given nothing else.
    pub(super) fn default_limits(&self) -> &Limits {
        &self.defaults
    }

    /// The limits that refuse what does not fit: none in shadow mode.
    pub fn enforced_limits(&self) -> impl Iterator<Item = &RuleId> {
        self.limit_terms.iter().filter(|(_, terms)| terms.mode == Mode::Enforce).map(|(rule, _)| rule)
    }

    /// Whether a limit refuses, or only records.
    pub(super) fn mode_of(&self, limit: &Limit) -> Mode {
        if self.mode == Mode::Shadow { Mode::Shadow } else { limit.terms.mode }
    }

    pub(super) fn features(&self) -> &Features {
        &self.features
    }

    /// Parameters of stored agents that the policy adds to those that are known to be harmless
    /// (`agents.parameters.allow`).
    pub fn agent_parameters(&self) -> &[Box<str>] {
        &self.agent_parameters
    }

    /// The rule that allows an agent where no list names agents: its parts decide.
    pub(super) fn agents_rule(&self) -> &RuleId {
        &self.agents_rule
    }

    /// The rule that allows a tool where no list names tools.
    pub(super) fn tools_rule(&self) -> &RuleId {
        &self.tools_rule
    }

    /// `agents.tools.deny`: tools that nobody may use.
    pub(super) fn tools_deny(&self) -> Option<&List> {
        self.tools_deny.as_ref()
    }

    pub(super) fn surface_rule(&self, surface: Surface) -> &RuleId {
        self.surface_rules.iter().find(|(of, _)| *of == surface).map_or(&self.no_rule, |(_, rule)| rule)
    }
}

fn names(list: Option<&Names>) -> Box<[Box<str>]> {
    list.into_iter().flat_map(|names| &names.value).map(|name| name.value.as_str().into()).collect()
}
