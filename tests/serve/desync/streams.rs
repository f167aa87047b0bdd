//! Sending streams of bytes, and the plain reading of them.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::oracle::Sent;
use crate::support::patiently;

/// A request as it stands in a stream, read in the only way in which a well-formed one can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The method.
    pub(super) method: String,
    /// The target.
    pub(super) target: String,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Sends each stream over a connection of its own and reads until the other side ends it.
pub(super) async fn send(addr: SocketAddr, streams: Vec<Vec<u8>>, at_once: usize) -> Vec<Sent> {
    let room = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for (number, bytes) in streams.into_iter().enumerate() {
        let permit = Arc::clone(&room).acquire_owned().await.expect("room");
        tasks.spawn(async move {
            let (answers, reset) = exchange(addr, &bytes).await;
            drop(permit);
            (number, Sent::new(bytes, &answers, reset))
        });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, sent)| sent).collect()
}

async fn exchange(addr: SocketAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut socket = patiently("connecting", TcpStream::connect(addr)).await.expect("Tollgate listens");
    // It may refuse before it has read everything; what it said is still worth reading.
    let _ = socket.write_all(bytes).await;
    let mut answers = Vec::new();
    // A reset is an end too, but one that takes answers with it that had not been read.
    let ended = patiently("the end of a connection", socket.read_to_end(&mut answers)).await;
    (answers, ended.is_err())
}

/// The values of a field in answers; bodies are JSON in one line and hold none.
pub(super) fn values(answers: &[u8], field: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(answers);
    let field = format!("{field}: ");
    text.split("\r\n").filter_map(|line| line.strip_prefix(field.as_str())).map(ToOwned::to_owned).collect()
}

/// The rule and the request's id of each refusal among answers.
pub(super) fn refusals(answers: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(answers);
    let bodies = text.match_indices("{\"").filter_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<Value>();
        let body = values.next()?.ok()?;
        Some((body["rule"].as_str()?.to_owned(), body["request_id"].as_str().unwrap_or_default().to_owned()))
    });
    bodies.collect()
}

/// The statuses of answers.
pub(super) fn statuses(answers: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answers);
    let lines = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at..)?.split(' ').nth(1));
    lines.map(|status| status.chars().take(3).collect()).collect()
}

/// The requests in a stream, up to the first that is not whole or not plain.
pub(super) fn read(mut stream: &[u8]) -> Vec<Written> {
    let mut all = Vec::new();
    while let Some((request, rest)) = read_one(stream) {
        all.push(request);
        stream = rest;
    }
    all
}

fn read_one(stream: &[u8]) -> Option<(Written, &[u8])> {
    let end = stream.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = (String::from_utf8_lossy(&stream[..end]).into_owned(), &stream[end + 4..]);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let field = |name: &str| {
        let mut values =
            lines.clone().filter_map(|line| line.split_once(':')).filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim_matches(' ').to_owned())
    };
    let (body, rest) = match (field("content-length"), field("transfer-encoding")) {
        (None, None) => (Vec::new(), rest),
        (Some(length), None) => {
            let (body, rest) = rest.split_at_checked(length.parse().ok()?)?;
            (body.to_vec(), rest)
        }
        (None, Some(_)) => chunks(rest)?,
        (Some(_), Some(_)) => return None,
    };
    Some((Written { method, target, body }, rest))
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        let (data, after) = rest[end + 2..].split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some((body, rest));
        }
    }
}

/// Base64 with padding (RFC 4648 section 4), as the corpora and Node write it.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let quartets = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().chain(&[0; 4]).take(4).fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    quartets.collect()
}

#[test]
fn the_harness_reads_what_it_is_given() {
    assert_eq!(decode("UFVUIC91cmwgSA=="), b"PUT /url H");
    assert_eq!(decode("AP//"), b"\0\xff\xff");
    let stream =
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nxyPOST /c HTTP/1.1\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nvw\r\n0\r\n\r\nGET /half";
    let seen: Vec<_> = read(stream).into_iter().map(|one| (one.method, one.target, one.body)).collect();
    let wanted = [("GET", "/a", ""), ("POST", "/b", "xy"), ("POST", "/c", "vw")];
    assert_eq!(
        seen,
        wanted.map(|(method, target, body)| (method.to_owned(), target.to_owned(), body.as_bytes().to_vec()))
    );
    let answers = b"HTTP/1.1 200 OK\r\nx-seen: t\r\n\r\n{\"seen\":true}HTTP/1.1 400 Bad Request\r\na: b\r\n\r\n{\"rule\":\"gate.host\",\"request_id\":\"r\"}";
    assert_eq!(
        (values(answers, "x-seen"), refusals(answers)),
        (vec!["t".to_owned()], vec![("gate.host".to_owned(), "r".to_owned())])
    );
    assert_eq!(statuses(answers), ["200", "400"]);
}
