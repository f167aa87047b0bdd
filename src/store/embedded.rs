//! The store that needs no server: one SQLite file in a directory.
//!
//! Two processes may use it at once (the command line while the proxy runs): the file is in WAL mode, where readers and a
//! writer do not wait for each other, and a second writer waits up to [`BUSY`]. A record survives the end of the process;
//! a loss of power may cost the last ones (`synchronous = NORMAL`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use super::counters::Draw;
use super::{
    Days, Directory, Erased, Filter, Found, Holder, Inspected, InspectedDays, Keep, Ledger, Mark, Person, Place, Span,
    StoreError, Subject, Tomb, own,
};
use crate::record::{Kind, Line};

mod charged;
mod daily;
mod entries;
mod erasing;
mod faults;
mod inspect;
mod overrides;
mod people;
mod schema;
mod search;

use daily::kept;
use faults::fault;

/// The file inside the directory.
pub const FILE: &str = "tollgate.db";

/// How long a process waits for another one that is writing.
pub const BUSY: Duration = Duration::from_secs(2);

/// An account at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The issuer, as its tokens name it.
    pub issuer: Box<str>,
    /// The claim `sub` of its tokens.
    pub subject: Box<str>,
}

/// The embedded store. Cheap to clone; all clones share the same three connections.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<Path>,
    /// One connection for look-ups and one for writing, so that nobody who is asked about waits for a batch of records.
    reader: Arc<Mutex<Connection>>,
    writer: Arc<Mutex<Connection>>,
    /// And one for searching the record, which may take its time.
    searcher: Arc<Mutex<Connection>>,
}

// === impl Embedded ===

impl Embedded {
    /// Opens `<dir>/tollgate.db`, making the directory and the tables where they are missing. Blocks while it reads the
    /// disk: for start-up and the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the directory cannot be written, the file is locked for longer than [`BUSY`], is not a
    /// database, or was written by a newer Tollgate.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        make_directory(dir)?;
        let file: PathBuf = dir.join(FILE);
        let mut writer = connect(&file)?;
        schema::prepare(&mut writer, &file)?;
        let share = |connection| Arc::new(Mutex::new(connection));
        let (reader, searcher) = (share(connect(&file)?), share(connect(&file)?));
        Ok(Self { file: file.into(), reader, writer: share(writer), searcher })
    }

    /// Adds this person or replaces the one with the same id. Blocks: for the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the id is not 24 hex digits or the file cannot be written.
    pub fn put_person(&self, person: &Person) -> Result<(), StoreError> {
        people::put(&locked(&self.writer), person).map_err(|error| error.at(&self.file))
    }

    /// Says whose account of the identity provider a person has, or with `None` that the person has none. Blocks: for the
    /// command line.
    ///
    /// # Errors
    /// [`StoreError`] where nobody has the id, where somebody else has the account, or the file cannot be written.
    pub fn link_person(&self, id: &str, account: Option<&Account>) -> Result<(), StoreError> {
        people::link(&locked(&self.writer), id, account).map_err(|error| error.at(&self.file))
    }

    /// The account of the identity provider that a person has. Blocks: for the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn account(&self, id: &str) -> Result<Option<Account>, StoreError> {
        people::account(&locked(&self.reader), id).map_err(|error| fault(&self.file, &error))
    }

    /// Removes a person; `false` where there was none. Blocks: for the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be written.
    pub fn remove_person(&self, id: &str) -> Result<bool, StoreError> {
        people::remove(&locked(&self.writer), id).map_err(|error| fault(&self.file, &error))
    }

    /// The person with this id. Blocks: for the command line; a request asks [`Directory::person`].
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn find_person(&self, id: &str) -> Result<Option<Person>, StoreError> {
        people::find(&locked(&self.reader), id).map_err(|error| fault(&self.file, &error))
    }

    /// Everybody, ordered by e-mail address, then id. Blocks: for the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be read.
    pub fn people(&self) -> Result<Vec<Person>, StoreError> {
        people::all(&locked(&self.reader)).map_err(|error| fault(&self.file, &error))
    }

    /// At most so many people by their ids, those after this one where one is given.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn people_after(&self, after: Option<&str>, most: usize) -> Result<Vec<Person>, StoreError> {
        people::page(&locked(&self.reader), after, most).map_err(|error| fault(&self.file, &error))
    }

    /// The ids of the people with this e-mail address (lower case), at most ten.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn people_with(&self, email: &str) -> Result<Vec<Box<str>>, StoreError> {
        people::with(&locked(&self.reader), email).map_err(|error| fault(&self.file, &error))
    }

    /// Runs `work` with a connection where blocking harms nobody.
    async fn with<T: Send + 'static>(
        &self,
        connection: &Arc<Mutex<Connection>>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(connection);
        match tokio::task::spawn_blocking(move || work(&mut locked(&connection))).await {
            Ok(done) => done.map_err(|error| fault(&self.file, &error)),
            // The runtime is going down, or the work panicked; either way this call has no answer.
            Err(error) => Err(faults::because(&self.file, &format_args!("the work was not finished: {error}"), true)),
        }
    }
}

#[async_trait]
impl Directory for Embedded {
    async fn person(&self, id: &str) -> Result<Option<Person>, StoreError> {
        let id = id.to_owned();
        self.with(&self.reader, move |connection| people::find(connection, &id)).await
    }

    async fn holder(&self, subject: &Subject) -> Result<Holder, StoreError> {
        let subject = subject.clone();
        self.with(&self.reader, move |connection| people::holder(connection, &subject)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Reads the file: a bare `SELECT 1` would answer with the disk gone.
        self.with(&self.reader, |connection| {
            connection.query_row("SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1)", [], |_| Ok(()))
        })
        .await
    }
}

#[async_trait]
impl Ledger for Embedded {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        let rows = entries::rows(lines)
            .map_err(|error| faults::because(&self.file, &format_args!("not a line of the record: {error}"), false))?;
        self.with(&self.writer, move |connection| entries::append(connection, rows)).await
    }

    async fn charged(&self, at: Timestamp) -> Result<Vec<Draw>, StoreError> {
        self.with(&self.searcher, move |connection| charged::charged(connection, at)).await
    }

    async fn find(&self, filter: &Filter, after: Option<&Place>, most: usize) -> Result<Found, StoreError> {
        let (filter, after) = (filter.clone(), after.copied());
        self.with(&self.searcher, move |connection| search::find(connection, &filter, after.as_ref(), most)).await
    }

    async fn chain(&self, instance: Uuid, kind: Kind, from: u64, most: usize) -> Result<Found, StoreError> {
        self.with(&self.searcher, move |connection| search::chain(connection, instance, kind, from, most)).await
    }

    async fn last(&self, instance: Uuid, kind: Kind) -> Result<Option<Line>, StoreError> {
        self.with(&self.searcher, move |connection| search::last(connection, instance, kind)).await
    }

    async fn inspect(&self, kind: Kind, after: Option<&Mark>) -> Result<Inspected, StoreError> {
        let after = after.cloned();
        self.with(&self.searcher, move |connection| inspect::inspect(connection, kind, after.as_ref())).await
    }

    async fn instances(&self) -> Result<Vec<Uuid>, StoreError> {
        self.with(&self.searcher, |connection| search::instances(connection)).await
    }

    async fn erase(&self, user: &str, tomb: Tomb) -> Result<Erased, StoreError> {
        let mut erased = Erased::default();
        for kind in [Kind::Audit, Kind::Usage] {
            let mut after = None;
            loop {
                let (user, tomb) = (user.to_owned(), Arc::clone(&tomb));
                let step = move |connection: &mut Connection| erasing::step(connection, kind, &user, after, &tomb);
                let (last, done) = self.with(&self.writer, step).await?;
                erased.add(done);
                if last.is_none() {
                    break;
                }
                after = last;
            }
        }
        let name = user.to_owned();
        erased.named = self.with(&self.searcher, move |connection| erasing::named(connection, &name)).await?;
        let user = user.to_owned();
        erased.days = self.with(&self.writer, move |connection| erasing::forget(connection, &user)).await?;
        Ok(erased)
    }

    async fn erasures(&self) -> Result<Vec<Uuid>, StoreError> {
        self.with(&self.searcher, |connection| search::erasures(connection)).await
    }

    async fn days(&self, span: &Span, after: Option<&str>, most: usize) -> Result<Days, StoreError> {
        let (span, after) = (span.clone(), after.map(str::to_owned));
        self.with(&self.searcher, move |connection| kept::days(connection, &span, after.as_deref(), most)).await
    }

    async fn inspect_days(&self, after: Option<&Mark>) -> Result<InspectedDays, StoreError> {
        let after = after.cloned();
        self.with(&self.searcher, move |connection| kept::inspect(connection, after.as_ref())).await
    }

    async fn add_up(&self, _at: Timestamp) -> Result<bool, StoreError> {
        // An entry is in the sums with the transaction that keeps it.
        Ok(false)
    }

    async fn expire(&self, keep: &Keep, at: Timestamp) -> Result<bool, StoreError> {
        let keep = *keep;
        self.with(&self.writer, move |connection| search::expire(connection, &keep, at)).await
    }
}

// === helpers ===

/// The connection, also after a panic elsewhere: SQLite rolls back what was not committed, so nothing is half done.
fn locked(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let opened = Connection::open(file).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What was deleted or erased is gone from the file, and does not lie on in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        Ok(connection)
    });
    opened.map_err(|error| fault(file, &error))
}

fn make_directory(dir: &Path) -> Result<(), StoreError> {
    own::make_directory(dir).map_err(|error| {
        faults::because(dir, &format_args!("the directory cannot be made: {error}; name another with --data"), false)
    })
}

#[cfg(test)]
mod tests;
