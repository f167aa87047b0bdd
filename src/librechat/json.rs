//! The strict JSON reader: one pass over a body, which either is refused or comes out as canonical text.
//!
//! A policy is only worth something if LibreChat reads what Tollgate judged. So a governed body is read once, by rules under
//! which no two JSON readers can differ (no repeated keys, no half surrogates, no bytes that are not UTF-8, nothing after
//! the end), and LibreChat receives the canonical text: the same members in the same order, without white space, with the
//! shortest escapes, numbers spelt as they came. In JavaScript the canonical text has the same value as the original
//! (CONTRACT.md D.5).

mod reader;

use std::borrow::Cow;

use bytes::Bytes;

use self::reader::Reader;
use super::unreadable::Unreadable;

/// How much the reader accepts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Greatest nesting of objects and arrays; the top-level object counts as one.
    pub depth: usize,
    /// Greatest length of the body in bytes.
    pub bytes: usize,
}

/// An object that was read strictly: the text for LibreChat, and a view of its members and those of its direct objects.
#[derive(Clone, Debug)]
pub struct Canonical {
    text: Bytes,
    members: Vec<Member>,
}

/// A member's value, as canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    text: &'a [u8],
    index: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A part of the output.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    key: Span,
    value: Span,
    /// The member whose value holds this one; none for the top-level object.
    parent: Option<usize>,
}

// === impl Limits ===

impl Limits {
    /// What a chat request may be: 64 levels, and the 3 MiB that LibreChat's own parser accepts (CONTRACT.md A.1, D.5).
    pub const CHAT: Self = Self { depth: 64, bytes: 3 * 1024 * 1024 };
}

/// Reads one JSON object strictly.
///
/// # Errors
/// The `body-*` variants of [`Unreadable`].
pub fn read_strict(body: &[u8], limits: Limits) -> Result<Canonical, Unreadable> {
    if body.len() > limits.bytes {
        return Err(Unreadable::TooLarge);
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Unreadable::ByteOrderMark);
    }
    if std::str::from_utf8(body).is_err() {
        return Err(Unreadable::NotUtf8);
    }
    let (text, members) = Reader::read(body, limits.depth)?;
    Ok(Canonical { text: Bytes::from(text), members })
}

// === impl Canonical ===

impl Canonical {
    /// The canonical text: what LibreChat is to receive.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The members of the top-level object: keys in their canonical spelling without quotes, and values.
    pub fn members(&self) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        self.members_under(None)
    }

    /// The members of an object that is the value of a top-level member.
    pub fn members_of(&self, object: Value<'_>) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        self.members_under(Some(object.index))
    }

    fn members_under(&self, parent: Option<usize>) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        self.members.iter().enumerate().filter(move |(_, member)| member.parent == parent).map(|(index, member)| {
            let key = self.text.get(member.key.start + 1..member.key.end.saturating_sub(1)).unwrap_or_default();
            (key, Value { text: self.text.get(member.value.start..member.value.end).unwrap_or_default(), index })
        })
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The value as canonical text.
    pub fn raw(&self) -> &'a [u8] {
        self.text
    }

    /// The number, spelt as it came; none if it is not a number.
    pub fn as_number(&self) -> Option<&'a str> {
        if self.kind() == Kind::Number { std::str::from_utf8(self.text).ok() } else { None }
    }

    /// The string, unescaped; none if it is not a string.
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        let inner = self.text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if inner.contains(&b'\\') {
            serde_json::from_slice::<String>(self.text).ok().map(Cow::Owned)
        } else {
            std::str::from_utf8(inner).ok().map(Cow::Borrowed)
        }
    }
}

#[cfg(test)]
mod tests;
