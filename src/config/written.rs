//! The settings file as written. Every value is text with its place; [`super::reading`] says what it means.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// A value and where it stands.
pub(super) type Text = Option<Spanned<String>>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    pub(super) listen: Text,
    pub(super) admin: Text,
    pub(super) upstream: Text,
    pub(super) policies: Text,
    pub(super) identity: Identity,
    pub(super) oidc: Oidc,
    pub(super) mongo: Mongo,
    pub(super) store: Store,
    pub(super) replicas: Replicas,
    pub(super) records: Records,
    pub(super) trusted_proxies: Vec<Spanned<String>>,
    pub(super) routes: Routes,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) balance: Balance,
    pub(super) threads: Text,
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identity {
    pub(super) jwt_secret: Text,
    pub(super) jwt_refresh_secret: Text,
    pub(super) cache: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Oidc {
    pub(super) reuse_tokens: Text,
    pub(super) issuer: Text,
    pub(super) client_id: Text,
    pub(super) audiences: Vec<Spanned<String>>,
    pub(super) email_claim: Text,
    pub(super) algorithms: Vec<Spanned<String>>,
    pub(super) jwks_url: Text,
    pub(super) ca_file: Text,
    pub(super) insecure_http: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mongo {
    pub(super) uri: Text,
    pub(super) database: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) embedded: Text,
    pub(super) redis: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Replicas {
    pub(super) count: Text,
    pub(super) independent: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Records {
    pub(super) sinks: Vec<Spanned<String>>,
    pub(super) otlp: Otlp,
    pub(super) queue: Text,
    pub(super) file: RecordFile,
    pub(super) spool: Text,
    pub(super) durable: Option<Vec<Spanned<String>>>,
    pub(super) on_full: Text,
    pub(super) signing_key: Text,
    pub(super) mask: Mask,
    pub(super) keep: Keep,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mask {
    pub(super) ip: Text,
    pub(super) user_agent: Text,
    pub(super) path: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Otlp {
    pub(super) url: Text,
    pub(super) timeout: Text,
    pub(super) ca_file: Text,
    pub(super) insecure_http: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecordFile {
    pub(super) path: Text,
    pub(super) size: Text,
    pub(super) keep: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keep {
    pub(super) audit: Text,
    pub(super) usage: Text,
    pub(super) daily: Text,
    pub(super) heads: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Routes {
    pub(super) unknown: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) head: Text,
    pub(super) body: Text,
    pub(super) connect: Text,
    pub(super) response: Text,
    pub(super) idle: Text,
    pub(super) limits: Text,
    pub(super) turn_status: Text,
    pub(super) turn_usage: Text,
    pub(super) write_stall: Text,
    pub(super) drain: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) connections: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Balance {
    pub(super) check: Text,
    pub(super) show: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: Text,
    pub(super) format: Text,
}
