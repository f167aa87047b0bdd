//! The spine.
