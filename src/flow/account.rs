//! LibreChat's balance: what a turn is thought to cost is held against it, and the caller may be shown Tollgate's account instead.
//!
//! LibreChat looks at the prompt alone, reserves nothing, and does not look at all on the remote-agent API (CONTRACT.md E.2). What it
//! never debits, as for turns that were stopped, goes on counting against the balance here.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::charges::Runs;
use super::expected::Asking;
use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, hold};
use super::shown::{as_whole_answer, plain, private};
use super::visit::Visit;
use super::{Body, LONGEST_CATALOG, Spine, unfiltered};
use crate::identity::Bearer;
use crate::librechat::answers;
use crate::librechat::balance::{self, Balance, CREDIT, Settings};
use crate::librechat::specs::Specs;
use crate::policy::charge::Charge;
use crate::policy::limits::Measure;
use crate::policy::{Caller, Mode};

/// What is done about LibreChat's balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceUse {
    /// Whether turns are held against them, where LibreChat checks them.
    pub check: bool,
    /// Whether the caller is shown what is left by Tollgate's limits of money in place of LibreChat's balance.
    pub show_own: bool,
}

impl<U: Upstream> Spine<U> {
    /// Whether LibreChat's balances can be looked at for this request at all.
    pub(super) fn may_check_balance(&self, visit: &Visit<'_>) -> bool {
        self.parts.balance.check && self.parts.accounts.is_some() && visit.policy.mode() == Mode::Enforce
    }

    /// What the caller has in LibreChat's balance; none where LibreChat does not check balances.
    pub(super) async fn balance_of(&self, visit: &Visit<'_>, asking: &Asking<'_>) -> Result<Option<Balance>, Refusal> {
        let Some(accounts) = self.parts.accounts.as_ref().filter(|_| self.may_check_balance(visit)) else {
            return Ok(None);
        };
        let settings = match asking.run {
            // A key opens no settings. Who has a balance is held to it.
            Some(Runs::Agent) => None,
            Some(Runs::Assistant) | None => Some(self.balance_settings(visit, asking.head, asking.bearer).await?),
        };
        if settings.as_ref().is_some_and(|settings| !settings.enabled) {
            return Ok(None);
        }
        let document = accounts.balance(&asking.caller.user).await.map_err(|error| Refusal::uncounted(&error))?;
        let balance = match (&settings, &document) {
            (Some(settings), _) => Balance::read(document.as_ref(), settings),
            (None, Some(_)) => Balance::read(document.as_ref(), &Settings::checked()),
            (None, None) => return Ok(None),
        };
        balance.map(Some).map_err(Refusal::StrangeBalance)
    }

    /// LibreChat's settings for this user's balance, asked with the user's own token.
    async fn balance_settings(
        &self,
        visit: &Visit<'_>,
        asked: &Parts,
        bearer: &Bearer,
    ) -> Result<Arc<Settings>, Refusal> {
        if let Some(settings) = self.catalogue.balance(&bearer.user) {
            return Ok(settings);
        }
        let body = self.ask_librechat(visit, asked, answers::CONFIG, bearer).await?;
        // LibreChat takes the token for nobody's, perhaps because it has just ended: then it has not said anything about a user.
        let specs = Specs::read(&body)?.ok_or(Refusal::Nobody)?;
        self.catalogue.keep_specs(&bearer.user, specs);
        Ok(self.catalogue.keep_balance(&bearer.user, Settings::read(&body)?))
    }

    /// `GET /api/balance`: passes, or tells what is left by the caller's own limits of money.
    pub(super) async fn shown_balance(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let bearer = match bearer {
            Some(bearer) if self.parts.balance.show_own => bearer,
            bearer => return self.pass(visit, head, body, bearer).await,
        };
        let caller = self.caller(visit, &bearer).await?;
        let left = self.funds_left(visit, &caller).await?;
        let only_head = head.method == Method::HEAD;
        let answer = self.send(visit, as_whole_answer(head), Outgoing::Whole(None), Some(&bearer)).await?;
        let (Some(left), StatusCode::OK) = (left, answer.status()) else {
            visit.forwarded(answer.status(), None);
            return Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)));
        };
        let (mut head, body) = answer.into_parts();
        plain(&head.headers)?;
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let body = balance::with_credits(&body, left)?;
        visit.forwarded(head.status, None);
        private(&mut head.headers, body.len());
        Ok(Response::from_parts(head, Reply::whole(if only_head { bytes::Bytes::new() } else { body })))
    }

    /// What is left by the caller's limits of money that refuse, in LibreChat's credits: by the one that has least. None
    /// where there is no such limit.
    async fn funds_left(&self, visit: &Visit<'_>, caller: &Caller) -> Result<Option<u64>, Refusal> {
        let held = visit.policy.limits_of(caller).into_iter();
        let charges: Vec<Charge> = held
            .filter(|limit| limit.measure == Measure::Cost && limit.mode == Mode::Enforce)
            .map(|limit| limit.charge)
            .collect();
        if charges.is_empty() {
            return Ok(None);
        }
        let reading = self.parts.meter.read(&charges).await.map_err(|error| Refusal::uncounted(&error))?;
        let left = charges.iter().zip(&reading.uses).map(|(charge, used)| charge.ceiling.saturating_sub(used.used));
        Ok(left.min().map(|picodollars| picodollars / CREDIT))
    }
}
