//! Entries as documents of Tollgate's own database (DESIGN.md 6).

use jiff::Timestamp;
use mongodb::bson::{self, Bson, DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Database, IndexModel};
use serde::Serialize;
use uuid::Uuid;

use crate::record::Entry;

const AUDIT: &str = "audit";
const USAGE: &str = "usage_events";

/// MongoDB's code for a key that is there already.
const DUPLICATE_KEY: i32 = 11_000;

/// The documents of each collection, in the order of the entries.
#[derive(Default)]
pub(super) struct Documents {
    audit: Vec<Document>,
    usage: Vec<Document>,
}

pub(super) fn documents(entries: &[Entry]) -> Result<Documents, Error> {
    let mut documents = Documents::default();
    for entry in entries {
        match entry {
            Entry::Audit(audit) => {
                documents.audit.push(document(audit, audit.id, audit.request_id, audit.timestamp)?);
            }
            Entry::Usage(usage) => {
                documents.usage.push(document(usage, usage.id, usage.request_id, usage.timestamp)?);
            }
        }
    }
    Ok(documents)
}

/// Makes the indexes that queries by user, category, severity and model need. Making them again changes nothing.
pub(super) async fn make_indexes(own: &Database) -> Result<(), Error> {
    for (collection, keys) in [(AUDIT, ["userId", "category", "severity"].as_slice()), (USAGE, &["userId", "model"])] {
        let indexes = keys.iter().map(|key| IndexModel::builder().keys(doc! {*key: 1, "timestamp": 1}).build());
        own.collection::<Document>(collection).create_indexes(indexes).await?;
    }
    Ok(())
}

/// Appends what is not there yet.
pub(super) async fn append(own: &Database, documents: &Documents) -> Result<(), Error> {
    for (collection, documents) in [(AUDIT, &documents.audit), (USAGE, &documents.usage)] {
        if documents.is_empty() {
            continue;
        }
        // Unordered: a document that is there already does not keep the ones after it out.
        let inserted = own.collection::<Document>(collection).insert_many(documents).ordered(false).await;
        if let Err(error) = inserted
            && !only_repeats(&error)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Whether nothing went wrong but that some documents are there already.
fn only_repeats(error: &Error) -> bool {
    let ErrorKind::InsertMany(failure) = error.kind.as_ref() else { return false };
    let mut errors = failure.write_errors.iter().flatten().peekable();
    failure.write_concern_error.is_none() && errors.peek().is_some() && errors.all(|error| error.code == DUPLICATE_KEY)
}

/// The entry with ids as UUIDs and the time as a date; JSON has neither, BSON has both.
fn document(entry: &impl Serialize, id: Uuid, request: Uuid, time: Timestamp) -> Result<Document, Error> {
    let mut document = bson::serialize_to_document(entry)?;
    document.insert("_id", uuid(id));
    document.insert("requestId", uuid(request));
    document.insert("timestamp", DateTime::from_millis(time.as_millisecond()));
    Ok(document)
}

fn uuid(id: Uuid) -> Bson {
    bson::Uuid::from_bytes(id.into_bytes()).into()
}
