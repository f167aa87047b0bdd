//! Looking at all documents, whatever they are, and at the members by which they are found.

use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{Hint, ReadConcern};

use super::ledger::collection;
use super::search::{self, Matching};
use super::{SEARCH, lines};
use crate::record::Kind;
use crate::store::{Inspected, Mark, Row};

/// Documents of a page.
const PAGE: usize = 1_000;

/// See [`crate::store::Ledger::inspect`].
pub(super) async fn inspect(own: &Database, kind: Kind, after: Option<&Mark>) -> Result<Inspected, Error> {
    let from = after.map(|mark| Document::from_reader(mark.0.as_ref())).transpose()?;
    // By the index alone, and not by a condition: that would only find ids of the same type.
    let all = collection(own, kind);
    let asked = all.find(doc! {}).sort(doc! {"_id": 1}).hint(Hint::Keys(doc! {"_id": 1}));
    let asked = asked.limit(search::limit(PAGE + 1)).read_concern(ReadConcern::majority()).max_time(SEARCH);
    let mut documents = match from.clone() {
        Some(from) => asked.min(from).await?,
        None => asked.await?,
    };
    let (mut inspected, mut last) = (Inspected::default(), None);
    let mut count = 0_usize;
    while let Some(document) = documents.try_next().await? {
        count += 1;
        let id = document.get("_id").cloned();
        if id.is_some() && id.as_ref() == from.as_ref().and_then(|from| from.get("_id")) {
            continue;
        }
        last = id;
        inspected.rows.push(match search::line(kind, &document, Matching::Nothing) {
            Ok(line) => Row::Line { differs: differing(&document, &lines::document(&line)?), line },
            Err(unread) => Row::Unread(unread),
        });
    }
    if let Some(last) = last.filter(|_| count > PAGE) {
        inspected.next = Some(Mark(doc! {"_id": last}.to_vec()?.into()));
    }
    Ok(inspected)
}

/// The names of the members in which a document is not what its text makes.
fn differing(document: &Document, made: &Document) -> Vec<Box<str>> {
    let changed = made.iter().filter(|(name, value)| document.get(name) != Some(*value)).map(|(name, _)| name);
    let added = document.keys().filter(|name| !made.contains_key(*name));
    changed.chain(added).map(|name| name.as_str().into()).collect()
}
