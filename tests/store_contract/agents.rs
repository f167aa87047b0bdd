//! LibreChat's stored agents and the keys of its remote-agent API: only MongoDB knows them, so they are checked there alone.

use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use tollgate::store::mongo::Mongo;
use tollgate::store::{Agents, ApiKey, Fields};

use crate::bench::USER;
use crate::bench::mongo::{MongoBench, with_mongo};

const EDGES: &str = "agent_CQR3f0jzgHjoOVQSE-t3J";
const CHAIN: &str = "agent_2e0dWO0UHx4Fs39weJxgy";
const ROOMER: &str = "agent_KSanA-HAksc9ySO-iSa2B";
/// The captured key's id and hash.
const KEY_ID: &str = "6b012e6c09cc968f8a9291d1";
const HASH: &str = "04594e71ad66aca8d659f7110bb96e1abb6cfd4e542c54190da7855407d00ab7";

async fn found(bench: &MongoBench, ids: &[&str]) -> Vec<Fields> {
    let ids: Vec<Box<str>> = ids.iter().map(|id| Box::from(*id)).collect();
    let mut found = bench.store.agents(&ids).await.unwrap();
    found.sort_by_key(|fields| fields["id"].to_string());
    found
}

async fn put(bench: &MongoBench, document: Document) {
    bench.librechat.collection::<Document>("agents").insert_one(document).await.unwrap();
}

#[tokio::test]
async fn agents_are_found_by_their_ids_in_one_question() {
    with_mongo(async |bench| {
        let agents = found(bench, &[EDGES, "agent_gone", ROOMER]).await;
        let four = "agent_3jQ3rziVxJnmR5ZaSC0E0";
        let expected = [
            json!({
                "id": EDGES, "provider": "openAI", "model": "gpt-4o-mini", "tools": [], "agent_ids": [],
                "edges": [{"from": EDGES, "to": four, "edgeType": "direct"}],
            }),
            json!({
                "id": ROOMER, "provider": "MindRoom", "model": "mindroom-pro", "tools": [], "agent_ids": [], "edges": [],
            }),
        ];
        assert_eq!(agents.into_iter().map(Value::Object).collect::<Vec<_>>(), expected, "and nothing else of them");
        assert_eq!(found(bench, &[]).await, [] as [Fields; 0]);
    })
    .await;
}

#[tokio::test]
async fn ids_are_exact() {
    with_mongo(async |bench| {
        let spaced = format!("{ROOMER} ");
        for id in ["", &ROOMER.to_lowercase(), &spaced, ROOMER.split_at(20).0, "$ne", ".*", "6b012e6509cc968f8a929038"]
        {
            assert_eq!(found(bench, &[id]).await, [] as [Fields; 0], "{id:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_look_up() {
    with_mongo(async |bench| {
        let agents = bench.librechat.collection::<Document>("agents");
        for model in ["gpt-5-pro", "gpt-4o-mini"] {
            let set =
                doc! {"$set": {"model": model, "model_parameters": {"modelKwargs": {"model": "o1"}, "top_p": 0.5}}};
            agents.update_one(doc! {"id": CHAIN}, set).await.unwrap();
            let agent = &found(bench, &[CHAIN]).await[0];
            assert_eq!(
                (&agent["model"], &agent["model_parameters"]["modelKwargs"]["model"]),
                (&json!(model), &json!("o1"))
            );
        }
        agents.delete_one(doc! {"id": CHAIN}).await.unwrap();
        assert_eq!(found(bench, &[CHAIN]).await, [] as [Fields; 0]);
    })
    .await;
}

#[tokio::test]
async fn one_id_of_two_tenants_gives_both() {
    with_mongo(async |bench| {
        for (tenant, model) in [("a", "gpt-4o"), ("b", "o1")] {
            put(bench, doc! {"id": "agent_twice", "tenantId": tenant, "provider": "openAI", "model": model}).await;
        }
        let mut models: Vec<String> =
            found(bench, &["agent_twice"]).await.iter().map(|agent| agent["model"].to_string()).collect();
        models.sort();
        assert_eq!(models, ["\"gpt-4o\"", "\"o1\""]);
    })
    .await;
}

#[tokio::test]
async fn odd_types_stay_odd() {
    with_mongo(async |bench| {
        // A list that holds the id matches a question for the id, in LibreChat too.
        put(bench, doc! {"id": ["agent_odd"], "model": ObjectId::from_bytes([1; 12]), "tools": f64::NAN}).await;
        let agent = &found(bench, &["agent_odd"]).await[0];
        assert_eq!(agent["id"], json!(["agent_odd"]));
        assert_eq!(agent["model"], json!({"$oid": "010101010101010101010101"}));
        assert_eq!(agent["tools"], json!({"$numberDouble": "NaN"}));
    })
    .await;
}

#[tokio::test]
async fn what_would_fill_the_memory_is_an_error() {
    with_mongo(async |bench| {
        for n in 0..5 {
            put(
                bench,
                doc! {"id": format!("agent_{n}"), "tools": ["x".repeat(1 << 20)], "instructions": "y".repeat(1 << 20)},
            )
            .await;
        }
        assert_eq!(found(bench, &["agent_0", "agent_1", "agent_2"]).await.len(), 3, "texts do not count");
        let ids: Vec<Box<str>> = (0..5).map(|n| format!("agent_{n}").into()).collect();
        let error = bench.store.agents(&ids).await.unwrap_err();
        assert!(!error.transient && error.message.contains("takes more than 4194304 bytes"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn what_agents_say_is_found_apart_from_what_they_run() {
    with_mongo(async |bench| {
        let long = "y".repeat(1 << 20);
        for n in 0..5 {
            put(
                bench,
                doc! {
                    "id": format!("agent_{n}"), "instructions": &long, "additional_instructions": "and be kind",
                    "model_parameters": {"max_tokens": 5}, "tools": ["a"], "artifacts": "default", "edges": ["x"],
                },
            )
            .await;
        }
        let found = bench.store.briefs(&["agent_0".into(), "agent_gone".into()]).await.unwrap();
        let expected = json!({
            "id": "agent_0", "instructions": &long, "additional_instructions": "and be kind",
            "model_parameters": {"max_tokens": 5}, "tools": ["a"], "artifacts": "default",
        });
        assert_eq!(found.into_iter().map(Value::Object).collect::<Vec<_>>(), [expected], "and nothing else of it");
        let ids: Vec<Box<str>> = (0..5).map(|n| format!("agent_{n}").into()).collect();
        let error = bench.store.briefs(&ids).await.unwrap_err();
        assert!(!error.transient && error.message.contains("takes more than 4194304 bytes"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_earlier_state_is_found_by_its_index() {
    with_mongo(async |bench| {
        let version = async |id: &str, index| bench.store.versions(id, index).await.unwrap();
        let edges: Vec<Value> = [version(EDGES, 0).await, version(EDGES, 1).await]
            .into_iter()
            .map(|versions| versions[0]["edges"][0]["from"].clone())
            .collect();
        assert_eq!(edges, [json!("SELF"), json!(EDGES)]);
        assert_eq!(version(EDGES, 0).await[0]["model"], json!("gpt-4o-mini"));
        for (id, index) in [(EDGES, 2), (EDGES, u32::MAX), ("agent_gone", 0)] {
            assert_eq!(version(id, index).await, [] as [Fields; 0], "{id} {index}");
        }
        put(bench, doc! {"id": "agent_new", "provider": "openAI"}).await;
        assert_eq!(version("agent_new", 0).await, [] as [Fields; 0], "an agent without versions");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_found_by_its_hash() {
    with_mongo(async |bench| {
        let keys = bench.librechat.collection::<Document>("agentapikeys");
        let key = async |hash: &str| bench.store.api_key(hash).await;
        assert_eq!(key(HASH).await.unwrap(), Some(ApiKey { id: KEY_ID.into(), user: USER.into(), expires: None }));
        for hash in ["", &HASH.to_uppercase(), HASH.split_at(63).0, "$ne"] {
            assert_eq!(key(hash).await.unwrap(), None, "{hash}");
        }
        let at = DateTime::from_millis(1_800_000_000_000);
        keys.update_one(doc! {"keyHash": HASH}, doc! {"$set": {"expiresAt": at}}).await.unwrap();
        let expires = key(HASH).await.unwrap().unwrap().expires;
        assert_eq!(expires, Some(Timestamp::from_second(1_800_000_000).unwrap()), "also where it is long past");

        keys.insert_one(doc! {"keyHash": HASH, "userId": ObjectId::from_bytes([7; 12])}).await.unwrap();
        let error = key(HASH).await.unwrap_err();
        assert!(error.message.contains("two documents of agentapikeys"), "{error}");
        keys.update_many(doc! {}, doc! {"$set": {"userId": "someone"}}).await.unwrap();
        assert!(key(HASH).await.is_err(), "a user id of another type");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error() {
    let store = Mongo::connect("mongodb://127.0.0.1:1/LibreChat", "tollgate").await.unwrap();
    let errors = [
        store.agents(&[EDGES.into()]).await.unwrap_err(),
        store.briefs(&[EDGES.into()]).await.unwrap_err(),
        store.versions(EDGES, 0).await.unwrap_err(),
        store.api_key(HASH).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.transient && error.message.contains("127.0.0.1:1"), "{error}");
    }
}
