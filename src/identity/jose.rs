//! The shape of a signed token: three parts, and a header that says how to check the third (RFC 7515, RFC 7519).
//!
//! Nothing in a header is ever followed: a key, or the address of one, that comes with the token is a reason to refuse it. So is
//! everything that would make the token something else than a plain signed one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::strict;
use super::token::TokenFault;

/// Members of a header that name or hold a key (RFC 7515 4.1), ask for an extension (4.1.11, RFC 7797), or make it an encrypted or
/// nested token (RFC 7516 4.1, RFC 7519 5.2).
const REFUSED: [&str; 9] = ["jwk", "jku", "x5c", "x5u", "crit", "b64", "enc", "zip", "cty"];

/// Media types that a token may have (RFC 7519 5.1, RFC 9068 2.1), in lower case and without `application/`.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// A token in its parts; nothing of it is checked yet.
pub(super) struct Jws<'a> {
    /// The algorithm that it claims.
    pub(super) algorithm: Box<str>,
    /// The key that it claims.
    pub(super) key: Option<Box<str>>,
    /// Whether it says that it is an access token (RFC 9068).
    pub(super) is_access: bool,
    /// What was signed.
    pub(super) message: &'a str,
    /// The signature, encoded.
    pub(super) signature: &'a str,
    payload: &'a str,
}

// === impl Jws ===

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenFault`] where it is not a plain signed token.
    pub(super) fn read(token: &'a str) -> Result<Self, TokenFault> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        // Five parts are an encrypted token, an empty second one is a detached one.
        if [header, payload, signature].iter().any(|part| part.is_empty()) || payload.contains('.') {
            return Err(TokenFault::Malformed);
        }
        let header = object(header)?;
        if REFUSED.iter().any(|member| header.contains_key(*member)) {
            return Err(TokenFault::Extension);
        }
        let algorithm = text(&header, "alg")?.ok_or(TokenFault::Malformed)?;
        let kind = text(&header, "typ")?.map(|kind| kind.to_ascii_lowercase());
        let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
        if kind.is_some_and(|kind| !TYPES.contains(&kind)) {
            return Err(TokenFault::Extension);
        }
        let is_access = kind == Some("at+jwt");
        Ok(Self {
            algorithm: algorithm.into(),
            key: text(&header, "kid")?.map(Into::into),
            is_access,
            message,
            signature,
            payload,
        })
    }

    /// What it claims: an object without repeated members.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] where it is anything else.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, TokenFault> {
        object(self.payload)
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    strict::object(&bytes).ok_or(TokenFault::Malformed)
}

fn text<'a>(header: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, TokenFault> {
    match header.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenFault::Malformed),
    }
}
