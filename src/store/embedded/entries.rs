//! The tables of lines. The columns beside the body are copies out of it, for queries.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, named_params};

use super::charged::{self, Tally};
use super::daily::{self, Days};
use super::search;
use crate::record::{Kind, Line};
use crate::store::facts::Facts;

/// A line as a row, made before the database is asked.
pub(super) struct Row {
    kind: Kind,
    id: String,
    at: Timestamp,
    body: Box<str>,
    /// Of a usage entry.
    facts: Option<Facts>,
}

/// The table of a kind.
pub(super) fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Audit => "audit",
        Kind::Usage => "usage_events",
        Kind::Head => "heads",
    }
}

pub(super) fn rows(lines: &[Line]) -> serde_json::Result<Vec<Row>> {
    lines.iter().map(row).collect()
}

fn row(line: &Line) -> serde_json::Result<Row> {
    let facts = match line.kind {
        Kind::Usage => Some(Facts::read(&line.text)?),
        Kind::Audit | Kind::Head => None,
    };
    Ok(Row { kind: line.kind, id: line.id.to_string(), at: line.at, body: line.text.clone(), facts })
}

/// Appends all or none. Only an id that is there already is passed over; `INSERT OR IGNORE` would swallow other faults too.
pub(super) fn append(connection: &mut Connection, rows: Vec<Row>) -> rusqlite::Result<()> {
    let (mut tally, mut days) = (Tally::default(), Days::default());
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let [mut audits, mut usages, mut heads] = inserts(&transaction)?;
        let gone = search::expired(&transaction, Kind::Usage)?;
        for row in rows {
            let insert = match row.kind {
                Kind::Audit => &mut audits,
                Kind::Usage => &mut usages,
                Kind::Head => &mut heads,
            };
            // Microseconds: numbers compare in the order of time, which text with a varying fraction does not.
            let time = row.at.as_microsecond();
            let new = insert.execute(named_params! {":id": row.id, ":time": time, ":body": row.body})? > 0;
            // What was let go of and comes again (the spool has lost count of what is here) is in the sums already.
            if let (true, Some(facts)) = (new && time >= gone, row.facts) {
                days.add(row.at, &facts);
                tally.add(facts.charged, facts.settled.unwrap_or(row.at));
            }
        }
    }
    charged::keep(&transaction, tally)?;
    daily::keep(&transaction, days)?;
    transaction.commit()
}

fn inserts<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<[CachedStatement<'a>; 3]> {
    Ok([
        transaction.prepare_cached(
            "INSERT INTO audit (id, time, user, action, category, severity, decision, instance, seq, erased, body)
             VALUES (:id, :time, :body ->> 'userId', :body ->> 'action', :body ->> 'category', :body ->> 'severity',
                     :body ->> 'decision', :body ->> 'instance', :body ->> 'seq', :body ->> 'erased', :body)
             ON CONFLICT (id) DO NOTHING",
        )?,
        transaction.prepare_cached(
            "INSERT INTO usage_events (id, time, user, endpoint, model, outcome, instance, seq, erased, body)
             VALUES (:id, :time, :body ->> 'userId', :body ->> 'endpoint', :body ->> 'model', :body ->> 'outcome',
                     :body ->> 'instance', :body ->> 'seq', :body ->> 'erased', :body)
             ON CONFLICT (id) DO NOTHING",
        )?,
        transaction.prepare_cached(
            "INSERT INTO heads (id, time, instance, seq, body)
             VALUES (:id, :time, :body ->> 'instance', :body ->> 'number', :body)
             ON CONFLICT (id) DO NOTHING",
        )?,
    ])
}
