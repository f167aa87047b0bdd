//! Looking at all rows, whatever they are, and at the copies beside their texts.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::entries::table;
use super::search::{self, Matching};
use crate::record::Kind;
use crate::store::{Inspected, Mark, Row};

/// Rows of a page.
const PAGE: usize = 1_000;

/// The copies of each kind: the column, and the member of the text that it has.
fn copies(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Audit => &[
            ("user", "userId"),
            ("action", "action"),
            ("category", "category"),
            ("severity", "severity"),
            ("decision", "decision"),
            ("instance", "instance"),
            ("seq", "seq"),
            ("erased", "erased"),
        ],
        Kind::Usage => &[
            ("user", "userId"),
            ("endpoint", "endpoint"),
            ("model", "model"),
            ("outcome", "outcome"),
            ("instance", "instance"),
            ("seq", "seq"),
            ("erased", "erased"),
        ],
        Kind::Head => &[("instance", "instance"), ("seq", "number")],
    }
}

/// See [`crate::store::Ledger::inspect`].
pub(super) fn inspect(connection: &Connection, kind: Kind, after: Option<&Mark>) -> rusqlite::Result<Inspected> {
    let after = after.and_then(|mark| mark.0.as_ref().try_into().ok()).map(i64::from_be_bytes);
    // The first page has no lower bound: no number is below all that a row may have.
    let beyond = if after.is_some() { "WHERE rowid > ?1" } else { "WHERE ?1 IS NULL" };
    // As they were put in: SQLite's own reading of the text. It would fail over what is no JSON.
    let compared = copies(kind).iter().map(|(column, member)| {
        format!(", CASE WHEN typeof(body) = 'text' AND json_valid(body) THEN {column} IS body ->> '{member}' END")
    });
    let sql = format!(
        "SELECT rowid, id, time, body{} FROM {} {beyond} ORDER BY rowid LIMIT ?2",
        compared.collect::<String>(),
        table(kind)
    );
    let mut asked = connection.prepare_cached(&sql)?;
    let mut rows = asked.query((after, i64::try_from(PAGE).unwrap_or(i64::MAX)))?;
    let (mut inspected, mut last) = (Inspected::default(), None);
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?);
        inspected.rows.push(match search::line(kind, row, Matching::Nothing) {
            Ok(line) => {
                let mut differs: Vec<Box<str>> = Vec::new();
                if row.get_ref(1)?.as_str().ok() != Some(line.id.to_string().as_str()) {
                    differs.push("id".into());
                }
                if row.get_ref(2)?.as_i64().ok() != Some(line.at.as_microsecond()) {
                    differs.push("time".into());
                }
                for (n, (column, _)) in (4..).zip(copies(kind)) {
                    if row.get_ref(n)? != ValueRef::Integer(1) {
                        differs.push((*column).into());
                    }
                }
                Row::Line { line, differs }
            }
            Err(unread) => Row::Unread(unread),
        });
    }
    inspected.next = last.filter(|_| inspected.rows.len() == PAGE).map(|last| Mark(last.to_be_bytes().into()));
    Ok(inspected)
}
