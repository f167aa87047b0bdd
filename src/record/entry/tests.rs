//! Holds `docs/records.md` to the types: every field is on the page, with an example, and nothing else is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::record::samples::{refusal, turn};

const PAGE: &str = include_str!("../../../docs/records.md");

/// An entry with every field that it can have.
fn whole(entry: Entry) -> Value {
    let entry = match entry {
        Entry::Audit(mut audit) => {
            audit.details.query = vec!["resume".into()];
            audit.details.error = Some("down".into());
            audit.metadata = Metadata {
                conversation_id: Some("c".into()),
                endpoint: Some("openAI".into()),
                model: Some("gpt-4o".into()),
                spec: Some("smart".into()),
                also: vec!["anthropic|x".into()],
            };
            Entry::Audit(audit)
        }
        Entry::Usage(mut usage) => {
            usage.spec = Some("fast".into());
            Entry::Usage(usage)
        }
    };
    serde_json::to_value(entry).unwrap()
}

/// The paths of all values that are not objects, with their JSON types.
fn fields(value: &Value, path: &str, into: &mut BTreeSet<(String, &'static str)>) {
    let kind = match value {
        Value::Object(members) => {
            for (name, member) in members {
                fields(member, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, into);
            }
            return;
        }
        Value::Array(_) => "array",
        Value::String(_) => "text",
        Value::Number(_) => "number",
        Value::Bool(_) => "yes or no",
        Value::Null => "null",
    };
    into.insert((path.to_owned(), kind));
}

fn all_fields(value: &Value) -> BTreeSet<(String, &'static str)> {
    let mut all = BTreeSet::new();
    fields(value, "", &mut all);
    all
}

#[test]
fn the_page_shows_and_explains_every_field() {
    for (kind, entry) in [("audit", refusal(1)), ("usage", turn(1))] {
        let real = all_fields(&whole(entry));
        let example = PAGE.split(&format!("```json {kind}\n")).nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(all_fields(&serde_json::from_str(example).unwrap()), real, "the example of {kind}");
        let chapter = PAGE.split("\n## ").find(|chapter| chapter.to_lowercase().starts_with(kind)).unwrap();
        let explained: BTreeSet<&str> =
            chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(explained, real.iter().map(|(field, _)| field.as_str()).collect(), "the table of {kind}");
    }
}

#[test]
fn every_outcome_is_on_the_page() {
    for outcome in [TurnOutcome::Started, TurnOutcome::Refused, TurnOutcome::Failed, TurnOutcome::Abandoned] {
        let word = serde_json::to_value(outcome).unwrap();
        assert!(PAGE.contains(&format!("`{}` (", word.as_str().unwrap())), "{word}");
    }
}
