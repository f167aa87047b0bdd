use super::*;
use crate::record::entry::{RunUsed, Source, Spent, TokensUsed};
use crate::record::{Entry, samples};

fn charged(amount: u64, window: Option<u64>) -> Charged {
    let at = |second| Timestamp::new(second, 1).unwrap();
    Charged { counter: "a \"b\"\n".into(), amount, from: at(0), until: at(1), window, ceiling: window }
}

#[test]
fn a_settled_turn_is_read_as_it_was_written() {
    let Entry::Usage(mut usage) = samples::turn(3) else { panic!("a turn") };
    let tokens = TokensUsed { input: 1, cached_input: u64::MAX, cache_write: 3, output: 1 << 63 };
    let run = |cost| RunUsed { endpoint: "e".into(), model: "m".into(), tokens, cost };
    let charges = vec![charged(u64::MAX, None), charged(5, Some(1 << 63)), charged(6, Some(60))];
    usage.spent = Some(Box::new(Spent {
        tokens,
        cost: Some(Usd(u64::MAX)),
        source: Source::Stream,
        settled: Timestamp::new(7, 9).unwrap(),
        ended: None,
        first_byte: None,
        duration: None,
        runs: vec![run(None), run(Some(Usd(1)))],
        charged: charges.clone(),
    }));
    let facts = Facts::read(&Entry::Usage(usage.clone()).line().unwrap().text).unwrap();
    assert_eq!(facts.settled, Timestamp::new(7, 9).ok());
    assert_eq!((facts.user_id.as_deref(), &*facts.role), (Some(&*usage.user_id), &*usage.role));
    assert_eq!((&*facts.endpoint, &*facts.model), (&*usage.endpoint, &*usage.model));
    assert_eq!((facts.outcome.as_deref(), facts.time), (Some("started"), usage.time));
    let read = |tokens: Tokens| [tokens.input, tokens.cached_input, tokens.cache_write, tokens.output];
    assert_eq!(read(facts.tokens), [1, u64::MAX, 3, 1 << 63]);
    assert_eq!(facts.cost.map(|cost| cost.0), Some(Usd(u64::MAX)));
    let costs: Vec<_> = facts.runs.iter().map(|run| run.cost.map(|cost| cost.0)).collect();
    assert_eq!(costs, [None, Some(Usd(1))]);
    let read: Vec<Charged> = facts.charged.into_iter().map(Charged::from).collect();
    assert_eq!(read, charges);
}

#[test]
fn a_turn_without_more_and_a_tombstone_say_what_they_say() {
    let facts = Facts::read(&samples::turn(3).line().unwrap().text).unwrap();
    assert!(facts.settled.is_none() && facts.charged.is_empty() && facts.runs.is_empty() && facts.cost.is_none());
    let tombstone =
        r#"{"kind":"usage","_id":"00000000-0000-0000-0000-000000000007","timestamp":"2026-11-21T08:15:00Z"}"#;
    assert!(Facts::read(tombstone).unwrap().user_id.is_none());
}

#[test]
fn what_is_no_amount_is_an_error() {
    for text in [
        r#"{"charged":[{"counter":"a","amount":5.5,"from":"2026-11-21T08:15:00Z","until":"2026-11-21T08:15:00Z"}]}"#,
        r#"{"charged":[{"counter":"a","amount":"x","from":"2026-11-21T08:15:00Z","until":"2026-11-21T08:15:00Z"}]}"#,
        r#"{"cost":"1.0000000000001"}"#,
        r#"{"cost":"-1"}"#,
        r#"{"tokens":{"input":-1}}"#,
    ] {
        assert!(Facts::read(text).is_err(), "{text}");
    }
}
