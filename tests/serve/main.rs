//! `tollgate serve` from outside: the real program between a client and the LibreChat stand-in.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as expected ends a test"
)]

#[path = "../support/fake.rs"]
mod fake;
#[path = "../support/idp.rs"]
mod idp;
#[path = "../support/mongod.rs"]
mod mongod;
#[path = "../support/rows.rs"]
mod rows;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/world.rs"]
mod world;

mod admission;
mod agents;
mod answers;
mod assistants;
mod audit;
mod canary;
mod catalogue;
mod commands;
mod counters;
mod crash;
mod demo;
mod desync;
mod differential;
mod doctor;
mod editing;
mod explain;
mod gate;
mod hostile;
mod identity;
mod life;
mod limits;
mod mongo;
mod oidc;
mod overrides;
mod passage;
mod records;
mod refusal;
mod reload;
mod remote;
mod replay;
mod routes;
mod shadow;
mod turns;
mod unknown;
mod upstream;

/// Users have one model of OpenAI and one of MindRoom, a group adds GPT-4o, administrators have everything.
const POLICY: &str = include_str!("../../policies/demo/policy.yaml");
