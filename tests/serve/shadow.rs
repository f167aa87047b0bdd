//! `tollgate shadow report`: what shadow mode has shown, out of both stores and out of files, and of a running Tollgate.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tollgate::record::Line;

use crate::audit::{Scene, USER, VIEWER, err, out, refusal, texts, with_stores};
use crate::support::post_json;
use crate::world::World;

const LIST: &str = "roles.USER.endpoints.openAI.models";
const LIMIT: &str = "roles.USER.limits.quiet";

fn report(scene: &Scene, more: &[&str]) -> Value {
    let all =
        [&["shadow", "report", "--since", "2026-11-01", "--until", "2026-12-20", "--format", "json"], more].concat();
    serde_json::from_str(&scene.told(&all)).unwrap()
}

fn rule<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rules = report["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["rule"] == name).unwrap_or_else(|| panic!("{name} is not in {report}"))
}

/// Decisions of a policy with a limit in shadow mode, n seconds after eight on 21 November.
fn decision(n: u32, members: Value) -> Line {
    let mut all = json!({"decision": "allow", "severity": "INFO", "category": "API"});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    refusal(n, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn would_be_refusals_are_added_up_by_rule_out_of_any_store() {
    with_stores(async |scene| {
        let shadow = |user: &str, refusing: &[&str]| {
            let rules = [&[LIST][..], refusing].concat();
            json!({"decision": "shadow", "userId": user, "rules": rules, "wouldRefuse": refusing})
        };
        let lines = [
            decision(0, json!({})),
            decision(1, shadow(USER, &[LIMIT])),
            decision(2, shadow(VIEWER, &[LIMIT])),
            decision(86_400, shadow(USER, &[LIMIT])),
            decision(86_401, json!({"action": "catalog.models", "rules": []})),
            decision(86_402, json!({"decision": "deny"})),
        ];
        scene.keep(&lines).await;
        let policy = scene.dir.path().join("p.yaml");
        let text = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [gpt-4o] } }, limits: [{ id: quiet, requests: 1, per: user, window: day, mode: shadow }, { id: silent, requests: 9, per: user, window: hour, mode: shadow }] } }\n";
        fs::write(&policy, text).unwrap();
        let file = scene.dir.path().join("record.jsonl");
        fs::write(&file, texts(&lines)).unwrap();
        let told = report(scene, &["--policies", "p.yaml"]);
        assert_eq!(told, report(scene, &["--policies", "p.yaml", "--file", file.to_str().unwrap()]), "{}", scene.sink);
        assert_eq!((&told["decided"], &told["would_refuse"], &told["turns"]), (&json!(6), &json!(3), &json!(5)));
        let quiet = rule(&told, LIMIT);
        assert_eq!((&quiet["would_refuse"], &quiet["of"], &quiet["people"]), (&json!(3), &json!(5), &json!(2)));
        assert_eq!(quiet["days"], json!({"2026-11-21": 2, "2026-11-22": 1}));
        assert_eq!(quiet["top_people"], json!([{"user": USER, "requests": 2}, {"user": VIEWER, "requests": 1}]));
        assert_eq!(quiet["models"], json!([{"model": "openAI|gpt-4o", "requests": 3}]));
        assert_eq!(quiet["last"]["at"], "2026-11-22T08:00:00Z");
        assert_eq!(quiet["can_be_enforced"], true, "nothing for 28 days, and named for longer");
        assert_eq!(rule(&told, "roles.USER.limits.silent")["can_be_enforced"], false, "nobody has seen that it was watched");
        assert_eq!(told["rules"].as_array().unwrap().len(), 2, "lists are enforced: {told}");
        let lately = report(scene, &["--policies", "p.yaml", "--quiet", "60"]);
        assert_eq!(rule(&lately, LIMIT)["can_be_enforced"], false);
        let of_one = report(scene, &["--policies", "p.yaml", "--user", "viewer@lab.test"]);
        assert_eq!(rule(&of_one, LIMIT)["would_refuse"], 1);
        let args = ["shadow", "report", "--since", "2026-11-01", "--until", "2026-12-20", "--policies", "p.yaml", "--names"];
        let table = scene.told(&args);
        for line in ["user@lab.test 2, viewer@lab.test 1", "can be enforced", "1 of 2 rules can be enforced", "Of 6 decisions"] {
            assert!(table.contains(line), "{line}:\n{table}");
        }
        let without = scene.told(&args[..6]);
        assert!(without.contains("No policy is named"), "{without}");
        let broken = scene.run(&["shadow", "report", "--policies", "tollgate.yaml"]);
        assert_eq!((broken.status.code(), out(&broken).as_str()), (Some(64), ""), "{}", err(&broken));
    })
    .await;
}

/// Of the whole policy and of one limit: in the record, in the metrics and in the report.
#[tokio::test]
async fn what_a_running_tollgate_would_refuse_is_in_record_metrics_and_report() {
    let policy = "version: 1\nmode: shadow\nroles:\n  USER:\n    endpoints: { openAI: { models: [gpt-4o-mini] } }\n    limits: [{ id: quiet, requests: 1, per: user, window: 30d }]\n";
    let mut world = World::with(policy).variable("TOLLGATE_RECORDS", "stdout,embedded").start().await;
    let bearer = world.bearer("Bob");
    for (model, agent) in [("gpt-4o-mini", "first"), ("gpt-4o", "both"), ("gpt-4o-mini", "limit")] {
        let body = json!({"text": "hi", "endpoint": "openAI", "model": model, "conversationId": null});
        let headers = [("authorization", bearer.as_str()), ("user-agent", agent)];
        assert_eq!(post_json(world.addr, "/api/agents/chat/openAI", &headers, &body).await.status, 200);
    }
    for (agent, decision, would) in
        [("first", "allow", Value::Null), ("both", "shadow", json!([LIST, LIMIT])), ("limit", "shadow", json!([LIMIT]))]
    {
        let entry = world.entry_from(agent).await;
        assert_eq!((&entry["decision"], &entry["wouldRefuse"]), (&json!(decision), &would), "{agent}");
    }
    assert_eq!(world.metric("tollgate_decisions_total{decision=\"shadow\"}").await, "1", "by the lists");
    assert_eq!(world.metric("tollgate_limit_shadowed_total{limit=\"quiet\"}").await, "2");
    let data = world.dir.path().join("data");
    let policy = world.dir.path().join("policy");
    let shadow = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(["shadow", "report", "--data"])
            .arg(&data)
            .arg("--policies")
            .arg(&policy)
            .args(["--format", "json"]);
        let ended = command.env_clear().output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
        serde_json::from_str::<Value>(&out(&ended)).unwrap()
    };
    let told = async |_: &mut World| shadow()["would_refuse"] == 2;
    world.until("the store has them", told).await;
    let told = shadow();
    let counts = |name: &str| (rule(&told, name)["would_refuse"].clone(), rule(&told, name)["of"].clone());
    assert_eq!((counts(LIST), counts(LIMIT)), ((json!(1), json!(3)), (json!(2), json!(3))));
    assert_eq!(told["policy"]["mode"], "shadow");
}
