//! LibreChat's access token: a JWT under `JWT_SECRET` (CONTRACT.md A.2 a).
//!
//! LibreChat accepts HS256, HS384 and HS512 and uses the claim `id` alone. Tollgate accepts a subset of what LibreChat accepts:
//! one `Authorization` header of a fixed form, at most 8 KiB, an `exp` that is required and honoured without leeway.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use quick_cache::sync::Cache;
use serde::Deserialize;

use crate::clock::Clock;
use crate::metrics::{IntCounter, Metrics};

/// Longest `Authorization` value that is looked at, in bytes. LibreChat's own tokens have about 250.
const LONGEST: usize = 8 * 1024;

/// How many checked tokens are remembered. Each user holds one at a time, renewed every 15 minutes.
const REMEMBERED: usize = 10_000;

/// Someone who has shown a good token.
#[derive(Debug, PartialEq, Eq)]
pub struct Bearer {
    /// LibreChat's user id: 24 hex digits in lower case.
    pub user: Arc<str>,
    /// The header value that LibreChat receives: `Bearer <token>`, whatever spelling the client used.
    pub authorization: HeaderValue,
    /// When the token ends, seconds since 1970 (RFC 7519 4.1.4), rounded down.
    expires: i64,
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
}

/// Checks tokens and remembers the good ones until they end.
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
    clock: Clock,
    good: Cache<HeaderValue, Arc<Bearer>>,
    hits: IntCounter,
    goods: IntCounter,
    bads: IntCounter,
}

/// The claims that count. A claim that is there twice is an error of the derived reader.
#[derive(Deserialize)]
struct Claims {
    id: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

// === impl Tokens ===

impl Tokens {
    /// Checks against this secret.
    pub fn new(secret: &str, clock: &Clock, metrics: &Metrics) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        // The times are checked here against our own clock, without leeway and with our own types: the library would take
        // the machine's clock and 60 seconds of leeway, where LibreChat has none.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let checks = &metrics.token_checks_total;
        Self {
            key: DecodingKey::from_secret(secret.as_bytes()),
            validation,
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
        let now = self.clock.now().as_second();
        if let Some(bearer) = self.good.get(value) {
            if bearer.expires > now {
                self.hits.inc();
                return Ok(bearer);
            }
            self.good.remove(value);
            self.bads.inc();
            return Err(TokenFault::Expired);
        }
        match self.check(value, now) {
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

    fn check(&self, value: &HeaderValue, now: i64) -> Result<Bearer, TokenFault> {
        let token = token_of(value)?;
        let data = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| fault(error.kind()))?;
        // RFC 7515 4.1.11: extensions that must be understood and are not. The library reads them and passes over them.
        if data.header.crit.is_some() {
            return Err(TokenFault::Malformed);
        }
        let claims = data.claims;
        let expires = seconds(claims.exp.ok_or(TokenFault::Endless)?)?;
        if expires <= now {
            return Err(TokenFault::Expired);
        }
        if let Some(from) = claims.nbf
            && seconds(from)? > now
        {
            return Err(TokenFault::Early);
        }
        let user = claims.id.ok_or(TokenFault::Nobody)?;
        if user.len() != 24 || !user.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenFault::Nobody);
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| TokenFault::Malformed)?;
        authorization.set_sensitive(true);
        Ok(Bearer { user: user.to_ascii_lowercase().into(), authorization, expires })
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
        }
    }
}

/// The `Authorization` header, if there is exactly one. Node keeps the first of several (CONTRACT.md A.2 a): refusing several
/// leaves nothing to disagree about.
fn the_only_one(headers: &HeaderMap) -> Result<&HeaderValue, TokenFault> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(TokenFault::Missing)?;
    if all.next().is_some() || value.len() > LONGEST {
        return Err(TokenFault::Malformed);
    }
    Ok(value)
}

/// The token in `Bearer <token>`: one space, the characters of RFC 6750 2.1.
fn token_of(value: &HeaderValue) -> Result<&str, TokenFault> {
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

/// A NumericDate (RFC 7519 2) as whole seconds, rounded down.
fn seconds(date: f64) -> Result<i64, TokenFault> {
    // Beyond this the conversion below would lose its meaning; no real token lives until the year 280,000,000.
    const FAR: f64 = 9.0e15;
    if !date.is_finite() || date.abs() > FAR {
        return Err(TokenFault::Malformed);
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded by FAR just above")]
    Ok(date.floor() as i64)
}

fn fault(kind: &ErrorKind) -> TokenFault {
    match kind {
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => TokenFault::Signature,
        _ => TokenFault::Malformed,
    }
}

#[cfg(test)]
mod tests;
