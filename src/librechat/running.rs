//! The routes of a turn that runs, and LibreChat's own refusals of one that it has taken (CONTRACT.md E.6, G.1).

use http::Uri;
use serde::Deserialize;

/// Below this is a turn's stream.
const STREAM: &str = "/api/agents/chat/stream/";

/// Below this is how far it is.
const STATUS: &str = "/api/agents/chat/status/";

/// Below this are the messages of a conversation.
const MESSAGES: &str = "/api/messages/";

/// The refusals that LibreChat tells in a turn's stream before it asks a model.
const REFUSALS: [&str; 12] = [
    "token_balance",
    "illegal_model_request",
    "missing_model",
    "models_not_loaded",
    "endpoint_models_not_loaded",
    "invalid_agent_provider",
    "no_user_key",
    "invalid_user_key",
    "expired_user_key",
    "no_base_url",
    "invalid_base_url",
    "INPUT_LENGTH",
];

/// An error that is JSON within.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
}

/// The turn whose stream is read at this path.
pub fn stream_of(path: &str) -> Option<&str> {
    path.strip_prefix(STREAM).filter(|id| !id.is_empty() && !id.contains('/') && !id.contains('%'))
}

/// Where LibreChat says how far this turn is. None for an id that stands for something else in a path.
pub fn status_of(stream: &str) -> Option<Uri> {
    below(STATUS, stream)
}

/// Where LibreChat shows the messages of this conversation. None as with [`status_of`].
pub fn messages_of(conversation: &str) -> Option<Uri> {
    below(MESSAGES, conversation)
}

/// Whether the error of a stream is LibreChat's own refusal of the turn.
pub fn refuses(error: &str) -> bool {
    serde_json::from_str::<Told<'_>>(error).is_ok_and(|told| REFUSALS.contains(&&*told.kind))
}

fn below(path: &str, id: &str) -> Option<Uri> {
    // LibreChat's own ids are UUIDs. A client may choose any text; what would have to be encoded is not asked about.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(plain)).then(|| Uri::try_from(format!("{path}{id}")).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_turns_and_back() {
        let id = "b0076b47-3e54-4ad6-9d1e-21b2a3f0c0de";
        assert_eq!(stream_of(&format!("/api/agents/chat/stream/{id}")), Some(id));
        for other in ["/api/agents/chat/stream/", "/api/agents/chat/stream/a/b", "/api/agents/chat/status/a", "/"] {
            assert_eq!(stream_of(other), None, "{other}");
        }
        assert_eq!(status_of(id).unwrap().path(), format!("/api/agents/chat/status/{id}"));
        assert_eq!(messages_of(id).unwrap().path(), format!("/api/messages/{id}"));
        for bad in ["", "..", "a/b", "a?b", "a b", "%2e", "ä", &"x".repeat(129)] {
            assert_eq!(status_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_librechats_own_refusals_are_refusals() {
        // base/310_chat-unknown-model-stream (with its blanks), base/382_chat-balance-zero-stream
        assert!(refuses(r#"{ "type": "illegal_model_request", "info": "openAI|gpt-nope" }"#));
        assert!(refuses(r#"{"type":"token_balance","balance":0,"tokenCost":1.05,"promptTokens":7}"#));
        for other in ["", "500 no such luck", r#"{"type":"google_error"}"#, r#"{"info":"token_balance"}"#, "[]"] {
            assert!(!refuses(other), "{other}");
        }
    }
}
