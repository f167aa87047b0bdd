//! Connections to LibreChat, each driven by the request that uses it.
//!
//! hyper splits a client connection into a sender and a driver. The usual pool gives every driver a task of its own, and each
//! request then pays for two or three wakes between tasks. Here the request's own task drives its connection: what it waits for
//! and what makes it come true happen in one place. (Measured with `loadtest/run`: about a tenth of a request's processor time.)
//!
//! An unused connection is kept for less than Node's `keepAliveTimeout` of 5 s (SECURITY.md section 6). A request that could not be written on a kept connection goes out on another; one that was written is never
//! repeated.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::BUFFER;
use super::inbound::Inbound;
use crate::flow::{BodyFault, Outgoing, UpstreamFault};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(4);

/// Most unused connections that are kept for one instance.
const MOST_IDLE: usize = 1024;

/// One instance of LibreChat and the unused connections to it.
#[derive(Debug)]
pub(super) struct Instance {
    /// Where it listens.
    pub(super) address: SocketAddr,
    idle: Mutex<Vec<Idle>>,
}

/// The body of LibreChat's answer, with the connection that it comes on.
pub struct Answer {
    body: Incoming,
    /// Until the body is at its end; then it is kept for the next request. Dropped before, it is closed: LibreChat's answer
    /// is not wanted any more.
    link: Option<Link>,
    home: Arc<Instance>,
    /// Whether the connection is not to be used again, although the answer is whole.
    doubtful: bool,
}

/// An open connection.
#[derive(Debug)]
struct Link {
    sender: SendRequest<Outgoing<Inbound>>,
    driver: Driver,
}

/// What moves bytes. It goes when it has ended: only then does hyper tell whoever still waits for something of it.
#[derive(Debug)]
struct Driver(Option<Pin<Box<Http>>>);

/// hyper's half of a connection that moves bytes.
type Http = Connection<TokioIo<TcpStream>, Outgoing<Inbound>>;

/// An unused connection, and since when.
#[derive(Debug)]
struct Idle {
    link: Link,
    since: Instant,
}

/// How sending went wrong.
enum Unsent {
    /// Not a byte went out: here is the request, for another connection.
    Back(Box<Request<Outgoing<Inbound>>>),
    /// It may have gone out.
    Gone(hyper::Error),
}

// === impl Instance ===

impl Instance {
    /// An instance without a connection.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends a request and returns the head of the answer; the body comes on the same connection.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        mut request: Box<Request<Outgoing<Inbound>>>,
        connect: Duration,
    ) -> Result<Response<Answer>, UpstreamFault> {
        while let Some(link) = self.take() {
            match link.send(request).await {
                Ok((answer, link)) => return self.answered(answer, link),
                Err(Unsent::Back(unsent)) => request = unsent,
                Err(Unsent::Gone(error)) => return Err(fault(&error)),
            }
        }
        // Boxed: most requests find a kept connection and should not carry the room for making one.
        match Box::pin(Link::open(self.address, connect)).await?.send(request).await {
            Ok((answer, link)) => self.answered(answer, link),
            Err(Unsent::Back(_)) => Err(UpstreamFault::Broken("closed before the request was sent".to_owned())),
            Err(Unsent::Gone(error)) => Err(fault(&error)),
        }
    }

    /// The answer, if it is one: Tollgate never asks for another protocol.
    fn answered(self: &Arc<Self>, answer: Response<Incoming>, link: Link) -> Result<Response<Answer>, UpstreamFault> {
        if answer.status().is_informational() {
            return Err(UpstreamFault::Broken(format!("answered {}, which was not asked for", answer.status())));
        }
        // A length beside chunks: what the two ends take for the end of the answer may differ (RFC 9112 6.3).
        let doubtful = answer.body().size_hint().exact().is_none() && answer.headers().contains_key(CONTENT_LENGTH);
        Ok(answer.map(|body| {
            let mut answer = Answer { body, link: Some(link), home: Arc::clone(self), doubtful };
            if answer.body.is_end_stream() {
                answer.give_back();
            }
            answer
        }))
    }

    /// An unused connection. LibreChat may have closed it: then the request comes back unsent.
    fn take(&self) -> Option<Link> {
        let mut idle = self.idle.lock();
        let Idle { link, since } = idle.pop()?;
        if since.elapsed() < IDLE {
            return Some(link);
        }
        // The others were put there earlier.
        idle.clear();
        None
    }

    fn keep(&self, link: Link) {
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { link, since: Instant::now() });
        }
    }

    /// Closes connections that nobody has used for too long.
    pub(super) fn sweep(&self) {
        self.idle.lock().retain(|idle| idle.since.elapsed() < IDLE);
    }
}

// === impl Link ===

impl Link {
    async fn open(address: SocketAddr, within: Duration) -> Result<Self, UpstreamFault> {
        let connecting = timeout(within, TcpStream::connect(address)).await;
        let stream = connecting
            .map_err(|_| UpstreamFault::Connect(format!("no connection to {address} within {within:?}")))?
            .map_err(|error| UpstreamFault::Connect(format!("no connection to {address}: {error}")))?;
        // Words of an answer must not wait for each other; without the option they only come later.
        let _ = stream.set_nodelay(true);
        let (sender, driver) = Builder::new()
            .writev(false)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| UpstreamFault::Broken(chain(&error)))?;
        Ok(Self { sender, driver: Driver(Some(Box::pin(driver))) })
    }

    /// A connection whose answer is at its end, if another request can be sent on it.
    fn still_open(mut self) -> Option<Self> {
        // Nobody waits for what is found here; the waker of the last request is forgotten with it.
        let ended = self.driver.drive(&mut Context::from_waker(Waker::noop()));
        (!ended && self.sender.is_ready()).then_some(self)
    }

    async fn send(mut self, request: Box<Request<Outgoing<Inbound>>>) -> Result<(Response<Incoming>, Self), Unsent> {
        let mut answer = pin!(self.sender.try_send_request(*request));
        let driver = &mut self.driver;
        let answer = std::future::poll_fn(|cx| {
            driver.drive(cx);
            // The answer only ever comes true while the driver is driven, just above: nobody else has to wake for it.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        match answer.await {
            Ok(answer) => Ok((answer, self)),
            Err(mut error) => match error.take_message() {
                Some(request) => Err(Unsent::Back(Box::new(request))),
                None => Err(Unsent::Gone(error.into_error())),
            },
        }
    }
}

// === impl Driver ===

impl Driver {
    /// Moves what can be moved. Whether it is over with the connection.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.0.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.0 = None;
        }
        self.0.is_none()
    }
}

// === impl Answer ===

impl Answer {
    /// Keeps the connection for the next request, if it can be used again.
    fn give_back(&mut self) {
        let link = self.link.take().filter(|_| !self.doubtful);
        if let Some(link) = link.and_then(Link::still_open) {
            self.home.keep(link);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.body).poll_frame(&mut Context::from_waker(Waker::noop()));
        if frame.is_pending()
            && let Some(link) = &mut this.link
        {
            // Pieces only ever come while the driver is driven; it is the one that wakes this task.
            link.driver.drive(cx);
            frame = Pin::new(&mut this.body).poll_frame(&mut Context::from_waker(Waker::noop()));
        }
        match &frame {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.link = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whose fault it is that a request did not get through.
fn fault(error: &hyper::Error) -> UpstreamFault {
    match std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<BodyFault>()) {
        Some(fault) => UpstreamFault::Request(fault.clone()),
        None => UpstreamFault::Broken(chain(error)),
    }
}

/// An error with its causes, in one line.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
