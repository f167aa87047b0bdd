//! Client connections: hyper's HTTP/1.1 server over pingora's streams, with the strict gate between them.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

use super::inbound::Inbound;
use super::last_word;
use super::lazy_timer::LazyTimer;
use super::patient::Patient;
use super::strict::{Due, Strict, Tally};
use super::upstream::LibreChat;
use super::{BUFFER, Limits};
use crate::flow::{self, Cut, Reply, Spine};
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
        let tally = Tally::default();
        let service = service_fn(|request: Request<Incoming>| {
            let guard = self.counted();
            let (spine, tally) = (&self.spine, &tally);
            // Boxed, so that an idle connection or a long stream does not carry the room of a whole request.
            let answer: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(async move {
                let mut response = spine.serve(request.map(Inbound::from), peer).await;
                tally.answered();
                if tally.is_broken() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| Tracked { body, _guard: guard }))
            });
            answer
        });
        let stream = Strict::new(Patient::new(stream, self.limits.write_stall), self.limits.head, &tally);
        let mut connection = self.engine.serve_connection(TokioIo::new(stream), service);
        let ended = serve(&mut connection, &tally, shutdown.clone()).await;
        let (stream, due) = connection.into_parts().io.into_inner().into_inner();
        self.end(stream, peer, due, ended).await;
        drop(open);
        None
    }
}

impl Connections {
    /// The end of a connection, with the last word on what was no request.
    async fn end(&self, mut stream: Patient<Stream>, peer: IpAddr, due: Due, ended: hyper::Result<()>) {
        let answer = match due {
            Due::Refusal(fault) => self.spine.malformed(fault, peer),
            Due::Nothing | Due::Upload => {
                // An error here is a client that left. If it is one of HTTP, gate and engine do not agree: hyper has answered.
                match ended {
                    Err(error) if error.is_parse() => self.malformed.inc(),
                    Err(_) => {}
                    // Who has left already has no use for a proper end.
                    Ok(()) => drop(stream.shutdown().await),
                }
                if due == Due::Upload {
                    last_word::hear_out(stream).await;
                }
                return;
            }
        };
        // Behind an answer that broke off, more bytes would be taken for its rest.
        if ended.is_ok()
            && let (head, Reply::Whole(Some(body))) = answer.into_parts()
        {
            // The same: whoever does not take it is gone.
            let _ = last_word::say(stream, &Response::from_parts(head, body)).await;
        }
    }
}

/// Serves until the connection ends. It is ended when something was refused and everything before it has its answer, and when
/// the listeners have closed.
async fn serve<I, S, B, F>(
    connection: &mut http1::Connection<I, S>,
    tally: &Tally,
    shutdown: ShutdownWatch,
) -> hyper::Result<()>
where
    I: Read + Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = F> + Unpin,
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
    B: Body<Error: std::error::Error + Send + Sync + 'static> + 'static,
{
    let news = shutdown.clone();
    let mut stopped = pin!(stopped(shutdown));
    let (mut told, mut listening) = (false, false);
    std::future::poll_fn(|cx| {
        loop {
            let polled = connection.poll_without_shutdown(cx);
            if polled.is_ready() || told {
                return polled;
            }
            // Asked once it will wake this task, which is the same for the life of a connection; to ask each time costs as much
            // as reading a header.
            let asks = !std::mem::replace(&mut listening, true) || !matches!(news.has_changed(), Ok(false));
            told = tally.is_over() || (asks && stopped.as_mut().poll(cx).is_ready());
            if !told {
                return polled;
            }
            Pin::new(&mut *connection).graceful_shutdown();
        }
    })
    .await
}

/// Returns when the listeners have closed.
async fn stopped(mut shutdown: ShutdownWatch) {
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
