//! What only Redis can do: forget scripts, lose everything, hang, be of the wrong kind.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tollgate::store::StoreError;
use tollgate::store::counters::Settled;

use super::*;

/// A server of one test's own.
pub(crate) struct Server {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let process = run(port, directory.path(), more);
        let server = Self { process, port, directory };
        server.answers().await;
        server
    }

    pub(crate) fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn answers(&self) {
        let end = tokio::time::Instant::now() + PATIENT;
        while !self.pong() {
            assert!(tokio::time::Instant::now() < end, "redis-server does not answer");
            tokio::task::yield_now().await;
        }
    }

    /// Whether it answers a PING now.
    fn pong(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0; 5];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
        asked.is_ok() && matches!(&answer, b"+PONG" | b"-NOAU")
    }

    /// One command, by a connection of its own.
    pub(crate) fn command(&self, line: &str) -> String {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it as `kill -9` does.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again with what it has on its disk.
    pub(super) async fn restart(&mut self) {
        self.restart_with(&["--appendonly", "yes"]).await;
    }

    pub(super) async fn restart_with(&mut self, more: &[&str]) {
        self.process = run(self.port, self.directory.path(), more);
        self.answers().await;
    }

    /// Ends it as `kill -9` does, and starts an empty one in its place.
    async fn replace(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = run(self.port, self.directory.path(), &[]);
        self.answers().await;
    }
}

/// Waits for a condition.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENT;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn run(port: u16, directory: &std::path::Path, more: &[&str]) -> Child {
    let program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"];
    let program = program.into_iter().find(|path| std::path::Path::new(path).exists()).unwrap_or("redis-server");
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .args(more)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn connect(server: &Server, patience: Duration) -> Result<Redis, StoreError> {
    Redis::connect(&server.uri(), &prefix(), patience).await
}

/// Asks until the answer is there, as the requests of a proxy would.
async fn until_it_answers(redis: &Redis, draws: &[Draw]) -> (Answer, Duration) {
    let start = tokio::time::Instant::now();
    loop {
        match redis.take(draws, Uuid::new_v4(), MINUTE).await {
            Ok(answer) => return (answer, start.elapsed()),
            Err(error) => assert!(error.transient, "{error}"),
        }
        assert!(start.elapsed() < PATIENT, "no answer");
    }
}

#[tokio::test]
async fn a_forgotten_script_is_sent_again() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&[]).await;
    let redis = connect(&server, PATIENT).await.unwrap();
    redis.rebuild(&[]).await.unwrap();
    for _ in 0..3 {
        server.command("SCRIPT FLUSH");
        let answer = redis.take(&[spend("a", 1, 10)], Uuid::new_v4(), MINUTE).await.unwrap();
        let Answer::Taken { hold, .. } = answer else { panic!("{answer:?}") };
        server.command("SCRIPT FLUSH");
        assert!(matches!(redis.settle(&hold, &[1]).await.unwrap(), Settled::Now(_)));
    }
    assert_eq!(redis.read(&[spend("a", 0, 10)]).await.unwrap().unwrap().uses[0].used, 3);
}

#[tokio::test]
async fn lost_counters_are_noticed_and_set_from_what_was_spent() {
    if server().is_none() {
        return;
    }
    let mut server = Server::start(&[]).await;
    let redis = connect(&server, PATIENT).await.unwrap();
    redis.rebuild(&[]).await.unwrap();
    let (draws, mut spent) = ([spend("a", 10, 1_000)], 0);
    for round in 0..6 {
        let answer = redis.take(&draws, Uuid::new_v4(), MINUTE).await.unwrap();
        let Answer::Taken { hold, .. } = answer else { panic!("{answer:?}") };
        if round % 2 == 0 {
            server.command("FLUSHALL");
        } else {
            server.replace().await;
        }
        assert_eq!(until_it_answers(&redis, &draws).await.0, Answer::Lost, "round {round}");
        assert_eq!(redis.settle(&hold, &[7]).await.unwrap(), Settled::Lost, "round {round}");
        // Two replicas rebuild at once, one of them by older records: what is set first stays, and nothing is added.
        let known = |amount| [spend("a", amount, 0)];
        assert_eq!(redis.rebuild(&known(spent)).await.unwrap(), Rebuilt::Now);
        assert_eq!(redis.rebuild(&known(spent + 100)).await.unwrap(), Rebuilt::NotNeeded);
        assert!(matches!(redis.settle(&hold, &[7]).await.unwrap(), Settled::Now(_)));
        assert_eq!(redis.settle(&hold, &[7]).await.unwrap(), Settled::Already);
        spent += 7;
        assert_eq!(redis.read(&draws).await.unwrap().unwrap().uses[0].used, spent, "round {round}");
    }
}

#[tokio::test]
async fn many_counters_are_rebuilt_in_parts() {
    let Some(server) = server() else { return };
    let redis = Redis::connect(&server, &prefix(), PATIENT).await.unwrap();
    let known: Vec<Draw> = (0..1_234).map(|n| spend(&format!("c{n}"), n, 0)).collect();
    assert_eq!(redis.rebuild(&known).await.unwrap(), Rebuilt::Now);
    let uses = redis.read(&known).await.unwrap().unwrap().uses;
    assert!(uses.iter().enumerate().all(|(n, tally)| tally.used == n as u64));
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&[]).await;
    let patience = Duration::from_millis(250);
    let redis = connect(&server, PATIENT).await.unwrap();
    let hasty = Redis::connect(&server.uri(), "tollgate-test:{hasty}:", patience).await.unwrap();
    redis.rebuild(&[]).await.unwrap();
    hasty.rebuild(&[]).await.unwrap();
    server.signal("STOP");
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        let error = hasty.take(&[spend("a", 1, 10)], Uuid::new_v4(), MINUTE).await.unwrap_err();
        // Much of the patience more, for a machine that is busy.
        assert!(start.elapsed() < patience * 10, "{:?}", start.elapsed());
        assert!(error.transient && error.message.contains("no answer within 250 ms"), "{error}");
        assert!(error.message.starts_with(&format!("127.0.0.1:{}", server.port)), "{error}");
    }
    server.signal("CONT");
    let (answer, waited) = until_it_answers(&hasty, &[spend("a", 1, 10)]).await;
    assert!(matches!(answer, Answer::Taken { .. }), "{answer:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_comes_back() {
    if server().is_none() {
        return;
    }
    let mut server = Server::start(&[]).await;
    let redis = connect(&server, PATIENT).await.unwrap();
    redis.rebuild(&[]).await.unwrap();
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    for _ in 0..5 {
        let error = redis.take(&[spend("a", 1, 10)], Uuid::new_v4(), MINUTE).await.unwrap_err();
        assert!(error.transient, "{error}");
    }
    server.replace().await;
    let (answer, waited) = until_it_answers(&redis, &[spend("a", 1, 10)]).await;
    assert_eq!(answer, Answer::Lost);
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    // Nobody listens at all.
    server.process.kill().unwrap();
    let error = connect(&server, Duration::from_secs(1)).await.err().unwrap();
    assert!(error.transient, "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_keep_counters_is_refused() {
    if server().is_none() {
        return;
    }
    let evicts = Server::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let cluster = Server::start(&["--cluster-enabled", "yes"]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &evicts.port.to_string()]).await;
    let closed = Server::start(&["--requirepass", "s3cret"]).await;
    let rows = [
        (&evicts, evicts.uri(), "maxmemory-policy allkeys-lru", false),
        (&cluster, cluster.uri(), "one of a cluster", false),
        (&replica, replica.uri(), "a replica", false),
        (&closed, closed.uri(), "does not accept the user name or the password", true),
        (&closed, closed.uri().replace("//", "//:wr0ng@"), "does not accept the user name or the password", true),
    ];
    for (server, uri, part, transient) in rows {
        let error = Redis::connect(&uri, &prefix(), PATIENT).await.err().unwrap();
        assert!(error.message.contains(part) && error.transient == transient, "{part}: {error}");
        assert!(error.message.starts_with(&format!("127.0.0.1:{}: ", server.port)), "{error}");
        assert!(!error.message.contains("wr0ng"), "{error}");
    }
    let open = closed.uri().replace("//", "//:s3cret@");
    Redis::connect(&open, &prefix(), PATIENT).await.unwrap();
}

#[tokio::test]
async fn a_full_server_refuses_and_says_so() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&["--maxmemory", "50mb", "--maxmemory-policy", "noeviction"]).await;
    let redis = connect(&server, PATIENT).await.unwrap();
    redis.rebuild(&[]).await.unwrap();
    server.command("CONFIG SET maxmemory 1");
    let error = redis.take(&[spend("a", 1, 10)], Uuid::new_v4(), MINUTE).await.unwrap_err();
    assert!(error.transient && error.message.contains("memory is full"), "{error}");
}

#[tokio::test]
async fn every_key_has_the_prefix_and_an_end() {
    if server().is_none() {
        return;
    }
    let server = Server::start(&[]).await;
    let redis = Redis::connect(&server.uri(), "p:{t}:1:", PATIENT).await.unwrap();
    redis.rebuild(&[spend("known", 1, 0)]).await.unwrap();
    let draws = [spend("a", 1, 10), rate("b", 1, 10, MINUTE), open("c", 1, 10)];
    for n in 0..3 {
        let answer = redis.take(&draws, Uuid::new_v4(), MINUTE).await.unwrap();
        let Answer::Taken { hold, .. } = answer else { panic!("{answer:?}") };
        if n > 0 {
            redis.settle(&hold, &[1, 1, 1]).await.unwrap();
        }
    }
    // Counts the keys that are not ours, or that stay for ever; the epoch alone does.
    let script = "local stray = 0 for _, key in ipairs(redis.call('KEYS', '*')) do \
                  if string.sub(key, 1, 8) ~= 'p:{t}:1:' or (redis.call('PTTL', key) < 0 and string.sub(key, 1, 14) ~= 'p:{t}:1:epoch@') \
                  then stray = stray + 1 end end return {stray, redis.call('DBSIZE')}";
    let client = ::redis::Client::open(server.uri()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let (stray, all): (u32, u32) = ::redis::Script::new(script).invoke_async(&mut connection).await.unwrap();
    // The epoch, four counters, three sets of holds, three holds.
    assert_eq!((stray, all), (0, 11));
}
