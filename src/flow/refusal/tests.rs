//! Every refusal's status, and how grave the record calls it (DESIGN.md 6).

use super::*;
use crate::policy::{Feature, Surface, Tool, Unjudged};

fn denied(reason: Reason) -> Refusal {
    Refusal::Denied { reason, rules: Vec::new(), message: String::new() }
}

fn agent(code: &'static str) -> Refusal {
    let part = Part::Unjudged(Unjudged { code, detail: "".into() });
    denied(Reason::Agent { agent: "agent_x".into(), part })
}

fn exceeded(shortage: Shortage) -> Refusal {
    let (rules, message) = (Vec::new(), String::new());
    Refusal::Exceeded(Box::new(Exceeded { rules, shortage, message, resets_at: None, quota: None, retry_after: None }))
}

/// The place of a refusal's kind in [`KINDS`]: a new kind does not compile before it has one.
fn kind(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::Gate(_) => 0,
        Refusal::Path(_) => 1,
        Refusal::NoRoute(_) => 2,
        Refusal::Closed => 3,
        Refusal::Token(_) => 4,
        Refusal::Unproven(_) => 5,
        Refusal::Key(_) => 6,
        Refusal::Nobody => 7,
        Refusal::NoDirectory(_) => 8,
        Refusal::NotAdmin => 9,
        Refusal::Unreadable(_) => 10,
        Refusal::Slow => 11,
        Refusal::NoRoom => 12,
        Refusal::BrokenOff(_) => 13,
        Refusal::Denied { .. } => 14,
        Refusal::RemoteApi => 15,
        Refusal::NoSuchSpec => 16,
        Refusal::Exceeded(_) => 17,
        Refusal::Running => 18,
        Refusal::Uncounted(_) => 19,
        Refusal::TooManyLimits(_) => 20,
        Refusal::Unbounded { .. } => 21,
        Refusal::Unrecorded(_) => 22,
        Refusal::Upstream(_) => 23,
        Refusal::Misshapen(_) => 24,
        Refusal::Unfiltered(_) => 25,
        Refusal::StrangeBalance(_) => 26,
    }
}

/// How many kinds there are.
const KINDS: usize = 27;

fn all() -> Vec<(Refusal, u16, Category, Severity)> {
    use Category::{Api, Security, System};
    use Severity::{Error, Info, Warning};
    let away = || StoreError { store: "mongodb", message: "away".into(), transient: true };
    vec![
        (Refusal::Gate(GateFault::Line), 400, Security, Warning),
        (Refusal::Gate(GateFault::TooLong), 431, Security, Warning),
        (Refusal::Path(PathFault::Backslash), 400, Security, Warning),
        (Refusal::NoRoute(Unrouted::UnknownPath), 404, Api, Info),
        (Refusal::NoRoute(Unrouted::Method { allowed: Methods::GET }), 405, Api, Info),
        (Refusal::Closed, 404, Security, Warning),
        (Refusal::Token(TokenFault::Missing), 401, Security, Warning),
        (Refusal::Token(TokenFault::Expired), 401, Security, Warning),
        (Refusal::Unproven(TokenFault::Key), 401, Security, Warning),
        (Refusal::Key(KeyFault::Missing), 401, Security, Warning),
        (Refusal::Key(KeyFault::Unknown), 401, Security, Warning),
        (Refusal::Nobody, 401, Security, Warning),
        (Refusal::NoDirectory(away()), 503, System, Error),
        (Refusal::NotAdmin, 403, Security, Warning),
        (Refusal::Unreadable(Unreadable::DuplicateKey), 400, Security, Warning),
        (Refusal::Unreadable(Unreadable::ContentType), 415, Security, Warning),
        (Refusal::Unreadable(Unreadable::MissingModel { endpoint: "openAI".into() }), 400, Api, Info),
        (Refusal::Unreadable(Unreadable::TooLarge), 413, Api, Info),
        (Refusal::Slow, 408, Api, Info),
        (Refusal::NoRoom, 503, System, Error),
        (Refusal::BrokenOff(String::new()), 400, Api, Info),
        (denied(Reason::Model { endpoint: "openAI".into(), model: "o1".into() }), 403, Security, Warning),
        (denied(Reason::Endpoint("openAI".into())), 403, Security, Warning),
        (denied(Reason::Tool(Tool::Named("dalle".into()))), 403, Security, Warning),
        (denied(Reason::Feature(Feature::Speech)), 403, Security, Warning),
        (denied(Reason::Surface(Surface::RemoteApi)), 403, Security, Warning),
        (agent("agent.no-store"), 403, Security, Warning),
        // Old conversations name agents that are gone.
        (agent(agents::MISSING), 404, Api, Info),
        (Refusal::RemoteApi, 403, Security, Warning),
        (Refusal::NoSuchSpec, 403, Security, Warning),
        (exceeded(Shortage::Open { limit: 1 }), 429, Api, Warning),
        (exceeded(Shortage::Count { max: 1, seconds: 60 }), 429, Api, Warning),
        (exceeded(Shortage::Funds { balance: 1, cost: 2, prompt: 1 }), 402, Api, Warning),
        (Refusal::Running, 429, Api, Warning),
        (Refusal::Uncounted(String::new()), 503, System, Error),
        (Refusal::StrangeBalance(NoNumber("tokenCredits")), 502, System, Error),
        (Refusal::TooManyLimits(257), 500, System, Error),
        (Refusal::Unbounded { rules: Vec::new(), why: Unbounded::Spec }, 403, Security, Warning),
        (Refusal::Unrecorded(Unkept(crate::record::meters::Loss::SpoolFull)), 503, System, Error),
        (Refusal::Upstream(UpstreamFault::Timeout), 504, System, Error),
        (Refusal::Upstream(UpstreamFault::Connect(String::new())), 502, System, Error),
        (Refusal::Upstream(UpstreamFault::Broken(String::new())), 502, System, Error),
        (Refusal::Upstream(UpstreamFault::NoneKnown), 502, System, Error),
        (Refusal::Misshapen(Misshapen { answer: "GET /api/models", what: "x" }), 502, System, Error),
        (Refusal::Unfiltered(String::new()), 502, System, Error),
    ]
}

#[test]
fn every_refusal_is_as_grave_as_its_status() {
    let mut seen = [false; KINDS];
    for (refusal, status, category, severity) in all() {
        let answer = refusal.answer(None, "request");
        assert_eq!(
            (answer.status.as_u16(), answer.category, answer.severity),
            (status, category, severity),
            "{refusal:?}"
        );
        match status {
            401 | 403 => assert_eq!((category, severity), (Category::Security, Severity::Warning), "{refusal:?}"),
            402 | 429 => assert_eq!((category, severity), (Category::Api, Severity::Warning), "{refusal:?}"),
            500.. => assert_eq!((category, severity), (Category::System, Severity::Error), "{refusal:?}"),
            _ => {}
        }
        if let Some(seen) = seen.get_mut(kind(&refusal)) {
            *seen = true;
        }
    }
    assert_eq!(seen, [true; KINDS], "a kind of refusal is in no row");
}
