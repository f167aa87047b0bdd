//! The collection of overrides.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReadConcern, ReturnDocument};
use mongodb::{Database, IndexModel};

use self::document::{BYTES, LARGEST_BSON, read, signed, whole, written};
use super::ledger::DUPLICATE_KEY;
use super::{LOOK_UP, Mongo, OPERATION, faults};
use crate::policy::overrides::{Kind, Principal};
use crate::store::StoreError;
use crate::store::overrides::{Expected, Mark, Override, Overrides, Unchanged, Unreadable};

mod document;

/// How long a look may take from end to end: it is repeated at once, so that one that is lost on the way does not keep the next one off.
const LOOK: Duration = Duration::from_secs(1);

const OVERRIDES: &str = "overrides";

/// Counters of Tollgate's own, by what they count.
const COUNTERS: &str = "counters";

/// The counter that versions are drawn from.
const VERSIONS: &str = "overrides.configVersion";

impl Mongo {
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, work).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

#[async_trait]
impl Overrides for Mongo {
    async fn mark(&self) -> Result<Mark, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK, mark(&self.own)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn all(&self) -> Result<Vec<Result<Override, Unreadable>>, StoreError> {
        self.in_time(all(&self.own)).await
    }

    async fn draw(&self) -> Result<u64, StoreError> {
        self.in_time(draw(&self.own)).await
    }

    async fn put(&self, document: &Override, expected: Expected) -> Result<(), Unchanged> {
        let put = self.in_time(put(&self.own, document, expected)).await?;
        if put { Ok(()) } else { Err(Unchanged::Overtaken) }
    }

    async fn remove(&self, principal: &Principal, version: u64) -> Result<(), Unchanged> {
        let removed = self.in_time(remove(&self.own, principal, version)).await?;
        if removed { Ok(()) } else { Err(Unchanged::Overtaken) }
    }

    async fn clear(&self, principal: &Principal) -> Result<u64, StoreError> {
        self.in_time(clear(&self.own, principal)).await
    }
}

/// One number for all versions, from the index on them. What a majority has: a change that was told to be made, and none that a
/// fail-over can take back.
async fn mark(own: &Database) -> Result<Mark, Error> {
    let pipeline = [
        // So that the index answers, and no document has to be read.
        doc! {"$match": {"configVersion": {"$gte": 0}}},
        doc! {"$group": {
            "_id": null,
            "count": {"$sum": 1_i64},
            "sum": {"$sum": "$configVersion"},
            "greatest": {"$max": "$configVersion"},
        }},
    ];
    let overrides = own.collection::<Document>(OVERRIDES);
    let mut found = overrides.aggregate(pipeline).read_concern(ReadConcern::majority()).max_time(OPERATION).await?;
    let Some(mark) = found.try_next().await? else { return Ok(Mark::default()) };
    let number = |name: &str| mark.get(name).and_then(whole).unwrap_or_default();
    Ok(Mark { count: number("count"), sum: number("sum"), greatest: number("greatest") })
}

async fn all(own: &Database) -> Result<Vec<Result<Override, Unreadable>>, Error> {
    // As bytes: what somebody else has put there is looked at before it is decoded.
    let overrides = own.collection::<RawDocumentBuf>(OVERRIDES);
    // The server sends no more of one that is too large than whom it is about: a few of 16 MiB would take all the time there is.
    let size = doc! {"$bsonSize": "$$ROOT"};
    let part = doc! {"_id": "$_id", "principalType": "$principalType", "principalId": "$principalId", "isActive": "$isActive", BYTES: size.clone()};
    let shortened = doc! {"$replaceWith": {"$cond": [{"$gt": [size, signed(LARGEST_BSON as u64)]}, part, "$$ROOT"]}};
    let found = overrides.aggregate([shortened]).read_concern(ReadConcern::majority()).max_time(OPERATION).await?;
    let found = found.with_type::<RawDocumentBuf>();
    let mut documents: Vec<_> = found.map_ok(|document| read(&document)).try_collect().await?;
    documents.sort_by(|one, other| match (one, other) {
        (Ok(one), Ok(other)) => one.principal.cmp(&other.principal),
        (one, other) => one.is_err().cmp(&other.is_err()),
    });
    Ok(documents)
}

async fn draw(own: &Database) -> Result<u64, Error> {
    let drawn = own
        .collection::<Document>(COUNTERS)
        .find_one_and_update(doc! {"_id": VERSIONS}, doc! {"$inc": {"last": 1_i64}})
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    let version = drawn.as_ref().and_then(|drawn| drawn.get("last")).and_then(whole);
    version.ok_or_else(|| Error::custom(format!("the counter {VERSIONS} is no whole number")))
}

async fn put(own: &Database, document: &Override, expected: Expected) -> Result<bool, Error> {
    // Without the unique key, two writers could both make the first document of somebody.
    make_indexes(own).await?;
    let written = written(document, document.config_version);
    let overrides = own.collection::<Document>(OVERRIDES);
    match expected {
        Expected::None => match overrides.insert_one(written).await {
            Ok(_) => Ok(true),
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(error),
        },
        Expected::Version(before) => {
            let replaced = overrides.replace_one(named(&document.principal, before), written).await?;
            Ok(replaced.matched_count > 0)
        }
    }
}

async fn remove(own: &Database, principal: &Principal, version: u64) -> Result<bool, Error> {
    let removed = own.collection::<Document>(OVERRIDES).delete_one(named(principal, version)).await?;
    Ok(removed.deleted_count > 0)
}

async fn clear(own: &Database, principal: &Principal) -> Result<u64, Error> {
    let mut of = doc! {"principalType": principal.kind.as_str(), "principalId": &*principal.id};
    if principal.kind == Kind::User {
        // Ids are hex digits: whoever is refused by a document written in capitals is found by it, too.
        let same = doc! {"$eq": [{"$toLower": "$principalId"}, principal.id.to_ascii_lowercase()]};
        let text = doc! {"$eq": [{"$type": "$principalId"}, "string"]};
        of = doc! {"principalType": principal.kind.as_str(), "$expr": {"$and": [text, same]}};
    }
    Ok(own.collection::<Document>(OVERRIDES).delete_many(of).await?.deleted_count)
}

/// Making them again changes nothing.
async fn make_indexes(own: &Database) -> Result<(), Error> {
    let unique =
        |keys: Document| IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(true).build()).build();
    let plain = IndexModel::builder().keys(doc! {"configVersion": 1}).build();
    let indexes = [unique(doc! {"principalType": 1, "principalId": 1}), plain];
    own.collection::<Document>(OVERRIDES).create_indexes(indexes).await?;
    Ok(())
}

// === helpers ===

fn named(principal: &Principal, version: u64) -> Document {
    doc! {"principalType": principal.kind.as_str(), "principalId": &*principal.id, "configVersion": signed(version)}
}

/// Whether there is a document for the same principal already.
fn is_there(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(fault)) if fault.code == DUPLICATE_KEY)
}
