use super::*;
use crate::record::sinks::otlp::Collector;

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority made for these tests, and a server's certificate of it for `localhost` with its key; they vouch for nothing else.
fn tls(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls").join(file)
}

/// A server that says this to every request, with or without TLS, and the port where it listens.
async fn server(says: &'static str, secure: bool) -> (u16, JoinSet<()>) {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(tls("server.pem")).unwrap().collect();
    let key = PrivateKeyDer::from_pem_file(tls("server.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.unwrap(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if secure {
                // Who does not believe the certificate leaves.
                if let Ok(socket) = acceptor.accept(socket).await {
                    say(socket, says).await;
                }
            } else {
                say(socket, says).await;
            }
        }
    });
    (port, tasks)
}

async fn say(mut socket: impl AsyncRead + AsyncWrite + Unpin, says: &str) {
    let mut head = [0; 1024];
    let _ = socket.read(&mut head).await;
    let _ = socket.write_all(says.as_bytes()).await;
    let _ = socket.shutdown().await;
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn certificates_are_believed_only_if_an_authority_vouches_for_that_name() {
    let (port, _tasks) = server(GOOD, true).await;
    let own = Provider::new(Some(&tls("authority.pem")), false).unwrap();
    assert_eq!(own.get(&format!("https://localhost:{port}/keys"), None).await, Ok(Bytes::from_static(b"{}")));
    let fault = own.get(&format!("https://127.0.0.1:{port}/keys"), None).await.unwrap_err();
    assert!(matches!(&fault, FetchFault::Connect(cause) if cause.contains("certificate")), "another name: {fault}");
    let public = Provider::new(None, true).unwrap();
    let fault = public.get(&format!("https://localhost:{port}/keys"), None).await.unwrap_err();
    assert!(
        matches!(&fault, FetchFault::Connect(cause) if cause.contains("certificate")),
        "another authority: {fault}"
    );
    let (plain, _tasks) = server(GOOD, false).await;
    let fault = own.get(&format!("https://localhost:{plain}/keys"), None).await.unwrap_err();
    assert!(matches!(fault, FetchFault::Connect(_)), "no TLS at all: {fault}");
}

#[tokio::test]
async fn addresses_that_anybody_could_listen_to_are_not_asked() {
    let provider = Provider::new(None, false).unwrap();
    for (url, why) in [
        ("http://idp.example.edu/keys", "it is not https"),
        ("http://192.0.2.1/keys", "it is not https"),
        ("http://localhost.example.edu/keys", "it is not https"),
        ("ftp://127.0.0.1/keys", "it is neither https nor http"),
        ("/keys", "it has no host"),
        ("keys", "it is neither https nor http"),
        ("http://user:password@127.0.0.1/keys", "it has a user name"),
        ("https://idp.example.edu/a b", "it is no URL"),
        ("", "it is no URL"),
    ] {
        assert_eq!(provider.get(url, None).await, Err(FetchFault::Address(why)), "{url}");
    }
    let (port, _tasks) = server(GOOD, false).await;
    for host in ["127.0.0.1", "localhost"] {
        let got = provider.get(&format!("http://{host}:{port}/keys?a=b"), Some("token")).await;
        assert_eq!(got, Ok(Bytes::from_static(b"{}")), "{host}");
    }
    assert_eq!(provider.get(&format!("http://127.0.0.1:{port}/"), Some("a\nb")).await, Err(FetchFault::Token));
}

#[tokio::test]
async fn answers_that_are_no_document_are_faults() {
    let provider = Provider::new(None, false).unwrap();
    let long: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LONGEST + 1)).into_boxed_str());
    for (says, fault) in [
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", FetchFault::Status(302)),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", FetchFault::Status(404)),
        ("HTTP/1.1 204 No Content\r\n\r\n", FetchFault::Status(204)),
        (long, FetchFault::TooLong),
    ] {
        let (port, _tasks) = server(says, false).await;
        assert_eq!(provider.get(&format!("http://127.0.0.1:{port}/"), None).await, Err(fault));
    }
    for says in [
        "",
        "no HTTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let (port, _tasks) = server(says, false).await;
        let fault = provider.get(&format!("http://127.0.0.1:{port}/"), None).await.unwrap_err();
        assert!(matches!(fault, FetchFault::Broken(_)), "{says}: {fault}");
    }
}

#[test]
fn a_file_without_certificates_is_a_fault_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    assert!(Provider::new(Some(&file), false).err().unwrap().to_string().contains("ca.pem"));
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        let fault = Provider::new(Some(&file), false).err().unwrap().to_string();
        assert!(fault.contains("ca.pem") && fault.contains("certificates in PEM form"), "{text}: {fault}");
    }
}

// === posting ===

fn post(way: Provider, url: String) -> Post {
    Post::new(way, url.parse().unwrap(), http::HeaderMap::new(), Duration::from_millis(500))
}

#[tokio::test]
async fn what_was_closed_meanwhile_is_opened_again() {
    // Each connection is closed after its one answer, which does not say so.
    let (port, _tasks) = server(GOOD, true).await;
    let own = Provider::new(Some(&tls("authority.pem")), false).unwrap();
    let post = post(own, format!("https://localhost:{port}/v1/logs"));
    for _ in 0..5 {
        let answer = post.post(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    }
}

#[tokio::test]
async fn what_is_no_answer_says_why_and_a_status_is_one() {
    let own = || Provider::new(None, false).unwrap();
    let (port, _tasks) =
        server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", false).await;
    let answer = post(own(), format!("http://127.0.0.1:{port}/")).post(Bytes::new()).await.unwrap();
    assert_eq!(answer.status, 302, "not followed");
    for (says, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", "encoded"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "cannot be read"),
        ("nonsense\r\n\r\n", "cannot be read"),
    ] {
        let (port, _tasks) = server(says, false).await;
        let fault = post(own(), format!("http://127.0.0.1:{port}/")).post(Bytes::new()).await.unwrap_err();
        assert!(fault.contains(why), "{says:?}: {fault}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let fault = post(own(), format!("http://127.0.0.1:{port}/")).post(Bytes::new()).await.unwrap_err();
    assert_eq!(fault, "no answer in time");
    drop(silent);
    let fault = post(own(), format!("http://127.0.0.1:{port}/")).post(Bytes::new()).await.unwrap_err();
    assert!(fault.starts_with("no connection: "), "{fault}");
}
