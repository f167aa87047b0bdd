//! The identity provider's signing keys (RFC 7517), and which of them may check which token.
//!
//! A key checks a token only if everything agrees: the key's id, its type, its purpose, its own algorithm where it names one, and
//! the algorithms of the settings. A weak key is no key.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::algorithm::Algorithm;
use crate::identity::strict;

/// Most keys that are looked at. Real providers have up to about ten.
const MOST: usize = 128;

/// Lengths of an RSA modulus, in bits: shorter ones are weak (RFC 7518 3.3), longer ones cost more than a check should.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of one moment, by their id.
#[derive(Default)]
pub(super) struct KeySet {
    /// `None` where several signing keys have the id: which of them is meant cannot be told.
    keys: HashMap<Box<str>, Option<Arc<Key>>>,
}

/// A key that can check signatures.
pub(super) struct Key {
    id: Box<str>,
    family: Family,
    /// The only algorithm that the key is for, where it says so.
    algorithm: Option<Box<str>>,
    decoding: DecodingKey,
    /// The public numbers: what makes two keys the same.
    numbers: Box<str>,
}

/// What kind of signatures a key makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    P256,
    P384,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK Set. Keys that are of no use here (encryption, other types, weak ones) are passed over; `None` where the
    /// document is no JWK Set at all.
    pub(super) fn read(document: &[u8]) -> Option<Self> {
        let document = strict::object(document)?;
        let Some(Value::Array(list)) = document.get("keys") else { return None };
        let mut keys: HashMap<Box<str>, Option<Arc<Key>>> = HashMap::new();
        for key in list.iter().take(MOST).filter_map(Key::read) {
            let id = key.id.clone();
            keys.entry(id).and_modify(|other| *other = None).or_insert(Some(Arc::new(key)));
        }
        Some(Self { keys })
    }

    /// The signing key with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.get(id)?.as_ref()
    }

    /// Whether this very key is still there: the same id and the same numbers.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.get(&key.id).is_some_and(|now| now.numbers == key.numbers && now.algorithm == key.algorithm)
    }

    /// How many keys can be used.
    pub(super) fn count(&self) -> usize {
        self.keys.values().flatten().count()
    }
}

// === impl Key ===

impl Key {
    fn read(written: &Value) -> Option<Self> {
        // The library's reader ignores members that it does not know, and so does this one (RFC 7517 4).
        let jwk: Jwk = serde_json::from_value(written.clone()).ok()?;
        let id = jwk.common.key_id.as_deref().filter(|id| !id.is_empty())?;
        let for_signatures = match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(_) => false,
        };
        let operations = jwk.common.key_operations.as_deref();
        if !for_signatures || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let (family, numbers) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if is_sound(&rsa.n, &rsa.e) => (Family::Rsa, format!("{}.{}", rsa.n, rsa.e)),
            AlgorithmParameters::EllipticCurve(point) => {
                let family = match point.curve {
                    EllipticCurve::P256 => Family::P256,
                    EllipticCurve::P384 => Family::P384,
                    _ => return None,
                };
                (family, format!("{}.{}", point.x, point.y))
            }
            _ => return None,
        };
        let algorithm = match written.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(name.as_str().into()),
            Some(_) => return None,
        };
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: id.into(), family, algorithm, decoding, numbers: numbers.into() })
    }

    /// Whether the key may check tokens of this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.as_deref().is_none_or(|own| own == algorithm.name())
    }

    /// Whether the signature over the message is this key's.
    pub(super) fn has_signed(&self, message: &str, signature: &str, algorithm: Algorithm) -> bool {
        self.fits(algorithm)
            && crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm.inner()).unwrap_or(false)
    }
}

/// Whether an RSA key is neither weak nor outlandish: a modulus of at least 2048 bits that nobody can guess the factors of, an odd
/// exponent of at least 3.
fn is_sound(modulus: &str, exponent: &str) -> bool {
    let (Ok(modulus), Ok(exponent)) = (URL_SAFE_NO_PAD.decode(modulus), URL_SAFE_NO_PAD.decode(exponent)) else {
        return false;
    };
    let first = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
    let bits = modulus.get(first).map_or(0, |byte| (modulus.len() - first) * 8 - byte.leading_zeros() as usize);
    let exponent = exponent
        .iter()
        .skip_while(|byte| **byte == 0)
        .try_fold(0_u64, |number, byte| number.checked_mul(256).map(|number| number | u64::from(*byte)));
    let exponent = exponent.is_some_and(|exponent| exponent >= 3 && exponent % 2 == 1);
    exponent && RSA_BITS.contains(&bits) && !is_guessable(&modulus)
}

/// Whether the modulus was made by a generator whose private keys can be computed (CVE-2017-15361): modulo each of these small primes it
/// is a power of 65537, which a sound one is with a chance of less than one in a hundred million.
fn is_guessable(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 16] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65_537 % prime;
            power == rest
        })
    })
}
