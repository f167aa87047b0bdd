//! Where the chains of an instance end, as few bytes: what the next entry is bound to, and what the spool keeps beside its frames.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::heads::Head;
use super::super::line::{Kind, Line};
use super::super::link::Hash;

/// The first byte of what is kept: another form gets another one.
const FORM: u8 = 1;

/// Where the chains of one instance end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Whose chains: made at the first start of a data directory.
    pub instance: Uuid,
    /// The last audit entry.
    pub audit: End,
    /// The last usage entry.
    pub usage: End,
    /// The last head.
    pub head: HeadEnd,
}

/// The last entry of a chain; 0 and zeros before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct End {
    /// Number of the last entry; 0 before the first.
    pub seq: u64,
    /// Its hash; zeros before the first.
    pub hash: Hash,
}

/// The last head; zeros before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadEnd {
    /// Its number.
    pub number: u64,
    /// SHA-256 of its text.
    pub hash: Hash,
    /// When it was made (UTC).
    pub at: Timestamp,
    /// The last audit entry it is about.
    pub audit: u64,
    /// The last usage entry it is about.
    pub usage: u64,
}

// === impl Ends ===

impl Ends {
    /// How many bytes [`Ends::to_bytes`] gives.
    pub const LENGTH: usize = 1 + 16 + 40 + 40 + 8 + 32 + 16 + 8 + 8;

    pub(in crate::record) fn new(instance: Uuid) -> Self {
        let head = HeadEnd { number: 0, hash: Hash::ZERO, at: Timestamp::UNIX_EPOCH, audit: 0, usage: 0 };
        Self { instance, audit: End::default(), usage: End::default(), head }
    }

    /// The end of this kind's chain; heads have none of this form.
    pub fn of(&self, kind: Kind) -> Option<End> {
        match kind {
            Kind::Audit => Some(self.audit),
            Kind::Usage => Some(self.usage),
            Kind::Head => None,
        }
    }

    pub(super) fn set(&mut self, kind: Kind, end: End) {
        match kind {
            Kind::Audit => self.audit = end,
            Kind::Usage => self.usage = end,
            Kind::Head => (),
        }
    }

    /// Takes this head as the last one. Unreadable ones change nothing: the caller has read it.
    pub(super) fn moved(&mut self, line: &Line) {
        if let Ok(head) = Head::read(&line.text) {
            let (audit, usage) = (head.audit.seq, head.usage.seq);
            self.head =
                HeadEnd { number: head.number, hash: Hash::of(line.text.as_bytes()), at: head.at, audit, usage };
        }
    }

    /// The ends as bytes: one for the form, the instance, then numbers in big endian and hashes in the order of the fields. No checksum: who
    /// keeps them has one.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let Self { instance, audit, usage, head } = self;
        let parts: [&[u8]; 11] = [
            &[FORM],
            instance.as_bytes(),
            &audit.seq.to_be_bytes(),
            &audit.hash.0,
            &usage.seq.to_be_bytes(),
            &usage.hash.0,
            &head.number.to_be_bytes(),
            &head.hash.0,
            &head.at.as_nanosecond().to_be_bytes(),
            &head.audit.to_be_bytes(),
            &head.usage.to_be_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads what [`Ends::to_bytes`] gave; none where it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        if rest.take::<1>()? != [FORM] {
            return None;
        }
        let ends = Self {
            instance: Uuid::from_bytes(rest.take()?),
            audit: End { seq: rest.number()?, hash: Hash(rest.take()?) },
            usage: End { seq: rest.number()?, hash: Hash(rest.take()?) },
            head: HeadEnd {
                number: rest.number()?,
                hash: Hash(rest.take()?),
                at: Timestamp::from_nanosecond(i128::from_be_bytes(rest.take()?)).ok()?,
                audit: rest.number()?,
                usage: rest.number()?,
            },
        };
        rest.0.is_empty().then_some(ends)
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}
