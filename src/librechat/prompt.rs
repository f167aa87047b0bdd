//! What a judged turn gives to the model, as far as its body says: the new text, the instructions, the files, and where in
//! the conversation it goes on. What was said before is in [`history`], and how the answer can be bounded in [`bound`].
//!
//! This reads the canonical text that was selected from, and only where a limit counts tokens or money. Nothing is refused
//! here: a member of a strange type counts with all the text that is in it, since LibreChat passes on what it does not check.

pub mod bound;
pub mod history;

use serde::Deserialize;
use serde_json::Value;

use super::agents::Fields;
use super::selection::is_stored_agent;
use super::tools::{self, ARTIFACTS};
use super::unreadable::Unreadable;
use crate::policy::words::{Target, Tool};

/// LibreChat's id for no message: the parent of the first message of a conversation.
const NO_PARENT: &str = "00000000-0000-0000-0000-000000000000";

/// Between the parts of an id that LibreChat joins from several (its `COMMON_DIVIDER`).
const DIVIDER: &str = "__";

/// Kinds of parts that are pictures, of LibreChat's own messages and of the remote-agent API.
const PICTURE_KINDS: [&str; 4] = ["image_url", "image_file", "input_image", "image"];
/// The members of such a part that hold the picture.
const PICTURE_DATA: [&str; 4] = ["image_url", "image_file", "source", "data"];
/// Kinds of parts that are other files.
const FILE_KINDS: [&str; 3] = ["input_file", "file", "input_audio"];
/// Longest kind of a part that is not counted as text.
const LONGEST_KIND: usize = 32;

/// What a turn gives to the model besides what was said before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The new text.
    pub text: String,
    /// Whether an earlier answer is edited and goes on from there. LibreChat then finds the question among the messages before it,
    /// and adds the new text only where there are none.
    pub edits: bool,
    /// What the edited answer says now (`editedContent`).
    pub edited: String,
    /// Instructions from the body: `promptPrefix` and its like.
    pub instructions: String,
    /// The second conversation that runs beside it, where it names something that LibreChat would run.
    pub added: Option<Added>,
    /// Files and images that come with the new text.
    pub files: Files,
    /// Tools that it switches on, whose descriptions the model reads. Artifacts are not among them.
    pub tools: u64,
    /// Whether it asks for artifacts, which LibreChat explains to the model at length.
    pub artifacts: bool,
    /// What was said before; none in a new conversation.
    pub thread: Option<Thread>,
    /// The caller's own bound for the answer in tokens, where that is a number that LibreChat would pass on.
    pub output: Option<u64>,
    /// The caller's bound for the whole prompt in tokens (`maxContextTokens`), by which LibreChat leaves out the oldest messages.
    pub context: Option<u64>,
}

/// A second conversation beside a turn: `addedConvo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// What it runs.
    pub runs: Second,
    /// Its own instructions.
    pub instructions: String,
}

/// What a second conversation runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Second {
    /// A stored agent.
    Agent(Box<str>),
    /// A model of an endpoint.
    Model {
        /// LibreChat's name of the endpoint.
        endpoint: Box<str>,
        /// The model.
        model: Box<str>,
    },
}

/// How many files there are. What is in them is not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Pictures.
    pub images: u64,
    /// All others.
    pub others: u64,
}

/// Where in a conversation a turn goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The conversation whose messages LibreChat reads.
    pub conversation: Box<str>,
    /// The last message of the branch; none where LibreChat takes all messages, in the remote-agent API.
    pub head: Option<Box<str>>,
}

/// What a stored agent says to its model in each turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    /// The agent's id.
    pub agent: Box<str>,
    /// Its instructions, all of them.
    pub instructions: String,
    /// The bound for its answers in tokens.
    pub output: Option<u64>,
    /// The bound for its whole prompt in tokens.
    pub context: Option<u64>,
    /// How many tools it has.
    pub tools: u64,
    /// Whether it answers with artifacts.
    pub artifacts: bool,
}

/// The members of the body that reach the model.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    endpoint: Value,
    text: Value,
    edited_content: Value,
    prompt_prefix: Value,
    system: Value,
    instructions: Value,
    #[serde(rename = "additional_instructions")]
    additional_instructions: Value,
    context: Value,
    examples: Value,
    added_convo: Value,
    files: Value,
    conversation_id: Value,
    override_convo_id: Value,
    parent_message_id: Value,
    response_message_id: Value,
    max_context_tokens: Value,
    #[serde(rename = "max_tokens")]
    max_tokens: Value,
    #[serde(rename = "maxTokens")]
    max_tokens_of_bedrock: Value,
    max_output_tokens: Value,
    /// The remote-agent API.
    messages: Value,
    input: Value,
    #[serde(rename = "previous_response_id")]
    previous_response_id: Value,
}

/// Whether the body of a chat turn names another conversation than the one that it is answered under (`overrideConvoId`):
/// LibreChat then reads and writes messages and rows there. Its own client never does. A body that cannot be read names one.
pub fn overrides_conversation(body: &[u8]) -> bool {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Named {
        override_convo_id: Value,
    }
    serde_json::from_slice::<Named>(body).map_or(true, |named| is_on(&named.override_convo_id))
}

// === impl Prompt ===

impl Prompt {
    /// What the body of a chat turn gives. `body` is the canonical text that was selected from.
    ///
    /// # Errors
    /// [`Unreadable`] for what [`super::selection::select_turn`] or [`tools::of_turn`] would refuse, too.
    pub fn of_turn(body: &[u8]) -> Result<Self, Unreadable> {
        let switched = tools::of_turn(body)?;
        let body: Body = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
        let is = |target: &&Target, name: &str| matches!(target, Target::Tool(Tool::Named(tool)) if **tool == *name);
        let artifacts = switched.iter().any(|target| is(&target, ARTIFACTS));
        let mut edited = String::new();
        let edits = is_on(&body.edited_content);
        if edits {
            texts(body.edited_content.get("text"), &mut edited);
        }
        Ok(Self {
            text: text_of([&body.text]),
            edits,
            edited,
            instructions: text_of([
                &body.prompt_prefix,
                &body.system,
                &body.instructions,
                &body.additional_instructions,
                &body.context,
                &body.examples,
            ]),
            added: Added::read(&body.added_convo),
            files: Files::of(&body.files),
            tools: switched.iter().filter(|target| !is(target, ARTIFACTS)).fold(0, |sum, _| sum + 1),
            artifacts,
            thread: body.thread(edits),
            output: bound::own(body.endpoint.as_str().unwrap_or_default(), |name| match name {
                "max_tokens" => number(&body.max_tokens),
                "maxTokens" => number(&body.max_tokens_of_bedrock),
                "maxOutputTokens" => number(&body.max_output_tokens),
                _ => None,
            }),
            context: number(&body.max_context_tokens),
        })
    }

    /// What the body of a request to the remote-agent API gives: all messages are in it, and those of an earlier response.
    ///
    /// # Errors
    /// [`Unreadable::NotJson`] for what [`super::remote::select_run`] would refuse, too.
    pub fn of_run(body: &[u8]) -> Result<Self, Unreadable> {
        let body: Body = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
        let earlier = body.previous_response_id.as_str().filter(|id| !id.is_empty());
        Ok(Self {
            text: text_of([&body.messages, &body.input]),
            instructions: text_of([&body.instructions]),
            files: pictures(&body.messages).and(pictures(&body.input)),
            thread: earlier.map(|id| Thread { conversation: id.into(), head: None }),
            ..Self::default()
        })
    }
}

// === impl Body ===

impl Body {
    /// LibreChat reads the messages of `overrideConvoId` where the body has one, and the branch up to the edited answer
    /// where an answer is edited, else up to the parent (its `setMessageOptions`).
    fn thread(&self, edits: bool) -> Option<Thread> {
        let over = self.override_convo_id.as_str().filter(|id| !id.is_empty());
        let conversation = match over {
            Some(id) => id.split(DIVIDER).next().unwrap_or_default(),
            None => self.conversation_id.as_str().filter(|id| *id != "new")?,
        };
        let head = if edits { &self.response_message_id } else { &self.parent_message_id };
        let head = head.as_str().filter(|id| !id.is_empty() && *id != NO_PARENT)?;
        Some(Thread { conversation: conversation.into(), head: Some(head.into()) })
    }
}

// === impl Added ===

impl Added {
    fn read(added: &Value) -> Option<Self> {
        let name = |key: &str| added.get(key).and_then(Value::as_str);
        let runs = match (name("agent_id"), name("endpoint"), name("model")) {
            (Some(agent), ..) if is_stored_agent(agent) => Second::Agent(agent.into()),
            (_, Some(endpoint), Some(model)) => Second::Model { endpoint: endpoint.into(), model: model.into() },
            _ => return None,
        };
        let mut instructions = String::new();
        texts(added.get("promptPrefix"), &mut instructions);
        Some(Self { runs, instructions })
    }
}

// === impl Files ===

impl Files {
    /// No file at all.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { images: self.images.saturating_add(other.images), others: self.others.saturating_add(other.others) }
    }

    /// A list of LibreChat's files: a file with a type that is an image, or with a width, is a picture.
    fn of(list: &Value) -> Self {
        let mut files = Self::default();
        for file in list.as_array().into_iter().flatten() {
            let image = file.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("image"));
            if image || file.get("width").is_some_and(Value::is_number) {
                files.images += 1;
            } else {
                files.others += 1;
            }
        }
        files
    }
}

// === impl Brief ===

impl Brief {
    /// Reads the fields `id`, `instructions`, `additional_instructions`, `model_parameters`, `tools` and `artifacts` of an agent's document.
    pub fn of_agent(fields: &Fields) -> Self {
        let parameters = fields.get("model_parameters").unwrap_or(&Value::Null);
        let mut instructions = String::new();
        for place in [
            fields.get("instructions"),
            fields.get("additional_instructions"),
            parameters.get("promptPrefix"),
            parameters.get("system"),
        ] {
            texts(place, &mut instructions);
        }
        let bounds = ["max_tokens", "maxTokens", "maxOutputTokens", "max_output_tokens"];
        let context = ["maxContextTokens", "max_context_tokens"];
        let parameter = |name: &&str| parameters.get(*name).and_then(number);
        Self {
            agent: fields.get("id").and_then(Value::as_str).unwrap_or_default().into(),
            instructions,
            // Which of them its provider reads is not told here: the largest is never too small.
            output: bounds.iter().filter_map(parameter).max(),
            context: context.iter().filter_map(parameter).max(),
            tools: fields.get("tools").and_then(Value::as_array).into_iter().flatten().fold(0, |sum, _| sum + 1),
            artifacts: fields.get("artifacts").is_some_and(is_on),
        }
    }
}

// === helpers ===

/// A whole number above zero, also one that is written as a text: so LibreChat reads its parameters.
fn number(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| *number > 0)
}

/// What JavaScript takes for true.
fn is_on(value: &Value) -> bool {
    tools::is_on(value)
}

fn text_of<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let mut all = String::new();
    for value in values {
        texts(Some(value), &mut all);
    }
    all
}

/// All text within a value, each on a line of its own. Depth is bounded by the strict reader. The kind of a part is none, nor is
/// a picture that stands there as data: it is counted as a picture.
fn texts(value: Option<&Value>, all: &mut String) {
    match value {
        Some(Value::String(text)) if !text.is_empty() => {
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(text);
        }
        Some(Value::Array(items)) => items.iter().for_each(|item| texts(Some(item), all)),
        Some(Value::Object(members)) => {
            let picture = is_picture(members);
            for (key, value) in members {
                let kind = key == "type" && value.as_str().is_some_and(|kind| kind.len() <= LONGEST_KIND);
                let data = picture && PICTURE_DATA.contains(&key.as_str());
                if !kind && !data {
                    texts(Some(value), all);
                }
            }
        }
        _ => {}
    }
}

/// Pictures and files within messages, by the kind of their part.
fn pictures(value: &Value) -> Files {
    match value {
        Value::Array(items) => items.iter().map(pictures).fold(Files::default(), Files::and),
        Value::Object(members) if is_picture(members) => Files { images: 1, others: 0 },
        Value::Object(members) if kind(members).is_some_and(|kind| FILE_KINDS.contains(&kind)) => {
            Files { images: 0, others: 1 }
        }
        Value::Object(members) => members.values().map(pictures).fold(Files::default(), Files::and),
        _ => Files::default(),
    }
}

fn is_picture(part: &Fields) -> bool {
    kind(part).is_some_and(|kind| PICTURE_KINDS.contains(&kind))
}

fn kind(part: &Fields) -> Option<&str> {
    part.get("type").and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
