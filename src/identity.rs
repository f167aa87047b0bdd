//! Credentials to callers: who sent this request, and what the directory knows of them now.
//!
//! Two steps, because most requests need only the first. [`Tokens`] checks the bearer token and does no I/O; [`Known`] asks the
//! directory for role and groups, through a cache that forgets within seconds. Must not know routes.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::policy::Caller;
use crate::store::Directory;

mod known;
mod token;

pub use known::{Known, Unknown};
pub use token::{Bearer, TokenFault, Tokens};

/// Everything needed to tell who is asking.
///
/// Other credentials (an identity provider's tokens, keys of the remote-agent API) join here: each turns a header into a
/// [`Bearer`], the look-up that follows is the same.
pub struct Identity {
    tokens: Tokens,
    known: Known,
}

// === impl Identity ===

impl Identity {
    /// Checks tokens with LibreChat's `JWT_SECRET` and looks people up in `directory`, remembering them for `remember`.
    pub fn new(
        secret: &str,
        directory: Arc<dyn Directory>,
        remember: Duration,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Self {
        Self { tokens: Tokens::new(secret, clock, metrics), known: Known::new(directory, remember, clock, metrics) }
    }

    /// The bearer of a request, from its `Authorization` header. No I/O.
    ///
    /// # Errors
    /// [`TokenFault`] saying what is wrong with the credentials.
    pub fn bearer(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, TokenFault> {
        self.tokens.read(headers)
    }

    /// What the directory knows of the bearer now (at most a few seconds ago).
    ///
    /// # Errors
    /// [`Unknown`]: there is no such user (any more), or the directory does not answer.
    pub async fn caller(&self, bearer: &Bearer) -> Result<Arc<Caller>, Unknown> {
        self.known.caller(&bearer.user).await
    }
}
