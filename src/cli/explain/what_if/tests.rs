use serde_json::{Value, json};

use super::people::Comparison;
use super::requests::Requests;
use super::*;
use crate::policy::explain::difference::Fate;
use crate::policy::{Source, compile};
use crate::store::Person;

const BEFORE: &str =
    "roles:\n  USER: { endpoints: { openAI: { models: [small, large] } } }\n  ADMIN: { unrestricted: true }\n";

fn policy(text: &str) -> Snapshot {
    compile(&[Source { path: "p.yaml".into(), text: format!("version: 1\n{text}").into() }]).unwrap().0
}

fn person(n: usize, role: &str, groups: &[&str]) -> Person {
    let groups = groups.iter().map(|group| (*group).into()).collect();
    Person {
        id: format!("{n:024x}").into(),
        email: Some(format!("p{n}@lab.test").into()),
        role: Some(role.into()),
        groups,
    }
}

fn compared(before: &str, after: &str, most: usize, people: impl Iterator<Item = Person>) -> people::People {
    let (before, after) = (policy(before), policy(after));
    let universe = Universe::of(&[&before, &after]);
    let mut comparison = Comparison::new(Pair { before: &before, after: &after }, &universe, most);
    people.for_each(|person| comparison.add(person).unwrap());
    comparison.end()
}

#[test]
fn people_for_whom_the_same_changes_are_told_together() {
    let after = BEFORE.replace("small, large", "small");
    let all = (0..12_000).map(|n| match n % 3 {
        0 => person(n, "ADMIN", &[]),
        // Groups that no policy names set nobody apart.
        1 => person(n, "USER", &[&format!("class-{n}")]),
        _ => person(n, "NOBODY", &[]),
    });
    let found = compared(BEFORE, &after, 5, all);
    assert_eq!((found.count, found.changed(), found.classes.len()), (12_000, 4_000, 1));
    let class = &found.classes[0];
    assert_eq!(class.names, ["p1@lab.test", "p4@lab.test", "p7@lab.test", "p10@lab.test", "p13@lab.test"]);
    let lost: Vec<_> = class.changes.loses.iter().map(|change| change.what.as_str()).collect();
    assert_eq!((lost, class.changes.gains.len()), (vec!["openAI|large"], 0));
    let all = compared(BEFORE, &after, usize::MAX, (0..30).map(|n| person(n, "USER", &[])));
    assert_eq!(all.classes[0].names.len(), 30);
}

#[test]
fn those_whom_a_policy_names_are_told_apart() {
    let after = format!(
        "{BEFORE}users: {{ p1@lab.test: {{ endpoints: {{ google: {{ models: [g] }} }} }} }}\ngroups: {{ lab: {{ endpoints: {{ google: {{ models: [g] }} }} }} }}\n"
    );
    let people = [
        person(1, "USER", &[]),
        person(2, "USER", &["lab"]),
        person(3, "USER", &["other"]),
        person(4, "USER", &["lab", "x"]),
    ];
    let found = compared(BEFORE, &after, 5, people.into_iter());
    let told: Vec<_> = found.classes.iter().map(|class| (class.names.join(" "), class.changes.loses.len())).collect();
    assert_eq!(
        told,
        [("p2@lab.test p4@lab.test".to_owned(), 2), ("p1@lab.test".to_owned(), 0)],
        "a group stands in for the role"
    );
}

fn judged(before: &str, after: &str, entries: &[Value]) -> Requests {
    let (before, after) = (policy(before), policy(after));
    let pair = Pair { before: &before, after: &after };
    let mut found = Requests::default();
    for entry in entries {
        let entry = serde_json::from_value(entry.clone()).unwrap();
        found.add(pair, Timestamp::UNIX_EPOCH, &entry, Some("p1@lab.test".into()));
    }
    found
}

fn asked(model: &str, members: Value) -> Value {
    let mut entry = json!({
        "requestId": "r", "userId": "000000000000000000000001", "role": "USER", "groups": [], "action": "chat.turn",
        "decision": "allow", "rules": ["roles.USER.endpoints.openAI.models"], "policyRevision": "an-earlier-1",
        "metadata": {"endpoint": "openAI", "model": model},
    });
    entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    entry
}

#[test]
fn requests_are_judged_by_both_policies() {
    let list = "roles.USER.endpoints.openAI.models";
    let denied = json!({"decision": "deny"});
    let entries = [
        asked("small", json!({})),
        asked("large", json!({})),
        asked("large", json!({"userId": "000000000000000000000002"})),
        asked("dear", denied.clone()),
        asked("other", denied),
        asked("small", json!({"decision": "deny", "rules": ["roles.USER.limits.day"]})),
        asked("small", json!({"decision": "deny", "rules": ["identity.expired"]})),
        asked("small", json!({"erased": "x", "decision": null})),
        asked("small", json!({"role": null})),
    ];
    let found = judged(BEFORE, &BEFORE.replace("large", "dear"), &entries);
    assert_eq!((found.judged, found.otherwise, found.by_limits, found.by_others), (5, 3, 1, 1));
    let told: Vec<_> = found
        .groups
        .iter()
        .map(|(way, group)| {
            (way.from, way.to, way.subject.as_str(), way.rule.as_str(), group.requests, group.people.len())
        })
        .collect();
    assert_eq!(
        told,
        [(Fate::Allow, Fate::Deny, "openAI|large", list, 2, 2), (Fate::Deny, Fate::Allow, "openAI|dear", list, 1, 1),]
    );
    let unknown: Vec<_> = found.unknown.iter().map(|(why, count)| (*why, *count)).collect();
    assert_eq!(unknown, [(asked::Unknown::Erased, 1), (asked::Unknown::Caller, 1)]);
    assert_eq!(found.people["000000000000000000000001"], 2);
}

#[test]
fn groups_that_no_entry_tells_are_not_guessed() {
    let with_groups = format!("{BEFORE}groups: {{ lab: {{ endpoints: {{ openAI: {{ models: [x] }} }} }} }}\n");
    let earlier = [asked("small", json!({"groups": null}))];
    assert_eq!(judged(BEFORE, BEFORE, &earlier).judged, 1, "where no policy names groups, they decide nothing");
    let found = judged(BEFORE, &with_groups, &earlier);
    assert_eq!((found.judged, found.unknown[&asked::Unknown::Groups]), (0, 1));
    let told = [asked("small", json!({"groups": ["lab"]}))];
    assert_eq!(judged(BEFORE, &with_groups, &told).otherwise, 1);
}

#[test]
fn what_the_policy_in_force_decided_otherwise_is_not_judged_again() {
    let revision = policy(BEFORE).revision().to_owned();
    let of = |model: &str, decision: &str, rule: &str| {
        let members = json!({"policyRevision": revision, "decision": decision, "rules": [rule]});
        judged(BEFORE, "", &[asked(model, members)])
    };
    let list = "roles.USER.endpoints.openAI.models";
    assert_eq!(of("small", "allow", list).judged, 1);
    assert_eq!(of("dear", "deny", list).judged, 1);
    for (model, decision, rule) in [("dear", "allow", list), ("small", "deny", list), ("dear", "deny", "unlisted.role")]
    {
        let found = of(model, decision, rule);
        assert_eq!(
            (found.judged, found.unknown.get(&asked::Unknown::Otherwise)),
            (0, Some(&1)),
            "{model} {decision} {rule}"
        );
    }
}

#[test]
fn enforcing_what_was_in_shadow_mode_shows_what_it_refuses() {
    let shadow = format!("mode: shadow\n{BEFORE}");
    let list = "roles.USER.endpoints.openAI.models";
    let found = judged(
        &shadow,
        BEFORE,
        &[asked("dear", json!({"decision": "shadow", "wouldRefuse": [list]})), asked("small", json!({}))],
    );
    let ways: Vec<_> = found.groups.keys().map(|way| (way.from, way.to, way.rule.as_str())).collect();
    assert_eq!((found.judged, ways), (2, vec![(Fate::Shadow, Fate::Deny, list)]));
}

#[test]
fn a_users_own_entry_counts_by_the_address_of_today() {
    let after = format!("{BEFORE}users: {{ p1@lab.test: {{ endpoints: {{ openAI: {{ deny: [small] }} }} }} }}\n");
    let found = judged(BEFORE, &after, &[asked("small", json!({}))]);
    assert_eq!(found.groups.keys().next().unwrap().rule, "users.p1@lab.test.endpoints.openAI.deny");
}

#[test]
fn yesterday_is_a_day_of_the_readers_zone() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let (yesterday, today) = yesterday("2026-10-26T09:00:00Z".parse().unwrap(), &zone).unwrap();
    let told = (yesterday.to_string(), today.to_string());
    assert_eq!(told, ("2026-10-24T22:00:00Z".to_owned(), "2026-10-25T23:00:00Z".to_owned()), "a day of 25 hours");
}
