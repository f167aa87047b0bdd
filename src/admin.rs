//! The admin plane: health and metrics, on a port and a thread of their own, so that they answer when the workers are busy.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

use crate::lifecycle::Readiness;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::reload::Standing;
use crate::store::Directory;

/// What the pages tell of.
pub struct Admin {
    /// Whether Tollgate takes requests.
    pub readiness: Readiness,
    /// All series.
    pub metrics: Arc<Metrics>,
    /// Asked whether it answers.
    pub directory: Arc<dyn Directory>,
    /// Asked whether limits are counted.
    pub meter: Meter,
    /// What is told of the policy in force.
    pub policy: Arc<Standing>,
    /// Whether requests are decided and recorded; if not, why.
    pub record: Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
    /// How many instances of LibreChat are healthy.
    pub upstreams: Box<dyn Fn() -> usize + Send + Sync>,
    /// How old the identity provider's keys are, where there is one.
    pub keys: Option<Age>,
}

/// Tells how old something is; `None` where it is not there yet.
pub type Age = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

// === impl Admin ===

impl Admin {
    /// Serves the pages on this open socket until the future is dropped.
    ///
    /// # Errors
    /// Where the socket cannot be used.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, self.router()).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }
}

/// The process answers.
async fn live() -> &'static str {
    "ok\n"
}

/// Whether requests can be sent here, and which part says no. LibreChat's own health is told but does not count: a
/// restarting LibreChat must not take Tollgate out of service, whose refusals tell the callers what is wrong. The same holds for
/// the identity provider: its last keys stay good, and LibreChat's own tokens need none; for a policy whose files have faults: the
/// last good one stays in force; and for overrides that have faults or cannot be read any more. Only before they were read for the first
/// time nobody can be judged.
async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let serving = admin.readiness.ready();
    let directory = admin.directory.ping().await;
    let limits = admin.meter.ping().await;
    let policy = admin.policy.told();
    let record = (admin.record)();
    let good = serving && directory.is_ok() && limits.is_ok() && policy.overrides.read && record.is_ok();
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({
        "ready": status == StatusCode::OK,
        "serving": serving,
        "directory": match directory {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        },
        "limits": match limits {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        },
        "record": record.err().unwrap_or("ok"),
        "policy": policy,
        "healthyUpstreams": (admin.upstreams)(),
    });
    if let (Some(age), Some(body)) = (&admin.keys, body.as_object_mut()) {
        let told = age().map_or_else(|| "none yet".to_owned(), |age| format!("{} s old", age.as_secs()));
        body.insert("identityProviderKeys".to_owned(), told.into());
    }
    (status, axum::Json(body))
}

/// All series in Prometheus' text format.
async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    admin.metrics.upstreams_healthy.set(i64::try_from((admin.upstreams)()).unwrap_or(i64::MAX));
    if let Some(age) = &admin.keys {
        let age = age().map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        admin.metrics.oidc_keys_age_seconds.set(age);
    }
    match admin.metrics.render() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be rendered");
            Err((StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be rendered\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::counters::Counters;
    use crate::store::memory::Memory;
    use crate::store::{Person, StoreError};

    struct Told(bool);

    #[async_trait::async_trait]
    impl Directory for Told {
        async fn person(&self, _id: &str) -> Result<Option<Person>, StoreError> {
            Ok(None)
        }
        async fn holder(&self, _subject: &crate::store::Subject) -> Result<crate::store::Holder, StoreError> {
            Ok(crate::store::Holder::Nobody)
        }
        async fn ping(&self) -> Result<(), StoreError> {
            let error = StoreError { store: "told", message: "down".to_owned(), transient: true };
            if self.0 { Ok(()) } else { Err(error) }
        }
    }

    async fn readyz(directory: bool, limits: bool, stopping: bool) -> StatusCode {
        readyz_with(directory, limits, stopping, || Ok(())).await
    }

    async fn readyz_with(
        directory: bool,
        limits: bool,
        stopping: bool,
        record: fn() -> Result<(), &'static str>,
    ) -> StatusCode {
        let readiness = Readiness::default();
        readiness.serving();
        if stopping {
            readiness.stopping();
        }
        let metrics = Arc::new(Metrics::new().unwrap());
        let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
        let counters = Memory::volatile(clock.clone());
        if limits {
            counters.rebuild(&[]).await.unwrap();
        }
        let (meter, _unsettled) = Meter::new(Arc::new(counters), clock.clone(), 1, &metrics.meter());
        let directory = Arc::new(Told(directory));
        let policy = crate::policy::compile(&[]).unwrap().0;
        let policy = Arc::new(Standing::of(&policy, clock.now()));
        let (record, upstreams) = (Box::new(record), Box::new(|| 0));
        let admin = Admin { readiness, metrics, directory, meter, policy, record, upstreams, keys: None };
        ready(State(Arc::new(admin))).await.into_response().status()
    }

    #[tokio::test]
    async fn readiness_follows_the_directory_the_limits_and_the_stop() {
        assert_eq!(readyz(true, true, false).await, StatusCode::OK);
        assert_eq!(readyz(false, true, false).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(readyz(true, false, false).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(readyz(true, true, true).await, StatusCode::SERVICE_UNAVAILABLE);
        let full = readyz_with(true, true, false, || Err("the disk takes no entries")).await;
        assert_eq!(full, StatusCode::SERVICE_UNAVAILABLE);
    }
}
