//! Changing people of the embedded directory: the record tells of it, and verifies.

use std::fs;

use serde_json::{Value, json};

use super::{USER, err, out, with_stores};
use crate::schema;

/// What the record tells of changes to people, the oldest first.
fn told(export: &str) -> Vec<Value> {
    let entries = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).inspect(schema::hold);
    entries.filter(|entry| entry["action"].as_str().is_some_and(|action| action.starts_with("users."))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_people_are_in_the_record_and_are_erased_with_the_user() {
    with_stores(async |scene| {
        scene.signer();
        let id = "6b012e4109cc968f8a928b00";
        scene.told(&["users", "set", id, "--email", "eve@example.edu", "--role", "USER", "--group", "staff"]);
        scene.told(&["users", "set", id, "--role", "ADMIN"]);
        scene.told(&["users", "remove", id]);
        let export = scene.told(&["audit", "export"]);
        let events = told(&export);
        let short: Vec<_> = events
            .iter()
            .map(|event| (&event["action"], &event["userId"], &event["actor"], &event["category"], &event["about"]))
            .collect();
        let (user, admin) =
            (json!({"groups": ["staff"], "role": "USER"}), json!({"groups": ["staff"], "role": "ADMIN"}));
        let (set, removed, id_, cli, of) =
            (json!("users.set"), json!("users.removed"), json!(id), json!("cli"), json!("ADMIN"));
        let abouts = [
            json!({"changed": ["email", "role", "groups"], "after": user}),
            json!({"changed": ["role"], "before": user, "after": admin}),
            json!({"before": admin}),
        ];
        assert_eq!(
            short,
            [
                (&set, &id_, &cli, &of, &abouts[0]),
                (&set, &id_, &cli, &of, &abouts[1]),
                (&removed, &id_, &cli, &of, &abouts[2])
            ]
        );
        assert!(!export.contains("eve@"), "{export}");
        let verified = scene.run(&["audit", "verify"]);
        assert_eq!(verified.status.code(), Some(0), "{}", out(&verified));

        let erased: Value = serde_json::from_str(&scene.told(&[
            "audit",
            "erase",
            id,
            "--reason",
            "asked for",
            "--yes",
            "--format",
            "json",
        ]))
        .unwrap();
        assert_eq!(erased["tombstones"], 3, "{erased}");
        assert!(!scene.told(&["audit", "export"]).contains(id));
        let verified = scene.run(&["audit", "verify"]);
        assert_eq!(verified.status.code(), Some(0), "{}", out(&verified));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_changed_where_the_record_cannot_tell_of_it() {
    with_stores(async |scene| {
        scene.signer();
        scene.told(&["users", "set", USER, "--role", "USER"]);
        let (people, before) = (scene.told(&["users", "list"]), scene.told(&["audit", "export"]));
        let key = scene.dir.path().join("data/records/signing.key");
        let good = fs::read(&key).unwrap();
        fs::write(&key, "no key").unwrap();
        for arguments in [&["users", "set", USER, "--role", "ADMIN"][..], &["users", "remove", USER]] {
            let refused = scene.run(arguments);
            assert_eq!((refused.status.code(), &*out(&refused)), (Some(1), ""), "{arguments:?}");
            let told = err(&refused);
            assert!(told.contains("error: nothing was changed, for the record cannot tell of it: "), "{told}");
            assert!(told.contains("signing.key is no signing key"), "{told}");
        }
        fs::write(&key, good).unwrap();
        assert_eq!((scene.told(&["users", "list"]), scene.told(&["audit", "export"])), (people, before));
    })
    .await;
}
