//! What a policy has that a case may name: its rules, its limits, and whom and what it is about.

use std::collections::HashMap;

use crate::policy::amount;
use crate::policy::cases::Expected;
use crate::policy::cases::asks::UNJUDGED;
use crate::policy::cases::named::Named;
use crate::policy::codes;
use crate::policy::faults::Faults;
use crate::policy::limits::Measure;
use crate::policy::snapshot::{Mode, Snapshot};
use crate::policy::statements::{Limiting, Says, Statement};
use crate::policy::tree::{Key, Node};
use crate::policy::words::RuleId;
use crate::policy::written::Spotted;
use crate::policy::written::limits::written;
use crate::policy::written::read::mapping;
use crate::report::{Fault, nearest, quoted};

/// The rules and limits of a policy by their names.
pub(super) struct Known<'a> {
    /// Whether the whole policy refuses nothing.
    shadow: bool,
    /// Whether any of it does.
    shadows: bool,
    /// Whether any limit refuses what does not fit, or only records it.
    limits: [bool; 2],
    rules: HashMap<&'a str, (&'a RuleId, &'a Says)>,
    by_id: HashMap<&'a str, (&'a RuleId, &'a Limiting)>,
    /// Endpoints, roles and groups.
    pub(super) named: Named<'a>,
}

// === impl Known ===

impl<'a> Known<'a> {
    pub(super) fn new(policy: &'a Snapshot, statements: &'a [Statement]) -> Self {
        let limits = statements.iter().filter_map(|statement| match &statement.says {
            Says::Limits(limiting) => Some((&*limiting.id, (&statement.rule, limiting))),
            _ => None,
        });
        let by_id: HashMap<_, _> = limits.collect();
        let has = |mode| by_id.values().any(|(_, limiting)| limiting.mode == mode);
        Self {
            shadow: policy.mode() == Mode::Shadow,
            shadows: policy.has_shadows(),
            limits: [has(Mode::Enforce), has(Mode::Shadow)],
            rules: statements.iter().map(|of| (of.rule.as_str(), (&of.rule, &of.says))).collect(),
            by_id,
            named: Named::new(policy),
        }
    }

    /// A rule that the policy has, for a verdict that it can give.
    pub(super) fn rule(
        &self,
        name: &Spotted<String>,
        verdict: Option<Expected>,
        faults: &mut Faults<'_>,
    ) -> Option<RuleId> {
        let shown = quoted(&name.value);
        let unjudged = UNJUDGED.into_iter().find(|code| *code == name.value);
        let known = self.rules.get(name.value.as_str()).map(|(rule, says)| ((*rule).clone(), *says));
        let Some((rule, says)) = known.or_else(|| Some((RuleId::new(unjudged?), &Says::Takes))) else {
            let fault = Fault::error(codes::UNKNOWN_RULE, format!("the policy has no rule {shown}"));
            let help = match nearest(&name.value, self.rules.keys().copied()) {
                Some(rule) => format!("did you mean {}?", quoted(rule)),
                None => {
                    "rules are called as \"tollgate explain\" shows them: roles.USER.endpoints.openAI.models".into()
                }
            };
            faults.push(name.spot, fault.help(help));
            return None;
        };
        if let Some(verdict) = verdict.filter(|verdict| !says.can(*verdict)) {
            let message = format!("the rule {shown} never decides \"{}\"", verdict.as_str());
            let help = match says {
                Says::Gives => "it can only allow",
                Says::Takes => "it can only deny",
                Says::Both => "it allows or denies",
                Says::Limits(limiting) if limiting.mode == Mode::Shadow => {
                    "it is a limit that only records: expect shadow"
                }
                Says::Limits(_) => "it is a limit: expect limit",
            };
            faults.push(name.spot, Fault::error(codes::IMPOSSIBLE_CASE, message).help(help));
            return None;
        }
        Some(rule)
    }

    /// Why the policy never gives this verdict, and what to expect instead; nothing where it may.
    pub(super) fn never(&self, verdict: Expected) -> Option<(&'static str, &'static str)> {
        let [refusing, recording] = self.limits;
        match verdict {
            Expected::Allow | Expected::NotAllowed => None,
            Expected::Deny | Expected::Limit if self.shadow => {
                Some(("a policy in shadow mode refuses nothing", "expect shadow: what it would refuse"))
            }
            Expected::Deny => None,
            Expected::Limit if refusing => None,
            Expected::Limit => Some(("the policy has no limit that refuses", "expect allow, deny or shadow")),
            Expected::Shadow if self.shadows || recording => None,
            Expected::Shadow => Some(("nothing in the policy is in shadow mode", "expect allow, deny or limit")),
        }
    }

    /// Amounts of limits, by their ids or their whole rules, each in the limit's own unit.
    pub(super) fn amounts(&self, what: &str, node: &Node, faults: &mut Faults<'_>) -> Vec<(RuleId, u64)> {
        let entries = mapping(node, what, faults).unwrap_or_default();
        let mut amounts: Vec<(RuleId, u64)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let Some((rule, measure)) = self.limit(key, faults) else { continue };
            if amounts.iter().any(|(named, _)| *named == rule) {
                let message = format!("the limit {} is named twice", quoted(&key.name));
                faults.push(key.spot, Fault::error(codes::DUPLICATE_KEY, message).help("write it once, by its id"));
                continue;
            }
            let text = written(node).unwrap_or_default();
            let (read, help) = match measure {
                Measure::Cost => (amount::money(&text), "write US dollars: 12 USD, 0.50 USD"),
                _ => (amount::count(&text), "write a whole number: 60, 100k, 1.5M"),
            };
            match read {
                Some(amount) => amounts.push((rule, amount)),
                None => {
                    let message = format!("the amount of {} cannot be read", quoted(&key.name));
                    faults.push(node.spot_or(key), Fault::error(codes::LIMIT_AMOUNT, message).help(help));
                }
            }
        }
        amounts
    }

    fn limit(&self, key: &Key, faults: &mut Faults<'_>) -> Option<(RuleId, Measure)> {
        let name = key.name.as_str();
        let by_rule = || match self.rules.get(name) {
            Some((rule, Says::Limits(limiting))) => Some((*rule, limiting)),
            _ => None,
        };
        if let Some((rule, limiting)) = self.by_id.get(name).copied().or_else(by_rule) {
            return Some((rule.clone(), limiting.measure));
        }
        let fault = Fault::error(codes::UNKNOWN_LIMIT, format!("the policy has no limit {}", quoted(name)));
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        let help = match nearest(name, ids.iter().copied()) {
            Some(id) => format!("did you mean {}?", quoted(id)),
            None if ids.is_empty() => "the policy has no limits at all".to_owned(),
            None => format!("write the id of a limit; there are {}", ids.join(", ")),
        };
        faults.push(key.spot, fault.help(help));
        None
    }
}

// === impl Says ===

impl Says {
    /// Whether the statement can be the one that decides so.
    fn can(&self, verdict: Expected) -> bool {
        match (self, verdict) {
            (Self::Gives, verdict) => verdict == Expected::Allow,
            (Self::Takes, verdict) => matches!(verdict, Expected::Deny | Expected::Shadow | Expected::NotAllowed),
            (Self::Both, verdict) => verdict != Expected::Limit,
            (Self::Limits(limiting), verdict) => match verdict {
                Expected::Allow => false,
                // What a strict limit cannot bound is refused.
                Expected::Deny => limiting.strict && limiting.mode == Mode::Enforce,
                Expected::Limit => limiting.mode == Mode::Enforce,
                Expected::Shadow => limiting.mode == Mode::Shadow,
                Expected::NotAllowed => true,
            },
        }
    }
}
