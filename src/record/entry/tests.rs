//! Entries as lines, and the examples of `docs/records.md`: every field that an entry can have is in one, and nothing else is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::record::samples::{event, refusal, turn};

const PAGE: &str = include_str!("../../../docs/records.md");

/// An entry with every field that it can have.
fn whole(entry: Entry) -> Entry {
    match entry {
        Entry::Audit(mut audit) => {
            audit.groups = Some(["wri\"ters".into(), "all".into()].into());
            audit.would_refuse = vec![RuleId::new("limits.\"all\""), RuleId::new("unlisted.role")];
            audit.key_id = Some("6b012e6c09cc968f8a9291d1".into());
            audit.details.query = vec!["resume".into()];
            audit.details.error = Some("down".into());
            audit.metadata = Metadata {
                conversation_id: Some("c".into()),
                endpoint: Some("openAI".into()),
                model: Some("gpt-4o".into()),
                agent: Some("agent_x".into()),
                spec: Some("smart".into()),
                also: vec!["anthropic|x".into()],
            };
            Entry::Audit(audit)
        }
        Entry::Usage(mut usage) => {
            usage.spec = Some("fast".into());
            usage.groups = Some(["wri\"ters".into(), "all".into()].into());
            usage.agent = Some("agent_x".into());
            usage.models = vec!["openAI|gpt-4o".into()];
            usage.spent = Some(Box::new(spent()));
            Entry::Usage(usage)
        }
        Entry::Event(mut event) => {
            event.user_id = Some("6b012e4109cc968f8a928bce".into());
            event.actor = Some("cli".into());
            event.policy_revision = Some("0123456789ab".into());
            let rights = Rights { groups: vec!["sta\"ff".into()], role: Some("USER".into()) };
            event.about = About::UserSet { changed: vec![Changed::Role], before: Some(rights.clone()), after: rights };
            Entry::Event(event)
        }
    }
}

/// What a turn used, with every field.
fn spent() -> Spent {
    let tokens = TokensUsed { input: 1, cached_input: 2, cache_write: 3, output: 4 };
    let charged = Charged {
        counter: "limits.\"day\"@day".into(),
        amount: u64::MAX,
        from: Timestamp::MIN,
        until: "2026-11-22T00:00:00.000001Z".parse().unwrap(),
        window: Some(60_000_000),
        ceiling: Some(100),
    };
    let spend = Charged { amount: 7, window: None, ceiling: None, ..charged.clone() };
    let run = RunUsed {
        endpoint: "open\"AI".into(),
        model: "gpt-4o".into(),
        tokens: TokensUsed { output: u64::MAX, ..tokens },
        cost: Some(Usd(1)),
    };
    Spent {
        tokens,
        cost: Some(Usd(766_800_000)),
        source: Source::Transactions,
        settled: Timestamp::MAX,
        ended: Some(Ended::Finished),
        first_byte: Some(12.5),
        duration: Some(8_000.25),
        runs: vec![run.clone(), RunUsed { cost: None, ..run }],
        charged: vec![charged, spend],
    }
}

/// A settled turn of which little is known.
fn little(entry: Entry) -> Entry {
    match entry {
        Entry::Usage(mut usage) => {
            let nothing = Spent { cost: None, ended: None, first_byte: None, duration: None, ..spent() };
            let spent = Spent { runs: vec![], charged: vec![], source: Source::None, ..nothing };
            usage.spent = Some(Box::new(spent));
            Entry::Usage(usage)
        }
        other => other,
    }
}

/// An entry without any field that it may lack.
fn bare(entry: Entry) -> Entry {
    match entry {
        Entry::Audit(mut audit) => {
            (audit.user_id, audit.role, audit.rules) = (None, None, vec![]);
            audit.details.user_agent = None;
            audit.details.response = None;
            audit.metadata = Metadata::default();
            Entry::Audit(audit)
        }
        Entry::Usage(mut usage) => {
            usage.conversation_id = None;
            Entry::Usage(usage)
        }
        Entry::Event(mut event) => {
            event.about = About::Lost { kind: Kind::Head, from: 1, to: u64::MAX, reason: "a \"break\"\n".into() };
            Entry::Event(event)
        }
    }
}

#[test]
fn a_line_is_what_the_library_writes() {
    let mut odd = refusal(3);
    if let Entry::Audit(audit) = &mut odd {
        audit.rules = ["a\"b", "c\\d", "\u{1}\u{7f}\u{2028}é"].map(RuleId::new).into();
        audit.details.path = "/\t{}\u{0}".into();
        audit.details.ip = "2001:db8::7".into();
        audit.details.response = Some(Response { status: 403, message: None, time: 1e-7 });
        audit.metadata = Metadata { also: vec!["x|y".into(), "\"".into()], ..Metadata::default() };
    }
    let entries = [refusal(1), turn(1), event(1)]
        .into_iter()
        .flat_map(|entry| [bare(entry.clone()), whole(entry.clone()), little(entry.clone()), entry]);
    for entry in entries.chain([odd]) {
        let mut line = Vec::new();
        entry.write_line(&mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&entry).unwrap() + "\n");
    }
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
fn the_page_shows_every_field() {
    for (kind, entry) in [("audit", refusal(1)), ("usage", turn(1)), ("event", event(1))] {
        let real = all_fields(&serde_json::to_value(whole(entry)).unwrap());
        let example = PAGE.split(&format!("```json {kind}\n")).nth(1).unwrap().split("```").next().unwrap();
        assert_eq!(all_fields(&serde_json::from_str(example).unwrap()), real, "the example of {kind}");
    }
}

#[test]
fn ids_are_of_version_7_and_hold_the_time() {
    let at = Timestamp::from_millisecond(1_795_239_489_123).unwrap();
    let id = id_at(at);
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_795_239_489, 123_000_000));
    assert_ne!(id, id_at(at));
}
