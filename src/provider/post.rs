//! The way to a collector of logs: documents are posted over one connection, which stays open from one to the next.
//!
//! The same rules hold as on the way to the identity provider: no redirect is followed, no proxy asked, an answer is read up to a limit,
//! and everything together has a time limit.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::{Provider, in_time, read, target};
use crate::identity::FetchFault;
use crate::record::sinks::otlp::{Answer, Collector};

/// Posts to one address.
pub struct Post {
    way: Provider,
    url: Uri,
    headers: HeaderMap,
    limit: Duration,
    /// Lent to whoever asks, and put back when the whole answer was read.
    open: Mutex<Option<Open>>,
}

/// An open connection. It is driven while somebody waits for an answer.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

// === impl Post ===

impl Post {
    /// Posts to this URL with these headers; each document may take so long.
    pub fn new(way: Provider, url: Uri, headers: HeaderMap, limit: Duration) -> Self {
        Self { way, url, headers, limit, open: Mutex::default() }
    }

    async fn ask(&self, document: Bytes) -> Result<Answer, FetchFault> {
        let mut open = self.open.lock().await;
        if let Some(kept) = open.take()
            && let Ok((answer, kept)) = kept.ask(self.request(document.clone())?).await
        {
            *open = kept;
            return Ok(answer);
        }
        // There was none, or the collector had closed it.
        let fresh = Open::new(&self.way, &self.url).await?;
        let (answer, kept) = fresh.ask(self.request(document)?).await?;
        *open = kept;
        Ok(answer)
    }

    fn request(&self, document: Bytes) -> Result<Request<Full<Bytes>>, FetchFault> {
        let (host, path) = target(&self.url)?;
        let mut request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(document))
            .map_err(|_| FetchFault::Address("it is no URL"))?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

#[async_trait]
impl Collector for Post {
    async fn post(&self, document: Bytes) -> Result<Answer, String> {
        let asked = in_time(self.limit, self.ask(document)).await.and_then(|answer| answer);
        asked.map_err(|fault| fault.to_string())
    }
}

// === impl Open ===

impl Open {
    async fn new(way: &Provider, url: &Uri) -> Result<Self, FetchFault> {
        let socket = way.connect(url).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| FetchFault::Broken(error.to_string()))?;
        // How it ended is told by the answer that does not come.
        let driver = Box::pin(async move { connection.await.unwrap_or_default() });
        Ok(Self { sender, driver })
    }

    /// Sends the request and reads the whole answer. The connection comes back where it is still open.
    async fn ask(mut self, request: Request<Full<Bytes>>) -> Result<(Answer, Option<Self>), FetchFault> {
        let broken = |error: hyper::Error| FetchFault::Broken(error.to_string());
        let mut ended = false;
        let answered = {
            let asking = async {
                self.sender.ready().await.map_err(broken)?;
                let answer = self.sender.send_request(request).await.map_err(broken)?;
                let status = answer.status().as_u16();
                Ok(Answer { status, body: read(answer).await? })
            };
            tokio::pin!(asking);
            tokio::select! {
                biased;
                answered = &mut asking => answered,
                () = &mut self.driver => {
                    ended = true;
                    asking.await
                }
            }
        };
        answered.map(|answer| (answer, (!ended).then_some(self)))
    }
}
