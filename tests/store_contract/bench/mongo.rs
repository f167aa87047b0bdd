//! A real MongoDB: two databases for each check, LibreChat's and Tollgate's own, dropped afterwards.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use tollgate::store::mongo::Mongo;
use tollgate::store::overrides::Overrides;
use tollgate::store::{Directory, Ledger};

use super::Bench;
use crate::mongod::with_mongod;

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
    with_mongod(async |mongod| {
        let own = mongod.own.clone();
        let store = Mongo::connect(&mongod.uri, own.name()).await.unwrap();
        let (uri, librechat) = (mongod.uri.clone(), mongod.librechat.clone());
        check(&MongoBench { store, uri, librechat, own }).await;
    })
    .await;
}

fn by_id(id: &str) -> Document {
    doc! {"_id": ObjectId::parse_str(id).unwrap()}
}

impl MongoBench {
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

    fn overrides(&self) -> &dyn Overrides {
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

    async fn link(&self, id: &str, account: Option<(&str, &str)>) {
        let update = match account {
            Some((issuer, id)) => doc! {"$set": {"provider": "openid", "openidId": id, "openidIssuer": issuer}},
            None => doc! {"$unset": {"openidId": "", "openidIssuer": ""}},
        };
        self.update(id, update).await;
    }

    async fn stored(&self) -> (Vec<u128>, Vec<u128>) {
        (self.ids("audit").await, self.ids("usage_events").await)
    }

    async fn write_override(&self, id: &str, depth: usize, bytes: usize) {
        // As bytes: nothing here goes as deep as what it writes.
        let mut overrides = rawdoc! {"a": "x".repeat(bytes)};
        for _ in 1..depth {
            overrides = rawdoc! {"a": overrides};
        }
        let document = rawdoc! {"principalType": "user", "principalId": id, "priority": 30, "overrides": overrides, "isActive": false, "configVersion": 7_i64};
        self.own.collection::<RawDocumentBuf>("overrides").insert_one(document).await.unwrap();
    }

    async fn lose_entries(&self) {
        self.own.collection::<Document>("usage_events").delete_many(doc! {}).await.unwrap();
    }

    async fn spoil_day(&self, key: &str) {
        let spoilt = doc! {"$set": {"tokenUsage": "x", "apiCalls": "x"}};
        let spoilt =
            self.own.collection::<Document>("usage_daily").update_one(doc! {"key": key}, spoilt).await.unwrap();
        assert_eq!(spoilt.modified_count, 1);
    }

    async fn raw(&self) -> String {
        let mut all = String::new();
        for collection in self.own.list_collection_names().await.unwrap() {
            let found = self.own.collection::<Document>(&collection).find(doc! {}).await.unwrap();
            let found: Vec<Document> = found.try_collect().await.unwrap();
            found.iter().for_each(|document| all.push_str(&document.to_string()));
        }
        all
    }
}
