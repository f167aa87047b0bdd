//! What the strict gate can find wrong with a request, as codes, sentences and statuses.
//!
//! The gate itself stands in the edge, where the bytes are: it reads every request line, every field and every chunk before the
//! HTTP engine does, so that nothing is judged which two programs could read in two ways (SECURITY.md section 1, CONTRACT.md
//! D.1, D.2 and D.4). This room only knows what its findings are called and how they are answered.

use http::StatusCode;

/// Why a request is refused by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.message())]
pub enum GateFault {
    /// The request line is not a method, a target and a version with one space between them.
    Line,
    /// A method that LibreChat's routes do not use: `TRACE`, `CONNECT`, extensions, lower case.
    Method,
    /// The target is not origin-form, or holds a byte that no target may hold.
    Target,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
    /// A line that does not end in exactly CR LF, or an empty line before the request.
    LineEnd,
    /// Something other than a field name and a colon: a folded line, white space before the colon, `__proto__`.
    Name,
    /// A control character in a field's value.
    Value,
    /// More header lines than anybody sends.
    Headers,
    /// A head longer than the limit.
    TooLong,
    /// Not exactly one `Host`, or one that is not a host and port.
    Host,
    /// A length that can be read in two ways: several `Content-Length`, or one beside `Transfer-Encoding`.
    Length,
    /// A `Transfer-Encoding` other than one `chunked`, or one in HTTP/1.0.
    Encoding,
    /// An `Expect` other than one `100-continue`.
    Expect,
    /// A body on a request that has none: `GET`, `HEAD`, `OPTIONS`.
    Body,
    /// A chunk that is not a plain hexadecimal size, its bytes, and the line ends that belong there.
    Chunk,
    /// Fields after the last chunk. LibreChat reads none, and a program that does might add them to what was judged.
    Trailer,
}

// === impl GateFault ===

impl GateFault {
    /// The code used in records and metrics.
    pub fn code(self) -> &'static str {
        self.told().0
    }

    /// The sentence for the caller.
    pub fn message(self) -> &'static str {
        self.told().1
    }

    /// The status of the refusal.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Headers | Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Line => ("gate.request-line", "The request line must be a method, a path and a version."),
            Self::Method => ("gate.method", "This method is not used by LibreChat."),
            Self::Target => ("gate.target", "The request target must be a path in plain, percent-encoded characters."),
            Self::Version => ("gate.version", "Only HTTP/1.1 and HTTP/1.0 are spoken here."),
            Self::LineEnd => {
                ("gate.line-end", "Lines of a request must end in CR LF, and none may be empty before it.")
            }
            Self::Name => ("gate.field-name", "A header line must begin with a valid name and a colon."),
            Self::Value => ("gate.field-value", "A header value holds a control character."),
            Self::Headers => ("gate.headers", "The request has too many header lines."),
            Self::TooLong => ("gate.too-long", "The head of the request is too long."),
            Self::Host => ("gate.host", "The request needs exactly one valid Host header."),
            Self::Length => ("gate.length", "The length of the request body is ambiguous."),
            Self::Encoding => ("gate.transfer-encoding", "The only transfer encoding accepted is chunked."),
            Self::Expect => ("gate.expect", "The only expectation accepted is 100-continue."),
            Self::Body => ("gate.body", "This method takes no request body."),
            Self::Chunk => ("gate.chunk", "A chunk of the request body is not well formed."),
            Self::Trailer => ("gate.trailer", "Fields after the request body are not accepted."),
        }
    }
}
