//! Counters in Redis: several processes count together.
//!
//! Each step is one Lua script, which Redis runs without another between, by its own time. Redis keeps the scripts by their
//! digest, so that a step is one short message; one that it has forgotten is sent again.
//!
//! Keys begin with the prefix, which names the form of what is kept (`tollgate:{meter}:1:`): versions of Tollgate with other
//! scripts count together, and one with another form counts beside it. All have one hash tag.
//! - `epoch`: is there as long as the counters are: their id, and until when they are fenced off. Redis that was emptied has none, and
//!   nothing is counted before [`Counters::rebuild`].
//! - `counter:NAME`: a hash. `level` is what was settled (or in the bucket of a rate, with `at`, `stretches` and `older`); `held`
//!   the sum of what is held.
//! - `held:NAME`: the open holds, a sorted set by expiry.
//! - `hold:ID`: what was taken, or that it has ended, until nobody can settle it any more.
//!
//! Behind each name stands `@aof` where the server keeps an append-only file, else `@` and the id of its run: a server that starts again
//! from a snapshot has older counters than it had, and so they are lost, and rebuilt.
//!
//! One server, with replicas or without, no cluster; and one that evicts no keys to make room, for a counter that was
//! evicted begins at nothing. Both are checked on connecting. Redis copies to its replicas and its append-only file afterwards: a server
//! that has one and fails takes along what it had not copied.
//!
//! Every call ends within the patience that was handed in.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, IntoConnectionInfo, RedisError, RedisResult, Script, ScriptInvocation};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use uuid::Uuid;

use super::StoreError;
use super::counters::{
    Answer, Counters, Draw, Epoch, Hold, KEPT, LATE, Measure, Reading, Rebuilt, Restored, Settled, Standing, Vacated,
    fault_in, fault_of_life,
};

mod faults;
mod lost;
mod server;
mod told;

use faults::Faults;
use told::Told;

/// What all keys begin with: a hash tag, and the form of what is kept.
pub const PREFIX: &str = "tollgate:{meter}:1:";

/// How long a request waits for its limits where nothing else is said.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// A script with what all of them share before it.
macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("redis/common.lua"), "\n", include_str!($file)))
    };
}

/// Counters in a Redis server. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    prefix: Box<str>,
    patience: Duration,
    faults: Faults,
    scripts: std::sync::Arc<Scripts>,
    /// Set once the server was found to be one that can keep counters.
    fit: std::sync::Arc<OnceCell<()>>,
}

struct Scripts {
    take: Script,
    end: Script,
    vacate: Script,
    read: Script,
    rebuild: Script,
    epoch: Script,
    restore: Script,
}

// === impl Redis ===

impl Redis {
    /// Connects to the server of a `redis://` address and checks that it can keep counters.
    ///
    /// # Errors
    /// [`StoreError`] where the address cannot be read, the server does not answer within `patience`, is one of a cluster, is a
    /// replica, or would evict keys.
    pub async fn connect(uri: &str, prefix: &str, patience: Duration) -> Result<Self, StoreError> {
        let redis = Self::at(uri, prefix, patience)?;
        redis.fits(false).await?;
        Ok(redis)
    }

    /// The same, also where the server is away: it is connected to, and checked, when it is asked something and there.
    ///
    /// # Errors
    /// [`StoreError`] where the address cannot be read, or a server that answers now is one that cannot keep counters.
    pub async fn open(uri: &str, prefix: &str, patience: Duration) -> Result<Self, StoreError> {
        let redis = Self::at(uri, prefix, patience)?;
        match redis.fits(false).await {
            Err(error) if error.transient => {
                tracing::warn!(%error, "limits cannot be counted yet");
                Ok(redis)
            }
            checked => checked.map(|()| redis),
        }
    }

    fn at(uri: &str, prefix: &str, patience: Duration) -> Result<Self, StoreError> {
        let faults = Faults::of(uri)?;
        let info = uri.into_connection_info().map_err(|_| faults::unreadable())?;
        // A server that is cut off answers nothing and closes nothing: what it has not acknowledged by then, it will not.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(patience.max(Duration::from_secs(1)));
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(|_| faults::unreadable())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience))
            // Who asks next asks anew; a request has no time for a second attempt.
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(|_| faults::unreadable())?;
        let scripts = Scripts {
            take: script!("redis/take.lua"),
            end: script!("redis/end.lua"),
            vacate: script!("redis/vacate.lua"),
            read: script!("redis/read.lua"),
            rebuild: script!("redis/rebuild.lua"),
            epoch: script!("redis/epoch.lua"),
            restore: script!("redis/restore.lua"),
        };
        Ok(Self {
            connection,
            prefix: prefix.into(),
            patience,
            faults,
            scripts: scripts.into(),
            fit: std::sync::Arc::default(),
        })
    }

    /// Whether the server can keep counters; looked at once. What is found while Tollgate runs can be mended while it runs.
    async fn fits(&self, mendable: bool) -> Result<(), StoreError> {
        if self.fit.initialized() {
            return Ok(());
        }
        let look = self.fit.get_or_try_init(async || {
            let mut connection = self.connection.clone();
            let info: String =
                self.faults.in_time(self.patience, redis::cmd("INFO").query_async(&mut connection)).await?;
            server::unfit(&info).map_or(Ok(()), |why| Err(self.faults.because(&why, mendable)))
        });
        // Those who look at the same time wait for each other.
        timeout(self.patience, look).await.unwrap_or_else(|_| Err(self.faults.late(self.patience))).map(|_| ())
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}{name}", self.prefix)
    }

    /// A call of a script with the keys that all have in common: the epoch, the hold's, and two of each counter.
    fn call<'a>(&self, script: &'a Script, hold: Option<Uuid>, draws: &[Draw]) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        let hold = hold.map(|hold| hold.to_string()).unwrap_or_default();
        call.key(self.key("epoch", "")).key(self.key("hold:", &hold));
        for draw in draws {
            call.key(self.key("counter:", &draw.counter)).key(self.key("held:", &draw.counter));
        }
        call
    }

    async fn ask<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        self.fits(true).await?;
        let mut connection = self.connection.clone();
        self.faults.in_time(self.patience, call.invoke_async(&mut connection)).await
    }

    async fn end(&self, hold: &Hold, used: Option<&[u64]>) -> Result<Settled, StoreError> {
        if used.is_some_and(|used| used.len() != hold.draws.len()) {
            return Err(self.faults.because(&"amounts are settled for another number of draws than were taken", false));
        }
        let mut call = self.call(&self.scripts.end, Some(hold.id), &hold.draws);
        call.arg(hold.id.to_string()).arg(hold.expires.as_microsecond()).arg(micros(LATE)).arg(micros(KEPT));
        for (index, draw) in hold.draws.iter().enumerate() {
            let used = used.and_then(|used| used.get(index)).copied().unwrap_or(0);
            call.arg(kind(draw))
                .arg(until(draw))
                .arg(draw.cost(draw.amount).to_string())
                .arg(draw.cost(used).to_string());
            call.arg(draw.rate().to_string()).arg(window(draw));
        }
        let ended: Told = self.ask(&call).await?;
        match ended.word.as_str() {
            "now" => Ok(Settled::Now(ended.at)),
            "late" => Ok(Settled::Late(ended.at)),
            "already" => Ok(Settled::Already),
            "too late" => Ok(Settled::TooLate),
            "lost" => Ok(Settled::Lost),
            _ => Err(self.faults.strange()),
        }
    }
}

#[async_trait]
impl Counters for Redis {
    async fn take(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, StoreError> {
        if let Some(fault) = fault_in(draws).or_else(|| fault_of_life(lives)) {
            return Err(self.faults.because(&fault, false));
        }
        let written = serde_json::to_string(draws).map_err(|error| self.faults.because(&error, false))?;
        let mut call = self.call(&self.scripts.take, Some(hold), draws);
        call.arg(hold.to_string()).arg(micros(lives)).arg(micros(LATE)).arg(micros(KEPT)).arg(written);
        for draw in draws {
            call.arg(kind(draw)).arg(from(draw)).arg(until(draw));
            call.arg(draw.cost(draw.amount).to_string()).arg(draw.cost(draw.ceiling).to_string());
            call.arg(draw.rate().to_string()).arg(window(draw));
        }
        let told: Told = self.ask(&call).await?;
        let at = told.at;
        match told.word.as_str() {
            "taken" => {
                let expires = told.expires.ok_or_else(|| self.faults.strange())?;
                let standings = told.standings(draws).ok_or_else(|| self.faults.strange())?;
                let after = |(draw, standing): (&Draw, Standing)| standing.and(draw.cost(draw.amount)).used(draw);
                let uses = draws.iter().zip(standings).map(after).collect();
                Ok(Answer::Taken { hold: Hold { id: hold, draws: draws.to_vec(), at, expires }, uses })
            }
            "short" => {
                let standings = told.standings(draws).ok_or_else(|| self.faults.strange())?;
                let lack = |(index, (draw, standing)): (usize, (&Draw, Standing))| standing.lack(index, draw);
                let lacks: Vec<_> = draws.iter().zip(standings).enumerate().filter_map(lack).collect();
                // Both sides of the wire count alike, or nothing is allowed.
                if lacks.is_empty() { Err(self.faults.strange()) } else { Ok(Answer::Short { at, lacks }) }
            }
            "again" => {
                let hold = told.hold(hold).ok_or_else(|| self.faults.strange())?;
                let reading = self.read(&hold.draws).await?;
                Ok(reading.map_or(Answer::Lost, |reading| Answer::Taken { hold, uses: reading.uses }))
            }
            "moved" => Ok(Answer::Moved { at }),
            "ended" => Ok(Answer::Ended),
            "lost" => Ok(Answer::Lost),
            _ => Err(self.faults.strange()),
        }
    }

    async fn settle(&self, hold: &Hold, used: &[u64]) -> Result<Settled, StoreError> {
        self.end(hold, Some(used)).await
    }

    async fn release(&self, hold: &Hold) -> Result<Settled, StoreError> {
        self.end(hold, None).await
    }

    async fn vacate(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        let places: Vec<Draw> = hold.places().cloned().collect();
        let mut call = self.call(&self.scripts.vacate, Some(hold.id), &places);
        call.arg(hold.id.to_string()).arg(hold.expires.as_microsecond()).arg(micros(KEPT));
        for draw in &places {
            call.arg(draw.amount.to_string());
        }
        let told: Told = self.ask(&call).await?;
        match told.word.as_str() {
            "now" => Ok(Vacated::Now(told.at)),
            "nothing" => Ok(Vacated::Nothing),
            "lost" => Ok(Vacated::Lost),
            _ => Err(self.faults.strange()),
        }
    }

    async fn read(&self, draws: &[Draw]) -> Result<Option<Reading>, StoreError> {
        let mut call = self.call(&self.scripts.read, None, draws);
        for draw in draws {
            call.arg(kind(draw)).arg(draw.rate().to_string());
        }
        let told: Told = self.ask(&call).await?;
        if told.word == "lost" {
            return Ok(None);
        }
        let standings = told.standings(draws).ok_or_else(|| self.faults.strange())?;
        let uses = draws.iter().zip(standings).map(|(draw, standing)| standing.used(draw)).collect();
        Ok(Some(Reading { at: told.at, uses }))
    }

    async fn rebuild_behind(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError> {
        self.begin(known, fence).await
    }

    async fn epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.which().await
    }

    async fn restore(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError> {
        self.put_back(hold, epoch).await
    }
}

// === impl Faults ===

impl Faults {
    /// Waits for an answer no longer than this, whatever holds it up.
    async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
        match timeout(limit, work).await {
            Ok(done) => done.map_err(|error: RedisError| self.fault(&error, limit)),
            Err(_) => Err(self.late(limit)),
        }
    }
}

// === helpers ===

fn kind(draw: &Draw) -> &'static str {
    match draw.measure {
        Measure::Spend { .. } => "spend",
        Measure::Rate { .. } => "rate",
        Measure::Open => "open",
    }
}

fn from(draw: &Draw) -> i64 {
    match draw.measure {
        Measure::Spend { from, .. } => from.as_microsecond(),
        Measure::Rate { .. } | Measure::Open => 0,
    }
}

fn until(draw: &Draw) -> i64 {
    match draw.measure {
        Measure::Spend { until, .. } => until.as_microsecond(),
        Measure::Rate { .. } | Measure::Open => 0,
    }
}

fn window(draw: &Draw) -> u64 {
    match draw.measure {
        Measure::Rate { window } => micros(window),
        Measure::Spend { .. } | Measure::Open => 0,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
