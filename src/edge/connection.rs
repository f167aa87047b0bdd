//! Client connections: hyper's HTTP/1.1 server over pingora's streams.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;

use super::lazy_timer::LazyTimer;
use super::patient::Patient;
use super::upstream::LibreChat;
use super::{BUFFER, Limits};
use crate::flow::{self, Cut, Spine};
use crate::lifecycle::{InFlight, InFlightGuard};
use crate::metrics::{IntCounter, IntGauge, Metrics};

/// Takes connections and serves the requests on them.
pub(super) struct Connections {
    spine: Arc<Spine<LibreChat>>,
    engine: http1::Builder,
    in_flight: InFlight,
    limits: Limits,
    open: IntGauge,
    shed: IntCounter,
    malformed: IntCounter,
    requests: IntGauge,
}

/// An answer's body that counts as in flight until its last byte has been taken, or the client has left.
struct Tracked<B> {
    body: B,
    _guard: Counted,
}

/// One request in flight, for the stop and for the metrics.
struct Counted {
    _in_flight: InFlightGuard,
    requests: IntGauge,
}

/// One open connection, for the metrics.
struct Open(IntGauge);

// === impl Connections ===

impl Connections {
    pub(super) fn new(spine: Arc<Spine<LibreChat>>, in_flight: InFlight, limits: Limits, metrics: &Metrics) -> Self {
        let mut engine = http1::Builder::new();
        // Head and body in one write from one buffer: for answers of this size cheaper than a list of buffers.
        engine.writev(false).max_buf_size(BUFFER);
        engine.timer(LazyTimer).header_read_timeout(limits.head_time).max_header_size(limits.head);
        Self {
            spine,
            engine,
            in_flight,
            limits,
            open: metrics.connections.clone(),
            shed: metrics.connections_shed_total.clone(),
            malformed: metrics.malformed_total.clone(),
            requests: metrics.in_flight.clone(),
        }
    }

    fn counted(&self) -> Counted {
        self.requests.inc();
        Counted { _in_flight: self.in_flight.guard(), requests: self.requests.clone() }
    }
}

#[async_trait]
impl ServerApp for Connections {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let open = Open::count(&self.open);
        if usize::try_from(self.open.get()).unwrap_or(0) > self.limits.connections {
            self.shed.inc();
            return None;
        }
        let peer = peer_of(&stream);
        let service = service_fn(|request: Request<Incoming>| {
            let guard = self.counted();
            let spine = Arc::clone(&self.spine);
            // Boxed, so that an idle connection or a long stream does not carry the room of a whole request.
            let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
                let response = spine.serve(request, peer).await;
                Ok::<_, Infallible>(response.map(|body| Tracked { body, _guard: guard }))
            });
            answer
        });
        let io = TokioIo::new(Patient::new(stream, self.limits.write_stall));
        let mut connection = pin!(self.engine.serve_connection(io, service));
        let mut shutdown = shutdown.clone();
        tokio::select! {
            biased;
            // An error here is a client that left or spoke no HTTP: hyper has answered what could be answered.
            ended = connection.as_mut() => if ended.is_err_and(|error| error.is_parse()) {
                self.malformed.inc();
            },
            () = stopped(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        drop(open);
        None
    }
}

/// Returns when the listeners have closed.
async fn stopped(shutdown: &mut ShutdownWatch) {
    // The guard that `wait_for` gives must not live on. A sender that is gone means the same: nobody serves any more.
    let _ = shutdown.wait_for(|stop| *stop).await.map(|_| ());
}

/// The address of the other end. A stream without one (it has just been reset) belongs to nobody.
fn peer_of(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let address = digest.as_ref().and_then(|digest| digest.peer_addr()).and_then(|address| address.as_inet().copied());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

// === impl Tracked ===

impl Body for Tracked<flow::Body<LibreChat>> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.requests.dec();
    }
}

// === impl Open ===

impl Open {
    fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
