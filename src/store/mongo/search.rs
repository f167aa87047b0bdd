//! Finding lines.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use uuid::Uuid;

use super::ledger::{KINDS, collection};
use super::lines::{self, uuid};
use super::{SEARCH, ledger};
use crate::record::{Kind, Line};
use crate::store::{Filter, Found, Order, Place, Unread};

/// See [`crate::store::Ledger::find`].
pub(super) async fn find(own: &Database, filter: &Filter, after: Option<&Place>, most: usize) -> Result<Found, Error> {
    let towards = if filter.order == Order::Oldest { 1 } else { -1 };
    let mut all = Found::default();
    for kind in filter.kinds() {
        let mut conditions = conditions(kind, filter);
        if let Some(place) = after {
            conditions.push(beyond(place, filter.order));
        }
        let sort = doc! {"timestamp": towards, "_id": towards};
        let Found { lines, unread } = lines(own, kind, all_of(conditions), sort, most, Matching::Place).await?;
        all.lines.extend(lines);
        all.unread.extend(unread);
    }
    all.lines.sort_by_key(|line| (line.at.as_millisecond(), line.id));
    if filter.order == Order::Newest {
        all.lines.reverse();
    }
    all.lines.truncate(most);
    Ok(all)
}

/// See [`crate::store::Ledger::chain`].
pub(super) async fn chain(own: &Database, instance: Uuid, kind: Kind, from: u64, most: usize) -> Result<Found, Error> {
    let number = ledger::number(kind);
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let of = doc! {"instance": uuid(instance), number: {"$gte": from}};
    lines(own, kind, of, doc! {number: 1}, most, Matching::Nothing).await
}

/// See [`crate::store::Ledger::last`].
pub(super) async fn last(own: &Database, instance: Uuid, kind: Kind) -> Result<Option<Line>, Error> {
    let number = ledger::number(kind);
    let of = doc! {"instance": uuid(instance), number: {"$gte": 0}};
    Ok(lines(own, kind, of, doc! {number: -1}, 1, Matching::Nothing).await?.lines.pop())
}

/// See [`crate::store::Ledger::instances`].
pub(super) async fn instances(own: &Database) -> Result<Vec<Uuid>, Error> {
    ids(own, &KINDS, "instance").await
}

/// See [`crate::store::Ledger::erasures`].
pub(super) async fn erasures(own: &Database) -> Result<Vec<Uuid>, Error> {
    ids(own, &[Kind::Audit, Kind::Usage], "erased").await
}

/// What of a document has to be as its text says, so that it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// Nothing: what is read is verified.
    Nothing,
    /// Id and time, by which pages go on.
    Place,
}

/// So many lines of a kind, by these conditions and in this order. What cannot be read is passed over, and does not count.
pub(super) async fn lines(
    own: &Database,
    kind: Kind,
    of: Document,
    sort: Document,
    most: usize,
    matching: Matching,
) -> Result<Found, Error> {
    let most = most.max(1);
    let mut wanted = most;
    loop {
        let mut documents = collection(own, kind)
            .find(of.clone())
            .sort(sort.clone())
            .limit(limit(wanted))
            .allow_disk_use(true)
            .read_concern(ReadConcern::majority())
            .max_time(SEARCH)
            .await?;
        let (mut found, mut count) = (Found::default(), 0_usize);
        while let Some(document) = documents.try_next().await? {
            count += 1;
            if !found.add(line(kind, &document, matching), most) {
                break;
            }
        }
        if found.lines.len() >= most || count < wanted {
            return Ok(found);
        }
        // Some of them were none: lines may come behind them.
        wanted = wanted.saturating_mul(2);
    }
}

/// The line of a document.
pub(super) fn line(kind: Kind, document: &Document, matching: Matching) -> Result<Line, Unread> {
    let unread = |why: String| {
        let id = document.get("_id").map_or_else(|| "none".to_owned(), name);
        Unread { name: format!("document {id} of {}", ledger::name(kind)).into(), why: why.into() }
    };
    let line = lines::line(kind, document).map_err(unread)?;
    if line.kind != kind {
        return Err(unread(format!("its text is one of {}", line.kind)));
    }
    let placed = document.get("_id") == Some(&uuid(line.id))
        && document.get("timestamp") == Some(&Bson::DateTime(date(line.at)));
    if matching == Matching::Place && !placed {
        return Err(unread("the store finds it by another id or time than its text has".to_owned()));
    }
    Ok(line)
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

/// An `_id` in words.
fn name(id: &Bson) -> String {
    match id {
        Bson::Binary(binary) => Uuid::from_slice(&binary.bytes)
            .map_or_else(|_| Bson::Binary(binary.clone()).to_string(), |id| id.to_string()),
        other => other.to_string(),
    }
}

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
