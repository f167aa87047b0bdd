//! The identity provider's own word about a person (OpenID Connect Core 5.3), asked with the person's access token.
//!
//! An answer stands for minutes, a failure for seconds, whatever token it was asked with: no caller makes Tollgate ask more often.
//! Nobody waits longer than a bound; without an answer in time nothing is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::oidc::Documents;
use super::strict;
use crate::clock::Clock;
use crate::store::Subject;

/// How many people's answers are kept.
const KEPT: usize = 10_000;

/// How long an answer stands.
const STANDS: Duration = Duration::from_secs(300);

/// How long it stands that there was none.
const FAILURE_STANDS: Duration = Duration::from_secs(10);

/// How long a request waits for an answer.
const WAIT: Duration = Duration::from_secs(1);

/// What the provider has said of people lately.
pub(super) struct Userinfo {
    documents: Arc<dyn Documents>,
    clock: Clock,
    told: Cache<String, Told>,
}

#[derive(Clone)]
struct Told {
    at: Instant,
    until: Instant,
    claims: Option<Arc<Map<String, Value>>>,
}

// === impl Userinfo ===

impl Userinfo {
    pub(super) fn new(documents: Arc<dyn Documents>, clock: &Clock) -> Self {
        Self { documents, clock: clock.clone(), told: Cache::new(KEPT) }
    }

    /// What the provider at this address says of the person. Parallel questions about one person become one.
    pub(super) async fn of(&self, url: &str, subject: &Subject, token: &str) -> Option<Arc<Map<String, Value>>> {
        let name = format!("{:?}", (&subject.issuer, &subject.id));
        // Also those who wait for another's question wait no longer than for their own.
        timeout(WAIT + WAIT, self.remembered(&name, url, subject, token)).await.ok().flatten()
    }

    async fn remembered(
        &self,
        name: &str,
        url: &str,
        subject: &Subject,
        token: &str,
    ) -> Option<Arc<Map<String, Value>>> {
        loop {
            match self.told.get_value_or_guard_async(name).await {
                Ok(told) if self.clock.tick() < told.until => return told.claims,
                Ok(told) => {
                    // Only what was seen to be too old goes: a fresher answer may have come meanwhile.
                    self.told.remove_if(name, |now| now.at == told.at);
                }
                Err(place) => {
                    let at = self.clock.tick();
                    let asked = timeout(WAIT, self.documents.get(url, Some(token))).await;
                    let claims = asked.ok().and_then(Result::ok).and_then(|document| about(&document, subject));
                    let until = self.clock.tick() + if claims.is_some() { STANDS } else { FAILURE_STANDS };
                    // The place may have been taken away by a removal; then nothing is remembered, which is harmless.
                    let _ = place.insert(Told { at, until, claims: claims.clone() });
                    return claims;
                }
            }
        }
    }
}

/// The answer, if it is about this very person: an access token may be anybody's.
fn about(document: &[u8], subject: &Subject) -> Option<Arc<Map<String, Value>>> {
    let claims = strict::object(document)?;
    (claims.get("sub").and_then(Value::as_str) == Some(&*subject.id)).then(|| Arc::new(claims))
}
