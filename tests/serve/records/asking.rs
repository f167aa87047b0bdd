//! Somebody who asks again and again on one connection, and does not mind when it breaks.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A turn of a model that users may not have.
    Refused,
    /// A turn that they may have.
    Turn,
    /// The list of models.
    Models,
    /// Something that is not decided, and leaves no entry.
    Page,
}

/// One connection at a time.
pub(super) struct Asker {
    addr: SocketAddr,
    bearer: String,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

// === impl Ask ===

impl Ask {
    /// The method, the path and the body.
    pub(super) fn parts(self) -> (&'static str, &'static str, String) {
        let turn =
            |model: &str| json!({"text": "hi [[words=1 delay=0]]", "endpoint": "openAI", "model": model}).to_string();
        match self {
            Self::Refused => ("POST", "/api/agents/chat/openAI", turn("gpt-4o")),
            Self::Turn => ("POST", "/api/agents/chat/openAI", turn("gpt-4o-mini")),
            Self::Models => ("GET", "/api/models", String::new()),
            Self::Page => ("GET", "/api/user", String::new()),
        }
    }
}

// === impl Asker ===

impl Asker {
    pub(super) fn new(addr: SocketAddr, bearer: &str) -> Self {
        Self { addr, bearer: bearer.to_owned(), connection: None }
    }

    /// Asks under this `User-Agent`. None where no whole answer came.
    pub(super) async fn ask(&mut self, ask: Ask, agent: &str) -> Option<Told> {
        let (method, path, body) = ask.parts();
        self.send(method, path, body, agent).await
    }

    /// The same for any path.
    pub(super) async fn send(&mut self, method: &str, path: &str, body: String, agent: &str) -> Option<Told> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "t")
            .header("authorization", &self.bearer)
            .header("user-agent", agent)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a well formed request");
        let told = self.exchange(request).await;
        if told.is_none() {
            self.connection = None;
        }
        told
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Option<Told> {
        let connection = self.connection().await?;
        connection.sender.ready().await.ok()?;
        let answer = connection.sender.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some(Told { status, body })
    }

    async fn connection(&mut self) -> Option<&mut Connection> {
        if self.connection.as_ref().is_none_or(|connection| connection.sender.is_closed()) {
            let socket = TcpStream::connect(self.addr).await.ok()?;
            socket.set_nodelay(true).ok()?;
            let (sender, driver) = handshake(TokioIo::new(socket)).await.ok()?;
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                // How it ends shows in the answer.
                let _ = driver.await;
            });
            self.connection = Some(Connection { sender, _driver: tasks });
        }
        self.connection.as_mut()
    }
}

// === impl Told ===

impl Told {
    /// The body as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {:?}", self.body))
    }

    /// The rule that refused, where one did.
    pub(super) fn rule(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        body["rule"].as_str().unwrap_or_default().to_owned()
    }

    /// The id of the request, which refusals tell.
    pub(super) fn request(&self) -> String {
        self.json()["request_id"].as_str().unwrap_or_else(|| panic!("{:?}", self.body)).to_owned()
    }
}
