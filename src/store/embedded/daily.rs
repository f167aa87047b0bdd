//! The sums by user and day: kept beside the entries, in the same transaction, so that each entry is in them once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::store::daily::{self, Sums};
use crate::store::facts::Facts;

pub(super) mod kept;

/// What entries add to days.
#[derive(Default)]
pub(super) struct Days(BTreeMap<(Date, Box<str>), Sums>);

// === impl Days ===

impl Days {
    /// Adds a turn. That of nobody, a tombstone, adds nothing.
    pub(super) fn add(&mut self, at: Timestamp, turn: &Facts) {
        if let Some(user) = &turn.user_id {
            self.0.entry((daily::day(at), user.clone())).or_default().add(at, turn);
        }
    }
}

/// Adds a batch to what is kept.
pub(super) fn keep(connection: &Connection, days: Days) -> rusqlite::Result<()> {
    let mut known = connection.prepare_cached("SELECT sums FROM usage_daily WHERE key = ?1")?;
    let mut keep = connection.prepare_cached(
        "INSERT INTO usage_daily (key, day, user, role, sums) VALUES (:key, :day, :user, :role, :sums)
         ON CONFLICT (key) DO UPDATE SET day = :day, user = :user, role = :role, sums = :sums",
    )?;
    for ((day, user), mut sums) in days.0 {
        let key = daily::key(day, &user);
        let before =
            known.query_row([&key], |row| Ok(row.get_ref(0)?.as_str().ok().and_then(kept::sums))).optional()?;
        match before {
            Some(Some(before)) => sums.join(before),
            // What somebody has made unreadable keeps no entry out: the entries tell what it was.
            Some(None) => sums = anew(connection, day, &user)?,
            None => (),
        }
        keep.execute(named_params! {
            ":key": key,
            ":day": day.to_string(),
            ":user": user,
            ":role": sums.role(),
            ":sums": serde_json::to_string(&sums).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
        })?;
    }
    Ok(())
}

/// Adds up the entries that there are of a user and day, those of this transaction among them.
fn anew(connection: &Connection, day: Date, user: &str) -> rusqlite::Result<Sums> {
    let (since, until) = daily::span(day);
    let mut sums = Sums::default();
    let mut entries = connection
        .prepare_cached("SELECT time, body FROM usage_events WHERE user = ?1 AND time >= ?2 AND time < ?3")?;
    let mut entries = entries.query((user, since.as_microsecond(), until.as_microsecond()))?;
    while let Some(entry) = entries.next()? {
        if let Some((at, turn)) = read(entry)? {
            sums.add(at, &turn);
        }
    }
    Ok(sums)
}

/// Adds up what was kept before there were sums by day. An entry that cannot be read is passed over.
pub(super) fn fill(connection: &Connection) -> rusqlite::Result<()> {
    let mut days = Days::default();
    let mut entries = connection.prepare("SELECT time, body FROM usage_events")?;
    let mut entries = entries.query([])?;
    while let Some(entry) = entries.next()? {
        if let Some((at, turn)) = read(entry)? {
            days.add(at, &turn);
        }
    }
    keep(connection, days)
}

/// Takes a user's name out of the sums, and out of the names of counters that are the user's own; how many days that were.
pub(super) fn erase(connection: &Connection, user: &str) -> rusqlite::Result<u64> {
    let days = connection.execute(
        "UPDATE usage_daily SET user = :erased, key = day || '|' || :erased || '|' || lower(hex(randomblob(16)))
         WHERE user = :user",
        named_params! {":erased": crate::store::ERASED, ":user": user},
    )?;
    // `<limit>:<measure>:user:<user>@<window>`, and the same of the balance.
    for table in ["DELETE FROM spent WHERE instr(counter, ?1) > 0", "DELETE FROM poured WHERE instr(counter, ?1) > 0"] {
        connection.execute(table, [format!(":user:{user}@")])?;
    }
    Ok(u64::try_from(days).unwrap_or(u64::MAX))
}

// === helpers ===

/// The turn of a row (`time`, `body`), and when it was; none where it is no turn.
fn read(entry: &Row<'_>) -> rusqlite::Result<Option<(Timestamp, Facts)>> {
    let (time, body) = (entry.get_ref(0)?.as_i64().ok(), entry.get_ref(1)?.as_str().ok());
    let at = time.and_then(|time| Timestamp::from_microsecond(time).ok());
    Ok(at.zip(body.and_then(|body| Facts::read(body).ok())))
}
