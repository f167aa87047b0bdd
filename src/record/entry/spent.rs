//! What a turn used, and what was put on which counter for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::policy::charges::Tokens;
#[cfg(test)]
use crate::record::schema::Whole;
use crate::store::counters::{Draw, Hold, Measure, Settled};

/// How a settled turn went and what it used: members of its usage entry.
///
/// The ledger's sums of `charged` are what counters are rebuilt from ([`crate::store::Ledger::charged`]). So an entry with
/// charges is recorded when the store of the counters has said that the turn is settled, and not before: else a rebuild in
/// between would count it, and the settling that comes after would count it again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Spent {
    /// All tokens of the turn.
    pub tokens: TokensUsed,
    /// What they cost by the prices of the policy, in US dollars with all digits; a text, and a decimal in MongoDB; absent
    /// where a model has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Where the tokens are known from.
    pub source: Source,
    /// When the turn was settled, by the clock of the counters, UTC; by Tollgate's own where nothing was counted.
    pub settled: Timestamp,
    /// How the turn ended; absent where it is not known to have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Milliseconds from arrival to the first text that a model wrote, as it passed to whoever read it; absent where nobody
    /// read while it was written, or Tollgate was restarted meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<f64>,
    /// Milliseconds from arrival to the end of the turn; absent where nobody saw it end (`cut`, `gone`), or Tollgate was
    /// restarted meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What each model used, where several ran or another than `model`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunUsed>,
    /// What was put on which counter: see below; absent where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charged: Vec<Charged>,
}

/// Where the tokens of a turn are known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Ended {
    /// With its answer.
    Finished,
    /// Somebody stopped it, or left an answer that was the turn itself.
    Aborted,
    /// With an error.
    Failed,
    /// By LibreChat or by a stop, before any model was asked.
    Refused,
    /// A run of an assistant that broke off before its whole answer was told.
    Cut,
    /// It is over; how, nobody saw.
    Gone,
}

/// Tokens by what they cost; each is in one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TokensUsed {
    /// Tokens given to the models, neither read from a provider's cache nor written to it.
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub input: u64,
    /// Tokens given to the models and read from the provider's cache.
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub cached_input: u64,
    /// Tokens given to the models and written to the provider's cache.
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub cache_write: u64,
    /// Tokens written by the models, reasoning included.
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub output: u64,
}

/// What one model used.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunUsed {
    /// LibreChat's name of the endpoint.
    pub endpoint: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// What it used of tokens.
    pub tokens: TokensUsed,
    /// What they cost, in US dollars, as above; absent where the model has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

/// What was put on one counter, and from when until when it counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Charged {
    /// The counter's name: the limit's id, whom it counts for, and after the `@` the window.
    pub counter: Box<str>,
    /// How much, in the limit's unit: requests, tokens, or picodollars (a millionth of a millionth of a US dollar).
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub amount: u64,
    /// When the piece of the calendar begins, UTC; with a rolling window, when the amount was put in.
    pub from: Timestamp,
    /// When that piece ends, UTC; with a rolling window, when the amount is forgotten if nothing else is in there.
    pub until: Timestamp,
    /// Length of a rolling window in microseconds; absent for a piece of the calendar.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
    pub window: Option<u64>,
    /// How much of a rolling window is forgotten in its length, in the limit's unit; absent for a piece of the calendar.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_whole")]
    #[cfg_attr(test, schemars(with = "Whole"))]
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
