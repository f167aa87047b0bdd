//! A real MongoDB for one test: LibreChat's database with the captured people and agents in it, and one for Tollgate beside it.
//!
//! `TOLLGATE_TEST_MONGO_URI` names the server (`tests/services/start` starts one). Without it such a test says that it is
//! not run, and fails where `CI=true`. Both databases are dropped afterwards, whatever happened.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Database};
use serde_json::Value;
use uuid::Uuid;

/// The captured `users` and `groups`, in MongoDB's extended JSON.
const USERS: &str = include_str!("../captures/mongo/users.json");
const GROUPS: &str = include_str!("../captures/mongo/groups.json");
/// The captured `agents` and `agentapikeys`.
const AGENTS: &str = include_str!("../captures/mongo/agents.json");
const KEYS: &str = include_str!("../captures/mongo/agentapikeys.json");

/// Two databases, under names of their own.
pub(crate) struct Mongod {
    /// What LibreChat would have as `MONGO_URI`.
    pub(crate) uri: String,
    /// LibreChat's database.
    pub(crate) librechat: Database,
    /// The one that is to be Tollgate's own.
    pub(crate) own: Database,
}

/// Runs a check against databases with the captured documents in them.
pub(crate) async fn with_mongod(check: impl AsyncFnOnce(&Mongod)) {
    let Some(server) = server() else { return };
    let name = Uuid::new_v4().simple().to_string();
    let (librechat, own) = (format!("librechat_{name}"), format!("tollgate_{name}"));
    let uri = server.replacen("/?", &format!("/{librechat}?"), 1);
    assert_ne!(uri, server, "TOLLGATE_TEST_MONGO_URI has no `/?` that a database name could go into");
    let client = Client::with_uri_str(&uri).await.expect("a client");
    let mongod = Mongod { uri, librechat: client.database(&librechat), own: client.database(&own) };
    mongod.fill("users", USERS).await;
    mongod.fill("groups", GROUPS).await;
    mongod.fill("agents", AGENTS).await;
    mongod.fill("agentapikeys", KEYS).await;
    let checked = AssertUnwindSafe(check(&mongod)).catch_unwind().await;
    mongod.librechat.drop().await.expect("LibreChat's database is dropped");
    mongod.own.drop().await.expect("the own database is dropped");
    checked.unwrap_or_else(|panic| resume_unwind(panic));
}

#[expect(clippy::disallowed_methods, reason = "where the test's server is, not a setting of the product")]
#[expect(clippy::print_stderr, reason = "a check that is not run says so")]
fn server() -> Option<String> {
    let server = std::env::var("TOLLGATE_TEST_MONGO_URI").ok();
    if server.is_none() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name}: TOLLGATE_TEST_MONGO_URI is not set");
        eprintln!("{name}: not run, TOLLGATE_TEST_MONGO_URI is not set (tests/services/start starts a server)");
    }
    server
}

/// A value of MongoDB's extended JSON, as far as the captures use it.
fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap_or_default().into(), Bson::from),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(bson).collect::<Vec<_>>().into(),
        Value::Object(members) => match members.iter().next() {
            Some((key, Value::String(hex))) if key == "$oid" => ObjectId::parse_str(hex).expect("an id").into(),
            Some((key, Value::String(time))) if key == "$date" => {
                DateTime::parse_rfc3339_str(time).expect("a time").into()
            }
            _ => members.iter().map(|(key, value)| (key.clone(), bson(value))).collect::<Document>().into(),
        },
    }
}

/// Stores captured documents, in MongoDB's extended JSON.
pub(crate) async fn fill(librechat: &Database, collection: &str, documents: &str) {
    let documents: Vec<Value> = serde_json::from_str(documents).expect("a captured file");
    let documents = documents.iter().map(|document| bson(document).as_document().expect("a document").clone());
    librechat.collection::<Document>(collection).insert_many(documents).await.expect("stored documents");
}

// === impl Mongod ===

impl Mongod {
    async fn fill(&self, collection: &str, documents: &str) {
        fill(&self.librechat, collection, documents).await;
    }

    /// Updates a user as LibreChat would.
    pub(crate) async fn update(&self, id: &str, update: Document) {
        let by_id = doc! {"_id": ObjectId::parse_str(id).expect("an id")};
        let updated = self.librechat.collection::<Document>("users").update_one(by_id, update).await;
        assert_eq!(updated.expect("an update").matched_count, 1);
    }

    /// Makes an agent, or puts another document in its place.
    pub(crate) async fn put_agent(&self, agent: Document) {
        let agents = self.librechat.collection::<Document>("agents");
        let by_id = doc! {"id": agent.get_str("id").expect("an id")};
        agents.replace_one(by_id, agent).upsert(true).await.expect("a replacement");
    }

    /// Makes a person a member of a group, which is made where it is missing.
    pub(crate) async fn join(&self, id: &str, group: &str) {
        let groups = self.librechat.collection::<Document>("groups");
        let join = doc! {"$addToSet": {"memberIds": id}, "$setOnInsert": {"source": "local"}};
        groups.update_one(doc! {"name": group}, join).upsert(true).await.expect("an update");
    }
}
