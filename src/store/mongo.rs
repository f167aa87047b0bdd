//! MongoDB: LibreChat's database as the directory, for its agents and its accounts (read only), a database of Tollgate's own as
//! the ledger and for overrides.
//!
//! Look-ups read from the primary with read concern `majority`: the newest role that no failover can take back.
//! Records are written with write concern `majority`. Errors name hosts, never the connection string.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::options::{ClientOptions, DatabaseOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database};
use tokio::sync::OnceCell;

use super::{Accounts, Agents, ApiKey, Directory, Fields, Holder, Keep, Page, Person, StoreError, Subject};

mod accounts;
mod agents;
mod aging;
mod charged;
mod daily;
mod directory;
mod erasing;
mod faults;
mod inspect;
mod keeping;
mod ledger;
mod lines;
mod overrides;
mod own_word;
mod plain;
mod probe;
mod search;

use faults::Hosts;
pub use own_word::OwnWord;
pub use probe::{BrokenConfig, ConfigOverride, Overrides, Probe};

/// Name of Tollgate's own database unless the settings name another (DESIGN.md 6).
pub const OWN_DATABASE: &str = "tollgate";

/// LibreChat's database where the connection string has no path: what the Node.js driver, and so LibreChat, takes then.
pub const DEFAULT_DATABASE: &str = "test";

/// The name that connections have in the server's log.
pub const APP_NAME: &str = "tollgate";

/// How long a call waits for a server that may be used, where none is.
pub const SELECTION: Duration = Duration::from_secs(2);

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_secs(2);

/// How long the server may work on one read (`maxTimeMS`).
pub const OPERATION: Duration = Duration::from_secs(2);

/// How long a look-up or a ping may take from end to end, whatever happens on the way. Somebody waits for it.
pub const LOOK_UP: Duration = Duration::from_secs(4);

/// How long one append may take from end to end. Nobody waits for it; it is repeated whole where it fails.
pub const APPEND: Duration = Duration::from_secs(10);

/// How long the sums of what entries have put on counters may take from end to end. Nobody waits for them but a rebuild.
pub const SUMS: Duration = Duration::from_secs(60);

/// How long a page of lines, or a step of erasing, may take from end to end. Nobody's chat waits for it.
pub const SEARCH: Duration = Duration::from_secs(20);

/// A client of one MongoDB deployment. Cheap to clone.
#[derive(Clone)]
pub struct Mongo {
    librechat: Database,
    own: Database,
    hosts: Hosts,
    /// Set once the indexes of the own database are there.
    indexed: Arc<OnceCell<()>>,
    /// The days that are to be added up.
    pending: Arc<daily::Pending>,
    /// What the server was last told to keep.
    kept: Arc<Mutex<Option<Keep>>>,
}

// === impl Mongo ===

impl Mongo {
    /// A client for the deployment that `uri` names (LibreChat's `MONGO_URI`). LibreChat's database is the one in the URI's
    /// path, [`DEFAULT_DATABASE`] where it has none. Connects when it is first used, so a server that is away does not fail
    /// this call; only the names of a `mongodb+srv` URI are looked up now.
    ///
    /// # Errors
    /// [`StoreError`] where the URI cannot be read, or where `own_database` is LibreChat's, which is never written to.
    pub async fn connect(uri: &str, own_database: &str) -> Result<Self, StoreError> {
        let read = ClientOptions::parse(uri).into_future();
        let parsed = faults::in_time(&Hosts::unknown(), LOOK_UP, read).await?;
        let mut options = parsed.map_err(|error| faults::uri(&error))?;
        options.app_name = Some(APP_NAME.into());
        options.server_selection_timeout = Some(SELECTION);
        options.connect_timeout = Some(CONNECT);
        let hosts = Hosts::new(&options.hosts);
        let librechat = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.into());
        // MongoDB refuses two databases whose names differ in case alone.
        if own_database.is_empty() || own_database.eq_ignore_ascii_case(&librechat) {
            return Err(faults::own_database(own_database));
        }
        let client = Client::with_options(options).map_err(|error| faults::uri(&error))?;
        let reading = DatabaseOptions::builder()
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .read_concern(ReadConcern::majority())
            .build();
        let writing = DatabaseOptions::builder().write_concern(WriteConcern::majority()).build();
        Ok(Self {
            librechat: client.database_with_options(&librechat, reading),
            own: client.database_with_options(own_database, writing),
            hosts,
            indexed: Arc::default(),
            pending: Arc::default(),
            kept: Arc::default(),
        })
    }
}

impl Mongo {
    /// The ids of the people with this e-mail address (lower case), as LibreChat's directory has them now; several where tenants
    /// share the database. For the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the directory does not answer.
    pub async fn people_with(&self, email: &str) -> Result<Vec<Box<str>>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, directory::people_with(&self.librechat, email)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

impl Mongo {
    /// The ids of the people with this name of a user (`users.username`); LibreChat allows several. For the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the directory does not answer.
    pub async fn people_called(&self, name: &str) -> Result<Vec<Box<str>>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, directory::people_called(&self.librechat, name)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    /// At most so many people of LibreChat's directory by their ids, those after this one where one is given. For the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the directory does not answer.
    pub async fn people_after(&self, after: Option<&str>, most: usize) -> Result<Vec<Person>, StoreError> {
        let asked = faults::in_time(&self.hosts, SEARCH, directory::people_after(&self.librechat, after, most)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    /// What LibreChat keeps about somebody beside role and groups; none where it knows nobody with the id. For the command line.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    pub async fn own_word(&self, id: &str) -> Result<Option<OwnWord>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, own_word::of(&self.librechat, id)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

#[async_trait]
impl Directory for Mongo {
    async fn person(&self, id: &str) -> Result<Option<Person>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, directory::person(&self.librechat, id)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn holder(&self, subject: &Subject) -> Result<Holder, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, directory::holder(&self.librechat, subject)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A look-up like any other: the command `ping` would also answer those who may not read.
        let asked =
            faults::in_time(&self.hosts, LOOK_UP, directory::person(&self.librechat, directory::NOBODY)).await?;
        asked.map(|_nobody| ()).map_err(|error| self.hosts.fault(&error))
    }
}

#[async_trait]
impl Agents for Mongo {
    async fn agents(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, agents::agents(&self.librechat, ids)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn briefs(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, agents::briefs(&self.librechat, ids)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn versions(&self, id: &str, index: u32) -> Result<Vec<Fields>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, agents::versions(&self.librechat, id, index)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, agents::api_keys(&self.librechat, hash)).await?;
        match asked.map_err(|error| self.hosts.fault(&error))?.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            _ => Err(self.hosts.ambiguous("agentapikeys")),
        }
    }
}

#[async_trait]
impl Accounts for Mongo {
    async fn balance(&self, user: &str) -> Result<Option<Fields>, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, accounts::balances(&self.librechat, user)).await?;
        let mut found = asked.map_err(|error| self.hosts.fault(&error))?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(self.hosts.ambiguous("balances")),
        }
    }

    async fn transactions(&self, conversations: &[&str], since: Timestamp) -> Result<Page, StoreError> {
        let rows = accounts::transactions(&self.librechat, conversations, since);
        let asked = faults::in_time(&self.hosts, LOOK_UP, rows).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn transactions_of(&self, users: &[&str], answers: &[&str], since: Timestamp) -> Result<Page, StoreError> {
        let rows = accounts::transactions_of(&self.librechat, users, answers, since);
        let asked = faults::in_time(&self.hosts, LOOK_UP, rows).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn messages(&self, user: &str, conversation: &str) -> Result<Page, StoreError> {
        let messages = accounts::messages(&self.librechat, user, conversation);
        let asked = faults::in_time(&self.hosts, LOOK_UP, messages).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn messages_since(
        &self,
        user: &str,
        conversation: &str,
        id: Option<&str>,
        since: Timestamp,
    ) -> Result<Page, StoreError> {
        let messages = accounts::messages_since(&self.librechat, user, conversation, id, since);
        let asked = faults::in_time(&self.hosts, LOOK_UP, messages).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}
