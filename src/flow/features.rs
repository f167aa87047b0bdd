//! What chooses no model and a policy may close: keys of one's own, speech.

use std::sync::Arc;

use http::Response;
use http::request::Parts;

use super::govern::as_our_json;
use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::Reply;
use super::visit::Visit;
use super::{Body, Spine};
use crate::identity::Bearer;
use crate::librechat::keys;
use crate::librechat::path::CanonicalPath;
use crate::policy::{Feature, Target};
use crate::record::entry::Metadata;

impl<U: Upstream> Spine<U> {
    /// A request that the policy may close, for callers from whom something is kept.
    pub(super) async fn feature(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        feature: Feature,
        bearer: Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let caller = self.caller(visit, &bearer).await?;
        if feature == Feature::Speech || visit.policy.view(&caller).is_unrestricted() {
            self.judge(visit, &caller, &[Target::Feature(feature)], Metadata::default())?;
            return self.pass(visit, head, body, Some(bearer)).await;
        }
        // Whether a key is stored or taken away, and for what, is in the body.
        let path = CanonicalPath::of(&head.uri)?;
        let (body, _room) = self.held_json(&head, body, &bearer.user).await?;
        let key = keys::read(&path, &body)?;
        let about = Metadata { endpoint: key.endpoint.as_deref().map(Into::into), ..Metadata::default() };
        let mut targets = Vec::new();
        if key.stores {
            targets.push(Target::Feature(feature));
            targets.extend(key.endpoint.map(Target::Endpoint));
        }
        self.judge(visit, &caller, &targets, about)?;
        let head = as_our_json(head, &key.body);
        let answer = self.send(visit, head, Outgoing::Whole(Some(key.body)), Some(&bearer)).await?;
        visit.forwarded(answer.status(), None);
        Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)))
    }
}
