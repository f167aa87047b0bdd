//! Limits and balances that have no room, in the bodies that LibreChat's unmodified client shows (CONTRACT.md E.6; captures
//! `browser-denials`: `429-message-limit`, `429-concurrent`, `402-token-balance`).

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;
use serde_json::Number;

use super::{Extras, Phrase, Remote, RemoteError, json};

/// What has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// So many of something in a window. The client says "You have a cap of .. messages per .. minutes", whatever is counted.
    Count {
        /// How many.
        max: u64,
        /// The length of the window in seconds.
        seconds: u64,
    },
    /// So many turns at a time.
    Open {
        /// How many.
        limit: u64,
    },
    /// Money, in LibreChat's credits: 1,000,000 are a US dollar (CONTRACT.md E.1).
    Funds {
        /// What is left, rounded down.
        balance: u64,
        /// What the turn is thought to cost, rounded up.
        cost: u64,
        /// Tokens that the turn is thought to give to models.
        prompt: u64,
    },
}

/// `type` first, then what the client's text has a place for; flat.
#[derive(Serialize)]
struct Limited<'a> {
    r#type: &'a str,
    #[serde(flatten)]
    numbers: Numbers,
    message: Cow<'a, str>,
    rule: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<&'a str>,
    request_id: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    #[serde(rename_all = "camelCase")]
    Count {
        max: u64,
        window_in_minutes: Number,
    },
    Open {
        limit: u64,
    },
    #[serde(rename_all = "camelCase")]
    Funds {
        balance: u64,
        token_cost: u64,
        prompt_tokens: u64,
    },
}

/// There is no room, on a chat turn: 429, or 402 for money. `resets_at` is when there would be, as RFC 3339 in UTC.
pub fn limit_reached(shortage: Shortage, resets_at: Option<&str>, extras: &Extras<'_>) -> Phrase {
    let [message, rule, request_id] = extras.told();
    let (kind, numbers) = match shortage {
        Shortage::Count { max, seconds } => {
            ("message_limit", Numbers::Count { max, window_in_minutes: minutes(seconds) })
        }
        Shortage::Open { limit } => ("concurrent", Numbers::Open { limit }),
        Shortage::Funds { balance, cost, prompt } => {
            ("token_balance", Numbers::Funds { balance, token_cost: cost, prompt_tokens: prompt })
        }
    };
    (shortage.status(), json(&Limited { r#type: kind, numbers, message, rule, resets_at, request_id }))
}

/// The same on the remote-agent API, with the codes that OpenAI's own clients know.
pub fn limit_reached_remote(shortage: Shortage, resets_at: Option<&str>, extras: &Extras<'_>) -> Phrase {
    let [message, rule, request_id] = extras.told();
    let (kind, code) = match shortage {
        Shortage::Count { .. } | Shortage::Open { .. } => ("rate_limit_error", "rate_limit_exceeded"),
        Shortage::Funds { .. } => ("insufficient_quota", "insufficient_quota"),
    };
    let error = RemoteError { message, r#type: kind, param: None, code, rule, resets_at, request_id };
    (shortage.status(), json(&Remote { error }))
}

/// Seconds as minutes: a whole number where it is one.
fn minutes(seconds: u64) -> Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "no window has more than 2^53 seconds, and the number is only shown"
    )]
    let part = || Number::from_f64(seconds as f64 / 60.0);
    let whole = || Number::from(seconds / 60);
    if seconds.is_multiple_of(60) { whole() } else { part().unwrap_or_else(whole) }
}

// === impl Shortage ===

impl Shortage {
    /// The status of a refusal for it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Count { .. } | Self::Open { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Funds { .. } => StatusCode::PAYMENT_REQUIRED,
        }
    }
}
