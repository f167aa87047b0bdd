//! The parts of an answer of an assistant. Each event tells a part as it stands: what is new in it is what goes beyond what was seen.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Event, Tell};
use crate::librechat::said::{each, text};

/// Most parts that are remembered. They come one after another; of one that has been forgotten all is new.
const MOST_PARTS: usize = 64;

/// The function by which an assistant asks about a picture (`ImageVisionTool`).
const PICTURES: &str = "image_vision";

/// The parts seen so far.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

/// How much of a part was seen, in bytes.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Its place in the answer; none for what names no place.
    index: Option<u64>,
    text: usize,
    named: bool,
    arguments: usize,
    code: usize,
    output: usize,
}

/// A call of a tool.
#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    code_interpreter: Option<&'a RawValue>,
}

/// A function that is called.
#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// Code that is run at the provider.
#[derive(Deserialize)]
struct Code<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
}

/// What code has printed.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    logs: Option<&'a RawValue>,
}

// === impl Parts ===

impl Parts {
    /// The part at this place.
    pub(super) fn at(&mut self, index: Option<u64>) -> &mut Part {
        let at = self.0.iter().position(|part| part.index == index).unwrap_or_else(|| {
            if self.0.len() == MOST_PARTS {
                self.0.remove(0);
            }
            self.0.push(Part { index, ..Part::default() });
            self.0.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.0[at]
    }
}

// === impl Part ===

impl Part {
    /// Text. Where it is not `piece` by piece, it is what was told already, with its citations: new only where nothing was told.
    pub(super) fn text(&mut self, raw: &RawValue, piece: bool, tell: Tell<'_>) {
        match text(raw) {
            Some(whole) if piece => further(&mut self.text, &whole, &mut |new| tell(Event::Text(new))),
            Some(_) => {}
            None if self.text == 0 => {
                let value = serde_json::from_str::<Value<'_>>(raw.get()).ok().and_then(|text| text.value);
                if let Some(whole) = value.and_then(text) {
                    further(&mut self.text, &whole, &mut |new| tell(Event::Text(new)));
                }
            }
            None => {}
        }
    }

    /// A call of a tool.
    pub(super) fn call(&mut self, raw: &RawValue, tell: Tell<'_>) {
        let Ok(call) = serde_json::from_str::<ToolCall<'_>>(raw.get()) else { return };
        if let Some(function) = call.function.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
            self.function(&function, tell);
        }
        if let Some(code) = call.code_interpreter.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
            self.code(&code, tell);
        }
    }

    fn function(&mut self, function: &Function<'_>, tell: Tell<'_>) {
        if let (false, Some(name)) = (self.named, function.name.and_then(text).filter(|name| !name.is_empty())) {
            self.named = true;
            tell(Event::Call(&name));
            if name == PICTURES {
                tell(Event::Picture);
            }
        }
        if let Some(arguments) = function.arguments.and_then(written) {
            further(&mut self.arguments, &arguments, &mut |new| tell(Event::Call(new)));
        }
        if let Some(output) = function.output.and_then(written) {
            further(&mut self.output, &output, &mut |new| tell(Event::Result(new)));
        }
    }

    fn code(&mut self, code: &Code<'_>, tell: Tell<'_>) {
        if let Some(input) = code.input.and_then(written) {
            further(&mut self.code, &input, &mut |new| tell(Event::Call(new)));
        }
        let outputs = code.outputs.into_iter().flat_map(each);
        let outputs = outputs.filter_map(|raw| serde_json::from_str::<Output<'_>>(raw.get()).ok());
        let logs: Vec<Cow<'_, str>> = outputs.filter_map(|output| output.logs.and_then(text)).collect();
        if logs.iter().map(|log| log.len()).sum::<usize>() > self.output {
            further(&mut self.output, &logs.concat(), &mut |new| tell(Event::Result(new)));
        }
    }
}

/// Text within a part of the content.
#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

// === helpers ===

/// Tells what goes beyond the first `seen` bytes, which it then is. Where it cannot be what was seen with more after it, all is new.
fn further(seen: &mut usize, whole: &str, tell: &mut dyn FnMut(&str)) {
    if whole.len() > *seen {
        tell(whole.get(*seen..).unwrap_or(whole));
        *seen = whole.len();
    }
}

/// A text, or what else it is as text; none where it is nothing.
fn written(raw: &RawValue) -> Option<Cow<'_, str>> {
    (raw.get() != "null").then(|| text(raw).unwrap_or_else(|| raw.get().into()))
}
