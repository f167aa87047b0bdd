//! What a model wrote, in the shapes of both APIs: messages and pieces of them, items of responses and their parts, calls of tools.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Event, Seen, Tell};
use crate::librechat::said::{each, text};

/// What a model wrote: a message or a piece of one, an item of a response or a part of one, or a call.
#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) cached_tokens: Option<&'a RawValue>,
}

// === impl Piece ===

impl<'a> Piece<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(super) fn tell(&self, seen: &mut Seen, tell: Tell<'_>) {
        let thinks = self.kind.and_then(text).as_deref() == Some("reasoning");
        let said = |raw: &RawValue, tell: Tell<'_>| {
            let texts = |raw: &RawValue, tell: Tell<'_>| match text(raw) {
                Some(text) if text.is_empty() => {}
                Some(text) if thinks => tell(Event::Reasoning(&text)),
                Some(text) => tell(Event::Text(&text)),
                None => {}
            };
            texts(raw, tell);
            for part in each(raw).into_iter().filter_map(Piece::read) {
                part.text.into_iter().for_each(|raw| texts(raw, tell));
            }
        };
        for raw in [self.content, self.summary].into_iter().flatten() {
            said(raw, tell);
        }
        if let Some(text) = self.reasoning.and_then(text).filter(|text| !text.is_empty()) {
            tell(Event::Reasoning(&text));
        }
        self.tell_call(seen, tell);
        let calls = self.tool_calls.into_iter().flat_map(each).filter_map(Piece::read);
        for call in calls.filter_map(|call| Piece::read(call.function?)) {
            call.tell_call(seen, tell);
        }
    }

    /// What it says as a call of a tool.
    fn tell_call(&self, seen: &mut Seen, tell: Tell<'_>) {
        for raw in [self.name, self.arguments].into_iter().flatten() {
            seen.calls = true;
            if let Some(text) = text(raw).filter(|text| !text.is_empty()) {
                tell(Event::Call(&text));
            }
        }
    }
}
