use super::*;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

const SECRET: &str = "sixteen-byte-key-for-tests";
const NOW: i64 = 1_795_239_489;
const ADA: &str = "6b012e4109cc968f8a928bce";

fn tokens() -> (Tokens, Clock) {
    let clock = Clock::manual(Timestamp::from_second(NOW).unwrap());
    (Tokens::new(SECRET, &clock, &Metrics::new().unwrap()), clock)
}

fn signed(header: &Header, secret: &str, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn good_claims() -> Value {
    // As in the capture base/jwt_decoded: id, username, provider, email, iat, exp.
    json!({"id": ADA, "username": "user", "provider": "local", "email": "user@lab.test", "iat": NOW, "exp": NOW + 900})
}

fn read(header: &str) -> Result<Arc<str>, TokenFault> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(header).unwrap());
    tokens().0.read(&headers).map(|bearer| bearer.user.clone())
}

#[test]
fn the_three_hmac_algorithms_are_accepted_and_nothing_else() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = signed(&Header::new(algorithm), SECRET, &good_claims());
        assert_eq!(read(&format!("Bearer {token}")).unwrap().as_ref(), ADA, "{algorithm:?}");
    }
    let token = signed(&Header::new(Algorithm::HS256), "another secret", &good_claims());
    assert_eq!(read(&format!("Bearer {token}")), Err(TokenFault::Signature));
    // {"alg":"none"} and {"alg":"RS256"} with the same claims and no, or a made-up, signature.
    let claims = token.split('.').nth(1).unwrap();
    for (header, wanted) in
        [("eyJhbGciOiJub25lIn0", TokenFault::Malformed), ("eyJhbGciOiJSUzI1NiJ9", TokenFault::Signature)]
    {
        assert_eq!(read(&format!("Bearer {header}.{claims}.")), Err(TokenFault::Unsigned), "{header}");
        assert_eq!(read(&format!("Bearer {header}.{claims}.AAAA")), Err(wanted), "{header}");
    }
}

#[test]
fn claims_are_judged_one_by_one() {
    let with = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (name, claims, wanted) in [
        ("no exp", without("exp"), TokenFault::Endless),
        ("exp now", with("exp", json!(NOW)), TokenFault::Expired),
        ("exp a fraction ahead", with("exp", json!(NOW as f64 + 0.9)), TokenFault::Expired),
        ("exp past", with("exp", json!(NOW - 1)), TokenFault::Expired),
        ("exp text", with("exp", json!("9999999999")), TokenFault::Malformed),
        ("exp huge", with("exp", json!(1e300)), TokenFault::Malformed),
        ("exp list", with("exp", json!([NOW + 900])), TokenFault::Malformed),
        ("nbf ahead", with("nbf", json!(NOW + 1)), TokenFault::Early),
        ("nbf text", with("nbf", json!("0")), TokenFault::Malformed),
        ("no id (the two-factor token has userId)", without("id"), TokenFault::Nobody),
        ("id number", with("id", json!(7)), TokenFault::Malformed),
        ("id object", with("id", json!({"$ne": null})), TokenFault::Malformed),
        ("id short", with("id", json!("6b012e41")), TokenFault::Nobody),
        ("id not hex", with("id", json!("zzzzzzzzzzzzzzzzzzzzzzzz")), TokenFault::Nobody),
    ] {
        let token = signed(&Header::default(), SECRET, &claims);
        assert_eq!(read(&format!("Bearer {token}")), Err(wanted), "{name}");
    }
    let upper = signed(&Header::default(), SECRET, &with("id", json!(ADA.to_ascii_uppercase())));
    assert_eq!(read(&format!("Bearer {upper}")).unwrap().as_ref(), ADA);
    let role = signed(&Header::default(), SECRET, &with("role", json!("ADMIN")));
    assert_eq!(read(&format!("Bearer {role}")).unwrap().as_ref(), ADA, "a role in the token means nothing");
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let token = signed(&header, SECRET, &good_claims());
    assert_eq!(read(&format!("Bearer {token}")), Err(TokenFault::Malformed));
}

#[test]
fn the_header_has_one_form() {
    let token = signed(&Header::default(), SECRET, &good_claims());
    for (value, wanted) in [
        (format!("Bearer {token} extra"), TokenFault::Malformed),
        (format!("Bearer  {token}"), TokenFault::Malformed),
        (format!("Bearer\t{token}"), TokenFault::Missing),
        (format!("Bearer {token}, Bearer {token}"), TokenFault::Malformed),
        (format!("Bearer {token}\u{a0}"), TokenFault::Malformed),
        (format!("Basic {token}"), TokenFault::Missing),
        (token.clone(), TokenFault::Missing),
        ("Bearer ".to_owned(), TokenFault::Malformed),
        ("Bearer garbage".to_owned(), TokenFault::Malformed),
        (format!("Bearer {}", "a".repeat(LONGEST)), TokenFault::Malformed),
    ] {
        assert_eq!(read(&value), Err(wanted), "{value:?}");
    }
    assert!(read(&format!("bearer {token}")).is_ok(), "the scheme's case does not matter (RFC 9110 11.1)");
}

#[test]
fn two_headers_are_refused_and_none_is_missing() {
    let token = signed(&Header::default(), SECRET, &good_claims());
    let mut headers = HeaderMap::new();
    assert_eq!(tokens().0.read(&headers), Err(TokenFault::Missing));
    for _ in 0..2 {
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    }
    assert_eq!(tokens().0.read(&headers), Err(TokenFault::Malformed));
}

#[test]
fn a_remembered_token_still_ends() {
    let (tokens, clock) = tokens();
    let token = signed(&Header::default(), SECRET, &good_claims());
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("BEARER {token}")).unwrap());
    let first = tokens.read(&headers).unwrap();
    assert_eq!(first.authorization, format!("Bearer {token}"), "LibreChat receives the plain form");
    assert_eq!((tokens.goods.get(), tokens.hits.get()), (1, 0));
    tokens.read(&headers).unwrap();
    assert_eq!((tokens.goods.get(), tokens.hits.get()), (1, 1));
    clock.advance(std::time::Duration::from_secs(900));
    assert_eq!(tokens.read(&headers), Err(TokenFault::Expired));
    assert_eq!(tokens.read(&headers), Err(TokenFault::Expired));
}
