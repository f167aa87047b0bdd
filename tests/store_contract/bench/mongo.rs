//! A real MongoDB: two databases for each check, LibreChat's and Tollgate's own, dropped afterwards.

use std::panic::{AssertUnwindSafe, resume_unwind};

use async_trait::async_trait;
use futures_util::{FutureExt, TryStreamExt};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Database};
use serde_json::Value;
use tollgate::store::mongo::Mongo;
use tollgate::store::{Directory, Ledger};
use uuid::Uuid;

use super::{Bench, GROUPS, USERS};

/// A store and, beside it, plain handles on both databases.
pub(crate) struct MongoBench {
    pub(crate) store: Mongo,
    pub(crate) uri: String,
    pub(crate) librechat: Database,
    pub(crate) own: Database,
}

/// Runs a check against databases with the captured documents in them.
pub(crate) async fn with(check: impl AsyncFnOnce(&dyn Bench)) {
    with_mongo(async |bench| check(bench).await).await;
}

/// The same for checks that only MongoDB can pass.
pub(crate) async fn with_mongo(check: impl AsyncFnOnce(&MongoBench)) {
    let Some(server) = server() else { return };
    let name = Uuid::new_v4().simple().to_string();
    let (librechat, own) = (format!("librechat_{name}"), format!("tollgate_{name}"));
    let uri = server.replacen("/?", &format!("/{librechat}?"), 1);
    assert_ne!(uri, server, "TOLLGATE_TEST_MONGO_URI has no `/?` that a database name could go into");
    let client = Client::with_uri_str(&uri).await.unwrap();
    let bench = MongoBench {
        store: Mongo::connect(&uri, &own).await.unwrap(),
        uri,
        librechat: client.database(&librechat),
        own: client.database(&own),
    };
    bench.fill("users", USERS).await;
    bench.fill("groups", GROUPS).await;
    let checked = AssertUnwindSafe(check(&bench)).catch_unwind().await;
    bench.librechat.drop().await.unwrap();
    bench.own.drop().await.unwrap();
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
        Value::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap().into(), Bson::from),
        Value::String(text) => text.into(),
        Value::Array(items) => items.iter().map(bson).collect::<Vec<_>>().into(),
        Value::Object(members) => match members.iter().next() {
            Some((key, Value::String(hex))) if key == "$oid" => ObjectId::parse_str(hex).unwrap().into(),
            Some((key, Value::String(time))) if key == "$date" => DateTime::parse_rfc3339_str(time).unwrap().into(),
            _ => members.iter().map(|(key, value)| (key.clone(), bson(value))).collect::<Document>().into(),
        },
    }
}

fn by_id(id: &str) -> Document {
    doc! {"_id": ObjectId::parse_str(id).unwrap()}
}

impl MongoBench {
    async fn fill(&self, collection: &str, documents: &str) {
        let documents: Vec<Value> = serde_json::from_str(documents).unwrap();
        let documents = documents.iter().map(|document| bson(document).as_document().unwrap().clone());
        self.librechat.collection::<Document>(collection).insert_many(documents).await.unwrap();
    }

    /// Updates a user as LibreChat would.
    pub(crate) async fn update(&self, id: &str, update: Document) {
        let updated = self.librechat.collection::<Document>("users").update_one(by_id(id), update).await.unwrap();
        assert_eq!(updated.matched_count, 1);
    }

    async fn ids(&self, collection: &str) -> Vec<u128> {
        let all = self.own.collection::<Document>(collection).find(doc! {}).sort(doc! {"$natural": 1}).await.unwrap();
        let all: Vec<Document> = all.try_collect().await.unwrap();
        let id = |document: &Document| match document.get("_id") {
            Some(Bson::Binary(binary)) => u128::from_be_bytes(binary.bytes.as_slice().try_into().unwrap()),
            other => panic!("not a UUID: {other:?}"),
        };
        all.iter().map(id).collect()
    }
}

#[async_trait]
impl Bench for MongoBench {
    fn directory(&self) -> &dyn Directory {
        &self.store
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.store
    }

    async fn change(&self, id: &str, role: Option<&str>, email: Option<&str>) {
        let (mut set, mut unset) = (doc! {}, doc! {});
        for (field, value) in [("role", role), ("email", email)] {
            match value {
                Some(value) => set.insert(field, value),
                None => unset.insert(field, ""),
            };
        }
        let parts = [("$set", set), ("$unset", unset)].into_iter().filter(|(_, part)| !part.is_empty());
        self.update(id, parts.map(|(key, part)| (key.to_owned(), part.into())).collect()).await;
    }

    async fn remove(&self, id: &str) {
        self.librechat.collection::<Document>("users").delete_one(by_id(id)).await.unwrap();
    }

    async fn join(&self, id: &str, group: &str) {
        let groups = self.librechat.collection::<Document>("groups");
        let join = doc! {"$addToSet": {"memberIds": id}, "$setOnInsert": {"source": "local"}};
        groups.update_one(doc! {"name": group}, join).upsert(true).await.unwrap();
    }

    async fn leave(&self, id: &str, group: &str) {
        let groups = self.librechat.collection::<Document>("groups");
        groups.update_one(doc! {"name": group}, doc! {"$pull": {"memberIds": id}}).await.unwrap();
    }

    async fn stored(&self) -> (Vec<u128>, Vec<u128>) {
        (self.ids("audit").await, self.ids("usage_events").await)
    }
}
