//! The table of overrides.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, named_params};

use super::Embedded;
use crate::policy::overrides::{Kind, Principal};
use crate::store::StoreError;
use crate::store::overrides::{DEEPEST, Expected, Mark, Override, Overrides, Unchanged, Unreadable, too_deep};

#[async_trait]
impl Overrides for Embedded {
    async fn mark(&self) -> Result<Mark, StoreError> {
        self.with(&self.reader, mark).await
    }

    async fn all(&self) -> Result<Vec<Result<Override, Unreadable>>, StoreError> {
        self.with(&self.reader, |connection| all(connection)).await
    }

    async fn draw(&self) -> Result<u64, StoreError> {
        self.with(&self.writer, draw).await
    }

    async fn put(&self, document: &Override, expected: Expected) -> Result<(), Unchanged> {
        let document = document.clone();
        let put = self.with(&self.writer, move |connection| put(connection, &document, expected)).await?;
        if put { Ok(()) } else { Err(Unchanged::Overtaken) }
    }

    async fn remove(&self, principal: &Principal, version: u64) -> Result<(), Unchanged> {
        let principal = principal.clone();
        let removed = self.with(&self.writer, move |connection| remove(connection, &principal, version)).await?;
        if removed { Ok(()) } else { Err(Unchanged::Overtaken) }
    }

    async fn clear(&self, principal: &Principal) -> Result<u64, StoreError> {
        let principal = principal.clone();
        self.with(&self.writer, move |connection| clear(connection, &principal)).await
    }
}

fn mark(connection: &mut Connection) -> rusqlite::Result<Mark> {
    let mut mark = connection.prepare_cached(
        "SELECT count(*), coalesce(sum(config_version), 0), coalesce(max(config_version), 0) FROM overrides",
    )?;
    mark.query_row([], |row| Ok(Mark { count: number(row, 0)?, sum: number(row, 1)?, greatest: number(row, 2)? }))
}

fn all(connection: &Connection) -> rusqlite::Result<Vec<Result<Override, Unreadable>>> {
    let mut all = connection.prepare_cached(
        "SELECT kind, id, priority, overrides, is_active, config_version, updated_at, updated_by, note, expires_at
         FROM overrides ORDER BY CASE kind WHEN 'role' THEN 0 WHEN 'group' THEN 1 ELSE 2 END, id",
    )?;
    all.query_map([], |row| Ok(read(row)))?.collect()
}

fn draw(connection: &mut Connection) -> rusqlite::Result<u64> {
    let draw = "INSERT INTO override_versions (one, last) VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET last = last + 1
         RETURNING last";
    connection.query_row(draw, [], |row| number(row, 0))
}

fn put(connection: &mut Connection, document: &Override, expected: Expected) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (kind, id) = (document.principal.kind.as_str(), &*document.principal.id);
    let found: Option<u64> = transaction
        .query_row("SELECT config_version FROM overrides WHERE kind = ?1 AND id = ?2", (kind, id), |row| number(row, 0))
        .optional()?;
    let expected = match expected {
        Expected::None => None,
        Expected::Version(version) => Some(version),
    };
    if found != expected {
        return Ok(false);
    }
    let put = "INSERT OR REPLACE INTO overrides (kind, id, priority, overrides, is_active, config_version,
         updated_at, updated_by, note, expires_at)
         VALUES (:kind, :id, :priority, :overrides, :active, :version, :at, :by, :note, :expires)";
    transaction.execute(
        put,
        named_params! {
            ":kind": kind,
            ":id": id,
            ":priority": document.priority,
            ":overrides": document.text(),
            ":active": document.is_active,
            ":version": i64::try_from(document.config_version).unwrap_or(i64::MAX),
            ":at": document.updated_at.as_microsecond(),
            ":by": document.updated_by.as_deref(),
            ":note": document.note.as_deref(),
            ":expires": document.expires_at.map(Timestamp::as_microsecond),
        },
    )?;
    transaction.commit()?;
    Ok(true)
}

fn remove(connection: &Connection, principal: &Principal, version: u64) -> rusqlite::Result<bool> {
    let remove = "DELETE FROM overrides WHERE kind = ?1 AND id = ?2 AND config_version = ?3";
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    Ok(connection.execute(remove, (principal.kind.as_str(), &*principal.id, version))? > 0)
}

fn clear(connection: &Connection, principal: &Principal) -> rusqlite::Result<u64> {
    // Ids of users are hex digits: whoever is refused by a row in capitals is found by it, too.
    let clear = "DELETE FROM overrides WHERE kind = ?1 AND (id = ?2 OR (kind = 'user' AND lower(id) = lower(?2)))";
    let removed = connection.execute(clear, (principal.kind.as_str(), &*principal.id))?;
    Ok(u64::try_from(removed).unwrap_or(u64::MAX))
}

fn read(row: &Row<'_>) -> Result<Override, Unreadable> {
    let text = |column| row.get::<_, String>(column).ok();
    read_row(row).map_err(|why| {
        let of =
            Kind::named(&text(0).unwrap_or_default()).zip(text(1)).map(|(kind, id)| Principal { kind, id: id.into() });
        let part = |column| text(column).unwrap_or_else(|| "?".to_owned());
        let name = format!("{} {}", part(0), part(1));
        // What does not say plainly that it is switched off may be meant to count.
        let is_active = row.get(4).unwrap_or(true);
        Unreadable { name: name.into(), why: why.into(), of, is_active }
    })
}

fn read_row(row: &Row<'_>) -> Result<Override, String> {
    let say = |error: rusqlite::Error| error.to_string();
    let kind: String = row.get(0).map_err(say)?;
    let kind = Kind::named(&kind).ok_or_else(|| format!("{kind:?} is neither role nor group nor user"))?;
    let text: String = row.get(3).map_err(say)?;
    if is_deeper(&text, DEEPEST) {
        return Err(too_deep());
    }
    let moment = |at: i64| Timestamp::from_microsecond(at).map_err(|error| error.to_string());
    let expires: Option<i64> = row.get(9).map_err(say)?;
    let read = Override {
        principal: Principal { kind, id: row.get(1).map_err(say)? },
        priority: row.get(2).map_err(say)?,
        overrides: serde_json::from_str(&text).map_err(|error| error.to_string())?,
        is_active: row.get(4).map_err(say)?,
        config_version: number(row, 5).map_err(say)?,
        updated_at: moment(row.get(6).map_err(say)?)?,
        updated_by: row.get(7).map_err(say)?,
        note: row.get(8).map_err(say)?,
        expires_at: expires.map(moment).transpose()?,
    };
    read.check_size()?;
    Ok(read)
}

/// Whether mappings and lists stand deeper in each other than this, in what may be JSON.
fn is_deeper(text: &str, most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}
