//! What a request that starts a model takes from the limits that apply, and what becomes of that.
//!
//! ```text
//! judged -> charge -> LibreChat is asked -> took it:           stays taken until the turn is settled
//!                  |                     -> refused, failed:   given back
//!                  |                     -> was not reached:   given back
//!                  |                     -> nobody knows:      settled at the estimate
//!                  -> does not fit: refused
//! ```
//!
//! Streams, aborts, titles and whatever else starts no model of the caller's choice take nothing (CONTRACT.md B.0, B.8).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::Spine;
use super::exceeded::Exceeded;
use super::passage::{Upstream, UpstreamFault};
use super::quota::Standing;
use super::refusal::Refusal;
use super::visit::Visit;
use crate::librechat::selection::TurnRequest;
use crate::meter::{Receipt, Taken};
use crate::policy::charge::Charge;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::{Ask, Caller, Part, RuleId, Target};
use crate::store::StoreError;

/// How long what is taken stays taken where nobody settles it: longer than LibreChat lets a turn run, which is 20 minutes.
const LIVES: Duration = Duration::from_secs(30 * 60);

/// Bytes that are taken for one token.
const BYTES_PER_TOKEN: u64 = 4;

/// What a request has taken, until LibreChat has answered. Dropped, it is settled at the estimate: the turn may run.
#[must_use = "dropping it settles at the estimate"]
#[derive(Default)]
pub(super) struct Held(Option<Box<Receipts>>);

struct Receipts {
    /// From the limits that refuse what does not fit.
    enforced: Option<Receipt>,
    /// From those in shadow mode.
    shadow: Option<Receipt>,
    /// How they stand now.
    standing: Option<Standing>,
}

impl<U: Upstream> Spine<U> {
    /// Takes from the limits that apply to a request all that it is thought to take, or refuses it. A policy without limits is
    /// not asked any further.
    pub(super) async fn charge(
        &self,
        visit: &mut Visit<'_>,
        caller: &Caller,
        asked: &TurnRequest,
    ) -> Result<Held, Refusal> {
        if !visit.policy.has_limits() {
            return Ok(Held::default());
        }
        // The rare way is boxed, so that a request without limits does not carry its room.
        Box::pin(self.take(visit, caller, asked)).await
    }

    async fn take(&self, visit: &mut Visit<'_>, caller: &Caller, asked: &TurnRequest) -> Result<Held, Refusal> {
        let ask = Ask { caller, targets: &asked.targets };
        let runs = runs(asked);
        let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
        let due = visit.policy.charges(&ask, &amounts);
        let watched = visit.policy.shadow_charges(&ask, &amounts);
        if due.is_empty() && watched.is_empty() {
            return Ok(Held::default());
        }
        let (enforced, standing) = self.take_enforced(visit, &due, &amounts).await?;
        let shadow = self.take_shadow(visit, &watched).await;
        Ok(Held(Some(Box::new(Receipts { enforced, shadow, standing }))))
    }

    async fn take_enforced(
        &self,
        visit: &Visit<'_>,
        due: &[Charge],
        amounts: &Amounts<'_>,
    ) -> Result<(Option<Receipt>, Option<Standing>), Refusal> {
        if due.is_empty() {
            return Ok((None, None));
        }
        let policy = &visit.policy;
        match self
            .parts
            .meter
            .take(due, |rule| policy.terms(rule), LIVES)
            .await
            .map_err(|error| Refusal::uncounted(&error))?
        {
            Taken::All { receipt, uses } => {
                let at = receipt.hold().map_or(visit.at, |hold| hold.at);
                let standing = Standing::of(due, &uses, |charge| policy.terms(&charge.rule), at);
                Ok((Some(receipt), standing))
            }
            Taken::Short { at, lacks } => {
                let prompt = amounts.runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.tokens.given()));
                let exceeded = Exceeded::of(policy, due, &lacks, at, prompt)
                    .ok_or_else(|| Refusal::uncounted("a limit that has no room is not in the policy"))?;
                Err(Refusal::Exceeded(Box::new(exceeded)))
            }
        }
    }

    /// Limits in shadow mode are counted as if they refused, and refuse nothing: neither where they have no room nor where
    /// they cannot be counted.
    async fn take_shadow(&self, visit: &mut Visit<'_>, watched: &[Charge]) -> Option<Receipt> {
        if watched.is_empty() {
            return None;
        }
        let policy = Arc::clone(&visit.policy);
        match self.parts.meter.take(watched, |rule| policy.terms(rule), LIVES).await {
            Ok(Taken::All { receipt, .. }) => Some(receipt),
            Ok(Taken::Short { lacks, .. }) => {
                let rules = lacks.iter().filter_map(|lack| watched.get(lack.draw)).map(|charge| charge.rule.clone());
                visit.shadowed_by(rules.collect::<Vec<RuleId>>());
                None
            }
            Err(error) => {
                tracing::debug!(%error, "limits in shadow mode cannot be counted");
                None
            }
        }
    }
}

// === impl Held ===

impl Held {
    /// LibreChat took the request, and runs it.
    pub(super) fn started(self) {
        drop(self);
    }

    /// LibreChat refused the request, or was never reached: everything is given back. Where the counters do not answer, that
    /// is done later, in the background.
    pub(super) async fn give_back(self) {
        let Some(receipts) = self.0 else { return };
        for receipt in [receipts.enforced, receipts.shadow].into_iter().flatten() {
            if let Err(error) = receipt.release().await {
                later(&error);
            }
        }
    }

    /// Sending failed with this refusal. What LibreChat has certainly not read is given back; it may run all else.
    pub(super) async fn failed(self, refusal: &Refusal) {
        match refusal {
            Refusal::Upstream(UpstreamFault::Connect(_) | UpstreamFault::NoneKnown) => self.give_back().await,
            _ => drop(self),
        }
    }

    /// Tells the caller how the limits stand.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(standing) = self.0.as_ref().and_then(|receipts| receipts.standing.as_ref()) {
            standing.write(headers);
        }
    }
}

// === helpers ===

fn later(error: &StoreError) {
    tracing::debug!(%error, "what a refused turn had taken is given back later");
}

/// What each model of a request is thought to take.
fn runs(asked: &TurnRequest) -> Vec<Run<'_>> {
    let input = (asked.body.len() as u64).div_ceil(BYTES_PER_TOKEN);
    let tokens = Tokens { input, ..Tokens::default() };
    let models = asked.targets.iter().filter_map(|target| match target {
        Target::Model { endpoint, model }
        | Target::Assistant { endpoint, model }
        | Target::Agent { part: Part::Model { endpoint, model }, .. } => Some((&**endpoint, &**model)),
        _ => None,
    });
    let mut runs: Vec<_> = models.map(|(endpoint, model)| Run { endpoint, model, tokens }).collect();
    if runs.is_empty() {
        runs.push(Run { endpoint: &asked.endpoint, model: asked.model.as_deref().unwrap_or_default(), tokens });
    }
    runs
}
