//! `docs/records.md` with its generated parts written anew: what stands between `<!-- generated: WHAT -->` and `<!-- end -->`.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::samples::made;
use super::{Form, forms};
use crate::store::Daily;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The page with its generated parts as they have to be.
pub(super) fn page(text: &str) -> String {
    let mut parts = text.split(BEGIN);
    let mut page = parts.next().unwrap().to_owned();
    for part in parts {
        let (what, rest) = part.split_once(" -->\n").unwrap();
        let (_, behind) = rest.split_once(END).unwrap_or_else(|| panic!("{what} has no {END}"));
        write!(page, "{BEGIN}{what} -->\n{}{END}{behind}", generated(what)).unwrap();
    }
    page
}

/// What stands at a mark: the fields of a form, or a line of it.
fn generated(what: &str) -> String {
    let form = |name: &str| forms().into_iter().find(|(known, _)| *known == name).map(|(_, form)| form);
    if let Some(name) = what.strip_prefix("a line of ") {
        return format!("```json\n{}\n```\n", made(name));
    }
    match what.strip_prefix("fields of ").unwrap() {
        "usage_daily" => table(&Form::of::<Daily>().0, &[]),
        "about" => {
            let about = form("event").unwrap().0["properties"]["about"].as_object().unwrap().clone();
            let kinds = Form(about).alternatives("anyOf");
            let table = |kind: &Form| format!("{}\n\n{}", kind.0["description"].as_str().unwrap(), table(&kind.0, &[]));
            kinds.iter().map(table).collect::<Vec<_>>().join("\n")
        }
        name @ ("head" | "tombstone") => table(&form(name).unwrap().0, &[]),
        // What all entries have at their end is told once, with the chains.
        "link" => {
            let form = form("usage").unwrap();
            let own: Vec<_> = form.0["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let own: Vec<_> = own.into_iter().filter(|name| !LINK.contains(name)).collect();
            table(&form.0, &own)
        }
        name => table(&form(name).unwrap_or_else(|| panic!("no form {name}")).0, &LINK),
    }
}

const LINK: [&str; 5] = ["salt", "instance", "seq", "prevHash", "hash"];

/// A row for each member, and for each of theirs, but for those that are told elsewhere.
fn table(schema: &Map<String, Value>, without: &[&str]) -> String {
    let mut table = "| field | type | meaning |\n|---|---|---|\n".to_owned();
    rows(schema, "", without, &mut table);
    table
}

fn rows(schema: &Map<String, Value>, path: &str, without: &[&str], table: &mut String) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, member) in schema["properties"].as_object().unwrap() {
        if without.contains(&name.as_str()) {
            continue;
        }
        let absent = if required.contains(&name.as_str().into()) { "" } else { ", may be absent" };
        let path = format!("{path}{name}");
        writeln!(table, "| `{path}` | {}{absent} | {} |", kind(member), meaning(member).replace('|', "\\|")).unwrap();
        for (inner, path) in [(Some(member), format!("{path}.")), (member.get("items"), format!("{path}[]."))] {
            let inner = inner.and_then(Value::as_object).filter(|inner| inner.contains_key("properties"));
            inner.into_iter().for_each(|inner| rows(inner, &path, &[], table));
        }
    }
}

/// What a value is, in a word or two.
fn kind(schema: &Value) -> String {
    if schema.get("const").is_some() || schema.get("oneOf").is_some() {
        return "text".to_owned();
    }
    if schema.get("anyOf").is_some() {
        return "object".to_owned();
    }
    let first = schema["type"].as_array().and_then(|types| types.first()).unwrap_or(&schema["type"]);
    match (first.as_str().unwrap(), schema["format"].as_str()) {
        ("string", Some("uuid")) => "UUID".to_owned(),
        ("string", Some("date-time")) => "time".to_owned(),
        ("string", Some("date")) => "date".to_owned(),
        ("string", None) => "text".to_owned(),
        ("integer", None) => "whole number".to_owned(),
        ("array", None) => format!("list of {}s", kind(&schema["items"])),
        (word @ ("number" | "object"), None) => word.to_owned(),
        _ => panic!("no word for {schema}"),
    }
}

/// What it means, and the words that it can be, with theirs.
fn meaning(schema: &Value) -> String {
    let description = schema["description"].as_str().map(str::to_owned);
    let word = |schema: &Value| schema["const"].as_str().map(|word| format!("`{word}`"));
    let mut meaning = match (description, word(schema)) {
        (Some(description), Some(word)) => format!("{word}: {description}"),
        (description, word) => description.or(word).unwrap_or_else(|| panic!("{schema} has no meaning")),
    };
    let known = |form: &&Value| {
        schema["enum"].as_array().is_none_or(|some| some.contains(&form["const"]))
            && schema.get("const").is_none_or(|only| *only == form["const"])
    };
    // Of a list, what its items can be.
    let forms = schema["oneOf"].as_array().or_else(|| schema.pointer("/items/oneOf")?.as_array());
    let words = forms.into_iter().flatten().filter(known).filter(|_| schema.get("const").is_none());
    for form in words {
        let told = form["description"].as_str().unwrap_or_else(|| panic!("{form} has no meaning"));
        write!(meaning, " {}: {told}", word(form).unwrap()).unwrap();
    }
    meaning
}
