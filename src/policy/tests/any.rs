//! Ten thousand policies by chance, of the whole language: reading one never panics, and whatever is asked of one that is taken has an
//! answer with a rule that the policy has.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::charges::{Amounts, Run, Tokens};
use super::random::any_caller;
use super::*;
use crate::policy::defaults::UserDefaults;
use crate::policy::mapping::{Claim, Claims};
use crate::policy::overrides::{Document, Kind, Principal};

const POLICIES: u32 = 10_000;

/// Everybody has these values in every claim.
struct Everything;

impl Claims for Everything {
    fn values(&self, _claim: &Claim) -> Vec<Box<str>> {
        vec!["staff".into(), "tg-a".into()]
    }
}

fn object(members: Vec<(&'static str, Option<Value>)>) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    there.collect::<Map<_, _>>().into()
}

/// Mostly what the language has, and now and then what it has not.
fn words(good: &'static [&'static str], odd: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![300 => select(good), 1 => select(odd)].prop_map(Value::from)
}

fn names(good: &'static [&'static str], odd: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![100 => vec(words(good, odd), 1..3).prop_map(Value::from), 3 => Just(json!([])), 1 => Just(json!("x"))]
}

fn models() -> impl Strategy<Value = Value> {
    names(&["small", "big", "big-new", "old-*"], &["", "*", " x", "a**"])
}

fn lists() -> impl Strategy<Value = Value> {
    let deny = names(&["bad", "bad-*"], &["*", ""]);
    (option::weighted(0.9, models()), option::weighted(0.2, deny))
        .prop_map(|(models, deny)| object(vec![("models", models), ("deny", deny)]))
}

fn endpoints() -> impl Strategy<Value = Value> {
    let agents = names(&["agent_a", "agent_b"], &["*"]).prop_map(|list| json!({ "models": list }));
    let custom = lists().prop_map(|lists| json!({ "MindRoom": lists }));
    let odd = prop_oneof![200 => Just(None), 1 => lists().prop_map(Some)];
    (
        option::of(lists()),
        option::weighted(0.3, lists()),
        option::weighted(0.2, agents),
        option::weighted(0.3, custom),
        odd,
    )
        .prop_map(|(one, two, agents, custom, odd)| {
            object(vec![("openAI", one), ("assistants", two), ("agents", agents), ("custom", custom), ("nowhere", odd)])
        })
}

fn limit(per: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let measure =
        select(&["requests", "messages", "tokens", "input_tokens", "output_tokens", "cost", "concurrent"][..]);
    let amount =
        prop_oneof![100 => (0_u64..1_000).prop_map(Value::from), 10 => Just(json!("10k")), 1 => Just(json!("-1"))];
    let window = words(&["1m", "90s", "24h", "hour", "day", "week", "month"], &["year", "0s"]);
    let zone = option::weighted(0.2, words(&["Europe/Berlin", "Asia/Kolkata"], &["Mars/Olympus"]));
    let (scope, strict) = (option::weighted(0.2, models()), option::weighted(0.1, any::<bool>()));
    let mode = option::weighted(0.2, words(&["enforce", "shadow"], &["off"]));
    let at = option::weighted(0.2, names(&["openAI", "MindRoom"], &["openai", "custom"]));
    (measure, amount, window, zone, scope, at, strict, mode, select(per)).prop_map(
        |(measure, amount, window, zone, scope, at, strict, mode, per)| {
            let counts = measure != "concurrent";
            let calendar = !window.as_str().is_some_and(|text| text.ends_with(['m', 's']) || text == "24h");
            let mut limit = object(vec![
                ("window", counts.then_some(window)),
                ("timezone", zone.filter(|_| counts && calendar)),
                ("models", scope),
                ("endpoints", at),
                ("strict", strict.filter(|_| matches!(measure, "tokens" | "cost" | "output_tokens")).map(Value::from)),
                ("mode", mode),
                ("per", Some(per.into())),
            ]);
            limit[measure] =
                if measure == "cost" { format!("{} USD", amount.as_u64().unwrap_or(7)).into() } else { amount };
            limit
        },
    )
}

fn entry(per: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let limits = prop_oneof![6 => vec(limit(per), 1..3).prop_map(Value::from), 1 => Just(json!("none"))];
    let tools =
        (option::of(names(&["web_search", "x_mcp_y"], &["*"])), option::of(names(&["shell", "*_mcp_z"], &["*"])))
            .prop_map(|(allow, deny)| object(vec![("allow", allow), ("deny", deny)]));
    (
        option::weighted(0.15, words(&["enforce", "shadow"], &["off"])),
        proptest::bool::weighted(0.15),
        option::weighted(0.8, endpoints()),
        option::weighted(0.15, tools),
        option::weighted(0.3, limits),
    )
        .prop_map(|(mode, open, endpoints, tools, limits)| match open {
            true => object(vec![("unrestricted", Some(true.into())), ("mode", mode), ("limits", limits)]),
            false => object(vec![("mode", mode), ("endpoints", endpoints), ("tools", tools), ("limits", limits)]),
        })
}

fn section(names: &'static [&'static str], per: &'static [&'static str]) -> impl Strategy<Value = Value> {
    vec((select(names), entry(per)), 0..3).prop_map(|entries| {
        entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect::<Map<_, _>>().into()
    })
}

/// A policy of the whole language, as the text of a file.
pub(in crate::policy) fn any_text() -> impl Strategy<Value = String> {
    let open = || option::weighted(0.3, words(&["allow", "deny"], &["maybe"]));
    let unlisted = (open(), open()).prop_map(|(endpoint, role)| object(vec![("endpoint", endpoint), ("role", role)]));
    let price = || (0_u32..100).prop_map(|of| json!({ "input": of, "output": of }));
    let prices = option::weighted(0.8, price()).prop_flat_map(move |default| {
        price().prop_map(move |small| object(vec![("default", default.clone()), ("small", Some(small))]))
    });
    let mapping = Just(json!([{ "claim": "groups", "token": "id", "has": "staff", "role": "ADMIN" }]));
    let groups = Just(json!([{ "claim": "groups", "token": "access", "strip": "tg-" }]));
    let blocked = (
        option::of(names(&["65f0c1d2e3a4b5c6d7e8f901", "eve@example.edu"], &["", "eve"])),
        option::of(names(&["c", "former"], &["*", ""])),
    )
        .prop_map(|(users, groups)| object(vec![("users", users), ("groups", groups)]));
    let settings = (
        option::weighted(0.3, words(&["enforce", "shadow"], &["off"])),
        option::weighted(0.3, unlisted),
        open(),
        option::weighted(0.2, any::<bool>()),
        option::weighted(0.2, any::<bool>()),
        option::weighted(0.8, prices),
        option::weighted(0.3, mapping),
        option::weighted(0.3, groups),
    );
    let rest = (
        section(&["USER", "ADMIN", "GUEST"], &["user", "role"]),
        section(&["a", "b", "c"], &["user", "group"]),
        section(&["ann@example.edu", "65f0c1d2e3a4b5c6d7e8f901"], &["user"]),
        option::weighted(0.3, vec(limit(&["user", "global"]), 1..3)),
        option::weighted(0.2, Just(json!({ "user": { "tokens_per_minute": "20k", "requests_per_minute": 30 } }))),
        option::weighted(0.2, names(&["dalle", "*_mcp_all"], &["*"])),
        option::weighted(0.1, blocked),
        option::weighted(0.1, names(&["example.edu", "*.example.org"], &["*", "@x"])),
    );
    (settings, rest).prop_map(|(settings, (roles, groups, users, limits, defaults, tools, blocked, domains))| {
        let (mode, unlisted, keys, assistants, remote, prices, roles_by, groups_by) = settings;
        let mut policy = object(vec![
            ("version", Some(1.into())),
            ("mode", mode),
            ("unlisted", unlisted),
            ("user_keys", keys),
            ("assistants", assistants.map(|enabled| json!({ "enabled": enabled }))),
            ("remote_api", remote.map(|enabled| json!({ "enabled": enabled }))),
            ("prices", prices),
            ("role_mapping", roles_by),
            ("group_mapping", groups_by),
            ("roles", Some(roles)),
            ("groups", Some(groups)),
            ("users", Some(users)),
            ("limits", limits.map(Value::from)),
            ("defaults", defaults),
            ("blocked", blocked),
            ("email_domains", domains),
            ("agents", tools.map(|deny| json!({ "tools": { "deny": deny } }))),
        ]);
        name_limits(&mut policy, &mut 0);
        policy.to_string()
    })
}

/// Overrides for some of those whom [`any_caller`] may be: entries, and now and then a limit of the files that is changed, or a member
/// that is taken away.
fn any_overrides() -> impl Strategy<Value = Vec<Document>> {
    let principal = prop_oneof![
        (Just(Kind::Role), select(&["USER", "ADMIN", "NOBODY"][..])),
        (Just(Kind::Group), select(&["a", "b", "stranger"][..])),
        (Just(Kind::User), Just("65f0c1d2e3a4b5c6d7e8f901")),
    ];
    let per = &["user", "user", "user", "role", "group"];
    let gone = option::weighted(0.2, select(&["limits", "endpoints", "tools", "unrestricted"][..]));
    let changed = option::weighted(0.3, (0_usize..4, 0_u64..100));
    let document = (principal, entry(per), gone, changed, 0_i32..40);
    vec(document, 0..4).prop_map(|documents| {
        let mut next = 1_000;
        let text = |mut says: Value, gone: Option<&str>, changed: Option<(usize, u64)>, next: &mut usize| {
            name_limits(&mut says, next);
            if let Some(members) = says.as_object_mut() {
                if members.get("mode").is_some() && !next.is_multiple_of(8) {
                    members.remove("mode");
                }
                if let Some((id, amount)) = changed {
                    members.insert("limits".to_owned(), json!({ format!("limit-{id}"): { "requests": amount } }));
                }
                if let Some(gone) = gone {
                    members.insert(gone.to_owned(), Value::Null);
                }
            }
            says.to_string()
        };
        let document = |((kind, id), says, gone, changed, priority)| Document {
            principal: Principal { kind, id: Box::from(id) },
            priority,
            version: 1,
            text: text(says, gone, changed, &mut next).into(),
        };
        documents.into_iter().map(document).collect()
    })
}

/// Gives each limit an id of its own.
fn name_limits(value: &mut Value, next: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| name_limits(item, next)),
        Value::Object(members) => {
            if members.contains_key("per") {
                members.insert("id".to_owned(), format!("limit-{next}").into());
                *next += 1;
            }
            members.values_mut().for_each(|member| name_limits(member, next));
        }
        _ => {}
    }
}

fn everything_to_ask() -> Vec<Target> {
    let agent = |part| Target::Agent { agent: "agent_a".into(), part };
    let unjudged = Unjudged { code: "agent.parameters", detail: "x".into() };
    let pairs = [("openAI", "small"), ("openAI", "bad-1"), ("MindRoom", "big"), ("google", "other")];
    let models = pairs.into_iter().flat_map(|(endpoint, name)| {
        let part = Part::Model { endpoint: endpoint.into(), model: name.into() };
        [model(endpoint, name), Target::Agent { agent: "agent_b".into(), part }]
    });
    let others = [
        Target::Assistant { endpoint: "assistants".into(), model: "small".into() },
        Target::Endpoint("openAI".into()),
        Target::Endpoint("agents".into()),
        agent(Part::Itself),
        agent(Part::Tool(Tool::Named("shell".into()))),
        agent(Part::Unjudged(unjudged)),
        Target::Tool(Tool::Named("web_search".into())),
        Target::Tool(Tool::Ending("_mcp_z".into())),
        Target::Feature(Feature::UserKeys),
        Target::Feature(Feature::Speech),
        Target::Surface(Surface::Agents),
        Target::Surface(Surface::RemoteApi),
        Target::Surface(Surface::Assistants),
    ];
    models.chain(others).collect()
}

/// Asks everything there is of a policy, as this caller.
fn ask_everything(policy: &Snapshot, known: &HashSet<RuleId>, caller: &Caller) {
    let caller = policy.mapped(caller, &Everything);
    let is_known = |rule: &RuleId| known.contains(rule) || rule.as_str().starts_with("overrides.");
    let tokens = Tokens { input: u64::MAX, output: 7, ..Tokens::default() };
    for target in everything_to_ask() {
        let targets = [target];
        let ask = Ask { caller: &caller, targets: &targets };
        let verdict = decide(policy, &ask);
        assert_eq!(verdict.because.len(), 1, "{targets:?}");
        let rule = &verdict.because[0];
        assert!(
            is_known(rule) || crate::policy::cases::UNJUDGED.contains(&rule.as_str()),
            "{rule} is no statement of the policy"
        );
        assert!(policy.mode() == Mode::Enforce || verdict.goes_on());
        let runs = [Run { endpoint: "openAI", model: "small", tokens }];
        let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
        for charge in policy.charges(&ask, &amounts).iter().chain(&policy.shadow_charges(&ask, &amounts)) {
            assert!(is_known(&charge.rule), "{} is no statement of the policy", charge.rule);
        }
    }
    explain::explain(policy, &caller).to_table();
}

#[test]
#[expect(clippy::print_stderr, reason = "how many of them are taken is worth knowing")]
fn ten_thousand_policies_by_chance_are_refused_or_answer() {
    let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (in_force, set_aside) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config { cases: POLICIES, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(any_text(), any_caller(), any_overrides()), |(text, caller, overrides)| {
        match compile_listed(&[source("p.yaml", &text)], &UserDefaults::default()) {
            Ok((policy, statements, warnings)) => {
                assert!(!warnings.has_errors());
                let known = statements.into_iter().map(|statement| statement.rule).collect();
                ask_everything(&policy, &known, &caller);
                let (policy, faulty) = policy.with_overrides(&overrides);
                ask_everything(&policy, &known, &caller);
                let (in_no_other_order, _) = policy.with_overrides(&overrides.into_iter().rev().collect::<Vec<_>>());
                assert_eq!(policy.revision(), in_no_other_order.revision());
                in_force.fetch_add(policy.override_count(), Ordering::Relaxed);
                set_aside.fetch_add(faulty.len(), Ordering::Relaxed);
                taken.fetch_add(1, Ordering::Relaxed);
            }
            Err(report) => {
                assert!(report.has_errors());
                assert!(report.faults().iter().all(|fault| fault.place.is_some()), "{report}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    let (in_force, set_aside) = (in_force.into_inner(), set_aside.into_inner());
    eprintln!("{taken} policies taken, {refused} refused; {in_force} overrides in force, {set_aside} set aside");
    assert!(in_force >= 500 && set_aside >= 500, "{in_force} in force, {set_aside} set aside");
    assert_eq!(taken + refused, POLICIES as usize);
    assert!(
        taken >= 2_000 && refused >= 1_000,
        "{taken} were taken and {refused} refused: one of the two is hardly tried"
    );
}
