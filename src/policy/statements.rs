//! Every statement of a policy that can decide, by its rule, and where it is written.
//!
//! What a [`super::Verdict`] names is one of these. Cases of a policy name them, too, and are counted by them.

use super::admission::RULES;
use super::faults::{Faults, Spot};
use super::limits::{Limit, Limits, Measure};
use super::merge::Merged;
use super::rules::{List, Rules};
use super::snapshot::{Fallback, Mode};
use super::words::RuleId;
use super::written::{Entry, Names, Section, WrittenLimit};
use crate::report::Place;

/// A statement that can decide.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name.
    pub rule: RuleId,
    /// Where it is written; none where it holds because nothing else is written, or was given from outside of the policy.
    pub place: Option<Place>,
    /// Whether it is a list in shadow mode, or one of an entry that is. Limits tell that in their terms.
    pub shadow: bool,
    /// What it can decide.
    pub(super) says: Says,
}

// === impl Statement ===

impl Statement {
    /// Whether it can refuse anything.
    pub fn can_refuse(&self) -> bool {
        self.says != Says::Gives
    }
}

/// What a statement can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It can only allow.
    Gives,
    /// It can only refuse.
    Takes,
    /// It allows what it names, and refuses all else of its endpoint.
    Both,
    /// It is a limit.
    Limits(Limiting),
}

/// What a limit is, for those who name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limiting {
    pub(super) id: Box<str>,
    pub(super) measure: Measure,
    /// The mode that is in force.
    pub(super) mode: Mode,
    pub(super) strict: bool,
}

/// The statements so far.
struct Listing<'a> {
    faults: &'a Faults<'a>,
    shadow: bool,
    list: Vec<Statement>,
}

/// Lists the statements: those that are written, by their places, after those that are written nowhere.
pub(super) fn statements(merged: &Merged, faults: &Faults<'_>) -> Vec<Statement> {
    let mut listing = Listing { faults, shadow: merged.mode == Mode::Shadow, list: Vec::new() };
    let mut has_bases = false;
    for ((section, name), entry) in &merged.entries {
        let rules = Rules::new(name, entry);
        has_bases |= *section == Section::Roles || (*section == Section::Groups && rules.replaces_role);
        listing.entry(entry, &rules);
    }
    listing.settings(merged, has_bases);
    let turning_away = [&merged.blocked_users, &merged.blocked_groups, &merged.email_domains];
    for (rule, names) in RULES.into_iter().zip(turning_away) {
        if let Some(names) = names {
            listing.push(RuleId::new(rule), Some(names.spot), Says::Takes);
        }
    }
    if let Some(names) = &merged.tools_deny {
        listing.list(Some(&List::new("agents.tools", "deny", names)), Some(names), Says::Takes, false);
    }
    let written = merged.limits.as_ref().map_or(&[][..], |limits| &limits.value);
    listing.limits(&Limits::new(None, false, written), written);
    listing.limits(&Limits::of_defaults(&merged.defaults), &merged.defaults);
    listing.list.sort_by(|one, other| one.place.cmp(&other.place));
    listing.list
}

// === impl Listing ===

impl Listing<'_> {
    /// Settings with the values that hold for them, and what decides where nothing is written. Where the policy has no list that could
    /// leave an endpoint out, `unlisted.endpoint` decides nothing, and is as good as not written.
    fn settings(&mut self, merged: &Merged, has_bases: bool) {
        let open = |fallback: Fallback| if fallback == Fallback::Allow { Says::Gives } else { Says::Takes };
        let remote_api = if merged.remote_api { Says::Gives } else { Says::Takes };
        for (rule, says) in [
            ("unlisted.endpoint", open(merged.unlisted_endpoint)),
            ("unlisted.role", open(merged.unlisted_role)),
            ("user_keys", open(merged.user_keys)),
            ("system_models.speech", open(merged.speech)),
            ("remote_api.enabled", remote_api),
            ("agents", Says::Gives),
            ("tools", Says::Gives),
            ("surface.agents", Says::Takes),
            ("surface.assistants", Says::Takes),
        ] {
            let written = merged.settings.iter().find(|(of, _)| *of == rule).map(|(_, spot)| *spot);
            let spot = written.filter(|_| has_bases || rule != "unlisted.endpoint");
            self.push(RuleId::new(rule), spot, says);
        }
    }

    fn entry(&mut self, entry: &Entry, rules: &Rules) {
        if let Some(rule) = &rules.unrestricted {
            self.push(rule.clone(), entry.unrestricted.as_ref().map(|written| written.spot), Says::Gives);
        }
        for (written, lists) in entry.endpoints().iter().zip(rules.endpoints.values()) {
            self.list(lists.allow.as_ref(), written.models.as_ref(), Says::Both, lists.shadow);
            self.list(lists.deny.as_ref(), written.deny.as_ref(), Says::Takes, lists.shadow);
        }
        if let Some(written) = &entry.tools {
            self.list(rules.tools.allow.as_ref(), written.value.allow.as_ref(), Says::Both, rules.tools.shadow);
            self.list(rules.tools.deny.as_ref(), written.value.deny.as_ref(), Says::Takes, rules.tools.shadow);
        }
        self.limits(&rules.limits, entry.limits());
    }

    fn list(&mut self, list: Option<&List>, written: Option<&Names>, says: Says, shadow: bool) {
        let (Some(list), Some(written)) = (list, written) else { return };
        let says = if written.value.is_empty() { Says::Takes } else { says };
        self.push(list.rule.clone(), Some(written.spot), says);
        if let Some(statement) = self.list.last_mut() {
            statement.shadow = shadow;
        }
    }

    fn limits(&mut self, limits: &Limits, written: &[WrittenLimit]) {
        for (limit, written) in limits.list.iter().zip(written) {
            self.push(limit.rule.clone(), Some(written.id.spot), Says::Limits(self.limiting(limit)));
        }
    }

    fn limiting(&self, limit: &Limit) -> Limiting {
        Limiting {
            id: limit.id.clone(),
            measure: limit.terms.measure,
            mode: if self.shadow { Mode::Shadow } else { limit.terms.mode },
            strict: limit.terms.strict,
        }
    }

    fn push(&mut self, rule: RuleId, spot: Option<Spot>, says: Says) {
        // What the environment gives is written in no line.
        let spot = spot.filter(|spot| spot.line > 0);
        let place = spot.and_then(|spot| self.faults.place(spot));
        self.list.push(Statement { rule, place, shadow: false, says });
    }
}
