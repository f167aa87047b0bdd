//! A look at the deployment, for those who set Tollgate up.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;

use super::{LOOK_UP, Mongo, OPERATION, SEARCH, StoreError, faults};

/// What a look finds.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The name of LibreChat's database.
    pub database: String,
    /// Which of the collections asked for are there and have a document.
    pub filled: Vec<&'static str>,
    /// The server's time, where it tells.
    pub time: Option<Timestamp>,
}

/// What LibreChat's administrators have put into its database.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Overrides of `librechat.yaml`, by priority.
    pub configs: Vec<ConfigOverride>,
    /// Whether there are more than these.
    pub more: bool,
    /// How many users have a balance.
    pub balances: u64,
}

/// An override of `librechat.yaml` (`configs`).
#[derive(Clone, Debug)]
pub struct ConfigOverride {
    /// `user`, `group` or `role`.
    pub kind: String,
    /// Its name, or its id.
    pub whom: String,
    /// The sections that it overrides.
    pub sections: Vec<String>,
    /// Whether it is in force.
    pub active: bool,
}

/// Most overrides that are told.
const MOST_OVERRIDES: usize = 200;

impl Mongo {
    /// Reads what LibreChat's administrators have overridden, and how many balances there are.
    ///
    /// # Errors
    /// [`StoreError`] where the server does not answer, or does not let these be read.
    pub async fn overrides(&self) -> Result<Overrides, StoreError> {
        let asked = faults::in_time(&self.hosts, SEARCH, overrides(&self.librechat)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    /// Looks which of these collections of LibreChat's have anything in them, and what time it is there. Reads only.
    ///
    /// # Errors
    /// [`StoreError`] where the server does not answer, or does not let these be read.
    pub async fn probe(&self, collections: &[&'static str]) -> Result<Probe, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, probe(&self.librechat, collections)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

async fn probe(librechat: &Database, collections: &[&'static str]) -> Result<Probe, Error> {
    let mut filled = Vec::new();
    for &name in collections {
        let collection = librechat.collection::<Document>(name);
        let found = collection.find_one(doc! {}).projection(doc! {"_id": 1}).max_time(OPERATION);
        if found.await?.is_some() {
            filled.push(name);
        }
    }
    // The one command that whoever can connect may give.
    let hello = librechat.run_command(doc! {"hello": 1}).await?;
    let time =
        hello.get_datetime("localTime").ok().and_then(|at| Timestamp::from_millisecond(at.timestamp_millis()).ok());
    Ok(Probe { database: librechat.name().to_owned(), filled, time })
}

async fn overrides(librechat: &Database) -> Result<Overrides, Error> {
    let most = i64::try_from(MOST_OVERRIDES).unwrap_or(i64::MAX) + 1;
    let configs = librechat.collection::<Document>("configs");
    let found = configs.find(doc! {}).sort(doc! {"priority": 1, "_id": 1}).limit(most).max_time(OPERATION).await?;
    let mut found: Vec<Document> = found.try_collect().await?;
    let more = found.len() > MOST_OVERRIDES;
    found.truncate(MOST_OVERRIDES);
    let balances = librechat.collection::<Document>("balances").count_documents(doc! {}).max_time(OPERATION).await?;
    Ok(Overrides { configs: found.iter().map(config).collect(), more, balances })
}

fn config(document: &Document) -> ConfigOverride {
    let text = |name: &str| match document.get(name) {
        Some(Bson::String(text)) => text.clone(),
        Some(Bson::ObjectId(id)) => id.to_hex(),
        _ => "unknown".to_owned(),
    };
    let sections = document.get_document("overrides").map(|all| all.keys().cloned().collect()).unwrap_or_default();
    // As LibreChat's own schema: what does not say is active.
    let active = document.get_bool("isActive").unwrap_or(true);
    ConfigOverride { kind: text("principalType"), whom: text("principalId"), sections, active }
}
