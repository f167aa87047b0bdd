//! Conversations and their messages, as long as the stand-in runs.

use serde_json::{Map, Value, json};

use super::choice::Run;
use super::state::{iso, now, object_id};

/// All conversations, oldest first.
#[derive(Default)]
pub(super) struct History {
    conversations: Vec<Conversation>,
}

/// One conversation.
pub(super) struct Conversation {
    /// The id of the document.
    pub(super) document: String,
    /// The id that everything else uses; also the id of its streams.
    pub(super) id: String,
    /// Whose it is.
    pub(super) user: String,
    /// The endpoint of its last turn.
    pub(super) endpoint: String,
    /// Whether that is a custom endpoint.
    pub(super) custom: bool,
    /// The agent's encoded name, `endpoint__model`.
    pub(super) agent: String,
    /// The model of its last turn; none where a stored agent ran.
    pub(super) model: Option<String>,
    /// `New Chat` until a title was made.
    pub(super) title: String,
    /// Whether it is kept for thirty days only, if the client said.
    pub(super) temporary: Option<bool>,
    /// What else its last turn chose: `spec`, `modelLabel`, `promptPrefix`.
    pub(super) chosen: Map<String, Value>,
    created: String,
    updated: String,
    messages: Vec<Value>,
}

// === impl History ===

impl History {
    /// The conversation with this id, whoever owns it.
    pub(super) fn find(&self, id: &str) -> Option<&Conversation> {
        self.conversations.iter().find(|one| one.id == id)
    }

    /// As [`find`](Self::find), to be changed.
    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut Conversation> {
        self.conversations.iter_mut().find(|one| one.id == id)
    }

    /// Adds a conversation, or brings the last turn's choices into the one that has its id.
    pub(super) fn upsert(&mut self, new: Conversation) {
        match self.find_mut(&new.id) {
            Some(old) => {
                let (endpoint, custom, agent, model) = (new.endpoint, new.custom, new.agent, new.model);
                (old.endpoint, old.custom, old.agent, old.model) = (endpoint, custom, agent, model);
                (old.chosen, old.updated) = (new.chosen, new.updated);
            }
            None => self.conversations.push(new),
        }
    }

    /// Somebody's conversations as `GET /api/convos` lists them, newest first. Temporary ones are not listed.
    pub(super) fn list(&self, user: &str) -> Vec<Value> {
        let own = self.conversations.iter().rev().filter(|one| one.user == user && one.temporary != Some(true));
        own.map(Conversation::listed).collect()
    }
}

// === impl Conversation ===

impl Conversation {
    /// A conversation that begins now.
    pub(super) fn new(id: &str, user: &str, run: &Run, custom: bool) -> Conversation {
        let time = iso(now());
        Conversation {
            document: object_id(),
            id: id.to_owned(),
            user: user.to_owned(),
            endpoint: run.shown_endpoint().to_owned(),
            custom,
            agent: run.agent.clone(),
            model: (!run.stored).then(|| run.model.clone()),
            title: "New Chat".to_owned(),
            temporary: None,
            chosen: Map::new(),
            created: time.clone(),
            updated: time,
            messages: Vec::new(),
        }
    }

    /// Adds a message, with what the database adds to each; one with the same id is replaced.
    pub(super) fn keep(&mut self, message: &Value) {
        let time = iso(now());
        let mut kept = json!({
            "_id": object_id(), "conversationId": self.id, "user": self.user, "createdAt": time, "updatedAt": time,
            "endpoint": self.endpoint, "error": false, "expiredAt": null, "isTemporary": self.is_temporary(),
            "unfinished": false, "model": null,
        });
        if let (Some(kept), Some(fields)) = (kept.as_object_mut(), message.as_object()) {
            kept.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
            // Only the answer in the stream carries these two.
            kept.shift_remove("promptTokens");
            kept.shift_remove("isEdited");
        }
        self.messages.retain(|old| old.get("messageId") != kept.get("messageId"));
        self.messages.push(kept);
        self.updated = time;
    }

    /// The messages as `GET /api/messages/:id` shows them.
    pub(super) fn messages(&self) -> Vec<Value> {
        let mut messages = self.messages.clone();
        for fields in messages.iter_mut().filter_map(Value::as_object_mut) {
            fields.shift_remove("_id");
            fields.shift_remove("user");
        }
        messages
    }

    /// The whole document (capture `235_convo-get`).
    pub(super) fn document(&self) -> Value {
        let ids: Vec<&Value> = self.messages.iter().filter_map(|message| message.get("_id")).collect();
        let mut document = json!({
            "_id": self.document, "conversationId": self.id, "user": self.user, "__v": 0, "agent_id": self.agent,
            "createdAt": self.created, "endpoint": self.endpoint,
        });
        let rest = json!({
            "files": [], "isArchived": false,
            "isTemporary": self.is_temporary(), "maxContextTokens": 121_125, "messages": ids,
            "resendFiles": true, "tags": [], "title": self.title, "updatedAt": self.updated,
        });
        if let (Some(document), Value::Object(rest)) = (document.as_object_mut(), rest) {
            if self.custom {
                document.insert("endpointType".to_owned(), "custom".into());
            }
            if let Some(temporary) = self.temporary {
                document.insert("expiredAt".to_owned(), json!(temporary.then_some(&self.created)));
            }
            document.extend(rest);
            document.extend(self.model.as_ref().map(|model| ("model".to_owned(), model.clone().into())));
            document.extend(self.chosen.clone());
        }
        document
    }

    fn is_temporary(&self) -> bool {
        self.temporary == Some(true)
    }

    fn listed(&self) -> Value {
        let mut listed = json!({
            "_id": self.document, "conversationId": self.id, "user": self.user, "agent_id": self.agent,
            "createdAt": self.created, "endpoint": self.endpoint,
        });
        if let Some(listed) = listed.as_object_mut() {
            if self.custom {
                listed.insert("endpointType".to_owned(), "custom".into());
            }
            listed.extend(self.model.as_ref().map(|model| ("model".to_owned(), model.clone().into())));
            listed.insert("title".to_owned(), self.title.clone().into());
            listed.insert("updatedAt".to_owned(), self.updated.clone().into());
        }
        listed
    }
}
