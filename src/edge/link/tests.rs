use super::*;

use std::collections::VecDeque;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the other side does with each connection it gets: for each request on it, write this; then close.
type Script = Vec<Vec<&'static str>>;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

struct Server {
    instance: Arc<Instance>,
    requests: Arc<Mutex<Vec<(usize, String)>>>,
    _tasks: JoinSet<()>,
}

/// A server that follows a script, one list of answers for each connection.
async fn server(script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Arc::new(Instance::new(listener.local_addr().unwrap()));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        for (number, answers) in script.into_iter().enumerate() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            connections.spawn(async move {
                for answer in VecDeque::from(answers) {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    seen.lock().push((number, String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()));
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
        connections.join_all().await;
    });
    Server { instance, requests, _tasks: tasks }
}

impl Server {
    async fn get(&self, path: &str) -> Result<Response<Answer>, UpstreamFault> {
        let request = Request::builder().uri(path).header("host", "h").body(Outgoing::Whole(None)).unwrap();
        self.instance.exchange(Box::new(request), Duration::from_secs(2)).await
    }

    async fn whole(&self, path: &str) -> Result<Bytes, String> {
        let answer = self.get(path).await.map_err(|fault| format!("{fault:?}"))?;
        Ok(answer.into_body().collect().await.map_err(|error| chain(&error))?.to_bytes())
    }

    fn seen(&self) -> Vec<(usize, String)> {
        self.requests.lock().clone()
    }

    fn idle(&self) -> usize {
        self.instance.idle.lock().len()
    }
}

fn line(connection: usize, path: &str) -> (usize, String) {
    (connection, format!("GET {path} HTTP/1.1"))
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    // One more than is asked for: the server keeps its end open.
    let server = server(vec![vec![OK, chunked, empty, OK, OK]]).await;
    for (path, wanted) in [("/1", "ok"), ("/2", "ok"), ("/3", ""), ("/4", "ok")] {
        assert_eq!(server.whole(path).await.unwrap(), wanted, "{path}");
        assert_eq!(server.idle(), 1, "{path}");
    }
    assert_eq!(server.seen(), [line(0, "/1"), line(0, "/2"), line(0, "/3"), line(0, "/4")]);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let server = server(vec![vec![OK], vec![OK], vec![OK]]).await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(server.whole(path).await.unwrap(), "ok", "{path}");
    }
    assert_eq!(server.seen(), [line(0, "/1"), line(1, "/2"), line(2, "/3")]);
}

/// Node closes a connection while it is kept, without a word; the next request finds out.
#[tokio::test]
async fn a_request_that_meets_the_end_of_its_connection_goes_out_on_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Arc::new(Instance::new(listener.local_addr().unwrap()));
    let ask = async |listener: &TcpListener| {
        let request = Request::builder().uri("/").header("host", "h").body(Outgoing::Whole(None)).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        };
        let asking = async {
            let answer = instance.exchange(Box::new(request), Duration::from_secs(2)).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        tokio::join!(serving, asking)
    };
    for round in 0..20 {
        let exchange = tokio::time::timeout(Duration::from_secs(5), ask(&listener)).await;
        let (stream, answer) = exchange.unwrap_or_else(|_| panic!("silence in round {round}"));
        assert_eq!(answer, "ok");
        assert_eq!(instance.idle.lock().len(), 1, "kept, as nothing speaks against it yet");
        drop(stream);
        // The runtime looks at its sockets after every 61 turns at the latest.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_request_that_was_written_is_never_repeated() {
    let server = server(vec![vec![OK, ""], vec![OK]]).await;
    assert_eq!(server.whole("/1").await.unwrap(), "ok");
    assert!(matches!(server.get("/2").await, Err(UpstreamFault::Broken(_))), "read, not answered, closed");
    assert_eq!(server.whole("/3").await.unwrap(), "ok");
    assert_eq!(server.seen(), [line(0, "/1"), line(0, "/2"), line(1, "/3")]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_never_an_end() {
    for broken in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok",
    ] {
        let server = server(vec![vec![broken]]).await;
        assert!(server.whole("/1").await.is_err(), "{broken:?}");
        assert_eq!(server.idle(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_wanted_any_more_closes_its_connection() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Arc::new(Instance::new(listener.local_addr().unwrap()));
    let request = Request::builder().uri("/").header("host", "h").body(Outgoing::Whole(None)).unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(endless.as_bytes()).await.unwrap();
        stream
    };
    let (mut stream, answer) = tokio::join!(serving, instance.exchange(Box::new(request), Duration::from_secs(2)));
    let mut body = answer.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
    drop(body);
    let mut rest = Vec::new();
    // The end of the stream: the request was read before, nothing more comes.
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(instance.idle.lock().len(), 0);
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Arc::new(Instance::new(listener.local_addr().unwrap()));
    drop(listener);
    let request = Request::builder().uri("/").body(Outgoing::Whole(None)).unwrap();
    let fault = instance.exchange(Box::new(request), Duration::from_secs(2)).await.err().unwrap();
    assert!(matches!(fault, UpstreamFault::Connect(_)), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn unused_connections_are_dropped_before_node_would() {
    let server = server(vec![vec![OK, OK], vec![OK, OK]]).await;
    server.whole("/1").await.unwrap();
    tokio::time::advance(IDLE - Duration::from_millis(1)).await;
    server.whole("/2").await.unwrap();
    tokio::time::advance(IDLE).await;
    server.whole("/3").await.unwrap();
    assert_eq!(server.seen(), [line(0, "/1"), line(0, "/2"), line(1, "/3")]);
    tokio::time::advance(IDLE).await;
    server.instance.sweep();
    assert_eq!(server.idle(), 0);
}
