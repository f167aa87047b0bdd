//! The page and the schema are those of the types, whatever is written fits the schema, and nothing else does.

use std::collections::BTreeSet;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::samples::{abouts, example, file, made};
use super::{Bound, forms, page, schema};
use crate::record::chain::Chain;
use crate::record::heads::Head;
use crate::record::link::{Link, Tombstone};
use crate::record::{Entry, samples};

const ADVICE: &str = "is stale: UPDATE=1 cargo test --lib record::schema";

fn validator() -> Validator {
    jsonschema::options().should_validate_formats(true).build(&schema()).unwrap()
}

/// Holds a file to what it has to be, or writes it.
fn hold(name: &str, wanted: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file(name), wanted).unwrap();
    }
    assert!(fs::read_to_string(file(name)).unwrap_or_default() == wanted, "{name} {ADVICE}");
}

#[test]
fn the_page_and_the_schema_say_what_the_types_say() {
    hold("docs/records.schema.json", &format!("{:#}\n", schema()));
    let told = fs::read_to_string(file("docs/records.md")).unwrap();
    for what in ["audit", "event", "about", "usage", "link", "head", "tombstone", "usage_daily"] {
        assert!(
            told.contains(&format!("\n<!-- generated: fields of {what} -->\n")),
            "the fields of {what} are not told"
        );
    }
    hold("docs/records.md", &page::page(&told));
}

#[test]
fn the_schema_is_one_of_its_dialect() {
    jsonschema::meta::validate(&schema()).unwrap();
}

/// All that a line can have, by its place, with the schema of it.
fn members<'a>(schema: &'a Value, path: &str, into: &mut Vec<(String, &'a Value)>) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        into.push((format!("{path}/{name}"), member));
        members(member, &format!("{path}/{name}"), into);
        members(&member["items"], &format!("{path}/{name}/0"), into);
        for form in member["anyOf"].as_array().into_iter().flatten() {
            members(form, &format!("{path}/{name}"), into);
        }
    }
}

#[test]
fn every_member_has_a_meaning_and_an_example_and_nothing_else_fits() {
    for (form, schema) in forms() {
        let schema = Value::Object(schema.0);
        let mut all = Vec::new();
        members(&schema, "", &mut all);
        assert!(all.len() > 9, "{form}: {all:?}");
        for (place, member) in all {
            let told = member["description"].as_str().unwrap_or_default();
            assert!(told.len() > 3 || member.get("const").is_some(), "{form} {place} has no meaning");
            assert!(!told.contains("[`") && !told.contains("Self::"), "{form} {place} speaks of code: {told}");
            let inside =
                ["properties", "items", "anyOf", "oneOf", "const"].iter().any(|word| member.get(word).is_some());
            assert!(inside || member["examples"].is_array(), "{form} {place} has no example");
        }
        assert_eq!(schema["additionalProperties"], false, "{form}");
    }
}

/// Lines of each form as they are kept.
fn lines() -> Vec<Value> {
    let mut events = Vec::new();
    for about in abouts() {
        let Entry::Event(mut event) = samples::event(1) else { panic!() };
        event.about = about;
        events.push(Entry::Event(event));
    }
    let entries = [samples::refusal(1), samples::turn(1), samples::event(1)].into_iter().chain(events);
    let mut chain = Chain::new(uuid::Uuid::from_u128(7));
    let written = entries.map(|entry| chain.link(&entry.line().unwrap()).unwrap().text);
    let made = ["head", "tombstone"].map(|form| made(form).into());
    let lines = written.collect::<Vec<_>>().into_iter().chain(made).map(|text| serde_json::from_str(&text).unwrap());
    lines.chain(["audit", "event", "usage"].map(example)).collect()
}

/// Where objects are in a line.
fn objects(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.push(path.to_owned());
            members.iter().for_each(|(name, member)| objects(member, &format!("{path}/{name}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| objects(item, &format!("{path}/{at}"), into));
        }
        _ => {}
    }
}

#[test]
fn every_line_fits_and_with_a_member_more_or_of_another_type_does_not() {
    let validator = validator();
    let mut changes = 0;
    for line in lines() {
        let faults: Vec<_> = validator.iter_errors(&line).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{line}: {faults:?}");
        let mut places = Vec::new();
        objects(&line, "", &mut places);
        for place in places {
            let mut more = line.clone();
            more.pointer_mut(&place).unwrap()["unheard"] = json!("of");
            assert!(!validator.is_valid(&more), "{more}");
            for name in line.pointer(&place).unwrap().as_object().unwrap().keys() {
                for odd in [Value::Null, json!(true), json!({"a": 1})] {
                    let mut other = line.clone();
                    other.pointer_mut(&place).unwrap()[name] = odd;
                    assert!(!validator.is_valid(&other), "{other}");
                    changes += 1;
                }
            }
        }
    }
    assert!(changes > 500, "{changes}");
}

#[test]
fn what_must_be_there_must_be_there() {
    let validator = validator();
    let forms = forms();
    for form in ["audit", "event", "usage", "head", "tombstone"] {
        let line = example(form);
        let (_, schema) = forms.iter().find(|(name, _)| *name == form).unwrap();
        let required: BTreeSet<_> =
            schema.0["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        for name in line.as_object().unwrap().keys() {
            let mut less = line.clone();
            less.as_object_mut().unwrap().shift_remove(name);
            // A tombstone says which form it is by what it has; and so does an event.
            assert_eq!(validator.is_valid(&less), !required.contains(name.as_str()), "{form} without {name}");
        }
    }
}

/// Links, tombstones and heads are written by hand or read by a derive: what the schema is made of gives the same text.
#[test]
fn what_the_schema_is_made_of_is_what_is_written() {
    let mut chain = Chain::new(uuid::Uuid::from_u128(7));
    let line = chain.link(&samples::turn(1).line().unwrap()).unwrap();
    let link = Link::read(&line.text).unwrap();
    let salt = line.text.split(r#""salt":""#).nth(1).unwrap().get(..32).unwrap().to_owned();
    let end = serde_json::to_string(&Bound { salt, link }).unwrap();
    assert!(line.text.ends_with(&format!(",{}", end.strip_prefix('{').unwrap())), "{} {end}", line.text);

    let text = made("head");
    assert_eq!(serde_json::to_string(&Head::read(&text).unwrap()).unwrap(), text);

    let text = made("tombstone");
    let (before, _) = text.split_once(r#","instance""#).unwrap();
    let tombstone: Tombstone = serde_json::from_str(&format!("{before}}}")).unwrap();
    let written = serde_json::to_string(&tombstone).unwrap();
    assert_eq!(format!("{before}}}"), written);
}

#[test]
fn a_number_of_64_bits_and_money_fit_as_they_are_written() {
    let validator = validator();
    let with = |place: &str, value: Value| {
        let mut line = example("usage");
        *line.pointer_mut(place).unwrap() = value;
        validator.is_valid(&line)
    };
    for (place, value, fits) in [
        ("/tokens/input", json!(i64::MAX), true),
        ("/tokens/input", json!("18446744073709551615"), true),
        ("/tokens/input", json!(u64::MAX), false),
        ("/tokens/input", json!("12"), false),
        ("/tokens/input", json!(-1), false),
        ("/tokens/input", json!(1.5), false),
        ("/charged/0/window", json!("9223372036854775808"), true),
        ("/cost", json!("18446744.073709551615"), true),
        ("/cost", json!("0"), true),
        ("/cost", json!("-1"), false),
        ("/cost", json!("1."), false),
        ("/cost", json!(1), false),
        ("/hash", json!("AB".repeat(32)), false),
        ("/_id", json!("7"), false),
        ("/timestamp", json!("yesterday"), false),
        ("/status", json!(99), false),
        ("/outcome", json!("unheard of"), false),
        ("/kind", json!("audit"), false),
    ] {
        assert_eq!(with(place, value.clone()), fits, "{place} {value}");
    }
}
