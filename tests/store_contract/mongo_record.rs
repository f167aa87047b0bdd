//! The record in MongoDB, where it is unlike other stores: indexes of older versions, ageing by the server, several replicas,
//! and why usage events are no time series.

use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};
use tokio::time::timeout;
use tollgate::record::{Kind, Line};
use tollgate::store::mongo::Mongo;
use tollgate::store::{Filter, Keep, Ledger};
use uuid::Uuid;

use crate::bench::USER;
use crate::bench::entries::{lines, poured, refusal, settled, spent, time, turn};
use crate::bench::mongo::{MongoBench, with_mongo};
use crate::days::{days, span, turn as turn_at};
use crate::kept::{line, link};

async fn indexes(own: &Database, collection: &str) -> Vec<String> {
    let mut names = own.collection::<Document>(collection).list_index_names().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn the_indexes_are_made_with_the_first_entry_and_replace_older_ones() {
    with_mongo(async |bench| {
        // What an older version left, with entries in it.
        for (collection, keys) in
            [("audit", ["userId", "category", "severity"].as_slice()), ("usage_events", &["userId", "model"])]
        {
            let of = |key: &&str| IndexModel::builder().keys(doc! {*key: 1, "timestamp": 1}).build();
            bench.own.collection::<Document>(collection).create_indexes(keys.iter().map(of)).await.unwrap();
        }
        let sparse = IndexOptions::builder().sparse(true).build();
        let charged = IndexModel::builder().keys(doc! {"charged.until": 1}).options(sparse).build();
        bench.own.collection::<Document>("usage_events").create_index(charged).await.unwrap();
        let again = Mongo::connect(&bench.uri, bench.own.name()).await.unwrap();
        for (store, n) in [(&bench.store, 1), (&again, 2)] {
            store.append(&lines(&[refusal(n)])).await.unwrap();
            store.expire(&Keep::default(), time(1)).await.unwrap();
        }
        let common = ["_id_", "erased_1_timestamp_1__id_1", "instance_1_seq_1", "timestamp_1", "timestamp_1__id_1"];
        for (collection, own) in [
            (
                "audit",
                ["action", "category", "severity", "userId"].map(|key| format!("{key}_1_timestamp_1__id_1")).to_vec(),
            ),
            (
                "usage_events",
                vec![
                    "charged.until_1".to_owned(),
                    "model_1_timestamp_1__id_1".to_owned(),
                    "userId_1_timestamp_1__id_1".to_owned(),
                ],
            ),
        ] {
            let mut expected: Vec<String> = common.map(str::to_owned).to_vec();
            expected.extend(own);
            expected.sort();
            assert_eq!(indexes(&bench.own, collection).await, expected, "{collection}");
        }
        assert_eq!(indexes(&bench.own, "heads").await, ["_id_", "instance_1_number_1", "timestamp_1"]);
        assert_eq!(indexes(&bench.own, "usage_daily").await, ["_id_", "day_1", "key_1", "userId_1_key_1"]);
    })
    .await;
}

/// The stages of the plan that won, in a text.
async fn plan(own: &Database, find: Document) -> String {
    let plan = own.run_command(doc! {"explain": find, "verbosity": "queryPlanner"}).await.unwrap();
    plan.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap().to_string()
}

#[tokio::test]
async fn pages_are_read_from_an_index_in_its_order() {
    with_mongo(async |bench| {
        bench.store.append(&lines(&[refusal(1), turn(2)])).await.unwrap();
        let sort = doc! {"timestamp": 1, "_id": 1};
        let audits = ["userId", "category", "severity", "action"].map(|member| ("audit", Some(member)));
        let usages = ["userId", "model"].map(|member| ("usage_events", Some(member)));
        for (collection, member) in audits.into_iter().chain(usages).chain([("audit", None), ("usage_events", None)]) {
            let filter = member.map_or_else(Document::new, |member| doc! {"$and": [{member: {"$eq": "x"}}]});
            let find = doc! {"find": collection, "filter": filter, "sort": sort.clone(), "limit": 10};
            let plan = plan(&bench.own, find).await;
            let name =
                member.map_or("\"timestamp_1__id_1\"".to_owned(), |member| format!("{member}_1_timestamp_1__id_1"));
            assert!(plan.contains(&name) && !plan.contains("\"SORT\""), "{collection} by {member:?}: {plan}");
        }
    })
    .await;
}

/// After how many seconds the server lets go of what is in a collection.
async fn kept_for(own: &Database, collection: &str) -> Option<Duration> {
    let found: Vec<IndexModel> =
        own.collection::<Document>(collection).list_indexes().await.unwrap().try_collect().await.unwrap();
    found.into_iter().find_map(|index| index.options?.expire_after)
}

#[tokio::test]
async fn the_server_is_told_what_to_keep_and_told_anew_when_that_changes() {
    with_mongo(async |bench| {
        const DAY: Duration = Duration::from_secs(86_400);
        let forever = Some(Duration::from_secs(2_147_483_647));
        let told = async || {
            let mut told = Vec::new();
            for collection in ["audit", "usage_events", "heads", "usage_daily"] {
                told.push(kept_for(&bench.own, collection).await);
            }
            told
        };
        // Before anything was appended, then with entries, by another process too.
        bench.store.expire(&Keep::default(), time(1)).await.unwrap();
        assert_eq!(told().await, [Some(DAY * 90), Some(DAY * 400), Some(DAY * 400), forever]);
        bench.store.append(&lines(&[refusal(1), turn(2)])).await.unwrap();
        let other = Keep { audit: None, usage: Some(DAY), daily: Some(DAY * 30), heads: Some(DAY * 2) };
        let again = Mongo::connect(&bench.uri, bench.own.name()).await.unwrap();
        again.expire(&other, time(1)).await.unwrap();
        assert_eq!(told().await, [forever, Some(DAY), Some(DAY * 2), Some(DAY * 30)]);
        assert!(!again.expire(&other, time(1)).await.unwrap(), "the server does the rest");
    })
    .await;
}

#[tokio::test]
async fn what_is_too_old_is_let_go_of() {
    with_mongo(async |bench| {
        let admin = bench.librechat.client().database("admin");
        let every = async |seconds: i32| {
            let set = doc! {"setParameter": 1, "ttlMonitorSleepSecs": seconds};
            admin.run_command(set).await.unwrap();
        };
        every(1).await;
        let old = turn_at(1, "2020-01-01T00:00:00Z", r#""userId":"ann","outcome":"started""#);
        bench.store.append(&[old, lines(&[turn(2)]).remove(0)]).await.unwrap();
        let left = async || bench.store.find(&Filter::default(), None, 9).await.unwrap().lines.len();
        assert_eq!(left().await, 2);
        bench.store.expire(&Keep::default(), time(1)).await.unwrap();
        let gone = async {
            while left().await == 2 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // The monitor may be in its old pause of a minute.
        let waited = timeout(Duration::from_secs(90), gone).await;
        every(60).await;
        waited.unwrap();
        assert_eq!(left().await, 1);
    })
    .await;
}

#[tokio::test]
async fn replicas_that_add_up_at_once_agree() {
    with_mongo(async |bench| {
        let stores: Vec<Mongo> = futures_util::future::join_all(
            (0..4).map(async |_| Mongo::connect(&bench.uri, bench.own.name()).await.unwrap()),
        )
        .await;
        let of = |n: u128| {
            let members =
                format!(r#""userId":"u{}","role":"USER","outcome":"started","time":1.0,"tokens":{{"input":1}}"#, n % 3);
            turn_at(n, "2026-11-21T10:00:00Z", &members)
        };
        let replica = async |at: usize, store: &Mongo| {
            for round in 0..12_u128 {
                let from = (at as u128) * 1_000 + round * 20;
                store.append(&(from..from + 20).map(of).collect::<Vec<_>>()).await.unwrap();
                store.add_up(time(1)).await.unwrap();
            }
        };
        futures_util::future::join_all(stores.iter().enumerate().map(|(at, store)| replica(at, store))).await;
        let told = stores[0].days(&span("2026-11-21", "2026-11-21"), None, 99).await.unwrap().days;
        assert_eq!(told.len(), 3);
        let calls: Vec<(u64, u64)> = told.iter().map(|day| (day.api_calls, day.token_usage.input)).collect();
        let count = |user: u128| {
            let all = (0..4_u128).flat_map(|at| at * 1_000..at * 1_000 + 240);
            all.filter(|n| n % 3 == user).count() as u64
        };
        assert_eq!(calls, [0, 1, 2].map(|user| (count(user), count(user))));
    })
    .await;
}

#[tokio::test]
async fn sums_that_count_fewer_entries_are_not_taken() {
    with_mongo(async |bench| {
        let of = |n| turn_at(n, "2026-11-21T10:00:00Z", r#""userId":"ann","outcome":"started""#);
        bench.store.append(&[of(1), of(2)]).await.unwrap();
        assert_eq!(days(&bench.store, &span("2026-11-21", "2026-11-21")).await[0].api_calls, 2);
        // Another replica has seen more, and was quicker.
        let kept = bench.own.collection::<Document>("usage_daily");
        kept.update_one(doc! {}, doc! {"$set": {"apiCalls": 9_i64}}).await.unwrap();
        bench.store.append(&[of(3)]).await.unwrap();
        assert_eq!(days(&bench.store, &span("2026-11-21", "2026-11-21")).await[0].api_calls, 9);
        assert_eq!(kept.count_documents(doc! {}).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_crash_left_is_added_up_after_the_next_start() {
    with_mongo(async |bench| {
        let of = |n, at: &str| turn_at(n, at, r#""userId":"ann","outcome":"started""#);
        let crashed = Mongo::connect(&bench.uri, bench.own.name()).await.unwrap();
        let early = [of(1, "2026-11-20T10:00:00Z"), of(2, "2026-11-14T10:00:00Z")];
        crashed.append(&early[..1]).await.unwrap();
        assert_eq!(days(&crashed, &span("2026-11-01", "2026-11-30")).await.len(), 1);
        crashed
            .append(&[of(3, "2026-11-20T11:00:00Z"), early[1].clone(), of(4, "2026-11-21T00:00:00Z")])
            .await
            .unwrap();
        drop(crashed);
        let told = |days: Vec<tollgate::store::Daily>| {
            days.iter().map(|day| (day.day.to_string(), day.api_calls)).collect::<Vec<_>>()
        };
        let left = bench.store.days(&span("2026-11-01", "2026-11-30"), None, 99).await.unwrap().days;
        assert_eq!(told(left), [("2026-11-20".to_owned(), 1)]);
        // The start is on the 21st, at noon.
        let expected = [("2026-11-14", 1), ("2026-11-20", 2), ("2026-11-21", 1)].map(|(day, n)| (day.to_owned(), n));
        assert_eq!(told(days(&bench.store, &span("2026-11-01", "2026-11-30")).await), expected);
    })
    .await;
}

#[tokio::test]
async fn a_kept_line_has_the_types_that_queries_need() {
    with_mongo(async |bench| {
        let head = line(Kind::Head, 3, &format!(r#","instance":"{}","number":1"#, Uuid::from_u128(7)));
        let entry = line(Kind::Usage, 4, &link(7, 1));
        bench.store.append(&[head, entry]).await.unwrap();
        for (collection, number) in [("heads", "number"), ("usage_events", "seq")] {
            let document = bench.own.collection::<Document>(collection).find_one(doc! {}).await.unwrap().unwrap();
            let Some(Bson::Binary(id)) = document.get("instance") else { panic!("{document}") };
            assert_eq!(id.bytes, Uuid::from_u128(7).as_bytes());
            assert_eq!(document.get(number), Some(&Bson::Int32(1)));
            assert!(document.get_datetime("timestamp").is_ok() && !document.contains_key("_text"), "{document}");
        }
        let daily = doc! {"userId": USER};
        let charges = vec![spent("day", 5, time(0), time(100)), poured("minute", 5, time(1), 60)];
        bench.store.append(&lines(&[settled(5, time(9), charges)])).await.unwrap();
        while bench.store.add_up(time(5)).await.unwrap() {}
        let daily = bench.own.collection::<Document>("usage_daily").find_one(daily).await.unwrap().unwrap();
        let midnight: Timestamp = "2027-01-15T00:00:00Z".parse().unwrap();
        assert_eq!(daily.get_datetime("day").unwrap().timestamp_millis(), midnight.as_millisecond());
        assert_eq!(daily.get("cost"), Some(&Bson::Decimal128("0.0004608".parse().unwrap())));
        let names: Vec<&str> = daily.keys().map(String::as_str).collect();
        let expected = [
            "_id",
            "key",
            "userId",
            "day",
            "role",
            "messageCount",
            "tokenUsage",
            "modelUsage",
            "apiCalls",
            "errors",
            "responseTime",
            "cost",
        ];
        assert_eq!(names, expected);
    })
    .await;
}

/// The code of a server's refusal, in whatever form the driver has it.
fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(fault)) => Some(fault.code),
        ErrorKind::InsertMany(many) => many.write_errors.as_ref()?.first().map(|fault| fault.code),
        _ => None,
    }
}

/// Why `usage_events` is an ordinary collection: in a time-series collection an entry cannot be kept exactly once, and one
/// entry cannot be erased or made a tombstone.
#[tokio::test]
async fn a_time_series_can_keep_nothing_once_and_erase_nothing() {
    with_mongo(async |bench: &MongoBench| {
        let series = doc! {"timeField": "timestamp", "metaField": "userId", "granularity": "seconds"};
        bench.own.run_command(doc! {"create": "series", "timeseries": series}).await.unwrap();
        let series = bench.own.collection::<Document>("series");
        let event = |id: i32| {
            doc! {"_id": id, "timestamp": DateTime::from_millis(0), "userId": "ann", "charged": [{"until": 1}, {"until": 2}]}
        };
        // An id that is there already is no fault: shipping again makes a second entry.
        for _ in 0..2 {
            series.insert_one(event(1)).await.unwrap();
        }
        assert_eq!(series.count_documents(doc! {"_id": 1}).await.unwrap(), 2, "both are kept");
        // Nor can a unique index be made.
        let unique = IndexOptions::builder().unique(true).build();
        let refused = series.create_index(IndexModel::builder().keys(doc! {"userId": 1}).options(unique).build()).await;
        let mut codes = vec![("unique index", refused.err().as_ref().and_then(code))];
        // Nor can an entry be put where none with its id is, nor be replaced by its tombstone, nor be removed.
        let upsert = series.update_one(doc! {"_id": 2}, doc! {"$setOnInsert": {"timestamp": DateTime::from_millis(0)}});
        codes.push(("upsert", upsert.upsert(true).await.err().as_ref().and_then(code)));
        let replaced = series.replace_one(doc! {"_id": 1}, event(1)).await;
        codes.push(("replacement", replaced.err().as_ref().and_then(code)));
        let one = series.delete_one(doc! {"userId": "ann"}).await;
        codes.push(("removal of one", one.err().as_ref().and_then(code)));
        let by_id = series.delete_many(doc! {"_id": 1}).await;
        codes.push(("removal by id", by_id.err().as_ref().and_then(code)));
        // What is asked for in the lists of entries cannot be indexed: the sums of charges would read everything.
        let multikey = series.create_index(IndexModel::builder().keys(doc! {"charged.until": 1}).build()).await;
        codes.push(("index on a list", multikey.err().as_ref().and_then(code)));
        let answers: Vec<i32> = codes.iter().filter_map(|(_, code)| *code).collect();
        assert_eq!(answers.len(), codes.len(), "each is refused: {codes:?}");
        // InvalidOptions, IllegalOperation, and what this version says of lists; later ones may word it otherwise.
        let about = bench.own.run_command(doc! {"buildInfo": 1}).await.unwrap();
        if about.get_str("version").unwrap().starts_with("6.0.") {
            assert_eq!(answers, [72, 72, 72, 20, 72, 5_930_501], "{codes:?}");
        }
        // All of one user can go, and nothing less.
        assert_eq!(series.delete_many(doc! {"userId": "ann"}).await.unwrap().deleted_count, 2);
    })
    .await;
}

/// A large batch, as after an outage.
#[tokio::test]
async fn a_batch_with_many_users_is_added_up_in_steps() {
    with_mongo(async |bench| {
        let appended: Vec<Line> = (0..500_u128)
            .map(|n| turn_at(n, "2026-11-21T10:00:00Z", &format!(r#""userId":"u{n}","outcome":"started""#)))
            .collect();
        bench.store.append(&appended).await.unwrap();
        assert_eq!(days(&bench.store, &span("2026-11-21", "2026-11-21")).await.len(), 500);
    })
    .await;
}

/// A line that is there already is passed over by its `_id`, and by nothing else.
#[tokio::test]
async fn what_keeps_a_line_out_for_good_is_no_repetition() {
    with_mongo(async |bench| {
        let all = lines(&[refusal(1), refusal(2), refusal(3)]);
        bench.store.append(&all[..1]).await.unwrap();
        bench.store.append(&all[..1]).await.unwrap();
        let audit = bench.own.collection::<Document>("audit");
        let unique = IndexModel::builder()
            .keys(doc! {"action": 1})
            .options(IndexOptions::builder().unique(true).build())
            .build();
        audit.create_index(unique).await.unwrap();
        let refused = bench.store.append(&all[1..2]).await.unwrap_err();
        assert!(!refused.transient && refused.message.contains("11000"), "{refused}");
        audit.drop_index("action_1").await.unwrap();

        let rule = doc! {"collMod": "audit", "validator": {"userId": {"$exists": false}}};
        bench.own.run_command(rule).await.unwrap();
        let refused = bench.store.append(&all[1..]).await.unwrap_err();
        assert!(!refused.transient && refused.message.contains("121"), "{refused}");
        bench.own.run_command(doc! {"collMod": "audit", "validator": {}}).await.unwrap();

        bench.store.append(&all).await.unwrap();
        assert_eq!(audit.count_documents(doc! {}).await.unwrap(), 3);
    })
    .await;
}
