//! A whole record as a store has it, verified, and as it lies in the spool.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tollgate::clock::Clock;
use tollgate::record::heads::Public;
use tollgate::record::verify::{Expiry, Keep, Report, Trust, Verifier};
use tollgate::record::{Kind, Line};
use tollgate::store::Ledger;
use tollgate::store::embedded::Embedded;
use tollgate::store::mongo::Mongo;

use crate::mongod::Mongod;
use crate::schema;
use crate::world::World;

/// Lines that are read at once.
const PAGE: usize = 2_000;

/// A record.
pub(super) struct Kept {
    pub(super) report: Report,
    /// In the order of their chains.
    pub(super) entries: Vec<Value>,
}

/// Tollgate's data directory.
pub(super) fn data(world: &World) -> std::path::PathBuf {
    world.dir.path().join("data")
}

// === impl Kept ===

impl Kept {
    /// What Tollgate's own database has.
    pub(super) async fn in_mongo(mongod: &Mongod, world: &World) -> Self {
        let store = Mongo::connect(&mongod.uri, mongod.own.name()).await.expect("a store");
        Self::read(&store, &data(world)).await
    }

    /// What the embedded store has. Tollgate may be running.
    pub(super) async fn embedded(world: &World) -> Self {
        let store = Embedded::open(&data(world)).expect("a store");
        Self::read(&store, &data(world)).await
    }

    async fn read(ledger: &dyn Ledger, data: &Path) -> Self {
        let pem = fs::read_to_string(data.join("records/signing.pub")).expect("a public key");
        let trust = Trust { keys: vec![Public::read(&pem).expect("a key")], ..Trust::default() };
        let keep = Keep { audit: Expiry::Never, usage: Expiry::Never, heads: Expiry::Never };
        let mut verifier = Verifier::new(trust, keep, Clock::system().now());
        let mut entries = Vec::new();
        for instance in ledger.instances().await.expect("instances") {
            verifier.instance(instance);
            for kind in [Kind::Head, Kind::Audit, Kind::Usage] {
                let mut from = 0;
                loop {
                    let lines = ledger.chain(instance, kind, from, PAGE).await.expect("lines").lines;
                    let member = if kind == Kind::Head { "number" } else { "seq" };
                    let read: Vec<Value> = lines.iter().map(value).collect();
                    lines.iter().for_each(|line| verifier.take(line));
                    let Some(last) = read.last() else { break };
                    from = last[member].as_u64().expect("a number") + 1;
                    entries.extend(read);
                }
            }
        }
        Self { report: verifier.finish(), entries }
    }

    /// Nothing is wrong and nothing is missing.
    pub(super) fn assert_whole(&self, what: &str) {
        assert!(self.report.is_good(), "{what}: {:?}", self.report.findings);
        assert_eq!((self.report.lost(), self.report.dropped, self.report.unchained), (0, (0, 0), 0), "{what}");
    }

    /// The entries of decisions.
    pub(super) fn decisions(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().filter(|entry| entry["kind"] == "audit" && entry["decision"].is_string())
    }

    /// How many entries of decisions each request has.
    pub(super) fn decided(&self) -> HashMap<String, usize> {
        count(self.decisions(), "requestId")
    }

    /// How many usage entries each request has.
    pub(super) fn used(&self) -> HashMap<String, usize> {
        count(self.entries.iter().filter(|entry| entry["kind"] == "usage"), "requestId")
    }

    /// How many entries have each id.
    pub(super) fn ids(&self) -> HashMap<String, usize> {
        count(self.entries.iter(), "_id")
    }

    /// What events tell of what is missing.
    pub(super) fn gaps(&self) -> Vec<Value> {
        self.entries
            .iter()
            .filter(|entry| entry["action"] == "records.gap")
            .map(|entry| entry["about"].clone())
            .collect()
    }
}

fn count<'a>(entries: impl Iterator<Item = &'a Value>, member: &str) -> HashMap<String, usize> {
    entries.fold(HashMap::new(), |mut counted, entry| {
        *counted.entry(entry[member].as_str().expect("an id").to_owned()).or_default() += 1;
        counted
    })
}

/// A line that was kept, held to the schema.
fn value(line: &Line) -> Value {
    let value = serde_json::from_str(&line.text).expect("JSON");
    schema::hold(&value);
    value
}

/// A whole frame of the spool, read by the form that is written down and not by the product's code.
pub(super) struct Frame {
    /// Where it begins in its segment.
    pub(super) at: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What was kept.
    pub(super) entry: Value,
}

/// The segments, the oldest first.
pub(super) fn segments(world: &World) -> Vec<std::path::PathBuf> {
    let directory = fs::read_dir(data(world).join("records/spool")).expect("a spool");
    let mut files: Vec<_> = directory.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// The whole frames at the beginning of a segment, by their numbers.
pub(super) fn frames(segment: &Path) -> BTreeMap<u64, Frame> {
    let bytes = fs::read(segment).expect("a segment");
    let (mut frames, mut at) = (BTreeMap::new(), 0);
    while let Some(header) = bytes.get(at..at + 18).filter(|header| header[..2] == [0xF5, 0xC3]) {
        let length = u32::from_le_bytes(header[2..6].try_into().expect("4 bytes")) as usize;
        let number = u64::from_le_bytes(header[6..14].try_into().expect("8 bytes"));
        let sum = u32::from_le_bytes(header[14..18].try_into().expect("4 bytes"));
        let end = at + 18 + length;
        let Some(payload) = bytes.get(at + 18..end) else { break };
        if crc32c::crc32c_append(crc32c::crc32c(&header[2..14]), payload) != sum {
            break;
        }
        let entry = serde_json::from_slice(payload).expect("an entry");
        frames.insert(number, Frame { at, end, entry });
        at = end;
    }
    frames
}
