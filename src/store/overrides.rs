//! The documents that change what the files of the policy say: what is kept of them, and how they are changed.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::StoreError;
use crate::policy::overrides::Principal;

/// Most bytes that `overrides` of one document may have, written as JSON.
pub const LARGEST: usize = 64 * 1024;

/// How deep mappings and lists may stand in each other in `overrides`: as deep as in a file of a policy.
pub const DEEPEST: usize = 32;

/// A document as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Whom it is about. There is one document for each.
    pub principal: Principal,
    /// Its place in the order in which documents are merged.
    pub priority: i32,
    /// What an entry of a policy file could say.
    pub overrides: Map<String, Value>,
    /// Whether it counts.
    pub is_active: bool,
    /// Another one with every change of any document: versions are drawn from one counter that only grows.
    pub config_version: u64,
    /// When it was changed last, UTC.
    pub updated_at: Timestamp,
    /// Who changed it last, where that is known: `cli` for a command.
    pub updated_by: Option<Box<str>>,
    /// Why, in the words of whoever changed it.
    pub note: Option<Box<str>>,
    /// From when on it does not count any more; none where it counts until it is changed.
    pub expires_at: Option<Timestamp>,
}

/// What documents look like from outside: different whenever any of them may say something else.
///
/// Versions are drawn from one counter, so that no two documents ever have the same, and each change gives a document one that it has not had.
/// A new or a changed document raises the greatest version, or, where two writers were at it at once and the later one was
/// faster, the sum; one that is removed lowers the count, and one that is put in its place raises the greatest version. What
/// could escape this is several writers that overtake each other and a removal, between two looks, with sums that
/// happen to be equal: so whoever follows documents reads them all again every few seconds, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// How many documents there are.
    pub count: u64,
    /// The sum of their versions.
    pub sum: u64,
    /// The greatest of their versions; 0 where there is none.
    pub greatest: u64,
}

/// Which document is expected where one is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet.
    None,
    /// The one with this version.
    Version(u64),
}

/// Why a document was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unchanged {
    /// Somebody else has changed it meanwhile.
    #[error("somebody else has changed it meanwhile")]
    Overtaken,
    /// The store has no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps the documents.
#[async_trait]
pub trait Overrides: Send + Sync {
    /// What they look like now. Cheap: asked several times a second.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn mark(&self) -> Result<Mark, StoreError>;

    /// All documents, in the order of kinds and ids. One that cannot be read stands as what is wrong with it.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn all(&self) -> Result<Vec<Result<Override, Unreadable>>, StoreError>;

    /// Draws the next version, greater than all before. One that nobody uses is no harm.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn draw(&self) -> Result<u64, StoreError>;

    /// Puts a document, under a version that was drawn for it, where `expected` is.
    ///
    /// # Errors
    /// [`Unchanged::Overtaken`] where something else is there.
    async fn put(&self, document: &Override, expected: Expected) -> Result<(), Unchanged>;

    /// Removes the document with this version.
    ///
    /// # Errors
    /// [`Unchanged::Overtaken`] where another one is there, or none.
    async fn remove(&self, principal: &Principal, version: u64) -> Result<(), Unchanged>;

    /// Removes whatever there is about a principal, also what cannot be read, and says how many documents that were.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn clear(&self, principal: &Principal) -> Result<u64, StoreError>;
}

/// A document that is not one of ours, or has been changed by hand into something that is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document {name} cannot be read: {why}")]
pub struct Unreadable {
    /// Its name, as far as it can be told.
    pub name: Box<str>,
    /// What is wrong with it.
    pub why: Box<str>,
    /// Whom it is about, where that can be told.
    pub of: Option<Principal>,
    /// Whether it may be meant to count: all but what says plainly that it is switched off.
    pub is_active: bool,
}

impl Override {
    /// What it says, as text that is the same wherever it is read: members in the order of their names.
    pub fn text(&self) -> String {
        sorted(&Value::Object(self.overrides.clone())).to_string()
    }

    /// Checks that what it says is not larger than what can be written. Stores ask this of what they read.
    ///
    /// # Errors
    /// A sentence that says how large it is.
    pub fn check_size(&self) -> Result<(), String> {
        let size = self.text().len();
        if size > LARGEST {
            return Err(format!("the override has {size} bytes as JSON, and may have {LARGEST}"));
        }
        Ok(())
    }

    /// Whether it counts at this moment.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.is_active && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What is wrong with a document whose mappings and lists stand too deep in each other.
pub(super) fn too_deep() -> String {
    format!("\"overrides\" has more than {DEEPEST} mappings and lists in each other")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
