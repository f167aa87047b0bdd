//! The oracle: a Node process with `tests/express/app.js` in it, which says how it has read a request.
//!
//! `TOLLGATE_TEST_EXPRESS` names the folder of its packages (`tests/run` and `tests/services/start` install them). Without it
//! such a test says that it is not run, and fails where `CI=true`.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before a test is given up.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

/// A running one. It ends with the test, as its standard input does.
pub(crate) struct Express {
    pub(crate) addr: SocketAddr,
    child: Child,
}

/// A connection that is kept open.
pub(crate) struct Session(BufReader<TcpStream>);

/// What somebody answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// 0 if there was none.
    pub(crate) status: u16,
    /// The body, null if it is not JSON.
    pub(crate) said: Value,
}

// === impl Express ===

impl Express {
    /// Starts one; none where its packages are not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut child = node("app.js")?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("its standard output")).read_line(&mut port).expect("a line");
        let port: u16 = port.trim().parse().expect("app.js begins with its port");
        Some(Self { addr: SocketAddr::from(([127, 0, 0, 1], port)), child })
    }

    /// A connection for many requests.
    pub(crate) fn session(&self) -> Session {
        let socket = TcpStream::connect(self.addr).expect("Express listens");
        socket.set_read_timeout(PATIENCE).expect("a time limit");
        socket.set_nodelay(true).expect("no delay");
        Session(BufReader::with_capacity(256 * 1024, socket))
    }

    /// How many requests have got as far as its routes, this question counted.
    pub(crate) fn reached(&self) -> u64 {
        let answers = self.session().ask(&[request("GET", "/", "", b"")]);
        answers[0].said["reached"].as_u64().expect("a count")
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Node with a file of `tests/express`.
#[expect(clippy::disallowed_methods, reason = "where the packages are, not a setting of the product")]
pub(crate) fn node(file: &str) -> Option<Child> {
    let Ok(packages) = std::env::var("TOLLGATE_TEST_EXPRESS") else {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name}: TOLLGATE_TEST_EXPRESS is not set");
        eprintln!(
            "{name}: not run, TOLLGATE_TEST_EXPRESS is not set (tests/services/start --only express installs it)"
        );
        return None;
    };
    let program = format!("{}/tests/express/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(program).arg(packages).stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command.spawn().expect("node is on the PATH"))
}

// === impl Session ===

impl Session {
    /// Sends well-formed requests, some at a time, and returns the answers in their order.
    pub(crate) fn ask(&mut self, requests: &[Vec<u8>]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(requests.len());
        // So few that neither side waits for the other to read.
        for some in requests.chunks(16) {
            for request in some {
                self.0.get_mut().write_all(request).expect("Express reads");
            }
            answers.extend(some.iter().map(|_| self.answer()));
        }
        answers
    }

    fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).expect("an answer"), 0, "Express hung up after {head:?}");
        }
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        self.0.read_exact(&mut body).expect("a body");
        Answer::of(&head, &body)
    }
}

// === impl Answer ===

impl Answer {
    fn of(head: &str, body: &[u8]) -> Self {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Self { status, said: serde_json::from_slice(body).unwrap_or_default() }
    }

    /// The route that Express found; none if it refused or knows none.
    pub(crate) fn route(&self) -> Option<&str> {
        self.said["route"].as_str()
    }
}

/// Sends bytes as they are over a connection of their own. They should ask for it to be closed.
pub(crate) fn alone(addr: SocketAddr, bytes: &[u8]) -> Answer {
    // A machine that opens thousands of connections a second may lose one; nothing said at all is asked again.
    let all = (0..3).map(|_| exchange(addr, bytes)).find(|all| !all.is_empty()).unwrap_or_default();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").map_or(all.len(), |end| end + 4);
    Answer::of(&String::from_utf8_lossy(&all[..end]), &all[end..])
}

fn exchange(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let Ok(mut socket) = TcpStream::connect(addr) else { return all };
    socket.set_read_timeout(PATIENCE).expect("a time limit");
    // Whoever refuses may do so before everything was read; what was said is still worth reading.
    let _ = socket.write_all(bytes);
    let mut buffer = [0; 16 * 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => return all,
            // The process was stopped for a while and goes on.
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => panic!("{fault}: no end to the answer of {:?}", bytes.escape_ascii().to_string()),
        }
    }
}

/// A request on a connection that stays open.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A chat turn in JSON, as Tollgate sends it.
pub(crate) fn chat(body: &[u8]) -> Vec<u8> {
    request("POST", "/api/agents/chat", "Content-Type: application/json; charset=utf-8\r\n", body)
}
