//! Heads: what an instance signs now and then about where its chains end. Whoever has the public key can tell by them that no entry before them was
//! changed, removed or put in since.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chain::{End, Ends};
use super::line::{Kind, Line};
use super::link::Hash;

mod keys;
mod pem;

pub use keys::{KeyFault, Public, SignFault, Signer};

/// What the signature of a head begins with.
const HEAD: &[u8] = b"tollgate head 1\n";
/// The signature is over what stands before this.
const SIGNATURE: &str = r#","signature":""#;

/// A head as it is written, but for its signature.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(Serialize, schemars::JsonSchema))]
pub struct Head {
    /// The line is a head.
    #[cfg_attr(test, schemars(extend("const" = "head")))]
    kind: Kind,
    /// Id of the head, a UUIDv7.
    #[serde(rename = "_id")]
    pub id: Uuid,
    /// When it was made, UTC; never before the head before it.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// Whose chains they are: the data directory's UUID.
    pub instance: Uuid,
    /// 1, then one more each, without gaps.
    pub number: u64,
    /// SHA-256 of the text of the head before; zeros for the first.
    pub prev: Hash,
    /// Time and numbers of the head before, so that the first head that is still kept tells what may have expired; absent in
    /// the first.
    #[serde(default)]
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub since: Option<Since>,
    /// Where the chain of `audit` ends.
    pub audit: End,
    /// Where the chain of `usage` ends.
    pub usage: End,
    /// The key that signed: the first 16 hex digits of the SHA-256 of the public key's 32 bytes.
    pub key: Box<str>,
    /// Ed25519 (RFC 8032), in base64, over `tollgate head 1`, a line break, and the text up to `,"signature":`.
    signature: Box<str>,
}

/// What the head before was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Since {
    /// When the head before was made, UTC.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// Number of its last audit entry.
    pub audit: u64,
    /// Number of its last usage entry.
    pub usage: u64,
}

/// Why a text is no head.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It lacks a member, or has one that heads do not have.
    #[error("it is no head: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is not written as Tollgate writes heads.
    #[error("it is not written as Tollgate writes heads")]
    Form,
}

// === impl Head ===

impl Head {
    /// The head that comes next, not yet signed.
    pub(super) fn next(ends: &Ends, id: Uuid, at: Timestamp) -> Self {
        let last = &ends.head;
        let since = Since { at: last.at, audit: last.audit, usage: last.usage };
        let first = last.number == 0;
        Self {
            kind: Kind::Head,
            id,
            at: if first { at } else { at.max(last.at) },
            instance: ends.instance,
            number: last.number.saturating_add(1),
            prev: last.hash,
            since: (!first).then_some(since),
            audit: ends.audit,
            usage: ends.usage,
            key: "".into(),
            signature: "".into(),
        }
    }

    /// Reads a head. Exactly what Tollgate writes is taken; its signature is not checked.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn read(text: &str) -> Result<Self, Unread> {
        let head: Self = serde_json::from_str(text)?;
        if head.kind != Kind::Head || head.number == 0 || head.text() != text {
            return Err(Unread::Form);
        }
        Ok(head)
    }

    /// Signs it.
    pub(super) fn sign(mut self, signer: &Signer) -> Result<Line, SignFault> {
        self.key = signer.public().id().into();
        self.signature = signer.sign(&self.statement())?.into();
        Ok(Line { kind: Kind::Head, id: self.id, at: self.at, text: self.text().into() })
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, key: &Public) -> bool {
        key.verifies(&self.statement(), &self.signature)
    }

    /// What is signed.
    fn statement(&self) -> Vec<u8> {
        [HEAD, self.signed_text().as_bytes()].concat()
    }

    fn text(&self) -> String {
        format!("{}{SIGNATURE}{}\"}}", self.signed_text(), self.signature)
    }

    /// The text up to the signature.
    fn signed_text(&self) -> String {
        let Self { id, at, instance, number, prev, since, audit, usage, key, .. } = self;
        let since = since.map_or_else(String::new, |Since { at, audit, usage }| {
            format!(r#","since":{{"timestamp":"{at}","audit":{audit},"usage":{usage}}}"#)
        });
        let end = |end: &End| format!(r#"{{"seq":{},"hash":"{}"}}"#, end.seq, end.hash);
        format!(
            r#"{{"kind":"head","_id":"{id}","timestamp":"{at}","instance":"{instance}","number":{number},"prev":"{prev}"{since},"audit":{},"usage":{},"key":"{key}""#,
            end(audit),
            end(usage)
        )
    }
}

/// A signature as text.
fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A signature out of a text; the one text that [`encode`] gives is taken.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests;
