use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::record::{Line, RecorderOptions, Sink};
use crate::store::counters::{Answer, Draw, Measure};
use crate::store::ledger::partial::{Part, Partial};
use crate::store::memory::Memory;

const DAY: Measure = Measure::Spend { from: Timestamp::UNIX_EPOCH, until: Timestamp::MAX };

/// A ledger that was told what to tell, and when it was asked.
#[derive(Default)]
struct Told {
    /// The next answers; an error where none is left.
    answers: Lock<Vec<Vec<Draw>>>,
    asked: Lock<Vec<(Instant, Timestamp)>>,
    appended: AtomicUsize,
}

#[async_trait]
impl Part for Told {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        self.appended.fetch_add(lines.len(), Ordering::SeqCst);
        Ok(())
    }

    async fn charged(&self, at: Timestamp) -> Result<Vec<Draw>, StoreError> {
        self.asked.lock().unwrap().push((Instant::now(), at));
        let away = || StoreError { store: "test", message: "away".into(), transient: true };
        self.answers.lock().unwrap().pop().ok_or_else(away)
    }
}

fn draw(amount: u64) -> Draw {
    Draw { counter: "day".into(), measure: DAY, amount, ceiling: 100 }
}

struct Bench {
    memory: Memory,
    ledger: Arc<Told>,
    recorder: Recorder,
    clock: Clock,
    _data: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the worker ends with the test")]
fn bench(answers: Vec<Vec<Draw>>) -> Bench {
    let clock = Clock::manual("2026-11-21T15:47:04Z".parse().unwrap());
    let ledger = Arc::new(Told { answers: Lock::new(answers), ..Told::default() });
    // Nothing is written before somebody asks for it.
    let options = RecorderOptions { linger: Duration::from_secs(3_600), ..RecorderOptions::default() };
    let sinks = vec![Sink::ledger("ledger", Arc::new(Partial(ledger.clone())))];
    let data = tempfile::tempdir().unwrap();
    let meters = Metrics::new().unwrap().recorder();
    let (recorder, worker) = Recorder::start(data.path(), sinks, &clock, &meters, options).unwrap();
    tokio::spawn(worker.run());
    Bench { memory: Memory::volatile(clock.clone()), ledger, recorder, clock, _data: data }
}

impl Bench {
    fn rebuilder(&self, grace: Duration) -> Rebuilder {
        let kept = Kept { sink: "ledger", ledger: Arc::new(Partial(self.ledger.clone())) };
        Rebuilder::new(Arc::new(self.memory.clone()), Some(kept), self.recorder.clone(), grace)
    }

    async fn used(&self) -> Option<u64> {
        let reading = self.memory.read(&[draw(0)]).await.unwrap();
        reading.map(|reading| reading.uses[0].used)
    }

    fn asked(&self) -> usize {
        self.ledger.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn counters_begin_with_what_the_ledger_tells() {
    let bench = bench(vec![vec![draw(40)]]);
    assert_eq!(bench.used().await, None);
    let rebuilt = bench.rebuilder(Duration::ZERO).rebuild(|| bench.clock.now()).await.unwrap();
    assert_eq!((rebuilt, bench.used().await), (Rebuilt::Now, Some(40)));
}

#[tokio::test]
async fn counters_that_are_there_cost_no_question() {
    let bench = bench(vec![vec![draw(40)]]);
    bench.memory.rebuild(&[draw(7)]).await.unwrap();
    let rebuilt = bench.rebuilder(Duration::from_secs(3_600)).rebuild(|| bench.clock.now()).await.unwrap();
    assert_eq!((rebuilt, bench.used().await, bench.asked()), (Rebuilt::NotNeeded, Some(7), 0));
}

#[tokio::test]
async fn many_that_try_at_once_ask_once() {
    let bench = bench(vec![vec![draw(9)], vec![draw(40)]]);
    let rebuilder = bench.rebuilder(Duration::ZERO);
    let tried = futures_util::future::join_all((0..20).map(|_| rebuilder.rebuild(|| bench.clock.now()))).await;
    let now = tried.into_iter().filter(|rebuilt| matches!(rebuilt, Ok(Rebuilt::Now))).count();
    assert_eq!((now, bench.asked(), bench.used().await), (1, 1, Some(40)));
}

#[tokio::test]
async fn what_is_recorded_is_written_before_the_ledger_is_asked() {
    let bench = bench(vec![vec![]]);
    (0..3).for_each(|n| bench.recorder.record(crate::record::samples::turn(n)));
    bench.rebuilder(Duration::ZERO).rebuild(|| bench.clock.now()).await.unwrap();
    assert_eq!((bench.asked(), bench.ledger.appended.load(Ordering::SeqCst)), (1, 3));
}

#[tokio::test]
async fn others_have_the_grace_to_write_and_the_time_is_told_after_it() {
    let bench = bench(vec![vec![]]);
    let (grace, start) = (Duration::from_millis(50), Instant::now());
    let later = start + grace;
    // A clock by which it is later once the grace is over.
    let now = || Timestamp::from_second(i64::from(Instant::now() >= later)).unwrap();
    bench.rebuilder(grace).rebuild(now).await.unwrap();
    let (asked, at) = bench.ledger.asked.lock().unwrap()[0];
    assert!(asked >= later, "{:?} after the loss", asked - start);
    assert_eq!(at, Timestamp::from_second(1).unwrap());
}

#[tokio::test]
async fn a_ledger_that_is_away_leaves_the_counters_lost() {
    let bench = bench(vec![]);
    let rebuilder = bench.rebuilder(Duration::ZERO);
    let error = rebuilder.rebuild(|| bench.clock.now()).await.unwrap_err();
    assert_eq!((error.message.as_str(), bench.used().await), ("away", None));
    let refused = bench.memory.take(&[draw(1)], uuid::Uuid::nil(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(refused, Answer::Lost, "nothing is counted");
    bench.ledger.answers.lock().unwrap().push(vec![draw(40)]);
    rebuilder.rebuild(|| bench.clock.now()).await.unwrap();
    assert_eq!(bench.used().await, Some(40), "it can be tried again");
}

#[tokio::test]
async fn without_a_ledger_counters_begin_at_nothing() {
    let bench = bench(vec![]);
    let rebuilder = Rebuilder::new(Arc::new(bench.memory.clone()), None, bench.recorder.clone(), Duration::ZERO);
    assert_eq!(rebuilder.rebuild(|| bench.clock.now()).await.unwrap(), Rebuilt::Now);
    assert_eq!(bench.used().await, Some(0));
}
