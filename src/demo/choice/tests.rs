use proptest::prelude::*;

use super::*;
use crate::demo::options::ModelSpecs;

fn options() -> StandInOptions {
    let agent = StoredAgent {
        id: "agent_four".into(),
        name: "Four".into(),
        provider: "openAI".into(),
        model: "gpt-4o".into(),
        author: String::new(),
    };
    StandInOptions { agents: vec![agent], ..StandInOptions::default() }
}

fn with_specs(enforce: bool) -> StandInOptions {
    let spec = ModelSpec {
        name: "smart".into(),
        label: "Smart".into(),
        endpoint: "openAI".into(),
        model: "gpt-4o".into(),
        ..ModelSpec::default()
    };
    let model_specs = Some(ModelSpecs { enforce, prioritize: true, list: vec![spec] });
    StandInOptions { model_specs, ..options() }
}

/// The models a choice calls, or what is said instead.
fn outcome(choice: Result<Choice, Refusal>) -> String {
    match choice {
        Ok(Choice { primary, added }) => {
            [Some(primary), added].into_iter().flatten().map(|run| run.model).collect::<Vec<_>>().join("+")
        }
        Err(Refusal::Event { kind, info }) => format!("{kind} {info}"),
        Err(Refusal::Text(text)) => text.to_owned(),
        Err(Refusal::Status(status, body)) => {
            format!("{} {}", status.as_u16(), body["message"].as_str().unwrap_or_default())
        }
    }
}

#[test]
fn a_body_chooses_as_in_the_captures() {
    let unread = "500 Failed to validate agent access permissions";
    let no_conversation = "Error parsing conversation";
    let cases = [
        (json!({"endpoint": "openAI", "model": "gpt-4o"}), "gpt-4o"),
        (json!({"endpoint": "MindRoom", "endpointType": "custom", "model": "mindroom-pro"}), "mindroom-pro"),
        (json!({"endpoint": "MindRoom", "endpointType": "openAI", "model": "mindroom-pro"}), "mindroom-pro"),
        (json!({"endpoint": "MindRoom", "model": "mindroom-pro"}), no_conversation),
        (json!({"endpoint": "MindRoom", "endpointType": "zzz", "model": "mindroom-pro"}), no_conversation),
        (json!({"endpoint": "openAI", "model": "gpt-nope"}), "illegal_model_request openAI|gpt-nope"),
        (json!({"endpoint": "openAI", "model": " gpt-4o "}), "illegal_model_request openAI| gpt-4o "),
        (json!({"endpoint": "openAI", "model": "GPT-4o"}), "illegal_model_request openAI|GPT-4o"),
        (json!({"endpoint": "anthropic", "model": "claude-3"}), "illegal_model_request anthropic|claude-3"),
        (json!({"endpoint": "Nope", "endpointType": "custom", "model": "x"}), "endpoint_models_not_loaded Nope"),
        (json!({"endpoint": "openAI", "model": ["gpt-4o"]}), "missing_model openAI"),
        (json!({"endpoint": "openAI"}), "missing_model openAI"),
        (json!({"endpoint": "openAI", "__proto__": {"model": "gpt-4o"}}), "gpt-4o"),
        (json!({"endpoint": "openAI", "model": "o1", "__proto__": {"model": "gpt-4o"}}), "o1"),
        (json!({"model": "gpt-4o-mini"}), no_conversation),
        (json!([]), no_conversation),
        (json!({"endpoint": "agents", "agent_id": "agent_four", "model": "o1"}), "gpt-4o"),
        (json!({"endpoint": "agents", "agent_id": "agent_none"}), "404 agent not found"),
        (json!({"endpoint": "agents"}), "400 agent_id is required in request body"),
        (json!({"endpoint": "agents", "agent_id": ["agent_four"]}), unread),
        (json!({"endpoint": "agents", "agent_id": "openAI__gpt-4o"}), "missing_model agents"),
        (json!({"endpoint": "openAI", "model": "o1", "agent_id": "agent_four"}), "o1"),
    ];
    for (body, expected) in cases {
        assert_eq!(outcome(choose(&options(), Some(&body), true)), expected, "{body}");
    }
    assert_eq!(outcome(choose(&options(), None, true)), unread, "a body that no parser read");
}

#[test]
fn an_added_conversation_runs_a_second_model_or_is_dropped() {
    let cases = [
        (json!({"endpoint": "openAI", "model": "gpt-4o"}), "gpt-4o-mini+gpt-4o"),
        (json!({"endpoint": "MindRoom", "model": "mindroom-pro"}), "gpt-4o-mini+mindroom-pro"),
        (json!({"agent_id": "agent_four"}), "gpt-4o-mini+gpt-4o"),
        (json!({"agent_id": "agent_none"}), "404 agent not found"),
        (json!({"endpoint": "openAI", "model": "gpt-nope"}), "gpt-4o-mini"),
        (json!([{"endpoint": "openAI", "model": "gpt-4o"}]), "gpt-4o-mini"),
        (json!("gpt-4o"), "gpt-4o-mini"),
    ];
    for (added, expected) in cases {
        let body = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "addedConvo": added});
        assert_eq!(outcome(choose(&options(), Some(&body), true)), expected, "{body}");
    }
}

#[test]
fn specs_replace_the_model_only_where_they_are_enforced() {
    let body = |model: &str, spec: Value| json!({"endpoint": "openAI", "model": model, "spec": spec});
    let cases = [
        (body("gpt-4o-mini", json!("smart")), "gpt-4o", "gpt-4o-mini"),
        (body("gpt-4o-mini", json!("nope")), "Invalid model spec", "gpt-4o-mini"),
        (body("gpt-4o-mini", json!(null)), "No model spec selected", "gpt-4o-mini"),
        (json!({"endpoint": "openAI", "spec": "smart"}), "gpt-4o", "missing_model openAI"),
        (
            json!({"endpoint": "MindRoom", "endpointType": "custom", "model": "mindroom-basic", "spec": "smart"}),
            "Model spec mismatch",
            "Model spec mismatch",
        ),
        (
            json!({"endpoint": "openAI", "spec": "smart", "addedConvo": {"endpoint": "openAI", "model": "o1"}}),
            "gpt-4o+o1",
            "missing_model openAI",
        ),
    ];
    for (body, enforced, offered) in cases {
        assert_eq!(outcome(choose(&with_specs(true), Some(&body), true)), enforced, "enforced: {body}");
        assert_eq!(outcome(choose(&with_specs(false), Some(&body), true)), offered, "offered: {body}");
    }
}

#[test]
fn a_path_in_capitals_works_for_stored_agents_alone() {
    let openai = json!({"endpoint": "openAI", "model": "gpt-4o"});
    assert_eq!(outcome(choose(&options(), Some(&openai), false)), "Error building endpoint option");
    let agent = json!({"endpoint": "agents", "agent_id": "agent_four"});
    assert_eq!(outcome(choose(&options(), Some(&agent), false)), "gpt-4o");
}

#[test]
fn the_events_name_agents_as_in_the_captures() {
    let body = json!({
        "endpoint": "openAI", "model": "gpt-4o-mini", "addedConvo": {"endpoint": "MindRoom", "model": "mindroom-pro"},
    });
    let Ok(Choice { primary, added: Some(added) }) = choose(&options(), Some(&body), true) else { panic!("both run") };
    assert_eq!((primary.agent.as_str(), primary.sender.as_str()), ("openAI__gpt-4o-mini", "GPT-4o"));
    assert_eq!((added.agent.as_str(), added.sender.as_str()), ("MindRoom__mindroom-pro___MindRoom____1", "MindRoom"));
}

/// Bodies made of the words that matter, in all the types that they should not have.
fn any_body() -> impl Strategy<Value = Value> {
    let words = [
        "openAI",
        "MindRoom",
        "anthropic",
        "agents",
        "gpt-4o",
        "GPT-4o",
        "claude-opus-4-8",
        "custom",
        "smart",
        "agent_four",
    ];
    let word = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(|word| json!(word)),
        1 => Just(Value::Null),
        1 => any::<i32>().prop_map(|number| json!(number)),
        1 => proptest::sample::select(words.to_vec()).prop_map(|word| json!([word])),
    ];
    let keys = ["endpoint", "endpointType", "model", "agent_id", "spec", "__proto__", "addedConvo"];
    let field = (proptest::sample::select(keys.to_vec()), word);
    let flat = proptest::collection::vec(field, 0..7)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()));
    (flat.clone(), proptest::option::of(flat)).prop_map(|(mut body, added)| {
        if let Some(added) = added {
            body["addedConvo"] = added;
        }
        body
    })
}

proptest! {
    #[test]
    fn whatever_a_body_says_only_models_of_configured_endpoints_run(body in any_body(), written in any::<bool>()) {
        for options in [options(), with_specs(false), with_specs(true)] {
            if let Ok(Choice { primary, added }) = choose(&options, Some(&body), written) {
                for run in [Some(primary), added].into_iter().flatten() {
                    let endpoint = options.catalogue.endpoint(&run.endpoint).unwrap();
                    prop_assert!(endpoint.configured && endpoint.models.contains(&run.model), "{:?} of {}", run, body);
                }
            }
        }
    }
}
