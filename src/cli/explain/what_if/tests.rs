use serde_json::{Value, json};

use super::super::laid_over::{Aside, Stored};
use super::people::Comparison;
use super::requests::{Address, Requests};
use super::*;
use crate::overrides::Kept;
use crate::policy::explain::difference::Fate;
use crate::policy::overrides::{Kind, Principal};
use crate::policy::{Source, compile};
use crate::store::Person;
use crate::store::overrides::{Override, Unreadable};

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
    judged_of(before, after, entries, || Address::Known("p1@lab.test".into()))
}

/// The same, of somebody of whom the directory knows this.
fn judged_of(before: &str, after: &str, entries: &[Value], address: impl Fn() -> Address) -> Requests {
    let (before, after) = (policy(before), policy(after));
    let pair = Pair { before: &before, after: &after };
    let mut found = Requests::default();
    for entry in entries {
        let entry = serde_json::from_value(entry.clone()).unwrap();
        found.add(pair, Timestamp::UNIX_EPOCH, &entry, address());
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

#[test]
fn who_would_be_turned_away_is_named_with_the_requests() {
    let blocked = format!("blocked: {{ users: [p1@lab.test] }}\n{BEFORE}");
    let people = || [person(1, "USER", &[]), person(2, "USER", &[]), person(3, "ADMIN", &[])].into_iter();
    let found = compared(BEFORE, &blocked, 5, people());
    assert_eq!((found.changed(), found.classes.len()), (1, 1));
    assert_eq!(found.classes[0].names, ["p1@lab.test"]);
    let told = serde_json::to_value(&found.classes[0]).unwrap();
    assert_eq!(told["let_in"], json!({"before": null, "after": "blocked.users"}));
    let closed = format!("email_domains: [elsewhere.test]\n{BEFORE}");
    let found = compared(BEFORE, &closed, 5, people());
    assert_eq!((found.changed(), found.classes.len()), (3, 1), "everybody is locked out, and that is one line");

    let list = "roles.USER.endpoints.openAI.models";
    for (next, rule) in [(&blocked, "blocked.users"), (&closed, "email_domains")] {
        let found = judged(BEFORE, next, &[asked("small", json!({}))]);
        let ways: Vec<_> =
            found.groups.keys().map(|way| (way.from, way.to, way.rule.as_str(), way.instead_of.as_str())).collect();
        assert_eq!(ways, [(Fate::Allow, Fate::Deny, rule, list)]);
        let gone = judged_of(BEFORE, next, &[asked("small", json!({}))], || Address::Nobody);
        assert_eq!(
            (gone.judged, gone.unknown[&asked::Unknown::Address]),
            (0, 1),
            "who has which address is not guessed"
        );
    }
    let found = judged_of(BEFORE, &closed, &[asked("small", json!({}))], || Address::None);
    assert_eq!((found.judged, found.otherwise), (1, 1), "whoever has no address has none that is let in");
}

#[test]
fn what_was_turned_away_at_the_door_is_judged_only_where_it_stays_so() {
    let blocked = format!("blocked: {{ users: [p1@lab.test] }}\n{BEFORE}");
    let closed = format!("email_domains: [elsewhere.test]\n{BEFORE}");
    let turned = asked("small", json!({"decision": "deny", "rules": ["blocked.users"], "metadata": {}}));
    let found = judged(&blocked, &closed, std::slice::from_ref(&turned));
    assert_eq!((found.judged, found.otherwise, found.by_others), (1, 0, 0), "another statement, and as closed");
    let found = judged(&blocked, BEFORE, &[turned]);
    assert_eq!((found.judged, found.unknown[&asked::Unknown::Door]), (0, 1), "what was asked for is in no entry");
    let shadow = format!("mode: shadow\n{blocked}");
    let watched =
        asked("small", json!({"decision": "shadow", "rules": ["blocked.users"], "wouldRefuse": ["blocked.users"]}));
    let found = judged(&shadow, &blocked, &[watched]);
    let ways: Vec<_> = found.groups.keys().map(|way| (way.from, way.to, way.rule.as_str())).collect();
    assert_eq!(ways, [(Fate::Shadow, Fate::Deny, "blocked.users")]);
}

#[test]
fn limits_of_0_count_for_runs_alone_also_in_shadow_mode() {
    let limit = |mode: &str| {
        BEFORE.replace(
            "USER: {",
            &format!(
                "USER: {{ limits: [{{ id: closed, requests: 0, per: user, window: day, models: [large]{mode} }}],"
            ),
        )
    };
    let of = |after: &str, entry: Value| {
        let found = judged(BEFORE, after, &[entry]);
        assert_eq!((found.judged, found.unknown.len()), (1, 0));
        found.groups.keys().map(|way| (way.to, way.rule.clone())).collect::<Vec<_>>()
    };
    let rule = "roles.USER.limits.closed".to_owned();
    assert_eq!(of(&limit(""), asked("large", json!({}))), [(Fate::Deny, rule.clone())]);
    assert_eq!(of(&limit(", mode: shadow"), asked("large", json!({}))), [(Fate::Shadow, rule.clone())]);
    assert_eq!(of(&limit(""), asked("small", json!({}))), []);
    let making = json!({"action": "agents", "metadata": {"agent": "agent_x", "also": ["openAI|large"]}});
    assert_eq!(of(&limit(""), asked("large", making)), [], "making an agent runs nothing");
    let assistants = |path: &str| {
        let open = format!("assistants: {{ enabled: true }}\n{}", BEFORE.replace("openAI:", "assistants:"));
        let closed = open.replace(
            "USER: {",
            "USER: { limits: [{ id: closed, requests: 0, per: user, window: day, models: [large] }],",
        );
        let members = json!({"action": "assistants", "details": {"path": path}, "rules": ["r"],
                             "metadata": {"endpoint": "assistants", "model": "large"}});
        judged(&open, &closed, &[asked("large", members)]).otherwise
    };
    assert_eq!((assistants("/api/assistants/v2/chat"), assistants("/api/assistants/v2/asst_x")), (1, 0));
    // What a limit in shadow mode would have refused is judged again by the policy that said so.
    let shadow = limit(", mode: shadow");
    let watched = json!({
        "decision": "shadow", "rules": ["roles.USER.endpoints.openAI.models", &rule], "wouldRefuse": [&rule],
        "policyRevision": policy(&shadow).revision(),
    });
    let found = judged(&shadow, &limit(""), &[asked("large", watched)]);
    let ways: Vec<_> = found.groups.keys().map(|way| (way.from, way.to)).collect();
    assert_eq!((ways, found.unknown.len()), (vec![(Fate::Shadow, Fate::Deny)], 0));
}

#[test]
fn people_with_overrides_are_compared_by_themselves_and_what_is_set_aside_is_told() {
    let document = |n: usize, overrides: Value| Override {
        principal: Principal { kind: Kind::User, id: format!("{n:024x}").into() },
        priority: 30,
        overrides: overrides.as_object().unwrap().clone(),
        is_active: true,
        config_version: n as u64,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: None,
        note: None,
        expires_at: None,
    };
    let documents = vec![
        document(2, json!({"endpoints": {"openAI": {"models": ["dear"]}}})),
        document(3, json!({"limits": {"day": {"requests": 9}}})),
    ];
    let unreadable =
        vec![Unreadable { name: "user x".into(), why: "it has no version".into(), of: None, is_active: true }];
    let stored = Stored::Read(Kept { documents, unreadable });
    let limited = BEFORE.replace("USER: {", "USER: { limits: [{ id: day, requests: 1, per: user, window: day }],");
    let over = |text: &str| stored.over(policy(text), Timestamp::UNIX_EPOCH);
    let (before, set_aside_before) = over(&limited);
    // The next policy has no such limit any more, and denies what an override gives.
    let (after, set_aside_after) = over(&BEFORE.replace("openAI: {", "openAI: { deny: [dear],"));
    let unread = Aside { of: "user x".to_owned(), fault: "it has no version".to_owned() };
    assert_eq!(set_aside_before, std::slice::from_ref(&unread));
    assert_eq!(set_aside_after.len(), 2, "{set_aside_after:?}");
    assert_eq!(set_aside_after[0].of, format!("user {:024x}", 3));
    let universe = Universe::of(&[&before, &after]);
    let mut comparison = Comparison::new(Pair { before: &before, after: &after }, &universe, 5);
    // Whoever has an override comes after somebody who stands alike in the files.
    for n in 1..=4 {
        comparison.add(person(n, "USER", &[])).unwrap();
    }
    let found = comparison.end();
    let told: Vec<_> = found
        .classes
        .iter()
        .map(|class| {
            let lost: Vec<_> = class.changes.loses.iter().map(|change| change.what.as_str()).collect();
            let limit =
                class.changes.limits.first().and_then(|limit| limit.before.as_ref()).map(|limit| limit.amount.clone());
            let away = class.changes.let_in.as_ref().and_then(|let_in| let_in.after.as_ref()).map(ToString::to_string);
            (class.names.join(" "), lost, limit, away)
        })
        .collect();
    let of = |names: &str, lost: Vec<&'static str>| (names.to_owned(), lost, Some("1".to_owned()), None);
    // Whose override the next policy cannot have in force is refused by it.
    let refused = Some(format!("overrides.user.{:024x}.faulty", 3));
    assert_eq!(
        told,
        [
            of("p1@lab.test p4@lab.test", vec![]),
            of("p2@lab.test", vec!["openAI|dear"]),
            ("p3@lab.test".to_owned(), vec![], None, refused),
        ]
    );
    let lines = |overrides: &UnderTwo| {
        let mut out = Vec::new();
        overrides.human(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let told = lines(&UnderTwo { unknown: None, set_aside_before, set_aside_after });
    assert!(told.starts_with("This policy sets aside the override of user x: it has no version\nThe other policy sets aside the override of user 0"), "{told}");
    assert_eq!(lines(&UnderTwo::default()), "");
    let unknown = UnderTwo { unknown: Some("the store is away".to_owned()), ..UnderTwo::default() };
    assert!(
        lines(&unknown)
            .starts_with("Overrides cannot be read, so that both policies are their files alone: the store is away")
    );
}
