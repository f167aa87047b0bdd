//! What the stores read out of a usage entry's text: what it put on counters, and what it adds to a day.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use crate::record::entry::{Charged, Usd};

/// Of a usage entry, what stores add up. Entries of other Tollgates, older and newer ones, are read as far as they say it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    /// When the turn was settled, by the clock of the counters.
    pub(super) settled: Option<Timestamp>,
    #[serde(default)]
    pub(super) charged: Vec<Charge>,
    /// Absent from tombstones.
    pub(super) user_id: Option<Box<str>>,
    #[serde(default)]
    pub(super) role: Box<str>,
    #[serde(default)]
    pub(super) endpoint: Box<str>,
    #[serde(default)]
    pub(super) model: Box<str>,
    pub(super) outcome: Option<Box<str>>,
    #[serde(default)]
    pub(super) time: f64,
    #[serde(default)]
    pub(super) tokens: Tokens,
    pub(super) cost: Option<Money>,
    #[serde(default)]
    pub(super) runs: Vec<Run>,
}

/// What one model used.
#[derive(Deserialize)]
pub(super) struct Run {
    pub(super) endpoint: Box<str>,
    pub(super) model: Box<str>,
    pub(super) tokens: Tokens,
    pub(super) cost: Option<Money>,
}

/// Tokens by what they cost.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "whole")]
    pub(super) input: u64,
    #[serde(deserialize_with = "whole")]
    pub(super) cached_input: u64,
    #[serde(deserialize_with = "whole")]
    pub(super) cache_write: u64,
    #[serde(deserialize_with = "whole")]
    pub(super) output: u64,
}

/// An amount of US dollars, written as a decimal number.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Money(#[serde(deserialize_with = "usd")] pub(super) Usd);

/// What was put on one counter: [`Charged`], read.
#[derive(Deserialize)]
pub(super) struct Charge {
    counter: Box<str>,
    #[serde(deserialize_with = "whole")]
    amount: u64,
    from: Timestamp,
    until: Timestamp,
    #[serde(default, deserialize_with = "maybe_whole")]
    window: Option<u64>,
    #[serde(default, deserialize_with = "maybe_whole")]
    ceiling: Option<u64>,
}

// === impl Facts ===

impl Facts {
    /// Reads a usage entry.
    ///
    /// # Errors
    /// Where a member has another form than usage entries give it.
    pub(super) fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }
}

// === impl Charged ===

impl From<Charge> for Charged {
    fn from(charge: Charge) -> Self {
        let Charge { counter, amount, from, until, window, ceiling } = charge;
        Self { counter, amount, from, until, window, ceiling }
    }
}

// === helpers ===

/// A number, or a text where it takes more than 63 bits.
#[derive(Deserialize)]
#[serde(untagged)]
enum Whole<'a> {
    Number(u64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Whole::deserialize(from)? {
        Whole::Number(number) => Ok(number),
        Whole::Text(text) => text.parse().map_err(de::Error::custom),
    }
}

fn maybe_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    whole(from).map(Some)
}

fn usd<'de, D: Deserializer<'de>>(from: D) -> Result<Usd, D::Error> {
    Cow::<str>::deserialize(from)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests;
