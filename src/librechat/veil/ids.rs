//! Paths without the ids in them: of conversations, messages, files, agents, people and whatever else LibreChat numbers.
//!
//! Where LibreChat has the route, its table says which segments are ids and which are names (of an endpoint, a role, a server of tools). What no
//! table tells of (paths that LibreChat does not have, what stands for the `*` of a route, targets that are refused) keeps only what is a plain
//! word: an id that somebody put there is no reason to write it.

use std::borrow::Cow;

use http::Method;

use super::super::path::CanonicalPath;
use super::super::routes::{Route, classify};
use super::VEIL;

/// Parameters of routes that are names and no ids.
const NAMES: [&str; 4] = [":endpoint", ":feature", ":name", ":server"];
/// The model of an assistant's action. That of the remote-agent API is an agent's id.
const ASSISTANTS_MODEL: (&str, &str) = ("/api/assistants/", ":model");

/// Most letters of a plain word.
const LONGEST_WORD: usize = 24;
/// Most digits at its end: `v1`, `mp3`, `s3`.
const MOST_DIGITS: usize = 2;

/// The path with `*` for each id, however else it is written.
pub fn without_ids<'a>(method: &Method, path: &'a str) -> Cow<'a, str> {
    if !path.starts_with('/') {
        return if path == VEIL { path.into() } else { VEIL.into() };
    }
    let route = CanonicalPath::read(path).ok().and_then(|path| classify(method, &path).ok());
    let mut parts = route.map(|route| Parts { route, rest: route.pattern.split('/').skip(1) });
    let mut shown = String::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        let keeps = match &mut parts {
            // An empty one is none to LibreChat, and says nothing.
            _ if segment.is_empty() => true,
            Some(parts) => parts.keeps(segment),
            None => is_word(segment),
        };
        shown.push('/');
        shown.push_str(if keeps { segment } else { VEIL });
    }
    shown.into()
}

/// The segments of a route that are still to come.
struct Parts<I> {
    route: &'static Route,
    rest: I,
}

// === impl Parts ===

impl<I: Iterator<Item = &'static str> + Clone> Parts<I> {
    /// Whether the next segment of a path is written as it is.
    fn keeps(&mut self, segment: &str) -> bool {
        let mut ahead = self.rest.clone();
        match ahead.next() {
            // It stands for all that follow.
            Some("*") | None => is_word(segment),
            Some(part) => {
                self.rest = ahead;
                match part.starts_with(':') {
                    false => true,
                    true => self.is_name(part) && !is_id(segment),
                }
            }
        }
    }

    fn is_name(&self, part: &str) -> bool {
        let (start, model) = ASSISTANTS_MODEL;
        NAMES.contains(&part) || part == model && self.route.pattern.starts_with(start)
    }
}

// === helpers ===

/// Whether a segment is a plain word, as the literal ones of routes are: small letters, and few digits at the end. Ids of every kind have more
/// digits, or letters of both cases.
fn is_word(segment: &str) -> bool {
    if matches!(segment, "." | "..") {
        return true;
    }
    let letters = segment.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.');
    segment.len() <= LONGEST_WORD
        && segment.len() - letters.len() <= MOST_DIGITS
        && letters.starts_with(|letter: char| letter.is_ascii_lowercase())
        && letters.bytes().all(plain)
}

/// Whether it has the form of a UUID or of an ObjectId, wherever it stands.
fn is_id(segment: &str) -> bool {
    let hex = segment.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = segment.bytes().filter(|byte| *byte == b'-').count();
    hex + hyphens == segment.len() && matches!((hex, hyphens), (24, 0) | (32, 0 | 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::librechat::routes;

    const UUID: &str = "a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b";
    const OBJECT: &str = "6b012e4109cc968f8a928bce";
    const NANOID: &str = "V1StGXR8_Z5jdHi6B-myT";

    #[test]
    fn ids_are_taken_out_and_names_stay() {
        let get = Method::GET;
        for (method, path, told) in [
            (&get, format!("/api/convos/{UUID}"), "/api/convos/*"),
            (&get, format!("/API/Convos/{UUID}/"), "/API/Convos/*/"),
            (&get, format!("/api/messages/{UUID}/{UUID}"), "/api/messages/*/*"),
            (&Method::PUT, format!("/api/messages/{UUID}/{UUID}/feedback"), "/api/messages/*/*/feedback"),
            (&get, format!("/api/agents/agent_{NANOID}"), "/api/agents/*"),
            (&Method::POST, format!("/api/agents/agent_{NANOID}/duplicate"), "/api/agents/*/duplicate"),
            (&get, format!("/api/agents/chat/stream/{UUID}"), "/api/agents/chat/stream/*"),
            (&get, format!("/api/agents/v1/models/agent_{NANOID}"), "/api/agents/v1/models/*"),
            (&get, format!("/api/files/download/{OBJECT}/{UUID}"), "/api/files/download/*/*"),
            (&get, format!("/images/{OBJECT}/{UUID}.png"), "/images/*/*"),
            (&get, format!("/c/{UUID}"), "/c/*"),
            // Names.
            (&Method::POST, "/api/agents/chat/openAI".to_owned(), "/api/agents/chat/openAI"),
            (&Method::POST, "/api/agents/chat/My%20Models%207B".to_owned(), "/api/agents/chat/My%20Models%207B"),
            (&Method::POST, format!("/api/agents/chat/{UUID}"), "/api/agents/chat/*"),
            (&Method::PUT, "/api/roles/ADMIN/prompts".to_owned(), "/api/roles/ADMIN/prompts"),
            (
                &Method::DELETE,
                format!("/api/assistants/v2/actions/asst_{NANOID}/{NANOID}/gpt-4o"),
                "/api/assistants/v2/actions/*/*/gpt-4o",
            ),
            (&get, "/api/models".to_owned(), "/api/models"),
            (&get, "/api/v1/me/limits".to_owned(), "/api/v1/me/limits"),
            // The method is not LibreChat's there, or the path is not.
            (&Method::DELETE, format!("/api/agents/chat/stream/{UUID}"), "/api/agents/chat/stream/*"),
            (&get, format!("/api/nothing/{OBJECT}/like/{NANOID}"), "/api/nothing/*/like/*"),
            (&get, "/api/nothing/JohnDoe/12345".to_owned(), "/api/nothing/*/*"),
            // No path that LibreChat would be given.
            (&get, format!("/api/../convos/{UUID}"), "/api/../convos/*"),
            (&get, format!("/api//convos//{UUID}"), "/api//convos//*"),
            (&get, format!("/api/convos/{UUID}%2f{UUID}"), "/api/convos/*"),
            (&get, "/".to_owned(), "/"),
            (&get, "*".to_owned(), "*"),
            (&Method::CONNECT, "host.example.edu:443".to_owned(), "*"),
            (&get, "/api/share/*".to_owned(), "/api/share/*"),
        ] {
            assert_eq!(without_ids(method, &path), told, "{method} {path}");
        }
    }

    /// Each parameter of each route is decided on.
    #[test]
    fn every_parameter_of_the_table_is_a_name_or_gone() {
        let mut parameters = 0;
        for route in routes::all() {
            let path: Vec<&str> = route
                .pattern
                .split('/')
                .map(|part| if part.starts_with(':') || part == "*" { "agent_Xy12zAb34" } else { part })
                .collect();
            let method = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
                .into_iter()
                .find(|method| route.methods.contains(method))
                .unwrap();
            let path = path.join("/");
            let canonical = CanonicalPath::read(&path).unwrap();
            let found = classify(&method, &canonical).unwrap();
            let names = found.pattern.split('/').filter(|part| {
                let is_assistants_model = *part == ":model" && found.pattern.starts_with("/api/assistants/");
                [":endpoint", ":feature", ":name", ":server"].contains(part) || is_assistants_model
            });
            let shown = without_ids(&method, &path);
            assert_eq!(shown.matches("agent_Xy12zAb34").count(), names.count(), "{method} {path}: {shown}");
            parameters += path.matches("agent_Xy12zAb34").count();
        }
        assert!(parameters > 50, "{parameters}");
    }

    proptest! {
        #[test]
        fn no_id_is_left_wherever_it_stands(
            kind in 0..3_usize,
            bytes in any::<[u8; 16]>(),
            letters in "[A-Za-z0-9_-]{21}",
            words in prop::collection::vec("[a-z]{1,8}", 0..4),
            place in 0..5_usize,
        ) {
            let uuid = uuid::Uuid::from_bytes(bytes);
            let id = match kind {
                0 => uuid.hyphenated().to_string(),
                1 => uuid.simple().to_string().chars().take(24).collect(),
                _ => letters,
            };
            // A word of small letters that is by chance all of 21.
            prop_assume!(!is_word(&id));
            let mut segments = [vec!["api".to_owned()], words].concat();
            segments.insert(1 + place.min(segments.len() - 1), id.clone());
            let path = format!("/{}", segments.join("/"));
            let shown = without_ids(&Method::GET, &path);
            prop_assert!(kind == 2 || !shown.contains(&id), "{}: {}", path, shown);
            let canonical = CanonicalPath::read(&path).unwrap();
            if classify(&Method::GET, &canonical).is_err() {
                prop_assert!(!shown.contains(&id), "{}: {}", path, shown);
            }
        }

        #[test]
        fn whatever_is_asked_for_keeps_its_segments(path in "/[ -~]{0,40}") {
            let shown = without_ids(&Method::GET, &path);
            prop_assert_eq!(shown.split('/').count(), path.split('/').count());
            for (shown, asked) in shown.split('/').zip(path.split('/')) {
                prop_assert!(shown == asked || shown == "*", "{}", shown);
            }
        }
    }
}
