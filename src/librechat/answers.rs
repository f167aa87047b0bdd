//! Questions that Tollgate itself asks LibreChat, and the short answers it looks into.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::json_text::plain_run;

/// What LibreChat offers a user: `GET /api/models` (CONTRACT.md C.1).
pub const MODELS: &str = "/api/models";

/// LibreChat's settings for a user, with the model specs: `GET /api/config` (CONTRACT.md B.2, C.1).
pub const CONFIG: &str = "/api/config";

/// The answer to a chat turn that was taken (CONTRACT.md E.5).
#[derive(Deserialize)]
struct Started<'a> {
    #[serde(rename = "streamId", borrow)]
    stream: std::borrow::Cow<'a, str>,
}

/// The id of the stream that a chat turn has started; `None` where LibreChat refused it. (LibreChat's own refusals come with
/// status 200 and a body of server-sent events, CONTRACT.md E.6.)
pub fn started_stream(answer: &[u8]) -> Option<Arc<str>> {
    // What LibreChat answers to nearly every turn, by its first bytes; anything else is read as JSON.
    if let Some(rest) = answer.strip_prefix(br#"{"streamId":""#)
        && let (id, [b'"', b',', .., b'}']) = rest.split_at(plain_run(rest))
    {
        return std::str::from_utf8(id).ok().map(Arc::from);
    }
    serde_json::from_slice::<Started<'_>>(answer).ok().map(|started| started.stream.into())
}

/// Whether the head of an answer to a chat turn says by itself that LibreChat refused it: by its status, or by not being the
/// JSON that a turn that was taken is answered with (CONTRACT.md E.5, E.6).
pub fn is_refusal(status: StatusCode, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    !status.is_success() || kind.is_some_and(|kind| !kind.starts_with(b"application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_head() {
        for (status, kind, refused) in [
            (200, Some("application/json; charset=utf-8"), false),
            (200, None, false),
            // base/222_body-bad-json; LibreChat's error events have no type of a stream.
            (200, Some("text/html; charset=utf-8"), true),
            (200, Some("text/event-stream"), true),
            (429, Some("application/json; charset=utf-8"), true),
            (500, None, true),
        ] {
            let headers = kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))).into_iter().collect();
            assert_eq!(is_refusal(StatusCode::from_u16(status).unwrap(), &headers), refused, "{status} {kind:?}");
        }
    }

    #[test]
    fn only_a_started_turn_names_a_stream() {
        // base/140_chat-openAI-mini, raw/47_json-empty, base/222_body-bad-json
        let started = br#"{"streamId":"b0076b47-3e54","conversationId":"b0076b47-3e54","status":"started"}"#;
        assert_eq!(started_stream(started).as_deref(), Some("b0076b47-3e54"));
        for same in
            [&br#"{ "streamId": "b0076b47-3e54" }"#[..], br#"{"streamId":"b0076b47\u002d3e54","status":"started"}"#]
        {
            assert_eq!(started_stream(same).as_deref(), Some("b0076b47-3e54"));
        }
        assert_eq!(started_stream(b"event: error\ndata: {\"text\":\"Error parsing conversation\"}\n\n"), None);
        assert_eq!(started_stream(br#"{"error":"Invalid JSON format","message":"malformed"}"#), None);
        assert_eq!(started_stream(b""), None);
    }
}
