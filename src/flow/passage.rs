//! The proof that an exchange may go on.
//!
//! Only `flow` can make a [`Passage`], and the edge needs one to speak to LibreChat: nothing unjudged type-checks its way upstream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

use super::gate::GateFault;

/// A request that may go to LibreChat.
pub struct Passage<B> {
    /// Boxed: it is handed on through many hands on its way.
    request: Box<Request<Outgoing<B>>>,
    sticky: u64,
    patience: Duration,
}

/// The body of a request on its way to LibreChat.
pub enum Outgoing<B> {
    /// Ours: what was parsed, written anew. `None` is no body at all.
    Whole(Option<Bytes>),
    /// The client's, as it arrives: routes that choose no model.
    Streamed {
        /// The body.
        body: B,
        /// Told of every piece.
        moved: Moved,
    },
}

/// Whether anything of a streamed body has moved lately. An upload may take as long as it likes, as long as it goes on.
#[derive(Clone, Debug, Default)]
pub struct Moved(Arc<AtomicBool>);

/// Why the body of a request did not come whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Its framing is not well formed.
    #[error("{0}")]
    Gate(GateFault),
    /// The client broke off.
    #[error("{0}")]
    BrokenOff(String),
}

/// Why LibreChat gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// No connection could be made.
    Connect(String),
    /// No answer within the time limit.
    Timeout,
    /// The connection broke before the answer.
    Broken(String),
    /// No instance of LibreChat is known (the name does not resolve).
    NoneKnown,
    /// The client's body, which was being passed on, did not come whole. LibreChat has a part of it, and has seen the connection
    /// close.
    Request(BodyFault),
}

/// The way to LibreChat. The edge implements it.
pub trait Upstream: Send + Sync + 'static {
    /// The body of a client's request.
    type Inbound: Body<Data = Bytes, Error = BodyFault> + Send + Unpin + 'static;
    /// The body of LibreChat's answer.
    type Outbound: Body<Data = Bytes, Error: std::fmt::Display> + Send + Unpin + 'static;

    /// Sends the request and waits for the head of the answer, no longer than the passage's patience.
    ///
    /// # Errors
    /// [`UpstreamFault`] where no answer came.
    fn send(
        &self,
        passage: Passage<Self::Inbound>,
    ) -> impl Future<Output = Result<Response<Self::Outbound>, UpstreamFault>> + Send;
}

// === impl Passage ===

impl<B> Passage<B> {
    /// Lets a request pass. `sticky` names who it belongs to (requests of one user go to one instance, CONTRACT.md G.1),
    /// `patience` is how long the head of the answer may take.
    pub(super) fn new(head: Parts, body: Outgoing<B>, sticky: &[u8], patience: Duration) -> Self {
        let request = Box::new(Request::from_parts(head, body));
        Self { request, sticky: fnv_1a(sticky), patience }
    }

    /// The request, the key that keeps a user at one instance, and the longest wait for the head of the answer.
    pub fn into_parts(self) -> (Box<Request<Outgoing<B>>>, u64, Duration) {
        (self.request, self.sticky, self.patience)
    }
}

/// FNV-1a: the same number for the same name in every process, so that all replicas choose alike.
fn fnv_1a(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

// === impl UpstreamFault ===

impl UpstreamFault {
    /// All kinds.
    pub(super) const KINDS: [&'static str; 4] = ["connect", "timeout", "broken", "none-known"];

    /// The label used in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Broken(_) => "broken",
            Self::NoneKnown => "none-known",
            Self::Request(_) => "request",
        }
    }
}

// === impl Moved ===

impl Moved {
    /// Whether anything has moved since the last time this was asked.
    pub fn lately(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

// === impl Outgoing ===

impl<B: Body<Data = Bytes>> Outgoing<B> {
    /// A client's body, to be passed on as it comes. What has no body stays without one.
    pub(super) fn streamed(body: B) -> Self {
        if body.is_end_stream() { Self::Whole(None) } else { Self::Streamed { body, moved: Moved::default() } }
    }

    /// Tells of the pieces of a streamed body; nothing for a body that is there whole.
    pub fn moved(&self) -> Option<Moved> {
        match self {
            Self::Whole(_) => None,
            Self::Streamed { moved, .. } => Some(moved.clone()),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed { body, moved } => loop {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                if frame.is_ready() {
                    moved.0.store(true, Ordering::Relaxed);
                }
                match frame {
                    // Trailers of a client are not passed on: nothing was judged by them.
                    Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {}
                    other => return other,
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streamed { body, .. } => body.size_hint(),
        }
    }
}
