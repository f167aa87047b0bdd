//! LibreChat's access token: a JWT under `JWT_SECRET` (CONTRACT.md A.2 a).
//!
//! LibreChat accepts HS256, HS384 and HS512 and uses the claim `id` alone. Tollgate accepts a subset of what LibreChat accepts:
//! one `Authorization` header of a fixed form, at most 8 KiB, an `exp` that is required and honoured without leeway.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use quick_cache::sync::Cache;

use super::oidc::Login;
use super::secret::Secret;
use crate::clock::Clock;
use crate::metrics::{IntCounter, Metrics};

/// Longest `Authorization` value that is looked at, in bytes. LibreChat's own tokens have about 250.
pub(super) const LONGEST: usize = 8 * 1024;

/// How many checked tokens are remembered. Each user holds one at a time, renewed every 15 minutes.
const REMEMBERED: usize = 10_000;

/// Someone who has shown a good token.
#[derive(Debug, PartialEq, Eq)]
pub struct Bearer {
    /// LibreChat's user id: 24 hex digits in lower case.
    pub user: Arc<str>,
    /// The header value that LibreChat receives: `Bearer <token>`, whatever spelling the client used.
    pub authorization: HeaderValue,
    /// Where the token is the identity provider's: what it says, and how LibreChat is made to see the same.
    pub federated: Option<Federated>,
    /// When the token ends, seconds since 1970 (RFC 7519 4.1.4), rounded down.
    pub(super) expires: i64,
}

/// What belongs to a token of the identity provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Federated {
    /// What the token says.
    pub login: Arc<Login>,
    /// LibreChat's own signed word for the user, from the cookie `openid_user_id`.
    pub(super) signed_user: Box<str>,
    /// The tokens beside it, unchecked: LibreChat keeps them in cookies where it has no session to keep them in.
    pub(super) beside: Beside,
}

/// Tokens from LibreChat's cookies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) id: Option<Box<str>>,
    pub(super) access: Option<Box<str>>,
}

/// What is wrong with the credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// No `Authorization: Bearer` header.
    Missing,
    /// More than one `Authorization` header, or one that is not `Bearer <token>`, or no well-formed token.
    Malformed,
    /// The token has no signature at all.
    Unsigned,
    /// The signature is not LibreChat's, or made by an algorithm that is not HS256, HS384 or HS512.
    Signature,
    /// The token has ended.
    Expired,
    /// The token has no `exp`.
    Endless,
    /// The token does not hold yet (`nbf`).
    Early,
    /// The token names no user.
    Nobody,
    /// The token's header asks for an extension, brings a key, or makes it another kind of token.
    Extension,
    /// The identity provider has no signing key of this id, or its keys could not be fetched for too long.
    Key,
    /// The token is not the identity provider's, or does not name it in the one right way.
    Issuer,
    /// The token is not for LibreChat.
    Audience,
    /// The token says in no right way whom it is about.
    Subject,
    /// The token is the identity provider's, but without the cookies by which LibreChat would take it.
    Cookies,
    /// The token is about somebody else than the cookies beside it.
    Mismatch,
    /// The account at the identity provider is not linked to the user in LibreChat yet, or to another one.
    Unlinked,
}

/// Checks tokens and remembers the good ones until they end.
pub struct Tokens {
    secret: Secret,
    clock: Clock,
    good: Cache<HeaderValue, Arc<Bearer>>,
    hits: IntCounter,
    goods: IntCounter,
    bads: IntCounter,
}

// === impl Bearer ===

impl Bearer {
    /// The owner of a key of the remote-agent API. Whether the key has ended is asked each time it is shown.
    pub(super) fn by_key(user: Arc<str>, authorization: HeaderValue) -> Self {
        Self { user, authorization, expires: i64::MAX, federated: None }
    }
}

// === impl Tokens ===

impl Tokens {
    /// Checks against this secret.
    pub fn new(secret: &str, clock: &Clock, metrics: &Metrics) -> Self {
        let checks = &metrics.token_checks_total;
        Self {
            secret: Secret::new(secret),
            clock: clock.clone(),
            good: Cache::new(REMEMBERED),
            hits: checks.with_label_values(&["hit"]),
            goods: checks.with_label_values(&["good"]),
            bads: checks.with_label_values(&["bad"]),
        }
    }

    /// Reads and checks the bearer token of a request.
    ///
    /// # Errors
    /// [`TokenFault`] saying what is wrong.
    pub fn read(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, TokenFault> {
        let value = the_only_one(headers)?;
        if let Some(known) = self.remembered(value) {
            return known;
        }
        match self.check(value, self.clock.now().as_second()) {
            Ok(bearer) => {
                self.goods.inc();
                let bearer = Arc::new(bearer);
                self.good.insert(value.clone(), Arc::clone(&bearer));
                Ok(bearer)
            }
            Err(fault) => {
                self.bads.inc();
                Err(fault)
            }
        }
    }

    /// What is known of a token that was good before.
    pub(super) fn remembered(&self, value: &HeaderValue) -> Option<Result<Arc<Bearer>, TokenFault>> {
        let bearer = self.good.get(value)?;
        if bearer.expires > self.clock.now().as_second() {
            self.hits.inc();
            return Some(Ok(bearer));
        }
        self.good.remove(value);
        self.bads.inc();
        Some(Err(TokenFault::Expired))
    }

    fn check(&self, value: &HeaderValue, now: i64) -> Result<Bearer, TokenFault> {
        let token = token_of(value)?;
        let (user, expires) = self.secret.user(token, now)?;
        Ok(Bearer { user, authorization: authorization(token)?, federated: None, expires })
    }
}

// === impl TokenFault ===

impl TokenFault {
    /// The code used in records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "identity.missing",
            Self::Malformed => "identity.malformed",
            Self::Unsigned => "identity.unsigned",
            Self::Signature => "identity.signature",
            Self::Expired => "identity.expired",
            Self::Endless => "identity.endless",
            Self::Early => "identity.early",
            Self::Nobody => "identity.nobody",
            Self::Extension => "identity.extension",
            Self::Key => "identity.key",
            Self::Issuer => "identity.issuer",
            Self::Audience => "identity.audience",
            Self::Subject => "identity.subject",
            Self::Cookies => "identity.cookies",
            Self::Mismatch => "identity.mismatch",
            Self::Unlinked => "identity.unlinked",
        }
    }
}

/// The `Authorization` header, if there is exactly one. Node keeps the first of several (CONTRACT.md A.2 a): refusing several
/// leaves nothing to disagree about.
pub(super) fn the_only_one(headers: &HeaderMap) -> Result<&HeaderValue, TokenFault> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(TokenFault::Missing)?;
    if all.next().is_some() || value.len() > LONGEST {
        return Err(TokenFault::Malformed);
    }
    Ok(value)
}

/// The token in `Bearer <token>`: one space, the characters of RFC 6750 2.1.
pub(super) fn token_of(value: &HeaderValue) -> Result<&str, TokenFault> {
    let text = value.to_str().map_err(|_| TokenFault::Malformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(TokenFault::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenFault::Missing);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(fits) {
        return Err(TokenFault::Malformed);
    }
    // LibreChat looks at this before it reads the header, and has words of its own for it.
    if token.ends_with('.') && token.bytes().filter(|byte| *byte == b'.').count() == 2 {
        return Err(TokenFault::Unsigned);
    }
    Ok(token)
}

/// The header value that LibreChat receives with this token.
pub(super) fn authorization(token: &str) -> Result<HeaderValue, TokenFault> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| TokenFault::Malformed)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
