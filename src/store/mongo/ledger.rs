//! The collections of Tollgate's own database (DESIGN.md 6), their indexes, and what is appended to them.

use std::collections::BTreeSet;

use jiff::civil::Date;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::daily::DAILY;
use super::{faults, lines};
use crate::record::{Kind, Line};
use crate::store::daily::day;

pub(super) const AUDIT: &str = "audit";
pub(super) const USAGE: &str = "usage_events";
pub(super) const HEADS: &str = "heads";

/// All kinds of lines.
pub(super) const KINDS: [Kind; 3] = [Kind::Audit, Kind::Usage, Kind::Head];

/// MongoDB's code for a key that is there already.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// MongoDB's codes for a collection and for an index that are not there.
const NO_COLLECTION: i32 = 26;
const NO_INDEX: i32 = 27;

/// The documents of each collection, in the order of the lines.
pub(super) struct Documents {
    of_kinds: [(Kind, Vec<Document>); 3],
    /// The days and users that the usage entries are about.
    days: BTreeSet<(Date, Box<str>)>,
}

// === impl Documents ===

impl Documents {
    /// The days and users that the usage entries are about.
    pub(super) fn days(&self) -> &BTreeSet<(Date, Box<str>)> {
        &self.days
    }
}

/// The collection that keeps lines of this kind.
pub(super) fn collection(own: &Database, kind: Kind) -> Collection<Document> {
    own.collection(name(kind))
}

/// Its name.
pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audit => AUDIT,
        Kind::Usage => USAGE,
        Kind::Head => HEADS,
    }
}

pub(super) fn documents(lines: &[Line]) -> Result<Documents, Error> {
    let mut documents = Documents { of_kinds: KINDS.map(|kind| (kind, Vec::new())), days: BTreeSet::new() };
    for line in lines {
        let document = lines::document(line)?;
        if line.kind == Kind::Usage
            && let Ok(user) = document.get_str("userId")
        {
            documents.days.insert((day(line.at), user.into()));
        }
        for (kind, of_kind) in &mut documents.of_kinds {
            if *kind == line.kind {
                of_kind.push(document);
                break;
            }
        }
    }
    Ok(documents)
}

/// The member that numbers lines of this kind in their chain.
pub(super) fn number(kind: Kind) -> &'static str {
    match kind {
        Kind::Audit | Kind::Usage => "seq",
        Kind::Head => "number",
    }
}

/// Members by which entries are looked for, each in the order of time; the indexes that older versions made for that, which
/// these take the place of.
const SEARCHED: [(&str, &[&str], &[&str]); 2] = [
    (AUDIT, &["userId", "category", "severity", "action"], &["userId", "category", "severity"]),
    (USAGE, &["userId", "model"], &["userId", "model"]),
];

/// Makes the indexes that queries need. Making them again changes nothing.
pub(super) async fn make_indexes(own: &Database) -> Result<(), Error> {
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    // What most entries lack (charges, a chain, an erasure) has no place in its index.
    let sparse =
        |keys: Document| IndexModel::builder().keys(keys).options(IndexOptions::builder().sparse(true).build()).build();
    for (name, members, _) in SEARCHED {
        let entries = own.collection::<Document>(name);
        let mut indexes = vec![
            plain(doc! {"timestamp": 1, "_id": 1}),
            sparse(doc! {"instance": 1, "seq": 1}),
            sparse(doc! {"erased": 1, "timestamp": 1, "_id": 1}),
        ];
        indexes.extend(members.iter().map(|member| plain(doc! {*member: 1, "timestamp": 1, "_id": 1})));
        if name == USAGE {
            indexes.push(sparse(doc! {"charged.until": 1}));
        }
        entries.create_indexes(indexes).await?;
    }
    own.collection::<Document>(HEADS).create_index(sparse(doc! {"instance": 1, "number": 1})).await?;
    let unique = IndexOptions::builder().unique(true).build();
    let key = IndexModel::builder().keys(doc! {"key": 1}).options(unique).build();
    own.collection::<Document>(DAILY).create_indexes([key, plain(doc! {"userId": 1, "key": 1})]).await?;
    for (name, _, older) in SEARCHED {
        for member in older {
            let dropped = own.collection::<Document>(name).drop_index(format!("{member}_1_timestamp_1")).await;
            if let Err(error) = dropped
                && !is_missing(&error)
            {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Whether there is no such collection, or no such index.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if [NO_COLLECTION, NO_INDEX].contains(&command.code))
}

/// Many replacements in one command: documents with what each is for (`q`), what it becomes (`u`) and whether it may be new
/// (`upsert`). One that would be a second with its key is passed over.
pub(super) async fn many(own: &Database, name: &str, updates: Vec<Document>) -> Result<(), Error> {
    if updates.is_empty() {
        return Ok(());
    }
    let command = doc! {"update": name, "updates": updates, "ordered": false, "writeConcern": {"w": "majority"}};
    let answer = own.run_command(command).await?;
    let faults = answer.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document);
    let codes = faults.map(|fault| fault.get_i32("code").unwrap_or_default());
    if let Some(code) = codes.into_iter().find(|code| *code != DUPLICATE_KEY) {
        return Err(Error::custom(format!("a document of {name} was refused with code {code}")));
    }
    if answer.contains_key("writeConcernError") {
        return Err(std::io::Error::other("the write did not reach a majority of the servers").into());
    }
    Ok(())
}

/// Appends what is not there yet.
pub(super) async fn append(own: &Database, documents: &Documents) -> Result<(), Error> {
    for (kind, documents) in &documents.of_kinds {
        if documents.is_empty() {
            continue;
        }
        // Unordered: a document that is there already does not keep the ones after it out.
        let inserted = collection(own, *kind).insert_many(documents).ordered(false).await;
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
    failure.write_concern_error.is_none() && errors.peek().is_some() && errors.all(faults::is_repeat)
}
