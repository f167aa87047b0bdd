//! The store of limits as the program has it: told by `/readyz` and metrics, away and back, of one process alone.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::POLICY;
use crate::support::get;
use crate::world::{World, free_address};

/// A Redis of one test's own.
pub(crate) struct Server {
    port: u16,
    password: String,
    directory: TempDir,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_password("s3cret")
    }

    pub(crate) fn with_password(password: &str) -> Self {
        let (port, directory) = (free_address().port(), tempfile::tempdir().unwrap());
        let process = run(port, password, &directory);
        Self { port, password: password.to_owned(), directory, process }
    }

    /// Where it is, with the password.
    pub(crate) fn uri(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, without what it had.
    pub(crate) fn start_empty(&mut self) {
        self.process = run(self.port, &self.password, &self.directory);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn run(port: u16, password: &str, directory: &TempDir) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--requirepass", password, "--dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::yield_now();
    }
    child
}

#[expect(clippy::disallowed_methods, reason = "whether services are there, not a setting of the product")]
pub(crate) fn without_redis() -> bool {
    std::env::var("TOLLGATE_TEST_REDIS_URI").is_err() && {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "TOLLGATE_TEST_REDIS_URI is not set");
        true
    }
}

/// What `/readyz` says: its status, and of limits.
async fn readyz(world: &World) -> (u16, String) {
    let answer = get(world.admin, "/readyz", &[]).await;
    (answer.status.as_u16(), answer.json()["limits"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_redis_that_is_lost_and_comes_back_empty_is_told_and_rebuilt() {
    if without_redis() {
        return;
    }
    let mut server = Server::start();
    let mut world = World::with(POLICY).variable("REDIS_URI", &server.uri()).start().await;
    for _ in 0..2 {
        assert_eq!(readyz(&world).await, (200, "ok".to_owned()));
        assert_eq!(world.metric("tollgate_limits_degraded").await, "0");
        server.kill();
        world
            .until("limits are degraded", async |world| {
                assert_eq!(readyz(world).await.0, 503);
                world.metric("tollgate_limits_degraded").await == "1"
            })
            .await;
        let (status, why) = readyz(&world).await;
        // Once a second somebody asks again, and learns why.
        assert!(status == 503 && (why.contains("has not answered") || why.contains("connection failed")), "{why}");
        // Everything that needs no limits goes on.
        assert_eq!(get(world.addr, "/c/new", &[]).await.status, 200);
        server.start_empty();
        world.until("counters are rebuilt", async |world| readyz(world).await.0 == 200).await;
    }
    let page = get(world.admin, "/metrics", &[]).await.text();
    assert!(page.contains("tollgate_limit_store_seconds_count") && !page.contains("s3cret"), "{page}");
    assert!(!world.log().contains("s3cret") && world.log().contains("limits are not counted"), "{}", world.log());
    assert!(world.stop().await.0.success());
}

#[tokio::test]
async fn a_redis_that_is_away_does_not_keep_the_program_from_its_end() {
    if without_redis() {
        return;
    }
    let mut server = Server::start();
    let world = World::with(POLICY).variable("TOLLGATE_REDIS", &server.uri()).start().await;
    server.kill();
    assert!(world.stop().await.0.success());
}

#[tokio::test]
async fn one_process_counts_in_a_directory() {
    let mut world = World::with(POLICY).start().await;
    let data = world.dir.path().join("data");
    let policy = world.dir.path().join("policy");
    let second = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["serve", "--listen", &free_address().to_string(), "--admin", &free_address().to_string()]);
        command.arg("--data").arg(&data).arg("--policies").arg(&policy).env_clear();
        command.env("JWT_SECRET", "a-secret-of-enough-length-for-tests").envs(variables.iter().copied());
        let ended = command.output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, told) = second(&[]);
    assert!(code == Some(1) && told.contains("another process keeps its records here"), "{code:?}: {told}");
    // Others of its kind have to be told that they count alone.
    let (code, told) = second(&[("TOLLGATE_REPLICAS", "2")]);
    assert!(code == Some(64) && told.contains("error[replicas-uncounted]"), "{code:?}: {told}");
    // What one that was killed has left behind keeps nobody from starting.
    world.signal("KILL");
    world.ended().await;
    world.start_again().await;
    assert_eq!(readyz(&world).await, (200, "ok".to_owned()));
}
