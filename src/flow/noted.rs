//! What passes unread and leaves an entry: signing in, and what becomes of people's data.

use std::sync::Arc;

use http::Response;
use http::request::Parts;

use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::Reply;
use super::visit::Visit;
use super::{Body, Spine};
use crate::identity::{self, Bearer};
use crate::librechat::routes::Noted;
use crate::policy::{Outcome, RuleId, Verdict};
use crate::record::entry::Metadata;

/// The rule that lets pass what no policy decides.
const PASSES: &str = "route.passes";

impl<U: Upstream> Spine<U> {
    /// Passes it both ways unread, and writes down how LibreChat has answered.
    pub(super) async fn noted(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        noted: Noted,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        // Whom an identity provider's token stands for is said by the directory alone. If it does not, nobody is named.
        if let Some(bearer) = bearer.as_ref().filter(|bearer| bearer.federated.is_some())
            && Box::pin(self.caller(visit, bearer)).await.is_err()
        {
            visit.bearer = None;
        }
        visit.decide(&Verdict { outcome: Outcome::Allow, because: vec![RuleId::new(PASSES)] }, Metadata::default());
        if noted == Noted::Roles && self.parts.recorder.durable().admin {
            self.keep_ahead(visit).await?;
        }
        let answer = self.send(visit, head, Outgoing::streamed(body), bearer.as_deref()).await?;
        if matches!(noted, Noted::SignIn | Noted::Register) {
            visit.let_in = identity::begun_for(answer.headers());
        }
        visit.forwarded(answer.status(), None);
        Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)))
    }
}
