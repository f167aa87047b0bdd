//! What users did by the day, and which days are asked for.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::record::entry::Usd;

/// The user that sums of erased users have.
pub const ERASED: &str = "erased";

/// Days and users whose sums are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first day (UTC).
    pub from: Date,
    /// The last day, included.
    pub to: Date,
    /// LibreChat's user id; [`ERASED`] for those who were erased; of everybody where there is none.
    pub user: Option<Box<str>>,
    /// The role, as it was at the last turn of the day.
    pub role: Option<Box<str>>,
}

/// What one user did on one day (UTC), by the usage entries whose requests arrived on it. Stays when the entries have expired.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Daily {
    /// The place in the order: the day, then the user. Of an erased user it says nothing but the day.
    #[serde(skip)]
    pub key: Box<str>,
    /// LibreChat's user id; `erased` where the user was erased.
    pub user_id: Box<str>,
    /// The day, UTC: in MongoDB a date, its midnight.
    pub day: Date,
    /// The role at the last turn of the day.
    pub role: Box<str>,
    /// Turns that LibreChat took (`outcome` is `started`).
    pub message_count: u64,
    /// What all turns used together.
    pub token_usage: DayTokens,
    /// The same by endpoint and model, in that order. Turns of which nothing is known to have been used are counted here,
    /// too.
    pub model_usage: Vec<DayModel>,
    /// What the turns cost, in US dollars, as far as that is known; a text, and a decimal in MongoDB; absent where it is of
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// Turns that the policy allowed, whatever LibreChat made of them.
    pub api_calls: u64,
    /// Those that LibreChat refused, or that did not reach it (`outcome` is `refused` or `failed`).
    pub errors: u64,
    /// Milliseconds from arrival to LibreChat's answer, over all of `apiCalls`.
    pub response_time: ResponseTime,
}

/// Tokens of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DayTokens {
    /// Tokens given to models, read from a provider's cache or written to it included.
    pub input: u64,
    /// Of these, read from a provider's cache.
    #[serde(default)]
    pub cached: u64,
    /// Tokens written by models.
    pub output: u64,
    /// Both together.
    pub total: u64,
}

/// What one model used on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DayModel {
    /// LibreChat's name of the endpoint.
    pub endpoint: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// Runs of it: a turn of several models counts for each of them.
    pub count: u64,
    /// Its tokens.
    pub tokens: DayTokens,
    /// What it cost, as far as that is known; absent where it is of no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

/// How long LibreChat's answers took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ResponseTime {
    /// On average, in milliseconds.
    pub avg: f64,
    /// The shortest, in milliseconds.
    pub min: f64,
    /// The longest, in milliseconds.
    pub max: f64,
}
