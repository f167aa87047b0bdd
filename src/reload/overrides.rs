//! The policy in force follows the stored overrides, while Tollgate runs.
//!
//! Like the files, they are looked at rather than watched: one small question four times a second, which the store answers from an index.
//! That works the same on every store, needs no message from whoever changes something, and goes on by itself after an outage of any
//! length. While they cannot be read, those that were read last stay in force, and metrics and `/readyz` say so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::in_force::InForce;
use crate::clock::Clock;
use crate::policy::overrides::Document;
use crate::store::StoreError;
use crate::store::overrides::{Mark, Override, Overrides, Unreadable};

/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// After so many looks they are read again in any case: five seconds. See [`Mark`] for what no look could see.
const READ_AGAIN: u32 = 20;

/// Follows the overrides of a store.
pub struct OverridesFollower {
    store: Arc<dyn Overrides>,
    in_force: Arc<InForce>,
    clock: Clock,
    /// What they looked like before they were read last.
    mark: Option<Mark>,
    /// Looks since then.
    looks: u32,
    read: Vec<Override>,
    unreadable: Vec<Unreadable>,
    /// When the first of those that are in force expires.
    ends: Option<Timestamp>,
}

// === impl OverridesFollower ===

impl OverridesFollower {
    /// A follower that has not looked yet.
    pub fn new(store: Arc<dyn Overrides>, in_force: Arc<InForce>, clock: Clock) -> Self {
        let (read, unreadable) = (Vec::new(), Vec::new());
        Self { store, in_force, clock, mark: None, looks: 0, read, unreadable, ends: None }
    }

    /// Follows until the future is dropped.
    pub async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            self.look().await;
        }
    }

    /// Looks once, and puts what has changed into force.
    pub async fn look(&mut self) {
        if let Err(error) = self.read_if_changed().await {
            // Seen as they were, so that the next look reads them, whatever they look like.
            self.mark = None;
            self.in_force.overrides_stale(&error);
        }
        if self.ends.is_some_and(|end| end <= self.clock.now()) {
            self.put();
        }
    }

    async fn read_if_changed(&mut self) -> Result<(), StoreError> {
        // Before they are read: what changes in between looks different the next time.
        let mark = self.store.mark().await?;
        self.looks += 1;
        if self.mark == Some(mark) && self.looks < READ_AGAIN {
            return Ok(());
        }
        let (mut read, mut unreadable) = (Vec::new(), Vec::new());
        for document in self.store.all().await? {
            match document {
                Ok(document) => read.push(document),
                Err(fault) => unreadable.push(fault),
            }
        }
        (self.mark, self.looks, self.read, self.unreadable) = (Some(mark), 0, read, unreadable);
        self.put();
        Ok(())
    }

    /// Those that count at this moment come into force.
    fn put(&mut self) {
        let now = self.clock.now();
        let (counting, others): (Vec<_>, Vec<_>) = self.read.iter().partition(|document| document.counts_at(now));
        self.ends = counting.iter().filter_map(|document| document.expires_at).min();
        let documents = counting.into_iter().map(|document| Document {
            principal: document.principal.clone(),
            priority: document.priority,
            version: document.config_version,
            text: document.text().into(),
        });
        self.in_force.take_overrides(documents.collect(), self.unreadable.clone(), others.len());
    }
}

#[cfg(test)]
mod tests;
