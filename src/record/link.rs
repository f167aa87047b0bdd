//! How a kept line is bound to the one before it: the formulas, and reading a link back out of a text. `docs/records.md`, "Integrity",
//! says the same for those who write a verifier of their own.

use std::fmt;

use aws_lc_rs::digest::{self, SHA256};
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::line::Kind;

/// What each hash of an entry begins with, so that no other use of SHA-256 gives the same one.
const ENTRY: &[u8] = b"tollgate entry 1\n";
/// Hex digits of a hash.
const HEX: usize = 64;

/// A SHA-256. Written as 64 hex digits in lower case, and read from nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// What a kept line says about its place in the chain. Reading it checks its form, not whether it is true: see [`Link::holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Serialize, schemars::JsonSchema))]
pub struct Link {
    /// Whose chain it is in: the UUID of the data directory that it was written in.
    pub instance: Uuid,
    /// Number in the chain of this instance and kind: 1, then one more each.
    pub seq: u64,
    /// `hash` of the entry before it; zeros for the first.
    #[cfg_attr(test, serde(rename = "prevHash"))]
    pub prev: Hash,
    /// The entry's own hash: SHA-256 over kind, id, time, place and digest, by the formula of `docs/records.md`.
    pub hash: Hash,
    /// SHA-256 of the entry as it was before its link was added: found out from the text, or told by a tombstone.
    #[cfg_attr(test, serde(skip))]
    pub digest: Hash,
    /// Set where the text is a tombstone.
    #[cfg_attr(test, serde(skip))]
    pub erased: Option<Erased>,
}

/// What a tombstone says of its erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Id of the erasure, and of the event that tells of it.
    pub by: Uuid,
    /// Which key signed: [`Public::id`](super::heads::Public::id).
    pub key: Box<str>,
    /// Ed25519, in base64.
    pub signature: Box<str>,
}

/// Why a text has no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlinked {
    /// It was kept before entries were chained, or never by Tollgate.
    #[error("it has no `instance`, `seq`, `prevHash` and `hash`")]
    None,
    /// It has some of a link.
    #[error("it does not end as a chained entry does: its salt, `instance`, `seq`, `prevHash` or `hash` was changed")]
    Form,
}

/// The members of a tombstone before its link.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Tombstone {
    /// What the erased entry was.
    #[cfg_attr(test, schemars(extend("enum" = ["audit", "usage"])))]
    pub(super) kind: Kind,
    /// The entry's id, a UUIDv7.
    #[serde(rename = "_id")]
    pub(super) id: Uuid,
    /// The entry's time, UTC.
    pub(super) timestamp: Timestamp,
    /// Id of the erasure, and of the event that tells of it.
    pub(super) erased: Uuid,
    /// The key that signed: the first 16 hex digits of the SHA-256 of the public key's 32 bytes.
    pub(super) key: Box<str>,
    /// Ed25519 (RFC 8032), in base64, over `tollgate tombstone 1`, a line break, the 16 bytes of `erased` and the 32 bytes of `hash`.
    pub(super) signature: Box<str>,
    /// SHA-256 of the entry as it was before its link was added: all that is left of its text and salt.
    pub(super) digest: Hash,
}

// === impl Hash ===

impl Hash {
    /// What stands before the first of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::taken(&digest::digest(&SHA256, bytes))
    }

    /// The digest as an array: SHA-256 has 32 bytes.
    pub(super) fn taken(digest: &digest::Digest) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(hash)
    }

    /// Reads 64 hex digits in lower case.
    pub fn read(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(HEX);
        push_hex(&self.0, &mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| D::Error::custom("a hash has 64 hex digits in lower case"))
    }
}

/// Adds these bytes in hex digits.
pub(super) fn push_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        for four in [byte >> 4, byte & 0xf] {
            out.push(char::from(if four < 10 { b'0' + four } else { b'a' + four - 10 }));
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

// === impl Link ===

impl Link {
    /// Reads the link at the end of a kept line's text, and finds out the digest of what stands before it. Exactly what
    /// [`Chain::link`](super::chain::Chain::link) and [`Erasure::tombstone`](super::chain::Erasure::tombstone) write is taken.
    ///
    /// # Errors
    /// [`Unlinked`].
    pub fn read(text: &str) -> Result<Self, Unlinked> {
        let Some((body, instance, seq, prev, hash)) = split(text) else {
            let has = |member: &str| text.contains(member);
            let some = has(r#""prevHash""#) || has(r#""hash""#) || has(r#""seq""#) || has(r#""salt""#);
            return Err(if some { Unlinked::Form } else { Unlinked::None });
        };
        let (digest, erased) = if salted(body) {
            (Hash::of(&[body.as_bytes(), b"}"].concat()), None)
        } else {
            let Tombstone { erased, key, signature, digest, .. } =
                serde_json::from_str(&format!("{body}}}")).map_err(|_| Unlinked::Form)?;
            (digest, Some(Erased { by: erased, key, signature }))
        };
        Ok(Self { instance, seq, prev, hash, digest, erased })
    }

    /// Whether the hash is that of this link, for an entry of this kind, id and time.
    pub fn holds(&self, kind: Kind, id: Uuid, at: Timestamp) -> bool {
        self.hash == entry_hash(kind, id, at, self)
    }

    /// Writes the link's members at the end of an object without its closing brace.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str(r#","instance":""#);
        out.push_str(self.instance.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        out.push_str(r#"","seq":"#);
        push_number(self.seq, out);
        out.push_str(r#","prevHash":""#);
        push_hex(&self.prev.0, out);
        out.push_str(r#"","hash":""#);
        push_hex(&self.hash.0, out);
        out.push_str("\"}");
    }
}

/// The hash of an entry. Id and time are in it beside the digest, so that those of a tombstone, whose digest says nothing about them, cannot be
/// changed either.
pub(super) fn entry_hash(kind: Kind, id: Uuid, at: Timestamp, link: &Link) -> Hash {
    const ROOM: usize = ENTRY.len() + 8 + 16 * 3 + 8 + 32 * 2;
    let mut bytes = Vec::with_capacity(ROOM);
    bytes.extend_from_slice(ENTRY);
    bytes.extend_from_slice(kind.as_str().as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&at.as_nanosecond().to_be_bytes());
    bytes.extend_from_slice(link.instance.as_bytes());
    bytes.extend_from_slice(&link.seq.to_be_bytes());
    bytes.extend_from_slice(&link.prev.0);
    bytes.extend_from_slice(&link.digest.0);
    Hash::of(&bytes)
}

/// The body before the link, without its closing brace, and the link's members.
fn split(text: &str) -> Option<(&str, Uuid, u64, Hash, Hash)> {
    let rest = text.strip_suffix("\"}")?;
    let (rest, hash) = last(rest, HEX)?;
    let rest = rest.strip_suffix(r#"","hash":""#)?;
    let (rest, prev) = last(rest, HEX)?;
    let rest = rest.strip_suffix(r#","prevHash":""#)?;
    let before = rest.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let seq = rest.strip_prefix(before)?;
    let rest = before.strip_suffix(r#"","seq":"#)?;
    let (rest, instance) = last(rest, 36)?;
    let body = rest.strip_suffix(r#","instance":""#)?;
    Some((body, uuid(instance)?, number(seq)?, Hash::read(prev)?, Hash::read(hash)?))
}

/// Whether an object without its closing brace ends in a salt.
fn salted(body: &str) -> bool {
    let salt = body.strip_suffix('"').and_then(|rest| last(rest, 32));
    salt.is_some_and(|(rest, salt)| salt.bytes().all(|byte| digit(byte).is_some()) && rest.ends_with(r#","salt":""#))
}

/// The last so many bytes, and what stands before them.
fn last(text: &str, bytes: usize) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(bytes)?)
}

/// A UUID as Tollgate writes it, with hyphens and in lower case.
fn uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// A number from 1, without zeros before it.
fn number(text: &str) -> Option<u64> {
    if text.starts_with('0') {
        return None;
    }
    text.parse().ok()
}

fn push_number(mut number: u64, out: &mut String) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(20 - used).map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "00112233445566778899aabbccddeeff";

    fn text() -> String {
        let (hash, prev) = (Hash([0xab; 32]), Hash([0x01; 32]));
        format!(
            r#"{{"kind":"audit","salt":"{SALT}","instance":"{}","seq":10,"prevHash":"{prev}","hash":"{hash}"}}"#,
            Uuid::from_u128(7)
        )
    }

    #[test]
    fn a_link_is_read_back_as_it_was_written() {
        let link = Link::read(&text()).unwrap();
        assert_eq!((link.instance, link.seq), (Uuid::from_u128(7), 10));
        assert_eq!((link.prev, link.hash), (Hash([0x01; 32]), Hash([0xab; 32])));
        assert_eq!(link.digest, Hash::of(format!(r#"{{"kind":"audit","salt":"{SALT}"}}"#).as_bytes()));
        let mut again = format!(r#"{{"kind":"audit","salt":"{SALT}""#);
        link.write(&mut again);
        assert_eq!(again, text());
    }

    #[test]
    fn nothing_but_the_one_form_is_a_link() {
        for (from, to) in [
            ("\"seq\":10", "\"seq\":010"),
            ("\"seq\":10", "\"seq\":0"),
            ("\"seq\":10", "\"seq\": 10"),
            ("\"seq\":10", "\"seq\":+10"),
            ("\"seq\":10", "\"seq\":18446744073709551616"),
            ("\"seq\":10", "\"seq\":"),
            ("abab\"}", "ABAB\"}"),
            ("abab\"}", "abab\" }"),
            ("abab\"}", "abab\"} "),
            ("abab\"}", "abab\",\"more\":1}"),
            ("prevHash", "prevhash"),
            ("00000000-0000", "000000000-000"),
            ("\"salt\":\"0011", "\"salt\":\"001G"),
            ("\"salt\"", "\"Salt\""),
            ("eeff\"", "eeff\",\"other\":\"x\""),
        ] {
            let changed = text().replace(from, to);
            assert_ne!(changed, text(), "{from}");
            assert_eq!(Link::read(&changed), Err(Unlinked::Form), "{changed}");
        }
        assert_eq!(Link::read(r#"{"kind":"audit"}"#), Err(Unlinked::None));
        assert_eq!(Link::read(""), Err(Unlinked::None));
        assert_eq!(Link::read("ü\"}"), Err(Unlinked::None));
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 1, 9, 10, 1_000, u64::MAX] {
            let mut out = String::new();
            push_number(number, &mut out);
            assert_eq!(out, number.to_string());
        }
    }
}
