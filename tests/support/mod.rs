//! What the tests speak HTTP with: a plain HTTP/1.1 client on hyper, and a raw socket for what a client would not send.
//!
//! Every call opens a connection of its own, so that one test's exchange cannot depend on another's. Whatever goes
//! wrong on the way panics: a test has nothing better to do with it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]
#![expect(clippy::expect_used, clippy::panic, reason = "a broken connection ends a test")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How long anything may take before a test is given up. It is never waited for when all goes well.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a raw connection must be silent to count as finished after a whole answer, when at most another one to a
/// pipelined request can come.
const PAUSE: Duration = Duration::from_millis(50);

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers, names in lower case.
    pub(crate) headers: HeaderMap,
    /// The body, transfer coding removed, content coding kept.
    pub(crate) body: Bytes,
}

/// An answer whose body is still coming. Dropping it closes the connection, as a person closing a tab does.
pub(crate) struct Open {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers, names in lower case.
    pub(crate) headers: HeaderMap,
    body: Incoming,
    sent: Instant,
    _connection: JoinSet<()>,
}

/// A piece of a streamed body, and when it came, counted from the sending of the request.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Since the request was sent.
    pub(crate) after: Duration,
    /// What came.
    pub(crate) bytes: Bytes,
}

/// `GET path`.
pub(crate) async fn get(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(addr, Method::GET, path, headers, Bytes::new()).await
}

/// `POST path` with a JSON body.
pub(crate) async fn post_json(addr: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![(CONTENT_TYPE.as_str(), "application/json")];
    all.extend_from_slice(headers);
    request(addr, Method::POST, path, &all, Bytes::from(body.to_string())).await
}

/// Any request with a whole body. `Host` is added when it is not among the headers.
pub(crate) async fn request(
    addr: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let open = open(addr, method, path, headers, body).await;
    let (status, headers) = (open.status, open.headers.clone());
    let body = open.rest().await.into_iter().fold(Vec::new(), |mut all, piece| {
        all.extend_from_slice(&piece.bytes);
        all
    });
    Answer { status, headers, body: body.into() }
}

/// A request whose answer is read piece by piece.
pub(crate) async fn open(addr: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Open {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(HOST.as_str())) {
        request = request.header(HOST, addr.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("the request is well formed");
    let socket = patiently("connecting", TcpStream::connect(addr)).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("a fresh connection");
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // How a connection ends shows in the answer; there is nobody here to tell.
        let _ = connection.await;
    });
    let sent = Instant::now();
    let (head, body) =
        patiently("the answer's head", sender.send_request(request)).await.expect("an answer").into_parts();
    Open { status: head.status, headers: head.headers, body, sent, _connection: driver }
}

/// Sends bytes as they are and returns all that comes back until the other side closes or falls silent.
pub(crate) async fn send_raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = patiently("connecting", TcpStream::connect(addr)).await.expect("the server listens");
    // A server may refuse before it has read everything; what it said is still worth reading.
    let _ = socket.write_all(bytes).await;
    let mut all = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let silence = if ends_an_answer(&all) { PAUSE } else { PATIENCE };
        match timeout(silence, socket.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => all.extend(buffer.iter().take(count)),
            _ => return all,
        }
    }
}

/// Whether the bytes end where an answer ends, as far as its framing says.
fn ends_an_answer(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.rsplit_once("HTTP/1.1 ").and_then(|(_, last)| last.split_once("\r\n\r\n")) else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    match head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => length.parse() == Ok(body.len()),
        None if head.contains("transfer-encoding: chunked") => body.ends_with("0\r\n\r\n"),
        None => head.starts_with("304") || head.starts_with("204"),
    }
}

/// Runs something that is expected to end soon, and names it when it does not.
pub(crate) async fn patiently<F: Future>(what: &str, task: F) -> F::Output {
    match timeout(PATIENCE, task).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

// === impl Answer ===

impl Answer {
    /// A header's first value, or the empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {:?}", self.body))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

// === impl Open ===

impl Open {
    /// A header's first value, or the empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// The next piece, `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        loop {
            let frame = patiently("the next piece of a body", self.body.frame()).await?.expect("an unbroken body");
            if let Ok(bytes) = frame.into_data() {
                return Some(Piece { after: self.sent.elapsed(), bytes });
            }
        }
    }

    /// Reads on to the end, and says whether it was the announced one rather than a cut.
    pub(crate) async fn ends_cleanly(mut self) -> bool {
        loop {
            match patiently("the end of a body", self.body.frame()).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(_)) => {}
            }
        }
    }

    /// All that is left.
    pub(crate) async fn rest(mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.next().await {
            pieces.push(piece);
        }
        pieces
    }
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> &'headers str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
