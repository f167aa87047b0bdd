//! The tables of entries. The columns beside the body are copies out of it, for queries.

use rusqlite::{Connection, TransactionBehavior, named_params};

use super::charged::{self, Tally};
use crate::record::Entry;
use crate::record::entry::Spent;

/// An entry as a row, made before the database is asked.
pub(super) struct Row {
    table: Table,
    id: String,
    /// Microseconds since 1970 (UTC): numbers compare in the order of time, which text with a varying fraction does not.
    time: i64,
    body: String,
    /// Of a usage entry that was settled.
    spent: Option<Box<Spent>>,
}

enum Table {
    Audit,
    Usage,
}

pub(super) fn rows(entries: &[Entry]) -> serde_json::Result<Vec<Row>> {
    entries.iter().map(row).collect()
}

fn row(entry: &Entry) -> serde_json::Result<Row> {
    let (table, spent) = match entry {
        Entry::Audit(_) => (Table::Audit, None),
        Entry::Usage(usage) => (Table::Usage, usage.spent.clone()),
    };
    let time = entry.timestamp().as_microsecond();
    Ok(Row { table, id: entry.id().to_string(), time, body: serde_json::to_string(entry)?, spent })
}

/// Appends all or none. Only an id that is there already is passed over; `INSERT OR IGNORE` would swallow other faults too.
pub(super) fn append(connection: &mut Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let mut tally = Tally::default();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut audits = transaction.prepare_cached(
            "INSERT INTO audit (id, time, user, action, category, severity, decision, body)
             VALUES (:id, :time, :body ->> 'userId', :body ->> 'action', :body ->> 'category', :body ->> 'severity',
                     :body ->> 'decision', :body)
             ON CONFLICT (id) DO NOTHING",
        )?;
        let mut usages = transaction.prepare_cached(
            "INSERT INTO usage_events (id, time, user, endpoint, model, outcome, body)
             VALUES (:id, :time, :body ->> 'userId', :body ->> 'endpoint', :body ->> 'model', :body ->> 'outcome', :body)
             ON CONFLICT (id) DO NOTHING",
        )?;
        for row in rows {
            let insert = match row.table {
                Table::Audit => &mut audits,
                Table::Usage => &mut usages,
            };
            let new = insert.execute(named_params! {":id": row.id, ":time": row.time, ":body": row.body})? > 0;
            if let (true, Some(spent)) = (new, &row.spent) {
                tally.add(spent);
            }
        }
    }
    charged::keep(&transaction, tally)?;
    transaction.commit()
}
