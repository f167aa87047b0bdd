//! Public corpora of request smuggling, where they are at hand: they are no part of this repository.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::streams::decode;
use super::{installation, run, say};

/// Beside the repository.
const CORPORA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpora");

/// A raw request, and what its collector says of it.
struct Payload {
    name: String,
    tier: String,
    bytes: Vec<u8>,
}

fn corpus(file: &str) -> Option<Vec<Payload>> {
    let path = Path::new(CORPORA).join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        say(&format!("{} is not at hand: nothing is shown here", path.display()));
        return None;
    };
    let payload = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Payload { name: text("name"), tier: text("tier"), bytes: decode(&text("base64")) }
    };
    Some(text.lines().map(payload).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_payload_of_the_corpora_becomes_another_request() {
    let Some(payloads) = corpus("http-framing.jsonl") else { return };
    assert_eq!(payloads.len(), 5547);
    let (world, mut node) = installation().await;
    let run = run(world, &mut node, payloads.into_iter().map(|payload| payload.bytes).collect(), 1024).await;
    say(&run.summary());
    assert!(run.findings.apart_from(&[]).is_empty(), "{:#?}", run.findings.apart_from(&[]));
    assert!(run.refused > 5000 && run.reached > 0, "{} refused, {} reached", run.refused, run.reached);
}

/// The same bodies and tricks on a route that takes a body and streams it. A client that breaks off there leaves half a request by
/// nature: its connection is closed, and nothing may ever follow on it.
#[tokio::test(flavor = "multi_thread")]
async fn no_payload_becomes_another_request_on_a_streamed_route() {
    let Some(payloads) = corpus("http-framing.jsonl") else { return };
    let (world, mut node) = installation().await;
    let streams = payloads.into_iter().map(|payload| retarget(&payload.bytes)).collect();
    let run = run(world, &mut node, streams, 1024).await;
    say(&run.summary());
    let findings = run.findings.apart_from(&["half", "parser"]);
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(run.findings.count("parser"), run.findings.count("half"), "each half request ended its connection");
    assert!(run.reached > 10, "{} reached", run.reached);
}

/// The payload with its first target replaced.
fn retarget(bytes: &[u8]) -> Vec<u8> {
    let mut words = bytes.splitn(3, |byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some(rest)) if target.starts_with(b"/") => {
            [method, b" /api/auth/login ", rest].concat()
        }
        _ => bytes.to_vec(),
    }
}

/// What the collector calls compliant and the gate refuses all the same, and why.
const STRICTER: [(&str, &str); 9] = [
    // More than one transfer coding, or one with parameters: only `chunked` is ever needed, and readers differ in the rest.
    ("Correct TE OK", "gate.transfer-encoding"),
    ("Transfer-Encoding: identity and chunked OK", "gate.transfer-encoding"),
    ("Multiple transfer encoding headers in a single request OK", "gate.transfer-encoding"),
    ("TE with custom parameters OK", "gate.transfer-encoding"),
    ("Different Transfer-Encoding headers", "gate.transfer-encoding"),
    ("Different Transfer-Encoding headers combined", "gate.transfer-encoding"),
    ("Transfer-Encoding with a param: chunked;custom_param", "gate.transfer-encoding"),
    // A `#` and quotes in the target; no target at all. RFC 9112 section 3.2 has neither.
    ("Compliant URL", "gate.target"),
    ("Empty URI", "gate.target"),
];

#[tokio::test(flavor = "multi_thread")]
async fn severe_requests_are_refused_and_compliant_ones_are_not() {
    let Some(payloads) = corpus("http-desync-tiers.jsonl") else { return };
    let (world, mut node) = installation().await;
    let run = run(world, &mut node, payloads.iter().map(|payload| payload.bytes.clone()).collect(), 256).await;
    assert!(run.findings.apart_from(&[]).is_empty(), "{:#?}", run.findings.apart_from(&[]));
    let (mut severe, mut compliant, mut stricter, mut wrong) = (0, 0, 0, Vec::new());
    for (payload, sent) in payloads.iter().zip(&run.sent) {
        // The first answer is to the payload; what follows it in the stream is a second request.
        let first = sent.rules.first().filter(|_| sent.tags.is_empty()).map_or("", String::as_str);
        let refused = first.starts_with("gate.");
        let title = payload.name.split_once(".yaml:").map_or("", |(_, rest)| rest);
        let known = STRICTER.iter().find(|(name, _)| title.strip_suffix(":Compliant") == Some(name));
        match (payload.tier.as_str(), known) {
            ("Severe", _) if refused && sent.statuses == ["400"] => severe += 1,
            ("Compliant", None) if !refused => compliant += 1,
            ("Compliant", Some((_, rule))) if first == *rule => stricter += 1,
            ("Severe" | "Compliant", _) => wrong.push((&payload.name, &sent.statuses, &sent.rules)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((severe, compliant, stricter), (58, 19, 9));
}
