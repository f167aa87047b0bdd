//! A limit that is called near: by a header on the turns that leave it so, by a metric, and by the caller's own page. Not before, and
//! not when its window has passed.

use futures_util::future::join_all;

use super::together::{ENDLESS, price};
use super::{number as number_of, *};

/// From here on a limit is near where it says nothing of its own, in percent.
const NEAR: u64 = 80;

const SERIES: &str = r#"tollgate_limits_near_total{limit="it"}"#;

#[tokio::test]
async fn a_limit_is_called_near_from_80_percent_until_its_window_has_passed() {
    let price = price().await;
    // Room for ten turns, whatever is measured: a token costs a millionth of a dollar.
    let ten = price * 10;
    let stories = [
        ("requests: 10".to_owned(), 10, 429, 0),
        (format!("tokens: {ten}"), ten, 429, 0),
        // Money is counted in smaller units than the headers tell.
        (format!("cost: 0.{ten:06} USD"), ten, 402, 1),
    ];
    join_all(stories.map(|(amount, limit, refused, hidden)| story(amount, limit, refused, hidden))).await;
}

/// Up to a limit and over, and what is told on the way. What is used leaks out all the while: so each answer is held to the figures that it
/// tells itself. `hidden` is the unit of the headers where use is counted in parts of it.
async fn story(amount: String, limit_is: u64, refused: u16, hidden: u64) {
    let policy = limits(&format!("      - {{ id: it, {amount}, per: user, window: 8s }}"));
    let mut world = World::with(&policy).start().await;
    assert_eq!(world.metric(SERIES).await, "0", "{amount}: the series is there before anything is near");
    let (mut far, mut near, mut last) = (0_u64, 0_u64, false);
    let at_the_limit = loop {
        assert!(far + near < 200, "{amount}: nothing is refused");
        let answer = say(&world, "Bob", &turn(ENDLESS)).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(number_of(&answer, "ratelimit-limit"), limit_is, "{amount}");
        let used = limit_is - number_of(&answer, "ratelimit-remaining");
        let told = answer.header("tollgate-limits-near");
        let is_near = |used: u64| used * 100 >= limit_is * NEAR;
        last = !told.is_empty();
        assert!(last == is_near(used) || last == is_near(used - hidden), "{amount}: {used} is used, and {told:?} told");
        if last {
            let fits = [used, used - hidden].map(|used| format!(r#""it";used={}"#, used * 100 / limit_is));
            assert!(fits.iter().any(|fits| fits == told), "{amount}: {told:?} is none of {fits:?}");
        }
        *(if last { &mut near } else { &mut far }) += 1;
        assert_eq!(world.metric(SERIES).await, near.to_string(), "{amount}: {used} is used");
    };
    // What is refused has found the limit all but used, and is not told of it as near.
    assert!(far >= 7 && last, "{amount}: {far} turns were not near, and {near} were");
    let said = at_the_limit.json();
    assert_eq!((at_the_limit.status.as_u16(), &said["rule"]), (refused, &json!("roles.USER.limits.it")), "{said}");
    assert_eq!(at_the_limit.header("tollgate-limits-near"), "", "{amount}");
    assert_eq!(world.metric(SERIES).await, near.to_string(), "{amount}: a refusal leaves nothing near");

    let passed = async |world: &mut World| {
        let mine = limit(world, "Bob", "it").await;
        // Money is told as text.
        let [used, of] = ["used", "limit"].map(|name| mine[name].to_string().trim_matches('"').parse::<f64>().unwrap());
        assert_eq!(mine["near"], json!(used * 100.0 >= of * NEAR as f64), "{mine}");
        used == 0.0
    };
    assert!(!passed(&mut world).await, "{amount}: it was reached just now");
    world.until("the window has passed", passed).await;
    let answer = say(&world, "Bob", &turn(ENDLESS)).await;
    assert_started(&answer);
    assert_eq!((answer.header("tollgate-limits-near"), world.metric(SERIES).await), ("", near.to_string()), "{amount}");
}

#[tokio::test]
async fn a_limit_in_shadow_mode_warns_its_caller_and_refuses_nothing() {
    let policy = limits(
        "      - { id: soft, requests: 2, per: user, window: 30d, mode: shadow }\n      \
         - { id: softer, messages: 4, per: user, window: 30d, mode: shadow, warn_at: 50 }\n      \
         - { id: hard, tokens: 1M, per: user, window: 30d }",
    );
    let world = World::with(&policy).start().await;
    let (soft, both) = (r#""soft";used=100"#, r#""soft";used=100, "softer";used=50"#);
    // The third turn would have been refused: it is not counted, and the limit is used up as before.
    for near in ["", both, both, both] {
        let answer = say(&world, "Bob", &turn("hi")).await;
        assert_started(&answer);
        assert_eq!(answer.header("tollgate-limits-near"), near);
        assert!(answer.header("ratelimit-policy").starts_with(r#""hard";"#), "{answer:?}");
    }
    let alone = limits("      - { id: soft, requests: 2, per: user, window: 30d, mode: shadow }");
    let world = World::with(&alone).start().await;
    for near in ["", soft, soft] {
        let answer = say(&world, "Bob", &turn("hi")).await;
        assert_started(&answer);
        assert_eq!((answer.header("tollgate-limits-near"), answer.header("ratelimit")), (near, ""));
    }
}
