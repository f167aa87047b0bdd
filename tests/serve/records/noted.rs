//! What passes undecided and is worth an entry: who came in, by what, and what became of people's data.

use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::POLICY;
use crate::fake::Fake;
use crate::support::request;
use crate::world::World;

const PASSES: &str = "route.passes";

/// One request: what it is called, by whom it is sent, what LibreChat answers, and the entry that it leaves.
struct Case {
    name: &'static str,
    method: Method,
    path: &'static str,
    by: Option<&'static str>,
    /// Status, and whether a session begins.
    answer: (u16, bool),
    /// `action`, `category`, `severity`; none where there is no entry.
    entry: Option<[&'static str; 3]>,
}

fn case(
    name: &'static str,
    (method, path): (Method, &'static str),
    by: Option<&'static str>,
    answer: (u16, bool),
    entry: Option<[&'static str; 3]>,
) -> Case {
    Case { name, method, path, by, answer, entry }
}

fn cases() -> Vec<Case> {
    use Method as M;
    let bob = Some("Bob");
    let login = (M::POST, "/api/auth/login");
    let back = (M::GET, "/oauth/openid/callback?code=secret&state=x");
    vec![
        case("in", login.clone(), None, (200, true), Some(["sign-in", "AUTH", "INFO"])),
        // A second factor is asked for.
        case("half in", login.clone(), None, (200, false), Some(["sign-in", "AUTH", "INFO"])),
        case("no such address", login.clone(), None, (404, false), Some(["sign-in", "AUTH", "WARNING"])),
        case("unverified", login.clone(), None, (422, false), Some(["sign-in", "AUTH", "WARNING"])),
        case("too often", login.clone(), None, (429, false), Some(["sign-in", "AUTH", "WARNING"])),
        case("banned", login.clone(), None, (403, false), Some(["sign-in", "SECURITY", "WARNING"])),
        case("broken", login, None, (500, false), Some(["sign-in", "SYSTEM", "ERROR"])),
        case("by a provider", back.clone(), None, (302, true), Some(["sign-in", "AUTH", "INFO"])),
        case("sent back", back, None, (302, false), Some(["sign-in", "AUTH", "WARNING"])),
        case("out", (M::POST, "/api/auth/logout"), bob, (200, false), Some(["sign-out", "AUTH", "INFO"])),
        case("new", (M::POST, "/api/auth/register"), None, (200, false), Some(["register", "AUTH", "INFO"])),
        case(
            "lost",
            (M::POST, "/api/auth/requestPasswordReset"),
            None,
            (200, false),
            Some(["password", "AUTH", "INFO"]),
        ),
        case("factor", (M::POST, "/api/auth/2fa/disable"), bob, (200, false), Some(["second-factor", "AUTH", "INFO"])),
        case("key", (M::POST, "/api/api-keys"), bob, (201, false), Some(["api-keys", "AUTH", "INFO"])),
        case("key gone", (M::DELETE, "/api/api-keys/x"), bob, (200, false), Some(["api-keys", "AUTH", "INFO"])),
        case("share", (M::POST, "/api/share/c1"), bob, (200, false), Some(["shares", "DATA", "INFO"])),
        case("delete", (M::DELETE, "/api/convos"), bob, (201, false), Some(["conversations", "DATA", "INFO"])),
        case("leave", (M::DELETE, "/api/user/delete"), bob, (200, false), Some(["account", "DATA", "INFO"])),
        case("load", (M::GET, "/api/files/download/u/f"), bob, (200, false), Some(["files", "DATA", "INFO"])),
        case("theirs", (M::GET, "/api/files/download/v/f"), bob, (403, false), Some(["files", "SECURITY", "WARNING"])),
        case("bring", (M::POST, "/api/files"), bob, (200, false), Some(["uploads", "DATA", "INFO"])),
        case("let", (M::PUT, "/api/permissions/agent/x"), bob, (200, false), Some(["permissions", "DATA", "INFO"])),
        // Reading what is one's own, and what the client does by itself, is not.
        case("read", (M::GET, "/api/convos"), bob, (200, false), None),
        case("renew", (M::POST, "/api/auth/refresh"), None, (200, true), None),
        case("preflight", (M::OPTIONS, "/api/auth/login"), None, (204, false), None),
    ]
}

/// A LibreChat that answers as the request's header `X-Answer` says.
async fn answering(session: String) -> Fake {
    Fake::start(move |mut socket, head| {
        let asked = head.lines().find_map(|line| line.to_lowercase().strip_prefix("x-answer: ").map(str::to_owned));
        let asked = asked.expect("each request says what its answer is");
        let (status, begins) = asked.split_once(' ').expect("two words");
        let cookies = if begins == "true" { session.as_str() } else { "" };
        let length = if status == "204" { "" } else { "content-length: 2\r\n" };
        let body = if status == "204" { "" } else { "{}" };
        let answer = format!("HTTP/1.1 {status} x\r\n{cookies}{length}connection: close\r\n\r\n{body}");
        async move {
            // A proxy that has left already is the test's own matter.
            let _ = socket.write_all(answer.as_bytes()).await;
            None
        }
    })
    .await
}

#[tokio::test]
async fn who_comes_in_and_what_becomes_of_data_is_written_down() {
    let plan = World::with(POLICY).settings("records: { queue: 1000 }");
    let session = {
        // Tokens as LibreChat writes them for a new session.
        let claims = json!({"id": "6b012e4109cc968f8a928bce", "sessionId": "6b012e4109cc968f8a928bd0"});
        let token = crate::world::token(jsonwebtoken::Algorithm::HS256, "its own secret", &claims);
        format!(
            "set-cookie: refreshToken={token}; Path=/; HttpOnly\r\nset-cookie: token_provider=librechat; Path=/\r\n"
        )
    };
    let fake = answering(session).await;
    let mut world = plan.upstream(&fake.url()).start().await;
    for case in cases() {
        let bearer = case.by.map(|who| world.bearer(who));
        let answer = format!("{} {}", case.answer.0, case.answer.1);
        let mut headers = vec![("user-agent", case.name), ("x-answer", &answer)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let (kind, body) = match (case.path, &case.method) {
            ("/api/files", _) => ("multipart/form-data; boundary=x", "--x--\r\n"),
            (_, &Method::GET | &Method::OPTIONS) => ("", ""),
            _ => ("application/json", r#"{"email":"who@lab.test","password":"a secret"}"#),
        };
        headers.extend(Some(("content-type", kind)).filter(|(_, kind)| !kind.is_empty()));
        let told = request(world.addr, case.method.clone(), case.path, &headers, body.to_owned().into()).await;
        assert_eq!(told.status.as_u16(), case.answer.0, "{}: LibreChat's answer is passed on", case.name);
        let Some([action, category, severity]) = case.entry else { continue };
        let entry = world.entry_from(case.name).await;
        let found = ["action", "category", "severity", "decision"].map(|member| entry[member].clone());
        assert_eq!(found, [action, category, severity, "allow"].map(Value::from), "{}", case.name);
        assert_eq!(entry["rules"], json!([PASSES]));
        assert_eq!(entry["details"]["response"]["status"], case.answer.0);
        let user = match case.by {
            Some(who) => Value::from(world.person(who).id.clone()),
            None if case.answer.1 => "6b012e4109cc968f8a928bce".into(),
            None => Value::Null,
        };
        assert_eq!(entry.get("userId").cloned().unwrap_or_default(), user, "{}", case.name);
        let text = entry.to_string();
        assert!(!["who@lab.test", "a secret", "code=secret"].iter().any(|secret| text.contains(secret)), "{text}");
    }
    let (status, entries) = world.stop().await;
    assert!(status.success());
    for case in cases() {
        let of = |entry: &&Value| entry["details"]["userAgent"] == case.name;
        assert_eq!(entries.iter().filter(of).count(), usize::from(case.entry.is_some()), "{}", case.name);
    }
}

#[tokio::test]
async fn what_a_role_may_do_in_librechat_is_written_down_before_it_changes() {
    let fake = answering(String::new()).await;
    let mut world = World::with(POLICY).upstream(&fake.url()).start().await;
    let ann = world.bearer("Ann");
    let headers = [
        ("user-agent", "roles"),
        ("x-answer", "200 false"),
        ("authorization", ann.as_str()),
        ("content-type", "application/json"),
    ];
    let told = request(world.addr, Method::PUT, "/api/roles/USER/prompts", &headers, "{}".to_owned().into()).await;
    assert_eq!(told.status, 200);
    let entry = world.entry_from("roles").await;
    assert_eq!([&entry["action"], &entry["category"], &entry["severity"]], ["roles", "ADMIN", "INFO"]);
    assert_eq!(entry["details"].get("response"), None, "it was written before LibreChat answered");
    let request = entry["requestId"].clone();
    world
        .until("how it was answered", async |world| {
            world
                .record()
                .iter()
                .any(|line| line["action"] == "request.answered" && line["about"]["request"] == request)
        })
        .await;
}
