//! Health, metrics.
