//! Reads lines one after the other in the order of time, out of a ledger page by page or out of files, in bounded memory.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use super::Failure;
use super::files::Sorted;
use super::filters::Query;
use super::plain::plain;
use crate::record::Line;
use crate::store::{Filter, Found, Ledger, Order, Place, Unread};

/// Lines of a page.
const PAGE: usize = 1_000;

/// The lines that a query asks for.
pub enum Reading {
    /// Out of a ledger.
    Ledger(Merged),
    /// Out of files.
    Files(Sorted),
}

/// Lines of several filters in one order.
pub struct Merged {
    ledger: Arc<dyn Ledger>,
    order: Order,
    streams: Vec<Stream>,
    page: usize,
    /// What was passed over.
    unread: Vec<Unread>,
}

/// The lines of one filter.
struct Stream {
    filter: Filter,
    waiting: VecDeque<Line>,
    /// The last line of the last page.
    after: Option<Place>,
    /// The last page was the last one there is.
    ended: bool,
}

/// Says what was passed over: a note for each, and what tells more.
///
/// # Errors
/// Where standard error cannot be written.
pub fn warn(passed_over: &[Unread], err: &mut dyn Write) -> io::Result<()> {
    passed_over.iter().try_for_each(|Unread { name, why }| {
        let told = format!("{name} is no line of the record and was passed over: {why}; see `tollgate audit verify`");
        writeln!(err, "note: {}", plain(&told))
    })
}

// === impl Reading ===

impl Reading {
    /// The lines of a ledger.
    pub fn of(ledger: &Arc<dyn Ledger>, query: &Query, order: Order) -> Self {
        Self::Ledger(Merged::new(ledger, query, order, PAGE))
    }

    /// The last few lines of a ledger, the newest first.
    pub fn newest(ledger: &Arc<dyn Ledger>, query: &Query, most: usize) -> Self {
        Self::Ledger(Merged::new(ledger, query, Order::Newest, most.clamp(1, PAGE)))
    }

    /// The next line, none at the end.
    ///
    /// # Errors
    /// [`Failure`] where the ledger or a file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Line>, Failure> {
        match self {
            Self::Ledger(merged) => merged.next().await,
            Self::Files(sorted) => sorted.next(),
        }
    }

    /// What was passed over since this was asked last, as it is no line of the record.
    pub fn passed_over(&mut self) -> Vec<Unread> {
        match self {
            Self::Ledger(merged) => std::mem::take(&mut merged.unread),
            Self::Files(_) => Vec::new(),
        }
    }
}

// === impl Merged ===

impl Merged {
    fn new(ledger: &Arc<dyn Ledger>, query: &Query, order: Order, page: usize) -> Self {
        let stream = |filter| Stream { filter, waiting: VecDeque::new(), after: None, ended: false };
        Self {
            ledger: Arc::clone(ledger),
            order,
            streams: query.filters(order).into_iter().map(stream).collect(),
            page,
            unread: Vec::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Line>, Failure> {
        for stream in &mut self.streams {
            if stream.waiting.is_empty() && !stream.ended {
                let Found { lines, unread } =
                    self.ledger.find(&stream.filter, stream.after.as_ref(), self.page).await?;
                self.unread.extend(unread);
                stream.ended = lines.len() < self.page;
                stream.after = lines.last().map(Place::of).or(stream.after);
                stream.waiting = lines.into();
            }
        }
        let heads = self.streams.iter().enumerate().filter_map(|(n, stream)| {
            let line = stream.waiting.front()?;
            Some(((line.at, line.id), n))
        });
        let first = match self.order {
            Order::Oldest => heads.min(),
            Order::Newest => heads.max(),
        };
        Ok(first.and_then(|(_, n)| self.streams.get_mut(n)?.waiting.pop_front()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use crate::record::{Severity, samples};

    async fn read(mut reading: Reading) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(line) = reading.next().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn pages_of_several_filters_come_in_one_order() {
        let lines: Vec<_> = (0..40).map(|n| samples::refusal(n).line().unwrap()).collect();
        let graver = |line: &Line| {
            let mut line = line.clone();
            if line.id.as_u128().is_multiple_of(3) {
                line.text = line.text.replace("WARNING", "CRITICAL").into();
            }
            line
        };
        let lines: Vec<_> = lines.iter().map(graver).collect();
        let ledger: Arc<dyn Ledger> = Arc::new(Memory::of(lines.iter().rev().cloned()));
        let query = Query { at_least: Some(Severity::Warning), ..Query::default() };
        for page in [1, 7, 100] {
            let merged = |order| Reading::Ledger(Merged::new(&ledger, &query, order, page));
            assert_eq!(read(merged(Order::Oldest)).await, lines);
            let newest: Vec<_> = lines.iter().rev().cloned().collect();
            assert_eq!(read(merged(Order::Newest)).await, newest);
        }
    }
}
