//! What entries have put on counters: kept beside them, in the same transaction, so that asking for it reads no entries.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::record::entry::Charged;
use crate::store::SLACK;
use crate::store::charged::{Kind, Poured, Sum, draws};
use crate::store::counters::{Draw, KEPT};
use crate::store::facts::Charge;

/// What a batch of entries puts on counters.
#[derive(Default)]
pub(super) struct Tally {
    sums: BTreeMap<Box<str>, Sum>,
    poured: Vec<(Poured, Timestamp)>,
    /// When the first of them was settled.
    first: Option<Timestamp>,
}

// === impl Tally ===

impl Tally {
    /// Adds an entry's charges.
    pub(super) fn add(&mut self, charged: Vec<Charge>, settled: Timestamp) {
        for charge in charged.into_iter().map(Charged::from) {
            match Kind::from(&charge) {
                Kind::Poured(poured) => self.poured.push((poured, charge.until)),
                Kind::Spent(sum) => match self.sums.get_mut(&sum.counter) {
                    Some(known) => known.amount = known.amount.saturating_add(sum.amount),
                    None => {
                        self.sums.insert(sum.counter.clone(), sum);
                    }
                },
            }
            self.first = Some(self.first.map_or(settled, |first| first.min(settled)));
        }
    }
}

/// Adds a batch to what is kept, and forgets what no counter knows any more.
pub(super) fn keep(connection: &Connection, tally: Tally) -> rusqlite::Result<()> {
    let Some(first) = tally.first else { return Ok(()) };
    let mut known = connection.prepare_cached("SELECT amount FROM spent WHERE counter = ?1")?;
    let mut spend = connection.prepare_cached(
        "INSERT INTO spent (counter, starts, ends, amount) VALUES (:counter, :starts, :ends, :amount)
         ON CONFLICT (counter) DO UPDATE SET amount = :amount",
    )?;
    for Sum { counter, amount, from, until } in tally.sums.into_values() {
        let before = known.query_row([&counter], |row| number(row, 0)).optional()?.unwrap_or(0);
        let amount = u64::try_from(amount.saturating_add(before.into())).unwrap_or(u64::MAX);
        spend.execute(named_params! {
            ":counter": counter,
            ":starts": from.as_microsecond(),
            ":ends": until.as_microsecond(),
            ":amount": amount.to_string(),
        })?;
    }
    let mut pour = connection.prepare_cached(
        "INSERT INTO poured (counter, at, ends, amount, window, ceiling)
         VALUES (:counter, :at, :ends, :amount, :window, :ceiling)",
    )?;
    for (Poured { counter, amount, at, window, ceiling }, until) in tally.poured {
        pour.execute(named_params! {
            ":counter": counter,
            ":at": at,
            ":ends": until.as_microsecond(),
            ":amount": amount.to_string(),
            ":window": i64::try_from(window).unwrap_or(i64::MAX),
            ":ceiling": ceiling.to_string(),
        })?;
    }
    let old = first.checked_sub(KEPT).unwrap_or(Timestamp::MIN).as_microsecond();
    for table in ["DELETE FROM spent WHERE ends < ?1", "DELETE FROM poured WHERE ends < ?1"] {
        connection.prepare_cached(table)?.execute([old])?;
    }
    Ok(())
}

/// See [`crate::store::Ledger::charged`].
pub(super) fn charged(connection: &mut Connection, at: Timestamp) -> rusqlite::Result<Vec<Draw>> {
    let since = at.checked_sub(SLACK).unwrap_or(Timestamp::MIN).as_microsecond();
    // One state of both tables.
    let connection = connection.transaction()?;
    let sums = connection
        .prepare_cached("SELECT counter, amount, starts, ends FROM spent WHERE ends > ?1")?
        .query_map([since], |row| {
            Ok(Sum { counter: row.get(0)?, amount: number(row, 1)?.into(), from: time(row, 2)?, until: time(row, 3)? })
        })?
        .collect::<Result<_, _>>()?;
    let poured = connection
        .prepare_cached("SELECT counter, amount, at, window, ceiling FROM poured WHERE ends > ?1 ORDER BY at")?
        .query_map([since], |row| {
            Ok(Poured {
                counter: row.get(0)?,
                amount: number(row, 1)?,
                at: row.get(2)?,
                window: row.get::<_, i64>(3)?.unsigned_abs(),
                ceiling: number(row, 4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(draws(sums, poured, at))
}

// === helpers ===

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A moment; the ends of time are not told to the microsecond.
fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let microseconds: i64 = row.get(column)?;
    let end = if microseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Ok(Timestamp::from_microsecond(microseconds).unwrap_or(end))
}
