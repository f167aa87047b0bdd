//! The strict JSON reader.

use bytes::Bytes;

use super::unreadable::Unreadable;

/// How much the reader accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Greatest nesting of objects and arrays; the top-level object counts as one.
    pub depth: usize,
    /// Greatest length of the body in bytes.
    pub bytes: usize,
}

/// An object that was read strictly, with the text that LibreChat will receive.
#[derive(Clone, Debug)]
pub struct Canonical {
    text: Bytes,
}

/// Reads one JSON object.
///
/// # Errors
/// See [`Unreadable`].
pub fn read_strict(_body: &[u8], _limits: Limits) -> Result<Canonical, Unreadable> {
    Err(Unreadable::NotJson)
}

impl Canonical {
    /// The canonical text.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }
}
