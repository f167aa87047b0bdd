//! The tables, and how an older file gets the newer ones.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::BUSY;
use super::faults::{because, fault};
use crate::store::StoreError;

/// The pause before a busy file is asked again to change its mode.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The steps from an empty file to today's tables. Step n brings `user_version` from n to n + 1. A step that has been
/// released is never changed: the next change is a step of its own.
const STEPS: [&str; 3] = [
    "
CREATE TABLE users (
    id     TEXT PRIMARY KEY NOT NULL,          -- LibreChat's users._id, 24 hex digits in lower case
    email  TEXT,                               -- lower case
    role   TEXT,
    groups TEXT NOT NULL DEFAULT '[]'          -- names, a JSON array
) WITHOUT ROWID;

CREATE TABLE audit (
    id       TEXT PRIMARY KEY NOT NULL,        -- UUIDv7
    time     INTEGER NOT NULL,                 -- microseconds since 1970 (UTC)
    user     TEXT,
    action   TEXT NOT NULL,
    category TEXT NOT NULL,
    severity TEXT NOT NULL,
    decision TEXT NOT NULL,
    body     TEXT NOT NULL                     -- the whole entry as JSON
);
CREATE INDEX audit_user_time ON audit (user, time);
CREATE INDEX audit_category_time ON audit (category, time);
CREATE INDEX audit_severity_time ON audit (severity, time);

CREATE TABLE usage_events (
    id       TEXT PRIMARY KEY NOT NULL,
    time     INTEGER NOT NULL,
    user     TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model    TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX usage_events_user_time ON usage_events (user, time);
CREATE INDEX usage_events_model_time ON usage_events (model, time);
",
    "
ALTER TABLE users ADD COLUMN openid_id TEXT;      -- the claim `sub` of the identity provider's tokens
ALTER TABLE users ADD COLUMN openid_issuer TEXT;  -- their issuer, without a slash at its end
CREATE UNIQUE INDEX users_openid ON users (openid_id, openid_issuer) WHERE openid_id IS NOT NULL;
",
    "
CREATE TABLE spent (                           -- what windows of the calendar hold, by the entries of usage_events
    counter TEXT PRIMARY KEY NOT NULL,
    starts  INTEGER NOT NULL,                  -- microseconds since 1970 (UTC)
    ends    INTEGER NOT NULL,
    amount  TEXT NOT NULL                      -- decimal: 64 bits without a sign, which INTEGER has not
) WITHOUT ROWID;
CREATE INDEX spent_ends ON spent (ends);

CREATE TABLE poured (                          -- what was put into rolling windows, by the same
    counter TEXT NOT NULL,
    at      INTEGER NOT NULL,
    ends    INTEGER NOT NULL,
    amount  TEXT NOT NULL,
    window  INTEGER NOT NULL,                  -- microseconds
    ceiling TEXT NOT NULL
);
CREATE INDEX poured_ends ON poured (ends);
",
];

/// Brings the file to today's tables, whatever it held and whoever else opens it at the same moment.
pub(super) fn prepare(connection: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let at = |error: rusqlite::Error| fault(file, &error);
    use_wal(connection).map_err(at)?;
    connection.pragma_update(None, "synchronous", "normal").map_err(at)?;
    if version(connection).map_err(at)? == newest() {
        return Ok(());
    }
    // Take the write lock before looking again: another process may have been quicker.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    let found = version(&transaction).map_err(at)?;
    if found > newest() {
        return Err(because(
            file,
            &format_args!(
                "written by a newer Tollgate (its tables have version {found}, this one knows {}); use that version, or \
                 another directory",
                newest()
            ),
            false,
        ));
    }
    for (version, sql) in (1_u32..).zip(STEPS).skip(found as usize) {
        transaction.execute_batch(sql).map_err(at)?;
        transaction.pragma_update(None, "user_version", version).map_err(at)?;
    }
    transaction.commit().map_err(at)
}

/// Switches the file to WAL mode, which it keeps.
///
/// Where several processes open a new file at once, SQLite answers all but one of them that it is busy, and does so at once:
/// waiting could be a deadlock. So nobody waits inside SQLite here, and everybody asks again.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < BUSY => {
                std::thread::sleep(ASK_AGAIN);
                waited += ASK_AGAIN;
            }
            Err(error) => return Err(error),
            Ok(()) => return connection.busy_timeout(BUSY),
        }
    }
}

/// The version of today's tables.
fn newest() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_keeps_its_people() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tollgate.db");
        let mut old = Connection::open(&file).unwrap();
        old.execute_batch(STEPS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let ann = "INSERT INTO users (id, email, role, groups) VALUES ('6b012e4109cc968f8a928bce', 'a@b.c', 'USER', '[\"g\"]')";
        old.execute(ann, []).unwrap();
        prepare(&mut old, &file).unwrap();
        assert_eq!(version(&old).unwrap(), newest());
        let kept = "SELECT email, role, groups, openid_id, openid_issuer FROM users";
        let kept: (String, String, String, Option<String>, Option<String>) = old
            .query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .unwrap();
        assert_eq!(kept, ("a@b.c".into(), "USER".into(), "[\"g\"]".into(), None, None));
    }
}
