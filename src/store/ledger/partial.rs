//! A ledger for tests of those who only append lines and ask what was charged.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Days, Erased, Filter, Found, Inspected, InspectedDays, Keep, Ledger, Mark, Place, Span, Tomb};
use crate::record::{Kind, Line};
use crate::store::StoreError;
use crate::store::counters::Draw;

/// What such a test says for itself.
#[async_trait]
pub(crate) trait Part: Send + Sync {
    /// See [`Ledger::append`].
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError>;

    /// See [`Ledger::charged`].
    async fn charged(&self, _: Timestamp) -> Result<Vec<Draw>, StoreError> {
        panic!("nobody asks")
    }
}

/// A ledger of such a part; the test ends where anything else is asked.
pub(crate) struct Partial<P>(pub(crate) Arc<P>);

#[async_trait]
impl<P: Part> Ledger for Partial<P> {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        self.0.append(lines).await
    }

    async fn charged(&self, at: Timestamp) -> Result<Vec<Draw>, StoreError> {
        self.0.charged(at).await
    }

    async fn find(&self, _: &Filter, _: Option<&Place>, _: usize) -> Result<Found, StoreError> {
        panic!("nobody asks")
    }

    async fn chain(&self, _: Uuid, _: Kind, _: u64, _: usize) -> Result<Found, StoreError> {
        panic!("nobody asks")
    }

    async fn last(&self, _: Uuid, _: Kind) -> Result<Option<Line>, StoreError> {
        panic!("nobody asks")
    }

    async fn inspect(&self, _: Kind, _: Option<&Mark>) -> Result<Inspected, StoreError> {
        panic!("nobody asks")
    }

    async fn instances(&self) -> Result<Vec<Uuid>, StoreError> {
        panic!("nobody asks")
    }

    async fn erase(&self, _: &str, _: Tomb) -> Result<Erased, StoreError> {
        panic!("nobody asks")
    }

    async fn erasures(&self) -> Result<Vec<Uuid>, StoreError> {
        panic!("nobody asks")
    }

    async fn days(&self, _: &Span, _: Option<&str>, _: usize) -> Result<Days, StoreError> {
        panic!("nobody asks")
    }

    async fn inspect_days(&self, _: Option<&Mark>) -> Result<InspectedDays, StoreError> {
        panic!("nobody asks")
    }

    async fn add_up(&self, _: Timestamp) -> Result<bool, StoreError> {
        panic!("nobody asks")
    }

    async fn expire(&self, _: &Keep, _: Timestamp) -> Result<bool, StoreError> {
        panic!("nobody asks")
    }
}
