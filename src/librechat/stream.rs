//! What a chat turn's stream says while it passes (CONTRACT.md E.5): who writes, what, and how it ends.
//!
//! The stream is `GET /api/agents/chat/stream/:id`. It tells no usage, so that what a model wrote has to be counted from its
//! text. LibreChat hides some text from it: that of all agents but the last where an agent says `hide_sequential_outputs`, and
//! titles and memories. Only `transactions` knows of that.

use serde::Deserialize;
use serde_json::value::RawValue;

use self::steps::{Steps, tell_step};
use super::said::{Said, each, text};
use super::sse::{Frame, Frames};
use super::status::{Message, Resume, SoFar, count, owned, truth};

mod steps;

/// Something that happened in a turn. Agents are named by their ids, see [`super::said::model_of`]; none where a single model runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// LibreChat has begun with the turn.
    Created {
        /// The id of the user's message.
        message: Option<&'a str>,
    },
    /// A model begins to write a message, or to call tools. A model that has got the result of a tool is called anew, with all
    /// that it was given before.
    Step {
        /// Whose.
        agent: Option<&'a str>,
        /// Whether it calls tools.
        calls: bool,
    },
    /// A piece of the answer.
    Text {
        /// Whose.
        agent: Option<&'a str>,
        /// The piece.
        text: &'a str,
    },
    /// A piece of what a model thinks, or of a summary of what was said before. A model's output, too.
    Reasoning {
        /// Whose.
        agent: Option<&'a str>,
        /// The piece.
        text: &'a str,
    },
    /// A piece of the name or of the arguments of a tool that is called. A model's output, too.
    Call {
        /// Whose.
        agent: Option<&'a str>,
        /// The piece.
        text: &'a str,
    },
    /// What a tool gave back: input of the model's next step.
    Result {
        /// Whose.
        agent: Option<&'a str>,
        /// All of it.
        text: &'a str,
    },
    /// The stream was opened late (`resume=true`): all that was written so far. Events that are told after it go on from there.
    Sync(SoFar),
    /// The turn is over, and so is the stream.
    Final(Final),
    /// LibreChat refused the turn or gave it up, and the stream is over. The text is for people, often JSON within.
    Error(&'a str),
    /// An event of so many bytes was not looked at, being longer than [`super::sse::LONGEST`].
    TooLong(u64),
}

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Final {
    /// The id of the response message, which `transactions` names, too. None where the turn was stopped before it began.
    pub response: Option<Box<str>>,
    /// LibreChat's own count of what the first model was given; none where it says none.
    pub prompt_tokens: Option<u64>,
    /// Whether it was stopped. LibreChat writes no `transactions` for it then (CONTRACT.md E.4).
    pub aborted: bool,
    /// Whether it was stopped before any model was called.
    pub early: bool,
    /// The model by LibreChat's account: that of the first agent.
    pub model: Option<Box<str>>,
    /// Its endpoint.
    pub endpoint: Option<Box<str>>,
    /// The whole response. Where a turn continues an older response, that is part of it.
    pub said: Said,
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Reader {
    frames: Frames,
    steps: Steps,
}

/// An event as it is written. Members are read when it is known what it is.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    sync: Option<&'a RawValue>,
    #[serde(borrow, rename = "resumeState")]
    resume: Option<&'a RawValue>,
    #[serde(borrow, rename = "pendingEvents")]
    pending: Option<&'a RawValue>,
    #[serde(borrow, rename = "final")]
    last: Option<&'a RawValue>,
    #[serde(borrow, rename = "responseMessage")]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    aborted: Option<&'a RawValue>,
    #[serde(borrow, rename = "earlyAbort")]
    early: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

// === impl Reader ===

impl Reader {
    /// Reads on, and tells what happened. Chunks may be cut anywhere. What is not understood is passed over.
    pub fn push(&mut self, chunk: &[u8], tell: &mut dyn FnMut(Event<'_>)) {
        let Self { frames, steps } = self;
        frames.push(chunk, &mut |frame| match frame {
            Frame::TooLong(bytes) => tell(Event::TooLong(bytes)),
            Frame::Whole { name, data } => {
                if let Ok(written) = serde_json::from_slice::<Written<'_>>(data) {
                    written.tell(name, steps, tell);
                }
            }
        });
    }
}

// === impl Written ===

impl Written<'_> {
    fn tell(&self, name: &[u8], steps: &mut Steps, tell: &mut dyn FnMut(Event<'_>)) {
        if let (Some(event), Some(data)) = (self.event.and_then(text), self.data) {
            tell_step(&event, data, steps, tell);
        } else if truth(self.last) {
            tell(Event::Final(self.ended()));
        } else if truth(self.sync) {
            let resume = self.resume.and_then(Resume::read);
            for step in resume.iter().filter_map(|resume| resume.steps).flat_map(each) {
                steps.remember(step);
            }
            tell(Event::Sync(resume.map(|resume| resume.so_far()).unwrap_or_default()));
            for event in self.pending.into_iter().flat_map(each) {
                let written = serde_json::from_str::<Written<'_>>(event.get()).ok();
                if let Some((event, data)) = written.and_then(|written| Some((text(written.event?)?, written.data?))) {
                    tell_step(&event, data, steps, tell);
                }
            }
        } else if truth(self.created) {
            let message = self.message.and_then(Message::read);
            let id = message.and_then(|message| text(message.id?));
            tell(Event::Created { message: id.as_deref() });
        } else if name == b"error" {
            let error = self.error.map(|error| text(error).unwrap_or(error.get().into()));
            tell(Event::Error(error.as_deref().unwrap_or_default()));
        }
    }

    fn ended(&self) -> Final {
        let mut last = Final { aborted: truth(self.aborted), early: truth(self.early), ..Final::default() };
        let Some(message) = self.response.and_then(Message::read) else { return last };
        last.response = message.id.and_then(owned);
        last.prompt_tokens = message.prompt_tokens.and_then(count);
        last.model = message.model.and_then(owned);
        last.endpoint = message.endpoint.and_then(owned);
        last.said = message.said();
        last
    }
}

#[cfg(test)]
mod tests;
