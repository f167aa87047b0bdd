//! LibreChat's balance of a user: what can be spent now, what a turn is thought to cost, and how both are said (CONTRACT.md
//! E.1 to E.3, E.6).
//!
//! A balance is in credits, millionths of a dollar. LibreChat checks it against the prompt alone and reserves nothing; here all
//! that a turn is thought to cost is held while it runs, beside what is there.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::refill::Refill;
use super::catalog::Misshapen;
use super::number;
use crate::policy::RuleId;
use crate::policy::charge::{Charge, Window};
use crate::policy::charges::Run;
use crate::policy::rates;

mod refill;

/// Picodollars of a credit: 1,000,000 credits are a US dollar (CONTRACT.md E.1).
pub const CREDIT: u64 = 1_000_000;

/// What the keys of balances' counters begin with.
pub const KEY: &str = "balance:user:";

/// The rule that a charge of the balance names: no statement of the policy.
pub const RULE: &str = "librechat.balance";

/// LibreChat's settings for balances, as they are for one user: roles and users may have their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether LibreChat checks balances at all.
    pub enabled: bool,
    /// What LibreChat gives a user who has no balance, in credits; none where it gives nothing.
    start: Option<f64>,
}

/// What a user has.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    credits: f64,
    refill: Option<Refill>,
}

/// A document of `balances` that LibreChat's own arithmetic would go wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the balance of a user cannot be read: {0:?} is no number; correct it in LibreChat's collection \"balances\"")]
pub struct NoNumber(pub &'static str);

/// What a turn is thought to cost, as LibreChat says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The cost in credits; a begun credit is a whole one.
    pub credits: u64,
    /// Tokens that models are given.
    pub prompt_tokens: u64,
}

/// The cost of these runs by LibreChat's rates, prompts and answers.
pub fn cost(runs: &[Run<'_>]) -> Cost {
    let cost = |run: &Run<'_>| rates::rate(run.model, run.tokens.given()).of(&run.tokens);
    let picodollars = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(cost(run)));
    Cost {
        credits: picodollars.div_ceil(CREDIT),
        prompt_tokens: runs.iter().fold(0, |sum, run| sum.saturating_add(run.tokens.given())),
    }
}

/// The charge that holds `credits` of what a user has: taken with the [`Cost`] of the estimate and the [most](Balance::most) that
/// there is as the ceiling, settled with what LibreChat will never take itself. That goes on counting for ever, as LibreChat's balance does not
/// know of it.
pub fn charge(user: &str, credits: u64, spendable: u64) -> Charge {
    Charge {
        key: format!("{KEY}{user}").into(),
        rule: RuleId::new(RULE),
        window: Window::Always,
        amount: credits,
        ceiling: spendable,
    }
}

// === impl Settings ===

impl Settings {
    /// Where a user is held to the balance that there is, and nothing is known of a balance to begin with.
    pub fn checked() -> Self {
        Self { enabled: true, start: None }
    }

    /// Reads them from the answer of `GET /api/config` to a user who is signed in (capture `066_boot_api_config`).
    ///
    /// # Errors
    /// [`Misshapen`] where it does not say whether balances are checked, as in the answer to nobody.
    pub fn read(config: &[u8]) -> Result<Self, Misshapen> {
        let misshapen = |what| Misshapen { answer: "GET /api/config", what };
        let config: Map<String, Value> =
            serde_json::from_slice(config).map_err(|_| misshapen("it is not an object"))?;
        let balance = config.get("balance").ok_or(misshapen("it does not say \"balance\""))?;
        let enabled = balance.get("enabled").and_then(Value::as_bool);
        let enabled = enabled.ok_or(misshapen("it does not say \"balance.enabled\""))?;
        let start = match balance.get("startBalance") {
            None | Some(Value::Null) => None,
            Some(start) => Some(number::read(start).ok_or(misshapen("\"balance.startBalance\" is no number"))?),
        };
        Ok(Self { enabled, start })
    }
}

// === impl Balance ===

impl Balance {
    /// Reads a document of `balances`. Where there is none, LibreChat gives the user the start balance, if it has one.
    ///
    /// # Errors
    /// [`NoNumber`]
    pub fn read(document: Option<&Map<String, Value>>, settings: &Settings) -> Result<Self, NoNumber> {
        let Some(fields) = document else {
            return Ok(Self { credits: settings.start.unwrap_or(0.0), refill: None });
        };
        let credits = match fields.get("tokenCredits") {
            // LibreChat lets nobody spend from nothing, and refills nothing.
            None | Some(Value::Null) => return Ok(Self { credits: 0.0, refill: None }),
            Some(credits) => number::read(credits).ok_or(NoNumber("tokenCredits"))?,
        };
        Ok(Self { credits, refill: Refill::read(fields)? })
    }

    /// What there is at this moment in whole credits, where so many are used: what open turns hold, what LibreChat will never
    /// debit, and what the next turn costs. Where these use up what is there, the refill that is due counts.
    ///
    /// LibreChat refills when a prompt alone uses up what is there. All that is used counts here: LibreChat gives the refill as soon
    /// as it has debited as much, and without it a rest that is never quite used up would be refused for ever.
    pub fn spendable(&self, used: u64, now: Timestamp) -> u64 {
        let used_up = self.credits - used as f64 <= 0.0;
        let refill = self.refill.as_ref().filter(|refill| used_up && refill.is_due(now));
        // LibreChat's sum has a floor of 0: a refill fills up a debt first.
        number::floor(self.credits + refill.map_or(0.0, |refill| refill.amount))
    }

    /// The most that there can be at this moment, however much is used.
    pub fn most(&self, now: Timestamp) -> u64 {
        self.spendable(u64::MAX, now)
    }
}

/// The answer of `GET /api/balance` with other credits: what the caller can spend by Tollgate's own account. All else is as it was.
///
/// # Errors
/// [`Misshapen`] where it is not a balance (capture `070_boot_api_balance`).
pub fn with_credits(body: &[u8], credits: u64) -> Result<Bytes, Misshapen> {
    let misshapen = |what| Misshapen { answer: "GET /api/balance", what };
    let mut balance: Map<String, Value> = serde_json::from_slice(body).map_err(|_| misshapen("it is not an object"))?;
    let shown = balance.get_mut("tokenCredits").ok_or(misshapen("it has no \"tokenCredits\""))?;
    *shown = credits.into();
    serde_json::to_vec(&balance).map(Bytes::from).map_err(|_| misshapen("it cannot be written again"))
}

#[cfg(test)]
mod tests;
