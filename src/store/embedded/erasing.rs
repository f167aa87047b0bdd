//! Erasing a user, step by step.

use rusqlite::{Connection, TransactionBehavior, named_params};

use super::daily;
use super::entries::table;
use super::search::{self, Matching};
use crate::record::{Kind, Line};
use crate::store::{Erased, Found, Place, Tomb, Unread};

/// Entries of one step: others write in between.
const STEP: usize = 200;

/// The next entries of a kind become tombstones, those after this place; the last of them, and none where there are no more.
pub(super) fn step(
    connection: &mut Connection,
    kind: Kind,
    user: &str,
    after: Option<Place>,
    tomb: &Tomb,
) -> rusqlite::Result<(Option<Place>, Erased)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (time, id) = match after {
        Some(Place { at, id }) => (at.as_microsecond(), id.to_string()),
        None => (i64::MIN, String::new()),
    };
    let values = vec![user.to_owned().into(), time.into(), id.into()];
    let rest = " WHERE user = ? AND (time, id) > (?, ?) ORDER BY time, id";
    let Found { lines, unread } = search::lines(&transaction, kind, rest, values, STEP, Matching::Place)?;
    let mut erased = Erased::default();
    for Unread { name, why } in unread {
        erased.keep(format!("{name}: {why}"));
    }
    for line in &lines {
        match tomb(line) {
            Ok(Some(tombstone)) => {
                bury(&transaction, line, &tombstone)?;
                erased.tombstones = erased.tombstones.saturating_add(1);
            }
            Ok(None) => {
                let sql = format!("DELETE FROM {} WHERE id = ?1", table(kind));
                transaction.prepare_cached(&sql)?.execute([line.id.to_string()])?;
                erased.removed = erased.removed.saturating_add(1);
            }
            Err(why) => erased.keep(why),
        }
    }
    transaction.commit()?;
    Ok((lines.last().map(Place::of).filter(|_| lines.len() == STEP), erased))
}

/// How many audit entries of others name the user.
pub(super) fn named(connection: &Connection, user: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM audit WHERE (user IS NULL OR user <> ?1) AND instr(body, ?1) > 0";
    let count: i64 = connection.query_row(sql, [user], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The last step: the user's name goes out of the sums. How many days that were.
pub(super) fn forget(connection: &mut Connection, user: &str) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let days = daily::erase(&transaction, user)?;
    transaction.commit()?;
    // What was erased goes from the log of writes, too, as far as nobody reads it now; the next checkpoints do the rest.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(days)
}

/// Puts the tombstone in the place of the line.
fn bury(connection: &Connection, line: &Line, tombstone: &Line) -> rusqlite::Result<()> {
    let copies = match line.kind {
        Kind::Audit => "action = NULL, category = NULL, severity = NULL, decision = NULL",
        Kind::Usage => "endpoint = NULL, model = NULL, outcome = NULL",
        // Heads tell of nobody.
        Kind::Head => return Ok(()),
    };
    let sql = format!(
        "UPDATE {} SET user = NULL, {copies}, instance = :body ->> 'instance', seq = :body ->> 'seq',
                       erased = :body ->> 'erased', body = :body
         WHERE id = :id",
        table(line.kind)
    );
    let values = named_params! {":id": line.id.to_string(), ":body": tombstone.text};
    connection.prepare_cached(&sql)?.execute(values)?;
    Ok(())
}
