//! What becomes of a request that nobody has sent, or that was sent to another policy.

use serde::Serialize;

use crate::policy::admission::RULES;
use crate::policy::charge::Charge;
use crate::policy::charges::Amounts;
use crate::policy::snapshot::{Snapshot, decide};
use crate::policy::words::{Ask, Caller, Outcome, RuleId, Target, Verdict};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It goes on.
    Allow,
    /// It goes on, and would be refused were it not for shadow mode.
    Shadow,
    /// It is refused.
    Deny,
}

// === impl Snapshot, for requests by thought ===

impl Snapshot {
    /// What becomes of a request for all of these, and by which statements: what [`decide`] says.
    pub fn foresee(&self, caller: &Caller, targets: &[Target]) -> (Fate, Vec<RuleId>) {
        let Verdict { outcome, because } = decide(self, &Ask { caller, targets });
        let fate = match outcome {
            Outcome::Deny(_) => Fate::Deny,
            Outcome::Shadowed(_) => Fate::Shadow,
            Outcome::Allow => Fate::Allow,
        };
        (fate, because)
    }

    /// The same for a request that starts a run, which limits count: those of 0 refuse it whatever was used.
    pub fn foresee_run(&self, caller: &Caller, targets: &[Target]) -> (Fate, Vec<RuleId>) {
        let (fate, because) = self.foresee(caller, targets);
        if fate == Fate::Deny || !self.has_limits() {
            return (fate, because);
        }
        let (ask, nothing) = (Ask { caller, targets }, Amounts::default());
        if let Some(rule) = closed(self.charges(&ask, &nothing)) {
            return (Fate::Deny, vec![rule]);
        }
        match (fate, closed(self.shadow_charges(&ask, &nothing))) {
            (Fate::Allow, Some(rule)) => (Fate::Shadow, vec![rule]),
            _ => (fate, because),
        }
    }
}

// === impl Fate ===

impl Fate {
    /// As the record has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Shadow => "shadow",
            Self::Deny => "deny",
        }
    }
}

/// Whether a rule is one that turns people away, whatever they ask for.
pub fn turns_away(rule: &str) -> bool {
    RULES.contains(&rule)
}

/// The first limit that has never room.
pub(super) fn closed(charges: Vec<Charge>) -> Option<RuleId> {
    charges.into_iter().find(|charge| charge.ceiling == 0).map(|charge| charge.rule)
}
