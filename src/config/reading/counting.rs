//! Where limits are counted: the Redis that replicas share, or how many count each for itself.

use super::super::written::{self, Text};
use super::super::{Replicas, Secret};
use super::{Origin, Reader, Value, shown};
use crate::report::Fault;

/// The word that keeps LibreChat's own Redis from being used.
const OFF: &str = "off";

// === impl Reader, for counting ===

impl Reader<'_> {
    /// The Redis that counts: `TOLLGATE_REDIS`, else LibreChat's own, else the file's. Its address is no part of any fault.
    /// None where it cannot be used.
    pub(super) fn redis(&mut self, file: Text) -> Option<Option<Secret>> {
        let own = self.environment.get("TOLLGATE_REDIS");
        let value = match own {
            Some(text) => Value { text: text.to_owned(), origin: Origin::Variable("TOLLGATE_REDIS") },
            None => match self.variable(file, "REDIS_URI") {
                Some(value) => value,
                None => return Some(None),
            },
        };
        match value.text.as_str() {
            OFF => Some(None),
            text if ["redis://", "redis+unix://", "unix://"].iter().any(|scheme| text.starts_with(scheme)) => {
                Some(Some(Secret::new(value.text)))
            }
            text => {
                let message = if ["rediss://", "valkeys://"].iter().any(|scheme| text.starts_with(scheme)) {
                    "this version does not speak TLS with Redis"
                } else {
                    "this is no Redis address"
                };
                let help = "it looks like redis://user:password@host:6379/0; where LibreChat's Redis is not to count limits, set \
                            TOLLGATE_REDIS to another address, or to off";
                self.blame(&value.origin, "setting-redis", message, help);
                None
            }
        }
    }

    /// How many replicas there are. Several that would count alone have to be told so: what each admits would add up.
    pub(super) fn replicas(&mut self, written: written::Replicas, shared: bool) -> Replicas {
        let independent = written.independent.map(|spanned| self.in_file(spanned));
        let independent = match independent {
            None => false,
            Some(value) => match value.text.as_str() {
                "true" => true,
                "false" => false,
                other => {
                    let message = format!("replicas.independent: {} is neither true nor false", shown(other));
                    self.blame(&value.origin, "setting-choice", message, "write true or false");
                    false
                }
            },
        };
        let count = self.variable(written.count, "TOLLGATE_REPLICAS");
        let count = self.count("replicas.count", count, 1, (1, 1_000));
        if count > 1 && !shared && !independent && !self.blind {
            let message = format!("{count} replicas without a Redis would count limits each for itself");
            let help = "name a Redis (store.redis, TOLLGATE_REDIS or REDIS_URI); or write replicas.independent: true, and a \
                        limit admits as often as there are replicas";
            self.report.push(Fault::error("replicas-uncounted", message).help(help));
        }
        Replicas { count, independent }
    }
}
