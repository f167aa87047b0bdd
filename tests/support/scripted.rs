//! An upstream that says what a test wrote down, for answers that LibreChat should never give.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A listener that answers every request with bytes, and closes. Dropping it ends it.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    _tasks: JoinSet<()>,
}

// === impl Scripted ===

impl Scripted {
    /// Answers each request, whose head is handed in, with what `answer` makes of it. Bodies of requests are not read.
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // One task each: a connection over which nothing is asked must not hold the others up.
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    if let Some(head) = head(&mut socket).await {
                        // Who does not wait for the answer does not want it.
                        let _ = socket.write_all(&answer(&head)).await;
                        let _ = socket.shutdown().await;
                    }
                });
            }
        });
        Self { addr, _tasks: tasks }
    }

    /// Its address as a setting.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n") {
        all.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(all).ok()
}
