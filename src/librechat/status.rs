//! What LibreChat answers when it is asked how far a turn is: `GET /api/agents/chat/status/:id` (CONTRACT.md G.1; capture
//! `153_chat-slow-status`), and how it writes down a message.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::catalog::Misshapen;
use super::said::{Said, text};

/// Where LibreChat lists the turns of whoever asks that run.
pub const ACTIVE: &str = "/api/agents/chat/active";

/// Where a turn is stopped.
pub const STOP: &str = "/api/agents/chat/abort";

/// How far a turn is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it still runs.
    pub active: bool,
    /// What was written so far. Empty where the turn is over and LibreChat has forgotten it, which it does at once.
    pub so_far: SoFar,
}

/// What a turn has written so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// The id of the response message, which `transactions` names, too.
    pub response: Option<Box<str>>,
    /// The text. Where a turn continues an older response, that may be part of it.
    pub said: Said,
}

/// A message of LibreChat's.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, rename = "messageId")]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, rename = "promptTokens")]
    pub(super) prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) endpoint: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// What LibreChat keeps for those who come late.
#[derive(Deserialize)]
pub(super) struct Resume<'a> {
    #[serde(borrow, rename = "runSteps")]
    pub(super) steps: Option<&'a RawValue>,
    #[serde(borrow, rename = "aggregatedContent")]
    content: Option<&'a RawValue>,
    #[serde(borrow, rename = "responseMessageId")]
    response: Option<&'a RawValue>,
}

/// The answer about a turn.
#[derive(Deserialize)]
struct Answer<'a> {
    active: bool,
    #[serde(borrow, rename = "resumeState")]
    resume: Option<&'a RawValue>,
}

/// The answer about all of somebody's turns.
#[derive(Deserialize)]
struct Active {
    #[serde(rename = "activeJobIds")]
    ids: Vec<String>,
}

// === impl Status ===

impl Status {
    /// Reads the answer of `GET /api/agents/chat/status/:id`.
    ///
    /// # Errors
    /// [`Misshapen`] where it does not say whether the turn runs.
    pub fn read(body: &[u8]) -> Result<Self, Misshapen> {
        let misshapen = Misshapen { answer: "GET /api/agents/chat/status/:id", what: "it does not say \"active\"" };
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| misshapen)?;
        let so_far = answer.resume.and_then(Resume::read).map(|resume| resume.so_far()).unwrap_or_default();
        Ok(Self { active: answer.active, so_far })
    }
}

/// The streams of the turns that run, by the answer of [`ACTIVE`].
///
/// # Errors
/// [`Misshapen`] where it does not list them.
pub fn active(body: &[u8]) -> Result<Vec<String>, Misshapen> {
    let misshapen = Misshapen { answer: "GET /api/agents/chat/active", what: "it has no list \"activeJobIds\"" };
    serde_json::from_slice::<Active>(body).map(|answer| answer.ids).map_err(|_| misshapen)
}

// === impl Message ===

impl<'a> Message<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// What it says: its content, or the text alone where it has none.
    pub(super) fn said(&self) -> Said {
        let content = self.content.map(Said::read).unwrap_or_default();
        if content.is_empty() && !content.failed { self.text.map(Said::read).unwrap_or_default() } else { content }
    }
}

// === impl Resume ===

impl<'a> Resume<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(super) fn so_far(&self) -> SoFar {
        SoFar { response: self.response.and_then(owned), said: self.content.map(Said::read).unwrap_or_default() }
    }
}

// === helpers ===

/// Whether it is `true`.
pub(super) fn truth(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() == "true")
}

/// A whole number that is not negative; none where it is something else.
pub(super) fn count(raw: &RawValue) -> Option<u64> {
    serde_json::from_str(raw.get()).ok()
}

pub(super) fn owned(raw: &RawValue) -> Option<Box<str>> {
    text(raw).map(Box::from)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::librechat::said::Kind;

    fn captured(name: &str) -> Vec<u8> {
        let lines = include_str!("../../tests/captures/base.jsonl").lines();
        let mut exchanges = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let exchange = exchanges.find(|exchange| exchange["name"] == name).unwrap();
        exchange["response"]["body"].to_string().into_bytes()
    }

    #[test]
    fn a_turn_that_runs_says_what_it_has_written() {
        let status = Status::read(&captured("153_chat-slow-status")).unwrap();
        assert!(status.active);
        assert_eq!(status.so_far.response.as_deref(), Some("cf805d9f-124e-47a4-84fe-6a7f8eac3729"));
        let [piece] = &status.so_far.said.pieces[..] else { panic!("{status:?}") };
        assert_eq!((piece.kind, piece.agent.as_deref()), (Kind::Text, None));
        assert_eq!(&*piece.text, "[gpt-4o-mini] alpha bravo charlie delta echo foxtrot golf hotel india");
    }

    #[test]
    fn a_turn_that_is_over_says_no_more() {
        let over = Status { active: false, so_far: SoFar::default() };
        assert_eq!(Status::read(&captured("168_status-after-done")), Ok(over.clone()));
        assert_eq!(Status::read(br#"{"active":false,"resumeState":null,"aggregatedContent":[]}"#), Ok(over));
        for bad in [&b""[..], b"[]", b"{}", br#"{"active":"false"}"#, br#"{"error":"Unauthorized"}"#] {
            assert!(Status::read(bad).is_err(), "{bad:?}");
        }
    }
}
