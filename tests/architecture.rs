//! Holds the borders between the rooms: reads every file of `src/` and fails with file, line and the rule that is broken.
//!
//! The table of borders is in `architecture/borders.rs`. The second half of this file proves on small samples that each
//! of them can fail, and that comments, strings, tests and modules of the same name as a crate do not trip them.

#[path = "architecture/borders.rs"]
mod borders;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/source.rs"]
mod source;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use borders::{breaches, rules};
use source::Source;

/// Every `.rs` file below a directory, sorted.
fn rust_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Every file of `src/` but those that are modules under `#[cfg(test)]`.
fn sources() -> io::Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for file in rust_files(&root.join("src"))? {
        let path = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        sources.push(Source::read(&path, &fs::read_to_string(&file)?));
    }
    let tests: Vec<String> = sources.iter().flat_map(test_files).collect();
    sources.retain(|source| !tests.iter().any(|test| source.path.starts_with(test)));
    Ok(sources)
}

/// How the paths of a file's test modules begin: `src/flow.rs` with `#[cfg(test)] mod tests;` gives `src/flow/tests.rs` and
/// `src/flow/tests/`.
fn test_files(source: &Source) -> Vec<String> {
    let mut home = vec!["src".to_owned()];
    home.extend(source.module());
    let home = home.join("/");
    source.test_modules.iter().flat_map(|name| [format!("{home}/{name}.rs"), format!("{home}/{name}/")]).collect()
}

#[test]
fn no_file_crosses_a_border() {
    let sources = sources().unwrap();
    for known in ["src/lib.rs", "src/flow.rs", "src/edge.rs", "src/policy/words.rs"] {
        assert!(sources.iter().any(|source| source.path == known), "{known} was not read");
    }
    let found: Vec<String> = sources.iter().flat_map(breaches).map(|breach| breach.to_string()).collect();
    assert!(found.is_empty(), "{} borders are crossed:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_border_can_be_crossed() {
    // (file, code, what is found there, a part of the rule)
    let samples = [
        ("src/flow.rs", "use pingora_core::server::Server;", "`pingora_core::server::Server`", "chassis"),
        ("src/admin.rs", "fn f() { let _ = hyper::body::Frame::data(1); }", "`hyper::body::Frame::data`", "engine"),
        (
            "src/edge/front.rs",
            "use hyper_util::rt as hyper; use axum::{Router, Json};",
            "`axum::Router`",
            "admin plane",
        ),
        ("src/store.rs", "type A = Result<u8, mongodb::error::Error>;", "`mongodb::error::Error`", "MongoDB driver"),
        ("src/librechat/records.rs", "use ::bson::oid::ObjectId;", "`bson::oid::ObjectId`", "MongoDB driver"),
        ("src/store/memory.rs", "use rusqlite;", "`rusqlite`", "SQLite"),
        ("src/meter.rs", "extern crate redis;", "`redis`", "Redis driver"),
        ("src/edge/gate.rs", "use {std::fmt, jsonwebtoken as jwt};", "`jsonwebtoken`", "tokens"),
        (
            "src/flow/turn.rs",
            "#[derive(Debug)] struct A(prometheus::IntCounter);",
            "`prometheus::IntCounter`",
            "series",
        ),
        ("src/meter/receipt.rs", "use crate::flow::Passage;", "`crate::flow::Passage`", "the meter counts charges"),
        ("src/flow/charges.rs", "use crate::cases::Run;", "`crate::cases::Run`", "by who loads it"),
        ("src/cases/judged.rs", "use crate::flow::Spine;", "`crate::flow::Spine`", "need no LibreChat"),
        ("src/edge/front.rs", "use tokio_rustls::TlsConnector;", "`tokio_rustls::TlsConnector`", "TLS is spoken"),
        (
            "src/identity.rs",
            "use crate::provider::Provider;",
            "`crate::provider::Provider`",
            "the ways to the identity",
        ),
        ("src/policy/check.rs", "use serde_json::Value;", "`serde_json::Value`", "pure"),
        ("src/policy.rs", "fn now() -> std::time::Instant { todo() }", "`std::time::Instant`", "pure"),
        ("src/policy.rs", "pub async fn decide() {}", "`async`", "waits"),
        ("src/policy/explain.rs", "use super::super::clock::Clock;", "`crate::clock::Clock`", "no other room"),
        ("src/policy.rs", "use super::flow;", "`crate::flow`", "no other room"),
        ("src/librechat/path.rs", "use tracing::info;", "`tracing::info`", "plain functions"),
        (
            "src/flow.rs",
            "use hyper::{self, header::{HeaderMap, HeaderValue}};",
            "`hyper::header::HeaderValue`",
            "http and bytes",
        ),
        ("src/flow.rs", "use crate::{config, edge::{serve, Front}};", "`crate::edge::Front`", "depends on the edge"),
        ("src/flow.rs", "fn f() { crate::edge::serve() }", "`crate::edge::serve`", "depends on the edge"),
        ("src/flow.rs", "const A: &str = r#\"x\"/api/models\"#;", "\"x\"/api/models\"", "LibreChat's paths"),
        ("src/edge.rs", "const A: &[u8] = b\"/api/\";", "\"/api/\"", "LibreChat's paths"),
        ("src/admin/users.rs", "const A: &str = \"/api/models\";", "\"/api/models\"", "API of its own"),
    ];
    let mut crossed = HashSet::new();
    for (file, code, found, rule) in samples {
        let text = format!("//! A sample.\n\n{code}\n");
        let breaches = breaches(&Source::read(file, &text));
        let hit = breaches.iter().find(|breach| breach.found == found && breach.why.contains(rule));
        let hit = hit.unwrap_or_else(|| panic!("{file}: `{code}`: no breach of \"{rule}\" in {breaches:?}"));
        assert_eq!(hit.line, 3, "{file}: `{code}`");
        crossed.insert(hit.why);
    }
    let never: Vec<_> = rules().filter(|rule| !crossed.contains(rule)).collect();
    assert!(never.is_empty(), "no sample crosses {never:?}");
}

#[test]
fn a_file_needs_a_purpose_and_an_end() {
    let nameless = breaches(&Source::read("src/clock.rs", "// Not a doc comment.\nfn f() {}\n"));
    assert_eq!(nameless.iter().map(|breach| breach.line).collect::<Vec<_>>(), [1]);
    assert!(nameless.iter().all(|breach| breach.why.contains("what it is for")), "{nameless:?}");

    let long = |code: usize, tests: usize| {
        let (code, tests) = ("fn f() {}\n".repeat(code), "fn t() {}\n".repeat(tests));
        let text = format!("//! A sample.\n{code}#[cfg(test)]\nmod tests {{\n{tests}}}\n");
        breaches(&Source::read("src/clock.rs", &text))
    };
    assert_eq!(long(599, 500), []);
    let breaches = long(600, 500);
    assert_eq!(breaches.iter().map(|breach| breach.found.as_str()).collect::<Vec<_>>(), ["601 lines without tests"]);
}

#[test]
fn what_is_no_code_crosses_nothing() {
    let samples = [
        ("src/flow.rs", "// use pingora_core::Server;\n/* hyper::body /* nested */ crate::edge */ fn f() {}"),
        ("src/flow.rs", "fn f() -> &'static str { \"hyper::body crate::edge // \\\" pingora_core::Server\" }"),
        ("src/flow.rs", "fn f<'hyper>(a: &'hyper str) -> char { let _ = '\"'; let _ = '\\''; 'x' }"),
        ("src/flow.rs", "#[cfg(test)]\nmod tests {\n use hyper::Body;\n const A: &str = \"/api/models\";\n}"),
        (
            "src/flow.rs",
            "#[cfg(test)]\nuse hyper::{Body, header};\n#[cfg(test)]\n#[derive(Debug)]\nstruct A { b: hyper::Body }",
        ),
        ("src/store.rs", "pub mod redis;\npub mod mongo;\nfn f() { redis::connect() }\nuse redis::Redis;"),
        ("src/app.rs", "use crate::store::redis;\nuse crate::edge;\nfn f() { redis::connect() }"),
        ("src/edge/front.rs", "use pingora_core::Server; use hyper::body; use super::gate; use crate::flow::Passage;"),
        ("src/store/mongo/users.rs", "use mongodb::bson::doc;"),
        (
            "src/policy/check.rs",
            "use super::words::Ask; use crate::report::Fault; use crate::policy::{Caller, Verdict};",
        ),
        ("src/admin/users.rs", "const A: &str = \"/api/v1/admin/users\";"),
        ("src/meter.rs", "fn f(a: A) { a.hyper::<u8>(); let bson = 1; A { redis: bson }; }"),
    ];
    for (file, code) in samples {
        let found = breaches(&Source::read(file, &format!("//! A sample.\n{code}\n")));
        assert_eq!(found, [], "{file}: {code}");
    }
}

#[test]
fn test_modules_in_files_of_their_own_are_left_out() {
    let flow = Source::read("src/flow.rs", "//! Flow.\n#[cfg(test)]\nmod tests;\nmod turn;\n");
    assert_eq!(flow.test_modules, ["tests"]);
    assert_eq!(test_files(&flow), ["src/flow/tests.rs", "src/flow/tests/"]);
    let root = Source::read("src/lib.rs", "//! Root.\n#[cfg(test)]\npub(crate) mod support;\n");
    assert_eq!(test_files(&root), ["src/support.rs", "src/support/"]);
}
