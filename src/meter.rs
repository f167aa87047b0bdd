//! Counts what limits allow: which window a charge falls into, and what becomes of it.
//!
//! The policy says what a request takes ([`crate::policy::charge`]); this room finds the counter of each charge at this
//! moment. The counters themselves are a store's ([`crate::store::counters`]).

pub mod window;
