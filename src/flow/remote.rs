//! The remote-agent API: programs with a key of LibreChat's run stored agents and list them. The owner of the key is judged
//! as in a chat, by all that the agent runs; LibreChat itself does not judge the model of the agent there (CONTRACT.md B.6).

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::charges::{Runs, Sent};
use super::expected::Asking;
use super::govern::{as_our_json, unheld};
use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, hold};
use super::shown::{as_whole_answer, plain, private};
use super::visit::{Visit, about_turn};
use super::{Body, LONGEST_BODY, LONGEST_CATALOG, Spine, unfiltered};
use crate::identity::{Bearer, KeyFault};
use crate::librechat::agents;
use crate::librechat::content::json_body_expected;
use crate::librechat::remote::{Listed, select_run, shown_agent, shows_only, tools_of_run};
use crate::librechat::routes::Remote;
use crate::policy::{Caller, Mode, Outcome, Reason, Sight, Surface, Target, Verdict};
use crate::record::entry::Metadata;

impl<U: Upstream> Spine<U> {
    /// A request with a key.
    pub(super) async fn remote(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        part: Remote,
    ) -> Result<Response<Body<U>>, Refusal> {
        let holder = match self.parts.identity.key(&head.headers).await {
            Ok(holder) => holder,
            Err(fault) => return self.without_key(visit, head, body, fault).await,
        };
        let bearer = Arc::clone(&holder.bearer);
        visit.bearer = Some(holder.bearer);
        visit.key = Some(holder.key);
        let caller = self.caller(visit, &bearer).await.map_err(|refusal| match refusal {
            Refusal::Nobody => Refusal::Key(KeyFault::NoOwner),
            other => other,
        })?;
        match part {
            Remote::Run => self.run_remote(visit, head, body, &caller, &bearer).await,
            Remote::Models => self.list_remote(visit, head, &caller, &bearer).await,
            Remote::Model => self.show_remote(visit, head, &caller, &bearer).await,
            Remote::Answer => {
                self.judge(visit, &caller, &[Target::Surface(Surface::RemoteApi)], Metadata::default())?;
                self.pass(visit, head, body, Some(bearer)).await
            }
        }
    }

    /// A request whose caller cannot be told. Where nothing is enforced, what LibreChat might accept all the same goes on:
    /// any key where keys cannot be looked up, and tokens of an identity provider, which LibreChat can be set to accept.
    async fn without_key(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        fault: KeyFault,
    ) -> Result<Response<Body<U>>, Refusal> {
        let refusal = match fault {
            KeyFault::NoAnswer(error) => return Err(Refusal::NoDirectory(error)),
            KeyFault::NoStore => Refusal::RemoteApi,
            KeyFault::NotAKey => Refusal::Key(KeyFault::NotAKey),
            fault => return Err(Refusal::Key(fault)),
        };
        if visit.policy.mode() == Mode::Enforce {
            return Err(refusal);
        }
        let reason = Reason::Surface(Surface::RemoteApi);
        let verdict = Verdict { outcome: Outcome::Shadowed(reason), because: refusal.rules() };
        visit.decide(&verdict, Metadata::default());
        self.counted.decided(&verdict);
        self.pass(visit, head, body, None).await
    }

    /// Runs an agent: hold, select, decide, forward what was judged. The answer is the run itself, and streams through; when
    /// the caller leaves, the connection to LibreChat is closed with it, which ends the run (CONTRACT.md G.2).
    async fn run_remote(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        caller: &Caller,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        json_body_expected(&head.headers)?;
        let room = self.room(&body, &bearer.user)?;
        let body = hold(body, LONGEST_BODY, self.parts.patience.body).await.map_err(unheld)?;
        let mut asked = select_run(&body)?;
        drop(body);
        if visit.policy.limits_tools() {
            asked.targets.extend(tools_of_run(&asked.body)?);
        }
        asked.targets = self.look_into_agents(&visit.policy, asked.targets).await?;
        self.judge(visit, caller, &asked.targets, about_turn(&asked))?;
        let asking = Asking { head: &head, caller, bearer, run: Some(Runs::Agent), alone: None };
        let held = self.charge(visit, asking, &mut asked).await?;
        visit.start_turn(&asked);
        // A key is for these routes alone: with it LibreChat cannot be asked how far a turn is.
        let sent = self.follow(visit, &asked, held, None).await?;
        let head = as_our_json(head, &asked.body);
        let body = Outgoing::Whole(Some(room.until_sent(asked.body)));
        let answer = self.send_within(visit, head, body, Some(bearer), self.parts.patience.idle).await;
        self.running(visit, answer, sent, Runs::Agent, |answer| answer.status().is_success()).await
    }

    /// The answer to a request that is the run itself, read along on its way, or LibreChat's refusal.
    pub(super) async fn running(
        &self,
        visit: &mut Visit<'_>,
        answer: Result<Response<U::Outbound>, Refusal>,
        sent: Sent,
        what: Runs,
        runs: impl FnOnce(&Response<U::Outbound>) -> bool,
    ) -> Result<Response<Body<U>>, Refusal> {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(refusal) => {
                sent.failed(visit, &refusal).await;
                return Err(refusal);
            }
        };
        let runs = runs(&answer);
        sent.tell(answer.headers_mut());
        let (head, body) = answer.into_parts();
        let reader = if runs {
            visit.running(head.status, true);
            sent.running(visit, &head, what)
        } else {
            sent.give_back(visit).await;
            visit.running(head.status, false);
            None
        };
        Ok(Response::from_parts(head, Reply::watched(body, self.parts.patience.idle, reader)))
    }

    /// Lists the agents that the owner of the key may use.
    async fn list_remote(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        caller: &Caller,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        self.judge(visit, caller, &[Target::Surface(Surface::RemoteApi)], Metadata::default())?;
        let policy = Arc::clone(&visit.policy);
        let view = policy.view(caller);
        let narrow = async |body: Bytes| {
            if view.every_agent() {
                return Ok(body);
            }
            let listed = Listed::read(&body)?;
            let usable = self.usable_agents(&policy, listed.ids(), &view).await?;
            Ok(listed.only(&usable)?)
        };
        self.shown_remote(visit, head, bearer, narrow).await
    }

    /// Shows one agent, if the owner of the key may use it. A hidden one is as good as not there.
    async fn show_remote(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        caller: &Caller,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        let agent: Option<Box<str>> = shown_agent(head.uri.path()).map(Into::into);
        let every_agent = visit.policy.view(caller).every_agent();
        let mut targets = vec![Target::Surface(Surface::RemoteApi)];
        match &agent {
            Some(agent) if !every_agent => {
                targets.push(agents::named(agent));
                targets = self.look_into_agents(&visit.policy, targets).await?;
            }
            None if !every_agent => {
                targets.push(Target::Agent { agent: "an agent".into(), part: agents::hidden("an agent") });
            }
            _ => {}
        }
        let about = Metadata { agent: agent.as_deref().map(Into::into), ..Metadata::default() };
        self.judge(visit, caller, &targets, about).map_err(Refusal::hiding_the_agent)?;
        let narrow = async |body: Bytes| {
            match &agent {
                Some(agent) if !every_agent => shows_only(&body, agent)?,
                _ => {}
            }
            Ok(body)
        };
        self.shown_remote(visit, head, bearer, narrow).await
    }

    /// Asks LibreChat for a whole, plain answer, and passes on what `narrow` leaves of it.
    async fn shown_remote(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        bearer: &Bearer,
        narrow: impl AsyncFnOnce(Bytes) -> Result<Bytes, Refusal>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let only_head = head.method == Method::HEAD;
        let answer = self.send(visit, as_whole_answer(head), Outgoing::Whole(None), Some(bearer)).await?;
        if answer.status() != StatusCode::OK {
            return self.not_a_catalog(visit, answer);
        }
        let (mut head, body) = answer.into_parts();
        plain(&head.headers)?;
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let body = narrow(body).await?;
        visit.forwarded(head.status, None);
        private(&mut head.headers, body.len());
        Ok(Response::from_parts(head, Reply::whole(if only_head { Bytes::new() } else { body })))
    }
}
