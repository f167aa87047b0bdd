//! The way to the identity provider, and to a collector of logs (`post`): small documents over HTTPS, and nothing that anybody else could
//! choose.
//!
//! Addresses come from the settings or from the provider's own description, never from a token. No redirect is followed, no
//! proxy asked, no cookie kept; an answer is read whole up to a limit, and everything together has a time limit. Each
//! document is asked for over a connection of its own: that happens minutes apart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::identity::{Documents, FetchFault};

mod post;

pub use post::Post;

/// Longest document, in bytes. Real key sets have up to about 20 KiB.
pub const LONGEST: usize = 256 * 1024;

/// How long a connection may take, TLS included.
pub const CONNECT: Duration = Duration::from_secs(2);

/// How long a document may take from end to end.
pub const WHOLE: Duration = Duration::from_secs(5);

/// Fetches documents of the identity provider.
#[derive(Clone)]
pub struct Provider {
    tls: TlsConnector,
    insecure: bool,
}

/// A connection, with or without TLS.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CertificatesFault(String);

// === impl Provider ===

impl Provider {
    /// Trusts the certificates in this PEM file, or without one the public authorities. `insecure` allows `http://` to other
    /// machines, where whoever is on the way can hand out keys of their own.
    ///
    /// # Errors
    /// Where the file cannot be read or has no certificate.
    pub fn new(authorities: Option<&Path>, insecure: bool) -> Result<Self, CertificatesFault> {
        let mut roots = RootCertStore::empty();
        match authorities {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                let fault = |cause: &dyn std::fmt::Display| {
                    CertificatesFault(format!("{}: {cause}; it must hold certificates in PEM form", file.display()))
                };
                for certificate in CertificateDer::pem_file_iter(file).map_err(|error| fault(&error))? {
                    let certificate = certificate.map_err(|error| fault(&error))?;
                    roots.add(certificate).map_err(|error| fault(&error))?;
                }
                if roots.is_empty() {
                    return Err(fault(&"there is no certificate in it"));
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| CertificatesFault(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), insecure })
    }

    async fn fetch(&self, url: &str, token: Option<&str>) -> Result<Bytes, FetchFault> {
        let uri: Uri = url.parse().map_err(|_| FetchFault::Address("it is no URL"))?;
        let request = request(&uri, token)?;
        exchange(self.connect(&uri).await?, request).await
    }

    /// A connection to where this URL is, in time.
    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Socket>, FetchFault> {
        let host = uri.host().ok_or(FetchFault::Address("it has no host"))?;
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if self.insecure || is_loopback(&name) => false,
            Some("http") => return Err(FetchFault::Address("it is not https")),
            _ => return Err(FetchFault::Address("it is neither https nor http")),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let connecting = async {
            let socket = TcpStream::connect((name.as_str(), port)).await?;
            socket.set_nodelay(true)?;
            Ok::<_, std::io::Error>(socket)
        };
        let socket = in_time(CONNECT, connecting).await?.map_err(|error| FetchFault::Connect(error.to_string()))?;
        if !secure {
            return Ok(Box::new(socket));
        }
        let server = ServerName::try_from(name).map_err(|_| FetchFault::Address("its host is no name"))?;
        let socket = in_time(CONNECT, self.tls.connect(server, socket)).await?;
        Ok(Box::new(socket.map_err(|error| FetchFault::Connect(error.to_string()))?))
    }
}

#[async_trait]
impl Documents for Provider {
    async fn get(&self, url: &str, token: Option<&str>) -> Result<Bytes, FetchFault> {
        in_time(WHOLE, self.fetch(url, token)).await?
    }
}

fn request(uri: &Uri, token: Option<&str>) -> Result<Request<Empty<Bytes>>, FetchFault> {
    let (host, path) = target(uri)?;
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| FetchFault::Address("it is no URL"))?;
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| FetchFault::Token)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// Host and path as they stand in a request.
fn target(uri: &Uri) -> Result<(&str, &str), FetchFault> {
    let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if host.contains('@') {
        return Err(FetchFault::Address("it has a user name"));
    }
    Ok((host, uri.path_and_query().map_or("/", |path| path.as_str())))
}

/// Sends the request and reads the answer, driving the connection meanwhile.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, FetchFault> {
    let broken = |error: hyper::Error| FetchFault::Broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
    let asking = async move {
        let answer = sender.send_request(request).await.map_err(broken)?;
        // A redirect is not followed: who may redirect may hand out keys.
        if answer.status() != StatusCode::OK {
            return Err(FetchFault::Status(answer.status().as_u16()));
        }
        read(answer).await
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        answered = &mut asking => answered,
        // The server is done with the connection; what it said is there to be read.
        _ = &mut connection => asking.await,
    }
}

/// The whole body of an answer, up to a limit.
async fn read(answer: http::Response<Incoming>) -> Result<Bytes, FetchFault> {
    if answer.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(FetchFault::Broken("the answer is encoded, which was not asked for".to_owned()));
    }
    let whole = Limited::new(answer.into_body(), LONGEST).collect().await;
    whole.map(|body| body.to_bytes()).map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => FetchFault::Broken(error.to_string()),
        Err(_) => FetchFault::TooLong,
    })
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, FetchFault> {
    timeout(limit, work).await.map_err(|_| FetchFault::Slow)
}

/// Whether a host is this machine, where nobody is on the way.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
