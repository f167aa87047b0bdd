//! Upstreams that behave as no LibreChat should, or exactly when a test says so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server that hands each request to the test. It answers `GET /health` by itself.
pub(crate) struct Fake {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

// === impl Fake ===

impl Fake {
    /// Starts one. `answer` gets the connection and the request's head, after the body (of a known length) was read, and
    /// gives the connection back to keep it.
    pub(crate) async fn start<F>(answer: impl Fn(TcpStream, String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<TcpStream>> + Send + 'static,
    {
        Self::start_at(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), answer)
    }

    /// The same on an open listener.
    pub(crate) fn start_at<F>(
        listener: TcpListener,
        answer: impl Fn(TcpStream, String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<TcpStream>> + Send + 'static,
    {
        let addr = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&heads), Arc::new(answer));
        let closed = Arc::new(AtomicUsize::new(0));
        let ended = Arc::clone(&closed);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (kept, answer, ended) = (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&ended));
                connections.spawn(async move {
                    let mut connection = Some(socket);
                    // Counted when the connection is over, whichever way; those for health alone are not.
                    let mut counted = None;
                    while let Some(mut socket) = connection.take() {
                        let Some(head) = read_request(&mut socket).await else { return };
                        if head.starts_with("GET /health ") {
                            let said = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK").await;
                            connection = said.is_ok().then_some(socket);
                            continue;
                        }
                        counted.get_or_insert_with(|| Ended(Arc::clone(&ended)));
                        kept.lock().expect("a lock").push(head.clone());
                        connection = answer(socket, head).await;
                    }
                });
            }
        });
        Self { addr, heads, closed, _tasks: tasks }
    }

    /// The same answer to everything, whole, and then the connection is closed.
    pub(crate) async fn says(answer: &'static str) -> Self {
        Self::start(move |mut socket, _| async move {
            // A proxy that has left already is the test's own matter.
            let _ = socket.write_all(answer.as_bytes()).await;
            None
        })
        .await
    }

    /// Its address as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many connections are over, health checks left out.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far, health checks left out.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("a lock").clone()
    }
}

/// Counts when it goes.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A request's head; its body, of a known length or chunked, is read and dropped.
async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(socket.read_u8().await.ok()?);
        }
    }
    Some(head)
}
