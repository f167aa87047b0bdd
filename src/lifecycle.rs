//! Tasks with a keeper, and the order of stopping.
