//! Holds the stand-in to the captures: the same request must get the same kind of answer that LibreChat 0.8.6 gave.
//!
//! Each captured request is sent as it was, with a token of the stand-in's, and the answers are laid side by side: status,
//! the headers a proxy may care about, the shape of the JSON (the same keys with the same types), the order of events.
//! Values are free. All differences are reported at once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a capture that is not as expected ends a test"
)]

mod support;

#[path = "stand_in/compare.rs"]
mod compare;
#[path = "stand_in/lab.rs"]
mod lab;
#[path = "stand_in/pages.rs"]
mod pages;
#[path = "stand_in/raw.rs"]
mod raw;
#[path = "stand_in/remote.rs"]
mod remote;
#[path = "stand_in/turns.rs"]
mod turns;
