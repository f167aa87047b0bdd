//! The environment variables that are settings, read once.

use std::collections::BTreeMap;

use crate::report::{Fault, Report, nearest, quoted};

/// Every variable that is read. LibreChat's own names are read so that a sidecar shares its settings.
pub const ENVIRONMENT: &[&str] = &[
    "TOLLGATE_CONFIG",
    "TOLLGATE_UPSTREAM",
    "TOLLGATE_LISTEN",
    "TOLLGATE_ADMIN",
    "TOLLGATE_POLICIES",
    "TOLLGATE_DATA",
    "TOLLGATE_REDIS",
    "TOLLGATE_REPLICAS",
    "TOLLGATE_BALANCE",
    "TOLLGATE_RECORDS",
    "TOLLGATE_OTLP_HEADERS",
    "TOLLGATE_TRUSTED_PROXIES",
    "TOLLGATE_THREADS",
    "TOLLGATE_LOG",
    "TOLLGATE_LOG_FORMAT",
    "JWT_SECRET",
    "JWT_REFRESH_SECRET",
    "MONGO_URI",
    "REDIS_URI",
    "OPENID_REUSE_TOKENS",
    "OPENID_ISSUER",
    "OPENID_CLIENT_ID",
    "OPENID_AUDIENCE",
    "OPENID_EMAIL_CLAIM",
    "DEFAULT_USER_MAX_BUDGET",
    "DEFAULT_USER_TPM_LIMIT",
    "DEFAULT_USER_RPM_LIMIT",
];

/// A copy of the environment.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

// === impl Environment ===

impl Environment {
    /// The variables of this process that concern Tollgate. What is not UTF-8 in a value is replaced, and so found to be wrong.
    pub fn of_process() -> Self {
        let ours = |name: &str| name.starts_with("TOLLGATE_") || ENVIRONMENT.contains(&name);
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            ours(&name).then(|| (name, value.to_string_lossy().into_owned()))
        });
        Self(texts.collect())
    }

    /// An environment of exactly these variables.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The same, with this value where the variable is not set.
    #[must_use]
    pub fn or(mut self, name: &str, value: &str) -> Self {
        if self.get(name).is_none() {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The value of a variable; empty counts as not set, as LibreChat takes it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Names variables that look like settings and are none.
    pub(super) fn check_names(&self, report: &mut Report) {
        for name in self.0.keys() {
            if ENVIRONMENT.contains(&name.as_str()) || is_kubernetes(name) || name.starts_with("TOLLGATE_TEST_") {
                continue;
            }
            let fault = Fault::error("setting-unknown", format!("environment variable {} is no setting", quoted(name)));
            let help = match nearest(name, ENVIRONMENT.iter().copied()) {
                Some(known) => format!("did you mean {known}? Else remove it"),
                None => "remove it".to_owned(),
            };
            report.push(fault.help(help));
        }
    }
}

/// Kubernetes sets variables for every Service; one that is called `tollgate` gives `TOLLGATE_PORT_8080_TCP` and so on.
fn is_kubernetes(name: &str) -> bool {
    name == "TOLLGATE_PORT" || name.starts_with("TOLLGATE_PORT_") || name.starts_with("TOLLGATE_SERVICE_")
}
