//! The only room that knows LibreChat.
