//! Whether the record is what was written.

use std::fs;

use serde_json::{Value, json};
use tollgate::record::Line;
use tollgate::record::heads::Signer;
use uuid::Uuid;

use super::{Scene, err, out, refusal, texts, thirty, turn, with_stores};

/// Verifies what a scene's files or store have, and gives the exit code and the report.
fn verified(scene: &Scene, arguments: &[&str]) -> (Option<i32>, Value) {
    let ended = scene.run(&[&["audit", "verify", "--format", "json"], arguments].concat());
    let report = serde_json::from_str(&out(&ended)).unwrap_or_else(|_| panic!("{arguments:?}: {}", err(&ended)));
    (ended.status.code(), report)
}

/// More entries than a page has, of both kinds.
fn many() -> Vec<Line> {
    (0..1_250).map(|n| if n % 25 == 0 { turn(n, json!({})) } else { refusal(n, json!({})) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_nobody_touched_is_what_was_written() {
    with_stores(async |scene| {
        let lines = scene.keep_chained(1, &many()).await;
        let more: Vec<_> =
            (3_000..3_030).map(|n| if n < 3_020 { refusal(n, json!({})) } else { turn(n, json!({})) }).collect();
        scene.keep_chained(2, &more).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["ok"], &report["entries"]), (Some(0), &json!(true), &json!(1_280)), "{report}");
        let chains: Vec<_> = report["chains"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chain| {
                (
                    chain["kind"].as_str().unwrap(),
                    chain["entries"].as_u64().unwrap(),
                    chain["signed"]["seq"].as_u64().unwrap(),
                    chain["unsigned"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            chains,
            [("audit", 1_200, 1_200, 0), ("usage", 50, 50, 0), ("audit", 20, 20, 0), ("usage", 10, 10, 0)]
        );
        let told = scene.told(&["audit", "verify"]);
        assert!(told.ends_with("\nOK: 1,280 entries are what was written, by 128 signed heads\n"), "{told}");
        // A head that the log told of is there; one that it did not is missed.
        let head = lines.iter().rev().find(|line| line.kind.as_str() == "head").unwrap();
        let hash = tollgate::record::link::Hash::of(head.text.as_bytes());
        let seen = |number: u64| format!("{}:{number}:{hash}", Uuid::from_u128(1));
        assert_eq!(verified(scene, &["--head", &seen(125)]).0, Some(0));
        let (code, report) = verified(scene, &["--head", &seen(126)]);
        assert_eq!((code, &report["ok"]), (Some(1), &json!(false)));
        // An export of it says the same, also twice.
        scene.told(&["audit", "export", "--out", "record.jsonl"]);
        fs::copy(scene.dir.path().join("record.jsonl"), scene.dir.path().join("again.jsonl")).unwrap();
        let (code, report) = verified(scene, &["--file", "record.jsonl", "again.jsonl"]);
        assert_eq!(
            (code, &report["entries"], &report["copies"]),
            (Some(0), &json!(1_280), &json!(1_280 + 128)),
            "{report}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_entry_that_is_wrong_is_named() {
    let scene = Scene::embedded();
    let lines = scene.keep_chained(1, &thirty()).await;
    let place = |kind: &str, n: usize| {
        lines.iter().enumerate().filter(|(_, line)| line.kind.as_str() == kind).nth(n).unwrap().0
    };
    let told = |name: &str, lines: &[Line]| {
        let file = format!("{name}.jsonl");
        fs::write(scene.dir.path().join(&file), texts(lines)).unwrap();
        let (code, report) = verified(&scene, &["--file", &file]);
        let human = scene.run(&["audit", "verify", "--file", &file]);
        assert_eq!((code, human.status.code()), (Some(1), Some(1)), "{name}: {report}");
        assert!(out(&human).contains("NOT WHAT WAS WRITTEN: "), "{name}: {}", out(&human));
        let first = report["findings"][0].clone();
        assert!(out(&human).contains(first["sentence"].as_str().unwrap()), "{name}: {}", out(&human));
        (
            first["what"].as_str().unwrap().to_owned(),
            first["kind"].as_str().unwrap().to_owned(),
            first["to"].as_u64().unwrap(),
        )
    };
    let mut edited = lines.clone();
    let nth = place("audit", 6);
    edited[nth].text = edited[nth].text.replace("chat.turn", "chat.torn").into();
    assert_eq!(told("edited", &edited), ("edited".into(), "audit".into(), 7));
    let mut removed = lines.clone();
    removed.remove(place("usage", 4));
    assert_eq!(told("removed", &removed), ("removed".into(), "usage".into(), 5));
    let mut twice = lines.clone();
    twice.push(lines[place("audit", 2)].clone());
    assert_eq!(told("twice", &twice), ("inserted".into(), "audit".into(), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keys_that_are_trusted_count() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let other = scene.dir.path().join("other.key");
        Signer::open_or_make(&other).unwrap().publish(&scene.dir.path().join("other.pub")).unwrap();
        let (code, report) = verified(scene, &["--key", "other.pub"]);
        assert_eq!((code, &report["findings"][0]["what"]), (Some(1), &json!("unknown key")), "{report}");
        let own = scene.dir.path().join("data/records/signing.pub");
        assert_eq!(verified(scene, &["--key", "other.pub", own.to_str().unwrap()]).0, Some(0));
        let ended = scene.run(&["audit", "verify", "--key", "other.key"]);
        assert!(err(&ended).contains("public Ed25519 key"), "{}", err(&ended));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_chain_is_told_of() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let older = |n| refusal(n, json!({"timestamp": "2026-11-20T09:15:00Z"}));
        scene.keep(&[older(50), older(70)]).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["unchained"]), (Some(0), &json!(2)), "{report}");
        let told = scene.told(&["audit", "verify", "--utc"]);
        assert!(told.contains("2 without a chain (the newest of 2026-11-20 09:15:00.000)"), "{told}");
        // Since there are chains, all entries are in one: what is in none was put in.
        let forged = refusal(80, json!({"decision": "allow"}));
        scene.keep(std::slice::from_ref(&forged)).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["findings"][0]["what"]), (Some(1), &json!("inserted")), "{report}");
        assert_eq!(report["findings"][0]["id"], json!(forged.id), "{report}");
        fs::write(scene.dir.path().join("record.jsonl"), scene.told(&["audit", "export"])).unwrap();
        let (code, report) = verified(scene, &["--file", "record.jsonl"]);
        assert_eq!((code, &report["findings"][0]["id"]), (Some(1), &json!(forged.id)), "{report}");
        fs::remove_file(scene.dir.path().join("record.jsonl")).unwrap();
        // With half a link it hides from the chains, and not from this.
        scene.keep(&[refusal(90, json!({"instance": Uuid::from_u128(1), "hash": "00"}))]).await;
        let (code, report) = verified(scene, &[]);
        let found = report["findings"].as_array().unwrap();
        let hidden = found.iter().find(|finding| finding["what"] == "unreadable");
        assert_eq!((code, &hidden.unwrap()["at"]), (Some(1), &json!("2026-11-21T08:01:30Z")), "{report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_chain_is_not_called_good() {
    with_stores(async |scene| {
        scene.signer();
        let ended = scene.run(&["audit", "verify"]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(out(&ended).starts_with("NOT VERIFIED: there is no entry with a chain"), "{}", out(&ended));
    })
    .await;
}
