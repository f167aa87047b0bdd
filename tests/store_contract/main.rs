//! One list of checks for every directory and ledger: what callers may rely on, whatever the store.
//!
//! The counters of limits have a list of their own ([`counters`]), for memory and for Redis (`TOLLGATE_TEST_REDIS_URI`).
//!
//! The embedded store is always checked. MongoDB is checked where `TOLLGATE_TEST_MONGO_URI` names a server
//! (`tests/services/start` starts one); where it does not, a line says so, and with `CI=true` the checks fail.

/// One test for each check and store.
#[cfg(test)]
macro_rules! for_each_store {
    ($($check:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $check() {
                crate::bench::embedded::with(async |bench| super::$check(bench).await).await;
            })*
        }
        mod mongo {
            $(#[tokio::test] async fn $check() {
                crate::bench::mongo::with(async |bench| super::$check(bench).await).await;
            })*
        }
    };
}

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod charged;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod days;
#[cfg(test)]
mod erasing;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod mongo_only;
#[cfg(test)]
mod mongo_record;
#[cfg(test)]
#[path = "../support/mongod.rs"]
mod mongod;
#[cfg(test)]
mod overrides;
#[cfg(test)]
mod rebuild;
