//! A LibreChat stand-in: a small HTTP server that behaves towards a proxy as LibreChat 0.8.6 does.
//!
//! It serves two readers. `tollgate demo` starts it so that policies can be tried with two people and no installation.
//! Tests start it as the upstream that remembers what reached it ([`StandIn::seen`]) and which provider calls would have
//! followed ([`StandIn::calls`]). It holds no model and no database; every answer is our own wording in LibreChat's
//! shape, and `tests/stand_in.rs` holds those shapes to the recorded exchanges in `tests/captures/`.
//!
//! How a request walks through the files: `stand_in` accepts and remembers it, `route` cuts its path as Express would,
//! `body` reads it as body-parser would, `pages` finds the route, `token` who asks, and `answer` dresses the result. The
//! pages themselves are in `account`, `catalogue`, `chat` and `remote`. What a chat body would make LibreChat call is decided in
//! `choice`. The turn outlives its POST: `turn` speaks it, `jobs` holds it for whoever listens, `events` spells what it
//! says, `history` keeps it.

mod account;
mod answer;
mod body;
mod catalogue;
mod chat;
mod choice;
mod events;
mod gzip;
mod history;
mod jobs;
mod options;
mod pages;
mod remote;
mod route;
mod stand_in;
mod state;
mod token;
mod tour;
mod turn;

pub use options::{Catalogue, Endpoint, ModelSpec, ModelSpecs, Person, RemoteKey, StandInOptions, StoredAgent};
pub use stand_in::{Call, Seen, StandIn};
pub use tour::tour;
