//! The route table (CONTRACT.md appendix 1).

use http::Method;

use super::path::CanonicalPath;
use crate::policy::words::Surface;

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The path: `/api/agents/chat/:endpoint`. `:name` is one segment, a last `*` any number of segments, also none.
    pub pattern: &'static str,
    /// The methods. HEAD follows GET.
    pub methods: Methods,
    /// What Tollgate does with it.
    pub class: Class,
    /// Who may ask.
    pub access: Access,
    /// The body that LibreChat would read.
    pub body: Body,
}

/// A set of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u8);

/// What Tollgate does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Neither chooses nor reveals a model: passes both ways unread.
    Pass,
    /// Server-sent events: passes unread, without buffering and without a time limit.
    Stream,
    /// A large body that is passed on as it arrives.
    Upload,
    /// The answer reveals models and is filtered.
    Catalog(Catalog),
    /// Starts a chat turn: the body chooses the models.
    Turn,
    /// A part of LibreChat that is judged as a whole.
    Surface(Surface),
    /// Administration: only for callers whose LibreChat role is `ADMIN`.
    Admin,
    /// Never passes.
    Closed,
}

/// The answers that are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Catalog {
    /// `GET /api/models`
    Models,
    /// `GET /api/endpoints`
    Endpoints,
    /// `GET /api/config`
    Config,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nobody needs to be known.
    Anonymous,
    /// A token counts if it is good; a bad or missing one means anonymous.
    Optional,
    /// LibreChat's JWT (CONTRACT.md A.2 a, b).
    Token,
    /// A key of the remote-agent API (CONTRACT.md A.2 d).
    Key,
}

/// The body that LibreChat would read on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// None.
    None,
    /// `application/json`; may be empty.
    Json,
    /// `application/x-www-form-urlencoded` (the four Apple and SAML callbacks alone).
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// Either JSON or multipart.
    Any,
}

/// Why a request has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// LibreChat has no such path.
    UnknownPath,
    /// LibreChat has the path, but not for this method.
    Method {
        /// The methods it has.
        allowed: Methods,
    },
}

/// The route of a request.
///
/// # Errors
/// [`Unrouted`] if LibreChat 0.8.6 has no such route.
pub fn classify(_method: &Method, _path: &CanonicalPath) -> Result<&'static Route, Unrouted> {
    Err(Unrouted::UnknownPath)
}

impl Route {
    /// The request target to send to LibreChat: literal segments as LibreChat spells them, parameters and query as they
    /// came, no trailing slash. Pages and assets keep their bytes.
    pub fn target(&self, path: &CanonicalPath) -> String {
        path.as_str().to_owned()
    }
}

impl Methods {
    /// The value of an `Allow` header.
    pub fn allow(self) -> String {
        String::new()
    }
}
