//! What a token of the identity provider must claim to count, each claim of its type.
//!
//! Stricter than LibreChat, which takes most of these as they come: what this accepts, LibreChat accepts.

use serde_json::{Map, Value};

use super::Trust;
use super::issuer::Issuer;
use crate::identity::token::TokenFault;
use crate::store::{Subject, normal_issuer};

/// How far ahead of our clock a token may have been issued, in seconds: clocks differ a little, and `iat` refuses nobody else.
const AHEAD: i64 = 60;

/// Longest subject, in characters (OpenID Connect Core 2).
const LONGEST_SUBJECT: usize = 255;

/// What a good token says.
pub(super) struct Claimed {
    pub(super) subject: Subject,
    /// When it ends, seconds since 1970.
    pub(super) expires: i64,
}

/// Reads and checks the claims at this moment (seconds since 1970).
pub(super) fn check(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    trust: &Trust,
    now: i64,
) -> Result<Claimed, TokenFault> {
    let expires = time(claims, "exp")?.ok_or(TokenFault::Endless)?;
    if expires <= now {
        return Err(TokenFault::Expired);
    }
    if time(claims, "nbf")?.is_some_and(|from| from > now) {
        return Err(TokenFault::Early);
    }
    if time(claims, "iat")?.is_some_and(|issued| issued > now.saturating_add(AHEAD)) {
        return Err(TokenFault::Early);
    }
    let named = text(claims, "iss", TokenFault::Issuer)?.ok_or(TokenFault::Issuer)?;
    if !issuer.is(named) {
        return Err(TokenFault::Issuer);
    }
    audience(claims, &trust.audiences)?;
    // A logout token is signed by the same keys for the same audience and names a subject, but signs nobody in (OpenID Connect
    // Back-Channel Logout 2.4).
    if claims.contains_key("events") {
        return Err(TokenFault::Extension);
    }
    let subject = text(claims, "sub", TokenFault::Subject)?.ok_or(TokenFault::Subject)?;
    if subject.is_empty() || subject.chars().count() > LONGEST_SUBJECT || subject.chars().any(char::is_control) {
        return Err(TokenFault::Subject);
    }
    let oid = text(claims, "oid", TokenFault::Subject)?.filter(|oid| !oid.is_empty());
    let named = normal_issuer(named);
    let subject = Subject {
        issuer: named.into(),
        id: subject.into(),
        oid: oid.map(Into::into),
        email: email(claims, trust.email_claim.as_deref()),
        home: named == normal_issuer(&trust.issuer),
    };
    Ok(Claimed { subject, expires })
}

/// A NumericDate (RFC 7519 2) in whole seconds. Every provider writes whole numbers; what is none is not guessed at.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(TokenFault::Malformed),
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str, wrong: TokenFault) -> Result<Option<&'a str>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong),
    }
}

/// One of the audiences must be ours. Where a token is for several, the party it was issued to must be us, too (OpenID Connect Core
/// 3.1.3.7).
fn audience(claims: &Map<String, Value>, ours: &[Box<str>]) -> Result<(), TokenFault> {
    let is_ours = |name: &str| ours.iter().any(|our| **our == *name);
    let names: Vec<&str> = match claims.get("aud") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().map(Value::as_str).collect::<Option<_>>().ok_or(TokenFault::Audience)?
        }
        _ => return Err(TokenFault::Audience),
    };
    let party = text(claims, "azp", TokenFault::Audience)?;
    if !names.iter().any(|name| is_ours(name)) || (names.len() > 1 && party.is_some_and(|party| !is_ours(party))) {
        return Err(TokenFault::Audience);
    }
    Ok(())
}

/// The address by which LibreChat would look: `OPENID_EMAIL_CLAIM`, then `email`, `preferred_username`, `upn`; the first that is text.
fn email(claims: &Map<String, Value>, first: Option<&str>) -> Option<Box<str>> {
    let names = first.into_iter().chain(["email", "preferred_username", "upn"]);
    let mut found = names.filter_map(|name| claims.get(name)?.as_str().filter(|text| !text.is_empty()));
    let email = found.next()?.trim().to_lowercase();
    (!email.is_empty()).then(|| email.into())
}
