//! Adding up what shadow mode would have refused, rule by rule, out of audit entries.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use crate::cli::record::moments;
use crate::record::Line;

/// Most people and most models that are told apart for a rule.
const MOST: usize = 10_000;

/// What is told of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Requests that it would have refused.
    pub(super) would_refuse: u64,
    /// Of so many that it was asked about: for a list those whose entries name it, for a limit all turns.
    pub(super) of: u64,
    /// Whose they were, with how many.
    pub(super) people: HashMap<Box<str>, u64>,
    /// What they asked for, with how many.
    pub(super) models: HashMap<Box<str>, u64>,
    /// How many on each day (UTC) that had any.
    pub(super) days: BTreeMap<Date, u64>,
    /// The last one, and the id of its request.
    pub(super) last: Option<(Timestamp, Box<str>)>,
    /// When the record first names it.
    pub(super) first_named: Option<Timestamp>,
}

/// All that is told.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rules: BTreeMap<Box<str>, Told>,
    /// Decisions of the policy.
    pub(super) decided: u64,
    /// Those that would have been refused.
    pub(super) would_refuse: u64,
    /// Requests that start a model.
    pub(super) turns: u64,
    /// Entries of earlier versions, of which only the limits can be told apart from what allowed.
    pub(super) unclear: u64,
    /// Erased entries.
    pub(super) erased: u64,
    /// The first entry that was read.
    pub(super) first: Option<Timestamp>,
    /// When each revision of the policy is first named.
    pub(super) revisions: HashMap<Box<str>, Timestamp>,
}

/// What is read of an entry.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    request_id: Box<str>,
    user_id: Option<Box<str>>,
    action: Box<str>,
    decision: Option<Box<str>>,
    rules: Vec<Box<str>>,
    would_refuse: Vec<Box<str>>,
    policy_revision: Option<Box<str>>,
    metadata: About,
    erased: Option<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    endpoint: Option<Box<str>>,
    model: Option<Box<str>>,
    agent: Option<Box<str>>,
}

// === impl Tally ===

impl Tally {
    /// Adds an audit entry.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn add(&mut self, line: &Line) -> Result<(), String> {
        let entry: Entry = serde_json::from_str(&line.text).map_err(|error| format!("entry {}: {error}", line.id))?;
        self.first = Some(self.first.map_or(line.at, |first| first.min(line.at)));
        if entry.erased.is_some() {
            add(&mut self.erased);
            return Ok(());
        }
        if let Some(revision) = &entry.policy_revision {
            let first = self.revisions.entry(revision.clone()).or_insert(line.at);
            *first = line.at.min(*first);
        }
        let Some(decision) = entry.decision.as_deref() else { return Ok(()) };
        add(&mut self.decided);
        if matches!(&*entry.action, "chat.turn" | "remote.run" | "assistants") {
            add(&mut self.turns);
        }
        let mut named: Vec<&str> = entry.rules.iter().map(|rule| &**rule).collect();
        named.sort_unstable();
        named.dedup();
        for rule in named {
            let told = self.rules.entry(rule.into()).or_default();
            add(&mut told.of);
            told.first_named = Some(told.first_named.map_or(line.at, |first| first.min(line.at)));
        }
        if decision == "shadow" {
            add(&mut self.would_refuse);
            self.add_shadowed(line, &entry);
        }
        Ok(())
    }

    fn add_shadowed(&mut self, line: &Line, entry: &Entry) {
        for rule in self.refusing(entry) {
            let told = self.rules.entry(rule).or_default();
            add(&mut told.would_refuse);
            let day = told.days.entry(moments::day(line.at)).or_default();
            add(day);
            if let Some(user) = &entry.user_id {
                add_to(&mut told.people, user);
            }
            add_to(&mut told.models, &entry.metadata.name(&entry.action));
            if told.last.as_ref().is_none_or(|(at, _)| *at <= line.at) {
                told.last = Some((line.at, entry.request_id.clone()));
            }
        }
    }

    /// The statements that would have refused it. Entries of earlier versions say so only where one statement decided.
    fn refusing(&mut self, entry: &Entry) -> Vec<Box<str>> {
        if !entry.would_refuse.is_empty() {
            return entry.would_refuse.clone();
        }
        match entry.rules.as_slice() {
            [only] => vec![only.clone()],
            rules => {
                add(&mut self.unclear);
                rules.iter().filter(|rule| is_limit(rule)).cloned().collect()
            }
        }
    }
}

// === impl About ===

impl About {
    fn name(&self, action: &str) -> Box<str> {
        match (&self.agent, &self.endpoint, &self.model) {
            (Some(agent), ..) => format!("agent {agent}").into(),
            (None, Some(endpoint), Some(model)) => format!("{endpoint}|{model}").into(),
            (None, Some(endpoint), None) => endpoint.clone(),
            (None, None, _) => action.into(),
        }
    }
}

// === helpers ===

/// Whether a rule is a limit.
pub(super) fn is_limit(rule: &str) -> bool {
    rule.contains(".limits.") || rule.starts_with("limits.") || rule.starts_with("defaults.user.")
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// What comes after the first many is counted, and not told apart.
fn add_to(counts: &mut HashMap<Box<str>, u64>, what: &str) {
    let what = if counts.len() < MOST || counts.contains_key(what) { what } else { "(others)" };
    add(counts.entry(what.into()).or_default());
}

#[cfg(test)]
mod tests;
