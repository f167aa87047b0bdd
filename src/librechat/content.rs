//! What the headers say about a body.

use http::HeaderMap;

use super::unreadable::Unreadable;

/// Checks that a body is plain JSON in UTF-8, by its headers (CONTRACT.md D.3, D.4).
///
/// # Errors
/// [`Unreadable::ContentType`] or [`Unreadable::ContentEncoding`].
pub fn json_body_expected(_headers: &HeaderMap) -> Result<(), Unreadable> {
    Err(Unreadable::ContentType)
}
