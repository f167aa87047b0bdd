//! The request target, read strictly (CONTRACT.md D.1, SECURITY.md 2).

use std::borrow::Cow;

/// A path that LibreChat and Tollgate read in the same way, with its query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    path: Box<str>,
    query: Option<Box<str>>,
}

/// Why a request target is refused. All of them are answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathFault {
    /// Not origin-form.
    Form,
}

// === impl CanonicalPath ===

impl CanonicalPath {
    /// Reads a request target as it stood in the request line.
    ///
    /// # Errors
    /// The first fault found.
    pub fn read(_target: &str) -> Result<Self, PathFault> {
        Err(PathFault::Form)
    }

    /// Reads the target of a request that an HTTP server has parsed.
    ///
    /// # Errors
    /// [`PathFault::Form`] if the target has a scheme or an authority, else as [`CanonicalPath::read`].
    pub fn of(_uri: &http::Uri) -> Result<Self, PathFault> {
        Err(PathFault::Form)
    }

    /// The path, without the query.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The query string without its `?`, as it came.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The decoded names of the query's parameters, in order, repeated ones repeated.
    pub fn query_names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        std::iter::empty()
    }
}

/// Whether this is `OPTIONS *`, which asks about the server and not about a path.
pub fn is_server_options(_method: &http::Method, _uri: &http::Uri) -> bool {
    false
}

// === impl PathFault ===

impl PathFault {
    /// The stable code: `path-form`, `path-backslash` and so on.
    pub fn code(self) -> &'static str {
        "path-form"
    }

    /// What the caller may read.
    pub fn sentence(self) -> &'static str {
        ""
    }
}
