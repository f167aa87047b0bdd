//! The way to LibreChat: pingora's load balancing chooses the instance, [`super::link`] speaks to it.
//!
//! Requests of one user go to one instance, because a running answer lives in the process that started it (CONTRACT.md G.1).

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Response, Uri};
use pingora_core::services::background::GenBackgroundService;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HttpHealthCheck;
use pingora_load_balancing::selection::Consistent;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use pingora_timeout::timeout;

use super::inbound::Inbound;
use super::link::{Answer, Instance};
use crate::flow::{Moved, Passage, Upstream, UpstreamFault};

/// How often names are resolved anew.
const RESOLVE: Duration = Duration::from_secs(10);

/// How often instances are asked for their health.
const ASK_HEALTH: Duration = Duration::from_secs(2);

/// How many instances are looked at for a healthy one.
const TRIES: usize = 16;

/// Where LibreChat listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Limits towards LibreChat.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time to make a connection.
    pub connect: Duration,
}

/// LibreChat, be it one instance or several. Cheap to clone.
#[derive(Clone)]
pub struct LibreChat {
    connect: Duration,
    balancer: Arc<LoadBalancer<Consistent>>,
    known: Arc<ArcSwap<Vec<Arc<Instance>>>>,
}

/// Resolves the configured names.
struct Names {
    addresses: Vec<Address>,
    known: Arc<ArcSwap<Vec<Arc<Instance>>>>,
}

// === impl LibreChat ===

impl LibreChat {
    /// LibreChat at these addresses.
    pub fn at(addresses: Vec<Address>, limits: Limits) -> Self {
        let known = Arc::new(ArcSwap::default());
        let names = Names { addresses, known: Arc::clone(&known) };
        let several = names.addresses.len() > 1;
        let mut backends = Backends::new(Box::new(names));
        backends.set_health_check(health_check());
        let mut balancer = LoadBalancer::from_backends(backends);
        balancer.health_check_frequency = Some(ASK_HEALTH);
        balancer.update_frequency = Some(RESOLVE);
        balancer.parallel_health_check = several;
        Self { connect: limits.connect, balancer: Arc::new(balancer), known }
    }

    /// Resolves the names once, so that the first request finds somebody. Failure is no fault: LibreChat may start later.
    pub async fn resolve(&self) {
        if let Err(error) = self.balancer.update().await {
            tracing::warn!(%error, "LibreChat's address does not resolve yet");
        }
    }

    /// The service that keeps names and health fresh.
    pub(super) fn health_service(&self) -> GenBackgroundService<LoadBalancer<Consistent>> {
        GenBackgroundService::new("LibreChat's health".to_owned(), Arc::clone(&self.balancer))
    }

    /// How many instances are known and healthy.
    pub fn healthy(&self) -> usize {
        let backends = self.balancer.backends();
        backends.get_backend().iter().filter(|backend| backends.ready(backend)).count()
    }

    fn choose(&self, sticky: u64) -> Option<Arc<Instance>> {
        let known = self.known.load();
        if let [only] = known.as_slice() {
            return Some(Arc::clone(only));
        }
        // Where all look ill the choice is made among all: the check may be wrong, and a refused connection is soon known.
        let chosen = self
            .balancer
            .select(&sticky.to_le_bytes(), TRIES)
            .or_else(|| self.balancer.select_with(&sticky.to_le_bytes(), TRIES, |_, _| true))?;
        let address = chosen.addr.as_inet()?;
        known.iter().find(|instance| instance.address == *address).cloned()
    }
}

impl Upstream for LibreChat {
    type Inbound = Inbound;
    type Outbound = Answer;

    async fn send(&self, passage: Passage<Inbound>) -> Result<Response<Answer>, UpstreamFault> {
        let (request, sticky, patience) = passage.into_parts();
        let instance = self.choose(sticky).ok_or(UpstreamFault::NoneKnown)?;
        let moved = request.body().moved();
        let mut exchange = pin!(instance.exchange(request, self.connect));
        loop {
            match timeout(patience, exchange.as_mut()).await {
                Ok(answered) => return answered,
                // Patience begins when the request has been sent: a long upload over a slow line is no slow answer.
                Err(_) if moved.as_ref().is_some_and(Moved::lately) => {}
                Err(_) => return Err(UpstreamFault::Timeout),
            }
        }
    }
}

// === impl Names ===

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> pingora_core::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let known = self.known.load();
        let mut instances = Vec::new();
        let mut backends = BTreeSet::new();
        for Address { host, port } in &self.addresses {
            let found = tokio::net::lookup_host((host.as_str(), *port)).await;
            let found = found.inspect_err(|error| tracing::warn!(%host, %error, "LibreChat's name does not resolve"));
            for address in one_family(found.into_iter().flatten().collect()) {
                let backend = Backend::new(&address.to_string())?;
                if backends.insert(backend) {
                    instances.push(known.iter().find(|instance| instance.address == address).cloned().unwrap_or_else(
                        // Connections to an instance that stays are kept.
                        || Arc::new(Instance::new(address)),
                    ));
                }
            }
        }
        known.iter().for_each(|instance| instance.sweep());
        if instances.is_empty() {
            // What was known stays: a name server that fails is no reason to forget where LibreChat is.
            return pingora_core::Error::e_explain(
                pingora_core::ErrorType::ConnectError,
                "no address of LibreChat resolves",
            );
        }
        self.known.store(Arc::new(instances));
        Ok((backends, HashMap::new()))
    }
}

/// Where a name has addresses of both families they are usually two ways to the same instances: the IPv4 ones are taken.
fn one_family(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let fours: Vec<_> = addresses.iter().copied().filter(SocketAddr::is_ipv4).collect();
    if fours.is_empty() { addresses } else { fours }
}

/// Asks `GET /health`, which LibreChat answers before all its middleware (CONTRACT.md A.1).
fn health_check() -> Box<HttpHealthCheck> {
    let mut check = HttpHealthCheck::new("localhost", false);
    check.req.set_uri(Uri::from_static("/health"));
    check.consecutive_failure = 2;
    check.peer_template.options.connection_timeout = Some(Duration::from_secs(1));
    check.peer_template.options.total_connection_timeout = Some(Duration::from_secs(1));
    check.peer_template.options.read_timeout = Some(Duration::from_secs(2));
    check.peer_template.options.write_timeout = Some(Duration::from_secs(1));
    check.reuse_connection = true;
    Box::new(check)
}
