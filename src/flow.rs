//! The spine: the life of a request, read top to bottom.
//!
//! ```text
//! arrive -> classify -> identify -> pass ----------------------------> forward -> answer
//!                                -> govern: select -> decide -> charge -> forward -> filter/watch -> record
//! ```
//!
//! What arrives has been through the strict gate, which stands in the edge: its form is beyond doubt ([`gate`] has the names of
//! what it refuses). Types in and out are those of `http` and `bytes`; this room knows neither the HTTP engine nor a store's driver. Only what
//! has become a [`Passage`] reaches LibreChat.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::identity::{Bearer, Identity, TokenFault, Unknown};
use crate::librechat::path::{Area, CanonicalPath, PathFault};
use crate::librechat::routes::{self, Access, Class, Noted, Route, Unrouted, classify};
use crate::librechat::running::stream_of;
use crate::librechat::status::STOP;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::policy::{Caller, Snapshot};
use crate::record::Recorder;
use crate::store::{Accounts, Agents, StoreError};

mod account;
mod agents;
mod assistants;
mod catalogue;
mod charges;
mod counted;
pub mod estimate;
mod exceeded;
mod expected;
mod features;
pub mod gate;
mod govern;
mod headers;
mod kept;
mod malformed;
mod mine;
mod noted;
mod passage;
mod quota;
mod refusal;
mod remote;
mod reply;
mod shares;
mod shown;
mod stored;
mod strict;
mod turns;
mod visit;

pub use account::BalanceUse;
pub use mine::{Amount, ShownLimit};
pub use passage::{BodyFault, Moved, Outgoing, Passage, Upstream, UpstreamFault};
pub use reply::{Cut, Reply};
pub use turns::{Follower, Pace, Turns, TurnsParts};

use catalogue::Catalogue;
use counted::Counted;
use headers::Client;
use refusal::{Answer, Refusal};
use reply::{Unheld, Watch};
use shares::Shares;
use turns::Tap;
use visit::Visit;

/// Longest request body of a governed route, in bytes: LibreChat's own limit, `express.json({limit: '3mb'})` (CONTRACT.md A.1).
pub const LONGEST_BODY: usize = 3 * 1024 * 1024;

/// Most bytes of request bodies that are held at once. What a body becomes on its way takes about three times its length.
const MOST_HELD: usize = 64 * 1024 * 1024;

/// Most of them that are one person's, in KiB: five of the longest.
const MOST_OF_ONE: u32 = 16 * 1024;

/// Longest answer that is held to be filtered, in bytes. Real catalogues have a few kilobytes.
const LONGEST_CATALOG: usize = 8 * 1024 * 1024;

/// Longest answer to a chat turn that is looked into for its stream id, in bytes. Real ones have about 130.
const LONGEST_START: u64 = 16 * 1024;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two pieces of a request body that is held.
    pub body: Duration,
    /// From the last piece of a request to the head of LibreChat's answer.
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
    pub identity: Arc<Identity>,
    /// LibreChat's stored agents; none where its database is not configured.
    pub agents: Option<Arc<dyn Agents>>,
    /// The policy in force; swapped whole.
    pub policy: Arc<ArcSwap<Snapshot>>,
    /// Where decisions are written down.
    pub recorder: Recorder,
    /// Counts what limits allow.
    pub meter: Meter,
    /// Follows what it has taken until that is settled.
    pub turns: Turns,
    /// Where the time comes from.
    pub clock: Clock,
    /// Time limits.
    pub patience: Patience,
    /// Proxies whose `X-Forwarded-*` are believed.
    pub trusted: Vec<IpNet>,
    /// What happens to unknown paths under `/api`.
    pub unknown: UnknownRoutes,
    /// LibreChat's balances and messages; none where its database is not configured.
    pub accounts: Option<Arc<dyn Accounts>>,
    /// What is done about LibreChat's balances.
    pub balance: BalanceUse,
}

/// The spine.
pub struct Spine<U> {
    parts: SpineParts<U>,
    catalogue: Catalogue,
    counted: Counted,
    /// Room for bodies that are held, in KiB.
    held: Arc<Semaphore>,
    /// Who has how much of it.
    shares: Arc<Shares>,
}

/// The body of an answer through this upstream.
pub type Body<U> = Reply<<U as Upstream>::Outbound>;

// === impl Spine ===

impl<U: Upstream> Spine<U> {
    /// Puts the parts together.
    pub fn new(parts: SpineParts<U>, metrics: &Metrics) -> Self {
        let held = Arc::new(Semaphore::new(MOST_HELD / 1024));
        let shares = Arc::new(Shares::new(MOST_OF_ONE));
        Self { catalogue: Catalogue::new(&parts.clock), counted: Counted::new(metrics), held, shares, parts }
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
            Err(refusal) => self.refuse(&mut visit, &refusal).await,
        }
    }

    fn arrive(&self, head: &Parts, peer: IpAddr) -> Visit<'_> {
        let client = Client::of(peer, &head.headers, &self.parts.trusted);
        Visit::arrive(head, client, self.parts.policy.load_full(), &self.parts.clock, &self.parts.recorder)
    }

    async fn live(&self, visit: &mut Visit<'_>, head: Parts, body: U::Inbound) -> Result<Response<Body<U>>, Refusal> {
        let path = CanonicalPath::of(&head.uri)?;
        let (route, target) = self.route(&head.method, &head.uri, &path)?;
        visit.class = Some(route.class);
        let bearer = self.bearer(visit, route, &head.headers).await?;
        if let Some(bearer) = bearer.as_ref().filter(|_| visit.policy.turns_anybody_away()) {
            Box::pin(self.admit(visit, route, bearer)).await?;
        }
        self.can_be_kept(route.class)?;
        let head = self.towards_librechat(visit, head, target, route.access, bearer.as_deref());
        // The rare ways are boxed, so that a request on a common way does not carry their room.
        match (route.class, bearer) {
            (Class::Closed, _) => Err(Refusal::Closed),
            (Class::Pass | Class::Stream, bearer) => self.pass(visit, head, body, bearer).await,
            (Class::Turn, Some(bearer)) => self.turn(visit, head, body, &bearer).await,
            (Class::Noted(noted), bearer) => Box::pin(self.noted(visit, head, body, noted, bearer)).await,
            (Class::Upload, bearer) => Box::pin(self.noted(visit, head, body, Noted::Uploads, bearer)).await,
            (Class::Balance, bearer) => Box::pin(self.shown_balance(visit, head, body, bearer)).await,
            (Class::Catalog(kind), bearer) => Box::pin(self.catalog(visit, head, kind, bearer)).await,
            (Class::Remote(part), _) => Box::pin(self.remote(visit, head, body, part)).await,
            (Class::Admin, bearer) => Box::pin(self.admin(visit, head, body, route, bearer)).await,
            (Class::Agent(deed), Some(bearer)) => Box::pin(self.agent(visit, head, body, deed, bearer)).await,
            (Class::Tool, Some(bearer)) => Box::pin(self.tool(visit, head, body, bearer)).await,
            (Class::Assistants(part), Some(bearer)) => Box::pin(self.assistants(visit, head, body, part, bearer)).await,
            (Class::Feature(feature), Some(bearer)) => Box::pin(self.feature(visit, head, body, feature, bearer)).await,
            (Class::MyLimits, Some(bearer)) => Box::pin(self.my_limits(visit, &head.method, &bearer)).await,
            (
                Class::Turn
                | Class::Tool
                | Class::Agent(_)
                | Class::Assistants(_)
                | Class::Feature(_)
                | Class::MyLimits,
                None,
            ) => Err(Refusal::Token(TokenFault::Missing)),
        }
    }

    /// What LibreChat does at this path, and the target to send there.
    fn route(&self, method: &Method, asked: &Uri, path: &CanonicalPath) -> Result<(&'static Route, Uri), Refusal> {
        let route = match (classify(method, path), self.parts.unknown) {
            (Ok(route), _) => route,
            // Only below /api is there anything that a newer LibreChat may have and this table may not.
            (Err(Unrouted::UnknownPath), UnknownRoutes::Identified) if path.area() == Area::Api => {
                &routes::UNKNOWN_IDENTIFIED
            }
            (Err(Unrouted::UnknownPath), UnknownRoutes::Pass) if path.area() == Area::Api => &routes::UNKNOWN_PASSED,
            (Err(unrouted), _) => return Err(unrouted.into()),
        };
        // Nearly every client writes the target as LibreChat does: then it need not be written and read anew.
        if route.spells(path) && asked.path() == path.as_str() && asked.query() == path.query() {
            return Ok((route, asked.clone()));
        }
        Ok((route, Uri::try_from(route.target(path)).map_err(|_| Refusal::Path(PathFault::Form))?))
    }

    /// The bearer, where the route needs one.
    async fn bearer(
        &self,
        visit: &mut Visit<'_>,
        route: &Route,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Bearer>>, Refusal> {
        if matches!(route.access, Access::Anonymous | Access::Key) {
            return Ok(None);
        }
        let identity = &self.parts.identity;
        let read = match identity.bearer(headers) {
            // The one token that is waited for, and not for long: its key may be a new one.
            Err(TokenFault::Key) => Box::pin(identity.bearer_with_new_keys(headers)).await,
            read => read,
        };
        let bearer = match (route.access, read) {
            (_, Ok(bearer)) => Some(bearer),
            (Access::Optional, Err(_)) => None,
            (_, Err(fault)) if identity.is_federated() => return Err(Refusal::Unproven(fault)),
            (_, Err(fault)) => return Err(Refusal::Token(fault)),
        };
        // Whom an identity provider's token stands for is only known when they are looked up.
        if let Some(bearer) = bearer.as_ref().filter(|bearer| bearer.federated.is_none()) {
            self.parts.turns.met(bearer);
        }
        visit.bearer.clone_from(&bearer);
        Ok(bearer)
    }

    /// Lets in whom the policy lets in, on every route that has a bearer.
    async fn admit(&self, visit: &mut Visit<'_>, route: &Route, bearer: &Bearer) -> Result<(), Refusal> {
        match (self.caller(visit, bearer).await, route.access) {
            (Ok(_), _) => Ok(()),
            // Where LibreChat asks for no token, a good one without a user is as good as none.
            (Err(Refusal::Nobody | Refusal::Unproven(_)), Access::Optional) => Ok(()),
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Rewrites the head for LibreChat: canonical target, our own words about the client, the one token that was checked.
    fn towards_librechat(
        &self,
        visit: &Visit<'_>,
        mut head: Parts,
        target: Uri,
        access: Access,
        bearer: Option<&Bearer>,
    ) -> Parts {
        headers::towards_librechat(&mut head.headers, &visit.client, visit.id);
        head.uri = target;
        head.version = http::Version::HTTP_11;
        match (bearer, access) {
            (Some(bearer), _) => {
                head.headers.insert(header::AUTHORIZATION, bearer.authorization.clone());
                self.parts.identity.settle_cookies(&mut head.headers, bearer);
            }
            // Who counts as nobody here must be nobody there: a token that was not accepted does not reach LibreChat.
            (None, Access::Optional) => {
                head.headers.remove(header::AUTHORIZATION);
            }
            (None, _) => {}
        }
        head
    }

    /// Passes a request that neither chooses, stores nor reveals a model: streamed both ways, the body never read.
    async fn pass(
        &self,
        visit: &mut Visit<'_>,
        head: Parts,
        body: U::Inbound,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<Response<Body<U>>, Refusal> {
        let tap = match (visit.class, &bearer) {
            (Some(Class::Stream), Some(bearer)) => self.tap(&head, bearer),
            _ => None,
        };
        let stops = head.uri.path() == STOP;
        let answer = self.send(visit, head, Outgoing::streamed(body), bearer.as_deref()).await?;
        if let (true, Some(bearer)) = (stops, &bearer) {
            self.parts.turns.look_at_those_of(&bearer.user);
        }
        visit.forwarded(answer.status(), None);
        // Nothing but a stream is one: an error says nothing about the turn.
        let tap = tap.filter(|_| answer.status() == StatusCode::OK).map(|tap| -> Box<dyn Watch> { Box::new(tap) });
        Ok(answer.map(|body| Reply::watched(body, self.parts.patience.idle, tap)))
    }

    /// Who reads along where this is the stream of a turn that is followed, before it is opened: a turn that is read is not asked about.
    fn tap(&self, head: &Parts, bearer: &Bearer) -> Option<Tap> {
        self.parts.turns.tap(&bearer.user, stream_of(head.uri.path())?)
    }

    /// The caller, by the directory's word of the last few seconds.
    async fn caller(&self, visit: &mut Visit<'_>, bearer: &Bearer) -> Result<Arc<Caller>, Refusal> {
        if !visit.policy.is_whole() {
            return Err(Refusal::NoDirectory(unknown_overrides()));
        }
        let caller = self.parts.identity.caller(bearer).await.map_err(|unknown| {
            let fault = match unknown {
                Unknown::Nobody => return Refusal::Nobody,
                Unknown::NoAnswer(error) => return Refusal::NoDirectory(error),
                Unknown::Unlinked => TokenFault::Unlinked,
                Unknown::Another => TokenFault::Mismatch,
            };
            // Whom the cookie names is not known to have sent this.
            visit.bearer = None;
            Refusal::Unproven(fault)
        })?;
        let caller = match &bearer.federated {
            Some(_) => {
                if let Some(bearer) = &visit.bearer {
                    self.parts.turns.met(bearer);
                }
                Box::pin(self.parts.identity.mapped(bearer, caller, &visit.policy)).await
            }
            None => caller,
        };
        visit.caller = Some(Arc::clone(&caller));
        self.let_in(visit, &caller)?;
        Ok(caller)
    }

    /// The one place where a request becomes a passage.
    async fn send(
        &self,
        visit: &Visit<'_>,
        head: Parts,
        body: Outgoing<U::Inbound>,
        bearer: Option<&Bearer>,
    ) -> Result<Response<U::Outbound>, Refusal> {
        self.send_within(visit, head, body, bearer, self.parts.patience.response).await
    }

    /// The same for answers that may take longer, or less, to begin.
    async fn send_within(
        &self,
        visit: &Visit<'_>,
        head: Parts,
        body: Outgoing<U::Inbound>,
        bearer: Option<&Bearer>,
        patience: Duration,
    ) -> Result<Response<U::Outbound>, Refusal> {
        let passage = match bearer {
            Some(bearer) => Passage::new(head, body, bearer.user.as_bytes(), patience),
            None => Passage::new(head, body, &octets(visit.client.ip), patience),
        };
        let mut answer = self.parts.upstream.send(passage).await?;
        headers::towards_client(answer.headers_mut());
        Ok(answer)
    }

    async fn refuse(&self, visit: &mut Visit<'_>, refusal: &Refusal) -> Response<Body<U>> {
        let answer = self.answer_of(visit, refusal);
        let instead = match visit.refused(&answer, refusal.rules()) {
            Some(entry) => self.keep_refusal(visit, refusal, entry).await,
            None => None,
        };
        match instead {
            Some(unrecorded) => self.say(visit, &unrecorded, self.answer_of(visit, &unrecorded)),
            None => self.say(visit, refusal, answer),
        }
    }

    fn answer_of(&self, visit: &Visit<'_>, refusal: &Refusal) -> Answer {
        let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
        refusal.answer(visit.class, visit.id.hyphenated().encode_lower(&mut id))
    }

    /// The answer that says this refusal.
    fn say(&self, visit: &Visit<'_>, refusal: &Refusal, answer: Answer) -> Response<Body<U>> {
        self.counted.refused(visit.class, refusal, visit.took());
        let mut response = Response::new(Reply::whole(answer.body));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = answer.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(exceeded) = refusal.exceeded() {
            exceeded.tell(headers);
        }
        if let Some(allow) = answer.allow.and_then(|methods| HeaderValue::try_from(methods.allow()).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

/// An address as bytes, of either family.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

/// Why nobody can be judged before the overrides were read for the first time.
fn unknown_overrides() -> StoreError {
    let message = "which overrides are in force is not known yet: they could not be read since the start".to_owned();
    StoreError { store: "overrides", message, transient: true }
}

fn unfiltered(fault: Unheld<impl std::fmt::Display>) -> Refusal {
    Refusal::Unfiltered(match fault {
        Unheld::TooLarge => "LibreChat's answer is too large".to_owned(),
        Unheld::Slow => "LibreChat's answer came too slowly".to_owned(),
        Unheld::Broken(cause) => cause.to_string(),
    })
}
