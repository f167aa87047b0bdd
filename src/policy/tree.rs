//! YAML as a tree in which every key and every value knows where it is written.
//!
//! A policy is read into a tree first and into the language's words afterwards (`written`), so that one wrong key does
//! not hide the other faults of its file. Aliases and merge keys are expanded within narrow budgets; what is expanded
//! keeps the place where it is defined.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, MergeKeyPolicy, Options, Spanned};

use super::codes;
use super::faults::{Faults, Spot};
use crate::report::{Fault, quoted};

/// The largest file that is read, in bytes. Ten thousand users, each with an entry, take about 700 KiB.
pub(crate) const LARGEST_FILE: usize = 1024 * 1024;

/// A value and its place.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) spot: Spot,
}

/// A key and its place.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) spot: Spot,
}

/// A YAML value.
pub(super) enum Value {
    /// Nothing, as in `USER:` without a value.
    Null,
    Bool(bool),
    Integer(i128),
    /// A number that is no integer, as it is written: amounts and prices are read from its digits, never from a float.
    Float(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The tree as the YAML library builds it, before places are turned into ours.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

struct RawVisitor;

/// Reads one file. `None` after a fault, which is then in `faults`.
pub(super) fn parse(source: usize, text: &str, faults: &mut Faults<'_>) -> Option<Node> {
    if text.len() > LARGEST_FILE {
        let message = format!("the file is larger than {} KiB", LARGEST_FILE / 1024);
        faults.push_file(source, Fault::error(codes::TOO_LARGE, message).help("split the policy into several files"));
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(raw) => Some(node(source, text, raw)),
        Err(error) => {
            let (location, fault) = parse_fault(&error);
            faults.push(spot(source, location), fault);
            None
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 2,
            max_depth: 32,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn parse_fault(error: &Error) -> (Location, Fault) {
    let error = error.without_snippet();
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let fault = match error {
        Error::AliasError { error, .. } => return parse_fault(error),
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_deref().map_or_else(|| "a key".to_owned(), |key| format!("the key {}", quoted(key)));
            Fault::error(codes::DUPLICATE_KEY, format!("{name} stands twice in the same mapping"))
                .help("write both as one; only one of them could count")
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            Fault::error(codes::TOO_LARGE, "the file is too large or too deep once its aliases are expanded")
                .help("split the policy into several files, and write lists out instead of nesting aliases")
        }
        Error::MultipleDocuments { .. } => {
            Fault::error(codes::BAD_YAML, "the file has more than one document").help("write each document as a file")
        }
        Error::UnknownAnchor { .. } => Fault::error(codes::BAD_YAML, "this alias repeats an anchor that is not there")
            .help("YAML reads \"*\" at the start of a word as an alias; put patterns in quotes: \"*-preview\""),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            Fault::error(codes::BAD_YAML, "this alias repeats something that it is a part of").help("write it out")
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            Fault::error(codes::BAD_YAML, "\"<<\" can merge mappings only").help("write \"<<: *anchor\"")
        }
        Error::NullIntoString { .. } | Error::Unexpected { .. } => {
            Fault::error(codes::BAD_YAML, "a key must be plain text").help("write a name before the colon")
        }
        Error::InvalidScalar { .. } => {
            Fault::error(codes::BAD_YAML, "the value does not fit its tag").help("remove the tag; a policy needs none")
        }
        Error::UnsupportedTag { tag, .. } => {
            Fault::error(codes::BAD_YAML, format!("a policy has no tag {}", quoted(tag))).help("remove the tag")
        }
        other => Fault::error(codes::BAD_YAML, sentence(other)).help("correct the YAML here or just before"),
    };
    (location, fault)
}

/// The library's own words for a syntax fault, without the position that it appends.
fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.rsplit_once(" at line ").map_or(text, |(before, _)| before);
    let mut chars = text.trim_end_matches(['.', ',', ':']).chars();
    let lower = chars.next().map(|first| first.to_lowercase().chain(chars).collect::<String>());
    lower.unwrap_or_else(|| "the file is not valid YAML".to_owned())
}

fn node(source: usize, text: &str, raw: Spanned<Raw>) -> Node {
    let spot = spot(source, raw.defined);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Integer(value) => Value::Integer(value),
        Raw::Float => Value::Float(text.get(spot.start..spot.end).unwrap_or_default().to_owned()),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(source, text, item)).collect()),
        Raw::Map(entries) => {
            Value::Map(entries.into_iter().map(|(name, value)| entry(source, text, name, value)).collect())
        }
    };
    Node { value, spot }
}

fn entry(source: usize, text: &str, name: Spanned<String>, value: Spanned<Raw>) -> (Key, Node) {
    (Key { spot: spot(source, name.defined), name: name.value }, node(source, text, value))
}

fn spot(source: usize, location: Location) -> Spot {
    let span = location.span();
    let start = span.byte_offset().and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
    let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    Spot {
        source,
        line: u32::try_from(location.line()).unwrap_or(0),
        column: u32::try_from(location.column()).unwrap_or(0),
        start,
        end: start.saturating_add(length),
    }
}

// === impl Value ===

impl Value {
    /// What this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a truth value",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

// === impl Raw ===

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

// === impl RawVisitor ===

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(i128::try_from(value).map_or(Raw::Float, Raw::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Float)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
