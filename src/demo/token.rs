//! Tokens: the ones LibreChat writes at sign-in, and how it reads the ones it is shown (CONTRACT.md A.2).

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::options::Person;

/// Seven days, LibreChat's default for a refresh token.
pub(super) const REFRESH_SECONDS: i64 = 7 * 24 * 60 * 60;

/// What an access token says. Only `id` is ever looked at again.
#[derive(Serialize)]
struct Access<'person> {
    id: &'person str,
    username: &'person str,
    provider: &'static str,
    email: &'person str,
    iat: i64,
    exp: i64,
}

/// What a refresh token says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    id: String,
    session_id: String,
    iat: i64,
    exp: i64,
}

/// What is read from a token, whoever wrote it.
#[derive(Deserialize)]
struct Claims {
    id: Option<String>,
    exp: Option<i64>,
}

/// A new access token.
pub(super) fn access(person: &Person, secret: &str, now: Timestamp, lifetime_seconds: i64) -> String {
    let iat = now.as_second();
    let claims = Access {
        id: &person.id,
        username: &person.name.to_lowercase(),
        provider: "local",
        email: &person.email,
        iat,
        exp: iat.saturating_add(lifetime_seconds),
    };
    sign(&claims, secret)
}

/// A new refresh token. The session id in it makes each one different, so that an old one can be told from a new one.
pub(super) fn refresh(person: &Person, secret: &str, now: Timestamp) -> String {
    let iat = now.as_second();
    let claims = Refresh {
        id: person.id.clone(),
        session_id: Uuid::new_v4().simple().to_string(),
        iat,
        exp: iat.saturating_add(REFRESH_SECONDS),
    };
    sign(&claims, secret)
}

/// Who a refresh token belongs to, if it is whole and not over.
pub(super) fn refresh_owner(token: &str, secret: &str, now: Timestamp) -> Option<String> {
    read(token, secret, now).ok()
}

/// The user id in the bearer token of a request.
///
/// # Errors
///
/// The message that LibreChat's 401 carries (captures `029_nojwt_api_user`, `049_jwt-expired` to `052_jwt-none-alg`).
pub(super) fn bearer(headers: &HeaderMap, secret: &str, now: Timestamp) -> Result<String, &'static str> {
    // Node keeps the first of several Authorization headers (capture `061_jwt-two-auth-headers`).
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut words = header.split_whitespace();
    match (words.next(), words.next()) {
        (Some(scheme), Some(token)) if scheme.eq_ignore_ascii_case("bearer") => read(token, secret, now),
        _ => Err("No auth token"),
    }
}

fn read(token: &str, secret: &str, now: Timestamp) -> Result<String, &'static str> {
    let parts: Vec<&str> = token.split('.').collect();
    match parts.as_slice() {
        [_, _, ""] => return Err("jwt signature is required"),
        [_, _, _] => {}
        _ => return Err("jwt malformed"),
    }
    decode_header(token).map_err(|_| "invalid token")?;
    let mut rules = Validation::new(Algorithm::HS256);
    rules.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    rules.required_spec_claims.clear();
    // The end is checked below, against the time that is handed in; LibreChat honours `exp` but does not require it.
    rules.validate_exp = false;
    rules.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims = decode::<Claims>(token, &key, &rules).map_err(|fault| match fault.kind() {
        ErrorKind::InvalidAlgorithm => "invalid algorithm",
        ErrorKind::InvalidSignature => "invalid signature",
        _ => "invalid token",
    })?;
    match claims.claims {
        Claims { exp: Some(end), .. } if end <= now.as_second() => Err("jwt expired"),
        Claims { id: Some(id), .. } => Ok(id),
        Claims { id: None, .. } => Err("Unauthorized"),
    }
}

/// Signs with HS256. An empty string, which nothing accepts, stands for a key the library refuses; HMAC keys are never
/// refused.
fn sign<Claims: Serialize>(claims: &Claims, secret: &str) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "one secret";

    fn ann() -> Person {
        Person {
            id: "6b0000000000000000000a01".into(),
            name: "Ann".into(),
            email: "ann@example.edu".into(),
            password: "p".into(),
            role: "USER".into(),
        }
    }

    fn asked(header: &str, second: i64) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        bearer(&headers, SECRET, Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_token_is_good_until_the_second_it_ends() {
        let token = access(&ann(), SECRET, Timestamp::from_second(1_000).unwrap(), 900);
        assert_eq!(asked(&format!("Bearer {token}"), 1_899), Ok(ann().id));
        assert_eq!(asked(&format!("Bearer {token}"), 1_900), Err("jwt expired"));
    }

    #[test]
    fn every_other_token_is_refused_in_the_words_librechat_uses() {
        let token = access(&ann(), SECRET, Timestamp::from_second(1_000).unwrap(), 900);
        let foreign = access(&ann(), "another secret", Timestamp::from_second(1_000).unwrap(), 900);
        let unsigned = token.rsplit_once('.').unwrap().0;
        let cases = [
            (String::new(), Err("No auth token")),
            ("Basic eDp5".to_owned(), Err("No auth token")),
            (format!("Bearer{token}"), Err("No auth token")),
            ("Bearer garbage".to_owned(), Err("jwt malformed")),
            (format!("Bearer {unsigned}."), Err("jwt signature is required")),
            (format!("Bearer {foreign}"), Err("invalid signature")),
            ("Bearer a.b.c".to_owned(), Err("invalid token")),
            (format!("bEaReR\t{token} extra"), Ok(ann().id)),
        ];
        for (header, expected) in cases {
            assert_eq!(asked(&header, 1_001), expected, "{header}");
        }
    }
}
