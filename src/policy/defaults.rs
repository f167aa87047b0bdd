//! What each user has who is given nothing else: `defaults: { user: }`, and what the environment says in its place.

use std::time::Duration;

use super::amount::{self, DECIMALS_OF_DOLLAR, Period};
use super::charge::Unit;
use super::codes;
use super::faults::{Faults, Spot};
use super::limits::{Measure, OnFailure, Per};
use super::snapshot::Mode;
use super::written::{Spotted, WrittenLimit};
use crate::report::{Fault, quoted};

const MINUTE: Period = Period::Rolling(Duration::from_secs(60));

/// Defaults that stand in for those of the policy's files, as whoever starts Tollgate gave them.
#[derive(Clone, Debug, Default)]
pub struct UserDefaults {
    /// US dollars for each user, over the window of `defaults.user.budget`, or a month where that is not written.
    pub budget: Option<Given>,
    /// Tokens for each user in a minute.
    pub tokens_per_minute: Option<Given>,
    /// Requests for each user in a minute.
    pub requests_per_minute: Option<Given>,
}

/// A value from outside of the policy's files.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where it is from, for faults: the name of an environment variable.
    pub name: &'static str,
    /// What it says.
    pub text: String,
}

/// One of the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    Budget,
    TokensPerMinute,
    RequestsPerMinute,
}

// === impl UserDefaults ===

impl UserDefaults {
    /// What is given, in an order that does not change.
    fn given(&self) -> impl Iterator<Item = (Default, &Given)> {
        let given = [&self.budget, &self.tokens_per_minute, &self.requests_per_minute];
        Default::ALL.into_iter().zip(given).filter_map(|(default, given)| given.as_ref().map(|given| (default, given)))
    }

    /// Puts what is given in the place of what is written. What is not a number is a fault.
    pub(super) fn replace(&self, limits: &mut Vec<WrittenLimit>, faults: &mut Faults<'_>) {
        for (default, given) in self.given() {
            let Some(ceiling) = default.read(given.text.trim()) else {
                let message = format!("{} cannot be {}", given.name, quoted(&given.text));
                let help = match default {
                    Default::Budget => "give US dollars: 10, 0.50 USD",
                    _ => "give a whole number: 60, 100k",
                };
                faults.push_anywhere(Fault::error(codes::BAD_DEFAULT, message).help(help));
                continue;
            };
            match limits.iter_mut().find(|limit| limit.id.value == default.id()) {
                Some(limit) => limit.ceiling = ceiling,
                None => limits.push(default.limit(ceiling, Spot::default())),
            }
        }
    }

    /// The names and values that are given, to tell two policies apart.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.given().flat_map(|(_, given)| [given.name, given.text.as_str()])
    }
}

// === impl Default ===

impl Default {
    pub(super) const ALL: [Self; 3] = [Self::Budget, Self::TokensPerMinute, Self::RequestsPerMinute];

    /// The key in a policy.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::RequestsPerMinute => "requests_per_minute",
        }
    }

    pub(super) fn measure(self) -> Measure {
        match self {
            Self::Budget => Measure::Cost,
            Self::TokensPerMinute => Measure::Tokens,
            Self::RequestsPerMinute => Measure::Requests,
        }
    }

    /// The id of the limit that it is. Nobody can write such a limit by hand: ids have no dots.
    fn id(self) -> String {
        format!("defaults.user.{}", self.as_str())
    }

    fn read(self, text: &str) -> Option<u64> {
        match self {
            Self::Budget => amount::money(text).or_else(|| amount::scaled(text, DECIMALS_OF_DOLLAR)),
            Self::TokensPerMinute | Self::RequestsPerMinute => amount::count(text),
        }
    }

    /// The limit that it is, with this amount; a budget is one for a month.
    pub(super) fn limit(self, ceiling: u64, spot: Spot) -> WrittenLimit {
        let period = if self == Self::Budget { Period::Calendar(Unit::Month) } else { MINUTE };
        WrittenLimit {
            id: Spotted { value: self.id(), spot },
            measure: Spotted { value: self.measure(), spot },
            ceiling,
            per: Spotted { value: Per::User, spot },
            window: Some(Spotted { value: period, spot }),
            timezone: None,
            models: None,
            endpoints: None,
            on_failure: OnFailure::Deny,
            strict: None,
            warn_at: None,
            mode: Mode::Enforce,
        }
    }
}
