//! The handle that never waits, and its worker.
