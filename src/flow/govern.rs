//! What is judged: chat turns, surfaces, administration.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};
use tokio::sync::OwnedSemaphorePermit;

use super::charges::Sent;
use super::expected::Asking;
use super::passage::{BodyFault, Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, Unheld, hold};
use super::shares::Share;
use super::turns::Alone;
use super::visit::{Visit, about_turn};
use super::{Body, LONGEST_BODY, LONGEST_CATALOG, LONGEST_START, Spine, SpineParts, unfiltered};
use crate::identity::Bearer;
use crate::librechat::content::json_body_expected;
use crate::librechat::routes::{Access, Route};
use crate::librechat::selection::{TurnRequest, select_turn};
use crate::librechat::specs::SpecLookup;
use crate::librechat::unreadable::Unreadable;
use crate::librechat::{agents, answers, tools};
use crate::policy::{Ask, Caller, Mode, Outcome, Part, Reason, RuleId, Snapshot, Surface, Target, Verdict, decide};
use crate::record::entry::Metadata;

/// LibreChat's role for its administrators (CONTRACT.md A.3).
const ADMIN: &str = "ADMIN";

/// The rule under which administration passes.
const ADMINS: &str = "route.admins-only";

/// What somebody reads whom `blocked` turns away.
const BLOCKED: &str = "Your account may not be used here. Ask your administrator.";

/// What somebody reads whom `email_domains` turns away.
const OUTSIDE: &str = "Accounts with your e-mail address may not be used here. Ask your administrator.";

/// The rule of that.
const EMAIL_DOMAINS: &str = "email_domains";

/// Room for one body, as long as this is kept.
pub(super) struct Room {
    _share: Share,
    _permit: OwnedSemaphorePermit,
}

impl<U: Upstream> Spine<U> {
    /// A chat turn: hold, select, decide, forward what was judged, watch for the stream it starts.
    pub(super) async fn turn(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: &Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        json_body_expected(&head.headers)?;
        let _room = self.room(&body, &bearer.user)?;
        let body = hold(body, LONGEST_BODY, self.parts.patience.body).await.map_err(unheld)?;
        let mut asked = select_turn(&body)?;
        let caller = self.caller(visit, bearer).await?;
        asked.targets.extend(self.targets_of_specs(visit, &head, &asked, bearer).await?);
        if visit.policy.limits_tools() {
            asked.targets.extend(tools::of_turn(&asked.body)?);
        }
        if asked.targets.iter().any(|target| agents::unresolved(target).is_some()) {
            asked.targets = Box::pin(self.look_into_agents(&visit.policy, asked.targets)).await?;
        }
        self.judge(visit, &caller, &asked.targets, about_turn(&asked))?;
        let alone = self.alone(visit, &asked, bearer).await?;
        let asking = Asking { head: &head, caller: &caller, bearer, run: None, alone: alone.as_ref() };
        let held = self.charge(visit, asking, &mut asked).await?;
        visit.start_turn(&asked);
        let sent = self.follow(visit, &asked, held, Some(bearer)).await?;
        let answer = self.send(visit, as_our_json(head, &asked.body), Outgoing::Whole(Some(asked.body)), Some(bearer));
        match answer.await {
            Ok(answer) => self.watch_start(visit, answer, sent).await,
            Err(refusal) => {
                sent.failed(visit, &refusal).await;
                Err(refusal)
            }
        }
    }

    /// Where something may be taken for a turn, no other turn of this user runs in its conversation while it goes to LibreChat.
    async fn alone(&self, visit: &Visit<'_>, asked: &TurnRequest, bearer: &Bearer) -> Result<Option<Alone>, Refusal> {
        let Some(conversation) = &asked.conversation else { return Ok(None) };
        if !visit.policy.has_limits() && !self.may_check_balance(visit) {
            return Ok(None);
        }
        let SpineParts { turns, upstream, identity, .. } = &self.parts;
        let alone = Box::pin(turns.alone(&bearer.user, conversation, upstream, identity));
        alone.await.map(Some).ok_or(Refusal::Running)
    }

    /// Room for a body of this person that is held, until the turn has gone to LibreChat.
    pub(super) fn room(&self, body: &U::Inbound, user: &Arc<str>) -> Result<Room, Refusal> {
        let longest = LONGEST_BODY as u64;
        let most = http_body::Body::size_hint(body).upper().unwrap_or(longest).min(longest);
        let kibibytes = u32::try_from(most / 1024 + 1).unwrap_or(u32::MAX);
        let share = self.shares.take(user, kibibytes).ok_or(Refusal::NoRoom)?;
        let permit = Arc::clone(&self.held).try_acquire_many_owned(kibibytes).map_err(|_| Refusal::NoRoom)?;
        Ok(Room { _share: share, _permit: permit })
    }

    /// What the model specs that a turn names stand for: it is judged by them and by its body (CONTRACT.md B.13).
    pub(super) async fn targets_of_specs(
        &self,
        visit: &Visit<'_>,
        head: &Parts,
        asked: &TurnRequest,
        bearer: &Bearer,
    ) -> Result<Vec<Target>, Refusal> {
        let mut targets = Vec::new();
        for name in asked.spec.iter().chain(&asked.added_spec) {
            let specs = Box::pin(self.specs(visit, head, bearer)).await?;
            let counts = |target: &Target| visit.policy.limits_tools() || !matches!(target, Target::Tool(_));
            match specs.targets(name) {
                SpecLookup::Found(more) => targets.extend(more.into_iter().filter(counts)),
                // Old conversations name specs that are gone. LibreChat passes over them unless it enforces specs, and then
                // refuses by itself (CONTRACT.md B.2), so that a policy that refuses nothing need not.
                SpecLookup::Unknown if visit.policy.mode() == Mode::Shadow => {}
                SpecLookup::Unknown => return Err(Refusal::NoSuchSpec),
                SpecLookup::NoList => {}
            }
        }
        Ok(targets)
    }

    /// Asks the policy, and writes down what it said.
    pub(super) fn judge(
        &self,
        visit: &mut Visit<'_>,
        caller: &Caller,
        targets: &[Target],
        about: Metadata,
    ) -> Result<(), Refusal> {
        let verdict = decide(&visit.policy, &Ask { caller, targets });
        visit.decide(&verdict, about);
        self.counted.decided(&verdict);
        match verdict {
            Verdict { outcome: Outcome::Deny(reason), because } => {
                let message = sentence(&visit.policy, caller, &reason);
                Err(Refusal::Denied { reason, rules: because, message })
            }
            _ => Ok(()),
        }
    }

    /// Refuses whom the policy turns away, whatever is asked for. In shadow mode whatever is judged afterwards tells of it.
    pub(super) fn let_in(&self, visit: &mut Visit<'_>, caller: &Caller) -> Result<(), Refusal> {
        let Some(rule) = visit.policy.turned_away(caller).filter(|_| visit.policy.mode() == Mode::Enforce) else {
            return Ok(());
        };
        let because = vec![rule.clone()];
        let message = if rule.as_str() == EMAIL_DOMAINS { OUTSIDE } else { BLOCKED };
        let verdict = Verdict { outcome: Outcome::Deny(Reason::Caller), because: because.clone() };
        visit.decide(&verdict, Metadata::default());
        self.counted.decided(&verdict);
        Err(Refusal::Denied { reason: Reason::Caller, rules: because, message: message.to_owned() })
    }

    /// The answer to a turn: short JSON naming the stream that was started, or LibreChat's own refusal, which passes.
    pub(super) async fn watch_start(
        &self,
        visit: &mut Visit<'_>,
        answer: Response<U::Outbound>,
        sent: Sent,
    ) -> Result<Response<Body<U>>, Refusal> {
        let short = http_body::Body::size_hint(answer.body()).upper().is_some_and(|bytes| bytes <= LONGEST_START);
        if !short {
            // What does not look like a refusal may be a turn that runs.
            if answers::is_refusal(answer.status(), answer.headers()) {
                sent.give_back(visit).await;
            }
            visit.forwarded(answer.status(), None);
            return Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)));
        }
        let (mut head, body) = answer.into_parts();
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let stream = answers::started_stream(&body);
        sent.tell(&mut head.headers);
        match &stream {
            None => {
                sent.give_back(visit).await;
                visit.forwarded(head.status, None);
            }
            Some(named) => {
                visit.forwarded(head.status, stream.clone());
                sent.started(visit, Arc::clone(named), head.status);
            }
        }
        Ok(Response::from_parts(head, Reply::whole(body)))
    }

    /// A call of a tool by itself. Its body streams through unread: the path says which tool it is. Where the policy says
    /// nothing about tools, there is nothing to judge.
    pub(super) async fn tool(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        if visit.policy.limits_tools() {
            let tool = tools::called(head.uri.path()).ok_or(Refusal::Closed)?;
            let caller = self.caller(visit, &bearer).await?;
            self.judge(visit, &caller, &[tool], Metadata::default())?;
        }
        self.pass(visit, head, body, Some(bearer)).await
    }

    /// LibreChat's administration: for its administrators, by the directory's word.
    pub(super) async fn admin(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        route: &Route,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        if let (Access::Token, Some(bearer)) = (route.access, &bearer) {
            let caller = self.caller(visit, bearer).await?;
            if caller.role.as_ref() != ADMIN {
                return Err(Refusal::NotAdmin);
            }
            // What administrators change here may change what everybody may use.
            visit.decide(&Verdict { outcome: Outcome::Allow, because: vec![RuleId::new(ADMINS)] }, Metadata::default());
        }
        let changes = head.method != Method::GET && head.method != Method::HEAD;
        if changes && self.parts.recorder.durable().admin {
            self.keep_ahead(visit).await?;
        }
        let answer = self.pass(visit, head, body, bearer).await;
        if changes {
            // Whether it answered or not, LibreChat may offer something else from now on.
            self.catalogue.forget();
        }
        answer
    }
}

// === impl Room ===

impl Room {
    /// A body that keeps this room until LibreChat has it. An answer may begin long after that, when an agent has finished:
    /// nobody else's request waits for it.
    pub(super) fn until_sent(self, body: Bytes) -> Bytes {
        struct Roomy {
            body: Bytes,
            _room: Room,
        }
        impl AsRef<[u8]> for Roomy {
            fn as_ref(&self) -> &[u8] {
                &self.body
            }
        }
        Bytes::from_owner(Roomy { body, _room: self })
    }
}

/// The operator's sentence for a refusal.
fn sentence(policy: &Snapshot, caller: &Caller, reason: &Reason) -> String {
    match reason {
        Reason::Caller => BLOCKED.to_owned(),
        Reason::Model { endpoint, model } => policy.message_model_denied(endpoint, model, &caller.role),
        Reason::Agent { part: Part::Unjudged(unjudged), .. } => agents::sentence(unjudged).to_owned(),
        Reason::Agent { .. } => agents::DENIED.to_owned(),
        Reason::Tool(tool) => tools::sentence(tool),
        Reason::Endpoint(endpoint) => {
            format!("You may use no model of {endpoint}, so that it is closed to you. Ask your administrator.")
        }
        Reason::Feature(feature) => {
            format!("Your access is limited, and {} are not open to limited accounts.", feature.as_str())
        }
        Reason::Surface(Surface::RemoteApi) => {
            "The remote-agent API is closed here. Ask your administrator.".to_owned()
        }
        Reason::Surface(surface) => {
            format!("Your access is limited to certain models, and {} cannot be limited to them yet.", surface.as_str())
        }
    }
}

/// The head of a request whose body is our own JSON.
pub(super) fn as_our_json(mut head: Parts, body: &Bytes) -> Parts {
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    head.headers.remove(header::CONTENT_ENCODING);
    // The answer is looked into: it must come as plain text.
    head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    head
}

pub(super) fn unheld(fault: Unheld<BodyFault>) -> Refusal {
    match fault {
        Unheld::TooLarge => Refusal::Unreadable(Unreadable::TooLarge),
        Unheld::Slow => Refusal::Slow,
        Unheld::Broken(fault) => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::super::shares::Shares;
    use super::*;

    #[test]
    fn a_body_has_its_room_until_its_last_byte_is_gone() {
        let (held, shares, bob) = (Arc::new(Semaphore::new(100)), Arc::new(Shares::new(100)), Arc::from("bob"));
        let room = Room {
            _share: shares.take(&bob, 80).unwrap(),
            _permit: Arc::clone(&held).try_acquire_many_owned(80).unwrap(),
        };
        let mut body = room.until_sent("judged".into());
        let rest = body.split_off(3);
        drop(body);
        assert_eq!((&*rest, held.available_permits()), (&b"ged"[..], 20));
        assert!(shares.take(&bob, 21).is_none());
        drop(rest);
        assert_eq!(held.available_permits(), 100);
        assert!(shares.take(&bob, 100).is_some());
    }
}
