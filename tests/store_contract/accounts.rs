//! What LibreChat keeps about money and messages: only its own database knows it, so it is checked there alone.

use jiff::Timestamp;
use mongodb::IndexModel;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};
use tollgate::store::accounts::{LONGEST_CONVERSATION, MOST_CONVERSATIONS, MOST_MESSAGES, MOST_ROWS};
use tollgate::store::mongo::Mongo;
use tollgate::store::{Accounts, Page};

use crate::bench::mongo::{MongoBench, with_mongo};
use crate::bench::{ADMIN, USER, VIEWER};
use crate::mongod::fill;

/// The captured conversations: one with a turn and its title, one whose provider failed.
const PAID: &str = "03cd6b00-ac9c-46c6-b287-05499ee16c73";
const FAILED: &str = "36076d97-94ce-45a8-a0a0-08a51b924713";
/// The message of the paid turn.
const ANSWER: &str = "fba221d5-a877-4a04-b4c7-5068b4214e69";

/// A check against the captured documents.
async fn with(check: impl AsyncFnOnce(&MongoBench)) {
    with_mongo(async |bench| {
        fill(&bench.librechat, "balances", include_str!("../captures/mongo/balances.json")).await;
        fill(&bench.librechat, "transactions", include_str!("../captures/mongo/transactions.json")).await;
        fill(&bench.librechat, "messages", include_str!("../captures/mongo/messages.json")).await;
        check(bench).await;
    })
    .await;
}

fn oid(id: &str) -> ObjectId {
    ObjectId::parse_str(id).unwrap()
}

/// When the first row of the captured turn was written.
fn written() -> Timestamp {
    "2026-11-21T05:39:04.013Z".parse().unwrap()
}

fn members(page: &Page, name: &str) -> Vec<Value> {
    page.documents.iter().map(|fields| fields.get(name).cloned().unwrap_or_default()).collect()
}

async fn put(bench: &MongoBench, collection: &str, documents: impl IntoIterator<Item = Document>) {
    bench.librechat.collection::<Document>(collection).insert_many(documents).await.unwrap();
}

#[tokio::test]
async fn a_balance_is_found_by_its_user() {
    with(async |bench| {
        let balance = bench.store.balance(VIEWER).await.unwrap().map(Value::Object);
        let expected = json!({
            "user": {"$oid": VIEWER}, "autoRefillEnabled": false, "lastRefill": {"$date": 1_795_239_535_355_i64},
            "refillAmount": 0, "refillIntervalUnit": "days", "refillIntervalValue": 30, "tokenCredits": 19_999_488.75,
        });
        assert_eq!(balance, Some(expected), "and nothing else of it");
        let capitals = bench.store.balance(&ADMIN.to_uppercase()).await.unwrap().unwrap();
        assert_eq!(capitals["tokenCredits"], json!(20_000_000));
        for id in ["", "000000000000000000000000", "$ne", USER.split_at(23).0, "twelve bytes"] {
            assert_eq!(bench.store.balance(id).await.unwrap(), None, "{id:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_with_two_balances_is_an_error() {
    with(async |bench| {
        put(bench, "balances", [doc! {"user": oid(USER), "tokenCredits": 1}]).await;
        let error = bench.store.balance(USER).await.unwrap_err();
        assert!(!error.transient && error.message.contains("two documents of balances"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn numbers_are_told_as_they_are_stored() {
    with(async |bench| {
        let balances = bench.librechat.collection::<Document>("balances");
        for (stored, told) in [
            (Bson::Int32(-5), json!(-5)),
            (Bson::Int64((1 << 53) + 1), json!(9_007_199_254_740_993_i64)),
            (Bson::Double(0.1), json!(0.1)),
            (Bson::Double(-0.0), json!(-0.0)),
            (Bson::Double(1e300), json!(1e300)),
            (Bson::Double(f64::NAN), json!({"$numberDouble": "NaN"})),
            (Bson::Double(f64::NEG_INFINITY), json!({"$numberDouble": "-Infinity"})),
            (Bson::Decimal128("0.10".parse().unwrap()), json!({"$numberDecimal": "0.10"})),
            (Bson::String("20".into()), json!("20")),
            (Bson::Null, json!(null)),
        ] {
            balances.update_one(doc! {"user": oid(USER)}, doc! {"$set": {"tokenCredits": stored}}).await.unwrap();
            let fields = bench.store.balance(USER).await.unwrap().unwrap();
            assert_eq!(fields["tokenCredits"], told);
        }
        balances.update_one(doc! {"user": oid(USER)}, doc! {"$unset": {"tokenCredits": ""}}).await.unwrap();
        assert_eq!(bench.store.balance(USER).await.unwrap().unwrap().get("tokenCredits"), None);
    })
    .await;
}

#[tokio::test]
async fn rows_of_many_conversations_come_in_the_order_of_time() {
    with(async |bench| {
        let page = bench.store.transactions(&[FAILED, PAID, "new"], written()).await.unwrap();
        assert!(!page.cut);
        assert_eq!(members(&page, "context"), ["message", "title", "title"]);
        assert_eq!(members(&page, "tokenType"), ["completion", "prompt", "completion"], "equal times by their ids");
        assert_eq!(members(&page, "messageId"), [ANSWER, ANSWER, ANSWER]);
        let first = json!({
            "_id": {"$oid": "6b012e7809cc968f8a92944f"}, "user": {"$oid": USER}, "conversationId": PAID,
            "tokenType": "completion", "model": "gpt-4o", "context": "message", "rate": 10, "rawAmount": -11,
            "tokenValue": -110, "messageId": ANSWER, "createdAt": {"$date": 1_795_239_544_013_i64},
        });
        assert_eq!(Value::Object(page.documents[0].clone()), first, "and nothing else of it");

        let split = doc! {
            "user": oid(VIEWER), "conversationId": FAILED, "tokenType": "prompt", "rawAmount": -30.0, "inputTokens": -5,
            "writeTokens": -10, "readTokens": -15, "createdAt": DateTime::from_millis(written().as_millisecond() + 1),
        };
        put(bench, "transactions", [split]).await;
        let page = bench.store.transactions(&[PAID, FAILED], written()).await.unwrap();
        assert_eq!(members(&page, "conversationId"), [PAID, FAILED, PAID, PAID]);
        assert_eq!(page.documents[1]["readTokens"], json!(-15));
        assert_eq!(page.documents[1]["user"], json!({"$oid": VIEWER}), "whose they are is told");
    })
    .await;
}

#[tokio::test]
async fn rows_are_told_from_a_moment_on() {
    with(async |bench| {
        let count = async |since| bench.store.transactions(&[PAID], since).await.unwrap().documents.len();
        let millisecond = jiff::SignedDuration::from_millis(1);
        for (since, expected) in [
            (Timestamp::MIN, 3),
            (written(), 3),
            (written() + millisecond, 2),
            (written() + millisecond * 40, 2),
            (written() + millisecond * 41, 0),
            (Timestamp::MAX, 0),
        ] {
            assert_eq!(count(since).await, expected, "{since}");
        }
    })
    .await;
}

#[tokio::test]
async fn conversations_are_asked_about_by_exactly_their_ids() {
    with(async |bench| {
        let (longest, longer) = ("x".repeat(LONGEST_CONVERSATION), "x".repeat(LONGEST_CONVERSATION + 1));
        let row = |id: &str| doc! {"conversationId": id, "createdAt": DateTime::from_millis(5)};
        put(bench, "transactions", [row(&longest), row(&longer), doc! {"createdAt": DateTime::from_millis(5)}]).await;
        for (id, expected) in [
            ("", 0),
            ("$ne", 0),
            (".*", 0),
            ("null", 0),
            (PAID.split_at(35).0, 0),
            (&PAID.to_uppercase(), 0),
            (&longest, 1),
            (&longer, 0),
        ] {
            let page = bench.store.transactions(&[id], Timestamp::UNIX_EPOCH).await.unwrap();
            assert_eq!(page.documents.len(), expected, "{id:?}");
        }
        assert_eq!(bench.store.transactions(&[], Timestamp::UNIX_EPOCH).await.unwrap(), Page::default());
        let many = vec![PAID; MOST_CONVERSATIONS];
        assert_eq!(bench.store.transactions(&many, Timestamp::MIN).await.unwrap().documents.len(), 3);
        let more = vec![PAID; MOST_CONVERSATIONS + 1];
        let error = bench.store.transactions(&more, Timestamp::MIN).await.unwrap_err();
        assert!(!error.transient && error.message.contains("more than 1000 conversations"), "{error}");
    })
    .await;
}

/// An answer's rows are found without their conversation, and only those of whom is asked about.
#[tokio::test]
async fn rows_of_an_answer_are_found_by_whose_it_is_and_its_id() {
    with(async |bench| {
        let long = "x".repeat(LONGEST_CONVERSATION + 1);
        let row = |user: &str, answer: &str| {
            doc! {"user": oid(user), "messageId": answer, "conversationId": "unknown",
            "createdAt": DateTime::from_millis(written().as_millisecond() + 41)}
        };
        put(bench, "transactions", [row(USER, "chatcmpl-1"), row(VIEWER, "chatcmpl-1"), row(USER, &long)]).await;
        let count = async |users: &[&str], answers: &[&str], since: Timestamp| {
            bench.store.transactions_of(users, answers, since).await.unwrap().documents.len()
        };
        for (users, answers, since, expected) in [
            (&[USER][..], &["chatcmpl-1"][..], Timestamp::MIN, 1),
            (&[&USER.to_uppercase()], &["chatcmpl-1"], Timestamp::MIN, 1),
            (&[USER, VIEWER], &["chatcmpl-1"], Timestamp::MIN, 2),
            (&[USER, ADMIN], &["chatcmpl-1", ANSWER], written(), 4),
            (&[USER], &["chatcmpl-1", ANSWER], written() + jiff::SignedDuration::from_millis(41), 1),
            (&[ADMIN, "nobody", ""], &["chatcmpl-1"], Timestamp::MIN, 0),
            (&[USER], &["chatcmpl", "$ne", "", &long], Timestamp::MIN, 0),
            (&[], &["chatcmpl-1"], Timestamp::MIN, 0),
            (&[USER], &[], Timestamp::MIN, 0),
        ] {
            assert_eq!(count(users, answers, since).await, expected, "{users:?} {answers:?} {since}");
        }
        for (users, answers, what) in [(MOST_CONVERSATIONS + 1, 1, "users"), (1, MOST_CONVERSATIONS + 1, "answers")] {
            let (users, answers) = (vec![USER; users], vec![ANSWER; answers]);
            let error = bench.store.transactions_of(&users, &answers, Timestamp::MIN).await.unwrap_err();
            assert!(!error.transient && error.message.contains(&format!("more than 1000 {what}")), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn more_rows_than_one_question_gives_are_cut_and_said_to_be() {
    with(async |bench| {
        let row = |n: usize| doc! {"conversationId": "long", "rawAmount": n as i64, "createdAt": DateTime::from_millis(n as i64)};
        put(bench, "transactions", (0..MOST_ROWS).rev().map(row)).await;
        let whole = bench.store.transactions(&["long"], Timestamp::MIN).await.unwrap();
        assert_eq!((whole.documents.len(), whole.cut), (MOST_ROWS, false));
        put(bench, "transactions", [row(MOST_ROWS)]).await;
        let cut = bench.store.transactions(&["long"], Timestamp::MIN).await.unwrap();
        assert_eq!((cut.documents.len(), cut.cut), (MOST_ROWS, true));
        assert_eq!(cut.documents[0]["rawAmount"], json!(0), "the oldest are there");
        let rest = bench.store.transactions(&["long"], Timestamp::from_millisecond(5).unwrap()).await.unwrap();
        assert_eq!((rest.documents.len(), rest.cut), (MOST_ROWS - 4, false));
    })
    .await;
}

#[tokio::test]
async fn both_questions_use_the_indexes_that_librechat_makes() {
    with(async |bench| {
        let row =
            |n: i64| doc! {"conversationId": format!("c{n}"), "user": USER, "createdAt": DateTime::from_millis(n)};
        for (collection, indexes) in
            [("transactions", ["user", "conversationId"].as_slice()), ("messages", &["conversationId", "user"])]
        {
            let documents = bench.librechat.collection::<Document>(collection);
            let index = |key: &&str| IndexModel::builder().keys(doc! {*key: 1}).build();
            documents.create_indexes(indexes.iter().map(index)).await.unwrap();
            put(bench, collection, (0..2_000).map(row)).await;
        }
        bench.librechat.run_command(doc! {"profile": 2}).await.unwrap();
        let page = bench.store.transactions(&["c7", "c8"], Timestamp::MIN).await.unwrap();
        assert_eq!(page.documents.len(), 2);
        assert_eq!(bench.store.messages(USER, "c9").await.unwrap().documents.len(), 1);
        bench.librechat.run_command(doc! {"profile": 0}).await.unwrap();
        for (collection, looked_at) in [("transactions", 2), ("messages", 1)] {
            let by = doc! {"op": "query", "command.find": collection};
            let profile = bench.librechat.collection::<Document>("system.profile");
            let asked = profile.find_one(by).await.unwrap().unwrap();
            assert!(asked.get_str("planSummary").unwrap().contains("conversationId: 1"), "{asked}");
            assert_eq!(asked.get_i32("docsExamined").unwrap(), looked_at, "{asked}");
        }
    })
    .await;
}

#[tokio::test]
async fn messages_come_with_the_newest_first() {
    with(async |bench| {
        let page = bench.store.messages(&USER.to_uppercase(), PAID).await.unwrap();
        let answer = json!({
            "messageId": ANSWER, "parentMessageId": "79c27585-1caf-47ac-b91c-d9146bd70ed3", "tokenCount": 11,
            "isCreatedByUser": false, "text": "",
            "content": [{
                "type": "text",
                "text": "[gpt-4o] alpha bravo charlie delta echo foxtrot golf hotel india juliett",
            }],
        });
        assert_eq!(Value::Object(page.documents[0].clone()), answer, "and nothing else of it");
        assert_eq!(members(&page, "isCreatedByUser"), [json!(false), json!(true)]);
        assert_eq!(page.documents[1]["text"], json!("cost of this [[words=10]]"));
        assert!(!page.cut);
        for (user, conversation) in
            [(USER, "new"), (USER, ""), (USER, "$ne"), (VIEWER, PAID), ("$ne", PAID), ("", PAID)]
        {
            assert_eq!(
                bench.store.messages(user, conversation).await.unwrap(),
                Page::default(),
                "{user} {conversation}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn messages_since_a_moment_are_those_written_then_and_the_one_that_is_asked_for() {
    with(async |bench| {
        let message = |n: i64| doc! {
            "conversationId": "turns", "user": USER, "messageId": n.to_string(), "parentMessageId": (n - 1).to_string(),
            "isCreatedByUser": false, "text": "said", "unfinished": true, "tokenCount": 7, "createdAt": DateTime::from_millis(n),
        };
        put(bench, "messages", (1..=4).map(message)).await;
        let since = Timestamp::from_millisecond(3).unwrap();
        let page = bench.store.messages_since(USER, "turns", None, since).await.unwrap();
        assert_eq!((members(&page, "messageId"), page.cut), (vec![json!("4"), json!("3")], false));
        let newest = json!({
            "messageId": "4", "parentMessageId": "3", "isCreatedByUser": false, "text": "said", "unfinished": true,
            "createdAt": {"$date": 4},
        });
        assert_eq!(Value::Object(page.documents[0].clone()), newest, "and nothing else of it");
        let page = bench.store.messages_since(USER, "turns", Some("1"), since).await.unwrap();
        assert_eq!(members(&page, "messageId"), ["4", "3", "1"]);
        for (user, conversation) in [(VIEWER, "turns"), ("$ne", "turns"), (USER, "other")] {
            let page = bench.store.messages_since(user, conversation, Some("1"), since).await.unwrap();
            assert_eq!(page, Page::default(), "{user} {conversation}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_conversation_loses_its_oldest_messages_and_says_so() {
    with(async |bench| {
        let message = |n: usize| doc! {
            "conversationId": "long", "user": USER, "messageId": n.to_string(), "createdAt": DateTime::from_millis(n as i64),
        };
        put(bench, "messages", (0..MOST_MESSAGES).map(message)).await;
        let whole = bench.store.messages(USER, "long").await.unwrap();
        assert_eq!((whole.documents.len(), whole.cut), (MOST_MESSAGES, false));
        put(bench, "messages", [message(MOST_MESSAGES)]).await;
        let cut = bench.store.messages(USER, "long").await.unwrap();
        assert_eq!((cut.documents.len(), cut.cut), (MOST_MESSAGES, true));
        assert_eq!(cut.documents[0]["messageId"], json!(MOST_MESSAGES.to_string()));

        // 100 MiB are what the server sorts in its memory.
        let text = "x".repeat(3 << 20);
        for n in 0..40 {
            put(bench, "messages", [doc! {
                "conversationId": "wide", "user": USER, "messageId": n.to_string(), "text": &text, "createdAt": DateTime::from_millis(n),
            }])
            .await;
        }
        let cut = bench.store.messages(USER, "wide").await.unwrap();
        assert_eq!(members(&cut, "messageId"), ["39", "38"], "8 MiB");
        assert!(cut.cut);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error() {
    let store = Mongo::connect("mongodb://127.0.0.1:1/LibreChat", "tollgate").await.unwrap();
    let errors = [
        store.balance(USER).await.unwrap_err(),
        store.transactions(&[PAID], Timestamp::MIN).await.unwrap_err(),
        store.messages(USER, PAID).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.transient && error.message.contains("127.0.0.1:1"), "{error}");
    }
}
