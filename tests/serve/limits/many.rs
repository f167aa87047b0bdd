//! Many limits at once: as many as can be counted together are, and more are refused in words that help.

use super::*;

/// So many limits that all apply to a turn, each in a longer window, with a larger amount. They are about a model, so that reading the
/// policy does not find them too many.
fn many(count: usize) -> String {
    let limit = |n: usize| {
        format!(
            "      - {{ id: l{n}, requests: {}, per: user, window: {}s, models: [gpt-4o-mini] }}",
            n + 100,
            n + 100_000
        )
    };
    limits(&(1..=count).map(limit).collect::<Vec<_>>().join("\n"))
}

/// A turn in a conversation, which takes its place there, too.
fn going_on() -> Value {
    let mut turn = turn("hi");
    turn["conversationId"] = json!("11111111-1111-4111-8111-111111111111");
    turn
}

#[tokio::test]
async fn as_many_limits_as_can_be_counted_together_are() {
    let world = World::with(&many(254)).start().await;
    for turn in [turn("hi"), going_on()] {
        assert_started(&say(&world, "Bob", &turn).await);
    }
    let mine = mine(&world, "Bob").await;
    let limits = mine["limits"].as_array().expect("a list");
    assert_eq!(limits.len(), 254);
    assert!(limits.iter().all(|limit| limit["used"] == 2), "{mine}");
}

#[tokio::test]
async fn more_are_refused_by_a_rule_that_says_so_and_not_put_off() {
    let mut world = World::with(&many(257)).start().await;
    let refused = say(&world, "Bob", &turn("hi")).await;
    let body = refused.json();
    assert_eq!((refused.status.as_u16(), &body["rule"]), (500, &json!("limits.too-many")), "{body}");
    assert_eq!(refused.header("retry-after"), "", "waiting does not help");
    assert!(
        body["text"].as_str().or(body["message"].as_str()).expect("a sentence").contains("Waiting does not help"),
        "{body}"
    );
    assert!(world.reached().is_empty(), "LibreChat hears nothing: {:?}", world.reached());
    let entry = world.entry_of(&body).await;
    assert_eq!((&entry["category"], &entry["severity"]), (&json!("SYSTEM"), &json!("ERROR")), "{entry}");
    assert!(entry.to_string().contains("257 limits apply to this request; at most 256"), "{entry}");
    let series = r#"tollgate_refusals_total{code="limits.too-many"}"#;
    assert_eq!(world.metric(series).await, "1");
}
