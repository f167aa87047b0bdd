//! What a run over the remote-agent API used: LibreChat tells it at the end of the answer (CONTRACT.md B.6, E.5; captures
//! `294_remote-chat` to `299_remote-responses-stream`), streamed or whole, in the shape of OpenAI's chat completions or responses.
//!
//! Where an answer breaks off, its text so far is what is known. `transactions` has rows for such runs, too, under the id of the
//! answer, and says more: by model, and with what was written to caches.

use std::mem;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::piece::Piece;
use crate::librechat::said::{each, text};
use crate::librechat::sse::{Frame, Frames, LONGEST};
use crate::librechat::status::count;
use crate::policy::charges::Tokens;

mod piece;

/// Something that an answer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The answer's id, once: LibreChat writes its `transactions` under it (its `messageId`).
    Id(&'a str),
    /// A piece of the answer.
    Text(&'a str),
    /// A piece of what a model thinks. A model's output, too.
    Reasoning(&'a str),
    /// A piece of the name or of the arguments of a tool that is called. A model's output, too.
    Call(&'a str),
    /// What was used, by the provider's account.
    Usage(Usage),
    /// The run failed.
    Failed,
    /// An event, or a whole answer, of so many bytes was not looked at, being longer than [`LONGEST`].
    TooLong(u64),
}

/// What a run used: the sum over all models that it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens given to models. Whether those read from a cache are among them depends on the provider, see [`Usage::tokens`].
    pub input: u64,
    /// Tokens read from the provider's cache, where the answer says so. Chat completions do not.
    pub cached: u64,
    /// Tokens written by models, reasoning included.
    pub output: u64,
    /// Whether it is the sum of all calls. Responses tell the last call alone: false where tools were called over that API.
    pub whole: bool,
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    seen: Seen,
}

/// An answer on its way.
#[derive(Debug)]
enum Body {
    Streamed(Frames),
    /// As much of it as has come.
    Whole(Vec<u8>),
    /// It has become too long to be kept.
    TooLong(u64),
}

/// What was seen of the answer.
#[derive(Debug, Default)]
struct Seen {
    id: bool,
    calls: bool,
}

/// An answer, or an event of one. Members are read when it is known what it is.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// What was used, in the names of both APIs.
#[derive(Deserialize)]
struct Used<'a> {
    #[serde(borrow, alias = "input_tokens")]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow, alias = "output_tokens")]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, alias = "input_tokens_details")]
    prompt_tokens_details: Option<&'a RawValue>,
}

/// A choice of a chat completion.
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, alias = "message")]
    delta: Option<&'a RawValue>,
}

/// What is to be told of what was read.
type Tell<'t> = &'t mut dyn FnMut(Event<'_>);

// === impl Usage ===

impl Usage {
    /// The tokens by what they cost, for a run of this endpoint. Anthropic and Bedrock count what they read from their cache beside the
    /// input, all others within it (LibreChat's `packages/api/src/agents/usage.ts`).
    pub fn tokens(&self, endpoint: &str) -> Tokens {
        let beside = ["anthropic", "bedrock"].iter().any(|name| name.eq_ignore_ascii_case(endpoint));
        // More from the cache than there was can only be beside it.
        let beside = beside || self.cached > self.input;
        let input = if beside { self.input } else { self.input.saturating_sub(self.cached) };
        Tokens { input, cached_input: self.cached, cache_write: 0, output: self.output }
    }

    /// None where it says nothing that can be true: no model is ever given nothing, and LibreChat writes zeros where the
    /// provider has told it nothing.
    fn read(raw: &RawValue, whole: bool) -> Option<Self> {
        let used: Used<'_> = serde_json::from_str(raw.get()).ok()?;
        let cached = match used.prompt_tokens_details.and_then(Piece::read).and_then(|details| details.cached_tokens) {
            Some(cached) => count(cached)?,
            None => 0,
        };
        let input = count(used.prompt_tokens?)?;
        let usage = Self { input, cached, output: count(used.completion_tokens?)?, whole };
        (input > 0 || cached > 0).then_some(usage)
    }
}

// === impl Reader ===

impl Reader {
    /// A reader for an answer of this `Content-Type`. The body has to come as it is, without a `Content-Encoding`.
    pub fn new(content_type: &str) -> Self {
        let streamed = content_type.trim_start().get(..17).is_some_and(|t| t.eq_ignore_ascii_case("text/event-stream"));
        let body = if streamed { Body::Streamed(Frames::default()) } else { Body::Whole(Vec::new()) };
        Self { body, seen: Seen::default() }
    }

    /// Reads on, and tells what is said. Chunks may be cut anywhere. What is not understood is passed over.
    pub fn push(&mut self, chunk: &[u8], tell: Tell<'_>) {
        let seen = &mut self.seen;
        match &mut self.body {
            Body::Streamed(frames) => frames.push(chunk, &mut |frame| match frame {
                Frame::TooLong(bytes) => tell(Event::TooLong(bytes)),
                Frame::Whole { data, .. } => seen.read(data, tell),
            }),
            Body::Whole(kept) if kept.len().saturating_add(chunk.len()) <= LONGEST => kept.extend_from_slice(chunk),
            Body::Whole(kept) => self.body = Body::TooLong((kept.len() as u64).saturating_add(chunk.len() as u64)),
            Body::TooLong(bytes) => *bytes = bytes.saturating_add(chunk.len() as u64),
        }
    }

    /// Tells what an answer that is not streamed says: it has come to its end. One that broke off says nothing.
    pub fn end(&mut self, tell: Tell<'_>) {
        match mem::replace(&mut self.body, Body::Whole(Vec::new())) {
            Body::Streamed(_) => {}
            Body::Whole(kept) => self.seen.read(&kept, tell),
            Body::TooLong(bytes) => tell(Event::TooLong(bytes)),
        }
    }
}

// === impl Seen ===

impl Seen {
    fn read(&mut self, json: &[u8], tell: Tell<'_>) {
        let Ok(written) = serde_json::from_slice::<Written<'_>>(json) else { return };
        match written.kind.and_then(text) {
            Some(kind) => self.event(&kind, &written, tell),
            None => self.answer(&written, tell),
        }
    }

    /// A whole answer of either API, or a chunk of a chat completion.
    fn answer(&mut self, written: &Written<'_>, tell: Tell<'_>) {
        self.id(written.id, tell);
        for choice in written.choices.into_iter().flat_map(each) {
            let choice = serde_json::from_str::<Choice<'_>>(choice.get()).ok();
            if let Some(piece) = choice.and_then(|choice| Piece::read(choice.delta?)) {
                piece.tell(self, tell);
            }
        }
        let of_responses = written.output.is_some();
        for item in written.output.into_iter().flat_map(each).filter_map(Piece::read) {
            item.tell(self, tell);
        }
        if written.error.is_some() || written.status.and_then(text).as_deref() == Some("failed") {
            tell(Event::Failed);
        }
        self.usage(written.usage, of_responses, tell);
    }

    /// An event of a streamed response.
    fn event(&mut self, kind: &str, written: &Written<'_>, tell: Tell<'_>) {
        let delta = written.delta.and_then(text);
        let delta = delta.as_deref().filter(|delta| !delta.is_empty());
        match (kind, delta) {
            ("response.output_text.delta" | "response.refusal.delta", Some(delta)) => tell(Event::Text(delta)),
            ("response.reasoning.delta" | "response.reasoning_text.delta", Some(delta)) => {
                tell(Event::Reasoning(delta));
            }
            ("response.function_call_arguments.delta", Some(delta)) => {
                self.calls = true;
                tell(Event::Call(delta));
            }
            ("response.output_item.added", _) => {
                let item = written.item.and_then(Piece::read);
                if let Some(name) = item.and_then(|item| text(item.name?)) {
                    self.calls = true;
                    tell(Event::Call(&name));
                }
            }
            ("response.created" | "response.completed" | "response.incomplete" | "response.failed", _) => {
                let Some(whole) = written.response else { return };
                let Ok(response) = serde_json::from_str::<Written<'_>>(whole.get()) else { return };
                self.id(response.id, tell);
                if kind == "response.failed" {
                    tell(Event::Failed);
                }
                self.usage(response.usage, true, tell);
            }
            ("error", _) => tell(Event::Failed),
            _ => {}
        }
    }

    fn id(&mut self, raw: Option<&RawValue>, tell: Tell<'_>) {
        if !self.id
            && let Some(id) = raw.and_then(text)
        {
            self.id = true;
            tell(Event::Id(&id));
        }
    }

    fn usage(&self, raw: Option<&RawValue>, of_responses: bool, tell: Tell<'_>) {
        if let Some(usage) = raw.and_then(|raw| Usage::read(raw, !(of_responses && self.calls))) {
            tell(Event::Usage(usage));
        }
    }
}

#[cfg(test)]
mod tests;
