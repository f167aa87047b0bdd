//! With LibreChat's MongoDB as the directory and a database beside it for the record.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate::demo::Person;

use crate::POLICY;
use crate::mongod::{Mongod, with_mongod};
use crate::support::{Answer, get, open, patiently, post_json};
use crate::world::{Plan, World};

/// How long a change in the directory may take to be felt (setting `identity.cache`), and the time that the asking takes.
const MEMORY: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(5);

/// The captured people; LibreChat knows the same ones.
const USER: &str = "6b012e4109cc968f8a928bce";
const VIEWER: &str = "6b012e6f09cc968f8a929249";
const ADMIN: &str = "6b012e4109cc968f8a928bc1";

/// Tollgate with this MongoDB. The embedded directory, which is not to be asked, has the roles the other way round.
pub(crate) fn with_directory(policy: &str, mongod: &Mongod, uri: &str) -> Plan {
    let person = |id: &str, name: &str, role: &str| Person {
        id: id.to_owned(),
        name: name.to_owned(),
        email: format!("{}@lab.test", name.to_lowercase()),
        password: "demo-password".to_owned(),
        role: role.to_owned(),
    };
    World::with(policy)
        .librechat(|options| {
            options.people =
                vec![person(ADMIN, "Admin", "USER"), person(USER, "User", "ADMIN"), person(VIEWER, "Viewer", "ADMIN")];
        })
        .variable("MONGO_URI", uri)
        .variable("TOLLGATE_RECORDS", "stdout,mongo")
        .settings(&format!("mongo: {{ database: {} }}", mongod.own.name()))
}

async fn models(world: &World, who: &str) -> Answer {
    get(world.addr, "/api/models", &[("authorization", &world.bearer(who))]).await
}

async fn say(world: &World, who: &str, model: &str, agent: &str) -> Answer {
    let body = json!({"text": "hi", "endpoint": "openAI", "model": model});
    let bearer = world.bearer(who);
    let headers = [("authorization", bearer.as_str()), ("user-agent", agent)];
    post_json(world.addr, "/api/agents/chat/openAI", &headers, &body).await
}

/// What users may have of the stand-in's models.
fn of_users() -> Value {
    json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]})
}

/// The document that fits, waited for.
async fn stored(mongod: &Mongod, collection: &str, filter: Document) -> Document {
    let documents = mongod.own.collection::<Document>(collection);
    let looking = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            if let Some(document) = documents.find_one(filter.clone()).await.expect("an answer") {
                return document;
            }
            looks.tick().await;
        }
    };
    patiently(&format!("{filter} in {collection}"), looking).await
}

fn text<'document>(document: &'document Document, field: &str) -> &'document str {
    document.get_str(field).expect("text")
}

/// A UUID as MongoDB has them, in its usual spelling.
fn uuid(document: &Document, field: &str) -> String {
    match document.get(field) {
        Some(Bson::Binary(binary)) if binary.subtype == BinarySubtype::Uuid => {
            uuid::Uuid::from_slice(&binary.bytes).expect("16 bytes").to_string()
        }
        other => panic!("{field} is no UUID: {other:?}"),
    }
}

#[tokio::test]
async fn the_people_of_librechats_database_are_judged_and_recorded_there() {
    with_mongod(async |mongod| {
        let world = with_directory(POLICY, mongod, &mongod.uri).start().await;
        assert_eq!(models(&world, "User").await.json(), of_users());
        assert_eq!(models(&world, "Viewer").await.json(), of_users());
        let all = models(&world, "Admin").await.json();
        assert_eq!(all["openAI"], json!(["gpt-4o-mini", "gpt-4o", "o1"]));
        world.stand_in.forget();

        let denied = say(&world, "User", "gpt-4o", "the refused one").await;
        let body = denied.json();
        assert_eq!((denied.status.as_u16(), &body["info"]), (403, &json!("openAI|gpt-4o")));
        assert!(world.reached().is_empty(), "{:?}", world.reached());
        let allowed = say(&world, "User", "gpt-4o-mini", "the allowed one").await;
        assert_eq!(allowed.json()["status"], "started", "{}", allowed.text());
        let stream = allowed.json()["streamId"].as_str().expect("a stream").to_owned();
        let path = format!("/api/agents/chat/stream/{stream}");
        let bearer = world.bearer("User");
        let events = open(world.addr, Method::GET, &path, &[("authorization", &bearer)], "".into()).await.rest().await;
        let said: String = events.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect();
        assert!(said.contains("[gpt-4o-mini]") && said.contains(r#""final":true"#), "{said}");

        let audit = stored(mongod, "audit", doc! {"details.userAgent": "the refused one"}).await;
        assert_eq!(uuid(&audit, "requestId"), body["request_id"].as_str().expect("an id"));
        assert_eq!(uuid(&audit, "_id").len(), 36);
        let age = mongodb::bson::DateTime::now().timestamp_millis()
            - audit.get_datetime("timestamp").expect("a date").timestamp_millis();
        assert!((0..60_000).contains(&age), "{age} ms");
        assert_eq!([text(&audit, "userId"), text(&audit, "role")], [USER, "USER"]);
        assert_eq!([text(&audit, "action"), text(&audit, "decision")], ["chat.turn", "deny"]);
        assert_eq!([text(&audit, "category"), text(&audit, "severity")], ["SECURITY", "WARNING"]);
        let rules = audit.get_array("rules").expect("a list");
        assert_eq!(rules, &[Bson::from("roles.USER.endpoints.openAI.models")]);
        let metadata = audit.get_document("metadata").expect("a document");
        assert_eq!([text(metadata, "endpoint"), text(metadata, "model")], ["openAI", "gpt-4o"]);
        let details = audit.get_document("details").expect("a document");
        assert_eq!([text(details, "method"), text(details, "path")], ["POST", "/api/agents/chat/openAI"]);
        let status = details.get_document("response").expect("a document").get("status").cloned();
        assert!(matches!(status, Some(Bson::Int32(403) | Bson::Int64(403))), "{status:?}");

        let usage = stored(mongod, "usage_events", doc! {"conversationId": &stream}).await;
        assert_eq!([text(&usage, "userId"), text(&usage, "role")], [USER, "USER"]);
        assert_eq!([text(&usage, "endpoint"), text(&usage, "model")], ["openAI", "gpt-4o-mini"]);
        assert_eq!(text(&usage, "outcome"), "started");
        assert!(usage.get_datetime("timestamp").is_ok());
        let decision = stored(mongod, "audit", doc! {"details.userAgent": "the allowed one"}).await;
        assert_eq!(uuid(&decision, "requestId"), uuid(&usage, "requestId"));
        assert_eq!(text(&decision, "decision"), "allow");

        let (status, entries) = world.stop().await;
        assert_eq!(status.code(), Some(0));
        for (kind, collection) in [("audit", "audit"), ("usage", "usage_events")] {
            let printed = entries.iter().filter(|entry| entry["kind"] == kind).count() as u64;
            // Of audit entries, those of requests.
            let of_requests = doc! {"requestId": {"$exists": true}};
            let counted = mongod.own.collection::<Document>(collection).count_documents(of_requests).await;
            assert_eq!(counted.expect("a number"), printed, "both sinks have every {kind} entry");
        }
        let names = mongod.librechat.list_collection_names().await.expect("names");
        assert_eq!(names.len(), 4, "nothing is written into LibreChat's database: {names:?}");
    })
    .await;
}

#[tokio::test]
async fn a_changed_role_and_a_new_membership_hold_within_seconds_for_the_same_token() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).start().await;
        let tokens = [world.bearer("User"), world.bearer("Viewer"), world.bearer("Admin")];
        let asked = async |world: &World, who: usize| {
            get(world.addr, "/api/models", &[("authorization", &tokens[who])]).await.json()["openAI"].clone()
        };
        let (mini, premium, all) =
            (json!(["gpt-4o-mini"]), json!(["gpt-4o-mini", "gpt-4o"]), json!(["gpt-4o-mini", "gpt-4o", "o1"]));
        assert_eq!(
            [asked(&world, 0).await, asked(&world, 1).await, asked(&world, 2).await],
            [mini.clone(), mini.clone(), all.clone()]
        );

        let changed = Instant::now();
        mongod.update(USER, doc! {"$set": {"role": "ADMIN"}}).await;
        mongod.join(VIEWER, "premium-openai").await;
        mongod.update(ADMIN, doc! {"$set": {"role": "USER"}}).await;
        world
            .until("all three changes are felt", async |world| {
                asked(world, 0).await == all && asked(world, 1).await == premium && asked(world, 2).await == mini
            })
            .await;
        assert!(changed.elapsed() < MEMORY + SLACK, "{:?}", changed.elapsed());

        let denied = say(&world, "Admin", "gpt-4o", "no longer").await;
        assert_eq!(
            (denied.status.as_u16(), &denied.json()["rule"]),
            (403, &json!("roles.USER.endpoints.openAI.models"))
        );
        assert_eq!(say(&world, "Viewer", "gpt-4o", "a member").await.json()["status"], "started");
        let entry = world.entry_from("a member").await;
        assert_eq!(entry["rules"], json!(["groups.premium-openai.endpoints.openAI.models"]));
    })
    .await;
}

#[tokio::test]
async fn somebody_who_is_removed_is_nobody_within_seconds() {
    with_mongod(async |mongod| {
        let mut world = with_directory(POLICY, mongod, &mongod.uri).start().await;
        assert_eq!(models(&world, "Viewer").await.status, 200);
        let removed = Instant::now();
        let by_id = doc! {"email": "viewer@lab.test"};
        mongod.librechat.collection::<Document>("users").delete_one(by_id).await.expect("a deletion");
        world.until("the removal is felt", async |world| models(world, "Viewer").await.status == 401).await;
        assert!(removed.elapsed() < MEMORY + SLACK, "{:?}", removed.elapsed());
        let answer = models(&world, "Viewer").await;
        assert_eq!(answer.text(), r#"{"message":"Unauthorized"}"#);
    })
    .await;
}

/// A way to MongoDB that can be cut and mended.
pub(crate) struct Relay {
    addr: SocketAddr,
    state: watch::Sender<Way>,
    _tasks: JoinSet<()>,
}

/// What a relay does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It passes everything.
    Open,
    /// It closes every connection.
    Cut,
    /// It takes connections and says nothing.
    Silent,
}

// === impl Relay ===

impl Relay {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (state, watched) = watch::channel(Way::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(relay(socket, server.clone(), watched.clone()));
            }
        });
        Self { addr, state, _tasks: tasks }
    }

    pub(crate) fn set(&self, way: Way) {
        self.state.send_replace(way);
    }
}

async fn relay(mut socket: TcpStream, server: String, mut state: watch::Receiver<Way>) {
    let way = *state.borrow_and_update();
    match way {
        Way::Cut => return,
        Way::Silent => {}
        Way::Open => {
            let mut other = TcpStream::connect(server).await.expect("the server listens");
            tokio::select! {
                _ = copy_bidirectional(&mut socket, &mut other) => return,
                _ = state.changed() => {}
            }
            if *state.borrow_and_update() != Way::Silent {
                return;
            }
        }
    }
    // What was said meanwhile is lost, and so is the connection when the way is open again.
    let _ = state.changed().await;
}

/// The same server by way of the relay, and by no other way.
pub(crate) fn through(relay: &Relay, uri: &str) -> String {
    let (start, rest) = uri.split_once("://").expect("a URI");
    let (_, rest) = rest.split_once('/').expect("a database");
    let (database, _) = rest.split_once('?').expect("options");
    format!("{start}://{}/{database}?directConnection=true", relay.addr)
}

pub(crate) fn server_of(uri: &str) -> String {
    let (_, rest) = uri.split_once("://").expect("a URI");
    rest.split(['/', ',']).next().expect("a server").to_owned()
}

async fn readyz(world: &World) -> (u16, Value) {
    let answer = get(world.admin, "/readyz", &[]).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn while_its_directory_is_away_nothing_is_governed_and_everything_else_goes_on() {
    with_mongod(async |mongod| outage(mongod, Way::Cut).await).await;
}

#[tokio::test]
async fn a_directory_that_says_nothing_is_as_good_as_away() {
    with_mongod(async |mongod| outage(mongod, Way::Silent).await).await;
}

/// MongoDB is lost in this way while Tollgate runs, and comes back.
async fn outage(mongod: &Mongod, way: Way) {
    let relay = Relay::to(server_of(&mongod.uri)).await;
    let uri = through(&relay, &mongod.uri);
    let mut world = with_directory(POLICY, mongod, &uri).settings("identity: { cache: 100ms }").start().await;
    assert_eq!(models(&world, "User").await.json(), of_users());
    relay.set(way);
    world.until("it is not ready", async |world| readyz(world).await.0 == 503).await;
    let (_, told) = readyz(&world).await;
    assert_eq!((&told["ready"], &told["serving"]), (&json!(false), &json!(true)), "{told}");
    assert!(!told.to_string().contains("directConnection"), "no connection string is shown: {told}");
    world.stand_in.forget();

    let asked = Instant::now();
    let (chat, catalogue) = tokio::join!(say(&world, "User", "gpt-4o-mini", "meanwhile"), models(&world, "Viewer"));
    assert!(asked.elapsed() < Duration::from_secs(6), "nobody waits for long: {:?}", asked.elapsed());
    for (answer, what) in [(&chat, "chat"), (&catalogue, "models")] {
        assert_eq!(answer.status, 503, "{what}: {}", answer.text());
        assert_eq!((answer.header("retry-after"), &answer.json()["rule"]), ("5", &json!("directory.down")), "{what}");
        assert!(!answer.text().contains("127.0.0.1"), "nobody outside learns where it is: {}", answer.text());
    }
    assert_eq!(chat.json()["type"], "proxy_error", "the client shows this as it is");
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    let bearer = world.bearer("User");
    for path in ["/api/user", "/api/convos", "/"] {
        assert_eq!(get(world.addr, path, &[("authorization", &bearer)]).await.status, 200, "{path}");
    }
    assert_eq!(get(world.addr, "/api/config", &[]).await.status, 200, "the page of the sign-in works");
    let entry = world.entry_from("meanwhile").await;
    assert_eq!((&entry["rules"], &entry["userId"]), (&json!(["directory.down"]), &json!(USER)));
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("SYSTEM"), &json!("ERROR")));

    relay.set(Way::Open);
    world.until("it is ready again", async |world| readyz(world).await.0 == 200).await;
    world.until("users are served again", async |world| models(world, "User").await.status == 200).await;
    assert_eq!(models(&world, "User").await.json(), of_users());
    let document = stored(mongod, "audit", doc! {"details.userAgent": "meanwhile"}).await;
    assert_eq!(text(&document, "userId"), USER, "what happened meanwhile is written when it is back");
}
