//! Credentials to callers: who sent this request, and what the directory knows of them now.
//!
//! Two steps, because most requests need only the first. [`Tokens`] and [`Oidc`] check the bearer token and do no I/O; [`Known`]
//! asks the directory for role and groups, through a cache that forgets within seconds. [`Keys`] does the first step for the
//! remote-agent API, with a look-up of its own. Must not know routes.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::policy::{Caller, Snapshot};
use crate::store::Directory;

mod claimed;
mod cookies;
mod federation;
mod jose;
mod keys;
mod known;
mod oidc;
mod secret;
mod session;
mod strict;
mod token;
mod told;
mod userinfo;

pub use claimed::{Claimed, WrittenClaims};
pub use federation::Federation;
pub use keys::{KeyFault, KeyHolder, Keys};
pub use known::{Known, Unknown, caller_of};
pub use oidc::{Algorithm, Documents, FetchFault, Login, Oidc, Pace, Trust};
pub use session::begun_for;
pub use token::{Bearer, Federated, TokenFault, Tokens};
pub use told::{Kind, Told};

/// Everything needed to tell who is asking.
///
/// Each kind of credential turns a header into a [`Bearer`], the look-up that follows is the same. Keys of the remote-agent
/// API count on its routes alone, and nothing else counts there.
pub struct Identity {
    tokens: Tokens,
    federation: Option<Federation>,
    keys: Option<Keys>,
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
        let tokens = Tokens::new(secret, clock, metrics);
        Self { tokens, federation: None, keys: None, known: Known::new(directory, remember, clock, metrics) }
    }

    /// The same, with an identity provider whose tokens count, too.
    #[must_use]
    pub fn with(mut self, federation: Option<Federation>) -> Self {
        self.federation = federation;
        self
    }

    /// The same, with keys of the remote-agent API, where they can be looked up.
    #[must_use]
    pub fn with_keys(mut self, keys: Option<Keys>) -> Self {
        self.keys = keys;
        self
    }

    /// The bearer of a request, from its `Authorization` header. No I/O.
    ///
    /// # Errors
    /// [`TokenFault`] saying what is wrong with the credentials; [`TokenFault::Key`] where a look for new keys may mend it.
    pub fn bearer(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, TokenFault> {
        match &self.federation {
            Some(federation) => federation.bearer(headers, &self.tokens),
            None => self.tokens.read(headers),
        }
    }

    /// The same after a look for new keys of the identity provider: for a token whose key is not known.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn bearer_with_new_keys(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, TokenFault> {
        match &self.federation {
            Some(federation) => federation.bearer_with_new_keys(headers).await,
            None => Err(TokenFault::Key),
        }
    }

    /// Whether tokens of an identity provider count. What is wrong with a token is then not told to who sent it.
    pub fn is_federated(&self) -> bool {
        self.federation.is_some()
    }

    /// Makes the cookies agree with how the bearer token was read, so that LibreChat reads it in the same way.
    pub fn settle_cookies(&self, headers: &mut HeaderMap, bearer: &Bearer) {
        if self.federation.is_some() {
            let signed = bearer.federated.as_ref().map(|federated| &*federated.signed_user);
            cookies::settle(headers, signed);
        }
    }

    /// The owner of the key of the remote-agent API in a request's `Authorization` header.
    ///
    /// # Errors
    /// [`KeyFault`] saying what is wrong with the key.
    pub async fn key(&self, headers: &HeaderMap) -> Result<KeyHolder, KeyFault> {
        match &self.keys {
            Some(keys) => keys.read(headers).await,
            None => Err(KeyFault::NoStore),
        }
    }

    /// What the directory knows of the bearer now (at most a few seconds ago).
    ///
    /// # Errors
    /// [`Unknown`]: there is no such user (any more), or the directory does not answer.
    pub async fn caller(&self, bearer: &Bearer) -> Result<Arc<Caller>, Unknown> {
        let Some(federated) = &bearer.federated else { return self.known.caller(&bearer.user).await };
        let caller = self.known.holder(&federated.login.subject).await?;
        // LibreChat would not take the token either: the cookie names somebody else.
        if caller.user == bearer.user { Ok(caller) } else { Err(Unknown::Another) }
    }

    /// What is proven of the bearer's claims, as far as the policy asks for them. LibreChat's own tokens have none.
    pub async fn claims(&self, bearer: &Bearer, policy: &Snapshot) -> Claimed {
        match &self.federation {
            Some(federation) if policy.maps_claims() => federation.claims(bearer, policy).await,
            _ => Claimed::default(),
        }
    }

    /// The caller that this policy makes of the bearer's claims, where it asks for any. LibreChat's own tokens have none.
    pub async fn mapped(&self, bearer: &Bearer, caller: Arc<Caller>, policy: &Snapshot) -> Arc<Caller> {
        match &self.federation {
            Some(federation) if bearer.federated.is_some() && policy.maps_claims() => {
                Arc::new(policy.mapped(&caller, &federation.claims(bearer, policy).await))
            }
            _ => caller,
        }
    }
}
