//! Paths as Express matches them (CONTRACT.md D.1, captures `02_path-dotdot` to `26_path-edit`).
//!
//! Literal segments match whatever their case, one trailing slash is ignored, empty and dot segments are segments like
//! any other, and percent signs count only inside a parameter. A proxy has to know all of this, so its upstream in
//! tests must do it too.

use http::Uri;

/// A request path, cut at its slashes.
pub(super) struct Path {
    written: Vec<String>,
    lower: Vec<String>,
    /// Whether the mount point of the chat routes was written in lower case. LibreChat looks at it letter by letter
    /// (CONTRACT.md B.1, capture `210_endpoint-path-upper`).
    pub(super) chat_as_written: bool,
}

/// A percent sign that is not followed by two hexadecimal digits, or bytes that are not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

// === impl Path ===

impl Path {
    /// Reads the path of a request target; of an absolute target only the path counts, whatever host it names.
    pub(super) fn read(target: &Uri) -> Path {
        let path = target.path();
        let inner = path.strip_prefix('/').unwrap_or(path);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let written: Vec<String> = inner.split('/').map(str::to_owned).collect();
        let lower = written.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        Path { written, lower, chat_as_written: path.starts_with("/api/agents/chat") }
    }

    /// The segments in lower case, for matching literals.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.lower.iter().map(String::as_str).collect()
    }

    /// A segment as a parameter: as it was written, percent-decoded.
    pub(super) fn param(&self, index: usize) -> Result<String, Malformed> {
        decode(self.written.get(index).map_or("", String::as_str))
    }
}

fn decode(segment: &str) -> Result<String, Malformed> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hexadecimal(bytes.next(), bytes.next()).ok_or(Malformed)? } else { byte });
    }
    String::from_utf8(decoded).map_err(|_| Malformed)
}

/// The byte that two hexadecimal digits stand for.
pub(super) fn hexadecimal(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? << 4 | digit(low?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(target: &str) -> Vec<String> {
        Path::read(&target.parse().unwrap()).lower
    }

    #[test]
    fn case_and_one_trailing_slash_do_not_matter_and_everything_else_does() {
        let chat = ["api", "agents", "chat", "openai"];
        for same in ["/api/agents/chat/openAI", "/API/Agents/CHAT/openAI/", "/api/agents/chat/openai?x=1"] {
            assert_eq!(segments(same), chat, "{same}");
        }
        let absolute = "http://evil.example/api/agents/chat/openAI";
        assert_eq!(segments(absolute), chat, "{absolute}");
        for other in ["//api/agents/chat/openAI", "/api//agents/chat/openAI", "/api/x/../agents/chat/openAI"] {
            assert_ne!(segments(other), chat, "{other}");
        }
        assert_ne!(segments("/api/agents/%63hat/openAI"), chat, "literals are not decoded");
        assert_ne!(segments("/api/agents/chat/openAI//"), chat, "only one trailing slash is free");
    }

    #[test]
    fn parameters_keep_their_case_and_are_decoded_once() {
        let path = Path::read(&"/api/roles/US%45R%2541".parse().unwrap());
        assert_eq!(path.param(2).as_deref(), Ok("USER%41"));
        let broken = Path::read(&"/api/roles/%zz".parse().unwrap());
        assert_eq!(broken.param(2), Err(Malformed));
    }
}
