//! Requests over a raw socket: what LibreChat made of each, and what the stand-in makes of it.

use serde_json::Value;

use crate::lab::{Lab, none};
use crate::support::send_raw;

const RAW: &str = include_str!("../captures/raw.jsonl");

/// What the stand-in does not do as LibreChat does, each with the reason. A proxy lets none of these through.
const APART: [(&str, &str); 29] = [
    ("12_path-fragment", "the HTTP library drops a fragment before anybody sees it, and so does this"),
    ("21_path-case-chat-agent", "names a stored agent"),
    ("22_path-case-api-agent", "names a stored agent"),
    ("35_json-lone-surrogate", "serde_json refuses lone surrogates"),
    ("36_json-invalid-utf8", "the capture's bytes are no longer there"),
    ("37_json-proto-added", "listed for its model only"),
    ("40_json-proto-agent", "names a stored agent"),
    ("41_json-proto-proto", "two levels of a trick of JavaScript's"),
    ("48_json-deep", "too long to keep in the capture"),
    ("52_json-endpoint-agents-model", "names a stored agent"),
    ("63_ct-charset-utf7", "UTF-7 is not read"),
    ("66_body-utf16le", "the capture's bytes are no longer there"),
    ("67_body-utf32", "UTF-32 is not read"),
    ("68_body-bom", "the capture's bytes are no longer there"),
    ("69_body-gzip", "compressed bodies are not read"),
    ("70_body-deflate", "compressed bodies are not read"),
    ("71_body-br", "compressed bodies are not read"),
    ("72_body-gzip-upper", "compressed bodies are not read"),
    ("73_body-double-gzip", "the capture's bytes are no longer there"),
    ("74_body-zstd", "the capture's bytes are no longer there"),
    ("77_cl-and-te", "hyper drops the length where there is a transfer coding; Node refuses"),
    ("81_expect-100", "two answers in one"),
    ("84_no-host", "hyper does not ask for a Host; Node does"),
    ("25_path-utf8", "the capture's bytes are no longer there"),
    ("87_h2c-upgrade", "answered, but the comparison of heads is the same as for /api/config"),
    ("88_h2-preface", "hyper hangs up without a word; Node says 400 first"),
    ("89_header-16k", "too long to keep in the capture"),
    ("106_ep-agents-addedConvo-only", "names a stored agent"),
    ("108_method-lowercase", "hyper takes any token for a method; Node refuses"),
];

#[tokio::test]
async fn raw_requests_come_out_as_in_the_captures() {
    let lab = Lab::start().await;
    let token = lab.stand_in.token_for(&lab.user);
    let mut differences = Vec::new();
    let mut sent = 0;
    for line in RAW.lines() {
        let captured: Value = serde_json::from_str(line).unwrap();
        let name = captured["name"].as_str().unwrap();
        if APART.iter().any(|(apart, _)| *apart == name) {
            continue;
        }
        sent += 1;
        let written = captured["request_raw"].as_str().unwrap().replace("<TOKEN>", &token);
        let answer = send_raw(lab.stand_in.addr(), written.as_bytes()).await;
        let status = |text: &str| text.split(' ').nth(1).unwrap_or_default().to_owned();
        let (theirs, ours) = (captured["response_raw"].as_str().unwrap(), String::from_utf8_lossy(&answer));
        if status(theirs) != status(&ours) {
            differences.push(format!("{name}: status: captured {:?}, ours {:?}", status(theirs), status(&ours)));
        }
        let mut models: Vec<String> = serde_json::from_value(captured["upstream_models"].clone()).unwrap();
        models.sort();
        let called = lab.called();
        if models != called {
            differences.push(format!("{name}: captured calls {models:?}, ours {called:?}"));
        }
    }
    none(&differences);
    assert!(sent >= 75, "only {sent} requests were sent");
}
