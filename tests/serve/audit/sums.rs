//! Rows of `usage_daily` that somebody has put in or spoilt.

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};

use super::verify::verified;
use super::{Scene, USER, err, out, thirty, turn, with_stores};

/// A row that is changed: in SQL, and as a document of MongoDB that takes the place of it or is put in.
struct Change {
    name: &'static str,
    sql: &'static str,
    mongo: fn(Document) -> Document,
    /// What the finding is called, and a part of its sentence.
    what: &'static str,
    sentence: &'static str,
}

const KEY: &str = "2026-11-21|6b012e4109cc968f8a928bce";

fn set(mut of: Document, members: Document) -> Document {
    of.remove("_id");
    of.extend(members);
    of
}

const CHANGES: [Change; 6] = [
    Change {
        name: "a day of the future",
        sql: "INSERT INTO usage_daily SELECT '2031-01-01|' || user, '2031-01-01', user, role, sums FROM usage_daily WHERE key = ?1",
        mongo: |of| {
            let key = format!("2031-01-01|{USER}");
            set(of, doc! {"key": key, "day": DateTime::parse_rfc3339_str("2031-01-01T00:00:00Z").unwrap()})
        },
        what: "sums",
        sentence: "on 2031-01-01: there are sums, and no entries of that day",
    },
    Change {
        name: "a key that is another user's",
        sql: "INSERT INTO usage_daily SELECT '2026-11-21|nobody', day, user, role, sums FROM usage_daily WHERE key = ?1",
        mongo: |of| set(of, doc! {"key": "2026-11-21|nobody"}),
        what: "sums",
        sentence: "the row 2026-11-21|nobody does not fit itself: key",
    },
    Change {
        name: "an erased user of whom no erasure tells",
        sql: "INSERT INTO usage_daily SELECT '2026-11-21|erased|00', day, 'erased', role, sums FROM usage_daily WHERE key = ?1",
        mongo: |of| set(of, doc! {"key": "2026-11-21|erased|00", "userId": "erased", "apiCalls": 9_999_i64}),
        what: "sums",
        sentence: "1 are of erased users, and the erasures tell of 0",
    },
    Change {
        name: "a copy that says something else",
        sql: "UPDATE usage_daily SET role = 'ADMIN' WHERE key = ?1",
        mongo: |of| {
            set(
                of,
                doc! {"key": "2026-11-21|nobody", "day": DateTime::parse_rfc3339_str("2026-11-21T01:00:00Z").unwrap()},
            )
        },
        what: "sums",
        sentence: "does not fit itself: ",
    },
    Change {
        name: "sums that are none",
        sql: "UPDATE usage_daily SET sums = 'xx' WHERE key = ?1",
        mongo: |of| set(of, doc! {"key": "2026-11-20|x", "tokenUsage": "x"}),
        what: "unreadable",
        sentence: " of usage_daily: ",
    },
    Change {
        name: "a day that is none, or no sums at all",
        sql: "INSERT INTO usage_daily SELECT '2026-11-2x|x', '2026-11-2x', 'x', role, sums FROM usage_daily WHERE key = ?1",
        mongo: |_| doc! {"x": 1},
        what: "unreadable",
        sentence: " of usage_daily: ",
    },
];

async fn make(scene: &Scene, change: &Change) {
    match scene.mongo() {
        None => {
            let store = rusqlite::Connection::open(scene.dir.path().join("data/tollgate.db")).unwrap();
            assert_eq!(store.execute(change.sql, [KEY]).unwrap(), 1, "{}", change.name);
        }
        Some(own) => {
            let days = own.collection::<Document>("usage_daily");
            let of = days.find_one(doc! {"key": KEY}).await.unwrap().unwrap();
            let made = (change.mongo)(of);
            assert_ne!(made.get("key"), Some(&Bson::from(KEY)));
            days.insert_one(made).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_sums_is_looked_at() {
    for change in &CHANGES {
        with_stores(async |scene| {
            scene.keep_chained(1, &thirty()).await;
            assert_eq!(verified(scene, &[]).0, Some(0), "{}", change.name);
            make(scene, change).await;
            let (code, report) = verified(scene, &[]);
            let fits = |found: &Value| {
                found["what"] == change.what && found["sentence"].as_str().unwrap().contains(change.sentence)
            };
            let found = report["findings"].as_array().unwrap().iter().any(fits);
            assert!(code == Some(1) && found, "{}, {}: {report}", change.name, scene.sink);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_passes_over_sums_that_are_none_and_says_so() {
    with_stores(async |scene| {
        scene.keep_chained(1, &thirty()).await;
        let rows = |told: &str| serde_json::from_str::<Value>(told).unwrap()["rows"].as_array().unwrap().len();
        let arguments = ["usage", "report", "--source", "days", "--format", "json"];
        let before = rows(&scene.told(&arguments));
        make(scene, &CHANGES[4]).await;
        let ended = scene.run(&arguments);
        assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
        assert!(err(&ended).contains("of usage_daily was passed over: "), "{}", err(&ended));
        // Of the embedded store's two rows one is spoilt; to MongoDB's a third is added.
        assert_eq!(rows(&out(&ended)), if scene.mongo().is_none() { before - 1 } else { before });
        // The next turn of the user is taken, and its sums are whole again.
        scene.keep(&scene.chained(2, &[turn(60, json!({"settled": "2026-11-21T09:00:00Z"}))])).await;
        let (code, report) = verified(scene, &[]);
        let unreadable = report["findings"].as_array().unwrap().len();
        assert_eq!((code, unreadable), if scene.mongo().is_none() { (Some(0), 0) } else { (Some(1), 1) }, "{report}");
    })
    .await;
}
