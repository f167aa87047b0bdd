//! The compiled policy: immutable, indexed, with a content hash.
