use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::policy::Mode;
use crate::policy::RuleId;
use crate::policy::charge::Unit;
use crate::policy::limits::OnFailure;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn charge(id: &str, window: Window, ceiling: u64) -> Charge {
    Charge { key: format!("{id}:x:user:ann").into(), rule: RuleId::new(id), window, amount: 1, ceiling }
}

fn terms(measure: Measure) -> Terms {
    Terms { measure, mode: Mode::Enforce, on_failure: OnFailure::Deny, strict: false, warn_at: 80 }
}

fn day(zone: &str) -> Window {
    Window::Calendar { unit: Unit::Day, zone: TimeZone::get(zone).unwrap() }
}

const MINUTE: Window = Window::Rolling(Duration::from_secs(60));

/// The headers, `name: value`, in the order of the alphabet.
fn written(write: impl FnOnce(&mut HeaderMap)) -> Vec<String> {
    let mut headers = HeaderMap::new();
    write(&mut headers);
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[test]
fn the_nearest_limit_is_told_in_both_forms() {
    let now = at("2026-11-21T17:00:00Z");
    let charges = [
        charge("rpm", MINUTE, 60),
        charge("month-budget", Window::Calendar { unit: Unit::Month, zone: TimeZone::UTC }, 10_000_000_000_000),
        charge("parallel", Window::Open, 1),
    ];
    let uses = |minute: u64, spent: u64| {
        [
            Use { used: minute, resets: Some(at("2026-11-21T17:00:01.5Z")) },
            Use { used: spent, resets: Some(at("2026-12-01T00:00:00Z")) },
            Use { used: 1, resets: None },
        ]
    };
    let of = |charge: &Charge| {
        Some(terms(match charge.id() {
            "rpm" => Measure::Requests,
            "month-budget" => Measure::Cost,
            _ => Measure::Concurrent,
        }))
    };
    let told = |minute, spent| {
        let standing = Standing::of(&charges, &uses(minute, spent), of, now).unwrap();
        written(|headers| standing.write(headers))
    };
    assert_eq!(
        told(30, 1_000_000_000_000),
        [
            "ratelimit-limit: 60",
            "ratelimit-policy: \"rpm\";q=60;qu=\"requests\";w=60",
            "ratelimit-remaining: 30",
            "ratelimit-reset: 2",
            "ratelimit: \"rpm\";r=30;t=2",
            // Of one turn at a time one is open.
            "tollgate-limits-near: \"parallel\";used=100",
        ]
    );
    // Nine of ten dollars, in millionths; what has begun to be used counts as used.
    assert_eq!(
        told(47, 9_000_000_000_001),
        [
            "ratelimit-limit: 10000000",
            "ratelimit-policy: \"month-budget\";q=10000000;qu=\"micro-usd\";w=2592000",
            "ratelimit-remaining: 999999",
            "ratelimit-reset: 802800",
            "ratelimit: \"month-budget\";r=999999;t=802800",
            "tollgate-limits-near: \"month-budget\";used=90, \"parallel\";used=100",
        ]
    );
    assert_eq!(Standing::of(&charges, &uses(1, 1), |_| None, now), None);
}

#[test]
fn a_limit_in_shadow_mode_is_told_as_near_and_not_as_what_is_left() {
    let now = at("2026-11-21T17:00:00Z");
    let of = |_: &Charge| Some(terms(Measure::Requests));
    let soft = |used| near(&[charge("soft", MINUTE, 2)], &[Use { used, resets: None }], of);
    let hard = |used| Standing::of(&[charge("hard", MINUTE, 10)], &[Use { used, resets: None }], of, now);
    let told = |hard: Option<Standing>, used| {
        Standing::and(hard, soft(used)).map(|standing| written(|headers| standing.write(headers)))
    };
    assert_eq!(told(None, 1), None, "half of it is not near");
    assert_eq!(told(None, 2), Some(vec!["tollgate-limits-near: \"soft\";used=100".to_owned()]));
    let last = |hard, used| told(hard, used).unwrap().pop().unwrap();
    assert_eq!(last(hard(1), 1), "ratelimit: \"hard\";r=9");
    assert_eq!(last(hard(1), 2), "tollgate-limits-near: \"soft\";used=100");
    assert_eq!(last(hard(9), 2), "tollgate-limits-near: \"hard\";used=90, \"soft\";used=100");
    assert_eq!(told(hard(1), 2).unwrap().len(), 5, "and the quota is that of the one that refuses");
}

#[test]
fn near_is_from_the_share_on_that_the_policy_names() {
    for (used, warn_at, near) in [
        (79, 80, false),
        (80, 80, true),
        (81, 80, true),
        (1, 1, true),
        (0, 1, false),
        (99, 100, false),
        (100, 100, true),
    ] {
        assert_eq!(is_near(&charge("x", MINUTE, 100), used, warn_at), near, "{used} of 100 at {warn_at} %");
    }
    // No product overflows.
    assert!(is_near(&charge("x", MINUTE, u64::MAX), u64::MAX, 100));
    assert!(!is_near(&charge("x", MINUTE, u64::MAX), u64::MAX - 1, 100));
}

#[test]
fn a_limit_without_a_window_has_no_reset_and_numbers_fit_into_a_structured_field() {
    let open = Quota::new(&charge("parallel", Window::Open, 2), Measure::Concurrent, 0, None, None);
    let lines = written(|headers| {
        headers.insert(RESET, HeaderValue::from_static("60"));
        open.write(headers);
    });
    assert_eq!(
        lines,
        [
            "ratelimit-limit: 2",
            "ratelimit-policy: \"parallel\";q=2;qu=\"concurrent-requests\"",
            "ratelimit-remaining: 0",
            "ratelimit: \"parallel\";r=0",
        ]
    );
    let huge = Quota::new(&charge("huge", MINUTE, u64::MAX), Measure::Tokens, u64::MAX, Some(1), Some(60));
    assert!(written(|headers| huge.write(headers)).contains(&"ratelimit: \"huge\";r=999999999999999;t=1".to_owned()));
}

#[test]
fn a_day_is_as_long_as_it_is() {
    for (now, zone, hours) in [
        ("2026-11-21T17:00:00Z", "UTC", 24),
        // Clocks in Berlin were moved in these nights.
        ("2026-03-29T12:00:00Z", "Europe/Berlin", 23),
        ("2026-10-25T12:00:00Z", "Europe/Berlin", 25),
    ] {
        assert_eq!(seconds_of(&day(zone), at(now)), Some(hours * 3600), "{now} {zone}");
    }
    assert_eq!(seconds_of(&MINUTE, at("2026-11-21T17:00:00Z")), Some(60));
    assert_eq!(seconds_of(&Window::Open, at("2026-11-21T17:00:00Z")), None);
}
