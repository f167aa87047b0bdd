//! An entry that MongoDB will never take does not keep the others back.

use std::fs;

use mongodb::bson::doc;
use serde_json::Value;

use super::asking::{Ask, Asker};
use super::kept::{Kept, data};
use crate::POLICY;
use crate::mongo::with_directory;
use crate::mongod::with_mongod;
use crate::schema;

#[tokio::test]
async fn what_mongodb_refuses_for_good_is_set_aside_and_counted_and_the_others_go_on() {
    with_mongod(async |mongod| {
        let plan = with_directory(POLICY, mongod, &mongod.uri).variable("TOLLGATE_RECORDS", "embedded,mongo");
        let mut world = plan.start().await;
        let mut user = Asker::new(world.addr, &world.bearer("User"));
        assert_eq!(user.ask(Ask::Refused, "first").await.expect("an answer").status, 403);
        let audit = mongod.own.collection::<mongodb::bson::Document>("audit");
        world
            .until("it is there", async |_| {
                audit.count_documents(doc! {"details.userAgent": "first"}).await.expect("a number") == 1
            })
            .await;
        let rule = doc! {"collMod": "audit", "validator": {"details.userAgent": {"$ne": "poison"}}};
        mongod.own.run_command(rule).await.expect("a validator");

        let mut poisoned = Vec::new();
        for n in 0..40 {
            let agent = if n % 10 == 3 { "poison" } else { "sound" };
            let told = user.ask(Ask::Refused, agent).await.expect("an answer");
            assert_eq!(told.status, 403);
            if agent == "poison" {
                poisoned.push(told.request());
            }
        }
        let counted = "tollgate_record_aside_total{sink=\"mongo\"}";
        world.until("they are set aside", async |world| world.metric(counted).await == "4").await;
        world
            .until("the others are there", async |_| {
                audit.count_documents(doc! {"details.userAgent": "sound"}).await.expect("a number") == 36
            })
            .await;
        world.signal("TERM");
        assert!(world.ended().await.success(), "{}", world.log());

        let aside = fs::read_to_string(data(&world).join("records/aside/mongo.jsonl")).expect("what was set aside");
        let aside: Vec<Value> = aside.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
        aside.iter().for_each(schema::hold);
        let requests: Vec<_> = aside.iter().map(|entry| entry["requestId"].as_str().expect("an id")).collect();
        assert_eq!(requests, poisoned);
        assert_eq!(world.log().matches("is refused, and set aside").count(), 4, "{}", world.log());
        let kept = Kept::in_mongo(mongod, &world).await;
        assert_eq!(kept.decisions().filter(|entry| entry["details"]["userAgent"] == "poison").count(), 0);
        let embedded = Kept::embedded(&world).await;
        embedded.assert_whole("the other store has all of them");
        assert_eq!(embedded.decisions().count(), 41);
        // As they are missing there without any erasure, whoever verifies that store alone learns of it.
        assert_eq!(kept.report.findings.len(), 4, "{:?}", kept.report.findings);
    })
    .await;
}
