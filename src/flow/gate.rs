//! The gate: what a request head must look like before anything else is asked of it.
//!
//! The HTTP engine has already refused what it cannot read. This refuses what it can read but LibreChat, or something in
//! between, might read differently (SECURITY.md section 1, CONTRACT.md D.2 and D.4).

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// Most header lines of a request (Node takes 2,000, browsers send about 20).
const MOST_HEADERS: usize = 100;

/// Why a request head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateFault {
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
    /// A method that LibreChat's routes do not use: `TRACE`, `CONNECT`, extensions.
    Method,
    /// Not exactly one `Host` header, or one that is not a host and port.
    Host,
    /// A length that can be read in two ways: several `Content-Length`, or one beside `Transfer-Encoding`.
    Length,
    /// A `Transfer-Encoding` other than `chunked`.
    Encoding,
    /// An `Expect` other than `100-continue`.
    Expect,
    /// More header lines than anybody sends.
    Headers,
    /// A body on a request that has none: `GET`, `HEAD`, `OPTIONS`.
    Body,
}

/// Checks a request head.
///
/// # Errors
/// [`GateFault`] naming the first rule that is broken.
pub fn check(head: &Parts) -> Result<(), GateFault> {
    if !matches!(head.version, Version::HTTP_11 | Version::HTTP_10) {
        return Err(GateFault::Version);
    }
    let bodiless = match head.method {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => false,
        _ => return Err(GateFault::Method),
    };
    if head.headers.len() > MOST_HEADERS {
        return Err(GateFault::Headers);
    }
    one_host(&head.headers)?;
    framing(&head.headers, bodiless)?;
    match head.headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Err(GateFault::Expect),
        _ => Ok(()),
    }
}

fn one_host(headers: &HeaderMap) -> Result<(), GateFault> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().ok_or(GateFault::Host)?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    if hosts.next().is_some() || host.is_empty() || !host.as_bytes().iter().all(fits) {
        return Err(GateFault::Host);
    }
    Ok(())
}

fn framing(headers: &HeaderMap, bodiless: bool) -> Result<(), GateFault> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let (length, encoding) = (lengths.next(), encodings.next());
    if lengths.next().is_some() || (length.is_some() && encoding.is_some()) {
        return Err(GateFault::Length);
    }
    if encodings.next().is_some() || encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(GateFault::Encoding);
    }
    if let Some(length) = length {
        let digits = length.as_bytes();
        // `02`, `+2` and `2, 2` are a length to some readers.
        let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
        if digits.is_empty() || !plain {
            return Err(GateFault::Length);
        }
        if bodiless && digits != b"0" {
            return Err(GateFault::Body);
        }
    }
    if bodiless && encoding.is_some() {
        return Err(GateFault::Body);
    }
    Ok(())
}

// === impl GateFault ===

impl GateFault {
    /// The code used in records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Version => "gate.version",
            Self::Method => "gate.method",
            Self::Host => "gate.host",
            Self::Length => "gate.length",
            Self::Encoding => "gate.transfer-encoding",
            Self::Expect => "gate.expect",
            Self::Headers => "gate.headers",
            Self::Body => "gate.body",
        }
    }

    /// The sentence for the caller.
    pub fn message(self) -> &'static str {
        match self {
            Self::Version => "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
            Self::Method => "This method is not used by LibreChat.",
            Self::Host => "The request needs exactly one valid Host header.",
            Self::Length => "The length of the request body is ambiguous.",
            Self::Encoding => "The only transfer encoding accepted is chunked.",
            Self::Expect => "The only expectation accepted is 100-continue.",
            Self::Headers => "The request has too many header lines.",
            Self::Body => "This method takes no request body.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(method: &str, headers: &[(&str, &str)]) -> Result<(), GateFault> {
        let mut request = http::Request::builder().method(method).uri("/api/models");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn heads_are_judged() {
        let host = ("host", "localhost:8080");
        for (name, method, headers, wanted) in [
            ("plain", "GET", vec![host], Ok(())),
            ("upper host", "GET", vec![("host", "Chat.Example.ORG")], Ok(())),
            ("IPv6 host", "GET", vec![("host", "[::1]:8080")], Ok(())),
            ("post", "POST", vec![host, ("content-length", "12")], Ok(())),
            ("empty post", "POST", vec![host, ("content-length", "0")], Ok(())),
            ("chunked", "POST", vec![host, ("transfer-encoding", "Chunked")], Ok(())),
            ("empty get", "GET", vec![host, ("content-length", "0")], Ok(())),
            ("continue", "POST", vec![host, ("expect", "100-Continue")], Ok(())),
            ("no host", "GET", vec![], Err(GateFault::Host)),
            ("two hosts", "GET", vec![host, ("host", "other")], Err(GateFault::Host)),
            ("same host twice", "GET", vec![host, host], Err(GateFault::Host)),
            ("empty host", "GET", vec![("host", "")], Err(GateFault::Host)),
            ("host with path", "GET", vec![("host", "a/b?c")], Err(GateFault::Host)),
            ("host with user", "GET", vec![("host", "a@b")], Err(GateFault::Host)),
            ("trace", "TRACE", vec![host], Err(GateFault::Method)),
            ("connect", "CONNECT", vec![host], Err(GateFault::Method)),
            ("lower case", "post", vec![host], Err(GateFault::Method)),
            ("propfind", "PROPFIND", vec![host], Err(GateFault::Method)),
            (
                "CL and TE",
                "POST",
                vec![host, ("content-length", "2"), ("transfer-encoding", "chunked")],
                Err(GateFault::Length),
            ),
            ("CL twice", "POST", vec![host, ("content-length", "2"), ("content-length", "2")], Err(GateFault::Length)),
            ("CL list", "POST", vec![host, ("content-length", "2, 2")], Err(GateFault::Length)),
            ("CL zero-led", "POST", vec![host, ("content-length", "02")], Err(GateFault::Length)),
            ("CL plus", "POST", vec![host, ("content-length", "+2")], Err(GateFault::Length)),
            ("TE gzip", "POST", vec![host, ("transfer-encoding", "gzip, chunked")], Err(GateFault::Encoding)),
            ("TE x", "POST", vec![host, ("transfer-encoding", "xchunked")], Err(GateFault::Encoding)),
            (
                "TE twice",
                "POST",
                vec![host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Err(GateFault::Encoding),
            ),
            ("get with body", "GET", vec![host, ("content-length", "2")], Err(GateFault::Body)),
            ("options with body", "OPTIONS", vec![host, ("transfer-encoding", "chunked")], Err(GateFault::Body)),
            ("expect more", "POST", vec![host, ("expect", "x 100-continue")], Err(GateFault::Expect)),
        ] {
            assert_eq!(judge(method, &headers), wanted, "{name}");
        }
        let many: Vec<_> = std::iter::repeat_n(("x-many", "1"), MOST_HEADERS).chain([host]).collect();
        assert_eq!(judge("GET", &many), Err(GateFault::Headers));
    }
}
