//! What an assistant's run says while it goes on: the answer of `POST /api/assistants/v{1,2}/chat` is the stream of its events
//! (LibreChat's `chatV1.js`, `chatV2.js`, `StreamRunManager.js`, `AssistantService.js`, `errors.js`).
//!
//! | event | members |
//! |---|---|
//! | the run has begun | `sync: true`, `conversationId`, `requestMessage`, `responseMessage` |
//! | text | `message: true`, `index`, `text`: all of this part until now, again with every piece |
//! | a part of the content | `index`, `type` and a member of that name: a call of a tool as it stands now, or a text with its citations |
//! | it has ended | `final: true`, `conversation`, and `runMessages` where it has failed |
//! | it has failed (`event: error`) | `text`, `conversationId` |
//!
//! A run that somebody stops ends without a last event. No event tells what was used.

use serde::Deserialize;
use serde_json::value::RawValue;

use self::part::Parts;
use crate::librechat::running::{refuses, status_of};
use crate::librechat::said::text;
use crate::librechat::sse::{Frame, Frames};
use crate::librechat::status::{count, truth};

mod part;

/// Something that a run says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The conversation's id, once. LibreChat writes its `transactions` under it, and under no message.
    Conversation(&'a str),
    /// A further piece of the answer.
    Text(&'a str),
    /// A further piece of the name, of the arguments or of the code of a tool that is called. A model's output, too.
    Call(&'a str),
    /// A further piece of what a tool gave back.
    Result(&'a str),
    /// A picture was asked about: another call of a model, beside the run, with rows of its own.
    Picture,
    /// It is over.
    Ended(Ending),
    /// An event of so many bytes was not looked at.
    TooLong(u64),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its answer.
    Finished,
    /// With an error, perhaps after a part of its answer.
    Failed,
    /// With LibreChat's own refusal, before it was begun.
    Refused,
}

/// What LibreChat says of a message that it cannot give to a run.
const REFUSALS: [&str; 2] = ["Files are invalid", "Message too long"];

/// Reads one run.
#[derive(Debug, Default)]
pub struct Reader {
    frames: Frames,
    seen: Seen,
}

/// What was seen of it.
#[derive(Debug, Default)]
struct Seen {
    conversation: bool,
    begun: bool,
    parts: Parts,
}

/// An event.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    sync: Option<&'a RawValue>,
    #[serde(borrow, rename = "final")]
    last: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "conversationId")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow, rename = "runMessages")]
    messages: Option<&'a RawValue>,
}

/// The conversation in the last event.
#[derive(Deserialize)]
struct Conversation<'a> {
    #[serde(borrow, rename = "conversationId")]
    id: Option<&'a RawValue>,
}

/// What is to be told of what was read.
type Tell<'t> = &'t mut dyn FnMut(Event<'_>);

// === impl Reader ===

impl Reader {
    /// Reads on, and tells what is said. Chunks may be cut anywhere. What is not understood is passed over.
    pub fn push(&mut self, chunk: &[u8], tell: Tell<'_>) {
        let seen = &mut self.seen;
        self.frames.push(chunk, &mut |frame| match frame {
            Frame::TooLong(bytes) => tell(Event::TooLong(bytes)),
            Frame::Whole { name, data } => seen.read(name, data, tell),
        });
    }
}

// === impl Seen ===

impl Seen {
    fn read(&mut self, name: &[u8], data: &[u8], tell: Tell<'_>) {
        let Ok(written) = serde_json::from_slice::<Written<'_>>(data) else {
            // An error may be a text alone.
            if name == b"error" {
                tell(Event::Ended(Ending::Failed));
            }
            return;
        };
        self.conversation(&written, tell);
        self.begun |= truth(written.sync);
        if name == b"error" {
            let ending = if self.is_refused(&written) { Ending::Refused } else { Ending::Failed };
            return tell(Event::Ended(ending));
        }
        if truth(written.last) {
            let ending = if written.messages.is_some() { Ending::Failed } else { Ending::Finished };
            return tell(Event::Ended(ending));
        }
        let part = self.parts.at(written.index.and_then(count));
        if let Some(raw) = written.text {
            part.text(raw, truth(written.message), tell);
        }
        if let Some(raw) = written.tool_call {
            part.call(raw, tell);
        }
    }

    fn conversation(&mut self, written: &Written<'_>, tell: Tell<'_>) {
        if self.conversation {
            return;
        }
        let within = || serde_json::from_str::<Conversation<'_>>(written.conversation?.get()).ok()?.id;
        let id = written.id.or_else(within).and_then(text);
        if let Some(id) = id.filter(|id| status_of(id).is_some()) {
            self.conversation = true;
            tell(Event::Conversation(&id));
        }
    }

    /// Whether this error is LibreChat's own word for what it has not begun. That it could not begin one is not: it says so, too, where
    /// the provider has begun it and LibreChat has lost it.
    fn is_refused(&self, error: &Written<'_>) -> bool {
        let said = error.text.and_then(text).unwrap_or_default();
        !self.begun && (refuses(&said) || REFUSALS.iter().any(|refusal| said.starts_with(refusal)))
    }
}

#[cfg(test)]
mod tests;
