//! Canaries: a secret of its own in every slot that anything comes in by, sent through the real program at its most talkative, and
//! none of them in anything that it writes: log, metrics, records of all sinks, its own answers, command line, data directory.
//!
//! What is recorded by design has canaries, too: that those are found shows that the search finds.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Method;
use jsonwebtoken::Algorithm;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tollgate::demo::RemoteKey;
use tollgate::librechat::routes::{Body, Class, Remote};

use crate::counters::{Server, without_redis};
use crate::fake::Fake;
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};
use crate::remote::put_key;
use crate::rows::rows;
use crate::support::{get, open, patiently, send_raw};
use crate::turns::SOON;
use crate::world::{World, token};

/// How all canaries begin: by this they are found, whatever was cut off behind.
const BIRD: &str = "c0ffee5ec7e7b12d";

/// The captured user, who may use everything that is not an administrator's.
const USER: &str = "6b012e4109cc968f8a928bce";

/// A moment that no test lives to see.
const LATER: i64 = 4_000_000_000;

const POLICY: &str = "version: 1
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini] } }
    limits: [{ id: month, tokens: 10000M, per: user, window: month }]
";

/// The secrets that were planted, with the names of their slots.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// 32 bytes in hexadecimal digits, 24 of which are random.
    fn plant(&mut self, slot: impl Into<String>) -> String {
        let [one, other] = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|id| id.simple().to_string());
        let secret = format!("{BIRD}{one}{other:.16}");
        self.0.push((slot.into(), secret.clone()));
        secret
    }

    /// The slots whose secrets are in there, also in base64; what nobody can name is shown with its surroundings.
    fn heard_in(&self, text: &str) -> BTreeSet<String> {
        let mut heard = BTreeSet::new();
        for (at, _) in text.match_indices(BIRD) {
            // What was cut off may fit several.
            let rest = text.get(at..).expect("a place in it");
            let of = |secret: &str| rest.bytes().zip(secret.bytes()).take_while(|(one, other)| one == other).count();
            let most = self.0.iter().max_by_key(|(_, secret)| of(secret)).expect("a canary");
            heard.insert(most.0.clone());
        }
        // The middle of the beginning, however it falls into groups of three bytes.
        for shift in 0..3 {
            let coded = STANDARD_NO_PAD.encode(format!("{}{BIRD}", "x".repeat(shift)));
            let needle = coded.get((shift * 8).div_ceil(6)..coded.len() - 2).expect("its middle");
            for (at, _) in text.match_indices(needle) {
                let near = text.get(at.saturating_sub(40)..(at + 80).min(text.len())).unwrap_or_default();
                heard.insert(format!("in base64: {near}"));
            }
        }
        heard
    }
}

/// All that a program wrote, by where.
#[derive(Default)]
struct Written(Vec<(String, String)>);

impl Written {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Everything in the files of this directory.
    fn add_files(&mut self, directory: &Path) {
        for file in fs::read_dir(directory).expect("a directory") {
            let path = file.expect("a file").path();
            if path.is_dir() {
                self.add_files(&path);
            } else if let Ok(bytes) = fs::read(&path) {
                self.add(path.display().to_string(), String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// All documents of Tollgate's own database.
    async fn add_database(&mut self, mongod: &Mongod) {
        for name in mongod.own.list_collection_names().await.expect("names") {
            let mut found = mongod.own.collection::<Document>(&name).find(doc! {}).await.expect("documents");
            while found.advance().await.expect("a document") {
                let document = found.deserialize_current().expect("a document");
                self.add(format!("mongo {name}"), document.to_string());
            }
        }
    }
}

/// Sends requests, and keeps Tollgate's own answers.
struct Sender<'a> {
    world: &'a World,
    written: Written,
    sent: usize,
}

impl Sender<'_> {
    async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let method = method.parse::<Method>().expect("a method");
        let body = Bytes::from(body.to_owned());
        let open = open(self.world.addr, method.clone(), path, headers, body).await;
        let (status, sent) = (open.status, format!("{:?}", open.headers));
        self.sent += 1;
        // A stream ends by itself; what LibreChat answers is its own matter.
        let body: Vec<u8> = open.rest().await.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        let text = String::from_utf8_lossy(&body);
        if status.as_u16() >= 400 && text.contains("request_id") {
            self.written.add(format!("answer to {method} {path}"), format!("{status} {sent} {text}"));
        }
    }
}

/// A user of MongoDB with this password, who may do what Tollgate does.
async fn user(mongod: &Mongod, password: &str) -> String {
    let own = mongod.own.name();
    let roles = [doc! {"role": "read", "db": mongod.librechat.name()}, doc! {"role": "dbOwner", "db": own}];
    let user = doc! {"createUser": "canary", "pwd": password, "roles": roles.to_vec()};
    mongod.librechat.run_command(user).await.expect("a user");
    mongod.uri.replacen("mongodb://", &format!("mongodb://canary:{password}@"), 1)
}

/// A body with secrets in all that people write, and nothing that is recorded by design.
fn body(secret: &str) -> String {
    json!({
        "text": secret, "endpoint": "openAI", "model": "gpt-4o-mini", "conversationId": null, "password": secret,
        "token": secret, "key": secret, "value": secret, "promptPrefix": secret, "instructions": secret, "email": secret,
        "messages": [{"role": "user", "content": secret}], "input": secret, "files": [{"file_id": secret}], secret: secret,
        "ephemeralAgent": {"mcp": [secret]}, "version_index": 0, "name": secret, "metadata": {"auth": {"api_key": secret}},
    })
    .to_string()
}

/// Plants and sends all that a request can hold.
async fn all_slots(sender: &mut Sender<'_>, birds: &mut Canaries, jwt_secret: &str) {
    let bob = sender.world.bearer("User");
    let authorized = [("authorization", bob.as_str())];
    let hs256 = |claims: &Value| format!("Bearer {}", token(Algorithm::HS256, jwt_secret, claims));
    // Tokens: good, expired, forged, and no tokens at all.
    let claim = birds.plant("JWT: a claim of a good token");
    let good = hs256(&json!({"id": USER, "exp": LATER, "username": claim}));
    let claim = birds.plant("JWT: a claim of an expired token");
    let expired = hs256(&json!({"id": USER, "exp": 1_000, "username": claim}));
    let claim = birds.plant("JWT: the id of nobody");
    let nobody = hs256(&json!({"id": claim, "exp": LATER}));
    let signature = birds.plant("JWT: a signature");
    let forged = format!("{}.{signature}", good.rsplit_once('.').expect("a token").0);
    let kid = json!({"alg": "RS256", "kid": birds.plant("JWT: the header's key id")}).to_string();
    let foreign = format!("Bearer {}.e30.AAAA", URL_SAFE_NO_PAD.encode(kid));
    let basic = format!("Basic {}", birds.plant("authorization: Basic"));
    let opaque = format!("Bearer {}", birds.plant("authorization: an opaque token"));
    let key = format!("Bearer sk-{}", birds.plant("an agent key that nobody has"));
    for authorization in [&good, &expired, &nobody, &forged, &foreign, &basic, &opaque, &key] {
        for path in ["/api/models", "/api/user", "/api/v1/me/limits", "/api/agents/v1/models"] {
            sender.send("GET", path, &[("authorization", authorization)], "").await;
        }
    }
    // Cookies, in good company and in bad.
    for name in [
        "refreshToken",
        "token_provider",
        "openid_user_id",
        "openid_access_token",
        "openid_id_token",
        "connect.sid",
        "other",
    ] {
        let cookie = format!("{name}={}", birds.plant(format!("cookie {name}")));
        for path in ["/api/models", "/api/config", "/c/new"] {
            sender.send("GET", path, &[("cookie", &cookie), authorized[0]], "").await;
            sender.send("GET", path, &[("cookie", &cookie), ("authorization", &forged)], "").await;
        }
        sender.send("POST", "/api/auth/refresh", &[("cookie", &cookie)], "").await;
    }
    // Other headers.
    for name in [
        "proxy-authorization",
        "referer",
        "origin",
        "x-api-key",
        "x-tenant-id",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-real-ip",
        "x-request-id",
        "x-correlation-id",
        "x-csrf-token",
        "x-custom",
        "forwarded",
        "via",
        "traceparent",
        "if-none-match",
        "accept-language",
        "host",
    ] {
        let secret = birds.plant(format!("header {name}"));
        for path in ["/api/models", "/api/no-such-route", "/c/new"] {
            sender.send("GET", path, &[(name, &secret), authorized[0]], "").await;
            sender.send("GET", path, &[(name, &secret)], "").await;
        }
    }
    // Values of queries, and segments that are secrets.
    for path in [
        "/reset-password?userId=x&token=",
        "/verify?email=x&token=",
        "/oauth/openid/callback?state=x&code=",
        "/api/mcp/x/oauth/callback?code=",
        "/api/actions/x/oauth/callback?state=",
        "/api/models?api_key=",
        "/api/no-such-route?token=",
        "/api/agents/chat/stream/x?token=",
        "/api/share/",
        "/share/",
        "/API/share/",
    ] {
        let target = format!("{path}{}", birds.plant(format!("target {path}")));
        for headers in [&authorized[..], &[("authorization", &forged)], &[]] {
            sender.send("GET", &target, headers, "").await;
            sender.send("DELETE", &target, headers, "").await;
        }
    }
    // Bodies: of every route that Tollgate reads or decides about, good and broken.
    for (row, method, path) in rows().filter(|(row, method, _)| row.class != Class::Stream && *method != "GET") {
        if row.class == Class::Pass {
            continue;
        }
        let secret = birds.plant(format!("body of {method} {path}"));
        let key = bob.clone();
        let key = if row.class == Class::Remote(Remote::Run) { format!("Bearer sk-{secret}") } else { key };
        let headers = |kind| [("authorization", key.as_str()), ("content-type", kind)];
        let form = format!(
            "--x\r\ncontent-disposition: form-data; name=\"{secret}\"; filename=\"{secret}\"\r\n\r\n{secret}\r\n--x--\r\n"
        );
        match row.body {
            Body::Multipart => sender.send(method, &path, &headers("multipart/form-data; boundary=x"), &form).await,
            Body::Form => {
                let form = format!("state={secret}&SAMLResponse={secret}");
                sender.send(method, &path, &headers("application/x-www-form-urlencoded"), &form).await;
            }
            _ => {
                // A key's name is that of an endpoint, which a refusal tells.
                let own = format!("\"name\":\"{secret}\"");
                let whole = body(&secret).replace(&own, if path == "/api/keys" { "\"name\":\"openAI\"" } else { &own });
                let twice = format!("{{\"{secret}\":1,\"{secret}\":\"{secret}\"}}");
                let cut = whole.get(..whole.len() - 1).expect("all but a brace");
                for text in [whole.as_str(), cut, &twice, &secret] {
                    sender.send(method, &path, &headers("application/json"), text).await;
                }
                sender.send(method, &path, &headers(&format!("application/json; charset={secret}")), &whole).await;
            }
        }
    }
    // What is no request.
    for (name, before, after) in [
        ("a request line", "GET /", " HTTP/1.1 x\r\n\r\n"),
        ("a method", "", " / HTTP/1.1\r\nHost: t\r\n\r\n"),
        ("a header with a control character", "GET / HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer ", "\u{1}\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: t\r\nX: y\r\n ", "\r\n\r\n"),
        (
            "a chunk extension",
            "POST /api/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "\r\nx\r\n0\r\n\r\n",
        ),
        ("a trailer", "POST /api/x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", "\r\n\r\n"),
    ] {
        let secret = birds.plant(name);
        let answer = send_raw(sender.world.addr, format!("{before}{secret}{after}").as_bytes()).await;
        sender.written.add(format!("answer to {name}"), String::from_utf8_lossy(&answer));
    }
    let secret = birds.plant("a request to the admin plane");
    for path in ["/metrics", "/readyz", &format!("/x?token={secret}")] {
        let answer = get(sender.world.admin, path, &[("authorization", &secret), ("cookie", &secret)]).await;
        sender.written.add(format!("admin {path}"), format!("{:?} {}", answer.headers, answer.text()));
    }
}

/// LibreChat as it behaves when all goes wrong, with a secret in each kind of answer.
async fn wrong(birds: &mut Canaries) -> Fake {
    let broken = birds.plant("LibreChat's answer: a broken head");
    let mut answer = |slot: &str, head: &str, body: &dyn Fn(&str) -> String| {
        let secret = birds.plant(format!("LibreChat's answer: {slot}"));
        let body = body(&secret);
        let head = head.replace("{}", &secret);
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let json = "200 OK\r\ncontent-type: application/json";
    let answers = [
        ("/api/models", answer("a catalogue that is none", json, &|secret| format!("[\"{secret}\"]"))),
        ("/api/endpoints", answer("broken JSON", json, &|secret| format!("{{\"{secret}"))),
        ("/api/config", answer("a page in place of JSON", "200 OK\r\ncontent-type: text/html", &str::to_owned)),
        (
            "/api/agents",
            answer("an error", "500 {}\r\ncontent-type: application/json", &|secret| {
                json!({"message": secret, "stack": secret}).to_string()
            }),
        ),
        (
            "/api/agents/chat/openAI",
            answer("a provider's error to a turn", "400 Bad\r\ncontent-type: application/json", &|secret| {
                json!({"error": {"message": format!("Incorrect API key provided: {secret}")}}).to_string()
            }),
        ),
        ("/api/user", answer("cookies", "200 OK\r\nset-cookie: refreshToken={}\r\nx-debug: {}", &str::to_owned)),
        ("/c/new", answer("a redirect", "302 Found\r\nlocation: /x?code={}", &str::to_owned)),
        ("/api/balance", format!("HTTP/1.1 2o0 {broken}\r\n\r\n")),
        ("/api/agents/tools", answer("an encoding that is none", "200 OK\r\ncontent-encoding: {}", &str::to_owned)),
    ];
    Fake::start(move |mut socket: TcpStream, head: String| {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let answer = answers
            .iter()
            .find(|(known, _)| *known == path)
            .map_or_else(|| "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), |(_, answer)| answer.clone());
        async move {
            let _ = socket.write_all(answer.as_bytes()).await;
            None
        }
    })
    .await
}

#[tokio::test]
async fn no_secret_is_in_anything_that_is_written() {
    if without_redis() {
        return;
    }
    with_mongod(async |mongod| {
        let mut birds = Canaries::default();
        let password = birds.plant("the password of MongoDB");
        let uri = user(mongod, &password).await;
        for breaks in [false, true] {
            one_run(mongod, &uri, &mut birds, breaks).await;
        }
        assert!(birds.0.len() >= 40, "{} slots", birds.0.len());
        let gone = mongod.librechat.run_command(doc! {"dropUser": "canary"}).await;
        gone.expect("the user is dropped");
    })
    .await;
}

/// A collector of logs that takes everything: where it listens, and what it was sent.
#[expect(clippy::disallowed_methods, reason = "it listens until the test ends, and nobody waits for it")]
async fn collector() -> (SocketAddr, Arc<Mutex<String>>) {
    let taken = Arc::new(Mutex::new(String::new()));
    let take = {
        let taken = Arc::clone(&taken);
        move |body: String| {
            taken.lock().expect("a lock").push_str(&body);
            std::future::ready("{}")
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/logs", post(take))).await });
    (addr, taken)
}

/// All slots once, in front of the stand-in or of a LibreChat whose every answer `breaks`.
async fn one_run(mongod: &Mongod, uri: &str, birds: &mut Canaries, breaks: bool) {
    let redis = Server::with_password(&birds.plant("the password of Redis"));
    let jwt_secret = birds.plant("JWT_SECRET");
    let known = format!("sk-{}", birds.plant("an agent key that LibreChat has"));
    put_key(mongod, &known, USER, None).await;
    let fake = wrong(birds).await;
    let (collector, taken) = collector().await;
    let outside = tempfile::tempdir().expect("a directory");
    let file = outside.path().join("audit.jsonl");
    let records =
        format!("records: {{ file: {{ path: {} }}, otlp: {{ url: 'http://{collector}/v1/logs' }} }}", file.display());
    let mut plan = with_directory(POLICY, mongod, uri)
        .settings(SOON)
        .settings(&records)
        .variable("TOLLGATE_RECORDS", "stdout,embedded,mongo,file,otlp")
        .variable(
            "TOLLGATE_OTLP_HEADERS",
            &format!("authorization=Bearer {}", birds.plant("a header for the collector")),
        )
        .variable("TOLLGATE_LOG", "debug")
        .variable("REDIS_URI", &redis.uri())
        .variable("JWT_REFRESH_SECRET", &birds.plant("JWT_REFRESH_SECRET"))
        .variable("CREDS_KEY", &birds.plant("CREDS_KEY"))
        .librechat(|options| {
            options.jwt_secret.clone_from(&jwt_secret);
            options.keys = vec![RemoteKey { key: known.clone(), user: USER.to_owned() }];
        });
    if breaks {
        plan = plan.upstream(&fake.url());
    }
    let mut world = plan.start().await;
    let mut sender = Sender { world: &world, written: Written::default(), sent: 0 };
    all_slots(&mut sender, birds, &jwt_secret).await;
    let bearer = format!("Bearer {known}");
    for path in ["/api/agents/v1/models", "/api/agents/v1/models/agent_x"] {
        sender.send("GET", path, &[("authorization", &bearer)], "").await;
    }
    let bob = world.bearer("User");
    for path in ["/api/endpoints", "/api/agents", "/api/agents/tools", "/api/balance"] {
        sender.send("GET", path, &[("authorization", &bob)], "").await;
    }
    // By design: the search finds them where they may be.
    let agent = birds.plant("by design: user agent");
    let path = format!("/api/no-such-route/{}", birds.plant("by design: path"));
    sender.send("GET", &path, &[("user-agent", &agent)], "").await;
    let (mut written, sent) = (std::mem::take(&mut sender.written), sender.sent);
    world.entry_from(&agent).await;
    written.add("metrics", get(world.admin, "/metrics", &[]).await.text());
    written.add("cmdline", fs::read_to_string(format!("/proc/{}/cmdline", world.pid())).expect("a command line"));
    written.add_files(&world.dir.path().join("data"));
    world.signal("TERM");
    assert!(world.ended().await.success());
    let all = patiently("the record is read", async {
        loop {
            let all = world.record();
            if all.iter().any(|entry| entry["action"] == "tollgate.stopped") {
                return all;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    written.add("log", world.log());
    written.add_files(&world.dir.path().join("data"));
    for entry in &all {
        written.add("stdout", entry.to_string());
    }
    written.add_database(mongod).await;
    written.add("file", fs::read_to_string(&file).expect("the file of the sink"));
    written.add("otlp", taken.lock().expect("a lock").clone());
    let mut by_design = BTreeSet::new();
    let mut heard = Vec::new();
    for (place, text) in &written.0 {
        for slot in birds.heard_in(text) {
            let is_record = ["stdout", "file", "otlp"].contains(&place.as_str())
                || place.starts_with("mongo ")
                || place.contains("/data/");
            match slot.starts_with("by design") && is_record {
                true => drop(by_design.insert((slot, place.split(['/', ' ']).next().unwrap_or_default().to_owned()))),
                false => heard.push(format!("{slot} in {place}")),
            }
        }
    }
    heard.sort_unstable();
    heard.dedup();
    assert!(heard.is_empty(), "{} of {} slots:\n{}", heard.len(), birds.0.len(), heard.join("\n"));
    let found = ["user agent", "path"].map(|slot| {
        ["", "mongo", "stdout", "file", "otlp"].map(|place| (format!("by design: {slot}"), place.to_owned()))
    });
    assert_eq!(by_design, found.into_iter().flatten().collect(), "the search finds what there is, in every sink");
    assert!(sent > 500, "{sent} requests");
    let log = world.log();
    assert!(log.contains("the counters of limits are rebuilt"), "the log is read: {log}");
}
