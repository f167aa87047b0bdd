//! The handle on a running stand-in: where it listens, what it saw, what it would have called.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::net::TcpListener;

use super::options::{Person, StandInOptions};

/// A running stand-in. Dropping it ends it at once; [`StandIn::stop`] also waits until it has ended.
pub struct StandIn {
    addr: SocketAddr,
}

/// One request as it reached the stand-in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The request target as it was sent: path and query, unnormalised.
    pub target: String,
    /// The headers, names in lower case, repeated ones in order.
    pub headers: HeaderMap,
    /// The body as far as it was read, transfer coding removed, content coding kept.
    pub body: Bytes,
}

/// A call to a model provider that LibreChat would have made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The id of the person for whom it is made.
    pub user: String,
    /// The provider's endpoint name, such as `openAI`.
    pub endpoint: String,
    /// The model that would run.
    pub model: String,
}

// === impl StandIn ===

impl StandIn {
    /// Starts a stand-in on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened.
    pub async fn start(options: StandInOptions) -> io::Result<StandIn> {
        Self::start_on(TcpListener::bind(("127.0.0.1", 0)).await?, options)
    }

    /// Starts a stand-in on a listener that is already open. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener's address cannot be read.
    pub fn start_on(listener: TcpListener, _options: StandInOptions) -> io::Result<StandIn> {
        Ok(StandIn { addr: listener.local_addr()? })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far, in the order in which their heads arrived.
    pub fn seen(&self) -> Vec<Seen> {
        Vec::new()
    }

    /// Every provider call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        Vec::new()
    }

    /// Forgets what was seen and called, so that a test can look at its next step alone.
    pub fn forget(&self) {}

    /// A fresh access token for somebody, as a sign-in would give.
    pub fn token_for(&self, _person: &Person) -> String {
        String::new()
    }

    /// Ends it: no further connections, running ones cut, running turns dropped. Returns when all is over.
    pub async fn stop(self) {}
}
