//! Paths that LibreChat 0.8.6 does not have, methods it does not take, and what is for administrators alone.

use http::Method;
use serde_json::json;

use crate::POLICY;
use crate::passage::seen;
use crate::support::{get, request};
use crate::world::World;

#[tokio::test]
async fn an_unknown_path_is_refused_in_librechats_own_words() {
    let mut world = World::with(POLICY).start().await;
    let mut refusals = Vec::new();
    for name in ["Ann", "Bob"] {
        let bearer = world.bearer(name);
        for path in ["/api", "/api/nothing", "/API/Nothing/x", "/api/models/x", "/api/agents/chat/a/b", "/oauth/other"]
        {
            let answer = get(world.addr, path, &[("authorization", &bearer)]).await;
            assert_eq!(answer.status, 404, "{path}");
            let body = answer.json();
            assert_eq!(body["message"], "Endpoint not found", "{path}");
            assert_eq!(body["rule"], "route.unknown", "{path}");
            assert!(answer.text().starts_with(r#"{"message":"Endpoint not found""#), "{path}: {}", answer.text());
            assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
            assert_eq!(answer.header("cache-control"), "no-store");
            refusals.push((path, body));
        }
    }
    for (path, refusal) in refusals {
        assert_eq!(world.entry_of(&refusal).await["rules"], json!(["route.unknown"]), "{path}");
    }
    assert!(seen(&world).is_empty());
}

#[tokio::test]
async fn unknown_paths_pass_for_whom_the_settings_say() {
    for (setting, nobody, somebody) in [("deny", 404, 404), ("identified", 401, 404), ("pass", 404, 404)] {
        let world = World::with(POLICY).settings(&format!("routes: {{unknown: {setting}}}")).start().await;
        let bob = world.bearer("Bob");
        let anonymous = get(world.addr, "/api/Nothing/New?x=1", &[]).await;
        assert_eq!(anonymous.status, nobody, "{setting}");
        let passed = if setting == "pass" { 1 } else { 0 };
        assert_eq!(seen(&world).len(), passed, "{setting}: nobody");
        let known = get(world.addr, "/api/Nothing/New?x=1", &[("authorization", &bob)]).await;
        assert_eq!(known.status, somebody, "{setting}");
        let seen = seen(&world);
        assert_eq!(seen.len(), if setting == "deny" { 0 } else { passed + 1 }, "{setting}: somebody");
        for seen in &seen {
            assert_eq!(seen.target, "/api/Nothing/New?x=1", "{setting}: as it came");
        }
        if setting == "deny" {
            assert_eq!(known.json()["rule"], "route.unknown");
        } else {
            assert!(known.json()["rule"].is_null(), "{setting}: the answer is LibreChat's own");
        }
    }
}

/// The settings are for paths below /api. Elsewhere nothing is unknown, and nothing may become a path below /api on its way.
#[tokio::test]
async fn no_setting_opens_another_way_to_the_api() {
    for setting in ["deny", "identified", "pass"] {
        let world = World::with(POLICY).settings(&format!("routes: {{unknown: {setting}}}")).start().await;
        let bob = world.bearer("Bob");
        for path in ["/oauth/models", "/oauth/agents/chat", "/OAuth/models", "/images/../api/models", "/metrics/models"]
        {
            for (method, body) in
                [(Method::GET, ""), (Method::POST, r#"{"endpoint":"openAI","model":"o1","text":"hi","messageId":"m"}"#)]
            {
                let headers = [("authorization", bob.as_str()), ("content-type", "application/json")];
                let answer = request(world.addr, method.clone(), path, &headers, body.into()).await;
                assert!(matches!(answer.status.as_u16(), 400 | 404), "{setting}: {method} {path}: {}", answer.status);
            }
        }
        let reached: Vec<_> = seen(&world).into_iter().map(|seen| (seen.method, seen.target)).collect();
        assert_eq!(reached, [], "{setting}");
        assert!(world.stand_in.calls().is_empty());
    }
}

#[tokio::test]
async fn what_never_passes_never_passes() {
    for settings in ["", "routes: {unknown: pass}"] {
        let world = World::with(POLICY).settings(settings).start().await;
        let ann = world.bearer("Ann");
        for (method, path) in [
            (Method::GET, "/metrics"),
            (Method::GET, "/Metrics/"),
            (Method::HEAD, "/metrics"),
            (Method::POST, "/metrics"),
            (Method::GET, "/metrics/x"),
            (Method::POST, "/api/admin/login/local"),
            (Method::GET, "/api/admin/oauth/openid"),
            (Method::POST, "/api/admin/oauth/exchange"),
        ] {
            let answer = request(world.addr, method.clone(), path, &[("authorization", &ann)], "".into()).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            if method != Method::HEAD {
                assert_eq!(answer.json()["rule"], "route.closed", "{method} {path}");
            }
            assert!(seen(&world).is_empty(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn administration_is_for_administrators_by_the_directorys_word() {
    let mut world = World::with(POLICY).start().await;
    let (ann, bob) = (world.bearer("Ann"), world.bearer("Bob"));
    for (method, path) in [
        (Method::GET, "/api/admin/users"),
        (Method::GET, "/API/Admin/Users/"),
        (Method::PUT, "/api/admin/config/role/USER"),
        (Method::DELETE, "/api/admin/groups/1/members/2"),
    ] {
        world.stand_in.forget();
        let refused = request(world.addr, method.clone(), path, &[("authorization", &bob)], "".into()).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["rule"]), (403, &json!("route.admins-only")), "{path}");
        let entry = world.entry_of(&refused.json()).await;
        assert_eq!(
            (&entry["action"], &entry["role"], &entry["category"]),
            (&json!("admin"), &json!("USER"), &json!("SECURITY"))
        );
        assert_eq!(entry["userId"], world.person("Bob").id);
        let nobody = request(world.addr, method.clone(), path, &[], "".into()).await;
        assert_eq!((nobody.status.as_u16(), nobody.text().as_str()), (401, r#"{"message":"No auth token"}"#), "{path}");
        assert!(seen(&world).is_empty(), "{path}");
        request(world.addr, method, path, &[("authorization", &ann)], "".into()).await;
        let seen = seen(&world);
        assert_eq!(seen.len(), 1, "{path}");
        assert!(seen[0].target.starts_with("/api/admin/"), "{}: as LibreChat spells it", seen[0].target);
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has() {
    let mut world = World::with(POLICY).start().await;
    let ann = world.bearer("Ann");
    let mut refusals = Vec::new();
    for (method, path, allow) in [
        (Method::POST, "/api/models", "GET, HEAD"),
        (Method::DELETE, "/api/config", "GET, HEAD"),
        (Method::GET, "/api/agents/chat/abort", "POST"),
        (Method::PUT, "/api/agents/chat/openAI", "POST"),
        (Method::PATCH, "/api/presets", "GET, HEAD, POST"),
        (Method::POST, "/c/new", "GET, HEAD"),
    ] {
        let answer = request(world.addr, method.clone(), path, &[("authorization", &ann)], "".into()).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert_eq!(answer.json()["rule"], "route.method", "{method} {path}");
        refusals.push((path, answer.json()));
    }
    for (path, refusal) in refusals {
        assert_eq!(world.entry_of(&refusal).await["details"]["response"]["status"], 405, "{path}");
    }
    assert!(seen(&world).is_empty());
}
