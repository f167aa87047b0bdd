//! The sums by user and day: kept beside the entries, in the same transaction, so that each entry is in them once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::de::DeserializeOwned;

use crate::store::daily::{self, Sums};
use crate::store::facts::Facts;
use crate::store::{Daily, Span};

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
         ON CONFLICT (key) DO UPDATE SET role = :role, sums = :sums",
    )?;
    for ((day, user), mut sums) in days.0 {
        let key = daily::key(day, &user);
        let before: Option<String> = known.query_row([&key], |row| row.get(0)).optional()?;
        if let Some(before) = before {
            sums.join(read(0, &before)?);
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

/// Adds up what was kept before there were sums by day. An entry that cannot be read is passed over.
pub(super) fn fill(connection: &Connection) -> rusqlite::Result<()> {
    let mut days = Days::default();
    let mut entries = connection.prepare("SELECT time, body FROM usage_events")?;
    let mut entries = entries.query([])?;
    while let Some(entry) = entries.next()? {
        let time: i64 = entry.get(0)?;
        let body = entry.get_ref(1)?;
        if let (Ok(at), Some(turn)) =
            (Timestamp::from_microsecond(time), body.as_str().ok().and_then(|body| Facts::read(body).ok()))
        {
            days.add(at, &turn);
        }
    }
    keep(connection, days)
}

/// See [`crate::store::Ledger::days`].
pub(super) fn days(
    connection: &Connection,
    span: &Span,
    after: Option<&str>,
    most: usize,
) -> rusqlite::Result<Vec<Daily>> {
    let mut asked = connection.prepare_cached(
        "SELECT key, day, user, sums FROM usage_daily
         WHERE day BETWEEN :from AND :to AND (:user IS NULL OR user = :user) AND (:role IS NULL OR role = :role)
           AND key >= :from AND key > :after
         ORDER BY key LIMIT :most",
    )?;
    let told = asked.query_map(
        named_params! {
            ":from": span.from.to_string(),
            ":to": span.to.to_string(),
            ":user": span.user,
            ":role": span.role,
            ":after": after.unwrap_or_default(),
            ":most": i64::try_from(most).unwrap_or(i64::MAX),
        },
        |row| {
            let (key, day, user, sums): (Box<str>, String, Box<str>, String) = row.try_into()?;
            let day = day.parse().map_err(|error| conversion(1, error))?;
            Ok(read::<Sums>(3, &sums)?.told(key, user, day))
        },
    )?;
    told.collect()
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

fn read<T: DeserializeOwned>(column: usize, json: &str) -> rusqlite::Result<T> {
    serde_json::from_str(json).map_err(|error| conversion(column, error))
}

fn conversion(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
