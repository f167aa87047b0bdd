//! Every document of the public JSON corpus, as a body and beside a model: read as Node reads it, or refused.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tollgate::librechat::json::{Limits, read_strict};
use tollgate::librechat::selection::select_turn;

use crate::express::{Express, chat};
use crate::judged::difference;

/// `../shared/corpora/json-parsing.jsonl`, which is no part of the product; another place can be named.
fn documents() -> Option<Vec<(String, Vec<u8>)>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let file = std::env::var_os("TOLLGATE_TEST_CORPORA").map_or(beside, PathBuf::from).join("json-parsing.jsonl");
    let Ok(text) = fs::read_to_string(&file) else {
        eprintln!("the JSON corpus is not there: not run");
        return None;
    };
    Some(
        text.lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).expect("a line of JSON");
                let encoded = line["base64"].as_str();
                (line["name"].as_str().expect("a name").to_owned(), unbase64(encoded.expect("a document")))
            })
            .collect(),
    )
}

pub(crate) fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|known| *known == byte)
    };
    let digits: Vec<usize> = text.bytes().map_while(digit).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bytes.extend([bits >> 16, bits >> 8, bits].iter().take(four.len() - 1).map(|byte| (byte & 0xff) as u8));
    }
    bytes
}

#[test]
fn every_document_of_the_corpus_is_read_as_node_reads_it_or_refused() {
    let Some(documents) = documents() else { return };
    let Some(express) = Express::start() else { return };
    let mut session = express.session();
    let mut differences = Vec::new();
    let (mut bodies, mut fields) = (0, 0);
    for (name, document) in &documents {
        if let Ok(read) = read_strict(document, Limits::CHAT) {
            bodies += 1;
            let [theirs, ours] = both(&mut session, document, &read.text());
            if theirs.status != 200 || ours.status != 200 || theirs.said["body"] != ours.said["body"] {
                differences.push(format!("{name} as the body: {theirs:?} became {ours:?}"));
            }
        }
        let around = [br#"{"model":"gpt-4o-mini","endpoint":"openAI","x":"#.as_slice(), document, b"}"].concat();
        if let Ok(turn) = select_turn(&around) {
            fields += 1;
            let [theirs, ours] = both(&mut session, &around, &turn.body);
            if theirs.status != 200 || theirs.said["body"] != ours.said["body"] {
                differences.push(format!("{name} as a field: {theirs:?} became {ours:?}"));
            }
            differences.extend(difference(&turn, &ours).map(|difference| format!("{name} as a field: {difference}")));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    let count = documents.len();
    eprintln!("{count} documents as the body: {bodies} read as Node reads them, {} refused", count - bodies);
    eprintln!("{count} documents as a field: {fields} read as Node reads them, {} refused", count - fields);
    assert!(bodies > 10 && fields > 90, "hardly anything was read: {bodies} bodies, {fields} fields");
}

/// What Express makes of the client's bytes, and of ours.
fn both(session: &mut crate::express::Session, theirs: &[u8], ours: &[u8]) -> [crate::express::Answer; 2] {
    session.ask(&[chat(theirs), chat(ours)]).try_into().expect("two answers")
}
