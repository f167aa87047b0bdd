//! What only MongoDB can get right or wrong: LibreChat's rule of membership, the types of what is stored, and servers that
//! are away, silent or unwilling.

use std::time::Duration;

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::UpdateModifications;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tollgate::store::mongo::{LOOK_UP, Mongo};
use tollgate::store::{Agents, Directory, Holder, Ledger, StoreError, Subject};

use crate::bench::entries::{lines, poured, refusal, settled, spent, time, turn};
use crate::bench::mongo::{MongoBench, with_mongo};
use crate::bench::{ADMIN, USER, VIEWER};

/// In every connection string of these tests, and in no error.
const PASSWORD: &str = "correct-horse";

#[tokio::test]
async fn a_member_is_named_by_the_source_id_or_by_the_id_never_by_both() {
    with_mongo(async |bench| {
        let groups = bench.librechat.collection::<Document>("groups");
        groups.insert_one(doc! {"name": "from-entra", "source": "entra", "memberIds": ["oid-1"]}).await.unwrap();
        bench.update(USER, doc! {"$set": {"idOnTheSource": "oid-1"}}).await;
        let person = bench.store.person(USER).await.unwrap().unwrap();
        assert_eq!(person.groups, [Box::from("from-entra")], "lab-group lists the id, which counts no more");
        bench.update(USER, doc! {"$set": {"idOnTheSource": ""}}).await;
        let person = bench.store.person(USER).await.unwrap().unwrap();
        assert_eq!(person.groups, [Box::from("lab-group")], "an empty source id is none");
    })
    .await;
}

#[tokio::test]
async fn groups_of_the_identity_provider_are_added() {
    with_mongo(async |bench| {
        bench.update(USER, doc! {"$set": {"openidGroups": ["staff", "lab-group"]}}).await;
        let person = bench.store.person(USER).await.unwrap().unwrap();
        assert_eq!(person.groups, [Box::from("lab-group"), Box::from("staff")]);
        bench.update(VIEWER, doc! {"$set": {"openidGroups": null}}).await;
        assert!(bench.store.person(VIEWER).await.unwrap().unwrap().groups.is_empty());
    })
    .await;
}

/// The issuer that LibreChat signs people in with, and what a token of it may say.
const HOME: &str = "https://idp.lab.test";

fn subject(oid: Option<&str>, email: Option<&str>, home: bool) -> Subject {
    Subject { issuer: HOME.into(), id: "sub-1".into(), oid: oid.map(Into::into), email: email.map(Into::into), home }
}

/// What is found, in a word: an id, `nobody` or `unlinked`.
async fn found(bench: &MongoBench, subject: &Subject) -> String {
    match bench.store.holder(subject).await.unwrap() {
        Holder::Known(person) => person.id.into(),
        Holder::Nobody => "nobody".to_owned(),
        Holder::Unlinked => "unlinked".to_owned(),
    }
}

#[tokio::test]
async fn accounts_are_asked_for_in_librechats_order() {
    with_mongo(async |bench| {
        let ann = subject(Some("oid-1"), Some("viewer@lab.test"), true);
        let records: [(&str, Document, &str); 4] = [
            // Each is found before the ones above it.
            (VIEWER, doc! {"provider": "openid", "openidId": "sub-1", "openidIssuer": format!("{HOME}/")}, VIEWER),
            (ADMIN, doc! {"idOnTheSource": "oid-1"}, ADMIN),
            (USER, doc! {"openidId": "sub-1", "openidIssuer": null}, USER),
            (ADMIN, doc! {"idOnTheSource": "oid-1", "openidIssuer": HOME}, ADMIN),
        ];
        assert_eq!(found(bench, &subject(Some("oid-1"), None, true)).await, "nobody");
        for (id, record, wanted) in records {
            bench.update(id, doc! {"$set": &record}).await;
            assert_eq!(found(bench, &ann).await, wanted, "{record}");
        }
        bench.update(VIEWER, doc! {"$set": {"openidIssuer": HOME}}).await;
        assert_eq!(found(bench, &ann).await, VIEWER, "the sub with its issuer comes first");
    })
    .await;
}

#[tokio::test]
async fn a_record_that_librechat_would_first_have_to_link_is_nobodys() {
    with_mongo(async |bench| {
        let by_email = subject(None, Some("user@lab.test"), true);
        assert_eq!(found(bench, &by_email).await, "unlinked", "a local account of the same address");
        for (record, why) in [
            (doc! {"provider": "openid"}, "no account yet"),
            (doc! {"provider": "ldap"}, "another provider"),
            (doc! {"provider": "openid", "openidId": "sub-2", "openidIssuer": HOME}, "another account"),
            (doc! {"openidId": "sub-1", "openidIssuer": "https://other.test"}, "another issuer"),
        ] {
            bench.update(USER, doc! {"$set": record}).await;
            assert_eq!(found(bench, &by_email).await, "unlinked", "{why}");
        }
        let by_oid = subject(Some("oid-1"), None, true);
        bench.update(VIEWER, doc! {"$set": {"idOnTheSource": "oid-1", "openidId": "sub-2", "openidIssuer": ""}}).await;
        assert_eq!(found(bench, &by_oid).await, "unlinked", "LibreChat would write this sub over the other");
    })
    .await;
}

#[tokio::test]
async fn records_without_an_issuer_belong_to_the_one_librechat_signs_in_with() {
    with_mongo(async |bench| {
        for record in [doc! {"openidIssuer": ""}, doc! {"openidIssuer": null}] {
            bench.update(USER, doc! {"$set": {"openidId": "sub-1"}}).await;
            bench.update(USER, doc! {"$set": &record}).await;
            assert_eq!(found(bench, &subject(None, None, true)).await, USER, "{record}");
            assert_eq!(found(bench, &subject(None, None, false)).await, "nobody", "{record}");
        }
        bench.update(USER, doc! {"$unset": {"openidIssuer": ""}}).await;
        assert_eq!(found(bench, &subject(None, None, true)).await, USER);
        // LibreChat would write the issuer; nothing is written from here.
        let users = bench.librechat.collection::<Document>("users");
        assert_eq!(users.count_documents(doc! {"openidIssuer": {"$exists": true}}).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_account_of_two_users_is_nobodys() {
    with_mongo(async |bench| {
        for id in [USER, VIEWER] {
            bench.update(id, doc! {"$set": {"idOnTheSource": "oid-1", "openidIssuer": HOME}}).await;
        }
        assert_eq!(found(bench, &subject(Some("oid-1"), None, true)).await, "unlinked");
        bench.update(VIEWER, doc! {"$set": {"openidId": 5}}).await;
        let error = bench.store.holder(&subject(Some("oid-1"), None, true)).await.unwrap_err();
        assert!(!error.transient && error.message.contains("does not have the expected types"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_document_that_librechat_could_not_have_written_is_an_error() {
    with_mongo(async |bench| {
        for wrong in [doc! {"role": 5}, doc! {"role": ["ADMIN"]}, doc! {"openidGroups": "staff"}] {
            let update: UpdateModifications = doc! {"$set": &wrong}.into();
            let users = bench.librechat.collection::<Document>("users");
            users.update_one(doc! {"email": "user@lab.test"}, update).await.unwrap();
            let error = bench.store.person(USER).await.unwrap_err();
            assert!(!error.transient, "{wrong}: {error}");
            assert!(error.message.contains("does not have the expected types: invalid type"), "{wrong}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn entries_are_stored_in_the_types_that_queries_need() {
    with_mongo(async |bench| {
        bench.store.append(&lines(&[refusal(7), turn(8)])).await.unwrap();
        let audit = bench.own.collection::<Document>("audit").find_one(doc! {}).await.unwrap().unwrap();
        let usage = bench.own.collection::<Document>("usage_events").find_one(doc! {}).await.unwrap().unwrap();
        for (document, n) in [(&audit, 7_u128), (&usage, 8)] {
            for (field, value) in [("_id", n), ("requestId", 1_000_000 + n)] {
                let Some(Bson::Binary(id)) = document.get(field) else { panic!("{field}: {document}") };
                assert_eq!((id.subtype, id.bytes.as_slice()), (BinarySubtype::Uuid, value.to_be_bytes().as_slice()));
            }
            let stored = document.get_datetime("timestamp").unwrap();
            assert_eq!(stored.timestamp_millis(), time(n).as_millisecond());
        }
        assert_eq!(audit.get_str("severity").unwrap(), "WARNING");
        assert_eq!(
            audit.get_document("details").unwrap().get_document("response").unwrap().get("status").unwrap(),
            &403_i32.into()
        );
        assert_eq!(usage.get("requestBytes"), Some(&Bson::Int64(5_000_000_000)));
        assert_eq!(usage.get("time"), Some(&Bson::Double(2.25)));
    })
    .await;
}

#[tokio::test]
async fn what_a_turn_used_is_stored_in_the_types_that_queries_need() {
    with_mongo(async |bench| {
        let until = "2027-01-16T00:00:00.0000001Z".parse().unwrap();
        let day = spent("day", u64::MAX, time(0), until);
        bench.store.append(&lines(&[settled(8, time(9), vec![day, poured("minute", 5, time(1), 60)])])).await.unwrap();
        let usage = bench.own.collection::<Document>("usage_events").find_one(doc! {}).await.unwrap().unwrap();
        let cost = Bson::Decimal128("0.0004608".parse().unwrap());
        assert_eq!(usage.get_datetime("settled").unwrap().timestamp_millis(), time(9).as_millisecond());
        assert_eq!(usage.get("cost"), Some(&cost));
        assert_eq!(usage.get_document("tokens").unwrap().get("cachedInput"), Some(&Bson::Int32(1024)));
        let runs = usage.get_array("runs").unwrap();
        assert_eq!(runs[0].as_document().unwrap().get("cost"), Some(&cost));
        assert_eq!(runs[1].as_document().unwrap().get("cost"), None);
        let charged: Vec<&Document> =
            usage.get_array("charged").unwrap().iter().map(|charge| charge.as_document().unwrap()).collect();
        // A date is in milliseconds: rounded up, so that no window ends before its time.
        let midnight = 1_800_057_600_000_i64;
        assert_eq!(charged[0].get_datetime("until").unwrap().timestamp_millis(), midnight + 1);
        assert_eq!(charged[0].get_str("from").unwrap(), time(0).to_string());
        assert_eq!(charged[0].get("amount"), Some(&Bson::String(u64::MAX.to_string())));
        assert_eq!(charged[1].get("amount"), Some(&Bson::Int32(5)));
        assert_eq!(charged[1].get("window"), Some(&Bson::Int32(60_000_000)));
        let end = time(1).as_millisecond() + 60_000;
        assert_eq!(charged[1].get_datetime("until").unwrap().timestamp_millis(), end + 1, "250 microseconds more");
    })
    .await;
}

#[tokio::test]
async fn sums_are_found_by_the_index() {
    with_mongo(async |bench| {
        bench
            .store
            .append(&lines(&[turn(1), settled(2, time(2), vec![spent("day", 1, time(0), time(100))])]))
            .await
            .unwrap();
        let since = DateTime::from_millis(time(50).as_millisecond());
        let find = doc! {"find": "usage_events", "filter": {"charged.until": {"$gt": since}}};
        let plan = bench.own.run_command(doc! {"explain": find, "verbosity": "executionStats"}).await.unwrap();
        let stats = plan.get_document("executionStats").unwrap();
        assert!(plan.to_string().contains("charged.until_1"), "{plan}");
        assert_eq!(stats.get_i32("totalDocsExamined").unwrap(), 1, "a turn without charges is not looked at");
    })
    .await;
}

#[tokio::test]
async fn a_charge_that_is_no_number_is_an_error() {
    with_mongo(async |bench| {
        bench.store.append(&lines(&[settled(2, time(2), vec![poured("minute", 5, time(1), 60)])])).await.unwrap();
        let set = doc! {"$set": {"charged.0.amount": 5.5}};
        bench.own.collection::<Document>("usage_events").update_one(doc! {}, set).await.unwrap();
        let error = bench.store.charged(time(2)).await.unwrap_err();
        assert!(error.message.contains("a charge that is no whole number") && !error.transient, "{error}");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_written_to_librechats_database() {
    with_mongo(async |bench| {
        bench.store.append(&lines(&[refusal(1), turn(2)])).await.unwrap();
        bench.store.person(USER).await.unwrap();
        bench.store.agents(&["agent_2e0dWO0UHx4Fs39weJxgy".into()]).await.unwrap();
        let mut names = bench.librechat.list_collection_names().await.unwrap();
        names.sort();
        assert_eq!(names, ["agentapikeys", "agents", "groups", "users"], "what the test itself put there");
        let name = bench.librechat.name().to_uppercase();
        let error = Mongo::connect(&bench.uri, &name).await.err().unwrap();
        assert!(error.message.contains("tollgate's own database cannot be"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_not_accepted_is_said_but_not_shown() {
    with_mongo(async |bench| {
        let uri = bench.uri.replacen("mongodb://", &format!("mongodb://tollgate:{PASSWORD}@"), 1);
        let uri = format!("{uri}&authSource=admin");
        let store = Mongo::connect(&uri, bench.own.name()).await.unwrap();
        let error = store.person(USER).await.unwrap_err();
        assert!(error.message.contains("does not accept the user name or the password"), "{error}");
        holds_no_secret(&error);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_a_transient_error_in_time() {
    // A port that was free a moment ago, and that nobody listens on now.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    gives_up_in_time(port, "no usable server within 2 s").await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_transient_error_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    gives_up_in_time(silent.local_addr().unwrap().port(), "127.0.0.1").await;
}

async fn gives_up_in_time(port: u16, says: &str) {
    let uri = format!("mongodb://tollgate:{PASSWORD}@127.0.0.1:{port}/LibreChat");
    let store = Mongo::connect(&uri, "tollgate").await.unwrap();
    // A second beyond the promise, for a machine that is busy with other tests.
    let limit = LOOK_UP + Duration::from_secs(1);
    let entries = lines(&[refusal(1)]);
    let asked = async { tokio::join!(store.person(USER), store.ping(), store.append(&entries)) };
    let (person, ping, append) = timeout(limit, asked).await.unwrap();
    for error in [person.map(|_| ()), ping, append].map(Result::unwrap_err) {
        assert!(error.transient, "{error}");
        assert!(error.message.contains(says) && error.message.contains(&port.to_string()), "{error}");
        holds_no_secret(&error);
    }
}

#[tokio::test]
async fn a_connection_string_that_cannot_be_read_is_not_quoted() {
    let strings = [
        format!("mongodb://tollgate:{PASSWORD}/@db/LibreChat"),
        format!("mongodb://tollgate:{PASSWORD}%zz@db/LibreChat"),
        format!("mongodb://tollgate:{PASSWORD}@db:notaport/LibreChat"),
        format!("mongodb://tollgate:{PASSWORD}@db/LibreChat?tls=true&tlsInsecure={PASSWORD}"),
        format!("postgres://tollgate:{PASSWORD}@db/LibreChat"),
        PASSWORD.to_owned(),
        String::new(),
    ];
    for string in strings {
        let error = Mongo::connect(&string, "tollgate").await.err().unwrap();
        assert!(error.message.contains("MONGO_URI") && !error.transient, "{error}");
        holds_no_secret(&error);
    }
}

#[tokio::test]
async fn a_database_of_our_own_must_have_another_name_than_librechats() {
    for (uri, own) in [("LibreChat", "librechat"), ("", "test"), ("LibreChat", "")] {
        let error = Mongo::connect(&format!("mongodb://db/{uri}"), own).await.err().unwrap();
        assert!(error.message.contains("name one that is not LibreChat's"), "{error}");
    }
}

fn holds_no_secret(error: &StoreError) {
    let texts = format!("{error} {error:?}");
    assert!(!texts.contains(PASSWORD) && !texts.contains("mongodb://tollgate:"), "{texts}");
}
