//! What a request is: the route table of LibreChat 0.8.6 (CONTRACT.md appendix 1) and the search in it.
//!
//! Everything that LibreChat's own client uses is in the table; anything else under `/api`, `/oauth`, `/images` and
//! `/metrics` has no route and is refused. Literal segments match in any case, as in Express, and go upstream as LibreChat
//! spells them: it routes by one spelling and at places decides by another (CONTRACT.md B.1, step 1).
//!
//! The table itself is plain data, in `routes/table.rs`.

mod noted;
mod table;

use http::Method;

use super::assistants::Part;
use super::path::{Area, CanonicalPath};
use crate::policy::words::Feature;

pub use noted::{Concern, Noted};

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The path: `/api/agents/chat/:endpoint`. `:name` is one segment; `*`, only at the end, any number of them, also none.
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
    /// The same, and leaves an entry in the record.
    Noted(Noted),
    /// Server-sent events: passes unread, without buffering and without a time limit (CONTRACT.md G.2).
    Stream,
    /// A large body that is passed on as it arrives. Leaves an entry, as [`Noted::Uploads`].
    Upload,
    /// The answer reveals models and is filtered.
    Catalog(Catalog),
    /// What the caller has to spend: passes, or tells of the limits of money.
    Balance,
    /// Starts a chat turn: the body chooses the models.
    Turn,
    /// Calls a tool by itself, without a model: the path names it, see [`super::tools::called`].
    Tool,
    /// Reads or writes a stored agent: judged by all that it runs, or would run afterwards.
    Agent(Deed),
    /// The remote-agent API, with identity by key.
    Remote(Remote),
    /// OpenAI's and Azure's assistants.
    Assistants(Part),
    /// Something that chooses no model and that a policy may close.
    Feature(Feature),
    /// Administration: only for callers whose LibreChat role is `ADMIN`.
    Admin,
    /// Never passes.
    Closed,
    /// Tollgate's own: the caller's limits. LibreChat is not asked.
    MyLimits,
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
    /// `GET /api/agents`
    Agents,
    /// `GET /api/agents/tools`
    Tools,
}

/// What is done with a stored agent (CONTRACT.md B.7, C.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It is read: `GET /api/agents/:id`, and `expanded`.
    Show,
    /// A new one is written: `POST /api/agents`.
    Create,
    /// Fields of it are replaced: `PATCH /api/agents/:id`.
    Change,
    /// It is copied: `POST /api/agents/:id/duplicate`.
    Duplicate,
    /// An earlier version is put in its place: `POST /api/agents/:id/revert`.
    Revert,
    /// It gets an image: `POST /api/files/images/agents/:id/avatar`.
    Avatar,
    /// It gets an action: `POST /api/agents/actions/:agentId`.
    AddAction,
    /// It loses an action: `DELETE /api/agents/actions/:agentId/:actionId`.
    RemoveAction,
}

/// The parts of the remote-agent API (CONTRACT.md B.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// Runs an agent: the body names it, and the answer is what it says.
    Run,
    /// Lists the agents, as models.
    Models,
    /// Shows one of them: the path names it.
    Model,
    /// Shows an answer that was stored. It is its owner's, as LibreChat checks.
    Answer,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nobody needs to be known.
    Anonymous,
    /// A token counts if it is good; a bad or missing one means anonymous (CONTRACT.md A.2 e).
    Optional,
    /// LibreChat's JWT (CONTRACT.md A.2 a, b).
    Token,
    /// A key of the remote-agent API (CONTRACT.md A.2 d).
    Key,
}

/// The body that LibreChat would read on a route. Its global parsers read JSON and forms on every route and method
/// (CONTRACT.md A.1); what its client never sends is refused, so that no body is read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// None is needed. One that comes nevertheless is judged as [`Body::Json`].
    None,
    /// `application/json` in UTF-8; may be empty.
    Json,
    /// `application/x-www-form-urlencoded` (the four Apple and SAML callbacks alone, CONTRACT.md D.3).
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// JSON or multipart.
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

/// What an unknown path is where the settings let identified callers through: nothing is known of its body.
pub static UNKNOWN_IDENTIFIED: Route = unknown(Access::Token);

/// What an unknown path is where the settings let everybody through.
pub static UNKNOWN_PASSED: Route = unknown(Access::Anonymous);

const fn unknown(access: Access) -> Route {
    Route { pattern: "/api/*", methods: Methods::ALL, class: Class::Pass, access, body: Body::Any }
}

/// The route of a request. As in Express, the first row wins that has both the path and the method.
///
/// # Errors
/// [`Unrouted`] if LibreChat 0.8.6 has no such route.
pub fn classify(method: &Method, path: &CanonicalPath) -> Result<&'static Route, Unrouted> {
    let (routes, known) = router(path);
    // The method is the cheaper question, and for most rows the answer.
    if let Some(route) = routes.iter().find(|route| route.methods.contains(method) && route.matches(path, known)) {
        return Ok(route);
    }
    let others = routes.iter().filter(|route| route.matches(path, known)).map(|route| route.methods);
    let allowed = others.fold(Methods::NONE, Methods::and);
    match allowed {
        Methods::NONE => Err(Unrouted::UnknownPath),
        // LibreChat answers a preflight on any path before it routes it (CONTRACT.md D.2).
        _ if method == Method::OPTIONS => Ok(&table::PREFLIGHT),
        allowed => Err(Unrouted::Method { allowed }),
    }
}

/// Every row of LibreChat's table, router by router.
pub fn all() -> impl Iterator<Item = &'static Route> {
    let api = table::API.iter().map(|(_, routes)| *routes);
    [table::PAGES, table::OAUTH, table::IMAGES, table::METRICS].into_iter().chain(api).flatten()
}

/// The rows that may hold a path, and how many bytes at the start of the path are known to fit all of them.
fn router(path: &CanonicalPath) -> (&'static [Route], usize) {
    match path.area() {
        Area::Page => (table::PAGES, 0),
        Area::OAuth => (table::OAUTH, 0),
        Area::Images => (table::IMAGES, 0),
        Area::Metrics => (table::METRICS, 0),
        Area::Api => {
            const API: usize = "/api/".len();
            let rest = path.as_str().as_bytes().get(API..).unwrap_or_default();
            let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            let found = table::API.iter().find(|(router, _)| router.as_bytes().eq_ignore_ascii_case(name));
            // LibreChat has nothing there, so that looking for Tollgate's own last takes nothing from it.
            let found =
                found.or_else(|| table::OWN.iter().find(|(router, _)| router.as_bytes().eq_ignore_ascii_case(name)));
            found.map(|(router, routes)| (*routes, API + router.len())).unwrap_or_default()
        }
    }
}

// === impl Class ===

impl Class {
    /// What is noted of a request that passes unread.
    pub const fn noted(self) -> Option<Noted> {
        match self {
            Self::Noted(noted) => Some(noted),
            Self::Upload => Some(Noted::Uploads),
            _ => None,
        }
    }
}

// === impl Route ===

impl Route {
    /// The request target to send to LibreChat: literal segments as LibreChat spells them, parameters and query as they
    /// came, no trailing slash. Pages and assets keep their bytes.
    pub fn target(&self, path: &CanonicalPath) -> String {
        let length = path.as_str().len() + path.query().map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(length);
        if path.area() == Area::Page {
            target.push_str(path.as_str());
        } else {
            let mut parts = self.parts();
            let mut part = parts.next();
            for segment in path.segments() {
                target.push('/');
                match part {
                    Some("*") => target.push_str(segment),
                    Some(literal) if !literal.starts_with(':') => {
                        target.push_str(literal);
                        part = parts.next();
                    }
                    _ => {
                        target.push_str(segment);
                        part = parts.next();
                    }
                }
            }
        }
        if let Some(query) = path.query() {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// Whether the path is spelt as LibreChat spells it, so that [`Route::target`] is the path and query themselves.
    pub fn spells(&self, path: &CanonicalPath) -> bool {
        let (mut pattern, mut path) = (self.pattern.as_bytes(), path.as_str().as_bytes());
        loop {
            match (pattern, path) {
                ([b'*'], _) | ([b'/', b'*'], []) | ([], []) => return true,
                ([b':', ..], _) => {
                    pattern = after_segment(pattern);
                    path = after_segment(path);
                }
                ([literal, pattern_rest @ ..], [byte, path_rest @ ..]) if literal == byte => {
                    pattern = pattern_rest;
                    path = path_rest;
                }
                _ => return false,
            }
        }
    }

    fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.pattern.split('/').skip(1).filter(|part| !part.is_empty())
    }

    /// Whether the path has this pattern's segments. Walks both side by side: most rows differ within a few bytes. The first
    /// `known` bytes are known to fit.
    fn matches(&self, path: &CanonicalPath, known: usize) -> bool {
        let mut pattern = self.pattern.as_bytes().get(known..).unwrap_or_default();
        let mut path = path.as_str().as_bytes().get(known..).unwrap_or_default();
        loop {
            match (pattern, path) {
                ([b'*'], _) | ([b'/', b'*'], []) | ([], []) => return true,
                ([b':', ..], [first, ..]) if *first != b'/' => {
                    pattern = after_segment(pattern);
                    path = after_segment(path);
                }
                ([literal, pattern_rest @ ..], [byte, path_rest @ ..]) if literal.eq_ignore_ascii_case(byte) => {
                    pattern = pattern_rest;
                    path = path_rest;
                }
                _ => return false,
            }
        }
    }
}

/// What follows a segment: nothing, or the next `/` and all behind it.
fn after_segment(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'/').unwrap_or(bytes.len());
    bytes.get(end..).unwrap_or_default()
}

// === impl Methods ===

impl Methods {
    const NONE: Self = Self(0);
    /// GET, and HEAD with it.
    pub const GET: Self = Self(1);
    /// POST
    pub const POST: Self = Self(2);
    /// PUT
    pub const PUT: Self = Self(4);
    /// PATCH
    pub const PATCH: Self = Self(8);
    /// DELETE
    pub const DELETE: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// These and those.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the method is one of these; HEAD is if GET is.
    pub fn contains(self, method: &Method) -> bool {
        let one = match *method {
            Method::GET | Method::HEAD => Self::GET,
            Method::POST => Self::POST,
            Method::PUT => Self::PUT,
            Method::PATCH => Self::PATCH,
            Method::DELETE => Self::DELETE,
            _ => Self::NONE,
        };
        self.0 & one.0 != 0
    }

    /// The value of an `Allow` header: `GET, HEAD, POST`.
    pub fn allow(self) -> String {
        let named = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let names: Vec<&str> = named.iter().filter(|method| self.contains(method)).map(Method::as_str).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
