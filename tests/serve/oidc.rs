//! Tokens of an identity provider in place of LibreChat's own: whom they make of their bearer, and which of them count.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::POLICY;
use crate::fake::Fake;
use crate::idp::{Idp, Signer, shared};
use crate::support::{Answer, request};
use crate::world::{Plan, World};

mod claims;
mod keys;
mod matrix;
mod people;

/// The issuer that tokens name. Its keys are at an address of the test's own.
const ISSUER: &str = "https://idp.lab.test/realms/lab";
const AUDIENCE: &str = "librechat";
const BOB: &str = "sub-of-bob";
const REFRESH_SECRET: &str = "the secret of refresh tokens, for tests";

/// A moment that no test lives to see.
const LATER: i64 = 4_000_000_000;

/// What a good token of Bob's says.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": BOB, "exp": LATER, "email": "bob@example.edu", "name": "Bob"})
}

/// The same with some of it changed; `null` takes a claim away.
fn with(more: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
    claims
}

#[expect(clippy::disallowed_methods, reason = "a token for the real program is for the machine's real time")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(since.as_secs()).expect("a small number")
}

/// LibreChat, as far as these tests need it: it offers three models, starts every turn, and remembers what it was sent.
async fn librechat() -> Fake {
    Fake::start(|mut socket: TcpStream, head: String| async move {
        let body = match head.split(' ').nth(1).expect("a path") {
            "/api/models" => r#"{"openAI":["gpt-4o-mini","gpt-4o","o1"],"MindRoom":["mindroom-basic","mindroom-pro"]}"#,
            "/api/agents/chat/openAI" => r#"{"streamId":"s","conversationId":"s","status":"started"}"#,
            _ => "{}",
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length:";
        let said = socket.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        said.is_ok().then_some(socket)
    })
    .await
}

/// Tollgate that trusts this provider, in front of this LibreChat; Bob's account is linked.
fn plan(policy: &str, librechat: &Fake, jwks: &str) -> Plan {
    World::with(policy)
        .upstream(&librechat.url())
        .account("Bob", ISSUER, BOB)
        .variable("OPENID_REUSE_TOKENS", "true")
        .variable("OPENID_ISSUER", ISSUER)
        .variable("OPENID_CLIENT_ID", AUDIENCE)
        .variable("JWT_REFRESH_SECRET", REFRESH_SECRET)
        .settings(&format!("oidc: {{ jwks_url: \"{jwks}\", algorithms: [RS256, ES256] }}"))
}

/// Waits until the keys have been fetched once.
async fn has_keys(world: &mut World) {
    world
        .until("the keys are there", async |world| !matches!(&*world.metric("tollgate_oidc_keys").await, "" | "0"))
        .await;
}

/// The cookies that LibreChat gives to a user who signs in with a provider whose tokens it reuses.
fn cookies(user: &str) -> String {
    let signed = shared(REFRESH_SECRET.as_bytes(), &json!({"id": user, "iat": 1_795_239_489, "exp": LATER}));
    format!("refreshToken=opaque; token_provider=openid; openid_user_id={signed}")
}

fn bob(world: &World) -> String {
    cookies(&world.person("Bob").id)
}

/// Sends a request as a browser would, under a name by which its entry is found again.
async fn send(world: &World, agent: &str, target: (Method, &str), token: &str, cookies: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("user-agent", agent), (AUTHORIZATION.as_str(), bearer.as_str())];
    if !cookies.is_empty() {
        headers.push((COOKIE.as_str(), cookies));
    }
    let (method, path) = target;
    let body = if method == Method::POST { turn("gpt-4o-mini") } else { Bytes::new() };
    if method == Method::POST {
        headers.push(("content-type", "application/json"));
    }
    request(world.addr, method, path, &headers, body).await
}

fn turn(model: &str) -> Bytes {
    json!({"text": "hi", "endpoint": "openAI", "model": model}).to_string().into()
}

const MODELS: (Method, &str) = (Method::GET, "/api/models");
const USER: (Method, &str) = (Method::GET, "/api/user");
const CHAT: (Method, &str) = (Method::POST, "/api/agents/chat/openAI");

/// A header of the last request that reached LibreChat.
fn reached_with(librechat: &Fake, name: &str) -> Vec<String> {
    let heads = librechat.heads();
    let start = format!("{name}: ");
    let lines = heads.last().expect("a request").lines();
    lines.filter_map(|line| line.strip_prefix(&start).map(str::to_owned)).collect()
}
