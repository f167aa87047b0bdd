//! What was said before a turn: LibreChat reads the messages of the conversation and gives the branch that ends at the parent
//! to the model (its `getMessagesForConversation`).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Files, NO_PARENT, pictures, texts};
use crate::librechat::agents::Fields;
use crate::librechat::catalog::Misshapen;

/// Most bytes of text that a token has, in prose. A stored count that would need more is not believed.
const MOST_BYTES_OF_A_TOKEN: u64 = 6;

/// What stands around a message, at most, in a stored count.
const AROUND: u64 = 16;

/// The messages of a conversation, all branches.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they came.
    said: Vec<Said>,
    /// By `messageId`; the first one where two have the same, which is the one that LibreChat finds.
    places: HashMap<Box<str>, usize>,
    /// Whether messages are missing, because there are more than were read.
    pub cut: bool,
}

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    parent: Option<Box<str>>,
    /// Its text, what a model was thinking and the calls of tools with their results included.
    pub text: String,
    /// How many tokens LibreChat has counted, where that can be believed: callers can write messages with any number.
    pub tokens: Option<u64>,
    /// Files and images.
    pub files: Files,
}

// === impl History ===

impl History {
    /// Reads documents of the collection `messages`: `messageId`, `parentMessageId`, `tokenCount`, `text`, `content` and `files`,
    /// each only where the document has it. A document without an id, which LibreChat would not find, is passed over.
    pub fn of_documents<'a>(documents: impl IntoIterator<Item = &'a Fields>) -> Self {
        let mut history = Self::default();
        for document in documents {
            let Some(id) = document.get("messageId").and_then(Value::as_str) else { continue };
            let place = history.said.len();
            history.said.push(Said::read(document));
            history.places.entry(id.into()).or_insert(place);
        }
        history
    }

    /// Reads the answer to `GET /api/messages/:conversationId`, which is a list of the same documents.
    ///
    /// # Errors
    /// [`Misshapen`] where it is no list of objects.
    pub fn of_answer(body: &[u8]) -> Result<Self, Misshapen> {
        let documents: Vec<Value> = serde_json::from_slice(body).map_err(|_| misshapen("it is not a list"))?;
        let objects: Option<Vec<&Fields>> = documents.iter().map(Value::as_object).collect();
        Ok(Self::of_documents(objects.ok_or(misshapen("a message is not an object"))?))
    }

    /// The branch that ends at this message, the newest first: each message once, however they point at each other. Without
    /// a head all messages, as the remote-agent API takes them. Nothing where LibreChat would not find the head.
    pub fn branch(&self, head: Option<&str>) -> Vec<&Said> {
        let Some(head) = head else { return self.said.iter().collect() };
        let (mut branch, mut seen, mut next) = (Vec::new(), HashSet::new(), Some(head));
        while let Some(place) = next.and_then(|id| self.places.get(id)).copied() {
            let Some(said) = self.said.get(place).filter(|_| seen.insert(place)) else { break };
            branch.push(said);
            next = said.parent.as_deref();
        }
        branch
    }

    /// Whether LibreChat would find this message.
    pub fn has(&self, head: &str) -> bool {
        self.places.contains_key(head)
    }
}

// === impl Said ===

impl Said {
    fn read(document: &Fields) -> Self {
        let mut text = String::new();
        texts(document.get("text"), &mut text);
        texts(document.get("content"), &mut text);
        let files = Files::of(document.get("files").unwrap_or(&Value::Null));
        let files = files.and(pictures(document.get("content").unwrap_or(&Value::Null)));
        let parent = document.get("parentMessageId").and_then(Value::as_str);
        let counted = document.get("tokenCount").and_then(Value::as_u64);
        Self {
            parent: parent.filter(|id| !id.is_empty() && *id != NO_PARENT).map(Into::into),
            tokens: counted.filter(|tokens| is_likely(*tokens, &text)),
            text,
            files,
        }
    }
}

/// Whether so many tokens can be in a text of so many bytes: no fewer than prose has, and no more than bytes.
fn is_likely(tokens: u64, text: &str) -> bool {
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    tokens > 0 && tokens.saturating_mul(MOST_BYTES_OF_A_TOKEN) >= bytes && tokens <= bytes.saturating_add(AROUND)
}

fn misshapen(what: &'static str) -> Misshapen {
    Misshapen { answer: "GET /api/messages/:conversationId", what }
}
