//! A look at the deployment, for those who set Tollgate up.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;

use super::{LOOK_UP, Mongo, OPERATION, SEARCH, StoreError, faults};

/// What a look finds.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The name of LibreChat's database.
    pub database: String,
    /// Which of the collections asked for are there and have a document.
    pub filled: Vec<&'static str>,
    /// The server's time, where it tells.
    pub time: Option<Timestamp>,
}

/// What LibreChat's administrators have put into its database.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Overrides of `librechat.yaml`, by priority; of documents that are no override, why not.
    pub configs: Vec<Result<ConfigOverride, BrokenConfig>>,
    /// Whether there are more than these.
    pub more: bool,
    /// How many users have a balance.
    pub balances: u64,
}

/// An override of `librechat.yaml` (`configs`).
#[derive(Clone, Debug)]
pub struct ConfigOverride {
    /// `user`, `group` or `role`.
    pub kind: String,
    /// Its name, or its id.
    pub whom: String,
    /// The sections that it overrides.
    pub sections: Vec<String>,
    /// Whether it is in force.
    pub active: bool,
}

/// A document of `configs` that is not of LibreChat's form (CONTRACT.md F): what LibreChat makes of it nobody can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenConfig {
    /// Its `_id`, to find it by.
    pub id: String,
    /// What is wrong with it.
    pub faults: Vec<&'static str>,
}

/// Whom an override can be for. `public` is for everybody, and names nobody.
const PRINCIPALS: [&str; 4] = ["user", "group", "role", PUBLIC];
const PUBLIC: &str = "public";

/// Most overrides that are told.
const MOST_OVERRIDES: usize = 200;

impl Mongo {
    /// Reads what LibreChat's administrators have overridden, and how many balances there are.
    ///
    /// # Errors
    /// [`StoreError`] where the server does not answer, or does not let these be read.
    pub async fn overrides(&self) -> Result<Overrides, StoreError> {
        let asked = faults::in_time(&self.hosts, SEARCH, overrides(&self.librechat)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    /// Looks which of these collections of LibreChat's have anything in them, and what time it is there. Reads only.
    ///
    /// # Errors
    /// [`StoreError`] where the server does not answer, or does not let these be read.
    pub async fn probe(&self, collections: &[&'static str]) -> Result<Probe, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, probe(&self.librechat, collections)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

async fn probe(librechat: &Database, collections: &[&'static str]) -> Result<Probe, Error> {
    let mut filled = Vec::new();
    for &name in collections {
        let collection = librechat.collection::<Document>(name);
        let found = collection.find_one(doc! {}).projection(doc! {"_id": 1}).max_time(OPERATION);
        if found.await?.is_some() {
            filled.push(name);
        }
    }
    // The one command that whoever can connect may give.
    let hello = librechat.run_command(doc! {"hello": 1}).await?;
    let time =
        hello.get_datetime("localTime").ok().and_then(|at| Timestamp::from_millisecond(at.timestamp_millis()).ok());
    Ok(Probe { database: librechat.name().to_owned(), filled, time })
}

async fn overrides(librechat: &Database) -> Result<Overrides, Error> {
    let most = i64::try_from(MOST_OVERRIDES).unwrap_or(i64::MAX) + 1;
    let configs = librechat.collection::<Document>("configs");
    let found = configs.find(doc! {}).sort(doc! {"priority": 1, "_id": 1}).limit(most).max_time(OPERATION).await?;
    let mut found: Vec<Document> = found.try_collect().await?;
    let more = found.len() > MOST_OVERRIDES;
    found.truncate(MOST_OVERRIDES);
    let balances = librechat.collection::<Document>("balances").count_documents(doc! {}).max_time(OPERATION).await?;
    Ok(Overrides { configs: found.iter().map(config).collect(), more, balances })
}

fn config(document: &Document) -> Result<ConfigOverride, BrokenConfig> {
    let text = |name: &str| match document.get(name) {
        Some(Bson::String(text)) => Some(text.clone()),
        Some(Bson::ObjectId(id)) => Some(id.to_hex()),
        _ => None,
    };
    let kind = text("principalType").filter(|kind| PRINCIPALS.contains(&kind.as_str()));
    let whom = text("principalId").or_else(|| (kind.as_deref() == Some(PUBLIC)).then(|| "(everybody)".to_owned()));
    let sections = match document.get("overrides") {
        Some(Bson::Document(all)) => Some(all.keys().cloned().collect()),
        // LibreChat stores no empty object.
        None | Some(Bson::Null) => Some(Vec::new()),
        Some(_) => None,
    };
    // As LibreChat's own schema: what does not say is active.
    let active = match document.get("isActive") {
        Some(Bson::Boolean(active)) => Some(*active),
        None => Some(true),
        Some(_) => None,
    };
    let has_priority =
        matches!(document.get("priority"), None | Some(Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_)));
    match (kind, whom, sections, active) {
        (Some(kind), Some(whom), Some(sections), Some(active)) if has_priority => {
            Ok(ConfigOverride { kind, whom, sections, active })
        }
        (kind, whom, sections, active) => {
            let faults = [
                (kind.is_none(), "\"principalType\" is none of user, group, role, public"),
                (whom.is_none(), "\"principalId\" is no text and no id"),
                (sections.is_none(), "\"overrides\" is no object"),
                (active.is_none(), "\"isActive\" is neither true nor false"),
                (!has_priority, "\"priority\" is no number"),
            ];
            let id = text("_id").unwrap_or_else(|| document.get("_id").map(Bson::to_string).unwrap_or_default());
            let faults = faults.into_iter().filter_map(|(is, fault)| is.then_some(fault)).collect();
            Err(BrokenConfig { id, faults })
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;

    #[test]
    fn overrides_of_librechats_form_are_read() {
        for (document, wanted) in [
            (doc! {"principalType": "role", "principalId": "USER"}, "role USER [] true"),
            (
                doc! {"principalType": "user", "principalId": ObjectId::from_bytes([1; 12]), "priority": 10, "isActive": false,
                "overrides": {"balance": {"enabled": true}, "interface": {}}},
                "user 010101010101010101010101 [\"balance\", \"interface\"] false",
            ),
            (
                doc! {"principalType": "public", "overrides": {"interface": {}}},
                "public (everybody) [\"interface\"] true",
            ),
        ] {
            let ConfigOverride { kind, whom, sections, active } = config(&document).unwrap();
            assert_eq!(format!("{kind} {whom} {sections:?} {active}"), wanted);
        }
    }

    #[test]
    fn a_document_that_is_no_override_is_named_with_all_that_is_wrong() {
        let whole = doc! {"_id": "a", "principalType": "user", "principalId": "b", "priority": 1, "isActive": true, "overrides": {}};
        for (key, value, part) in [
            ("principalType", Bson::String("usr".into()), "principalType"),
            ("principalType", Bson::Null, "principalType"),
            ("principalId", Bson::Int32(5), "principalId"),
            ("principalId", Bson::Null, "principalId"),
            ("overrides", Bson::String("interface".into()), "overrides"),
            ("overrides", Bson::Array(vec![]), "overrides"),
            ("isActive", Bson::String("true".into()), "isActive"),
            ("priority", Bson::String("10".into()), "priority"),
        ] {
            let mut document = whole.clone();
            assert!(config(&document).is_ok());
            document.insert(key, value);
            let broken = config(&document).unwrap_err();
            assert_eq!((broken.id.as_str(), broken.faults.len()), ("a", 1), "{broken:?}");
            assert!(broken.faults.iter().all(|fault| fault.contains(part)), "{broken:?}");
        }
        let id = ObjectId::from_bytes([7; 12]);
        let broken = config(&doc! {"_id": id, "isActive": 5, "overrides": 5, "priority": "x"}).unwrap_err();
        assert_eq!((broken.id, broken.faults.len()), (id.to_hex(), 5));
    }
}
