use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::record::chain::Chain;
use crate::record::samples::{refusal, turn};
use crate::record::{Line, RecorderOptions, Sink};
use crate::store::StoreError;
use crate::store::ledger::partial::{Part, Partial};

/// A store whose behaviour is set from outside: each append needs a permit; it may fail first, or refuse certain entries.
struct Store {
    permits: Semaphore,
    /// Failures that are still to come.
    failures: Mutex<u32>,
    refuses: HashSet<u128>,
    panics: Mutex<bool>,
    lines: Mutex<Vec<Line>>,
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
            panics: Mutex::default(),
            lines: Mutex::default(),
        })
    }

    /// The numbers of the entries of the test.
    fn stored(&self) -> Vec<u128> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| line.id.as_u128()).filter(|n| *n < 1 << 64).collect()
    }

    /// What is missing by the record's own word: audit and usage entries.
    fn gaps(&self) -> Vec<(u64, u64)> {
        let lines = self.lines.lock().unwrap();
        let read = |line: &Line| {
            let entry: serde_json::Value = serde_json::from_str(&line.text).unwrap();
            let about = (entry["action"] == "records.gap").then(|| entry["about"].clone())?;
            Some((about["audit"].as_u64()?, about["usage"].as_u64()?))
        };
        lines.iter().filter_map(read).collect()
    }

    /// The events of this kind.
    fn events(&self, action: &str) -> Vec<serde_json::Value> {
        let lines = self.lines.lock().unwrap();
        let read = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(&line.text).unwrap());
        read.filter(|entry| entry["action"] == action).collect()
    }

    fn sink(self: &Arc<Self>, name: &'static str) -> Sink {
        Sink::ledger(name, Arc::new(Partial(Arc::clone(self))))
    }
}

#[async_trait]
impl Part for Store {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        self.permits.acquire().await.unwrap().forget();
        assert!(!*self.panics.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "as the test wants it");
        let failed = |message: &str, transient| StoreError { store: "test", message: message.into(), transient };
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(failed("away", true));
        }
        if lines.iter().any(|line| self.refuses.contains(&line.id.as_u128())) {
            return Err(failed("will not have it", false));
        }
        self.lines.lock().unwrap().extend(lines.iter().cloned());
        Ok(())
    }
}

fn quick() -> RecorderOptions {
    RecorderOptions {
        queue: 64,
        linger: Duration::from_millis(1),
        retry_first: Duration::from_millis(1),
        retry_most: Duration::from_millis(2),
        retry_spool: Duration::from_millis(1),
        ..RecorderOptions::default()
    }
}

/// A recorder with its worker running, and its counters.
struct Running {
    recorder: Recorder,
    worker: JoinHandle<()>,
    meters: RecorderMeters,
    data: Arc<TempDir>,
}

fn running(sinks: Vec<Sink>, options: RecorderOptions) -> Running {
    running_in(Arc::new(tempfile::tempdir().unwrap()), sinks, options)
}

#[expect(clippy::disallowed_methods, reason = "the test holds the handle")]
fn running_in(data: Arc<TempDir>, sinks: Vec<Sink>, options: RecorderOptions) -> Running {
    let meters = Metrics::new().unwrap().recorder();
    let (recorder, worker) = Recorder::start(data.path(), sinks, &Clock::system(), &meters, options).unwrap();
    Running { recorder, worker: tokio::spawn(worker.run()), meters, data }
}

impl Running {
    /// Ends it as a stop of Tollgate does, with time enough.
    async fn stop(self) -> Arc<TempDir> {
        self.recorder.stop(Duration::from_secs(20)).await;
        self.worker.await.unwrap();
        self.data
    }
}

impl RecorderMeters {
    fn lost_of(&self, kind: &str, loss: Loss) -> u64 {
        self.dropped.with_label_values(&[kind, loss.as_str()]).get()
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

/// What the sinks get is one chain for each kind, which goes on over restarts, with a signed head at each end.
#[tokio::test]
async fn the_chain_goes_on_over_restarts() {
    let store = Store::open();
    let mut data = Arc::new(tempfile::tempdir().unwrap());
    for start in 0..3_u128 {
        let run = running_in(data, vec![store.sink("s")], quick());
        (0..20)
            .map(|n| start * 20 + n)
            .for_each(|n| run.recorder.record(if n % 2 == 0 { turn(n) } else { refusal(n) }));
        data = run.stop().await;
    }
    assert_eq!(store.stored(), (0..60).collect::<Vec<_>>());
    let lines = store.lines.lock().unwrap().clone();
    let instance = crate::record::link::Link::read(&lines[0].text).unwrap().instance;
    let mut chain = Chain::new(instance);
    lines.iter().for_each(|line| chain.follow(line).unwrap());
    let ends = chain.ends();
    assert_eq!((ends.usage.seq, ends.audit.seq, ends.head.number), (30, 30, 3));
    assert!(!chain.is_unsigned(), "the last head is about all of it");
}

#[tokio::test]
async fn recording_goes_on_while_the_sink_stands_still() {
    let store = Store::with(0, 0, &[]);
    let run = running(vec![store.sink("s")], RecorderOptions { queue: 4_096, ..quick() });
    // `record` is no async function: that these calls come back at all is the assertion.
    (0..1000).for_each(|n| run.recorder.record(refusal(n)));
    run.recorder.kept().await;
    assert_eq!((run.meters.recorded.get(), store.stored().len()), (1000, 0));
    store.permits.add_permits(1000);
    run.recorder.flush().await;
    assert_eq!(store.stored(), (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_overflow_of_the_queue_is_counted_and_recorded_as_a_gap() {
    let store = Store::open();
    let meters = Metrics::new().unwrap().recorder();
    let data = tempfile::tempdir().unwrap();
    let options = RecorderOptions { queue: 4, on_full: OnFull::Drop, ..quick() };
    let before = Clock::system().now();
    let (recorder, worker) =
        Recorder::start(data.path(), vec![store.sink("s")], &Clock::system(), &meters, options).unwrap();
    (0..9).for_each(|n| recorder.record(refusal(n)));
    recorder.record(turn(9));
    assert_eq!(meters.recorded.get(), 4);
    assert_eq!(meters.lost_of("audit", Loss::QueueFull), 5);
    assert_eq!(meters.lost_of("usage", Loss::QueueFull), 1);
    let lost = Clock::system().now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(recorder);
    worker.run().await;
    assert_eq!(store.stored(), [0, 1, 2, 3], "what was taken is written");
    assert_eq!(store.gaps(), [(5, 1)]);
    let gap = store.events("records.gap").remove(0);
    let time = |member: &str| gap["about"][member].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!((before..=lost).contains(&time("since")), "when the first was lost: {gap}");
    assert!(time("until") > lost, "when entries were taken again: {gap}");
}

/// Where nothing goes on that is not written, a queue that is full refuses, and what went on before has its place.
#[tokio::test]
async fn a_full_queue_refuses_and_keeps_what_went_on() {
    let store = Store::open();
    let meters = Metrics::new().unwrap().recorder();
    let data = tempfile::tempdir().unwrap();
    let options = RecorderOptions { queue: 4, ..quick() };
    let (recorder, worker) =
        Recorder::start(data.path(), vec![store.sink("s")], &Clock::system(), &meters, options).unwrap();
    (0..4).for_each(|n| recorder.record(turn(n)));
    assert_eq!(recorder.open(), Err(Unkept(Loss::QueueFull)));
    assert!(recorder.health().unwrap_err().contains("faster"));
    assert_eq!(recorder.record_durably(refusal(4)).await, Err(Unkept(Loss::QueueFull)));
    recorder.record(refusal(5));
    (6..206).for_each(|n| recorder.record(turn(n)));
    assert_eq!((meters.lost_of("audit", Loss::QueueFull), meters.lost_of("usage", Loss::QueueFull)), (2, 0));
    drop(recorder);
    worker.run().await;
    assert_eq!(store.stored(), (0..4).chain(6..206).collect::<Vec<_>>());
    assert_eq!(store.gaps(), [(2, 0)]);
}

/// A part of the recorder that ends badly is noticed: nothing goes on as if all were written.
#[tokio::test]
async fn a_lane_that_ends_badly_refuses() {
    let (bad, good) = (Store::with(0, Semaphore::MAX_PERMITS, &[]), Store::open());
    *bad.panics.lock().unwrap() = true;
    let run = running(vec![bad.sink("bad"), good.sink("good")], quick());
    run.recorder.record(turn(1));
    until("it is noticed", || run.recorder.open() == Err(Unkept(Loss::SpoolFull))).await;
    assert!(run.recorder.health().unwrap_err().contains("restart"));
    assert_eq!(run.meters.full.get(), 1);
    until("the other sink has it", || good.stored() == [1]).await;
    *bad.panics.lock().unwrap() = false;
    let data = run.stop().await;
    let run = running_in(data, vec![bad.sink("bad"), good.sink("good")], quick());
    run.recorder.flush().await;
    assert_eq!((bad.stored(), good.stored()), (vec![1], vec![1]), "a restart mends it");
    run.stop().await;
}

#[tokio::test]
async fn a_writer_that_ends_badly_refuses() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    run.recorder.shared.queue.send(Message::Panic).await.ok().unwrap();
    until("it is noticed", || run.recorder.open() == Err(Unkept(Loss::SpoolFull))).await;
    assert!(run.recorder.health().unwrap_err().contains("restart"));
    assert_eq!(run.recorder.record_durably(refusal(1)).await, Err(Unkept(Loss::SpoolFull)));
}

#[tokio::test]
async fn a_slow_sink_leaves_the_others_alone() {
    let (slow, fast) = (Store::with(0, 0, &[]), Store::open());
    let run = running(vec![slow.sink("slow"), fast.sink("fast")], quick());
    for n in 0..9 {
        run.recorder.record(refusal(n));
        until("the other sink has it", || fast.stored().len() as u128 == n + 1).await;
    }
    assert!(slow.stored().is_empty());
    slow.permits.add_permits(100);
    run.recorder.flush().await;
    assert_eq!(slow.stored(), (0..9).collect::<Vec<_>>());
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
async fn what_a_sink_refuses_is_set_aside() {
    let store = Store::with(0, Semaphore::MAX_PERMITS, &[3]);
    let run = running(vec![store.sink("s")], quick());
    (0..8).for_each(|n| run.recorder.record(turn(n)));
    run.recorder.flush().await;
    assert_eq!(store.stored(), [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(run.meters.aside.with_label_values(&["s"]).get(), 1);
    let data = run.stop().await;
    let file = data.path().join("records/aside/s.jsonl");
    assert_eq!(Line::read(&std::fs::read_to_string(&file).unwrap()).unwrap().id.as_u128(), 3);
    // The next start tries again; when the sink has it, it is not kept twice.
    for (n, refuses, kept) in [(9, vec![3], vec![3]), (10, vec![], vec![])] {
        let store = Store::with(0, Semaphore::MAX_PERMITS, &refuses);
        let run = running_in(Arc::clone(&data), vec![store.sink("s")], quick());
        run.recorder.record(turn(n));
        run.recorder.flush().await;
        assert_eq!(store.stored(), if refuses.is_empty() { vec![3, n] } else { vec![n] });
        run.stop().await;
        let text = std::fs::read_to_string(&file).unwrap();
        let left: Vec<u128> = text.lines().map(|line| Line::read(line).unwrap().id.as_u128()).collect();
        assert_eq!(left, kept);
    }
}

/// What cannot be set aside holds up what is behind it, and is not given up.
#[tokio::test]
async fn a_refused_entry_waits_until_it_can_be_set_aside() {
    let store = Store::with(0, Semaphore::MAX_PERMITS, &[3]);
    let run = running(vec![store.sink("s")], quick());
    let file = run.data.path().join("records/aside/s.jsonl");
    std::fs::create_dir(&file).unwrap();
    run.recorder.record(turn(3));
    run.recorder.kept().await;
    (4..8).for_each(|n| run.recorder.record(turn(n)));
    run.recorder.kept().await;
    until("it has been asked", || run.meters.failures.with_label_values(&["s"]).get() > 0).await;
    assert_eq!(run.meters.aside.with_label_values(&["s"]).get(), 0);
    std::fs::remove_dir(&file).unwrap();
    run.recorder.flush().await;
    assert_eq!((store.stored(), run.meters.aside.with_label_values(&["s"]).get()), (vec![4, 5, 6, 7], 1));
    let data = run.stop().await;
    let aside = std::fs::read_to_string(data.path().join("records/aside/s.jsonl")).unwrap();
    assert_eq!(Line::read(&aside).unwrap().id.as_u128(), 3);
}

#[tokio::test]
async fn requests_of_nobody_cannot_push_out_the_record_of_somebody() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], RecorderOptions { queue: 100_000, ..quick() });
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
    let noise = run.meters.lost_of("audit", Loss::Noise);
    assert_eq!(noise + stored.len() as u64, 10_600, "what is missing is counted");
    assert!(store.gaps().is_empty(), "and is no gap");
    let (meters, _data) = (run.meters.clone(), run.stop().await);
    let told = store.events("records.noise");
    assert_eq!(told.len(), 1, "once a minute, and at the end");
    assert_eq!(told[0]["about"]["requests"].as_u64(), Some(noise));
    assert_eq!(meters.lost_of("audit", Loss::Noise), noise);
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

/// An hour to wait for company, and nobody waits for that who waits for the disk.
#[tokio::test]
async fn who_waits_for_the_disk_waits_for_no_company() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], RecorderOptions { linger: Duration::from_secs(3600), ..quick() });
    for n in 0..5 {
        run.recorder.record(turn(2 * n));
        run.recorder.record_durably(refusal(2 * n + 1)).await.unwrap();
    }
    run.recorder.flush().await;
    assert_eq!(store.stored(), (0..10).collect::<Vec<_>>());
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
async fn a_stop_writes_what_was_recorded_and_counts_what_comes_after() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    (0..50).for_each(|n| run.recorder.record(refusal(n)));
    let other = run.recorder.clone();
    run.recorder.stop(Duration::from_secs(20)).await;
    assert_eq!(store.stored(), (0..50).collect::<Vec<_>>());
    other.record(turn(50));
    assert_eq!(run.meters.lost_of("usage", Loss::Stopped), 1);
    assert_eq!(other.record_durably(turn(51)).await, Err(Unkept(Loss::Stopped)));
    // All of these come back at once: there is nothing left to wait for.
    other.flush().await;
    other.stop(Duration::ZERO).await;
    run.worker.await.unwrap();
}

/// What a sink did not get before the end, it gets after the next start.
#[tokio::test]
async fn a_stop_ends_in_time_and_the_next_start_ships_the_rest() {
    let (parked, open) = (Store::with(0, 0, &[]), Store::open());
    let run = running(vec![parked.sink("parked"), open.sink("open")], quick());
    (0..20).for_each(|n| run.recorder.record(refusal(n)));
    until("the other sink has all", || open.stored().len() == 20).await;
    run.recorder.stop(Duration::from_millis(5)).await;
    run.worker.await.unwrap();
    assert!(parked.stored().is_empty());
    parked.permits.add_permits(1_000);
    let run = running_in(run.data, vec![parked.sink("parked"), open.sink("open")], quick());
    run.recorder.flush().await;
    assert_eq!(parked.stored(), (0..20).collect::<Vec<_>>());
    assert_eq!(open.stored(), (0..20).collect::<Vec<_>>(), "and nothing twice");
    run.stop().await;
}

/// A turn that was being settled when Tollgate was killed is settled again, and recorded again.
#[tokio::test]
async fn a_turn_that_an_earlier_process_has_recorded_is_recorded_once() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    (0..5).for_each(|n| run.recorder.record(turn(n)));
    let data = run.stop().await;
    let run = running_in(data, vec![store.sink("s")], quick());
    (3..8).for_each(|n| run.recorder.record(turn(n)));
    run.stop().await;
    assert_eq!(store.stored(), (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_end_of_the_last_handle_ends_the_worker_with_everything_written() {
    let store = Store::open();
    let run = running(vec![store.sink("s")], quick());
    (0..30).for_each(|n| run.recorder.clone().record(turn(n)));
    drop(run.recorder);
    until("the worker ends", || run.worker.is_finished()).await;
    assert_eq!(store.stored(), (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_worker_entries_are_counted_as_lost() {
    let meters = Metrics::new().unwrap().recorder();
    let data = tempfile::tempdir().unwrap();
    let (recorder, worker) = Recorder::start(data.path(), vec![], &Clock::system(), &meters, quick()).unwrap();
    drop(worker);
    recorder.record(refusal(1));
    recorder.flush().await;
    assert_eq!(meters.lost_of("audit", Loss::Stopped), 1);
}

/// A spool that is full, because its only sink is away, and has room again when that is back.
async fn filled(on_full: OnFull) -> (Arc<Store>, Running, u128) {
    let store = Store::with(0, 0, &[]);
    let options = RecorderOptions { spool: 64 << 10, queue: 4_096, on_full, ..quick() };
    let run = running(vec![store.sink("s")], options);
    let mut n = 0;
    while run.meters.full.get() == 0 {
        run.recorder.record(refusal(n));
        n += 1;
        run.recorder.record(turn(n));
        n += 1;
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    (store, run, n)
}

#[tokio::test]
async fn a_full_spool_refuses_and_loses_nothing_that_was_taken() {
    let (store, run, n) = filled(OnFull::Refuse).await;
    assert_eq!(run.recorder.open(), Err(Unkept(Loss::SpoolFull)));
    assert_eq!(run.recorder.record_durably(refusal(n)).await, Err(Unkept(Loss::SpoolFull)));
    store.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    until("there is room again", || run.recorder.open().is_ok()).await;
    run.recorder.record_durably(refusal(n + 1)).await.unwrap();
    run.recorder.flush().await;
    assert_eq!(store.stored(), (0..n).chain([n + 1]).collect::<Vec<_>>());
    assert_eq!(store.gaps(), [(1, 0)], "the one that was refused");
    run.stop().await;
}

#[tokio::test]
async fn a_full_spool_that_drops_records_how_much_is_missing() {
    let (store, run, n) = filled(OnFull::Drop).await;
    assert_eq!((run.recorder.open(), run.recorder.record_durably(refusal(n)).await), (Ok(()), Ok(())));
    (n + 1..n + 50).for_each(|n| run.recorder.record(turn(n)));
    until("all are dropped", || run.meters.lost_of("usage", Loss::SpoolFull) >= 49).await;
    store.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    until("there is room again", || run.meters.full.get() == 0).await;
    run.recorder.flush().await;
    let lost = ["audit", "usage"].map(|kind| run.meters.lost_of(kind, Loss::SpoolFull));
    let gaps = store.gaps().into_iter().fold([0, 0], |[audit, usage], gap| [audit + gap.0, usage + gap.1]);
    assert_eq!(gaps, lost, "what the gaps say is what was lost");
    assert_eq!(store.stored().len() as u64 + lost[0] + lost[1], n as u64 + 50);
    run.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever fails, overflows or is refused: after a flush every entry is written, set aside or counted, for every sink.
    #[test]
    fn the_books_balance(
        entries in 0_u128..120,
        queue in 1_usize..40,
        failures in 0_u32..6,
        refused in proptest::collection::vec(0_u128..120, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (bad, good) = (Store::with(failures, Semaphore::MAX_PERMITS, &refused), Store::open());
            let run = running(vec![bad.sink("bad"), good.sink("good")], RecorderOptions { queue, ..quick() });
            for n in 0..entries {
                run.recorder.record(refusal(n));
                if n % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            run.recorder.flush().await;
            let recorded = run.meters.recorded.get();
            let full = run.meters.lost_of("audit", Loss::QueueFull);
            assert_eq!(u128::from(recorded + full), entries);
            for (sink, store) in [("bad", bad), ("good", good)] {
                let aside = run.meters.aside.with_label_values(&[sink]).get();
                assert_eq!(recorded, store.stored().len() as u64 + aside, "{}", sink);
            }
        });
    }
}
