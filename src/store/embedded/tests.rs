use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::record::entry::{Charged, Source, Spent, TokensUsed};
use crate::record::samples::{refusal, turn};

const ANN: &str = "6b012e4109cc968f8a928bce";

fn person(id: &str, email: Option<&str>) -> Person {
    Person {
        id: id.into(),
        email: email.map(Box::from),
        role: Some("USER".into()),
        groups: vec!["b".into(), "a, \"quoted\"".into()],
    }
}

/// A connection of another process's kind: not one of the store's own.
fn beside(dir: &Path) -> Connection {
    Connection::open(dir.join(FILE)).unwrap()
}

#[test]
fn people_are_put_replaced_listed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let nameless = person("000000000000000000000001", None);
    let zoe = person("000000000000000000000002", Some("zoe@example.edu"));
    let mut ann = person(&ANN.to_uppercase(), Some("Ann@Example.EDU"));
    for person in [&nameless, &zoe, &ann] {
        store.put_person(person).unwrap();
    }
    (ann.id, ann.email) = (ANN.into(), Some("ann@example.edu".into()));
    assert_eq!(store.people().unwrap(), [ann.clone(), zoe, nameless], "by e-mail address; those without one last");
    ann.role = None;
    ann.groups.clear();
    store.put_person(&ann).unwrap();
    assert_eq!(store.find_person(ANN).unwrap(), Some(ann));
    assert!(store.remove_person(ANN).unwrap());
    assert!(!store.remove_person(ANN).unwrap(), "nobody is left to remove");
    assert_eq!(store.find_person(ANN).unwrap(), None);
}

#[test]
fn an_id_that_librechat_could_not_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let error = store.put_person(&person("ann", None)).unwrap_err();
    assert!(!error.transient);
    assert!(error.to_string().contains("\"ann\" is not a user id"), "{error}");
    assert_eq!(store.people().unwrap(), []);
}

#[tokio::test]
async fn two_processes_see_each_others_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (proxy, cli) = (Embedded::open(dir.path()).unwrap(), Embedded::open(dir.path()).unwrap());
    assert_eq!(proxy.person(ANN).await.unwrap(), None);
    cli.put_person(&person(ANN, None)).unwrap();
    assert_eq!(proxy.person(ANN).await.unwrap(), Some(person(ANN, None)));
    proxy.append(&[refusal(1)]).await.unwrap();
    cli.remove_person(ANN).unwrap();
    assert_eq!(proxy.person(ANN).await.unwrap(), None);
}

#[test]
fn many_may_open_a_new_directory_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Embedded::open(dir.path()).map(|_| ()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[tokio::test]
async fn the_columns_say_what_the_body_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store.append(&[refusal(7), turn(8)]).await.unwrap();
    let other = beside(dir.path());
    let audit: (String, i64, String, String, String, String, String) = other
        .query_row("SELECT id, time, user, action, category, severity, decision FROM audit", [], |row| row.try_into())
        .unwrap();
    let words = [&audit.2, &audit.3, &audit.4, &audit.5, &audit.6].map(String::as_str);
    assert_eq!(words, [ANN, "chat.turn", "SECURITY", "WARNING", "deny"]);
    assert_eq!((audit.0.as_str(), audit.1), ("00000000-0000-0000-0000-000000000007", 1_800_000_000_000_007));
    let usage: (String, String, String, String) =
        other.query_row("SELECT user, endpoint, model, outcome FROM usage_events", [], |row| row.try_into()).unwrap();
    assert_eq!(usage, (ANN.into(), "openAI".into(), "gpt-4o-mini".into(), "started".into()));
    let body: String = other.query_row("SELECT body FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(body, serde_json::to_string(&refusal(7)).unwrap());
}

#[test]
fn the_queries_by_person_category_severity_and_model_use_an_index() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    let other = beside(dir.path());
    for (table, column) in [
        ("audit", "user"),
        ("audit", "category"),
        ("audit", "severity"),
        ("usage_events", "user"),
        ("usage_events", "model"),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT body FROM {table} WHERE {column} = 'x' ORDER BY time");
        let plan: String = other.query_row(&sql, [], |row| row.get("detail")).unwrap();
        assert!(plan.contains(&format!("USING INDEX {table}_{column}_time")), "{plan}");
    }
}

#[test]
fn a_new_directory_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("a/b");
    Embedded::open(&nested).unwrap();
    assert_eq!(std::fs::metadata(&nested).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_file_of_a_newer_tollgate_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    beside(dir.path()).pragma_update(None, "user_version", 99).unwrap();
    let error = Embedded::open(dir.path()).err().unwrap();
    assert!(error.message.contains("written by a newer Tollgate (its tables have version 99"), "{error}");
    assert!(!error.transient);
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), "this is not a database, however long it may be").unwrap();
    let error = Embedded::open(dir.path()).err().unwrap();
    assert!(error.message.contains("not a database") && error.message.contains(FILE), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Embedded::open(&file.join("data")).err().unwrap();
    assert!(error.message.contains("file/data: the directory cannot be made"), "{error}");
}

#[tokio::test]
async fn a_lock_that_another_process_keeps_is_reported_and_stops_no_look_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store.put_person(&person(ANN, None)).unwrap();
    let other = beside(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.append(&[refusal(1)]).await.unwrap_err();
    assert!(error.transient && error.message.contains("the database is locked"), "{error}");
    assert!(store.person(ANN).await.unwrap().is_some());
    other.execute_batch("ROLLBACK").unwrap();
    store.append(&[refusal(1)]).await.unwrap();
}

#[tokio::test]
async fn groups_that_cannot_be_read_are_an_error_not_an_empty_list() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store.put_person(&person(ANN, None)).unwrap();
    beside(dir.path()).execute("UPDATE users SET groups = 'oops'", []).unwrap();
    assert!(store.person(ANN).await.is_err());
    beside(dir.path()).execute_batch("DROP TABLE users").unwrap();
    assert!(store.ping().await.is_err(), "the answer comes from the table, not from the connection");
}

/// A turn that was settled in this hour, and put 1 on a window of it and into a bucket of a minute.
fn settled(n: u128, hour: i64) -> Entry {
    let Entry::Usage(mut usage) = turn(n) else { panic!("a turn") };
    let at = |hour: i64| Timestamp::from_second(hour * 3_600).unwrap();
    let window = Charged {
        counter: format!("hour:{hour}").into(),
        amount: 1,
        from: at(hour),
        until: at(hour + 1),
        window: None,
        ceiling: None,
    };
    let bucket = Charged { counter: "minute".into(), window: Some(60_000_000), ceiling: Some(1), ..window.clone() };
    usage.spent = Some(Box::new(Spent {
        tokens: TokensUsed::default(),
        cost: None,
        source: Source::None,
        settled: at(hour),
        runs: vec![],
        charged: vec![window, bucket],
    }));
    Entry::Usage(usage)
}

#[tokio::test]
async fn sums_that_no_counter_knows_any_more_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for hour in 0..200_u32 {
        store.append(&[settled(hour.into(), hour.into())]).await.unwrap();
    }
    let rows = |table: &str| -> i64 {
        beside(dir.path()).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("spent"), rows("poured")), (51, 51), "those that ended 49 hours ago or later");
    assert_eq!(rows("usage_events"), 200, "entries stay");
}
