//! Names other instances in one's own chain, with where they end: whoever removes an instance whole, with its heads, then also has to
//! remove every instance that came after it. A command that writes into the record does so before its own event; a running Tollgate does
//! so now and then.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::entry::LinkedEnd;
use super::heads::Head;
use super::link::Hash;
use super::{About, Entry, Event, Happened, Kept, Kind, Line, Recorder};
use crate::clock::Clock;
use crate::store::{Ledger, StoreError};

/// How often new instances are looked for.
const PACE: Duration = Duration::from_secs(60);

/// Every so many of these, instances are named again that have gone on: once an hour.
const GONE_ON: u32 = 60;

/// Every so many of these, all are named again, so that the events that name them do not all expire: once a day.
const AGAIN: u32 = 24 * 60;

/// So many instances are named by one event, and so many by a command. Ids are UUIDv7: the newest ones are. What came before them is named by
/// them, or by those that they name.
pub const NAMED: usize = 32;

/// So many instances are looked after by a running Tollgate.
const LOOKED_AFTER: usize = 256;

/// Names the instances of one store.
pub struct Linker {
    kept: Kept,
    recorder: Recorder,
    own: Uuid,
    clock: Clock,
    /// The number of the head by which each was named last.
    named: HashMap<Uuid, u64>,
}

// === impl Linker ===

impl Linker {
    /// Names the instances of this store in the chain of this one, `own`.
    pub fn new(kept: Kept, recorder: Recorder, own: Uuid, clock: &Clock) -> Self {
        Self { kept, recorder, own, clock: clock.clone(), named: HashMap::new() }
    }

    /// Does so until the task is ended. Where the store does not answer, it is asked again.
    pub async fn run(mut self) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            pace.tick().await;
            match self.look(round.is_multiple_of(GONE_ON), round.is_multiple_of(AGAIN)).await {
                Ok(()) => round = round.wrapping_add(1),
                Err(error) => tracing::debug!(sink = self.kept.sink, %error, "other instances are not named yet"),
            }
        }
    }

    /// Names what is new; with `gone_on` also what has more heads than when it was named; with `again` everything.
    async fn look(&mut self, gone_on: bool, again: bool) -> Result<(), StoreError> {
        let mut ends = Vec::new();
        for instance in newest(self.kept.ledger.as_ref(), Some(self.own), LOOKED_AFTER).await? {
            let named = self.named.get(&instance).copied().filter(|_| !again);
            if named.is_some() && !gone_on {
                continue;
            }
            let end = end(self.kept.ledger.as_ref(), instance).await?;
            ends.extend(end.filter(|end| named != Some(end.number)));
        }
        for ends in ends.chunks(NAMED) {
            self.recorder.record(event(self.clock.now(), self.kept.sink, ends.to_vec()));
            self.named.extend(ends.iter().map(|end| (end.instance, end.number)));
        }
        Ok(())
    }
}

/// Where the newest instances of a store end; none where there is none.
///
/// # Errors
/// [`StoreError`] where the store cannot answer.
pub async fn ends(ledger: &dyn Ledger) -> Result<Vec<LinkedEnd>, StoreError> {
    let mut ends = Vec::new();
    for instance in newest(ledger, None, NAMED).await? {
        ends.extend(end(ledger, instance).await?);
    }
    Ok(ends)
}

/// The event that names these ends of instances in this store.
pub fn event(at: Timestamp, store: &str, instances: Vec<LinkedEnd>) -> Entry {
    let about = About::Linked { store: store.into(), instances };
    Entry::Event(Box::new(Event::of_tollgate(at, Happened::Linked, None, about)))
}

// === helpers ===

async fn newest(ledger: &dyn Ledger, own: Option<Uuid>, most: usize) -> Result<Vec<Uuid>, StoreError> {
    let mut instances = ledger.instances().await?;
    instances.retain(|instance| Some(*instance) != own);
    Ok(instances.split_off(instances.len().saturating_sub(most)))
}

/// The last head of an instance; none where it has none that is one.
async fn end(ledger: &dyn Ledger, instance: Uuid) -> Result<Option<LinkedEnd>, StoreError> {
    let last = ledger.last(instance, Kind::Head).await?;
    Ok(last.as_ref().and_then(end_of).filter(|end| end.instance == instance))
}

/// How an event names this head.
pub(super) fn end_of(line: &Line) -> Option<LinkedEnd> {
    let head = Head::read(&line.text).ok()?;
    let hash = Hash::of(line.text.as_bytes());
    Some(LinkedEnd { instance: head.instance, number: head.number, head: hash, timestamp: head.at })
}
