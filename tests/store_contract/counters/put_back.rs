//! Three replicas take and give back all the while, and Redis is emptied in the middle: never is more open than the ceilings allow, and in
//! the end nothing is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::{join, join_all};
use tollgate::meter::rebuild::FENCE;
use tollgate::meter::{Meter, Rebuilder, Taken, keep};
use tollgate::metrics::Metrics;
use tollgate::policy::charge::{Charge, Unit, Window};
use tollgate::policy::limits::{self, OnFailure, Terms};
use tollgate::policy::{Mode, RuleId};
use tollgate::store::Ledger;
use tollgate::store::embedded::Embedded;

use super::redis_only::{Server, until};
use super::*;

const LIVES: Duration = Duration::from_secs(600);
const TERMS: Terms = Terms {
    measure: limits::Measure::Tokens,
    mode: Mode::Enforce,
    on_failure: OnFailure::Deny,
    strict: false,
    warn_at: 80,
};

/// How often Redis is emptied, and how many callers each replica has.
const LOSSES: u64 = 3;
const CALLERS: u64 = 12;

/// Ceilings: of what is held, and of the places among it.
const CEILINGS: [u64; 2] = [20, 12];

fn charges() -> [Charge; 2] {
    let month = Window::Calendar { unit: Unit::Month, zone: jiff::tz::TimeZone::UTC };
    let charge = |key: &str, window, ceiling| Charge {
        key: key.into(),
        rule: RuleId::new("limits.it"),
        window,
        amount: 1,
        ceiling,
    };
    [charge("month", month, CEILINGS[0]), charge("places", Window::Open, CEILINGS[1])]
}

/// What the callers know to be open, which is never more than what is.
#[derive(Default)]
struct Known {
    open: [AtomicU64; 2],
    taken: AtomicU64,
    refused: AtomicU64,
    ended: AtomicBool,
}

impl Known {
    fn begins(&self) {
        for (open, ceiling) in self.open.iter().zip(CEILINGS) {
            let open = open.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(open <= ceiling, "{open} of {ceiling} are open");
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    fn ends(&self, which: usize) {
        self.open[which].fetch_sub(1, Ordering::SeqCst);
    }

    async fn call(&self, meter: &Meter, n: u64) {
        let mut chance = n;
        while !self.ended.load(Ordering::SeqCst) {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pause = Duration::from_millis((chance >> 33) % 40);
            match meter.take(&charges(), |_| Some(TERMS), LIVES).await {
                Ok(Taken::All { receipt, .. }) => {
                    self.begins();
                    tokio::time::sleep(pause).await;
                    self.ends(1);
                    if n.is_multiple_of(2) {
                        receipt.vacate();
                        tokio::time::sleep(pause).await;
                    }
                    self.ends(0);
                    receipt.release().await.ok();
                }
                Ok(Taken::Short { .. }) => tokio::time::sleep(pause).await,
                Err(_) => {
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the tasks end with the test")]
async fn replicas_put_back_what_they_hold_before_anybody_takes() {
    if server().is_none() {
        return;
    }
    let (server, directory) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    let ledger: Arc<dyn Ledger> = Arc::new(Embedded::open(directory.path()).unwrap());
    let (recorder, _data) = crate::rebuild::recorder(&ledger);
    let (known, prefix) = (Known::default(), prefix());
    let mut meters = Vec::new();
    for _ in 0..3 {
        let redis = Redis::connect(&server.uri(), &prefix, PATIENT).await.unwrap();
        let counters: Arc<dyn Counters> = Arc::new(redis);
        let (meter, unsettled) =
            Meter::new(Arc::clone(&counters), Clock::system(), 1_000, &Metrics::new().unwrap().meter());
        let rebuilder = Rebuilder::new(counters, None, recorder.clone(), Duration::ZERO).fenced(FENCE);
        tokio::spawn(unsettled.run());
        tokio::spawn(keep(meter.clone(), rebuilder));
        meters.push(meter);
    }
    let counted = async || meters[0].ping().await.is_ok();
    until(counted).await;
    let callers = meters.iter().flat_map(|meter| (0..CALLERS).map(|n| known.call(meter, n)));
    let losses = async {
        for _ in 0..LOSSES {
            let (taken, refused) = (known.taken.load(Ordering::SeqCst), known.refused.load(Ordering::SeqCst));
            until(async || known.taken.load(Ordering::SeqCst) > taken + 200).await;
            assert_eq!(server.command("FLUSHALL").trim(), "+OK");
            until(async || known.refused.load(Ordering::SeqCst) > refused).await;
            until(counted).await;
        }
        let taken = known.taken.load(Ordering::SeqCst);
        until(async || known.taken.load(Ordering::SeqCst) > taken + 200).await;
        known.ended.store(true, Ordering::SeqCst);
    };
    join(join_all(callers), losses).await;
    let nothing =
        async || meters[0].read(&charges()).await.is_ok_and(|reading| reading.uses.iter().all(|u| u.used == 0));
    until(nothing).await;
}
