//! Each known class of desynchronisation by its name (SECURITY.md section 1), as far as it concerns HTTP/1 requests. The classes
//! that begin with an answer are in `answers.rs`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::oracle::Sent;
use super::{installation, run, streams};
use crate::support::patiently;

/// What is to come of a stream: the statuses in their order, the rules of the refusals among them, and how many requests are
/// at Node.
type Want = (&'static [&'static str], &'static [&'static str], usize);

const REFUSED: &[&str] = &["400"];

fn classes(bearer: &str) -> Vec<(&'static str, String, Want)> {
    let hidden = "GET /c/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = hidden.len();
    let json = "Host: a\r\nContent-Type: application/json\r\n";
    let post = |headers: &str, body: &str| format!("POST /api/auth/login HTTP/1.1\r\n{json}{headers}\r\n{body}");
    let te = "Transfer-Encoding: chunked\r\n";
    let chunked = |body: &str| post(te, body);
    let ended = format!("0\r\n\r\n{hidden}");
    let cl_te = format!("Content-Length: {}\r\n{te}", ended.len());
    let te_cl = format!("{te}Content-Length: 4\r\n");
    let one_chunk = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let framed = format!("Content-Length: {length}\r\n");
    let user = |auth: &str| format!("GET /api/user HTTP/1.1\r\nHost: a\r\n{auth}\r\n");
    let mine = format!("Authorization: {bearer}\r\n");
    let trailer = |line: &str| chunked(&format!("2\r\n{{}}\r\n0\r\n{line}\r\n\r\n{hidden}"));
    let length_refused: Want = (REFUSED, &["gate.length"], 0);
    let encoding: Want = (REFUSED, &["gate.transfer-encoding"], 0);
    let name: Want = (REFUSED, &["gate.field-name"], 0);
    let chunk: Want = (REFUSED, &["gate.chunk"], 0);
    let trailers: Want = (REFUSED, &["gate.trailer"], 0);
    vec![
        ("CL.TE", post(&cl_te, &ended), length_refused),
        ("TE.CL", post(&te_cl, &one_chunk), length_refused),
        ("TE.TE, the second unknown", post(&format!("{te}Transfer-Encoding: x\r\n"), &one_chunk), encoding),
        ("TE.TE, the first unknown", post(&format!("Transfer-encoding: identity\r\n{te}"), &one_chunk), encoding),
        ("TE.TE, obfuscated", post(&format!("Transfer-Encoding: xchunked\r\n{te}"), &one_chunk), encoding),
        ("CL.CL", post(&format!("Content-Length: 0\r\n{framed}"), hidden), length_refused),
        // The body is a body, for Node too.
        ("CL.0", post(&framed, hidden), (&["200"], &[], 1)),
        (
            "CL.0 with GET",
            format!("GET /c/new HTTP/1.1\r\nHost: a\r\n{framed}\r\n{hidden}"),
            (REFUSED, &["gate.body"], 0),
        ),
        ("0.CL with Expect", post(&format!("Expect: 100-continue\r\n{framed}"), hidden), (&["100", "200"], &[], 1)),
        (
            "0.CL with an Expect that is not one",
            post(&format!("Expect: y 100-continue\r\n{framed}"), hidden),
            (REFUSED, &["gate.expect"], 0),
        ),
        ("TE.0", chunked(&one_chunk), (&["200"], &[], 1)),
        (
            "TE.0 with OPTIONS",
            format!("OPTIONS /api/auth/login HTTP/1.1\r\nHost: a\r\n{te}\r\n{one_chunk}"),
            (REFUSED, &["gate.body"], 0),
        ),
        // A page takes no POST: what was its body is not served as a request.
        (
            "client-side desync",
            format!("POST /c/new HTTP/1.1\r\nHost: a\r\n{framed}\r\n{hidden}"),
            (&["405"], &["route.method"], 0),
        ),
        (
            "connection state: another host",
            format!("{}{}", user(&mine), user(&mine).replace("Host: a", "Host: b/c")),
            (&["200", "400"], &["gate.host"], 1),
        ),
        // Who was somebody a request ago is nobody now. (LibreChat words this refusal, without a rule.)
        ("connection state: nobody", [user(&mine), user(""), user(&mine)].concat(), (&["200", "401", "200"], &[], 2)),
        ("V-H: a header behind white space", post(&format!(" {te}"), &one_chunk), name),
        ("V-H: a header behind a bare CR", post(&format!("X: y\r{te}"), &one_chunk), (REFUSED, &["gate.line-end"], 0)),
        ("V-H: a header behind a bare LF", post(&format!("X: y\n{te}"), &one_chunk), (REFUSED, &["gate.line-end"], 0)),
        ("H-V: white space before the colon", post("Transfer-Encoding : chunked\r\n", &one_chunk), name),
        ("H-V: NUL in the name", post("Transfer-Encoding\0: chunked\r\n", &one_chunk), name),
        ("H-V: a folded value", post("Transfer-Encoding:\r\n chunked\r\n", &one_chunk), encoding),
        ("H-V: a tab in the value", post("Transfer-Encoding:\tchunked\r\n", &one_chunk), encoding),
        ("funky chunks: TERM.EXT", chunked("2;\nxx\r\n10\r\n\r\nxxxxxxxxxxxxxx\r\n0\r\n\r\n"), chunk),
        ("funky chunks: EXT.TERM", chunked("2;\rxx\r\n2\r\nxx\r\n0\r\n\r\n"), chunk),
        ("funky chunks: TERM.SPILL", chunked(&format!("5\r\nAAAAA\n{one_chunk}")), chunk),
        ("funky chunks: SPILL.TERM", chunked(&format!("5\r\nAAAAAX\r\n{one_chunk}")), chunk),
        ("funky chunks: ONE.TWO", chunked("2\r\nxx\n0\r\n\r\n"), chunk),
        ("funky chunks: TWO.ONE", chunked("2\r\nxx\r\r\n0\r\n\r\n"), chunk),
        ("chunk extension", chunked(&format!("2;a=b\r\n{{}}\r\n0\r\n\r\n{hidden}")), chunk),
        ("chunk size overflow", chunked(&format!("10000000000000002\r\n{{}}\r\n0\r\n\r\n{hidden}")), chunk),
        ("trailer Transfer-Encoding", trailer("Transfer-Encoding: chunked"), trailers),
        ("trailer Content-Length", trailer("Content-Length: 9"), trailers),
        ("trailer Host", trailer("Host: b"), trailers),
        ("trailer Authorization", trailer(mine.trim_end()), trailers),
        ("trailer Content-Type", trailer("Content-Type: text/plain"), trailers),
        (
            "HEAD with a body",
            format!("HEAD /c/new HTTP/1.1\r\nHost: a\r\n{framed}\r\n{hidden}"),
            (REFUSED, &["gate.body"], 0),
        ),
        ("HTTP/1.0 in chunks", chunked(&one_chunk).replace("HTTP/1.1\r\nHost", "HTTP/1.0\r\nHost"), encoding),
        (
            "bytes after an upgrade",
            format!("GET /c/new HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{hidden}"),
            (&["200", "200"], &[], 2),
        ),
        (
            "bytes after CONNECT",
            format!("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n{hidden}"),
            (&["405"], &["gate.method"], 0),
        ),
        ("h2c preface", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"), (&["405"], &["gate.method"], 0)),
        // A hop-by-hop list cannot name away what was judged by, or the tag.
        (
            "hop-by-hop abuse",
            format!("GET /api/user HTTP/1.1\r\nHost: a\r\n{mine}Connection: authorization, host, x-request-id\r\n\r\n"),
            (&["200"], &[], 1),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_desynchronisation_is_without_effect() {
    let (world, mut node) = installation().await;
    let classes = classes(&world.bearer("Bob"));
    let run =
        run(world, &mut node, classes.iter().map(|(_, stream, _)| stream.clone().into_bytes()).collect(), 64).await;
    assert!(run.findings.apart_from(&["half", "parser"]).is_empty(), "{:#?}", run.findings.apart_from(&[]));
    let mut wrong = Vec::new();
    for ((name, _, want), sent) in classes.iter().zip(&run.sent) {
        let rules: Vec<_> = sent.rules.iter().map(String::as_str).collect();
        let got = (sent.statuses.iter().map(String::as_str).collect::<Vec<_>>(), rules, sent.tags.len());
        if (got.0.as_slice(), got.1.as_slice(), got.2) != *want {
            wrong.push((name, want, got));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Pause-based desynchronisation: the body that was announced comes when the answer has been given.
#[tokio::test]
async fn a_body_that_comes_after_the_answer_is_no_request() {
    let (world, mut node) = installation().await;
    let bob = world.bearer("Bob");
    let hidden = "GET /c/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (name, path, auth, status) in [
        ("nobody asks for it", "/c/new", "", "405"),
        ("it is waited for in vain", "/api/agents/chat", bob.as_str(), "408"),
        ("it would be streamed", "/api/auth/login", "", "504"),
    ] {
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {auth}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            hidden.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answers = vec![0; 12];
        patiently(name, socket.read_exact(&mut answers)).await.unwrap();
        // It may be closed already.
        let _ = socket.write_all(hidden.as_bytes()).await;
        let _ = patiently(name, socket.read_to_end(&mut answers)).await;
        assert_eq!(streams::statuses(&answers), [status], "{name}: {}", String::from_utf8_lossy(&answers));
    }
    let smuggled = node.understood().await.into_iter().filter(|one| one.target.contains("smuggled")).count();
    assert_eq!(smuggled, 0);
}

/// An upload goes on as it comes. A client that breaks off leaves half a request behind, on a connection that ends with it.
#[tokio::test]
async fn half_an_upload_is_never_continued_by_anybody() {
    let (mut world, mut node) = installation().await;
    let bob = world.bearer("Bob");
    for (name, headers, body, rule) in [
        ("a client that leaves", "Content-Length: 100000\r\n", "half", None),
        ("a chunk that is none", "Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\nX\r\n", Some("gate.chunk")),
        ("a trailer", "Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n0\r\nX: y\r\n\r\n", Some("gate.trailer")),
    ] {
        let before = node.understood().await.len();
        // A connection that is kept is what a careless proxy would go on with.
        let kept = format!("GET /api/user HTTP/1.1\r\nHost: a\r\nAuthorization: {bob}\r\nConnection: close\r\n\r\n");
        let sent = streams::send(world.addr, vec![kept.clone().into_bytes()], 1).await;
        assert_eq!(sent[0].tags.len(), 1, "{name}");
        let head = format!(
            "POST /api/files HTTP/1.1\r\nHost: a\r\nAuthorization: {bob}\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n{headers}\r\n{body}"
        );
        let mut socket = TcpStream::connect(world.addr).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        match rule {
            Some(rule) => {
                let mut answer = Vec::new();
                let _ = patiently(name, socket.read_to_end(&mut answer)).await;
                assert_eq!(
                    (streams::statuses(&answer), Sent::new(Vec::new(), &answer, false).rules),
                    (vec!["400".to_owned()], vec![rule.to_owned()])
                );
                let entry = world.entry(name, |entry| entry["rules"][0] == rule).await;
                assert_eq!(entry["details"]["path"], "/api/files", "{name}");
            }
            None => drop(socket),
        }
        let sent = streams::send(world.addr, vec![kept.into_bytes()], 1).await;
        assert_eq!(sent[0].tags.len(), 1, "{name}: the next request has an answer of its own");
        let told = async {
            loop {
                let understood = node.understood().await;
                if let [_, rest @ ..] = &understood[before..]
                    && rest.len() >= 2
                {
                    return rest.to_vec();
                }
            }
        };
        let mut rest = patiently(name, told).await;
        rest.sort_by_key(|one| one.whole);
        assert_eq!((rest[0].whole, rest[0].target.as_str()), (false, "/api/files"), "{name}");
        assert!(b"half".starts_with(&rest[0].body), "{name}: {:?}", rest[0].body);
        assert_eq!((rest[1].whole, rest[1].target.as_str()), (true, "/api/user"), "{name}");
    }
}
