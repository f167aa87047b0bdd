//! The command line.

pub mod check;
pub mod exit;
pub mod explain;
