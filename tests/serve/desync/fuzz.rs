//! Streams that are nearly requests: seeds that hold everything that has ever desynchronised a proxy, mutated.
//!
//! `TOLLGATE_FUZZ_STREAMS` sets how many (5,000 when it is not set), `TOLLGATE_FUZZ_SEED` begins elsewhere.

use std::env;

use super::{Node, SETTINGS, run, say};
use crate::POLICY;
use crate::world::World;

/// Streams in one installation. More are sent in rounds, so that what is kept of them stays small.
const ROUND: u64 = 25_000;

/// How many at a time.
const AT_ONCE: usize = 1024;

/// SplitMix64 (Steele and others, 2014): the same numbers for the same seed.
pub(super) struct Numbers(pub(super) u64);

/// What is put into streams.
const PIECES: [&str; 34] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\t",
    " ",
    ":",
    ";",
    ",",
    "#",
    "\\",
    "\u{e9}",
    "\x7f",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "5;x=y\r\n",
    "ffffffffffffffff\r\n",
    "0x5\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length:44\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Connection: close\r\n",
    "Connection: content-length, x-request-id, host\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "X-Request-Id: 00000000-0000-7000-8000-000000000000\r\n",
    "x_request_id: 1\r\n",
    "Host: b\r\n",
    "GET /c/smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    " HTTP/1.1\r\n",
];

/// Well-formed streams: one request and several, of every framing, on routes that are judged, passed and refused.
pub(super) fn seeds(bearer: &str) -> Vec<String> {
    let auth = format!("Host: a\r\nAuthorization: {bearer}\r\n");
    let turn = r#"{"endpoint":"openAI","model":"gpt-4o-mini","text":"Hi"}"#;
    let (length, hex) = (turn.len(), format!("{:x}", turn.len()));
    let json = format!("{auth}Content-Type: application/json\r\n");
    let get = "GET /c/new HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    let user = format!("GET /api/user HTTP/1.1\r\n{auth}\r\n");
    let chat = format!("POST /api/agents/chat/openAI HTTP/1.1\r\n{json}Content-Length: {length}\r\n\r\n{turn}");
    let chunked = format!(
        "POST /api/agents/chat HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\n{hex}\r\n{turn}\r\n0\r\n\r\n"
    );
    let login =
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n\
                 {\"email\":\"a\"}"
            .to_owned();
    let hidden = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{get}",
        get.len()
    );
    let upload = format!(
        "POST /api/files HTTP/1.1\r\n{auth}Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\
         \r\n5\r\n--b\r\n\r\n{:x}\r\n{get}\r\n0\r\n\r\n",
        get.len()
    );
    let upgrade = format!(
        "GET /c/up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n{get}"
    );
    let upgrade_post = chat.replace("Content-Length", "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length");
    let expect = chat.replace("Content-Length", "Expect: 100-continue\r\nContent-Length");
    let expect_pass = login.replace("Content-Length", "Expect: 100-continue\r\nContent-Length");
    let old = get.replace("HTTP/1.1", "HTTP/1.0");
    let old_kept = old.replace("Host", "Connection: keep-alive\r\nHost");
    let old_post = login.replace("HTTP/1.1", "HTTP/1.0");
    let head = get.replace("GET", "HEAD");
    let close = get.replace("Host", "Connection: close\r\nHost");
    let many = [get.as_str(), &chat, &user, &login, &chunked, &head].concat();
    let upgrades = [upgrade.as_str(), &get, &login].concat();
    let ends = [get.as_str(), &close, &get].concat();
    let olds = [old_kept.as_str(), &old, &get].concat();
    let mixed = [upload.as_str(), &hidden, &get].concat();
    vec![
        get,
        user,
        chat,
        chunked,
        login,
        hidden,
        upload,
        upgrade,
        upgrade_post,
        expect,
        expect_pass,
        old,
        old_kept,
        old_post,
        head,
        close,
        many,
        upgrades,
        ends,
        olds,
        mixed,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mutated_stream_becomes_another_request() {
    let (mut left, seed) = (setting("TOLLGATE_FUZZ_STREAMS", 5_000), setting("TOLLGATE_FUZZ_SEED", 20_261_121));
    let mut numbers = Numbers(seed);
    while left > 0 {
        let count = left.min(ROUND);
        left -= count;
        let mut node = Node::start(&[]).await;
        let world = World::with(POLICY).settings(SETTINGS).upstream(&node.url()).start().await;
        let seeds = seeds(&world.bearer("Bob"));
        let streams = (0..count).map(|_| numbers.stream(&seeds)).collect();
        let run = run(world, &mut node, streams, AT_ONCE).await;
        say(&format!("{}, {left} streams to come", run.summary()));
        // A body that is streamed and breaks off leaves half a request, on a connection that ends with it.
        let findings = run.findings.apart_from(&["half", "parser"]);
        assert!(findings.is_empty(), "seed {seed}: {findings:#?}");
        let (half, parser) = (run.findings.count("half"), run.findings.count("parser"));
        assert!(parser <= half, "a parser fault without half a request: {:#?}", run.findings.apart_from(&[]));
        let sent = run.sent.len();
        assert!(run.reached * 5 > sent, "{} of {sent}: the seeds no longer reach Node", run.reached);
        assert!(run.refused * 5 > sent, "{} of {sent}: the mutations no longer hurt", run.refused);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no settings file")]
fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

// === impl Numbers ===

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }

    /// One or two seeds, mutated up to four times.
    pub(super) fn stream(&mut self, seeds: &[String]) -> Vec<u8> {
        let mut stream = seeds[self.below(seeds.len())].clone().into_bytes();
        if self.below(3) == 0 {
            stream.extend_from_slice(seeds[self.below(seeds.len())].as_bytes());
        }
        for _ in 0..self.below(5) {
            let at = self.below(stream.len() + 1);
            let end = (at + self.below(24)).min(stream.len());
            match self.below(8) {
                // A piece is put where a line begins more often than not: elsewhere it is soon refused.
                0..=2 => {
                    let at = if self.below(3) == 0 { at } else { line_after(&stream, at) };
                    stream.splice(at..at, PIECES[self.below(PIECES.len())].bytes());
                }
                3 => drop(stream.drain(at..end)),
                4 => {
                    let again = stream[at..end].to_vec();
                    stream.splice(at..at, again);
                }
                5 => stream.truncate(at.max(1)),
                6 => {
                    let byte = u8::try_from(self.below(256)).unwrap_or_default();
                    stream.get_mut(at).into_iter().for_each(|there| *there = byte);
                }
                _ => stream.get_mut(at).into_iter().for_each(|there| *there ^= 0x20),
            }
            if stream.is_empty() {
                stream.push(b'\n');
            }
        }
        stream
    }
}

fn line_after(stream: &[u8], at: usize) -> usize {
    stream[at..].windows(2).position(|two| two == b"\r\n").map_or(stream.len(), |found| at + found + 2)
}
