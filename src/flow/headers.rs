//! What LibreChat is told about the client: our own words, never the client's.
//!
//! Hop-by-hop fields and everything that only a proxy may say are removed from requests (CONTRACT.md D.7, G.2), then set anew
//! from what the connection shows. Names are compared with `_` read as `-`, as some servers fold them.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{HeaderMap, header};
use ipnet::IpNet;
use uuid::Uuid;

/// Where a request came from, as far as Tollgate believes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The client's address.
    pub ip: IpAddr,
    /// The same, written.
    pub address: HeaderValue,
    /// `http` or `https`, as the client used it.
    pub proto: &'static str,
    /// The host that the client asked for.
    pub host: HeaderValue,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields of an answer that concern one connection.
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

// === impl Client ===

impl Client {
    /// Reads where a request came from. The peer's `X-Forwarded-*` count only if the peer is a trusted proxy: the client is then
    /// the last address of `X-Forwarded-For` that is not itself a trusted proxy.
    pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let host = headers.get(header::HOST).cloned().unwrap_or_else(|| HeaderValue::from_static("localhost"));
        let peer = peer.to_canonical();
        let trusts = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
        if !trusts(peer) {
            return Self { ip: peer, address: written(peer), proto: "http", host };
        }
        let ip = client_of_chain(peer, headers, trusts);
        Self {
            ip,
            address: written(ip),
            proto: forwarded_proto(headers),
            host: forwarded_host(headers).unwrap_or(host),
        }
    }
}

/// An address as text. Written by hand for the common family: the library takes longer for it than reading a whole header.
fn written(ip: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(15);
    match ip {
        IpAddr::V4(four) => {
            for octet in four.octets() {
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                let zeros = if octet < 10 { 2 } else { usize::from(octet < 100) };
                text.extend_from_slice(digits.get(zeros..).unwrap_or_default());
                text.push(b'.');
            }
            text.pop();
        }
        IpAddr::V6(six) => text.extend_from_slice(six.to_string().as_bytes()),
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The last address of the chain that no trusted proxy has. An entry that cannot be read ends the search: what is to the left
/// of it was written by nobody we know.
fn client_of_chain(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for entry in line.rsplit(',') {
            let Ok(ip) = entry.trim().parse::<IpAddr>() else { return client };
            client = ip.to_canonical();
            if !trusts(client) {
                return client;
            }
        }
    }
    client
}

/// The last `X-Forwarded-Proto`: the one that the nearest, trusted proxy wrote.
fn forwarded_proto(headers: &HeaderMap) -> &'static str {
    let last = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
    match last.and_then(|line| line.rsplit(',').next()).map(str::trim) {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    }
}

fn forwarded_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    let mut hosts = headers.get_all(X_FORWARDED_HOST).iter();
    let host = hosts.next()?;
    (hosts.next().is_none() && !host.is_empty() && host.as_bytes().iter().all(fits)).then(|| host.clone())
}

/// Rewrites the headers of a request for LibreChat.
pub(super) fn towards_librechat(headers: &mut HeaderMap, client: &Client, request: Uuid) {
    let nominated = nominated(headers);
    let unwanted: Vec<HeaderName> =
        headers.keys().filter(|name| is_ours_to_say(name.as_str()) || nominated.contains(name)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
    let mut text = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    set(headers, X_REQUEST_ID, request.hyphenated().encode_lower(&mut text));
    headers.insert(X_FORWARDED_FOR, client.address.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.proto));
    headers.insert(X_FORWARDED_HOST, client.host.clone());
}

/// Removes from an answer what concerns only the connection between Tollgate and LibreChat (RFC 9110 7.6.1).
pub(super) fn towards_client(headers: &mut HeaderMap) {
    for name in nominated(headers) {
        headers.remove(name);
    }
    // Most answers have one or two of them: looking at each name once is cheaper than seven searches.
    let mut present = [const { None }; HOP_BY_HOP.len()];
    for (place, name) in present.iter_mut().zip(headers.keys().filter(|name| HOP_BY_HOP.contains(name))) {
        *place = Some(name.clone());
    }
    for name in present.into_iter().flatten() {
        headers.remove(name);
    }
    // The chunks were counted, not the length beside them: sent on, it would promise another body (RFC 9112 6.3).
    if headers.remove(header::TRANSFER_ENCODING).is_some() {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// The fields that `Connection` names: hop-by-hop by the sender's own word. What was judged by, and what frames the body, cannot be
/// named away.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        // The two words that are nearly always there name no field that is not removed anyway.
        .filter(|name| !matches!(name.trim(), "keep-alive" | "close" | ""))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| {
            *name != header::AUTHORIZATION
                && *name != header::COOKIE
                && *name != header::HOST
                && *name != header::CONTENT_TYPE
                && *name != header::CONTENT_LENGTH
        })
        .collect()
}

/// Whether a request header is one that only Tollgate says to LibreChat, or that concerns only the client's connection.
fn is_ours_to_say(name: &str) -> bool {
    if name.bytes().any(|byte| byte == b'_') {
        let folded = name.replace('_', "-");
        return folded == "content-length" || folded == "content-type" || is_ours_to_say(&folded);
    }
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
            | "forwarded"
            | "via"
            | "x-tenant-id"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "x-original-url"
            | "x-rewrite-url"
            | "x-original-host"
            | "x-request-id"
            | "x-correlation-id"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
    ) || name.starts_with("x-forwarded")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
