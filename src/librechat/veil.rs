//! Segments of LibreChat's paths that are secrets: whoever knows one needs nothing else.
//!
//! There is one: the id of a shared conversation (`GET /api/share/:shareId`, CONTRACT.md A.4), which people open without signing in where the operator allows
//! that. The tokens of password resets, of e-mail addresses and of OAuth are values of queries, which are never recorded.

use std::borrow::Cow;

mod ids;

pub use ids::without_ids;

/// What stands in place of a secret.
const VEIL: &str = "*";

/// The path with secrets taken out, however it is written: with doubled slashes, too, and in any case.
pub fn veiled(path: &str) -> Cow<'_, str> {
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('/') {
        let shared = before.eq_ignore_ascii_case("share");
        let after = if shared { after.trim_start_matches('/') } else { after };
        let id = after.split('/').next().unwrap_or_default();
        // `/api/share/link/:conversationId` asks whether the caller's own conversation is shared.
        if shared && !id.is_empty() && !id.eq_ignore_ascii_case("link") {
            let start = path.len() - after.len();
            let (head, tail) = (path.get(..start), path.get(start + id.len()..));
            return format!("{}{VEIL}{}", head.unwrap_or_default(), tail.unwrap_or_default()).into();
        }
        rest = after;
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_shared_conversation_is_taken_out() {
        for (path, told) in [
            ("/api/share/x7Kq", "/api/share/*"),
            ("/share/x7Kq", "/share/*"),
            ("/API/Share/x7Kq/", "/API/Share/*/"),
            ("/api//share//x7Kq/more", "/api//share//*/more"),
            ("/api/share/link/a37a", "/api/share/link/a37a"),
            ("/api/share", "/api/share"),
            ("/api/share/", "/api/share/"),
            ("/api/shared/x", "/api/shared/x"),
            ("/api/agents/chat/openAI", "/api/agents/chat/openAI"),
            ("/", "/"),
            ("*", "*"),
        ] {
            assert_eq!(veiled(path), told, "{path}");
        }
    }

    #[test]
    fn an_ordinary_path_is_not_copied() {
        assert!(matches!(veiled("/api/agents/chat/openAI"), Cow::Borrowed(_)));
    }
}
