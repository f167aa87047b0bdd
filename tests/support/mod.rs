//! What the tests speak HTTP with: a plain HTTP/1.1 client on hyper, and a raw socket for what a client would not send.
//!
//! Every call opens a connection of its own, so that one test's exchange cannot depend on another's.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The body, transfer coding removed, content coding kept.
    pub body: Bytes,
}

/// A piece of a streamed body, and when it came, counted from the sending of the request.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Since the request was sent.
    pub after: Duration,
    /// What came.
    pub bytes: Bytes,
}

/// `GET path`.
pub async fn get(_addr: SocketAddr, _path: &str, _headers: &[(&str, &str)]) -> Answer {
    todo!()
}

/// `POST path` with a JSON body.
pub async fn post_json(_addr: SocketAddr, _path: &str, _headers: &[(&str, &str)], _body: &Value) -> Answer {
    todo!()
}

/// Any request with a whole body.
pub async fn request(_addr: SocketAddr, _method: Method, _path: &str, _headers: &[(&str, &str)], _body: Bytes) -> Answer {
    todo!()
}

/// A request whose answer is read piece by piece.
pub async fn open(_addr: SocketAddr, _method: Method, _path: &str, _headers: &[(&str, &str)], _body: Bytes) -> Open {
    todo!()
}

/// An answer whose body is still coming.
pub struct Open {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

impl Open {
    /// The next piece, `None` at the end of the body. Panics when the body breaks off.
    pub async fn next(&mut self) -> Option<Piece> {
        todo!()
    }

    /// All that is left.
    pub async fn rest(self) -> Vec<Piece> {
        todo!()
    }
}

/// Sends bytes as they are and returns all that comes back until the other side closes or falls silent for a second.
pub async fn send_raw(_addr: SocketAddr, _bytes: &[u8]) -> Vec<u8> {
    todo!()
}
