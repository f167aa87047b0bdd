//! Credentials to callers.
