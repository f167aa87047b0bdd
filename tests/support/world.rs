//! A whole installation for one test: the LibreChat stand-in, the real `tollgate serve` in front of it, and its record.
//!
//! ```ignore
//! let world = World::with(POLICY).start().await;
//! let answer = support::get(world.addr, "/api/models", &[world.token("Bob")]).await;
//! ```

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the binaries that use everything")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::interval;
use tollgate::demo::{Person, Seen, StandIn, StandInOptions};
use tollgate::store;
use tollgate::store::embedded::{Account, Embedded};

use crate::schema;
use crate::support::{get, patiently};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What a test wants.
pub(crate) struct Plan {
    policy: String,
    options: StandInOptions,
    groups: Vec<(String, Vec<String>)>,
    accounts: Vec<(String, Account)>,
    settings: String,
    environment: Vec<(String, String)>,
    upstream: Option<String>,
}

/// A running installation. Dropping it kills Tollgate; [`World::stop`] asks it to stop and checks how it went.
pub(crate) struct World {
    /// The data plane.
    pub(crate) addr: SocketAddr,
    /// The admin plane.
    pub(crate) admin: SocketAddr,
    /// What stands behind Tollgate.
    pub(crate) stand_in: StandIn,
    /// Tollgate's directory: policy, settings, embedded store.
    pub(crate) dir: TempDir,
    command: Command,
    child: Child,
    entries: Arc<Mutex<Vec<Value>>>,
    log: Arc<Mutex<String>>,
    lines: Option<JoinHandle<()>>,
    /// What is wrong with lines that were recorded: the story fails.
    odd: Arc<Mutex<Vec<String>>>,
}

// === impl Plan ===

impl Plan {
    /// Changes the stand-in.
    pub(crate) fn librechat(mut self, change: impl FnOnce(&mut StandInOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Puts somebody into groups of the embedded directory.
    pub(crate) fn member(mut self, name: &str, groups: &[&str]) -> Self {
        self.groups.push((name.to_owned(), groups.iter().map(|group| (*group).to_owned()).collect()));
        self
    }

    /// Gives somebody of the embedded directory an account at an identity provider.
    pub(crate) fn account(mut self, name: &str, issuer: &str, subject: &str) -> Self {
        self.accounts.push((name.to_owned(), Account { issuer: issuer.into(), subject: subject.into() }));
        self
    }

    /// Adds lines to the settings file.
    pub(crate) fn settings(mut self, yaml: &str) -> Self {
        self.settings.push_str(yaml);
        self.settings.push('\n');
        self
    }

    /// Sets an environment variable of Tollgate.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts something else behind Tollgate than the stand-in.
    pub(crate) fn upstream(mut self, url: &str) -> Self {
        self.upstream = Some(url.to_owned());
        self
    }

    /// Starts everything and waits until Tollgate is ready.
    pub(crate) async fn start(self) -> World {
        let mut world = self.unready().await;
        world.until("Tollgate is ready", async |world| world.is_ready().await).await;
        world
    }

    /// Starts everything and waits until Tollgate listens, ready or not.
    pub(crate) async fn unready(self) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("policy")).expect("a directory");
        fs::write(dir.path().join("policy/policy.yaml"), &self.policy).expect("a policy file");
        fs::write(dir.path().join("tollgate.yaml"), &self.settings).expect("a settings file");
        let data = dir.path().join("data");
        self.fill_directory(&data);
        let secret = self.options.jwt_secret.clone();
        let stand_in = StandIn::start(self.options).await.expect("a stand-in");
        let upstream = self.upstream.unwrap_or_else(|| format!("http://{}", stand_in.addr()));
        let (addr, admin) = (free_address(), free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .arg("serve")
            .args(["--listen", &addr.to_string(), "--admin", &admin.to_string(), "--upstream", &upstream])
            .arg("--config")
            .arg(dir.path().join("tollgate.yaml"))
            .arg("--policies")
            .arg(dir.path().join("policy"))
            .arg("--data")
            .arg(&data)
            .env_clear()
            .env("JWT_SECRET", secret)
            .env("TOLLGATE_RECORDS", "stdout")
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let odd = Arc::default();
        let (child, (entries, lines), log) = spawn(&mut command, &odd);
        let mut world = World { addr, admin, stand_in, dir, command, child, entries, log, lines: Some(lines), odd };
        let listens = async |world: &mut World| world.is_up() && TcpStream::connect(world.addr).is_ok();
        world.until("Tollgate listens", listens).await;
        world
    }

    fn fill_directory(&self, data: &std::path::Path) {
        let directory = Embedded::open(data).expect("an embedded store");
        for person in &self.options.people {
            let groups = self.groups.iter().filter(|(name, _)| *name == person.name);
            let known = store::Person {
                id: person.id.as_str().into(),
                email: Some(person.email.as_str().into()),
                role: Some(person.role.as_str().into()),
                groups: groups.flat_map(|(_, groups)| groups.iter().map(|group| group.as_str().into())).collect(),
            };
            directory.put_person(&known).expect("a person in the directory");
            for (_, account) in self.accounts.iter().filter(|(name, _)| *name == person.name) {
                directory.link_person(&person.id, Some(account)).expect("an account");
            }
        }
    }
}

// === impl World ===

impl World {
    /// A plan with this policy, the stand-in's default people (Ann, ADMIN, and Bob, USER) and records on standard output.
    pub(crate) fn with(policy: &str) -> Plan {
        Plan {
            policy: policy.to_owned(),
            options: StandInOptions::default(),
            groups: Vec::new(),
            accounts: Vec::new(),
            settings: String::new(),
            environment: Vec::new(),
            upstream: None,
        }
    }

    /// One of the stand-in's people.
    pub(crate) fn person(&self, name: &str) -> &Person {
        self.stand_in.options().people.iter().find(|person| person.name == name).expect("a person of that name")
    }

    /// The value of somebody's `Authorization` header.
    pub(crate) fn bearer(&self, name: &str) -> String {
        format!("Bearer {}", self.stand_in.token_for(self.person(name)))
    }

    /// What has reached LibreChat through Tollgate, without Tollgate's own questions about its health.
    pub(crate) fn reached(&self) -> Vec<Seen> {
        self.stand_in.seen().into_iter().filter(|seen| seen.target != "/health").collect()
    }

    /// The audit entry of the one request that was sent with this `User-Agent`.
    pub(crate) async fn entry_from(&mut self, agent: &str) -> Value {
        let agent = agent.to_owned();
        self.entry(&format!("the entry of {agent}"), |entry| {
            entry["kind"] == "audit" && entry["details"]["userAgent"] == agent.as_str()
        })
        .await
    }

    /// The entries about requests that were written so far.
    pub(crate) fn entries(&self) -> Vec<Value> {
        self.record().into_iter().filter(is_of_a_request).collect()
    }

    /// All that was written so far, events and heads included.
    pub(crate) fn record(&self) -> Vec<Value> {
        self.assert_known();
        lock(&self.entries).clone()
    }

    /// The entries written since they were last taken. They are kept nowhere else.
    pub(crate) fn take_entries(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.entries)).into_iter().filter(is_of_a_request).collect()
    }

    /// The first entry that fits, waited for.
    pub(crate) async fn entry(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async |world| world.entries().iter().any(&fits)).await;
        self.entries().into_iter().find(|entry| fits(entry)).expect("it was there just now")
    }

    /// The audit entry of the request that was refused with this body.
    pub(crate) async fn entry_of(&mut self, refusal: &Value) -> Value {
        let id = refusal["request_id"].as_str().expect("a refusal names its request").to_owned();
        self.entry("the entry of a refusal", |entry| entry["kind"] == "audit" && entry["requestId"] == id.as_str())
            .await
    }

    /// A line of Tollgate's `/proc/<pid>/status` that counts memory (`VmRSS`, `VmHWM`), in bytes.
    pub(crate) fn memory(&self, line: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running child");
        let line = status.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(':')).expect("a known line");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// Tollgate's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What Tollgate has logged so far.
    pub(crate) fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// The value of a series of `/metrics`, as written; empty where it is not there.
    pub(crate) async fn metric(&self, series: &str) -> String {
        let text = get(self.admin, "/metrics", &[]).await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_default().to_owned()
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl AsyncFn(&mut World) -> bool) {
        let mut looks = interval(LOOK);
        let waiting = async {
            while !holds(self).await {
                looks.tick().await;
            }
        };
        patiently(what, waiting).await;
    }

    /// Sends a signal to Tollgate: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for Tollgate's end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.until("Tollgate ends", async |world| world.child.try_wait().expect("a child").is_some()).await;
        self.child.try_wait().expect("a child").expect("it has just ended")
    }

    /// Starts Tollgate once more, just as before, after it has ended.
    pub(crate) async fn start_again(&mut self) {
        let (child, (entries, lines), log) = spawn(&mut self.command, &self.odd);
        // The earlier one has ended: what it recorded is held to the schema by now.
        let _ = self.lines.replace(lines).map(JoinHandle::join);
        (self.child, self.entries, self.log) = (child, entries, log);
        self.until("Tollgate is ready", async |world| world.is_up() && world.is_ready().await).await;
    }

    /// Starts Tollgate once more, which does not get far.
    pub(crate) async fn start_and_end(&mut self) {
        let (child, (entries, lines), log) = spawn(&mut self.command, &self.odd);
        let _ = self.lines.replace(lines).map(JoinHandle::join);
        (self.child, self.entries, self.log) = (child, entries, log);
        assert!(!self.ended().await.success());
    }

    /// How Tollgate has ended, if it has.
    pub(crate) fn ended_already(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Asks Tollgate to stop, and returns how it ended and everything it recorded.
    pub(crate) async fn stop(self) -> (ExitStatus, Vec<Value>) {
        self.signal("TERM");
        self.stop_by_itself().await
    }

    /// Waits for Tollgate's end, and returns how it ended and everything it recorded.
    pub(crate) async fn stop_by_itself(mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.ended().await;
        // The pipe is read to its end by a thread: what was written last may still be on its way.
        self.until("the record is read", async |world| Arc::strong_count(&world.entries) == 1).await;
        (status, self.entries())
    }

    /// Every line that was recorded so far is one that the schema knows.
    fn assert_known(&self) {
        let odd = lock(&self.odd);
        assert!(odd.is_empty(), "{}", odd.join("\n"));
    }

    fn is_up(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().expect("a child") {
            panic!("tollgate ended at once with {status}:\n{}", self.log());
        }
        TcpStream::connect(self.admin).is_ok()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        get(self.admin, "/readyz", &[]).await.status == 200
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its pipe has ended, and so does who reads it.
        let _ = self.lines.take().map(JoinHandle::join);
        if !thread::panicking() {
            self.assert_known();
        }
    }
}

/// A started program, what it recorded and what it logged.
type Started = (Child, (Arc<Mutex<Vec<Value>>>, JoinHandle<()>), Arc<Mutex<String>>);

fn spawn(command: &mut Command, odd: &Arc<Mutex<Vec<String>>>) -> Started {
    let mut child = command.spawn().expect("the tollgate program");
    let entries = collect_lines(child.stdout.take().expect("its standard output"), Arc::clone(odd));
    let log = collect_text(child.stderr.take().expect("its standard error"));
    (child, entries, log)
}

/// An address of this machine that nobody listens on now.
pub(crate) fn free_address() -> SocketAddr {
    // Each is given out once, and all are below the ports from which systems choose for connections that go out: nobody
    // takes one before Tollgate does.
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Two runs at once, of two working copies perhaps, begin in different places.
    let first = u16::try_from(std::process::id() % 200).unwrap_or_default() * 100;
    let ports = std::iter::repeat_with(|| 10_000 + (first + TAKEN.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let open = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr()).ok();
    ports.take(20_000).find_map(open).expect("a free port")
}

/// A token with these claims, whoever they name.
pub(crate) fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// Reads the record and holds each line to the schema.
fn collect_lines(
    pipe: impl Read + Send + 'static,
    odd: Arc<Mutex<Vec<String>>>,
) -> (Arc<Mutex<Vec<Value>>>, JoinHandle<()>) {
    let entries = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&entries);
    let reading = thread::spawn(move || {
        let (mut pipe, mut line) = (BufReader::new(pipe), String::new());
        // Who is killed breaks off within a line.
        while pipe.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            match serde_json::from_str(&line) {
                Ok(entry) => {
                    lock(&odd).extend(schema::fault(&entry));
                    lock(&kept).push(entry);
                }
                Err(fault) => lock(&odd).push(format!("not an entry: {line:?}: {fault}")),
            }
            line.clear();
        }
    });
    (entries, reading)
}

fn collect_text(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            lock(&kept).push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether an entry tells of a request: a decision, or a turn.
fn is_of_a_request(entry: &Value) -> bool {
    entry["kind"] == "usage" || entry.get("decision").is_some()
}
