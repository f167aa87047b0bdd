//! Taking a user out of the record.

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::record::chain::Erasure;
use uuid::Uuid;

use super::{USER, VIEWER, err, out, refusal, thirty, with_stores};
use crate::schema;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_user_is_left_and_the_record_verifies() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        scene.keep_chained(2, &[refusal(50, json!({})), refusal(51, json!({"userId": VIEWER}))]).await;
        scene.keep(&[refusal(60, json!({}))]).await;
        let ended = scene.run(&["audit", "erase", "User@lab.test", "--reason", "asked for it", "--yes", "--format", "json"]);
        assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
        assert!(err(&ended).contains("has 17 audit entries and 5 usage entries"), "{}", err(&ended));
        let told: Value = serde_json::from_str(&out(&ended)).unwrap();
        assert_eq!((&told["tombstones"], &told["removed"], &told["kept"]), (&json!(21), &json!(1), &json!(0)), "{told}");
        let export = scene.told(&["audit", "export"]);
        assert!(!export.contains(USER) && !export.contains("user@lab.test"), "{export}");
        assert_eq!(export.lines().filter(|line| line.contains(VIEWER)).count(), 11);
        // Tombstones, the event and the heads among them.
        export.lines().for_each(|line| schema::hold(&serde_json::from_str(line).unwrap()));
        let event = export.lines().find(|line| line.contains("records.erased")).unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!((&event["_id"], &event["actor"], &event["category"]), (&told["erasure"], &json!("cli"), &json!("DATA")));
        let about = json!({"count": 21, "root": event["about"]["root"], "removed": 1, "days": event["about"]["days"], "reason": "asked for it"});
        assert_eq!(event["about"], about);
        let verified = scene.run(&["audit", "verify", "--format", "json"]);
        let report: Value = serde_json::from_str(&out(&verified)).unwrap();
        assert_eq!((verified.status.code(), &report["erasures"]), (Some(0), &json!(1)), "{report}");
        let erased: u64 = report["chains"].as_array().unwrap().iter().map(|chain| chain["erased"].as_u64().unwrap()).sum();
        assert_eq!(erased, 21);
        let usage: Value = serde_json::from_str(&scene.told(&["usage", "report", "--format", "json"])).unwrap();
        assert!(usage["rows"].as_array().unwrap().iter().all(|row| row["user"] != USER), "{usage}");
        let again = scene.told(&["audit", "erase", USER, "--reason", "again", "--yes"]);
        assert!(again.starts_with("erased: 0 entries are tombstones now"), "{again}");
        assert_eq!(scene.run(&["audit", "verify"]).status.code(), Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_erased_who_was_not_meant_to_be() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let before = scene.told(&["audit", "export"]);
        let unasked = scene.run(&["audit", "erase", USER, "--reason", "asked"]);
        assert_eq!(unasked.status.code(), Some(64));
        assert!(err(&unasked).contains("say --yes"), "{}", err(&unasked));
        let named = scene.run(&["audit", "erase", USER, "--reason", &format!("of {USER}"), "--yes"]);
        assert_eq!(named.status.code(), Some(64));
        assert!(err(&named).contains("--reason names the user"), "{}", err(&named));
        assert_eq!(scene.told(&["audit", "export"]), before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_broke_off_is_found_and_finished() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let (id, signer) = (Uuid::now_v7(), Arc::new(scene.signer()));
        let tomb = Arc::clone(&signer);
        scene
            .ledger
            .erase(
                USER,
                Arc::new(move |line| {
                    Erasure { id, signer: &tomb }.tombstone(line).map(Some).map_err(|fault| fault.to_string())
                }),
            )
            .await
            .unwrap();
        let verified = scene.run(&["audit", "verify"]);
        assert_eq!(verified.status.code(), Some(1));
        assert!(out(&verified).contains("erased by hand"), "{}", out(&verified));
        let noted = scene.run(&["audit", "erase", USER, "--reason", "asked", "--yes"]);
        assert!(err(&noted).contains("1 erasure is under way or broke off"), "{}", err(&noted));
        let finished = scene.told(&["audit", "erase", "--finish"]);
        assert!(
            finished.starts_with("erased: 20 entries are tombstones") && finished.contains(&id.to_string()),
            "{finished}"
        );
        assert_eq!(scene.run(&["audit", "verify"]).status.code(), Some(0));
        assert_eq!(scene.told(&["audit", "erase", "--finish"]), "no erasure broke off\n");
    })
    .await;
}
