//! A LibreChat stand-in: a small HTTP server that behaves towards a proxy as LibreChat 0.8.6 does.
//!
//! It serves two readers. `tollgate demo` starts it so that policies can be tried with two people and no installation.
//! Tests start it as the upstream that remembers what reached it ([`StandIn::seen`]) and which provider calls would have
//! followed ([`StandIn::calls`]). It holds no model and no database; every answer is our own wording in LibreChat's
//! shape, and `tests/stand_in.rs` holds those shapes to the recorded exchanges in `tests/captures/`.
//!
//! (The files are listed when they are all there.)

mod options;
mod stand_in;

pub use options::{Catalogue, Endpoint, ModelSpec, ModelSpecs, Person, StandInOptions};
pub use stand_in::{Call, Seen, StandIn};
