//! Refusals in the shapes that LibreChat's unmodified web client shows (CONTRACT.md E.6).

use bytes::Bytes;
use http::StatusCode;

use super::path::PathFault;
use super::routes::Unrouted;
use super::unreadable::Unreadable;
use crate::policy::words::Surface;

/// A status and a JSON body (`application/json; charset=utf-8`).
pub type Phrase = (StatusCode, Bytes);

/// What every refusal says beside LibreChat's own words.
#[derive(Clone, Copy, Debug)]
pub struct Extras<'a> {
    /// The id under which the request is recorded.
    pub request_id: &'a str,
    /// The deciding rule or code.
    pub rule: &'a str,
    /// A sentence for people; none means a standard one.
    pub message: Option<&'a str>,
}

/// Why nobody could be identified, in LibreChat's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// `No auth token`
    NoToken,
    /// `jwt expired`
    Expired,
    /// `invalid signature`
    BadSignature,
    /// `jwt malformed`
    Malformed,
    /// `Unauthorized`: the token is good but its user is not known.
    Unauthorized,
}

/// The model is not allowed on a chat turn: 403.
pub fn model_denied(_endpoint: &str, _model: &str, _extras: &Extras<'_>) -> Phrase {
    (StatusCode::FORBIDDEN, Bytes::new())
}

/// A surface is not allowed, on a chat turn: 403.
pub fn surface_denied_in_chat(_surface: Surface, _extras: &Extras<'_>) -> Phrase {
    (StatusCode::FORBIDDEN, Bytes::new())
}

/// A surface is not allowed, on its own routes: 403; the remote-agent API gets OpenAI's shape.
pub fn surface_denied(_surface: Surface, _extras: &Extras<'_>) -> Phrase {
    (StatusCode::FORBIDDEN, Bytes::new())
}

/// The body of a chat turn could not be read: 400, 413 or 415. `extras.rule` is replaced by the fault's code.
pub fn unreadable(fault: &Unreadable, _extras: &Extras<'_>) -> Phrase {
    (fault.status(), Bytes::new())
}

/// The request target was refused: 400. `extras.rule` is replaced by the fault's code.
pub fn path_refused(_fault: PathFault, _extras: &Extras<'_>) -> Phrase {
    (StatusCode::BAD_REQUEST, Bytes::new())
}

/// No such route: 404 as LibreChat answers it, or 405 (add `Allow` from [`super::routes::Methods::allow`]).
pub fn unrouted(_unrouted: Unrouted, _extras: &Extras<'_>) -> Phrase {
    (StatusCode::NOT_FOUND, Bytes::new())
}

/// Nobody was identified: 401, byte for byte LibreChat's own body.
pub fn sign_in(_why: SignIn) -> Phrase {
    (StatusCode::UNAUTHORIZED, Bytes::new())
}

/// A failure on a chat turn that is nobody's fault (502, 503, 500): the client shows the body as it is.
pub fn failed_in_chat(status: StatusCode, _extras: &Extras<'_>) -> Phrase {
    (status, Bytes::new())
}

/// Any other refusal outside chat: `{"error","message",..}`.
pub fn refused(status: StatusCode, _extras: &Extras<'_>) -> Phrase {
    (status, Bytes::new())
}

/// A refusal on the remote-agent API, in OpenAI's shape. `code` is OpenAI's machine-readable word, e.g. `model_not_allowed`.
pub fn refused_remote(status: StatusCode, _code: &str, _extras: &Extras<'_>) -> Phrase {
    (status, Bytes::new())
}
