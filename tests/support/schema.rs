//! Holds lines of the record to `docs/records.schema.json`, by somebody else's reading of JSON Schema.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/records.schema.json");

/// The whole schema, and each form of line with its name.
static KNOWN: LazyLock<(Validator, Vec<(String, Validator)>)> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema");
    let forms = schema["oneOf"].as_array().expect("forms of lines");
    let forms = forms.iter().map(|form| (form["title"].as_str().expect("a name").to_owned(), validator(form)));
    (validator(&schema), forms.collect())
});

fn validator(schema: &Value) -> Validator {
    // Of draft 2020-12, also where a form of line stands without its head.
    let draft = jsonschema::Draft::Draft202012;
    jsonschema::options().with_draft(draft).should_validate_formats(true).build(schema).expect("a schema")
}

/// What is wrong with a line: nothing, or which members of which entry do not fit.
pub(crate) fn fault(line: &Value) -> Option<String> {
    let (whole, forms) = &*KNOWN;
    if whole.is_valid(line) {
        return None;
    }
    // The form that fits best is the one that was meant.
    let tried = forms.iter().map(|(form, validator)| {
        let faults: Vec<_> =
            validator.iter_errors(line).map(|fault| format!("at `{}`: {fault}", fault.instance_path())).collect();
        (form, faults)
    });
    let (form, faults) = tried.min_by_key(|(_, faults)| faults.len()).expect("forms of lines");
    Some(format!("entry {} does not fit docs/records.schema.json as {form}: {}", line["_id"], faults.join("; ")))
}

/// Ends the test where the line does not fit.
pub(crate) fn hold(line: &Value) {
    if let Some(fault) = fault(line) {
        panic!("{fault}\n{line}");
    }
}

#[test]
fn what_is_not_in_the_schema_is_named() {
    let mut line: Value = serde_json::from_str(
        r#"{"kind":"audit","_id":"019aa551-7a63-7d2e-9b7c-2f9a3d1c5b11","timestamp":"2026-11-21T08:15:00.123Z",
            "action":"tollgate.started","category":"SYSTEM","severity":"INFO","about":{"version":"0.1.0","mode":"enforce"},
            "salt":"00112233445566778899aabbccddeeff","instance":"019aa551-7a70-7c01-8f00-6d1f5a4be001","seq":1,
            "prevHash":"0000000000000000000000000000000000000000000000000000000000000000",
            "hash":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
    )
    .expect("JSON");
    assert_eq!(fault(&line), None);
    line["unheard"] = "of".into();
    let told = fault(&line).expect("a fault");
    for part in ["019aa551-7a63-7d2e-9b7c-2f9a3d1c5b11", "as event", "'unheard' was unexpected"] {
        assert!(told.contains(part), "{told}");
    }
    line.as_object_mut().expect("an object").remove("unheard");
    line["severity"] = "GRAVE".into();
    let told = fault(&line).expect("a fault");
    assert!(told.contains("at `/severity`"), "{told}");
}
