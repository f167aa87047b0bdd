use super::*;
use crate::policy::words::Part;

fn run(body: &Value) -> Result<TurnRequest, Unreadable> {
    select_run(body.to_string().as_bytes())
}

#[test]
fn a_run_is_the_api_and_the_agent_it_names() {
    // base/294_remote-chat, base/299_remote-responses-stream
    for body in [
        json!({"model": "agent_x", "messages": [{"role": "user", "content": "hi"}]}),
        json!({"model": "agent_x", "input": "hi", "stream": true, "store": true}),
        json!({"model": "agent_x", "input": "hi", "stream": null, "previous_response_id": null, "user": "me"}),
    ] {
        let asked = run(&body).unwrap();
        assert_eq!(asked.targets, [Target::Surface(Surface::RemoteApi), agents::named("agent_x")], "{body}");
        assert_eq!((&*asked.endpoint, asked.model, asked.conversation), ("agents", None, None), "{body}");
        assert_eq!(asked.body, body.to_string());
    }
    // LibreChat looks up whatever it is called.
    let odd = run(&json!({"model": "gpt-4o", "conversation_id": "c-1"})).unwrap();
    assert_eq!((odd.targets[1].clone(), odd.conversation.as_deref()), (agents::named("gpt-4o"), Some("c-1")));
    assert!(matches!(&odd.targets[1], Target::Agent { part: Part::Unjudged(_), .. }), "until it is looked up");
}

#[test]
fn what_is_not_typed_as_it_should_be_is_refused() {
    let missing = Unreadable::MissingModel { endpoint: "agents".into() };
    for (body, fault) in [
        (json!({}), missing.clone()),
        (json!({"model": null}), missing),
        (json!({"model": ["agent_x"]}), Unreadable::Model),
        (json!({"model": {"$ne": null}}), Unreadable::Model),
        (json!({"model": 5}), Unreadable::Model),
        (json!({"model": ""}), Unreadable::Model),
        (json!({"model": " agent_x"}), Unreadable::Model),
        (json!({"model": "agent_x\n"}), Unreadable::Model),
        (json!({"model": "agent_x", "stream": "true"}), Unreadable::RemoteMember),
        (json!({"model": "agent_x", "store": 1}), Unreadable::RemoteMember),
        (json!({"model": "agent_x", "previous_response_id": {"$gt": ""}}), Unreadable::RemoteMember),
        (json!({"model": "agent_x", "conversation_id": ["c"]}), Unreadable::RemoteMember),
        (json!({"model": "agent_x", "parent_message_id": 1}), Unreadable::RemoteMember),
        (json!({"model": "agent_x", "$where": 1}), Unreadable::SanitisedKey),
        (json!({"model": "agent_x", "model.id": 1}), Unreadable::SanitisedKey),
    ] {
        assert_eq!(run(&body).unwrap_err(), fault, "{body}");
    }
    let twice = br#"{"model":"agent_x","model":"agent_y"}"#;
    assert_eq!(select_run(twice).unwrap_err(), Unreadable::DuplicateKey);
    assert_eq!(select_run(br#"{"model":"agent_x"}{}"#).unwrap_err(), Unreadable::Trailing);
}

#[test]
fn tools_of_the_body_are_found() {
    for (body, expected) in [
        (json!({"model": "x", "tools": [{"type": "function"}]}), 0),
        (json!({"manualSkills": []}), 0),
        (json!({"manualSkills": ["a"]}), 2),
        (json!({"manualSkills": null}), 0),
        (json!({"ephemeralAgent": {"skills": true}}), 2),
        (json!({"ephemeralAgent": {"skills": true, "execute_code": true}, "web_search": true}), 4),
    ] {
        assert_eq!(tools_of_run(body.to_string().as_bytes()).unwrap().len(), expected, "{body}");
    }
}

#[test]
fn a_path_shows_the_agent_it_ends_with() {
    assert_eq!(shown_agent("/api/agents/v1/models/agent_x"), Some("agent_x"));
    assert_eq!(shown_agent("/api/agents/v1/models/agent%20x"), None, "LibreChat would decode it");
    assert_eq!(shown_agent("/api/agents/v1/models/"), None);
}

#[test]
fn a_list_is_narrowed_in_its_order() {
    let list = json!({
        "object": "list",
        "data": [{"id": "agent_b", "name": "B", "provider": "openAI"}, {"id": "agent_a"}, {"id": "agent_c"}],
        "first_id": "agent_a",
    });
    let read = || Listed::read(list.to_string().as_bytes()).unwrap();
    assert_eq!(read().ids().collect::<Vec<_>>(), ["agent_b", "agent_a", "agent_c"]);
    let only = |ids: &[&str]| read().only(&ids.iter().map(|id| Box::from(*id)).collect()).unwrap();
    let narrowed: Value = serde_json::from_slice(&only(&["agent_c", "agent_b", "agent_x"])).unwrap();
    let expected = json!({
        "object": "list",
        "data": [{"id": "agent_b", "name": "B", "provider": "openAI"}, {"id": "agent_c"}],
    });
    assert_eq!(narrowed, expected, "and nothing that names a hidden one beside it");
    assert_eq!(only(&[]), r#"{"object":"list","data":[]}"#);
}

#[test]
fn another_shape_is_an_error() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"object":"list"}"#,
        r#"{"object":"list","data":{}}"#,
        r#"{"object":"model","data":[]}"#,
        r#"{"object":"list","data":["agent_x"]}"#,
        r#"["list",[{"id":"agent_x"}]]"#,
        r#"{"object":"list","data":[{"name":"x"}]}"#,
        r#"{"object":"list","data":[{"id":5}]}"#,
    ] {
        assert!(Listed::read(body.as_bytes()).is_err(), "{body}");
    }
    assert!(shows_only(br#"{"id":"agent_x","name":"X"}"#, "agent_x").is_ok());
    for body in [r#"{"id":"agent_y"}"#, r#"{"object":"list","data":[]}"#, "", r#"[{"id":"agent_x"}]"#, r#"["agent_x"]"#]
    {
        assert!(shows_only(body.as_bytes(), "agent_x").is_err(), "{body}");
    }
}
