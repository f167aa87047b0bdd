//! An identity provider for a test: a real HTTP server with real keys, which behaves as no provider should when a test says so.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake::Fake;

/// A pair of keys.
pub(crate) struct Signer {
    /// Its id.
    pub(crate) kid: String,
    /// The usual algorithm.
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
}

/// How the provider behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It answers.
    Well,
    /// It takes a request and says nothing.
    Silent,
    /// It closes the connection without a word.
    Gone,
    /// It sends the asker on to this address.
    Redirecting(String),
    /// It says ten million bytes.
    Endless,
    /// It says something that is no JSON.
    Babbling,
}

/// A running provider.
pub(crate) struct Idp {
    fake: Fake,
    state: Arc<Mutex<State>>,
}

struct State {
    keys: Vec<Value>,
    manner: Manner,
    issuer: Option<String>,
    people: HashMap<String, Value>,
}

// === impl Signer ===

impl Signer {
    /// An RSA key of 2048 bits.
    pub(crate) fn rsa(kid: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("its encoding");
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key");
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS256, key }
    }

    /// A key on the curve P-256.
    pub(crate) fn p256(kid: &str) -> Self {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).expect("a key");
        let key = EncodingKey::from_ec_der(der.as_ref());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES256, key }
    }

    /// The public half as providers publish it.
    pub(crate) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT", "kid": self.kid}), claims)
    }

    /// A token with this header, truly signed by this key whatever the header says.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.signed(&header.to_string(), claims.to_string().as_bytes(), self.algorithm)
    }

    /// The same with header and payload as they are, and by another algorithm of the same key.
    pub(crate) fn signed(&self, header: &str, payload: &[u8], algorithm: Algorithm) -> String {
        let message = format!("{}.{}", encoded(header.as_bytes()), encoded(payload));
        let signature = crypto::sign(message.as_bytes(), &self.key, algorithm).expect("a signature");
        format!("{message}.{signature}")
    }
}

/// Base64 as in tokens.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of one part of a token or a key.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64")
}

/// A token under a shared secret.
pub(crate) fn shared(secret: &[u8], claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret)).expect("a token")
}

// === impl Idp ===

impl Idp {
    /// Starts one with these keys.
    pub(crate) async fn start(keys: Vec<Value>) -> Self {
        let state = State { keys, manner: Manner::Well, issuer: None, people: HashMap::new() };
        let state = Arc::new(Mutex::new(state));
        let told = Arc::clone(&state);
        let fake = Fake::start(move |socket, head| answer(socket, head, Arc::clone(&told))).await;
        Self { fake, state }
    }

    /// Its issuer, unless a test has given it another.
    pub(crate) fn issuer(&self) -> String {
        self.fake.url()
    }

    /// Where its keys are.
    pub(crate) fn jwks(&self) -> String {
        format!("{}/jwks", self.fake.url())
    }

    /// Publishes these keys and no others from now on.
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        self.state.lock().expect("a lock").keys = keys;
    }

    /// Behaves like this from now on.
    pub(crate) fn be(&self, manner: Manner) {
        self.state.lock().expect("a lock").manner = manner;
    }

    /// Names this issuer in its description.
    pub(crate) fn call_itself(&self, issuer: &str) {
        self.state.lock().expect("a lock").issuer = Some(issuer.to_owned());
    }

    /// Tells this of whoever shows this access token.
    pub(crate) fn tell(&self, token: &str, claims: Value) {
        self.state.lock().expect("a lock").people.insert(token.to_owned(), claims);
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let start = format!("GET {path} ");
        self.fake.heads().iter().filter(|head| head.starts_with(&start)).count()
    }
}

async fn answer(mut socket: TcpStream, head: String, state: Arc<Mutex<State>>) -> Option<TcpStream> {
    let (manner, keys, issuer, told) = {
        let state = state.lock().expect("a lock");
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        let told = token.and_then(|token| state.people.get(token).cloned());
        (state.manner.clone(), state.keys.clone(), state.issuer.clone(), told)
    };
    let here = head.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
    let body = match head.split(' ').nth(1).expect("a path") {
        "/jwks" => Some(json!({ "keys": keys })),
        "/.well-known/openid-configuration" => Some(json!({
            "issuer": issuer.unwrap_or_else(|| format!("http://{here}")),
            "jwks_uri": format!("http://{here}/jwks"),
            "userinfo_endpoint": format!("http://{here}/userinfo"),
        })),
        "/userinfo" => told,
        _ => None,
    };
    let whole = |status: &str, more: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\n{more}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = match (manner, body) {
        (Manner::Gone, _) => return None,
        (Manner::Silent, _) => {
            // Until the other side gives up.
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0]).await;
            return None;
        }
        (Manner::Redirecting(place), _) => whole("302 Found", &format!("location: {place}\r\n"), ""),
        (Manner::Endless, _) => whole("200 OK", "", &"x".repeat(10_000_000)),
        (Manner::Babbling, _) => whole("200 OK", "", "<html>keys?</html>"),
        (Manner::Well, Some(body)) => whole("200 OK", "", &body.to_string()),
        (Manner::Well, None) => whole("401 Unauthorized", "", "{}"),
    };
    // Who has heard enough leaves.
    let _ = socket.write_all(answer.as_bytes()).await;
    None
}
