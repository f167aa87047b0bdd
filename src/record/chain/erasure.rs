//! Erasing an entry and leaving its place in the chain: a tombstone has the entry's hash and the digest it was made from, and nothing else of it. The
//! salt that went into the digest is gone with the entry, so that nobody can find out by trial what it said.

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use super::super::heads::{SignFault, Signer};
use super::super::line::{Kind, Line};
use super::super::link::{Hash, Link, Tombstone, Unlinked};

/// What the signature of a tombstone begins with.
const TOMBSTONE: &[u8] = b"tollgate tombstone 1\n";

/// An erasure that is under way: who signs for it, and the id of the event that will tell of it.
#[derive(Clone, Copy, Debug)]
pub struct Erasure<'a> {
    /// Id of the erasure, a UUIDv7: its time tells whether the event about it may have expired.
    pub id: Uuid,
    /// Signs the tombstones, so that one made by hand is found.
    pub signer: &'a Signer,
}

/// Why there is no tombstone for an entry.
#[derive(Debug, thiserror::Error)]
pub enum ErasureFault {
    /// It is not chained: it can be removed, and nothing vouches for it.
    #[error("entry {0} leaves no tombstone: {1}")]
    Unlinked(Uuid, Unlinked),
    /// It says something else than what was kept: whoever finds out why needs it as it is.
    #[error("entry {0} was changed since it was kept: run `tollgate audit verify` before erasing")]
    Changed(Uuid),
    /// Heads tell of nobody.
    #[error("head {0} cannot be erased: heads tell of nobody")]
    Head(Uuid),
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignFault),
    /// It cannot be written as JSON.
    #[error("a tombstone cannot be written: {0}")]
    Text(#[from] serde_json::Error),
}

/// An entry that was erased, for [`root`]. Its order is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tombed {
    /// Its instance.
    pub instance: Uuid,
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

// === impl Erasure ===

impl Erasure<'_> {
    /// The tombstone of a kept line, with the same kind, id, time and place. A tombstone stays what it is, whichever erasure made it.
    ///
    /// # Errors
    /// [`ErasureFault`].
    pub fn tombstone(&self, line: &Line) -> Result<Line, ErasureFault> {
        if line.kind == Kind::Head {
            return Err(ErasureFault::Head(line.id));
        }
        let link = Link::read(&line.text).map_err(|fault| ErasureFault::Unlinked(line.id, fault))?;
        if !link.holds(line.kind, line.id, line.at) {
            return Err(ErasureFault::Changed(line.id));
        }
        if link.erased.is_some() {
            return Ok(line.clone());
        }
        let signature = self.signer.sign(&statement(self.id, link.hash))?;
        let text = text(line, &link, self.id, self.signer.public().id(), &signature)?;
        Ok(Line { kind: line.kind, id: line.id, at: line.at, text: text.into() })
    }
}

impl Tombed {
    /// What [`root`] needs of a tombstone; none where the line is no tombstone of this erasure.
    pub fn read(line: &Line, erasure: Uuid) -> Option<Self> {
        let Link { instance, seq, hash, erased, .. } = Link::read(&line.text).ok()?;
        (erased?.by == erasure).then_some(Self { instance, kind: line.kind, seq, hash })
    }
}

/// What an erasure's event says as `root`: SHA-256 over the hashes of all entries that it erased, in the order of instance, kind (audit, usage) and number.
/// The slice is brought into that order.
pub fn root(erased: &mut [Tombed]) -> Hash {
    erased.sort_unstable();
    let mut context = Context::new(&SHA256);
    for entry in erased {
        context.update(&entry.hash.0);
    }
    Hash::taken(&context.finish())
}

/// What is signed: the entry's hash, in which its kind, id, time and place are, and which erasure it was.
pub(in crate::record) fn statement(erasure: Uuid, hash: Hash) -> Vec<u8> {
    [TOMBSTONE, erasure.as_bytes(), &hash.0].concat()
}

/// The text of a tombstone.
///
/// # Errors
/// Where it cannot be written as JSON.
pub(in crate::record) fn text(
    line: &Line,
    link: &Link,
    erased: Uuid,
    key: &str,
    signature: &str,
) -> serde_json::Result<String> {
    let Line { kind, id, at, .. } = *line;
    let (key, signature) = (key.into(), signature.into());
    let tombstone = Tombstone { kind, id, timestamp: at, erased, key, signature, digest: link.digest };
    let mut text = serde_json::to_string(&tombstone)?;
    // The link goes on where the object ends.
    text.pop();
    link.write(&mut text);
    Ok(text)
}
