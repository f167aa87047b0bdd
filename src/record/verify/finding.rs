//! What is wrong with a record, each in one sentence.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::Kind;

/// So many findings are told; the rest are counted.
const MOST: usize = 1_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of wrong.
    pub what: What,
    /// Of which lines; none where it cannot be told.
    pub kind: Option<Kind>,
    /// Of whose chain.
    pub instance: Option<Uuid>,
    /// The first and last number that it is about (of heads: their `number`). The last is the surest where somewhere between them is meant.
    pub seq: Option<(u64, u64)>,
    /// Id of the entry, where it is one.
    pub id: Option<Uuid>,
    /// The entry's time, where it is one.
    pub at: Option<Timestamp>,
    /// Where nothing vouches for entries before this place either: the first of them. What was done may have been done to them.
    pub since: Option<u64>,
    /// What is wrong, as the end of a sentence about the entry.
    pub why: String,
    /// When this place of the chain was written, as far as is known: findings are sorted by it.
    pub(super) order: Timestamp,
}

/// What kind of wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// An entry says something else than when it was kept.
    Edited,
    /// An entry was changed, removed or put in, and all after it up to a head made to fit: which one cannot be told.
    Rewritten,
    /// Entries are gone.
    Removed,
    /// There is an entry that is not of the chain.
    Inserted,
    /// Lines do not come in the order of their numbers.
    Reordered,
    /// A line is no kept line.
    Unreadable,
    /// A tombstone was not made by an erasure.
    Erased,
    /// An erasure and its tombstones say different things.
    Erasure,
    /// A head's signature is wrong.
    Signature,
    /// A head is signed with a key that is not trusted.
    Key,
    /// A head does not fit the head before it.
    Head,
    /// Heads are gone.
    HeadsMissing,
    /// Sums are not what the entries add up to.
    Sums,
}

/// All findings of a verification, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) more: u64,
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(what: What, why: String) -> Self {
        Self {
            what,
            kind: None,
            instance: None,
            seq: None,
            id: None,
            at: None,
            since: None,
            why,
            order: Timestamp::MIN,
        }
    }

    /// About a place in a chain.
    pub(super) fn about(
        what: What,
        kind: Kind,
        instance: Uuid,
        seq: (u64, u64),
        order: Timestamp,
        why: String,
    ) -> Self {
        Self { kind: Some(kind), instance: Some(instance), seq: Some(seq), order, ..Self::new(what, why) }
    }

    /// With the entry.
    pub(super) fn entry(self, id: Uuid, at: Timestamp) -> Self {
        Self { id: Some(id), at: Some(at), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.as_str())?;
        f.write_str(": ")?;
        match self.kind {
            Some(Kind::Head) => f.write_str("head")?,
            Some(kind) => write!(f, "{kind} entry")?,
            None if self.what == What::Sums => return f.write_str(&self.why),
            None => f.write_str("a line")?,
        }
        match self.seq {
            Some((from, to)) if from == to => write!(f, " {from}")?,
            Some((from, to)) => write!(f, " {from} to {to}")?,
            None => (),
        }
        if let Some(instance) = self.instance {
            write!(f, " of instance {instance}")?;
        }
        if let Some(id) = self.id {
            write!(f, ", id {id}")?;
        }
        if let Some(at) = self.at {
            write!(f, ", {at}")?;
        }
        write!(f, ": {}", self.why)?;
        match (self.since, self.seq) {
            (Some(since), Some((from, _))) if since < from => {
                write!(f, "; nothing vouches for {since} to {} before it either", from - 1)
            }
            _ => Ok(()),
        }
    }
}

impl What {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Rewritten => "rewritten",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Unreadable => "unreadable",
            Self::Erased => "erased by hand",
            Self::Erasure => "erasure",
            Self::Signature => "bad signature",
            Self::Key => "unknown key",
            Self::Head => "head",
            Self::HeadsMissing => "heads missing",
            Self::Sums => "sums",
        }
    }
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.list.len() < MOST {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }
}
