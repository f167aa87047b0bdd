//! The harness finds faults: it is held against a proxy that believes another length than Node does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fuzz::{Numbers, seeds};
use super::node::Node;
use super::oracle::Findings;
use super::streams;

/// A proxy that looks for the end of a head, believes `Content-Length` and nothing else, tags what it takes for a request, and
/// forwards all bytes as they are. Dropping it ends it.
struct Careless {
    addr: std::net::SocketAddr,
    _tasks: JoinSet<()>,
}

impl Careless {
    async fn before(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut connections, mut number) = (JoinSet::new(), 0);
            while let Ok((client, _)) = listener.accept().await {
                number += 1;
                let upstream =
                    TcpStream::connect(node.strip_prefix("http://").expect("a URL")).await.expect("Node listens");
                connections.spawn(forward(client, upstream, number));
            }
        });
        Self { addr, _tasks: tasks }
    }
}

async fn forward(mut client: TcpStream, mut upstream: TcpStream, number: usize) {
    let mut some = vec![0; 64 * 1024];
    let count = client.read(&mut some).await.unwrap_or(0);
    let tagged = tag(&some[..count], number);
    // Node closes what it does not understand; what it said before still counts.
    let _ = upstream.write_all(&tagged).await;
    let _ = upstream.shutdown().await;
    let _ = tokio::io::copy(&mut upstream, &mut client).await;
}

/// The stream with a tag in each head, as far as this proxy sees heads.
fn tag(mut rest: &[u8], number: usize) -> Vec<u8> {
    let mut tagged = Vec::new();
    let mut count = 0;
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        count += 1;
        tagged.extend_from_slice(&rest[..end]);
        tagged.extend_from_slice(format!("\r\nx-request-id: {number}-{count}\r\n\r\n").as_bytes());
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        let length =
            head.split("content-length:").nth(1).and_then(|value| value.split("\r\n").next()?.trim().parse().ok());
        let body = (end + 4 + length.unwrap_or(0)).min(rest.len());
        tagged.extend_from_slice(&rest[end + 4..body]);
        rest = &rest[body..];
    }
    tagged.extend_from_slice(rest);
    tagged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_believes_another_length_is_found_out() {
    let mut node = Node::start(&["lenient"]).await;
    let proxy = Careless::before(node.url()).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let body = format!("0\r\n\r\n{smuggled}");
    let stream = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{body}",
        body.len()
    );
    let sent = streams::send(proxy.addr, vec![stream.into_bytes()], 1).await;
    let findings = Findings::of(&sent, &node.understood().await, &node.faults(), &[]);
    assert_eq!(findings.count("untagged"), 1, "{:#?}", findings.apart_from(&[]));
    assert!(findings.count("altered") > 0, "{:#?}", findings.apart_from(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mutations_find_out_a_careless_proxy() {
    let mut node = Node::start(&["lenient"]).await;
    let proxy = Careless::before(node.url()).await;
    let (seeds, mut numbers) = (seeds("Bearer x"), Numbers(7));
    let streams = (0..2_000).map(|_| numbers.stream(&seeds)).collect();
    let sent = streams::send(proxy.addr, streams, 256).await;
    let findings = Findings::of(&sent, &node.understood().await, &node.faults(), &[]);
    for (kind, least) in [("untagged", 20), ("altered", 5), ("tagged twice", 5), ("half", 20), ("parser", 20)] {
        assert!(findings.count(kind) >= least, "{kind}: {:#?}", findings.apart_from(&[]));
    }
}
