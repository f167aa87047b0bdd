use super::*;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::{Ask, Caller, Source, Target, compile};

const LIMITS: &str = r#"
version: 1
roles:
  USER:
    unrestricted: true
    limits:
      - { id: rpm, requests: 60, per: user, window: 90s }
      - { id: day, tokens: 500k, per: user, window: day, timezone: Europe/Berlin }
      - { id: small, input_tokens: 10, per: user, window: hour }
      - { id: budget, cost: 0.50 USD, per: role, window: month }
      - { id: parallel, concurrent: 2, per: user }
      - { id: closed, messages: 0, per: user, window: 1h }
prices: { default: { input: 1, output: 1 } }
"#;

fn policy(more: &str) -> Snapshot {
    let text = format!("{LIMITS}{more}");
    compile(&[Source { path: "policy.yaml".into(), text: text.as_str().into() }])
        .unwrap_or_else(|report| panic!("{report}"))
        .0
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The charges of a request that gives a model 100 tokens, and the place of a limit among them.
fn charges(policy: &Snapshot) -> Vec<Charge> {
    let caller = Caller { user: "ann".into(), email: None, role: "USER".into(), groups: [].into() };
    let runs = [Run { endpoint: "openAI", model: "o1", tokens: Tokens { input: 100, ..Tokens::default() } }];
    let targets = [Target::Model { endpoint: "openAI".into(), model: "o1".into() }];
    let ask = Ask { caller: &caller, targets: &targets };
    policy.charges(&ask, &Amounts { requests: 1, messages: 1, runs: &runs })
}

/// What is told when these limits have no room: each with what is left, and when it resets.
fn told(policy: &Snapshot, short: &[(&str, u64, Option<&str>)]) -> Exceeded {
    let charges = charges(policy);
    let lacks: Vec<_> = short
        .iter()
        .map(|(id, left, resets)| Lack {
            draw: charges.iter().position(|charge| charge.id() == *id).unwrap(),
            left: *left,
            resets: resets.map(at),
        })
        .collect();
    Exceeded::of(policy, &charges, &[], &lacks, at("2026-11-21T17:00:00Z"), 100).unwrap()
}

fn rules(exceeded: &Exceeded) -> Vec<&str> {
    exceeded.rules.iter().map(|rule| rule.as_str().trim_start_matches("roles.USER.limits.")).collect()
}

#[test]
fn each_measure_is_told_in_its_own_shape_and_words() {
    let policy = policy("");
    for (short, shortage, resets_at, retry_after, message) in [
        (
            ("rpm", 0, Some("2026-11-21T17:00:01.2Z")),
            Shortage::Count { max: 60, seconds: 90 },
            Some("2026-11-21T17:00:02Z"),
            Some(2),
            "The limit rpm of 60 requests in 90 seconds is reached. There is room again on 2026-11-21 at 17:00:02 (UTC).",
        ),
        (
            ("day", 20, Some("2026-11-21T23:00:00Z")),
            Shortage::Count { max: 500_000, seconds: 86_400 },
            Some("2026-11-21T23:00:00Z"),
            Some(21_600),
            "The limit day of 500000 tokens per day is reached. There is room again on 2026-11-22 at 00:00:00 (Europe/Berlin).",
        ),
        (
            ("budget", 1_999_999, Some("2026-12-01T00:00:00Z")),
            Shortage::Funds { balance: 1, cost: 100, prompt: 100 },
            Some("2026-12-01T00:00:00Z"),
            Some(802_800),
            "The limit budget of 0.5 USD per month is reached. There is room again on 2026-12-01 at 00:00:00 (UTC).",
        ),
        (
            ("parallel", 0, None),
            Shortage::Open { limit: 2 },
            None,
            Some(5),
            "The limit parallel of 2 answers at a time is reached. Wait until one of them has ended.",
        ),
        (
            ("small", 10, Some("2026-11-21T18:00:00Z")),
            Shortage::Count { max: 10, seconds: 3_600 },
            None,
            None,
            "This request needs about 100 input tokens, and the limit small allows 10 input tokens per hour. Make it shorter.",
        ),
        (
            ("closed", 0, None),
            Shortage::Count { max: 0, seconds: 3_600 },
            None,
            None,
            "This is closed to you by the limit closed.",
        ),
    ] {
        let told = told(&policy, &[short]);
        assert_eq!(rules(&told), [short.0]);
        assert_eq!(told.shortage, shortage, "{}", short.0);
        assert_eq!((told.resets_at().as_deref(), told.retry_after()), (resets_at, retry_after), "{}", short.0);
        assert_eq!(told.message, message);
    }
}

#[test]
fn of_several_limits_the_one_that_resets_last_decides_and_all_are_named() {
    let policy = policy("");
    let (soon, late) = (Some("2026-11-21T17:00:30Z"), Some("2026-12-01T00:00:00Z"));
    for (short, expected, retry_after) in [
        (vec![("rpm", 0, soon), ("budget", 0, late)], vec!["budget", "rpm"], Some(802_800)),
        (vec![("budget", 0, late), ("rpm", 0, soon)], vec!["budget", "rpm"], Some(802_800)),
        // Nobody knows when a turn ends; what never fits outlasts all.
        (vec![("parallel", 0, None), ("rpm", 0, soon)], vec!["rpm", "parallel"], Some(30)),
        (vec![("rpm", 0, soon), ("small", 10, soon), ("budget", 0, late)], vec!["small", "budget", "rpm"], None),
        // A shorter request would be refused by it all the same.
        (vec![("small", 10, soon), ("closed", 0, None)], vec!["closed", "small"], None),
    ] {
        let told = told(&policy, &short);
        assert_eq!((rules(&told), told.retry_after()), (expected, retry_after), "{short:?}");
    }
}

#[test]
fn a_balance_has_no_room_until_somebody_adds_to_it() {
    let policy = policy("");
    let mut charges = charges(&policy);
    charges.push(balance::charge("ann", 602, 398));
    let at = at("2026-11-21T17:00:00Z");
    let day = charges.iter().position(|charge| charge.id() == "day").unwrap();
    let lacks = [
        Lack { draw: day, left: 20, resets: Some("2026-11-21T23:00:00Z".parse().unwrap()) },
        Lack { draw: charges.len() - 1, left: 398, resets: Some("2255-06-05T23:47:34Z".parse().unwrap()) },
    ];
    let exceeded = Exceeded::of(&policy, &charges, &[], &lacks, at, 7).unwrap();
    assert_eq!(rules(&exceeded), [balance::RULE, "day"]);
    assert_eq!(exceeded.shortage, Shortage::Funds { balance: 398, cost: 602, prompt: 7 });
    assert_eq!((exceeded.retry_after(), exceeded.resets_at(), &exceeded.quota), (None, None, &None));
    assert_eq!(
        exceeded.message,
        "Your balance does not cover this request: it needs about 602 credits, and 398 are left beside what your open \
         requests hold."
    );
}

#[test]
fn the_operators_words_stand_in_where_there_is_a_moment_to_wait_for() {
    let policy =
        policy("messages: { limit_reached: 'Enough: {limit}, {amount} {window}, until {resets_at}. Call 42.' }");
    let reached = told(&policy, &[("rpm", 0, Some("2026-11-21T17:01:00Z"))]);
    assert_eq!(reached.message, "Enough: rpm, 60 requests in 90 seconds, until 2026-11-21 at 17:01:00 (UTC). Call 42.");
    for short in ["parallel", "small", "closed"] {
        assert!(!told(&policy, &[(short, 0, None)]).message.contains("Enough"), "{short}");
    }
}

#[test]
fn what_has_just_passed_is_waited_for_a_second() {
    let told = told(&policy(""), &[("rpm", 0, Some("2026-11-21T16:59:59Z"))]);
    assert_eq!(told.retry_after(), Some(1));
}

#[test]
fn a_shorter_prompt_is_advised_where_it_helps() {
    let policy = policy("");
    let at = at("2026-11-21T17:00:00Z");
    let told = |id: &str, needs: u64, answers: u64| {
        let mut charges = charges(&policy);
        let draw = charges.iter().position(|charge| charge.id() == id).unwrap();
        charges.iter_mut().for_each(|charge| charge.amount = needs);
        let alone: Vec<_> = charges.iter().map(|charge| Charge { amount: answers, ..charge.clone() }).collect();
        let lacks = [Lack { draw, left: 1, resets: None }];
        Exceeded::of(&policy, &charges, &alone, &lacks, at, 7).unwrap().message
    };
    // Half a dollar, of which the answer leaves a part, or nothing, or takes more.
    for (answers, advice) in [
        (499_999_999_999, "Make it shorter."),
        (
            500_000_000_000,
            "No prompt is short enough, as the answer is counted with 0.5 USD beforehand: limit its length, or choose a cheaper model.",
        ),
    ] {
        let expected =
            format!("This request needs about 0.5000425 USD, and the limit budget allows 0.5 USD per month. {advice}");
        assert_eq!(told("budget", 500_042_500_000, answers), expected);
    }
    assert_eq!(
        told("budget", UNPRICED, 0),
        "A model of this request has no price, and the limit budget is about money. Choose another model, or ask for a price."
    );
    assert_eq!(
        told("day", 600_000, 500_001),
        "This request needs about 600000 tokens, and the limit day allows 500000 tokens per day. \
         No prompt is short enough, as the answer is counted with 500001 tokens beforehand: limit its length."
    );
}
