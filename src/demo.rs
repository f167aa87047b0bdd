//! The LibreChat stand-in.
