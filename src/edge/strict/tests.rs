use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The client's end, which keeps its connection open when it has written.
type Client = JoinSet<tokio::io::DuplexStream>;

/// A connection to which these bytes are written, `piece` of them at a time.
fn written(bytes: &[u8], piece: usize) -> (tokio::io::DuplexStream, Client) {
    let (mut client, server) = tokio::io::duplex(piece);
    let bytes = bytes.to_vec();
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        client.write_all(&bytes).await.unwrap();
        client
    });
    (server, writing)
}

/// What comes next, or nothing once something was refused.
async fn unless_refused(strict: &mut Strict<'_, tokio::io::DuplexStream>) -> Option<Vec<u8>> {
    std::future::poll_fn(|cx| {
        let mut room = [0; 4096];
        let mut some = ReadBuf::new(&mut room);
        match Pin::new(&mut *strict).poll_read(cx, &mut some) {
            Poll::Ready(read) => Poll::Ready(read.map(|()| Some(some.filled().to_vec())).unwrap()),
            Poll::Pending if strict.tally.refused.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn what_is_good_goes_on_byte_for_byte() {
    let stream = [GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", GET].concat();
    for piece in [1, 5, 64, 4096] {
        for room in [1, 7, 4096] {
            let (server, mut writing) = written(&stream, piece);
            let tally = Tally::default();
            let mut strict = Strict::new(server, 1024, &tally);
            let mut on = Vec::new();
            while on.len() < stream.len() {
                let mut some = vec![0; room];
                let count = strict.read(&mut some).await.unwrap();
                on.extend_from_slice(&some[..count]);
            }
            assert_eq!(on, stream, "{piece} {room}");
            assert_eq!((tally.heads.load(Ordering::Relaxed), tally.is_over()), (3, false));
            assert_eq!(strict.held.capacity(), 0, "nothing is held between requests");
            drop(writing.join_next().await);
            assert_eq!(strict.read(&mut [0]).await.unwrap(), 0, "the end is handed on");
        }
    }
}

#[tokio::test]
async fn half_a_head_never_goes_on() {
    let (server, mut writing) = written(&[GET, b"GET / HTTP/1.1\r\nHost: a\r\nX"].concat(), 4096);
    let tally = Tally::default();
    let mut strict = Strict::new(server, 1024, &tally);
    let mut on = [0; 4096];
    assert_eq!(strict.read(&mut on).await.unwrap(), GET.len());
    drop(writing.join_next().await);
    assert_eq!(strict.read(&mut on).await.unwrap(), 0, "the client has left");
    assert_eq!(strict.into_inner().1, Due::Nothing);
}

#[tokio::test]
async fn nothing_goes_on_behind_a_fault_and_its_time_comes_after_the_answers() {
    for piece in [1, 4096] {
        let (server, _writing) = written(&[GET, b"\r\n", GET].concat(), piece);
        let tally = Tally::default();
        let mut strict = Strict::new(server, 1024, &tally);
        let mut on = Vec::new();
        while let Some(some) = unless_refused(&mut strict).await {
            on.extend_from_slice(&some);
        }
        assert_eq!(on, GET, "{piece}");
        assert!(!tally.is_over(), "the first request has no answer yet");
        tally.answered();
        assert!(tally.is_over());
        assert_eq!(strict.into_inner().1, Due::Refusal(GateFault::LineEnd));
    }
}

#[tokio::test]
async fn a_fault_in_a_body_breaks_it_for_its_reader() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (server, _writing) = written(&[&head[..], b"5\r\nhello\r\n0;x\r\n\r\n"].concat(), 4096);
    let tally = Tally::default();
    let mut strict = Strict::new(server, 1024, &tally);
    let mut on = [0; 4096];
    let count = strict.read(&mut on).await.unwrap();
    assert_eq!(on[..count], [&head[..], b"5\r\nhello\r\n0"].concat());
    let error = strict.read(&mut on).await.unwrap_err();
    let fault = error.get_ref().and_then(|cause| cause.downcast_ref::<BodyFault>());
    assert_eq!(fault, Some(&BodyFault::Gate(GateFault::Chunk)));
    assert_eq!(strict.into_inner().1, Due::Upload, "who reads the body tells it");
}

#[tokio::test]
async fn nothing_is_read_behind_the_last_request() {
    let last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (server, _writing) = written(&[&last[..], b"\0\0\0"].concat(), 4096);
    let tally = Tally::default();
    let mut strict = Strict::new(server, 1024, &tally);
    let mut on = [0; 4096];
    assert_eq!(strict.read(&mut on).await.unwrap(), last.len());
    assert_eq!(unless_refused(&mut strict).await, None);
    tally.answered();
    assert!(tally.is_over());
    assert_eq!(strict.into_inner().1, Due::Nothing, "it is no fault");
}
