//! The tables, and how an older file gets the newer ones.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::faults::{because, fault};
use super::{BUSY, daily};
use crate::store::StoreError;

/// The pause before a busy file is asked again to change its mode.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The steps from an empty file to today's tables. Step n brings `user_version` from n to n + 1. A step that has been
/// released is never changed: the next change is a step of its own.
const STEPS: [&str; 6] = [
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
    "
CREATE TABLE new_audit (
    id       TEXT PRIMARY KEY NOT NULL,        -- UUIDv7
    time     INTEGER NOT NULL,                 -- microseconds since 1970 (UTC)
    user     TEXT,                             -- this and what follows: absent from what the entry does not say
    action   TEXT,
    category TEXT,
    severity TEXT,
    decision TEXT,
    instance TEXT,                             -- whose chain
    seq      INTEGER,                          -- the number in it
    erased   TEXT,                             -- of a tombstone, the id of the erasure
    body     TEXT NOT NULL                     -- the whole entry as JSON
);
INSERT INTO new_audit (id, time, user, action, category, severity, decision, body)
    SELECT id, time, user, action, category, severity, decision, body FROM audit ORDER BY rowid;
DROP TABLE audit;
ALTER TABLE new_audit RENAME TO audit;
CREATE INDEX audit_time ON audit (time, id);
CREATE INDEX audit_user_time ON audit (user, time, id);
CREATE INDEX audit_category_time ON audit (category, time, id);
CREATE INDEX audit_severity_time ON audit (severity, time, id);
CREATE INDEX audit_action_time ON audit (action, time, id);
CREATE INDEX audit_instance_seq ON audit (instance, seq) WHERE instance IS NOT NULL;
CREATE INDEX audit_erased_time ON audit (erased, time, id) WHERE erased IS NOT NULL;

CREATE TABLE new_usage_events (
    id       TEXT PRIMARY KEY NOT NULL,
    time     INTEGER NOT NULL,
    user     TEXT,
    endpoint TEXT,
    model    TEXT,
    outcome  TEXT,
    instance TEXT,
    seq      INTEGER,
    erased   TEXT,
    body     TEXT NOT NULL
);
INSERT INTO new_usage_events (id, time, user, endpoint, model, outcome, body)
    SELECT id, time, user, endpoint, model, outcome, body FROM usage_events ORDER BY rowid;
DROP TABLE usage_events;
ALTER TABLE new_usage_events RENAME TO usage_events;
CREATE INDEX usage_events_time ON usage_events (time, id);
CREATE INDEX usage_events_user_time ON usage_events (user, time, id);
CREATE INDEX usage_events_model_time ON usage_events (model, time, id);
CREATE INDEX usage_events_instance_seq ON usage_events (instance, seq) WHERE instance IS NOT NULL;
CREATE INDEX usage_events_erased_time ON usage_events (erased, time, id) WHERE erased IS NOT NULL;

CREATE TABLE heads (                           -- signed heads of chains
    id       TEXT PRIMARY KEY NOT NULL,
    time     INTEGER NOT NULL,
    instance TEXT,
    seq      INTEGER,                          -- its number
    body     TEXT NOT NULL
);
CREATE INDEX heads_time ON heads (time, id);
CREATE INDEX heads_instance_seq ON heads (instance, seq) WHERE instance IS NOT NULL;

CREATE TABLE usage_daily (                     -- what the entries of a user and day (UTC) add up to
    key  TEXT PRIMARY KEY NOT NULL,            -- the day, then the user
    day  TEXT NOT NULL,                        -- 2026-11-21
    user TEXT NOT NULL,
    role TEXT NOT NULL,
    sums TEXT NOT NULL                         -- JSON
) WITHOUT ROWID;
CREATE INDEX usage_daily_user_key ON usage_daily (user, key);
",
    "
CREATE TABLE overrides (
    kind           TEXT NOT NULL,              -- role, group, user
    id             TEXT NOT NULL,              -- a name, or LibreChat's users._id
    priority       INTEGER NOT NULL,
    overrides      TEXT NOT NULL,              -- JSON
    is_active      INTEGER NOT NULL,
    config_version INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,           -- microseconds since 1970 (UTC)
    updated_by     TEXT,
    note           TEXT,
    expires_at     INTEGER,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX overrides_version ON overrides (config_version);

CREATE TABLE override_versions (               -- the counter that versions are drawn from
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
);
",
    "
CREATE TABLE expired (                         -- up to when entries were let go of: what comes again from before is in all sums
    kind   TEXT PRIMARY KEY NOT NULL,          -- the table
    before INTEGER NOT NULL                    -- microseconds since 1970 (UTC)
) WITHOUT ROWID;
",
];

/// The version from which on the sums by day are beside the entries.
const WITH_DAYS: u32 = 4;

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
    if found < WITH_DAYS {
        daily::fill(&transaction).map_err(at)?;
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
    fn a_file_without_sums_by_day_gets_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tollgate.db");
        let mut old = Connection::open(&file).unwrap();
        STEPS[..3].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "user_version", 3).unwrap();
        for n in 0..3 {
            let line = crate::record::samples::turn(n).line().unwrap();
            let insert = "INSERT INTO usage_events (id, time, user, endpoint, model, outcome, body)
                          VALUES (?1, ?2, '6b012e4109cc968f8a928bce', 'openAI', 'gpt-4o-mini', 'started', ?3)";
            old.execute(insert, (line.id.to_string(), line.at.as_microsecond(), &*line.text)).unwrap();
        }
        let line = crate::record::samples::refusal(3).line().unwrap();
        let insert = "INSERT INTO audit (id, time, action, category, severity, decision, body)
                      VALUES (?1, ?2, 'chat.turn', 'SECURITY', 'WARNING', 'deny', ?3)";
        old.execute(insert, (line.id.to_string(), line.at.as_microsecond(), &*line.text)).unwrap();
        let odd = "INSERT INTO usage_events VALUES ('odd', 0, 'ann', '', '', '', 'no JSON')";
        old.execute(odd, []).unwrap();
        prepare(&mut old, &file).unwrap();
        let (key, sums): (String, String) =
            old.query_row("SELECT key, sums FROM usage_daily", [], |row| row.try_into()).unwrap();
        assert_eq!(key, "2027-01-15|6b012e4109cc968f8a928bce");
        assert!(sums.contains("\"calls\":3"), "{sums}");
        let kept: Vec<i64> = ["audit", "usage_events"]
            .map(|table| old.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap())
            .into();
        assert_eq!(kept, [1, 4]);
        prepare(&mut old, &file).unwrap();
        let again: String = old.query_row("SELECT sums FROM usage_daily", [], |row| row.get(0)).unwrap();
        assert_eq!(again, sums, "once");
    }

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
