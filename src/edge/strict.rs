//! The strict gate: a stream that hands on only what it has found to be a well-formed request.
//!
//! It stands between the socket and the HTTP engine and reads along. A head goes on when it is whole and good; a body goes on as
//! it comes, as far as its framing is good. From the first fault on nothing goes on: the engine answers what it has, and the
//! caller of [`Strict::refused`] has the last word on the connection.
//!
//! Nearly always a head comes in one piece; then it is read in place, in the engine's own buffer, once.

mod chunks;
mod head;
mod scanner;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::flow::BodyFault;
use crate::flow::gate::GateFault;
use scanner::{Found, Rest, Scanner};

/// What a connection's keeper must know of it while the engine has it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Heads that went on to the engine.
    heads: AtomicUsize,
    /// Those of them that have got an answer.
    answered: AtomicUsize,
    /// Nothing goes on any more.
    refused: AtomicBool,
    /// The last body that went on did not come whole.
    broken: AtomicBool,
}

/// A stream on which only well-formed requests come.
pub(super) struct Strict<'a, S> {
    stream: S,
    scanner: Scanner,
    /// The beginning of a head whose end has not come, or bytes that the engine's buffer had no room for.
    held: Vec<u8>,
    /// How many of the held bytes may go on.
    good: usize,
    stopped: Option<Stopped>,
    tally: &'a Tally,
}

/// What is left to be done on a connection that the engine has done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// To tell the client that something was no request. A fault in a body is told by who reads that body.
    Refusal(GateFault),
    /// To hear the client out: it is in the middle of a body that nobody reads any more.
    Upload,
}

/// Why nothing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// Something came that is no request.
    NoRequest(GateFault),
    /// Something came that is not the body that was announced.
    NoBody(GateFault),
    /// Something came behind the last request.
    Behind,
}

// === impl Tally ===

impl Tally {
    /// A request has got the head of its answer.
    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the connection ends with the answer to come, because the body of its request was refused.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Whether something was refused, and everything before it has got its answer.
    pub(super) fn is_over(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
            && self.answered.load(Ordering::Relaxed) == self.heads.load(Ordering::Relaxed)
    }
}

// === impl Strict ===

impl<'a, S> Strict<'a, S> {
    /// Reads along with `stream`, on which heads may have `limit` bytes.
    pub(super) fn new(stream: S, limit: usize, tally: &'a Tally) -> Self {
        Self { stream, scanner: Scanner::new(limit), held: Vec::new(), good: 0, stopped: None, tally }
    }

    /// The stream, and what is left to be done on it.
    pub(super) fn into_inner(self) -> (S, Due) {
        let due = match self.stopped {
            Some(Stopped::NoRequest(fault)) => Due::Refusal(fault),
            _ if self.scanner.is_in_body() => Due::Upload,
            _ => Due::Nothing,
        };
        (self.stream, due)
    }

    /// Takes note of what was found.
    fn note(&mut self, found: &Found) {
        if found.heads > 0 {
            self.tally.heads.fetch_add(found.heads, Ordering::Relaxed);
        }
        self.stopped = match found.rest {
            Rest::Nothing | Rest::Incomplete => return,
            Rest::Behind => Some(Stopped::Behind),
            Rest::NoRequest(fault) => Some(Stopped::NoRequest(fault)),
            Rest::NoBody(fault) => {
                self.tally.broken.store(true, Ordering::Relaxed);
                Some(Stopped::NoBody(fault))
            }
        };
        self.tally.refused.store(true, Ordering::Relaxed);
    }

    /// Hands on what may go on of the held bytes.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let here = self.good.min(buf.remaining());
        buf.put_slice(self.held.get(..here).unwrap_or_default());
        self.held.drain(..here);
        self.good -= here;
        if self.held.is_empty() {
            // An idle connection holds nothing.
            self.held = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.good > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            match this.stopped {
                None => {}
                Some(Stopped::NoBody(fault)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, BodyFault::Gate(fault))));
                }
                // Who keeps the connection sees it in the tally and ends it when all answers are through.
                Some(Stopped::NoRequest(_) | Stopped::Behind) => return Poll::Pending,
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let found = this.scanner.scan(fresh);
                if found.rest == Rest::Incomplete {
                    this.held.extend_from_slice(fresh.get(found.good..).unwrap_or_default());
                }
                this.note(&found);
                buf.set_filled(before + found.good);
                if found.good > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(fresh);
                buf.set_filled(before);
                let found = this.scanner.scan(&this.held);
                this.note(&found);
                this.good = found.good;
                if found.rest != Rest::Incomplete {
                    this.held.truncate(found.good);
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
