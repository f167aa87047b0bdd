//! What a store gives back: lines, and what stands among them that is none.

use super::day::Daily;
use crate::record::Line;

/// Lines, and what was passed over among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines.
    pub lines: Vec<Line>,
    /// What no line can be read out of.
    pub unread: Vec<Unread>,
}

/// Something in a store that is no line of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// How the store names it: `rowid` and table, `_id` and collection.
    pub name: Box<str>,
    /// Why it is none.
    pub why: Box<str>,
}

/// A page of all that a store has of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspected {
    /// What is there.
    pub rows: Vec<Row>,
    /// Where the next page begins; none where this is the last one.
    pub next: Option<Mark>,
}

/// One row or document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A line.
    Line {
        /// What is read out of it.
        line: Line,
        /// Names of the copies beside its text that are not what the text says; none, as it should be.
        differs: Vec<Box<str>>,
    },
    /// Something else.
    Unread(Unread),
}

/// A page of sums by user and day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Days {
    /// The sums.
    pub days: Vec<Daily>,
    /// What no sums can be read out of.
    pub unread: Vec<Unread>,
    /// The key after which the next page begins; none where this is the last one.
    pub next: Option<Box<str>>,
}

/// A page of all that a store has of sums by user and day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InspectedDays {
    /// What is there.
    pub rows: Vec<DayRow>,
    /// Where the next page begins; none where this is the last one.
    pub next: Option<Mark>,
}

/// One row or document of sums.
#[derive(Clone, Debug, PartialEq)]
pub enum DayRow {
    /// Sums.
    Day {
        /// What is read out of it.
        daily: Daily,
        /// Names of what does not fit: the key to day and user, and what is kept twice to its other copy.
        differs: Vec<&'static str>,
    },
    /// Something else.
    Unread(Unread),
}

/// A place in the order in which a store goes through all that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(pub(in crate::store) Box<[u8]>);

impl Found {
    /// Adds a row, as far as it has been taken that far: lines up to so many. Whether there was room for it.
    pub(in crate::store) fn add(&mut self, read: Result<Line, Unread>, most: usize) -> bool {
        if self.lines.len() >= most {
            return false;
        }
        match read {
            Ok(line) => self.lines.push(line),
            Err(unread) => self.unread.push(unread),
        }
        true
    }
}
