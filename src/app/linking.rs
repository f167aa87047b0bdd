//! What stores have of the instance that a data directory is, asked before anything is written.

use std::time::Duration;

use uuid::Uuid;

use crate::record::{Kept, Kind, Stored};
use crate::store::StoreError;

/// How long a store is waited for: Tollgate starts without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last lines of this instance in these stores. What a store does not tell in time is not known.
pub(super) async fn stored(kept: &[Kept], instance: Uuid) -> Vec<Stored> {
    let mut all = Vec::new();
    for kept in kept {
        let told = tokio::time::timeout(PATIENCE, last(kept, instance)).await;
        match told {
            Ok(Ok(stored)) => all.push(stored),
            Ok(Err(_)) | Err(_) => tracing::warn!(
                sink = kept.sink,
                "the store does not tell how far its record goes: a data directory from a backup would not be noticed"
            ),
        }
    }
    all
}

async fn last(kept: &Kept, instance: Uuid) -> Result<Stored, StoreError> {
    let mut stored = Stored { store: kept.sink, lines: Vec::new() };
    for kind in [Kind::Audit, Kind::Usage, Kind::Head] {
        stored.lines.extend(kept.ledger.last(instance, kind).await?);
    }
    Ok(stored)
}
