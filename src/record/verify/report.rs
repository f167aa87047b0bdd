//! What a verification found, and what it covered.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::line::Kind;
use super::UNSIGNED;
use super::finding::{Finding, Findings};

/// The end of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, that which stands first in its chain first. Nothing, where the record is what was written.
    pub findings: Vec<Finding>,
    /// How many more were found than are told.
    pub more: u64,
    /// Each chain of entries, by instance and kind.
    pub chains: Vec<Chained>,
    /// Heads with a good signature.
    pub heads: u64,
    /// Erasures that are told of and fit.
    pub erasures: u64,
    /// Lines of no chain: kept before there were chains. Nothing vouches for them.
    pub unchained: u64,
    /// The time of the newest of them.
    pub newest_unchained: Option<Timestamp>,
    /// Sums of a user and day that are what the entries add up to.
    pub sums: u64,
    /// Those that have not all entries of the day yet.
    pub sums_behind: u64,
    /// Those whose entries have expired or were erased: nothing vouches for them.
    pub sums_alone: u64,
    /// Entries after the last heads of all instances, where a head is due. They are among those that no head vouches for.
    pub late: u64,
    /// Of these, those whose heads are on their way: the store is behind.
    pub behind: u64,
    /// Lines that two files have, each counted once (offline).
    pub copies: u64,
    /// Audit and usage entries that were never taken, as events tell.
    pub dropped: (u64, u64),
}

/// What was found of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// Whose.
    pub instance: Uuid,
    /// Of which lines.
    pub kind: Kind,
    /// How many entries there are, tombstones among them.
    pub entries: u64,
    /// How many of them are tombstones.
    pub erased: u64,
    /// How many were lost, as events tell.
    pub lost: u64,
    /// How many are missing that have expired.
    pub expired: u64,
    /// The first and last number there is.
    pub span: Option<(u64, u64)>,
    /// The last entry that a head vouches for: its number, and the time of that head.
    pub covered: Option<(u64, Timestamp)>,
    /// How many entries no head vouches for: those after the last head, and those between a head and a lost stretch.
    pub uncovered: u64,
}

// === impl Report ===

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// Entries over all chains.
    pub fn entries(&self) -> u64 {
        self.sum(|chain| chain.entries)
    }

    /// Entries over all chains that no head vouches for yet.
    pub fn uncovered(&self) -> u64 {
        self.sum(|chain| chain.uncovered)
    }

    /// Whether more entries wait for a head than one Tollgate leaves without one. Several that have much to do may, for a moment.
    pub fn is_much_late(&self) -> bool {
        self.late > UNSIGNED
    }

    /// Tombstones over all chains.
    pub fn erased(&self) -> u64 {
        self.sum(|chain| chain.erased)
    }

    /// Entries over all chains that were lost, as events tell.
    pub fn lost(&self) -> u64 {
        self.sum(|chain| chain.lost)
    }

    /// Entries over all chains that have expired.
    pub fn expired(&self) -> u64 {
        self.sum(|chain| chain.expired)
    }

    fn sum(&self, of: impl Fn(&Chained) -> u64) -> u64 {
        self.chains.iter().map(of).fold(0, u64::saturating_add)
    }

    pub(super) fn take_findings(&mut self, findings: Findings) {
        self.findings = findings.list;
        self.findings.sort_by_key(|finding| finding.order);
        self.more = findings.more;
    }
}
