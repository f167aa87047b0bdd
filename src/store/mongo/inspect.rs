//! Looking at all documents, whatever they are, and at the members by which they are found.

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::{Hint, ReadConcern};
use mongodb::{Collection, Database};

use super::ledger::collection;
use super::search::{self, Matching};
use super::{SEARCH, lines};
use crate::record::Kind;
use crate::store::{Inspected, Mark, Row};

/// Documents of a page.
const PAGE: usize = 1_000;

/// See [`crate::store::Ledger::inspect`].
pub(super) async fn inspect(own: &Database, kind: Kind, after: Option<&Mark>) -> Result<Inspected, Error> {
    let (documents, next) = page(&collection(own, kind), after).await?;
    let mut rows = Vec::with_capacity(documents.len());
    for document in &documents {
        rows.push(match search::line(kind, document, Matching::Nothing) {
            Ok(line) => Row::Line { differs: differing(document, &lines::document(&line)?), line },
            Err(unread) => Row::Unread(unread),
        });
    }
    Ok(Inspected { rows, next })
}

/// A page of all documents, whatever they are, and where the next one begins.
pub(super) async fn page(
    all: &Collection<Document>,
    after: Option<&Mark>,
) -> Result<(Vec<Document>, Option<Mark>), Error> {
    let from = after.map(|mark| Document::from_reader(mark.0.as_ref())).transpose()?;
    // By the index alone, and not by a condition: that would only find ids of the same type.
    let asked = all.find(doc! {}).sort(doc! {"_id": 1}).hint(Hint::Keys(doc! {"_id": 1}));
    let asked = asked.limit(search::limit(PAGE + 1)).read_concern(ReadConcern::majority()).max_time(SEARCH);
    let mut found = match from.clone() {
        Some(from) => asked.min(from).await?,
        None => asked.await?,
    };
    let (mut documents, mut count) = (Vec::new(), 0_usize);
    while let Some(document) = found.try_next().await? {
        count += 1;
        let id = document.get("_id");
        if id.is_none() || id != from.as_ref().and_then(|from| from.get("_id")) {
            documents.push(document);
        }
    }
    let last = documents.last().and_then(|last| last.get("_id")).filter(|_| count > PAGE);
    let next = last.map(|id| doc! {"_id": id}.to_vec()).transpose()?;
    Ok((documents, next.map(|next| Mark(next.into()))))
}

/// The names of the members in which a document is not what its text makes.
fn differing(document: &Document, made: &Document) -> Vec<Box<str>> {
    let changed = made.iter().filter(|(name, value)| document.get(name) != Some(*value)).map(|(name, _)| name);
    let added = document.keys().filter(|name| !made.contains_key(*name));
    changed.chain(added).map(|name| name.as_str().into()).collect()
}
