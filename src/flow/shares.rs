//! How much of the room for held bodies one person may have: nobody can take it from the others by announcing bodies that do
//! not come.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

/// Bodies up to this length, in KiB, count for nobody: nearly all are shorter, and it would take thousands of connections to
/// fill the room with them.
const SMALL: u32 = 16;

/// What each person has of the room, in KiB.
#[derive(Debug)]
pub(super) struct Shares {
    most: u32,
    taken: Mutex<HashMap<Arc<str>, u32>>,
}

/// A part of somebody's share; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    /// None where the body counts for nobody.
    of: Option<(Arc<Shares>, Arc<str>)>,
    kibibytes: u32,
}

// === impl Shares ===

impl Shares {
    /// At most so many KiB for one person.
    pub(super) fn new(most: u32) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// Takes a part of the person's share; none where too little of it is left.
    pub(super) fn take(self: &Arc<Self>, user: &Arc<str>, kibibytes: u32) -> Option<Share> {
        if kibibytes <= SMALL {
            return Some(Share { of: None, kibibytes });
        }
        let mut taken = self.taken.lock();
        let before = taken.get(user).copied().unwrap_or(0);
        let after = before.checked_add(kibibytes).filter(|after| *after <= self.most)?;
        taken.insert(Arc::clone(user), after);
        Some(Share { of: Some((Arc::clone(self), Arc::clone(user))), kibibytes })
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        let Some((shares, user)) = self.of.take() else { return };
        if let Entry::Occupied(mut taken) = shares.taken.lock().entry(user) {
            match taken.get().saturating_sub(self.kibibytes) {
                // Who holds nothing is not remembered.
                0 => drop(taken.remove()),
                left => drop(taken.insert(left)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_a_share_and_it_comes_back() {
        let (ann, bob) = (Arc::from("ann"), Arc::from("bob"));
        let shares = Arc::new(Shares::new(100));
        let first = shares.take(&bob, 60).unwrap();
        assert!(shares.take(&bob, 41).is_none());
        let second = shares.take(&bob, 40).unwrap();
        assert!(shares.take(&bob, 17).is_none() && shares.take(&bob, u32::MAX).is_none());
        assert!(shares.take(&ann, 100).is_some(), "another's share is untouched");
        assert!(shares.take(&bob, SMALL).is_some(), "small bodies count for nobody");
        drop(first);
        assert!(shares.take(&bob, 61).is_none());
        drop(second);
        assert!(shares.take(&bob, 100).is_some());
        assert!(shares.taken.lock().is_empty(), "who holds nothing is not remembered");
    }
}
