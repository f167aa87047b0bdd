//! What a request, or what it has used, takes from the counters of all limits that apply.
//!
//! The same is asked twice: with an estimate when a request comes, with what was used when it is over. Both times it is the same
//! counters in the same order. Only the second time nothing can be refused any more: then every call has a price and a place.

use serde::{Deserialize, Serialize};

use super::charge::Charge;
use super::limits::{Limit, Measure, Terms};
use super::rates;
use super::snapshot::{Mode, Snapshot};
use super::words::{Ask, Part, RuleId, Target};

/// Most limits of one kind, those that refuse or those in shadow mode, that can be taken from together: what counters take in one
/// step ([`crate::meter::plan`]), with room for the place of a conversation and for LibreChat's balance.
pub const MOST_TOGETHER: usize = 254;

/// What is taken of a limit of money for a model that has no price: more than any limit has.
pub const UNPRICED: u64 = u64::MAX;

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

/// What a turn has used, for the counters that something was taken from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used<'a> {
    /// What it used, each call of a model by itself: what a token costs may depend on the length of the prompt.
    pub amounts: Amounts<'a>,
    /// The models that something was taken for. The first is the one that answers first.
    pub taken_for: &'a [Run<'a>],
    /// Whether the runs are sums over all models of the turn, of which nobody says which used how much. They count for every limit
    /// that applies.
    pub shared: bool,
}

/// Whether something is taken, or what was used takes its place.
#[derive(Clone, Copy)]
enum Step<'a> {
    Take,
    Settle(&'a Used<'a>),
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
        self.due(ask, amounts, Mode::Enforce, Step::Take)
    }

    /// The same for limits in shadow mode, which are counted and never refuse; in a policy in shadow mode, all of them.
    pub fn shadow_charges(&self, ask: &Ask<'_>, amounts: &Amounts<'_>) -> Vec<Charge> {
        self.due(ask, amounts, Mode::Shadow, Step::Take)
    }

    /// What takes the place of [`Snapshot::charges`] when a turn is over.
    ///
    /// A model that was not judged, as that of a summary, which the administrator chose, or the name of a deployment, counts for the
    /// limits of the turn's first model, too. A cost that cannot be told is that of [`Snapshot::cost_used`], and where that
    /// has none, by LibreChat's rate: neither nothing nor more than any limit.
    pub fn settled_charges(&self, ask: &Ask<'_>, used: &Used<'_>) -> Vec<Charge> {
        self.due(ask, &used.amounts, Mode::Enforce, Step::Settle(used))
    }

    /// The same for limits in shadow mode.
    pub fn settled_shadow_charges(&self, ask: &Ask<'_>, used: &Used<'_>) -> Vec<Charge> {
        self.due(ask, &used.amounts, Mode::Shadow, Step::Settle(used))
    }

    /// What a call has cost, in picodollars: by the price of its model, else by the dearest one of the models that something was taken
    /// for. None where the policy has a price for none of them.
    pub fn cost_used(&self, call: &Run<'_>, taken_for: &[Run<'_>]) -> Option<u64> {
        let by = |run: &Run<'_>| {
            self.price_for(run.endpoint, run.model, call.tokens.given()).map(|price| price.of(&call.tokens))
        };
        by(call).or_else(|| taken_for.iter().filter_map(by).max())
    }

    /// What a limit asks of those who count, by the rule of its charges. The mode is that of the policy where this is in shadow
    /// mode.
    pub fn terms(&self, rule: &RuleId) -> Option<Terms> {
        self.limit_terms().get(rule).copied().or_else(|| self.overrides().terms(rule))
    }

    fn due(&self, ask: &Ask<'_>, amounts: &Amounts<'_>, mode: Mode, step: Step<'_>) -> Vec<Charge> {
        if !self.has_limits() {
            return Vec::new();
        }
        let reach = Reach::of(ask.targets);
        let view = self.view(ask.caller);
        let standings = view.limits().into_iter();
        let limits = standings.filter(|standing| standing.counts).map(|standing| standing.limit);
        limits
            .filter(|limit| self.mode_of(limit) == mode && reach.meets(limit))
            .map(|limit| {
                // Even a request whose tokens are not known takes one, so that it does not fit where nothing may.
                let least = u64::from(limit.closes());
                limit.charge(&ask.caller.user, self.taken(limit, amounts, &reach, step).max(least))
            })
            .collect()
    }

    /// How much of a limit is taken, in its measure's unit.
    fn taken(&self, limit: &Limit, amounts: &Amounts<'_>, reach: &Reach<'_>, step: Step<'_>) -> u64 {
        let sum = |tokens: &dyn Fn(&Run<'_>) -> u64| {
            let runs = amounts.runs.iter().filter(|run| step.counts(limit, run, reach));
            runs.fold(0_u64, |sum, run| sum.saturating_add(tokens(run)))
        };
        match limit.terms.measure {
            Measure::Requests => amounts.requests,
            Measure::Messages => amounts.messages,
            Measure::Concurrent => 1,
            Measure::Tokens => sum(&|run| run.tokens.given().saturating_add(run.tokens.output)),
            Measure::InputTokens => sum(&|run| run.tokens.given()),
            Measure::OutputTokens => sum(&|run| run.tokens.output),
            Measure::Cost => sum(&|run| self.cost(run, step)),
        }
    }

    /// What a run costs, in picodollars. Where it cannot be told, more than any limit when it is taken.
    fn cost(&self, run: &Run<'_>, step: Step<'_>) -> u64 {
        let Run { model, tokens, .. } = *run;
        match step {
            Step::Take => self.cost_used(run, &[]).unwrap_or(UNPRICED),
            Step::Settle(used) => {
                let cost = self.cost_used(run, used.taken_for);
                cost.unwrap_or_else(|| rates::rate(model, tokens.given()).of(&tokens))
            }
        }
    }
}

// === impl Step ===

impl Step<'_> {
    /// Whether what a run takes counts for a limit.
    fn counts(self, limit: &Limit, run: &Run<'_>, reach: &Reach<'_>) -> bool {
        let covers = |run: &Run<'_>| limit.scope.covers(run.endpoint, run.model);
        match self {
            Self::Take => covers(run),
            Self::Settle(used) => {
                let is = |(endpoint, model): &(&str, &str)| {
                    endpoint.eq_ignore_ascii_case(run.endpoint) && *model == run.model
                };
                let judged = || reach.models.iter().any(is);
                used.shared || covers(run) || (!judged() && used.taken_for.first().is_some_and(covers))
            }
        }
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
