//! Keys of LibreChat's remote-agent API (CONTRACT.md A.2 d): whose a key is, by its hash.
//!
//! LibreChat keeps the SHA-256 of a key and looks it up by equality; so does this, and remembers answers for as long as
//! people are remembered, by the hash. No key is kept or written down anywhere. Comparing in constant time would hide
//! nothing: an index is searched for the hash of what was sent, and who can steer the first bytes of a hash still does not
//! know a key that has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::Bearer;
use crate::clock::Clock;
use crate::metrics::{IntCounter, Metrics};
use crate::store::{Agents, ApiKey, StoreError};

/// Longest `Authorization` value that is looked at, in bytes. LibreChat's keys have 67 characters.
const LONGEST: usize = 512;

/// How many keys are remembered at once.
const REMEMBERED: usize = 10_000;

/// What every key begins with.
const PREFIX: &str = "sk-";

/// Someone who has shown a good key.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    /// The owner of the key.
    pub bearer: Arc<Bearer>,
    /// The id of the key, for the record: `agentapikeys._id`.
    pub key: Arc<str>,
}

/// Why nobody is known by a key.
#[derive(Clone, Debug)]
pub enum KeyFault {
    /// No `Authorization` header that begins with `Bearer `, in this spelling: LibreChat reads no other here.
    Missing,
    /// More than one `Authorization` header, or characters that no key has.
    Malformed,
    /// Another kind of token: LibreChat's own, or an identity provider's, which LibreChat can be set to accept here.
    NotAKey,
    /// LibreChat has no such key.
    Unknown,
    /// The key has expired.
    Expired,
    /// The directory does not have the user whose key it is.
    NoOwner,
    /// Keys cannot be looked up: LibreChat's database is not configured.
    NoStore,
    /// The database does not answer; nothing is guessed.
    NoAnswer(StoreError),
}

/// Looks keys up, through a short memory.
pub struct Keys {
    store: Arc<dyn Agents>,
    remember: Duration,
    clock: Clock,
    lately: Cache<[u8; 32], Looked>,
    hits: IntCounter,
    goods: IntCounter,
    bads: IntCounter,
}

/// What a look-up gave. Failures are not remembered.
#[derive(Clone)]
struct Looked {
    until: Instant,
    key: Option<Known>,
}

/// A key that LibreChat has.
#[derive(Clone)]
struct Known {
    id: Arc<str>,
    user: Arc<str>,
    /// As [`ApiKey::expires`].
    expires: Option<jiff::Timestamp>,
}

// === impl Keys ===

impl Keys {
    /// Asks `store` and remembers each answer for `remember`.
    pub fn new(store: Arc<dyn Agents>, remember: Duration, clock: &Clock, metrics: &Metrics) -> Self {
        let checks = &metrics.token_checks_total;
        Self {
            store,
            remember,
            clock: clock.clone(),
            lately: Cache::new(REMEMBERED),
            hits: checks.with_label_values(&["hit"]),
            goods: checks.with_label_values(&["good"]),
            bads: checks.with_label_values(&["bad"]),
        }
    }

    /// Reads the key of a request and looks up whose it is.
    ///
    /// # Errors
    /// [`KeyFault`] saying what is wrong.
    pub async fn read(&self, headers: &HeaderMap) -> Result<KeyHolder, KeyFault> {
        let (value, key) = key_of(headers).inspect_err(|_| self.bads.inc())?;
        let known = self.look_up(Sha256::digest(key).into()).await?.ok_or(KeyFault::Unknown)?;
        if known.expires.is_some_and(|at| at <= self.clock.now()) {
            return Err(KeyFault::Expired);
        }
        let mut authorization = value.clone();
        authorization.set_sensitive(true);
        Ok(KeyHolder { bearer: Arc::new(Bearer::by_key(known.user, authorization)), key: known.id })
    }

    async fn look_up(&self, hash: [u8; 32]) -> Result<Option<Known>, KeyFault> {
        let now = self.clock.tick();
        if let Some(looked) = self.lately.get(&hash).filter(|looked| now < looked.until) {
            self.hits.inc();
            return Ok(looked.key);
        }
        let found = self.store.api_key(&hex(&hash)).await.map_err(KeyFault::NoAnswer)?;
        let key = found.map(|ApiKey { id, user, expires }| Known { id: id.into(), user: user.into(), expires });
        if key.is_some() { &self.goods } else { &self.bads }.inc();
        // What was found is as old as the question.
        self.lately.insert(hash, Looked { until: now + self.remember, key: key.clone() });
        Ok(key)
    }
}

// === impl KeyFault ===

impl KeyFault {
    /// The code used in records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "identity.missing",
            Self::Malformed => "identity.malformed",
            Self::NotAKey => "identity.not-a-key",
            Self::Unknown => "identity.unknown-key",
            Self::Expired => "identity.expired-key",
            Self::NoOwner => "identity.no-user",
            Self::NoStore => "identity.no-keys",
            Self::NoAnswer(_) => "directory.down",
        }
    }
}

/// The one `Authorization` header, and the key in it. LibreChat takes all that follows `Bearer ` for the key, of any
/// spelling; the keys that it makes are `sk-` and hexadecimal digits.
fn key_of(headers: &HeaderMap) -> Result<(&HeaderValue, &str), KeyFault> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(KeyFault::Missing)?;
    if all.next().is_some() {
        return Err(KeyFault::Malformed);
    }
    let text = value.to_str().map_err(|_| KeyFault::Malformed)?;
    let key = text.strip_prefix("Bearer ").ok_or(KeyFault::Missing)?;
    let Some(rest) = key.strip_prefix(PREFIX) else { return Err(KeyFault::NotAKey) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if rest.is_empty() || value.len() > LONGEST || !rest.bytes().all(fits) {
        return Err(KeyFault::Malformed);
    }
    Ok((value, key))
}

/// In lower case, as LibreChat writes hashes.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
