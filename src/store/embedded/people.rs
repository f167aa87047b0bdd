//! The table of people.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::Account;
use super::faults::{because, fault};
use crate::store::subject::{Field, Link};
use crate::store::{Holder, Person, StoreError, Subject, normal_issuer, object_id};

/// Why a person could not be written.
pub(super) enum PutError {
    /// The id is not LibreChat's kind of id.
    Id(Box<str>),
    /// Nobody has the id.
    Nobody(Box<str>),
    /// Somebody else has the account.
    Taken(Box<str>),
    Sqlite(rusqlite::Error),
}

impl PutError {
    pub(super) fn at(self, file: &Path) -> StoreError {
        match self {
            Self::Id(id) => because(
                file,
                &format_args!("{id:?} is not a user id; LibreChat's `users._id` has 24 hex digits"),
                false,
            ),
            Self::Nobody(id) => because(file, &format_args!("nobody has the id {id:?}"), false),
            Self::Taken(id) => because(
                file,
                &format_args!("the person with the id {id} has this account; take it from them first"),
                false,
            ),
            Self::Sqlite(error) => fault(file, &error),
        }
    }
}

pub(super) fn put(connection: &Connection, person: &Person) -> Result<(), PutError> {
    let id = object_id(&person.id).ok_or_else(|| PutError::Id(person.id.clone()))?;
    let groups = serde_json::Value::from_iter(person.groups.iter().map(|group| group.as_ref())).to_string();
    let email = person.email.as_deref().map(str::to_lowercase);
    connection
        .prepare_cached(
            "INSERT INTO users (id, email, role, groups) VALUES (:id, :email, :role, :groups)
             ON CONFLICT (id) DO UPDATE SET email = :email, role = :role, groups = :groups",
        )
        .and_then(|mut put| {
            put.execute(named_params! {":id": id, ":email": email, ":role": person.role.as_deref(), ":groups": groups})
        })
        .map_err(PutError::Sqlite)?;
    Ok(())
}

pub(super) fn link(connection: &Connection, id: &str, account: Option<&Account>) -> Result<(), PutError> {
    let id = object_id(id).ok_or_else(|| PutError::Id(id.into()))?;
    let (issuer, subject) = match account {
        Some(account) => (Some(normal_issuer(&account.issuer)), Some(&*account.subject)),
        None => (None, None),
    };
    let other = "SELECT id FROM users WHERE openid_id = ?1 AND openid_issuer = ?2 AND id <> ?3";
    let other: Option<String> =
        connection.query_row(other, (subject, issuer, &id), |row| row.get(0)).optional().map_err(PutError::Sqlite)?;
    if let Some(other) = other {
        return Err(PutError::Taken(other.into()));
    }
    let link = "UPDATE users SET openid_id = ?1, openid_issuer = ?2 WHERE id = ?3";
    match connection.execute(link, (subject, issuer, &id)).map_err(PutError::Sqlite)? {
        0 => Err(PutError::Nobody(id.into())),
        _ => Ok(()),
    }
}

pub(super) fn account(connection: &Connection, id: &str) -> rusqlite::Result<Option<Account>> {
    let Some(id) = object_id(id) else { return Ok(None) };
    let mut find = connection.prepare_cached("SELECT openid_issuer, openid_id FROM users WHERE id = ?1")?;
    let account = |row: &Row<'_>| {
        let (issuer, subject): (Option<Box<str>>, Option<Box<str>>) = (row.get(0)?, row.get(1)?);
        Ok(issuer.zip(subject).map(|(issuer, subject)| Account { issuer, subject }))
    };
    Ok(find.query_row([id], account).optional()?.flatten())
}

/// Accounts are linked whole here, with their issuer: of LibreChat's ways to find somebody, the first is the only one.
pub(super) fn holder(connection: &Connection, subject: &Subject) -> rusqlite::Result<Holder> {
    for question in subject.questions().filter(|question| question.field == Field::OpenidId) {
        let mut find = connection.prepare_cached(
            "SELECT id, email, role, groups, openid_id, openid_issuer FROM users
             WHERE openid_id = ?1 AND openid_issuer = ?2",
        )?;
        let found = find
            .query_row((question.value, question.issuer), |row| {
                let link = Link { provider: None, openid_id: row.get(4)?, openid_issuer: row.get(5)? };
                Ok((person(row)?, link))
            })
            .optional()?;
        if let Some((person, link)) = found {
            let owned = subject.owns(question.field, &link);
            return Ok(if owned { Holder::Known(person) } else { Holder::Unlinked });
        }
    }
    Ok(Holder::Nobody)
}

pub(super) fn remove(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    let Some(id) = object_id(id) else { return Ok(false) };
    Ok(connection.execute("DELETE FROM users WHERE id = ?1", [id])? > 0)
}

pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Person>> {
    let Some(id) = object_id(id) else { return Ok(None) };
    let mut find = connection.prepare_cached("SELECT id, email, role, groups FROM users WHERE id = ?1")?;
    find.query_row([id], person).optional()
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Person>> {
    let mut all = connection.prepare("SELECT id, email, role, groups FROM users ORDER BY email NULLS LAST, id")?;
    all.query_map([], person)?.collect()
}

pub(super) fn page(connection: &Connection, after: Option<&str>, most: usize) -> rusqlite::Result<Vec<Person>> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut page =
        connection.prepare_cached("SELECT id, email, role, groups FROM users WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    page.query_map((after.unwrap_or_default(), most), person)?.collect()
}

pub(super) fn with(connection: &Connection, email: &str) -> rusqlite::Result<Vec<Box<str>>> {
    let mut with = connection.prepare_cached("SELECT id FROM users WHERE email = ?1 ORDER BY id LIMIT 10")?;
    with.query_map([email], |row| row.get(0))?.collect()
}

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let groups: String = row.get(3)?;
    // A list that cannot be read is an error: a person without groups might be allowed more, or less, than is right.
    let groups = serde_json::from_str(&groups)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Person { id: row.get(0)?, email: row.get(1)?, role: row.get(2)?, groups })
}
