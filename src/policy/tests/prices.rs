//! Prices: which one is a model's, that sums are exact, and that no model under a limit of money is without one.

use proptest::prelude::*;

use super::*;
use crate::policy::charge::Charge;
use crate::policy::charges::{Amounts, Run, Tokens, Used};
use crate::policy::prices::Price;

/// Picodollars of a token at one dollar for a million.
const DOLLAR: u64 = 1_000_000;

fn price(input: u64, cached_input: u64, cache_write: u64, output: u64) -> Option<Price> {
    Some(Price { input, cached_input, cache_write, output })
}

#[test]
fn the_closest_price_is_the_models() {
    let policy = policy(
        r#"
prices:
  gpt-4o-mini: { input: 0.15, output: 0.60, cached_input: 0.075 }
  "gpt-*": { input: 2, output: 3 }
  "gpt-4*": { input: 4, output: 5, cache_write: 6.25 }
  "*-4o-x": { input: 9, output: 1 }
  "a-4o-*": { input: 1, output: 9 }
  "Azure|gpt-*": { input: 7, output: 8 }
  "Azure|gpt-5": { input: 0, output: 0.000001 }
  "x|default": { input: 12, output: 12 }
  default: { input: 10, output: 40 }
"#,
    );
    let plain = |input: u64, output: u64| price(input * DOLLAR, input * DOLLAR, input * DOLLAR, output * DOLLAR);
    for (endpoint, model, expected) in [
        ("openAI", "gpt-4o-mini", price(150_000, 75_000, 150_000, 600_000)),
        ("openAI", "gpt-5", plain(2, 3)),
        ("openAI", "gpt-4o", price(4 * DOLLAR, 4 * DOLLAR, 6_250_000, 5 * DOLLAR)),
        // Two are equally close: the dearer of each kind.
        ("openAI", "a-4o-x", plain(9, 9)),
        ("Azure", "gpt-4o-mini", plain(7, 8)),
        ("azure", "gpt-4o-mini", plain(7, 8)),
        ("Azure", "gpt-5", price(0, 0, 0, 1)),
        ("Azure", "o1", plain(10, 40)),
        ("openAI", "GPT-4o", plain(10, 40)),
        ("x", "default", plain(12, 12)),
        ("openAI", "default", plain(10, 40)),
    ] {
        assert_eq!(policy.price(endpoint, model), expected, "{endpoint}|{model}");
    }
    assert_eq!(super::policy("prices: { a: { input: 1, output: 1 } }").price("openAI", "b"), None);
}

#[test]
fn a_limit_of_money_takes_what_the_runs_cost_to_the_last_picodollar() {
    let policy = policy(
        r#"
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini, o1] } }
    limits:
      - { id: all, cost: 0.50 USD, per: user, window: month }
      - { id: o1, cost: 100 USD, per: role, window: month, models: [o1] }
prices:
  gpt-4o-mini: { input: 0.15, output: 0.60, cached_input: 0.075, cache_write: 0.1875 }
  o1: { input: 15, output: 60 }
"#,
    );
    let caller = caller("USER", &[], "65f0c1d2e3a4b5c6d7e8f901");
    let targets = [model("openAI", "gpt-4o-mini"), model("openAI", "o1")];
    let charged = |runs: &[Run<'_>]| -> Vec<(u64, u64)> {
        let charges =
            policy.charges(&Ask { caller: &caller, targets: &targets }, &Amounts { requests: 1, messages: 1, runs });
        charges.iter().map(|charge| (charge.amount, charge.ceiling)).collect()
    };
    let (half, hundred) = (500_000_000_000, 100_000_000_000_000);
    let mini = Tokens { input: 1, cached_input: 10, cache_write: 100, output: 1000 };
    let o1 = Tokens { input: 3, ..Tokens::default() };
    let runs = [
        Run { endpoint: "openAI", model: "gpt-4o-mini", tokens: mini },
        Run { endpoint: "openAI", model: "o1", tokens: o1 },
    ];
    let cost = 150_000 + 750_000 + 18_750_000 + 600_000_000;
    assert_eq!(charged(&runs), [(cost + 45_000_000, half), (45_000_000, hundred)]);
    // What has no price is more than any limit, and what is too much does not wrap.
    let unknown = [Run { endpoint: "openAI", model: "unknown", tokens: o1 }];
    assert_eq!(charged(&unknown), [(u64::MAX, half), (0, hundred)]);
    let much = [Run { endpoint: "openAI", model: "o1", tokens: Tokens { output: u64::MAX / 7, input: 5, ..o1 } }];
    assert_eq!(charged(&much), [(u64::MAX, half), (u64::MAX, hundred)]);
}

/// A model that nobody judged: of a summary, say, or the name of a deployment.
#[test]
fn what_was_used_without_a_price_costs_what_the_dearest_model_of_the_turn_costs() {
    const POLICY: &str = r#"
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini, o1] } }
    limits:
      - { id: all, cost: 0.50 USD, per: user, window: month }
      - { id: mini, cost: 1 USD, per: role, window: month, models: [gpt-4o-mini] }
      - { id: mini-tokens, tokens: 1M, per: user, window: month, models: [gpt-4o-mini] }
      - { id: o1, tokens: 1M, per: user, window: month, models: [o1] }
prices:
"#;
    let caller = caller("USER", &[], "65f0c1d2e3a4b5c6d7e8f901");
    let run = |model: &'static str, tokens: Tokens| Run { endpoint: "openAI", model, tokens };
    let charged = |policy: &Snapshot, taken_for: &[Run<'_>], used: &[Run<'_>], shared: bool| -> Vec<(String, u64)> {
        let targets: Vec<Target> = taken_for.iter().map(|run| model(run.endpoint, run.model)).collect();
        let amounts = Amounts { requests: 1, messages: 1, runs: used };
        let ask = Ask { caller: &caller, targets: &targets };
        let charges = policy.settled_charges(&ask, &Used { amounts, taken_for, shared });
        let name = |charge: &Charge| charge.key.split(':').next().unwrap().to_owned();
        charges.iter().map(|charge| (name(charge), charge.amount)).collect()
    };
    let expected = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
    };
    let priced =
        policy(&format!("{POLICY}  gpt-4o-mini: {{ input: 1, output: 1 }}\n  o1: {{ input: 15, output: 60 }}\n"));
    let (mini, o1) = (run("gpt-4o-mini", Tokens::default()), run("o1", Tokens::default()));
    let used = |model: &'static str| run(model, Tokens { input: 30, output: 10, ..Tokens::default() });
    let (own, nano) = (used("gpt-4o-mini"), used("gpt-4.1-nano"));
    for (taken_for, calls, shared, all) in [
        // As dear as the only model, and counted with it.
        (
            &[mini][..],
            &[own, nano][..],
            false,
            expected(&[("all", 80 * DOLLAR), ("mini", 80 * DOLLAR), ("mini-tokens", 80)]),
        ),
        // As dear as the dearest; it counts with the first.
        (
            &[mini, o1],
            &[nano],
            false,
            expected(&[("all", 1_050 * DOLLAR), ("mini", 1_050 * DOLLAR), ("mini-tokens", 40), ("o1", 0)]),
        ),
        (
            &[o1, mini],
            &[nano],
            false,
            expected(&[("all", 1_050 * DOLLAR), ("mini", 0), ("mini-tokens", 0), ("o1", 40)]),
        ),
        // What was judged counts for itself alone, unless nobody knows whose it is.
        (
            &[o1, mini],
            &[own],
            false,
            expected(&[("all", 40 * DOLLAR), ("mini", 40 * DOLLAR), ("mini-tokens", 40), ("o1", 0)]),
        ),
        (
            &[mini, o1],
            &[used("o1")],
            true,
            expected(&[("all", 1_050 * DOLLAR), ("mini", 1_050 * DOLLAR), ("mini-tokens", 40), ("o1", 40)]),
        ),
    ] {
        let mut charged = charged(&priced, taken_for, calls, shared);
        charged.sort();
        assert_eq!(charged, all, "{taken_for:?} {calls:?} {shared}");
    }
    // When it is taken, it is more than any limit still.
    let targets = [model("openAI", "gpt-4o-mini")];
    let amounts = Amounts { requests: 1, messages: 1, runs: &[nano] };
    let ask = Ask { caller: &caller, targets: &targets };
    assert!(priced.charges(&ask, &amounts).iter().any(|charge| charge.amount == u64::MAX));
}

/// After a restart the policy may have no price for anything that was taken.
#[test]
fn what_was_used_costs_librechats_rate_where_the_policy_has_no_price_at_all() {
    let policy = policy(
        "roles: { USER: { endpoints: { openAI: { models: [o1] } }, limits: [{ id: l, cost: 5 USD, per: user, window: day }] } }\n\
         prices: { o1: { input: 1, output: 1 } }",
    );
    let caller = caller("USER", &[], "65f0c1d2e3a4b5c6d7e8f901");
    let targets = [model("openAI", "o1")];
    let gone = Run { endpoint: "openAI", model: "gpt-4o-mini", tokens: Tokens { output: 10, ..Tokens::default() } };
    let used = Used { amounts: Amounts { requests: 1, messages: 1, runs: &[gone] }, taken_for: &[gone], shared: false };
    let charges = policy.settled_charges(&Ask { caller: &caller, targets: &targets }, &used);
    assert_eq!(charges[0].amount, 10 * 600_000);
}

/// The codes of the faults of a policy.
fn codes_of(text: &str) -> Vec<&'static str> {
    match compile(&[source("p.yaml", &format!("version: 1\n{text}"))]) {
        Ok((_, warnings)) => warnings.faults().iter().map(|fault| fault.code).collect(),
        Err(report) => report.faults().iter().map(|fault| fault.code).collect(),
    }
}

#[test]
fn every_model_that_a_limit_of_money_covers_has_a_price() {
    const LIMIT: &str = "{ id: l, cost: 5 USD, per: user, window: day }";
    let with = |limits: &str, prices: &str, more: &str| {
        codes_of(&format!(
            "{more}\nroles:\n  USER: {{ endpoints: {{ openAI: {{ models: [a, 'g-*'] }} }}, limits: {limits} }}\n\
             \x20 OTHER: {{ endpoints: {{ openAI: {{ models: [z] }} }} }}\nprices: {prices}\n"
        ))
    };
    let limits = |scope: &str| format!("[{{ id: l, cost: 5 USD, per: user, window: day, {scope} }}]");
    let priced = |model: &str| format!("{{ '{model}': {{ input: 1, output: 2 }}, a: {{ input: 1, output: 2 }} }}");
    let faulty = ["without-price"];
    let none: [&str; 0] = [];
    for (limits, prices, more, expected) in [
        // Those of other roles need none.
        (format!("[{LIMIT}]"), priced("g-*"), "", &none[..]),
        (format!("[{LIMIT}]"), priced("*"), "", &none),
        (format!("[{LIMIT}]"), priced("default"), "", &none),
        (format!("[{LIMIT}]"), priced("openAI|g-*"), "", &none),
        (format!("[{LIMIT}]"), priced("google|g-*"), "", &faulty),
        // A price for some of the names of a pattern is none for the others.
        (format!("[{LIMIT}]"), priced("g-4*"), "", &faulty),
        (limits("models: [a]"), priced("x"), "", &none),
        (limits("models: [g-4o]"), priced("g-4o"), "", &none),
        (limits("models: [g-4o, g-5]"), priced("g-4o"), "", &faulty),
        (limits("models: ['x-*']"), priced("x"), "", &["unreachable-limit"]),
        (limits("models: ['g-4*']"), priced("g-4*"), "", &none),
        (limits("endpoints: [google]"), priced("x"), "", &["unreachable-limit"]),
        (limits("endpoints: [OPENAI]"), priced("x"), "", &["without-price", "unknown-endpoint"]),
        // Members of groups and users may have other models, and all of them where nothing restricts them.
        (format!("[{LIMIT}]"), priced("g-*"), "groups: { g: { endpoints: { openAI: { models: [q] } } } }", &faulty),
        (format!("[{LIMIT}]"), priced("g-*"), "groups: { g: { unrestricted: true } }", &faulty),
        (format!("[{LIMIT}]"), priced("g-*"), "groups: { g: { unrestricted: true, limits: none } }", &none),
        (format!("[{LIMIT}]"), priced("g-*"), "users: { a@b.c: { endpoints: { openAI: { models: [q] } } } }", &faulty),
        (format!("[{LIMIT}]"), priced("g-*"), "unlisted: { endpoint: allow }", &faulty),
        (format!("[{LIMIT}]"), priced("g-*"), "unlisted: { role: allow }", &none),
        ("none".to_owned(), priced("g-*"), "limits: [{ id: x, cost: 1 USD, per: global, window: day }]", &faulty),
        ("none".to_owned(), priced("z"), "limits: [{ id: x, cost: 1 USD, per: global, window: day }]", &none),
        // Agents are listed by their ids, and have no price.
        (format!("[{LIMIT}]"), priced("g-*"), "groups: { g: { endpoints: { agents: { models: [agent_x] } } } }", &none),
    ] {
        assert_eq!(with(&limits, &prices, more), expected, "{limits} {prices} {more}");
    }
}

#[test]
fn librechats_rates_stand_in_for_what_has_no_price() {
    let rates = |more: &str| {
        policy(&format!(
            "prices:\n  librechat: true\n  gpt-4o: {{ input: 1, output: 1 }}\n  'o3*': {{ input: 3, output: 3 }}\n{more}"
        ))
    };
    let plain = |price: u64| self::price(price * DOLLAR, price * DOLLAR, price * DOLLAR, price * DOLLAR);
    let (alone, default) = (rates(""), rates("  default: { input: 9, output: 9 }\n"));
    for (model, expected_alone, expected_default) in [
        ("gpt-4o", plain(1), plain(1)),
        ("o3-mini", plain(3), plain(3)),
        // Whatever the default says, LibreChat knows this one.
        ("gpt-4o-mini", price(150_000, 75_000, 150_000, 600_000), price(150_000, 75_000, 150_000, 600_000)),
        ("mindroom", plain(6), plain(9)),
    ] {
        assert_eq!(alone.price("openAI", model), expected_alone, "{model}");
        assert_eq!(default.price("openAI", model), expected_default, "{model}");
    }
    let long = |policy: &Snapshot| policy.price_for("google", "gemini-3.1-pro", 200_001).unwrap().input;
    assert_eq!(long(&alone), 4 * DOLLAR);
    let off = policy("prices: { librechat: false, gpt-4o: { input: 1, output: 1 } }");
    assert_eq!(off.price("openAI", "gpt-4o-mini"), None);
}

#[test]
fn under_librechats_rates_every_model_has_a_price_and_pays_it() {
    const LIMITS: &str = "limits: [{ id: purse, cost: 5 USD, per: global, window: day }]";
    let open = "unlisted: { endpoint: allow, role: allow }";
    assert_eq!(codes_of(&format!("{open}\n{LIMITS}\nprices: {{ librechat: true }}\n")), [""; 0]);
    assert_eq!(codes_of(&format!("{open}\n{LIMITS}\nprices: {{ librechat: false }}\n")), ["without-price"]);
    let policy = policy(&format!("{open}\n{LIMITS}\nprices: {{ librechat: true }}\n"));
    let caller = caller("USER", &[], "65f0c1d2e3a4b5c6d7e8f901");
    let targets = [model("google", "gemini-3.1-pro")];
    let cost = |input: u64| {
        let run = Run {
            endpoint: "google",
            model: "gemini-3.1-pro",
            tokens: Tokens { input, output: 1, ..Tokens::default() },
        };
        let amounts = Amounts { requests: 1, messages: 1, runs: &[run] };
        policy.charges(&Ask { caller: &caller, targets: &targets }, &amounts)[0].amount
    };
    // The rate of a long prompt is that of all of it, and of its answer.
    assert_eq!(
        (cost(200_000), cost(200_001)),
        (200_000 * 2 * DOLLAR + 12 * DOLLAR, 200_001 * 4 * DOLLAR + 18 * DOLLAR)
    );
}

#[test]
fn what_needs_a_price_is_named_with_its_limit() {
    let text = "version: 1\n\
        roles: { USER: { endpoints: { openAI: { models: [o1] } }, limits: [{ id: purse, cost: 5 USD, per: user, window: day }] } }\n";
    let report = compile(&[source("p.yaml", text)]).unwrap_err();
    assert_eq!(report.faults()[0].message, "\"o1\" of \"openAI\" has no price, and the limit \"purse\" is about money");
}

proptest! {
    /// Wherever `check` is content, nothing that is allowed is without a price.
    #[test]
    fn what_is_allowed_under_a_limit_of_money_has_a_price(
        models in proptest::collection::btree_set("[ab*]{1,3}", 1..3),
        prices in proptest::collection::btree_set("(openAI[|])?[ab*]{1,3}", 1..3),
        scope in proptest::option::of("[ab*]{1,2}"),
        name in "[ab]{1,4}",
    ) {
        let list = |names: &std::collections::BTreeSet<String>, each: &dyn Fn(&String) -> String| {
            names.iter().map(each).collect::<Vec<_>>().join(", ")
        };
        let scope = scope.map_or(String::new(), |scope| format!(", models: ['{scope}']"));
        let text = format!(
            "version: 1\nroles: {{ USER: {{ endpoints: {{ openAI: {{ models: [{}] }} }}, \
             limits: [{{ id: l, cost: 5 USD, per: user, window: day{scope} }}] }} }}\nprices: {{ {} }}\n",
            list(&models, &|name| format!("'{name}'")),
            list(&prices, &|name| format!("'{name}': {{ input: 1, output: 1 }}")),
        );
        let Ok((snapshot, _)) = compile(&[source("p.yaml", &text)]) else { return Ok(()) };
        let caller = caller("USER", &[], "");
        let targets = [model("openAI", &name)];
        let ask = Ask { caller: &caller, targets: &targets };
        if decide(&snapshot, &ask).outcome == Outcome::Allow && !snapshot.charges(&ask, &Amounts::default()).is_empty() {
            prop_assert!(snapshot.price("openAI", &name).is_some(), "{} {}", text, name);
        }
    }
}
