//! Where entries end up.
