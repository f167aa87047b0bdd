//! Who a user id is, and which id an e-mail address has, as the directory knows it now.

use std::collections::HashMap;

use super::Failure;
use crate::report::quoted;
use crate::store::embedded::Embedded;
use crate::store::mongo::Mongo;
use crate::store::{Directory, Person, object_id};

/// So many names are remembered.
const REMEMBERED: usize = 10_000;

/// The directory.
pub enum People {
    /// LibreChat's own database.
    LibreChat(Mongo),
    /// The embedded directory.
    Embedded(Embedded),
}

/// Somebody's e-mail address; none for somebody without one.
pub type Address = Option<Box<str>>;

/// The names of users, each looked up once.
pub struct Names {
    people: People,
    /// None for whom the directory does not know.
    known: HashMap<Box<str>, Option<Address>>,
}

// === impl People ===

impl People {
    /// The id of the user who is named by an id or an e-mail address.
    ///
    /// # Errors
    /// [`Failure`] where the directory has nobody with that address, or several.
    pub async fn id(&self, address: &str) -> Result<Box<str>, Failure> {
        let address = address.to_lowercase();
        let found = match self {
            Self::LibreChat(mongo) => mongo.people_with(&address).await?,
            Self::Embedded(embedded) => embedded.people_with(&address)?,
        };
        one(&found, "address", &address)
    }

    /// The id of the user who is named by an id, an e-mail address or, in LibreChat's directory, the name of a user. Whether there is
    /// anybody with the id is not looked at.
    ///
    /// # Errors
    /// [`Failure`] where the directory has nobody of that name, or several.
    pub async fn find(&self, name: &str) -> Result<Box<str>, Failure> {
        if let Some(id) = object_id(name) {
            return Ok(id.into());
        }
        if name.contains('@') {
            return self.id(name).await;
        }
        match self {
            Self::LibreChat(mongo) => one(&mongo.people_called(name).await?, "name", name),
            Self::Embedded(_) => Err(Failure::Failed(format!(
                "the embedded directory knows no names of users; name {} by the user id or the e-mail address",
                quoted(name)
            ))),
        }
    }

    /// Somebody by the id; none where the directory knows nobody with it.
    ///
    /// # Errors
    /// [`Failure`] where the directory does not answer.
    pub async fn person(&self, id: &str) -> Result<Option<Person>, Failure> {
        Ok(match self {
            Self::LibreChat(mongo) => mongo.person(id).await?,
            Self::Embedded(embedded) => embedded.find_person(id)?,
        })
    }

    /// At most so many people by their ids, those after this one where one is given.
    ///
    /// # Errors
    /// [`Failure`] where the directory does not answer.
    pub async fn after(&self, id: Option<&str>, most: usize) -> Result<Vec<Person>, Failure> {
        Ok(match self {
            Self::LibreChat(mongo) => mongo.people_after(id, most).await?,
            Self::Embedded(embedded) => embedded.people_after(id, most)?,
        })
    }
}

/// The one who was found.
fn one(found: &[Box<str>], what: &str, name: &str) -> Result<Box<str>, Failure> {
    match found {
        [id] => Ok(id.clone()),
        [] => Err(Failure::Failed(format!(
            "nobody in the directory has the {what} {}; name somebody who was removed by the user id",
            quoted(name)
        ))),
        several => Err(Failure::Failed(format!(
            "{} people have the {what} {}; name one by the user id: {}",
            several.len(),
            quoted(name),
            several.join(", ")
        ))),
    }
}

/// A user as the command line names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// LibreChat's user id.
    Id(Box<str>),
    /// An e-mail address.
    Address(Box<str>),
}

// === impl Named ===

impl Named {
    /// The e-mail address, where it is one.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Address(address) => Some(address),
            Self::Id(_) => None,
        }
    }
}

/// Reads a user: an id of 24 hex digits, or what has an `@`.
///
/// # Errors
/// A sentence where it is neither.
pub fn named(text: &str) -> Result<Named, String> {
    match object_id(text) {
        Some(id) => Ok(Named::Id(id.into())),
        None if text.contains('@') => Ok(Named::Address(text.into())),
        None => Err("a user is named by the id (24 hex digits) or the e-mail address".to_owned()),
    }
}

// === impl Names ===

impl Names {
    /// Names by this directory.
    pub fn of(people: People) -> Self {
        Self { people, known: HashMap::new() }
    }

    /// The e-mail address of a user; none where the directory does not know it (any more).
    ///
    /// # Errors
    /// [`Failure`] where the directory does not answer.
    pub async fn email(&mut self, id: &str) -> Result<Option<Box<str>>, Failure> {
        Ok(self.address(id).await?.flatten())
    }

    /// The same, and whether the directory knows the user at all: `None` where it does not, `Some(None)` for somebody without an address.
    ///
    /// # Errors
    /// [`Failure`] where the directory does not answer.
    pub async fn address(&mut self, id: &str) -> Result<Option<Address>, Failure> {
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        let address = self.people.person(id).await?.map(|person| person.email);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(id.into(), address.clone());
        Ok(address)
    }
}
