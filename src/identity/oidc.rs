//! Tokens of an identity provider (CONTRACT.md A.2 b): LibreChat set to reuse them takes them in place of its own.
//!
//! A token is judged by what it is, never by the cookies beside it. The cookies are judged afterwards: they must make LibreChat
//! read the same token in the same way and find the same user ([`super::cookies`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::jose::Jws;
use super::token::TokenFault;
use super::userinfo::Userinfo;
use crate::clock::Clock;
use crate::metrics::{IntCounter, Metrics};
use crate::store::Subject;

mod algorithm;
mod claims;
mod issuer;
mod keeper;
mod keys;

pub use algorithm::Algorithm;
pub use keeper::Pace;

use keeper::Keeper;
use keys::Key;

/// How many checked tokens are remembered, with all their claims. One that is not costs the check of a signature.
const REMEMBERED: usize = 4_000;

/// Longest id of a key that is looked for, in bytes.
const LONGEST_KEY_ID: usize = 256;

/// Whose tokens count, and for what.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The issuer (LibreChat's `OPENID_ISSUER`); with `{tenantid}` in it, that of any tenant.
    pub issuer: Box<str>,
    /// Whom tokens may be for: LibreChat's `OPENID_CLIENT_ID`, then those of `OPENID_AUDIENCE`.
    pub audiences: Vec<Box<str>>,
    /// The algorithms by which tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// LibreChat's `OPENID_EMAIL_CLAIM`.
    pub email_claim: Option<Box<str>>,
    /// Where the keys are, if the provider is not to be asked for that.
    pub jwks_url: Option<Box<str>>,
}

/// Fetches a document of the identity provider.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The document at this address, which the settings or the provider named; `token` is shown to the provider.
    ///
    /// # Errors
    /// [`FetchFault`].
    async fn get(&self, url: &str, token: Option<&str>) -> Result<Bytes, FetchFault>;
}

/// Why a document did not come. None of these texts holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    /// The address cannot be asked.
    #[error("the address cannot be used: {0}")]
    Address(&'static str),
    /// The token cannot be sent.
    #[error("the token cannot be sent")]
    Token,
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer in time")]
    Slow,
    /// Another status than 200; redirects are not followed.
    #[error("status {0}, where 200 is wanted and redirects are not followed")]
    Status(u16),
    /// More than a document may have.
    #[error("the answer is too long")]
    TooLong,
    /// The answer broke off or is not HTTP.
    #[error("the answer cannot be read: {0}")]
    Broken(String),
}

/// What a good token of the provider says.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// Whom it is about.
    pub subject: Subject,
    /// Whether it is an access token, and else an id token.
    pub is_access: bool,
    /// All its claims.
    pub claims: Map<String, Value>,
    /// When it ends, seconds since 1970.
    pub(super) expires: i64,
}

/// A token that was checked, and the key that checked it.
struct Checked {
    key: Arc<Key>,
    login: Arc<Login>,
}

/// Checks tokens of one identity provider.
pub struct Oidc {
    trust: Trust,
    keeper: Keeper,
    userinfo: Userinfo,
    clock: Clock,
    good: Cache<Box<str>, Arc<Checked>>,
    hits: IntCounter,
    goods: IntCounter,
    bads: IntCounter,
}

// === impl Oidc ===

impl Oidc {
    /// Trusts this provider. Nothing is fetched before [`Oidc::keep`] runs, and no token is good before something was.
    pub fn new(trust: Trust, documents: Arc<dyn Documents>, pace: Pace, clock: &Clock, metrics: &Metrics) -> Self {
        let checks = &metrics.token_checks_total;
        Self {
            userinfo: Userinfo::new(Arc::clone(&documents), clock),
            keeper: Keeper::new(&trust, documents, pace, clock, metrics),
            trust,
            clock: clock.clone(),
            good: Cache::new(REMEMBERED),
            hits: checks.with_label_values(&["hit"]),
            goods: checks.with_label_values(&["good"]),
            bads: checks.with_label_values(&["bad"]),
        }
    }

    /// Fetches the keys and keeps them fresh. Runs until it is dropped.
    pub async fn keep(&self) {
        self.keeper.keep().await;
    }

    /// How old the keys are; `None` where none have been fetched yet.
    pub fn age_of_keys(&self) -> Option<Duration> {
        self.keeper.age()
    }

    /// Checks a token against the keys that are known. No I/O.
    ///
    /// # Errors
    /// [`TokenFault`]; [`TokenFault::Key`] where its key is not known, which [`Oidc::read_with_new_keys`] may mend.
    pub(super) fn read(&self, token: &str) -> Result<Arc<Login>, TokenFault> {
        let now = self.clock.now().as_second();
        if let Some(checked) = self.good.get(token) {
            if checked.login.expires <= now {
                self.good.remove(token);
                self.bads.inc();
                return Err(TokenFault::Expired);
            }
            // A key that the provider has taken back vouches for nothing any more.
            if self.keeper.is_current() && self.keeper.known().keys.has(&checked.key) {
                self.hits.inc();
                return Ok(Arc::clone(&checked.login));
            }
            self.good.remove(token);
        }
        match self.check(token, now) {
            Ok(checked) => {
                self.goods.inc();
                let login = Arc::clone(&checked.login);
                self.good.insert(token.into(), Arc::new(checked));
                Ok(login)
            }
            Err(fault) => {
                self.bads.inc();
                Err(fault)
            }
        }
    }

    /// The same after a look for the token's key, which takes a second at most and is not made again within ten.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub(super) async fn read_with_new_keys(&self, token: &str) -> Result<Arc<Login>, TokenFault> {
        let key = Jws::read(token)?.key.ok_or(TokenFault::Key)?;
        self.keeper.look_for(&key).await.ok_or(TokenFault::Key)?;
        self.read(token)
    }

    /// What the provider itself says of the person, asked with this access token; nothing where it does not answer in time, says
    /// nothing of this person, or has no place to ask.
    pub(super) async fn userinfo(&self, subject: &Subject, token: &str) -> Option<Arc<Map<String, Value>>> {
        let known = self.keeper.known();
        self.userinfo.of(known.userinfo.as_deref()?, subject, token).await
    }

    fn check(&self, token: &str, now: i64) -> Result<Checked, TokenFault> {
        let jws = Jws::read(token)?;
        let algorithm = Algorithm::named(&jws.algorithm).ok_or(TokenFault::Signature)?;
        if !self.trust.algorithms.contains(&algorithm) {
            return Err(TokenFault::Signature);
        }
        let id = jws.key.as_deref().filter(|id| id.len() <= LONGEST_KEY_ID).ok_or(TokenFault::Malformed)?;
        let known = self.keeper.known();
        let key = known.keys.get(id).filter(|_| self.keeper.is_current()).ok_or(TokenFault::Key)?;
        if !key.has_signed(jws.message, jws.signature, algorithm) {
            return Err(TokenFault::Signature);
        }
        let all = jws.claims()?;
        let claimed = claims::check(&all, &known.issuer, &self.trust, now)?;
        let is_access = jws.is_access || is_access(&all);
        let login = Login { subject: claimed.subject, is_access, claims: all, expires: claimed.expires };
        Ok(Checked { key: Arc::clone(key), login: Arc::new(login) })
    }
}

/// Whether a token says in one of the usual ways that it is an access token: by `token_use` (Amazon Cognito), by `typ` (Keycloak), or by
/// having a scope, which no id token has. The media type (RFC 9068) has been looked at before.
fn is_access(claims: &Map<String, Value>) -> bool {
    let says = |name: &str, word: &str| claims.get(name).and_then(Value::as_str) == Some(word);
    says("token_use", "access") || says("typ", "Bearer") || claims.contains_key("scope") || claims.contains_key("scp")
}

#[cfg(test)]
mod tests;
