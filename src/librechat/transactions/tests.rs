use proptest::prelude::*;
use serde_json::json;

use super::*;

const USER: &str = "6b012e4109cc968f8a928bce";

fn ledger(rows: &[Value]) -> Ledger {
    Ledger::read(rows.iter().map(|row| row.as_object().unwrap()), USER)
}

/// A row of the message `m` with these members changed.
fn row(kind: &str, amount: i64, more: Value) -> Value {
    let mut row = json!({
        "_id": {"$oid": "1"}, "user": {"$oid": USER}, "conversationId": "c", "messageId": "m", "tokenType": kind,
        "model": "gpt-4o", "context": "message", "rawAmount": amount, "createdAt": {"$date": 0},
    });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn call(context: Context, input: u64, output: u64, missing: Option<Half>) -> Call {
    let rows = if missing.is_some() { vec!["1".into()] } else { vec!["1".into(), "1".into()] };
    Call { model: "gpt-4o".into(), context, tokens: Tokens { input, output, ..Tokens::default() }, missing, rows }
}

#[test]
fn captured_rows_say_what_the_provider_said() {
    let rows: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/captures/mongo/transactions-turn.json")).unwrap();
    let ledger = ledger(&rows);
    let calls = ledger.of("fba221d5-a877-4a04-b4c7-5068b4214e69").unwrap();
    // The provider said 20 and 11, then 70 and 11 for the title.
    let rows = ["4e", "4f", "58", "59"].map(|end| format!("6b012e7809cc968f8a9294{end}").into_boxed_str());
    let answer = Call { rows: rows[..2].to_vec(), ..call(Context::Message, 20, 11, None) };
    let title = Call { model: "gpt-4o-mini".into(), rows: rows[2..].to_vec(), ..call(Context::Title, 70, 11, None) };
    assert_eq!(calls, [answer, title]);
    assert!(is_complete(calls));
    assert_eq!(ledger.unreadable, []);
    assert_eq!(ledger.messages().count(), 1);
}

#[test]
fn calls_are_told_apart_in_their_order() {
    // A tool loop: the same model twice, between them another one in parallel.
    let other = || json!({"model": "o1"});
    let rows = [
        row("prompt", -10, json!({})),
        row("completion", -1, json!({})),
        row("prompt", -5, other()),
        row("completion", -7, other()),
        row("prompt", -30, json!({})),
        row("completion", 0, json!({})),
    ];
    let of = |rows: &[Value]| ledger(rows).of("m").unwrap().to_vec();
    let o1 = Call { model: "o1".into(), ..call(Context::Message, 5, 7, None) };
    let expected = [call(Context::Message, 10, 1, None), o1, call(Context::Message, 30, 0, None)];
    assert_eq!(of(&rows), expected);
    assert!(is_complete(&of(&rows)));
    let missing = of(&rows[..5]);
    assert_eq!(missing[2], call(Context::Message, 30, 0, Some(Half::Completion)));
    assert!(!is_complete(&missing));
    // The prompt's row has not come yet, or there was none.
    let alone = of(&rows[5..]);
    assert_eq!(alone, [call(Context::Message, 0, 0, Some(Half::Prompt))]);
    let title = [row("prompt", -1, json!({"context": "title"})), row("completion", -1, json!({"context": "title"}))];
    assert!(!is_complete(&of(&title)), "the answer is not there");
    assert!(!is_complete(&[]));
}

#[test]
fn what_caches_had_to_do_with_is_told_apart() {
    let parts = json!({"inputTokens": -10, "writeTokens": -200, "readTokens": -3000});
    let rows = [row("prompt", -3210, parts.clone()), row("completion", -4, json!({}))];
    let tokens = Tokens { input: 10, cached_input: 3000, cache_write: 200, output: 4 };
    assert_eq!(ledger(&rows).of("m").unwrap()[0].tokens, tokens);
    let ledger = ledger(&[row("prompt", -3211, parts)]);
    assert_eq!(ledger.unreadable[0].what, "its \"rawAmount\" is not the sum of its parts");
    assert_eq!(ledger.of("m"), None);
}

#[test]
fn what_a_call_is_for_is_told() {
    for (context, expected) in [
        (json!("message"), Context::Message),
        (json!("title"), Context::Title),
        (json!("summarization"), Context::Summary),
        (json!("incomplete"), Context::Stopped),
        (json!("abort"), Context::Stopped),
        (json!("something new"), Context::Message),
        (json!(null), Context::Message),
    ] {
        let ledger = ledger(&[row("prompt", -1, json!({"context": context}))]);
        assert_eq!(ledger.of("m").unwrap()[0].context, expected, "{context}");
    }
}

#[test]
fn what_cannot_be_believed_is_unknown_and_never_nothing() {
    for (row, what) in [
        (row("prompt", 5, json!({})), "a number of tokens is not whole, or adds instead of taking"),
        (row("completion", 5, json!({})), "a number of tokens is not whole, or adds instead of taking"),
        (row("prompt", -1, json!({"rawAmount": -1.5})), "a number of tokens is not whole, or adds instead of taking"),
        (row("prompt", -1, json!({"rawAmount": -1e300})), "a number of tokens is not whole, or adds instead of taking"),
        (
            row("prompt", -1, json!({"rawAmount": {"$numberDouble": "NaN"}})),
            "a number of tokens is not whole, or adds instead of taking",
        ),
        (row("prompt", -1, json!({"inputTokens": 1})), "a number of tokens is not whole, or adds instead of taking"),
        (row("prompt", -1, json!({"rawAmount": "-1"})), "a number of tokens is no number"),
        (row("prompt", -1, json!({"rawAmount": {"$numberDecimal": "-1"}})), "a number of tokens is no number"),
        (row("prompt", -1, json!({"rawAmount": null})), "it has no \"rawAmount\""),
        (row("completion", -1, json!({"rawAmount": null})), "it has no \"rawAmount\""),
        (row("prompt", -1, json!({"model": null})), "it names no \"model\""),
        (row("other", -1, json!({})), "its \"tokenType\" is neither \"prompt\" nor \"completion\""),
        (row("", -1, json!({"tokenType": 1})), "it does not say its \"tokenType\""),
    ] {
        let good = [self::row("prompt", -1, json!({})), self::row("completion", -1, json!({}))];
        let rows = [&good[..], std::slice::from_ref(&row)].concat();
        let ledger = ledger(&rows);
        assert_eq!(ledger.of("m"), None, "{row}");
        assert_eq!(ledger.unreadable.len(), 1);
        assert_eq!((&*ledger.unreadable[0].id, ledger.unreadable[0].what), ("1", what), "{row}");
    }
}

#[test]
fn rows_of_others_and_rows_about_credits_are_passed_over() {
    let rows = [
        row("prompt", -1, json!({"user": {"$oid": "6b012e4109cc968f8a928bc1"}})),
        row("prompt", -1, json!({"user": null})),
        row("credits", 1000, json!({"context": "autoRefill", "messageId": null})),
    ];
    assert_eq!(ledger(&rows), Ledger::default());
    assert_eq!(ledger(&[row("prompt", -1, json!({"user": USER}))]).of("m").unwrap().len(), 1);
}

/// As `recordUsage` of assistants' runs writes them.
#[test]
fn rows_of_no_message_are_calls_of_their_own() {
    let nameless = |kind: &str, amount: i64| row(kind, amount, json!({"messageId": null}));
    let rows = [
        nameless("prompt", -20),
        row("prompt", -1, json!({})),
        nameless("completion", -9),
        row("completion", -2, json!({})),
        row("prompt", -30, json!({"messageId": ""})),
    ];
    let ledger = ledger(&rows);
    let last = call(Context::Message, 30, 0, Some(Half::Completion));
    assert_eq!(ledger.nameless, [call(Context::Message, 20, 9, None), last]);
    assert_eq!(ledger.of("m").unwrap(), [call(Context::Message, 1, 2, None)]);
    assert_eq!(ledger.messages().count(), 1);
}

#[test]
fn a_call_is_charged_under_the_endpoint_that_has_its_model() {
    let call = call(Context::Message, 1, 1, None);
    let targets = [("openAI", "o1"), ("azureOpenAI", "gpt-4o"), ("MindRoom", "gpt-4o")];
    assert_eq!(call.endpoint(targets), Some("azureOpenAI"));
    assert_eq!(call.endpoint([("openAI", "o1"), ("MindRoom", "x")]), Some("openAI"));
    assert_eq!(call.endpoint([]), None);
}

proptest! {
    /// Whatever the order of the rows, no token is lost or counted twice.
    #[test]
    fn the_sum_of_the_calls_is_that_of_the_rows(
        rows in prop::collection::vec((any::<bool>(), 0_i64..1_000, 0_usize..3), 0..30),
    ) {
        let written: Vec<Value> = rows
            .iter()
            .map(|(prompt, amount, model)| {
                row(if *prompt { "prompt" } else { "completion" }, -amount, json!({"model": (["a", "b", "c"][*model])}))
            })
            .collect();
        let ledger = ledger(&written);
        let calls = ledger.of("m").unwrap_or_default();
        let sum = |wanted: bool| rows.iter().filter(|(prompt, ..)| *prompt == wanted).map(|(_, n, _)| *n as u64).sum::<u64>();
        prop_assert_eq!(calls.iter().map(|call| call.tokens.input).sum::<u64>(), sum(true));
        prop_assert_eq!(calls.iter().map(|call| call.tokens.output).sum::<u64>(), sum(false));
    }
}
