//! The sums that are kept: those of some days, and all there are, whatever they are.

use jiff::civil::Date;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, named_params};

use crate::store::daily::{self, Sums};
use crate::store::{Daily, DayRow, Days, InspectedDays, Mark, Span, Unread};

/// Rows of a page.
const PAGE: usize = 1_000;

/// What a mark begins with: keys that are texts come before all others.
const TEXT: u8 = b't';
const OTHER: u8 = b'b';

/// See [`crate::store::Ledger::days`].
pub(in crate::store::embedded) fn days(
    connection: &Connection,
    span: &Span,
    after: Option<&str>,
    most: usize,
) -> rusqlite::Result<Days> {
    let mut asked = connection.prepare_cached(
        "SELECT key, day, user, role, sums FROM usage_daily
         WHERE day BETWEEN :from AND :to AND (:user IS NULL OR user = :user) AND (:role IS NULL OR role = :role)
           AND key >= :from AND key > :after AND typeof(key) = 'text'
         ORDER BY key LIMIT :most",
    )?;
    let mut rows = asked.query(named_params! {
        ":from": span.from.to_string(),
        ":to": span.to.to_string(),
        ":user": span.user,
        ":role": span.role,
        ":after": after.unwrap_or_default(),
        ":most": i64::try_from(most).unwrap_or(i64::MAX),
    })?;
    let (mut days, mut last, mut count) = (Days::default(), None, 0_usize);
    while let Some(row) = rows.next()? {
        count += 1;
        last = row.get_ref(0)?.as_str().ok().map(Into::into).or(last);
        match read(row) {
            Ok((daily, _)) => days.days.push(daily),
            Err(unread) => days.unread.push(unread),
        }
    }
    days.next = last.filter(|_| count >= most);
    Ok(days)
}

/// See [`crate::store::Ledger::inspect_days`].
pub(in crate::store::embedded) fn inspect(
    connection: &Connection,
    after: Option<&Mark>,
) -> rusqlite::Result<InspectedDays> {
    let (beyond, after) = match after.and_then(|mark| mark.0.split_first()) {
        None => ("?1 IS NULL", None),
        Some((&TEXT, key)) => ("key > CAST(?1 AS TEXT)", Some(key)),
        Some((_, key)) => ("key > ?1", Some(key)),
    };
    let sql = format!("SELECT key, day, user, role, sums FROM usage_daily WHERE {beyond} ORDER BY key LIMIT ?2");
    let mut asked = connection.prepare_cached(&sql)?;
    let mut rows = asked.query((after, i64::try_from(PAGE).unwrap_or(i64::MAX)))?;
    let (mut inspected, mut last) = (InspectedDays::default(), None);
    while let Some(row) = rows.next()? {
        last = Some(match row.get_ref(0)? {
            ValueRef::Text(key) => [&[TEXT], key].concat(),
            ValueRef::Blob(key) => [&[OTHER], key].concat(),
            _ => vec![OTHER],
        });
        inspected.rows.push(match read(row) {
            Ok((daily, role)) => {
                let mut differs = Vec::new();
                if !daily::fits(&daily) {
                    differs.push("key");
                }
                if role.as_deref() != Some(&*daily.role) {
                    differs.push("role");
                }
                DayRow::Day { daily, differs }
            }
            Err(unread) => DayRow::Unread(unread),
        });
    }
    inspected.next = last.filter(|_| inspected.rows.len() == PAGE).map(|last| Mark(last.into()));
    Ok(inspected)
}

/// Sums as they are kept.
pub(super) fn sums(json: &str) -> Option<Sums> {
    serde_json::from_str(json).ok()
}

// === helpers ===

/// The sums of a row (`key`, `day`, `user`, `role`, `sums`), and the role that stands beside them.
fn read(row: &Row<'_>) -> Result<(Daily, Option<Box<str>>), Unread> {
    let cell = |n| row.get_ref(n).unwrap_or(ValueRef::Null);
    let unread = |why: &str| {
        let key = match cell(0) {
            ValueRef::Text(key) | ValueRef::Blob(key) => String::from_utf8_lossy(key).into_owned(),
            _ => "without a key".to_owned(),
        };
        Unread { name: format!("row {key} of usage_daily").into(), why: why.into() }
    };
    let text = |n| cell(n).as_str().ok();
    let key = text(0).ok_or_else(|| unread("its key is no text"))?;
    let day: Date = text(1)
        .and_then(|day| day.parse().ok().filter(|date: &Date| date.to_string() == day))
        .ok_or_else(|| unread("its day is none"))?;
    let user = text(2).ok_or_else(|| unread("its user is no text"))?;
    let kept = text(4).and_then(sums).ok_or_else(|| unread("its sums cannot be read"))?;
    Ok((kept.told(key.into(), user.into(), day), text(3).map(Into::into)))
}
