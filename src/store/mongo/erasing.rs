//! Erasing a user, step by step.

use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;

use super::daily::DAILY;
use super::ledger::{collection, many};
use super::lines::{self, uuid};
use super::search::{self, Matching};
use crate::record::{Kind, Line};
use crate::store::{ERASED, Erased, Found, Order, Place, Tomb, Unread};

/// Entries of one step.
const STEP: usize = 200;

/// The next entries of a kind become tombstones, those after this place; the last of them, and none where there are no more.
pub(super) async fn step(
    own: &Database,
    kind: Kind,
    user: &str,
    after: Option<Place>,
    tomb: &Tomb,
) -> Result<(Option<Place>, Erased), Error> {
    let mut of = doc! {"userId": {"$eq": user}};
    of.extend(after.map(|place| search::beyond(&place, Order::Oldest)).unwrap_or_default());
    let entries = collection(own, kind);
    let sort = doc! {"timestamp": 1, "_id": 1};
    let Found { lines, unread } = search::lines(own, kind, of, sort, STEP, Matching::Place).await?;
    let (mut erased, mut tombstones, mut removed) = (Erased::default(), Vec::new(), Vec::new());
    for Unread { name, why } in unread {
        erased.keep(format!("{name}: {why}"));
    }
    for line in &lines {
        match tomb(line) {
            Ok(Some(tombstone)) => tombstones.push(replacement(line, &tombstone)?),
            Ok(None) => removed.push(uuid(line.id)),
            Err(why) => erased.keep(why),
        }
    }
    erased.tombstones = u64::try_from(tombstones.len()).unwrap_or(u64::MAX);
    erased.removed = u64::try_from(removed.len()).unwrap_or(u64::MAX);
    many(own, entries.name(), tombstones).await?;
    if !removed.is_empty() {
        entries.delete_many(doc! {"_id": {"$in": removed}}).await?;
    }
    Ok((lines.last().map(Place::of).filter(|_| lines.len() == STEP), erased))
}

/// How many audit entries of others name the user: in the path, or as the one about whom an event is.
pub(super) async fn named(own: &Database, user: &str) -> Result<u64, Error> {
    let path = doc! {"$ifNull": ["$details.path", ""]};
    let of = doc! {
        "userId": {"$ne": user},
        "$or": [
            {"$expr": {"$gte": [{"$indexOfBytes": [path, user]}, 0]}},
            {"about.principal.id": {"$eq": user}},
            {"about.changed.principal.id": {"$eq": user}},
            {"about.faulty.principal.id": {"$eq": user}},
        ],
    };
    collection(own, Kind::Audit).count_documents(of).await
}

/// The last step: the user's name goes out of the sums. How many days that were.
pub(super) async fn forget(own: &Database, user: &str) -> Result<u64, Error> {
    // The document's own id tells nothing about anybody.
    let key = doc! {"$concat": [{"$dateToString": {"date": "$day", "format": "%Y-%m-%d"}}, "|", ERASED, "|", {"$toString": "$_id"}]};
    let anonymous = vec![doc! {"$set": {"userId": ERASED, "key": key}}];
    let days = own.collection::<Document>(DAILY).update_many(doc! {"userId": {"$eq": user}}, anonymous).await?;
    Ok(days.modified_count)
}

fn replacement(line: &Line, tombstone: &Line) -> Result<Document, Error> {
    Ok(doc! {"q": {"_id": uuid(line.id)}, "u": lines::document(tombstone)?})
}
