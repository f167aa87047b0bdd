//! Follows open turns: asks LibreChat about those that nobody reads, and, beside that, looks for its rows and settles. Neither waits for
//! the other: a LibreChat that is slow to answer delays no settling.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;
use uuid::Uuid;

use super::ask::Asker;
use super::open::Next;
use super::{Turn, Turns};
use crate::flow::passage::Upstream;
use crate::identity::Identity;
use crate::record::Entry;

/// How often open turns are looked at while nothing is heard of them.
const ROUND: Duration = Duration::from_millis(100);

/// How many questions to LibreChat, and how many to the counters, go on at a time.
const AT_ONCE: usize = 32;

/// Follows the open turns until it is stopped, and until all that it has settled is written down.
pub struct Follower<U> {
    asking: Asking<U>,
    settling: Settling,
    striker: Striker,
}

/// Asks LibreChat about the turns that nobody reads.
struct Asking<U> {
    turns: Turns,
    upstream: U,
    identity: Arc<Identity>,
    stop: watch::Receiver<bool>,
}

/// Looks for rows, and settles.
struct Settling {
    turns: Turns,
    stop: watch::Receiver<bool>,
    /// Turns whose entry is on its way to the ledger.
    written: mpsc::UnboundedSender<Uuid>,
}

/// Strikes turns out of the diary once their entries are written.
struct Striker {
    turns: Turns,
    written: mpsc::UnboundedReceiver<Uuid>,
}

// === impl Follower ===

impl<U: Upstream> Follower<U> {
    /// Follows `turns` with questions to `upstream`. `stop` turns true when no more answers go out.
    pub fn new(turns: Turns, upstream: U, identity: Arc<Identity>, stop: watch::Receiver<bool>) -> Self {
        let (written, receiver) = mpsc::unbounded_channel();
        let striker = Striker { turns: turns.clone(), written: receiver };
        let asking = Asking { turns: turns.clone(), upstream, identity, stop: stop.clone() };
        Self { asking, settling: Settling { turns, stop, written }, striker }
    }

    /// Follows turns until it is stopped. The recorder must run until then.
    pub async fn run(self) {
        tokio::join!(self.asking.run(), self.settling.run(), self.striker.run());
    }
}

// === impl Asking ===

impl<U: Upstream> Asking<U> {
    async fn run(mut self) {
        let mut stop = self.stop.clone();
        // What LibreChat would still say is not waited for.
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let Self { turns, upstream, identity, stop } = self;
        let asker = Asker { turns, upstream, identity };
        while !*stop.borrow() {
            let now = turns.parts().clock.tick();
            let asked = turns.all().into_iter().filter(|turn| turn.is_to_be_asked(now));
            let ask = async |turn: Arc<Turn>| {
                asker.ask(&turn).await;
            };
            stream::iter(asked).for_each_concurrent(AT_ONCE, ask).await;
            nap(turns, &turns.inner.look, stop).await;
        }
    }
}

// === impl Settling ===

impl Settling {
    async fn run(mut self) {
        while !*self.stop.borrow() {
            self.round(false).await;
            nap(&self.turns, &self.turns.inner.wake, &mut self.stop).await;
        }
        self.leave().await;
    }

    /// Looks at every open turn once. `last`: nothing more is waited for.
    async fn round(&self, last: bool) {
        let parts = self.turns.parts();
        let (now, books) = (parts.clock.tick(), parts.accounts.is_some());
        let (mut rows, mut settled) = (Vec::new(), Vec::new());
        for turn in self.turns.all() {
            match turn.next(now, &parts.pace, books, last) {
                Next::Wait => {}
                Next::Rows => rows.push(turn),
                Next::Bill(end) => {
                    self.turns.charge(&turn, end);
                    settled.push(turn);
                }
                Next::Settle(_) => settled.push(turn),
            }
        }
        let found = async { self.settle_all(self.turns.look_for_rows(rows).await).await };
        tokio::join!(self.settle_all(settled), found);
    }

    async fn settle_all(&self, turns: Vec<Arc<Turn>>) {
        for turns in turns.chunks(AT_ONCE) {
            join_all(turns.iter().map(|turn| self.settle(turn))).await;
        }
    }

    async fn settle(&self, turn: &Arc<Turn>) {
        let now = self.turns.parts().clock.tick();
        let Next::Settle(billed) = turn.next(now, &self.turns.parts().pace, false, true) else { return };
        if self.turns.settle(turn, &billed).await {
            self.turns.remove(turn);
            turn.close();
            // Fails only where nobody strikes any more; the turn is found again then, and counted once all the same.
            let _ = self.written.send(turn.id);
        }
    }

    /// Tollgate stops. What has ended is settled by what is known. What still runs at LibreChat stays taken: it is written down, and
    /// settled by the next Tollgate that starts here. A turn for which nothing was taken gets its entry as it stands.
    async fn leave(&self) {
        for turn in self.turns.all() {
            if turn.is_over() {
                continue;
            }
            self.turns.remove(&turn);
            turn.close();
            if turn.begun.holds() {
                turn.receipts().leave_open();
            } else {
                let entry = self.turns.entry(&turn);
                self.turns.parts().recorder.record(Entry::Usage(Box::new(entry)));
            }
        }
        self.round(true).await;
    }
}

/// Until the next round: soon while turns are open, and at once when something is heard.
async fn nap(turns: &Turns, wake: &Notify, stop: &mut watch::Receiver<bool>) {
    let busy = turns.count() > 0;
    let round = async { if busy { sleep(ROUND).await } else { std::future::pending().await } };
    tokio::select! {
        () = round => {}
        () = wake.notified() => {}
        // Whoever holds the other end is gone: that is the same wish.
        _ = stop.changed() => {}
    }
}

// === impl Striker ===

impl Striker {
    async fn run(mut self) {
        let mut ids = Vec::new();
        while self.written.recv_many(&mut ids, 1024).await > 0 {
            let parts = self.turns.parts();
            let Some(file) = &parts.diary else {
                ids.clear();
                continue;
            };
            parts.recorder.kept().await;
            for id in ids.drain(..) {
                if let Err(error) = file.strike(id) {
                    tracing::warn!(%error, "a settled turn stays written down: after a restart that is found out");
                }
            }
        }
    }
}
