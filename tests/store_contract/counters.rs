//! Counters on the bench: in memory, in memory with a journal, and in Redis under a prefix of their own.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tollgate::clock::Clock;
use tollgate::store::counters::{Answer, Counters, Draw, Epoch, Hold, Lack, Measure, Rebuilt, Use};
use tollgate::store::memory::Memory;
use tollgate::store::redis::Redis;
use uuid::Uuid;

/// One test a check and store.
macro_rules! contract {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $check() {
                crate::counters::memory(async |bench| super::$check(bench).await).await;
            })*
        }
        mod durable {
            $(#[tokio::test] async fn $check() {
                crate::counters::durable(async |bench| super::$check(bench).await).await;
            })*
        }
        mod redis {
            $(#[tokio::test] async fn $check() {
                crate::counters::redis(async |bench| super::$check(bench).await).await;
            })*
        }
    };
}

mod back;
mod checks;
mod lifetimes;
mod model;
mod outages;
mod put_back;
mod race;
pub(crate) mod redis_only;

/// How long checks wait for Redis: machines that test are busy.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// What the checks may do with counters.
#[async_trait]
pub(crate) trait Bench: Send + Sync {
    fn counters(&self) -> &dyn Counters;

    /// Lets time pass, by the store's clock.
    async fn pass(&self, time: Duration);

    /// Lets the fence be over, behind which holds come back.
    async fn opens(&self);

    /// The store's time. Its counters have to be rebuilt.
    async fn now(&self) -> Timestamp {
        self.counters().read(&[]).await.unwrap().expect("rebuilt counters").at
    }
}

struct MemoryBench {
    memory: Memory,
    clock: Clock,
}

struct RedisBench(Redis);

#[async_trait]
impl Bench for MemoryBench {
    fn counters(&self) -> &dyn Counters {
        &self.memory
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn opens(&self) {
        self.clock.advance(MINUTE);
    }
}

#[async_trait]
impl Bench for RedisBench {
    fn counters(&self) -> &dyn Counters {
        &self.0
    }

    async fn pass(&self, time: Duration) {
        let mut now = self.now().await;
        let until = now + time;
        while now < until {
            // Asking all the while would keep those who have something to ask from their turn.
            tokio::time::sleep(until.duration_since(now).unsigned_abs()).await;
            now = self.now().await;
        }
    }

    async fn opens(&self) {
        let end = tokio::time::Instant::now() + PATIENT;
        while !self.0.epoch().await.unwrap().is_some_and(|epoch| epoch.open) {
            assert!(tokio::time::Instant::now() < end, "the fence is never over");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Runs a check against counters in memory that nobody has rebuilt yet.
pub(crate) async fn memory(check: impl AsyncFnOnce(&dyn Bench)) {
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    check(&MemoryBench { memory: Memory::volatile(clock.clone()), clock }).await;
}

/// The same with a journal.
pub(crate) async fn durable(check: impl AsyncFnOnce(&dyn Bench)) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    check(&MemoryBench { memory: Memory::open(directory.path(), clock.clone()).unwrap(), clock }).await;
}

/// The same in Redis.
pub(crate) async fn redis(check: impl AsyncFnOnce(&dyn Bench)) {
    let Some(server) = server() else { return };
    check(&RedisBench(Redis::connect(&server, &prefix(), PATIENT).await.unwrap())).await;
}

/// Keys of one check alone.
pub(crate) fn prefix() -> String {
    format!("tollgate-test:{{{}}}:", Uuid::new_v4().simple())
}

#[expect(clippy::disallowed_methods, reason = "where the test's server is, not a setting of the product")]
#[expect(clippy::print_stderr, reason = "a check that is not run says so")]
pub(crate) fn server() -> Option<String> {
    let server = std::env::var("TOLLGATE_TEST_REDIS_URI").ok();
    if server.is_none() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name}: TOLLGATE_TEST_REDIS_URI is not set");
        eprintln!("{name}: not run, TOLLGATE_TEST_REDIS_URI is not set (tests/services/start starts a server)");
    }
    server
}

/// A number that the environment may set, for longer runs.
#[expect(clippy::disallowed_methods, reason = "the size of a test's run, not a setting of the product")]
pub(crate) fn sized(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |number| number.parse().expect("a number"))
}

// === words of the checks ===

/// A draw from what is spent in the hundred years around now.
pub(crate) fn spend(counter: &str, amount: u64, ceiling: u64) -> Draw {
    let century = ["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"].map(|at| at.parse::<Timestamp>().unwrap());
    let [from, until] = century;
    Draw { counter: counter.into(), measure: Measure::Spend { from, until }, amount, ceiling }
}

pub(crate) fn rate(counter: &str, amount: u64, ceiling: u64, window: Duration) -> Draw {
    Draw { counter: counter.into(), measure: Measure::Rate { window }, amount, ceiling }
}

pub(crate) fn open(counter: &str, amount: u64, ceiling: u64) -> Draw {
    Draw { counter: counter.into(), measure: Measure::Open, amount, ceiling }
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// What the checks ask again and again.
impl dyn Bench + '_ {
    async fn begin(&self) {
        assert_eq!(self.counters().rebuild(&[]).await.unwrap(), Rebuilt::Now);
    }

    async fn epoch(&self) -> Epoch {
        self.counters().epoch().await.unwrap().expect("counters")
    }

    async fn answer(&self, draws: &[Draw]) -> Answer {
        self.counters().take(draws, Uuid::new_v4(), MINUTE).await.unwrap()
    }

    async fn taken(&self, draws: &[Draw]) -> Hold {
        match self.answer(draws).await {
            Answer::Taken { hold, .. } => hold,
            other => panic!("{draws:?}: {other:?}"),
        }
    }

    async fn lacks(&self, draws: &[Draw]) -> Vec<Lack> {
        match self.answer(draws).await {
            Answer::Short { lacks, .. } => lacks,
            other => panic!("{draws:?}: {other:?}"),
        }
    }

    async fn uses(&self, draws: &[Draw]) -> Vec<Use> {
        self.counters().read(draws).await.unwrap().unwrap().uses
    }

    async fn used(&self, draw: &Draw) -> u64 {
        self.uses(std::slice::from_ref(draw)).await[0].used
    }
}
