//! Who is asking: the tokens that count, the words of a 401, and what reaches LibreChat of credentials.

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Method};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tollgate::demo::Person;

use crate::POLICY;
use crate::support::{Answer, get, post_json, request};
use crate::world::{World, token};

/// A moment that no test lives to see, and one long gone.
const LATER: i64 = 4_000_000_000;
const LONG_AGO: i64 = 1_600_000_000;

fn secret(world: &World) -> String {
    world.stand_in.options().jwt_secret.clone()
}

/// A token as LibreChat writes them, with other or more claims.
fn claims(world: &World, more: Value) -> Value {
    let mut claims = json!({"id": world.person("Bob").id, "username": "bob", "provider": "local", "exp": LATER});
    claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    claims
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut coded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        coded.extend((0..=three.len()).map(|sixth| char::from(LETTERS[bits >> (18 - 6 * sixth) & 63])));
    }
    coded
}

/// Credentials that do not count, with LibreChat's words for them and the code in the record.
fn bad_credentials(world: &World) -> Vec<(&'static str, Vec<String>, &'static str, &'static str)> {
    let secret = secret(world);
    let good = world.bearer("Bob");
    let bearer = |token: String| vec![format!("Bearer {token}")];
    let signed = |more: Value| bearer(token(Algorithm::HS256, &secret, &claims(world, more)));
    let unsigned =
        format!("{}.{}.", base64(r#"{"alg":"none","typ":"JWT"}"#), base64(&claims(world, json!({})).to_string()));
    let (head, tail) = good.rsplit_once('.').expect("a token");
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    let broken = format!("{head}.{other}{}", tail.chars().skip(1).collect::<String>());
    let crit = jsonwebtoken_with_crit(world, &secret);
    let endless = json!({"id": world.person("Bob").id});
    vec![
        ("none", vec![], "No auth token", "identity.missing"),
        ("empty", vec![String::new()], "No auth token", "identity.missing"),
        ("another scheme", vec!["Basic eDp5".into()], "No auth token", "identity.missing"),
        ("no space", vec![good.replace(' ', "")], "No auth token", "identity.missing"),
        ("expired", signed(json!({"exp": LONG_AGO})), "jwt expired", "identity.expired"),
        ("without an end", bearer(token(Algorithm::HS256, &secret, &endless)), "jwt expired", "identity.endless"),
        (
            "another secret",
            bearer(token(Algorithm::HS256, "not the secret of this LibreChat", &claims(world, json!({})))),
            "invalid signature",
            "identity.signature",
        ),
        ("a broken signature", vec![broken], "invalid signature", "identity.signature"),
        (
            "a refresh token",
            bearer(token(Algorithm::HS256, &world.stand_in.options().jwt_refresh_secret, &claims(world, json!({})))),
            "invalid signature",
            "identity.signature",
        ),
        ("algorithm none", bearer(unsigned), "jwt signature is required", "identity.unsigned"),
        ("garbage", vec!["Bearer garbage".into()], "jwt malformed", "identity.malformed"),
        ("three dots", vec!["Bearer a.b.c".into()], "jwt malformed", "identity.malformed"),
        ("two spaces", vec![good.replace(' ', "  ")], "jwt malformed", "identity.malformed"),
        ("something after it", vec![format!("{good} extra")], "jwt malformed", "identity.malformed"),
        ("two in one", vec![format!("{good}, {good}")], "jwt malformed", "identity.malformed"),
        ("two headers", vec![good.clone(), good.clone()], "jwt malformed", "identity.malformed"),
        ("a bad one first", vec!["Bearer garbage".into(), good.clone()], "jwt malformed", "identity.malformed"),
        ("what must be understood", bearer(crit), "jwt malformed", "identity.malformed"),
        ("far too long", vec![format!("Bearer {}", "a".repeat(9_000))], "jwt malformed", "identity.malformed"),
        ("not yet", signed(json!({"nbf": LATER - 1})), "jwt malformed", "identity.early"),
        ("an end that is no number", signed(json!({"exp": "4000000000"})), "jwt malformed", "identity.malformed"),
        ("nobody", signed(json!({"id": null})), "Unauthorized", "identity.nobody"),
        ("no id of a user", signed(json!({"id": "bob"})), "Unauthorized", "identity.nobody"),
        (
            "half a sign-in",
            bearer(token(Algorithm::HS256, &secret, &json!({"userId": "x", "twoFAPending": true, "exp": LATER}))),
            "Unauthorized",
            "identity.nobody",
        ),
    ]
}

/// A token whose header says that an extension must be understood (RFC 7515 4.1.11).
fn jsonwebtoken_with_crit(world: &World, secret: &str) -> String {
    let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&header, &claims(world, json!({})), &key).expect("a token")
}

async fn asked(world: &World, method: &Method, path: &str, agent: &str, credentials: &[String]) -> Answer {
    let mut headers = vec![("user-agent", agent)];
    headers.extend(credentials.iter().map(|credential| ("authorization", credential.as_str())));
    request(world.addr, method.clone(), path, &headers, Bytes::new()).await
}

#[tokio::test]
async fn a_bad_token_gets_librechats_own_words_and_goes_no_further() {
    let mut world = World::with(POLICY).start().await;
    let bad = bad_credentials(&world);
    let routes = [
        (Method::GET, "/api/models"),
        (Method::GET, "/api/user"),
        (Method::GET, "/api/agents/chat/stream/x"),
        (Method::POST, "/api/agents/chat/openAI"),
        (Method::GET, "/api/agents/agent_x"),
        (Method::GET, "/api/admin/users"),
        (Method::POST, "/api/files"),
    ];
    for (name, credentials, words, _) in &bad {
        for (method, path) in &routes {
            let answer = asked(&world, method, path, &format!("{name} {path}"), credentials).await;
            let told = format!("{name}: {method} {path}: {}", answer.text());
            assert_eq!(answer.status, 401, "{told}");
            assert_eq!(answer.text(), format!(r#"{{"message":"{words}"}}"#), "{told}");
            assert_eq!(answer.header("content-type"), "application/json; charset=utf-8", "{told}");
            assert_eq!(answer.header("www-authenticate"), "", "a browser must not ask for a password");
        }
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    for (name, _, _, code) in &bad {
        for (_, path) in &routes {
            let entry = world.entry_from(&format!("{name} {path}")).await;
            assert_eq!((&entry["rules"], &entry["decision"]), (&json!([code]), &json!("deny")), "{name}: {path}");
            assert_eq!((&entry["category"], &entry["severity"]), (&json!("SECURITY"), &json!("WARNING")), "{name}");
            assert_eq!(entry.get("userId"), None, "{name}: who a bad token names is not known");
        }
    }
    let record = json!(world.entries()).to_string();
    let good = world.bearer("Bob");
    assert!(!record.contains(good.rsplit('.').next().expect("a signature")), "tokens are not recorded");
}

#[tokio::test]
async fn a_token_in_the_query_or_a_cookie_is_none() {
    let mut world = World::with(POLICY).start().await;
    let bearer = world.bearer("Bob");
    let bare = bearer.trim_start_matches("Bearer ");
    let answer = get(world.addr, &format!("/api/user?token={bare}&access_token={bare}"), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"message":"No auth token"}"#.to_owned()));
    let cookie = format!("token={bare}; refreshToken={bare}; openid_access_token={bare}");
    let answer = get(world.addr, "/api/user", &[(COOKIE.as_str(), &cookie)]).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"message":"No auth token"}"#.to_owned()));
    assert!(world.reached().is_empty());
    let queried = |entry: &Value| entry["details"]["query"] == json!(["token", "access_token"]);
    let entry = world.entry("the request with a query", queried).await;
    assert!(!entry.to_string().contains(bare), "values of a query are not recorded: {entry}");
}

#[tokio::test]
async fn every_way_of_writing_a_good_token_reaches_librechat_as_one() {
    let world = World::with(POLICY).start().await;
    let secret = secret(&world);
    let bearer = world.bearer("Bob");
    let bare = bearer.trim_start_matches("Bearer ").to_owned();
    let strong = token(Algorithm::HS512, &secret, &claims(&world, json!({})));
    let upper = claims(&world, json!({"id": world.person("Bob").id.to_uppercase()}));
    for (credential, token) in [
        (bearer.clone(), bare.clone()),
        (format!("bearer {bare}"), bare.clone()),
        (format!("BEARER {bare}"), bare.clone()),
        (format!("Bearer {strong}"), strong),
        (
            format!("Bearer {}", token(Algorithm::HS384, &secret, &claims(&world, json!({"nbf": LONG_AGO})))),
            String::new(),
        ),
    ] {
        world.stand_in.forget();
        let answer = get(world.addr, "/api/user", &[("authorization", &credential)]).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["name"]), (200, &json!("Bob")), "{credential}");
        let sent = &world.reached()[0].headers["authorization"];
        let wanted = if token.is_empty() { credential } else { format!("Bearer {token}") };
        assert_eq!(sent, wanted.as_str());
    }
    // One user has one standing, however the id is spelt.
    let credential = format!("Bearer {}", token(Algorithm::HS256, &secret, &upper));
    let models = get(world.addr, "/api/models", &[("authorization", &credential)]).await;
    assert_ne!(models.json()["openAI"], json!(["gpt-4o-mini", "gpt-4o", "o1"]), "{}", models.text());
}

#[tokio::test]
async fn what_a_token_says_of_its_user_means_nothing() {
    let mut world = World::with(POLICY).start().await;
    let boast = json!({"role": "ADMIN", "groups": ["premium-openai"], "email": "ann@example.edu", "username": "ann",
                       "permissions": ["*"], "tenantId": "other"});
    let bearer = format!("Bearer {}", token(Algorithm::HS256, &secret(&world), &claims(&world, boast)));
    let models = get(world.addr, "/api/models", &[("authorization", &bearer)]).await.json();
    assert_eq!(models, json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}));
    world.stand_in.forget();
    let body = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o"});
    let chat = post_json(world.addr, "/api/agents/chat", &[("authorization", &bearer)], &body).await;
    assert_eq!((chat.status.as_u16(), &chat.json()["rule"]), (403, &json!("roles.USER.endpoints.openAI.models")));
    let admin = get(world.addr, "/api/admin/users", &[("authorization", &bearer)]).await;
    assert_eq!((admin.status.as_u16(), &admin.json()["rule"]), (403, &json!("route.admins-only")));
    assert!(world.reached().is_empty());
    let entry = world.entry_of(&chat.json()).await;
    assert_eq!((&entry["userId"], &entry["role"]), (&json!(world.person("Bob").id), &json!("USER")));
}

#[tokio::test]
async fn who_is_not_in_the_directory_is_nobody() {
    let mut world = World::with(POLICY).start().await;
    let ghost = Person { id: "6b0000000000000000000fff".to_owned(), ..world.person("Bob").clone() };
    let bearer = format!("Bearer {}", world.stand_in.token_for(&ghost));
    let body = json!({"text": "hi", "endpoint": "openAI", "model": "gpt-4o-mini"});
    let chat =
        post_json(world.addr, "/api/agents/chat", &[("authorization", &bearer), ("user-agent", "chat")], &body).await;
    let mut answers = vec![chat];
    for path in ["/api/models", "/api/endpoints", "/api/agents/agent_x", "/api/assistants/v1", "/api/admin/users"] {
        answers.push(get(world.addr, path, &[("authorization", &bearer), ("user-agent", path)]).await);
    }
    for answer in answers {
        assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"message":"Unauthorized"}"#.to_owned()));
    }
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    for agent in ["chat", "/api/models", "/api/agents/agent_x"] {
        assert_eq!(world.entry_from(agent).await["rules"], json!(["identity.no-user"]), "{agent}");
    }
    // On other routes LibreChat, which asks its own database, says the same.
    let passed = get(world.addr, "/api/user", &[("authorization", &bearer)]).await;
    assert_eq!((passed.status.as_u16(), passed.text()), (401, r#"{"message":"Unauthorized"}"#.to_owned()));
    assert_eq!(world.reached().len(), 1);
}

#[tokio::test]
async fn routes_without_a_sign_in_stay_open() {
    let world = World::with(POLICY).start().await;
    for credentials in [vec![], vec!["Bearer garbage".to_owned()]] {
        world.stand_in.forget();
        for path in [
            "/",
            "/login",
            "/c/new",
            "/assets/app.js",
            "/api/config",
            "/api/banner",
            "/api/share/x",
            "/oauth/openid",
            "/images/x.png",
        ] {
            let answer = asked(&world, &Method::GET, path, "anybody", &credentials).await;
            assert_ne!(answer.status, 401, "{path} {credentials:?}");
            assert_ne!(answer.status, 403, "{path} {credentials:?}");
        }
        assert_eq!(world.reached().len(), 9, "{credentials:?}");
    }
    for path in ["/metrics", "/api/admin/login/local", "/api/admin/oauth/openid"] {
        world.stand_in.forget();
        let method = if path.ends_with("local") { Method::POST } else { Method::GET };
        let answer = asked(&world, &method, path, "anybody", &[]).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(world.reached().is_empty(), "{path}");
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn signing_in_renewing_and_signing_out_pass_with_all_their_cookies() {
    let world = World::with(POLICY).start().await;
    let bob = json!({"email": "bob@example.edu", "password": "demo-password"});
    let login = post_json(world.addr, "/api/auth/login", &[("authorization", "Bearer stale")], &bob).await;
    assert_eq!(login.status, 200, "{}", login.text());
    let set = cookies(&login.headers);
    assert_eq!(set.len(), 2, "{set:?}");
    assert!(set[0].starts_with("refreshToken=") && set[0].ends_with("; HttpOnly; SameSite=Strict"), "{set:?}");
    assert!(set[1].starts_with("token_provider=librechat; "), "{set:?}");
    let first = format!("Bearer {}", login.json()["token"].as_str().expect("a token"));
    assert_eq!(get(world.addr, "/api/models", &[("authorization", &first)]).await.status, 200);

    let pairs: Vec<&str> = set.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let cookie = pairs.join("; ");
    let renewed = post_json(world.addr, "/api/auth/refresh", &[(COOKIE.as_str(), &cookie)], &json!({})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let set = cookies(&renewed.headers);
    assert_eq!(set.len(), 2, "{set:?}");
    let sent = world.reached().into_iter().find(|seen| seen.target == "/api/auth/refresh").expect("the renewal");
    assert_eq!(sent.headers[COOKIE], cookie.as_str(), "cookies are LibreChat's own");
    let again = post_json(world.addr, "/api/auth/refresh", &[(COOKIE.as_str(), &cookie)], &json!({})).await;
    assert_eq!(again.status, 401, "LibreChat's own answer to a refresh token that is used twice");

    let bearer = format!("Bearer {}", renewed.json()["token"].as_str().expect("a token"));
    let logout = post_json(world.addr, "/api/auth/logout", &[("authorization", &bearer)], &json!({})).await;
    assert_eq!((logout.status.as_u16(), cookies(&logout.headers).len()), (200, 5), "{:?}", logout.headers);
    let wrong = json!({"email": "bob@example.edu", "password": "no"});
    let refused = post_json(world.addr, "/api/auth/login", &[], &wrong).await;
    assert_eq!((refused.status.as_u16(), refused.text()), (404, r#"{"message":"Incorrect password."}"#.to_owned()));
}
