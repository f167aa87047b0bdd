//! Entries whose ids are small numbers.

use jiff::Timestamp;
use tollgate::policy::RuleId;
use tollgate::record::entry::{
    Charged, Details, Metadata, Response, RunUsed, Source, Spent, TokensUsed, TurnOutcome, Usd,
};
use tollgate::record::{Action, Audit, Category, Decision, Entry, Line, Severity, Usage};
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
            user_agent: None,
            method: "POST".into(),
            path: "/api/agents/chat/openAI".into(),
            query: vec!["$where".into(), "a.b".into()],
            response: Some(Response { status: 403, message: Some("No.".into()), time: 0.5 }),
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
        groups: None,
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

/// A turn that was settled, and what was put on counters for it.
pub(crate) fn settled(n: u128, settled: Timestamp, charged: Vec<Charged>) -> Entry {
    let Entry::Usage(mut usage) = turn(n) else { panic!("a turn") };
    let tokens = TokensUsed { input: 1200, cached_input: 1024, cache_write: 0, output: 340 };
    let run = RunUsed { endpoint: "openAI".into(), model: "gpt-4o-mini".into(), tokens, cost: Some(Usd(460_800_000)) };
    usage.spent = Some(Box::new(Spent {
        tokens,
        cost: Some(Usd(460_800_000)),
        source: Source::Transactions,
        settled,
        ended: None,
        first_byte: None,
        duration: None,
        runs: vec![run.clone(), RunUsed { cost: None, ..run }],
        charged,
    }));
    Entry::Usage(usage)
}

/// What was put on a window of the calendar.
pub(crate) fn spent(counter: &str, amount: u64, from: Timestamp, until: Timestamp) -> Charged {
    Charged { counter: counter.into(), amount, from, until, window: None, ceiling: None }
}

/// What was put into a rolling window of a minute.
pub(crate) fn poured(counter: &str, amount: u64, at: Timestamp, ceiling: u64) -> Charged {
    let windows = i64::try_from(amount.div_ceil(ceiling).max(1)).unwrap();
    let until = at + jiff::SignedDuration::from_mins(windows);
    Charged { counter: counter.into(), amount, from: at, until, window: Some(60_000_000), ceiling: Some(ceiling) }
}

/// These entries as lines.
pub(crate) fn lines(entries: &[Entry]) -> Vec<Line> {
    entries.iter().map(|entry| entry.line().unwrap()).collect()
}
