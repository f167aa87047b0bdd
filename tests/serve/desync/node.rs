//! A real Node `http` server, and what it says it has understood.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::time::interval;

use crate::support::{get, patiently};

/// The server's program.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve/desync/upstream.js");

/// A request as Node has understood it.
#[derive(Clone, Debug)]
pub(super) struct Understood {
    /// Whether it came to its end.
    pub(super) whole: bool,
    /// The method.
    pub(super) method: String,
    /// The target as it stood in the request line.
    pub(super) target: String,
    /// The values of `x-request-id`.
    pub(super) tags: Vec<String>,
    /// The body, of a half request as far as it came.
    pub(super) body: Vec<u8>,
}

/// A running Node. Dropping it ends it.
pub(super) struct Node {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
    port: u64,
}

// === impl Node ===

impl Node {
    /// Starts one. `lenient` as an argument gives it a parser that believes what LibreChat's does not.
    pub(super) async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new("node")
            .arg(PROGRAM)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node, on the PATH: these tests ask a real Node what it understands");
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (kept, pipe) = (Arc::clone(&told), child.stdout.take().expect("its standard output"));
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let what = serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(what);
            }
        });
        let mut node = Self { child, told, port: 0 };
        let mut looks = interval(Duration::from_millis(5));
        let port = async {
            loop {
                looks.tick().await;
                if let Some(port) = node.all("listening").first().and_then(|what| what["port"].as_u64()) {
                    return port;
                }
            }
        };
        node.port = patiently("Node listens", port).await;
        node
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All requests so far. Nobody may be sending any more.
    pub(super) async fn understood(&mut self) -> Vec<Understood> {
        // Node has one thread and one output: what was said before this question's answer is here before it, or nearly so.
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], u16::try_from(self.port).expect("a port")));
        get(address, "/last", &[]).await;
        let mut looks = interval(Duration::from_millis(5));
        let last = async {
            while !self.all("request").iter().any(|what| what["target"] == "/last") {
                looks.tick().await;
            }
        };
        patiently("Node's last word", last).await;
        self.all("request").iter().filter(|what| what["target"] != "/last").map(Understood::read).collect()
    }

    /// What its parser did not understand.
    pub(super) fn faults(&self) -> Vec<String> {
        self.all("fault").iter().map(|what| what["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn all(&self, what: &str) -> Vec<Value> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().filter(|told| told["what"] == what).cloned().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Understood ===

impl Understood {
    fn read(what: &Value) -> Self {
        let text = |name: &str| what[name].as_str().unwrap_or_default().to_owned();
        let headers: Vec<&str> = what["headers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let tags = headers.chunks_exact(2).filter(|line| line[0].eq_ignore_ascii_case("x-request-id"));
        Self {
            whole: what["whole"] == true,
            method: text("method"),
            target: text("target"),
            tags: tags.map(|line| line[1].to_owned()).collect(),
            body: super::streams::decode(&text("body")),
        }
    }
}
