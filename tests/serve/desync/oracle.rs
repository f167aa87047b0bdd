//! What Node has understood, held against what was sent and against Tollgate's record.
//!
//! Tollgate drops the client's `x-request-id` and sets its own: the tag. Node gives it back in its answer, so that each request at
//! Node belongs to one connection of a client. A request without a tag was never judged; one that is in no stream was made
//! of pieces of others.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::node::Understood;
use super::streams::{Written, read, refusals, statuses, values};

/// A stream that was sent, and what came back.
pub(super) struct Sent {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Whether the connection was reset: then answers on their way are lost with it.
    pub(super) reset: bool,
    /// The tags of the requests that Node has answered, in order.
    pub(super) tags: Vec<String>,
    /// The statuses of all answers.
    pub(super) statuses: Vec<String>,
    /// The rules of the refusals among them.
    pub(super) rules: Vec<String>,
    /// The ids of the requests that were sent to Node and for whose answer Tollgate did not wait any longer.
    pub(super) given_up: Vec<String>,
    /// Whether the engine refused something by itself: it says nothing then.
    pub(super) unexplained: bool,
}

/// The faults found, by kind.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<&'static str, Vec<String>>);

// === impl Sent ===

impl Sent {
    /// A stream and the bytes that came back, on a connection that was reset or ended well.
    pub(super) fn new(bytes: Vec<u8>, answers: &[u8], reset: bool) -> Self {
        let given_up = refusals(answers).into_iter().filter(|(rule, _)| rule.starts_with("upstream."));
        Self {
            bytes,
            reset,
            tags: values(answers, "x-seen"),
            statuses: statuses(answers),
            rules: refusals(answers).into_iter().map(|(rule, _)| rule).collect(),
            given_up: given_up.map(|(_, id)| id).collect(),
            unexplained: values(answers, "content-length").iter().any(|length| length == "0"),
        }
    }
}

// === impl Findings ===

impl Findings {
    /// Holds everything against everything.
    pub(super) fn of(sent: &[Sent], understood: &[Understood], faults: &[String], entries: &[Value]) -> Self {
        let mut findings = Self::default();
        let mut known: HashMap<&str, &Understood> = HashMap::new();
        for one in understood {
            let told = || format!("{} {} {:?}", one.method, one.target, String::from_utf8_lossy(&one.body));
            match one.tags.as_slice() {
                [tag] if !tag.is_empty() => {
                    if known.insert(tag, one).is_some() {
                        findings.add("duplicated", told());
                    }
                }
                [_] | [] => findings.add("untagged", told()),
                _ => findings.add("tagged twice", told()),
            }
            if !one.whole {
                findings.add(if is_streamed(one) { "half" } else { "half of what is held" }, told());
            }
        }
        faults.iter().for_each(|code| findings.add("parser", code.clone()));
        findings.hold_against_streams(sent, &known);
        findings.hold_against_record(&known, entries);
        findings
    }

    /// Each request at Node stands in the stream of its connection, in the same order.
    fn hold_against_streams(&mut self, sent: &[Sent], known: &HashMap<&str, &Understood>) {
        let mut claimed = HashSet::new();
        for stream in sent.iter().filter(|stream| !stream.tags.is_empty()) {
            let written = read(&stream.bytes);
            let mut left = written.iter();
            for tag in &stream.tags {
                let Some(one) = known.get(tag.as_str()) else {
                    self.add("crossed", format!("an answer to {tag:?}, which Node has not had"));
                    continue;
                };
                if !claimed.insert(tag.as_str()) {
                    self.add("crossed", format!("two answers to {tag}"));
                }
                if !left.any(|written| is_same(written, one)) {
                    let text = String::from_utf8_lossy(&stream.bytes).into_owned();
                    self.add("altered", format!("{one:?} is not in {text:?}"));
                }
            }
        }
        // On a machine that stands still for seconds Node may have had a request whose answer was not waited for.
        claimed.extend(sent.iter().flat_map(|stream| stream.given_up.iter().map(String::as_str)));
        let lost: Vec<Written> =
            sent.iter().filter(|stream| stream.reset).flat_map(|stream| read(&stream.bytes)).collect();
        let is_lost = |one: &Understood| lost.iter().any(|written| is_same(written, one));
        for (tag, one) in known.iter().filter(|(tag, one)| one.whole && !claimed.contains(**tag) && !is_lost(one)) {
            self.add("unclaimed", format!("{tag}: {} {}", one.method, one.target));
        }
    }

    /// Nothing that Tollgate says it refused is at Node, and the turns that it says it forwarded are there as it says.
    fn hold_against_record(&mut self, known: &HashMap<&str, &Understood>, entries: &[Value]) {
        for entry in entries {
            let there = entry["requestId"].as_str().and_then(|id| known.get(id));
            let failed = entry["details"]["response"]["status"].as_u64().is_some_and(|status| status >= 500);
            match (entry["kind"].as_str(), there) {
                (Some("audit"), Some(one)) if entry["decision"] == "deny" && one.whole && !failed => {
                    self.add("refused and forwarded", format!("{} {}: {entry}", one.method, one.target));
                }
                (Some("usage"), Some(one)) if entry["requestBytes"].as_u64() != Some(one.body.len() as u64) => {
                    self.add("altered", format!("{} {}: {entry}", one.method, one.target));
                }
                _ => {}
            }
        }
    }

    /// One more.
    pub(super) fn add(&mut self, kind: &'static str, what: String) {
        self.0.entry(kind).or_default().push(what);
    }

    /// How many of a kind.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, Vec::len)
    }

    /// The findings, those of these kinds apart, a few of each.
    pub(super) fn apart_from(&self, kinds: &[&str]) -> BTreeMap<&'static str, (usize, Vec<&String>)> {
        let others = self.0.iter().filter(|(kind, _)| !kinds.contains(kind));
        others.map(|(kind, all)| (*kind, (all.len(), all.iter().take(3).collect()))).collect()
    }
}

/// Whether Node has understood what was written. A chat turn goes on as Tollgate's own serialisation, an API path in lower case.
fn is_same(written: &Written, one: &Understood) -> bool {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let same_body = written.body == one.body
        || (one.target.starts_with("/api/agents/chat")
            && json(&one.body).is_some()
            && json(&written.body) == json(&one.body));
    written.method == one.method && is_same_target(&written.target, &one.target) && same_body
}

/// Whether a body goes on there as it comes. Everywhere else a request is there whole before Node sees any of it.
fn is_streamed(one: &Understood) -> bool {
    one.method != "GET" && one.method != "HEAD" && !one.target.starts_with("/api/agents/chat")
}

/// Below `/api` neither case nor slashes at the end make another path; an id keeps its case.
fn is_same_target(written: &str, there: &str) -> bool {
    let parts = |target: &str| {
        target
            .split_once('?')
            .map_or((target.to_owned(), None), |(path, query)| (path.to_owned(), Some(query.to_owned())))
    };
    let ((path, query), (path_there, query_there)) = (parts(written), parts(there));
    let same = if path_there.starts_with("/api") {
        path.trim_end_matches('/').eq_ignore_ascii_case(&path_there)
    } else {
        path == path_there
    };
    same && query == query_there
}
