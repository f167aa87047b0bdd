//! Entries for tests: the same every time but for their ids.

use jiff::Timestamp;
use uuid::Uuid;

use super::entry::{Details, Metadata, Response, TurnOutcome};
use super::{About, Action, Audit, Category, Decision, Entry, Event, Happened, Severity, Usage};
use crate::policy::RuleId;

/// The n-th refusal.
pub(crate) fn refusal(n: u128) -> Entry {
    Entry::Audit(Box::new(Audit {
        id: Uuid::from_u128(n),
        request_id: Uuid::from_u128(1_000_000 + n),
        timestamp: time(n),
        user_id: Some("6b012e4109cc968f8a928bce".into()),
        role: Some("USER".into()),
        groups: None,
        key_id: None,
        action: Action::ChatTurn,
        category: Category::Security,
        severity: Severity::Warning,
        decision: Decision::Deny,
        rules: vec![RuleId::new("roles.USER.endpoints.openAI.models")],
        would_refuse: Vec::new(),
        policy_revision: "0123456789ab".into(),
        details: Details {
            ip: "192.0.2.7".into(),
            user_agent: Some("test \"agent\"\n".into()),
            method: "POST".into(),
            path: "/api/agents/chat/openAI".into(),
            query: vec![],
            response: Some(Response { status: 403, message: Some("No.".into()), time: 0.5 }),
            error: None,
        },
        metadata: Metadata { endpoint: Some("openAI".into()), model: Some("gpt-4o".into()), ..Metadata::default() },
    }))
}

/// The n-th turn.
pub(crate) fn turn(n: u128) -> Entry {
    Entry::Usage(Box::new(Usage {
        id: Uuid::from_u128(n),
        request_id: Uuid::from_u128(1_000_000 + n),
        timestamp: time(n),
        user_id: "6b012e4109cc968f8a928bce".into(),
        role: "USER".into(),
        groups: None,
        endpoint: "openAI".into(),
        model: "gpt-4o-mini".into(),
        agent: None,
        models: Vec::new(),
        spec: None,
        conversation_id: Some("a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b".into()),
        outcome: TurnOutcome::Started,
        status: 200,
        request_bytes: 1024,
        time: 2.25,
        spent: None,
    }))
}

/// The n-th event.
pub(crate) fn event(n: u128) -> Entry {
    Entry::Event(Box::new(Event {
        id: Uuid::from_u128(n),
        timestamp: time(n),
        user_id: None,
        actor: None,
        action: Happened::Started,
        category: Category::System,
        severity: Severity::Info,
        policy_revision: None,
        about: About::Program { version: "0.1.0", mode: "enforce" },
    }))
}

fn time(n: u128) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + i64::try_from(n).unwrap()).unwrap()
}
