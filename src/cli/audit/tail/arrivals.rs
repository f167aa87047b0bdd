//! What reaches the ledger from now on, each line once, whatever its time.
//!
//! Lines of several instances arrive in no order of time, and one that was cut off hands in its lines hours later. But each
//! chain arrives in the order of its numbers, so that it is enough to know how far each was read. Entries from before there were
//! chains have no number; none comes any more.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::cli::record::chains::number;
use crate::record::{Kind, Line};
use crate::store::{Found, Ledger, StoreError, Unread};

/// Lines of a page.
const PAGE: usize = 1_000;

/// For how long a number that is left out is waited for: a batch may be seen half written. One that a sink refused never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many numbers beyond one that is left out are remembered.
const MOST_AHEAD: usize = 10_000;

/// A chain in which nothing came for so long is looked at once in [`SELDOM`] rounds: commands leave a chain behind each.
const QUIET: Duration = Duration::from_secs(10 * 60);
const SELDOM: u64 = 30;

/// How far each chain was read.
pub(super) struct Arrivals {
    ledger: Arc<dyn Ledger>,
    kinds: Vec<Kind>,
    chains: BTreeMap<(Uuid, Kind), Cursor>,
    round: u64,
    /// What was passed over, and all that has been.
    unread: Vec<Unread>,
    known_unread: HashSet<Box<str>>,
}

/// How far a chain was read.
struct Cursor {
    /// All before this number were seen or given up.
    next: u64,
    /// Those after it that were seen.
    ahead: BTreeSet<u64>,
    /// Since when the next one is left out.
    waiting: Option<Instant>,
    /// When something came last.
    came: Option<Instant>,
}

// === impl Arrivals ===

impl Arrivals {
    /// Begins at the ends of all chains of these kinds.
    pub(super) async fn from_now(ledger: &Arc<dyn Ledger>, kinds: &[Kind]) -> Result<Self, StoreError> {
        let mut chains = BTreeMap::new();
        for instance in ledger.instances().await? {
            for &kind in kinds {
                let last = end(ledger.as_ref(), instance, kind).await?;
                chains.insert((instance, kind), Cursor::at(last.saturating_add(1)));
            }
        }
        Ok(Self {
            ledger: Arc::clone(ledger),
            kinds: kinds.to_vec(),
            chains,
            round: 0,
            unread: Vec::new(),
            known_unread: HashSet::new(),
        })
    }

    /// What was passed over since this was asked last, as it is no line of the record.
    pub(super) fn passed_over(&mut self) -> Vec<Unread> {
        std::mem::take(&mut self.unread)
    }

    /// The lines that have come since the last look, in no order.
    pub(super) async fn look(&mut self, now: Instant) -> Result<Vec<Line>, StoreError> {
        self.round = self.round.wrapping_add(1);
        for instance in self.ledger.instances().await? {
            for &kind in &self.kinds {
                // A chain that was not there before is read from its beginning.
                self.chains.entry((instance, kind)).or_insert_with(|| Cursor { came: Some(now), ..Cursor::at(1) });
            }
        }
        let mut lines = Vec::new();
        for (n, ((instance, kind), cursor)) in (0_u64..).zip(&mut self.chains) {
            let came = *cursor.came.get_or_insert(now);
            if now.saturating_duration_since(came) > QUIET && !(self.round.wrapping_add(n)).is_multiple_of(SELDOM) {
                continue;
            }
            let mut from = cursor.next;
            loop {
                let Found { lines: page, unread } = self.ledger.chain(*instance, *kind, from, PAGE).await?;
                self.unread.extend(unread.into_iter().filter(|unread| self.known_unread.insert(unread.name.clone())));
                let last = page.last().and_then(number);
                let full = page.len() == PAGE;
                for line in page {
                    if number(&line).is_some_and(|number| cursor.take(number)) {
                        cursor.came = Some(now);
                        lines.push(line);
                    }
                }
                match last {
                    Some(last) if full => from = last.saturating_add(1),
                    _ => break,
                }
            }
            cursor.settle(now);
        }
        Ok(lines)
    }
}

// === impl Cursor ===

impl Cursor {
    fn at(next: u64) -> Self {
        Self { next, ahead: BTreeSet::new(), waiting: None, came: None }
    }

    /// Whether this number is seen for the first time.
    fn take(&mut self, number: u64) -> bool {
        number >= self.next && self.ahead.insert(number)
    }

    /// Goes on over what was seen, and over what was waited for long enough.
    fn settle(&mut self, now: Instant) {
        let before = self.next;
        self.pass();
        if self.ahead.is_empty() || self.next != before {
            self.waiting = None;
        }
        let Some(first) = self.ahead.first().copied() else { return };
        let since = *self.waiting.get_or_insert(now);
        if now.saturating_duration_since(since) >= PATIENCE || self.ahead.len() > MOST_AHEAD {
            self.next = first;
            self.waiting = None;
            self.pass();
        }
    }

    fn pass(&mut self) {
        while self.ahead.remove(&self.next) {
            self.next = self.next.saturating_add(1);
        }
    }
}

// === helpers ===

/// The last number of a chain, 0 where it has none.
async fn end(ledger: &dyn Ledger, instance: Uuid, kind: Kind) -> Result<u64, StoreError> {
    Ok(ledger.last(instance, kind).await?.as_ref().and_then(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::record::memory::Memory;
    use crate::clock::Clock;
    use jiff::Timestamp;

    /// A line of a chain, of a time that has nothing to do with its number.
    fn line(instance: u128, seq: u64) -> Line {
        let id = Uuid::from_u128(instance * 1_000_000 + u128::from(seq));
        let at = Timestamp::from_second(1_800_000_000 - i64::try_from(seq).unwrap()).unwrap();
        let instance = Uuid::from_u128(instance);
        Line::read(&format!(
            r#"{{"kind":"audit","_id":"{id}","timestamp":"{at}","instance":"{instance}","seq":{seq}}}"#
        ))
        .unwrap()
    }

    struct Scene {
        memory: Arc<Memory>,
        arrivals: Arrivals,
        clock: Clock,
    }

    impl Scene {
        async fn with(lines: impl IntoIterator<Item = Line>) -> Self {
            let memory = Arc::new(Memory::of(lines));
            let ledger: Arc<dyn Ledger> = memory.clone();
            let arrivals = Arrivals::from_now(&ledger, &[Kind::Audit]).await.unwrap();
            Self { memory, arrivals, clock: Clock::manual(Timestamp::UNIX_EPOCH) }
        }

        async fn come(&mut self, lines: &[Line]) -> Vec<Line> {
            self.memory.append(lines).await.unwrap();
            self.arrivals.look(self.clock.tick()).await.unwrap()
        }
    }

    #[tokio::test]
    async fn the_end_of_a_chain_is_found() {
        for seqs in [vec![], vec![1], vec![5], (1..=37).collect(), vec![3, 4, 9, 1_000, 1_001], (90..200).collect()] {
            let memory = Memory::of(seqs.iter().map(|seq| line(1, *seq)));
            let last = end(&memory, Uuid::from_u128(1), Kind::Audit).await.unwrap();
            assert_eq!(last, seqs.last().copied().unwrap_or(0), "{seqs:?}");
        }
    }

    #[tokio::test]
    async fn what_comes_is_seen_once_whatever_its_time() {
        let mut scene = Scene::with((1..=5).map(|seq| line(1, seq))).await;
        assert_eq!(scene.come(&[]).await, []);
        assert_eq!(scene.come(&[line(1, 6)]).await, [line(1, 6)]);
        // Another instance, which was cut off, hands in what is older than everything.
        let late: Vec<_> = (1..=2_500).map(|seq| line(2, seq)).collect();
        assert_eq!(scene.come(&late).await, late);
        assert_eq!(scene.come(&[line(1, 7), line(2, 2_501)]).await, [line(1, 7), line(2, 2_501)]);
        assert_eq!(scene.come(&[]).await, []);
    }

    #[tokio::test]
    async fn a_number_that_is_left_out_is_waited_for_and_then_given_up() {
        let mut scene = Scene::with([line(1, 1)]).await;
        assert_eq!(scene.come(&[line(1, 3), line(1, 4)]).await, [line(1, 3), line(1, 4)]);
        assert_eq!(scene.come(&[line(1, 2)]).await, [line(1, 2)], "it was only late");
        assert_eq!(scene.come(&[line(1, 6)]).await, [line(1, 6)]);
        scene.clock.advance(PATIENCE);
        assert_eq!(scene.come(&[]).await, []);
        assert_eq!(scene.arrivals.chains.values().map(|cursor| cursor.next).collect::<Vec<_>>(), [7]);
        assert_eq!(scene.come(&[line(1, 7)]).await, [line(1, 7)]);
    }

    #[tokio::test]
    async fn a_chain_that_was_quiet_for_long_is_still_looked_at() {
        let mut scene = Scene::with([line(1, 1)]).await;
        assert_eq!(scene.come(&[]).await, []);
        scene.clock.advance(QUIET * 2);
        scene.memory.append(&[line(1, 2)]).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..SELDOM {
            seen.extend(scene.come(&[]).await);
        }
        assert_eq!(seen, [line(1, 2)]);
        assert_eq!(scene.come(&[line(1, 3)]).await, [line(1, 3)], "and often from then on");
    }
}
