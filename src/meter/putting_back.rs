//! Puts back what this process holds where the store has begun anew.

use futures_util::future::join_all;

use super::asking::Asking;
use super::vacating::Vacating;
use crate::store::StoreError;
use crate::store::counters::{Epoch, Hold, Restored};

/// How many holds are put back at a time.
const AT_ONCE: usize = 64;

impl Asking {
    /// Puts back what this process holds, on the counters of this epoch. How many the store had lost; none where these counters are
    /// lost again by now. What is settled meanwhile stays settled, for the store knows that; what gives back its places meanwhile
    /// gives them back again.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer: some are not put back then, and all are to be tried again.
    pub(super) async fn put_back(&self, epoch: &Epoch, vacating: &Vacating) -> Result<Option<usize>, StoreError> {
        let all = self.held().all().await;
        let mut back = 0;
        for some in all.chunks(AT_ONCE) {
            let restored = join_all(some.iter().map(|hold| self.restore(hold, epoch))).await;
            for (hold, restored) in some.iter().zip(restored) {
                match restored? {
                    Restored::Now(_) => back += 1,
                    Restored::There => {}
                    Restored::Over => self.held().ended(hold),
                    Restored::Lost => return Ok(None),
                }
                if hold.places().next().is_some() && !self.held().has_places(hold) {
                    vacating.vacate(hold);
                }
            }
        }
        Ok(Some(back))
    }

    /// One that makes no sense to the store keeps nobody else's from coming back.
    async fn restore(&self, hold: &Hold, epoch: &Epoch) -> Result<Restored, StoreError> {
        match self.counters().restore(hold, epoch).await {
            Err(error) if !error.transient => {
                tracing::error!(%error, hold = %hold.id, "what a turn holds cannot be put back on its limits");
                Ok(Restored::Over)
            }
            restored => restored,
        }
    }
}
