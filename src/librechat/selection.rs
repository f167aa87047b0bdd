//! What a chat request would make LibreChat call (CONTRACT.md B.1, B.3, B.9, B.13).

use bytes::Bytes;

use super::unreadable::Unreadable;
use crate::policy::words::Target;

/// A chat request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRequest {
    /// Everything the body itself would make LibreChat call. Specs add to it: see [`super::specs`].
    pub targets: Vec<Target>,
    /// The model spec named, if any.
    pub spec: Option<Box<str>>,
    /// The model spec named within `addedConvo`, if any.
    pub added_spec: Option<Box<str>>,
    /// `conversationId`, which is also the id of the stream; absent in a new conversation.
    pub conversation: Option<Box<str>>,
    /// `endpoint`.
    pub endpoint: Box<str>,
    /// `model`; absent where a stored agent decides it.
    pub model: Option<Box<str>>,
    /// The body to send to LibreChat: `application/json; charset=utf-8`.
    pub body: Bytes,
}

/// Reads the body of `POST /api/agents/chat[/:endpoint]`.
///
/// # Errors
/// See [`Unreadable`].
pub fn select_turn(_body: &[u8]) -> Result<TurnRequest, Unreadable> {
    Err(Unreadable::NotJson)
}
