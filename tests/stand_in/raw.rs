//! Requests over a raw socket: what LibreChat made of each, and what the stand-in makes of it.

use serde_json::Value;

use crate::lab::{Lab, none};
use crate::support::send_raw;

const RAW: &str = include_str!("../captures/raw.jsonl");

/// What the stand-in does not do as LibreChat does, each with the reason. A proxy lets none of these through.
const APART: [(&str, &str); 12] = [
    ("25_path-utf8", "hyper lets bytes above 127 into a path; Node refuses"),
    ("35_json-lone-surrogate", "serde_json refuses lone surrogates"),
    ("48_json-deep", "serde_json has a limit of depth, and calls what is deeper malformed"),
    ("63_ct-charset-utf7", "UTF-7 is not read"),
    ("67_body-utf32", "UTF-32 is not read"),
    ("69_body-gzip", "compressed bodies are not read"),
    ("70_body-deflate", "compressed bodies are not read"),
    ("71_body-br", "compressed bodies are not read"),
    ("72_body-gzip-upper", "compressed bodies are not read"),
    ("77_cl-and-te", "hyper drops the length where there is a transfer coding; Node refuses"),
    ("88_h2-preface", "hyper hangs up without a word; Node says 400 first"),
    ("108_method-lowercase", "hyper takes any token for a method; Node refuses"),
];

#[tokio::test]
async fn raw_requests_come_out_as_in_the_captures() {
    let lab = Lab::with_agent().await;
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
        // The capture holds a character for each byte.
        let written: Vec<u8> = written.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect();
        let answer = send_raw(lab.stand_in.addr(), &written).await;
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
    assert!(sent >= 90, "only {sent} requests were sent");
}
