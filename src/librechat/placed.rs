//! Which message of a conversation is the answer to a turn, where nobody has heard its id: by what the turn's body says of its place
//! (LibreChat's `setMessageOptions`, `createUserMessage` and its controller for resumable turns).
//!
//! LibreChat gives the answer an id of its own, unless the body names it: where an answer is edited and goes on, for one. The question is
//! a message of its own, too, below the message that the body calls its parent; of an answer that is regenerated or edited it is there before.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::catalog::Misshapen;
use super::said::{Said, text};
use super::status::{Message, truth};

/// LibreChat's id for no message.
const NO_PARENT: &str = "00000000-0000-0000-0000-000000000000";

/// Between the parts of an id that LibreChat joins from several (its `COMMON_DIVIDER`).
const DIVIDER: &str = "__";

/// The place of a turn in its conversation, as its body says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// What the question is below.
    parent: Box<str>,
    /// The question, where the body names it.
    #[serde(default)]
    question: Option<Box<str>>,
    /// The answer, where the body names it. The conversation may have had it before.
    #[serde(default)]
    pub answer: Option<Box<str>>,
    /// Whether it begins a conversation that is kept: LibreChat lets a model write a title for it when it is over.
    #[serde(default)]
    pub begins: bool,
}

/// What may be the answer to a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its id, which `transactions` names, too.
    pub id: Box<str>,
    /// What it says now: its user may have changed that.
    pub said: Said,
    /// Whether LibreChat has written all of it. It never does of a turn that was stopped.
    pub whole: bool,
}

/// The members of a body that say where a turn belongs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    conversation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    override_parent_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    override_user_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    response_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    edited_content: Option<&'a RawValue>,
    #[serde(borrow)]
    is_continued: Option<&'a RawValue>,
    #[serde(borrow)]
    is_regenerate: Option<&'a RawValue>,
    #[serde(borrow)]
    is_temporary: Option<&'a RawValue>,
}

/// A message, as far as it says where it belongs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placed<'a> {
    message_id: Box<str>,
    parent_message_id: Option<Box<str>>,
    #[serde(default)]
    is_created_by_user: bool,
    created_at: Value,
    #[serde(borrow)]
    unfinished: Option<&'a RawValue>,
}

// === impl Place ===

impl Place {
    /// By the body of a chat turn. None where LibreChat could read it in another way than this: then nothing is found by it.
    pub fn of_turn(body: &[u8]) -> Option<Self> {
        let body: Body<'_> = serde_json::from_slice(body).ok()?;
        let edits = is_on(body.edited_content)?;
        let response = id(body.response_message_id)?;
        // LibreChat makes a new id for an edited answer that is not continued, and for those whose id ends as its client's drafts do.
        let anew = (edits && !is_on(body.is_continued)?)
            || (is_on(body.is_regenerate)? && response.as_deref().is_some_and(|id| id.ends_with('_')));
        let parent = id(body.parent_message_id)?;
        let over = id(body.override_user_message_id)?.map(|id| id.split(DIVIDER).next().unwrap_or_default().into());
        let question = match edits {
            // What is edited is an answer, and its question is what it is below.
            true => parent.clone(),
            false => over.or(id(body.override_parent_message_id)?),
        };
        let begins = id(body.conversation_id)?.is_none_or(|id| &*id == "new")
            && parent.as_deref().is_none_or(|id| id == NO_PARENT)
            && !truth(body.is_temporary);
        let parent = parent.unwrap_or_else(|| NO_PARENT.into());
        Some(Self { parent, question, answer: response.filter(|_| !anew), begins })
    }

    /// What may be the answer among these messages, which are those of its conversation, as `GET /api/messages/:conversationId` lists them,
    /// or as the collection has them. `response` is its id where it is known. Else it was written `from` then on and before `until`, below the
    /// turn's question: that may be several, for a caller can write messages, too. Empty where it is not there (yet).
    ///
    /// # Errors
    /// [`Misshapen`] where it is no list of messages.
    pub fn answers(
        &self,
        messages: &[u8],
        response: Option<&str>,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<Vec<Answer>, Misshapen> {
        let misshapen = Misshapen { answer: "GET /api/messages/:conversationId", what: "it is no list" };
        let list: Vec<&RawValue> = serde_json::from_slice(messages).map_err(|_| misshapen)?;
        let all: Vec<(Placed<'_>, Message<'_>)> = list.into_iter().filter_map(read).collect();
        let known = response.or(self.answer.as_deref());
        let new =
            |placed: &Placed<'_>| placed.at().is_some_and(|at| at >= from && until.is_none_or(|until| at < until));
        let is_asked = |placed: &Placed<'_>| {
            let below = placed.parent_message_id.as_deref().unwrap_or(NO_PARENT);
            placed.is_created_by_user && *below == *self.parent && new(placed)
        };
        let questions: HashSet<&str> = match &self.question {
            Some(question) => HashSet::from([&**question]),
            None => all.iter().filter(|(placed, _)| is_asked(placed)).map(|(placed, _)| &*placed.message_id).collect(),
        };
        let is_answer = |placed: &Placed<'_>| match known {
            Some(known) => *placed.message_id == *known,
            None => new(placed) && placed.parent_message_id.as_deref().is_some_and(|id| questions.contains(id)),
        };
        let answers = all.iter().filter(|(placed, _)| !placed.is_created_by_user && is_answer(placed));
        let answer = |(placed, message): &(Placed<'_>, Message<'_>)| Answer {
            id: placed.message_id.clone(),
            said: message.said(),
            whole: !truth(placed.unfinished),
        };
        Ok(answers.map(answer).collect())
    }
}

// === impl Placed ===

impl Placed<'_> {
    /// When it was written: a text, or MongoDB's own kind in milliseconds.
    fn at(&self) -> Option<Timestamp> {
        match &self.created_at {
            Value::String(text) => text.parse().ok(),
            other => Timestamp::from_millisecond(other.get("$date")?.as_i64()?).ok(),
        }
    }
}

// === helpers ===

/// A message, and what it says; none for what is no message.
fn read(raw: &RawValue) -> Option<(Placed<'_>, Message<'_>)> {
    Some((serde_json::from_str(raw.get()).ok()?, Message::read(raw)?))
}

/// An id; none in it where there is none. None for what is no text, or an empty one.
fn id(raw: Option<&RawValue>) -> Option<Option<Box<str>>> {
    match raw {
        None => Some(None),
        Some(raw) if raw.get() == "null" => Some(None),
        Some(raw) => text(raw).filter(|id| !id.is_empty()).map(|id| Some(id.into())),
    }
}

/// Whether JavaScript takes it for true. None for texts and numbers, which LibreChat's clients do not send there.
fn is_on(raw: Option<&RawValue>) -> Option<bool> {
    match raw.map(RawValue::get) {
        None | Some("null" | "false") => Some(false),
        Some("true") => Some(true),
        Some(other) => other.starts_with(['{', '[']).then_some(true),
    }
}

#[cfg(test)]
mod tests;
