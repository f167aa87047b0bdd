//! Keeps the identity provider's keys: fetched in the background, renewed by age, asked for anew when a token names an unknown one.
//!
//! One task fetches, so that a crowd of tokens is one question; it asks at most once in [`Pace::gap`], whatever the tokens say.
//! While the provider is away the last keys stay good for [`Pace::keep`]. No request waits longer than [`Pace::wait`], and
//! only one whose key is unknown waits at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::issuer::Issuer;
use super::keys::{Key, KeySet};
use super::{Documents, Trust};
use crate::clock::Clock;
use crate::identity::strict;
use crate::metrics::{IntCounter, IntGauge, Metrics};
use crate::store::normal_issuer;

/// How often things happen.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After this the keys are fetched anew.
    pub renew: Duration,
    /// Between the beginnings of two fetches, whatever happens.
    pub gap: Duration,
    /// How long a token whose key is unknown waits for a fetch.
    pub wait: Duration,
    /// How long keys are good after they were last fetched.
    pub keep: Duration,
}

/// What is known of the provider at one moment.
pub(super) struct Known {
    pub(super) issuer: Issuer,
    pub(super) keys: KeySet,
    pub(super) userinfo: Option<Box<str>>,
    /// When it was fetched; `None` before the first time.
    at: Option<Instant>,
}

/// The keys, and the task that keeps them.
pub(super) struct Keeper {
    documents: Arc<dyn Documents>,
    issuer: Box<str>,
    jwks: Option<Box<str>>,
    pace: Pace,
    clock: Clock,
    known: ArcSwap<Known>,
    /// When the last fetch began, and whether it is still under way.
    begun: Mutex<Begun>,
    wanted: Notify,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
    fetched: IntCounter,
    failed: IntCounter,
    usable: IntGauge,
}

#[derive(Clone, Copy, Default)]
struct Begun {
    at: Option<Instant>,
    under_way: bool,
}

/// What was wrong with what the provider said.
type Wrong = String;

// === impl Pace ===

impl Pace {
    /// The pace of the product.
    pub const USUAL: Self = Self {
        renew: Duration::from_secs(600),
        gap: Duration::from_secs(10),
        wait: Duration::from_secs(1),
        keep: Duration::from_secs(24 * 3600),
    };
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        trust: &Trust,
        documents: Arc<dyn Documents>,
        pace: Pace,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Self {
        let fetches = &metrics.oidc_fetches_total;
        let known = Known { issuer: Issuer::new(&trust.issuer), keys: KeySet::default(), userinfo: None, at: None };
        Self {
            documents,
            issuer: trust.issuer.clone(),
            jwks: trust.jwks_url.clone(),
            pace,
            clock: clock.clone(),
            known: ArcSwap::from_pointee(known),
            begun: Mutex::default(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            fetched: fetches.with_label_values(&["good"]),
            failed: fetches.with_label_values(&["failed"]),
            usable: metrics.oidc_keys.clone(),
        }
    }

    /// What is known now.
    pub(super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// How old the keys are; `None` where there are none yet.
    pub(super) fn age(&self) -> Option<Duration> {
        self.known.load().at.map(|at| self.clock.tick().saturating_duration_since(at))
    }

    /// Whether the keys can still be relied on.
    pub(super) fn is_current(&self) -> bool {
        self.age().is_some_and(|age| age <= self.pace.keep)
    }

    /// A key that is not known: asks for the keys anew, if that has not just been done, and waits a little.
    pub(super) async fn look_for(&self, id: &str) -> Option<Arc<Key>> {
        let mut ended = self.ended.subscribe();
        let worth_waiting = {
            let begun = self.begun.lock();
            begun.under_way || self.may_begin(*begun)
        };
        self.wanted.notify_one();
        if worth_waiting {
            // Without an end in time the answer is the same as with a useless one.
            let _ = timeout(self.pace.wait, ended.changed()).await;
        }
        self.known.load().keys.get(id).cloned()
    }

    fn may_begin(&self, begun: Begun) -> bool {
        begun.at.is_none_or(|at| self.clock.tick().saturating_duration_since(at) >= self.pace.gap)
    }

    /// Fetches, again and again. Ends when it is dropped.
    pub(super) async fn keep(&self) {
        let mut said = None;
        loop {
            *self.begun.lock() = Begun { at: Some(self.clock.tick()), under_way: true };
            let got = self.fetch().await;
            self.begun.lock().under_way = false;
            let pause = match got {
                Ok(known) => {
                    self.fetched.inc();
                    self.usable.set(i64::try_from(known.keys.count()).unwrap_or(i64::MAX));
                    if known.keys.count() == 0 {
                        tracing::warn!(
                            "the identity provider has no signing key that can be used: its tokens are refused"
                        );
                    }
                    self.known.store(Arc::new(known));
                    if said.take().is_some() {
                        tracing::info!("the identity provider's keys can be fetched again");
                    }
                    self.pace.renew
                }
                Err(wrong) => {
                    self.failed.inc();
                    // Once for each cause: an outage is tried anew every few seconds.
                    if said.as_ref() != Some(&wrong) {
                        tracing::warn!(cause = %wrong, "the identity provider's keys cannot be fetched; the last ones stay");
                    }
                    said = Some(wrong);
                    self.pace.gap
                }
            };
            self.ended.send_modify(|count| *count += 1);
            // A wish that comes earlier is remembered: what a fetch just missed is found by the next one.
            let wished = async {
                sleep(self.pace.gap).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = sleep(pause.max(self.pace.gap)) => {}
                () = wished => {}
            }
        }
    }

    async fn fetch(&self) -> Result<Known, Wrong> {
        let (issuer, jwks, userinfo) = match &self.jwks {
            Some(jwks) => (Issuer::new(&self.issuer), jwks.clone(), None),
            None => self.discover().await?,
        };
        let document = self.documents.get(&jwks, None).await.map_err(|fault| format!("{jwks}: {fault}"))?;
        let keys = KeySet::read(&document).ok_or_else(|| format!("{jwks}: what it says is no JSON Web Key Set"))?;
        Ok(Known { issuer, keys, userinfo, at: Some(self.clock.tick()) })
    }

    /// The provider's own description (OpenID Connect Discovery 4).
    async fn discover(&self) -> Result<(Issuer, Box<str>, Option<Box<str>>), Wrong> {
        let home = normal_issuer(&self.issuer);
        let url = format!("{home}/.well-known/openid-configuration");
        let document = self.documents.get(&url, None).await.map_err(|fault| format!("{url}: {fault}"))?;
        let document = strict::object(&document).ok_or_else(|| format!("{url}: what it says is no JSON object"))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let named = text("issuer").ok_or_else(|| format!("{url}: it names no issuer"))?;
        let issuer = Issuer::new(named);
        // Microsoft's description for many tenants names an issuer with a place for the tenant; it must be at home there.
        let fits = if issuer.has_tenants() { same_origin(home, named) } else { issuer.is(home) };
        if !fits {
            return Err(format!("{url}: it names another issuer than the settings"));
        }
        let jwks = text("jwks_uri").ok_or_else(|| format!("{url}: it names no jwks_uri"))?;
        Ok((issuer, jwks.into(), text("userinfo_endpoint").map(Into::into)))
    }
}

/// Whether two addresses have scheme, host and port in common.
fn same_origin(one: &str, other: &str) -> bool {
    let origin = |address: &str| {
        let (scheme, rest) = address.split_once("://")?;
        let host = rest.split('/').next()?;
        Some((scheme.to_owned(), host.to_owned()))
    };
    origin(one).is_some() && origin(one) == origin(other)
}
