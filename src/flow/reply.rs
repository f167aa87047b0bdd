//! The body of an answer on its way to the client, and bodies held whole.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// The body of an answer.
pub enum Reply<B> {
    /// Ours: a refusal, a filtered catalogue.
    Whole(Option<Bytes>),
    /// LibreChat's, chunk by chunk as it comes.
    Streamed(Streamed<B>),
}

/// A body that is passed on as it comes, and given up when nothing comes for too long.
pub struct Streamed<B> {
    body: B,
    idle: Duration,
    /// How the answer broke off, told one turn later: what came before is written out first.
    cut: Option<Cut>,
    /// Who reads along, where somebody does.
    watch: Option<Box<dyn Watch>>,
    /// Armed while nothing comes. Boxed, so that the many answers that come at once pay nothing for it.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Reads an answer along while it passes. Nothing is kept, delayed or changed for it. Dropped, the answer is over, whole or not.
pub(super) trait Watch: Send {
    /// A piece passes.
    fn chunk(&mut self, chunk: &Bytes);
    /// The answer has come whole.
    fn end(&mut self) {}
}

/// The answer broke off, so that the client must see a broken answer, never a clean end.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// LibreChat broke off.
    #[error("LibreChat broke off: {0}")]
    Broken(String),
    /// LibreChat sent nothing for too long.
    #[error("LibreChat sent nothing for {0:?}")]
    Idle(Duration),
}

/// Why a body could not be held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unheld<E> {
    /// It is longer than the limit.
    TooLarge,
    /// Nothing came for too long.
    Slow,
    /// It broke off.
    Broken(E),
}

// === impl Reply ===

impl<B> Reply<B> {
    /// A whole body.
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }

    /// A body passed on as it comes; `idle` is how long it may be silent.
    pub fn streamed(body: B, idle: Duration) -> Self {
        Self::Streamed(Streamed { body, idle, cut: None, watch: None, waiting: None })
    }

    /// The same, with somebody who reads along.
    pub(super) fn watched(body: B, idle: Duration, watch: Option<Box<dyn Watch>>) -> Self {
        Self::Streamed(Streamed { body, idle, cut: None, watch, waiting: None })
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

// === impl Streamed ===

impl<B> Streamed<B>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(cut) = self.cut.take() {
            return Poll::Ready(Some(Err(cut)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.as_mut().reset(Instant::now() + self.idle);
                }
                if let Some(watch) = &mut self.watch {
                    frame.data_ref().into_iter().for_each(|chunk| watch.chunk(chunk));
                    // Of a known length, nobody asks for the end.
                    if self.body.is_end_stream() {
                        self.whole();
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                // The engine closes the connection at once when it learns of this, with all that it has not written yet.
                self.cut = Some(Cut::Broken(error.to_string()));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.whole();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.idle)));
                waiting.as_mut().poll(cx).map(|()| Some(Err(Cut::Idle(self.idle))))
            }
        }
    }

    fn whole(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            watch.end();
        }
    }
}

/// How many times the longest pause a whole held body may take.
const PAUSES: u32 = 10;

/// Holds a body whole: at most `limit` bytes, with at most `idle` between two pieces and ten times that in all, so that a body
/// that trickles in holds nothing for long.
///
/// # Errors
/// [`Unheld`].
pub(super) async fn hold<B>(body: B, limit: usize, idle: Duration) -> Result<Bytes, Unheld<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    // The announced length decides before a byte is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(Unheld::TooLarge);
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut end = None;
    loop {
        let Some(frame) = next_frame(body.as_mut(), idle, &mut end).await? else { break };
        let frame = frame.map_err(Unheld::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        let held = rest.as_ref().map_or(first.len(), BytesMut::len);
        if held + data.len() > limit {
            return Err(Unheld::TooLarge);
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            // Most bodies come in one piece, which is then handed on without a copy.
            None if first.is_empty() => first = data,
            None => {
                let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                let mut all = BytesMut::with_capacity(first.len() + data.len() + announced.min(limit));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                rest = Some(all);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// The next piece of a body, waited for at most `idle`.
///
/// The engine reads a body only when somebody asks for it, and has most bodies at hand then: the first answer is always to
/// wait, the second, one turn of the same task later, is the piece. A timer for that turn would cost more than the turn.
///
/// `end` is when the whole body must be there, set when it first has to be waited for.
async fn next_frame<B>(
    mut body: Pin<&mut B>,
    idle: Duration,
    end: &mut Option<Instant>,
) -> Result<Option<Result<Frame<Bytes>, B::Error>>, Unheld<B::Error>>
where
    B: Body<Data = Bytes>,
{
    let mut asked = false;
    let soon = std::future::poll_fn(|cx| match body.as_mut().poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    if let Some(frame) = soon.await {
        return Ok(frame);
    }
    let now = Instant::now();
    let until = (*end.get_or_insert(now + idle * PAUSES)).min(now + idle);
    timeout_at(until, std::future::poll_fn(|cx| body.as_mut().poll_frame(cx))).await.map_err(|_| Unheld::Slow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A body that gives these pieces and then ends, breaks, or stays silent.
    struct Pieces(VecDeque<Result<Bytes, &'static str>>, bool);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.0.pop_front() {
                Some(piece) => Poll::Ready(Some(piece.map(Frame::data))),
                None if self.1 => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    fn pieces(sizes: &[usize]) -> Pieces {
        Pieces(sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect(), false)
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_held_up_to_the_limit() {
        let idle = Duration::from_secs(30);
        for (sizes, wanted) in [
            (vec![], Ok(0)),
            (vec![1], Ok(1)),
            (vec![10], Ok(10)),
            (vec![4, 3, 3], Ok(10)),
            (vec![11], Err(Unheld::TooLarge)),
            (vec![10, 1], Err(Unheld::TooLarge)),
            (vec![4, 3, 4], Err(Unheld::TooLarge)),
        ] {
            assert_eq!(hold(pieces(&sizes), 10, idle).await.map(|bytes| bytes.len()), wanted, "{sizes:?}");
        }
        let silent = Pieces(VecDeque::from([Ok(Bytes::from_static(b"x"))]), true);
        assert_eq!(hold(silent, 10, idle).await, Err(Unheld::Slow));
        let broken = Pieces(VecDeque::from([Ok(Bytes::from_static(b"x")), Err("reset")]), false);
        assert_eq!(hold(broken, 10, idle).await, Err(Unheld::Broken("reset")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_given_up() {
        /// A byte every 20 seconds, without end.
        struct Trickle(Pin<Box<Sleep>>);
        impl Body for Trickle {
            type Data = Bytes;
            type Error = &'static str;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
                self.0.as_mut().poll(cx).map(|()| {
                    self.0.as_mut().reset(Instant::now() + Duration::from_secs(20));
                    Some(Ok(Frame::data(Bytes::from_static(b"x"))))
                })
            }
        }
        let began = Instant::now();
        let trickle = Trickle(Box::pin(sleep(Duration::from_secs(20))));
        assert_eq!(hold(trickle, 1000, Duration::from_secs(30)).await, Err(Unheld::Slow));
        assert_eq!(began.elapsed().as_secs(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_answer_is_cut_and_a_broken_one_never_ends_cleanly() {
        let mut reply =
            Reply::streamed(Pieces(VecDeque::from([Ok(Bytes::from_static(b"x"))]), true), Duration::from_secs(1));
        let mut next = async || std::future::poll_fn(|cx| Pin::new(&mut reply).poll_frame(cx)).await;
        assert!(next().await.unwrap().is_ok());
        assert!(matches!(next().await, Some(Err(Cut::Idle(_)))));
        let mut reply = Reply::streamed(Pieces(VecDeque::from([Err("reset")]), false), Duration::from_secs(1));
        let frame = std::future::poll_fn(|cx| Pin::new(&mut reply).poll_frame(cx)).await;
        assert!(matches!(frame, Some(Err(Cut::Broken(_)))));
    }
}
