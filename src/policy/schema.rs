//! What a policy file and a case file look like, for editors: `policies/policy.schema.json` and `policies/cases.schema.json`.
//!
//! The types below are the shape of the files, and their comments are what an editor shows. They read nothing: what reads is
//! `written` and `cases`, which know places. Tests hold both to each other, key by key. The program does not need them: they are built
//! for tests alone, and `tollgate schema` prints the files that they give.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

#[expect(dead_code, reason = "only the shape is wanted")]
mod cases;
#[expect(dead_code, reason = "only the shape is wanted")]
mod limits;
#[expect(dead_code, reason = "only the shape is wanted")]
mod policy;
#[cfg(test)]
mod tests;
#[expect(dead_code, reason = "only the shape is wanted")]
mod words;

/// The schema of a policy file.
pub(super) fn policy() -> Value {
    of::<policy::Policy>("A policy file of Tollgate", "Who may use which model.")
}

/// The schema of a case file.
pub(super) fn cases() -> Value {
    of::<cases::Cases>("A case file of Tollgate", "What the policy beside it must answer.")
}

/// In the dialect that editors know best (draft 7). Nothing refers to anything else, so that each place has its own words.
fn of<T: JsonSchema>(title: &str, description: &str) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    if let Some(members) = schema.as_object_mut() {
        let dialect = members.shift_remove("$schema").unwrap_or_default();
        members.shift_insert(0, "description".to_owned(), description.into());
        members.shift_insert(0, "title".to_owned(), title.into());
        members.shift_insert(0, "$schema".to_owned(), dialect);
    }
    schema
}

/// Takes away what the library adds: names of types, and `null` for what may be absent.
fn tidy(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    members.shift_remove("title");
    if let Some(text) = members.get("description").and_then(Value::as_str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        members.insert("description".to_owned(), text.into());
    }
    for (word, inner) in members {
        match (word.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                for member in properties.values_mut() {
                    never_null(member);
                    tidy(member);
                }
            }
            ("oneOf" | "anyOf" | "allOf", Value::Array(forms)) => forms.iter_mut().for_each(tidy),
            ("items" | "additionalProperties", inner) => tidy(inner),
            _ => {}
        }
    }
}

/// A key that is there says something; that a mapping of names has nothing behind a name is another thing.
fn never_null(member: &mut Value) {
    if let Some(Value::Array(types)) = member.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = &types[..] {
            member["type"] = kind.clone();
        }
    }
    let Some(Value::Array(forms)) = member.get_mut("anyOf") else { return };
    forms.retain(|form| *form != json!({ "type": "null" }));
    if let [form] = &forms[..] {
        let form = form.clone();
        let Some(members) = member.as_object_mut() else { return };
        members.shift_remove("anyOf");
        for (word, value) in form.as_object().into_iter().flatten() {
            members.entry(word.clone()).or_insert_with(|| value.clone());
        }
    }
}
