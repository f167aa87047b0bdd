//! Finding lines.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use mongodb::{Cursor, Database};
use uuid::Uuid;

use super::ledger::{KINDS, collection};
use super::lines::{self, uuid};
use super::{SEARCH, ledger};
use crate::record::{Kind, Line};
use crate::store::{Filter, Order, Place};

/// See [`crate::store::Ledger::find`].
pub(super) async fn find(
    own: &Database,
    filter: &Filter,
    after: Option<&Place>,
    most: usize,
) -> Result<Vec<Line>, Error> {
    let towards = if filter.order == Order::Oldest { 1 } else { -1 };
    let mut found = Vec::new();
    for kind in filter.kinds() {
        let mut conditions = conditions(kind, filter);
        if let Some(place) = after {
            conditions.push(beyond(place, filter.order));
        }
        let asked = collection(own, kind)
            .find(all_of(conditions))
            .sort(doc! {"timestamp": towards, "_id": towards})
            .limit(limit(most))
            .allow_disk_use(true)
            .read_concern(ReadConcern::majority())
            .max_time(SEARCH)
            .await?;
        found.extend(read(kind, asked).await?);
    }
    found.sort_by_key(|line| (line.at.as_millisecond(), line.id));
    if filter.order == Order::Newest {
        found.reverse();
    }
    found.truncate(most);
    Ok(found)
}

/// See [`crate::store::Ledger::chain`].
pub(super) async fn chain(
    own: &Database,
    instance: Uuid,
    kind: Kind,
    from: u64,
    most: usize,
) -> Result<Vec<Line>, Error> {
    let number = ledger::number(kind);
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let asked = collection(own, kind)
        .find(doc! {"instance": uuid(instance), number: {"$gte": from}})
        .sort(doc! {number: 1})
        .limit(limit(most))
        .read_concern(ReadConcern::majority())
        .max_time(SEARCH)
        .await?;
    read(kind, asked).await
}

/// See [`crate::store::Ledger::instances`].
pub(super) async fn instances(own: &Database) -> Result<Vec<Uuid>, Error> {
    ids(own, &KINDS, "instance").await
}

/// See [`crate::store::Ledger::erasures`].
pub(super) async fn erasures(own: &Database) -> Result<Vec<Uuid>, Error> {
    ids(own, &[Kind::Audit, Kind::Usage], "erased").await
}

/// The documents as lines, in their order.
pub(super) async fn read(kind: Kind, mut documents: Cursor<Document>) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    while let Some(document) = documents.try_next().await? {
        lines.push(lines::line(kind, &document)?);
    }
    Ok(lines)
}

/// After a place in the order of time.
pub(super) fn beyond(place: &Place, order: Order) -> Document {
    let (at, id) = (date(place.at), uuid(place.id));
    let (from, past) = if order == Order::Oldest { ("$gte", "$gt") } else { ("$lte", "$lt") };
    // The first condition is what the index is entered by.
    doc! {"timestamp": {from: at}, "$or": [{"timestamp": {past: at}}, {"_id": {past: id}}]}
}

/// So many documents. Zero would be all of them, and is none here: nobody asks for a page of nothing.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).max(1)
}

// === helpers ===

/// Conditions that a filter puts on the collection of a kind. What is asked for is compared as a value, never read as an operator.
fn conditions(kind: Kind, filter: &Filter) -> Vec<Document> {
    let Filter { user, role, group, action, endpoint, model, .. } = filter;
    let (of_endpoint, of_model) = match kind {
        Kind::Usage => ("endpoint", "model"),
        Kind::Audit | Kind::Head => ("metadata.endpoint", "metadata.model"),
    };
    let text = |text: &Option<Box<str>>| text.as_deref().map(Bson::from);
    let word = |word: Option<String>| word.map(Bson::from);
    let values = [
        ("userId", text(user)),
        ("role", text(role)),
        ("groups", text(group)),
        ("category", word(filter.category_word())),
        ("severity", word(filter.severity_word())),
        ("action", text(action)),
        ("decision", word(filter.decision_word())),
        (of_endpoint, text(endpoint)),
        (of_model, text(model)),
        ("erased", filter.erased.map(uuid)),
    ];
    let equal = values.into_iter().filter_map(|(name, value)| Some(doc! {name: {"$eq": value?}}));
    let since = filter.since.map(|at| doc! {"timestamp": {"$gte": date(at)}});
    let until = filter.until.map(|at| doc! {"timestamp": {"$lt": date(at)}});
    equal.chain(since).chain(until).collect()
}

fn all_of(conditions: Vec<Document>) -> Document {
    if conditions.is_empty() {
        doc! {}
    } else {
        doc! {"$and": conditions}
    }
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

async fn ids(own: &Database, kinds: &[Kind], name: &str) -> Result<Vec<Uuid>, Error> {
    let mut ids = Vec::new();
    for kind in kinds {
        let named = doc! {name: {"$exists": true}};
        let each = collection(own, *kind).distinct(name, named).max_time(SEARCH).await?;
        ids.extend(each.iter().filter_map(|id| match id {
            Bson::Binary(binary) => Uuid::from_slice(&binary.bytes).ok(),
            _ => None,
        }));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
