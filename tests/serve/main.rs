//! `tollgate serve` from outside: the real program between a client and the LibreChat stand-in.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "what is not as expected ends a test")]

#[path = "../support/mongod.rs"]
mod mongod;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/world.rs"]
mod world;

mod catalogue;
mod differential;
mod identity;
mod mongo;
mod refusal;

/// Users have one model of OpenAI and one of MindRoom, a group adds GPT-4o, administrators have everything.
const POLICY: &str = include_str!("../../policies/demo/policy.yaml");
