//! Stored agents read and written: judged by all that they run, or would run afterwards, before LibreChat sees the request,
//! and narrowed in LibreChat's answer (CONTRACT.md B.7, C.1).

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};

use super::govern::{as_our_json, unheld};
use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, hold};
use super::shown::{as_plain_answer, as_whole_answer, plain, private};
use super::visit::{Visit, about_agent};
use super::{Body, LONGEST_BODY, LONGEST_CATALOG, Spine, unfiltered};
use crate::identity::Bearer;
use crate::librechat::agents::written::{self, has_body, in_path};
use crate::librechat::agents::{self, shown};
use crate::librechat::content::json_body_expected;
use crate::librechat::json::{Canonical, Limits, read_strict};
use crate::librechat::path::CanonicalPath;
use crate::librechat::routes::Deed;
use crate::policy::{Part, Reason, Sight, Target, View};

impl<U: Upstream> Spine<U> {
    /// Something is done with a stored agent. LibreChat receives the body that was judged; what says nothing about what the
    /// agent runs (a picture, an action where nothing limits tools) streams through unread.
    pub(super) async fn agent(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        deed: Deed,
        bearer: Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let agent = in_path(deed, &CanonicalPath::of(&head.uri)?)?;
        if !has_body(deed, visit.policy.limits_tools()) {
            return self.with_agent(visit, head, Outgoing::streamed(body), (deed, &agent, None), &bearer).await;
        }
        json_body_expected(&head.headers)?;
        let _room = self.room(&body, &bearer.user)?;
        let body = hold(body, LONGEST_BODY, self.parts.patience.body).await.map_err(unheld)?;
        let body = read_strict(&body, Limits::CHAT)?;
        let head = as_our_json(head, &body.text());
        let outgoing = Outgoing::Whole(Some(body.text()));
        self.with_agent(visit, head, outgoing, (deed, &agent, Some(&body)), &bearer).await
    }

    async fn with_agent(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: Outgoing<U::Inbound>,
        (deed, agent, written): (Deed, &str, Option<&Canonical>),
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        let written = written.map(|body| written::written(deed, body)).transpose()?.flatten();
        let caller = self.caller(visit, bearer).await?;
        let targets = self.look_into_written(&visit.policy, agent, written.as_ref()).await?;
        self.judge(visit, &caller, &targets, about_agent(agent, &targets))?;
        let policy = Arc::clone(&visit.policy);
        let view = policy.view(&caller);
        if view.everything() {
            let answer = self.send(visit, head, body, Some(bearer)).await?;
            visit.forwarded(answer.status(), None);
            return Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)));
        }
        let only_head = head.method == Method::HEAD;
        let head = if deed == Deed::Show { as_whole_answer(head) } else { as_plain_answer(head) };
        let answer = self.send(visit, head, body, Some(bearer)).await?;
        if !answer.status().is_success() {
            return self.not_a_catalog(visit, answer);
        }
        let (mut head, body) = answer.into_parts();
        plain(&head.headers)?;
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let body = narrowed(deed, agent, &body, policy.agent_parameters(), &view)?;
        visit.forwarded(head.status, None);
        private(&mut head.headers, body.len());
        Ok(Response::from_parts(head, Reply::whole(if only_head { Bytes::new() } else { body })))
    }
}

/// The answer as the caller may see it. An agent that is another one than was judged a moment ago is not shown.
fn narrowed(deed: Deed, agent: &str, body: &Bytes, extra: &[Box<str>], view: &View<'_>) -> Result<Bytes, Refusal> {
    let may = |shown: &agents::Agent| {
        let part = Part::Model { endpoint: shown.endpoint.clone(), model: shown.model.clone() };
        view.target(&Target::Agent { agent: agent.into(), part })
    };
    shown::narrowed(deed, body, extra, may)?.ok_or_else(|| Refusal::Denied {
        reason: Reason::Agent { agent: agent.into(), part: agents::changed(agent) },
        rules: Vec::new(),
        message: agents::DENIED.to_owned(),
    })
}
