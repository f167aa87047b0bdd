//! Limits: which of them apply to whom, what they take, and the faults of those that cannot be meant.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::charge::{Charge, Unit, Window};
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::limits::{Measure, OnFailure};

const ANN: &str = "65f0c1d2e3a4b5c6d7e8f901";

fn run(model: &'static str, tokens: Tokens) -> Run<'static> {
    Run { endpoint: "openAI", model, tokens }
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, output, ..Tokens::default() }
}

/// What one request of a model takes, as `key amount/ceiling`.
fn taken(policy: &Snapshot, caller: &Caller, targets: &[Target], amounts: &Amounts<'_>) -> Vec<String> {
    listed(&policy.charges(&Ask { caller, targets }, amounts))
}

fn listed(charges: &[Charge]) -> Vec<String> {
    charges.iter().map(|charge| format!("{} {}/{}", charge.key, charge.amount, charge.ceiling)).collect()
}

/// The rules of the limits that apply to one chat with gpt-4o.
fn rules(policy: &Snapshot, caller: &Caller) -> Vec<String> {
    let targets = [model("openAI", "gpt-4o")];
    let amounts = Amounts { requests: 1, messages: 1, runs: &[] };
    policy.charges(&Ask { caller, targets: &targets }, &amounts).iter().map(|charge| charge.rule.to_string()).collect()
}

const POLICY: &str = r#"
roles:
  USER:
    limits:
      - { id: user-rpm, requests: 60, per: user, window: 1m }
      - { id: user-tpm, tokens: 100k, per: user, window: 90s }
      - { id: user-day, tokens: 500k, per: user, window: day, timezone: Europe/Berlin }
      - { id: dear, messages: 10, per: user, window: week, models: ["o1*"], endpoints: [openAI] }
      - { id: role-in, input_tokens: 2M, per: role, window: month }
      - { id: parallel, concurrent: 2, per: user }
groups:
  lab:
    limits:
      - { id: lab-out, output_tokens: 1.5M, per: group, window: month }
      - { id: lab-each, requests: 5, per: user, window: hour }
users:
  ann@example.edu:
    limits: [{ id: ann-day, tokens: 2M, per: user, window: day }]
limits:
  - { id: all, requests: 1000, per: global, window: 1m }
"#;

#[test]
fn every_limit_of_the_caller_takes_its_measure_from_its_counter() {
    let policy = policy(POLICY);
    let mut ann = caller("USER", &["lab"], "ann@example.edu");
    ann.user = ANN.into();
    let targets = [model("openAI", "gpt-4o"), model("openAI", "o1-mini")];
    let cached = Tokens { input: 10, cached_input: 20, cache_write: 30, output: 7 };
    let runs = [run("gpt-4o", tokens(100, 50)), run("o1-mini", cached), run("gpt-4o", tokens(1, 1))];
    let amounts = Amounts { requests: 1, messages: 2, runs: &runs };
    assert_eq!(
        taken(&policy, &ann, &targets, &amounts),
        [
            &*format!("ann-day:tokens:user:{ANN} 219/2000000"),
            &*format!("lab-each:requests:user:{ANN} 1/5"),
            "lab-out:output_tokens:group:lab 58/1500000",
            &*format!("dear:messages:user:{ANN} 2/10"),
            &*format!("parallel:concurrent:user:{ANN} 1/2"),
            "role-in:input_tokens:role:USER 161/2000000",
            &*format!("user-rpm:requests:user:{ANN} 1/60"),
            &*format!("user-tpm:tokens:user:{ANN} 219/100000"),
            "all:requests:global 1/1000",
        ]
    );
    let charges = policy.charges(&Ask { caller: &ann, targets: &targets }, &amounts);
    let window = |id: &str| charges.iter().find(|charge| charge.key.starts_with(id)).unwrap().window.clone();
    let berlin = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    assert_eq!(window("user-tpm"), Window::Rolling(Duration::from_secs(90)));
    assert_eq!(window("ann-day"), Window::Calendar { unit: Unit::Day, zone: jiff::tz::TimeZone::UTC });
    assert_eq!(window("parallel"), Window::Open);
    let others = policy.charges(&Ask { caller: &caller("USER", &[], ANN), targets: &targets }, &amounts);
    let day = others.iter().find(|charge| charge.rule.as_str() == "roles.USER.limits.user-day").unwrap();
    assert_eq!(day.window, Window::Calendar { unit: Unit::Day, zone: berlin });
    assert_eq!(&*day.key, format!("user-day:tokens:user:{ANN}"));
}

#[test]
fn a_scope_meets_what_a_request_may_run() {
    let policy = policy(
        r#"
roles:
  USER:
    limits:
      - { id: models, messages: 9, per: user, window: day, models: ["o1*", gpt-5] }
      - { id: endpoint, messages: 8, per: user, window: day, endpoints: [MindRoom] }
      - { id: both, messages: 7, per: user, window: day, models: [gpt-5], endpoints: [openAI] }
"#,
    );
    let of_agent = |part| Target::Agent { agent: "agent_1".into(), part };
    let part = |endpoint: &str, model: &str| Part::Model { endpoint: endpoint.into(), model: model.into() };
    let unjudged = Unjudged { code: "agent.provider", detail: "".into() };
    for (targets, expected) in [
        (vec![model("openAI", "gpt-4o")], &[][..]),
        (vec![model("openAI", "o1-mini")], &["models"]),
        (vec![model("openAI", "O1-mini")], &[]),
        (vec![model("openAI", "gpt-5")], &["both", "models"]),
        (vec![model("google", "gpt-5")], &["models"]),
        (vec![model("MindRoom", "x")], &["endpoint"]),
        // LibreChat finds a custom endpoint of an agent in any spelling.
        (vec![of_agent(part("mindroom", "x"))], &["endpoint"]),
        (vec![model("openAI", "gpt-4o"), model("MindRoom", "gpt-5")], &["endpoint", "models"]),
        (vec![of_agent(Part::Itself), of_agent(part("openAI", "o1"))], &["models"]),
        (vec![Target::Assistant { endpoint: "assistants".into(), model: "o1".into() }], &["models"]),
        // What may run any model meets every limit.
        (vec![of_agent(Part::Unjudged(unjudged))], &["both", "endpoint", "models"]),
        (vec![Target::Surface(Surface::Assistants)], &["both", "endpoint", "models"]),
        (vec![Target::Surface(Surface::RemoteApi), of_agent(part("openAI", "o1"))], &["models"]),
        // What runs no model takes nothing.
        (vec![], &[]),
        (vec![of_agent(Part::Itself), Target::Tool(Tool::Named("dalle".into()))], &[]),
        (vec![Target::Endpoint("openAI".into()), Target::Feature(Feature::UserKeys)], &[]),
    ] {
        let ask = Ask { caller: &caller("USER", &[], ANN), targets: &targets };
        let charges = policy.charges(&ask, &Amounts { requests: 1, messages: 1, runs: &[] });
        let ids: Vec<_> = charges.iter().map(|charge| charge.key.split(':').next().unwrap()).collect();
        assert_eq!(ids, expected, "{targets:?}");
        assert!(charges.iter().all(|charge| charge.amount == 1));
    }
}

#[test]
fn tokens_count_only_for_the_runs_that_a_limit_is_about() {
    let policy =
        policy("roles: { USER: { limits: [{ id: o1, tokens: 100, per: user, window: day, models: ['o1*'] }] } }");
    let targets = [model("openAI", "gpt-4o"), model("openAI", "o1")];
    let runs = [run("gpt-4o", tokens(1000, 1000)), run("o1", tokens(3, 4))];
    let caller = caller("USER", &[], ANN);
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    assert_eq!(taken(&policy, &caller, &targets, &amounts), [format!("o1:tokens:user:{ANN} 7/100")]);
    // The limit is named although nothing is known to be used: what is settled must name the same counters.
    let amounts = Amounts { requests: 1, messages: 1, runs: &[] };
    assert_eq!(taken(&policy, &caller, &targets, &amounts), [format!("o1:tokens:user:{ANN} 0/100")]);
    // Sums never wrap.
    let runs = [run("o1", tokens(u64::MAX, 1)), run("o1", tokens(1, u64::MAX))];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    assert_eq!(taken(&policy, &caller, &targets, &amounts), [format!("o1:tokens:user:{ANN} {}/100", u64::MAX)]);
}

#[test]
fn the_nearer_limit_stands_in_for_one_that_says_the_same() {
    let policy = policy(
        r#"
roles:
  USER: { limits: [{ id: role-day, tokens: 500k, per: user, window: day }] }
groups:
  a: { limits: [{ id: a-day, tokens: 1M, per: user, window: day }] }
  b: { limits: [{ id: b-day, tokens: 2M, per: user, window: day, timezone: Europe/Berlin }] }
  other-measure: { limits: [{ id: m, input_tokens: 1M, per: user, window: day }] }
  other-window: { limits: [{ id: w, tokens: 1M, per: user, window: 24h }] }
  other-scope: { limits: [{ id: s, tokens: 1M, per: user, window: day, models: ["gpt*"] }] }
  shared: { limits: [{ id: pool, tokens: 1M, per: group, window: day }] }
  shadow: { limits: [{ id: sh, tokens: 1M, per: user, window: day, mode: shadow }] }
  free: { limits: none }
users:
  ann@example.edu: { limits: [{ id: ann-day, tokens: 5M, per: user, window: day }] }
  bob@example.edu: { limits: none }
limits:
  - { id: every-day, tokens: 100k, per: user, window: day }
  - { id: all-day, tokens: 100M, per: global, window: day }
"#,
    );
    let (all, role) = ("limits.all-day", "roles.USER.limits.role-day");
    for (role_name, groups, user, expected) in [
        ("USER", &[][..], "", &[role, all][..]),
        ("OTHER", &[], "", &[all, "limits.every-day"]),
        ("USER", &["a"], "", &["groups.a.limits.a-day", all]),
        // Of several groups all hold, in whatever order the directory has them, and each once.
        ("USER", &["b", "a", "b"], "", &["groups.a.limits.a-day", "groups.b.limits.b-day", all]),
        ("USER", &["other-measure"], "", &["groups.other-measure.limits.m", role, all]),
        ("USER", &["other-window"], "", &["groups.other-window.limits.w", role, all]),
        ("USER", &["other-scope"], "", &["groups.other-scope.limits.s", role, all]),
        ("USER", &["shared"], "", &["groups.shared.limits.pool", role, all]),
        ("USER", &["shadow"], "", &[role, all]),
        ("USER", &["a"], "ann@example.edu", &["users.ann@example.edu.limits.ann-day", all]),
        ("USER", &["free"], "", &[]),
        ("USER", &["free", "a"], "", &["groups.a.limits.a-day"]),
        ("USER", &["free"], "ann@example.edu", &["users.ann@example.edu.limits.ann-day"]),
        ("USER", &["a"], "bob@example.edu", &[]),
    ] {
        assert_eq!(rules(&policy, &caller(role_name, groups, user)), expected, "{role_name} {groups:?} {user}");
    }
}

#[test]
fn a_limit_of_zero_closes_and_is_never_lifted() {
    let policy = policy(
        r#"
roles:
  USER: { limits: [{ id: no-o1, tokens: 0, per: user, window: day, models: [gpt-4o] }] }
users:
  ann@example.edu: { limits: [{ id: ann, tokens: 5M, per: user, window: day, models: [gpt-4o] }] }
  bob@example.edu: { limits: none }
"#,
    );
    let targets = [model("openAI", "gpt-4o")];
    for (user, expected) in [
        ("", &["no-o1:tokens:user: 1/0"][..]),
        ("bob@example.edu", &["no-o1:tokens:user:000000000000000000000000 1/0"]),
        (
            "ann@example.edu",
            &["ann:tokens:user:000000000000000000000000 0/5000000", "no-o1:tokens:user:000000000000000000000000 1/0"],
        ),
    ] {
        // Nothing is known of the tokens, and still it does not fit.
        let charged = taken(&policy, &caller("USER", &[], user), &targets, &Amounts::default());
        assert_eq!(charged, expected, "{user}");
    }
}

#[test]
fn unrestricted_callers_have_limits_unless_the_entry_says_otherwise() {
    let with = |limits: &str| {
        policy(&format!(
            "roles: {{ ADMIN: {{ unrestricted: true{limits} }} }}\n\
             limits: [{{ id: all, requests: 9, per: user, window: 1m }}]"
        ))
    };
    let admin = caller("ADMIN", &[], "");
    assert_eq!(rules(&with(""), &admin), ["limits.all"]);
    assert_eq!(rules(&with(", limits: none"), &admin), [""; 0]);
}

#[test]
fn limits_in_shadow_mode_are_apart() {
    let limits = "roles: { USER: { limits: [\
        { id: a, requests: 1, per: user, window: 1m, mode: shadow }, { id: b, requests: 9, per: user, window: day }] } }";
    let (enforced, shadowed) = (policy(limits), policy(&format!("mode: shadow\n{limits}")));
    let targets = [model("openAI", "x")];
    let ask = Ask { caller: &caller("USER", &[], ANN), targets: &targets };
    let amounts = Amounts { requests: 1, messages: 1, runs: &[] };
    let (a, b) = (format!("a:requests:user:{ANN} 1/1"), format!("b:requests:user:{ANN} 1/9"));
    assert_eq!(listed(&enforced.charges(&ask, &amounts)), std::slice::from_ref(&b));
    assert_eq!(listed(&enforced.shadow_charges(&ask, &amounts)), std::slice::from_ref(&a));
    assert_eq!(listed(&shadowed.charges(&ask, &amounts)), [""; 0]);
    assert_eq!(listed(&shadowed.shadow_charges(&ask, &amounts)), [a, b]);
    let enforced: Vec<_> = enforced.enforced_limits().map(RuleId::as_str).collect();
    assert_eq!((enforced, shadowed.enforced_limits().count()), (vec!["roles.USER.limits.b"], 0));
}

#[test]
fn terms_are_found_by_the_rule_of_a_charge() {
    let text = "limits:\n\
        - { id: a, tokens: 9, per: user, window: day, strict: true, warn_at: 50, on_failure: { local_share: 25% } }\n\
        - { id: b, tokens: 9, per: global, window: day, on_failure: deny }\n";
    let policy = policy(text);
    let a = policy.terms(&RuleId::new("limits.a")).unwrap();
    assert_eq!((a.measure, a.strict, a.warn_at, a.on_failure), (Measure::Tokens, true, 50, OnFailure::LocalShare(25)));
    let b = policy.terms(&RuleId::new("limits.b")).unwrap();
    assert_eq!((b.mode, b.strict, b.warn_at, b.on_failure), (Mode::Enforce, false, 80, OnFailure::Deny));
    assert_eq!(policy.terms(&RuleId::new("limits.c")), None);
    assert_eq!(
        super::policy(&format!("mode: shadow\n{text}")).terms(&RuleId::new("limits.b")).unwrap().mode,
        Mode::Shadow
    );
}

#[test]
fn editing_a_limit_keeps_its_counter() {
    let key = |limit: &str| {
        let policy = policy(&format!("roles: {{ USER: {{ limits: [{{ id: a, per: user, {limit} }}] }} }}"));
        let targets = [model("openAI", "gpt-4o")];
        let ask = Ask { caller: &caller("USER", &[], ANN), targets: &targets };
        policy.charges(&ask, &Amounts::default())[0].key.to_string()
    };
    let before = key("tokens: 100, window: day");
    for edited in [
        "tokens: 5M, window: day",
        "tokens: 100, window: month, timezone: Europe/Berlin",
        "tokens: 100, window: day, models: ['gpt*']",
        "tokens: 100, window: day, warn_at: 50, strict: true",
    ] {
        assert_eq!(key(edited), before, "{edited}");
    }
    assert_ne!(key("requests: 100, window: day"), before, "requests are not taken for tokens");
}

/// A limit, as random words.
fn any_limit() -> impl Strategy<Value = String> {
    let measure = proptest::sample::select(&["requests: 5", "messages: 3", "tokens: 7k", "output_tokens: 0"][..]);
    let window = proptest::sample::select(&["1m", "day", "month"][..]);
    let scope = proptest::sample::select(
        &["", ", models: ['gpt-*']", ", models: [o1]", ", endpoints: [openAI]", ", endpoints: [google], models: [o1]"]
            [..],
    );
    let mode = proptest::sample::select(&["", ", mode: shadow"][..]);
    (measure, window, scope, mode)
        .prop_map(|(measure, window, scope, mode)| format!("{measure}, window: {window}{scope}{mode}"))
}

/// One file for each entry: what it is about, and its limits.
fn any_entries() -> impl Strategy<Value = Vec<(&'static str, &'static str, bool, Vec<String>)>> {
    const PLACES: [(&str, &str); 6] =
        [("roles", "USER"), ("groups", "a"), ("groups", "b"), ("users", "ann@example.edu"), ("users", ANN), ("", "")];
    let entry = (proptest::bool::weighted(0.15), proptest::collection::vec(any_limit(), 1..3));
    proptest::collection::vec(proptest::option::of(entry), PLACES.len()).prop_map(|entries| {
        let places = PLACES.into_iter().zip(entries);
        places
            .filter_map(|((section, name), entry)| entry.map(|(none, limits)| (section, name, none, limits)))
            .collect()
    })
}

fn files(entries: &[(&str, &str, bool, Vec<String>)]) -> Vec<Source> {
    let mut ids = 0;
    let mut limit = |limit: &String| {
        ids += 1;
        format!("{{ id: l{ids}, per: user, {limit} }}")
    };
    let file = |(section, name, none, limits): &(&str, &str, bool, Vec<String>)| {
        let list = match (none, section.is_empty()) {
            (true, false) => "none".to_owned(),
            _ => format!("[{}]", limits.iter().map(&mut limit).collect::<Vec<_>>().join(", ")),
        };
        let text = if section.is_empty() {
            format!("limits: {list}")
        } else {
            format!("{section}: {{ '{name}': {{ limits: {list} }} }}")
        };
        source("p.yaml", &format!("version: 1\n{text}\n"))
    };
    entries.iter().map(file).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn charges_depend_on_no_order_and_name_each_limit_once(
        entries in any_entries(),
        turn in 0_usize..6,
        shown in proptest::sample::select(&[("openAI", "gpt-4o"), ("openAI", "o1"), ("google", "o1")][..]),
        groups in proptest::sample::subsequence(vec!["a", "b", "a"], 0..=3),
    ) {
        let sources = files(&entries);
        let Ok((snapshot, _)) = compile(&sources) else { return Ok(()) };
        let mut turned = sources.clone();
        turned.rotate_left(turn % sources.len().max(1));
        let Ok((other, _)) = compile(&turned) else { panic!("the order of files made a fault") };
        let mut ann = caller("USER", &groups, "ann@example.edu");
        ann.user = ANN.into();
        let mut back = ann.clone();
        back.groups = back.groups.iter().rev().cloned().collect();
        let targets = [model(shown.0, shown.1)];
        let runs = [Run { endpoint: shown.0, model: shown.1, tokens: tokens(5, 6) }];
        let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
        let ask = Ask { caller: &ann, targets: &targets };
        let charges = snapshot.charges(&ask, &amounts);
        prop_assert_eq!(&charges, &other.charges(&Ask { caller: &back, targets: &targets }, &amounts));
        let shadowed = snapshot.shadow_charges(&ask, &amounts);
        let mut keys: Vec<_> = charges.iter().chain(&shadowed).map(|charge| charge.key.clone()).collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), all, "a limit is charged twice");
        // The explanation says of each limit whether it counts, and is drawn from the same place.
        let explained = explain::explain(&snapshot, &ann).limits;
        for charge in &charges {
            let found: Vec<_> = explained.iter().filter(|limit| limit.rule == charge.rule).collect();
            prop_assert_eq!(found.len(), 1);
            let effect = if charge.ceiling == 0 { explain::LimitEffect::Closes } else { explain::LimitEffect::Limits };
            prop_assert_eq!(found[0].effect, effect);
        }
        // What is said to be in force, and is about the model, is charged.
        for limit in explained.iter().filter(|limit| matches!(limit.effect, explain::LimitEffect::Limits | explain::LimitEffect::Closes)) {
            let meant = limit.models.is_empty() || limit.models.iter().any(|name| pattern::covers(name, shown.1));
            let meant = meant && (limit.endpoints.is_empty() || limit.endpoints.iter().any(|name| **name == *shown.0));
            prop_assert_eq!(charges.iter().any(|charge| charge.rule == limit.rule), meant, "{}", limit.rule);
        }
        // A limit of the user's own always holds.
        for limit in explained.iter().filter(|limit| limit.rule.as_str().starts_with("users.")) {
            prop_assert_ne!(limit.effect, explain::LimitEffect::Unused);
        }
    }
}

#[test]
fn a_caller_is_told_the_limits_that_count_each_with_the_counter_that_charges_draw_from() {
    let policy = policy(&format!("{POLICY}mode: enforce\n"));
    let ann = caller("USER", &["lab"], "ann@example.edu");
    let held = policy.limits_of(&ann);
    let shown: Vec<_> = held
        .iter()
        .map(|held| format!("{} {} {}", held.statement.id, held.charge.key, held.measure.decimal(held.charge.ceiling)))
        .collect();
    // The day of the role counts no more: Ann has one of her own.
    let ids: Vec<_> = held.iter().map(|held| held.charge.id()).collect();
    assert!(ids.contains(&"ann-day") && !ids.contains(&"user-day"), "{shown:?}");
    let targets = [model("openAI", "o1")];
    let all = policy.charges(&Ask { caller: &ann, targets: &targets }, &Amounts::default());
    let mut counters: Vec<_> = all.iter().map(|charge| (&charge.key, charge.ceiling)).collect();
    let mut told: Vec<_> = held.iter().map(|held| (&held.charge.key, held.charge.ceiling)).collect();
    counters.sort();
    told.sort();
    assert_eq!(told, counters);
    assert!(held.iter().all(|held| held.charge.amount == 0 && held.mode == Mode::Enforce));
    assert!(policy.has_limits());
    assert!(!super::policy("").has_limits());
}
