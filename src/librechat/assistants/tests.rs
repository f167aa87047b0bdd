use serde_json::{Value, json};

use super::*;
use crate::policy::words::{Sight, Surface};

/// What a request names, as `endpoint|model`, or the code of the fault.
fn names(part: Part, target: &str, body: &str) -> String {
    let path = CanonicalPath::read(target).unwrap();
    let read =
        if part == Part::Abort { read_abort(&path, body.as_bytes()) } else { read(part, &path, body.as_bytes()) };
    match read {
        Ok(named) => format!("{}|{}", named.endpoint.as_deref().unwrap_or("-"), named.model.as_deref().unwrap_or("-")),
        Err(fault) => fault.code().to_owned(),
    }
}

#[test]
fn a_chat_names_endpoint_and_model_once() {
    let long = format!("/api/assistants/v2/chat?{}", "a=b&".repeat(33));
    for (target, body, expected) in [
        ("", json!({"endpoint": "assistants", "model": "mini", "assistant_id": "asst_x"}), "assistants|mini"),
        ("", json!({"endpoint": "azureAssistants", "model": "mini", "version": 2}), "azureAssistants|mini"),
        ("", json!({"endpoint": "assistants", "model": "mini", "version": "v2"}), "assistants|mini"),
        ("", json!({"endpoint": "assistants", "model": "mini", "version": "2", "addedConvo": null}), "assistants|mini"),
        ("", json!({"endpoint": "assistants", "model": "mini", "endpointType": "assistants"}), "assistants|mini"),
        // D.8 18: what Azure's client would be made with.
        ("?model=dear", json!({"endpoint": "azureAssistants"}), "azureAssistants|dear"),
        ("?endpoint=azureAssistants&version=2", json!({"model": "mini"}), "azureAssistants|mini"),
        ("?%6dodel=d%65ar", json!({"endpoint": "azureAssistants"}), "azureAssistants|dear"),
        ("?model=dear", json!({"endpoint": "azureAssistants", "model": null}), "azureAssistants|dear"),
        // In two places.
        ("?model=dear", json!({"endpoint": "azureAssistants", "model": "mini"}), "select-named-twice"),
        ("?model=mini", json!({"endpoint": "azureAssistants", "model": "mini"}), "select-named-twice"),
        ("?%6dodel=dear", json!({"endpoint": "azureAssistants", "model": "mini"}), "select-named-twice"),
        ("?endpoint=azureAssistants", json!({"endpoint": "assistants", "model": "mini"}), "select-named-twice"),
        ("?model=mini&model=dear", json!({"endpoint": "assistants"}), "select-named-twice"),
        // Not a name.
        ("", json!({"endpoint": "assistants", "model": "mini "}), "select-model"),
        ("", json!({"endpoint": "assistants", "model": "\u{feff}mini"}), "select-model"),
        ("", json!({"endpoint": "assistants", "model": ["mini"]}), "select-model"),
        ("", json!({"endpoint": "assistants", "model": ""}), "select-model"),
        ("?model=mini+", json!({"endpoint": "assistants"}), "select-model"),
        ("?model=mini%20", json!({"endpoint": "assistants"}), "select-model"),
        ("?model=", json!({"endpoint": "assistants"}), "select-model"),
        ("?model=%ff", json!({"endpoint": "assistants"}), "select-model"),
        ("", json!({"endpoint": ["assistants"], "model": "mini"}), "select-endpoint"),
        ("", json!({"endpoint": "openAI", "model": "mini"}), "select-assistants-endpoint"),
        ("", json!({"endpoint": "Assistants", "model": "mini"}), "select-assistants-endpoint"),
        ("?endpoint=openAI", json!({"model": "mini"}), "select-assistants-endpoint"),
        // What LibreChat would decide another way, or not at all.
        ("", json!({"endpoint": "assistants", "model": "mini", "version": 1}), "select-version"),
        ("", json!({"endpoint": "assistants", "model": "mini", "version": [2]}), "select-version"),
        ("?version=1", json!({"endpoint": "assistants", "model": "mini"}), "select-version"),
        ("?version=2&version=2", json!({"endpoint": "assistants", "model": "mini"}), "select-version"),
        ("", json!({"endpoint": "assistants", "model": "mini", "addedConvo": {}}), "select-added-convo"),
        ("", json!({"endpoint": "assistants", "model": "mini", "endpointType": "x"}), "select-endpoint-type"),
        ("", json!({"endpoint": "assistants", "model": "mini", "$where": 1}), "body-sanitised-key"),
        ("", json!({"endpoint": "assistants", "model": "mini", "spec": 1}), "select-spec"),
        ("", json!({"endpoint": "assistants"}), "select-model-missing"),
        ("", json!({"model": "mini"}), "select-endpoint-missing"),
        (long.strip_prefix("/api/assistants/v2/chat").unwrap(), json!({"endpoint": "assistants"}), "select-query"),
    ] {
        let target = format!("/api/assistants/v2/chat{target}");
        assert_eq!(names(Part::Chat, &target, &body.to_string()), expected, "{target} {body}");
    }
    let twice = r#"{"endpoint":"assistants","model":"mini","\u006dodel":"dear"}"#;
    assert_eq!(names(Part::Chat, "/api/assistants/v2/chat", twice), "body-duplicate-key");
    assert_eq!(names(Part::Chat, "/api/assistants/v2/chat", ""), "body-not-json");
}

#[test]
fn other_parts_name_what_they_need() {
    let whole = r#"{"endpoint":"assistants","model":"dear","tools":[]}"#;
    for (part, target, body, expected) in [
        (Part::Create, "/api/assistants/v1", whole, "assistants|dear"),
        (Part::Create, "/api/assistants/v1", r#"{"endpoint":"assistants"}"#, "select-model-missing"),
        (Part::Create, "/api/assistants/v1?endpoint=assistants", r#"{"model":"dear"}"#, "assistants|dear"),
        (Part::Change, "/api/assistants/v1/asst_x", whole, "assistants|dear"),
        (Part::Change, "/api/assistants/v1/asst_x", r#"{"endpoint":"assistants","name":"x"}"#, "assistants|-"),
        (Part::Change, "/api/assistants/v1/asst_x?model=dear", r#"{"endpoint":"assistants"}"#, "assistants|dear"),
        (Part::Action, "/api/assistants/v2/actions/asst_x", whole, "assistants|dear"),
        (Part::Action, "/api/assistants/v2/actions/asst_x", r#"{"endpoint":"assistants"}"#, "select-model-missing"),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/dear?endpoint=assistants", "", "assistants|dear"),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/de%20ar?endpoint=assistants", "", "assistants|de ar"),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/de%2561r?endpoint=assistants", "", "select-model"),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/dear%20?endpoint=assistants", "", "select-model"),
        (
            Part::RemoveAction,
            "/api/assistants/v2/actions/a/b/dear?endpoint=assistants&model=x",
            "",
            "select-named-twice",
        ),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/dear", "", "select-endpoint-missing"),
        (Part::RemoveAction, "/api/assistants/v2/actions/a/b/dear", r#"{"endpoint":"assistants"}"#, "assistants|dear"),
        (Part::List, "/api/assistants/v2?endpoint=assistants&limit=100&order=desc", "", "assistants|-"),
        (Part::List, "/api/assistants/v2?endpoint=azureAssistants&model=dear", "", "azureAssistants|dear"),
        (Part::List, "/api/assistants/v2", "", "select-endpoint-missing"),
        (
            Part::One,
            "/api/assistants/v2/asst_x?endpoint=assistants",
            r#"{"endpoint":"assistants"}"#,
            "select-named-twice",
        ),
        (Part::Documents, "/api/assistants/v2/documents", "", "-|-"),
        (Part::Tools, "/api/assistants/v1/tools?endpoint=assistants", "", "assistants|-"),
        (Part::Abort, "/api/assistants/v1/chat/abort", r#"{"abortKey":"c:m","endpoint":"assistants"}"#, "assistants|-"),
        (
            Part::Abort,
            "/api/assistants/v1/chat/abort",
            r#"{"abortKey":"c:m","endpoint":"openAI"}"#,
            "select-assistants-endpoint",
        ),
        (
            Part::Abort,
            "/api/assistants/v1/chat/abort?endpoint=assistants",
            r#"{"abortKey":"c"}"#,
            "select-endpoint-missing",
        ),
        (
            Part::Abort,
            "/api/assistants/v1/chat/abort?endpoint=assistants",
            r#"{"abortKey":"c","endpoint":null}"#,
            "select-endpoint-missing",
        ),
        (
            Part::Abort,
            "/api/assistants/v1/chat/abort",
            r#"{"abortKey":"c","endpoint":["assistants"]}"#,
            "select-endpoint",
        ),
        (Part::Abort, "/api/assistants/v1/chat/abort", "", "body-not-json"),
    ] {
        assert_eq!(names(part, target, body), expected, "{target} {body}");
    }
}

#[test]
fn what_goes_on_is_what_was_read() {
    let path = CanonicalPath::read("/api/assistants/v2/chat").unwrap();
    let body =
        br#" {"endpoint" : "assistants", "model":"\u006dini", "spec":"quick","conversationId":"c1", "text":"x"} "#;
    let turn = read(Part::Chat, &path, body).unwrap().into_turn().unwrap();
    let written = r#"{"endpoint":"assistants","model":"mini","spec":"quick","conversationId":"c1","text":"x"}"#;
    assert_eq!(turn.body, written);
    assert_eq!((turn.spec.as_deref(), turn.conversation.as_deref()), (Some("quick"), Some("c1")));
    assert_eq!(turn.targets, [Target::Assistant { endpoint: "assistants".into(), model: "mini".into() }]);
}

/// Somebody who may see these models, as `endpoint|model`.
struct Eyes(&'static [&'static str]);

impl Sight for Eyes {
    fn model(&self, endpoint: &str, model: &str) -> bool {
        self.0.contains(&format!("{endpoint}|{model}").as_str())
    }

    fn surface(&self, _surface: Surface) -> bool {
        true
    }

    fn agents(&self) -> bool {
        false
    }

    fn target(&self, _target: &Target) -> bool {
        false
    }

    fn everything(&self) -> bool {
        false
    }
}

const EYES: Eyes = Eyes(&["assistants|mini", "azureAssistants|azure-mini", "assistants|both", "azureAssistants|both"]);

fn shown(part: Part, endpoint: Option<&str>, answer: &Value) -> Result<Value, String> {
    let body = Bytes::from(answer.to_string());
    let narrowed = shown::narrow(part, endpoint, &body, &EYES).map_err(|fault| fault.to_string())?;
    Ok(serde_json::from_slice(&narrowed).unwrap())
}

#[test]
fn lists_lose_assistants_and_answers_lose_the_model() {
    let assistant = |id: &str, model: &str| json!({"id": id, "object": "assistant", "model": model, "tools": []});
    let list = |data: Value| json!({"object": "list", "data": data, "first_id": "a", "has_more": false});
    let all =
        list(json!([assistant("a", "mini"), assistant("b", "dear"), {"id": "c"}, {"id": "d", "model": ["mini"]}]));
    assert_eq!(shown(Part::List, Some("assistants"), &all), Ok(list(json!([assistant("a", "mini")]))));
    assert_eq!(shown(Part::List, Some("azureAssistants"), &all), Ok(list(json!([]))));
    let documents =
        json!([{"assistant_id": "a"}, {"assistant_id": "b", "model": "dear"}, {"assistant_id": "c", "model": "both"}]);
    let seen = json!([{"assistant_id": "a"}, {"assistant_id": "c", "model": "both"}]);
    assert_eq!(shown(Part::Documents, None, &documents), Ok(seen));
    let one = assistant("a", "dear");
    assert_eq!(shown(Part::One, Some("assistants"), &one), Ok(json!({"id": "a", "object": "assistant", "tools": []})));
    assert_eq!(shown(Part::Change, Some("assistants"), &assistant("a", "mini")), Ok(assistant("a", "mini")));
    let action = json!(["asst_x", assistant("a", "dear"), {"metadata": {"model": "dear", "x": 1}}]);
    let without = json!(["asst_x", {"id": "a", "object": "assistant", "tools": []}, {"metadata": {"x": 1}}]);
    assert_eq!(shown(Part::Action, Some("assistants"), &action), Ok(without));
}

#[test]
fn answers_of_another_shape_are_not_shown() {
    for (part, answer) in [(Part::List, json!([])), (Part::List, json!({"data": {}})), (Part::Documents, json!({}))] {
        let fault = shown(part, Some("assistants"), &answer).unwrap_err();
        assert!(fault.contains("/api/assistants"), "{fault}");
    }
    assert!(shown::narrow(Part::One, None, &Bytes::from_static(b"<html>"), &EYES).is_err());
    // base/325_assistants_api_assistants_v2: LibreChat has nothing to say without an endpoint.
    assert_eq!(shown::narrow(Part::List, None, &Bytes::new(), &EYES).unwrap(), "");
}
