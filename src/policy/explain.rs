//! Who may use what, and which statement says so.
//!
//! [`explain`] lists every statement that holds for a caller, so that a person can read what `decide` would answer; it
//! is drawn from the same [`View`] that decides.

pub mod difference;
pub mod fate;
mod limits;
mod overrides;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::charges::Amounts;
use super::overrides::{Applied, Conflict};
use super::rules::{AGENTS, List, Lists, Rules};
use super::snapshot::{Mode, Snapshot};
use super::view::View;
use super::words::{Ask, Caller, Feature, RuleId, Surface, Target};

use fate::Fate;
pub use limits::{LimitEffect, LimitStatement};

/// Everything the policy says about a caller. Serialises to the JSON of `tollgate explain --format json`.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The caller's e-mail address, or user id where there is no address; none for any user of the role and groups.
    pub user: Option<Box<str>>,
    /// The caller's role.
    pub role: Box<str>,
    /// The caller's groups.
    pub groups: Box<[Box<str>]>,
    /// The policy's revision.
    pub revision: Box<str>,
    /// Whether the policy only records (`mode: shadow`).
    pub shadow: bool,
    /// The statements, endpoint by endpoint, then what holds for everything else, then the parts of LibreChat.
    pub statements: Vec<Statement>,
    /// The limits that are written for the caller, the nearest first.
    pub limits: Vec<LimitStatement>,
    /// The overrides that apply to the caller, in the order in which they are merged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Applied>,
    /// Where one of them has the last word over another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What it is about.
    pub subject: Subject,
    /// What it does.
    pub effect: Effect,
    /// Names and patterns as they are written; empty where the statement is not a list.
    pub models: Vec<Box<str>>,
    /// Where it is written.
    pub rule: RuleId,
    /// Whether what it would refuse is only written down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The caller, whatever is asked for: nothing below counts.
    Caller,
    /// Models of one endpoint.
    Endpoint(Box<str>),
    /// Every endpoint and model, or all that the other statements do not name.
    Everything,
    /// Stored agents, by their ids. What they run is subject to all other statements.
    Agents,
    /// Tools, of agents and of chats.
    Tools,
    /// A part of LibreChat.
    Surface(&'static str),
    /// Something that chooses no model and that a policy may close.
    Feature(&'static str),
}

/// What a statement does for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Allows what it names.
    Allows,
    /// Denies what it names, or all that no other statement allows.
    Denies,
    /// Is an empty list: names the endpoint and allows none of its models.
    Hides,
    /// Does not count for this caller: a group stands in for the role, or `unrestricted` makes the list pointless.
    Unused,
}

/// The answer about one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelAnswer {
    /// The endpoint asked about.
    pub endpoint: Box<str>,
    /// The model asked about.
    pub model: Box<str>,
    /// `allowed`, `denied`, or `shadowed`: would be denied, if the policy were not in shadow mode.
    pub verdict: &'static str,
    /// The deciding statements.
    pub rules: Vec<RuleId>,
    /// The limits that apply to the model, those in shadow mode at the end.
    pub limits: Vec<RuleId>,
    /// What the model costs, in US dollars for a million tokens; none where the policy has no price.
    pub price: Option<BTreeMap<&'static str, String>>,
}

/// Lists what the policy says about a caller.
pub fn explain(snapshot: &Snapshot, caller: &Caller) -> Explanation {
    let view = snapshot.view(caller);
    let turned_away = snapshot.turned_away(caller).map(|rule| Statement::plain(Subject::Caller, false, rule));
    let mut statements: Vec<_> = turned_away.into_iter().chain(endpoint_statements(&view)).collect();
    statements.push(fallback(&view));
    let judged = view.judge_agents();
    statements.push(Statement::plain(Subject::Agents, judged.allowed, judged.rule));
    statements.extend(tool_statements(&view));
    statements.extend([Surface::Agents, Surface::RemoteApi, Surface::Assistants].map(|surface| {
        let judged = view.standing(surface);
        let goes_on = !judged.allowed && view.in_force().standing(surface).allowed;
        Statement::plain(Subject::Surface(surface.as_str()), judged.allowed, judged.rule).in_shadow(goes_on)
    }));
    statements.extend([Feature::UserKeys, Feature::Speech].map(|feature| {
        let judged = view.judge_feature(feature);
        let goes_on = !judged.allowed && view.in_force().judge_feature(feature).allowed;
        Statement::plain(Subject::Feature(feature.as_str()), judged.allowed, judged.rule).in_shadow(goes_on)
    }));
    Explanation {
        user: caller.email.clone().or_else(|| (!caller.user.is_empty()).then(|| caller.user.as_ref().into())),
        role: caller.role.as_ref().into(),
        groups: (*caller.groups).into(),
        revision: snapshot.revision().into(),
        shadow: snapshot.mode() == Mode::Shadow,
        statements,
        limits: limits::statements(&view),
        overrides: snapshot.overrides_of(caller),
        conflicts: snapshot.conflicts_of(caller),
    }
}

/// The target that a model of an endpoint is.
pub fn target(endpoint: &str, model: &str) -> Target {
    match endpoint {
        "assistants" | "azureAssistants" => Target::Assistant { endpoint: endpoint.into(), model: model.into() },
        _ => Target::Model { endpoint: endpoint.into(), model: model.into() },
    }
}

/// Answers about one model: what [`decide`](super::decide) says and what limits of 0 close, in a form to print.
pub fn explain_model(snapshot: &Snapshot, caller: &Caller, endpoint: &str, model: &str) -> ModelAnswer {
    let target = target(endpoint, model);
    let ask = Ask { caller, targets: std::slice::from_ref(&target) };
    let (fate, rules) = snapshot.foresee_run(caller, ask.targets);
    let nothing = Amounts::default();
    let charges = snapshot.charges(&ask, &nothing).into_iter().chain(snapshot.shadow_charges(&ask, &nothing));
    let word = match fate {
        Fate::Allow => "allowed",
        Fate::Deny => "denied",
        Fate::Shadow => "shadowed",
    };
    ModelAnswer {
        endpoint: endpoint.into(),
        model: model.into(),
        verdict: word,
        rules,
        limits: charges.map(|charge| charge.rule).collect(),
        price: snapshot.price(endpoint, model).map(|price| price.written().into()),
    }
}

/// The lists of all entries that hold for the caller, grouped by endpoint in the order of first mention.
fn endpoint_statements(view: &View<'_>) -> Vec<Statement> {
    let mut names: Vec<&str> = Vec::new();
    for name in view.entries().flat_map(|rules| rules.endpoints.keys()) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    let mut statements = Vec::new();
    for name in names {
        for rules in view.entries() {
            if let Some(endpoint) = rules.endpoints.get(name) {
                statements.extend(lists(view, rules, name, endpoint));
            }
        }
    }
    statements
}

/// The lists of tools that hold for the caller, and what holds for the tools they do not name.
fn tool_statements(view: &View<'_>) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let global = view.snapshot.tools_deny();
    let shadow = |list: &List| view.entries().any(|rules| rules.tools.shadow && rules.tools.has(list));
    let denied = view.entries().filter_map(|rules| rules.tools.deny.as_ref()).chain(global);
    statements.extend(denied.map(|list| Statement::of(Subject::Tools, Effect::Denies, list).in_shadow(shadow(list))));
    let (narrowing, unused): (Vec<_>, Vec<_>) = view
        .entries()
        .filter_map(|rules| rules.tools.allow.as_ref())
        .partition(|list| view.allowed_tools().any(|counts| std::ptr::eq(counts, *list)));
    let allows = |list: &&List| if list.models.written().is_empty() { Effect::Hides } else { Effect::Allows };
    statements
        .extend(narrowing.iter().map(|list| Statement::of(Subject::Tools, allows(list), list).in_shadow(shadow(list))));
    statements.extend(unused.iter().map(|list| Statement::of(Subject::Tools, Effect::Unused, list)));
    match (view.unrestricted(), narrowing.is_empty()) {
        (Some(rule), _) => statements.push(Statement::plain(Subject::Tools, true, rule)),
        (None, true) => statements.push(Statement::plain(Subject::Tools, true, view.snapshot.tools_rule())),
        (None, false) => {}
    }
    statements
}

fn lists(view: &View<'_>, rules: &Rules, name: &str, endpoint: &Lists) -> impl Iterator<Item = Statement> {
    let allow = endpoint.allow.as_ref().map(|list| {
        let unused = match name {
            AGENTS => !view.allowed_agents().any(|counts| std::ptr::eq(counts, list)),
            _ => view.unrestricted().is_some() || view.is_replaced(rules),
        };
        let effect = match () {
            () if unused => Effect::Unused,
            () if list.models.written().is_empty() => Effect::Hides,
            () => Effect::Allows,
        };
        Statement::list(name, effect, list).in_shadow(endpoint.shadow && !unused)
    });
    let shadow = endpoint.shadow;
    let deny = endpoint.deny.as_ref().map(|list| Statement::list(name, Effect::Denies, list).in_shadow(shadow));
    deny.into_iter().chain(allow)
}

/// What holds where no list speaks.
fn fallback(view: &View<'_>) -> Statement {
    match view.unrestricted() {
        Some(rule) => Statement::plain(Subject::Everything, true, rule),
        None => {
            let judged = view.unlisted();
            let goes_on = !judged.allowed && view.in_force().unrestricted().is_some();
            Statement::plain(Subject::Everything, judged.allowed, judged.rule).in_shadow(goes_on)
        }
    }
}

// === impl Statement ===

impl Statement {
    fn list(endpoint: &str, effect: Effect, list: &List) -> Self {
        Self::of(Subject::Endpoint(endpoint.into()), effect, list)
    }

    fn of(subject: Subject, effect: Effect, list: &List) -> Self {
        Self { subject, effect, models: list.models.written().to_vec(), rule: list.rule.clone(), shadow: false }
    }

    fn plain(subject: Subject, allowed: bool, rule: &RuleId) -> Self {
        let effect = if allowed { Effect::Allows } else { Effect::Denies };
        Self { subject, effect, models: Vec::new(), rule: rule.clone(), shadow: false }
    }

    /// The same, where what it would refuse goes on.
    fn in_shadow(self, shadow: bool) -> Self {
        Self { shadow, ..self }
    }
}

// === impl Explanation ===

impl Explanation {
    /// The explanation as a table for people, ending in a line break.
    pub fn to_table(&self) -> String {
        let user = self.user.as_deref().unwrap_or("any");
        let groups = if self.groups.is_empty() { "none".to_owned() } else { self.groups.join(", ") };
        let mode = if self.shadow { "shadow: nothing is refused, refusals are only recorded" } else { "enforce" };
        let mut text = format!(
            "user      {user}\nrole      {}\ngroups    {groups}\nmode      {mode}\nrevision  {}\n\n",
            self.role, self.revision
        );
        let mut rows = vec![["WHAT".to_owned(), "EFFECT".to_owned(), "MODELS".to_owned(), "RULE".to_owned()]];
        rows.extend(self.statements.iter().map(Statement::row));
        push_table(&mut text, &rows);
        limits::push(&mut text, &self.limits);
        overrides::push(&mut text, &self.overrides, &self.conflicts);
        text
    }
}

// === impl Statement, as a row ===

impl Statement {
    fn row(&self) -> [String; 4] {
        let subject = match &self.subject {
            Subject::Endpoint(name) => name.to_string(),
            Subject::Caller => "(this caller)".to_owned(),
            Subject::Everything => "everything else".to_owned(),
            Subject::Agents => "(agents)".to_owned(),
            Subject::Tools => "(tools)".to_owned(),
            Subject::Surface(name) | Subject::Feature(name) => format!("({name})"),
        };
        let effect = match self.effect {
            Effect::Allows => "allows",
            Effect::Denies => "denies",
            Effect::Hides => "hides",
            Effect::Unused => "unused",
        };
        let models = if self.models.is_empty() { "-".to_owned() } else { self.models.join(", ") };
        let effect = if self.shadow { format!("{effect} (shadow)") } else { effect.to_owned() };
        [subject, effect, models, self.rule.to_string()]
    }
}

fn push_table<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

// === impl ModelAnswer ===

impl ModelAnswer {
    /// Whether the request would be refused. Never in shadow mode.
    pub fn is_denied(&self) -> bool {
        self.verdict == "denied"
    }

    /// The answer for people, ending in a line break: a line with the verdict, one with the limits and one with the price, if
    /// there are any.
    pub fn to_lines(&self) -> String {
        let joined = |rules: &[RuleId]| rules.iter().map(RuleId::as_str).collect::<Vec<_>>().join(", ");
        let rules = joined(&self.rules);
        let verdict = match self.verdict {
            "shadowed" => format!("would be denied by {rules}, but shadow mode lets it pass"),
            verdict => format!("{verdict} by {rules}"),
        };
        let mut text = format!("{} of {}: {verdict}\n", self.model, self.endpoint);
        if !self.limits.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "limits: {}", joined(&self.limits));
        }
        if let Some(price) = &self.price {
            let prices: Vec<_> = price.iter().map(|(key, dollars)| format!("{key} {dollars}")).collect();
            let _ = writeln!(text, "price: {} (USD for a million tokens)", prices.join(", "));
        }
        text
    }
}
