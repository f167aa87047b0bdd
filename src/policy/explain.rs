//! Who may use what, and which statement says so.
