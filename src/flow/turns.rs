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
//! What it holds among the turns that run at a time is given back as soon as it has ended ([`over`]), before anybody knows what it used.
//! What a turn is charged for is decided in [`rule`], and put on the counters in [`settle`], by one task ([`follow`]). What that
//! task does is written to a file first ([`diary`]): a turn that is open when Tollgate ends, be it by `kill -9`, is settled by
//! the next one that starts with the same data directory, once. Where none starts, what was taken expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::identity::Bearer;
use crate::meter::Meter;
use crate::metrics::{IntCounterVec, IntGauge};
use crate::record::{Recorder, Usage};
use crate::store::diary::Diary;
use crate::store::{Accounts, StoreError};

mod alone;
mod ask;
mod assisted;
mod book;
mod claim;
mod diary;
mod follow;
mod found;
mod open;
mod over;
mod pace;
mod pending;
mod progress;
mod rows;
mod rule;
mod run;
mod settle;
mod tap;

pub(super) use alone::{Alone, RUNNING, terms_of_place};
use book::Book;
pub(super) use claim::{Claim, Estimate, Spent};
pub use follow::Follower;
use open::{Receipts, Turn};
pub use pace::Pace;
pub(super) use pending::Pending;
pub(super) use tap::Tap;

/// How long what is taken for a turn lives where nobody settles it. LibreChat ends a turn that says nothing for 20 minutes
/// (CONTRACT.md G.1), and one that goes on talking never: what outlives its hold is still settled, and until then takes no room.
pub(super) const LIVES: Duration = Duration::from_secs(4 * 60 * 60);

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
    /// Whether other Tollgates count on the same counters: then those hold the places of conversations, too.
    pub shared: bool,
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
    /// Something has happened that whoever settles should know.
    wake: Notify,
    /// Something has happened that whoever asks LibreChat should know.
    look: Notify,
}

// === impl Turns ===

impl Turns {
    /// No turn is open yet.
    pub fn new(parts: TurnsParts) -> Self {
        settle::declare(&parts.settled);
        let (book, used) = (Mutex::default(), Mutex::default());
        Self {
            inner: Arc::new(Inner {
                parts,
                count: AtomicUsize::new(0),
                book,
                used,
                wake: Notify::new(),
                look: Notify::new(),
            }),
        }
    }

    /// Whether a turn is followed: where something was taken for it, or where LibreChat's rows can be read, so that its usage
    /// entry can say what it used. Otherwise there is nothing to learn, and its entry is written at once.
    pub(super) fn follows(&self, taken: bool) -> bool {
        taken || self.inner.parts.accounts.is_some()
    }

    /// A turn is about to go to LibreChat. From here on it is settled, whatever becomes of the caller or of this process.
    /// `arrived` is when its request did; `entry` is its usage entry as it stands, which is written when the turn is settled.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written down. It must not go to LibreChat then; what was taken is given back in the
    /// background.
    pub(super) async fn begin(
        &self,
        claim: Claim,
        bearer: Option<Arc<Bearer>>,
        arrived: Instant,
        entry: Box<Usage>,
    ) -> Result<Pending, (StoreError, Box<Usage>)> {
        Pending::begin(self.clone(), claim, bearer, arrived, entry).await
    }

    /// The reader of this user's stream, if it is that of an open turn.
    pub(super) fn tap(&self, user: &Arc<str>, stream: &str) -> Option<Tap> {
        // A stream is only opened when the answer with its id has gone out: by then it is counted.
        if self.inner.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let turn = self.inner.book.lock().newest(user, stream)?;
        Some(Tap::new(self.clone(), turn))
    }

    /// How many turns are open.
    pub fn count(&self) -> usize {
        self.inner.count.load(Ordering::Acquire)
    }

    fn parts(&self) -> &TurnsParts {
        &self.inner.parts
    }

    /// Who sends this is who started the turns of this user: from now on LibreChat is asked about them with this token, which may be
    /// a newer one than theirs. Costs nothing where no turn is open.
    pub(super) fn met(&self, bearer: &Arc<Bearer>) {
        if self.count() > 0 && self.inner.book.lock().met(bearer) {
            self.inner.look.notify_one();
        }
    }

    /// The open turns of this user are asked about at once: one of them may just have been stopped.
    pub(super) fn look_at_those_of(&self, user: &str) {
        if self.count() == 0 {
            return;
        }
        let now = self.parts().clock.tick();
        self.inner.book.lock().of(user).for_each(|turn| turn.may_be_stopped(now));
        self.inner.look.notify_one();
    }

    /// Whether this stream of the user's is that of an open turn.
    fn knows(&self, user: &Arc<str>, stream: &str) -> bool {
        self.inner.book.lock().newest(user, stream).is_some()
    }

    /// The newest token of whoever started this turn.
    fn bearer_of(&self, turn: &Turn) -> Option<Arc<Bearer>> {
        self.inner.book.lock().bearer(&turn.caller.user)
    }

    /// Adds a turn.
    fn add(&self, turn: &Arc<Turn>) {
        let mut book = self.inner.book.lock();
        book.add(turn);
        let oldest = (book.len() > MOST_OPEN).then(|| book.oldest()).flatten();
        self.counted(&book);
        drop(book);
        if let Some(oldest) = oldest {
            oldest.hurry(self.parts().clock.tick());
            self.wake();
        }
    }

    /// A turn's stream is known. An older one of the same stream goes on, though LibreChat does not tell of it any more
    /// ([`Turn::supersede`]).
    fn name(&self, turn: &Arc<Turn>, stream: &Arc<str>) {
        self.inner.book.lock().name(turn, stream);
        self.wake();
    }

    /// A turn has told its conversation while it runs: from here on its rows can be found, and so they can after a crash. Nothing where
    /// it is known already, or the turn is settled.
    fn learn(&self, turn: &Arc<Turn>, conversation: &Arc<str>) {
        let mut book = self.inner.book.lock();
        let Some(started) = book.has(turn).then(|| turn.named(conversation)).flatten() else { return };
        book.name(turn, conversation);
        drop(book);
        diary::started(self, turn, &started);
        self.wake();
    }

    /// Takes a turn out.
    fn remove(&self, turn: &Arc<Turn>) {
        let mut book = self.inner.book.lock();
        book.remove(turn);
        self.counted(&book);
    }

    /// All open turns, the oldest first.
    fn all(&self) -> Vec<Arc<Turn>> {
        self.inner.book.lock().all()
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
        self.inner.count.store(book.len(), Ordering::Release);
        self.parts().open.set(i64::try_from(book.len()).unwrap_or(i64::MAX));
    }

    fn wake(&self) {
        self.inner.wake.notify_one();
        self.inner.look.notify_one();
    }
}
