use proptest::prelude::*;

use super::*;
use Access::{Anonymous, Key, Optional, Token};
use Class::{Admin, Closed, Pass, Stream, Tool, Turn, Upload};

const KEYS: Class = Class::Feature(Feature::UserKeys);
const SPEECH: Class = Class::Feature(Feature::Speech);

const fn assistants(part: Part) -> Class {
    Class::Assistants(part)
}

fn find(method: &str, target: &str) -> Result<&'static Route, Unrouted> {
    classify(&method.parse().unwrap(), &CanonicalPath::read(target).unwrap())
}

/// The appendix of CONTRACT.md once more: methods, a path for each route, class, access, body.
const APPENDIX: &[(&str, &[&str], Class, Access, Body)] = &[
    ("GET HEAD", &["/health", "/livez", "/readyz"], Pass, Anonymous, Body::None),
    ("GET HEAD POST", &["/metrics"], Closed, Anonymous, Body::Json),
    ("GET HEAD", &["/", "/login", "/c/new", "/assets/a.js", "/c/x/", "/apix", "/agents"], Pass, Anonymous, Body::None),
    ("GET HEAD", &["/images/u/x.png"], Pass, Anonymous, Body::None),
    ("GET", &["/oauth/error"], Pass, Anonymous, Body::None),
    ("GET", &["/oauth/google", "/oauth/facebook", "/oauth/openid", "/oauth/github"], Pass, Anonymous, Body::None),
    ("GET", &["/oauth/discord", "/oauth/apple", "/oauth/saml"], Pass, Anonymous, Body::None),
    ("GET", &["/oauth/google/callback", "/oauth/openid/callback", "/oauth/saml/callback"], Pass, Anonymous, Body::None),
    ("POST", &["/oauth/apple/callback", "/oauth/saml/callback"], Pass, Anonymous, Body::Form),
    (
        "POST",
        &["/api/auth/login", "/api/auth/register", "/api/auth/requestPasswordReset", "/api/auth/resetPassword"],
        Pass,
        Anonymous,
        Body::Json,
    ),
    ("POST", &["/api/auth/refresh", "/api/auth/2fa/verify-temp"], Pass, Anonymous, Body::Json),
    ("POST", &["/api/auth/logout", "/api/auth/cloudfront/refresh", "/api/auth/2fa/enable"], Pass, Token, Body::Json),
    ("POST", &["/api/auth/2fa/verify", "/api/auth/2fa/confirm", "/api/auth/2fa/disable"], Pass, Token, Body::Json),
    ("POST", &["/api/auth/2fa/backup/regenerate"], Pass, Token, Body::Json),
    ("GET", &["/api/auth/graph-token"], Pass, Token, Body::None),
    ("POST", &["/api/admin/login/local"], Closed, Anonymous, Body::Json),
    ("GET", &["/api/admin/oauth/openid", "/api/admin/oauth/openid/check"], Closed, Anonymous, Body::Json),
    ("POST", &["/api/admin/oauth/exchange", "/api/admin/oauth/refresh"], Closed, Anonymous, Body::Json),
    ("POST", &["/api/admin/oauth/apple/callback", "/api/admin/oauth/saml/callback"], Closed, Anonymous, Body::Form),
    ("GET", &["/api/admin/verify"], Admin, Token, Body::None),
    ("GET PUT PATCH DELETE", &["/api/admin/config", "/api/admin/config/role/USER/fields"], Admin, Token, Body::Json),
    ("GET POST PATCH DELETE", &["/api/admin/grants", "/api/admin/groups/x/members"], Admin, Token, Body::Json),
    ("GET POST PATCH DELETE", &["/api/admin/roles/x", "/api/admin/users/search"], Admin, Token, Body::Json),
    ("POST", &["/api/actions/x/oauth/bind"], Pass, Token, Body::Json),
    ("GET", &["/api/actions/x/oauth/callback"], Pass, Anonymous, Body::None),
    ("GET DELETE", &["/api/keys"], Pass, Token, Body::Json),
    ("PUT", &["/api/keys"], KEYS, Token, Body::Json),
    ("POST", &["/api/user/plugins"], KEYS, Token, Body::Json),
    ("DELETE", &["/api/keys/openAI"], Pass, Token, Body::Json),
    ("GET POST", &["/api/api-keys"], Pass, Token, Body::Json),
    ("GET DELETE", &["/api/api-keys/x"], Pass, Token, Body::Json),
    ("GET", &["/api/user", "/api/user/terms"], Pass, Token, Body::None),
    ("POST", &["/api/user/terms/accept"], Pass, Token, Body::Json),
    ("DELETE", &["/api/user/delete"], Pass, Token, Body::Json),
    ("POST", &["/api/user/verify", "/api/user/verify/resend"], Pass, Anonymous, Body::Json),
    ("GET POST", &["/api/user/settings/favorites", "/api/user/settings/skills/active"], Pass, Token, Body::Json),
    ("GET", &["/api/search/enable"], Pass, Token, Body::None),
    ("GET", &["/api/messages"], Pass, Token, Body::None),
    ("POST", &["/api/messages/branch", "/api/messages/artifact/x"], Pass, Token, Body::Json),
    ("GET POST", &["/api/messages/c"], Pass, Token, Body::Json),
    ("GET PUT DELETE", &["/api/messages/c/m"], Pass, Token, Body::Json),
    ("PUT", &["/api/messages/c/m/feedback"], Pass, Token, Body::Json),
    ("GET DELETE", &["/api/convos"], Pass, Token, Body::Json),
    ("GET", &["/api/convos/c", "/api/convos/gen_title/c"], Pass, Token, Body::None),
    ("DELETE", &["/api/convos/all"], Pass, Token, Body::Json),
    ("POST", &["/api/convos/archive", "/api/convos/update", "/api/convos/fork"], Pass, Token, Body::Json),
    ("POST", &["/api/convos/duplicate"], Pass, Token, Body::Json),
    ("POST", &["/api/convos/import"], Upload, Token, Body::Multipart),
    ("GET POST", &["/api/presets"], Pass, Token, Body::Json),
    ("POST", &["/api/presets/delete"], Pass, Token, Body::Json),
    ("GET POST PATCH DELETE", &["/api/prompts", "/api/prompts/groups/x", "/api/categories"], Pass, Token, Body::Json),
    ("GET POST PUT DELETE", &["/api/tags", "/api/tags/x", "/api/memories", "/api/memories/k"], Pass, Token, Body::Json),
    ("GET POST PATCH DELETE", &["/api/skills", "/api/skills/x"], Pass, Token, Body::Json),
    ("POST", &["/api/skills/import", "/api/skills/x/files"], Upload, Token, Body::Multipart),
    ("GET", &["/api/banner"], Pass, Optional, Body::None),
    ("GET HEAD", &["/api/endpoints"], Class::Catalog(Catalog::Endpoints), Token, Body::None),
    ("GET HEAD", &["/api/models"], Class::Catalog(Catalog::Models), Token, Body::None),
    ("GET HEAD", &["/api/config"], Class::Catalog(Catalog::Config), Optional, Body::None),
    ("GET", &["/api/balance"], Class::Balance, Token, Body::None),
    ("GET", &["/api/share", "/api/share/link/x"], Pass, Token, Body::None),
    ("GET", &["/api/share/x"], Pass, Optional, Body::None),
    ("POST PATCH DELETE", &["/api/share/x"], Pass, Token, Body::Json),
    ("GET", &["/api/roles/USER"], Pass, Token, Body::None),
    ("PUT", &["/api/roles/USER/prompts"], Pass, Token, Body::Json),
    ("GET PUT", &["/api/permissions/agent/x", "/api/permissions/agent/effective/all"], Pass, Token, Body::Json),
    ("GET POST PATCH DELETE", &["/api/mcp/servers", "/api/mcp/servers/x"], Pass, Token, Body::Json),
    ("GET", &["/api/mcp/x/oauth/callback"], Pass, Anonymous, Body::None),
    ("GET DELETE", &["/api/files"], Pass, Token, Body::Json),
    ("GET", &["/api/files/config", "/api/files/agent/x", "/api/files/x/preview"], Pass, Token, Body::None),
    ("GET", &["/api/files/download/u/f", "/api/files/code/download/s/f"], Pass, Token, Body::None),
    ("POST", &["/api/files", "/api/files/images", "/api/files/images/avatar"], Upload, Token, Body::Multipart),
    ("POST", &["/api/files/images/agents/x/avatar"], Class::Agent(Deed::Avatar), Token, Body::Multipart),
    (
        "POST",
        &["/api/files/images/assistants/x/avatar", "/api/assistants/v2/avatar/a"],
        assistants(Part::Avatar),
        Token,
        Body::Multipart,
    ),
    ("POST", &["/api/files/speech/stt", "/api/files/speech/tts/manual"], SPEECH, Token, Body::Multipart),
    ("GET POST", &["/api/files/speech/tts"], SPEECH, Token, Body::Json),
    ("GET", &["/api/files/speech/tts/voices", "/api/files/speech/config/get"], Pass, Token, Body::None),
    ("GET HEAD", &["/api/agents"], Class::Catalog(Catalog::Agents), Token, Body::None),
    ("GET HEAD", &["/api/agents/tools"], Class::Catalog(Catalog::Tools), Token, Body::None),
    ("POST", &["/api/agents"], Class::Agent(Deed::Create), Token, Body::Json),
    (
        "GET",
        &["/api/agents/categories", "/api/agents/tools/calls", "/api/agents/tools/x/auth"],
        Pass,
        Token,
        Body::None,
    ),
    ("POST", &["/api/agents/tools/x/call"], Tool, Token, Body::Json),
    ("GET", &["/api/agents/actions"], Pass, Token, Body::None),
    ("POST", &["/api/agents/actions/a"], Class::Agent(Deed::AddAction), Token, Body::Json),
    ("DELETE", &["/api/agents/actions/a/b"], Class::Agent(Deed::RemoveAction), Token, Body::Json),
    ("GET HEAD", &["/api/agents/x", "/api/agents/x/expanded"], Class::Agent(Deed::Show), Token, Body::None),
    ("PATCH", &["/api/agents/agent_x"], Class::Agent(Deed::Change), Token, Body::Json),
    ("DELETE", &["/api/agents/agent_x"], Pass, Token, Body::Json),
    ("POST", &["/api/agents/agent_x/duplicate"], Class::Agent(Deed::Duplicate), Token, Body::Json),
    ("POST", &["/api/agents/agent_x/revert"], Class::Agent(Deed::Revert), Token, Body::Json),
    ("POST", &["/api/agents/chat", "/api/agents/chat/openAI", "/api/agents/chat/a%20b"], Turn, Token, Body::Json),
    ("POST", &["/api/agents/chat/duplicate", "/api/agents/chat/revert"], Turn, Token, Body::Json),
    ("POST", &["/api/agents/chat/abort"], Pass, Token, Body::Json),
    ("GET", &["/api/agents/chat/stream/x"], Stream, Token, Body::None),
    ("GET", &["/api/agents/chat/status/x", "/api/agents/chat/active"], Pass, Token, Body::None),
    (
        "POST",
        &["/api/agents/v1/chat/completions", "/api/agents/v1/responses"],
        Class::Remote(Remote::Run),
        Key,
        Body::Json,
    ),
    (
        "GET HEAD",
        &["/api/agents/v1/models", "/api/agents/v1/responses/models"],
        Class::Remote(Remote::Models),
        Key,
        Body::None,
    ),
    ("GET HEAD", &["/api/agents/v1/models/x"], Class::Remote(Remote::Model), Key, Body::None),
    ("GET", &["/api/agents/v1/responses/x"], Class::Remote(Remote::Answer), Key, Body::None),
    ("POST", &["/api/assistants/v1/chat", "/api/assistants/v2/chat"], assistants(Part::Chat), Token, Body::Json),
    ("POST", &["/api/assistants/v1/chat/abort"], assistants(Part::Abort), Token, Body::Json),
    ("POST", &["/api/assistants/v2/chat/abort"], assistants(Part::Abort), Token, Body::Json),
    ("GET HEAD", &["/api/assistants/v1", "/api/assistants/v2"], assistants(Part::List), Token, Body::None),
    ("POST", &["/api/assistants/v1", "/api/assistants/v2"], assistants(Part::Create), Token, Body::Json),
    ("GET HEAD DELETE", &["/api/assistants/v1/a", "/api/assistants/v2/chat"], assistants(Part::One), Token, Body::Json),
    ("PATCH", &["/api/assistants/v1/a", "/api/assistants/v2/tools"], assistants(Part::Change), Token, Body::Json),
    ("GET", &["/api/assistants/v1/tools", "/api/assistants/v2/tools"], assistants(Part::Tools), Token, Body::None),
    ("GET", &["/api/assistants/v1/documents"], assistants(Part::Documents), Token, Body::None),
    ("GET", &["/api/assistants/v2/documents"], assistants(Part::Documents), Token, Body::None),
    ("POST", &["/api/assistants/v1/actions/a"], assistants(Part::Action), Token, Body::Json),
    ("POST", &["/api/assistants/v2/actions/a"], assistants(Part::Action), Token, Body::Json),
    ("DELETE", &["/api/assistants/v1/actions/a/b/gpt-4o"], assistants(Part::RemoveAction), Token, Body::Json),
    ("DELETE", &["/api/assistants/v2/actions/a/b/gpt-4o"], assistants(Part::RemoveAction), Token, Body::Json),
];

/// What of them leaves an entry although it passes.
const NOTED: &[(&str, &[&str], Noted)] = &[
    ("POST", &["/api/auth/login", "/api/auth/2fa/verify-temp"], Noted::SignIn),
    ("GET", &["/oauth/google/callback", "/oauth/openid/callback", "/oauth/saml/callback"], Noted::SignIn),
    ("POST", &["/oauth/apple/callback", "/oauth/saml/callback"], Noted::SignIn),
    ("POST", &["/api/auth/logout"], Noted::SignOut),
    ("POST", &["/api/auth/register"], Noted::Register),
    ("POST", &["/api/auth/requestPasswordReset", "/api/auth/resetPassword"], Noted::Password),
    ("POST", &["/api/auth/2fa/enable", "/api/auth/2fa/verify", "/api/auth/2fa/confirm"], Noted::SecondFactor),
    ("POST", &["/api/auth/2fa/disable", "/api/auth/2fa/backup/regenerate"], Noted::SecondFactor),
    ("POST", &["/api/api-keys"], Noted::ApiKeys),
    ("DELETE", &["/api/api-keys/x"], Noted::ApiKeys),
    ("PUT", &["/api/roles/USER/prompts"], Noted::Roles),
    ("DELETE", &["/api/user/delete"], Noted::Account),
    ("POST PATCH DELETE", &["/api/share/x"], Noted::Shares),
    ("DELETE", &["/api/convos", "/api/convos/all", "/api/messages/c/m"], Noted::Conversations),
    ("DELETE", &["/api/files"], Noted::Files),
    ("GET", &["/api/files/download/u/f", "/api/files/code/download/s/f"], Noted::Files),
    ("PUT", &["/api/permissions/agent/x", "/api/permissions/agent/effective/all"], Noted::Permissions),
];

#[test]
fn every_route_of_the_appendix_is_in_the_table() {
    for (methods, paths, class, access, body) in APPENDIX {
        for path in *paths {
            for method in methods.split(' ') {
                let route = find(method, path).unwrap_or_else(|fault| panic!("{method} {path}: {fault:?}"));
                let kept = NOTED
                    .iter()
                    .find(|(methods, paths, _)| methods.split(' ').any(|one| one == method) && paths.contains(path));
                let class = kept.map_or(*class, |(.., noted)| Class::Noted(*noted));
                // Where GET has a row of its own, it needs no body.
                let body = if method == "GET" && route.methods == Methods::GET { Body::None } else { *body };
                assert_eq!((route.class, route.access, route.body), (class, *access, body), "{method} {path}");
                assert_eq!(route.target(&CanonicalPath::read(path).unwrap()), *path, "{method}");
            }
        }
    }
}

#[test]
fn every_row_of_the_table_is_reached_by_the_appendix() {
    let reached: Vec<_> = APPENDIX
        .iter()
        .flat_map(|(methods, paths, ..)| paths.iter().flat_map(move |path| methods.split(' ').map(move |m| (m, path))))
        .filter_map(|(method, path)| find(method, path).ok())
        .collect();
    let rest = [table::PAGES, table::OAUTH, table::IMAGES, table::METRICS];
    for route in table::API.iter().map(|(_, routes)| *routes).chain(rest).flatten() {
        let callback = route.pattern.starts_with("/oauth/") && route.pattern.ends_with("/callback");
        assert!(callback || reached.iter().any(|found| std::ptr::eq(*found, route)), "{route:?}");
    }
}

#[test]
fn a_router_holds_the_routes_of_its_name_only() {
    for (name, routes) in table::API {
        for route in *routes {
            assert_eq!(route.parts().take(2).collect::<Vec<_>>(), ["api", *name]);
            let star = route.pattern.find('*');
            assert!(star.is_none_or(|at| at + 1 == route.pattern.len()), "{}: * must be last", route.pattern);
        }
    }
}

#[test]
fn what_librechat_does_not_have_is_unknown() {
    for (method, path) in [
        ("GET", "/api"),
        ("GET", "/api/nope"),
        ("POST", "/api/ask/openAI"),
        ("POST", "/api/edit/openAI"),
        ("POST", "/api/bedrock/chat"),
        ("POST", "/api/agents/chat/openAI/resume"),
        ("POST", "/api/agents/chat/openAI/edit"),
        ("POST", "/api/tokenizer"),
        ("POST", "/api/plugins"),
        ("POST", "/api/assistants/v3/chat"),
        ("GET", "/api/models/x"),
        ("GET", "/oauth"),
        ("GET", "/oauth/other"),
        ("OPTIONS", "/api/nope"),
        ("POST", "/api/agents/v1/embeddings"),
    ] {
        assert_eq!(find(method, path), Err(Unrouted::UnknownPath), "{method} {path}");
    }
}

#[test]
fn a_known_path_says_which_methods_it_has() {
    for (method, path, allow) in [
        ("POST", "/api/models", "GET, HEAD"),
        ("PUT", "/api/agents/chat/openAI", "POST"),
        ("PUT", "/api/agents/agent_x", "GET, HEAD, PATCH, DELETE"),
        ("POST", "/c/new", "GET, HEAD"),
        ("PUT", "/api/share/x", "GET, HEAD, POST, PATCH, DELETE"),
        ("TRACE", "/", "GET, HEAD"),
        ("PROPFIND", "/api/config", "GET, HEAD"),
    ] {
        let Err(Unrouted::Method { allowed }) = find(method, path) else { panic!("{method} {path}") };
        assert_eq!(allowed.allow(), allow, "{method} {path}");
    }
}

#[test]
fn a_preflight_passes_on_every_known_path() {
    for path in ["/api/agents/chat/openAI", "/", "/api/models", "/images/x", "/api/agents/v1/responses"] {
        let route = find("OPTIONS", path).unwrap();
        assert_eq!((route.class, route.access), (Pass, Anonymous), "{path}");
        assert_eq!(route.target(&CanonicalPath::read(path).unwrap()), path);
    }
}

#[test]
fn targets_go_upstream_in_librechats_spelling() {
    for (method, target, expected) in [
        ("POST", "/API/Agents/CHAT/OpenAI/?X=1&x=%41", "/api/agents/chat/OpenAI?X=1&x=%41"),
        ("POST", "/api/auth/REQUESTpasswordreset", "/api/auth/requestPasswordReset"),
        ("GET", "/Api/Models//", "/api/models"),
        ("GET", "/API/MESSAGES/AbC/DeF", "/api/messages/AbC/DeF"),
        ("GET", "/Images/User/A.png", "/images/User/A.png"),
        ("GET", "/API/PROMPTS/Groups/A%20b", "/api/prompts/Groups/A%20b"),
        ("GET", "/C/New/?a", "/C/New/?a"),
        ("GET", "/OAUTH/OpenID", "/oauth/openid"),
    ] {
        assert_eq!(find(method, target).unwrap().target(&CanonicalPath::read(target).unwrap()), expected);
    }
}

/// Spells a path in another way that some reader may take for the same path.
fn trick(path: &str, seed: &[u8]) -> String {
    let mut out = String::new();
    for (char, choice) in path.chars().zip(seed.iter().cycle()) {
        match (char, choice % 16) {
            ('/', 0) => out.push_str("//"),
            ('/', 1) => out.push_str("/./"),
            ('/', 2) => out.push('\\'),
            ('/', 3) => out.push_str("%2F"),
            ('/', 4) => out.push_str("/x/../"),
            (letter, 5) => out.push_str(&format!("%{:02x}", u32::from(letter))),
            (letter, 6..12) => out.push(letter.to_ascii_uppercase()),
            (letter, _) => out.push(letter),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn a_governed_path_spelt_otherwise_is_refused_or_stays_what_it_is(
        row in 0..APPENDIX.len(),
        seed in prop::collection::vec(prop_oneof![8 => 6u8..16, 1 => 0u8..16], 1..12),
        tail in "(/{0,3}|;x=1|#x|\\?x=1|%20|\\.)",
    ) {
        let (methods, paths, ..) = APPENDIX[row];
        let governed = paths[0];
        let target = trick(governed, &seed) + &tail;
        let method: Method = methods.split(' ').next().unwrap().parse().unwrap();
        if governed.starts_with("/api/") && let Ok(path) = CanonicalPath::read(&target) {
            prop_assert_eq!(path.area(), Area::Api);
            let class = classify(&method, &CanonicalPath::read(governed).unwrap()).unwrap().class;
            if let Ok(route) = classify(&method, &path) {
                let changed = tail == "%20" || tail == ".";
                prop_assert!(changed || route.class == class, "{} became {:?}", target, route);
                let forwarded = CanonicalPath::read(&route.target(&path)).unwrap();
                prop_assert_eq!(classify(&method, &forwarded).unwrap(), route);
            }
        }
    }
}
