//! A collector of logs gets each line once it takes it, and what it never takes is set aside.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::kept::{Kept, data};
use crate::POLICY;
use crate::schema;
use crate::support::post_json;
use crate::world::World;

const ASIDE: &str = "tollgate_record_aside_total{sink=\"otlp\"}";

/// It rejects one record, as if there were one of that kind in each batch.
const REJECTS: &str = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"a secret of the collector's"}}"#;

/// A collector: what it was sent, and what it answers.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// What it answers next; afterwards 200 without anything.
    answers: VecDeque<(u16, &'static str)>,
    /// Lines of this user agent are answered with 400, alone or with others.
    hated: &'static str,
    /// It answers with 200, and takes the others.
    takes_the_rest: bool,
    /// The lines that it took.
    lines: Vec<Value>,
    /// The requests, taken or not: their headers and who they came from.
    asked: Vec<(HeaderMap, SocketAddr)>,
}

// === impl Collector ===

impl Collector {
    /// Starts it, and a Tollgate that writes there and into its embedded store.
    async fn start(self, headers: &str) -> (World, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let settings = format!(
            "records: {{ sinks: [otlp, embedded], otlp: {{ url: 'http://{}/v1/logs' }} }}",
            listener.local_addr().expect("an address")
        );
        let app = Router::new().route("/v1/logs", post(take)).with_state(self);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.expect("a server");
        });
        let plan = World::with(POLICY).settings(&settings).variable("TOLLGATE_RECORDS", "otlp,embedded");
        (plan.variable("TOLLGATE_OTLP_HEADERS", headers).start().await, tasks)
    }

    fn books<T>(&self, read: impl FnOnce(&mut Books) -> T) -> T {
        read(&mut self.0.lock().expect("a lock"))
    }

    /// How often each line was taken that the record has.
    fn taken(&self, kept: &Kept) -> Vec<usize> {
        let lines = self.books(|books| books.lines.clone());
        kept.entries.iter().map(|entry| lines.iter().filter(|line| *line == entry).count()).collect()
    }
}

async fn take(
    State(collector): State<Collector>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let records = asked["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records").clone();
    let lines = records.iter().map(|record| {
        let line: Value =
            serde_json::from_str(record["body"]["stringValue"].as_str().expect("a text")).expect("a line");
        schema::hold(&line);
        assert_eq!(record["attributes"][1], json!({"key": "_id", "value": {"stringValue": line["_id"]}}));
        line
    });
    let lines: Vec<_> = lines.collect();
    collector.books(|books| {
        books.asked.push((headers, from));
        let (status, said) = books.answers.pop_front().unwrap_or((200, "{}"));
        if status != 200 {
            return (StatusCode::from_u16(status).expect("a status"), said);
        }
        let hates = |line: &Value| line["details"]["userAgent"] == books.hated;
        match (lines.iter().any(hates), books.takes_the_rest) {
            (false, _) => {
                books.lines.extend(lines);
                (StatusCode::OK, said)
            }
            (true, false) => (StatusCode::BAD_REQUEST, "a secret of the collector's"),
            (true, true) => {
                let rest: Vec<_> = lines.into_iter().filter(|line| !hates(line)).collect();
                books.lines.extend(rest);
                (StatusCode::OK, REJECTS)
            }
        }
    })
}

/// Has a request refused.
async fn refused(world: &World, agent: &str) {
    let body = json!({"endpoint": "openAI", "model": "o1", "text": "Hello"});
    let headers = [("authorization", world.bearer("Bob")), ("user-agent", agent.to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(post_json(world.addr, "/api/agents/chat", &headers, &body).await.status, 403);
}

/// Ends Tollgate, and gives its record.
async fn ended(world: &mut World) -> Kept {
    world.signal("TERM");
    assert!(world.ended().await.success(), "{}", world.log());
    let kept = Kept::embedded(world).await;
    kept.assert_whole("the store");
    kept
}

#[tokio::test]
async fn a_collector_gets_each_line_once_over_one_connection() {
    let collector = Collector::default();
    let (mut world, _tasks) = collector.clone().start("authorization=Bearer s3cret,x-tenant=main").await;
    for n in 0..20 {
        refused(&world, &format!("agent {n}")).await;
    }
    let kept = ended(&mut world).await;
    // Heads are lines, too, and so are the events of start and stop.
    assert!(kept.entries.len() >= 23, "{}", kept.entries.len());
    assert!(collector.taken(&kept).iter().all(|times| *times == 1), "{:?}", collector.taken(&kept));
    collector.books(|books| {
        assert_eq!(books.lines.len(), kept.entries.len());
        for (headers, from) in &books.asked {
            for (name, value) in
                [("authorization", "Bearer s3cret"), ("x-tenant", "main"), ("content-type", "application/json")]
            {
                assert_eq!(headers[name], value);
            }
            assert_eq!(*from, books.asked[0].1, "another connection");
        }
    });
    assert!(!world.log().contains("s3cret"));
}

#[tokio::test]
async fn a_collector_that_is_busy_or_asks_for_another_token_is_asked_again() {
    let collector = Collector::default();
    let busy = [503, 429, 401, 404].map(|status| (status, "a secret of the collector's"));
    collector.books(|books| books.answers = busy.into());
    let (mut world, _tasks) = collector.clone().start("").await;
    refused(&world, "agent").await;
    world
        .until("it is there", async |_| {
            collector.books(|books| books.lines.iter().any(|line| line["details"]["userAgent"] == "agent"))
        })
        .await;
    assert_eq!(world.metric(ASIDE).await, "0");
    let kept = ended(&mut world).await;
    assert!(collector.taken(&kept).iter().all(|times| *times == 1), "{:?}", collector.taken(&kept));
    assert!(collector.books(|books| books.asked.len() > busy.len() && books.answers.is_empty()));
    assert!(world.log().contains("status 503") && !world.log().contains("a secret of"), "{}", world.log());
}

#[tokio::test]
async fn what_a_collector_will_never_take_is_set_aside_and_the_rest_goes_on() {
    let collector = Collector::default();
    collector.books(|books| books.hated = "poison");
    let (mut world, _tasks) = collector.clone().start("").await;
    for n in 0..30 {
        refused(&world, if n % 10 == 3 { "poison" } else { "sound" }).await;
    }
    world.until("they are set aside", async |world| world.metric(ASIDE).await == "3").await;
    let kept = ended(&mut world).await;
    let aside = fs::read_to_string(data(&world).join("records/aside/otlp.jsonl")).expect("what was set aside");
    let aside: Vec<Value> = aside.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert!(aside.len() == 3 && aside.iter().all(|line| line["details"]["userAgent"] == "poison"), "{aside:?}");
    let taken = collector.taken(&kept);
    for (entry, times) in kept.entries.iter().zip(taken) {
        assert_eq!(times, usize::from(!aside.contains(entry)), "{entry}");
    }
}

#[tokio::test]
async fn what_is_rejected_out_of_a_batch_is_found_and_set_aside() {
    let collector = Collector::default();
    collector.books(|books| (books.hated, books.takes_the_rest) = ("poison", true));
    let (mut world, _tasks) = collector.clone().start("").await;
    for n in 0..30 {
        refused(&world, if n % 10 == 3 { "poison" } else { "sound" }).await;
    }
    world.until("they are set aside", async |world| world.metric(ASIDE).await == "3").await;
    let kept = ended(&mut world).await;
    let aside = fs::read_to_string(data(&world).join("records/aside/otlp.jsonl")).expect("what was set aside");
    assert!(aside.lines().count() == 3 && aside.lines().all(|line| line.contains("poison")), "{aside}");
    // Those that were taken out of a batch come again, alone.
    for (entry, times) in kept.entries.iter().zip(collector.taken(&kept)) {
        let poison = entry["details"]["userAgent"] == "poison";
        assert!(if poison { times == 0 } else { (1..=2).contains(&times) }, "{times} times: {entry}");
    }
    assert!(!world.log().contains("a secret of"), "{}", world.log());
}
