//! Holds that come back after a loss: what putting them back does, and the fence that nothing is taken behind.

use tollgate::store::counters::{Restored, Settled, Vacated};

use super::*;

contract![
    what_was_lost_is_held_again,
    no_ceiling_keeps_a_hold_from_coming_back,
    what_the_store_knows_is_left_as_it_is,
    what_comes_back_expires_as_it_would_have,
    what_has_expired_does_not_come_back,
    a_hold_comes_back_to_the_counters_that_are_meant,
    nothing_is_taken_behind_the_fence,
    a_place_that_was_given_back_does_not_come_back,
];

/// A hold that this store has never heard of: it was taken before the store lost its counters.
async fn lost(bench: &dyn Bench, draws: &[Draw], lives: Duration) -> Hold {
    let now = bench.now().await;
    Hold { id: Uuid::new_v4(), draws: draws.to_vec(), at: now, expires: now + lives }
}

fn all(amount: u64) -> [Draw; 3] {
    [spend("spend", amount, 10), rate("rate", amount, 10, MINUTE * 60), open("open", amount, 10)]
}

impl dyn Bench + '_ {
    async fn back(&self, hold: &Hold) -> Restored {
        self.counters().restore(hold, &self.epoch().await).await.unwrap()
    }

    async fn is_back(&self, hold: &Hold) {
        let restored = self.back(hold).await;
        assert!(matches!(restored, Restored::Now(at) if at >= hold.at && at < hold.expires), "{restored:?}: {hold:?}");
    }

    async fn all_used(&self) -> [u64; 3] {
        let uses = self.uses(&all(0)).await;
        [0, 1, 2].map(|index: usize| uses[index].used)
    }
}

async fn what_was_lost_is_held_again(bench: &dyn Bench) {
    bench.counters().rebuild(&[spend("spend", 3, 0), rate("rate", 2, 10, MINUTE * 60)]).await.unwrap();
    let hold = lost(bench, &all(4), MINUTE).await;
    bench.is_back(&hold).await;
    assert_eq!(bench.all_used().await, [7, 6, 4], "beside what was settled");
    let lacks = bench.lacks(&all(7)).await;
    assert_eq!(lacks.iter().map(|lack| (lack.draw, lack.left)).collect::<Vec<_>>(), [(0, 3), (1, 4), (2, 6)]);
    // Who asks again for what was taken gets it.
    let again = bench.counters().take(&hold.draws, hold.id, MINUTE).await.unwrap();
    assert!(matches!(&again, Answer::Taken { hold: same, .. } if same.expires == hold.expires), "{again:?}");
    assert!(matches!(bench.counters().settle(&hold, &[1, 1, 4]).await.unwrap(), Settled::Now(_)));
    assert_eq!(bench.all_used().await, [4, 3, 0], "what was used takes its place");
    let released = lost(bench, &all(5), MINUTE).await;
    bench.is_back(&released).await;
    assert!(matches!(bench.counters().release(&released).await.unwrap(), Settled::Now(_)));
    assert_eq!(bench.all_used().await, [4, 3, 0]);
}

async fn no_ceiling_keeps_a_hold_from_coming_back(bench: &dyn Bench) {
    bench.begin().await;
    for round in 1..=3 {
        bench.is_back(&lost(bench, &all(8), MINUTE).await).await;
        assert_eq!(bench.all_used().await, [8 * round; 3]);
    }
    assert_eq!(bench.lacks(&all(1)).await.len(), 3, "and nothing more is taken");
}

async fn what_the_store_knows_is_left_as_it_is(bench: &dyn Bench) {
    bench.begin().await;
    let (taken, ended) = (bench.taken(&all(2)).await, bench.taken(&all(3)).await);
    let (back, early) = (lost(bench, &all(4), MINUTE).await, lost(bench, &all(5), MINUTE).await);
    bench.is_back(&back).await;
    bench.counters().settle(&ended, &[1, 1, 0]).await.unwrap();
    // Settled before it was put back: it is not open any more.
    assert!(matches!(bench.counters().settle(&early, &[1, 1, 0]).await.unwrap(), Settled::Now(_)));
    for hold in [&taken, &ended, &back, &early] {
        for _ in 0..2 {
            assert_eq!(bench.back(hold).await, Restored::There, "{hold:?}");
        }
    }
    assert_eq!(bench.all_used().await, [8, 8, 6]);
}

async fn what_comes_back_expires_as_it_would_have(bench: &dyn Bench) {
    bench.begin().await;
    let hold = lost(bench, &all(4), Duration::from_millis(400)).await;
    bench.is_back(&hold).await;
    bench.pass(Duration::from_millis(401)).await;
    assert_eq!(bench.all_used().await, [0; 3]);
    assert_eq!(bench.back(&hold).await, Restored::There);
    assert!(matches!(bench.counters().settle(&hold, &[4, 4, 0]).await.unwrap(), Settled::Late(_)));
    assert_eq!(bench.all_used().await, [4, 4, 0]);
}

async fn what_has_expired_does_not_come_back(bench: &dyn Bench) {
    bench.begin().await;
    let hold = lost(bench, &all(4), Duration::from_millis(1)).await;
    bench.pass(Duration::from_millis(2)).await;
    assert_eq!((bench.back(&hold).await, bench.all_used().await), (Restored::Over, [0; 3]));
}

async fn a_hold_comes_back_to_the_counters_that_are_meant(bench: &dyn Bench) {
    let other = Epoch { id: "other".into(), open: true };
    let now = Clock::system().now();
    let hold = Hold { id: Uuid::new_v4(), draws: all(4).into(), at: now, expires: now + MINUTE };
    assert_eq!(bench.counters().epoch().await.unwrap(), None);
    assert_eq!(bench.counters().restore(&hold, &other).await.unwrap(), Restored::Lost, "there are none");
    bench.begin().await;
    assert_eq!(bench.counters().restore(&hold, &other).await.unwrap(), Restored::Lost);
    assert_eq!((bench.all_used().await, bench.epoch().await.open), ([0; 3], true));
}

async fn nothing_is_taken_behind_the_fence(bench: &dyn Bench) {
    let (counters, known) = (bench.counters(), [spend("spend", 3, 0), rate("rate", 2, 10, MINUTE * 60)]);
    assert_eq!(counters.rebuild_behind(&known, Duration::from_secs(1)).await.unwrap(), Rebuilt::Now);
    assert_eq!(counters.rebuild_behind(&known, Duration::from_secs(1)).await.unwrap(), Rebuilt::NotNeeded);
    let epoch = bench.epoch().await;
    assert!(!epoch.open, "{epoch:?}");
    let refused = async || {
        assert_eq!(bench.answer(&all(1)).await, Answer::Lost);
        assert_eq!(counters.read(&all(0)).await.unwrap(), None);
    };
    refused().await;
    let now = Clock::system().now();
    let expires = now.max("2026-11-21T15:47:04Z".parse().unwrap()) + MINUTE * 60;
    let hold = |amount| Hold { id: Uuid::new_v4(), draws: all(amount).into(), at: now, expires };
    let (running, ended) = (hold(4), hold(2));
    for hold in [&running, &ended] {
        assert!(matches!(counters.restore(hold, &epoch).await.unwrap(), Restored::Now(_)));
    }
    // What ends meanwhile is counted.
    assert!(matches!(counters.vacate(&ended).await.unwrap(), Vacated::Now(_)));
    assert!(matches!(counters.settle(&ended, &[1, 1, 0]).await.unwrap(), Settled::Now(_)));
    refused().await;
    bench.opens().await;
    assert_eq!(bench.epoch().await, Epoch { open: true, ..epoch }, "the same counters");
    let [spent, _, open] = bench.all_used().await;
    assert_eq!((spent, open), (8, 4));
    assert_eq!(bench.lacks(&[all(3)[0].clone()]).await[0].left, 2);
}

async fn a_place_that_was_given_back_does_not_come_back(bench: &dyn Bench) {
    bench.begin().await;
    let whole = lost(bench, &all(4), MINUTE).await;
    let rest = Hold { draws: whole.draws[..2].to_vec(), ..whole.clone() };
    bench.is_back(&rest).await;
    assert_eq!(bench.all_used().await, [4, 4, 0]);
    assert_eq!(bench.counters().vacate(&whole).await.unwrap(), Vacated::Nothing);
    assert!(matches!(bench.counters().settle(&whole, &[1, 1, 0]).await.unwrap(), Settled::Now(_)));
    assert_eq!(bench.all_used().await, [1, 1, 0]);
}
