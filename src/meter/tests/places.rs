//! Places that are given back before it is known what was used.

use super::*;
use crate::store::counters::Vacated;

impl Bench {
    /// What is used, the turns that are open last.
    async fn used(&self) -> [u64; 2] {
        let draws = plan(&charges(0), NOW.parse().unwrap()).unwrap();
        let uses = self.counters.read(&draws).await.unwrap().unwrap().uses;
        [uses[0].used, uses[1].used]
    }

    /// Waits until so many turns are open.
    async fn until_open(&self, wanted: u64) {
        for _ in 0..1_000 {
            if self.used().await[1] == wanted {
                return;
            }
            self.meter.own.advance(PAUSE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?} and not {wanted}", self.used().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_before_it_is_known_what_was_used() {
    let bench = bench(clock(), clock(), 10).await;
    let (receipt, other) = (bench.take().await, bench.take().await);
    for _ in 0..3 {
        receipt.vacate();
    }
    bench.until_open(1).await;
    assert_eq!(bench.used().await, [100, 1], "the rest is held");
    assert!(matches!(receipt.settle(&[20, 1]).await.unwrap(), Settled::Now(_)));
    assert_eq!(bench.used().await, [70, 1], "nothing is given back twice");
    drop(other);
    assert_eq!(bench.settled().await, [70, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_the_store_does_not_take_back_is_given_back_later_and_nobody_waits() {
    let bench = bench(clock(), clock(), 10).await;
    let receipt = bench.take().await;
    bench.counters.fail.store(5, Ordering::SeqCst);
    bench.counters.fail_after.store(1, Ordering::SeqCst);
    receipt.vacate();
    bench.until_open(0).await;
    assert_eq!(bench.used().await, [50, 0]);
    drop(receipt.settle(&[20, 1]).await);
    assert_eq!(bench.settled().await, [20, 0]);
}

#[tokio::test]
async fn a_place_that_is_still_to_be_given_back_keeps_nobody_from_settling_or_from_the_end() {
    let bench = bench(clock(), clock(), 40).await;
    let receipts: Vec<Receipt> = futures_util::future::join_all((0..2).map(|_| bench.take())).await;
    // The store never answers these.
    bench.counters.hang.store(2, Ordering::SeqCst);
    receipts.iter().for_each(Receipt::vacate);
    while bench.counters.hang.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    drop(receipts);
    assert_eq!(bench.settled().await, [100, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_place_of_the_share_is_free_at_once() {
    let bench = bench(clock(), clock(), 10).await;
    let half = |_: &RuleId| Some(terms(OnFailure::LocalShare(1)));
    bench.counters.fail.store(usize::MAX / 2, Ordering::SeqCst);
    let parallel = &charges(1)[1..];
    let take = async || bench.meter.take(parallel, half, LIVES).await.unwrap();
    let Taken::All { receipt: first, .. } = take().await else { panic!("short") };
    assert!(first.is_local() && matches!(take().await, Taken::Short { .. }));
    first.vacate();
    let Taken::All { receipt: second, .. } = take().await else { panic!("the place is free") };
    first.vacate();
    assert!(matches!(take().await, Taken::Short { .. }), "the second has it now");
    assert!(first.settle(&[1]).await.is_err() && matches!(take().await, Taken::Short { .. }));
    bench.counters.fail.store(0, Ordering::SeqCst);
    bench.meter.own.advance(PAUSE);
    drop(second);
    assert_eq!(bench.settled().await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_places_of_a_hold_alone_are_given_back_too() {
    let bench = bench(clock(), clock(), 10).await;
    let (one, two) = (bench.take().await, bench.take().await);
    let holds = [&one, &two].map(|receipt| receipt.hold().unwrap().clone());
    assert!(matches!(bench.meter.vacate_now(&holds[0]).await.unwrap(), Vacated::Now(_)));
    assert_eq!(bench.used().await, [100, 1]);
    assert_eq!(bench.meter.vacate_now(&holds[0]).await.unwrap(), Vacated::Nothing);
    bench.meter.vacate(&holds[1]);
    bench.until_open(0).await;
    bench.counters.fail.store(1, Ordering::SeqCst);
    assert!(bench.meter.vacate_now(&holds[1]).await.unwrap_err().transient);
    drop((one, two));
    assert_eq!(bench.settled().await, [100, 0]);
}
