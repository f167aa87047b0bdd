//! The command line.

pub mod users;
