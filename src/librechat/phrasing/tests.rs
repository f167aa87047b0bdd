use proptest::prelude::*;
use serde_json::Value;

use super::*;

const EXTRAS: Extras<'static> =
    Extras { request_id: "0190-7", rule: "roles.USER.endpoints.openAI.models", message: None };

/// What LibreChat's client takes for the first JSON object of a text: braces counted, strings or not (CONTRACT.md E.6).
fn first_object(text: &str) -> Option<&str> {
    let (_, text) = text.split_at(text.find('{')?);
    let mut open = 0;
    for (at, char) in text.char_indices() {
        open += match char {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if open == 0 {
            return text.get(..=at);
        }
    }
    None
}

/// The client's texts, as it showed them for these bodies in a browser: the body answered, the text shown.
const SHOWN: &[(u16, &str, &str)] = &[
    (
        403,
        r#"{"type":"illegal_model_request","info":"openAI|gpt-4o"}"#,
        r#"The model "gpt-4o" is not available for OpenAI. Please select a different model."#,
    ),
    (
        403,
        r#"{"error":"Forbidden","message":"Your plan does not include gpt-4o."}"#,
        concat!(
            "Something went wrong. Here's the specific error message we encountered: ",
            r#"{"error":"Forbidden","message":"Your plan does not include gpt-4o."}"#
        ),
    ),
    (
        429,
        r#"{"type":"message_limit","max":40,"limiter":"user","windowInMinutes":1}"#,
        "You hit the message limit. You have a cap of 40 messages per minute.",
    ),
    (
        429,
        r#"{"type":"concurrent","limit":2,"pendingRequests":3,"score":1}"#,
        "Only 2 messages at a time. Please allow any other responses to complete before sending another message, or wait one minute.",
    ),
    (
        402,
        r#"{"type":"token_balance","balance":0,"tokenCost":1.05,"promptTokens":7,"prev_count":0,"violation_count":0,"date":"2026-11-21T05:18:11.343Z"}"#,
        "Insufficient Funds! Balance: 0. Prompt tokens: 7. Cost: 1.05.",
    ),
];

/// The client's choice of text, for the types that occur here.
fn shown(body: &str) -> String {
    let object = first_object(body).unwrap();
    let value: Value = serde_json::from_str(object).unwrap();
    match value.get("code").or(value.get("type")).and_then(Value::as_str) {
        Some("illegal_model_request") => {
            let (endpoint, model) = value["info"].as_str().unwrap().split_once('|').unwrap();
            let endpoint = if endpoint == "openAI" { "OpenAI" } else { endpoint };
            format!("The model \"{model}\" is not available for {endpoint}. Please select a different model.")
        }
        Some("message_limit") => {
            let minutes = value["windowInMinutes"].as_f64().unwrap();
            let window = if minutes > 1.0 { format!("{minutes} minutes") } else { "minute".to_owned() };
            format!("You hit the message limit. You have a cap of {} messages per {window}.", value["max"])
        }
        Some("concurrent") => {
            let limit = value["limit"].as_u64().unwrap();
            let messages = if limit > 1 { "messages" } else { "message" };
            let wait =
                "Please allow any other responses to complete before sending another message, or wait one minute.";
            format!("Only {limit} {messages} at a time. {wait}")
        }
        Some("token_balance") => {
            let [balance, prompt, cost] = ["balance", "promptTokens", "tokenCost"].map(|name| &value[name]);
            format!("Insufficient Funds! Balance: {balance}. Prompt tokens: {prompt}. Cost: {cost}.")
        }
        _ => format!("Something went wrong. Here's the specific error message we encountered: {object}"),
    }
}

fn text(phrase: &Phrase) -> &str {
    std::str::from_utf8(&phrase.1).unwrap()
}

#[test]
fn the_client_in_this_test_shows_what_the_browser_showed() {
    for (_, body, expected) in SHOWN {
        assert_eq!(shown(body), *expected);
    }
}

#[test]
fn a_denied_model_is_shown_in_the_clients_own_words() {
    let phrase = model_denied("openAI", "gpt-4o", &EXTRAS);
    assert_eq!((phrase.0.as_u16(), shown(text(&phrase)).as_str()), (SHOWN[0].0, SHOWN[0].2));
    assert_eq!(
        text(&phrase),
        concat!(
            r#"{"type":"illegal_model_request","info":"openAI|gpt-4o","#,
            r#""message":"you may not use this model: choose another one or ask your administrator","#,
            r#""rule":"roles.USER.endpoints.openAI.models","request_id":"0190-7"}"#
        )
    );
    let told = Extras { message: Some("Ask the help desk for {model}."), ..EXTRAS };
    assert!(text(&model_denied("openAI", "gpt-4o", &told)).contains(r#""message":"Ask the help desk for (model).""#));
}

#[test]
fn every_refusal_says_status_kind_and_rule() {
    let missing_model = Unreadable::MissingModel { endpoint: "Room".into() };
    let table = [
        (surface_denied_in_chat(Surface::Agents, &EXTRAS), 403, "/type", "illegal_model_request"),
        (surface_denied_in_chat(Surface::Agents, &EXTRAS), 403, "/info", "agents|stored agents"),
        (unreadable(&missing_model, &EXTRAS), 400, "/type", "missing_model"),
        (unreadable(&missing_model, &EXTRAS), 400, "/info", "Room"),
        (unreadable(&Unreadable::DuplicateKey, &EXTRAS), 400, "/type", "unreadable_request"),
        (unreadable(&Unreadable::DuplicateKey, &EXTRAS), 400, "/rule", "body-duplicate-key"),
        (unreadable(&Unreadable::ContentType, &EXTRAS), 415, "/rule", "content-type"),
        (unreadable(&Unreadable::TooLarge, &EXTRAS), 413, "/rule", "body-too-large"),
        (unreadable(&Unreadable::MissingAgent, &EXTRAS), 400, "/message", Unreadable::MissingAgent.sentence()),
        (spec_unknown(&EXTRAS), 403, "/type", "policy_denied"),
        (failed_in_chat(StatusCode::BAD_GATEWAY, &EXTRAS), 502, "/type", "proxy_error"),
        (path_refused(PathFault::DotSegment, &EXTRAS), 400, "/rule", "path-dot-segment"),
        (path_refused(PathFault::DotSegment, &EXTRAS), 400, "/message", PathFault::DotSegment.sentence()),
        (path_refused(PathFault::DotSegment, &EXTRAS), 400, "/error", "Bad Request"),
        (unrouted(Unrouted::UnknownPath, &EXTRAS), 404, "/message", "Endpoint not found"),
        (surface_denied(Surface::Agents, &EXTRAS), 403, "/error", "Forbidden"),
        (surface_denied(Surface::Assistants, &EXTRAS), 403, "/rule", EXTRAS.rule),
        (refused_remote(StatusCode::FORBIDDEN, "model_not_allowed", &EXTRAS), 403, "/error/code", "model_not_allowed"),
        (refused_remote(StatusCode::FORBIDDEN, "model_not_allowed", &EXTRAS), 403, "/error/type", "permission_error"),
        (refused_remote(StatusCode::FORBIDDEN, "model_not_allowed", &EXTRAS), 403, "/error/rule", EXTRAS.rule),
        (refused(StatusCode::SERVICE_UNAVAILABLE, &EXTRAS), 503, "/error", "Service Unavailable"),
        (refused(StatusCode::SERVICE_UNAVAILABLE, &EXTRAS), 503, "/request_id", EXTRAS.request_id),
        (
            refused_remote(StatusCode::UNAUTHORIZED, "invalid_api_key", &EXTRAS),
            401,
            "/error/type",
            "invalid_request_error",
        ),
        (refused_remote(StatusCode::BAD_GATEWAY, "upstream", &EXTRAS), 502, "/error/type", "server_error"),
    ];
    for (phrase, status, pointer, expected) in table {
        let body: Value = serde_json::from_slice(&phrase.1).unwrap();
        assert_eq!((phrase.0.as_u16(), body.pointer(pointer).unwrap().as_str()), (status, Some(expected)), "{body}");
    }
}

#[test]
fn limits_are_shown_in_the_clients_own_words() {
    let extras = Extras { message: Some("No room."), rule: "roles.USER.limits.rpm", ..EXTRAS };
    let resets = Some("2026-11-22T00:00:00Z");
    let rest = r#""message":"No room.","rule":"roles.USER.limits.rpm""#;
    for (shortage, resets_at, status, start, expected) in [
        (
            Shortage::Count { max: 40, seconds: 60 },
            resets,
            429,
            r#"{"type":"message_limit","max":40,"windowInMinutes":1,"#,
            "You hit the message limit. You have a cap of 40 messages per minute.",
        ),
        (
            Shortage::Count { max: 5, seconds: 90 },
            resets,
            429,
            r#"{"type":"message_limit","max":5,"windowInMinutes":1.5,"#,
            "You hit the message limit. You have a cap of 5 messages per 1.5 minutes.",
        ),
        (
            Shortage::Open { limit: 2 },
            None,
            429,
            r#"{"type":"concurrent","limit":2,"#,
            "Only 2 messages at a time. Please allow any other responses to complete before sending another message, or wait one minute.",
        ),
        (
            Shortage::Funds { balance: 3, cost: 105, prompt: 7 },
            resets,
            402,
            r#"{"type":"token_balance","balance":3,"tokenCost":105,"promptTokens":7,"#,
            "Insufficient Funds! Balance: 3. Prompt tokens: 7. Cost: 105.",
        ),
    ] {
        let phrase = limit_reached(shortage, resets_at, &extras);
        let resets = resets_at.map_or_else(String::new, |at| format!(r#","resets_at":"{at}""#));
        assert_eq!(text(&phrase), format!(r#"{start}{rest}{resets},"request_id":"0190-7"}}"#));
        assert_eq!((phrase.0.as_u16(), shown(text(&phrase)).as_str()), (status, expected));
        assert_eq!(first_object(text(&phrase)), Some(text(&phrase)), "flat");
        let hostile = Extras { message: Some("{\"type\":\"x\"}\n"), ..extras };
        let phrase = limit_reached(shortage, resets_at, &hostile);
        assert_eq!(first_object(text(&phrase)), Some(text(&phrase)), "no string has a brace");

        let remote: Value = serde_json::from_slice(&limit_reached_remote(shortage, resets_at, &extras).1).unwrap();
        let code = if status == 402 { "insufficient_quota" } else { "rate_limit_exceeded" };
        assert_eq!((&remote["error"]["code"], &remote["error"]["rule"]), (&code.into(), &extras.rule.into()));
        assert_eq!(remote["error"]["resets_at"].as_str(), resets_at);
    }
}

#[test]
fn a_wrong_method_is_405() {
    let path = super::super::path::CanonicalPath::read("/api/models").unwrap();
    let fault = super::super::routes::classify(&http::Method::POST, &path).unwrap_err();
    assert_eq!(unrouted(fault, &EXTRAS).0, StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn who_is_not_signed_in_gets_librechats_own_bytes() {
    let captured = include_str!("../../../tests/captures/base.jsonl");
    let bodies: Vec<Value> = captured
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|exchange| exchange["response"]["status"] == 401)
        .map(|exchange| exchange["response"]["body"].clone())
        .collect();
    for why in [
        SignIn::NoToken,
        SignIn::Expired,
        SignIn::NoSignature,
        SignIn::BadSignature,
        SignIn::Malformed,
        SignIn::Unauthorized,
    ] {
        let (status, body) = sign_in(why);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(bodies.contains(&body), "{body} is not among LibreChat's answers");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_client_finds_the_whole_body_whatever_the_names(
        endpoint in "(\\PC|[{}\"\\\\|\n\u{0}]){0,12}", model in "(\\PC|[{}\"\\\\|\n]){0,12}", message: Option<String>
    ) {
        let extras = Extras { request_id: &endpoint, rule: &model, message: message.as_deref() };
        for phrase in [
            model_denied(&endpoint, &model, &extras),
            surface_denied_in_chat(Surface::Assistants, &extras),
            unreadable(&Unreadable::MissingModel { endpoint: endpoint.as_str().into() }, &extras),
            unreadable(&Unreadable::NotJson, &extras),
            spec_unknown(&extras),
            failed_in_chat(StatusCode::SERVICE_UNAVAILABLE, &extras),
        ] {
            let body = text(&phrase);
            prop_assert_eq!(first_object(body), Some(body));
            let opening = "{\"type\":\"";
            prop_assert!(body.starts_with(opening));
            prop_assert!(!body.contains("\"code\":"));
            prop_assert_ne!(phrase.0, StatusCode::UNAUTHORIZED);
            let value: Value = serde_json::from_str(body).unwrap();
            prop_assert!(value.as_object().unwrap().values().all(Value::is_string), "flat");
        }
    }
}
