//! `GET /api/v1/me/limits`: the caller's own limits, how much of each is used, and when that resets. Answered by Tollgate.
//!
//! Of a limit that several people share only the numbers are told, never who used it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;

use super::exceeded::instant;
use super::passage::Upstream;
use super::quota::is_near;
use super::refusal::Refusal;
use super::reply::Reply;
use super::visit::Visit;
use super::{Body, Spine};
use crate::identity::Bearer;
use crate::policy::Mode;
use crate::policy::charge::Charge;
use crate::policy::held::HeldLimit;
use crate::policy::limits::Measure;
use crate::store::counters::Use;

/// The answer.
#[derive(Serialize)]
struct Mine {
    /// When the counters stood like that, by their own clock.
    at: String,
    limits: Vec<ShownLimit>,
}

/// How one limit of somebody stands: what the answer has, and what `tollgate explain` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownLimit {
    /// The limit's id.
    pub id: Box<str>,
    /// What it counts: `requests`, `tokens`, `cost`.
    pub measure: &'static str,
    /// Whose use counts together: `user`, `role`, `group`, `global`.
    pub per: &'static str,
    /// For how long: `1m`, `day`; none for `concurrent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Where a day begins, for windows of the calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The models it is about; all of them, if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Box<str>>,
    /// The endpoints it is about; all of them, if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Box<str>>,
    /// The amount.
    pub limit: Amount,
    /// What counts against it now.
    pub used: Amount,
    /// What is left.
    pub remaining: Amount,
    /// When nothing of it counts any more, UTC; none where nothing is used, or turns have to end first.
    pub resets_at: Option<String>,
    /// Whether so much is used that it is called near.
    pub near: bool,
    /// `enforce`, or `shadow`: it refuses nothing.
    pub mode: &'static str,
}

/// A number; for money US dollars as decimal text, which no reader rounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// In the limit's unit.
    Count(u64),
    /// US dollars.
    Dollars(String),
}

impl<U: Upstream> Spine<U> {
    /// The caller's own limits.
    pub(super) async fn my_limits(
        &self,
        visit: &mut Visit<'_>,
        method: &Method,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        let caller = self.caller(visit, bearer).await?;
        let held = visit.policy.limits_of(&caller);
        let charges: Vec<Charge> = held.iter().map(|limit| limit.charge.clone()).collect();
        let (at, uses) = self.standing(visit.at, &charges).await?;
        let limits = held.into_iter().zip(uses).map(|(limit, used)| ShownLimit::new(limit, used)).collect();
        let body = serde_json::to_vec(&Mine { at: instant(at), limits })
            .map_err(|_| Refusal::uncounted("they cannot be written"))?;
        visit.forwarded(StatusCode::OK, None);
        let length = HeaderValue::from(body.len());
        let mut answer = Response::new(Reply::whole(if method == Method::HEAD { Bytes::new() } else { body.into() }));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, length);
        Ok(answer)
    }

    /// How the counters stand. Where there are none, nobody is asked.
    async fn standing(&self, at: Timestamp, charges: &[Charge]) -> Result<(Timestamp, Vec<Use>), Refusal> {
        if charges.is_empty() {
            return Ok((at, Vec::new()));
        }
        let reading = self.parts.meter.read(charges).await.map_err(|error| Refusal::uncounted(&error))?;
        Ok((reading.at, reading.uses))
    }
}

// === impl ShownLimit ===

impl ShownLimit {
    /// A limit, and what its counter says.
    pub fn new(limit: HeldLimit, used: Use) -> Self {
        let HeldLimit { statement, measure, mode, charge } = limit;
        let amount = |amount: u64| match measure {
            Measure::Cost => Amount::Dollars(measure.decimal(amount)),
            _ => Amount::Count(amount),
        };
        Self {
            limit: amount(charge.ceiling),
            used: amount(used.used),
            remaining: amount(charge.ceiling.saturating_sub(used.used)),
            // What was never used has nothing to be reset, and what is closed stays so.
            resets_at: used.resets.filter(|_| used.used > 0).map(instant),
            near: is_near(&charge, used.used, statement.warn_at),
            mode: match mode {
                Mode::Enforce => "enforce",
                Mode::Shadow => "shadow",
            },
            id: statement.id,
            measure: statement.measure,
            per: statement.per,
            window: statement.window,
            timezone: statement.timezone,
            models: statement.models,
            endpoints: statement.endpoints,
        }
    }
}

// === impl Amount ===

impl fmt::Display for Amount {
    /// For people: `12`, `0.5 USD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Dollars(dollars) => write!(f, "{dollars} USD"),
        }
    }
}
