//! Lays an answer beside a captured one and lists what is different.

use http::HeaderMap;
use serde_json::Value;

/// Headers whose values must be equal.
const EQUAL: [&str; 14] = [
    "content-type",
    "content-encoding",
    "cache-control",
    "pragma",
    "expires",
    "vary",
    "connection",
    "keep-alive",
    "x-accel-buffering",
    "x-robots-tag",
    "accept-ranges",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
];
/// Headers of which only the presence counts.
const PRESENT: [&str; 5] = ["etag", "content-length", "transfer-encoding", "last-modified", "date"];

/// The differences between the headers LibreChat sent and ours.
pub(crate) fn headers(captured: &Value, ours: &HeaderMap) -> Vec<String> {
    let theirs = |name: &str| {
        let pairs = captured.as_array().into_iter().flatten();
        let mut values = pairs.filter(|pair| pair[0].as_str().is_some_and(|other| other.eq_ignore_ascii_case(name)));
        values.next().and_then(|pair| pair[1].as_str())
    };
    let mine = |name: &str| ours.get(name).map(|value| value.to_str().expect("headers are text"));
    // LibreChat prefers br, the stand-in speaks gzip.
    let equal = EQUAL
        .iter()
        .map(|name| (name, theirs(name).map(|value| if value == "br" { "gzip" } else { value }), mine(name)))
        .filter(|(_, theirs, mine)| theirs != mine)
        .map(|(name, theirs, mine)| format!("header {name}: captured {theirs:?}, ours {mine:?}"));
    let present = PRESENT
        .iter()
        .filter(|name| theirs(name).is_some() != mine(name).is_some())
        .map(|name| format!("header {name}: captured {:?}, ours {:?}", theirs(name), mine(name)));
    equal.chain(present).collect()
}

/// The differences in shape: keys and types. Of lists, elements are compared pair by pair.
pub(crate) fn shape(captured: &Value, ours: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    walk("$", captured, ours, &mut differences);
    differences
}

fn walk(path: &str, captured: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (captured, ours) {
        (Value::Object(theirs), Value::Object(mine)) => {
            for (key, value) in theirs {
                match mine.get(key) {
                    Some(other) => walk(&format!("{path}.{key}"), value, other, differences),
                    None => differences.push(format!("{path}.{key}: missing")),
                }
            }
            let extra = mine.keys().filter(|key| !theirs.contains_key(*key));
            differences.extend(extra.map(|key| format!("{path}.{key}: not in the capture")));
        }
        (Value::Array(theirs), Value::Array(mine)) => {
            if theirs.is_empty() != mine.is_empty() {
                differences.push(format!("{path}: captured {} elements, ours {}", theirs.len(), mine.len()));
            }
            for (index, (value, other)) in theirs.iter().zip(mine).enumerate() {
                walk(&format!("{path}[{index}]"), value, other, differences);
            }
        }
        _ if kind(captured) == kind(ours) => {}
        _ => differences.push(format!("{path}: captured {}, ours {}", kind(captured), kind(ours))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// One event of a stream: what kind it is, and its data.
pub(crate) type Event = (String, Value);

/// The events in a stream's text.
pub(crate) fn events(text: &str) -> Vec<Event> {
    assert!(text.is_empty() || text.ends_with("\n\n"), "the stream ends in the middle of an event: {text:?}");
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
    frames
        .map(|frame| {
            let (name, data) = frame.split_once('\n').expect("two lines");
            let name = name.strip_prefix("event: ").expect("the event's name first");
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("then its data")).expect("JSON");
            let inner = ["created", "final", "sync"].into_iter().find(|key| data.get(*key).is_some());
            let kind = inner.or(data["event"].as_str()).unwrap_or("data");
            (format!("{name}/{kind}"), data)
        })
        .collect()
}

/// The differences between two streams: the order of kinds (repetitions count once), and the shape of each kind.
pub(crate) fn streams(captured: &[Event], ours: &[Event]) -> Vec<String> {
    let kinds = |events: &[Event]| {
        let mut kinds: Vec<String> = events.iter().map(|(kind, _)| kind.clone()).collect();
        kinds.dedup();
        kinds
    };
    let mut differences = Vec::new();
    if kinds(captured) != kinds(ours) {
        differences.push(format!("events: captured {:?}, ours {:?}", kinds(captured), kinds(ours)));
    }
    let mut told: Vec<&str> = Vec::new();
    for (kind, data) in captured.iter().filter(|(kind, _)| kind != "error/data") {
        if told.contains(&kind.as_str()) {
            continue;
        }
        told.push(kind);
        if let Some((_, mine)) = ours.iter().find(|(other, _)| other == kind) {
            differences.extend(shape(data, mine).into_iter().map(|difference| format!("{kind} {difference}")));
        }
    }
    // LibreChat counts the question's tokens beside the run; where the run was faster, the event has no count.
    differences.retain(|line| line != "message/created $.message.tokenCount: not in the capture");
    differences.extend(errors(captured, ours));
    differences
}

/// Error events carry JSON in a string; where that names a type, it must be the very same.
fn errors(captured: &[Event], ours: &[Event]) -> Vec<String> {
    let error = |events: &[Event]| {
        let text = events.iter().find(|(kind, _)| kind == "error/data").map(|(_, data)| data.clone())?;
        let inner = text["error"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        Some(inner.unwrap_or(text))
    };
    match (error(captured), error(ours)) {
        (None, None) => Vec::new(),
        (Some(theirs), Some(mine)) => {
            let same = ["type", "info", "text"].iter().all(|key| theirs.get(key) == mine.get(key));
            let mut differences = shape(&theirs, &mine);
            if !same {
                differences.push(format!("error: captured {theirs}, ours {mine}"));
            }
            differences
        }
        (theirs, mine) => vec![format!("error: captured {theirs:?}, ours {mine:?}")],
    }
}

#[test]
fn the_comparer_names_every_path_that_differs() {
    let captured = serde_json::json!({"a": {"b": [1, "x"]}, "c": null, "d": []});
    let ours = serde_json::json!({"a": {"b": [2, 3]}, "d": [1], "e": 1});
    let expected = [
        "$.a.b[1]: captured string, ours number",
        "$.c: missing",
        "$.d: captured 0 elements, ours 1",
        "$.e: not in the capture",
    ];
    assert_eq!(shape(&captured, &ours), expected);
    assert!(shape(&captured, &captured).is_empty());
}

#[test]
fn the_comparer_sees_a_missing_event_and_another_error() {
    let captured = events(
        "event: message\ndata: {\"created\":true}\n\nevent: error\ndata: {\"error\":\"{\\\"type\\\":\\\"x\\\"}\"}\n\n",
    );
    let ours = events("event: error\ndata: {\"error\":\"{\\\"type\\\":\\\"y\\\"}\"}\n\n");
    let differences = streams(&captured, &ours);
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[0].starts_with("events:") && differences[1].starts_with("error:"), "{differences:?}");
}
