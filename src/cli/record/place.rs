//! Where the record is: the store that the settings name, or the one that the command line names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use super::names::People;
use super::{Desk, Failure};
use crate::config::{Environment, Flags, RecordPlace, Settings, SinkKind};
use crate::store::embedded::{Embedded, FILE};
use crate::store::mongo::Mongo;
use crate::store::overrides::Overrides;
use crate::store::{Keep, Ledger};

/// Where the record is.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where the record is")]
pub struct PlaceArgs {
    /// Settings file, as `tollgate serve` reads it; the environment counts, too
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The store to read [default: the first store among the settings' records.sinks]
    #[arg(long, value_enum, value_name = "STORE")]
    pub sink: Option<StoreName>,
    /// Directory of the embedded store and of the record's keys; the store in it is read where the settings name none
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// A store that keeps the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreName {
    /// The embedded store
    Embedded,
    /// Tollgate's database on MongoDB
    Mongo,
}

/// The place that settings and command line name. Nothing is opened yet.
pub struct Place {
    settings: RecordPlace,
    store: Option<StoreName>,
    /// The command line names it.
    named: bool,
    /// Opened once, for the record and for the directory.
    mongo: Option<Mongo>,
    embedded: Option<Embedded>,
}

// === impl Place ===

impl Place {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`Failure::Settings`] with all their faults.
    pub fn read(args: &PlaceArgs, desk: &Desk<'_>) -> Result<Self, Failure> {
        Self::named(args, desk.environment)
    }

    /// The same for who has no desk.
    ///
    /// # Errors
    /// [`Failure::Settings`] with all their faults.
    pub fn named(args: &PlaceArgs, environment: &Environment) -> Result<Self, Failure> {
        let flags = Flags { config: args.config.clone(), data: args.data.clone(), ..Flags::default() };
        let settings = Settings::record(&flags, environment).map_err(Failure::Settings)?;
        let first = settings.sinks.iter().find_map(|sink| StoreName::of(*sink));
        // A directory says where the embedded store is, and not that the other one is not meant.
        let alone = args.data.as_ref().map(|_| StoreName::Embedded);
        let store = args.sink.or(first).or(alone);
        Ok(Self { settings, store, named: args.sink.is_some() || first.is_none(), mongo: None, embedded: None })
    }

    /// The directory of the embedded store, which also has the record's keys.
    pub fn data(&self) -> &Path {
        &self.settings.data
    }

    /// The store that the record is in, where one is named.
    pub fn store(&self) -> Option<StoreName> {
        self.store
    }

    /// The name of the store that the record is in, as sinks have it.
    pub fn store_name(&self) -> &'static str {
        match self.store {
            Some(StoreName::Mongo) => "mongo",
            Some(StoreName::Embedded) | None => "embedded",
        }
    }

    /// All stores that entries are written to: the one that the command line names, else those among the sinks.
    pub fn stores(&self) -> Vec<StoreName> {
        match (self.named, self.store) {
            (true, store) => store.into_iter().collect(),
            (false, _) => self.settings.sinks.iter().filter_map(|sink| StoreName::of(*sink)).collect(),
        }
    }

    /// The same place, and this store in it.
    pub fn select(&mut self, store: StoreName) {
        self.store = Some(store);
    }

    /// The file of JSON lines, where one is written.
    pub fn file(&self) -> Option<&Path> {
        self.settings.file.as_deref()
    }

    /// Whether MongoDB is configured: people are looked up there.
    pub fn has_mongo(&self) -> bool {
        self.settings.mongo.is_some()
    }

    /// The key that signs, where the settings name one.
    pub fn signing_key(&self) -> Option<&Path> {
        self.settings.signing_key.as_deref()
    }

    /// For how long a running Tollgate keeps entries in the store.
    pub fn keep(&self) -> Keep {
        self.settings.keep
    }

    /// Opens the record.
    ///
    /// # Errors
    /// [`Failure`] where there is none, or it cannot be opened.
    pub async fn ledger(&mut self) -> Result<Arc<dyn Ledger>, Failure> {
        match self.store {
            Some(StoreName::Embedded) => Ok(Arc::new(self.embedded()?)),
            Some(StoreName::Mongo) => Ok(Arc::new(self.mongo().await?)),
            None => Err(Failure::Asked(
                "the settings name no store that keeps the record (records.sinks); name one with --sink or --data"
                    .into(),
            )),
        }
    }

    /// Opens the directory of people: LibreChat's where MongoDB is configured, else the embedded one.
    ///
    /// # Errors
    /// [`Failure`] where there is none, or it cannot be opened.
    pub async fn people(&mut self) -> Result<People, Failure> {
        if self.settings.mongo.is_some() {
            return Ok(People::LibreChat(self.mongo().await?));
        }
        Ok(People::Embedded(self.embedded()?))
    }

    /// Opens the store of overrides: Tollgate's database where MongoDB is configured, else the embedded store, which is made where it is
    /// missing and `make` says so.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be opened.
    pub async fn overrides(&mut self, make: bool) -> Result<Arc<dyn Overrides>, Failure> {
        if self.settings.mongo.is_some() {
            return Ok(Arc::new(self.mongo().await?));
        }
        if make && self.embedded.is_none() {
            let open = Embedded::open(&self.settings.data)?;
            return Ok(Arc::new(self.embedded.insert(open).clone()));
        }
        Ok(Arc::new(self.embedded()?))
    }

    fn embedded(&mut self) -> Result<Embedded, Failure> {
        if let Some(open) = &self.embedded {
            return Ok(open.clone());
        }
        let data = &self.settings.data;
        // Opening makes what is missing: a mistyped directory is no empty record.
        if !data.join(FILE).exists() {
            return Err(Failure::Failed(format!(
                "there is no store in {}; name its directory with --data, or the settings with --config",
                data.display()
            )));
        }
        let open = Embedded::open(data)?;
        Ok(self.embedded.insert(open).clone())
    }

    async fn mongo(&mut self) -> Result<Mongo, Failure> {
        if let Some(open) = &self.mongo {
            return Ok(open.clone());
        }
        let Some(settings) = &self.settings.mongo else {
            return Err(Failure::Asked(
                "no MongoDB is configured; set MONGO_URI, or name the settings with --config".into(),
            ));
        };
        let open = Mongo::connect(settings.uri.reveal(), &settings.database).await?;
        Ok(self.mongo.insert(open).clone())
    }
}

// === impl StoreName ===

impl StoreName {
    fn of(sink: SinkKind) -> Option<Self> {
        match sink {
            SinkKind::Embedded => Some(Self::Embedded),
            SinkKind::Mongo => Some(Self::Mongo),
            SinkKind::Stdout | SinkKind::File | SinkKind::Otlp => None,
        }
    }
}
