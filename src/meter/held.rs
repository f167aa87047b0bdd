//! What this process has taken and not settled: all that it has to put back where the store has lost its counters.
//!
//! The store is asked and the answer is noted here in one go, as far as losses go ([`Held::asking`], [`Held::all`]): what was settled
//! before a loss is not here any more when holds are put back after it, and what was taken before it is.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard};
use uuid::Uuid;

use crate::store::counters::{Hold, Measure};

/// Below so many holds nothing is swept.
const WORTH_SWEEPING: usize = 4_096;

/// The open holds of this process.
#[derive(Default)]
pub(super) struct Held {
    book: Mutex<Book>,
    /// Held for reading while the store is asked, and for writing while all is looked at.
    questions: RwLock<()>,
}

#[derive(Default)]
struct Book {
    holds: HashMap<Uuid, Hold>,
    /// How many there were after the last sweep.
    swept: usize,
}

// === impl Held ===

impl Held {
    /// While this is kept, a question is out of which the answer is noted here.
    pub(super) async fn asking(&self) -> RwLockReadGuard<'_, ()> {
        self.questions.read().await
    }

    /// It was taken.
    pub(super) fn taken(&self, hold: &Hold) {
        let mut book = self.book.lock();
        book.holds.insert(hold.id, hold.clone());
        // So that each hold pays for a share of a constant number of looks. What nobody settles expires.
        if book.holds.len() > 2 * book.swept.max(WORTH_SWEEPING) {
            book.sweep(hold.at);
        }
    }

    /// It was settled or released, or has expired.
    pub(super) fn ended(&self, hold: &Hold) {
        self.book.lock().holds.remove(&hold.id);
    }

    /// Its places are given back, or about to be.
    pub(super) fn vacated(&self, hold: &Hold) {
        if let Some(hold) = self.book.lock().holds.get_mut(&hold.id) {
            hold.draws.retain(|draw| draw.measure != Measure::Open);
        }
    }

    /// Whether it still has its places.
    pub(super) fn has_places(&self, hold: &Hold) -> bool {
        self.book.lock().holds.get(&hold.id).is_some_and(|hold| hold.places().next().is_some())
    }

    /// All that are open, the oldest first, once every question that is out now is answered and noted.
    pub(super) async fn all(&self) -> Vec<Hold> {
        let _nothing_is_out = self.questions.write().await;
        let mut all: Vec<Hold> = self.book.lock().holds.values().cloned().collect();
        all.sort_unstable_by_key(|hold| (hold.at, hold.id));
        all
    }
}

// === impl Book ===

impl Book {
    /// `now` is the store's time: this machine's clock may be wrong.
    fn sweep(&mut self, now: Timestamp) {
        self.holds.retain(|_, hold| now < hold.expires);
        self.swept = self.holds.len();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::counters::Draw;

    fn hold(second: i64) -> Hold {
        let at = Timestamp::from_second(1_795_000_000 + second).unwrap();
        let draw = |counter: &str, measure| Draw { counter: counter.into(), measure, amount: 1, ceiling: 9 };
        let window = Duration::from_secs(60);
        let draws = vec![draw("rate", Measure::Rate { window }), draw("open", Measure::Open)];
        Hold { id: Uuid::from_u128(second.unsigned_abs().into()), draws, at, expires: at + Duration::from_secs(100) }
    }

    #[tokio::test]
    async fn what_has_ended_or_given_back_its_places_is_not_there_to_be_put_back() {
        let (held, [first, second, third]) = (Held::default(), [1, 2, 3].map(hold));
        [&third, &second, &first].into_iter().for_each(|hold| held.taken(hold));
        held.ended(&second);
        held.vacated(&third);
        held.vacated(&second);
        let rest = Hold { draws: third.draws[..1].to_vec(), ..third.clone() };
        assert_eq!(held.all().await, [first.clone(), rest], "the oldest first");
        assert_eq!([&first, &second, &third].map(|hold| held.has_places(hold)), [true, false, false]);
    }

    /// An answer that is on its way says whether a hold was open when the counters were lost.
    #[tokio::test]
    async fn questions_that_are_out_are_waited_for() {
        let (held, hold) = (Held::default(), hold(1));
        held.taken(&hold);
        let out = held.asking().await;
        let mut all = std::pin::pin!(held.all());
        assert!(futures_util::poll!(all.as_mut()).is_pending());
        held.ended(&hold);
        drop(out);
        assert_eq!(all.await, []);
    }

    #[test]
    fn what_nobody_settles_is_forgotten_when_it_has_expired() {
        let held = Held::default();
        for second in 0..100_000 {
            held.taken(&hold(second));
        }
        let left = held.book.lock().holds.len();
        assert!((100..=2 * WORTH_SWEEPING + 1).contains(&left), "{left}");
    }
}
