//! Attempts in the body: 1 to 50.

use super::super::written::{chat, sent};
use super::super::{Outcome, Want};
use super::{Add, CHEAP, DEAR, LIST, MINI, cheap_with};
use Want::{Calls, Judged, Refused};

pub(super) fn fill(add: &mut Add<'_>) {
    keys(add);
    names(add);
    elsewhere(add);
    documents(add);
}

/// A member that is a model to one reader and not to another.
fn keys(add: &mut Add<'_>) {
    let duplicate = Refused(400, "body-duplicate-key");
    for (number, name, more) in [
        (1, "a key twice", r#""model":"gpt-4o""#),
        (2, "a key twice, once escaped", r#""\u006dodel":"gpt-4o""#),
        (2, "a key twice, escaped in capitals", r#""\u006D\u006Fdel":"gpt-4o""#),
        (
            3,
            "a key twice in addedConvo",
            r#""addedConvo":{"endpoint":"openAI","model":"gpt-4o-mini","model":"gpt-4o"}"#,
        ),
        (4, "endpoint twice", r#""endpoint":"anthropic""#),
        (5, "agent_id twice", r#""agent_id":"openAI__x","agent_id":"agent_dear""#),
    ] {
        add(number, name, chat(&[], &cheap_with(more)), duplicate);
    }
    for (number, name, key) in [
        (6, "Model", "Model"),
        (6, "MODEL", "MODEL"),
        (7, "a space behind", "model "),
        (8, "a space before", " model"),
        (9, "NUL behind", "model\\u0000"),
        (10, "zero width behind", "model\u{200b}"),
        (10, "zero width within, escaped", "mod\\u200bel"),
    ] {
        // LibreChat knows no such member: beside a model it means nothing, alone it is none.
        add(number, name, chat(&[], &cheap_with(&format!(r#""{key}":"gpt-4o""#))), Calls(200, MINI));
        let alone = format!(r#"{{"text":"hi","endpoint":"openAI","{key}":"gpt-4o"}}"#);
        add(number, &format!("{name}, alone"), chat(&[], alone.as_bytes()), Refused(400, "select-model-missing"));
    }
}

/// A value that is one model to one reader and another, or none, to another.
fn names(add: &mut Add<'_>) {
    let missing = Refused(400, "select-model-missing");
    let no_name = Refused(400, "select-model");
    let another = Refused(403, LIST);
    for (number, name, model, want) in [
        (11, "full width", r#""ｇｐｔ-4o-mini""#, another),
        (12, "Cyrillic", r#""gpt-4o-m\u0456ni""#, another),
        (13, "composed", "\"gpt-4o-m\u{ed}ni\"", another),
        (13, "decomposed", "\"gpt-4o-mi\u{301}ni\"", another),
        (14, "dotless i", "\"gpt-4o-m\u{131}ni\"", another),
        (14, "dotted capital I", "\"GPT-4O-M\u{130}NI\"", another),
        (15, "a space behind", r#""gpt-4o-mini ""#, no_name),
        (15, "a line end behind", r#""gpt-4o-mini\n""#, no_name),
        (15, "NUL behind", r#""gpt-4o-mini\u0000""#, no_name),
        (16, "another case", r#""GPT-4o-mini""#, another),
        (17, "an alias", r#""openai/gpt-4o-mini""#, another),
        (18, "an array", r#"["gpt-4o-mini"]"#, no_name),
        (19, "an object", r#"{"name":"gpt-4o-mini"}"#, no_name),
        (20, "a number", "4", no_name),
        (21, "null", "null", missing),
        (23, "empty", r#""""#, no_name),
    ] {
        let body = format!(r#"{{"text":"hi","endpoint":"openAI","model":{model}}}"#);
        add(number, name, chat(&[], body.as_bytes()), want);
    }
    add(22, "no model", chat(&[], br#"{"text":"hi","endpoint":"openAI"}"#), missing);
    let long = format!(r#"{{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini{}"}}"#, "x".repeat(1_000_000));
    add(24, "a name of a million letters", chat(&[], long.as_bytes()), no_name);
}

/// A model where only some look for one.
fn elsewhere(add: &mut Add<'_>) {
    let prototype = Refused(400, "body-prototype-key");
    let sanitised = Refused(400, "body-sanitised-key");
    for (number, name, more, want) in [
        (25, "__proto__", r#""__proto__":{"model":"gpt-4o"}"#, prototype),
        (25, "__proto__, escaped", r#""__proto_\u005f":{"model":"gpt-4o"}"#, prototype),
        (26, "constructor", r#""constructor":{"prototype":{"model":"gpt-4o"}}"#, prototype),
        (27, "$model", r#""$model":"gpt-4o""#, sanitised),
        (27, "a full stop", r#""endpointOption.model":"gpt-4o""#, sanitised),
        (28, "endpointOption", r#""endpointOption":{"model":"gpt-4o"}"#, Calls(200, MINI)),
        (29, "modelOptions", r#""modelOptions":{"model":"gpt-4o"}"#, Calls(200, MINI)),
        (32, "addedConvo", r#""addedConvo":{"endpoint":"openAI","model":"gpt-4o"}"#, Refused(403, LIST)),
        (
            32,
            "addedConvo of another",
            r#""addedConvo":{"endpoint":"anthropic","model":"x"}"#,
            Refused(403, "unlisted.endpoint"),
        ),
        (37, "endpointType of another", r#""endpointType":"anthropic""#, Refused(400, "select-endpoint-type")),
        (37, "endpointType custom", r#""endpointType":"custom""#, Refused(400, "select-endpoint-type")),
        (40, "presetOverride", r#""presetOverride":{"model":"gpt-4o"},"resendFiles":true"#, Calls(200, MINI)),
    ] {
        add(number, name, chat(&[], &cheap_with(more)), want);
    }
    for (number, name, body) in [
        (28, "endpointOption alone", r#"{"text":"hi","endpoint":"openAI","endpointOption":{"model":"gpt-4o-mini"}}"#),
        (29, "modelOptions alone", r#"{"text":"hi","endpoint":"openAI","modelOptions":{"model":"gpt-4o-mini"}}"#),
    ] {
        add(number, name, chat(&[], body.as_bytes()), Refused(400, "select-model-missing"));
    }
    let json = "Content-Type: application/json";
    let post = |target: &str, body: &str| sent(&format!("POST {target} HTTP/1.1"), &[json], body.as_bytes());
    let anthropic = r#"{"text":"hi","endpoint":"anthropic","model":"gpt-4o-mini"}"#;
    let other = Refused(403, "unlisted.endpoint");
    add(38, "the path allowed, the body not", post("/api/agents/chat/openAI", anthropic), other);
    add(38, "the body allowed, the path not", post("/api/agents/chat/anthropic", CHEAP), Calls(200, MINI));
    add(39, "cheap in the query", post("/api/agents/chat?model=gpt-4o-mini", DEAR), Refused(403, LIST));
    add(39, "dear in the query", post("/api/agents/chat?model=gpt-4o&endpoint=openAI", CHEAP), Calls(200, MINI));
}

/// Documents that only some readers take.
fn documents(add: &mut Add<'_>) {
    let garbage = Refused(400, "body-not-json");
    let trailing = Refused(400, "body-trailing");
    let half = Refused(400, "body-lone-surrogate");
    let range = Refused(400, "body-number-range");
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for (number, name, body, want) in [
        (41, "an array", format!("[{DEAR}]"), Refused(400, "body-not-object")),
        (42, "a byte order mark", format!("\u{feff}{CHEAP}"), Refused(400, "body-byte-order-mark")),
        (43, "something behind", format!("{CHEAP}x"), trailing),
        (43, "NUL behind", format!("{CHEAP}\0"), trailing),
        (44, "two documents", format!("{CHEAP}{DEAR}"), trailing),
        (44, "two documents on lines", format!("{CHEAP}\n{DEAR}"), trailing),
    ] {
        add(number, name, chat(&[], body.as_bytes()), want);
    }
    for (number, name, more, want) in [
        (45, "NaN", r#""x":NaN"#, garbage),
        (45, "Infinity", r#""x":Infinity"#, garbage),
        (45, "1e400", r#""x":1e400"#, range),
        (45, "-1e400", r#""x":-1e400"#, range),
        (46, "big integers", r#""x":[12345678901234567890123,-9007199254740993]"#, Judged(200, integers_as_they_came)),
        (47, "half a pair", r#""x":"\ud800""#, half),
        (47, "half a pair in a key", r#""\udc00":1"#, half),
    ] {
        add(number, name, chat(&[], &cheap_with(more)), want);
    }
    add(
        48,
        "a hundred thousand levels",
        chat(&[], &cheap_with(&format!(r#""x":{deep}"#))),
        Refused(400, "body-too-deep"),
    );
    let items = vec!["1"; 1_000_000].join(",");
    let many = Judged(200, |outcome| whole(outcome, 2_000_000));
    add(49, "a million items", chat(&[], &cheap_with(&format!(r#""x":[{items}]"#))), many);
    // Keys that a hash which begins with the length and the first letters would put together.
    let members: Vec<String> = (0..100_000).map(|at| format!(r#""samehash{at:06}":0"#)).collect();
    let many = Judged(200, |outcome| whole(outcome, 1_900_000));
    add(50, "a hundred thousand keys", chat(&[], &cheap_with(&members.join(","))), many);
}

fn integers_as_they_came(outcome: &Outcome) -> Option<String> {
    let body = String::from_utf8_lossy(&outcome.reached[0].body).into_owned();
    let kept = body.contains(r#""x":[12345678901234567890123,-9007199254740993]"#);
    only_mini(outcome).or_else(|| (!kept).then(|| format!("LibreChat got {body}")))
}

fn whole(outcome: &Outcome, least: usize) -> Option<String> {
    let length = outcome.reached[0].body.len();
    only_mini(outcome).or_else(|| (length < least).then(|| format!("LibreChat got {length} bytes")))
}

fn only_mini(outcome: &Outcome) -> Option<String> {
    (outcome.calls != MINI).then(|| format!("called {:?}", outcome.calls))
}
