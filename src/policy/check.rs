//! From the files as written to a snapshot, or to faults.
