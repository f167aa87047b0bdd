//! The settings of the records: where entries go, what waits for them, and for how long they are kept.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::record::sinks::FileOptions;
use crate::record::{Durable, Mask, OnFull};
use crate::store::Keep;

/// How entries are written down and kept.
#[derive(Clone, Debug)]
pub struct Records {
    /// Where entries are written. Default: MongoDB where it is configured, else the embedded store.
    pub sinks: Vec<SinkKind>,
    /// The file of the sink `file`; there where that is among the sinks.
    pub file: Option<FileOptions>,
    /// The collector of the sink `otlp`; there where that is among the sinks.
    pub otlp: Option<OtlpOptions>,
    /// Most entries waiting to be written. Default 8,192.
    pub queue: usize,
    /// Most bytes of entries on the disk that some sink has not taken yet. Default 256 MiB.
    pub spool: u64,
    /// Which entries are on the disk before the request goes on. Default: refusals and administration.
    pub durable: Durable,
    /// What happens to requests while entries cannot be written down. Default: those that are decided are refused.
    pub on_full: OnFull,
    /// The key that signs the heads of the record (PKCS #8, PEM). Default: one of the data directory's own.
    pub signing_key: Option<PathBuf>,
    /// What entries do not say of who asked. Default: all is written as it came.
    pub mask: Mask,
    /// How long entries are kept. Default: audit entries for 90 days, usage entries for 400, sums of days for ever.
    pub keep: Keep,
}

/// Where a collector is, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpOptions {
    /// Where logs are posted to.
    pub url: Uri,
    /// Headers that go with each request. Their values do not print.
    pub headers: HeaderMap,
    /// How long a request may take. Default 10 seconds.
    pub timeout: Duration,
    /// Certificates in PEM form that vouch for the collector, in place of the public authorities.
    pub ca_file: Option<PathBuf>,
    /// Whether it may be asked without TLS on another machine.
    pub insecure_http: bool,
}

/// Where entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// JSON lines on standard output.
    Stdout,
    /// The embedded store.
    Embedded,
    /// Tollgate's database on MongoDB.
    Mongo,
    /// JSON lines in a file.
    File,
    /// A collector of logs, over OTLP.
    Otlp,
}
