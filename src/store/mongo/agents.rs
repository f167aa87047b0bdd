//! LibreChat's stored agents and the keys of its remote-agent API, as documents of its database.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use serde::Deserialize;

use super::OPERATION;
use super::directory::fields;
use super::plain::plain;
use crate::store::{ApiKey, Fields};

const AGENTS: &str = "agents";
const KEYS: &str = "agentapikeys";

/// What says what an agent runs. `versions` and the texts, which may be long, stay where they are.
const RUNS: [&str; 11] = [
    "id",
    "provider",
    "model",
    "model_parameters",
    "tools",
    "skills",
    "skills_enabled",
    "artifacts",
    "edges",
    "agent_ids",
    "subagents",
];

/// What says what an agent gives to its model.
const BRIEF: [&str; 6] = ["id", "instructions", "additional_instructions", "model_parameters", "tools", "artifacts"];

/// Most bytes that one look-up reads. Real agents have a few kilobytes without their texts.
const LARGEST: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    versions: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    #[serde(rename = "_id")]
    id: ObjectId,
    user_id: ObjectId,
    expires_at: Option<DateTime>,
}

pub(super) async fn agents(librechat: &Database, ids: &[Box<str>]) -> Result<Vec<Fields>, Error> {
    look_up(librechat, ids, &RUNS).await
}

pub(super) async fn briefs(librechat: &Database, ids: &[Box<str>]) -> Result<Vec<Fields>, Error> {
    look_up(librechat, ids, &BRIEF).await
}

async fn look_up(librechat: &Database, ids: &[Box<str>], members: &[&str]) -> Result<Vec<Fields>, Error> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    let mut found = librechat
        .collection::<RawDocumentBuf>(AGENTS)
        .find(doc! {"id": {"$in": ids}})
        .projection(fields(members))
        .max_time(OPERATION)
        .await?;
    let (mut agents, mut bytes) = (Vec::new(), 0_usize);
    while let Some(document) = found.try_next().await? {
        bytes = bytes.saturating_add(document.as_bytes().len());
        if bytes > LARGEST {
            let why = format!("what the agents of one request say takes more than {LARGEST} bytes");
            return Err(Error::custom(why));
        }
        agents.push(plain(Document::try_from(&*document)?));
    }
    Ok(agents)
}

pub(super) async fn versions(librechat: &Database, id: &str, index: u32) -> Result<Vec<Fields>, Error> {
    // No agent has so many versions, and the server counts with 32 bits and a sign.
    let Ok(index) = i32::try_from(index) else { return Ok(Vec::new()) };
    let agents: Vec<Versions> = librechat
        .collection::<Versions>(AGENTS)
        .find(doc! {"id": id})
        .projection(doc! {"_id": 0, "id": 1, "versions": {"$slice": [index, 1]}})
        .max_time(OPERATION)
        .await?
        .try_collect()
        .await?;
    Ok(agents.into_iter().flat_map(|agent| agent.versions).map(plain).collect())
}

/// The keys with this hash; there should be one at most.
pub(super) async fn api_keys(librechat: &Database, hash: &str) -> Result<Vec<ApiKey>, Error> {
    let keys = librechat
        .collection::<Key>(KEYS)
        .find(doc! {"keyHash": hash})
        .projection(doc! {"_id": 1, "userId": 1, "expiresAt": 1})
        .limit(2)
        .max_time(OPERATION)
        .await?;
    let plain = |key: Key| ApiKey {
        id: key.id.to_hex().into(),
        user: key.user_id.to_hex().into(),
        expires: key.expires_at.map(time),
    };
    keys.map_ok(plain).try_collect().await
}

/// A time that jiff cannot hold is one that nobody meant; the key then counts as expired long ago.
fn time(at: DateTime) -> Timestamp {
    Timestamp::from_millisecond(at.timestamp_millis()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_of_range_is_long_ago() {
        assert_eq!(time(DateTime::from_millis(i64::MAX)), Timestamp::MIN);
        assert_eq!(time(DateTime::from_millis(1_500)), Timestamp::from_millisecond(1_500).unwrap());
    }
}
