//! The driver's errors in our own words. The driver's texts are not passed on where they may quote the connection string.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mongodb::error::{Error, ErrorKind, IndexedWriteError};
use mongodb::options::ServerAddress;
use tokio::time::timeout;

use super::SELECTION;
use super::ledger::DUPLICATE_KEY;
use crate::store::StoreError;

/// MongoDB's code for an operation that the user may not do.
const UNAUTHORIZED: i32 = 13;

/// MongoDB's codes for a document or a query that is wrong in itself: BadValue, FailedToParse, TypeMismatch,
/// InvalidNamespace, DocumentValidationFailure, BSONObjectTooLarge.
const WRONG_FOR_GOOD: [i32; 6] = [2, 9, 14, 73, 121, 10_334];

/// Whether this says no more than that the document is there already. The driver gives the server's words alone: the index is named behind
/// the collection.
pub(super) fn is_repeat(refused: &IndexedWriteError) -> bool {
    let index = refused.message.split_once(" index: ").map(|(_, index)| index);
    refused.code == DUPLICATE_KEY && index.is_some_and(|index| index.starts_with("_id_ "))
}

/// Whether the document will never be taken: another one has what it may not share, or it is wrong in itself. Whatever else keeps a
/// server from writing (writes are blocked, a quorum or room is missing) will be over at some time.
fn is_for_good(refused: &IndexedWriteError) -> bool {
    refused.code == DUPLICATE_KEY || WRONG_FOR_GOOD.contains(&refused.code)
}

/// The servers that were named, for messages: `db1:27017, db2:27017`.
#[derive(Clone)]
pub(super) struct Hosts(Arc<str>);

// === impl Hosts ===

impl Hosts {
    pub(super) fn new(hosts: &[ServerAddress]) -> Self {
        Self(hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").into())
    }

    /// Before the connection string has been read.
    pub(super) fn unknown() -> Self {
        Self("the servers of the connection string".into())
    }

    /// What went wrong. All that somebody can mend while Tollgate runs counts as transient, rights and passwords too.
    pub(super) fn fault(&self, error: &Error) -> StoreError {
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } => {
                let waited = SELECTION.as_secs();
                self.because(
                    &format_args!(
                        "no usable server within {waited} s; is it running, and can it be reached from here?"
                    ),
                    true,
                )
            }
            ErrorKind::Io(error) => self.because(error, true),
            ErrorKind::Authentication { .. } => {
                self.because(&"the server does not accept the user name or the password", true)
            }
            ErrorKind::Command(command) if command.code == UNAUTHORIZED => self.because(
                &"the user may not do this; it needs `read` on LibreChat's database and `readWrite` on tollgate's own",
                true,
            ),
            ErrorKind::Command(command) => self.because(
                &format_args!("the server answered {} ({})", command.code_name, command.code),
                !WRONG_FOR_GOOD.contains(&command.code),
            ),
            ErrorKind::InsertMany(failure) => match (&failure.write_concern_error, failure.write_errors.as_deref()) {
                (Some(_), _) => self.because(&"the write did not reach a majority of the servers", true),
                (None, Some(refused)) if let Some(first) = refused.iter().find(|refused| !is_repeat(refused)) => {
                    // One that may be taken later is not given up for others that will not.
                    let for_good = refused.iter().all(|refused| is_repeat(refused) || is_for_good(refused));
                    self.because(&format_args!("a document was refused with code {}", first.code), !for_good)
                }
                (None, _) => self.because(&"a write failed", true),
            },
            ErrorKind::Bson(error) => {
                let what = error.message.as_deref().unwrap_or("no details");
                self.because(&format_args!("a document does not have the expected types: {what}"), false)
            }
            ErrorKind::DnsResolve { .. } => self.because(&"the name cannot be resolved", true),
            // Ours: found while a document was read.
            ErrorKind::Custom(why) if let Some(why) = why.downcast_ref::<String>() => self.because(why, false),
            ErrorKind::IncompatibleServer { message, .. } => self.because(message, false),
            ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => {
                self.because(&"the connection string asks for something that cannot be done", false)
            }
            _ => self.because(&"the connection failed", true),
        }
    }

    /// Two documents where one alone makes sense.
    pub(super) fn ambiguous(&self, collection: &str) -> StoreError {
        self.because(&format_args!("two documents of {collection} have what only one may have"), false)
    }

    fn because(&self, why: &dyn Display, transient: bool) -> StoreError {
        StoreError { store: "mongodb", message: format!("{}: {why}", self.0), transient }
    }
}

/// Waits for `work` no longer than this, whatever holds it up: a server that takes a request and never answers too.
pub(super) async fn in_time<T>(hosts: &Hosts, limit: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let Ok(done) = timeout(limit, work).await else {
        return Err(hosts.because(&format_args!("no answer within {} s", limit.as_secs()), true));
    };
    Ok(done)
}

/// The connection string cannot be used.
pub(super) fn uri(error: &Error) -> StoreError {
    let hosts = Hosts::unknown();
    match error.kind.as_ref() {
        ErrorKind::DnsResolve { .. } => hosts.because(&"the name cannot be resolved", true),
        // The driver's text may quote the string, password and all.
        _ => StoreError {
            store: "mongodb",
            message: "the connection string (MONGO_URI) cannot be read; it looks like \
                      mongodb://user:password@host:27017/LibreChat, with special characters of the password \
                      percent-encoded"
                .into(),
            transient: false,
        },
    }
}

/// The name of Tollgate's own database cannot be used.
pub(super) fn own_database(name: &str) -> StoreError {
    StoreError {
        store: "mongodb",
        message: format!(
            "tollgate's own database cannot be {name:?}; name one that is not LibreChat's, which is only read"
        ),
        transient: false,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, deserialize_from_document, doc};
    use mongodb::error::InsertManyError;

    use super::*;

    fn of(refusals: &[Document]) -> StoreError {
        let failure: InsertManyError = deserialize_from_document(doc! {"writeErrors": refusals.to_vec()}).unwrap();
        Hosts("db:27017".into()).fault(&ErrorKind::InsertMany(failure).into())
    }

    /// As MongoDB 6.0 and 8.0 word them.
    #[test]
    fn what_lasts_is_told_from_what_will_be_over() {
        let refusal = |code: i32, message: &str| doc! {"index": 0, "code": code, "errmsg": message};
        let repeat = refusal(11_000, "E11000 duplicate key error collection: t.audit index: _id_ dup key: { _id: 1 }");
        let other = refusal(
            11_000,
            "E11000 duplicate key error collection: t.audit index: a_1 dup key: { a: \" index: _id_ \" }",
        );
        let rule = refusal(121, "Document failed validation");
        let blocked = refusal(371, "User writes blocked");
        let no_room = refusal(14_031, "Cannot take a lock, not enough disk space");
        for (refusals, code, transient) in [
            (vec![repeat.clone(), blocked.clone()], "371", true),
            (vec![no_room], "14031", true),
            (vec![rule.clone(), blocked], "121", true),
            (vec![rule.clone()], "121", false),
            (vec![repeat, rule], "121", false),
            (vec![other], "11000", false),
        ] {
            let fault = of(&refusals);
            assert_eq!(fault.transient, transient, "{fault} {refusals:?}");
            assert!(fault.message.contains(&format!("code {code}")), "{fault}");
        }
    }
}
