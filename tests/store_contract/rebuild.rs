//! Counters that were lost in the middle of traffic, brought back by the ledger: with a real Redis and both ledgers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::sync::RwLock;
use tollgate::clock::Clock;
use tollgate::meter::Rebuilder;
use tollgate::metrics::Metrics;
use tollgate::record::entry::Charged;
use tollgate::record::{Recorder, RecorderOptions, Sink};
use tollgate::store::Ledger;
use tollgate::store::counters::{Answer, Counters, Draw, Hold, Rebuilt, Settled};
use tollgate::store::embedded::Embedded;
use tollgate::store::mongo::Mongo;
use tollgate::store::redis::Redis;
use uuid::Uuid;

use crate::bench::entries::{lines, settled as entry, spent};
use crate::counters::redis_only::Server;
use crate::counters::{MINUTE, PATIENT, open, prefix, rate, server, spend};
use crate::mongod::with_mongod;

const ROUNDS: u64 = 50;
const CALLERS: u64 = 8;
const TURNS: u64 = 4;
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A process's worth of Tollgate: a connection and a rebuilder of its own. All write to one ledger.
struct Process {
    redis: Redis,
    rebuilder: Rebuilder,
    recorder: Recorder,
}

impl Process {
    async fn start(server: &Server, prefix: &str, ledger: Arc<dyn Ledger>, recorder: Recorder) -> Self {
        let redis = Redis::connect(&server.uri(), prefix, PATIENT).await.unwrap();
        let kept = Sink::ledger("ledger", ledger).kept();
        let rebuilder = Rebuilder::new(Arc::new(redis.clone()), kept, recorder.clone(), Duration::ZERO);
        Self { redis, rebuilder, recorder }
    }

    /// Brings the counters back; who is told what is counted.
    async fn rebuild(&self, rebuilt: &AtomicU64) {
        if self.rebuilder.rebuild(|| Clock::system().now()).await.unwrap() == Rebuilt::Now {
            rebuilt.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// One turn: taken, used otherwise than held, settled, recorded.
    async fn turn(&self, n: u64, round: &Round) {
        let hold = self.taken(&draws(n), round).await;
        let used = used(n);
        loop {
            // What was settled and is not on its way to the ledger when the counters are lost is what the grace is for.
            let settling = round.settling.read().await;
            match self.redis.settle(&hold, &used).await.unwrap() {
                Settled::Lost => {
                    drop(settling);
                    self.rebuild(&round.rebuilt).await;
                }
                settled @ Settled::Now(at) => {
                    let charged = Charged::of(&hold, &used, settled);
                    self.recorder.record(entry(n.into(), at, charged));
                    round.done.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn taken(&self, draws: &[Draw], round: &Round) -> Hold {
        loop {
            match self.redis.take(draws, Uuid::new_v4(), MINUTE * 10).await.unwrap() {
                Answer::Taken { hold, .. } => return hold,
                Answer::Lost => self.rebuild(&round.rebuilt).await,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What the turns of one round share.
#[derive(Default)]
struct Round {
    /// Held for writing while the counters are lost.
    settling: RwLock<()>,
    done: AtomicU64,
    rebuilt: AtomicU64,
}

/// Two callers share a counter. The bucket holds more than all turns put in, and leaks a unit in minutes.
fn draws(n: u64) -> [Draw; 3] {
    let who = n % (CALLERS / 2);
    [
        spend(&format!("day:{who}"), 5, 1_000_000),
        rate(&format!("year:{who}"), 300, 200_000, YEAR),
        open("open", 1, 1_000),
    ]
}

/// What turn n uses of them.
fn used(n: u64) -> [u64; 3] {
    [3 + n % 5, 200 * (n % 3), 1]
}

#[expect(clippy::disallowed_methods, reason = "the worker ends with the test")]
pub(crate) fn recorder(ledger: &Arc<dyn Ledger>) -> (Recorder, TempDir) {
    // Entries wait for company so long that only who asks for them finds them written.
    let options = RecorderOptions { linger: Duration::from_secs(3_600), ..RecorderOptions::default() };
    let meters = Metrics::new().unwrap().recorder();
    let data = tempfile::tempdir().unwrap();
    let sinks = vec![Sink::ledger("ledger", Arc::clone(ledger))];
    let (recorder, worker) = Recorder::start(data.path(), sinks, &Clock::system(), &meters, options).unwrap();
    tokio::spawn(worker.run());
    (recorder, data)
}

async fn counters_equal_the_ledger(ledger: Arc<dyn Ledger>, beside: Arc<dyn Ledger>) {
    let server = Server::start(&[]).await;
    let (prefix, (recorder, _data)) = (prefix(), recorder(&ledger));
    let first = Process::start(&server, &prefix, Arc::clone(&ledger), recorder.clone()).await;
    let second = Process::start(&server, &prefix, Arc::clone(&beside), recorder.clone()).await;
    first.rebuild(&AtomicU64::new(0)).await;
    let mut expected: BTreeMap<Box<str>, u64> = BTreeMap::new();
    for number in 0..ROUNDS {
        let round = Round::default();
        let caller = async |n: u64| {
            let process = if n.is_multiple_of(2) { &first } else { &second };
            for turn in 0..TURNS {
                process.turn(number * 1_000 + turn * CALLERS + n, &round).await;
            }
        };
        let loss = async {
            // Somewhere in the middle, at another place in each round.
            while round.done.load(Ordering::SeqCst) < number % (CALLERS * TURNS) {
                tokio::task::yield_now().await;
            }
            let _nobody_settles = round.settling.write().await;
            assert_eq!(server.command("FLUSHALL").trim(), "+OK");
        };
        tokio::join!(join_all((0..CALLERS).map(caller)), loss);
        // Perhaps nobody came after the loss. Both try, as processes do that have nothing to do.
        tokio::join!(first.rebuild(&round.rebuilt), second.rebuild(&round.rebuilt));
        assert_eq!(round.rebuilt.load(Ordering::SeqCst), 1, "round {number}: one rebuild a loss");
        for n in (0..CALLERS * TURNS).map(|n| number * 1_000 + n) {
            for (draw, used) in draws(n).iter().zip(used(n)) {
                *expected.entry(draw.counter.clone()).or_default() += used;
            }
        }
        recorder.flush().await;
        let told = beside.charged(Clock::system().now()).await.unwrap();
        let in_ledger =
            |draw: &Draw| told.iter().find(|told| told.counter == draw.counter).map_or(0, |told| told.amount);
        for who in 0..CALLERS / 2 {
            let [day, year, open] = draws(who);
            let counted = first.redis.read(&[day.clone(), year.clone(), open]).await.unwrap().unwrap().uses;
            let [in_day, in_year, open] = [0, 1, 2].map(|index: usize| counted[index].used);
            assert_eq!((in_day, in_day), (in_ledger(&day), expected[&day.counter]), "round {number}: {day:?}");
            // Begun units are whole ones, before the rebuild and after it.
            let kept = in_ledger(&year);
            assert!(in_year.abs_diff(kept) <= 1, "round {number}: {in_year}, and {kept} in the ledger");
            assert!(in_year <= expected[&year.counter], "round {number}: {in_year} is more than was used");
            assert_eq!(open, 0, "no turn is open");
        }
    }
}

#[tokio::test]
async fn counters_that_redis_lost_in_traffic_equal_the_embedded_ledger() {
    if server().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let handle = || Arc::new(Embedded::open(directory.path()).unwrap());
    counters_equal_the_ledger(handle(), handle()).await;
}

#[tokio::test]
async fn counters_that_redis_lost_in_traffic_equal_the_ledger_in_mongodb() {
    if server().is_none() {
        return;
    }
    with_mongod(async |mongod| {
        let handle = async || Arc::new(Mongo::connect(&mongod.uri, mongod.own.name()).await.unwrap());
        counters_equal_the_ledger(handle().await, handle().await).await;
    })
    .await;
}

#[tokio::test]
async fn a_new_redis_begins_with_what_the_ledger_has() {
    if server().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(Embedded::open(directory.path()).unwrap());
    let now = Clock::system().now();
    let ([day, ..], hour) = (draws(0), jiff::SignedDuration::from_hours(1));
    let put = |n, amount| entry(n, now, vec![spent(&day.counter, amount, now - hour, now + hour)]);
    ledger.append(&lines(&[put(1, 40), put(2, 2)])).await.unwrap();
    let server = Server::start(&[]).await;
    let (recorder, _data) = recorder(&ledger);
    let process = Process::start(&server, &prefix(), Arc::clone(&ledger), recorder).await;
    assert_eq!(process.redis.read(&[]).await.unwrap(), None);
    process.rebuild(&AtomicU64::new(0)).await;
    assert_eq!(process.redis.read(std::slice::from_ref(&day)).await.unwrap().unwrap().uses[0].used, 42);
    let answer = process.redis.take(&[Draw { ceiling: 46, ..day }], Uuid::new_v4(), MINUTE).await.unwrap();
    assert!(matches!(&answer, Answer::Short { lacks, .. } if lacks[0].left == 4), "{answer:?}");
}
