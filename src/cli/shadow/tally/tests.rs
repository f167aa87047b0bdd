use serde_json::{Value, json};

use super::*;

const LIST: &str = "roles.USER.endpoints.openAI.models";
const LIMIT: &str = "roles.USER.limits.day";

fn tally(entries: &[Value]) -> Tally {
    let mut tally = Tally::default();
    for (n, members) in entries.iter().enumerate() {
        let mut entry = json!({
            "kind": "audit", "_id": uuid::Uuid::from_u128(n as u128), "requestId": format!("r{n}"),
            "timestamp": format!("2026-11-{:02}T08:00:00Z", 10 + n), "userId": "ann", "action": "chat.turn",
            "decision": "shadow", "rules": [LIST], "wouldRefuse": [LIST], "policyRevision": "rev",
            "metadata": {"endpoint": "openAI", "model": "o1"},
        });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        tally.add(&Line::read(&entry.to_string()).unwrap()).unwrap();
    }
    tally
}

#[test]
fn what_would_refuse_is_told_apart_from_what_allowed() {
    let allow = json!({"decision": "allow", "wouldRefuse": []});
    let tally = tally(&[
        json!({}),
        allow,
        json!({"rules": [LIST, LIMIT], "wouldRefuse": [LIMIT], "userId": "bob"}),
        json!({"rules": [LIST, LIMIT], "wouldRefuse": [LIST, LIMIT], "metadata": {"agent": "agent_x"}}),
        json!({"action": "catalog.models", "decision": "allow", "rules": [], "wouldRefuse": []}),
    ]);
    assert_eq!((tally.decided, tally.would_refuse, tally.turns, tally.unclear), (5, 3, 4, 0));
    let (list, limit) = (&tally.rules[LIST], &tally.rules[LIMIT]);
    assert_eq!((list.would_refuse, list.of, list.people.len()), (2, 4, 1));
    assert_eq!((limit.would_refuse, limit.people["ann"], limit.people["bob"]), (2, 1, 1));
    assert_eq!((list.models["openAI|o1"], list.models["agent agent_x"]), (1, 1));
    let days: Vec<_> = list.days.iter().map(|(day, count)| (day.to_string(), *count)).collect();
    assert_eq!(days, [("2026-11-10".to_owned(), 1), ("2026-11-13".to_owned(), 1)]);
    assert_eq!(list.last, Some(("2026-11-13T08:00:00Z".parse().unwrap(), "r3".into())));
    assert_eq!(list.first_named, Some("2026-11-10T08:00:00Z".parse().unwrap()));
    assert_eq!(tally.revisions["rev"], "2026-11-10T08:00:00Z".parse().unwrap());
}

#[test]
fn entries_of_earlier_versions_say_it_where_one_statement_decided() {
    let earlier = |rules: Value| json!({"rules": rules, "wouldRefuse": []});
    let tally = tally(&[earlier(json!([LIST])), earlier(json!([LIST, LIMIT])), json!({"erased": "x"})]);
    assert_eq!((tally.rules[LIST].would_refuse, tally.rules[LIMIT].would_refuse), (1, 1));
    assert_eq!((tally.unclear, tally.erased), (1, 1));
}
