//! Charges, receipts and the queue, over counters in memory that fail when they are told to.

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use jiff::tz::TimeZone;

use super::*;
use crate::metrics::Metrics;
use crate::policy::charge::{Unit, Window};
use crate::policy::limits::{self, OnFailure};
use crate::policy::{Mode, RuleId};
use crate::store::counters::{Epoch, Rebuilt, Restored, Settled};
use crate::store::memory::Memory;

const NOW: &str = "2026-11-21T15:47:04Z";
const LIVES: Duration = Duration::from_secs(600);

/// Counters of which the next calls fail, before or after they did their work.
struct Flaky {
    memory: Memory,
    fail: AtomicUsize,
    fail_after: AtomicUsize,
    /// Whether a call never comes back.
    hang: AtomicUsize,
}

impl Flaky {
    async fn through<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let less = |count: usize| count.checked_sub(1);
        let error = || Err(StoreError { store: "flaky", message: "down".into(), transient: true });
        if self.fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return error();
        }
        if self.hang.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            std::future::pending::<()>().await;
        }
        let done = work.await;
        if self.fail_after.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() { error() } else { done }
    }
}

#[async_trait]
impl Counters for Flaky {
    async fn take(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, StoreError> {
        self.through(self.memory.take(draws, hold, lives)).await
    }

    async fn settle(&self, hold: &Hold, used: &[u64]) -> Result<Settled, StoreError> {
        self.through(self.memory.settle(hold, used)).await
    }

    async fn release(&self, hold: &Hold) -> Result<Settled, StoreError> {
        self.through(self.memory.release(hold)).await
    }

    async fn vacate(&self, hold: &Hold) -> Result<Vacated, StoreError> {
        self.through(self.memory.vacate(hold)).await
    }

    async fn read(&self, draws: &[Draw]) -> Result<Option<Reading>, StoreError> {
        self.memory.read(draws).await
    }

    async fn rebuild_behind(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError> {
        self.memory.rebuild_behind(known, fence).await
    }

    async fn epoch(&self) -> Result<Option<Epoch>, StoreError> {
        self.memory.epoch().await
    }

    async fn restore(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError> {
        self.memory.restore(hold, epoch).await
    }
}

struct Bench {
    meter: Meter,
    counters: Arc<Flaky>,
    metrics: Metrics,
    queue: tokio::task::JoinHandle<()>,
}

fn clock() -> Clock {
    Clock::manual(NOW.parse().unwrap())
}

/// A meter over counters with this clock, rebuilt, whose queue runs.
#[expect(clippy::disallowed_methods, reason = "the bench waits for it at its end")]
async fn bench(store: Clock, own: Clock, most: usize) -> Bench {
    let memory = Memory::volatile(store);
    memory.rebuild(&[]).await.unwrap();
    let counters = Arc::new(Flaky {
        memory,
        fail: AtomicUsize::new(0),
        fail_after: AtomicUsize::new(0),
        hang: AtomicUsize::new(0),
    });
    let metrics = Metrics::new().unwrap();
    let (meter, unsettled) = Meter::new(Arc::clone(&counters) as Arc<dyn Counters>, own, most, &metrics.meter());
    Bench { meter, counters, metrics, queue: tokio::spawn(unsettled.run()) }
}

impl Bench {
    async fn take(&self) -> Receipt {
        match self.meter.take(&charges(50), denied, LIVES).await.unwrap() {
            Taken::All { receipt, .. } => receipt,
            Taken::Short { lacks, .. } => panic!("{lacks:?}"),
        }
    }

    /// What is used once everything is settled; ends the queue.
    async fn settled(self) -> Vec<u64> {
        let own = self.meter.own.clone();
        drop(self.meter);
        while !self.queue.is_finished() {
            // An open circuit lets somebody try again.
            own.advance(PAUSE);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.queue.await.unwrap();
        let draws = plan(&charges(0), NOW.parse().unwrap()).unwrap();
        let reading = self.counters.read(&draws).await.unwrap().unwrap();
        reading.uses.iter().map(|tally| tally.used).collect()
    }
}

fn charge(key: &str, window: Window, amount: u64) -> Charge {
    Charge { key: key.into(), rule: RuleId::new("limit"), window, amount, ceiling: 100 }
}

fn terms(on_failure: OnFailure) -> Terms {
    Terms { measure: limits::Measure::Tokens, mode: Mode::Enforce, on_failure, strict: false, warn_at: 80 }
}

/// All limits refuse what cannot be counted.
fn denied(_rule: &RuleId) -> Option<Terms> {
    Some(terms(OnFailure::Deny))
}

fn charges(amount: u64) -> [Charge; 2] {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let day = Window::Calendar { unit: Unit::Day, zone: berlin };
    [charge("tokens/ann", day, amount), charge("parallel/ann", Window::Open, amount.min(1))]
}

#[test]
fn each_window_of_a_limit_has_a_counter_of_its_own() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let calendar = |unit| Window::Calendar { unit, zone: berlin.clone() };
    let rolling = |seconds| Window::Rolling(Duration::from_secs(seconds));
    let windows = [calendar(Unit::Day), calendar(Unit::Month), rolling(60), rolling(3_600), Window::Open]
        .map(|window| charge("a", window, 1));
    let names = |at: &str| -> Vec<String> {
        plan(&windows, at.parse().unwrap()).unwrap().iter().map(|draw| draw.counter.to_string()).collect()
    };
    assert_eq!(
        names(NOW),
        ["a@day.2026-11-20T23:00:00Z", "a@month.2026-10-31T23:00:00Z", "a@60000000us", "a@3600000000us", "a@open"]
    );
    let (before, after) = (names("2026-11-21T22:59:59Z"), names("2026-11-21T23:00:00Z"));
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1..], after[1..]);
}

#[tokio::test]
async fn what_is_settled_counts_once_at_what_was_used() {
    let bench = bench(clock(), clock(), 10).await;
    let receipt = bench.take().await;
    assert_eq!(receipt.hold().unwrap().draws.len(), 2);
    assert!(matches!(receipt.settle(&[20, 1]).await.unwrap(), Settled::Now(_)));
    assert!(matches!(bench.take().await.release().await.unwrap(), Settled::Now(_)));
    assert_eq!(bench.settled().await, [20, 0]);
}

#[tokio::test]
async fn what_is_dropped_before_it_is_sent_is_given_back() {
    let bench = bench(clock(), clock(), 10).await;
    drop(bench.take().await.unsent());
    let mut receipt = bench.take().await.unsent();
    receipt.sent();
    drop(receipt);
    assert_eq!(bench.settled().await, [50, 0], "the second alone");
}

#[tokio::test]
async fn what_is_dropped_counts_at_the_estimate() {
    let bench = bench(clock(), clock(), 10).await;
    drop(bench.take().await);
    assert_eq!(bench.settled().await, [50, 0]);
}

#[tokio::test]
async fn what_does_not_fit_says_which_and_takes_nothing() {
    let bench = bench(clock(), clock(), 10).await;
    let _open = bench.take().await;
    let Taken::Short { lacks, .. } = bench.meter.take(&charges(60), denied, LIVES).await.unwrap() else {
        panic!("taken")
    };
    assert_eq!(lacks, [Lack { draw: 0, left: 50, resets: Some("2026-11-21T23:00:00Z".parse().unwrap()) }]);
    let reading = bench.meter.read(&charges(0)).await.unwrap();
    assert_eq!(reading.uses.iter().map(|tally| tally.used).collect::<Vec<_>>(), [50, 1]);
}

#[tokio::test]
async fn a_store_that_fails_is_asked_again_with_the_same_amounts() {
    let bench = bench(clock(), clock(), 10).await;
    let receipt = bench.take().await;
    bench.counters.fail.store(3, Ordering::SeqCst);
    assert!(receipt.settle(&[20, 1]).await.unwrap_err().transient);
    assert_eq!(bench.settled().await, [20, 0]);
}

#[tokio::test]
async fn an_answer_that_was_lost_does_not_count_twice() {
    let bench = bench(clock(), clock(), 10).await;
    let (receipt, dropped) = (bench.take().await, bench.take().await);
    bench.counters.fail_after.store(2, Ordering::SeqCst);
    assert!(receipt.settle(&[20, 1]).await.is_err());
    drop(dropped);
    assert_eq!(bench.settled().await, [70, 0]);
}

#[tokio::test]
async fn a_settle_that_is_given_up_goes_on_with_what_was_used() {
    let bench = bench(clock(), clock(), 10).await;
    let receipt = bench.take().await;
    bench.counters.hang.store(1, Ordering::SeqCst);
    {
        let mut settling = Box::pin(receipt.settle(&[20, 1]));
        assert!(matches!(settling.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    assert_eq!(bench.settled().await, [20, 0]);
}

#[tokio::test]
async fn what_was_taken_without_an_answer_is_given_back() {
    let bench = bench(clock(), clock(), 10).await;
    bench.counters.fail_after.store(1, Ordering::SeqCst);
    assert!(matches!(bench.meter.take(&charges(50), denied, LIVES).await, Err(MeterError::Store(_))));
    {
        bench.counters.hang.store(1, Ordering::SeqCst);
        let (meter, charges) = (bench.meter.clone(), charges(50));
        let mut taking = Box::pin(meter.take(&charges, denied, LIVES));
        assert!(matches!(taking.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    // Nothing is used, and nothing is held any more: the counter of open turns says so.
    assert_eq!(bench.settled().await, [0, 0]);
}

#[tokio::test]
async fn no_more_receipts_than_the_queue_can_keep() {
    let bench = bench(clock(), clock(), 3).await;
    let nothing: [Charge; 0] = [];
    let mut open = Vec::new();
    for _ in 0..3 {
        let Taken::All { receipt, .. } = bench.meter.take(&nothing, denied, LIVES).await.unwrap() else {
            panic!("short")
        };
        open.push(receipt);
    }
    assert!(matches!(bench.meter.take(&nothing, denied, LIVES).await, Err(MeterError::Full(3))));
    open.pop().unwrap().release().await.unwrap();
    open.push(bench.take().await);
    assert!(matches!(bench.meter.take(&nothing, denied, LIVES).await, Err(MeterError::Full(3))));
    drop(open);
    assert_eq!(bench.settled().await, [50, 0]);
}

#[tokio::test]
async fn windows_are_those_of_the_store_and_not_of_this_clock() {
    // Ours is an hour slow and believes in the day before.
    let bench = bench(
        Clock::manual("2026-11-21T23:30:00Z".parse().unwrap()),
        Clock::manual("2026-11-21T22:30:00Z".parse().unwrap()),
        10,
    )
    .await;
    for _ in 0..2 {
        let receipt = bench.take().await;
        assert_eq!(&*receipt.hold().unwrap().draws[0].counter, "tokens/ann@day.2026-11-21T23:00:00Z");
        receipt.release().await.unwrap();
    }
    assert_eq!(bench.meter.ahead.load(Ordering::Relaxed), 3_600_000_000);
    assert_eq!(bench.meter.read(&charges(0)).await.unwrap().uses[0].used, 0);
}

#[tokio::test]
async fn lost_counters_are_told() {
    let memory = Arc::new(Memory::volatile(clock()));
    let (meter, _unsettled) = Meter::new(memory, clock(), 3, &Metrics::new().unwrap().meter());
    assert!(matches!(meter.take(&charges(1), denied, LIVES).await, Err(MeterError::Lost)));
    assert!(matches!(meter.read(&charges(1)).await, Err(MeterError::Lost)));
}

mod clocks;
mod outages;
mod places;
