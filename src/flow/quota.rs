//! What a caller is told in headers of the limit that is nearest, or that refused.
//!
//! `RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers (structured fields, RFC 9651): the limit's
//! id with its quota `q`, its unit `qu` and its window `w`, what remains `r` and after how many seconds it resets `t`. Beside
//! them go `RateLimit-Limit`, `-Remaining` and `-Reset` of the draft's earlier versions, which most programs read. Money is in
//! millionths of a US dollar.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::policy::charge::{Charge, Window};
use crate::policy::limits::{Measure, Terms};
use crate::store::counters::Use;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CURRENT: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The limits whose use is near their amount: `"user-day";used=85, "parallel";used=100`, in percent.
const NEAR: HeaderName = HeaderName::from_static("tollgate-limits-near");

/// The largest integer of a structured field (RFC 9651 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// Picodollars in a millionth of a dollar.
const MICRO: u64 = 1_000_000;

/// How one limit stands, for headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    id: Box<str>,
    unit: &'static str,
    limit: u64,
    remaining: u64,
    /// In seconds; none for what counts only as long as it is open.
    window: Option<u64>,
    /// In seconds from now.
    resets: Option<u64>,
}

/// How the limits of an allowed turn stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The nearest of those that refuse; none where all are in shadow mode.
    nearest: Option<Quota>,
    /// Those that are near, in shadow mode or not, as the header has them.
    near: String,
}

// === impl Quota ===

impl Quota {
    /// A limit of which so much is left, in its own unit. `seconds` is the length of its window.
    pub(super) fn new(charge: &Charge, measure: Measure, left: u64, resets: Option<u64>, seconds: Option<u64>) -> Self {
        let (unit, scale) = unit(measure);
        Self {
            id: charge.id().into(),
            unit,
            limit: (charge.ceiling / scale).min(LARGEST),
            remaining: (left / scale).min(LARGEST),
            window: seconds,
            resets,
        }
    }

    /// Writes the headers, in place of any of LibreChat's own.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let window = self.window.map_or_else(String::new, |seconds| format!(";w={seconds}"));
        let resets = self.resets.map_or_else(String::new, |seconds| format!(";t={seconds}"));
        let policy = format!("\"{}\";q={};qu=\"{}\"{window}", self.id, self.limit, self.unit);
        let current = format!("\"{}\";r={}{resets}", self.id, self.remaining);
        // Ids have letters, digits, `-` and `_` alone, so that neither can fail.
        for (name, value) in [(POLICY, policy), (CURRENT, current)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        match self.resets {
            Some(seconds) => headers.insert(RESET, HeaderValue::from(seconds)),
            None => headers.remove(RESET),
        };
    }
}

// === impl Standing ===

impl Standing {
    /// How the limits stand of which a turn has just taken. None where none of them is one of the policy's.
    pub(super) fn of(
        charges: &[Charge],
        uses: &[Use],
        terms: impl Fn(&Charge) -> Option<Terms>,
        at: Timestamp,
    ) -> Option<Self> {
        let known = || charges.iter().zip(uses).filter_map(|(charge, used)| Some((charge, used, terms(charge)?)));
        let (charge, used, its) =
            known().max_by(|(a, of_a, _), (b, of_b, _)| nearness(a, of_a).cmp(&nearness(b, of_b)))?;
        let left = charge.ceiling.saturating_sub(used.used);
        let resets = used.resets.map(|resets| seconds_until(resets, at));
        Some(Self {
            nearest: Some(Quota::new(charge, its.measure, left, resets, seconds_of(&charge.window, at))),
            near: near(charges, uses, terms),
        })
    }

    /// The same beside limits in shadow mode, of which these are [`near`]. They refuse nothing, so that none of them is the nearest.
    pub(super) fn and(standing: Option<Self>, watched: String) -> Option<Self> {
        if watched.is_empty() {
            return standing;
        }
        let mut standing = standing.unwrap_or_default();
        if !standing.near.is_empty() {
            standing.near.push_str(", ");
        }
        standing.near.push_str(&watched);
        Some(standing)
    }

    /// Writes the headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some(nearest) = &self.nearest {
            nearest.write(headers);
        }
        // Ids have letters, digits, `-` and `_` alone, so that it cannot fail.
        if let Some(near) = HeaderValue::try_from(&self.near).ok().filter(|near| !near.is_empty()) {
            headers.insert(NEAR, near);
        }
    }
}

// === helpers ===

/// The limits that are near, as the header tells them; empty where none is.
pub(super) fn near(charges: &[Charge], uses: &[Use], terms: impl Fn(&Charge) -> Option<Terms>) -> String {
    let known = charges.iter().zip(uses).filter_map(|(charge, used)| Some((charge, used.used, terms(charge)?)));
    let near = known.filter(|(charge, used, terms)| is_near(charge, *used, terms.warn_at));
    let near: Vec<_> =
        near.map(|(charge, used, _)| format!("\"{}\";used={}", charge.id(), percent(charge, used))).collect();
    near.join(", ")
}

/// Whether so much of a limit is used that it is called near.
pub(super) fn is_near(charge: &Charge, used: u64, warn_at: u8) -> bool {
    u128::from(used) * 100 >= u128::from(charge.ceiling) * u128::from(warn_at)
}

/// Seconds from one moment to a later one, a begun one as a whole one.
pub(super) fn seconds_until(later: Timestamp, at: Timestamp) -> u64 {
    let microseconds = later.as_microsecond().saturating_sub(at.as_microsecond());
    u64::try_from(microseconds).unwrap_or(0).div_ceil(1_000_000)
}

/// How long a window is that holds this moment, in seconds; none for what has no window.
pub(super) fn seconds_of(window: &Window, at: Timestamp) -> Option<u64> {
    match window {
        Window::Rolling(length) => Some(length.as_secs()),
        Window::Calendar { unit, zone } => {
            let window = crate::meter::window::around(*unit, zone, at).ok()?;
            Some(seconds_until(window.end, window.start))
        }
        Window::Open | Window::Always => None,
    }
}

/// What is nearest comes last: what has a window before what has none, then by the share that is used.
fn nearness(charge: &Charge, used: &Use) -> (bool, u128) {
    const WHOLE: u128 = 1_000_000_000;
    let share = (u128::from(used.used) * WHOLE).checked_div(charge.ceiling.into()).unwrap_or(u128::MAX);
    (charge.window != Window::Open, share)
}

/// The share that is used, in percent, rounded down.
fn percent(charge: &Charge, used: u64) -> u128 {
    (u128::from(used) * 100).checked_div(charge.ceiling.into()).unwrap_or(100)
}

/// The name of a quota's unit, and how many of the limit's own units are one of it.
fn unit(measure: Measure) -> (&'static str, u64) {
    match measure {
        Measure::Requests => ("requests", 1),
        Measure::Messages => ("messages", 1),
        Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => ("tokens", 1),
        Measure::Cost => ("micro-usd", MICRO),
        Measure::Concurrent => ("concurrent-requests", 1),
    }
}

#[cfg(test)]
mod tests;
