//! The meter over a Redis that is killed, emptied, cut off: what is admitted meanwhile, and what is counted in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tollgate::meter::{Meter, Receipt, Taken};
use tollgate::metrics::Metrics;
use tollgate::policy::charge::{Charge, Unit, Window};
use tollgate::policy::limits::{self, OnFailure, Terms};
use tollgate::policy::{Mode, RuleId};

use super::redis_only::{Server, until};
use super::*;

const LIVES: Duration = Duration::from_secs(600);

/// As in production.
const PATIENCE: Duration = Duration::from_millis(250);

/// Tollgate's side of one replica.
struct Replica {
    meter: Meter,
    metrics: Metrics,
    redis: Redis,
    settling: tokio::task::JoinHandle<()>,
}

impl Replica {
    #[expect(clippy::disallowed_methods, reason = "the test waits for it at its end")]
    async fn of(server: &Server) -> Self {
        let redis = Redis::open(&server.uri(), "tollgate-test:{outage}:", PATIENCE).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let counters: Arc<dyn Counters> = Arc::new(redis.clone());
        let (meter, unsettled) = Meter::new(counters, Clock::system(), 100_000, &metrics.meter());
        Self { meter, metrics, redis, settling: tokio::spawn(unsettled.run()) }
    }

    async fn weigh(&self, on_failure: OnFailure) -> Result<Option<Receipt>, tollgate::meter::MeterError> {
        let terms =
            Terms { measure: limits::Measure::Tokens, mode: Mode::Enforce, on_failure, strict: false, warn_at: 80 };
        match self.meter.take(&[month(1)], |_| Some(terms), LIVES).await? {
            Taken::All { receipt, .. } => Ok(Some(receipt)),
            Taken::Short { .. } => Ok(None),
        }
    }

    /// As many as there is room for, none of them settled.
    async fn fill(&self, on_failure: OnFailure) -> Vec<Receipt> {
        let mut all = Vec::new();
        while let Some(receipt) = self.weigh(on_failure).await.unwrap() {
            all.push(receipt);
        }
        all
    }

    async fn used(&self) -> Option<u64> {
        self.meter.read(&[month(0)]).await.ok().map(|reading| reading.uses[0].used)
    }

    /// Drops the meter and waits for all that it has still to settle.
    async fn end(self) -> Redis {
        drop(self.meter);
        self.settling.await.unwrap();
        assert_eq!(self.metrics.limits_unsettled.get(), 0);
        self.redis
    }
}

/// A hundred a month.
fn month(amount: u64) -> Charge {
    let window = Window::Calendar { unit: Unit::Month, zone: jiff::tz::TimeZone::UTC };
    Charge { key: "everybody".into(), rule: RuleId::new("limits.month"), window, amount, ceiling: 100 }
}

/// How the outage of a test comes and goes.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Killed,
    Stopped,
}

async fn outage_in_the_middle(outage: Outage, lasts: Duration) {
    if server().is_none() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let replica = Replica::of(&server).await;
    replica.redis.rebuild(&[]).await.unwrap();
    let share = OnFailure::LocalShare(20);
    for _ in 0..30 {
        replica.weigh(share).await.unwrap().unwrap().settle(&[1]).await.unwrap();
    }
    let open = replica.weigh(OnFailure::Deny).await.unwrap().unwrap();
    match outage {
        Outage::Killed => server.kill(),
        Outage::Stopped => server.signal("STOP"),
    }
    let began = tokio::time::Instant::now();
    // A limit that denies refuses, and does not wait long for that.
    let mut refused = 0;
    for _ in 0..200 {
        let start = tokio::time::Instant::now();
        replica.weigh(OnFailure::Deny).await.unwrap_err();
        assert!(start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
        refused += u32::from(start.elapsed() < PATIENCE / 5);
    }
    assert!(refused >= 190, "{refused} of 200 were refused without waiting for the store");
    assert_eq!(replica.metrics.limits_degraded.get(), 1);
    // A share of 20 % admits 20, however long it takes.
    let local = replica.fill(share).await;
    assert_eq!((local.len(), local.iter().filter(|receipt| receipt.is_local()).count()), (20, 20));
    // One turn ends meanwhile that the store had taken, some that it has not heard of; the others go on.
    open.settle(&[2]).await.unwrap_err();
    let mut local = local.into_iter();
    for receipt in local.by_ref().take(8) {
        receipt.settle(&[3]).await.unwrap_err();
    }
    drop(local.next());
    while began.elapsed() < lasts {
        assert!(replica.weigh(share).await.unwrap().is_none(), "no more than the share, however long it lasts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match outage {
        Outage::Killed => server.restart().await,
        Outage::Stopped => server.signal("CONT"),
    }
    let mended = tokio::time::Instant::now();
    until(async || replica.used().await.is_some()).await;
    let back = mended.elapsed();
    assert!(back < Duration::from_secs(5), "{back:?}");
    // Eleven of the share are still open: they are settled at the store.
    for receipt in local {
        receipt.settle(&[1]).await.ok();
    }
    until(async || replica.metrics.limits_unsettled.get() == 0).await;
    let expected = 30 + 2 + 8 * 3 + 1 + 11;
    assert_eq!(replica.used().await, Some(expected), "each once");
    assert_eq!(replica.fill(OnFailure::Deny).await.len() as u64, 100 - expected);
    assert_eq!(replica.metrics.limits_degraded.get(), 0);
    // What was filled and not settled is dropped, and so settled at the estimate.
    let redis = replica.end().await;
    let draws = tollgate::meter::plan(&[month(0)], Clock::system().now()).unwrap();
    assert_eq!(redis.read(&draws).await.unwrap().unwrap().uses[0].used, 100);
}

#[tokio::test]
async fn a_redis_that_is_killed_costs_no_count() {
    outage_in_the_middle(Outage::Killed, Duration::from_secs(2)).await;
}

/// Two seconds, or as many as `TOLLGATE_METER_CUT_OFF` says.
#[tokio::test]
async fn a_redis_that_is_cut_off_costs_no_count() {
    let seconds = sized("TOLLGATE_METER_CUT_OFF", 2);
    outage_in_the_middle(Outage::Stopped, Duration::from_secs(seconds as u64)).await;
}

#[tokio::test]
async fn a_redis_that_is_emptied_is_told_and_settled_after_it_is_rebuilt() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&[]).await;
    let replica = Replica::of(&server).await;
    replica.redis.rebuild(&[]).await.unwrap();
    let mut settled = 0;
    for round in 0..10 {
        let (open, ended) = (replica.weigh(OnFailure::Deny).await, replica.weigh(OnFailure::Deny).await);
        ended.unwrap().unwrap().settle(&[2]).await.unwrap();
        settled += 2;
        server.command("FLUSHALL");
        assert!(matches!(replica.weigh(OnFailure::Deny).await, Err(tollgate::meter::MeterError::Lost)));
        tokio::time::timeout(PATIENT, replica.meter.lost()).await.expect("somebody is told");
        assert_eq!(replica.metrics.limits_degraded.get(), 1);
        let local = replica.weigh(OnFailure::LocalShare(50)).await.unwrap().unwrap();
        assert!(local.is_local());
        drop((open, local.settle(&[3]).await));
        let known = tollgate::meter::plan(&[month(settled)], Clock::system().now()).unwrap();
        assert_eq!(replica.redis.rebuild(&known).await.unwrap(), Rebuilt::Now);
        settled += 1 + 3;
        until(async || replica.metrics.limits_unsettled.get() == 0).await;
        assert_eq!(replica.used().await, Some(settled), "round {round}");
    }
    replica.end().await;
}

/// What it has then is as it was when the snapshot was taken, and looks whole.
#[tokio::test]
async fn a_redis_that_has_only_a_snapshot_when_it_starts_again_has_lost_its_counters() {
    if server().is_none() {
        return;
    }
    let mut server = Server::start(&["--save", "3600 1"]).await;
    let replica = Replica::of(&server).await;
    replica.redis.rebuild(&[]).await.unwrap();
    let mut settled = 0;
    for round in 0..3 {
        let open = replica.weigh(OnFailure::Deny).await.unwrap().unwrap();
        replica.weigh(OnFailure::Deny).await.unwrap().unwrap().settle(&[2]).await.unwrap();
        server.command("SAVE");
        open.settle(&[3]).await.unwrap();
        for _ in 0..5 {
            replica.weigh(OnFailure::Deny).await.unwrap().unwrap().settle(&[4]).await.unwrap();
        }
        settled += 2 + 3 + 5 * 4;
        server.kill();
        server.restart_with(&["--save", "3600 1"]).await;
        until(async || matches!(replica.weigh(OnFailure::Deny).await, Err(tollgate::meter::MeterError::Lost))).await;
        let known = tollgate::meter::plan(&[month(settled)], Clock::system().now()).unwrap();
        assert_eq!(replica.redis.rebuild(&known).await.unwrap(), Rebuilt::Now);
        assert_eq!(replica.used().await, Some(settled), "round {round}: what was open in the snapshot is not");
    }
    replica.end().await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_found_when_it_comes() {
    if server().is_none() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes"]).await;
    server.kill();
    let replica = Replica::of(&server).await;
    replica.weigh(OnFailure::Deny).await.unwrap_err();
    assert!(replica.weigh(OnFailure::LocalShare(20)).await.unwrap().unwrap().is_local());
    server.restart().await;
    until(async || replica.redis.rebuild(&[]).await.is_ok()).await;
    until(async || replica.used().await == Some(1)).await;
    assert!(!replica.weigh(OnFailure::Deny).await.unwrap().unwrap().is_local());
    // One that cannot keep counters is found out although it was away at first.
    server.kill();
    let late = Replica::of(&server).await;
    server.restart_with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let mut why = String::new();
    until(async || {
        why = late.weigh(OnFailure::Deny).await.unwrap_err().to_string();
        why.contains("allkeys-lru")
    })
    .await;
    drop(late.end());
}

/// A store that answers and then does not, again and again: each replica's share is there once.
#[tokio::test]
async fn replicas_in_an_outage_admit_their_shares_and_no_more() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&[]).await;
    let replicas = [Replica::of(&server).await, Replica::of(&server).await, Replica::of(&server).await];
    replicas[0].redis.rebuild(&[]).await.unwrap();
    let (ended, admitted) = (AtomicBool::new(false), AtomicU64::new(0));
    let callers = replicas.iter().map(async |replica| {
        while !ended.load(Ordering::SeqCst) {
            if let Ok(Some(receipt)) = replica.weigh(OnFailure::LocalShare(10)).await {
                admitted.fetch_add(1, Ordering::SeqCst);
                receipt.settle(&[1]).await.ok();
            }
            tokio::task::yield_now().await;
        }
    });
    let outages = async {
        for _ in 0..3 {
            server.signal("STOP");
            tokio::time::sleep(Duration::from_millis(700)).await;
            server.signal("CONT");
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
        ended.store(true, Ordering::SeqCst);
    };
    futures_util::future::join(futures_util::future::join_all(callers), outages).await;
    let admitted = admitted.load(Ordering::SeqCst);
    assert!((100..=130).contains(&admitted), "{admitted}: a hundred, and ten of each replica");
    until(async || replicas.iter().all(|replica| replica.metrics.limits_unsettled.get() == 0)).await;
    let mut used = None;
    until(async || {
        used = replicas[0].used().await;
        used.is_some()
    })
    .await;
    assert_eq!(used, Some(admitted), "all of it is counted in the end, once");
    for replica in replicas {
        replica.end().await;
    }
}
