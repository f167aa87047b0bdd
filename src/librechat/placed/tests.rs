use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn place(body: &Value) -> Option<Place> {
    Place::of_turn(body.to_string().as_bytes())
}

fn captured(name: &str) -> Value {
    let lines = include_str!("../../../tests/captures/base.jsonl").lines();
    let mut exchanges = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    exchanges.find(|exchange| exchange["name"] == name).unwrap()
}

/// The id of the answer by the last event of a captured stream, and that of its question by the first.
fn told(name: &str) -> (String, String) {
    let exchange = captured(name);
    let frames = exchange["response"]["sse"].as_array().unwrap().iter().filter_map(Value::as_str);
    let events: Vec<Value> = frames
        .flat_map(str::lines)
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let (first, last) = (events.first().unwrap(), events.last().unwrap());
    let id = |message: &Value| message["messageId"].as_str().unwrap().to_owned();
    (id(&first["message"]), id(&last["responseMessage"]))
}

/// A message; `by` is whose: "user" or "model".
fn message(id: &str, parent: &str, by: &str, second: i64) -> Value {
    let written = at(second).to_string();
    json!({"messageId": id, "parentMessageId": parent, "isCreatedByUser": by == "user", "createdAt": written, "text": id})
}

fn answers(place: &Place, messages: &[Value], until: Option<i64>) -> Vec<String> {
    let messages = serde_json::to_vec(messages).unwrap();
    let answers = place.answers(&messages, None, at(100), until.map(at)).unwrap();
    answers.into_iter().map(|answer| answer.id.into()).collect()
}

/// The question of a captured turn is where its body says, and its answer has the id that the body names, or a new one.
#[test]
fn librechats_own_turns_are_where_their_bodies_say() {
    for (chat, stream, named) in [
        ("155_chat-continue", "156_chat-continue-stream", None),
        ("157_chat-regenerate", "158_chat-regenerate-stream", None),
        ("161_chat-edit-continue", "162_chat-edit-continue-stream", Some(())),
    ] {
        let body = captured(chat)["request"]["body"].clone();
        let place = place(&body).unwrap();
        let (question, response) = told(stream);
        assert_eq!(place.answer.as_deref(), named.map(|()| &*response), "{chat}");
        assert!(!place.begins, "{chat}");
        let parent = body["parentMessageId"].as_str().unwrap();
        let above = if question == parent { "root" } else { parent };
        let messages = [message(&response, &question, "model", 101), message(&question, above, "user", 101)];
        assert_eq!(answers(&place, &messages, None), [response], "{chat}");
    }
}

#[test]
fn the_answer_is_what_was_written_below_the_turns_own_question() {
    let new = place(&json!({"parentMessageId": "p"})).unwrap();
    let question = || message("q", "p", "user", 101);
    for (messages, until, expected) in [
        (vec![question(), message("a", "q", "model", 102)], None, &["a"][..]),
        // Nothing has come; the question alone; somebody else's.
        (vec![], None, &[]),
        (vec![question()], None, &[]),
        (vec![question(), message("a", "other", "model", 102)], None, &[]),
        // The next turn goes on below this one's answer.
        (
            vec![
                question(),
                message("a", "q", "model", 102),
                message("r", "a", "user", 103),
                message("b", "r", "model", 104),
            ],
            None,
            &["a"][..],
        ),
        // An older one below the same parent, and one that began when this one was over.
        (vec![message("old", "p", "user", 99), message("b", "old", "model", 101)], None, &[]),
        (vec![message("next", "p", "user", 110), message("b", "next", "model", 111)], Some(105), &[]),
        (vec![question(), message("a", "q", "model", 110)], Some(105), &[]),
        // It may be either.
        (vec![question(), message("a", "q", "model", 102), message("b", "q", "model", 102)], None, &["a", "b"]),
        // What a user has written is no answer, and what a model has, no question.
        (vec![question(), message("a", "q", "user", 102)], None, &[]),
        (vec![message("q", "p", "model", 101), message("a", "q", "model", 102)], None, &[]),
    ] {
        assert_eq!(answers(&new, &messages, until), expected, "{messages:?}");
    }
    // One that is regenerated has its question already, and others below it.
    let again = place(
        &json!({"parentMessageId": "p", "overrideParentMessageId": "q", "isRegenerate": true, "responseMessageId": "a_"}),
    );
    let messages = [message("q", "p", "user", 50), message("a", "q", "model", 51), message("b", "q", "model", 101)];
    assert_eq!(answers(&again.unwrap(), &messages, None), ["b"]);
    // The id that somebody heard is the answer's, whenever it was written.
    let known = new.answers(&serde_json::to_vec(&messages).unwrap(), Some("a"), at(100), None).unwrap();
    let [known] = known.as_slice() else { panic!("{known:?}") };
    assert_eq!((&*known.id, known.whole, &*known.said.pieces[0].text), ("a", true, "a"));
    assert!(new.answers(b"{}", None, at(100), None).is_err());
}

#[test]
fn documents_of_the_collection_are_read_like_the_answer_of_the_api() {
    let new = place(&json!({"parentMessageId": null})).unwrap();
    let mut messages = [message("q", NO_PARENT, "user", 101), message("a", "q", "model", 102)];
    for (message, second) in messages.iter_mut().zip([101, 102]) {
        message["createdAt"] = json!({"$date": second * 1000});
    }
    messages[1]["unfinished"] = json!(true);
    let found = new.answers(&serde_json::to_vec(&messages).unwrap(), None, at(100), None).unwrap();
    assert_eq!(found.iter().map(|answer| (&*answer.id, answer.whole)).collect::<Vec<_>>(), [("a", false)]);
}

#[test]
fn what_the_body_names_is_the_answer_unless_librechat_makes_a_new_one() {
    let named = |body: &Value| place(body).map(|place| place.answer.map(String::from));
    let edited = |continued: bool, id: &str| json!({"editedContent": {"text": "x"}, "isContinued": continued, "responseMessageId": id});
    assert_eq!(named(&edited(true, "a")), Some(Some("a".into())));
    assert_eq!(named(&edited(false, "a")), Some(None));
    assert_eq!(named(&json!({"responseMessageId": "a"})), Some(Some("a".into())));
    assert_eq!(named(&json!({"responseMessageId": "a_"})), Some(Some("a_".into())));
    assert_eq!(named(&json!({"responseMessageId": "a_", "isRegenerate": true})), Some(None));
    assert_eq!(named(&json!({"responseMessageId": null})), Some(None));
    // What could be read in two ways is not read.
    for odd in
        [json!({"responseMessageId": 1}), json!({"responseMessageId": ""}), json!({"isRegenerate": "yes"}), json!([])]
    {
        assert_eq!(named(&odd), None, "{odd}");
    }
}

#[test]
fn a_title_is_written_for_the_first_turn_of_a_conversation_that_is_kept() {
    let begins = |body: Value| place(&body).unwrap().begins;
    assert!(begins(json!({})));
    assert!(begins(json!({"conversationId": "new", "parentMessageId": NO_PARENT, "isTemporary": false})));
    assert!(!begins(json!({"conversationId": "c"})));
    assert!(!begins(json!({"parentMessageId": "p"})));
    assert!(!begins(json!({"isTemporary": true})));
}

#[test]
fn a_message_is_found_by_its_id() {
    let body = captured("237_messages-get")["response"]["body"].to_string();
    let any = place(&json!({})).unwrap();
    let found = |id: &str| any.answers(body.as_bytes(), Some(id), at(0), None).unwrap();
    let answer = found("4dc573e1-9316-4c03-8055-f0f30612ef0b").remove(0);
    // It was edited and continued.
    assert!(answer.said.pieces[0].text.starts_with("edited text[gpt-4o-mini] alpha"), "{answer:?}");
    assert_eq!(found("00000000-0000-0000-0000-000000000000"), []);
    assert_eq!(found("a9d7fa5d-d91f-45b6-b308-b41c3a49fc0c"), [], "it is the user's");
}
