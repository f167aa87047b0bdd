//! What a request, or what it has used, takes from the counters of all limits that apply.
//!
//! The same function is asked twice: with an estimate when a request comes, with what was used when it is over. Both times
//! it gives the same counters in the same order.

use serde::{Deserialize, Serialize};

use super::charge::Charge;
use super::limits::{Limit, Measure, Terms};
use super::snapshot::{Mode, Snapshot};
use super::words::{Ask, Part, RuleId, Target};

/// What a request takes, estimated or used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amounts<'a> {
    /// Requests that start a run: 1, or 0 for what goes on with one.
    pub requests: u64,
    /// Messages that the caller sends with it.
    pub messages: u64,
    /// What each model takes. A model that runs several times may stand here several times.
    pub runs: &'a [Run<'a>],
}

/// What one model takes.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// LibreChat's name of the endpoint.
    pub endpoint: &'a str,
    /// The model's name within the endpoint.
    pub model: &'a str,
    /// How many tokens.
    pub tokens: Tokens,
}

/// Tokens by what they cost. Each token is in one of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Given to the model, neither read from a cache nor written to one.
    pub input: u64,
    /// Given to the model, and read from the provider's cache.
    pub cached_input: u64,
    /// Given to the model, and written to the provider's cache.
    pub cache_write: u64,
    /// Written by the model, reasoning included.
    pub output: u64,
}

/// What an ask is about, as far as limits go: models of endpoints, or something that may run any model.
struct Reach<'a> {
    models: Vec<(&'a str, &'a str)>,
    anything: bool,
}

// === impl Snapshot, for charges ===

impl Snapshot {
    /// What is taken from the counters of the limits that refuse what does not fit: one charge for each limit that applies to
    /// the caller and to any model of the ask, also if its amount is 0, in an order that depends on neither files nor groups. None where
    /// nothing is asked for that runs a model.
    ///
    /// A limit of 0 never fits. A cost that cannot be told, because there is no price, is more than any limit.
    pub fn charges(&self, ask: &Ask<'_>, amounts: &Amounts<'_>) -> Vec<Charge> {
        self.due(ask, amounts, Mode::Enforce)
    }

    /// The same for limits in shadow mode, which are counted and never refuse; in a policy in shadow mode, all of them.
    pub fn shadow_charges(&self, ask: &Ask<'_>, amounts: &Amounts<'_>) -> Vec<Charge> {
        self.due(ask, amounts, Mode::Shadow)
    }

    /// What a limit asks of those who count, by the rule of its charges. The mode is that of the policy where this is in shadow
    /// mode.
    pub fn terms(&self, rule: &RuleId) -> Option<Terms> {
        self.limit_terms().get(rule).copied()
    }

    fn due(&self, ask: &Ask<'_>, amounts: &Amounts<'_>, mode: Mode) -> Vec<Charge> {
        if self.counts().limits == 0 {
            return Vec::new();
        }
        let reach = Reach::of(ask.targets);
        let standings = self.view(ask.caller).limits().into_iter();
        let limits = standings.filter(|standing| standing.counts).map(|standing| standing.limit);
        limits
            .filter(|limit| self.mode_of(limit) == mode && reach.meets(limit))
            .map(|limit| {
                // Even a request whose tokens are not known takes one, so that it does not fit where nothing may.
                let least = u64::from(limit.closes());
                limit.charge(&ask.caller.user, self.taken(limit, amounts).max(least))
            })
            .collect()
    }

    /// How much of a limit is taken, in its measure's unit.
    fn taken(&self, limit: &Limit, amounts: &Amounts<'_>) -> u64 {
        let sum = |tokens: &dyn Fn(&Run<'_>) -> u64| {
            let runs = amounts.runs.iter().filter(|run| limit.scope.covers(run.endpoint, run.model));
            runs.fold(0_u64, |sum, run| sum.saturating_add(tokens(run)))
        };
        match limit.terms.measure {
            Measure::Requests => amounts.requests,
            Measure::Messages => amounts.messages,
            Measure::Concurrent => 1,
            Measure::Tokens => sum(&|run| run.tokens.given().saturating_add(run.tokens.output)),
            Measure::InputTokens => sum(&|run| run.tokens.given()),
            Measure::OutputTokens => sum(&|run| run.tokens.output),
            Measure::Cost => sum(&|run| self.cost(run)),
        }
    }

    /// What a run costs, in picodollars. More than any limit where it cannot be told.
    fn cost(&self, run: &Run<'_>) -> u64 {
        let price = self.price_for(run.endpoint, run.model, run.tokens.given());
        price.map_or(u64::MAX, |price| price.of(&run.tokens))
    }
}

// === impl Tokens ===

impl Tokens {
    /// All that the model is given.
    pub fn given(&self) -> u64 {
        self.input.saturating_add(self.cached_input).saturating_add(self.cache_write)
    }
}

// === impl Reach ===

impl<'a> Reach<'a> {
    fn of(targets: &'a [Target]) -> Self {
        let mut reach = Self { models: Vec::new(), anything: false };
        let mut surface = false;
        for target in targets {
            match target {
                Target::Model { endpoint, model }
                | Target::Assistant { endpoint, model }
                | Target::Agent { part: Part::Model { endpoint, model }, .. } => reach.models.push((endpoint, model)),
                Target::Agent { part: Part::Unjudged(_), .. } => reach.anything = true,
                Target::Surface(_) => surface = true,
                Target::Agent { part: Part::Itself | Part::Tool(_), .. }
                | Target::Tool(_)
                | Target::Endpoint(_)
                | Target::Feature(_) => {}
            }
        }
        // A part of LibreChat beside models that are known runs these; by itself it may run any.
        reach.anything |= surface && reach.models.is_empty();
        reach
    }

    fn meets(&self, limit: &Limit) -> bool {
        self.anything || self.models.iter().any(|(endpoint, model)| limit.scope.covers(endpoint, model))
    }
}
