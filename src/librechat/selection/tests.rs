use proptest::prelude::*;
use serde_json::json;

use super::*;

fn select(body: serde_json::Value) -> Result<TurnRequest, Unreadable> {
    select_turn(body.to_string().as_bytes())
}

fn model(endpoint: &str, model: &str) -> Target {
    Target::Model { endpoint: endpoint.into(), model: model.into() }
}

const AGENTS: Target = Target::Surface(Surface::Agents);

fn agent() -> Target {
    agents::named("agent_x")
}

const ASSISTANTS: Target = Target::Surface(Surface::Assistants);

#[test]
fn numbers_may_be_written_as_texts() {
    for value in [json!(5), json!(-1.5), json!("5"), json!(" 1e3 "), json!("-.5"), json!(""), json!(" "), json!(null)] {
        for name in ["maxTokens", "maxOutputTokens", "thinkingBudget"] {
            let body = json!({"endpoint": "bedrock", "model": "mini", name: value});
            assert!(select_turn(body.to_string().as_bytes()).is_ok(), "{body}");
        }
    }
}

#[test]
fn the_targets_are_what_librechat_would_call() {
    let added = |added: serde_json::Value| json!({"endpoint": "openAI", "model": "mini", "addedConvo": added});
    let table = [
        (json!({"endpoint": "openAI", "model": "mini"}), vec![model("openAI", "mini")]),
        (json!({"endpoint": "openAI", "endpointType": "openAI", "model": "mini"}), vec![model("openAI", "mini")]),
        (json!({"endpoint": "openAI", "endpointType": null, "model": "mini"}), vec![model("openAI", "mini")]),
        (json!({"endpoint": "Room", "endpointType": "custom", "model": "a/b:c@1"}), vec![model("Room", "a/b:c@1")]),
        (json!({"endpoint": "Room", "model": "x"}), vec![model("Room", "x")]),
        // Case and spelling are the policy's to judge, exactly as they stand.
        (json!({"endpoint": "OpenAI", "endpointType": "custom", "model": "MINI"}), vec![model("OpenAI", "MINI")]),
        (json!({"endpoint": "openAI", "model": "ｍini"}), vec![model("openAI", "ｍini")]),
        // `agent_id` counts for the endpoint `agents` alone, and there the model does not.
        (json!({"endpoint": "openAI", "model": "mini", "agent_id": "agent_x"}), vec![model("openAI", "mini")]),
        (json!({"endpoint": "agents", "agent_id": "agent_x", "model": "mini"}), vec![agent()]),
        (json!({"endpoint": "assistants", "model": "mini"}), vec![ASSISTANTS]),
        (json!({"endpoint": "azureAssistants", "model": "mini"}), vec![ASSISTANTS]),
        (added(json!(null)), vec![model("openAI", "mini")]),
        (added(json!({})), vec![model("openAI", "mini")]),
        (added(json!({"endpoint": "openAI"})), vec![model("openAI", "mini")]),
        (added(json!({"model": "dear"})), vec![model("openAI", "mini")]),
        (added(json!({"endpoint": null, "model": "dear", "agent_id": null})), vec![model("openAI", "mini")]),
        (
            added(
                json!({"endpoint": "Room", "endpointType": "custom", "model": "dear", "temperature": 0.5, "topP": null}),
            ),
            vec![model("openAI", "mini"), model("Room", "dear")],
        ),
        (added(json!({"endpoint": "agents", "agent_id": "agent_x"})), vec![model("openAI", "mini"), agent()]),
        (added(json!({"agent_id": "agent_x"})), vec![model("openAI", "mini"), agent()]),
        (
            added(json!({"agent_id": "openAI__dear", "endpoint": "openAI", "model": "dear"})),
            vec![model("openAI", "mini"), model("openAI", "dear")],
        ),
        (added(json!({"endpoint": "agents", "model": "dear"})), vec![model("openAI", "mini"), AGENTS]),
        (added(json!({"endpoint": "assistants", "model": "dear"})), vec![model("openAI", "mini"), ASSISTANTS]),
    ];
    for (body, targets) in table {
        assert_eq!(select(body.clone()).map(|turn| turn.targets), Ok(targets), "{body}");
    }
}

#[test]
fn the_rest_of_the_request_is_read_too() {
    let turn = select(json!({
        "text": "{}", "endpoint": "openAI", "model": "mini", "spec": "fast", "conversationId": "c-1", "region": "eu-west-1",
        "addedConvo": {"spec": "smart", "conversationId": "new", "tools": []}, "files": [{"a.b": 1, "$x": 2}],
    }))
    .unwrap();
    assert_eq!(
        (turn.spec.as_deref(), turn.added_spec.as_deref(), turn.conversation.as_deref(), turn.model.as_deref()),
        (Some("fast"), Some("smart"), Some("c-1"), Some("mini"))
    );
    let turn =
        select(json!({"endpoint": "agents", "agent_id": "agent_x", "model": "m", "conversationId": null})).unwrap();
    assert_eq!((&*turn.endpoint, turn.model, turn.conversation, turn.spec), ("agents", None, None, None));
}

#[test]
fn what_goes_upstream_is_the_canonical_text() {
    let body = "{ \"endpoint\" : \"open\\u0041I\", \"model\":\"mini\" , \"n\": 1.50 }";
    assert_eq!(&select_turn(body.as_bytes()).unwrap().body[..], br#"{"endpoint":"openAI","model":"mini","n":1.50}"#);
}

#[test]
fn whatever_librechat_would_coerce_blank_or_repair_is_refused() {
    let with = |key: &str, value: serde_json::Value| {
        let mut body = json!({"endpoint": "openAI", "model": "mini"});
        body[key] = value;
        body
    };
    let mut table = vec![
        ("select-endpoint-missing", json!({"model": "mini"})),
        ("select-endpoint-missing", json!({"endpoint": null, "model": "mini"})),
        ("select-model-missing", json!({"endpoint": "openAI"})),
        ("select-model-missing", json!({"endpoint": "openAI", "model": null, "spec": "fast"})),
        ("select-agent-missing", json!({"endpoint": "agents", "model": "mini"})),
        ("select-agent", json!({"endpoint": "agents", "agent_id": "ephemeral"})),
        ("select-agent", json!({"endpoint": "agents", "agent_id": "openAI__mini"})),
        ("select-agent", json!({"endpoint": "agents", "agent_id": "agent_"})),
        ("select-agent", json!({"endpoint": "agents", "agent_id": "Agent_x"})),
        ("select-agent", with("agent_id", json!(["agent_x"]))),
        ("select-endpoint-type", with("endpointType", json!("zzz"))),
        ("select-endpoint-type", with("endpointType", json!(""))),
        ("select-endpoint-type", with("endpointType", json!("custom"))),
        ("select-endpoint-type", with("endpointType", json!("anthropic"))),
        ("select-endpoint-type", with("endpointType", json!(1))),
        ("select-endpoint-type", json!({"endpoint": "Room", "model": "x", "endpointType": "openAI"})),
        ("select-endpoint-type", json!({"endpoint": "Room", "model": "x", "endpointType": "Room"})),
        ("select-endpoint-type", json!({"endpoint": "agents", "agent_id": "agent_x", "endpointType": "openAI"})),
        ("select-endpoint-type", with("addedConvo", json!({"endpoint": "openAI", "model": "x", "endpointType": "y"}))),
        ("select-added-convo", with("addedConvo", json!([{"endpoint": "openAI", "model": "dear"}]))),
        ("select-added-convo", with("addedConvo", json!("x"))),
        ("select-added-convo", with("addedConvo", json!(false))),
        ("select-added-convo", with("addedConvo", json!({"temperature": {}}))),
        ("select-added-convo", with("addedConvo", json!({"max_tokens": "9"}))),
        ("select-endpoint", with("addedConvo", json!({"endpoint": ["openAI"], "model": "dear"}))),
        ("select-model", with("addedConvo", json!({"endpoint": "openAI", "model": {"a": 1}}))),
        ("select-model", with("addedConvo", json!({"endpoint": "openAI", "model": ""}))),
        ("select-agent", with("addedConvo", json!({"agent_id": ["agent_x"]}))),
        ("select-spec", with("addedConvo", json!({"spec": 1}))),
        ("body-sanitised-key", with("addedConvo", json!({"$model": "dear"}))),
        ("body-sanitised-key", with("$model", json!("dear"))),
        ("body-sanitised-key", with("a.b", json!(1))),
        ("select-spec", with("spec", json!(["fast"]))),
        ("select-spec", with("spec", json!(""))),
        ("select-conversation", with("conversationId", json!(1))),
        ("select-conversation", with("conversationId", json!({"a": 1}))),
        ("select-region", with("region", json!("x.evil.example/"))),
        ("select-region", with("region", json!(["eu-west-1"]))),
        ("select-region", with("region", json!(""))),
        ("select-model-request-fields", with("additionalModelRequestFields", json!({}))),
        ("select-parameter", with("maxTokens", json!("abc"))),
        ("select-parameter", with("maxTokens", json!("NaN"))),
        ("select-parameter", with("maxOutputTokens", json!("."))),
        ("select-parameter", with("thinkingBudget", json!("12abc"))),
        ("select-parameter", with("thinkingBudget", json!(["5"]))),
    ];
    let long = "m".repeat(257);
    let odd: Vec<serde_json::Value> = [
        "",
        " ",
        " mini",
        "mini ",
        "mini\n",
        "\tmini",
        "mini\u{feff}",
        "\u{a0}mini",
        "\u{2028}mini",
        "mi\0ni",
        "mi\u{7f}ni",
        "mi\u{85}ni",
        "m{i",
        "m}i",
        "m|i",
        &long,
    ]
    .into_iter()
    .map(Into::into)
    .chain([json!(4), json!(true), json!(["mini"]), json!({"$ne": null})])
    .collect();
    for value in odd {
        table.push(("select-model", with("model", value.clone())));
        table.push(("select-endpoint", with("endpoint", value)));
    }
    for (code, body) in table {
        assert_eq!(select(body.clone()).map_err(|fault| fault.code()).unwrap_err(), code, "{body}");
    }
    assert_eq!(
        select(json!({"endpoint": "Room", "endpointType": "custom"})),
        Err(Unreadable::MissingModel { endpoint: "Room".into() })
    );
    assert!(select(with("model", json!("é".repeat(256)))).is_ok(), "the bound is in characters");
}

#[test]
fn a_model_hides_nowhere_else() {
    let turn = select(json!({
        "endpoint": "openAI", "model": "mini", "Model": "dear", "model ": "dear", "modelOptions": {"model": "dear"},
        "endpointOption": {"model": "dear", "model_parameters": {"model": "dear"}}, "overrideModel": "dear",
    }))
    .unwrap();
    assert_eq!(turn.targets, [model("openAI", "mini")]);
}

/// JavaScript reads the last of several members of one name; a text is what `JSON.parse` gives.
fn as_librechat(body: &str) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    Some((value["endpoint"].as_str()?.to_owned(), value["model"].as_str()?.to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_means_the_same_to_librechat(
        members in prop::collection::vec(
            (
                prop_oneof!["endpoint", "model", "mod\\\\u0065l", "agent_id", "spec", "endpointType", "x"],
                prop_oneof!["\"openAI\"", "\"dear\"", "\"mini\"", "\"\\\\u006dini\"", "null", "1", "[\"dear\"]", "\"custom\""],
            ),
            0..6,
        )
    ) {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        if let Ok(turn) = select_turn(body.as_bytes()) {
            let (endpoint, name) = as_librechat(&body).unwrap();
            prop_assert_eq!(&turn.targets, &[target(&endpoint, &name)]);
            prop_assert_eq!(select_turn(&turn.body).unwrap(), turn);
        }
    }

    #[test]
    fn a_name_survives_every_trim(text in "\\PC{0,6}|[ \t\u{a0}\u{feff}\u{2003}a]{0,4}") {
        if is_name(&text) {
            prop_assert_eq!(text.trim_matches(is_js_space), &text);
            prop_assert!(!text.is_empty());
            prop_assert_eq!(text.find(['{', '}', '|']), None);
        }
    }
}
