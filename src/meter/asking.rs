//! The way to the store: it is asked while it answers, timed, and let alone while it does not.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::circuit::Circuit;
use super::held::Held;
use super::meters::MeterMeters;
use crate::clock::Clock;
use crate::metrics::IntGauge;
use crate::store::StoreError;
use crate::store::counters::{Answer, Counters, Draw, Epoch, Hold, Reading, Settled, Vacated};

/// The counters that all replicas share, and whether they are worth asking.
pub(super) struct Asking {
    counters: Arc<dyn Counters>,
    circuit: Circuit,
    clock: Clock,
    held: Held,
    meters: MeterMeters,
    /// Told when the store is found without its counters.
    lost: Notify,
}

/// Why there is no answer.
pub(super) enum Silence {
    /// The store was not asked: it has not answered for a while.
    Unasked(StoreError),
    /// It was asked, and what was asked for may have been done.
    Failed(StoreError),
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(counters: Arc<dyn Counters>, clock: Clock, meters: MeterMeters) -> Self {
        let circuit = Circuit::new(clock.clone());
        Self { counters, circuit, clock, held: Held::default(), meters, lost: Notify::new() }
    }

    pub(super) async fn take(&self, draws: &[Draw], hold: Uuid, lives: Duration) -> Result<Answer, Silence> {
        let _out = self.held.asking().await;
        let answer = self.asked(self.counters.take(draws, hold, lives)).await?;
        if let Answer::Taken { hold, .. } = &answer {
            self.held.taken(hold);
        }
        self.found(answer != Answer::Lost);
        Ok(answer)
    }

    pub(super) async fn settle(&self, hold: &Hold, used: &[u64]) -> Result<Settled, Silence> {
        let _out = self.held.asking().await;
        let settled = self.asked(self.counters.settle(hold, used)).await?;
        self.ended(hold, settled);
        Ok(settled)
    }

    pub(super) async fn release(&self, hold: &Hold) -> Result<Settled, Silence> {
        let _out = self.held.asking().await;
        let settled = self.asked(self.counters.release(hold)).await?;
        self.ended(hold, settled);
        Ok(settled)
    }

    pub(super) async fn vacate(&self, hold: &Hold) -> Result<Vacated, Silence> {
        // Before anything is asked: what is put back from here on has no places.
        self.held.vacated(hold);
        let vacated = self.asked(self.counters.vacate(hold)).await?;
        if vacated == Vacated::Lost {
            self.found(false);
        }
        Ok(vacated)
    }

    pub(super) async fn read(&self, draws: &[Draw]) -> Result<Option<Reading>, Silence> {
        let reading = self.asked(self.counters.read(draws)).await?;
        self.found(reading.is_some());
        Ok(reading)
    }

    /// Which counters the store has; none where it has lost them. Asked also while nobody else asks.
    pub(super) async fn epoch(&self) -> Result<Option<Epoch>, Silence> {
        let epoch = self.asked(self.counters.epoch()).await?;
        if epoch.as_ref().is_none_or(|epoch| epoch.open) {
            self.found(epoch.is_some());
        }
        Ok(epoch)
    }

    /// What this process holds.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// The store.
    pub(super) fn counters(&self) -> &dyn Counters {
        &*self.counters
    }

    /// How many turns wait to be counted.
    pub(super) fn waiting(&self) -> &IntGauge {
        &self.meters.unsettled
    }

    /// Returns when somebody has found the store without its counters.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    async fn asked<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Silence> {
        if !self.circuit.lets() {
            return Err(Silence::Unasked(StoreError {
                store: "limits",
                message: "the store has not answered for a while, and is not asked again yet".to_owned(),
                transient: true,
            }));
        }
        let start = self.clock.tick();
        let answer = question.await;
        self.meters.seconds.observe(self.clock.tick().saturating_duration_since(start).as_secs_f64());
        match answer {
            Err(error) if error.transient => {
                if self.circuit.failed() {
                    tracing::error!(%error, "limits are not counted: each follows its on_failure until the store answers");
                    self.meters.degraded.set(1);
                }
                Err(Silence::Failed(error))
            }
            answer => {
                if self.circuit.answered() {
                    tracing::info!("the store of limits answers again");
                    self.meters.degraded.set(0);
                }
                answer.map_err(Silence::Failed)
            }
        }
    }

    /// Where it is not lost, nothing is open any more.
    fn ended(&self, hold: &Hold, settled: Settled) {
        if settled == Settled::Lost {
            self.found(false);
        } else {
            self.held.ended(hold);
        }
    }

    /// What an answer says about the counters themselves.
    fn found(&self, counters: bool) {
        if counters {
            if self.meters.degraded.get() != 0 {
                self.meters.degraded.set(0);
            }
        } else {
            self.meters.degraded.set(1);
            self.lost.notify_one();
        }
    }
}

// === impl Silence ===

impl From<Silence> for StoreError {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Unasked(error) | Silence::Failed(error) => error,
        }
    }
}
