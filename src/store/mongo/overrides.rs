//! The collection of overrides.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReadConcern, ReturnDocument};
use mongodb::{Database, IndexModel};
use serde_json::Value;

use super::ledger::DUPLICATE_KEY;
use super::{LOOK_UP, Mongo, OPERATION, faults};
use crate::policy::overrides::{Kind, Principal};
use crate::store::StoreError;
use crate::store::overrides::{Expected, Mark, Override, Overrides, Unchanged, Unreadable};

/// How long a look may take from end to end: it is repeated at once, so that one that is lost on the way does not keep the next one off.
const LOOK: Duration = Duration::from_secs(1);

const OVERRIDES: &str = "overrides";

/// Counters of Tollgate's own, by what they count.
const COUNTERS: &str = "counters";

/// The counter that versions are drawn from.
const VERSIONS: &str = "overrides.configVersion";

impl Mongo {
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK_UP, work).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }
}

#[async_trait]
impl Overrides for Mongo {
    async fn mark(&self) -> Result<Mark, StoreError> {
        let asked = faults::in_time(&self.hosts, LOOK, mark(&self.own)).await?;
        asked.map_err(|error| self.hosts.fault(&error))
    }

    async fn all(&self) -> Result<Vec<Result<Override, Unreadable>>, StoreError> {
        self.in_time(all(&self.own)).await
    }

    async fn draw(&self) -> Result<u64, StoreError> {
        self.in_time(draw(&self.own)).await
    }

    async fn put(&self, document: &Override, expected: Expected) -> Result<(), Unchanged> {
        let put = self.in_time(put(&self.own, document, expected)).await?;
        if put { Ok(()) } else { Err(Unchanged::Overtaken) }
    }

    async fn remove(&self, principal: &Principal, version: u64) -> Result<(), Unchanged> {
        let removed = self.in_time(remove(&self.own, principal, version)).await?;
        if removed { Ok(()) } else { Err(Unchanged::Overtaken) }
    }
}

/// One number for all versions, from the index on them. What a majority has: a change that was told to be made, and none that a
/// fail-over can take back.
async fn mark(own: &Database) -> Result<Mark, Error> {
    let pipeline = [
        // So that the index answers, and no document has to be read.
        doc! {"$match": {"configVersion": {"$gte": 0}}},
        doc! {"$group": {
            "_id": null,
            "count": {"$sum": 1_i64},
            "sum": {"$sum": "$configVersion"},
            "greatest": {"$max": "$configVersion"},
        }},
    ];
    let overrides = own.collection::<Document>(OVERRIDES);
    let mut found = overrides.aggregate(pipeline).read_concern(ReadConcern::majority()).max_time(OPERATION).await?;
    let Some(mark) = found.try_next().await? else { return Ok(Mark::default()) };
    let number = |name: &str| mark.get(name).and_then(whole).unwrap_or_default();
    Ok(Mark { count: number("count"), sum: number("sum"), greatest: number("greatest") })
}

async fn all(own: &Database) -> Result<Vec<Result<Override, Unreadable>>, Error> {
    let overrides = own.collection::<Document>(OVERRIDES);
    let found = overrides.find(doc! {}).read_concern(ReadConcern::majority()).max_time(OPERATION).await?;
    let mut documents: Vec<_> = found.map_ok(|document| read(&document)).try_collect().await?;
    documents.sort_by(|one, other| match (one, other) {
        (Ok(one), Ok(other)) => one.principal.cmp(&other.principal),
        (one, other) => one.is_err().cmp(&other.is_err()),
    });
    Ok(documents)
}

async fn draw(own: &Database) -> Result<u64, Error> {
    let drawn = own
        .collection::<Document>(COUNTERS)
        .find_one_and_update(doc! {"_id": VERSIONS}, doc! {"$inc": {"last": 1_i64}})
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    let version = drawn.as_ref().and_then(|drawn| drawn.get("last")).and_then(whole);
    version.ok_or_else(|| Error::custom(format!("the counter {VERSIONS} is no whole number")))
}

async fn put(own: &Database, document: &Override, expected: Expected) -> Result<bool, Error> {
    // Without the unique key, two writers could both make the first document of somebody.
    make_indexes(own).await?;
    let written = written(document, document.config_version);
    let overrides = own.collection::<Document>(OVERRIDES);
    match expected {
        Expected::None => match overrides.insert_one(written).await {
            Ok(_) => Ok(true),
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(error),
        },
        Expected::Version(before) => {
            let replaced = overrides.replace_one(named(&document.principal, before), written).await?;
            Ok(replaced.matched_count > 0)
        }
    }
}

async fn remove(own: &Database, principal: &Principal, version: u64) -> Result<bool, Error> {
    let removed = own.collection::<Document>(OVERRIDES).delete_one(named(principal, version)).await?;
    Ok(removed.deleted_count > 0)
}

/// Making them again changes nothing.
async fn make_indexes(own: &Database) -> Result<(), Error> {
    let unique =
        |keys: Document| IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(true).build()).build();
    let plain = IndexModel::builder().keys(doc! {"configVersion": 1}).build();
    let indexes = [unique(doc! {"principalType": 1, "principalId": 1}), plain];
    own.collection::<Document>(OVERRIDES).create_indexes(indexes).await?;
    Ok(())
}

// === helpers ===

fn named(principal: &Principal, version: u64) -> Document {
    doc! {"principalType": principal.kind.as_str(), "principalId": &*principal.id, "configVersion": signed(version)}
}

fn written(document: &Override, version: u64) -> Document {
    let date = |at: Timestamp| DateTime::from_millis(at.as_millisecond());
    // Members in the order of their names, so that a document that is written again says the same.
    let overrides = serde_json::from_str::<Value>(&document.text()).unwrap_or_default();
    let mut written = doc! {
        "principalType": document.principal.kind.as_str(),
        "principalId": &*document.principal.id,
        "priority": document.priority,
        "overrides": bson(&overrides),
        "isActive": document.is_active,
        "configVersion": signed(version),
        "updatedAt": date(document.updated_at),
    };
    let texts = [("updatedBy", &document.updated_by), ("note", &document.note)];
    for (name, text) in texts {
        if let Some(text) = text {
            written.insert(name, &**text);
        }
    }
    if let Some(end) = document.expires_at {
        written.insert("expiresAt", date(end));
    }
    written
}

fn read(document: &Document) -> Result<Override, Unreadable> {
    read_members(document).map_err(|why| {
        let text = |name| document.get_str(name).unwrap_or("?");
        let name = format!("{} {}", text("principalType"), text("principalId"));
        Unreadable { name: name.into(), why: why.into() }
    })
}

fn read_members(document: &Document) -> Result<Override, String> {
    let text = |name: &str| document.get_str(name).map_err(|_| format!("\"{name}\" is no text"));
    let kind = text("principalType")?;
    let kind = Kind::named(kind).ok_or_else(|| format!("{kind:?} is neither role nor group nor user"))?;
    let date = |name: &str| -> Result<Option<Timestamp>, String> {
        match document.get(name) {
            None | Some(Bson::Null) => Ok(None),
            Some(Bson::DateTime(at)) => {
                Timestamp::from_millisecond(at.timestamp_millis()).map(Some).map_err(|error| error.to_string())
            }
            Some(_) => Err(format!("\"{name}\" is no date")),
        }
    };
    let plain = |name: &str| document.get_str(name).ok().map(Into::into);
    let number =
        |name: &str| document.get(name).and_then(whole).ok_or_else(|| format!("\"{name}\" is no whole number"));
    let priority = match document.get("priority") {
        Some(Bson::Int32(priority)) => Some(*priority),
        Some(Bson::Int64(priority)) => i32::try_from(*priority).ok(),
        Some(Bson::Double(priority)) if priority.fract() == 0.0 => format!("{priority:.0}").parse().ok(),
        _ => None,
    };
    let overrides = document.get_document("overrides").map_err(|_| "\"overrides\" is no document".to_owned())?;
    let Value::Object(overrides) = json(&Bson::Document(overrides.clone()))? else {
        return Err("\"overrides\" is no document".to_owned());
    };
    Ok(Override {
        principal: Principal { kind, id: text("principalId")?.into() },
        priority: priority.ok_or("\"priority\" is no whole number")?,
        overrides,
        is_active: document.get_bool("isActive").map_err(|_| "\"isActive\" is neither true nor false")?,
        config_version: number("configVersion")?,
        updated_at: date("updatedAt")?.unwrap_or(Timestamp::UNIX_EPOCH),
        updated_by: plain("updatedBy"),
        note: plain("note"),
        expires_at: date("expiresAt")?,
    })
}

/// What a policy can say: anything else is nothing that was written by Tollgate.
fn json(value: &Bson) -> Result<Value, String> {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(truth) => (*truth).into(),
        Bson::Int32(number) => (*number).into(),
        Bson::Int64(number) => (*number).into(),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            format!("{number:.0}").parse::<i64>().map_err(|error| error.to_string())?.into()
        }
        Bson::Double(number) => (*number).into(),
        Bson::String(text) => text.as_str().into(),
        Bson::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Bson::Document(members) => {
            let members = members.iter().map(|(name, value)| Ok((name.clone(), json(value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
        other => return Err(format!("\"overrides\" has a value of the type {:?}", other.element_type())),
    })
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Bson::Int64(number),
            (None, Some(number)) => Bson::Double(number),
            (None, None) => Bson::String(number.to_string()),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::Object(members) => {
            Bson::Document(members.iter().map(|(name, value)| (name.clone(), bson(value))).collect())
        }
    }
}

fn whole(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        Bson::Double(number) if number.fract() == 0.0 && *number >= 0.0 => format!("{number:.0}").parse().ok(),
        _ => None,
    }
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Whether there is a document for the same principal already.
fn is_there(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(fault)) if fault.code == DUPLICATE_KEY)
}
