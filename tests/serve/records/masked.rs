//! What the settings keep out of the record is nowhere: not in any sink, not in the spool, not in the log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::Method;
use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::kept::{Kept, data};
use crate::POLICY;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};
use crate::support::{open, patiently, send_raw};
use crate::world::World;

/// Two addresses of one network, and one of IPv6.
const CALLERS: [&str; 3] = ["203.0.113.77", "203.0.113.78", "2001:db8:12:3456::9"];
const AGENT: &str = "an-agent-of-its-own";
const IDS: [&str; 4] = [
    "a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b",
    "6b012e4109cc968f8a928b77",
    "V1StGXR8_Z5jdHi6B-myT",
    "files-of-Somebody-1234",
];
/// What is asked for, and how it is written.
const PATHS: [(&str, &str); 4] = [
    ("/api/convos/a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b", "/api/convos/*"),
    ("/api/admin/users/6b012e4109cc968f8a928b77", "/api/admin/users/*"),
    ("/api/no-such-route/V1StGXR8_Z5jdHi6B-myT", "/api/no-such-route/*"),
    ("/api/files/download/6b012e4109cc968f8a928b77/files-of-Somebody-1234", "/api/files/download/*/*"),
];

/// Everything that was written, by where it is.
struct Written(Vec<(&'static str, String)>);

// === impl Written ===

impl Written {
    async fn of(world: &World, mongod: &Mongod, file: &Path) -> Self {
        let mut written = vec![("log", world.log()), ("file", fs::read_to_string(file).expect("a file"))];
        written.push(("stdout", world.record().iter().map(Value::to_string).collect()));
        let mut found = mongod.own.collection::<Document>("audit").find(doc! {}).await.expect("documents");
        let mut documents = String::new();
        while found.advance().await.expect("a document") {
            documents.push_str(&found.deserialize_current().expect("a document").to_string());
        }
        written.push(("mongo", documents));
        let (data, mut spool, mut others) = (data(world), String::new(), String::new());
        bytes_in(&data.join("records/spool"), &mut spool);
        bytes_in(&data, &mut others);
        written.extend([("spool", spool), ("data directory", others)]);
        Self(written)
    }

    fn places(&self, text: &str) -> BTreeSet<&'static str> {
        self.0.iter().filter(|(_, written)| written.contains(text)).map(|(place, _)| *place).collect()
    }

    /// This is in the record and in no log.
    fn assert_everywhere(&self, text: &str) {
        let all = ["data directory", "file", "mongo", "spool", "stdout"].into();
        assert_eq!(self.places(text), all, "{text}");
    }
}

/// All bytes of all files, as text.
fn bytes_in(directory: &Path, out: &mut String) {
    for file in fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        match path.is_dir() {
            true => bytes_in(&path, out),
            false => out.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("a file that can be read"))),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Asks for all paths from all addresses, and for what is no request.
async fn ask(world: &World) {
    let bearer = format!("Bearer {}", world.bearer("User"));
    for (path, _) in PATHS {
        for caller in CALLERS {
            for (name, value) in [("authorization", bearer.as_str()), ("accept", "*/*")] {
                let headers = [("x-forwarded-for", caller), ("user-agent", AGENT), (name, value)];
                open(world.addr, Method::GET, path, &headers, Bytes::new()).await.rest().await;
            }
        }
    }
    send_raw(world.addr, b"GET /api/convos/a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b HTTP/1.1\r\nHost : t\r\n\r\n").await;
}

async fn record_of(world: &mut World) {
    let waiting = |sink: &str| format!("tollgate_record_waiting{{sink=\"{sink}\"}}");
    for sink in ["stdout", "embedded", "mongo", "file"] {
        world.until("the sink has all", async |world| world.metric(&waiting(sink)).await == "0").await;
    }
    world.signal("TERM");
    assert!(world.ended().await.success(), "{}", world.log());
    let stopped = async {
        while !world.record().iter().any(|entry| entry["action"] == "tollgate.stopped") {
            tokio::task::yield_now().await;
        }
    };
    patiently("the record is read", stopped).await;
}

async fn masked(mask: &str, check: impl AsyncFnOnce(&mut World, &Mongod, &Path)) {
    with_mongod(async |mongod| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("record.jsonl");
        let records = format!("records: {{ mask: {mask}, file: {{ path: {} }} }}", file.display());
        let mut world = with_directory(POLICY, mongod, &mongod.uri)
            .settings(&records)
            .settings("trusted_proxies: [127.0.0.1]")
            .variable("TOLLGATE_RECORDS", "stdout,embedded,mongo,file")
            .variable("TOLLGATE_LOG", "debug")
            .start()
            .await;
        ask(&world).await;
        record_of(&mut world).await;
        check(&mut world, mongod, &file).await;
    })
    .await;
}

#[tokio::test]
async fn networks_stand_for_addresses_and_stars_for_ids() {
    masked("{ ip: subnet, user_agent: drop, path: ids }", async |world, mongod, file| {
        let written = Written::of(world, mongod, file).await;
        for kept_out in CALLERS.into_iter().chain(IDS).chain([AGENT, "userAgent"]) {
            assert_eq!(written.places(kept_out), BTreeSet::new(), "{kept_out}");
        }
        for network in ["203.0.113.0/24", "2001:db8:12::/48", "127.0.0.0/24"] {
            written.assert_everywhere(network);
        }
        for (_, path) in PATHS {
            written.assert_everywhere(path);
        }
        let kept = Kept::in_mongo(mongod, world).await;
        let networks: BTreeSet<&str> = kept.decisions().map(|entry| text(&entry["details"]["ip"])).collect();
        assert_eq!(networks, ["127.0.0.0/24", "2001:db8:12::/48", "203.0.113.0/24"].into());
        kept.assert_whole("masked");
        Kept::embedded(world).await.assert_whole("masked");
    })
    .await;
}

#[tokio::test]
async fn names_stand_for_addresses_and_stay_over_a_restart() {
    masked("{ ip: hash }", async |world, mongod, file| {
        world.start_again().await;
        ask(world).await;
        record_of(world).await;
        let written = Written::of(world, mongod, file).await;
        for caller in CALLERS {
            assert_eq!(written.places(caller), BTreeSet::new(), "{caller}");
        }
        let kept = Kept::in_mongo(mongod, world).await;
        let names: BTreeSet<&str> = kept.decisions().map(|entry| text(&entry["details"]["ip"])).collect();
        assert_eq!(names.len(), CALLERS.len() + 1, "one for each caller, and one for what was no request: {names:?}");
        for name in names {
            assert!(name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
            written.assert_everywhere(name);
        }
        // What is not masked is there: the search finds.
        for kept in [AGENT, PATHS[0].0, PATHS[2].0] {
            written.assert_everywhere(kept);
        }
    })
    .await;
}
