//! What models wrote, as LibreChat keeps it: the parts of a message's content, piece by piece and agent by agent.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The answer. Written by the model.
    Text,
    /// Thoughts before it, or a summary of what was said before. Written by the model.
    Reasoning,
    /// Names and arguments of tools that are called. Written by the model.
    Call,
    /// What a tool gave back. Not written by the model: its next step is given it.
    Result,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The agent that it is of, see [`model_of`]; none where one model alone runs.
    pub agent: Option<Box<str>>,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub text: Box<str>,
}

/// The content of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// All text that is understood, in its order.
    pub pieces: Vec<Piece>,
    /// Whether LibreChat wrote an error into it: the run failed, perhaps after some text.
    pub failed: bool,
}

/// A part of a message's content. Everything but the part itself is read leniently: content is only counted.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    think: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, rename = "agentId")]
    agent: Option<&'a RawValue>,
}

/// A call of a tool, whole or a part of one.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// Text of the assistants' shape.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The endpoint and the model in the id of an agent that stands for a chosen model: `openAI__gpt-4o`, `openAI__gpt-4o____1`,
/// `openAI__gpt-4o___GPT-4o` (LibreChat's `parseEphemeralAgentId`; capture `182_chat-addedConvo-stream`). A colon in a model's name
/// is two underscores in the id, so that a model with two underscores in its name comes out with a colon. None for a stored
/// agent, `agent_...`.
pub fn model_of(agent: &str) -> Option<(&str, Cow<'_, str>)> {
    if agent.starts_with("agent_") {
        return None;
    }
    let whole = match agent.rsplit_once("____") {
        Some((whole, index)) if index.starts_with(|first: char| first.is_ascii_digit()) => whole,
        _ => agent,
    };
    let named = whole.split_once("___").map_or(whole, |(named, _)| named);
    let (endpoint, model) = named.split_once("__")?;
    if endpoint.is_empty() {
        return None;
    }
    Some((endpoint, if model.contains("__") { model.replace("__", ":").into() } else { model.into() }))
}

// === impl Said ===

impl Said {
    /// Reads the content of a message: an array of parts, or plain text. What is not understood is passed over.
    pub(super) fn read(content: &RawValue) -> Self {
        let mut said = Self::default();
        if let Some(text) = text(content) {
            if !text.is_empty() {
                said.push(None, Kind::Text, &text);
            }
            return said;
        }
        said.failed = parts(content, &mut |agent, kind, text| said.push(agent, kind, text));
        said
    }

    /// Whether there is no text in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn push(&mut self, agent: Option<&str>, kind: Kind, text: &str) {
        self.pieces.push(Piece { agent: agent.map(Box::from), kind, text: text.into() });
    }
}

/// Tells the text of each part of a content. Says whether one of them is an error.
pub(super) fn parts(content: &RawValue, tell: &mut dyn FnMut(Option<&str>, Kind, &str)) -> bool {
    let mut failed = false;
    let tell = &mut |agent: Option<&str>, kind, text: &str| {
        if !text.is_empty() {
            tell(agent, kind, text);
        }
    };
    for part in each(content) {
        let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else { continue };
        let agent = part.agent.and_then(text);
        let agent = agent.as_deref();
        failed |= part.kind.and_then(text).as_deref() == Some("error");
        if let Some(text) = part.text.and_then(text_or_value) {
            tell(agent, Kind::Text, &text);
        }
        if let Some(text) = part.think.and_then(text) {
            tell(agent, Kind::Reasoning, &text);
        }
        if let Some(raw) = part.tool_call {
            call(raw, true, true, &mut |kind, text| tell(agent, kind, text));
        }
        // A summary has parts of its own.
        for inner in part.content.into_iter().flat_map(each) {
            let text = serde_json::from_str::<Part<'_>>(inner.get()).ok().and_then(|part| part.text.and_then(text));
            if let Some(text) = text {
                tell(agent, Kind::Reasoning, &text);
            }
        }
    }
    failed
}

/// Tells what a call of a tool holds: name and arguments, what the tool gave back, or both.
pub(super) fn call(raw: &RawValue, asked: bool, given: bool, tell: &mut dyn FnMut(Kind, &str)) {
    let Ok(call) = serde_json::from_str::<Call<'_>>(raw.get()) else { return };
    if asked {
        for part in [call.name, call.args].into_iter().flatten() {
            // Arguments may be an object, which the model wrote as text.
            let part = text(part).unwrap_or(part.get().into());
            if !part.is_empty() {
                tell(Kind::Call, &part);
            }
        }
    }
    if let (true, Some(output)) = (given, call.output) {
        tell(Kind::Result, text(output).as_deref().unwrap_or(output.get()));
    }
}

/// The elements of an array; none where it is something else.
pub(super) fn each(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// The string; none where it is something else.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// The string, or the string within `{ "value": ... }`.
fn text_or_value(raw: &RawValue) -> Option<Cow<'_, str>> {
    text(raw).or_else(|| serde_json::from_str::<Wrapped<'_>>(raw.get()).ok()?.value.and_then(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_id_names_its_model() {
        // Captures 182_chat-addedConvo-stream, 280_chat-agent-edges-stream, and the examples of LibreChat's own function.
        for (agent, expected) in [
            ("openAI__gpt-4o-mini", Some(("openAI", "gpt-4o-mini"))),
            ("openAI__gpt-4o____1", Some(("openAI", "gpt-4o"))),
            ("openAI__gpt-4o___GPT-4o", Some(("openAI", "gpt-4o"))),
            ("openAI__gpt-4o___GPT-4o____1", Some(("openAI", "gpt-4o"))),
            ("bedrock__claude-3__opus___x", Some(("bedrock", "claude-3:opus"))),
            ("MindRoom__mindroom_pro", Some(("MindRoom", "mindroom_pro"))),
            ("agent_CQR3f0jzgHjoOVQSE-t3J", None),
            ("agent_abc123____1", None),
            ("agent_a__b", None),
            ("__gpt-4o", None),
            ("openAI", None),
            ("", None),
        ] {
            let model = model_of(agent);
            assert_eq!(model.as_ref().map(|(endpoint, model)| (*endpoint, &**model)), expected, "{agent}");
        }
    }

    fn read(content: &str) -> Said {
        Said::read(serde_json::from_str(content).unwrap())
    }

    fn shown(said: &Said) -> Vec<(Option<&str>, Kind, &str)> {
        said.pieces.iter().map(|piece| (piece.agent.as_deref(), piece.kind, &*piece.text)).collect()
    }

    #[test]
    fn every_kind_of_text_is_read() {
        let said = read(
            r#"[{"type":"think","think":"hm"},null,{"type":"text","text":"a\nb","agentId":"openAI__gpt-4o____1"},
            {"type":"text","text":{"value":"c"}},{"type":"image_file","image_file":{"text":"no"}},
            {"type":"tool_call","tool_call":{"name":"add","args":"{\"a\":1}","output":"2"}},
            {"type":"tool_call","tool_call":{"name":"sub","args":{"a":1}}},
            {"type":"summary","content":[{"type":"text","text":"in short"}]},7,"x",{"type":"text","text":""}]"#,
        );
        assert_eq!(
            shown(&said),
            [
                (None, Kind::Reasoning, "hm"),
                (Some("openAI__gpt-4o____1"), Kind::Text, "a\nb"),
                (None, Kind::Text, "c"),
                (None, Kind::Call, "add"),
                (None, Kind::Call, "{\"a\":1}"),
                (None, Kind::Result, "2"),
                (None, Kind::Call, "sub"),
                (None, Kind::Call, "{\"a\":1}"),
                (None, Kind::Reasoning, "in short"),
            ]
        );
        assert!(!said.failed);
        assert_eq!(shown(&read(r#""plain""#)), [(None, Kind::Text, "plain")]);
        assert!(read(r#"{"text":"x"}"#).is_empty());
    }

    #[test]
    fn an_error_is_no_text() {
        let said = read(r#"[{"type":"error","error":"An error occurred while processing the request"}]"#);
        assert!(said.failed && said.is_empty());
        assert!(!read(r#"[{"type":"text","text":"error"}]"#).failed);
    }
}
