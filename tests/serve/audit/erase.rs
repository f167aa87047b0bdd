//! Taking a user out of the record.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::record::chain::Erasure;
use tollgate::store::{Filter, Ledger};
use uuid::Uuid;

use super::{USER, VIEWER, err, out, refusal, texts, thirty, with_stores};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_elsewhere_is_named_and_the_command_does_not_end_well() {
    with_stores(async |scene| {
        let lines = scene.keep_chained(1, &thirty()).await;
        let (data, here) = (scene.dir.path().join("data/records"), scene.dir.path());
        fs::create_dir_all(data.join("spool")).unwrap();
        fs::create_dir_all(data.join("aside")).unwrap();
        let settings = fs::read_to_string(scene.settings()).unwrap();
        let file = here.join("audit.jsonl");
        let sinks = format!("sinks: [stdout, {}, file], file: {{ path: {} }}", scene.sink, file.display());
        fs::write(scene.settings(), settings.replace(&format!("sinks: [stdout, {}]", scene.sink), &sinks)).unwrap();
        let places =
            [file, here.join("audit-20261121T080000.jsonl"), data.join("spool/1.seg"), data.join("aside/x.jsonl")];
        for place in &places {
            fs::write(place, texts(&lines)).unwrap();
        }
        fs::write(here.join("audit-20261121T090000.jsonl"), "{}\n").unwrap();
        let ended = scene.run(&["audit", "erase", USER, "--reason", "asked", "--yes"]);
        assert_eq!(ended.status.code(), Some(1), "{}", err(&ended));
        assert!(out(&ended).starts_with("erased: 20 entries are tombstones now"), "{}", out(&ended));
        let named: Vec<_> =
            err(&ended).lines().filter(|line| line.starts_with("not erased: ")).map(str::to_owned).collect();
        assert_eq!(named.len(), places.len(), "{named:?}");
        for place in &places {
            assert!(named.iter().any(|line| line.contains(place.to_str().unwrap())), "{place:?}: {named:?}");
            fs::remove_file(place).unwrap();
        }
        assert_eq!(scene.run(&["audit", "erase", USER, "--reason", "asked", "--yes"]).status.code(), Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_in_all_stores_that_entries_go_to() {
    with_stores(async |scene| {
        // The embedded store beside it has the same entries.
        let beside = tollgate::store::embedded::Embedded::open(&scene.dir.path().join("data")).unwrap();
        let lines = scene.keep_chained(1, &thirty()).await;
        beside.append(&lines).await.unwrap();
        let settings = fs::read_to_string(scene.settings()).unwrap();
        let one = format!("[stdout, {}]", scene.sink);
        if scene.sink == "mongo" {
            fs::write(scene.settings(), settings.replace(&one, "[mongo, embedded]")).unwrap();
        }
        // The directory beside the settings, as `serve` takes both, does not say that the other store is not meant.
        let data = scene.dir.path().join("data");
        let settings = scene.settings();
        let place = ["--config", settings.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let words = ["audit", "erase", USER, "--reason", "asked", "--yes"];
        let ended = scene.run(&[words.as_slice(), &place].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
        for ledger in [&beside as &dyn Ledger, scene.ledger.as_ref()] {
            let of = Filter { user: Some(USER.into()), ..Filter::default() };
            assert_eq!(ledger.find(&of, None, 9).await.unwrap().lines, []);
        }
        for store in ["embedded", scene.sink] {
            assert_eq!(scene.run(&["audit", "verify", "--sink", store]).status.code(), Some(0), "{store}");
        }
    })
    .await;
}
