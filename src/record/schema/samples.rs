//! Lines of each form: the examples of the page, and what is made of them.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::record::chain::{Chain, Erasure};
use crate::record::entry::{
    About, Changed, FaultFound, ForkedAt, LimitAnew, LinkedEnd, LostBefore, LostFrames, OverrideTold, PrincipalTold,
    Rights, VersionTold,
};
use crate::record::heads::Signer;
use crate::record::line::{Kind, Line};
use crate::record::link::Hash;

/// RFC 8032, section 7.1, test 1: a key that everybody has.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

/// A file of the repository.
pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What there is to say of each kind of event.
pub(super) fn abouts() -> [About; 19] {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let rights = |role: &str| Rights { groups: vec!["staff".into()], role: Some(role.into()) };
    [
        About::Program { version: "0.1.0", mode: "enforce" },
        About::Loaded { from: "2054cbb1c9fc".into(), mode: "shadow", files: 3 },
        About::Refused {
            faults: 2,
            found: vec![FaultFound { code: "duplicate-key", place: Some("policies/staff.yaml:7:3".into()) }],
        },
        About::Anew {
            limits: vec![LimitAnew {
                limit: "user-day".into(),
                from: "day in Europe/Berlin".into(),
                to: "day in America/New_York".into(),
            }],
        },
        About::Untaken {
            audit: 12,
            usage: 3,
            since: at("2026-11-21T08:15:00.123Z"),
            until: at("2026-11-21T08:15:02.5Z"),
            reason: "the record took no entries",
        },
        About::Lost { kind: Kind::Usage, from: 180, to: 182, reason: "the spool was damaged".into() },
        About::Beginning {
            frames: LostFrames { from: 4, to: 9, lost: 6 },
            before: LostBefore { audit: Some(14), usage: Some(7), head: Some(3) },
            reason: "the spool was damaged".into(),
        },
        About::Linked {
            store: "embedded".into(),
            instances: vec![LinkedEnd {
                instance: id(1),
                number: 2,
                head: Hash::of(b"a head"),
                timestamp: at("2026-11-21T08:15:00.123Z"),
            }],
        },
        About::Forked {
            retired: id(1),
            store: "embedded".into(),
            known: ForkedAt { audit: 4, usage: 2, head: 2 },
            kept: ForkedAt { audit: 9, usage: 2, head: 3 },
        },
        About::Answered { request: id(6), status: 200, time: 34.1 },
        About::Late { entry: id(6), status: 503 },
        About::Noise { requests: 3_983, since: at("2026-11-21T08:15:00.123Z"), until: at("2026-11-21T08:15:02.5Z") },
        About::UserSet { changed: vec![Changed::Role], before: Some(rights("USER")), after: rights("ADMIN") },
        About::UserRemoved { before: rights("ADMIN") },
        About::OverrideSet { principal: principal(), before: Some(an_override(6)), after: an_override(7) },
        About::OverrideRemoved { principal: principal(), before: an_override(7) },
        About::OverridesTaken {
            from: "0123456789ab".into(),
            in_force: 3,
            changed: vec![version(Some(7)), version(None)],
            faulty: vec![version(Some(5))],
        },
        About::NotDone { failed: id(6) },
        About::Erased {
            count: 27,
            root: Hash::of(b"27 entries"),
            removed: Some(0),
            days: Some(4),
            reason: "asked on 21 November".into(),
        },
    ]
}

fn principal() -> PrincipalTold {
    PrincipalTold { kind: "user", id: "6b012e4109cc968f8a928bce".into() }
}

fn version(config_version: Option<u64>) -> VersionTold {
    VersionTold { principal: principal(), config_version }
}

fn an_override(config_version: u64) -> OverrideTold {
    OverrideTold {
        config_version,
        priority: 30,
        state: "active",
        expires_at: Some(at()),
        overrides: r#"{"limits":{"user-day":{"tokens":"1M"}}}"#.into(),
        note: Some("thesis".into()),
    }
}

/// The example of a form: what stands on the page, or is made as Tollgate makes it.
pub(super) fn example(form: &str) -> Value {
    match form {
        "head" | "tombstone" => serde_json::from_str(&made(form)).unwrap(),
        _ => {
            let page = fs::read_to_string(file("docs/records.md")).unwrap();
            let block = page.split(&format!("```json {form}\n")).nth(1).unwrap().split("```").next().unwrap();
            let mut example: Value = serde_json::from_str(block).unwrap();
            let bound: Value = serde_json::from_str(&bound().text).unwrap();
            for member in ["salt", "instance", "seq", "prevHash", "hash"] {
                example[member] = bound[member].clone();
            }
            example
        }
    }
}

/// An entry in its chain. Its salt is the same every time, as the page has to be.
fn bound() -> Line {
    let (kind, id, at) = (Kind::Usage, id(2), at());
    let text = format!(r#"{{"kind":"usage","_id":"{id}","timestamp":"{at}"}}"#);
    let salt = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
    Chain::new(self::id(1)).link_salted(&Line { kind, id, at, text: text.into() }, salt).unwrap()
}

/// A line that is made of the entry: its tombstone, or the head behind it.
pub(super) fn made(form: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("signing.key");
    fs::write(&key, KEY).unwrap();
    let signer = Signer::open(&key).unwrap();
    let line = bound();
    let line = match form {
        "tombstone" => Erasure { id: id(3), signer: &signer }.tombstone(&line).unwrap(),
        _ => {
            let mut chain = Chain::new(id(1));
            chain.head(&signer, id(4), at()).unwrap();
            chain.resume(&line).unwrap();
            chain.head(&signer, id(5), at()).unwrap()
        }
    };
    line.text.into()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x019a_a551_7a70_7c01_8f00_6d1f_5a4b_e000 + n)
}

fn at() -> Timestamp {
    "2026-11-21T08:15:00.123Z".parse().unwrap()
}
