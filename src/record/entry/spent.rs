//! What a turn used, and what was put on which counter for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::policy::charges::Tokens;
use crate::store::counters::{Draw, Hold, Measure, Settled};

/// How a settled turn went and what it used: members of its usage entry.
///
/// The ledger's sums of `charged` are what counters are rebuilt from ([`crate::store::Ledger::charged`]). So an entry with
/// charges is recorded when the store of the counters has said that the turn is settled, and not before: else a rebuild in
/// between would count it, and the settling that comes after would count it again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// All tokens of the turn.
    pub tokens: TokensUsed,
    /// What they cost by the policy's prices; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Where the tokens are known from.
    pub source: Source,
    /// When the turn was settled, by the clock of the counters (UTC); by Tollgate's own where nothing was counted.
    pub settled: Timestamp,
    /// How the turn ended; absent where it is not known that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// From the arrival of the request to the first text that a model wrote, in milliseconds, as it passed to whoever read it; absent
    /// where nobody did while it was written, or there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<f64>,
    /// From the arrival of the request to the end of the turn, in milliseconds; absent where nobody saw it end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What each model used, where several ran or the one that ran is not the entry's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunUsed>,
    /// What was put on which counter. A counter on which nothing was put is not here, nor is one that counts open turns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charged: Vec<Charged>,
}

/// Where the tokens of a turn are known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// LibreChat's own rows (`transactions`).
    Transactions,
    /// The usage block of the answer.
    Provider,
    /// The text of the answer, counted by Tollgate.
    Stream,
    /// What was estimated before the turn began.
    Estimate,
    /// Nothing ran.
    None,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// With its answer.
    Finished,
    /// Somebody stopped it, or left what was the turn itself.
    Aborted,
    /// With an error, after it had been begun.
    Failed,
    /// LibreChat refused it, or it was stopped, before any model was asked.
    Refused,
    /// A run of an assistant that broke off before its whole answer was told: stopped, failed, or left.
    Cut,
    /// It is over; how, nobody saw.
    Gone,
}

/// Tokens by what they cost; each is in one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensUsed {
    /// Given to the model, neither read from a cache nor written to one.
    #[serde(serialize_with = "whole")]
    pub input: u64,
    /// Given to the model, and read from the provider's cache.
    #[serde(serialize_with = "whole")]
    pub cached_input: u64,
    /// Given to the model, and written to the provider's cache.
    #[serde(serialize_with = "whole")]
    pub cache_write: u64,
    /// Written by the model, reasoning included.
    #[serde(serialize_with = "whole")]
    pub output: u64,
}

/// What one model used.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunUsed {
    /// LibreChat's name of the endpoint.
    pub endpoint: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// How many tokens.
    pub tokens: TokensUsed,
    /// What they cost by the policy's prices; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

/// What was put on one counter, and from when until when it counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Charged {
    /// The counter's name.
    pub counter: Box<str>,
    /// How much, in the limit's unit (money in picodollars). Above 2^63 - 1 it is a text in JSON.
    #[serde(serialize_with = "whole")]
    pub amount: u64,
    /// When the counter's window begins; with a rolling one, when the amount was put in.
    pub from: Timestamp,
    /// When that window ends; with a rolling one, when the amount is forgotten if nothing else is in there.
    pub until: Timestamp,
    /// Of a rolling window, its length in microseconds; absent for a window of the calendar.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_whole")]
    pub window: Option<u64>,
    /// Of a rolling window, how much of it is forgotten in one length of it; absent for a window of the calendar.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_whole")]
    pub ceiling: Option<u64>,
}

/// Money: picodollars, millionths of a micro-dollar. Written as a decimal number of US dollars with all its digits, `0.000123`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub u64);

/// Picodollars of a dollar.
const DOLLAR: u64 = 1_000_000_000_000;

// === impl Charged ===

impl Charged {
    /// What settling a hold at these amounts (one for each draw, in their order) has put on counters, by what the store said.
    /// Nothing where it was settled before, or cannot be settled any more. Nothing, too, where the counters are lost: then the
    /// settling is repeated after the rebuild, and its own answer counts.
    ///
    /// A bucket stands as if what was used, up to what was held, had been put in when it was taken; what was used beyond that,
    /// and all of a hold that had expired, comes with the settling. So one draw may make two charges.
    pub fn of(hold: &Hold, used: &[u64], settled: Settled) -> Vec<Self> {
        let (taken, settled) = match settled {
            Settled::Now(at) => (hold.at.min(at), at),
            Settled::Late(at) => (at, at),
            Settled::Already | Settled::TooLate | Settled::Lost => return Vec::new(),
        };
        let mut charged = Vec::with_capacity(hold.draws.len());
        for (draw, used) in hold.draws.iter().zip(used) {
            match draw.measure {
                Measure::Spend { from, until } => charged.push(Self {
                    counter: draw.counter.clone(),
                    amount: *used,
                    from,
                    until,
                    window: None,
                    ceiling: None,
                }),
                Measure::Rate { window } => {
                    let held = draw.amount.min(*used);
                    charged.push(Self::poured(draw, window, held, taken));
                    charged.push(Self::poured(draw, window, used.saturating_sub(held), settled));
                }
                Measure::Open => {}
            }
        }
        charged.retain(|charge| charge.amount > 0);
        charged
    }

    fn poured(draw: &Draw, window: Duration, amount: u64, at: Timestamp) -> Self {
        // Less than a ceiling is gone after a window; an amount beyond it takes as much longer.
        let windows = amount.div_ceil(draw.ceiling.max(1)).max(1);
        let length = u32::try_from(windows).ok().and_then(|windows| window.checked_mul(windows));
        Self {
            counter: draw.counter.clone(),
            amount,
            from: at,
            until: length.and_then(|length| at.checked_add(length).ok()).unwrap_or(Timestamp::MAX),
            window: Some(u64::try_from(window.as_micros()).unwrap_or(u64::MAX)),
            ceiling: Some(draw.ceiling),
        }
    }
}

// === impl TokensUsed ===

impl From<Tokens> for TokensUsed {
    fn from(tokens: Tokens) -> Self {
        let Tokens { input, cached_input, cache_write, output } = tokens;
        Self { input, cached_input, cache_write, output }
    }
}

// === impl Usd ===

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / DOLLAR, self.0 % DOLLAR);
        if rest == 0 {
            return write!(f, "{dollars}");
        }
        let fraction = format!("{rest:012}");
        write!(f, "{dollars}.{}", fraction.trim_end_matches('0'))
    }
}

/// A text is no amount of US dollars that picodollars have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of US dollars with at most 12 decimal places, up to 18446744")]
pub struct NoUsd;

impl FromStr for Usd {
    type Err = NoUsd;

    /// Reads what [`Usd`] is written as.
    fn from_str(text: &str) -> Result<Self, NoUsd> {
        let (dollars, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(dollars) || !digits(places) || places.len() > 12 {
            return Err(NoUsd);
        }
        let dollars: u64 = dollars.parse().map_err(|_| NoUsd)?;
        let rest: u64 = format!("{places:0<12}").parse().map_err(|_| NoUsd)?;
        dollars.checked_mul(DOLLAR).and_then(|whole| whole.checked_add(rest)).map(Self).ok_or(NoUsd)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

// === helpers ===

/// A number, or a text where it takes more than the 63 bits that BSON and SQLite have for one.
fn whole<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*number) {
        Ok(number) => to.serialize_i64(number),
        Err(_) => to.collect_str(number),
    }
}

fn maybe_whole<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => whole(number, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
