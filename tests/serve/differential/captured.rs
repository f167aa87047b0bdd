//! The requests of `tests/captures/raw.jsonl`, as they were sent to LibreChat, and what Tollgate makes of each.
//!
//! Most of them choose `gpt-4o`, which users may not have and administrators may.

use serde_json::Value;

use super::{Case, Want};
use Want::{Calls, Refused, Unread};

const RAW: &str = include_str!("../../captures/raw.jsonl");

/// What is to come of a captured request.
pub(super) struct Row {
    name: &'static str,
    pub(super) user: Want,
    pub(super) admin: Want,
}

/// Every captured request, as the table says.
pub(super) fn cases(want: impl Fn(&Row) -> Want) -> Vec<Case> {
    RAW.lines()
        .map(|line| {
            let captured: Value = serde_json::from_str(line).expect("a line of JSON");
            let name = captured["name"].as_str().expect("a name").to_owned();
            let row = ROWS.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name} is not in the table"));
            let bytes = bytes(captured["request_raw"].as_str().expect("a request"), &name);
            Case { bytes, want: want(row), name }
        })
        .collect()
}

/// The bytes: each character of a capture is one. The agent is ours, so that the request can be found in the record, and
/// but for the pipelined ones the connection is to be closed, so that nobody waits for more.
fn bytes(raw: &str, name: &str) -> Vec<u8> {
    let close = if name == "83_pipelined" { "" } else { "Connection: close\r\n" };
    let line = format!("User-Agent: <AGENT>\r\n{close}");
    let mut whole = String::new();
    for part in raw.split_inclusive("\r\n") {
        whole.push_str(if part.starts_with("User-Agent: ") { &line } else { part });
    }
    if !whole.contains("<AGENT>") {
        whole = whole.replacen("\r\n", &format!("\r\n{line}"), 1);
    }
    whole.chars().map(|char| u8::try_from(u32::from(char)).expect("a byte")).collect()
}

const fn row(name: &'static str, user: Want, admin: Want) -> Row {
    Row { name, user, admin }
}

/// The same for everybody: the request cannot be read in one way only, or concerns nobody's models.
const fn both(name: &'static str, want: Want) -> Row {
    row(name, want, want)
}

/// The rule that keeps users from OpenAI's other models.
const LIST: &str = "roles.USER.endpoints.openAI.models";
const MINI: &[&str] = &["openAI|gpt-4o-mini"];
const FULL: &[&str] = &["openAI|gpt-4o"];

const ROWS: &[Row] = &[
    row("01_baseline", Refused(403, LIST), Calls(200, FULL)),
    both("02_path-dotdot", Refused(400, "path-dot-segment")),
    both("03_path-dot", Refused(400, "path-dot-segment")),
    both("04_path-double-slash-start", Refused(400, "path-empty-segment")),
    both("05_path-double-slash-mid", Refused(400, "path-empty-segment")),
    both("06_path-double-slash-end", Refused(400, "path-empty-segment")),
    row("07_path-trailing-slashes", Refused(403, LIST), Calls(200, FULL)),
    both("08_path-backslash", Refused(400, "path-backslash")),
    both("09_path-absolute-form", Unread(400, "gate.target")),
    both("10_path-absolute-other-host", Unread(400, "gate.target")),
    row("11_path-query", Refused(403, LIST), Calls(200, FULL)),
    both("12_path-fragment", Unread(400, "gate.target")),
    both("13_path-semicolon", Refused(400, "path-semicolon")),
    both("14_path-semicolon-mid", Refused(400, "path-semicolon")),
    both("15_path-encoded-slash", Refused(400, "path-encoded-slash")),
    both("16_path-encoded-endpoint", Refused(400, "path-encoded-plain")),
    row("17_path-endpoint-anything", Refused(403, LIST), Calls(200, FULL)),
    row("18_path-case-api", Refused(403, LIST), Calls(200, FULL)),
    row("19_path-case-agents", Refused(403, LIST), Calls(200, FULL)),
    row("20_path-case-chat", Refused(403, LIST), Calls(200, FULL)),
    row("21_path-case-chat-agent", Refused(403, "agent.no-store"), Calls(200, FULL)),
    row("22_path-case-api-agent", Refused(403, "agent.no-store"), Calls(200, FULL)),
    both("23_path-percent-bad", Refused(400, "path-escape")),
    both("24_path-nul", Refused(400, "path-encoded-control")),
    both("25_path-utf8", Unread(400, "gate.target")),
    both("26_path-edit", Refused(404, "route.unknown")),
    both("27_json-dup-key", Refused(400, "body-duplicate-key")),
    both("28_json-escaped-key", Refused(400, "body-duplicate-key")),
    both("29_json-proto", Refused(400, "body-prototype-key")),
    both("30_json-proto-nomodel", Refused(400, "body-prototype-key")),
    both("31_json-dollar-prefixed", Refused(400, "body-sanitised-key")),
    both("32_json-comments", Refused(400, "body-not-json")),
    both("33_json-nan", Refused(400, "body-not-json")),
    both("34_json-trailing", Refused(400, "body-trailing")),
    both("35_json-lone-surrogate", Refused(400, "body-lone-surrogate")),
    both("36_json-invalid-utf8", Refused(400, "body-not-utf8")),
    both("37_json-proto-added", Refused(400, "body-prototype-key")),
    both("38_json-added-proto", Refused(400, "body-prototype-key")),
    both("39_json-proto-endpoint", Refused(400, "body-prototype-key")),
    both("40_json-proto-agent", Refused(400, "body-prototype-key")),
    both("41_json-proto-proto", Refused(400, "body-prototype-key")),
    both("42_json-constructor", Refused(400, "body-prototype-key")),
    both("43_form-proto", Refused(415, "content-type")),
    both("44_form-model-brackets", Refused(415, "content-type")),
    both("45_form-encoded-key", Refused(415, "content-type")),
    both("46_json-top-null", Refused(400, "body-not-object")),
    both("47_json-empty", Refused(400, "body-not-json")),
    both("48_json-deep", Refused(400, "body-too-deep")),
    both("49_json-model-number", Refused(400, "select-model")),
    both("50_json-model-object", Refused(400, "select-model")),
    both("51_json-endpoint-array", Refused(400, "select-endpoint")),
    both("52_json-endpoint-agents-model", Refused(400, "select-agent")),
    both("53_json-agent-id-array", Refused(400, "select-agent")),
    both("54_json-modelOptions", Calls(200, MINI)),
    both("55_json-overrideConvo", Calls(200, MINI)),
    both("56_json-added-array", Refused(400, "select-added-convo")),
    both("57_form", Refused(415, "content-type")),
    both("58_form-dup", Refused(415, "content-type")),
    both("59_form-nested-added", Refused(415, "content-type")),
    both("60_form-charset", Refused(415, "content-type")),
    row("61_ct-uppercase", Refused(403, LIST), Calls(200, FULL)),
    both("62_ct-params", Refused(415, "content-type")),
    both("63_ct-charset-utf7", Refused(415, "content-type")),
    both("64_ct-charset-latin1", Refused(415, "content-type")),
    both("65_ct-list", Refused(415, "content-type")),
    both("66_body-utf16le", Refused(415, "content-type")),
    both("67_body-utf32", Refused(415, "content-type")),
    both("68_body-bom", Refused(400, "body-byte-order-mark")),
    both("69_body-gzip", Refused(415, "content-encoding")),
    both("70_body-deflate", Refused(415, "content-encoding")),
    both("71_body-br", Refused(415, "content-encoding")),
    both("72_body-gzip-upper", Refused(415, "content-encoding")),
    both("73_body-double-gzip", Refused(415, "content-encoding")),
    both("74_body-zstd", Refused(415, "content-encoding")),
    row("75_chunked", Refused(403, LIST), Calls(200, FULL)),
    both("76_chunked-split", Refused(400, "gate.chunk")),
    both("77_cl-and-te", Unread(400, "gate.length")),
    both("78_te-obfuscated", Unread(400, "gate.transfer-encoding")),
    both("79_two-cl", Unread(400, "gate.length")),
    both("80_get-with-body", Unread(400, "gate.body")),
    row("81_expect-100", Refused(403, LIST), Calls(200, FULL)),
    both("82_http10", Calls(200, &[])),
    both("83_pipelined", Calls(200, &[])),
    both("84_no-host", Unread(400, "gate.host")),
    both("85_websocket-upgrade", Calls(404, &[])),
    both("86_websocket-root", Calls(200, &[])),
    both("87_h2c-upgrade", Calls(200, &[])),
    both("88_h2-preface", Unread(405, "gate.method")),
    both("89_header-16k", Unread(431, "gate.too-long")),
    // Of the ways to write a bearer that LibreChat takes, one is enough.
    both("90_auth-tab", Refused(401, "identity.missing")),
    both("91_auth-two-spaces", Refused(401, "identity.malformed")),
    both("92_auth-trailing", Refused(401, "identity.malformed")),
    both("93_auth-upper", Calls(200, &[])),
    both("94_auth-dup-header", Refused(401, "identity.malformed")),
    both("95_auth-comma", Refused(401, "identity.missing")),
    both("96_xff", Calls(200, &[])),
    row("97_ep-lower-mindroom", Refused(403, "unlisted.endpoint"), Calls(200, &[])),
    row("98_ep-OpenAI-case", Refused(403, "unlisted.endpoint"), Calls(200, &[])),
    both("99_ep-openAI-type-custom", Refused(400, "select-endpoint-type")),
    row("100_ep-mindroom-no-type", Refused(403, "roles.USER.endpoints.custom.MindRoom.models"), Calls(200, &[])),
    both("101_ep-mindroom-type-openAI", Refused(400, "select-endpoint-type")),
    both("102_ep-openAI-space", Refused(400, "select-endpoint")),
    row("103_ep-google-nokey", Refused(403, "unlisted.endpoint"), Calls(200, &[])),
    row("104_ep-azure-nokey", Refused(403, "unlisted.endpoint"), Calls(200, &[])),
    row("105_ep-custom", Refused(403, "unlisted.endpoint"), Calls(200, &[])),
    row(
        "106_ep-agents-addedConvo-only",
        Refused(403, "agent.no-store"),
        Calls(200, &["openAI|gpt-4o", "MindRoom|mindroom-pro"]),
    ),
    both("107_method-put", Refused(405, "route.method")),
    both("108_method-lowercase", Unread(405, "gate.method")),
];
