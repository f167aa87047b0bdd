//! The chains of one instance: each entry that is kept is bound to the one before it of its kind, so that nothing can be changed, taken out or put in between
//! unseen. One chain a kind, for kinds are kept for different times.

use aws_lc_rs::rand;
use jiff::Timestamp;
use uuid::Uuid;

use super::heads::{self, Head, Signer};
use super::line::{Kind, Line};
use super::link::{Hash, Link, Unlinked, entry_hash, push_hex};

mod ends;
mod erasure;

pub use ends::{End, Ends, HeadEnd};
pub use erasure::{Erasure, ErasureFault, Tombed, root};
pub(super) use erasure::{statement, text as tombstone_text};

/// Longer than what a link and a salt add to a text.
const ADDED: usize = 300;

/// The chains of one instance, at their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    ends: Ends,
}

/// Why a line cannot be added to its chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainFault {
    /// The text is no object in one line.
    #[error("an entry to be chained must be one JSON object in one line: {0}")]
    Text(Uuid),
    /// Heads are made, not linked.
    #[error("a head is made by its chain, and not linked: {0}")]
    Head(Uuid),
    /// The operating system gives no chance.
    #[error("no random bytes for the salt of an entry: the operating system gives none")]
    Random,
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] heads::SignFault),
}

/// Why a kept line does not continue its chain.
#[derive(Debug, thiserror::Error)]
pub enum FollowFault {
    /// It has no link.
    #[error("entry {0} cannot be followed: {1}")]
    Unlinked(Uuid, Unlinked),
    /// It is no head.
    #[error("head {0} cannot be followed: {1}")]
    Head(Uuid, heads::Unread),
    /// It is another instance's.
    #[error("entry {0} is of another instance: {1}")]
    Instance(Uuid, Uuid),
    /// Another number is next.
    #[error("{kind} {id} has number {found}, and {next} is next")]
    Number {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: Uuid,
        /// The number it has.
        found: u64,
        /// The number that is next.
        next: u64,
    },
    /// It was made after another entry than the last, or its hash is not its own.
    #[error("{0} {1} does not fit the end of its chain: its hash or that of the one before it is another")]
    Hash(Kind, Uuid),
}

// === impl Chain ===

impl Chain {
    /// The chains of an instance that has none yet.
    pub fn new(instance: Uuid) -> Self {
        Self { ends: Ends::new(instance) }
    }

    /// Goes on where these ends are.
    pub fn at(ends: Ends) -> Self {
        Self { ends }
    }

    /// Where the chains end now.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Adds salt and link to an entry's text, and moves the end of its chain. The text is not read: only that it is an object is looked at.
    ///
    /// # Errors
    /// [`ChainFault`]; the chain is as it was then.
    pub fn link(&mut self, line: &Line) -> Result<Line, ChainFault> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| ChainFault::Random)?;
        self.link_salted(line, salt)
    }

    /// The same with a salt that somebody else has drawn.
    pub(super) fn link_salted(&mut self, line: &Line, salt: [u8; 16]) -> Result<Line, ChainFault> {
        let end = self.ends.of(line.kind).ok_or(ChainFault::Head(line.id))?;
        let Some(body) = line.text.strip_suffix('}').filter(|body| body.len() > 1 && body.starts_with('{')) else {
            return Err(ChainFault::Text(line.id));
        };
        if memchr::memchr(b'\n', body.as_bytes()).is_some() {
            return Err(ChainFault::Text(line.id));
        }
        let mut text = String::with_capacity(body.len() + ADDED);
        text.push_str(body);
        text.push_str(r#","salt":""#);
        push_hex(&salt, &mut text);
        text.push_str("\"}");
        let digest = Hash::of(text.as_bytes());
        text.pop();
        let instance = self.ends.instance;
        let mut link =
            Link { instance, seq: end.seq.saturating_add(1), prev: end.hash, hash: Hash::ZERO, digest, erased: None };
        link.hash = entry_hash(line.kind, line.id, line.at, &link);
        link.write(&mut text);
        self.ends.set(line.kind, End { seq: link.seq, hash: link.hash });
        Ok(Line { kind: line.kind, id: line.id, at: line.at, text: text.into() })
    }

    /// Makes the next head: a signed statement of where both chains end. `at` is not taken to be earlier than the head before.
    ///
    /// # Errors
    /// [`ChainFault::Sign`]; the chain is as it was then.
    pub fn head(&mut self, signer: &Signer, id: Uuid, at: Timestamp) -> Result<Line, ChainFault> {
        let line = Head::next(&self.ends, id, at).sign(signer)?;
        self.ends.moved(&line);
        Ok(line)
    }

    /// Whether something was added since the last head.
    pub fn is_unsigned(&self) -> bool {
        self.unsigned() > 0
    }

    /// How many entries were added since the last head.
    pub fn unsigned(&self) -> u64 {
        let Ends { audit, usage, head, .. } = &self.ends;
        (audit.seq.saturating_sub(head.audit)).saturating_add(usage.seq.saturating_sub(head.usage))
    }

    /// Moves the ends as a line did that was kept before: what is read back after a crash. Signatures are not checked.
    ///
    /// # Errors
    /// [`FollowFault`] where the line is not the next one of its chain; the chain is as it was then.
    pub fn follow(&mut self, line: &Line) -> Result<(), FollowFault> {
        let Some(end) = self.ends.of(line.kind) else { return self.follow_head(line) };
        let link = Link::read(&line.text).map_err(|fault| FollowFault::Unlinked(line.id, fault))?;
        self.is_own(line, link.instance)?;
        self.is_next(line, link.seq, end.seq)?;
        if link.prev != end.hash || !link.holds(line.kind, line.id, line.at) {
            return Err(FollowFault::Hash(line.kind, line.id));
        }
        self.ends.set(line.kind, End { seq: link.seq, hash: link.hash });
        Ok(())
    }

    /// Moves the ends to a line whose predecessors are lost: the spool named a damaged stretch before it.
    ///
    /// # Errors
    /// [`FollowFault`] where the line is none of this instance's, or not after the end.
    pub fn resume(&mut self, line: &Line) -> Result<(), FollowFault> {
        let Some(end) = self.ends.of(line.kind) else {
            let head = Head::read(&line.text).map_err(|fault| FollowFault::Head(line.id, fault))?;
            self.is_own(line, head.instance)?;
            if head.number <= self.ends.head.number {
                return self.is_next(line, head.number, self.ends.head.number);
            }
            self.ends.moved(line);
            return Ok(());
        };
        let link = Link::read(&line.text).map_err(|fault| FollowFault::Unlinked(line.id, fault))?;
        self.is_own(line, link.instance)?;
        if link.seq <= end.seq {
            return self.is_next(line, link.seq, end.seq);
        }
        if !link.holds(line.kind, line.id, line.at) {
            return Err(FollowFault::Hash(line.kind, line.id));
        }
        self.ends.set(line.kind, End { seq: link.seq, hash: link.hash });
        Ok(())
    }

    fn follow_head(&mut self, line: &Line) -> Result<(), FollowFault> {
        let head = Head::read(&line.text).map_err(|fault| FollowFault::Head(line.id, fault))?;
        self.is_own(line, head.instance)?;
        self.is_next(line, head.number, self.ends.head.number)?;
        if head.prev != self.ends.head.hash {
            return Err(FollowFault::Hash(line.kind, line.id));
        }
        self.ends.moved(line);
        Ok(())
    }

    fn is_own(&self, line: &Line, instance: Uuid) -> Result<(), FollowFault> {
        if instance == self.ends.instance { Ok(()) } else { Err(FollowFault::Instance(line.id, instance)) }
    }

    fn is_next(&self, line: &Line, found: u64, last: u64) -> Result<(), FollowFault> {
        let next = last.saturating_add(1);
        if found == next { Ok(()) } else { Err(FollowFault::Number { kind: line.kind, id: line.id, found, next }) }
    }
}

#[cfg(test)]
mod tests;
