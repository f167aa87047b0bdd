//! The only room that knows LibreChat: its paths, field names, documents and the way it says no.
//!
//! A request passes through it like this:
//!
//! 1. [`path`] reads the request target strictly, [`routes`] says what it is.
//! 2. For a chat turn, [`content`] looks at the body's headers and [`selection`] (over the strict [`json`] reader) says
//!    which models it would make LibreChat call; [`specs`] adds what a model spec would choose.
//!    [`assistants`] and [`keys`] read the requests of their routes in the same way.
//! 3. For a turn of a stored agent, [`agents`] says what its documents would make LibreChat run.
//!    [`prompt`] says what the model is given with it, where that is limited.
//!    [`remote`] is the same for the remote-agent API, and narrows its lists.
//! 4. [`catalog`] narrows the answers that reveal models.
//! 5. [`phrasing`] writes refusals that LibreChat's own web client shows as readable messages.
//!
//! What a turn used is read from what LibreChat says of it: [`stream`] and [`status`] (with [`sse`] and [`said`]) while it
//! runs, [`transactions`] when it is over, [`remote::usage`] and [`assistants::run`] where the answer is the run itself. [`balance`] says
//! what a user can spend, and [`placed`] which message of a conversation is the answer to a turn.
//!
//! [`records`] holds the documents of LibreChat's database. Facts are those of LibreChat 0.8.6 (CONTRACT.md). The room
//! does no I/O, reads no clock, and knows neither the HTTP server nor a database driver.

pub mod agents;
pub mod answers;
pub mod assistants;
pub mod balance;
pub mod catalog;
pub mod content;
pub mod json;
pub mod keys;
pub mod own_word;
pub mod path;
pub mod phrasing;
pub mod placed;
pub mod prompt;
pub mod records;
pub mod remote;
pub mod routes;
pub mod running;
pub mod said;
pub mod selection;
pub mod specs;
pub mod sse;
pub mod status;
pub mod stream;
pub mod tools;
pub mod transactions;
pub mod unreadable;
pub mod veil;

mod number;

#[cfg(test)]
mod tests;
