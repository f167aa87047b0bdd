//! The driver's errors in our own words. Its texts are not passed on: they may quote the address, password and all.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// The server that was named, for messages: `db1:6379`.
#[derive(Clone)]
pub(super) struct Faults(Arc<str>);

// === impl Faults ===

impl Faults {
    /// Reads the server out of its address.
    pub(super) fn of(uri: &str) -> Result<Self, StoreError> {
        if ["rediss:", "valkeys:"].iter().any(|scheme| uri.starts_with(scheme)) {
            return Err(StoreError {
                store: "redis",
                message: "this version does not speak TLS with Redis (rediss:); use redis: over a network of your own, or a tunnel"
                    .into(),
                transient: false,
            });
        }
        let info = uri.into_connection_info().map_err(|_| unreadable())?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) => Ok(Self(format!("{host}:{port}").into())),
            ConnectionAddr::Unix(path) => Ok(Self(path.display().to_string().into())),
            _ => Err(unreadable()),
        }
    }

    /// What went wrong. All that somebody can mend while Tollgate runs counts as transient, rights and passwords too.
    pub(super) fn fault(&self, error: &RedisError, waited: Duration) -> StoreError {
        if error.is_timeout() {
            return self.late(waited);
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                self.because(&"the server does not accept the user name or the password", true)
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => self.because(
                &"the user may not do this; it needs INFO, EVALSHA, SCRIPT LOAD, TIME and the commands of hashes, sorted sets and \
                  keys that begin with tollgate:",
                true,
            ),
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot) => {
                self.because(&"the server is one of a cluster, and limits need a single server", false)
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                self.because(&"the server is a replica now and cannot be written; name its primary", true)
            }
            ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => {
                self.because(&"the server is starting", true)
            }
            ErrorKind::Io => self.because(&"the connection failed; is the server running, and can it be reached?", true),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => self.strange(),
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS") => {
                    self.because(&"the server does not accept the user name or the password", true)
                }
                Some("OOM") => self.because(&"the server's memory is full; give it more (maxmemory)", true),
                // A code is a word of the server's own, never part of what was sent.
                Some(code) => self.because(&format_args!("the server answered {code}"), false),
                None => self.because(&"the connection failed", true),
            },
        }
    }

    /// No answer in time. The step may have been taken.
    pub(super) fn late(&self, waited: Duration) -> StoreError {
        self.because(&format_args!("no answer within {} ms", waited.as_millis()), true)
    }

    /// An answer that none of our scripts gives.
    pub(super) fn strange(&self) -> StoreError {
        self.because(
            &"the server's answer cannot be understood; is another program writing keys that begin with tollgate:?",
            false,
        )
    }

    pub(super) fn because(&self, why: &dyn Display, transient: bool) -> StoreError {
        StoreError { store: "redis", message: format!("{}: {why}", self.0), transient }
    }
}

/// The address cannot be used.
pub(super) fn unreadable() -> StoreError {
    StoreError {
        store: "redis",
        message:
            "the address (REDIS_URI) cannot be read; it looks like redis://user:password@host:6379/0, with special \
                  characters of the password percent-encoded"
                .into(),
        transient: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_not_quoted() {
        for uri in
            ["", "redis", "http://user:s3cret@host", "redis://user:s3cret@host:port", "rediss://user:s3cret@host:6380"]
        {
            let error = Faults::of(uri).err().unwrap_or_else(|| panic!("{uri}"));
            assert!(!error.message.contains("s3cret") && !error.transient, "{error}");
        }
        assert!(Faults::of("rediss://host").err().unwrap().message.contains("does not speak TLS"));
    }

    #[test]
    fn a_server_is_named_without_its_password() {
        assert_eq!(&*Faults::of("redis://user:s3cret@db1:6380/3").unwrap().0, "db1:6380");
    }
}
