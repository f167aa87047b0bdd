//! The chassis: pingora's server, services and load balancing, hyper as the HTTP engine on both sides.
//!
//! This room opens the data plane's socket, reads requests strictly, hands each to the spine and writes its answer; it connects to
//! LibreChat for whatever has become a passage; it stops without cutting an answer. It knows nothing of why a request is refused.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora_core::listeners::ListenerConfig;
use pingora_core::protocols::l4::stream::L4BufferSettings;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{Fds, RunArgs, Server};
use pingora_core::services::listening::Service;
use tokio::sync::watch;

use crate::flow::Spine;
use crate::lifecycle::{InFlight, Readiness};
use crate::metrics::Metrics;

mod connection;
mod inbound;
mod last_word;
mod lazy_timer;
mod link;
mod patient;
mod stop;
mod strict;
mod upstream;

pub use inbound::Inbound;
pub use upstream::{Address, LibreChat, Limits as UpstreamLimits};

use connection::Connections;
pub use stop::StopSignals;
use stop::{Draining, Signals};

/// Most bytes of a connection that are buffered in one direction, on either side.
const BUFFER: usize = 64 * 1024;

/// What the data plane needs.
pub struct Edge {
    /// The open socket. It is opened before anything else starts, so that a port in use is told at once.
    pub listener: TcpListener,
    /// Worker threads.
    pub threads: usize,
    /// Limits of client connections.
    pub limits: Limits,
    /// How long answers in flight may take to end once Tollgate is asked to stop.
    pub drain: Duration,
    /// Told when the socket is open and when Tollgate is asked to stop.
    pub readiness: Readiness,
    /// What asks Tollgate to stop. Listened for before anybody is told that it is ready.
    pub signals: StopSignals,
}

/// Limits of client connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections open at once; more are closed at once.
    pub connections: usize,
    /// Longest request head in bytes.
    pub head: usize,
    /// Longest time from the end of an answer, or from the opening of the connection, to a whole request head.
    pub head_time: Duration,
    /// Longest time a client may take no byte of an answer that is ready.
    pub write_stall: Duration,
}

// === impl Edge ===

impl Edge {
    /// Serves until somebody asks Tollgate to stop and the answers in flight are through, then returns.
    ///
    /// # Errors
    /// Where the socket cannot be used.
    pub fn run(self, spine: Arc<Spine<LibreChat>>, librechat: &LibreChat, metrics: &Metrics) -> io::Result<()> {
        let address = self.listener.local_addr()?;
        self.listener.set_nonblocking(true)?;
        let in_flight = InFlight::default();
        let (drain, draining) = watch::channel(false);
        let mut server = Server::new_with_opt_and_conf(None, server_conf(self.threads));
        server.add_service(librechat.health_service());
        let app = Connections::new(spine, in_flight.clone(), self.limits, metrics);
        let mut service = Service::new("data plane".to_owned(), app);
        // Unbuffered: hyper keeps buffers of its own, and a second pair costs 14 KiB for every idle stream.
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::unbuffered()));
        service.threads = Some(self.threads);
        let mut sockets = Fds::new();
        sockets.add(address.to_string(), self.listener.into_raw_fd());
        server.add_service(Draining::new(service, Arc::new(Mutex::new(sockets)), draining));
        let signals = Signals {
            signals: Mutex::new(Some(self.signals)),
            readiness: self.readiness.clone(),
            in_flight,
            drain,
            patience: self.drain,
        };
        self.readiness.serving();
        server.run(RunArgs { shutdown_signal: Box::new(signals) });
        Ok(())
    }
}

/// Opens the socket of a plane.
///
/// # Errors
/// A sentence saying which address cannot be listened on and what to do about it.
pub fn open(plane: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there: stop it or choose another port",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            _ => "choose another address",
        };
        format!("cannot listen on {address} for the {plane} plane: {error}; {help}")
    })
}

fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads,
        // With one thread there is nobody to steal from, and the plain scheduler is cheaper.
        work_stealing: threads > 1,
        // Answers in flight are waited for by `stop::Signals`; pingora's own waits are always slept in full.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}
