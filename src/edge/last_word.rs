//! The answer to something that is no request, written without the HTTP engine, which has not seen it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderName, HeaderValue, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Most bytes that are read and dropped after the answer.
const MOST_DROPPED: u64 = 256 * 1024;

/// How long is waited for the client to take the answer.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client that was answered in the middle of its upload may take to finish it.
const HEARD_OUT: Duration = Duration::from_secs(30);

/// How long it may say nothing meanwhile.
const SILENCE: Duration = Duration::from_secs(5);

/// Writes the answer and ends the connection. What the client still sends is dropped for a moment: closing a socket on bytes that
/// nobody has read resets it, and the reset may overtake the answer (RFC 9112 9.6).
///
/// # Errors
/// Where the client takes nothing or is gone. It is over with the connection then, too.
pub(super) async fn say<S>(mut stream: S, answer: &Response<Bytes>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&wire(answer)).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MOST_DROPPED);
    // Whoever has not left by then is left.
    timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink()))
        .await
        .map_or(Ok(()), |dropped| dropped.map(|_| ()))
}

/// Reads and drops what a client still sends that has got its answer before the end of its upload. Many clients read no answer before
/// they have sent everything; one whose connection is reset meanwhile tells its user of a broken connection, and not what was answered.
pub(super) async fn hear_out<S: AsyncRead + Unpin>(mut stream: S) {
    let dropping = async {
        let mut dropped = vec![0; 16 * 1024];
        while let Ok(Ok(1..)) = timeout(SILENCE, stream.read(&mut dropped)).await {}
    };
    // Whoever is not through by then is left.
    let _ = timeout(HEARD_OUT, dropping).await;
}

/// The answer as bytes of HTTP/1.1, the last of its connection.
fn wire(answer: &Response<Bytes>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + answer.body().len());
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(answer.status().as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(answer.status().canonical_reason().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let mut line = |name: &HeaderName, value: &HeaderValue| {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in answer.headers() {
        line(name, value);
    }
    line(&CONTENT_LENGTH, &HeaderValue::from(answer.body().len()));
    line(&CONNECTION, &HeaderValue::from_static("close"));
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(answer.body());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_answer_is_whole_and_says_that_it_is_the_last() {
        let (mut client, server) = tokio::io::duplex(4096);
        let answer = Response::builder().status(400).header("cache-control", "no-store");
        let answer = answer.body(Bytes::from_static(b"{\"type\":\"x\"}")).unwrap();
        let reading = async {
            client.write_all(&[b'x'; 100]).await.unwrap();
            let mut all = String::new();
            client.read_to_string(&mut all).await.unwrap();
            drop(client);
            all
        };
        let (said, heard) = tokio::join!(say(server, &answer), reading);
        said.unwrap();
        assert_eq!(
            heard,
            "HTTP/1.1 400 Bad Request\r\ncache-control: no-store\r\ncontent-length: 12\r\nconnection: close\r\n\r\n\
             {\"type\":\"x\"}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stays_and_sends_on_is_left() {
        let (mut client, server) = tokio::io::duplex(4096);
        let began = tokio::time::Instant::now();
        let saying = async { say(server, &Response::new(Bytes::new())).await };
        let sending = async { while client.write_all(&[b'x'; 1024]).await.is_ok() {} };
        let (said, ()) = tokio::join!(saying, sending);
        said.unwrap();
        assert!(began.elapsed() <= LINGER);
        let (client, server) = tokio::io::duplex(4096);
        say(server, &Response::new(Bytes::new())).await.unwrap();
        assert_eq!(began.elapsed(), LINGER, "a silent client");
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_heard_out_but_not_for_ever() {
        let began = tokio::time::Instant::now();
        let (mut client, server) = tokio::io::duplex(4096);
        let sending = async move { client.write_all(&[b'x'; 1_000_000]).await.unwrap() };
        tokio::join!(hear_out(server), sending);
        assert_eq!(began.elapsed(), Duration::ZERO, "all was sent");
        let (client, server) = tokio::io::duplex(4096);
        hear_out(server).await;
        assert_eq!(began.elapsed(), SILENCE, "a silent client");
        drop(client);
        let began = tokio::time::Instant::now();
        let (mut client, server) = tokio::io::duplex(4096);
        let sending = async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::join!(hear_out(server), sending);
        assert!(began.elapsed() <= HEARD_OUT + Duration::from_secs(1), "one that goes on and on");
    }
}
