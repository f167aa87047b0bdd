//! What was used, added up.

use std::fs;

use serde_json::{Value, json};

use super::{Scene, USER, VIEWER, texts, thirty, turn, with_stores};

fn report(scene: &Scene, arguments: &[&str]) -> Value {
    serde_json::from_str(&scene.told(&[&["usage", "report", "--format", "json"], arguments].concat())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_those_of_the_entries() {
    with_stores(async |scene| {
        let mut lines = thirty();
        lines.push(turn(40, json!({"outcome": "refused", "tokens": null, "cost": null})));
        lines.push(turn(86_400, json!({"cost": "0.000000000001"})));
        scene.keep(&lines).await;
        let of = |row: &Value, user: &str| (row["user"] == user).then(|| row.clone());
        for source in ["events", "days"] {
            let told = report(scene, &["--source", source]);
            assert_eq!(told["source"], source);
            let rows = told["rows"].as_array().unwrap();
            assert_eq!(rows[0]["user"], VIEWER, "the dearest first: {told}");
            let user = rows.iter().find_map(|row| of(row, USER)).unwrap();
            assert_eq!(
                (&user["requests"], &user["turns"], &user["errors"]),
                (&json!(7), &json!(6), &json!(1)),
                "{told}"
            );
            assert_eq!(
                (&user["tokens"]["input"], &user["tokens"]["output"]),
                (&json!(6 * 2_224), &json!(6 * 340)),
                "{told}"
            );
            assert_eq!(user["tokens"]["cached"], 6 * 1_024, "{told}");
            assert_eq!(user["cost"], "0.002304000001", "exactly, {source}");
            assert_eq!(
                (&told["total"]["cost"], &told["total"]["requests"]),
                (&json!("1.252304000001"), &json!(12)),
                "{told}"
            );
        }
        assert_eq!(report(scene, &[])["source"], "days", "where they are enough");
        let days = report(scene, &["--by", "day,user", "--user", "user@lab.test"]);
        let of_days: Vec<_> =
            days["rows"].as_array().unwrap().iter().map(|row| (row["day"].clone(), row["turns"].clone())).collect();
        assert_eq!(of_days, [(json!("2026-11-21"), json!(5)), (json!("2026-11-22"), json!(1))]);
        let day = report(scene, &["--since", "2026-11-22", "--until", "2026-11-22"]);
        assert_eq!((&day["source"], &day["total"]["cost"]), (&json!("days"), &json!("0.000000000001")));
        let models = report(scene, &["--by", "model"]);
        assert_eq!(models["source"], "events");
        assert_eq!(models["rows"][0]["model"], "openAI|gpt-4o", "{models}");
        assert_eq!(models["rows"][0]["tokens"]["cached"], 5 * 1_024);
        let groups = report(scene, &["--by", "group,role"]);
        assert_eq!((&groups["rows"][0]["group"], &groups["rows"][0]["role"]), (&json!("lab"), &json!("VIEWER")));
        let top = report(scene, &["--top", "1", "--names"]);
        assert_eq!(top["rows"][0]["user"], "viewer@lab.test");
        assert_eq!((&top["others"]["rows"], &top["others"]["cost"]), (&json!(1), &json!("0.002304000001")));
        // Out of a file, the same.
        fs::write(scene.dir.path().join("record.jsonl"), texts(&lines)).unwrap();
        for by in ["user", "model", "day,group"] {
            let (file, store) = (
                report(scene, &["--by", by, "--file", "record.jsonl"]),
                report(scene, &["--by", by, "--source", "events"]),
            );
            assert_eq!(file, store, "{by}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table_and_spreadsheets_plain_numbers() {
    with_stores(async |scene| {
        scene.keep(&thirty()).await;
        let told = scene.told(&["usage", "report", "--by", "model"]);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "Usage, from entries");
        assert_eq!(lines[2], "MODEL               REQUESTS  TURNS  ERRORS      IN  CACHED    OUT  COST USD", "{told}");
        assert_eq!(lines[3], "openAI|gpt-4o              5      5       0  11,120   5,120  1,700  1.250000");
        assert_eq!(lines[4], "openAI|gpt-4o-mini         5      5       0  11,120   5,120  1,700  0.002304");
        assert_eq!(lines[5], "total                     10     10       0  22,240  10,240  3,400  1.252304");
        let told = scene.told(&["usage", "report", "--by", "model", "--format", "csv"]);
        assert!(told.contains("\r\n\"openAI|gpt-4o\",5,5,0,11120,5120,1700,1.25,0,0\r\n"), "{told}");
        let nothing = scene.told(&["usage", "report", "--since", "2030-01-01"]);
        assert_eq!(nothing, "Nothing was used since 2030-01-01T00:00:00Z.\n");
    })
    .await;
}
