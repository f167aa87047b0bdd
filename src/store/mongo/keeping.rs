//! The ledger in MongoDB: how long each question may take, and what is done before it.

use std::future::Future;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::error::Error;
use uuid::Uuid;

use super::{APPEND, Mongo, SEARCH, SUMS, aging, charged, daily, erasing, faults, inspect, ledger, search};
use crate::record::{Kind, Line};
use crate::store::counters::Draw;
use crate::store::{
    Days, Erased, Filter, Found, Inspected, InspectedDays, Keep, Ledger, Mark, Place, Span, StoreError, Tomb,
};

impl Mongo {
    /// Waits for an answer no longer than this, and says what is wrong in our own words.
    async fn ask<T>(&self, limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let asked = faults::in_time(&self.hosts, limit, work).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn make_indexes(&self) -> Result<(), Error> {
        self.indexed.get_or_try_init(|| ledger::make_indexes(&self.own)).await.map(|_made| ())
    }
}

#[async_trait]
impl Ledger for Mongo {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        let documents = ledger::documents(lines).map_err(|error| self.hosts.fault(&error))?;
        let work = async {
            self.make_indexes().await?;
            ledger::append(&self.own, &documents).await
        };
        let appended = self.ask(APPEND, work).await;
        // Where it failed, some may be there all the same.
        self.pending.touch(documents.days());
        appended
    }

    async fn charged(&self, at: Timestamp) -> Result<Vec<Draw>, StoreError> {
        self.ask(SUMS, charged::charged(&self.own, at)).await
    }

    async fn find(&self, filter: &Filter, after: Option<&Place>, most: usize) -> Result<Found, StoreError> {
        self.ask(SEARCH, search::find(&self.own, filter, after, most)).await
    }

    async fn chain(&self, instance: Uuid, kind: Kind, from: u64, most: usize) -> Result<Found, StoreError> {
        self.ask(SEARCH, search::chain(&self.own, instance, kind, from, most)).await
    }

    async fn last(&self, instance: Uuid, kind: Kind) -> Result<Option<Line>, StoreError> {
        self.ask(SEARCH, search::last(&self.own, instance, kind)).await
    }

    async fn inspect(&self, kind: Kind, after: Option<&Mark>) -> Result<Inspected, StoreError> {
        self.ask(SEARCH, inspect::inspect(&self.own, kind, after)).await
    }

    async fn instances(&self) -> Result<Vec<Uuid>, StoreError> {
        self.ask(SEARCH, search::instances(&self.own)).await
    }

    async fn erase(&self, user: &str, tomb: Tomb) -> Result<Erased, StoreError> {
        let mut erased = Erased::default();
        for kind in [Kind::Audit, Kind::Usage] {
            let mut after = None;
            loop {
                let (last, done) = self.ask(SEARCH, erasing::step(&self.own, kind, user, after, &tomb)).await?;
                erased.add(done);
                if last.is_none() {
                    break;
                }
                after = last;
            }
        }
        erased.named = self.ask(SEARCH, erasing::named(&self.own, user)).await?;
        erased.days = self.ask(SEARCH, erasing::forget(&self.own, user)).await?;
        Ok(erased)
    }

    async fn erasures(&self) -> Result<Vec<Uuid>, StoreError> {
        self.ask(SEARCH, search::erasures(&self.own)).await
    }

    async fn days(&self, span: &Span, after: Option<&str>, most: usize) -> Result<Days, StoreError> {
        self.ask(SEARCH, daily::days(&self.own, span, after, most)).await
    }

    async fn inspect_days(&self, after: Option<&Mark>) -> Result<InspectedDays, StoreError> {
        self.ask(SEARCH, daily::inspect(&self.own, after)).await
    }

    async fn add_up(&self, at: Timestamp) -> Result<bool, StoreError> {
        let work = async {
            // Without the unique key, two replicas would keep two sums of a day.
            self.make_indexes().await?;
            daily::add_up(&self.own, &self.pending, at).await
        };
        self.ask(SUMS, work).await
    }

    async fn expire(&self, keep: &Keep, _at: Timestamp) -> Result<bool, StoreError> {
        if *self.kept.lock().unwrap_or_else(PoisonError::into_inner) == Some(*keep) {
            return Ok(false);
        }
        self.ask(SUMS, aging::keep(&self.own, keep)).await?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(*keep);
        Ok(false)
    }
}
