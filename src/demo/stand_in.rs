//! The handle on a running stand-in: where it listens, what it saw, what it would have called.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Answer, Body, Stage};
use super::options::{Person, StandInOptions};
use super::state::{State, lock, now};
use super::{pages, token};

/// Node's limit for a request's head, in bytes.
const MOST_HEAD: usize = 16 * 1024;
/// How much of a body is kept to be looked at, in bytes. The rest is read and counted.
const MOST_KEPT: usize = 16 * 1024 * 1024;
/// The pause after a connection that could not be accepted.
const RETRY: Duration = Duration::from_millis(50);

/// A running stand-in. Dropping it ends it at once; [`StandIn::stop`] also waits until it has ended.
pub struct StandIn {
    addr: SocketAddr,
    state: Arc<State>,
}

/// One request as it reached the stand-in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The request target as it was sent: path and query, unnormalised.
    pub target: String,
    /// The headers, names in lower case, repeated ones in order.
    pub headers: HeaderMap,
    /// The body as far as it was read, transfer coding removed, content coding kept. At most 16 MiB are kept.
    pub body: Bytes,
    /// How many bytes of body arrived, kept or not.
    pub length: usize,
}

/// A call to a model provider that LibreChat would have made to answer somebody. The calls that an administrator's
/// settings add, such as for titles, are not counted: nobody but the administrator chooses their model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The id of the person for whom it is made.
    pub user: String,
    /// The provider's endpoint name, such as `openAI`.
    pub endpoint: String,
    /// The model that would run.
    pub model: String,
}

// === impl StandIn ===

impl StandIn {
    /// Starts a stand-in on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When the port cannot be opened.
    pub async fn start(options: StandInOptions) -> io::Result<StandIn> {
        Self::start_on(TcpListener::bind(("127.0.0.1", 0)).await?, options)
    }

    /// Starts a stand-in on a listener that is already open. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener's address cannot be read.
    pub fn start_on(listener: TcpListener, options: StandInOptions) -> io::Result<StandIn> {
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(options, format!("http://{addr}")));
        state.spawn(accept(listener, Arc::clone(&state)));
        Ok(StandIn { addr, state })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it was started with.
    pub fn options(&self) -> &StandInOptions {
        &self.state.options
    }

    /// Every request so far, in the order in which their heads arrived.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).iter().map(|seen| lock(seen).clone()).collect()
    }

    /// Every provider call so far, in order. A call is counted before its POST is answered.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// Forgets what was seen and called, so that a test can look at its next step alone.
    pub fn forget(&self) {
        lock(&self.state.seen).clear();
        lock(&self.state.calls).clear();
    }

    /// A fresh access token for somebody, as a sign-in would give. It is signed for whoever is asked for, known or not.
    pub fn token_for(&self, person: &Person) -> String {
        let lifetime = i64::try_from(self.state.options.token_lifetime.as_secs()).unwrap_or(i64::MAX);
        token::access(person, &self.state.options.jwt_secret, now(), lifetime)
    }

    /// Somebody's token credits.
    pub fn balance(&self, person: &Person) -> f64 {
        self.state.balance(&person.id)
    }

    /// Sets somebody's token credits.
    pub fn set_balance(&self, person: &Person, credits: f64) {
        lock(&self.state.balances).insert(person.id.clone(), credits);
    }

    /// Ends it: no further connections, running ones cut, running turns dropped. Returns when all is over.
    pub async fn stop(self) {
        let tasks = lock(&self.state.tasks).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // The tasks hold the state that holds them; taking them out ends both.
        drop(lock(&self.state.tasks).take());
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => state.spawn(serve(socket, Arc::clone(&state))),
            // Out of file descriptors, most likely: asking again at once would only burn the processor.
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn serve(socket: TcpStream, state: Arc<State>) {
    // Words of a stream must not wait for each other. Without the option they only come later.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&state), request));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).max_buf_size(MOST_HEAD).title_case_headers(true);
    // How a connection ends concerns the client alone.
    let _ = server.serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, mut incoming) = request.into_parts();
    let seen = Arc::new(Mutex::new(Seen {
        method: head.method.clone(),
        target: head.uri.to_string(),
        headers: head.headers.clone(),
        body: Bytes::new(),
        length: 0,
    }));
    lock(&state.seen).push(Arc::clone(&seen));
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Ok(bytes) = frame.into_data() {
            length += bytes.len();
            if kept.len() < MOST_KEPT {
                kept.extend_from_slice(&bytes);
            }
            lock(&seen).length = length;
        }
    }
    let kept = kept.freeze();
    lock(&seen).body = kept.clone();
    if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
        // Node's own answer, given before LibreChat hears of it.
        return Ok(Answer::ended(StatusCode::BAD_REQUEST).at(Stage::First).dress(&head.method, &head.headers));
    }
    Ok(pages::page(&state, &head, &kept, length).dress(&head.method, &head.headers))
}
