//! One reading: what Tollgate judged is what LibreChat's own parsers and router make of it.
//!
//! The oracle is Express with the parsers, versions and middleware order of LibreChat 0.8.6 (`tests/express`), asked over real
//! sockets. Whatever Tollgate lets through must mean the same to it; what could mean something else is refused.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what is not as expected ends a test; what was counted is said"
)]

mod bodies;
mod corpus;
mod express;
mod headers;
mod inventory;
mod judged;
mod paths;
mod random;
mod written;

#[path = "../support/rows.rs"]
mod rows;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/world.rs"]
mod world;

/// Users have one model of OpenAI and one of MindRoom.
const POLICY: &str = include_str!("../../policies/demo/policy.yaml");

/// What an environment variable says, or else this.
#[expect(clippy::disallowed_methods, reason = "how long a test may run is no setting of the product")]
fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|fault| panic!("{variable}={text}: {fault}")),
        Err(_) => otherwise,
    }
}
