//! `GET /api/v1/me/limits`: the caller's own limits, how much of each is used, and when that resets. Answered by Tollgate.
//!
//! Of a limit that several people share only the numbers are told, never who used it.

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
    limits: Vec<Shown>,
}

/// One limit.
#[derive(Serialize)]
struct Shown {
    id: Box<str>,
    measure: &'static str,
    per: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<Box<str>>,
    /// A number; for money US dollars as decimal text, which no reader rounds.
    limit: Amount,
    used: Amount,
    remaining: Amount,
    resets_at: Option<String>,
    near: bool,
    mode: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Amount {
    Count(u64),
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
        let limits = held.into_iter().zip(uses).map(|(limit, used)| Shown::new(limit, used)).collect();
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

// === impl Shown ===

impl Shown {
    fn new(limit: HeldLimit, used: Use) -> Self {
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
