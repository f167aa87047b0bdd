use super::keys::KeySet;
use super::*;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
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
