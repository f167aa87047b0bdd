//! A look at everything that serving needs, and at what a token would become. It goes the ways of serving, and changes nothing.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::identity::{Identity, Oidc};
use crate::lifecycle::House;
use crate::metrics::Metrics;
use crate::policy::Snapshot;
use crate::store::embedded::{Embedded, FILE};
use crate::store::mongo::Mongo;
use crate::store::overrides::Overrides;
use crate::store::{Agents, Directory};

mod overrides;
mod setup;
mod token;

pub use token::{Credentials, Shown, Standing};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Fault,
}

/// What one look found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// What was found. No secret.
    pub found: String,
    /// What to do about it, where there is something to do.
    pub advice: Option<String>,
}

/// The parts of serving that are looked at, put together as serving does.
struct Parts {
    mongo: Option<Arc<Mongo>>,
    directory: Option<Arc<dyn Directory>>,
    /// Where overrides are kept; none where nothing keeps any.
    overrides: Option<Arc<dyn Overrides>>,
    provider: Option<Arc<Oidc>>,
    clock: Clock,
    metrics: Metrics,
    /// What could not be put together.
    findings: Vec<Finding>,
}

/// Looks at everything, and at these credentials.
pub fn look(settings: &Settings, policy: &Snapshot, shown: Option<&Credentials>) -> (Vec<Finding>, Option<Standing>) {
    let house = match House::open() {
        Ok(house) => house,
        Err(error) => return (vec![Finding::fault("machine", format!("no thread can be started: {error}"), "")], None),
    };
    let clock = Clock::system();
    let metrics = match Metrics::new() {
        Ok(metrics) => metrics,
        Err(error) => return (vec![Finding::fault("machine", error.to_string(), "")], None),
    };
    let parts = house.wait_for(Parts::of(settings, clock, metrics));
    let keeping = parts.provider.clone().map(|provider| house.spawn(async move { provider.keep().await }));
    let looked = house.wait_for(async {
        let mut findings = parts.findings.clone();
        findings.extend(setup::look(settings, &parts).await);
        findings.extend(overrides::look(&parts, policy).await);
        let standing = match shown {
            Some(shown) => Some(token::look(&parts.identity(settings), policy, shown, settings, &parts.clock).await),
            None => None,
        };
        (findings, standing)
    });
    keeping.iter().for_each(tokio::task::JoinHandle::abort);
    house.close();
    looked
}

// === impl Parts ===

impl Parts {
    async fn of(settings: &Settings, clock: Clock, metrics: Metrics) -> Self {
        let mut findings = Vec::new();
        let mongo = match &settings.mongo {
            None => None,
            Some(mongo) => match Mongo::connect(mongo.uri.reveal(), &mongo.database).await {
                Ok(mongo) => Some(Arc::new(mongo)),
                Err(error) => {
                    findings.push(Finding::fault("MongoDB", error.to_string(), "correct MONGO_URI"));
                    None
                }
            },
        };
        let embedded = match &settings.mongo {
            Some(_) => None,
            None => Self::embedded(settings, &mut findings).map(Arc::new),
        };
        let mut directory: Option<Arc<dyn Directory>> = None;
        let mut overrides: Option<Arc<dyn Overrides>> = None;
        if let Some(mongo) = &mongo {
            directory = Some(mongo.clone());
            overrides = Some(mongo.clone());
        } else if let Some(embedded) = embedded {
            directory = Some(embedded.clone());
            overrides = Some(embedded);
        }
        let provider = match super::provider(settings, &clock, &metrics) {
            Ok(provider) => provider,
            Err(error) => {
                findings.push(Finding::fault(
                    "identity provider",
                    error.to_string(),
                    "correct the settings below oidc",
                ));
                None
            }
        };
        Self { mongo, directory, overrides, provider, clock, metrics, findings }
    }

    /// Opening makes what is missing, and a look makes nothing.
    fn embedded(settings: &Settings, findings: &mut Vec<Finding>) -> Option<Embedded> {
        const HELP: &str = "set MONGO_URI to look people up in LibreChat's database, or add people: tollgate users set";
        if !settings.data.join(FILE).exists() {
            let found = format!("no MongoDB is configured, and there is nobody in {}", settings.data.display());
            findings.push(Finding::warning("people", found, HELP));
            return None;
        }
        match Embedded::open(&settings.data) {
            Ok(embedded) => {
                let count = embedded.people().map_or(0, |people| people.len());
                findings.push(match count {
                    0 => Finding::warning("people", "the embedded directory is empty".to_owned(), HELP),
                    count => Finding::ok("people", format!("{count} in the embedded directory")),
                });
                Some(embedded)
            }
            Err(error) => {
                findings.push(Finding::fault("people", error.to_string(), "look at the data directory"));
                None
            }
        }
    }

    /// None where there is nobody to ask who somebody is.
    fn identity(&self, settings: &Settings) -> Option<Identity> {
        let agents = self.mongo.clone().map(|mongo| -> Arc<dyn Agents> { mongo });
        let people = (self.directory.clone()?, agents);
        Some(super::identity(settings, people, self.provider.clone(), &self.clock, &self.metrics))
    }
}

// === impl Finding ===

impl Finding {
    /// Something that is as it should be.
    pub fn ok(what: &'static str, found: String) -> Self {
        Self { what, state: State::Ok, found, advice: None }
    }

    /// Something to look at.
    pub fn warning(what: &'static str, found: String, advice: &str) -> Self {
        Self { what, state: State::Warning, found, advice: Some(advice.to_owned()) }
    }

    /// Something that does not work.
    pub fn fault(what: &'static str, found: String, advice: &str) -> Self {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        Self { what, state: State::Fault, found, advice }
    }
}

// === impl State ===

impl State {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}
