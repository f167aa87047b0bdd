//! Entries as documents of Tollgate's own database (DESIGN.md 6).

use jiff::Timestamp;
use mongodb::bson::{self, Bson, DateTime, Decimal128, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use serde::Serialize;
use uuid::Uuid;

use crate::record::Entry;
use crate::record::entry::{Spent, Usd};

const AUDIT: &str = "audit";
pub(super) const USAGE: &str = "usage_events";

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
                let mut document = document(usage, usage.id, usage.request_id, usage.timestamp)?;
                if let Some(spent) = &usage.spent {
                    type_spent(&mut document, spent);
                }
                documents.usage.push(document);
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
    // For the sums of what still counts. Most entries of a policy without limits have no charges, and no place in it.
    let sparse = IndexOptions::builder().sparse(true).build();
    let charged = IndexModel::builder().keys(doc! {"charged.until": 1}).options(sparse).build();
    own.collection::<Document>(USAGE).create_index(charged).await?;
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

/// Money as decimals, and times that are asked for as dates.
fn type_spent(document: &mut Document, spent: &Spent) {
    document.insert("settled", DateTime::from_millis(spent.settled.as_millisecond()));
    type_cost(document, spent.cost);
    for (run, of) in members(document, "runs").zip(&spent.runs) {
        type_cost(run, of.cost);
    }
    for (charge, of) in members(document, "charged").zip(&spent.charged) {
        // Rounded up, for a date has milliseconds. The beginning stays a text, which has all digits.
        let until = of.until.as_microsecond().div_euclid(1_000).saturating_add(1);
        let whole = of.until.subsec_nanosecond() % 1_000_000 == 0;
        charge.insert("until", DateTime::from_millis(if whole { until - 1 } else { until }));
    }
}

fn type_cost(document: &mut Document, cost: Option<Usd>) {
    if let Some(cost) = cost.and_then(|cost| cost.to_string().parse::<Decimal128>().ok()) {
        document.insert("cost", cost);
    }
}

/// The objects of a list.
fn members<'a>(document: &'a mut Document, list: &str) -> impl Iterator<Item = &'a mut Document> {
    let items = document.get_array_mut(list).ok().into_iter().flatten();
    items.filter_map(Bson::as_document_mut)
}

fn uuid(id: Uuid) -> Bson {
    bson::Uuid::from_bytes(id.into_bytes()).into()
}
