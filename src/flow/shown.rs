//! What is shown: catalogues narrowed to what the caller may use, and what LibreChat is asked for that.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

use super::passage::{Outgoing, Upstream};
use super::refusal::Refusal;
use super::reply::{Reply, hold};
use super::visit::Visit;
use super::{Body, LONGEST_CATALOG, Spine, unfiltered};
use crate::identity::Bearer;
use crate::librechat::agents::shown::Listed;
use crate::librechat::answers;
use crate::librechat::catalog::{self, ModelsAnswer};
use crate::librechat::routes::Catalog;
use crate::librechat::specs::Specs;
use crate::policy::{Outcome, Sight, Surface, Target, Verdict, View};
use crate::record::entry::Metadata;

impl<U: Upstream> Spine<U> {
    /// A catalogue: LibreChat is always asked for the whole, plain answer, and the caller sees what they may use of it.
    pub(super) async fn catalog(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        kind: Catalog,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let only_head = head.method == Method::HEAD;
        let head = as_whole_answer(head);
        let known = match &bearer {
            Some(bearer) => Some((bearer, self.caller(visit, bearer).await)),
            None => None,
        };
        let (bearer, caller) = match known {
            Some((bearer, Ok(caller))) => (bearer, caller),
            // LibreChat takes a good token without a user for no token where it asks for none (CONTRACT.md A.2 e).
            Some((_, Err(Refusal::Nobody | Refusal::Unproven(_)))) if kind == Catalog::Config => {
                return self.anonymous_catalog(visit, head, kind, only_head).await;
            }
            Some((_, Err(refusal))) => return Err(refusal),
            None => return self.anonymous_catalog(visit, head, kind, only_head).await,
        };
        visit.decide(&Verdict { outcome: Outcome::Allow, because: Vec::new() }, Metadata::default());
        let answer = self.send(visit, head.clone(), Outgoing::Whole(None), Some(bearer)).await?;
        let policy = Arc::clone(&visit.policy);
        let sight = Known { view: policy.view(&caller), agents: self.parts.agents.is_some() };
        self.filtered(visit, &head, answer, kind, &sight, Some(bearer), only_head).await
    }

    /// A catalogue for nobody: LibreChat is asked without a token, and nothing of what it might name is shown.
    pub(super) async fn anonymous_catalog(
        &self,
        visit: &mut Visit<'_>,
        mut head: Parts,
        kind: Catalog,
        only_head: bool,
    ) -> Result<Response<Body<U>>, Refusal> {
        head.headers.remove(header::AUTHORIZATION);
        let answer = self.send(visit, head.clone(), Outgoing::Whole(None), None).await?;
        self.filtered(visit, &head, answer, kind, &Nobody, None, only_head).await
    }

    #[expect(clippy::too_many_arguments, reason = "one step of one statement of the spine, split off for reading")]
    pub(super) async fn filtered(
        &self,
        visit: &mut Visit<'_>,
        asked: &Parts,
        answer: Response<U::Outbound>,
        kind: Catalog,
        sight: &(dyn Sight + Sync),
        bearer: Option<&Bearer>,
        only_head: bool,
    ) -> Result<Response<Body<U>>, Refusal> {
        if answer.status() != StatusCode::OK {
            return self.not_a_catalog(visit, answer);
        }
        let (mut head, body) = answer.into_parts();
        plain(&head.headers)?;
        let body = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        let filtered = match kind {
            Catalog::Models => self.filter_models(&body, sight, bearer)?,
            Catalog::Tools if visit.policy.limits_tools() => catalog::filter_tools(&body, sight)?,
            Catalog::Tools => body,
            Catalog::Agents if sight.every_agent() => body,
            Catalog::Agents => {
                let listed = Listed::read(&body)?;
                let usable = self.usable_agents(&visit.policy, listed.ids(), sight).await?;
                listed.only(&usable)?
            }
            _ if sight.everything() => body,
            Catalog::Endpoints => {
                let models = self.models(visit, asked, bearer).await?;
                catalog::filter_endpoints(&body, models.as_deref(), sight)?
            }
            Catalog::Config if catalog::config_needs_models(&body) => {
                let models = self.models(visit, asked, bearer).await?;
                catalog::filter_config(&body, models.as_deref(), sight)?
            }
            Catalog::Config => catalog::filter_config(&body, None, sight)?,
        };
        visit.forwarded(head.status, None);
        private(&mut head.headers, filtered.len());
        Ok(Response::from_parts(head, Reply::whole(if only_head { Bytes::new() } else { filtered })))
    }

    pub(super) fn filter_models(
        &self,
        body: &Bytes,
        sight: &dyn Sight,
        bearer: Option<&Bearer>,
    ) -> Result<Bytes, Refusal> {
        if let Some(bearer) = bearer {
            self.catalogue.keep_models(&bearer.user, ModelsAnswer::read(body)?);
        }
        if sight.everything() {
            return Ok(body.clone());
        }
        Ok(catalog::filter_models(body, sight)?)
    }

    /// An error of LibreChat on a catalogue route: it names no models and passes, but a caller's cache keeps nothing of it.
    pub(super) fn not_a_catalog(
        &self,
        visit: &mut Visit<'_>,
        answer: Response<U::Outbound>,
    ) -> Result<Response<Body<U>>, Refusal> {
        if answer.status().is_success() || answer.status().is_redirection() {
            return Err(Refusal::Unfiltered(format!("LibreChat answered {}", answer.status())));
        }
        visit.forwarded(answer.status(), None);
        let mut answer = answer.map(|body| Reply::streamed(body, self.parts.patience.idle));
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// What LibreChat offers this user, asked with the user's own token.
    pub(super) async fn models(
        &self,
        visit: &Visit<'_>,
        asked: &Parts,
        bearer: Option<&Bearer>,
    ) -> Result<Option<Arc<ModelsAnswer>>, Refusal> {
        let Some(bearer) = bearer else { return Ok(None) };
        if let Some(models) = self.catalogue.models(&bearer.user) {
            return Ok(Some(models));
        }
        let body = self.ask_librechat(visit, asked, answers::MODELS, bearer).await?;
        Ok(Some(self.catalogue.keep_models(&bearer.user, ModelsAnswer::read(&body)?)))
    }

    /// The model specs that LibreChat offers this user, asked with the user's own token.
    pub(super) async fn specs(&self, visit: &Visit<'_>, asked: &Parts, bearer: &Bearer) -> Result<Arc<Specs>, Refusal> {
        if let Some(specs) = self.catalogue.specs(&bearer.user) {
            return Ok(specs);
        }
        let body = self.ask_librechat(visit, asked, answers::CONFIG, bearer).await?;
        // LibreChat takes the token for nobody's, perhaps because it has just ended: then it has not said what there is.
        let specs = Specs::read(&body)?.ok_or(Refusal::Nobody)?;
        Ok(self.catalogue.keep_specs(&bearer.user, specs))
    }

    /// A question of our own to LibreChat, in the name of the user.
    pub(super) async fn ask_librechat(
        &self,
        visit: &Visit<'_>,
        asked: &Parts,
        target: &'static str,
        bearer: &Bearer,
    ) -> Result<Bytes, Refusal> {
        let answer = self.ask_for(visit, asked, Uri::from_static(target), bearer).await?;
        answer.map_err(|status| Refusal::Unfiltered(format!("LibreChat answered {status} to GET {target}")))
    }

    /// The same for any address, where another status than 200 may be an answer, too.
    pub(super) async fn ask_for(
        &self,
        visit: &Visit<'_>,
        asked: &Parts,
        target: Uri,
        bearer: &Bearer,
    ) -> Result<Result<Bytes, StatusCode>, Refusal> {
        let mut head = as_whole_answer(asked.clone());
        head.method = Method::GET;
        head.uri = target;
        if bearer.federated.is_none() {
            // The token says who asks. With a cookie beside it, LibreChat may read it as an identity provider's and find nobody
            // (CONTRACT.md A.2 b, e).
            head.headers.remove(header::COOKIE);
        }
        let answer = self.send(visit, head, Outgoing::Whole(None), Some(bearer)).await?;
        if answer.status() != StatusCode::OK {
            return Ok(Err(answer.status()));
        }
        plain(answer.headers())?;
        hold(answer.into_body(), LONGEST_CATALOG, self.parts.patience.response).await.map(Ok).map_err(unfiltered)
    }
}

/// Someone who is known.
struct Known<'a> {
    view: View<'a>,
    /// Whether stored agents can be looked up, and so be used by those who may not use everything.
    agents: bool,
}

impl Sight for Known<'_> {
    fn model(&self, endpoint: &str, model: &str) -> bool {
        self.view.model(endpoint, model)
    }

    fn surface(&self, surface: Surface) -> bool {
        self.view.surface(surface)
    }

    fn agents(&self) -> bool {
        self.view.agents() && (self.agents || self.view.surface(Surface::Agents))
    }

    fn target(&self, target: &Target) -> bool {
        self.view.target(target)
    }

    fn everything(&self) -> bool {
        self.view.everything()
    }

    fn every_agent(&self) -> bool {
        self.view.every_agent()
    }
}

/// Someone who may see nothing: a visitor without a token.
struct Nobody;

impl Sight for Nobody {
    fn model(&self, _endpoint: &str, _model: &str) -> bool {
        false
    }

    fn surface(&self, _surface: Surface) -> bool {
        false
    }

    fn agents(&self) -> bool {
        false
    }

    fn target(&self, _target: &Target) -> bool {
        false
    }

    fn everything(&self) -> bool {
        false
    }
}

/// The head of a request for a whole, fresh, plain answer to read.
pub(super) fn as_whole_answer(mut head: Parts) -> Parts {
    head.method = Method::GET;
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::CONTENT_TYPE);
    as_plain_answer(head)
}

/// The same request with a whole, fresh, plain answer: no ranges, no conditions, no compression (CONTRACT.md C.1).
pub(super) fn as_plain_answer(mut head: Parts) -> Parts {
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ] {
        head.headers.remove(name);
    }
    head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    head
}

/// An answer that must be read: it may not be compressed, as it was asked not to be.
pub(super) fn plain(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get_all(header::CONTENT_ENCODING).iter().find(|encoding| *encoding != "identity") {
        Some(encoding) => {
            // Nothing of an answer is recorded but words that are known.
            let known = ["gzip", "br", "deflate", "zstd"].into_iter().find(|known| encoding == known);
            let encoding = known.unwrap_or("that is unknown");
            Err(Refusal::Unfiltered(format!("LibreChat answered with a Content-Encoding: {encoding}")))
        }
        None => Ok(()),
    }
}

/// The headers of an answer that is one caller's own: nothing of LibreChat's whole answer may be told by them.
pub(super) fn private(headers: &mut HeaderMap, length: usize) {
    for name in [header::ETAG, header::LAST_MODIFIED, header::CONTENT_ENCODING, header::ACCEPT_RANGES, header::EXPIRES]
    {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
