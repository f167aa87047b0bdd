//! A LibreChat that answers wrongly: no byte of one answer ever stands in another one, and a connection on which something was
//! wrong is not used again.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::POLICY;
use crate::fake::Fake;
use crate::support::{patiently, send_raw};
use crate::world::World;

/// What the client is to get for a wrong answer.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// This status and body.
    Answer(&'static str, &'static str),
    /// The same, and the connection is as good as before: interim answers are many, but none is wrong (RFC 9110 15.2).
    Sound(&'static str, &'static str),
    /// The refusal of Tollgate that says so.
    Refused(&'static str),
    /// An answer that visibly breaks off: its head has come.
    Cut,
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Everything behind the answer to one request would be taken for the answer to the next by whoever uses the connection again.
const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL";

fn wrong_answers() -> Vec<(&'static str, &'static str, String, Want)> {
    use Want::{Answer, Cut, Refused, Sound};
    let ok = |headers: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}");
    let chunked = |body: &str| format!("{CHUNKED}{body}");
    let broken = Refused("upstream.broken");
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(20_000);
    let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n";
    let turned = "transfer-encoding: chunked\r\ncontent-length: 4\r\n";
    vec![
        ("CL and TE", "GET", ok(both, "4\r\ngood\r\n0\r\n\r\n"), Answer("200", "good")),
        ("TE and CL", "GET", ok(turned, "4\r\ngood\r\n0\r\n\r\n"), Answer("200", "good")),
        (
            "CL and TE, the length holds an answer",
            "GET",
            {
                let evil = format!("0\r\n\r\n{EVIL}");
                ok(&format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", evil.len()), &evil)
            },
            Answer("200", ""),
        ),
        ("two lengths", "GET", ok("content-length: 4\r\ncontent-length: 9\r\n", &format!("good{EVIL}")), broken),
        ("a length list", "GET", ok("content-length: 4, 9\r\n", &format!("good{EVIL}")), broken),
        ("a signed length", "GET", ok("content-length: +4\r\n", &format!("good{EVIL}")), broken),
        ("a length beyond 64 bits", "GET", ok("content-length: 18446744073709551620\r\n", "good"), broken),
        (
            "an answer behind the answer",
            "GET",
            ok("content-length: 4\r\n", &format!("good{EVIL}")),
            Answer("200", "good"),
        ),
        (
            "an answer behind the last chunk",
            "GET",
            chunked(&format!("4\r\ngood\r\n0\r\n\r\n{EVIL}")),
            Answer("200", "good"),
        ),
        ("a late 100", "GET", ok("content-length: 4\r\n", "goodHTTP/1.1 100 Continue\r\n\r\n"), Answer("200", "good")),
        ("a body for HEAD", "HEAD", ok("content-length: 48\r\n", EVIL), Answer("200", "")),
        ("a body in chunks for HEAD", "HEAD", chunked("4\r\nEVIL\r\n0\r\n\r\n"), Answer("200", "")),
        (
            "a body in 204",
            "GET",
            format!("HTTP/1.1 204 No Content\r\ncontent-length: 48\r\n\r\n{EVIL}"),
            Answer("204", ""),
        ),
        (
            "a body in 304",
            "GET",
            format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 48\r\n\r\n{EVIL}"),
            Answer("304", ""),
        ),
        ("a flood of 1xx", "GET", format!("{hints}{}", ok("content-length: 4\r\n", "good")), Sound("200", "good")),
        ("1xx and nothing more", "GET", hints.clone(), broken),
        (
            "an upgrade nobody asked for",
            "GET",
            format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n{EVIL}"),
            broken,
        ),
        ("half a head", "GET", "HTTP/1.1 200 OK\r\ncontent-le".to_owned(), broken),
        ("an endless head", "GET", ok(&format!("x: {}\r\n", "x".repeat(2_000_000)), ""), broken),
        ("endless lines", "GET", ok(&"x: y\r\n".repeat(100_000), ""), broken),
        ("no HTTP", "GET", "220 smtp.example.edu ESMTP\r\n".to_owned(), broken),
        ("a chunk size beyond 64 bits", "GET", chunked("ffffffffffffffff1\r\nEVIL\r\n0\r\n\r\n"), Cut),
        ("a negative chunk size", "GET", chunked("-1\r\nEVIL\r\n0\r\n\r\n"), Cut),
        ("no chunk size", "GET", chunked("\r\nEVIL\r\n0\r\n\r\n"), Cut),
        ("a chunk longer than it says", "GET", chunked("2\r\ngoEVIL\r\n0\r\n\r\n"), Cut),
        ("no last chunk", "GET", chunked("4\r\ngood\r\n"), Cut),
        ("a body that is short", "GET", ok("content-length: 9\r\n", "good"), Cut),
        (
            "a trailer",
            "GET",
            chunked(&format!("4\r\ngood\r\n0\r\ncontent-length: 9\r\n\r\n{EVIL}")),
            Answer("200", "good"),
        ),
    ]
}

/// Who asked what over which connection, as the upstream saw it.
type Asked = Arc<Mutex<Vec<(SocketAddr, String)>>>;

/// An upstream that answers `/evil` with these bytes and everything else with its own path. It closes no connection that is still
/// of use to a careless proxy, unless the answer breaks off.
async fn upstream(wrong: String, closes: bool) -> (Fake, Asked) {
    let asked: Asked = Arc::default();
    let kept = Arc::clone(&asked);
    let fake = Fake::start(move |mut socket, head| {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (kept, wrong) = (Arc::clone(&kept), wrong.clone());
        async move {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((socket.peer_addr().ok()?, path.clone()));
            let plain = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
            let evil = path == "/evil";
            let said = socket.write_all(if evil { wrong.as_bytes() } else { plain.as_bytes() }).await;
            (said.is_ok() && !(evil && closes)).then_some(socket)
        }
    })
    .await;
    (fake, asked)
}

async fn ask(world: &World, method: &str, path: &str) -> (String, String, bool) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8_lossy(&send_raw(world.addr, request.as_bytes()).await).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    match body.strip_suffix("0\r\n\r\n") {
        // Read off the chunks of a short body.
        Some(chunks) => (status, chunks.split("\r\n").skip(1).step_by(2).collect(), true),
        None => (status, body.to_owned(), !head.contains("transfer-encoding: chunked")),
    }
}

#[tokio::test]
async fn no_byte_of_an_answer_stands_in_another_one() {
    for (name, method, wrong, want) in wrong_answers() {
        let closes = matches!(want, Want::Cut | Want::Refused(_));
        let (fake, asked) = upstream(wrong, closes).await;
        let world = World::with(POLICY).upstream(&fake.url()).start().await;
        for round in 0..3 {
            let (status, body, whole) = ask(&world, method, "/evil").await;
            match want {
                Want::Answer(wanted, text) | Want::Sound(wanted, text) => {
                    assert_eq!((status.as_str(), body.as_str(), whole), (wanted, text, true), "{name}")
                }
                Want::Refused(rule) => {
                    let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
                    assert_eq!((status.as_str(), body["rule"].as_str()), ("502", Some(rule)), "{name}");
                }
                Want::Cut => {
                    assert_eq!(status, "200", "{name}");
                    assert!(!body.contains("EVIL") && (!whole || body == "good"), "{name}: {body:?}");
                }
            }
            let path = format!("/next/{round}");
            let next = ask(&world, "GET", &path).await;
            assert_eq!(next, ("200".to_owned(), path, true), "{name}: the next answer");
        }
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut spoilt = HashSet::new();
        for (connection, path) in asked {
            assert!(
                !spoilt.contains(&connection),
                "{name}: {path} went over a connection on which something was wrong"
            );
            if path == "/evil" && !matches!(want, Want::Sound(..)) {
                spoilt.insert(connection);
            }
        }
    }
}

/// The bytes come when the connection is unused already.
#[tokio::test]
async fn what_comes_late_is_never_the_next_answer() {
    let (read, written) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (has_read, has_written) = (Arc::clone(&read), Arc::clone(&written));
    let fake = Fake::start(move |mut socket, head| {
        let (has_read, has_written) = (Arc::clone(&has_read), Arc::clone(&has_written));
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        async move {
            let plain = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
            socket.write_all(plain.as_bytes()).await.ok()?;
            has_read.acquire().await.ok()?.forget();
            // Tollgate may have closed it; then there is nobody to be misled.
            let _ = socket.write_all(EVIL.as_bytes()).await;
            has_written.add_permits(1);
            Some(socket)
        }
    })
    .await;
    let world = World::with(POLICY).upstream(&fake.url()).start().await;
    for round in 0..20 {
        let path = format!("/page/{round}");
        assert_eq!(ask(&world, "GET", &path).await, ("200".to_owned(), path, true));
        read.add_permits(1);
        patiently("the late bytes", written.acquire()).await.expect("a signal").forget();
    }
}
