//! Settings: file, then environment, then flags, later ones winning. Validated whole before a socket opens.
//!
//! Every fault is found at once and says where the value came from. Unknown keys are faults. Secrets are kept in [`Secret`],
//! which never prints, and the settings file is never quoted in a fault. Must not know policy.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::flow::{BalanceUse, UnknownRoutes};
use crate::identity::Trust;
use crate::report::Report;
use crate::store::Keep;

mod environment;
mod reading;
pub mod records;
mod written;

pub use environment::{ENVIRONMENT, Environment};
pub use records::{OtlpOptions, Records, SinkKind};

/// Shortest `JWT_SECRET` that is accepted, in bytes. LibreChat's own example has 64 hex digits.
const SHORTEST_SECRET: usize = 16;

/// Everything that `tollgate serve` is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the data plane. Default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// Address of the admin plane. Default `127.0.0.1:9090`.
    pub admin: SocketAddr,
    /// Where LibreChat listens. Default `http://127.0.0.1:3080`.
    pub upstream: Vec<Upstream>,
    /// Directory of the policy. No default: what is allowed must be said.
    pub policies: PathBuf,
    /// LibreChat's `JWT_SECRET`.
    pub jwt_secret: Secret,
    /// The identity provider whose tokens LibreChat takes in place of its own (`OPENID_REUSE_TOKENS`). Default none.
    pub oidc: Option<Oidc>,
    /// How long role and groups of a user are remembered. Default 5 s.
    pub remember: Duration,
    /// LibreChat's database, where one is used as directory.
    pub mongo: Option<Mongo>,
    /// Directory of the embedded store. Default `./tollgate-data`.
    pub data: PathBuf,
    /// The Redis that counts limits, where several replicas count together. Default none: the embedded store counts.
    pub redis: Option<Secret>,
    /// Whether this is one of several replicas that count limits each for itself. Without Redis several have to say so.
    pub replicas: Replicas,
    /// How decisions and usage are written down and kept.
    pub records: Records,
    /// Proxies in front whose `X-Forwarded-*` are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// What happens to unknown paths under `/api`. Default refuse.
    pub unknown_routes: UnknownRoutes,
    /// What Tollgate does about LibreChat's balances. Default: checks them, shows them as they are.
    pub balance: BalanceUse,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Most client connections open at once. Default 10,000.
    pub connections: usize,
    /// Worker threads of the data plane. Default: as many as the machine has cores, at most 4.
    pub threads: usize,
    /// What is logged, and how.
    pub log: Log,
}

/// Where LibreChat listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// LibreChat's database.
#[derive(Clone, Debug)]
pub struct Mongo {
    /// Connection string; the database it names is LibreChat's.
    pub uri: Secret,
    /// Tollgate's own database on the same server. Default `tollgate`.
    pub database: String,
}

/// How many of Tollgate run in front of one LibreChat. No replica can find out by itself, so the settings say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// All of them, this one too. Default 1.
    pub count: usize,
    /// Whether each counts limits for itself: a limit then admits as often as there are replicas. Default no.
    pub independent: bool,
}

/// An identity provider whose tokens LibreChat takes in place of its own.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Whose tokens count, and for what.
    pub trust: Trust,
    /// LibreChat's `JWT_REFRESH_SECRET`.
    pub refresh_secret: Secret,
    /// Certificates of the authorities that vouch for the provider (PEM). Default: the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whether `http://` is spoken to other machines.
    pub insecure_http: bool,
}

/// Time limits. All are explicit; none is endless.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A whole request head, from the opening of the connection or the end of the last answer. Default 30 s.
    pub head: Duration,
    /// Between two pieces of a request body that is held. Default 30 s.
    pub body: Duration,
    /// A connection to LibreChat. Default 2 s.
    pub connect: Duration,
    /// The head of LibreChat's answer. Default 5 min: file uploads are processed before they are answered.
    pub response: Duration,
    /// Between two pieces of LibreChat's answer. Default 30 min: tools and reasoning may be silent (CONTRACT.md G.2).
    pub idle: Duration,
    /// One question to the store that counts limits. Default 250 ms.
    pub limits: Duration,
    /// How long nobody reads the stream of a turn before LibreChat is asked how far it is, and again between two questions. Default 3 s.
    pub turn_status: Duration,
    /// How long LibreChat's rows of what a turn used are waited for when it has ended. Default 10 s.
    pub turn_usage: Duration,
    /// A client that takes nothing of an answer. Default 30 s.
    pub write_stall: Duration,
    /// Answers in flight when Tollgate is asked to stop. Default 30 s.
    pub drain: Duration,
}

/// Where the record is: what the settings say to commands that read it.
#[derive(Clone, Debug)]
pub struct RecordPlace {
    /// MongoDB, where it is configured.
    pub mongo: Option<Mongo>,
    /// Directory of the embedded store.
    pub data: PathBuf,
    /// Where entries are written.
    pub sinks: Vec<SinkKind>,
    /// For how long they are kept there.
    pub keep: Keep,
    /// The key that signs, where the settings name one.
    pub signing_key: Option<PathBuf>,
    /// The file of JSON lines, where one is written.
    pub file: Option<PathBuf>,
}

/// Where limits are counted: what the settings say to commands that look at counters.
#[derive(Clone, Debug)]
pub struct CountersPlace {
    /// The Redis that counts, where there is one.
    pub redis: Option<Secret>,
    /// How long one question to it may take.
    pub patience: Duration,
    /// Directory of the embedded store, which counts where there is no Redis.
    pub data: PathBuf,
}

/// What is logged (to standard error), and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Least severity: `error`, `warn`, `info`, `debug`. Default `info`.
    pub level: tracing::Level,
    /// As JSON lines instead of text for people. Default text.
    pub json: bool,
}

/// A value that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The flags of `tollgate serve` that are settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Settings file (YAML); all settings can also come from the environment and from flags
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where LibreChat listens [default: http://127.0.0.1:3080]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Address of the data plane, where users come in [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address of the admin plane: /livez /readyz /metrics [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Directory of the policy
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Directory of the embedded store [default: ./tollgate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

// === impl Settings ===

impl Settings {
    /// Reads the settings: the file named by a flag or by `TOLLGATE_CONFIG`, the environment, the flags.
    ///
    /// # Errors
    /// All faults at once.
    pub fn read(flags: &Flags, environment: &Environment) -> Result<Self, Report> {
        reading::read(flags, environment)
    }

    /// Where the record is, by the same settings. Secrets that only serving needs may be missing, as where an administrator's
    /// shell has none of them.
    ///
    /// # Errors
    /// All faults of what says where the record is.
    pub fn record(flags: &Flags, environment: &Environment) -> Result<RecordPlace, Report> {
        reading::record(flags, environment)
    }

    /// Where limits are counted, by the same settings, whatever else is missing.
    ///
    /// # Errors
    /// All faults of what says where that is.
    pub fn counters(flags: &Flags, environment: &Environment) -> Result<CountersPlace, Report> {
        reading::counters(flags, environment)
    }

    /// The policy that flags, environment or file name, whatever else is wrong with them.
    pub fn policies(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
        reading::policies(flags, environment)
    }
}

// === impl Secret ===

impl Secret {
    /// Keeps a value from being printed.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests;
