//! Finding lines, and letting go of old ones.

use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, TransactionBehavior, params_from_iter};
use uuid::Uuid;

use super::entries::table;
use crate::record::{Kind, Line};
use crate::store::{Filter, Found, Keep, Order, Place, Unread};

/// Rows that go in one step of letting go.
const STEP: i64 = 1_000;

/// All kinds of lines.
const KINDS: [Kind; 3] = [Kind::Audit, Kind::Usage, Kind::Head];

/// A condition and what goes into its place.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

// === impl Where ===

impl Where {
    /// Conditions that a filter puts on the table of a kind. The names of columns are ours, the values go into places.
    fn new(kind: Kind, filter: &Filter) -> Self {
        let mut conditions = Self::default();
        let Filter { user, role, group, action, endpoint, model, .. } = filter;
        let (of_endpoint, of_model) = match kind {
            Kind::Usage => ("endpoint = ?", "model = ?"),
            Kind::Audit | Kind::Head => ("body ->> '$.metadata.endpoint' = ?", "body ->> '$.metadata.model' = ?"),
        };
        let text = |text: &Option<Box<str>>| text.as_deref().map(|text| Value::from(text.to_owned()));
        let word = |word: Option<String>| word.map(Value::from);
        let millisecond = |at: Timestamp| Value::from(at.as_millisecond().saturating_mul(1_000));
        for (sql, value) in [
            ("user = ?", text(user)),
            ("body ->> 'role' = ?", text(role)),
            ("EXISTS (SELECT 1 FROM json_each(body, '$.groups') WHERE value = ?)", text(group)),
            ("category = ?", word(filter.category_word())),
            ("severity = ?", word(filter.severity_word())),
            ("action = ?", text(action)),
            ("decision = ?", word(filter.decision_word())),
            (of_endpoint, text(endpoint)),
            (of_model, text(model)),
            ("erased = ?", filter.erased.map(|id| Value::from(id.to_string()))),
            ("time >= ?", filter.since.map(millisecond)),
            ("time < ?", filter.until.map(millisecond)),
        ] {
            if let Some(value) = value {
                conditions.and(sql, [value]);
            }
        }
        conditions
    }

    fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(sql);
        self.values.extend(values);
    }
}

/// See [`crate::store::Ledger::find`].
pub(super) fn find(
    connection: &mut Connection,
    filter: &Filter,
    after: Option<&Place>,
    most: usize,
) -> rusqlite::Result<Found> {
    // One state of all tables.
    let connection = connection.transaction()?;
    let mut all = Found::default();
    for kind in filter.kinds() {
        let Where { mut sql, values } = {
            let mut conditions = Where::new(kind, filter);
            if let Some(Place { at, id }) = after {
                let beyond = if filter.order == Order::Oldest { "(time, id) > (?, ?)" } else { "(time, id) < (?, ?)" };
                conditions.and(beyond, [at.as_microsecond().into(), id.to_string().into()]);
            }
            conditions
        };
        sql.push_str(if filter.order == Order::Oldest { " ORDER BY time, id" } else { " ORDER BY time DESC, id DESC" });
        let Found { lines, unread } = lines(&connection, kind, &sql, values, most, Matching::Place)?;
        all.lines.extend(lines);
        all.unread.extend(unread);
    }
    all.lines.sort_by_key(|line| (line.at.as_microsecond(), line.id));
    if filter.order == Order::Newest {
        all.lines.reverse();
    }
    all.lines.truncate(most);
    Ok(all)
}

/// See [`crate::store::Ledger::chain`].
pub(super) fn chain(
    connection: &Connection,
    instance: Uuid,
    kind: Kind,
    from: u64,
    most: usize,
) -> rusqlite::Result<Found> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let values = vec![instance.to_string().into(), from.into()];
    let rest = " WHERE instance = ? AND seq >= ? ORDER BY seq, rowid";
    lines(connection, kind, rest, values, most, Matching::Nothing)
}

/// See [`crate::store::Ledger::last`].
pub(super) fn last(connection: &Connection, instance: Uuid, kind: Kind) -> rusqlite::Result<Option<Line>> {
    let values = vec![instance.to_string().into()];
    let rest = " WHERE instance = ? AND seq IS NOT NULL ORDER BY seq DESC, rowid DESC";
    Ok(lines(connection, kind, rest, values, 1, Matching::Nothing)?.lines.pop())
}

/// See [`crate::store::Ledger::instances`].
pub(super) fn instances(connection: &Connection) -> rusqlite::Result<Vec<Uuid>> {
    // A jump through the index for each instance: there are few of them, and many entries.
    let next = |table: &str| {
        format!(
            "WITH RECURSIVE each(instance) AS (
                 SELECT min(instance) FROM {table} WHERE instance IS NOT NULL
                 UNION ALL SELECT (SELECT min(instance) FROM {table} WHERE instance > each.instance) FROM each
                     WHERE each.instance IS NOT NULL
             ) SELECT instance FROM each WHERE instance IS NOT NULL"
        )
    };
    ids(connection, &KINDS.map(|kind| next(table(kind))))
}

/// See [`crate::store::Ledger::erasures`].
pub(super) fn erasures(connection: &Connection) -> rusqlite::Result<Vec<Uuid>> {
    let each = |kind| format!("SELECT DISTINCT erased FROM {} WHERE erased IS NOT NULL", table(kind));
    ids(connection, &[Kind::Audit, Kind::Usage].map(each))
}

/// See [`crate::store::Ledger::expire`].
pub(super) fn expire(connection: &mut Connection, keep: &Keep, at: Timestamp) -> rusqlite::Result<bool> {
    let mut more = false;
    for (kind, keep) in [(Kind::Audit, keep.audit), (Kind::Usage, keep.usage), (Kind::Head, keep.heads)] {
        let Some(oldest) = keep.and_then(|keep| at.checked_sub(keep).ok()) else { continue };
        let table = table(kind);
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE time < ?1 ORDER BY time LIMIT {STEP})"
        );
        let oldest = oldest.as_microsecond();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone = transaction.prepare_cached(&sql)?.execute([oldest])?;
        if gone > 0 {
            let mut keep = transaction.prepare_cached(
                "INSERT INTO expired (kind, before) VALUES (?1, ?2)
                 ON CONFLICT (kind) DO UPDATE SET before = max(before, excluded.before)",
            )?;
            keep.execute((table, oldest))?;
        }
        transaction.commit()?;
        more |= gone >= STEP.unsigned_abs() as usize;
    }
    if let Some(oldest) = keep.daily.and_then(|keep| at.checked_sub(keep).ok()) {
        // A day is as old as its beginning.
        let oldest = crate::store::daily::day(oldest);
        let sql = format!(
            "DELETE FROM usage_daily WHERE key IN (SELECT key FROM usage_daily WHERE key < ?1 ORDER BY key LIMIT {STEP})"
        );
        more |= connection.prepare_cached(&sql)?.execute([oldest.to_string()])? >= STEP.unsigned_abs() as usize;
    }
    Ok(more)
}

/// Up to when entries of this kind were let go of, in microseconds.
pub(super) fn expired(connection: &Connection, kind: Kind) -> rusqlite::Result<i64> {
    let mut asked = connection.prepare_cached("SELECT before FROM expired WHERE kind = ?1")?;
    Ok(asked.query_row([table(kind)], |row| row.get(0)).optional()?.unwrap_or(i64::MIN))
}

// === helpers ===

/// What of a row has to be as its text says, so that the row is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// Nothing: what is read is verified.
    Nothing,
    /// Id and time, by which pages go on.
    Place,
}

/// So many lines of a kind, by these conditions and in this order. What cannot be read is passed over, and does not count.
pub(super) fn lines(
    connection: &Connection,
    kind: Kind,
    rest: &str,
    values: Vec<Value>,
    most: usize,
    matching: Matching,
) -> rusqlite::Result<Found> {
    let mut sql = String::new();
    let _infallible = write!(sql, "SELECT rowid, id, time, body FROM {}{rest} LIMIT ?", table(kind));
    let mut asked = connection.prepare_cached(&sql)?;
    let mut limit = most;
    loop {
        let mut values = values.clone();
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let mut rows = asked.query(params_from_iter(values))?;
        let (mut found, mut count) = (Found::default(), 0_usize);
        while let Some(row) = rows.next()? {
            count += 1;
            if !found.add(line(kind, row, matching), most) {
                break;
            }
        }
        if found.lines.len() >= most || count < limit {
            return Ok(found);
        }
        // Some of them were none: lines may come behind them.
        limit = limit.saturating_mul(2);
    }
}

/// The line of a row (`rowid`, `id`, `time`, `body`).
pub(super) fn line(kind: Kind, row: &SqlRow<'_>, matching: Matching) -> Result<Line, Unread> {
    let cell = |n| row.get_ref(n).unwrap_or(ValueRef::Null);
    let number = cell(0).as_i64().unwrap_or_default();
    let unread = |why: String| {
        let id = cell(1).as_str().map(|id| format!(" (id {id})")).unwrap_or_default();
        Unread { name: format!("row {number} of {}{id}", table(kind)).into(), why: why.into() }
    };
    let body = cell(3).as_str().map_err(|_| unread("its body is no text".to_owned()))?;
    let line = Line::read(body).map_err(|error| unread(error.to_string()))?;
    if line.kind != kind {
        return Err(unread(format!("its text is one of {}", line.kind)));
    }
    let placed = cell(1).as_str().is_ok_and(|id| id == line.id.to_string())
        && cell(2).as_i64().is_ok_and(|time| time == line.at.as_microsecond());
    if matching == Matching::Place && !placed {
        return Err(unread("the store finds it by another id or time than its text has".to_owned()));
    }
    Ok(line)
}

fn ids(connection: &Connection, queries: &[String]) -> rusqlite::Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    for sql in queries {
        let mut asked = connection.prepare_cached(sql)?;
        let mut rows = asked.query([])?;
        while let Some(row) = rows.next()? {
            // What is no id was written by somebody else: whoever looks at all rows finds it.
            ids.extend(row.get_ref(0)?.as_str().ok().and_then(|id| id.parse::<Uuid>().ok()));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
