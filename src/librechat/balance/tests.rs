use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::policy::charges::Tokens;

const OFF: Settings = Settings { enabled: true, start: None };

fn balance(document: &Value) -> Result<Balance, NoNumber> {
    Balance::read(document.as_object(), &OFF)
}

fn spendable(document: &Value, cost: u64, now: &str) -> u64 {
    balance(document).unwrap().spendable(cost, now.parse().unwrap())
}

const NOW: &str = "2026-11-21T12:00:00Z";

#[test]
fn captured_balances_are_read() {
    let documents: Vec<Map<String, Value>> =
        serde_json::from_str(include_str!("../../../tests/captures/mongo/balances.json")).unwrap();
    let read = |fields| Balance::read(Some(fields), &OFF).unwrap().spendable(1, NOW.parse().unwrap());
    let credits: Vec<u64> = documents.iter().map(read).collect();
    // What is not a whole credit cannot be spent.
    assert_eq!(credits, [19_999_488, 19_999_822, 20_000_000]);
}

#[test]
fn what_is_there_is_what_javascript_makes_of_it() {
    for (credits, expected) in [
        (json!(100), Ok(100)),
        (json!(99.99), Ok(99)),
        (json!(0.5), Ok(0)),
        (json!(0), Ok(0)),
        (json!(-0.0), Ok(0)),
        (json!(-50), Ok(0)),
        (json!(null), Ok(0)),
        (json!({"$numberDouble": "NaN"}), Ok(0)),
        (json!({"$numberDouble": "-Infinity"}), Ok(0)),
        (json!({"$numberDouble": "Infinity"}), Ok(u64::MAX)),
        (json!(1e300), Ok(u64::MAX)),
        // LibreChat would put the digits of the next sum behind these.
        (json!("100"), Err(NoNumber("tokenCredits"))),
        (json!({"$numberDecimal": "100"}), Err(NoNumber("tokenCredits"))),
        (json!([100]), Err(NoNumber("tokenCredits"))),
    ] {
        let read = balance(&json!({"tokenCredits": credits}));
        assert_eq!(read.map(|balance| balance.spendable(10, NOW.parse().unwrap())), expected, "{credits}");
    }
    assert_eq!(spendable(&json!({}), 10, NOW), 0);
}

#[test]
fn who_has_no_balance_starts_with_what_librechat_gives() {
    for (start, expected) in [(Some(5000.0), 5000), (Some(0.0), 0), (None, 0), (Some(-5.0), 0)] {
        let balance = Balance::read(None, &Settings { enabled: true, start }).unwrap();
        assert_eq!(balance.spendable(10, NOW.parse().unwrap()), expected, "{start:?}");
    }
}

fn refilled(credits: f64, more: &Value) -> Value {
    let mut document = json!({
        "tokenCredits": credits, "autoRefillEnabled": true, "refillAmount": 1000, "refillIntervalValue": 1,
        "refillIntervalUnit": "days", "lastRefill": {"$date": "2026-11-20T12:00:00Z"},
    });
    let more = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(more);
    document
}

#[test]
fn a_refill_counts_where_it_is_due_and_what_is_there_is_used_up() {
    let none = json!({});
    for (credits, more, cost, now, expected) in [
        // Used up to the last credit, and not quite.
        (100.0, &none, 100, NOW, 1100),
        (100.0, &none, 99, NOW, 100),
        (0.0, &none, 0, NOW, 1000),
        (100.0, &none, 100, "2026-11-21T11:59:59.999Z", 100),
        // A debt is filled up first.
        (-300.0, &none, 1, NOW, 700),
        (-3000.0, &none, 1, NOW, 0),
        (0.0, &json!({"autoRefillEnabled": false}), 1, NOW, 0),
        (0.0, &json!({"autoRefillEnabled": null}), 1, NOW, 0),
        (0.0, &json!({"refillAmount": 0}), 1, NOW, 0),
        (0.0, &json!({"refillAmount": -5}), 1, NOW, 0),
        (0.0, &json!({"refillAmount": null}), 1, NOW, 0),
        (0.0, &json!({"refillAmount": {"$numberDouble": "NaN"}}), 1, NOW, 0),
        (0.5, &json!({"refillAmount": 10.7}), 1, NOW, 11),
        // Never refilled: since 1970.
        (0.0, &json!({"lastRefill": null}), 1, NOW, 1000),
        (0.0, &json!({"lastRefill": {"$date": 1_795_262_400_000_i64}}), 1, NOW, 0),
        (0.0, &json!({"refillIntervalValue": null}), 1, "2026-11-20T12:00:00Z", 1000),
        (0.0, &json!({"refillIntervalValue": {"$numberDouble": "NaN"}}), 1, NOW, 0),
        (0.0, &json!({"refillIntervalValue": 1e300}), 1, NOW, 0),
        (0.0, &json!({"refillIntervalUnit": "years"}), 1, NOW, 1000),
    ] {
        assert_eq!(spendable(&refilled(credits, more), cost, now), expected, "{credits} {more} {cost} {now}");
    }
    for (more, fault) in [
        (json!({"refillAmount": "5"}), "refillAmount"),
        (json!({"refillIntervalValue": "5"}), "refillIntervalValue"),
        (json!({"lastRefill": "2026-11-20"}), "lastRefill"),
        (json!({"lastRefill": {"$date": "yesterday"}}), "lastRefill"),
    ] {
        assert_eq!(balance(&refilled(0.0, &more)), Err(NoNumber(fault)), "{more}");
    }
}

#[test]
fn intervals_are_added_as_javascript_adds_them() {
    // LibreChat's own cases (packages/data-provider/src/balance.spec.ts), and months that Node.js has added.
    for (last, value, unit, due) in [
        ("2026-05-05T16:00:00Z", json!(30), "seconds", "2026-05-05T16:00:30Z"),
        ("2026-05-05T16:00:00Z", json!(15), "minutes", "2026-05-05T16:15:00Z"),
        ("2026-05-05T16:00:00Z", json!(2), "hours", "2026-05-05T18:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(1), "days", "2026-05-06T16:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(1), "weeks", "2026-05-12T16:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(1), "months", "2026-06-05T16:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(0), "days", "2026-05-05T16:00:00Z"),
        ("2026-01-31T12:00:00Z", json!(1), "months", "2026-03-03T12:00:00Z"),
        ("2028-01-31T12:00:00Z", json!(1), "months", "2028-03-02T12:00:00Z"),
        ("2026-10-31T12:00:00Z", json!(4), "months", "2027-03-03T12:00:00Z"),
        ("2026-12-31T23:59:59.999Z", json!(2), "months", "2027-03-03T23:59:59.999Z"),
        ("2026-05-05T16:00:00Z", json!(1.5), "days", "2026-05-06T16:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(0.5), "weeks", "2026-05-08T16:00:00Z"),
        ("2026-05-05T16:00:00Z", json!(1.9), "months", "2026-06-05T16:00:00Z"),
    ] {
        let more = json!({
            "lastRefill": {"$date": last}, "refillIntervalValue": value, "refillIntervalUnit": unit, "refillAmount": 7,
        });
        let document = refilled(0.0, &more);
        let due: Timestamp = due.parse().unwrap();
        let spendable = |now| balance(&document).unwrap().spendable(1, now);
        let before = due.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap();
        assert_eq!((spendable(before), spendable(due)), (0, 7), "{more}");
    }
}

#[test]
fn settings_are_those_of_somebody_who_is_signed_in() {
    let exchange = |name: &str| {
        let lines = include_str!("../../../tests/captures/base.jsonl").lines();
        let mut exchanges = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        exchanges.find(|exchange| exchange["name"] == name).unwrap()["response"]["body"].to_string()
    };
    let settings = Settings::read(exchange("066_boot_api_config").as_bytes()).unwrap();
    assert_eq!(settings, Settings { enabled: true, start: Some(20_000_000.0) });
    assert!(Settings::read(exchange("026_config-anon").as_bytes()).is_err(), "nobody is told");
    let read = |text: &str| Settings::read(text.as_bytes());
    assert_eq!(read(r#"{"balance":{"enabled":false}}"#), Ok(Settings { enabled: false, start: None }));
    for bad in ["", "[]", "{}", r#"{"balance":null}"#, r#"{"balance":{"enabled":"true"}}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert!(read(r#"{"balance":{"enabled":true,"startBalance":"5"}}"#).is_err());
}

#[test]
fn a_turn_costs_what_librechat_takes_for_it() {
    let run =
        |model, input, output| Run { endpoint: "openAI", model, tokens: Tokens { input, output, ..Tokens::default() } };
    // captures/base/chat-cost.json: 177.1 credits.
    let runs = [run("gpt-4o", 20, 11), run("gpt-4o-mini", 70, 11)];
    assert_eq!(cost(&runs), Cost { credits: 178, prompt_tokens: 90 });
    // 382_chat-balance-zero-stream: the prompt alone costs 1.05 credits.
    assert_eq!(cost(&[run("gpt-4o-mini", 7, 0)]), Cost { credits: 2, prompt_tokens: 7 });
    assert_eq!(cost(&[]), Cost { credits: 0, prompt_tokens: 0 });
    assert_eq!(cost(&[run("o1", u64::MAX, 1), run("o1", 5, 1)]).prompt_tokens, u64::MAX);
}

#[test]
fn a_charge_of_the_balance_counts_for_ever_under_the_users_name() {
    let charge = charge("6b012e4109cc968f8a928bce", 178, 19_999_822);
    assert_eq!((&*charge.key, &charge.window), ("balance:user:6b012e4109cc968f8a928bce", &Window::Always));
    assert_eq!((charge.amount, charge.ceiling, charge.rule.as_str()), (178, 19_999_822, "librechat.balance"));
}

#[test]
fn only_the_credits_of_the_answer_change() {
    // 070_boot_api_balance
    let body = br#"{"user":"6b012e4109cc968f8a928bce","__v":0,"autoRefillEnabled":false,"tokenCredits":20000000}"#;
    let shown = with_credits(body, 12).unwrap();
    assert_eq!(&*shown, br#"{"user":"6b012e4109cc968f8a928bce","__v":0,"autoRefillEnabled":false,"tokenCredits":12}"#);
    for bad in [&b""[..], b"[]", b"{}", br#"{"error":"Balance not found"}"#] {
        assert!(with_credits(bad, 12).is_err());
    }
}

proptest! {
    #[test]
    fn no_document_is_a_panic(
        credits in any::<f64>(), amount in any::<f64>(), value in any::<f64>(), last in any::<i64>(), cost in any::<u64>(),
        unit in prop::sample::select(vec!["seconds", "minutes", "hours", "days", "weeks", "months", "x"]),
    ) {
        let document = refilled(0.0, &json!({
            "tokenCredits": credits, "refillAmount": amount, "refillIntervalValue": value, "refillIntervalUnit": unit,
            "lastRefill": {"$date": last},
        }));
        if let Ok(balance) = balance(&document) {
            let spendable = balance.spendable(cost, NOW.parse().unwrap());
            // Never less than what is there, and never more than a refill more.
            prop_assert!(spendable >= number::floor(credits.min(credits + amount.max(0.0))));
            prop_assert!(spendable <= number::floor(credits + amount.max(0.0)));
        }
    }
}
