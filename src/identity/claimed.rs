//! What the identity provider says of a caller, for a policy that asks for it: claims of the tokens, found by name or by a way of names.
//!
//! Only what is proven counts: the bearer token itself, a checked token of the same person beside it, and what the provider
//! itself answers about that person. What is not proven is not there.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::oidc::Login;
use super::strict;
use crate::policy::mapping::{Claim, Claims, TokenKind};

/// Most values that are taken from one claim.
const MOST: usize = 1_000;

/// Claims that are a text of several words (RFC 6749 3.3, RFC 9068 2.2.3; Microsoft writes `scp`).
const LISTS_OF_WORDS: [&str; 2] = ["scope", "scp"];

/// Everything that is known of a caller's claims, by where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Of the id token.
    pub id: Option<Arc<Login>>,
    /// Of the access token.
    pub access: Option<Arc<Login>>,
    /// Of the provider's answer about the person.
    pub userinfo: Option<Arc<Map<String, Value>>>,
}

/// Claims as a person wrote them down, to try a policy with: `{ "id": {...}, "access": {...}, "userinfo": {...} }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenClaims {
    id: Map<String, Value>,
    access: Map<String, Value>,
    userinfo: Map<String, Value>,
}

// === impl WrittenClaims ===

impl WrittenClaims {
    /// Reads the JSON text.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        const FORM: &str = "write { \"id\": {...}, \"access\": {...}, \"userinfo\": {...} } with the claims of each";
        let object =
            strict::object(text).ok_or_else(|| format!("it is no JSON object, or has a member twice; {FORM}"))?;
        serde_json::from_value(Value::Object(object)).map_err(|error| format!("{error}; {FORM}"))
    }
}

impl Claims for Claimed {
    fn values(&self, claim: &Claim) -> Vec<Box<str>> {
        let claims = match claim.token {
            TokenKind::Id => self.id.as_ref().map(|login| &login.claims),
            TokenKind::Access => self.access.as_ref().map(|login| &login.claims),
            TokenKind::Userinfo => self.userinfo.as_deref(),
        };
        claims.map(|claims| values(claims, &claim.path)).unwrap_or_default()
    }
}

impl Claims for WrittenClaims {
    fn values(&self, claim: &Claim) -> Vec<Box<str>> {
        let claims = match claim.token {
            TokenKind::Id => &self.id,
            TokenKind::Access => &self.access,
            TokenKind::Userinfo => &self.userinfo,
        };
        values(claims, &claim.path)
    }
}

/// The texts at a place: a text is one, a list of texts is all of them, and a scope is its words. A list with anything else in it is
/// none: half of it might mean something else than the whole.
fn values(claims: &Map<String, Value>, path: &str) -> Vec<Box<str>> {
    match find(claims, path) {
        Some(Value::String(words)) if LISTS_OF_WORDS.contains(&path) => {
            words.split(' ').filter(|word| !word.is_empty()).take(MOST).map(Into::into).collect()
        }
        Some(Value::String(text)) => vec![text.as_str().into()],
        Some(Value::Array(list)) if list.len() <= MOST => {
            list.iter().map(|item| item.as_str().map(Into::into)).collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// What stands at the end of a way. A member of that very name comes first, then the longest name that leads on: names may have
/// dots in them, as addresses have.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.rmatch_indices('.').find_map(|(at, _)| {
        let (name, rest) = (path.get(..at)?, path.get(at + 1..)?);
        find(claims.get(name)?.as_object()?, rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(claims: &Value, path: &str) -> Vec<String> {
        values(claims.as_object().unwrap(), path).into_iter().map(String::from).collect()
    }

    #[test]
    fn claims_are_found_by_their_name_or_by_the_way_to_them() {
        let claims = json!({
            "cognito:groups": ["admin", "staff"],
            "realm_access": {"roles": ["a", "b"]},
            "resource_access": {"my.client": {"roles": ["c"]}, "my": {"client": {"roles": ["never"]}}},
            "https://example.edu/roles": ["d"],
            "x.y": "whole", "x": {"y": "parts"},
            "p": {"q.r": "two", "q": {"r": "three"}},
        });
        for (path, wanted) in [
            ("cognito:groups", &["admin", "staff"][..]),
            ("realm_access.roles", &["a", "b"]),
            ("resource_access.my.client.roles", &["c"]),
            ("https://example.edu/roles", &["d"]),
            ("x.y", &["whole"]),
            ("p.q.r", &["two"]),
            ("realm_access", &[]),
            ("realm_access.roles.0", &[]),
            ("realm_access..roles", &[]),
            ("missing", &[]),
            ("", &[]),
        ] {
            assert_eq!(at(&claims, path), wanted, "{path}");
        }
    }

    #[test]
    fn texts_and_lists_of_texts_count_and_nothing_else() {
        let claims = json!({
            "department": "not admin", "scope": "openid  admin", "scp": "a b", "nested": {"scope": "a b"}, "empty": "",
            "mixed": ["admin", 5], "deep": [["admin"]], "number": 5, "truth": true, "null": null, "none": [], "object": {"admin": true},
            "long": vec!["x"; MOST + 1],
        });
        for (path, wanted) in [
            ("department", &["not admin"][..]),
            ("scope", &["openid", "admin"]),
            ("scp", &["a", "b"]),
            ("nested.scope", &["a b"]),
            ("empty", &[""]),
            ("mixed", &[]),
            ("deep", &[]),
            ("number", &[]),
            ("truth", &[]),
            ("null", &[]),
            ("none", &[]),
            ("object", &[]),
            ("long", &[]),
        ] {
            assert_eq!(at(&claims, path), wanted, "{path}");
        }
    }
}
