use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::Metrics;
use crate::record::samples::{refusal, turn};
use crate::store::counters::Draw;
use crate::store::{Ledger, StoreError};

/// A store whose behaviour is set from outside: each append needs a permit; it may fail first, or refuse certain entries.
struct Store {
    permits: Semaphore,
    /// Failures that are still to come.
    failures: Mutex<u32>,
    refuses: HashSet<u128>,
    stored: Mutex<Vec<u128>>,
}

impl Store {
    fn open() -> Arc<Self> {
        Self::with(0, Semaphore::MAX_PERMITS, &[])
    }

    fn with(failures: u32, permits: usize, refuses: &[u128]) -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(permits),
            failures: Mutex::new(failures),
            refuses: refuses.iter().copied().collect(),
            stored: Mutex::default(),
        })
    }

    fn stored(&self) -> Vec<u128> {
        self.stored.lock().unwrap().clone()
    }

    fn sink(self: &Arc<Self>, name: &'static str) -> Sink {
        Sink::ledger(name, self.clone())
    }
}

#[async_trait]
impl Ledger for Store {
    async fn append(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.permits.acquire().await.unwrap().forget();
        let failed = |message: &str, transient| StoreError { store: "test", message: message.into(), transient };
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(failed("away", true));
        }
        if entries.iter().any(|entry| self.refuses.contains(&entry.id().as_u128())) {
            return Err(failed("will not have it", false));
        }
        self.stored.lock().unwrap().extend(entries.iter().map(|entry| entry.id().as_u128()));
        Ok(())
    }

    async fn charged(&self, _at: Timestamp) -> Result<Vec<Draw>, StoreError> {
        Ok(vec![])
    }
}

fn quick() -> RecorderOptions {
    RecorderOptions {
        capacity: 64,
        batch: 8,
        linger: Duration::from_millis(1),
        retry_first: Duration::from_millis(1),
        retry_most: Duration::from_millis(2),
        give_up: Duration::from_secs(60),
    }
}

/// A recorder with its worker running, and its counters.
struct Running {
    recorder: Recorder,
    worker: JoinHandle<()>,
    meters: RecorderMeters,
}

#[expect(clippy::disallowed_methods, reason = "the test holds the handle")]
fn running(sinks: Vec<Sink>, options: RecorderOptions) -> Running {
    let meters = Metrics::new().unwrap().recorder();
    let (recorder, worker) = Recorder::start(sinks, &meters, options);
    Running { recorder, worker: tokio::spawn(worker.run()), meters }
}

impl RecorderMeters {
    fn lost_of(&self, sink: &str, kind: &str, loss: Loss) -> u64 {
        self.dropped.with_label_values(&[sink, kind, loss.as_str()]).get()
    }

    fn written_to(&self, sink: &str) -> u64 {
        self.written.with_label_values(&[sink]).get()
    }
}

/// Lets the worker work until this holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "never happened: {what}");
}

#[tokio::test]
async fn everything_is_written_once_and_in_order() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    for n in 0..200 {
        run.recorder.record(if n % 3 == 0 { turn(n) } else { refusal(n) });
        if n % 50 == 49 {
            run.recorder.flush().await;
        }
    }
    assert_eq!(store.stored(), (0..200).collect::<Vec<_>>());
    assert_eq!((run.meters.recorded.get(), run.meters.written_to("s")), (200, 200));
}

#[tokio::test]
async fn recording_goes_on_while_the_sink_stands_still() {
    let store = Store::with(0, 0, &[]);
    let run = running(vec![store.sink("s")], quick());
    run.recorder.record(refusal(0));
    until("the sink is asked", || run.meters.queue.with_label_values(&["s"]).get() == 1).await;
    // `record` is no async function: that these calls come back at all is the assertion.
    (1..1000).for_each(|n| run.recorder.record(refusal(n)));
    store.permits.add_permits(1000);
    run.recorder.flush().await;
    let (meters, recorded) = (&run.meters, run.meters.recorded.get());
    assert_eq!(recorded + meters.lost_of("all", "audit", Loss::QueueFull), 1000, "every entry is in the books");
    assert_eq!(recorded, meters.written_to("s") + meters.lost_of("s", "audit", Loss::Behind));
    assert_eq!(store.stored().len() as u64, meters.written_to("s"));
}

#[tokio::test]
async fn an_overflow_of_the_queue_is_counted_exactly() {
    let store = Store::open();
    let meters = Metrics::new().unwrap().recorder();
    let (recorder, worker) =
        Recorder::start(vec![store.sink("s")], &meters, RecorderOptions { capacity: 4, ..quick() });
    (0..4).for_each(|n| recorder.record(refusal(n)));
    (4..9).for_each(|n| recorder.record(refusal(n)));
    recorder.record(turn(9));
    assert_eq!(meters.recorded.get(), 4);
    assert_eq!(meters.lost_of("all", "audit", Loss::QueueFull), 5);
    assert_eq!(meters.lost_of("all", "usage", Loss::QueueFull), 1);
    drop(recorder);
    worker.run().await;
    assert_eq!(store.stored(), [0, 1, 2, 3], "what was taken is written");
}

#[tokio::test]
async fn an_overflow_of_one_lane_is_counted_exactly_and_leaves_the_others_alone() {
    let (slow, fast) = (Store::with(0, 0, &[]), Store::open());
    let options = RecorderOptions { capacity: 8, batch: 4, ..quick() };
    let run = running(vec![slow.sink("slow"), fast.sink("fast")], options);
    for n in 0..9 {
        run.recorder.record(refusal(n));
        until("the other sink has it", || fast.stored().len() as u128 == n + 1).await;
    }
    assert_eq!(run.meters.lost_of("slow", "audit", Loss::Behind), 1);
    assert_eq!(run.meters.queue.with_label_values(&["slow"]).get(), 8);
    slow.permits.add_permits(100);
    run.recorder.flush().await;
    assert_eq!(slow.stored(), (0..8).collect::<Vec<_>>());
    assert_eq!(fast.stored(), (0..9).collect::<Vec<_>>());
    assert_eq!(run.meters.queue.with_label_values(&["slow"]).get(), 0);
}

#[tokio::test]
async fn who_asks_for_sums_is_told_how_many_usage_entries_they_lack() {
    let (keeps, other) = (Store::with(0, Semaphore::MAX_PERMITS, &[3, 4, 5]), Store::with(0, 1_000, &[1, 2]));
    let run = running(vec![keeps.sink("keeps"), other.sink("other")], quick());
    (0..6).for_each(|n| run.recorder.record(turn(n)));
    (6..9).for_each(|n| run.recorder.record(refusal(n)));
    assert_eq!(run.recorder.flushed("keeps").await, 3, "what another sink lacks is not asked about");
    assert_eq!(keeps.stored(), [0, 1, 2, 6, 7, 8], "and all else is written");
    assert_eq!(run.recorder.flushed("other").await, 2);
    run.recorder.stop(Duration::from_secs(1)).await;
    run.recorder.record(turn(9));
    run.recorder.record(refusal(10));
    assert_eq!(run.recorder.flushed("keeps").await, 4, "what no sink got");
}

#[tokio::test]
async fn requests_of_nobody_cannot_push_out_the_record_of_somebody() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], RecorderOptions { capacity: 100_000, ..quick() });
    let nobody = |n| {
        let Entry::Audit(mut audit) = refusal(n) else { panic!("a refusal") };
        audit.user_id = None;
        Entry::Audit(audit)
    };
    (0..10_000).for_each(|n| run.recorder.record(nobody(n)));
    (10_000..10_500).for_each(|n| run.recorder.record(refusal(n)));
    (10_500..10_600).for_each(|n| run.recorder.record(turn(n)));
    run.recorder.flush().await;
    let stored = store.stored();
    assert_eq!(stored.iter().filter(|n| **n >= 10_000).count(), 600, "everything about somebody");
    let noise = run.meters.lost_of("all", "audit", Loss::Noise);
    assert_eq!(noise + stored.len() as u64, 10_600, "what is missing is counted");
    // The burst, and what a slow machine's second or two add.
    assert!((7_000..=8_000).contains(&noise), "{noise}");
}

#[tokio::test]
async fn flush_waits_for_what_was_recorded_before_it() {
    let store = Store::with(0, 0, &[]);
    // An hour to wait for company: only the flush can send the entry on its way.
    let run = running(vec![store.sink("s")], RecorderOptions { linger: Duration::from_secs(3600), ..quick() });
    run.recorder.record(refusal(1));
    let mut flush = std::pin::pin!(run.recorder.flush());
    until("the sink is asked", || {
        assert!(flush.as_mut().now_or_never().is_none(), "flushed before it was written");
        run.meters.queue.with_label_values(&["s"]).get() == 1
    })
    .await;
    store.permits.add_permits(1);
    flush.await;
    assert_eq!(store.stored(), [1]);
}

#[tokio::test]
async fn a_sink_that_was_away_gets_everything_once() {
    let store = Store::with(3, Semaphore::MAX_PERMITS, &[]);
    let run = running(vec![store.sink("s")], quick());
    (0..20).for_each(|n| run.recorder.record(turn(n)));
    run.recorder.flush().await;
    assert_eq!(store.stored(), (0..20).collect::<Vec<_>>());
    assert_eq!(run.meters.failures.with_label_values(&["s"]).get(), 3);
    assert_eq!(run.meters.written_to("s"), 20);
}

#[tokio::test]
async fn a_sink_that_stays_away_costs_its_entries_and_a_later_one_is_written() {
    let store = Store::with(1, Semaphore::MAX_PERMITS, &[]);
    let run = running(vec![store.sink("s")], RecorderOptions { give_up: Duration::ZERO, ..quick() });
    run.recorder.record(refusal(1));
    run.recorder.flush().await;
    assert_eq!(run.meters.lost_of("s", "audit", Loss::GaveUp), 1);
    run.recorder.record(refusal(2));
    run.recorder.flush().await;
    assert_eq!(store.stored(), [2]);
}

#[tokio::test]
async fn one_entry_that_a_sink_refuses_does_not_take_the_others_with_it() {
    let store = Store::with(0, Semaphore::MAX_PERMITS, &[3]);
    let run = running(vec![store.sink("s")], quick());
    (0..8).for_each(|n| run.recorder.record(turn(n)));
    run.recorder.flush().await;
    assert_eq!(store.stored(), [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(run.meters.lost_of("s", "usage", Loss::Refused), 1);
}

#[tokio::test]
async fn a_stop_writes_what_was_recorded_and_counts_what_comes_after() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    (0..50).for_each(|n| run.recorder.record(refusal(n)));
    let other = run.recorder.clone();
    run.recorder.stop(Duration::from_secs(20)).await;
    assert_eq!(store.stored(), (0..50).collect::<Vec<_>>());
    other.record(turn(50));
    assert_eq!(run.meters.lost_of("all", "usage", Loss::Stopped), 1);
    // All of these come back at once: there is nothing left to wait for.
    other.flush().await;
    other.stop(Duration::ZERO).await;
    run.worker.await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_in_time_although_a_sink_stands_still() {
    let (parked, open) = (Store::with(0, 0, &[]), Store::open());
    let run = running(vec![parked.sink("parked"), open.sink("open")], quick());
    (0..20).for_each(|n| run.recorder.record(refusal(n)));
    run.recorder.stop(Duration::from_millis(5)).await;
    assert_eq!(run.meters.lost_of("parked", "audit", Loss::Stopped), 20);
    assert_eq!(open.stored().len(), 20);
}

#[tokio::test]
async fn the_end_of_the_last_handle_ends_the_worker_with_everything_written() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    (0..30).for_each(|n| run.recorder.clone().record(turn(n)));
    drop(run.recorder);
    run.worker.await.unwrap();
    assert_eq!(store.stored(), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_worker_entries_are_counted_as_lost() {
    let meters = Metrics::new().unwrap().recorder();
    let (recorder, worker) = Recorder::start(vec![], &meters, quick());
    drop(worker);
    recorder.record(refusal(1));
    recorder.flush().await;
    assert_eq!(meters.lost_of("all", "audit", Loss::Stopped), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever fails, overflows or is refused: after a flush every entry is written or counted, for every sink.
    #[test]
    fn the_books_balance(
        entries in 0_u128..120,
        capacity in 1_usize..40,
        batch in 1_usize..50,
        failures in 0_u32..6,
        refused in proptest::collection::vec(0_u128..120, 0..6),
        give_up_at_once: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (bad, good) = (Store::with(failures, Semaphore::MAX_PERMITS, &refused), Store::open());
            let give_up = if give_up_at_once { Duration::ZERO } else { Duration::from_secs(60) };
            let options = RecorderOptions { capacity, batch, give_up, ..quick() };
            let run = running(vec![bad.sink("bad"), good.sink("good")], options);
            for n in 0..entries {
                run.recorder.record(refusal(n));
                if n % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            run.recorder.flush().await;
            let recorded = run.meters.recorded.get();
            let full = run.meters.lost_of("all", "audit", Loss::QueueFull);
            assert_eq!(u128::from(recorded + full), entries);
            for (sink, store) in [("bad", bad), ("good", good)] {
                let lost: u64 = [Loss::Behind, Loss::GaveUp, Loss::Refused, Loss::Stopped]
                    .map(|loss| run.meters.lost_of(sink, "audit", loss))
                    .iter()
                    .sum();
                assert_eq!(run.meters.written_to(sink), store.stored().len() as u64);
                assert_eq!(recorded, run.meters.written_to(sink) + lost, "{}", sink);
            }
        });
    }
}
