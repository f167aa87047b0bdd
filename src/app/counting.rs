//! What counts limits: the store that the settings ask for, the meter over it, and what keeps both in order in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::StartFault;
use crate::clock::Clock;
use crate::config::{Settings, SinkKind};
use crate::lifecycle::House;
use crate::meter::rebuild::{FENCE, GRACE};
use crate::meter::{Meter, Rebuilder, Unsettled, keep};
use crate::metrics::Metrics;
use crate::record::{Kept, Recorder, Sink};
use crate::store::StoreError;
use crate::store::counters::Counters;
use crate::store::memory::Memory;
use crate::store::redis::{PREFIX, Redis};

/// Most turns that can be open, or wait to be counted, at once. A turn takes some hundreds of bytes.
const MOST_OPEN: usize = 65_536;

/// How long the last turns may take to be counted once the last answer is through.
const LAST_TURNS: Duration = Duration::from_secs(5);

/// How often the journal is brought to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// How long counters of this process alone are fenced off when they begin: nobody else has to learn of it.
const ALONE: Duration = Duration::from_millis(100);

/// Who knows what was put on counters that are lost.
pub(super) struct Known {
    /// None where nobody does: counters begin at nothing.
    pub(super) kept: Option<Kept>,
    /// What is on its way there.
    pub(super) recorder: Recorder,
}

/// Everything that counts.
pub(super) struct Counting {
    meter: Meter,
    settling: JoinHandle<()>,
    /// None once it runs.
    rebuilder: Option<Rebuilder>,
    /// What runs until the end.
    keeping: Vec<JoinHandle<()>>,
    memory: Option<Memory>,
}

// === impl Counting ===

impl Counting {
    /// Opens the counters, and starts what settles. A Redis that is away does not keep Tollgate from starting: limits follow
    /// their `on_failure` until it is there.
    ///
    /// # Errors
    /// [`StartFault::Store`] where the journal cannot be used, or the Redis can never be.
    pub(super) fn start(
        settings: &Settings,
        clock: &Clock,
        metrics: &Metrics,
        house: &House,
        known: Known,
    ) -> Result<Self, StartFault> {
        let (counters, memory) = counters(settings, clock, house)?;
        let (meter, unsettled) = Meter::new(Arc::clone(&counters), clock.clone(), MOST_OPEN, &metrics.meter());
        let settling = house.spawn(Unsettled::run(unsettled));
        // Only replicas that share counters have to be given time to write down what they put on them.
        let (grace, fence) = if settings.redis.is_some() { (GRACE, FENCE) } else { (Duration::ZERO, ALONE) };
        let rebuilder = Some(Rebuilder::new(counters, known.kept, known.recorder, grace).fenced(fence));
        let keeping = memory.clone().map(|memory| house.spawn(sync(memory))).into_iter().collect();
        Ok(Self { meter, settling, rebuilder, keeping, memory })
    }

    /// Keeps the counters from here on: they are rebuilt where they are lost, with all that the meter holds. To be called once what the
    /// last Tollgate here has left open is taken over, for that is held, too.
    pub(super) fn keep(&mut self, house: &House) {
        self.keeping.extend(self.rebuilder.take().map(|rebuilder| house.spawn(keep(self.meter.clone(), rebuilder))));
    }

    /// The meter.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Settles what is left. Everybody else has to have dropped the meter and all receipts.
    pub(super) async fn stop(self) {
        let Self { meter, mut settling, keeping, memory, .. } = self;
        keeping.iter().for_each(JoinHandle::abort);
        drop((meter, keeping));
        if timeout(LAST_TURNS, &mut settling).await.is_err() {
            settling.abort();
            tracing::error!("some turns could not be counted: what they held expires");
        }
        if let Some(Err(error)) = memory.map(|memory| memory.sync()) {
            tracing::error!(%error, "the counters of limits are not on the disk");
        }
    }
}

/// The counters that the settings ask for; the second time where they are this process's own.
fn counters(
    settings: &Settings,
    clock: &Clock,
    house: &House,
) -> Result<(Arc<dyn Counters>, Option<Memory>), StoreError> {
    match &settings.redis {
        Some(uri) => {
            let redis = house.wait_for(Redis::open(uri.reveal(), PREFIX, settings.timeouts.limits))?;
            Ok((Arc::new(redis), None))
        }
        None => {
            let memory = Memory::open(&settings.data, clock.clone())?;
            Ok((Arc::new(memory.clone()), Some(memory)))
        }
    }
}

/// The sink that knows what was put on the counters. Replicas that share counters need a ledger that they share, too: what one
/// of them has in its own store would be too little.
pub(super) fn known(settings: &Settings, sinks: &[Sink]) -> Option<Kept> {
    let alone = settings.redis.is_none() || settings.replicas.count == 1;
    let has = |kind: SinkKind| {
        let at = settings.records.sinks.iter().position(|sink| *sink == kind)?;
        sinks.get(at)?.kept()
    };
    has(SinkKind::Mongo).or_else(|| alone.then(|| has(SinkKind::Embedded)).flatten())
}

async fn sync(memory: Memory) {
    let mut ticks = interval(SYNC);
    let mut well = true;
    loop {
        ticks.tick().await;
        let synced = memory.sync();
        if let Err(error) = &synced
            && well
        {
            tracing::error!(%error, "the counters of limits are not on the disk");
        }
        well = synced.is_ok();
    }
}
