//! Loading policy directories.
