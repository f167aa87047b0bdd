//! What is held of one counter: by hold, by expiry, and in sum.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The holds that have not been dropped; some may have expired.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Holds {
    held: HashMap<Uuid, Held>,
    /// The soonest first, so that to know what has expired takes a look at that alone.
    by_expiry: BTreeSet<(Timestamp, Uuid)>,
    /// Of all in `held`. 2^64 holds of 2^64 do not fit into memory.
    sum: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    amount: u64,
    expires: Timestamp,
}

// === impl Holds ===

impl Holds {
    /// What is held and has not expired.
    pub(super) fn open(&self, now: Timestamp) -> u128 {
        let expired: u128 = self.expired(now).map(|(_, amount)| u128::from(amount)).sum();
        self.sum.saturating_sub(expired)
    }

    /// The holds that have expired, and what each of them holds.
    pub(super) fn expired(&self, now: Timestamp) -> impl Iterator<Item = (Uuid, u64)> {
        let expired = self.by_expiry.iter().take_while(move |(expires, _)| *expires <= now);
        expired.filter_map(|(_, id)| Some((*id, self.held.get(id)?.amount)))
    }

    /// Whether this hold is here and has not been dropped.
    pub(super) fn has(&self, id: Uuid) -> bool {
        self.held.contains_key(&id)
    }

    /// Holds this much until then.
    pub(super) fn insert(&mut self, id: Uuid, amount: u64, expires: Timestamp) {
        self.remove(id);
        self.held.insert(id, Held { amount, expires });
        self.by_expiry.insert((expires, id));
        self.sum += u128::from(amount);
    }

    /// Drops a hold and says what it held; none where there is none.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<u64> {
        let held = self.held.remove(&id)?;
        self.by_expiry.remove(&(held.expires, id));
        self.sum = self.sum.saturating_sub(held.amount.into());
        Some(held.amount)
    }

    /// Drops what has expired.
    pub(super) fn drop_expired(&mut self, now: Timestamp) {
        while let Some((expires, id)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.by_expiry.remove(&(expires, id));
            self.remove(id);
        }
    }
}
