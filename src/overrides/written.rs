//! An override as somebody has written it, in YAML or JSON, before it is a document.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::policy::overrides::{Document, Principal, Written, written};
use crate::policy::{Snapshot, Source};
use crate::report::Report;

/// Reads an override for these files: what it says, as it is kept.
///
/// # Errors
/// All faults with their lines.
pub fn read(path: &Path, text: &str, principal: &Principal, files: &Snapshot) -> Result<Map<String, Value>, Report> {
    let source = Source { path: path.to_owned(), text: text.into() };
    let plain = written(&source)?;
    let document = Document {
        principal: principal.clone(),
        priority: principal.kind.priority(),
        version: 0,
        text: Arc::clone(&source.text),
    };
    files.check_override(&document, path)?;
    match json(&plain) {
        Value::Object(members) => Ok(members),
        // Anything else had its fault.
        _ => Ok(Map::new()),
    }
}

fn json(written: &Written) -> Value {
    match written {
        Written::Nothing => Value::Null,
        Written::Truth(truth) => (*truth).into(),
        // Larger numbers are amounts, which may be texts.
        Written::Integer(number) => i64::try_from(*number).map_or_else(|_| number.to_string().into(), Value::from),
        Written::Text(text) => text.as_str().into(),
        Written::List(items) => items.iter().map(json).collect(),
        Written::Map(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), json(value))).collect())
        }
    }
}
