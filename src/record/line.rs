//! An entry as it is kept: its text, and what it is found by. What is kept is a text, so that what was hashed is what is stored.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Its id, a UUIDv7: keeping an entry again changes nothing.
    pub id: Uuid,
    /// When what it tells of began (UTC): for decisions and turns, when the request arrived.
    pub at: Timestamp,
    /// One JSON object in one line, without a line break at its end.
    pub text: Box<str>,
}

/// What a line is: the member `kind` of its object, also a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Kind {
    /// A decision, a refusal, or something that was done to Tollgate itself.
    Audit,
    /// A turn.
    Usage,
    /// A signed head of the chains of one instance.
    Head,
}

/// Why a text is no line of the record.
#[derive(Debug, thiserror::Error)]
pub enum Misread {
    /// It is no JSON object with `kind`, `_id` and `timestamp`.
    #[error("not an entry of the record: {0}")]
    Shape(#[from] serde_json::Error),
    /// It has a line break in it.
    #[error("not an entry of the record: it has a line break")]
    Break,
}

/// The members that every line has.
#[derive(Deserialize)]
struct Members {
    kind: Kind,
    #[serde(rename = "_id")]
    id: Uuid,
    timestamp: Timestamp,
}

// === impl Line ===

impl Line {
    /// Reads a line's members out of its text.
    ///
    /// # Errors
    /// [`Misread`] where the text is not one object of the record.
    pub fn read(text: &str) -> Result<Self, Misread> {
        let text = text.trim_end_matches('\n');
        if text.contains('\n') {
            return Err(Misread::Break);
        }
        let Members { kind, id, timestamp } = serde_json::from_str(text)?;
        Ok(Self { kind, id, at: timestamp, text: text.into() })
    }
}

// === impl Kind ===

impl Kind {
    /// The member's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Usage => "usage",
            Self::Head => "head",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;

    #[test]
    fn an_entry_becomes_a_line_and_is_read_again() {
        for entry in [samples::refusal(3), samples::turn(4), samples::event(5)] {
            let line = entry.line().unwrap();
            assert_eq!((line.kind.as_str(), line.id, line.at), (entry.kind(), entry.id(), entry.timestamp()));
            assert_eq!(Line::read(&line.text).unwrap(), line);
            assert_eq!(Line::read(&format!("{}\n", line.text)).unwrap(), line);
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        let id = Uuid::from_u128(7);
        for (text, why) in [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (format!(r#"{{"_id":"{id}","timestamp":"2026-11-21T08:15:00Z"}}"#), "missing field `kind`"),
            (format!(r#"{{"kind":"audit","_id":"{id}"}}"#), "missing field `timestamp`"),
            (format!(r#"{{"kind":"noise","_id":"{id}","timestamp":"2026-11-21T08:15:00Z"}}"#), "unknown variant"),
            (format!("{{\"kind\":\"audit\",\n\"_id\":\"{id}\"}}"), "line break"),
        ] {
            let fault = Line::read(&text).unwrap_err().to_string();
            assert!(fault.contains(why), "{text}: {fault}");
        }
    }
}
