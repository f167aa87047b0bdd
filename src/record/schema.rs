//! What the record's lines look like, generated from the types that are written: `docs/records.schema.json`, and the tables and the
//! examples between the marks of `docs/records.md`.
//!
//! Names and what may be absent come from the attributes by which the types are serialised, meanings from their comments, examples
//! from the page and from lines that are really made. The program does not need it: it is built for tests alone.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Entry;
use super::entry::Usd;
use super::heads::Head;
use super::link::{Hash, Link, Tombstone};

mod page;
mod samples;
#[cfg(test)]
mod tests;

/// A number that is a text where it takes more than 63 bits.
pub(super) struct Whole;

/// What each entry gets when it is bound into its chain, at its end.
#[derive(Serialize, JsonSchema)]
struct Bound {
    /// 16 random bytes in hex digits, so that the digest of an erased entry does not tell what it said.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    salt: String,
    #[serde(flatten)]
    link: Link,
}

/// The schema of one form of line, without anything that others refer to.
#[derive(Clone)]
pub(super) struct Form(pub(super) Map<String, Value>);

/// Formats that JSON Schema knows, and programs hold texts to.
const FORMATS: [&str; 3] = ["uuid", "date-time", "date"];

/// The schema of all lines of the record (JSON Schema 2020-12).
pub(super) fn schema() -> Value {
    let forms: Vec<_> = forms().into_iter().map(|(_, form)| Value::Object(form.0)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of Tollgate's record",
        "description": "One JSON object, as stdout, files and exports have it. Generated from the types that are written. \
                        Entries from before there were chains lack the members from `salt` to `hash`.",
        "oneOf": forms,
    })
}

/// Each form of line by its name on the page.
pub(super) fn forms() -> Vec<(&'static str, Form)> {
    let mut entries = Form::of::<Entry>().alternatives("oneOf").into_iter();
    let mut entry = |name| {
        let form = entries.next().unwrap().with(Form::of::<Bound>());
        (name, form.titled(name))
    };
    let (audit, usage, event) = (entry("audit"), entry("usage"), entry("event"));
    let tombstone = Form::of::<Tombstone>().with(Form::of::<Link>()).titled("tombstone");
    let forms = [audit, event, usage, ("head", Form::of::<Head>().titled("head")), ("tombstone", tombstone)];
    forms.into_iter().map(|(name, form)| (name, form.with_examples(&samples::example(name)))).collect()
}

// === impl Form ===

impl Form {
    /// The schema of what is written of this type.
    pub(super) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        close(&mut schema);
        let Value::Object(members) = schema else { panic!("{schema}") };
        Self(members)
    }

    /// The forms that this one is one of.
    pub(super) fn alternatives(self, word: &str) -> Vec<Self> {
        let Some(Value::Array(forms)) = self.0.get(word) else { panic!("{:?} has no {word}", self.0) };
        forms.iter().map(|form| Self(form.as_object().unwrap().clone())).collect()
    }

    /// This form with the members of another one behind its own.
    fn with(mut self, more: Self) -> Self {
        for (name, member) in more.0["properties"].as_object().unwrap() {
            assert!(
                self.0["properties"].as_object_mut().unwrap().insert(name.clone(), member.clone()).is_none(),
                "{name}"
            );
        }
        self.0["required"].as_array_mut().unwrap().extend(more.0["required"].as_array().unwrap().iter().cloned());
        self
    }

    fn titled(mut self, title: &str) -> Self {
        self.0.shift_insert(0, "title".to_owned(), title.into());
        self
    }

    /// This form with a value of each member as its example.
    fn with_examples(self, example: &Value) -> Self {
        let mut schema = Value::Object(self.0);
        illustrate(&mut schema, example);
        for about in samples::abouts() {
            let about = serde_json::to_value(about).unwrap();
            let kinds = schema.pointer_mut("/properties/about/anyOf").and_then(Value::as_array_mut);
            for kind in kinds.into_iter().flatten() {
                let known = kind["properties"].as_object().unwrap();
                if about.as_object().unwrap().keys().all(|name| known.contains_key(name)) {
                    illustrate(kind, &about);
                }
            }
        }
        let Value::Object(members) = schema else { panic!("{schema}") };
        Self(members)
    }
}

/// Adds a value as the example of what has no words of its own.
fn illustrate(schema: &mut Value, example: &Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, member) in properties {
            if let Some(example) = example.get(name) {
                illustrate(member, example);
            }
        }
    } else if schema.pointer("/items/properties").is_some() {
        for item in example.as_array().into_iter().flatten() {
            illustrate(&mut schema["items"], item);
        }
    } else if ["const", "oneOf", "anyOf", "enum"].iter().all(|word| schema.get(word).is_none()) {
        schema["examples"] = json!([example]);
    }
}

/// Takes nothing but what is known, everywhere; and brings what the library says into the form in which lines are written.
fn close(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    members.shift_remove("title");
    if members.get("format").is_some_and(|format| !FORMATS.contains(&format.as_str().unwrap_or_default())) {
        members.shift_remove("format");
    }
    if let Some(text) = members.get("description").and_then(Value::as_str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        members.insert("description".to_owned(), text.into());
    }
    let required: Vec<_> = members.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        // What a line is stands first in it.
        if let Some(kind) = properties.shift_remove("kind") {
            properties.shift_insert(0, "kind".to_owned(), kind);
        }
        for (name, member) in properties {
            if !required.contains(&name.as_str().into()) {
                never_null(member);
            }
        }
        members.insert("additionalProperties".to_owned(), false.into());
    }
    for (word, inner) in members {
        match (word.as_str(), inner) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(close),
            ("oneOf" | "anyOf", Value::Array(forms)) => forms.iter_mut().for_each(close),
            ("items", items) => close(items),
            _ => {}
        }
    }
}

/// What may be absent is absent, and never `null`.
fn never_null(member: &mut Value) {
    if let Some(Value::Array(types)) = member.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = &types[..] {
            member["type"] = kind.clone();
        }
    }
    if let Some(Value::Array(forms)) = member.get_mut("anyOf") {
        forms.retain(|form| form["type"] != "null");
        if let [form] = &forms[..] {
            let Value::Object(form) = form.clone() else { panic!("{form}") };
            let members = member.as_object_mut().unwrap();
            members.shift_remove("anyOf");
            for (word, value) in form {
                members.entry(word).or_insert(value);
            }
        }
    }
}

// === what is not serialised by a derive ===

impl JsonSchema for Whole {
    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "minimum": 0, "maximum": i64::MAX, "pattern": "^[0-9]{19,20}$"})
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]{1,8}(\\.[0-9]{1,12})?$"})
    }
}

impl JsonSchema for Hash {
    fn schema_name() -> Cow<'static, str> {
        "Hash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    }
}
