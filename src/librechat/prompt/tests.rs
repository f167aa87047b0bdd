//! What bodies and messages give to a model: by captures, by tables, and by shapes that nobody sends who means well.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::bound::{Bounded, Unbounded, bound_output};
use super::history::History;
use super::*;
use crate::librechat::json::{Limits, read_strict};
use crate::librechat::selection::select_turn;

fn prompt(body: &Value) -> Prompt {
    Prompt::of_turn(&canonical(body)).unwrap()
}

fn canonical(body: &Value) -> Vec<u8> {
    read_strict(&serde_json::to_vec(body).unwrap(), Limits::CHAT).unwrap().text().to_vec()
}

fn fields(value: &Value) -> Fields {
    value.as_object().unwrap().clone()
}

/// The bodies of the captured chats by the name of the capture.
fn captured() -> HashMap<String, Value> {
    let lines = std::fs::read_to_string("tests/captures/base.jsonl").unwrap();
    let exchanges = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let chats = exchanges.filter(|exchange| {
        let path = exchange["request"]["path"].as_str().unwrap();
        path.starts_with("/api/agents/chat")
            && exchange["request"]["method"] == "POST"
            && exchange["response"]["body"]["streamId"].is_string()
    });
    chats.map(|chat| (chat["name"].as_str().unwrap().to_owned(), chat["request"]["body"].clone())).collect()
}

fn thread(conversation: &str, head: &str) -> Option<Thread> {
    Some(Thread { conversation: conversation.into(), head: Some(head.into()) })
}

#[test]
fn captured_chats_say_their_text_and_where_they_go_on() {
    let captured = captured();
    let of = |name: &str| prompt(&captured[name]);
    let first = of("140_chat-openAI-mini");
    assert_eq!((&*first.text, first.thread, first.context), ("Hello mini", None, None));
    let next = of("155_chat-continue");
    let conversation = "b0076b47-3e54-4136-9d31-3eeb2b35a381";
    assert_eq!(next.text, "second turn");
    assert_eq!(next.thread, thread(conversation, "4dc573e1-9316-4c03-8055-f0f30612ef0b"));
    assert_eq!(next.context, Some(121_125));
    let again = of("157_chat-regenerate");
    assert_eq!((&*again.text, again.edits, again.thread), ("Hello mini", false, None), "from the first message anew");
    let edited = of("161_chat-edit-continue");
    assert_eq!((edited.edits, &*edited.edited), (true, "edited text"));
    assert_eq!(edited.thread, thread(conversation, "4dc573e1-9316-4c03-8055-f0f30612ef0b"), "to the edited answer");
    let two = of("181_chat-addedConvo");
    assert!(matches!(two.added.unwrap().runs, Second::Model { .. }));
    let agents = of("276_chat-agent-addedConvo-agent");
    assert!(matches!(agents.added.unwrap().runs, Second::Agent(_)));
    assert_eq!(of("322_chat-with-image").files, Files { images: 1, others: 0 });
    assert!(of("177_chat-ephemeral-tools").tools > 0);
}

#[test]
fn every_member_that_reaches_the_model_counts_whatever_its_type() {
    for (body, text, instructions) in [
        (json!({"text": "a"}), "a", ""),
        (json!({"text": null}), "", ""),
        (json!({"text": ["a", {"type": "text", "text": "b"}]}), "a\nb", ""),
        (json!({"text": {"deep": [{"er": "c"}]}}), "c", ""),
        (json!({"text": "data:image/png;base64,AAAA"}), "data:image/png;base64,AAAA", ""),
        (
            json!({"text": {"type": "a kind of more than thirty-two letters"}}),
            "a kind of more than thirty-two letters",
            "",
        ),
        (json!({"text": {"type": "image_url", "image_url": {"url": "data:AAAA"}, "note": "n"}}), "n", ""),
        (json!({"promptPrefix": "p", "system": "s"}), "", "p\ns"),
        (json!({"instructions": "i", "additional_instructions": "a"}), "", "i\na"),
        (json!({"context": "c", "examples": [{"input": {"content": "x"}, "output": {"content": "y"}}]}), "", "c\nx\ny"),
        (json!({"prompt_prefix": "p", "sender": "User", "title": "t"}), "", ""),
    ] {
        let read = prompt(&body);
        assert_eq!((&*read.text, &*read.instructions), (text, instructions), "{body}");
    }
}

#[test]
fn the_conversation_is_the_one_that_librechat_reads() {
    let known = json!({"conversationId": "c", "parentMessageId": "p", "responseMessageId": "r"});
    let with = |more: Value| {
        let mut body = known.clone();
        body.as_object_mut().unwrap().extend(fields(&more));
        prompt(&body).thread
    };
    for (more, expected) in [
        (json!({}), thread("c", "p")),
        (json!({"conversationId": "new"}), None),
        (json!({"conversationId": null}), None),
        (json!({"parentMessageId": null}), None),
        (json!({"parentMessageId": NO_PARENT}), None),
        (json!({"parentMessageId": ["p"]}), None),
        (json!({"isRegenerate": true, "overrideParentMessageId": "o"}), thread("c", "p")),
        (json!({"editedContent": {"index": 0, "text": "x", "type": "text"}}), thread("c", "r")),
        (json!({"editedContent": null}), thread("c", "p")),
        (json!({"editedContent": {}}), thread("c", "r")),
        // LibreChat reads the messages of another conversation for it.
        (json!({"overrideConvoId": "other"}), thread("other", "p")),
        (json!({"overrideConvoId": "other__1", "conversationId": null}), thread("other", "p")),
        (json!({"overrideConvoId": ""}), thread("c", "p")),
    ] {
        assert_eq!(with(more.clone()), expected, "{more}");
    }
}

#[test]
fn bounds_are_those_that_the_endpoint_reads() {
    for (body, output) in [
        (json!({"endpoint": "openAI", "max_tokens": 7, "maxOutputTokens": 9}), Some(7)),
        (json!({"endpoint": "openAI", "maxOutputTokens": 9}), None),
        (json!({"endpoint": "azureOpenAI", "max_tokens": "7"}), Some(7)),
        (json!({"endpoint": "anthropic", "maxOutputTokens": 9, "max_tokens": 7}), Some(9)),
        (json!({"endpoint": "google", "maxOutputTokens": 9}), Some(9)),
        (json!({"endpoint": "bedrock", "maxTokens": 8, "maxOutputTokens": 9}), Some(9)),
        (json!({"endpoint": "MindRoom", "endpointType": "custom", "max_tokens": 7, "maxOutputTokens": 9}), Some(9)),
        (json!({"endpoint": "agents", "agent_id": "agent_a", "max_tokens": 7}), None),
        (json!({"endpoint": "openAI", "max_tokens": 0}), None),
        (json!({"endpoint": "openAI", "max_tokens": -1}), None),
        (json!({"endpoint": "openAI", "max_tokens": 1.5}), None),
        (json!({"endpoint": "openAI", "max_tokens": null}), None),
        (json!({"endpoint": "openAI", "max_tokens": [7]}), None),
    ] {
        assert_eq!(prompt(&body).output, output, "{body}");
    }
}

#[test]
fn a_request_to_the_remote_api_has_its_messages_in_the_body() {
    let body = json!({"model": "agent_a", "messages": [
        {"role": "system", "content": "be short"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:A"}}]},
    ]});
    let read = Prompt::of_run(&canonical(&body)).unwrap();
    assert_eq!(
        (&*read.text, read.files, read.thread),
        ("system\nbe short\nuser\nhi", Files { images: 1, others: 0 }, None)
    );
    let body = json!({"model": "agent_a", "input": "hi", "instructions": "short", "previous_response_id": "resp_1"});
    let read = Prompt::of_run(&canonical(&body)).unwrap();
    assert_eq!((&*read.text, &*read.instructions), ("hi", "short"));
    assert_eq!(read.thread, Some(Thread { conversation: "resp_1".into(), head: None }), "all its messages");
}

#[test]
fn an_agent_says_its_instructions_and_bounds() {
    let brief = Brief::of_agent(&fields(&json!({
        "id": "agent_a", "instructions": "i", "additional_instructions": "a", "tools": ["x", "y"], "artifacts": "default",
        "model_parameters": {"promptPrefix": "p", "max_tokens": 5, "maxOutputTokens": "9", "maxContextTokens": 100},
    })));
    assert_eq!((&*brief.agent, &*brief.instructions), ("agent_a", "i\na\np"));
    assert_eq!((brief.output, brief.context, brief.tools, brief.artifacts), (Some(9), Some(100), 2, true));
    let bare = Brief::of_agent(&fields(&json!({"id": "agent_b", "instructions": null, "artifacts": ""})));
    assert_eq!(bare, Brief { agent: "agent_b".into(), ..Brief::default() });
}

// === History ===

fn message(id: &str, parent: &str, more: &Value) -> Fields {
    let mut message = fields(&json!({"messageId": id, "parentMessageId": parent}));
    message.extend(fields(more));
    message
}

fn texts_of(history: &History, head: Option<&str>) -> Vec<String> {
    history.branch(head).iter().map(|said| said.text.clone()).collect()
}

#[test]
fn the_branch_ends_at_the_parent() {
    let history = History::of_documents(&[
        message("1", NO_PARENT, &json!({"text": "one"})),
        message("2", "1", &json!({"text": "two"})),
        message("2b", "1", &json!({"text": "two again"})),
        message("3", "2", &json!({"text": "three"})),
        message("4", "3", &json!({"text": "four"})),
        message("lost", "gone", &json!({"text": "lost"})),
        message("4", "2b", &json!({"text": "four again"})),
    ]);
    for (head, expected) in [
        (Some("1"), &["one"][..]),
        (Some("3"), &["three", "two", "one"]),
        (Some("2b"), &["two again", "one"]),
        (Some("4"), &["four", "three", "two", "one"]),
        (Some("lost"), &["lost"]),
        (Some("nobody"), &[]),
        (Some(NO_PARENT), &[]),
    ] {
        assert_eq!(texts_of(&history, head), expected, "{head:?}");
    }
    assert_eq!(texts_of(&history, None).len(), 7, "all of them for the remote-agent API");
    assert!(history.has("2b") && !history.has("gone"));
}

#[test]
fn what_was_said_is_told_by_text_and_content() {
    let history = History::of_documents(&[
        message(
            "1",
            NO_PARENT,
            &json!({"text": "t", "content": [
                {"type": "think", "think": "hm"},
                {"type": "text", "text": {"value": "v"}},
                {"type": "tool_call", "tool_call": {"name": "n", "args": "{\"q\":1}", "output": "o"}},
                {"type": "image_file", "image_file": {"filepath": "/x.png"}},
            ]}),
        ),
        message(
            "2",
            "1",
            &json!({"text": "t", "files": [{"type": "image/png"}, {"type": "application/pdf"}, {"width": 5}]}),
        ),
        message("3", "2", &json!({"text": 5, "content": "c", "files": "none"})),
    ]);
    let branch = history.branch(Some("3"));
    assert_eq!(branch[2].text, "t\nhm\nv\nn\n{\"q\":1}\no");
    assert_eq!(branch[2].files, Files { images: 1, others: 0 });
    assert_eq!(branch[1].files, Files { images: 2, others: 1 });
    assert_eq!((&*branch[0].text, branch[0].files), ("c", Files::default()));
}

#[test]
fn a_stored_count_is_believed_where_it_can_be_true() {
    let text = "x".repeat(600);
    for (count, believed) in [
        (json!(150), Some(150)),
        (json!(100), Some(100)),
        (json!(99), None),
        (json!(1), None),
        (json!(616), Some(616)),
        (json!(617), None),
        (json!(u64::MAX), None),
        (json!(0), None),
        (json!(-5), None),
        (json!(150.5), None),
        (json!("150"), None),
        (json!({"$numberDouble": "NaN"}), None),
        (Value::Null, None),
    ] {
        let history = History::of_documents(&[message("1", "", &json!({"text": text, "tokenCount": count}))]);
        assert_eq!(history.branch(Some("1"))[0].tokens, believed, "{count}");
    }
}

#[test]
fn librechats_own_answer_is_read_like_its_documents() {
    let body = serde_json::to_vec(&json!([
        {"messageId": "1", "parentMessageId": NO_PARENT, "text": "one", "tokenCount": 4},
        {"messageId": "2", "parentMessageId": "1", "content": [{"type": "text", "text": "two"}]},
        {"text": "without an id"},
    ]));
    let history = History::of_answer(&body.unwrap()).unwrap();
    assert_eq!(texts_of(&history, Some("2")), ["two", "one"]);
    for bad in ["", "{}", "[1]", "[[]]", "null"] {
        assert_eq!(
            History::of_answer(bad.as_bytes()).unwrap_err().answer,
            "GET /api/messages/:conversationId",
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn every_branch_ends_and_has_each_message_once(
        edges in prop::collection::vec((0_u8..12, prop::option::of(0_u8..12)), 0..30),
        head in 0_u8..12,
    ) {
        let documents: Vec<Fields> = edges.iter().enumerate().map(|(place, (id, parent))| {
            let parent = parent.map_or(Value::Null, |parent| json!(parent.to_string()));
            fields(&json!({"messageId": id.to_string(), "parentMessageId": parent, "text": place.to_string()}))
        }).collect();
        let history = History::of_documents(&documents);
        let found = texts_of(&history, Some(&head.to_string()));
        // LibreChat's own way, word by word.
        let (mut expected, mut seen, mut current) = (Vec::new(), Vec::new(), Some(head));
        while let Some(id) = current.filter(|id| !seen.contains(id)) {
            seen.push(id);
            let Some(place) = edges.iter().position(|(other, _)| *other == id) else { break };
            expected.push(place.to_string());
            current = edges[place].1;
        }
        prop_assert_eq!(found, expected);
    }
}

// === The bound of an answer ===

const SIMPLE: &str =
    r#"{"endpoint":"E","model":"m","text":"hi","ephemeralAgent":{"mcp":[],"web_search":false},"files":[]"#;

fn bounded(endpoint: &str, more: &str, most: u64) -> Result<Bounded, Unbounded> {
    bound_output(format!("{SIMPLE}{more}}}").as_bytes(), endpoint, most)
}

#[test]
fn each_endpoint_has_its_parameter_and_no_other_is_left() {
    for (endpoint, own) in [
        ("openAI", r#","max_tokens":100"#),
        ("azureOpenAI", r#","max_tokens":100"#),
        ("anthropic", r#","maxOutputTokens":100"#),
        ("google", r#","maxOutputTokens":100"#),
        ("bedrock", r#","maxTokens":100,"maxOutputTokens":100"#),
        ("MindRoom", r#","max_tokens":100,"maxTokens":100,"maxOutputTokens":100"#),
    ] {
        let all = r#","max_tokens":900,"maxTokens":"900","maxOutputTokens":9e2,"max_output_tokens":900,"max_completion_tokens":900,"maxCompletionTokens":900,"max_tokens_to_sample":900"#;
        for others in ["", all] {
            let bounded = bounded(endpoint, others, 100).unwrap();
            assert_eq!(
                String::from_utf8(bounded.body.to_vec()).unwrap(),
                format!("{SIMPLE}{own}}}"),
                "{endpoint} {others}"
            );
            assert_eq!(bounded.output, 100);
        }
    }
}

#[test]
fn the_smaller_bound_holds() {
    for (endpoint, more, output) in [
        ("openAI", r#","max_tokens":30"#, 30),
        ("openAI", r#","max_tokens":"30""#, 30),
        ("openAI", r#","max_tokens":300"#, 100),
        ("openAI", r#","max_tokens":100"#, 100),
        // What LibreChat would not read does not count, and what is no bound neither.
        ("openAI", r#","maxOutputTokens":30"#, 100),
        ("openAI", r#","max_tokens":0"#, 100),
        ("openAI", r#","max_tokens":-3"#, 100),
        ("openAI", r#","max_tokens":1.5"#, 100),
        ("openAI", r#","max_tokens":null"#, 100),
        ("openAI", r#","max_tokens":{"a":1}"#, 100),
        ("bedrock", r#","maxTokens":30,"maxOutputTokens":40"#, 30),
        ("anthropic", r#","maxOutputTokens":30"#, 30),
    ] {
        let bounded = bounded(endpoint, more, 100).unwrap();
        assert_eq!(bounded.output, output, "{endpoint} {more}");
        let body: Value = serde_json::from_slice(&bounded.body).unwrap();
        let names = ["max_tokens", "maxTokens", "maxOutputTokens"];
        let written: Vec<u64> = names.iter().filter_map(|name| body.get(name).and_then(Value::as_u64)).collect();
        assert!(!written.is_empty() && written.iter().all(|written| *written == output), "{endpoint} {more}: {body}");
    }
}

#[test]
fn what_cannot_be_bounded_says_why() {
    for (endpoint, more, why) in [
        ("agents", "", Unbounded::Agent),
        ("assistants", "", Unbounded::Endpoint),
        ("azureAssistants", "", Unbounded::Endpoint),
        ("openAI", r#","addedConvo":{"endpoint":"openAI","model":"m"}"#, Unbounded::Added),
        ("openAI", r#","addedConvo":{}"#, Unbounded::Added),
        ("openAI", r#","spec":"s""#, Unbounded::Spec),
        ("openAI", r#","web_search":true"#, Unbounded::Tools),
        ("openAI", r#","manualSkills":["s"]"#, Unbounded::Tools),
        ("openAI", r#","artifacts":"default""#, Unbounded::Tools),
        ("openAI", r#","promptPrefix":"You help {{current_user}}.""#, Unbounded::Variable),
        ("openAI", r#","promptPrefix":"{{ Current_User }}""#, Unbounded::Variable),
    ] {
        assert_eq!(bounded(endpoint, more, 100), Err(why), "{endpoint} {more}");
    }
    let with = |body: &str| bound_output(body.as_bytes(), "openAI", 100);
    assert_eq!(with(r#"{"endpoint":"openAI","model":"m","files":[{"type":"image/png"}]}"#), Err(Unbounded::Files));
    for tool in ["web_search", "execute_code", "file_search", "artifacts", "skills"] {
        let body = format!(r#"{{"endpoint":"openAI","model":"m","ephemeralAgent":{{"{tool}":true}}}}"#);
        assert_eq!(with(&body), Err(Unbounded::Tools), "{tool}");
    }
    assert_eq!(with(r#"{"endpoint":"openAI","ephemeralAgent":{"mcp":["github"]}}"#), Err(Unbounded::Tools));
    assert_eq!(with("{"), Err(Unbounded::Unreadable));
    assert_eq!(with(r#"{"ephemeralAgent":[]}"#), Err(Unbounded::Unreadable));
    assert_eq!(bounded("openAI", "", 0), Err(Unbounded::NothingLeft));
    // Null is as good as absent, and so are empty lists.
    assert!(bounded("openAI", r#","addedConvo":null,"spec":null,"manualSkills":[],"artifacts":"""#, 1).is_ok());
}

#[test]
fn captured_chats_of_plain_models_can_be_bounded_and_read_the_same_otherwise() {
    let mut plain = 0;
    for (name, body) in captured() {
        let Some(endpoint) = body["endpoint"].as_str() else { continue };
        let text = canonical(&body);
        let Ok(bounded) = bound_output(&text, endpoint, 50) else { continue };
        plain += 1;
        let again = read_strict(&bounded.body, Limits::CHAT).unwrap();
        assert_eq!(again.text(), bounded.body, "{name}: canonical");
        let mut after: Value = serde_json::from_slice(&bounded.body).unwrap();
        let mut before: Value = serde_json::from_slice(&text).unwrap();
        for body in [&mut after, &mut before] {
            body.as_object_mut().unwrap().retain(|key, _| !key.starts_with("max") || key == "maxContextTokens");
        }
        assert_eq!(after, before, "{name}");
        // One names an agent that LibreChat would refuse: such a turn is never asked about.
        let targets = |body: &[u8]| select_turn(body).map(|asked| asked.targets);
        assert_eq!(targets(&bounded.body), targets(&text), "{name}");
    }
    assert!(plain >= 12, "{plain} of the captured chats");
}

proptest! {
    #[test]
    fn no_body_leaves_with_a_larger_bound(
        members in prop::collection::btree_map(
            prop::sample::select(vec!["max_tokens", "maxTokens", "maxOutputTokens", "max_output_tokens", "max_completion_tokens", "temperature", "text"]),
            prop_oneof![any::<i64>().prop_map(|n| json!(n)), any::<i32>().prop_map(|n| json!(f64::from(n) / 8.0)), "[0-9]{0,4}".prop_map(|t| json!(t)), Just(Value::Null), Just(json!([1])), Just(json!({"a": 1}))],
            0..7,
        ),
        endpoint in prop::sample::select(vec!["openAI", "anthropic", "google", "bedrock", "x"]),
        most in 1_u64..1_000_000,
    ) {
        let body = serde_json::to_vec(&members).unwrap();
        let bounded = bound_output(&body, endpoint, most).unwrap();
        prop_assert!((1..=most).contains(&bounded.output));
        let read: Value = serde_json::from_slice(&bounded.body).unwrap();
        for (key, value) in read.as_object().unwrap() {
            if key.starts_with("max") {
                prop_assert_eq!(value, &json!(bounded.output), "{}", key);
            } else {
                prop_assert_eq!(value, &members[key.as_str()]);
            }
        }
    }
}
