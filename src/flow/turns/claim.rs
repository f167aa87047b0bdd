//! What was taken for a turn, with all that it takes to settle it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::librechat::placed::Place;
use crate::meter::Receipt;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::{Caller, Snapshot, Target};

/// What was taken for a turn. The same snapshot and the same ask give the same charges in the same order when it is settled.
pub(in crate::flow) struct Claim {
    /// What the limits gave that refuse what does not fit: `policy.charges(..)`, and after them the balance's charge.
    pub(in crate::flow) receipt: Option<Receipt>,
    /// What the limits in shadow mode gave: `policy.shadow_charges(..)`.
    pub(in crate::flow) shadow: Option<Receipt>,
    /// Whether the last draw of `receipt` is that of LibreChat's balance, in LibreChat's credits.
    pub(in crate::flow) balance: bool,
    /// The policy that decided.
    pub(in crate::flow) policy: Arc<Snapshot>,
    /// Who asked.
    pub(in crate::flow) caller: Arc<Caller>,
    /// What was judged.
    pub(in crate::flow) targets: Vec<Target>,
    /// What was taken, before limits.
    pub(in crate::flow) estimate: Estimate,
    /// The conversation that the body names; none in a new one.
    pub(in crate::flow) conversation: Option<Arc<str>>,
    /// The turn's place in its conversation; none where the body does not tell it.
    pub(in crate::flow) place: Option<Place>,
}

/// What a turn is thought to take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::flow) struct Estimate {
    /// As [`Amounts::requests`].
    pub(in crate::flow) requests: u64,
    /// As [`Amounts::messages`].
    pub(in crate::flow) messages: u64,
    /// As [`Amounts::runs`].
    pub(in crate::flow) runs: Vec<Spent>,
}

/// What one model takes, or has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::flow) struct Spent {
    /// LibreChat's name of the endpoint.
    pub(in crate::flow) endpoint: Arc<str>,
    /// The model's name within the endpoint.
    pub(in crate::flow) model: Arc<str>,
    /// How many tokens.
    pub(in crate::flow) tokens: Tokens,
}

// === impl Estimate ===

impl Estimate {
    /// Asks about these amounts: `policy.charges(&ask, &amounts)`.
    pub(in crate::flow) fn with<T>(&self, ask: impl FnOnce(&Amounts<'_>) -> T) -> T {
        let runs: Vec<Run<'_>> = self.runs.iter().map(Spent::run).collect();
        ask(&Amounts { requests: self.requests, messages: self.messages, runs: &runs })
    }
}

// === impl Spent ===

impl Spent {
    /// The same as a run.
    pub(in crate::flow) fn run(&self) -> Run<'_> {
        Run { endpoint: &self.endpoint, model: &self.model, tokens: self.tokens }
    }

    /// Whether both are of the same model.
    pub(in crate::flow) fn is_of(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.model == other.model
    }
}
