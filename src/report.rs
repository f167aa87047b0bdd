//! Faults with code, place and help.
