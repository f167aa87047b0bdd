use proptest::prelude::*;

use super::*;

#[test]
fn a_path_comes_out_as_it_is_judged() {
    let table = [
        ("/", "/", None, Area::Page),
        ("/?x=1?y", "/", Some("x=1?y"), Area::Page),
        ("/c/new", "/c/new", None, Area::Page),
        ("/c/new/", "/c/new/", None, Area::Page),
        ("/assets/index.C4UbfB90.css", "/assets/index.C4UbfB90.css", None, Area::Page),
        ("/apis", "/apis", None, Area::Page),
        ("/.api/models", "/.api/models", None, Area::Page),
        ("/api", "/api", None, Area::Api),
        ("/API/Models", "/API/Models", None, Area::Api),
        ("/api/models//?refresh=true", "/api/models", Some("refresh=true"), Area::Api),
        ("/oAuth/openid/", "/oAuth/openid", None, Area::OAuth),
        ("/Images/a/b.png", "/Images/a/b.png", None, Area::Images),
        ("/metrics/", "/metrics", None, Area::Metrics),
        ("/api/mcp/a%20b%3A%C3%A9%25", "/api/mcp/a%20b%3A%C3%A9%25", None, Area::Api),
        ("/api/convos?tags[]=a|b&x={}", "/api/convos", Some("tags[]=a|b&x={}"), Area::Api),
    ];
    for (target, path, query, area) in table {
        let read = CanonicalPath::read(target).unwrap();
        assert_eq!((read.as_str(), read.query(), read.area()), (path, query, area), "{target}");
        assert_eq!(CanonicalPath::of(&target.parse().unwrap()), Ok(read), "{target}");
    }
}

#[test]
fn whatever_two_readers_could_read_differently_is_refused() {
    let table = [
        ("path-form", ""),
        ("path-form", "*"),
        ("path-form", "api/models"),
        ("path-form", "http://localhost/api/models"),
        ("path-form", "localhost:3080"),
        ("path-form", "?x"),
        ("path-backslash", "/api\\agents/chat"),
        ("path-backslash", "/api?x=\\"),
        ("path-fragment", "/api/models#x"),
        ("path-fragment", "/api/models?x#y"),
        ("path-control", "/api/mod els"),
        ("path-control", "/api/models\t"),
        ("path-control", "/api/models?\0"),
        ("path-control", "/api/models\u{7f}"),
        ("path-non-ascii", "/api/agents/chat/é"),
        ("path-non-ascii", "/api/models?é"),
        ("path-character", "/api/agents/chat/[x]"),
        ("path-character", "/api/agents/chat/\"x\""),
        ("path-semicolon", "/api/agents;x=1/chat"),
        ("path-semicolon", "/api/agents/chat/openAI;x=1"),
        ("path-empty-segment", "//api/models"),
        ("path-empty-segment", "/api//agents/chat"),
        ("path-empty-segment", "//"),
        ("path-empty-segment", "/c/new//"),
        ("path-dot-segment", "/api/x/../agents/chat"),
        ("path-dot-segment", "/api/./models"),
        ("path-dot-segment", "/api/models/.."),
        ("path-dot-segment", "/x/../api/models"),
        ("path-dot-segment", "/api/%2e%2e/models"),
        ("path-dot-segment", "/api/models/%2E"),
        ("path-escape", "/api/agents/chat/%zz"),
        ("path-escape", "/api/agents/chat/%"),
        ("path-escape", "/api/agents/chat/%4"),
        ("path-escape", "/api/agents/chat/%+1"),
        ("path-escape", "/api/agents/chat/%ff"),
        ("path-escape", "/api/agents/chat/%C3"),
        ("path-encoded-slash", "/api%2Fagents/chat"),
        ("path-encoded-slash", "/api/agents/chat/%2f"),
        ("path-encoded-slash", "/api%5cagents/chat"),
        ("path-encoded-control", "/api/agents/chat/open%00AI"),
        ("path-encoded-control", "/api/agents/chat/%0d%0a"),
        ("path-encoded-plain", "/%61pi/models"),
        ("path-encoded-plain", "/api/agents/%63hat"),
        ("path-encoded-plain", "/api/agents/chat/%6FpenAI"),
    ];
    for (code, target) in table {
        assert_eq!(CanonicalPath::read(target).unwrap_err().code(), code, "{target}");
    }
}

#[test]
fn a_parsed_target_must_be_origin_form_too() {
    for target in ["http://evil.example/api/models", "localhost:3080", "*"] {
        assert_eq!(CanonicalPath::of(&target.parse().unwrap()), Err(PathFault::Form), "{target}");
    }
}

#[test]
fn only_options_may_ask_about_the_server() {
    assert!(is_server_options(&Method::OPTIONS, &"*".parse().unwrap()));
    assert!(!is_server_options(&Method::GET, &"*".parse().unwrap()));
    assert!(!is_server_options(&Method::OPTIONS, &"/".parse().unwrap()));
}

#[test]
fn query_names_are_decoded() {
    let path = CanonicalPath::read("/api/x?model=a&%6dodel=b&a+b&&c%20d=&%zz=1&=2").unwrap();
    assert_eq!(path.query_names().collect::<Vec<_>>(), ["model", "model", "a b", "c d", "%zz", ""]);
    assert_eq!(CanonicalPath::read("/api/x").unwrap().query_names().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_is_accepted_again_unchanged(target in "/[a-z%/.;?#\\\\ A-Z0-9é]{0,20}") {
        if let Ok(read) = CanonicalPath::read(&target) {
            let again = CanonicalPath::read(read.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), read.as_str());
            prop_assert!(target.starts_with(read.as_str()));
        }
    }

    #[test]
    fn nothing_that_decodes_to_a_governed_area_is_a_page(first in "(%[46][0-9a-fA-F]|[aApPiI]|%2[fF]|/|\\.){1,5}") {
        let target = format!("/{first}/models");
        let decoded = decode_name(&target).to_lowercase();
        // Dots are a segment of their own: `/.api` is no `/api` to anybody.
        let named = decoded.split('/').find(|segment| !matches!(*segment, "" | "." | ".."));
        if named == Some("api") && let Ok(read) = CanonicalPath::read(&target) {
            prop_assert_eq!(read.area(), Area::Api);
        }
    }
}
