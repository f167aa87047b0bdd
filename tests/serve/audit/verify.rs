//! Whether the record is what was written.

use std::fs;

use jiff::SignedDuration;
use mongodb::bson::{self, Document, doc};
use serde_json::{Value, json};
use tollgate::clock::Clock;
use tollgate::record::Line;
use tollgate::record::chain::Chain;
use tollgate::record::heads::Signer;
use uuid::Uuid;

use super::{Scene, USER, err, out, refusal, texts, thirty, turn, with_stores};

/// Verifies what a scene's files or store have, and gives the exit code and the report.
pub(super) fn verified(scene: &Scene, arguments: &[&str]) -> (Option<i32>, Value) {
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

/// Changes the store behind the program's back: a statement for the embedded store, or a pipeline on one document of MongoDB.
async fn tamper(scene: &Scene, sql: &str, mongo: (&str, Document, Document)) {
    match scene.mongo() {
        None => {
            let store = rusqlite::Connection::open(scene.dir.path().join("data/tollgate.db")).unwrap();
            assert!(store.execute(sql, []).unwrap() > 0, "{sql}");
        }
        Some(own) => {
            let (collection, of, change) = mongo;
            let changed = own.collection::<Document>(collection).update_one(of, change).await.unwrap();
            assert_eq!(changed.modified_count, 1, "{sql}");
        }
    }
}

/// The first finding, after which the record must not be called good.
fn found(scene: &Scene) -> Value {
    let (code, report) = verified(scene, &[]);
    assert_eq!((code, &report["ok"]), (Some(1), &json!(false)), "{}: {report}", scene.sink);
    report["findings"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_entries_are_found_by_must_be_what_their_text_says() {
    with_stores(async |scene| {
        let lines = scene.keep_chained(1, &thirty()).await;
        assert_eq!(verified(scene, &[]).0, Some(0));
        let line = lines.iter().find(|line| line.text.contains("\"deny\"")).unwrap();
        let id = bson::Uuid::from_bytes(line.id.into_bytes());
        tamper(
            scene,
            &format!(
                "UPDATE audit SET user = 'nobody', decision = 'allow', severity = 'INFO' WHERE id = '{}'",
                line.id
            ),
            ("audit", doc! {"_id": id}, doc! {"$set": {"_text": &*line.text, "userId": "nobody", "decision": "allow"}}),
        )
        .await;
        let first = found(scene);
        assert_eq!((&first["what"], &first["id"]), (&json!("edited"), &json!(line.id)), "{first}");
        assert!(first["sentence"].as_str().unwrap().contains("decision"), "{first}");
    })
    .await;
    with_stores(async |scene| {
        // A time of long ago would let the entry expire.
        let lines = scene.keep_chained(1, &thirty()).await;
        let id = bson::Uuid::from_bytes(lines[3].id.into_bytes());
        let collection = if lines[3].kind.as_str() == "audit" { "audit" } else { "usage_events" };
        tamper(
            scene,
            &format!("UPDATE {collection} SET time = 0 WHERE id = '{}'", lines[3].id),
            (
                collection,
                doc! {"_id": id},
                doc! {"$set": {"_text": &*lines[3].text, "timestamp": bson::DateTime::from_millis(0)}},
            ),
        )
        .await;
        assert_eq!(found(scene)["id"], json!(lines[3].id));
        // It is passed over, and not read for ever.
        let export = scene.run(&["audit", "export"]);
        assert_eq!(export.status.code(), Some(0), "{}", err(&export));
        assert_eq!(out(&export).lines().count(), lines.len() - 1);
        assert!(err(&export).contains("another id or time"), "{}", err(&export));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_is_none_blinds_nobody_and_is_named() {
    for (sql, collection, document, named) in [
        ("INSERT INTO audit (id, time, body) VALUES ('x', 1795000000000000, 'xx')", "audit", doc! {"x": 1}, "of audit"),
        (
            "INSERT INTO usage_events (id, time, body) VALUES ('x', 1795000000000000, x'00ff')",
            "usage_events",
            doc! {"_id": "x", "timestamp": "2026-11-21T08:00:00Z"},
            "of usage_events",
        ),
        (
            "INSERT INTO heads (id, time, instance, seq, body) VALUES ('x', 1, 'zzz', 1, '{}')",
            "heads",
            doc! {"instance": "zzz", "number": 1},
            "of heads",
        ),
    ] {
        with_stores(async |scene| {
            let lines = scene.keep_chained(1, &thirty()).await;
            match scene.mongo() {
                None => {
                    let store = rusqlite::Connection::open(scene.dir.path().join("data/tollgate.db")).unwrap();
                    store.execute(sql, []).unwrap();
                }
                Some(own) => {
                    own.collection::<Document>(collection).insert_one(document.clone()).await.unwrap();
                }
            }
            let first = found(scene);
            assert_eq!(first["what"], "unreadable", "{first}");
            assert!(first["sentence"].as_str().unwrap().contains(named), "{first}");
            let export = scene.run(&["audit", "export"]);
            assert_eq!((export.status.code(), out(&export)), (Some(0), scene.told(&["audit", "export"])));
            assert_eq!(out(&export).lines().count(), lines.len(), "{}", err(&export));
            assert_eq!(scene.told(&["audit", "tail", "-n", "100", "--format", "json"]).lines().count(), 20);
            if collection == "audit" && scene.mongo().is_none() {
                assert!(err(&export).contains("is no line of the record and was passed over"), "{}", err(&export));
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_removed_whole_is_missed() {
    with_stores(async |scene| {
        scene.signer();
        let set = |role: &str| scene.told(&["users", "set", USER, "--role", role, "--sink", scene.sink]);
        set("ADMIN");
        scene.keep_chained(1, &thirty()).await;
        set("USER");
        assert_eq!(verified(scene, &[]).0, Some(0));
        // The first of them granted the right: it goes, and its head with it.
        let all = scene.ledger.instances().await.unwrap();
        let granted = all.iter().find(|instance| **instance != Uuid::from_u128(1)).unwrap();
        for (table, collection) in [("audit", "audit"), ("heads", "heads")] {
            match scene.mongo() {
                None => {
                    let store = rusqlite::Connection::open(scene.dir.path().join("data/tollgate.db")).unwrap();
                    store.execute(&format!("DELETE FROM {table} WHERE instance = '{granted}'"), []).unwrap();
                }
                Some(own) => {
                    let of = doc! {"instance": bson::Uuid::from_bytes(granted.into_bytes())};
                    own.collection::<Document>(collection).delete_many(of).await.unwrap();
                }
            }
        }
        let first = found(scene);
        assert_eq!((&first["what"], &first["instance"]), (&json!("heads missing"), &json!(granted)), "{first}");
        assert!(first["sentence"].as_str().unwrap().contains("the whole instance is gone"), "{first}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_by_day_are_what_the_entries_add_up_to() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let (code, report) = verified(scene, &[]);
        assert_eq!((code, &report["sums"]["good"]), (Some(0), &json!(2)), "{report}");
        let key = format!("2026-11-21|{USER}");
        tamper(
            scene,
            &format!("UPDATE usage_daily SET sums = replace(sums, '\"input\":', '\"input\":9') WHERE key = '{key}'"),
            ("usage_daily", doc! {"key": &key}, doc! {"$set": {"tokenUsage.input": 9}}),
        )
        .await;
        let first = found(scene);
        assert_eq!(first["what"], "sums", "{first}");
        assert!(first["sentence"].as_str().unwrap().contains(USER), "{first}");
    })
    .await;
}

/// What somebody may do to a record who may write to the store and has not the key.
type Way = (&'static str, &'static str, fn(&mut Vec<Line>));

/// Each with what it is found as.
const WAYS: [Way; 13] = [
    ("an entry is edited", "edited", |lines| change(lines, "audit", 4, "chat.turn", "chat.torn")),
    ("a turn is edited", "edited", |lines| change(lines, "usage", 2, "gpt-4o", "gpt-5o")),
    ("a head is edited", "bad signature", |lines| change(lines, "head", 1, "\"number\":2", "\"number\":9")),
    ("an entry is removed", "removed", |lines| drop(lines.remove(nth(lines, "audit", 4)))),
    ("a head is removed", "heads missing", |lines| drop(lines.remove(nth(lines, "head", 1)))),
    ("an entry is there a second time with another id", "inserted", |lines| {
        let twin = lines[nth(lines, "audit", 4)].clone();
        let id = Uuid::from_u128(1 << 100);
        let text = twin.text.replace(&twin.id.to_string(), &id.to_string()).into();
        lines.push(Line { id, text, ..twin });
    }),
    ("a tombstone is made by hand", "unreadable", |lines| {
        let erased = format!("\"erased\":\"{}\",\"salt\":", Uuid::from_u128(9));
        change(lines, "audit", 4, "\"salt\":", &erased);
        change(lines, "audit", 4, "\"salt\":\"", "\"salt\":\"x");
    }),
    ("an entry without a chain is put in", "inserted", |lines| lines.push(refusal(80, json!({"decision": "allow"})))),
    ("a chain is made anew under the same heads", "rewritten", |lines| {
        let heads: Vec<_> = lines.iter().filter(|line| line.kind.as_str() == "head").cloned().collect();
        let mut chain = Chain::new(Uuid::from_u128(1));
        let mut entries = thirty();
        entries[7] = refusal(7, json!({"decision": "allow"}));
        *lines = entries.iter().map(|entry| chain.link(entry).unwrap()).collect();
        lines.extend(heads);
    }),
    ("the last heads are dropped, and what they were about is made anew", "heads missing", |lines| {
        lines.truncate(nth(lines, "head", 0) + 1);
        let mut chain = Chain::new(Uuid::from_u128(1));
        lines.iter().for_each(|line| chain.follow(line).unwrap());
        lines.extend((40..60).map(|n| chain.link(&refusal(n, json!({"decision": "allow"}))).unwrap()));
    }),
    ("old entries are put behind a retired instance", "heads missing", |lines| {
        let mut chain = Chain::new(Uuid::from_u128(1));
        lines.iter().for_each(|line| chain.follow(line).unwrap());
        let old = |n| refusal(n, json!({"timestamp": "2026-10-03T09:15:00Z", "decision": "allow"}));
        lines.extend((100..1_600).map(|n| chain.link(&old(n)).unwrap()));
    }),
    (
        "old entries are put behind a retired instance, and say that they were answered just now",
        "heads missing",
        |lines| {
            let mut chain = Chain::new(Uuid::from_u128(1));
            lines.iter().for_each(|line| chain.follow(line).unwrap());
            let now = Clock::system().now();
            let old = |n: u32| {
                let at = now - SignedDuration::from_hours(24 * 47) + SignedDuration::from_secs(n.into());
                let took = now.as_millisecond() - at.as_millisecond();
                refusal(
                    n,
                    json!({"timestamp": at, "decision": "allow", "details": {"response": {"status": 200, "time": took}}}),
                )
            };
            lines.extend((100..1_600).map(|n| chain.link(&old(n)).unwrap()));
        },
    ),
    ("an instance of the future is put in", "heads missing", |lines| {
        let mut chain = Chain::new(Uuid::from_u128(77));
        let late = |n| refusal(n, json!({"timestamp": "2099-10-03T09:15:00Z", "decision": "allow"}));
        lines.extend((100..2_000).map(|n| chain.link(&late(n)).unwrap()));
    }),
];

fn nth(lines: &[Line], kind: &str, n: usize) -> usize {
    lines.iter().enumerate().filter(|(_, line)| line.kind.as_str() == kind).nth(n).unwrap().0
}

fn change(lines: &mut [Line], kind: &str, n: usize, from: &str, to: &str) {
    let line = &mut lines[nth(lines, kind, n)];
    assert!(line.text.contains(from), "{}", line.text);
    line.text = line.text.replacen(from, to, 1).into();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_tamper_is_found_in_every_store_and_offline() {
    for (name, what, way) in WAYS {
        with_stores(async |scene| {
            let mut lines = scene.chained(1, &thirty());
            way(&mut lines);
            scene.keep(&lines).await;
            let (code, report) = verified(scene, &[]);
            assert_eq!(code, Some(1), "{name}, {}: {report}", scene.sink);
            let has = |report: &Value| report["findings"].as_array().unwrap().iter().any(|found| found["what"] == what);
            assert!(has(&report), "{name}, {}: {report}", scene.sink);
            fs::write(scene.dir.path().join("record.jsonl"), texts(&lines)).unwrap();
            let (code, report) = verified(scene, &["--file", "record.jsonl"]);
            // A file whose last heads are gone may be one that was read out then: what comes after them is told as signed by nobody.
            let told =
                if name.starts_with("the last heads") { code == Some(3) } else { code == Some(1) && has(&report) };
            assert!(told, "{name}, in a file: {report}");
        })
        .await;
    }
}
