//! Answers in Express's clothes: ETag and 304, compression, HEAD, and the headers LibreChat puts on everything.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use super::gzip;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Below this many bytes the compression middleware does not bother.
const COMPRESS_FROM: usize = 1024;
const JSON: &str = "application/json; charset=utf-8";
/// The content type of `res.send(string)`.
const HTML: &str = "text/html; charset=utf-8";

/// An answer before it knows what was asked for.
pub(super) struct Answer {
    status: StatusCode,
    own: Vec<(HeaderName, HeaderValue)>,
    content: Content,
    stage: Stage,
}

/// How far a request got through LibreChat's middleware, which decides what was added on the way (CONTRACT.md A.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before everything: the health routes (capture `004_static_health`).
    First,
    /// Where bodies are parsed (capture `222_body-bad-json`).
    Parsing,
    /// Through CORS and compression.
    Whole,
}

enum Content {
    /// `res.send`: with a length, an ETag, and a 304 where the asker has it already.
    Sent(Bytes),
    /// A file: as `Sent`, with the validator already among the headers.
    File(Bytes),
    /// `res.write` and `res.end`: chunked, nothing added.
    Written(Bytes),
    /// A stream that says itself what it is.
    Stream(Body),
}

// === impl Answer ===

impl Answer {
    /// `res.json`.
    pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
        Self::sent(status, Some(JSON), value.to_string())
    }

    /// `res.json` with 200.
    pub(super) fn ok(value: &Value) -> Answer {
        Self::json(StatusCode::OK, value)
    }

    /// `res.send` of a text. Express calls it HTML.
    pub(super) fn text(status: StatusCode, text: &str) -> Answer {
        Self::sent(status, Some(HTML), text.to_owned())
    }

    /// `res.send()` with nothing: an empty body without a type.
    pub(super) fn nothing(status: StatusCode) -> Answer {
        Self::sent(status, None, String::new())
    }

    /// `res.end()`: an empty chunked body.
    pub(super) fn ended(status: StatusCode) -> Answer {
        Self::written(status, String::new())
    }

    /// `res.write(text)` and `res.end()`.
    pub(super) fn written(status: StatusCode, text: String) -> Answer {
        Answer { status, own: Vec::new(), content: Content::Written(text.into()), stage: Stage::Whole }
    }

    /// A static file with its own validator.
    pub(super) fn file(content_type: &'static str, validator: &'static str, bytes: Bytes) -> Answer {
        Answer { status: StatusCode::OK, own: Vec::new(), content: Content::File(bytes), stage: Stage::Whole }
            .with(CONTENT_TYPE, content_type)
            .with(ETAG, validator)
    }

    /// A stream of server-sent events, with the headers of capture `141_chat-openAI-mini-stream`.
    pub(super) fn events(body: Body) -> Answer {
        Self::stream(body)
            .with(CONTENT_ENCODING, "identity")
            .with(CONTENT_TYPE, "text/event-stream")
            .with(CACHE_CONTROL, "no-cache, no-transform")
            .with(CONNECTION, "keep-alive")
            .with(HeaderName::from_static("x-accel-buffering"), "no")
    }

    /// A stream that says by other headers what it is.
    pub(super) fn stream(body: Body) -> Answer {
        Answer { status: StatusCode::OK, own: Vec::new(), content: Content::Stream(body), stage: Stage::Whole }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Answer {
        self.own.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    /// Adds a cookie.
    pub(super) fn with_cookie(self, cookie: &str) -> Answer {
        self.with(SET_COOKIE, cookie)
    }

    /// An answer given on the way: what later middleware adds is left out.
    pub(super) fn at(mut self, stage: Stage) -> Answer {
        self.stage = stage;
        self
    }

    /// The answer to one particular request.
    pub(super) fn dress(self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        let Answer { mut status, own, content, stage } = self;
        let mut headers = HeaderMap::new();
        for (name, value) in own {
            headers.append(name, value);
        }
        if stage != Stage::First {
            headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
        }
        if stage == Stage::Whole {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        let body = match content {
            Content::Stream(body) => body,
            Content::Written(bytes) => {
                finish(&mut headers, asked);
                chunked(bytes)
            }
            Content::Sent(bytes) | Content::File(bytes) => {
                let tag = headers.entry(ETAG).or_insert_with(|| weak_tag(&bytes)).clone();
                finish(&mut headers, asked);
                if is_fresh(method, status, asked, &tag) {
                    status = StatusCode::NOT_MODIFIED;
                    headers.remove(CONTENT_TYPE);
                    headers.remove(VARY);
                    whole(Bytes::new())
                } else {
                    encode(method, asked, &mut headers, bytes, stage)
                }
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn sent(status: StatusCode, content_type: Option<&'static str>, text: String) -> Answer {
        let own = content_type.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))).into_iter().collect();
        Answer { status, own, content: Content::Sent(text.into()), stage: Stage::Whole }
    }
}

/// A body made of what a stream yields.
pub(super) fn streamed(pieces: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    StreamBody::new(pieces.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn chunked(bytes: Bytes) -> Body {
    streamed(stream::iter([bytes].into_iter().filter(|bytes| !bytes.is_empty())))
}

/// What Node adds to every answer that it may keep the connection for.
fn finish(headers: &mut HeaderMap, asked: &HeaderMap) {
    let closes = asked.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    headers.insert(CONNECTION, HeaderValue::from_static(if closes { "close" } else { "keep-alive" }));
    if !closes {
        headers.insert(HeaderName::from_static("keep-alive"), HeaderValue::from_static("timeout=5"));
    }
}

/// The compression middleware. It knows gzip only: LibreChat prefers br, and for a proxy one encoding is as good as
/// another.
fn encode(method: &Method, asked: &HeaderMap, headers: &mut HeaderMap, bytes: Bytes, stage: Stage) -> Body {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = ["text/", "application/json", "application/javascript"].iter().any(|start| kind.starts_with(start));
    let compressible = known && stage == Stage::Whole;
    if compressible && !headers.contains_key(VARY) {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let wanted = compressible
        && bytes.len() >= COMPRESS_FROM
        && !headers.contains_key(CONTENT_ENCODING)
        && method != Method::HEAD
        && accepts_gzip(asked);
    if wanted {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return chunked(gzip::wrap(&bytes).into());
    }
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    whole(bytes)
}

/// Whether the request takes gzip.
pub(super) fn accepts_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| coding.trim() == "gzip")
}

/// Express's `fresh`: a GET or HEAD that would be answered with 2xx, whose asker holds this very validator.
fn is_fresh(method: &Method, status: StatusCode, asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let (Some(held), Ok(tag)) = (asked.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()), tag.to_str()) else {
        return false;
    };
    let insists =
        asked.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).is_some_and(|c| c.contains("no-cache"));
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    (method == Method::GET || method == Method::HEAD)
        && status.is_success()
        && !insists
        && held.split(',').any(|one| one.trim() == "*" || bare(one) == bare(tag))
}

/// A weak validator in Express's form, length and digest. The digest is another one: nobody may rely on it.
fn weak_tag(bytes: &Bytes) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = format!("W/\"{:x}-{:016x}\"", bytes.len(), hasher.finish());
    HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("W/\"0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn long() -> Answer {
        Answer::ok(&Value::String("x".repeat(2000)))
    }

    #[test]
    fn a_held_validator_saves_the_body_unless_the_asker_insists() {
        let plain = long().dress(&Method::GET, &asked(&[]));
        let tag = plain.headers().get(ETAG).unwrap().to_str().unwrap().to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for held in [tag.as_str(), strong.as_str(), "*"] {
            let again = long().dress(&Method::GET, &asked(&[("if-none-match", held)]));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
            assert!(!again.headers().contains_key(CONTENT_TYPE), "a 304 has no type");
        }
        let insists = long().dress(&Method::GET, &asked(&[("if-none-match", &tag), ("cache-control", "no-cache")]));
        assert_eq!(insists.status(), StatusCode::OK);
        let posted = long().dress(&Method::POST, &asked(&[("if-none-match", &tag)]));
        assert_eq!(posted.status(), StatusCode::OK, "only GET and HEAD are conditional");
    }

    #[test]
    fn compression_needs_a_long_text_that_is_asked_for_in_gzip() {
        let coding = |answer: Answer, method: Method, headers: &[(&'static str, &str)]| {
            answer.dress(&method, &asked(headers)).headers().get(CONTENT_ENCODING).is_some()
        };
        let gzip = [("accept-encoding", "br, gzip")];
        assert!(coding(long(), Method::GET, &gzip));
        assert!(!coding(long(), Method::GET, &[("accept-encoding", "br")]), "only gzip is spoken here");
        assert!(!coding(long(), Method::HEAD, &gzip), "a HEAD shows the plain length");
        assert!(!coding(Answer::ok(&Value::Null), Method::GET, &gzip), "short texts stay as they are");
        assert!(!coding(long().at(Stage::Parsing), Method::GET, &gzip), "early answers come before the middleware");
    }
}
