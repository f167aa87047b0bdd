//! More rows than one question gives.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use serde_json::json;
use tollgate::store::accounts::MOST_ROWS;

use super::alone::{CONVERSATION, TWO, say_in};
use super::whose::{NO_PARENT, keep_as};
use super::{settled, who};
use crate::mongo::with_directory;
use crate::mongod::{Mongod, with_mongod};
use crate::world::World;

const OTHER: &str = "c0076b47-3e54-4ad6-9d1e-21b2a3f0c0de";

async fn spend(mongod: &Mongod, world: &World, stream: &str, kinds: impl Iterator<Item = (&str, i64)>) {
    let user = ObjectId::parse_str(&world.person(who(world)).id).expect("an id");
    let row = |(kind, tokens): (&str, i64)| -> Document {
        doc! {
            "user": user, "conversationId": stream, "tokenType": kind, "model": "gpt-4o-mini", "context": "message",
            "rate": 0.15, "rawAmount": -tokens, "tokenValue": -1.0, "messageId": "a-response", "createdAt": DateTime::now(),
        }
    };
    let rows: Vec<Document> = kinds.map(row).collect();
    mongod.librechat.collection::<Document>("transactions").insert_many(rows).await.expect("rows");
    keep_as("a-response", mongod, world, stream, NO_PARENT, "an answer", DateTime::now()).await;
}

/// Both are looked for together after a start: the rows of the first one fill the page.
#[tokio::test]
async fn one_conversation_with_more_rows_than_a_page_hides_no_other() {
    with_mongod(async |mongod| {
        let settings = "timeouts: { turn_status: 100ms, turn_usage: 400ms }";
        let mut world = with_directory(TWO, mongod, &mongod.uri).settings(settings).start().await;
        for stream in [CONVERSATION, OTHER] {
            // Nobody is there to ask about them after the start.
            assert_eq!(say_in(&world, stream, "hello [[words=4000 delay=20]]").await.status, 200);
        }
        world.signal("KILL");
        world.ended().await;
        let many = (0..=MOST_ROWS).map(|row| (if row % 2 == 0 { "prompt" } else { "completion" }, 1));
        spend(mongod, &world, CONVERSATION, many).await;
        spend(mongod, &world, OTHER, [("prompt", 70), ("completion", 7)].into_iter()).await;
        world.start_again().await;
        let entry = settled(&mut world, OTHER).await;
        let tokens = json!({"input": 70, "cachedInput": 0, "cacheWrite": 0, "output": 7});
        assert_eq!((&entry["source"], &entry["tokens"]), (&json!("transactions"), &tokens), "{entry}");
        // Whether the other one has ended cannot be told from a part of its rows.
        world.until("it is open", async |world| world.metric("tollgate_turns_open").await == "1").await;
        assert_eq!(world.entries().iter().filter(|entry| entry["kind"] == "usage").count(), 1);
    })
    .await;
}
