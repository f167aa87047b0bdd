//! What LibreChat answers when it is asked how far a turn is, and what a turn has written: `GET /api/agents/chat/status/:id` and
//! `GET /api/messages/:conversationId` (CONTRACT.md G.1; captures `153_chat-slow-status`, `237_messages-get`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::said::{Said, text};

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

/// An answer does not have the shape that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer of {answer} cannot be read: {what}")]
pub struct Unclear {
    /// Whose answer.
    pub answer: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
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

// === impl Status ===

impl Status {
    /// Reads the answer of `GET /api/agents/chat/status/:id`.
    ///
    /// # Errors
    /// [`Unclear`] where it does not say whether the turn runs.
    pub fn read(body: &[u8]) -> Result<Self, Unclear> {
        let unclear = Unclear { answer: "GET /api/agents/chat/status/:id", what: "it does not say \"active\"" };
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| unclear)?;
        let so_far = answer.resume.and_then(Resume::read).map(|resume| resume.so_far()).unwrap_or_default();
        Ok(Self { active: answer.active, so_far })
    }
}

/// What a message says, by the answer of `GET /api/messages/:conversationId`; none where the message is not there (yet).
///
/// # Errors
/// [`Unclear`] where it is no list of messages.
pub fn message_text(body: &[u8], message: &str) -> Result<Option<Said>, Unclear> {
    let unclear = Unclear { answer: "GET /api/messages/:conversationId", what: "it is no list" };
    let list: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_| unclear)?;
    let mut messages = list.into_iter().filter_map(Message::read);
    Ok(messages.find(|read| read.id.and_then(text).as_deref() == Some(message)).map(|message| message.said()))
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
