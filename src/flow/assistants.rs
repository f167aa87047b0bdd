//! OpenAI's and Azure's assistants. Who may use everything there is passes unread, who may use no assistants is refused; in
//! between, where the policy has opened them, each request is judged by the model that it names, and each answer narrowed.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};

use super::charges::Runs;
use super::expected::Asking;
use super::govern::{Room, as_our_json, unheld};
use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, hold};
use super::shown::{as_whole_answer, plain, private};
use super::visit::{Visit, about_turn};
use super::{Body, LONGEST_BODY, LONGEST_CATALOG, Spine, unfiltered};
use crate::identity::Bearer;
use crate::librechat::assistants::{self, Named, Part, shown};
use crate::librechat::content::json_body_expected;
use crate::librechat::path::CanonicalPath;
use crate::policy::{Caller, Surface, Target};
use crate::record::entry::Metadata;

/// Why a picture cannot be uploaded: its form names the model, and forms pass unread.
const NO_PICTURES: &str = "The form of this upload names a model and cannot be judged. Ask somebody whose access is not \
                           limited to upload the picture.";

impl<U: Upstream> Spine<U> {
    /// A request to the assistants API.
    pub(super) async fn assistants(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        part: Part,
        bearer: Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let caller = self.caller(visit, &bearer).await?;
        let by_model = visit.policy.view(&caller).judges_assistants();
        if !by_model || part == Part::Avatar {
            let judged = self.judge(visit, &caller, &[Target::Surface(Surface::Assistants)], Metadata::default());
            judged.map_err(|refusal| if by_model { refusal.saying(NO_PICTURES) } else { refusal })?;
            // What a run takes from limits is told by the model that it names.
            let counted = part == Part::Chat && (visit.policy.has_limits() || self.may_check_balance(visit));
            if part != Part::Abort && !counted {
                return self.pass(visit, head, body, Some(bearer)).await;
            }
        }
        let path = CanonicalPath::of(&head.uri)?;
        let (body, _room) = self.held_json(&head, body, &bearer.user).await?;
        let named = match part {
            // What this guards is another person's stream, so that it holds for everybody.
            Part::Abort => assistants::read_abort(&path, &body)?,
            _ => assistants::read(part, &path, &body)?,
        };
        match part {
            Part::Chat => self.run(visit, head, named, &caller, &bearer).await,
            _ => self.narrowed(visit, head, part, named, by_model.then_some(&*caller), &bearer).await,
        }
    }

    /// A body that is held, of a request that may have none, and its room, to be kept until LibreChat has it.
    pub(super) async fn held_json(
        &self,
        head: &Parts,
        body: U::Inbound,
        user: &Arc<str>,
    ) -> Result<(Bytes, Option<Room>), Refusal> {
        if http_body::Body::is_end_stream(&body) {
            return Ok((Bytes::new(), None));
        }
        json_body_expected(&head.headers)?;
        let room = self.room(&body, user)?;
        let body = hold(body, LONGEST_BODY, self.parts.patience.body).await.map_err(unheld)?;
        Ok((body, Some(room)))
    }

    /// A chat: its answer is the stream itself.
    async fn run(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        named: Named,
        caller: &Caller,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        let mut asked = named.into_turn()?;
        asked.targets.extend(self.targets_of_specs(visit, &head, &asked, bearer).await?);
        asked.targets = self.look_into_agents(&visit.policy, asked.targets).await?;
        self.judge(visit, caller, &asked.targets, about_turn(&asked))?;
        let asking = Asking { head: &head, caller, bearer, run: Some(Runs::Assistant), alone: None };
        let held = self.charge(visit, asking, &mut asked).await?;
        visit.start_turn(&asked);
        let sent = self.follow(visit, &asked, held, None).await?;
        let head = as_our_json(head, &asked.body);
        let answer = self.send(visit, head, Outgoing::Whole(Some(asked.body)), Some(bearer)).await;
        // LibreChat's own refusals are events without the type of a stream (CONTRACT.md E.6).
        let streams = |answer: &Response<U::Outbound>| {
            let kind = answer.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
            kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
        };
        self.running(visit, answer, sent, Runs::Assistant, streams).await
    }

    /// Anything else: judged, unless there is no caller to judge by, and its answer narrowed.
    async fn narrowed(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        part: Part,
        named: Named,
        judged: Option<&Caller>,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        if let Some(caller) = judged {
            let about =
                Metadata { endpoint: named.endpoint.clone(), model: named.model.clone(), ..Metadata::default() };
            self.judge(visit, caller, &named.targets(), about)?;
        }
        let method = head.method.clone();
        let only_head = method == Method::HEAD;
        let mut head = as_whole_answer(head);
        if !only_head {
            head.method = method;
        }
        let head = match &named.body {
            Some(body) => as_our_json(head, body),
            None => head,
        };
        let answer = self.send(visit, head, Outgoing::Whole(named.body), Some(bearer)).await?;
        let caller = match judged {
            Some(caller) if shown::names_models(part) && answer.status() != StatusCode::NO_CONTENT => caller,
            _ => {
                visit.forwarded(answer.status(), None);
                return Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)));
            }
        };
        if !answer.status().is_success() {
            return self.not_a_catalog(visit, answer);
        }
        let (mut head, body) = answer.into_parts();
        plain(&head.headers)?;
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let body = shown::narrow(part, named.endpoint.as_deref(), &body, &visit.policy.view(caller))?;
        visit.forwarded(head.status, None);
        private(&mut head.headers, body.len());
        Ok(Response::from_parts(head, Reply::whole(if only_head { Bytes::new() } else { body })))
    }
}
