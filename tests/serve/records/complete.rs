//! Each request that Tollgate has seen has exactly one entry of a decision, whenever its caller leaves.
//!
//! `TOLLGATE_RECORD_REQUESTS` says how many requests (1,000 where it does not).

use std::collections::HashSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asking::Ask;
use super::kept::Kept;
use super::{Chance, number, tell};
use crate::POLICY;
use crate::passage::seen;
use crate::support::patiently;
use crate::world::World;

/// How many ask at once.
const ASKERS: u64 = 16;
/// Requests between two looks at what reached the stand-in.
const ROUND: u64 = 1_600;

/// When a caller leaves.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// So many bytes of the request are sent.
    Sent(usize),
    /// So long after the whole request, in microseconds.
    After(u64),
    /// So many bytes of the answer are read.
    Read(usize),
    /// It is answered.
    Never,
}

/// Sends one request and leaves. The id of a refusal that was read to its end.
async fn ask(addr: std::net::SocketAddr, bearer: &str, ask: Ask, agent: &str, leaves: Leaves) -> Option<String> {
    let (method, path, body) = ask.parts();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: t\r\nauthorization: {bearer}\r\nuser-agent: {agent}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(addr).await.expect("Tollgate listens");
    if let Leaves::Sent(bytes) = leaves {
        socket.write_all(&request.as_bytes()[..bytes.min(request.len())]).await.expect("a request");
        return None;
    }
    socket.write_all(request.as_bytes()).await.expect("a request");
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    match leaves {
        Leaves::After(micros) => {
            let _ = timeout(Duration::from_micros(micros), socket.read(&mut buffer)).await;
            return None;
        }
        Leaves::Read(bytes) => {
            let _ = patiently("an answer's beginning", socket.read(&mut buffer[..bytes])).await;
            return None;
        }
        Leaves::Sent(_) | Leaves::Never => {}
    }
    while let Ok(count @ 1..) = patiently("an answer", socket.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 "), "{agent}: {answer:?}");
    let (_, id) = answer.split_once(r#""request_id":""#)?;
    id.get(..36).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_that_was_seen_has_one_decision_whenever_its_caller_leaves() {
    let requests = number("TOLLGATE_RECORD_REQUESTS", 1_000);
    let mut chance = Chance::new();
    let mut world = World::with(POLICY).variable("TOLLGATE_RECORDS", "embedded").start().await;
    let bob = world.bearer("Bob");
    let (mut reached, mut told) = (HashSet::new(), HashSet::new());
    for first in (0..requests).step_by(usize::try_from(ROUND).expect("a number")) {
        let mut askers = JoinSet::new();
        for asker in 0..ASKERS {
            let all: Vec<_> = (first + asker..requests.min(first + ROUND))
                .step_by(ASKERS as usize)
                .map(|request| {
                    let ask = [Ask::Turn, Ask::Models, Ask::Refused][chance.below(3) as usize];
                    let leaves = match chance.below(8) {
                        0 | 1 => Leaves::Sent(chance.below(800) as usize),
                        2 | 3 => Leaves::After(chance.below(20_000)),
                        4 => Leaves::Read(1 + chance.below(300) as usize),
                        _ => Leaves::Never,
                    };
                    (request, ask, leaves)
                })
                .collect();
            let (addr, bob) = (world.addr, bob.clone());
            askers.spawn(async move {
                let mut told = Vec::new();
                for (request, asked, leaves) in all {
                    told.extend(ask(addr, &bob, asked, &format!("request {request}"), leaves).await);
                }
                told
            });
        }
        told.extend(askers.join_all().await.into_iter().flatten());
        // What has been passed on is known to the stand-in as soon as nothing is open any more.
        world.until("nothing is open", async |world| world.metric("tollgate_in_flight").await == "0").await;
        reached
            .extend(seen(&world).iter().map(|seen| seen.headers["x-request-id"].to_str().expect("an id").to_owned()));
        world.stand_in.forget();
    }
    world.signal("TERM");
    assert!(world.ended().await.success(), "{}", world.log());

    let kept = Kept::embedded(&world).await;
    kept.assert_whole("embedded");
    let decided = kept.decided();
    let twice: Vec<_> = decided.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "decided more than once: {twice:?}");
    for (what, ids) in [("reached LibreChat", &reached), ("was told", &told)] {
        let lost: Vec<_> = ids.iter().filter(|id| !decided.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{what} and has no decision: {lost:?}");
    }
    let mut agents = HashSet::new();
    for entry in kept.decisions() {
        let agent = entry["details"]["userAgent"].as_str().unwrap_or_default();
        assert!(agents.insert(agent), "two entries of {agent}");
    }
    let left = kept.decisions().filter(|entry| entry["details"]["response"]["status"] == 499).count();
    assert!(left > 0 && !told.is_empty() && !reached.is_empty());
    tell(&format!(
        "{requests} requests: {} reached LibreChat, {} refusals were read, {} decisions, {left} of callers who had left",
        reached.len(),
        told.len(),
        decided.len()
    ));
}
