//! The spine: the life of a request, read top to bottom.
//!
//! ```text
//! arrive -> gate -> classify -> identify -> pass ----------------------------> forward -> answer
//!                                        -> govern: select -> decide -> forward -> filter/watch -> record
//! ```
//!
//! Types in and out are those of `http` and `bytes`; this room knows neither the HTTP engine nor a store's driver. Only what
//! has become a [`Passage`] reaches LibreChat.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use ipnet::IpNet;

use crate::clock::Clock;
use crate::identity::{Bearer, Identity, Unknown};
use crate::librechat::answers;
use crate::librechat::catalog::{self, ModelsAnswer};
use crate::librechat::content::json_body_expected;
use crate::librechat::path::{CanonicalPath, PathFault};
use crate::librechat::routes::{self, Access, Catalog, Class, Route, Unrouted, classify};
use crate::librechat::selection::{TurnRequest, select_turn};
use crate::librechat::specs::{SpecLookup, Specs};
use crate::librechat::unreadable::Unreadable;
use crate::metrics::Metrics;
use crate::policy::{Ask, Caller, Mode, Outcome, Reason, RuleId, Sight, Snapshot, Surface, Target, Verdict, decide};
use crate::record::Recorder;
use crate::record::entry::Metadata;

mod catalogue;
mod counted;
pub mod gate;
mod headers;
mod passage;
mod refusal;
mod reply;
mod visit;

pub use passage::{Outgoing, Passage, Upstream, UpstreamFault};
pub use reply::{Cut, Reply};

use catalogue::Catalogue;
use counted::Counted;
use headers::Client;
use refusal::Refusal;
use reply::{Unheld, hold};
use visit::{Visit, about_turn};

/// Longest request body of a governed route, in bytes: LibreChat's own limit, `express.json({limit: '3mb'})` (CONTRACT.md A.1).
pub const LONGEST_BODY: usize = 3 * 1024 * 1024;

/// Longest answer that is held to be filtered, in bytes. Real catalogues have a few kilobytes.
const LONGEST_CATALOG: usize = 8 * 1024 * 1024;

/// Longest answer to a chat turn that is looked into for its stream id, in bytes. Real ones have about 130.
const LONGEST_START: u64 = 16 * 1024;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two pieces of a request body that is held.
    pub body: Duration,
    /// From sending a request to the head of LibreChat's answer.
    pub response: Duration,
    /// Between two pieces of LibreChat's answer (a stream may be silent for minutes, CONTRACT.md G.2).
    pub idle: Duration,
}

/// What happens to a path under `/api` that LibreChat 0.8.6 does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownRoutes {
    /// Refused with 404.
    Deny,
    /// Passed for callers with a good token.
    Identified,
    /// Passed.
    Pass,
}

/// The parts that the spine works with.
pub struct SpineParts<U> {
    /// The way to LibreChat.
    pub upstream: U,
    /// Who is asking.
    pub identity: Identity,
    /// The policy in force; swapped whole.
    pub policy: Arc<ArcSwap<Snapshot>>,
    /// Where decisions are written down.
    pub recorder: Recorder,
    /// Where the time comes from.
    pub clock: Clock,
    /// Time limits.
    pub patience: Patience,
    /// Proxies whose `X-Forwarded-*` are believed.
    pub trusted: Vec<IpNet>,
    /// What happens to unknown paths under `/api`.
    pub unknown: UnknownRoutes,
}

/// The spine.
pub struct Spine<U> {
    parts: SpineParts<U>,
    catalogue: Catalogue,
    counted: Counted,
}

/// The body of an answer through this upstream.
pub type Body<U> = Reply<<U as Upstream>::Outbound>;

// === impl Spine ===

impl<U: Upstream> Spine<U> {
    /// Puts the parts together.
    pub fn new(parts: SpineParts<U>, metrics: &Metrics) -> Self {
        Self { catalogue: Catalogue::new(&parts.clock), counted: Counted::new(metrics), parts }
    }

    /// Serves one request, whatever it is. `peer` is the address of the connection.
    pub async fn serve(&self, request: Request<U::Inbound>, peer: IpAddr) -> Response<Body<U>> {
        let (head, body) = request.into_parts();
        let mut visit = self.arrive(&head, peer);

        match self.live(&mut visit, head, body).await {
            Ok(answer) => {
                self.counted.forwarded(visit.class, visit.took());
                answer
            }
            Err(refusal) => self.refuse(&mut visit, &refusal),
        }
    }

    fn arrive(&self, head: &Parts, peer: IpAddr) -> Visit<'_> {
        let client = Client::of(peer, &head.headers, &self.parts.trusted);
        Visit::arrive(head, client, self.parts.policy.load_full(), &self.parts.clock, &self.parts.recorder)
    }

    async fn live(&self, visit: &mut Visit<'_>, head: Parts, body: U::Inbound) -> Result<Response<Body<U>>, Refusal> {
        gate::check(&head)?;
        let path = CanonicalPath::of(&head.uri)?;
        let (route, target) = self.route(&head.method, &head.uri, &path)?;
        visit.class = Some(route.class);
        let bearer = self.bearer(visit, route, &head.headers)?;
        let head = self.towards_librechat(visit, head, &target, bearer.as_deref())?;
        match (route.class, bearer) {
            (Class::Closed, _) => Err(Refusal::Closed),
            (Class::Pass | Class::Stream | Class::Upload, bearer) => self.pass(visit, head, body, bearer).await,
            (Class::Turn, Some(bearer)) => self.turn(visit, head, body, &bearer).await,
            (Class::Catalog(kind), bearer) => self.catalog(visit, head, kind, bearer).await,
            (Class::Surface(surface), Some(bearer)) => self.surface(visit, head, body, surface, bearer).await,
            (Class::Surface(_), None) => self.without_identity(visit, head, body).await,
            (Class::Admin, bearer) => self.admin(visit, head, body, route, bearer).await,
            (Class::Turn, None) => Err(Refusal::Token(crate::identity::TokenFault::Missing)),
        }
    }

    /// What LibreChat does at this path, and the target to send there.
    fn route(&self, method: &Method, asked: &Uri, path: &CanonicalPath) -> Result<(&'static Route, Uri), Refusal> {
        let route = match (classify(method, path), self.parts.unknown) {
            (Ok(route), _) => route,
            (Err(Unrouted::UnknownPath), UnknownRoutes::Identified) => &routes::UNKNOWN_IDENTIFIED,
            (Err(Unrouted::UnknownPath), UnknownRoutes::Pass) => &routes::UNKNOWN_PASSED,
            (Err(unrouted), _) => return Err(unrouted.into()),
        };
        let target = route.target(path);
        // Nearly every client writes the target as LibreChat does: then it need not be read anew.
        if asked.path_and_query().is_some_and(|asked| asked.as_str() == target) {
            return Ok((route, asked.clone()));
        }
        Ok((route, Uri::try_from(target).map_err(|_| Refusal::Path(PathFault::Form))?))
    }

    /// The bearer, where the route needs one.
    fn bearer(
        &self,
        visit: &mut Visit<'_>,
        route: &Route,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Bearer>>, Refusal> {
        let bearer = match route.access {
            Access::Anonymous | Access::Key => return Ok(None),
            Access::Optional => self.parts.identity.bearer(headers).ok(),
            Access::Token => Some(self.parts.identity.bearer(headers)?),
        };
        visit.bearer.clone_from(&bearer);
        Ok(bearer)
    }

    /// Rewrites the head for LibreChat: canonical target, our own words about the client, the one token that was checked.
    fn towards_librechat(
        &self,
        visit: &Visit<'_>,
        mut head: Parts,
        target: &Uri,
        bearer: Option<&Bearer>,
    ) -> Result<Parts, Refusal> {
        headers::towards_librechat(&mut head.headers, &visit.client, visit.id);
        head.uri = target.clone();
        head.version = http::Version::HTTP_11;
        match (bearer, visit.class) {
            (Some(bearer), _) => {
                head.headers.insert(header::AUTHORIZATION, bearer.authorization.clone());
            }
            // Who counts as nobody here must be nobody there: a token that was not accepted does not reach LibreChat.
            (None, Some(Class::Catalog(_))) => {
                head.headers.remove(header::AUTHORIZATION);
            }
            (None, _) => {}
        }
        Ok(head)
    }

    /// Passes a request that neither chooses, stores nor reveals a model: streamed both ways, the body never read.
    async fn pass(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let answer = self.send(visit, head, Outgoing::Streamed(body), bearer.as_deref()).await?;
        visit.forwarded(answer.status(), None);
        Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)))
    }

    /// A chat turn: hold, select, decide, forward what was judged, watch for the stream it starts.
    async fn turn(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: &Bearer,
    ) -> Result<Response<Body<U>>, Refusal> {
        json_body_expected(&head.headers)?;
        let body = hold(body, LONGEST_BODY, self.parts.patience.body).await.map_err(unheld)?;
        let asked = select_turn(&body)?;
        let caller = self.caller(visit, bearer).await?;
        let targets = self.targets(visit, &head, &asked, bearer).await?;
        self.judge(visit, &caller, &targets, about_turn(&asked, &targets))?;
        visit.start_turn(&asked);
        let answer = self.send(visit, as_our_json(head, &asked.body), Outgoing::Whole(Some(asked.body)), Some(bearer));
        self.watch_start(visit, answer.await?).await
    }

    /// Everything a turn would make LibreChat call: what the body says and what its model specs stand for (CONTRACT.md B.13).
    async fn targets(
        &self,
        visit: &Visit<'_>,
        head: &Parts,
        asked: &TurnRequest,
        bearer: &Bearer,
    ) -> Result<Vec<Target>, Refusal> {
        let mut targets = asked.targets.clone();
        for name in asked.spec.iter().chain(&asked.added_spec) {
            let specs = self.specs(visit, head, bearer).await?;
            match specs.targets(name) {
                SpecLookup::Found(more) => targets.extend(more),
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
    fn judge(
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

    /// The answer to a turn: short JSON naming the stream that was started, or LibreChat's own refusal, which passes.
    async fn watch_start(
        &self,
        visit: &mut Visit<'_>,
        answer: Response<U::Outbound>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let short = http_body::Body::size_hint(answer.body()).upper().is_some_and(|bytes| bytes <= LONGEST_START);
        if !short {
            visit.forwarded(answer.status(), None);
            return Ok(answer.map(|body| Reply::streamed(body, self.parts.patience.idle)));
        }
        let (head, body) = answer.into_parts();
        let held = hold(body, LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)?;
        visit.forwarded(head.status, answers::started_stream(&held));
        Ok(Response::from_parts(head, Reply::whole(held)))
    }

    /// A catalogue: LibreChat is always asked for the whole, plain answer, and the caller sees what they may use of it.
    async fn catalog(
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
            Some((_, Err(Refusal::Nobody))) if kind == Catalog::Config => {
                return self.anonymous_catalog(visit, head, kind, only_head).await;
            }
            Some((_, Err(refusal))) => return Err(refusal),
            None => return self.anonymous_catalog(visit, head, kind, only_head).await,
        };
        visit.decide(&Verdict { outcome: Outcome::Allow, because: Vec::new() }, Metadata::default());
        let answer = self.send(visit, head.clone(), Outgoing::Whole(None), Some(bearer)).await?;
        let policy = Arc::clone(&visit.policy);
        self.filtered(visit, &head, answer, kind, &policy.view(&caller), Some(bearer), only_head).await
    }

    /// A catalogue for nobody: LibreChat is asked without a token, and nothing of what it might name is shown.
    async fn anonymous_catalog(
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
    async fn filtered(
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

    fn filter_models(&self, body: &Bytes, sight: &dyn Sight, bearer: Option<&Bearer>) -> Result<Bytes, Refusal> {
        if let Some(bearer) = bearer {
            self.catalogue.keep_models(&bearer.user, ModelsAnswer::read(body)?);
        }
        if sight.everything() {
            return Ok(body.clone());
        }
        Ok(catalog::filter_models(body, sight)?)
    }

    /// An error of LibreChat on a catalogue route: it names no models and passes, but a caller's cache keeps nothing of it.
    fn not_a_catalog(
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

    /// A part of LibreChat that is judged as a whole.
    async fn surface(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        surface: Surface,
        bearer: Arc<Bearer>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let caller = self.caller(visit, &bearer).await?;
        self.judge(visit, &caller, &[Target::Surface(surface)], Metadata::default())?;
        self.pass(visit, head, body, Some(bearer)).await
    }

    /// The remote-agent API: whose key it is cannot be told yet, so that it passes only where nothing is enforced.
    async fn without_identity(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
    ) -> Result<Response<Body<U>>, Refusal> {
        if visit.policy.mode() == Mode::Enforce {
            return Err(Refusal::RemoteApi);
        }
        let reason = Reason::Surface(Surface::RemoteApi);
        let verdict = Verdict { outcome: Outcome::Shadowed(reason), because: vec![RuleId::new(refusal::REMOTE_API)] };
        visit.decide(&verdict, Metadata::default());
        self.counted.decided(&verdict);
        self.pass(visit, head, body, None).await
    }

    /// LibreChat's administration: for its administrators, by the directory's word.
    async fn admin(
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
        }
        self.pass(visit, head, body, bearer).await
    }

    /// The caller, by the directory's word of the last few seconds.
    async fn caller(&self, visit: &mut Visit<'_>, bearer: &Bearer) -> Result<Arc<Caller>, Refusal> {
        let caller = self.parts.identity.caller(bearer).await.map_err(|unknown| match unknown {
            Unknown::Nobody => Refusal::Nobody,
            Unknown::NoAnswer(error) => Refusal::NoDirectory(error),
        })?;
        visit.caller = Some(Arc::clone(&caller));
        Ok(caller)
    }

    /// What LibreChat offers this user, asked with the user's own token.
    async fn models(
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
    async fn specs(&self, visit: &Visit<'_>, asked: &Parts, bearer: &Bearer) -> Result<Arc<Specs>, Refusal> {
        if let Some(specs) = self.catalogue.specs(&bearer.user) {
            return Ok(specs);
        }
        let body = self.ask_librechat(visit, asked, answers::CONFIG, bearer).await?;
        Ok(self.catalogue.keep_specs(&bearer.user, Specs::read(&body)?))
    }

    /// A question of our own to LibreChat, in the name of the user.
    async fn ask_librechat(
        &self,
        visit: &Visit<'_>,
        asked: &Parts,
        target: &'static str,
        bearer: &Bearer,
    ) -> Result<Bytes, Refusal> {
        let mut head = as_whole_answer(asked.clone());
        head.method = Method::GET;
        head.uri = Uri::from_static(target);
        let answer = self.send(visit, head, Outgoing::Whole(None), Some(bearer)).await?;
        if answer.status() != StatusCode::OK {
            return Err(Refusal::Unfiltered(format!("LibreChat answered {} to GET {target}", answer.status())));
        }
        plain(answer.headers())?;
        hold(answer.into_body(), LONGEST_CATALOG, self.parts.patience.response).await.map_err(unfiltered)
    }

    /// The one place where a request becomes a passage.
    async fn send(
        &self,
        visit: &Visit<'_>,
        head: Parts,
        body: Outgoing<U::Inbound>,
        bearer: Option<&Bearer>,
    ) -> Result<Response<U::Outbound>, Refusal> {
        let passage = match bearer {
            Some(bearer) => Passage::new(head, body, bearer.user.as_bytes(), self.parts.patience.response),
            None => Passage::new(head, body, visit.client.ip.to_string().as_bytes(), self.parts.patience.response),
        };
        let mut answer = self.parts.upstream.send(passage).await?;
        headers::towards_client(answer.headers_mut());
        Ok(answer)
    }

    fn refuse(&self, visit: &mut Visit<'_>, refusal: &Refusal) -> Response<Body<U>> {
        let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
        let answer = refusal.answer(visit.class, visit.id.hyphenated().encode_lower(&mut id));
        visit.refused(&answer, refusal.rules());
        self.counted.refused(visit.class, refusal, visit.took());
        let mut response = Response::new(Reply::whole(answer.body));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = answer.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = answer.allow.and_then(|methods| HeaderValue::try_from(methods.allow()).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

/// LibreChat's role for its administrators (CONTRACT.md A.3).
const ADMIN: &str = "ADMIN";

/// Someone who may see nothing: a visitor without a token.
struct Nobody;

impl Sight for Nobody {
    fn model(&self, _endpoint: &str, _model: &str) -> bool {
        false
    }

    fn surface(&self, _surface: Surface) -> bool {
        false
    }

    fn everything(&self) -> bool {
        false
    }
}

/// The operator's sentence for a refusal.
fn sentence(policy: &Snapshot, caller: &Caller, reason: &Reason) -> String {
    match reason {
        Reason::Model { endpoint, model } => policy.message_model_denied(endpoint, model, &caller.role),
        Reason::Surface(surface) => {
            format!("Your access is limited to certain models, and {} cannot be limited to them yet.", surface.as_str())
        }
    }
}

/// The head of a request whose body is our own JSON.
fn as_our_json(mut head: Parts, body: &Bytes) -> Parts {
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    head.headers.remove(header::CONTENT_ENCODING);
    // The answer is looked into: it must come as plain text.
    head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    head
}

/// The head of a request for a whole, fresh, plain answer: no ranges, no conditions, no compression (CONTRACT.md C.1).
fn as_whole_answer(mut head: Parts) -> Parts {
    head.method = Method::GET;
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
    ] {
        head.headers.remove(name);
    }
    head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    head
}

/// An answer that must be read: it may not be compressed, as it was asked not to be.
fn plain(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get_all(header::CONTENT_ENCODING).iter().find(|encoding| *encoding != "identity") {
        Some(encoding) => Err(Refusal::Unfiltered(format!("LibreChat answered with Content-Encoding {encoding:?}"))),
        None => Ok(()),
    }
}

/// The headers of an answer that is one caller's own: nothing of LibreChat's whole answer may be told by them.
fn private(headers: &mut HeaderMap, length: usize) {
    for name in [header::ETAG, header::LAST_MODIFIED, header::CONTENT_ENCODING, header::ACCEPT_RANGES, header::EXPIRES]
    {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

fn unheld(fault: Unheld) -> Refusal {
    match fault {
        Unheld::TooLarge => Refusal::Unreadable(Unreadable::TooLarge),
        Unheld::Slow => Refusal::Slow,
        Unheld::Broken(cause) => Refusal::BrokenOff(cause),
    }
}

fn unfiltered(fault: Unheld) -> Refusal {
    Refusal::Unfiltered(match fault {
        Unheld::TooLarge => "LibreChat's answer is too large".to_owned(),
        Unheld::Slow => "LibreChat's answer came too slowly".to_owned(),
        Unheld::Broken(cause) => cause,
    })
}
