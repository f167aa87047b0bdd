//! Counters that the server has lost: begun anew, and held again.

use std::time::Duration;

use uuid::Uuid;

use super::told::Told;
use super::{Redis, kind, micros, until, window};
use crate::store::StoreError;
use crate::store::counters::{Draw, Epoch, Hold, KEPT, LATE, LONGEST_FENCE, Measure, Rebuilt, Restored};

/// Counters that one message rebuilds.
const PART: usize = 500;

/// How long the fence lasts at least from each hold that comes back behind it: who has many is waited for.
const LASTS: Duration = Duration::from_secs(1);

// === impl Redis ===

impl Redis {
    /// [`crate::store::counters::Counters::rebuild_behind`].
    pub(super) async fn begin(&self, known: &[Draw], fence: Duration) -> Result<Rebuilt, StoreError> {
        let known: Vec<Draw> = known.iter().filter(|draw| draw.measure != Measure::Open).cloned().collect();
        for part in known.chunks(PART) {
            if self.rebuild_part(part, "", fence).await? == Rebuilt::NotNeeded {
                return Ok(Rebuilt::NotNeeded);
            }
        }
        self.rebuild_part(&[], &Uuid::now_v7().to_string(), fence).await
    }

    async fn rebuild_part(&self, part: &[Draw], epoch: &str, fence: Duration) -> Result<Rebuilt, StoreError> {
        let mut call = self.call(&self.scripts.rebuild, None, part);
        call.arg(epoch).arg(micros(fence.min(LONGEST_FENCE))).arg(micros(KEPT));
        for draw in part {
            call.arg(kind(draw)).arg(until(draw)).arg(draw.cost(draw.amount).to_string());
            call.arg(draw.rate().to_string()).arg(window(draw));
        }
        let done: String = self.ask(&call).await?;
        match done.as_str() {
            "now" => Ok(Rebuilt::Now),
            "not needed" => Ok(Rebuilt::NotNeeded),
            _ => Err(self.faults.strange()),
        }
    }

    /// [`crate::store::counters::Counters::epoch`].
    pub(super) async fn which(&self) -> Result<Option<Epoch>, StoreError> {
        let told: Vec<String> = self.ask(&self.call(&self.scripts.epoch, None, &[])).await?;
        match told.as_slice() {
            [] => Ok(None),
            [id, open] if open == "open" => Ok(Some(Epoch { id: id.as_str().into(), open: true })),
            [id, fenced] if fenced == "fenced" => Ok(Some(Epoch { id: id.as_str().into(), open: false })),
            _ => Err(self.faults.strange()),
        }
    }

    /// [`crate::store::counters::Counters::restore`].
    pub(super) async fn put_back(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError> {
        let written = serde_json::to_string(&hold.draws).map_err(|error| self.faults.because(&error, false))?;
        let mut call = self.call(&self.scripts.restore, Some(hold.id), &hold.draws);
        call.arg(&*epoch.id).arg(hold.id.to_string()).arg(hold.expires.as_microsecond());
        call.arg(micros(LATE)).arg(micros(KEPT)).arg(micros(LASTS)).arg(written);
        for draw in &hold.draws {
            call.arg(kind(draw)).arg(until(draw)).arg(draw.cost(draw.amount).to_string());
            call.arg(draw.rate().to_string()).arg(window(draw));
        }
        let told: Told = self.ask(&call).await?;
        match told.word.as_str() {
            "now" => Ok(Restored::Now(told.at)),
            "there" => Ok(Restored::There),
            "over" => Ok(Restored::Over),
            "lost" => Ok(Restored::Lost),
            _ => Err(self.faults.strange()),
        }
    }
}
