//! The end of a turn: it is written down, and the places that the turn had among those that run at a time are free. What it used is
//! found out and settled after that.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::ask::Asker;
use super::progress::Progress;
use super::rule::End;
use super::{Turn, Turns, diary};
use crate::flow::passage::Upstream;
use crate::identity::Identity;

/// How many turns of one user are looked at at a time.
const AT_ONCE: usize = 32;

impl Turns {
    /// A turn has ended so.
    pub(super) fn over(&self, turn: &Turn, end: End) {
        if turn.ended(end, self.parts().clock.tick()) {
            self.free(turn, end);
        }
        self.wake();
    }

    /// A turn has ended so with its only reader.
    pub(super) fn over_unread(&self, turn: &Turn, reader: &Arc<Mutex<Progress>>, end: End) {
        let parts = self.parts();
        if turn.unread(reader, Some(end), parts.clock.tick(), &parts.pace) {
            self.free(turn, end);
        }
        self.wake();
    }

    /// LibreChat says that nothing runs under a turn's name; what was `kept` of it, where that is known.
    pub(super) fn over_at_librechat(&self, turn: &Turn, kept: Option<Progress>) {
        let end = End::Gone;
        if turn.is_over_at_librechat(kept, end, self.parts().clock.tick()) {
            self.free(turn, end);
        }
        self.wake();
    }

    /// A place is missing for a turn of this user. Those of the user's turns that may just have been stopped are asked about, and
    /// the places of all that have ended are given back now. Whether there were any.
    pub(in crate::flow) async fn make_room<U: Upstream>(&self, user: &str, upstream: &U, identity: &Identity) -> bool {
        if self.count() == 0 {
            return false;
        }
        let open: Vec<Arc<Turn>> = self.inner.book.lock().of(user).cloned().collect();
        let asker = Asker { turns: self, upstream, identity };
        let end = async |turn: Arc<Turn>| {
            if turn.is_doubted() {
                asker.ask(&turn).await;
            }
            turn.is_vacant() && self.free_now(&turn).await
        };
        // All of them, not only the first: that one may have been free before.
        stream::iter(open).map(end).buffer_unordered(AT_ONCE).fold(false, async |any, free| any | free).await
    }

    /// What it holds of places is given back, in the background.
    fn free(&self, turn: &Turn, end: End) {
        let parts = self.parts();
        if let (true, Some(file)) = (turn.begun.holds(), &parts.diary)
            && let Err(error) = diary::end(file, turn.id, end)
        {
            tracing::warn!(%error, "the end of a turn cannot be written down: after a crash it is found out anew");
        }
        turn.vacate(&parts.meter);
    }

    /// The same, waited for. Whether they are free now.
    async fn free_now(&self, turn: &Turn) -> bool {
        let Some(hold) = &turn.begun.hold else { return false };
        match self.parts().meter.vacate_now(hold).await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "the places of a turn are given back later");
                false
            }
        }
    }
}
