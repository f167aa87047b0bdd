//! Time, handed in.
