use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::record::Entry;
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

fn line(entry: Entry) -> Line {
    entry.line().unwrap()
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
    proxy.append(&[line(refusal(1))]).await.unwrap();
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
    store.append(&[line(refusal(7)), line(turn(8))]).await.unwrap();
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
    let error = store.append(&[line(refusal(1))]).await.unwrap_err();
    assert!(error.transient && error.message.contains("the database is locked"), "{error}");
    assert!(store.person(ANN).await.unwrap().is_some());
    other.execute_batch("ROLLBACK").unwrap();
    store.append(&[line(refusal(1))]).await.unwrap();
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
        ended: None,
        first_byte: None,
        duration: None,
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
        store.append(&[line(settled(hour.into(), hour.into()))]).await.unwrap();
    }
    let rows = |table: &str| -> i64 {
        beside(dir.path()).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("spent"), rows("poured")), (51, 51), "those that ended 49 hours ago or later");
    assert_eq!(rows("usage_events"), 200, "entries stay");
}

#[tokio::test]
async fn what_is_too_old_goes_in_small_steps() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let lines: Vec<Line> = (0..2_600).map(|n| line(if n % 2 == 0 { refusal(n) } else { turn(n) })).collect();
    store.append(&lines).await.unwrap();
    let rows = |table: &str| -> i64 {
        beside(dir.path()).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let day = Duration::from_secs(86_400);
    let keep = Keep { audit: Some(day), usage: Some(day * 2), daily: Some(day * 3), heads: None };
    let after = |days: i64| lines[0].at + jiff::SignedDuration::from_hours(24 * days);
    assert!(!store.expire(&keep, after(1)).await.unwrap());
    assert_eq!((rows("audit"), rows("usage_events")), (1_300, 1_300), "nothing is older than a day");
    let at = after(1) + jiff::SignedDuration::from_micros(1_400);
    assert!(!store.expire(&keep, at).await.unwrap());
    assert_eq!((rows("audit"), rows("usage_events")), (600, 1_300), "the oldest go, to the microsecond");
    assert!(store.expire(&keep, after(3)).await.unwrap(), "more than a step");
    assert_eq!((rows("audit"), rows("usage_events"), rows("usage_daily")), (0, 300, 1));
    assert!(!store.expire(&keep, after(3)).await.unwrap());
    assert_eq!((rows("usage_events"), rows("usage_daily")), (0, 1), "a day is kept to its end");
    assert!(!store.expire(&Keep { daily: None, ..keep }, after(900)).await.unwrap());
    assert_eq!(rows("usage_daily"), 1, "forever");
    assert!(!store.expire(&keep, after(4)).await.unwrap());
    assert_eq!(rows("usage_daily"), 0);
}

/// A spool that has lost count of what is here ships it again, and some of that has been let go of since.
#[tokio::test]
async fn what_was_let_go_of_and_comes_again_is_added_up_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let lines: Vec<Line> = (0..40).map(|n| line(turn(n))).collect();
    store.append(&lines).await.unwrap();
    let sums = || -> Vec<String> {
        let connection = beside(dir.path());
        let mut asked = connection.prepare("SELECT sums FROM usage_daily ORDER BY key").unwrap();
        asked.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = sums();
    let day = Duration::from_secs(86_400);
    let keep = Keep { audit: Some(day), usage: Some(day), daily: None, heads: None };
    let at = lines[30].at + jiff::SignedDuration::from_hours(24);
    store.expire(&keep, at).await.unwrap();
    drop(store);
    let store = Embedded::open(dir.path()).unwrap();
    store.append(&lines).await.unwrap();
    assert_eq!(sums(), before);
    store.append(&[line(turn(50))]).await.unwrap();
    assert_ne!(sums(), before, "what is new is added");
}

#[tokio::test]
async fn a_search_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store.put_person(&person(ANN, None)).unwrap();
    let (begun, searching) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let searcher = Arc::clone(&store.searcher);
    let search = std::thread::spawn(move || {
        let _searching = locked(&searcher);
        begun.send(()).unwrap();
        ended.recv().unwrap();
    });
    searching.recv().unwrap();
    assert!(store.person(ANN).await.unwrap().is_some());
    store.append(&[line(refusal(1))]).await.unwrap();
    end.send(()).unwrap();
    search.join().unwrap();
    assert_eq!(store.find(&Filter::default(), None, 9).await.unwrap().lines, [line(refusal(1))]);
}

#[tokio::test]
async fn pages_and_chains_are_read_from_an_index_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    let other = beside(dir.path());
    let plan = |sql: &str| -> String {
        let mut plan = other.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map([], |row| row.get::<_, String>("detail")).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    for (table, of, index) in [
        ("audit", "user = 'x' AND ", "audit_user_time"),
        ("audit", "action = 'x' AND ", "audit_action_time"),
        ("audit", "erased = 'x' AND ", "audit_erased_time"),
        ("audit", "", "audit_time"),
        ("usage_events", "model = 'x' AND ", "usage_events_model_time"),
        ("heads", "", "heads_time"),
    ] {
        let plan = plan(&format!("SELECT body FROM {table} WHERE {of}(time, id) > (1, 'x') ORDER BY time, id LIMIT 9"));
        assert!(plan.contains(&format!("USING INDEX {index} (")) && !plan.contains("B-TREE"), "{plan}");
    }
    for table in ["audit", "usage_events", "heads"] {
        let plan =
            plan(&format!("SELECT body FROM {table} WHERE instance = 'x' AND seq >= 1 ORDER BY seq, rowid LIMIT 9"));
        assert!(plan.contains(&format!("{table}_instance_seq")) && !plan.contains("B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn what_was_erased_is_not_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let entry = |n: u64| {
        let id = Uuid::from_u128(n.into());
        let text = format!(
            r#"{{"kind":"audit","_id":"{id}","timestamp":"2026-11-21T08:15:00Z","userId":"ann","details":{{"path":"/c/canary-{n}"}}}}"#
        );
        Line::read(&text).unwrap()
    };
    for batch in 0..20 {
        store.append(&(batch * 50..batch * 50 + 50).map(entry).collect::<Vec<_>>()).await.unwrap();
    }
    let canaries = || {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.map(|bytes| memchr::memmem::find_iter(&bytes, b"canary-").count()).sum::<usize>()
    };
    assert!(canaries() >= 1_000, "they are there before");
    let tomb: Tomb = Arc::new(|line| match line.id.as_u128() % 2 {
        0 => Ok(None),
        _ => Ok(Some(Line { text: r#"{"kind":"audit","erased":"00"}"#.into(), ..line.clone() })),
    });
    let erased = store.erase("ann", tomb).await.unwrap();
    assert_eq!((erased.tombstones, erased.removed), (500, 500));
    assert_eq!(canaries(), 0);
}

/// Row numbers are whole numbers with a sign, and whoever writes to the file chooses them.
#[tokio::test]
async fn every_row_is_inspected_whatever_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for (kind, table) in [(Kind::Audit, "audit"), (Kind::Usage, "usage_events"), (Kind::Head, "heads")] {
        for number in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let sql =
                format!("INSERT INTO {table} (rowid, id, time, body) VALUES ({number}, 'id {number}', 1, 'none')");
            beside(dir.path()).execute(&sql, []).unwrap();
        }
        let Inspected { rows, next } = store.inspect(kind, None).await.unwrap();
        assert_eq!((rows.len(), next), (5, None), "{table}: {rows:?}");
        // With the first row alone on the pages before, too: what is behind it is read once.
        let after = Mark(i64::MIN.to_be_bytes().into());
        assert_eq!(store.inspect(kind, Some(&after)).await.unwrap().rows, rows[1..], "{table}");
    }
}
