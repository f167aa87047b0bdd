//! Attempts by model specs, stored agents, tools and the cookies of a sign-in elsewhere: 30, 31, 33 to 36, 108.
//!
//! LibreChat has specs and agents here. What agents would run cannot be judged model by model yet, so that they are for those
//! who may use everything.

use super::super::written::{bare, chat};
use super::super::{Outcome, Want};
use super::{Add, LIST, MINI, cheap_with};
use Want::{AfterSpecs, Calls, Judged, Refused};

pub(super) fn fill(add: &mut Add<'_>) {
    specs(add);
    agents(add);
    cookies(add);
}

fn specs(add: &mut Add<'_>) {
    let dear = AfterSpecs(403, LIST);
    add(30, "a spec of another preset", chat(&[], &cheap_with(r#""spec":"dear""#)), dear);
    let within = r#""addedConvo":{"endpoint":"openAI","model":"gpt-4o-mini","spec":"dear"}"#;
    add(30, "within addedConvo", chat(&[], &cheap_with(within)), dear);
    add(
        30,
        "a spec that is not there",
        chat(&[], &cheap_with(r#""spec":"Dear""#)),
        AfterSpecs(403, "select.no-such-spec"),
    );
    add(30, "two specs", chat(&[], &cheap_with(r#""spec":["quick","dear"]"#)), Refused(400, "select-spec"));
    let other = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o","spec":"quick"}"#;
    add(31, "a cheap spec, a dear model", chat(&[], other.as_bytes()), dear);
    let same = Judged(200, |outcome: &Outcome| (outcome.calls != MINI).then(|| format!("called {:?}", outcome.calls)));
    add(31, "a cheap spec, a cheap model", chat(&[], &cheap_with(r#""spec":"quick""#)), same);
}

fn agents(add: &mut Add<'_>) {
    // Without LibreChat's database no agent can be looked into, so that none is believed; `tests/serve/agents.rs` has one.
    let no_agents = Refused(403, "agent.no-store");
    let agent = |id: &str| format!(r#"{{"text":"hi","endpoint":"agents","agent_id":"{id}"}}"#);
    add(33, "within addedConvo", chat(&[], &cheap_with(r#""addedConvo":{"agent_id":"agent_dear"}"#)), no_agents);
    let hidden = r#""addedConvo":{"endpoint":"openAI","model":"gpt-4o-mini","agent_id":"agent_dear"}"#;
    add(33, "beside a cheap model", chat(&[], &cheap_with(hidden)), no_agents);
    add(34, "of a dear model", chat(&[], agent("agent_dear").as_bytes()), no_agents);
    let cheap = r#"{"text":"hi","endpoint":"agents","agent_id":"agent_dear","model":"gpt-4o-mini"}"#;
    add(34, "with a cheap model beside it", chat(&[], cheap.as_bytes()), no_agents);
    add(35, "that hands over", chat(&[], agent("agent_3jQ3rziVxJnmR5ZaSC0E0").as_bytes()), no_agents);
    let tools = r#""ephemeralAgent":{"mcp":["server"],"execute_code":true,"web_search":true,"model":"gpt-4o"}"#;
    add(36, "tools", chat(&[], &cheap_with(tools)), Calls(200, MINI));
}

/// LibreChat can take the identity from the cookies of a sign-in elsewhere; here the bearer alone counts.
fn cookies(add: &mut Add<'_>) {
    let forged = "Cookie: token_provider=openid; openid_user_id=<REFRESH>";
    let dear = super::DEAR.as_bytes();
    add(108, "dear", chat(&[forged], dear), Refused(403, LIST));
    let line = "POST /api/agents/chat HTTP/1.1";
    let length = format!("Content-Length: {}", dear.len());
    let lines = [forged, "Content-Type: application/json", "Authorization: Bearer <REFRESH>", &length];
    add(108, "with its own token", bare(line, &lines, dear), Refused(401, "identity.signature"));
}
