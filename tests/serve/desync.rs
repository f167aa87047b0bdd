//! Nobody's bytes become another request: streams of bytes through the real `tollgate serve` to a real Node `http` server that
//! tells what it has understood.
//!
//! Each stream has a connection of its own. What Node has understood is held against what was sent and against Tollgate's own
//! record by [`oracle`]; [`control`] shows that the oracle finds faults where there are some.

mod classes;
mod control;
mod corpora;
mod fuzz;
mod node;
mod oracle;
mod streams;

use crate::POLICY;
use crate::world::World;
use node::Node;
use oracle::{Findings, Sent};

/// Everything that waits for a client is given up after a second: then every connection ends by itself.
const SETTINGS: &str = "timeouts: {head: 1s, body: 1s, response: 2s}";

/// What came of some streams.
struct Run {
    findings: Findings,
    sent: Vec<Sent>,
    /// Requests that Node has understood.
    reached: usize,
    /// Streams that the gate refused something of.
    refused: usize,
}

/// Sends each of these streams over a connection of its own, `at_once` of them at a time.
async fn run(world: World, node: &mut Node, streams: Vec<Vec<u8>>, at_once: usize) -> Run {
    let sent = streams::send(world.addr, streams, at_once).await;
    let disagreed = world.metric("tollgate_malformed_total").await;
    let (status, entries) = world.stop().await;
    assert!(status.success(), "{status}");
    let understood = node.understood().await;
    let reached = understood.len();
    let mut findings = Findings::of(&sent, &understood, &node.faults(), &entries);
    if disagreed != "0" {
        findings.add("engine", format!("the engine refused {disagreed} heads that the gate let through"));
        for one in sent.iter().filter(|one| one.unexplained) {
            findings.add("engine", String::from_utf8_lossy(&one.bytes).into_owned());
        }
    }
    let refused = sent.iter().filter(|sent| sent.rules.iter().any(|rule| rule.starts_with("gate."))).count();
    Run { findings, sent, reached, refused }
}

// === impl Run ===

impl Run {
    /// What a test says of it when it is asked to (`--nocapture`).
    fn summary(&self) -> String {
        let Self { findings, sent, reached, refused } = self;
        let (half, parser) = (findings.count("half"), findings.count("parser"));
        let sent = sent.len();
        format!(
            "{sent} streams: {refused} refused by the gate, {reached} requests at Node, {half} half ones, {parser} parser faults"
        )
    }
}

#[expect(clippy::print_stderr, reason = "the figures are what these tests show")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// An installation with Node behind it.
async fn installation() -> (World, Node) {
    let node = Node::start(&[]).await;
    let world = World::with(POLICY).settings(SETTINGS).upstream(&node.url()).start().await;
    (world, node)
}
