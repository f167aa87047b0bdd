//! Composition: the one place that knows every room. Settings and a policy become running parts, and stop in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{OtlpOptions, Records, Settings, SinkKind};
use crate::edge::{self, Edge, LibreChat, UpstreamLimits};
use crate::flow::{Patience, Spine, SpineParts};
use crate::identity::{Federation, Identity, Keys, Oidc, Pace};
use crate::lifecycle::{House, Readiness};
use crate::metrics::{self, Metrics};
use crate::policy::Snapshot;
use crate::provider::{CertificatesFault, Post, Provider};
use crate::record::sinks::{FileLines, Otlp};
use crate::record::{
    About, Entry, Event, Happened, Keeper, Linker, OpenFault, Recorder, RecorderOptions, RecorderWorker, Sink, Stored,
};
use crate::store::embedded::Embedded;
use crate::store::mongo::Mongo;
use crate::store::overrides::Overrides;
use crate::store::{Accounts, Agents, Directory, StoreError};

mod counting;
pub mod doctor;
mod following;
mod linking;
mod reloading;
mod windows;

use counting::{Counting, Known};
use following::Following;
pub use reloading::Followed;
use reloading::Reloading;

/// Longest request head in bytes: Node's own limit (CONTRACT.md D.7).
const LONGEST_HEAD: usize = 16 * 1024;

/// How long the recorder may take to write what it holds once the last answer is through.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Why Tollgate did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// A socket, a thread or another thing of the machine is not to be had.
    #[error("{0}")]
    Machine(String),
    /// A store cannot be opened.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The record cannot be opened.
    #[error("{0}")]
    Record(#[from] OpenFault),
    /// The certificates for the identity provider cannot be used.
    #[error("oidc.ca_file: {0}")]
    Certificates(#[from] CertificatesFault),
    /// The metrics are declared wrongly.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] metrics::Error),
}

/// The open sockets of both planes. Opened before anything else starts.
pub struct Sockets {
    /// Where users come in.
    pub data: TcpListener,
    /// Health and metrics.
    pub admin: TcpListener,
}

/// The stores that the settings ask for.
struct Stores {
    directory: Arc<dyn Directory>,
    /// Only LibreChat's own database has them.
    agents: Option<Arc<dyn Agents>>,
    /// So has it what was used.
    accounts: Option<Arc<dyn Accounts>>,
    /// Documents that change what the policy's files say: in MongoDB where that is configured.
    overrides: Arc<dyn Overrides>,
    sinks: Vec<Sink>,
}

// === impl Sockets ===

impl Sockets {
    /// Opens both.
    ///
    /// # Errors
    /// [`StartFault::Machine`] naming the address and what to do about it.
    pub fn open(listen: SocketAddr, admin: SocketAddr) -> Result<Self, StartFault> {
        Ok(Self {
            data: edge::open("data", listen).map_err(StartFault::Machine)?,
            admin: edge::open("admin", admin).map_err(StartFault::Machine)?,
        })
    }
}

/// Runs Tollgate until somebody asks it to stop and everything is written down.
///
/// # Errors
/// [`StartFault`]; nothing has been served then.
pub fn serve(settings: &Settings, policy: Snapshot, followed: Followed, sockets: Sockets) -> Result<(), StartFault> {
    let clock = Clock::system();
    let metrics = Arc::new(Metrics::new()?);
    metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let house = House::open().map_err(|error| StartFault::Machine(format!("no thread can be started: {error}")))?;
    let stores = house.wait_for(stores(settings, &clock))?;
    let known = counting::known(settings, &stores.sinks);
    let kept: Vec<_> = stores.sinks.iter().filter_map(Sink::kept).collect();
    let mut keepers: Vec<_> =
        kept.iter().map(|kept| house.spawn(Keeper::new(kept.clone(), settings.records.keep, &clock).run())).collect();
    let stored = |instance| house.wait_for(linking::stored(&kept, instance));
    let (recorder, worker) = recorder(settings, stores.sinks, &clock, &metrics, stored)?;
    let own = worker.instance();
    keepers.extend(kept.into_iter().map(|kept| house.spawn(Linker::new(kept, recorder.clone(), own, &clock).run())));
    let working = house.spawn(worker.run());
    let known_here = reloading::Known { settings, clock: &clock, metrics: &metrics, recorder: &recorder };
    let reloading = Reloading::start(policy, followed, stores.overrides, &known_here, &house)?;
    let policy = reloading.policy();
    let event = |action| {
        let policy = policy.load();
        let about = About::Program { version: env!("CARGO_PKG_VERSION"), mode: policy.mode().as_str() };
        Entry::Event(Box::new(Event::of_tollgate(clock.now(), action, Some(policy.shared_revision()), about)))
    };
    recorder.record(event(Happened::Started));
    let mut counting =
        Counting::start(settings, &clock, &metrics, &house, Known { kept: known, recorder: recorder.clone() })?;
    let addresses = settings.upstream.iter().map(|at| edge::Address { host: at.host.clone(), port: at.port }).collect();
    let librechat = LibreChat::at(addresses, UpstreamLimits { connect: settings.timeouts.connect });
    house.wait_for(librechat.resolve());
    let provider = provider(settings, &clock, &metrics)?;
    let keeping = provider.clone().map(|provider| house.spawn(async move { provider.keep().await }));
    let readiness = Readiness::default();
    let pages = house.spawn(
        Admin {
            readiness: readiness.clone(),
            metrics: Arc::clone(&metrics),
            directory: Arc::clone(&stores.directory),
            meter: counting.meter(),
            policy: reloading.standing(),
            record: Box::new({
                let recorder = recorder.clone();
                move || recorder.health()
            }),
            upstreams: Box::new({
                let librechat = librechat.clone();
                move || librechat.healthy()
            }),
            keys: provider.clone().map(|provider| -> crate::admin::Age { Box::new(move || provider.age_of_keys()) }),
        }
        .serve(sockets.admin),
    );
    let people = (Arc::clone(&stores.directory), stores.agents.clone());
    let identity = Arc::new(identity(settings, people, provider, &clock, &metrics));
    let known = following::Known { settings, clock: &clock, metrics: &metrics, policy: &policy, recorder: &recorder };
    let mut following = Following::open(&known, counting.meter(), stores.accounts.clone())?;
    counting.keep(&house);
    following.start(&house, &librechat, &identity);
    let parts = SpineParts {
        upstream: librechat.clone(),
        identity,
        agents: stores.agents,
        policy: Arc::clone(&policy),
        recorder: recorder.clone(),
        meter: counting.meter(),
        turns: following.turns(),
        clock: clock.clone(),
        patience: Patience {
            body: settings.timeouts.body,
            response: settings.timeouts.response,
            idle: settings.timeouts.idle,
        },
        trusted: settings.trusted_proxies.clone(),
        unknown: settings.unknown_routes,
        accounts: stores.accounts,
        balance: settings.balance,
    };
    let signals = house.wait_for(async { edge::StopSignals::listen() });
    let signals = signals.map_err(|error| StartFault::Machine(format!("cannot listen for SIGTERM: {error}")))?;
    let edge = Edge {
        listener: sockets.data,
        threads: settings.threads,
        limits: edge::Limits {
            connections: settings.connections,
            head: LONGEST_HEAD,
            head_time: settings.timeouts.head,
            write_stall: settings.timeouts.write_stall,
        },
        drain: settings.timeouts.drain,
        readiness,
        signals,
    };
    let served = edge.run(Arc::new(Spine::new(parts, &metrics)), &librechat, &metrics);
    house.wait_for(following.stop());
    // They look at the meter, which settles its last receipts when nobody else has it.
    pages.abort();
    if house.wait_for(pages).is_err_and(|ended| ended.is_panic()) {
        tracing::error!("the health pages ended badly");
    }
    house.wait_for(counting.stop());
    reloading.stop();
    recorder.record(event(Happened::Stopped));
    let written = house.wait_for(recorder.stop(LAST_WORDS));
    keeping.iter().chain(&keepers).for_each(JoinHandle::abort);
    if !written {
        tracing::error!("the disk does not answer: what was recorded last may be missing");
        working.abort();
    } else if house.wait_for(working).is_err() {
        tracing::error!("the recorder ended badly: its last entries may be missing");
    }
    house.close();
    served.map_err(|error| StartFault::Machine(format!("the data plane's socket cannot be used: {error}")))
}

/// Who is asking: the same for requests and for those who ask what a token would be.
fn identity(
    settings: &Settings,
    (directory, agents): (Arc<dyn Directory>, Option<Arc<dyn Agents>>),
    provider: Option<Arc<Oidc>>,
    clock: &Clock,
    metrics: &Metrics,
) -> Identity {
    let federation = settings.oidc.as_ref().zip(provider);
    let federation = federation.map(|(oidc, of)| Federation::new(of, oidc.refresh_secret.reveal(), clock));
    let keys = agents.map(|agents| Keys::new(agents, settings.remember, clock, metrics));
    let identity = Identity::new(settings.jwt_secret.reveal(), directory, settings.remember, clock, metrics);
    identity.with(federation).with_keys(keys)
}

/// The identity provider whose tokens count, where the settings name one.
fn provider(settings: &Settings, clock: &Clock, metrics: &Metrics) -> Result<Option<Arc<Oidc>>, StartFault> {
    metrics.oidc_keys_age_seconds.set(-1);
    for result in ["good", "failed"] {
        metrics.oidc_fetches_total.with_label_values(&[result]);
    }
    let Some(oidc) = &settings.oidc else { return Ok(None) };
    let documents = Provider::new(oidc.ca_file.as_deref(), oidc.insecure_http)?;
    Ok(Some(Arc::new(Oidc::new(oidc.trust.clone(), Arc::new(documents), Pace::USUAL, clock, metrics))))
}

async fn stores(settings: &Settings, clock: &Clock) -> Result<Stores, StartFault> {
    let mongo = match &settings.mongo {
        Some(mongo) => Some(Arc::new(Mongo::connect(mongo.uri.reveal(), &mongo.database).await?)),
        None => None,
    };
    let needs_embedded = mongo.is_none() || settings.records.sinks.contains(&SinkKind::Embedded);
    let embedded = if needs_embedded { Some(Arc::new(Embedded::open(&settings.data)?)) } else { None };
    let (directory, overrides): (Arc<dyn Directory>, Arc<dyn Overrides>) = match (&mongo, &embedded) {
        (Some(mongo), _) => (mongo.clone(), mongo.clone()),
        (None, Some(embedded)) => (embedded.clone(), embedded.clone()),
        (None, None) => return Err(StartFault::Machine("no directory is configured".to_owned())),
    };
    let mut sinks = Vec::new();
    for kind in &settings.records.sinks {
        match (kind, &mongo, &embedded) {
            (SinkKind::Stdout, ..) => sinks.push(
                Sink::stdout().map_err(|error| StartFault::Machine(format!("no thread can be started: {error}")))?,
            ),
            (SinkKind::Mongo, Some(mongo), _) => sinks.push(Sink::ledger("mongo", mongo.clone())),
            (SinkKind::Embedded, _, Some(embedded)) => sinks.push(Sink::ledger("embedded", embedded.clone())),
            (SinkKind::File, ..) => {
                if let Some(file) = &settings.records.file {
                    sinks.push(Sink::File(FileLines::open(file.clone(), clock)?));
                }
            }
            (SinkKind::Otlp, ..) => {
                if let Some(OtlpOptions { url, headers, timeout, ca_file, insecure_http }) =
                    settings.records.otlp.clone()
                {
                    let way = Provider::new(ca_file.as_deref(), insecure_http)?;
                    sinks.push(Sink::Otlp(Otlp::new(Post::new(way, url, headers, timeout))));
                }
            }
            (SinkKind::Mongo | SinkKind::Embedded, ..) => {}
        }
    }
    let accounts = mongo.clone().map(|mongo| -> Arc<dyn Accounts> { mongo });
    let agents = mongo.map(|mongo| -> Arc<dyn Agents> { mongo });
    Ok(Stores { directory, agents, accounts, overrides, sinks })
}

fn recorder(
    settings: &Settings,
    sinks: Vec<Sink>,
    clock: &Clock,
    metrics: &Metrics,
    stored: impl FnOnce(Uuid) -> Vec<Stored>,
) -> Result<(Recorder, RecorderWorker), OpenFault> {
    let Records { queue, spool, durable, on_full, signing_key, mask, .. } = settings.records.clone();
    let options = RecorderOptions { queue, spool, durable, on_full, signing_key, mask, ..RecorderOptions::default() };
    Recorder::start_beside(&settings.data, sinks, clock, &metrics.recorder(), options, stored)
}
