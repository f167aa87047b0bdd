//! What models cost: prices by model, or by endpoint and model, in whole picodollars for each token.
//!
//! A picodollar is a millionth of a micro-dollar. Prices are written in dollars for a million tokens; with up to six decimals
//! each of them is a whole number of picodollars for one token, so that no sum is ever rounded, and the order in which
//! tokens are added decides nothing.

use super::amount;
use super::charges::Tokens;
use super::merge::Merged;
use super::pattern::Pattern;
use super::rates;
use super::written::WrittenPrice;

/// Decimals of a price in dollars for a million tokens: with six of them it is a whole number of picodollars for one token.
pub(super) const DECIMALS: u32 = 6;

/// What a token costs, in picodollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// A token given to the model.
    pub input: u64,
    /// A token that the provider reads from its cache.
    pub cached_input: u64,
    /// A token that the provider writes to its cache.
    pub cache_write: u64,
    /// A token that the model writes.
    pub output: u64,
}

/// All prices of a policy.
#[derive(Debug, Default)]
pub(super) struct Prices {
    list: Box<[Entry]>,
    default: Option<Price>,
    /// Whether LibreChat's rates stand in for what is not in the list.
    librechat: bool,
}

/// One price, and what has it.
#[derive(Debug)]
struct Entry {
    endpoint: Option<Box<str>>,
    model: Box<str>,
    /// The model's pattern; none where it is a name.
    pattern: Option<Pattern>,
    price: Price,
}

/// How close a price is to a model: the greatest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Closeness {
    names_endpoint: bool,
    names_model: bool,
    letters: usize,
}

// === impl Prices ===

impl Prices {
    pub(super) fn new(merged: &Merged) -> Self {
        let entry = |written: &WrittenPrice| {
            Some(Entry {
                endpoint: written.endpoint.as_deref().map(Box::from),
                model: written.model.value.as_str().into(),
                pattern: Pattern::new(&written.model.value),
                price: written.price?,
            })
        };
        Self {
            list: merged.prices.values().filter_map(entry).collect(),
            default: merged.default_price.as_ref().and_then(|default| default.value),
            librechat: merged.librechat_rates,
        }
    }

    /// How many there are, the default not counted.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// The price of a model for a call that gives it so many tokens: the one that names its endpoint before one that does not, then
    /// its name before patterns, then the pattern with the most letters, then LibreChat's rate for a model that it knows, then
    /// the default, then LibreChat's rate for any other. Of two that are equally close the dearer of each kind counts.
    pub(super) fn of(&self, endpoint: &str, model: &str, given: u64) -> Option<Price> {
        let mut closest: Option<(Closeness, Price)> = None;
        for entry in self.list.iter().filter(|entry| entry.is_of(endpoint, model)) {
            let closeness = entry.closeness();
            closest = Some(match closest {
                Some((best, price)) if best > closeness => (best, price),
                Some((best, price)) if best == closeness => (best, price.or_dearer(entry.price)),
                _ => (closeness, entry.price),
            });
        }
        let listed = closest.map(|(_, price)| price);
        let known = || if self.librechat { rates::known(model, given) } else { None };
        listed.or_else(known).or(self.default).or(self.librechat.then_some(rates::UNKNOWN))
    }
}

// === impl Entry ===

impl Entry {
    fn is_of(&self, endpoint: &str, model: &str) -> bool {
        self.endpoint.as_ref().is_none_or(|of| of.eq_ignore_ascii_case(endpoint))
            && self.pattern.as_ref().map_or(*self.model == *model, |pattern| pattern.matches(model))
    }

    fn closeness(&self) -> Closeness {
        Closeness {
            names_endpoint: self.endpoint.is_some(),
            names_model: self.pattern.is_none(),
            letters: self.model.chars().filter(|c| *c != '*').count(),
        }
    }
}

// === impl Price ===

impl Price {
    /// What these tokens cost, in picodollars; the largest number where it would be larger.
    pub fn of(&self, tokens: &Tokens) -> u64 {
        [
            (self.input, tokens.input),
            (self.cached_input, tokens.cached_input),
            (self.cache_write, tokens.cache_write),
            (self.output, tokens.output),
        ]
        .into_iter()
        .fold(0_u64, |sum, (price, count)| sum.saturating_add(price.saturating_mul(count)))
    }

    /// The prices by their keys in a policy, as they may be written there: in dollars for a million tokens.
    pub fn written(&self) -> [(&'static str, String); 4] {
        [
            ("input", self.input),
            ("output", self.output),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
        ]
        .map(|(key, price)| (key, amount::decimal(price, DECIMALS)))
    }

    fn or_dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached_input: self.cached_input.max(other.cached_input),
            cache_write: self.cache_write.max(other.cache_write),
            output: self.output.max(other.output),
        }
    }
}
