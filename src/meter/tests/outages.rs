//! What holds while the store does not count, and what becomes of it afterwards.

use proptest::prelude::*;

use super::*;
use crate::store::counters::Measure;

const DOWN: usize = usize::MAX / 2;

/// Half of each limit, while it cannot be counted.
fn half(_rule: &RuleId) -> Option<Terms> {
    Some(terms(OnFailure::LocalShare(50)))
}

impl Bench {
    fn breaks(&self) {
        self.counters.fail.store(DOWN, Ordering::SeqCst);
    }

    fn mends(&self) {
        self.counters.fail.store(0, Ordering::SeqCst);
        self.meter.own.advance(PAUSE);
    }

    async fn weigh(&self, amount: u64) -> Result<Taken, MeterError> {
        self.meter.take(&charges(amount)[..1], half, LIVES).await
    }

    /// Takes this much of the day's tokens; none where there is no room.
    async fn share(&self, amount: u64) -> Option<Receipt> {
        match self.weigh(amount).await.unwrap() {
            Taken::All { receipt, .. } => Some(receipt),
            Taken::Short { .. } => None,
        }
    }

    fn takes(&self, outcome: Outcome) -> u64 {
        self.metrics.limit_takes_total.with_label_values(&[outcome.as_str()]).get()
    }
}

async fn steady() -> Bench {
    bench(clock(), clock(), 100_000).await
}

#[tokio::test]
async fn a_share_of_the_limit_holds_while_the_store_is_down() {
    let bench = steady().await;
    bench.breaks();
    let mut open = Vec::new();
    for _ in 0..5 {
        let receipt = bench.share(10).await.unwrap();
        assert!(receipt.is_local());
        assert_eq!((receipt.hold().unwrap().draws[0].ceiling, receipt.weighed().unwrap().draws[0].ceiling), (100, 50));
        open.push(receipt);
    }
    let Taken::Short { lacks, .. } = bench.weigh(1).await.unwrap() else { panic!("taken") };
    assert_eq!((lacks[0].draw, lacks[0].left), (0, 0));
    // What is given back has room again, although the store has not heard of any of it.
    assert!(matches!(open.pop().unwrap().release().await, Ok(Settled::Now(_)) | Err(_)));
    assert!(bench.share(10).await.is_some() && bench.share(1).await.is_none());
    let told = [Outcome::Taken, Outcome::Short, Outcome::Refused, Outcome::Local].map(|outcome| bench.takes(outcome));
    assert_eq!((told, bench.metrics.limits_degraded.get()), ([0, 2, 0, 6], 1));
    assert_eq!(bench.metrics.limits_near_total.with_label_values(&["limit"]).get(), 3);
}

#[tokio::test]
async fn any_limit_that_denies_refuses_the_request_and_takes_nothing() {
    let bench = steady().await;
    bench.breaks();
    let mixed = |rule: &RuleId| {
        let share = if rule.as_str() == "strict" { OnFailure::Deny } else { OnFailure::LocalShare(100) };
        Some(terms(share))
    };
    let [tokens, mut parallel] = charges(10);
    parallel.rule = RuleId::new("strict");
    for _ in 0..3 {
        let refused = bench.meter.take(&[tokens.clone(), parallel.clone()], mixed, LIVES).await;
        assert!(matches!(refused, Err(MeterError::Store(_))));
    }
    // A charge that no limit of the policy has can have no share.
    assert!(bench.meter.take(std::slice::from_ref(&tokens), |_| None, LIVES).await.is_err());
    assert_eq!(bench.takes(Outcome::Refused), 4);
    // Nothing of the share is gone: all of it fits.
    let whole = Charge { amount: 100, ..tokens };
    let taken = bench.meter.take(&[whole], mixed, LIVES).await.unwrap();
    assert!(matches!(taken, Taken::All { .. }), "{taken:?}");
}

#[tokio::test]
async fn what_was_used_of_the_share_is_carried_over_once() {
    let bench = steady().await;
    bench.share(10).await.unwrap().settle(&[7]).await.unwrap();
    bench.breaks();
    let (settled, dropped, released) = (bench.share(10).await, bench.share(10).await, bench.share(10).await);
    assert!(settled.unwrap().settle(&[8]).await.unwrap_err().transient);
    drop((dropped, released.unwrap().release().await));
    assert_eq!(
        bench.metrics.limits_unsettled.get(),
        3,
        "settled, dropped, and asked for before the store was let alone"
    );
    let late = bench.share(10).await.unwrap();
    bench.mends();
    // The store takes it and its answer is lost: it is told again.
    bench.counters.fail_after.store(1, Ordering::SeqCst);
    late.settle(&[12]).await.unwrap_err();
    let unsettled = bench.metrics.limits_unsettled.clone();
    assert_eq!(bench.settled().await[0], 7 + 8 + 10 + 12);
    assert_eq!(unsettled.get(), 0);
}

#[tokio::test]
async fn what_the_store_took_without_an_answer_is_not_counted_beside_the_share() {
    let bench = steady().await;
    bench.counters.fail_after.store(1, Ordering::SeqCst);
    let receipt = bench.share(40).await.unwrap();
    assert!(receipt.is_local());
    // The store holds it under the same name.
    assert_eq!(bench.meter.read(&charges(0)).await.unwrap().uses[0].used, 40);
    receipt.settle(&[30]).await.unwrap();
    assert_eq!(bench.meter.read(&charges(0)).await.unwrap().uses[0].used, 30);
    bench.counters.fail_after.store(1, Ordering::SeqCst);
    bench.share(5).await.unwrap().release().await.unwrap();
    assert_eq!(bench.settled().await[0], 30);
}

#[tokio::test]
async fn turns_that_end_in_an_outage_make_room_in_it() {
    let bench = steady().await;
    bench.breaks();
    let parallel = &charges(1)[1..];
    let share = |_: &RuleId| Some(terms(OnFailure::LocalShare(1)));
    for _ in 0..10 {
        let taken = bench.meter.take(parallel, share, LIVES).await.unwrap();
        let Taken::All { receipt: _receipt, .. } = taken else { panic!("the last one has ended: {taken:?}") };
        assert!(matches!(bench.meter.take(parallel, share, LIVES).await.unwrap(), Taken::Short { .. }));
    }
}

#[tokio::test]
async fn a_second_outage_does_not_get_the_share_again() {
    let bench = steady().await;
    for room in [true, false, false] {
        bench.breaks();
        let receipt = bench.share(50).await;
        assert_eq!(receipt.is_some(), room);
        drop(receipt);
        bench.mends();
        assert!(bench.share(0).await.unwrap().hold().is_some());
    }
    assert_eq!(bench.settled().await[0], 50);
}

#[tokio::test]
async fn a_store_that_is_down_is_asked_once_a_second() {
    let bench = steady().await;
    bench.breaks();
    let asked = || DOWN - bench.counters.fail.load(Ordering::SeqCst);
    for _ in 0..1_000 {
        bench.meter.take(&charges(1), denied, LIVES).await.unwrap_err();
    }
    assert_eq!(asked(), TRIPS as usize);
    assert_eq!(bench.metrics.limit_store_seconds.get_sample_count(), u64::from(TRIPS));
    // Ten requests a second, for ten seconds. The queue asks, too, for what it does not know to have been taken.
    for _ in 0..100 {
        bench.meter.own.advance(Duration::from_millis(100));
        bench.meter.take(&charges(1), denied, LIVES).await.unwrap_err();
    }
    assert_eq!(asked(), TRIPS as usize + 10);
    bench.mends();
    assert!(!bench.take().await.is_local());
    assert_eq!(bench.metrics.limits_degraded.get(), 0);
}

#[tokio::test]
async fn lost_counters_follow_the_limits_until_they_are_rebuilt() {
    let clock = clock();
    let memory = Arc::new(Memory::volatile(clock.clone()));
    let metrics = Metrics::new().unwrap();
    let counters = Arc::clone(&memory) as Arc<dyn Counters>;
    let (meter, unsettled) = Meter::new(counters, clock.clone(), 3, &metrics.meter());
    assert!(matches!(meter.take(&charges(1), denied, LIVES).await, Err(MeterError::Lost)));
    meter.lost().await;
    let Taken::All { receipt, .. } = meter.take(&charges(40), half, LIVES).await.unwrap() else { panic!("short") };
    assert!(receipt.is_local() && metrics.limits_degraded.get() == 1);
    assert_eq!(receipt.settle(&[30, 1]).await.unwrap(), Settled::Lost);
    // What the records know does not have what was not settled.
    let mut known = plan(&charges(5)[..1], NOW.parse().unwrap()).unwrap();
    known.retain(|draw| draw.measure != Measure::Open);
    let fence = Duration::from_secs(1);
    memory.rebuild_behind(&known, fence).await.unwrap();
    // What is settled is counted behind the fence, too; it says nothing of what is taken.
    let late = meter.reopen(asked_for(Uuid::now_v7(), &known, clock.now(), LIVES)).unwrap();
    assert!(matches!(late.settle(&[2]).await.unwrap(), Settled::Now(_)));
    assert!(!meter.epoch().await.unwrap().unwrap().open);
    assert_eq!(metrics.limits_degraded.get(), 1);
    assert!(matches!(meter.take(&charges(1), denied, LIVES).await, Err(MeterError::Lost)));
    clock.advance(fence);
    assert!(meter.epoch().await.unwrap().unwrap().open);
    assert_eq!(metrics.limits_degraded.get(), 0);
    drop(meter);
    unsettled.run().await;
    assert_eq!(memory.read(&known).await.unwrap().unwrap().uses[0].used, 37);
}

#[tokio::test]
async fn the_share_is_of_the_window_that_the_store_has() {
    let bench = bench(
        Clock::manual("2026-11-21T23:30:00Z".parse().unwrap()),
        Clock::manual("2026-11-21T22:30:00Z".parse().unwrap()),
        10,
    )
    .await;
    bench.share(1).await.unwrap().settle(&[1]).await.unwrap();
    bench.breaks();
    let receipt = bench.share(10).await.unwrap();
    let counters = [receipt.hold(), receipt.weighed()].map(|hold| hold.unwrap().draws[0].counter.clone());
    assert!(receipt.is_local() && counters.iter().all(|name| &**name == "tokens/ann@day.2026-11-21T23:00:00Z"));
}

#[test]
fn a_share_is_rounded_down_and_never_more_than_the_limit() {
    let rows = [
        (100, 50, 50),
        (99, 50, 49),
        (1, 99, 0),
        (1, 100, 1),
        (0, 100, 0),
        (7, 0, 0),
        (7, 200, 7),
        (u64::MAX, 100, u64::MAX),
        (u64::MAX, 1, u64::MAX / 100),
    ];
    for (ceiling, percent, expected) in rows {
        let charge = Charge { ceiling, ..charge("a", Window::Open, 3) };
        let own = share::shares(std::slice::from_ref(&charge), |_| Some(terms(OnFailure::LocalShare(percent))));
        assert_eq!(own, Some(vec![Charge { ceiling: expected, ..charge }]), "{percent} % of {ceiling}");
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take(u64),
    Settle(usize, u64),
    Release(usize),
    Drop(usize),
    Vacate(usize),
    /// The next so many answers fail: before the store has done anything, or after.
    Fail(usize),
    FailAfter(usize),
    Mend,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..30_u64).prop_map(Step::Take),
        3 => (any::<usize>(), 0..40_u64).prop_map(|(at, used)| Step::Settle(at, used)),
        1 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::Vacate),
        1 => (1..8_usize).prop_map(Step::Fail),
        1 => (1..4_usize).prop_map(Step::FailAfter),
        1 => Just(Step::Mend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_fails_what_was_used_is_counted_once(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = steady().await;
            let (mut open, mut used) = (Vec::new(), 0);
            for step in &steps {
                match *step {
                    Step::Take(amount) => match bench.meter.take(&charges(amount), half, LIVES).await.unwrap() {
                        Taken::All { receipt, .. } => open.push((receipt, amount)),
                        Taken::Short { .. } => {}
                    },
                    Step::Fail(times) => bench.counters.fail.store(times, Ordering::SeqCst),
                    Step::FailAfter(times) => bench.counters.fail_after.store(times, Ordering::SeqCst),
                    Step::Mend => bench.mends(),
                    Step::Settle(..) | Step::Release(_) | Step::Drop(_) | Step::Vacate(_) if open.is_empty() => {}
                    Step::Settle(at, amount) => {
                        let (receipt, _) = open.swap_remove(at % open.len());
                        used += amount;
                        drop(receipt.settle(&[amount, 1]).await);
                    }
                    Step::Release(at) => {
                        let (receipt, _) = open.swap_remove(at % open.len());
                        drop(receipt.release().await);
                    }
                    Step::Vacate(at) => open[at % open.len()].0.vacate(),
                    Step::Drop(at) => used += open.swap_remove(at % open.len()).1,
                }
            }
            used += open.drain(..).map(|(_, amount)| amount).sum::<u64>();
            bench.mends();
            bench.counters.fail_after.store(0, Ordering::SeqCst);
            assert_eq!(bench.settled().await, [used, 0], "{steps:?}");
        });
    }
}
