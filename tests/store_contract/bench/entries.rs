//! Entries whose ids are small numbers.

use jiff::Timestamp;
use tollgate::policy::RuleId;
use tollgate::record::entry::{Details, Metadata, Response, TurnOutcome};
use tollgate::record::{Audit, Category, Decision, Entry, Severity, Usage};
use uuid::Uuid;

use super::USER;

/// When the entry with this id happened: 250 microseconds after the whole second.
pub(crate) fn time(n: u128) -> Timestamp {
    Timestamp::new(1_800_000_000 + i64::try_from(n).unwrap(), 250_000).unwrap()
}

/// A refusal.
pub(crate) fn refusal(n: u128) -> Entry {
    Entry::Audit(Box::new(Audit {
        id: Uuid::from_u128(n),
        request_id: Uuid::from_u128(1_000_000 + n),
        timestamp: time(n),
        user_id: Some(USER.into()),
        role: Some("USER".into()),
        key_id: None,
        action: "chat.turn",
        category: Category::Security,
        severity: Severity::Warning,
        decision: Decision::Deny,
        rules: vec![RuleId::new("roles.USER.endpoints.openAI.models")],
        policy_revision: "0123456789ab".into(),
        details: Details {
            ip: "192.0.2.7".into(),
            user_agent: None,
            method: "POST".into(),
            path: "/api/agents/chat/openAI".into(),
            query: vec!["$where".into(), "a.b".into()],
            response: Response { status: 403, message: Some("No.".into()), time: 0.5 },
            error: None,
        },
        metadata: Metadata { model: Some("gpt-4o".into()), ..Metadata::default() },
    }))
}

/// A turn.
pub(crate) fn turn(n: u128) -> Entry {
    Entry::Usage(Box::new(Usage {
        id: Uuid::from_u128(n),
        request_id: Uuid::from_u128(1_000_000 + n),
        timestamp: time(n),
        user_id: USER.into(),
        role: "USER".into(),
        endpoint: "openAI".into(),
        model: "gpt-4o-mini".into(),
        agent: None,
        models: Vec::new(),
        spec: None,
        conversation_id: Some("a37a6a5f-8ddd-4d8a-a6f5-32bb2a80de6b".into()),
        outcome: TurnOutcome::Started,
        status: 200,
        request_bytes: 5_000_000_000,
        time: 2.25,
        spent: None,
    }))
}
