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
