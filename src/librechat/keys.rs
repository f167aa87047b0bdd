//! Keys that people store for endpoints and for tools (CONTRACT.md B.11). Nothing here looks at a key itself.

use bytes::Bytes;

use super::json::{Limits, read_strict};
use super::path::CanonicalPath;
use super::selection::{name, refuse_sanitised};
use super::unreadable::Unreadable;

/// A request to store a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// The endpoint that the key is for; none for the key of a tool.
    pub endpoint: Option<Box<str>>,
    /// Whether a key is stored; false if one is taken away.
    pub stores: bool,
    /// The body to send to LibreChat. It holds the key.
    pub body: Bytes,
}

/// Reads the body of `PUT /api/keys` or of `POST /api/user/plugins`, by the path.
///
/// # Errors
/// See [`Unreadable`].
pub fn read(path: &CanonicalPath, body: &[u8]) -> Result<KeyRequest, Unreadable> {
    match path.segments().nth(1) {
        Some("keys") => read_endpoint_key(body),
        _ => read_tool_key(body),
    }
}

fn read_endpoint_key(body: &[u8]) -> Result<KeyRequest, Unreadable> {
    let read = read_strict(body, Limits::CHAT)?;
    let mut endpoint = None;
    for (key, value) in read.members() {
        refuse_sanitised(key)?;
        if key == b"name" {
            endpoint = Some(name(value, Unreadable::KeyName)?.as_ref().into());
        }
    }
    let endpoint = Some(endpoint.ok_or(Unreadable::KeyName)?);
    Ok(KeyRequest { endpoint, stores: true, body: read.text() })
}

fn read_tool_key(body: &[u8]) -> Result<KeyRequest, Unreadable> {
    let read = read_strict(body, Limits::CHAT)?;
    let mut stores = None;
    for (key, value) in read.members() {
        refuse_sanitised(key)?;
        if key == b"action" {
            stores = match value.as_text().as_deref() {
                Some("install") => Some(true),
                Some("uninstall") => Some(false),
                _ => return Err(Unreadable::KeyAction),
            };
        }
    }
    let stores = stores.ok_or(Unreadable::KeyAction)?;
    Ok(KeyRequest { endpoint: None, stores, body: read.text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_endpoints_key_is_text() {
        let read = |body: &str| read_endpoint_key(body.as_bytes()).map(|key| key.endpoint);
        assert_eq!(
            read(r#"{"name":"openAI","value":"{\"apiKey\":\"sk-1\"}","expiresAt":null}"#),
            Ok(Some("openAI".into()))
        );
        for (body, fault) in [
            (r#"{"value":"sk-1"}"#, Unreadable::KeyName),
            (r#"{"name":null}"#, Unreadable::KeyName),
            (r#"{"name":["openAI"]}"#, Unreadable::KeyName),
            (r#"{"name":" openAI"}"#, Unreadable::KeyName),
            (r#"{"name":"openAI","name":"anthropic"}"#, Unreadable::DuplicateKey),
            (r#"{"name":"openAI","$name":"anthropic"}"#, Unreadable::SanitisedKey),
            ("", Unreadable::NotJson),
        ] {
            assert_eq!(read(body), Err(fault), "{body}");
        }
    }

    #[test]
    fn a_tools_key_is_stored_or_taken_away() {
        let read = |body: &str| read_tool_key(body.as_bytes()).map(|key| (key.endpoint, key.stores));
        assert_eq!(
            read(r#"{"pluginKey":"dalle","action":"install","auth":{"DALLE_API_KEY":"sk-1"}}"#),
            Ok((None, true))
        );
        assert_eq!(read(r#"{"pluginKey":"dalle","action":"uninstall","auth":null}"#), Ok((None, false)));
        for body in [r#"{"pluginKey":"dalle"}"#, r#"{"action":"Install"}"#, r#"{"action":["uninstall"]}"#] {
            assert_eq!(read(body), Err(Unreadable::KeyAction), "{body}");
        }
    }
}
