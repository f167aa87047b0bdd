use super::keys::KeySet;
use super::*;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use serde_json::json;

/// Where the vectors are, if they are there: beside the repository.
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora/jws");

/// How the vectors of one file were judged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    refused: usize,
    accepted: usize,
    /// Accepted under a secret that is shorter than its digest (RFC 7518 3.2) and longer than the settings demand: LibreChat takes it, too.
    short_secrets: usize,
    /// Called invalid, and byte for byte the same as one called valid: faults of the file.
    contradictory: usize,
    /// Valid ones that are refused for what they are, not for their signature: by the reason.
    out_of_use: std::collections::BTreeMap<&'static str, usize>,
}

/// The keys of a group as a JWK Set, whichever way the group has them.
fn key_set(group: &Value) -> Value {
    let keys = group.get("public").unwrap_or(&group["private"]);
    if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) }
}

/// Whether this token has a good signature by one of the keys, by every rule but those for claims: the vectors have none.
fn has_good_signature(keys: &Value, token: &str) -> Result<(), &'static str> {
    let jws = Jws::read(token).map_err(TokenFault::code)?;
    if jws.algorithm.starts_with("HS") {
        let all = keys["keys"].as_array().unwrap();
        // A set in which secrets and public keys are mixed is no set of secrets.
        let [only] = all.as_slice() else { return Err("mixed") };
        if only["alg"] != *jws.algorithm || only["kty"] != "oct" {
            return Err("not for this algorithm");
        }
        let secret = URL_SAFE_NO_PAD.decode(only["k"].as_str().unwrap()).unwrap();
        // The settings refuse such a secret.
        if secret.len() < 16 {
            return Err("secret");
        }
        let key = DecodingKey::from_secret(&secret);
        let algorithm = jws.algorithm.parse().map_err(|_| "algorithm")?;
        let payload = token.split('.').nth(1).unwrap();
        // What the library does with a token under a secret, but for the claims.
        let good = URL_SAFE_NO_PAD.decode(payload).is_ok()
            && crypto::verify(jws.signature, jws.message.as_bytes(), &key, algorithm).unwrap_or(false);
        return if good { Ok(()) } else { Err("signature") };
    }
    let algorithm = Algorithm::named(&jws.algorithm).ok_or("algorithm")?;
    let set = KeySet::read(keys.to_string().as_bytes()).ok_or("no set")?;
    let all = keys["keys"].as_array().unwrap();
    if all.iter().any(|key| key["kty"] == "oct") {
        return Err("mixed");
    }
    let id = jws.key.as_deref().ok_or("no kid")?;
    let key = set.get(id).ok_or("no such key")?;
    if key.has_signed(jws.message, jws.signature, algorithm) { Ok(()) } else { Err("signature") }
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are what is asked for")]
fn the_vectors_of_wycheproof_are_judged_right() {
    if !Path::new(VECTORS).exists() {
        eprintln!("the vectors of Wycheproof are not beside the repository ({VECTORS}): not run");
        return;
    }
    let (mut judged, mut wrong) = (Judged::default(), Vec::new());
    for file in ["signature", "crypto", "key", "encryption"] {
        let text = std::fs::read(Path::new(VECTORS).join(format!("json_web_{file}_test.json"))).unwrap();
        let all: Value = serde_json::from_slice(&text).unwrap();
        for group in all["testGroups"].as_array().unwrap() {
            let keys = key_set(group);
            let all = group["tests"].as_array().unwrap();
            let valid = |token: &Value| all.iter().any(|other| other["result"] == "valid" && other["jws"] == *token);
            for vector in group["tests"].as_array().unwrap() {
                let token = vector.get("jws").or_else(|| vector.get("jwe")).unwrap();
                if vector["result"] == "invalid" && valid(token) {
                    judged.contradictory += 1;
                    continue;
                }
                // A few are in the JSON form, which no header can hold.
                let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
                match (vector["result"] == "valid", has_good_signature(&keys, &token)) {
                    (false, Err(_)) => judged.refused += 1,
                    (true, Ok(())) => judged.accepted += 1,
                    (true, Err(_)) if file == "encryption" => *judged.out_of_use.entry("encrypted").or_default() += 1,
                    (true, Err(why)) => {
                        eprintln!("not used: {file} {} {}: {why}", vector["tcId"], vector["comment"]);
                        *judged.out_of_use.entry(why).or_default() += 1;
                    }
                    (false, Ok(())) if vector["comment"] == "key_too_short" => judged.short_secrets += 1,
                    (false, Ok(())) => wrong.push(format!("{file} {}: {}", vector["tcId"], vector["comment"])),
                }
            }
        }
    }
    eprintln!("Wycheproof: {judged:?}");
    assert!(wrong.is_empty(), "invalid, and accepted: {}", wrong.join("; "));
    // 649 vectors; the valid ones that are not used are encrypted, empty, in the JSON form, of ES512, under sets of several secrets or
    // under a key that names another algorithm, or have characters in them that no token has.
    let out_of_use = judged.out_of_use.values().sum::<usize>();
    assert_eq!((judged.refused, judged.accepted, out_of_use), (522, 41, 81));
    assert_eq!((judged.contradictory, judged.short_secrets), (2, 3));
}

// === keys over time ===

/// What the provider says at an address, and how often it was asked.
#[derive(Default)]
struct Told {
    documents: parking_lot::Mutex<HashMap<String, Value>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Documents for Told {
    async fn get(&self, url: &str, _token: Option<&str>) -> Result<Bytes, FetchFault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let documents = self.documents.lock();
        documents.get(url).map(|document| document.to_string().into()).ok_or(FetchFault::Status(404))
    }
}

const NOW: i64 = 1_795_239_489;
const ISSUER: &str = "https://idp.test/realms/lab";

struct Lab {
    oidc: Arc<Oidc>,
    told: Arc<Told>,
    clock: Clock,
    metrics: Metrics,
}

impl Lab {
    /// A provider at this address that says this, asked once.
    async fn new(issuer: &str, jwks_url: Option<&str>, documents: &[(&str, Value)]) -> Self {
        let told = Arc::new(Told::default());
        told.documents.lock().extend(documents.iter().map(|(url, document)| ((*url).to_owned(), document.clone())));
        let trust = Trust {
            issuer: issuer.into(),
            audiences: vec!["librechat".into()],
            algorithms: vec![Algorithm::named("ES256").unwrap()],
            email_claim: None,
            jwks_url: jwks_url.map(Into::into),
        };
        let clock = Clock::manual(jiff::Timestamp::from_second(NOW).unwrap());
        let metrics = Metrics::new().unwrap();
        let oidc = Arc::new(Oidc::new(trust, told.clone(), Pace::USUAL, &clock, &metrics));
        let lab = Self { oidc, told, clock, metrics };
        // The first fetch is over when the task that keeps the keys first waits.
        let mut keeping = Box::pin(lab.oidc.keep());
        assert!(futures_util::poll!(&mut keeping).is_pending());
        drop(keeping);
        lab
    }

    fn read(&self, token: &str) -> Result<(), TokenFault> {
        self.oidc.read(token).map(|_| ())
    }
}

/// A key and its public half.
fn key(kid: &str) -> (EncodingKey, Value) {
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &rng,
    );
    let key = EncodingKey::from_ec_der(pair.unwrap().as_ref());
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    (key, jwk)
}

fn token(key: &EncodingKey, kid: &str, more: Value) -> String {
    let mut claims = json!({"iss": ISSUER, "aud": "librechat", "sub": "ann", "exp": NOW + 900});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let header =
        jsonwebtoken::Header { kid: Some(kid.to_owned()), ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256) };
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

const KEYS: &str = "https://idp.test/keys";

#[tokio::test]
async fn times_hold_to_the_second() {
    let (key, jwk) = key("k");
    let lab = Lab::new(ISSUER, Some(KEYS), &[(KEYS, json!({"keys": [jwk]}))]).await;
    for (claims, wanted) in [
        (json!({"exp": NOW + 1}), Ok(())),
        (json!({"exp": NOW}), Err(TokenFault::Expired)),
        (json!({"nbf": NOW}), Ok(())),
        (json!({"nbf": NOW + 1}), Err(TokenFault::Early)),
        (json!({"iat": NOW + 60}), Ok(())),
        (json!({"iat": NOW + 61}), Err(TokenFault::Early)),
    ] {
        assert_eq!(lab.read(&token(&key, "k", claims.clone())), wanted, "{claims}");
    }
    let remembered = token(&key, "k", json!({"exp": NOW + 10}));
    assert_eq!((lab.read(&remembered), lab.oidc.hits.get()), (Ok(()), 0));
    assert_eq!((lab.read(&remembered), lab.oidc.hits.get()), (Ok(()), 1));
    lab.clock.advance(Duration::from_secs(10));
    assert_eq!(lab.read(&remembered), Err(TokenFault::Expired), "a remembered token still ends");
}

#[tokio::test]
async fn keys_that_could_not_be_renewed_for_a_day_are_good_no_more() {
    let (key, jwk) = key("k");
    let lab = Lab::new(ISSUER, Some(KEYS), &[(KEYS, json!({"keys": [jwk]}))]).await;
    let good = token(&key, "k", json!({"exp": NOW + 1_000_000}));
    assert_eq!(lab.read(&good), Ok(()));
    lab.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!((lab.read(&good), lab.oidc.age_of_keys()), (Ok(()), Some(Duration::from_secs(86_400))));
    lab.clock.advance(Duration::from_secs(1));
    assert_eq!(lab.read(&good), Err(TokenFault::Key), "also where the token was remembered");
    assert_eq!(lab.metrics.oidc_keys.get(), 1);
}

#[tokio::test]
async fn the_key_of_the_same_name_with_other_numbers_is_another_key() {
    let ((old, old_jwk), (new, new_jwk)) = (key("k"), key("k"));
    let lab = Lab::new(ISSUER, Some(KEYS), &[(KEYS, json!({"keys": [old_jwk]}))]).await;
    let (by_old, by_new) = (token(&old, "k", json!({})), token(&new, "k", json!({})));
    assert_eq!((lab.read(&by_old), lab.read(&by_new)), (Ok(()), Err(TokenFault::Signature)));
    lab.told.documents.lock().insert(KEYS.to_owned(), json!({"keys": [new_jwk]}));
    let mut keeping = Box::pin(lab.oidc.keep());
    assert!(futures_util::poll!(&mut keeping).is_pending());
    assert_eq!((lab.read(&by_old), lab.read(&by_new)), (Err(TokenFault::Signature), Ok(())));
    assert_eq!(lab.told.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_provider_says_where_its_keys_are_and_who_it_is() {
    let (key, jwk) = key("k");
    let home = "https://login.test/common/v2.0";
    let description =
        |issuer: &str| json!({"issuer": issuer, "jwks_uri": KEYS, "userinfo_endpoint": "https://idp.test/me"});
    let tenant = json!({"iss": "https://login.test/9188040d-6c67/v2.0"});
    for (configured, named, more, wanted) in [
        (ISSUER, ISSUER, json!({}), Ok(())),
        ("https://idp.test/realms/lab/.well-known/openid-configuration", ISSUER, json!({}), Ok(())),
        (ISSUER, "https://idp.test/realms/lab/", json!({"iss": "https://idp.test/realms/lab/"}), Ok(())),
        (ISSUER, "https://evil.test", json!({}), Err(TokenFault::Key)),
        (home, "https://login.test/{tenantid}/v2.0", tenant.clone(), Ok(())),
        (
            home,
            "https://login.test/{tenantid}/v2.0",
            json!({"iss": "https://login.test/a/b/v2.0"}),
            Err(TokenFault::Issuer),
        ),
        (home, "https://evil.test/{tenantid}/v2.0", tenant.clone(), Err(TokenFault::Key)),
        (home, "http://login.test/{tenantid}/v2.0", tenant, Err(TokenFault::Key)),
    ] {
        let place = format!("{}/.well-known/openid-configuration", crate::store::normal_issuer(configured));
        let lab =
            Lab::new(configured, None, &[(&place, description(named)), (KEYS, json!({"keys": [jwk.clone()]}))]).await;
        assert_eq!(lab.read(&token(&key, "k", more.clone())), wanted, "{configured} {named} {more}");
    }
    for missing in ["issuer", "jwks_uri"] {
        let mut document = description(ISSUER);
        document.as_object_mut().unwrap().remove(missing);
        let place = format!("{ISSUER}/.well-known/openid-configuration");
        let lab = Lab::new(ISSUER, None, &[(&place, document), (KEYS, json!({"keys": [jwk.clone()]}))]).await;
        assert_eq!((lab.oidc.age_of_keys(), lab.told.asked.load(Ordering::SeqCst)), (None, 1), "{missing}");
    }
}

#[tokio::test]
async fn subjects_have_what_librechat_looks_for() {
    let (key, jwk) = key("k");
    let lab = Lab::new(ISSUER, Some(KEYS), &[(KEYS, json!({"keys": [jwk]}))]).await;
    let subject = |more: Value| lab.oidc.read(&token(&key, "k", more)).unwrap().subject.clone();
    let plain = subject(json!({}));
    assert_eq!((&*plain.issuer, &*plain.id, plain.home), (ISSUER, "ann", true));
    assert_eq!((plain.oid, plain.email), (None, None));
    let full = subject(json!({"iss": format!("{ISSUER}/"), "oid": "o", "email": " Ann@Lab.Test "}));
    assert_eq!((&*full.issuer, full.oid.as_deref(), full.email.as_deref()), (ISSUER, Some("o"), Some("ann@lab.test")));
    for (claims, email) in [
        (json!({"email": 5, "preferred_username": "ann@lab.test"}), Some("ann@lab.test")),
        (json!({"email": "", "upn": "ann@lab.test"}), Some("ann@lab.test")),
        (json!({"email": ["ann@lab.test"]}), None),
    ] {
        assert_eq!(subject(claims.clone()).email.as_deref(), email, "{claims}");
    }
}
