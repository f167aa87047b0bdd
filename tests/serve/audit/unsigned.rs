//! What the last head does not vouch for yet.

use std::fs;

use serde_json::json;
use tollgate::clock::Clock;
use tollgate::record::Line;
use tollgate::record::chain::Chain;
use uuid::Uuid;

use super::verify::verified;
use super::{out, refusal, texts, thirty, with_stores};

/// Entries of just now, in the chain of an instance that has no head.
fn headless(instance: u128, count: u32) -> Vec<Line> {
    let mut chain = Chain::new(Uuid::from_u128(instance));
    let now = Clock::system().now();
    let entry = |n: u32| {
        let id = Uuid::from_u128(instance << 64 | u128::from(n));
        chain.link(&refusal(n, json!({"_id": id, "timestamp": now, "decision": "allow"}))).unwrap()
    };
    (0..count).map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_by_nobody_yet_is_good_as_long_as_it_is_little() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        assert_eq!(verified(scene, &["--strict"]).0, Some(0));
        scene.keep(&headless(2, 40)).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["ok"], &report["unsigned"]), (Some(0), &json!(true), &json!(40)), "{report}");
        let (code, report) = verified(scene, &["--strict"]);
        assert_eq!((code, &report["ok"], &report["findings"]), (Some(3), &json!(false), &json!([])), "{report}");
        let told = scene.run(&["audit", "verify", "--strict"]);
        assert!(out(&told).contains("\nNOT SIGNED: 40 more entries, for which nothing vouches; "), "{}", out(&told));
        // Nobody will ever sign them in a file.
        scene.told(&["audit", "export", "--out", "record.jsonl"]);
        let (code, report) = verified(scene, &["--file", "record.jsonl"]);
        assert_eq!((code, &report["ok"], &report["unsigned"]), (Some(3), &json!(false), &json!(40)), "{report}");
        let told = scene.run(&["audit", "verify", "--file", "record.jsonl"]);
        assert!(out(&told).contains("in a file nobody does"), "{}", out(&told));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_invented_instances_have_no_more_unsigned_entries_than_one() {
    with_stores(async |scene| {
        let mut lines = scene.keep_chained(1, &thirty()).await;
        let forged: Vec<Line> = (100..120).flat_map(|instance| headless(instance, 120)).collect();
        scene.keep(&forged).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["ok"], &report["unsigned"]), (Some(3), &json!(false), &json!(2_400)), "{report}");
        let told = scene.run(&["audit", "verify"]);
        assert!(out(&told).contains("one Tollgate leaves 2,023 at most"), "{}", out(&told));
        lines.extend(forged);
        fs::write(scene.dir.path().join("record.jsonl"), texts(&lines)).unwrap();
        assert_eq!(verified(scene, &["--file", "record.jsonl"]).0, Some(3));
    })
    .await;
}
