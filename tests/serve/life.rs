//! Starting, stopping, being killed; and the admin plane.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tollgate::metrics::Metrics;

use crate::POLICY;
use crate::fake::Fake;
use crate::passage::seen;
use crate::schema;
use crate::support::{Open, get, open, patiently, post_json};
use crate::world::World;

fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("serve").args(arguments).env_clear().envs(variables.iter().copied());
    command.output().expect("the tollgate program")
}

#[test]
fn every_fault_of_settings_and_policy_is_told_before_a_port_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policy");
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("policy.yaml"), "version: 1\nmode: enfroce\nroles:\n  USER:\n    endpoint: {}\n").unwrap();
    let settings = dir.path().join("tollgate.yaml");
    // These ports are taken: whoever opened one before looking at the faults would fail over that.
    let (data, admin) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (data, admin) = (data.local_addr().unwrap().to_string(), admin.local_addr().unwrap().to_string());
    let written = format!(
        "listen: {data}\nadmin: {admin}\ntimeouts:\n  head: soon\nroutes:\n  unknown: maybe\nupstream: https://chat\n"
    );
    fs::write(&settings, written).unwrap();
    let (settings, policies) = (settings.to_str().unwrap(), policies.to_str().unwrap());
    let ended =
        serve(&["--config", settings, "--policies", policies], &[("JWT_SECRET", "short"), ("TOLLGATE_NOPE", "1")]);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(64), "{told}");
    assert!(ended.stdout.is_empty());
    for wanted in [
        "tollgate.yaml:4:",
        "tollgate.yaml:6:",
        "tollgate.yaml:7:",
        "policy.yaml:2:",
        "policy.yaml:5:",
        "JWT_SECRET",
        "TOLLGATE_NOPE",
        "7 faults",
    ] {
        assert!(told.contains(wanted), "{wanted} is missing:\n{told}");
    }
    assert!(!told.contains("short\n") && !told.contains("\"short\""), "the secret is told:\n{told}");
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_address() {
    let mut world = World::with(POLICY).start().await;
    let secret = world.stand_in.options().jwt_secret.clone();
    let policies = world.dir.path().join("policy").to_str().unwrap().to_owned();
    let data = world.dir.path().join("other").to_str().unwrap().to_owned();
    let free = crate::world::free_address().to_string();
    for (plane, listen, admin) in
        [("data", world.addr.to_string(), free.clone()), ("admin", free.clone(), world.admin.to_string())]
    {
        let taken = if plane == "data" { &listen } else { &admin };
        let ended = serve(
            &["--listen", &listen, "--admin", &admin, "--policies", &policies, "--data", &data],
            &[("JWT_SECRET", &secret)],
        );
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{told}");
        let wanted = format!("cannot listen on {taken} for the {plane} plane");
        assert!(told.contains(&wanted), "{wanted}:\n{told}");
        assert!(told.contains("stop it or choose another port"), "{told}");
    }
    assert!(world.ended_already().is_none(), "the first one runs on");
}

/// Starts a turn of Bob's and opens its stream.
async fn turn(world: &World, text: &str) -> Open {
    let bob = world.bearer("Bob");
    let turn = json!({"endpoint": "openAI", "model": "gpt-4o-mini", "text": text});
    let started = post_json(world.addr, "/api/agents/chat/openAI", &[("authorization", &bob)], &turn).await.json();
    let path = format!("/api/agents/chat/stream/{}", started["streamId"].as_str().expect("a stream"));
    open(world.addr, Method::GET, &path, &[("authorization", &bob)], "".into()).await
}

#[tokio::test]
async fn a_stop_lets_the_stream_end_and_takes_nothing_new() {
    for signal in ["TERM", "INT"] {
        let mut world = World::with(POLICY).start().await;
        let mut stream = turn(&world, "[[words=40 delay=20]]").await;
        stream.next().await.expect("the stream has begun");
        world.signal(signal);
        let refused = async |world: &mut World| TcpStream::connect(world.addr).await.is_err();
        world.until("new connections are refused", refused).await;
        let ready = get(world.admin, "/readyz", &[]).await;
        assert_eq!((ready.status.as_u16(), &ready.json()["serving"]), (503, &json!(false)), "{signal}");
        assert_eq!(get(world.admin, "/livez", &[]).await.status, 200, "{signal}: it is stopping, not dead");
        let pieces: Vec<u8> = stream.rest().await.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        let text = String::from_utf8_lossy(&pieces);
        assert!(text.contains(r#""final":true"#), "{signal}: the stream was cut");
        let (status, entries) = world.stop_by_itself().await;
        assert_eq!(status.code(), Some(0), "{signal}");
        let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "usage").count(), 1, "{signal}: {kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "audit").count(), 1, "{signal}: {kinds:?}");
    }
}

/// A request that was read before the signal is answered, and then its connection is closed.
#[tokio::test]
async fn a_stop_answers_what_was_asked_before_it() {
    let go = Arc::new(Notify::new());
    let permit = Arc::clone(&go);
    let fake = Fake::start(move |mut socket, _| {
        let permit = Arc::clone(&permit);
        async move {
            permit.notified().await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.is_ok().then_some(socket)
        }
    })
    .await;
    let mut world = World::with(POLICY).upstream(&fake.url()).start().await;
    let mut socket = TcpStream::connect(world.addr).await.unwrap();
    socket.write_all(b"GET /page HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    world.until("LibreChat was asked", async |_| fake.heads().len() == 1).await;
    world.signal("TERM");
    world.until("it is stopping", async |world| TcpStream::connect(world.addr).await.is_err()).await;
    go.notify_one();
    let mut answer = String::new();
    patiently("the answer and the end", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhi"), "{answer}");
    assert_eq!(world.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_idle_tollgate_stops_at_once() {
    // Were anybody waited for, it would take longer than this test waits.
    let mut world = World::with(POLICY).settings("timeouts: {drain: 600s}").start().await;
    // An idle connection of a client, and one to LibreChat, hold nobody up.
    let mut idle = TcpStream::connect(world.addr).await.unwrap();
    get(world.addr, "/c/new", &[]).await;
    world.signal("TERM");
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = patiently("closing the idle connection", idle.read_to_end(&mut rest)).await;
    assert_eq!(world.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_stream_without_end_is_cut_when_the_time_to_drain_is_over() {
    let world = World::with(POLICY).settings("timeouts: {drain: 1s}").start().await;
    let mut stream = turn(&world, "[[words=100000 delay=20]]").await;
    stream.next().await.expect("the stream has begun");
    let began = Instant::now();
    world.signal("TERM");
    assert!(!stream.ends_cleanly().await, "the client must see that something is missing");
    assert!(began.elapsed() >= Duration::from_secs(1), "cut too early: {:?}", began.elapsed());
    let (status, entries) = world.stop_by_itself().await;
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(entries.iter().any(|entry| entry["kind"] == "usage"), "the turn is recorded");
}

#[tokio::test]
async fn a_second_signal_ends_the_wait() {
    let mut world = World::with(POLICY).settings("timeouts: {drain: 10m}").start().await;
    let mut stream = turn(&world, "[[words=100000 delay=20]]").await;
    stream.next().await.expect("the stream has begun");
    world.signal("TERM");
    world.until("it is stopping", async |world| TcpStream::connect(world.addr).await.is_err()).await;
    stream.next().await.expect("the stream goes on");
    world.signal("TERM");
    assert!(!stream.ends_cleanly().await);
    let (status, entries) = world.stop_by_itself().await;
    assert_eq!(status.code(), Some(0));
    assert!(entries.iter().any(|entry| entry["kind"] == "usage"), "the turn is recorded");
}

/// The sink `file` has every refusal that somebody was told of, once, over sudden ends, and its lines are one chain.
#[tokio::test]
async fn a_file_has_the_record_over_sudden_ends() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records.jsonl");
    let settings = format!("records: {{ file: {{ path: {} }} }}", file.display());
    let mut world = World::with(POLICY).settings(&settings).variable("TOLLGATE_RECORDS", "file").start().await;
    let bob = world.bearer("Bob");
    let forbidden = json!({"endpoint": "openAI", "model": "o1", "text": "Hello"});
    let mut told = Vec::new();
    for _ in 0..3 {
        for _ in 0..5 {
            let refused = post_json(world.addr, "/api/agents/chat", &[("authorization", &bob)], &forbidden).await;
            told.push(refused.json()["request_id"].as_str().unwrap().to_owned());
        }
        world.signal("KILL");
        world.ended().await;
        world.start_again().await;
    }
    let key = directory.path().join("signing.pub");
    std::fs::copy(world.dir.path().join("data/records/signing.pub"), &key).unwrap();
    // A stop waits for its sinks, but not for ever.
    world
        .until("the file has the last refusal", async |_| {
            std::fs::read_to_string(&file).unwrap().contains(told.last().unwrap().as_str())
        })
        .await;
    let (log, (status, _)) = (world.log(), world.stop().await);
    assert_eq!(status.code(), Some(0), "{log}");
    let text = std::fs::read_to_string(&file).unwrap();
    let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    entries.iter().for_each(schema::hold);
    for id in told {
        let times = entries.iter().filter(|entry| entry["requestId"] == id.as_str()).count();
        assert_eq!(times, 1, "{id} in\n{text}\n{log}");
    }
    let mut verify = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    verify.args(["audit", "verify", "--key"]).arg(key).arg("--file").arg(&file).env_clear();
    let verified = verify.output().unwrap();
    let said = [verified.stdout, verified.stderr].concat();
    assert!(verified.status.success(), "{}\n{text}", String::from_utf8_lossy(&said));
}

/// Whoever was told that Tollgate is ready may stop it at once.
#[tokio::test]
async fn a_stop_at_the_first_moment_is_one_in_good_order() {
    for round in 0..4 {
        let world = World::with(POLICY).start().await;
        let (log, (status, _)) = (world.log(), world.stop().await);
        assert_eq!(status.code(), Some(0), "{round}: {log}");
    }
}

#[tokio::test]
async fn a_killed_tollgate_starts_again_on_the_same_store() {
    let mut world = World::with(POLICY).variable("TOLLGATE_RECORDS", "stdout,embedded").start().await;
    let bob = world.bearer("Bob");
    let forbidden = json!({"endpoint": "openAI", "model": "o1", "text": "Hello"});
    for round in 0..3 {
        let refused = post_json(world.addr, "/api/agents/chat", &[("authorization", &bob)], &forbidden).await;
        assert_eq!(refused.status, 403, "round {round}");
        world
            .until("it is written", async |world| {
                // It, and that Tollgate has started.
                world.metric("tollgate_record_written_total{sink=\"embedded\"}").await.parse::<u64>().unwrap() >= 2
            })
            .await;
        world.signal("KILL");
        assert!(world.ended().await.code().is_none(), "killed");
        world.start_again().await;
        let models = get(world.addr, "/api/models", &[("authorization", &bob)]).await;
        assert_eq!(models.json(), json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}));
        world.signal("KILL");
        world.ended().await;
        world.start_again().await;
    }
    let file = world.dir.path().join("data").join(tollgate::store::embedded::FILE);
    let store = rusqlite::Connection::open(file).unwrap();
    let denied: i64 =
        store.query_row("SELECT count(*) FROM audit WHERE decision = 'deny'", [], |row| row.get(0)).unwrap();
    assert_eq!(denied, 3, "one for each round");
}

/// The lines of a page of metrics that belong to a series.
fn series<'page>(page: &'page str, name: &str) -> Vec<&'page str> {
    let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
    page.lines().filter(is_of).collect()
}

#[tokio::test]
async fn the_admin_plane_tells_health_and_counts() {
    // A limit that nobody here takes from: its series is there all the same.
    let limit = "limits:\n  - { id: elsewhere, requests: 5, per: user, window: 1m, endpoints: [anthropic] }\n";
    let mut world = World::with(&format!("{POLICY}{limit}")).start().await;
    assert_eq!(get(world.admin, "/livez", &[]).await.text(), "ok\n");
    world
        .until("LibreChat counts as healthy, and limits are counted", async |world| {
            let told = get(world.admin, "/readyz", &[]).await.json();
            told["healthyUpstreams"] == 1 && told["limits"] == "ok"
        })
        .await;
    let mut ready = get(world.admin, "/readyz", &[]).await.json();
    let policy = ready.as_object_mut().unwrap().remove("policy").unwrap();
    assert_eq!((&policy["mode"], &policy["stale"]), (&json!("enforce"), &json!(null)), "{policy}");
    assert_eq!(
        ready,
        json!({
            "ready": true, "serving": true, "directory": "ok", "limits": "ok", "record": "ok", "healthyUpstreams": 1,
        })
    );
    let bob = world.bearer("Bob");
    let turn = |model: &str| json!({"endpoint": "openAI", "model": model, "text": "Hello"});
    let headers = [("authorization", bob.as_str())];
    post_json(world.addr, "/api/agents/chat", &headers, &turn("gpt-4o")).await;
    post_json(world.addr, "/api/agents/chat", &headers, &turn("gpt-4o-mini")).await;
    get(world.addr, "/api/user", &[("authorization", "Bearer rubbish")]).await;
    world
        .until("all is written", async |world| {
            world.metric("tollgate_record_written_total{sink=\"stdout\"}").await == "5"
        })
        .await;
    for (name, wanted) in [
        ("requests_total{class=\"turn\",outcome=\"refused\"}", "1"),
        ("requests_total{class=\"turn\",outcome=\"forwarded\"}", "1"),
        ("requests_total{class=\"turn\",outcome=\"failed\"}", "0"),
        ("requests_total{class=\"pass\",outcome=\"refused\"}", "1"),
        ("refusals_total{code=\"policy.model\"}", "1"),
        ("decisions_total{decision=\"deny\"}", "1"),
        ("decisions_total{decision=\"allow\"}", "1"),
        ("request_seconds_count{class=\"turn\"}", "2"),
        ("directory_lookups_total{result=\"found\"}", "1"),
        ("directory_lookups_total{result=\"hit\"}", "1"),
        ("token_checks_total{result=\"good\"}", "1"),
        ("token_checks_total{result=\"hit\"}", "1"),
        ("token_checks_total{result=\"bad\"}", "1"),
        ("record_entries_total", "5"),
        ("in_flight", "0"),
        ("upstreams_healthy", "1"),
        ("limits_degraded", "0"),
        ("limits_near_total{limit=\"elsewhere\"}", "0"),
        ("settles_total{source=\"transactions\"}", "0"),
        (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), "1"),
    ] {
        assert_eq!(world.metric(&format!("tollgate_{name}")).await, wanted, "{name}");
    }
    let page = get(world.admin, "/metrics", &[]).await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = page.text();
    // Also those of which nothing has happened yet, so that a rate sees the first event.
    for (name, help) in Metrics::declared() {
        let name_there = format!("tollgate_{name}");
        assert!(!series(&text, &name_there).is_empty(), "{name}:\n{text}");
        let help = format!("# HELP {name_there} {}", help.trim());
        assert!(text.contains(&help), "{help}:\n{text}");
    }
    let token = bob.strip_prefix("Bearer ").unwrap();
    for secret in [token, "rubbish", "6b0000000000000000000b02", "gpt-4o", "openAI", "bob@example.edu", "USER"] {
        assert!(!text.contains(secret), "{secret} is on the page of metrics");
    }
    for path in ["/", "/metrics/x", "/api/models", "/debug"] {
        assert_eq!(get(world.admin, path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(get(world.addr, "/metrics", &[]).await.status, 404, "not on the data plane");
    let health: Value = get(world.addr, "/readyz", &[]).await.text().into();
    assert_eq!(health, "OK", "on the data plane these are LibreChat's own");
    assert_eq!(seen(&world).last().map(|seen| seen.target.clone()).as_deref(), Some("/readyz"));
}
