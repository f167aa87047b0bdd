//! Turns that are open: taken from the limits, running at LibreChat, not settled yet.
//!
//! A turn outlives the request that started it (CONTRACT.md E.5): it runs whether or not anybody reads its stream. Here it is
//! kept from the moment before it goes to LibreChat to the moment its charges are settled.
//!
//! ```text
//! take -> begin -> (LibreChat is asked) -> refused it: given back
//!                                       -> took it:    open -> read by the caller, or asked about -> ended -> rows looked for -> settled
//!                                       -> nobody knows: the same, by the conversation's id; without one at the estimate
//! ```
//!
//! What a turn is charged for is decided in [`rule`], and put on the counters in [`settle`], by one task ([`follow`]). What that
//! task does is written to a file first ([`diary`]): a turn that is open when Tollgate ends, be it by `kill -9`, is settled by
//! the next one that starts with the same data directory, once. Where none starts, what was taken expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Clock;
use crate::identity::Bearer;
use crate::meter::Meter;
use crate::metrics::{IntCounterVec, IntGauge};
use crate::record::{Recorder, Usage};
use crate::store::diary::Diary;
use crate::store::{Accounts, StoreError};

mod claim;
mod diary;
mod follow;
mod found;
mod open;
mod pending;
mod progress;
mod rows;
mod rule;
mod run;
mod settle;
mod tap;

pub(super) use claim::{Claim, Estimate, Spent};
pub use follow::Follower;
pub use open::Pace;
use open::{Receipts, Turn};
pub(super) use pending::Pending;
pub(super) use run::Run;
pub(super) use tap::Tap;

/// How long what is taken for a turn lives where nobody settles it: longer than LibreChat lets a turn run, which is 20 minutes
/// (CONTRACT.md G.1), and longer than [`Pace::open`].
pub(super) const LIVES: Duration = Duration::from_secs(30 * 60);

/// Most turns that are open at once. Beyond it the oldest is settled by what is known of it.
const MOST_OPEN: usize = 16 * 1024;

/// Most rows that are remembered as used: those of a few thousand turns. Older ones are too old for any turn.
const MOST_USED: usize = 64 * 1024;

/// What following turns needs.
pub struct TurnsParts {
    /// Settles what was taken.
    pub meter: Meter,
    /// LibreChat's rows; none where its database is not configured.
    pub accounts: Option<Arc<dyn Accounts>>,
    /// Where open turns are written down; none where nothing has to outlive the process.
    pub diary: Option<Diary>,
    /// Where usage entries go.
    pub recorder: Recorder,
    /// Where the time comes from.
    pub clock: Clock,
    /// How long things are waited for.
    pub pace: Pace,
    /// How many turns are open.
    pub open: IntGauge,
    /// How many were settled, by the source of the figures.
    pub settled: IntCounterVec,
}

/// All open turns of this process. Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Inner>,
}

struct Inner {
    parts: TurnsParts,
    /// How many there are. Read before anything is looked up, so that nothing is paid where there are none.
    count: AtomicUsize,
    book: Mutex<Book>,
    /// The rows that turns were charged by, the oldest first: each counts for one turn.
    used: Mutex<IndexSet<Box<str>>>,
    /// Something has happened that the follower should know.
    wake: Notify,
}

/// The open turns.
#[derive(Default)]
struct Book {
    /// All of them, the oldest first.
    all: IndexMap<Uuid, Arc<Turn>>,
    /// Those whose stream is known, by user and stream.
    streams: IndexMap<(Arc<str>, Arc<str>), Arc<Turn>>,
}

// === impl Turns ===

impl Turns {
    /// No turn is open yet.
    pub fn new(parts: TurnsParts) -> Self {
        settle::declare(&parts.settled);
        let (book, used) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { parts, count: AtomicUsize::new(0), book, used, wake: Notify::new() }) }
    }

    /// Whether a turn is followed: where something was taken for it, or where LibreChat's rows can be read, so that its usage
    /// entry can say what it used. Otherwise there is nothing to learn, and its entry is written at once.
    pub(super) fn follows(&self, taken: bool) -> bool {
        taken || self.inner.parts.accounts.is_some()
    }

    /// A turn is about to go to LibreChat. From here on it is settled, whatever becomes of the caller or of this process.
    /// `entry` is its usage entry as it stands; it is written when the turn is settled.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written down. It must not go to LibreChat then; what was taken is given back in the
    /// background.
    pub(super) async fn begin(
        &self,
        claim: Claim,
        bearer: Option<Arc<Bearer>>,
        entry: Box<Usage>,
    ) -> Result<Pending, (StoreError, Box<Usage>)> {
        Pending::begin(self.clone(), claim, bearer, entry).await
    }

    /// The reader of this user's stream, if it is that of an open turn.
    pub(super) fn tap(&self, user: &Arc<str>, stream: &str) -> Option<Tap> {
        // A stream is only opened when the answer with its id has gone out: by then it is counted.
        if self.inner.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let key = (Arc::clone(user), Arc::from(stream));
        let turn = self.inner.book.lock().streams.get(&key).cloned()?;
        Some(Tap::new(self.clone(), turn))
    }

    /// How many turns are open.
    pub fn count(&self) -> usize {
        self.inner.count.load(Ordering::Acquire)
    }

    fn parts(&self) -> &TurnsParts {
        &self.inner.parts
    }

    /// Adds a turn.
    fn add(&self, turn: &Arc<Turn>) {
        let mut book = self.inner.book.lock();
        book.all.insert(turn.id, Arc::clone(turn));
        let oldest = (book.all.len() > MOST_OPEN).then(|| book.all.first().map(|(_, turn)| Arc::clone(turn))).flatten();
        self.counted(&book);
        drop(book);
        if let Some(oldest) = oldest {
            oldest.hurry(self.parts().clock.tick());
            self.wake();
        }
    }

    /// A turn's stream is known. An older one of the same stream has ended: LibreChat runs one at a time.
    fn name(&self, turn: &Arc<Turn>, stream: &Arc<str>) {
        let key = (Arc::clone(&turn.caller.user), Arc::clone(stream));
        let older = self.inner.book.lock().streams.insert(key, Arc::clone(turn));
        if let Some(older) = older.filter(|older| older.id != turn.id) {
            older.ended(rule::End::Gone, self.parts().clock.tick());
        }
        self.wake();
    }

    /// Takes a turn out.
    fn remove(&self, turn: &Arc<Turn>) {
        let mut book = self.inner.book.lock();
        book.all.shift_remove(&turn.id);
        if let Some(stream) = turn.stream() {
            let key = (Arc::clone(&turn.caller.user), stream);
            if book.streams.get(&key).is_some_and(|other| other.id == turn.id) {
                book.streams.swap_remove(&key);
            }
        }
        self.counted(&book);
    }

    /// All open turns, the oldest first.
    fn all(&self) -> Vec<Arc<Turn>> {
        self.inner.book.lock().all.values().cloned().collect()
    }

    /// A turn is charged by these rows.
    fn used_up(&self, ids: Vec<Box<str>>) {
        if ids.is_empty() {
            return;
        }
        let mut used = self.inner.used.lock();
        used.extend(ids);
        if used.len() > MOST_USED {
            let half = used.split_off(MOST_USED / 2);
            *used = half;
        }
    }

    fn counted(&self, book: &Book) {
        self.inner.count.store(book.all.len(), Ordering::Release);
        self.parts().open.set(i64::try_from(book.all.len()).unwrap_or(i64::MAX));
    }

    fn wake(&self) {
        self.inner.wake.notify_one();
    }
}
