//! Tokens under a secret that LibreChat shares: HS256, HS384 or HS512, naming a user in the claim `id` (CONTRACT.md A.2).
//!
//! Its own access tokens are signed with `JWT_SECRET`; the cookie `openid_user_id`, signed with `JWT_REFRESH_SECRET`, has the same form.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use super::token::TokenFault;

/// A secret under which LibreChat signs tokens.
pub(super) struct Secret {
    key: DecodingKey,
    validation: Validation,
}

/// The claims that count. A claim that is there twice is an error of the derived reader.
#[derive(Deserialize)]
struct Claims {
    id: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

// === impl Secret ===

impl Secret {
    pub(super) fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        // The times are checked here against our own clock, without leeway and with our own types: the library would take
        // the machine's clock and 60 seconds of leeway, where LibreChat has none.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self { key: DecodingKey::from_secret(secret.as_bytes()), validation }
    }

    /// The user that a token under this secret names (the claim `id`), and when the token ends.
    pub(super) fn user(&self, token: &str, now: i64) -> Result<(Arc<str>, i64), TokenFault> {
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
        Ok((user.to_ascii_lowercase().into(), expires))
    }
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
