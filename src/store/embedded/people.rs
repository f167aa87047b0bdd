//! The table of people.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::faults::{because, fault};
use crate::store::{Person, StoreError, object_id};

/// Why a person could not be written.
pub(super) enum PutError {
    /// The id is not LibreChat's kind of id.
    Id(Box<str>),
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

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let groups: String = row.get(3)?;
    // A list that cannot be read is an error: a person without groups might be allowed more, or less, than is right.
    let groups = serde_json::from_str(&groups)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Person { id: row.get(0)?, email: row.get(1)?, role: row.get(2)?, groups })
}
