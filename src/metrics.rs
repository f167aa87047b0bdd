//! Every exported series.
