//! A large policy, measured: `cargo test --release --lib policy::tests::size -- --ignored --nocapture`. And one test that always runs: a
//! decision does not take longer because the policy is larger.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::defaults::UserDefaults;
use crate::policy::overrides::{Document, Kind, Principal};

const GROUPS: usize = 1_000;
const USERS: usize = 10_000;
const OVERRIDES: usize = 1_000;
const ROUNDS: usize = 10;
const QUESTIONS: u32 = 20_000;

/// What the whole policy may take to be read, checked and compiled.
const COMPILED_WITHIN: Duration = Duration::from_secs(1);
/// What a decision may take: microseconds, with room for a slow machine.
const DECIDED_WITHIN: Duration = Duration::from_micros(10);

/// Groups with three lists each, and users with one.
fn large(group_count: usize, user_count: usize) -> Vec<Source> {
    let mut groups = String::from(
        "version: 1\nroles:\n  USER:\n    endpoints: { openAI: { models: [gpt-4o-mini] } }\n    \
         limits: [{ id: day, tokens: 500k, per: user, window: day }]\n  ADMIN: { unrestricted: true }\ngroups:\n",
    );
    for group in 0..group_count {
        let _ = writeln!(
            groups,
            "  group-{group}:\n    endpoints:\n      openAI: {{ models: [gpt-4o, \"gpt-4.{group}-*\", \"o{group}*\"], deny: [\"*-preview\"] }}\n      \
             anthropic: {{ models: [\"claude-*-{group}\"] }}\n      custom: {{ Campus: {{ models: [model-{group}] }} }}"
        );
    }
    let mut users = String::from("version: 1\nusers:\n");
    for user in 0..user_count {
        let _ =
            writeln!(users, "  user-{user}@example.edu: {{ endpoints: {{ google: {{ models: [gemini-{user}] }} }} }}");
    }
    vec![source("groups.yaml", &groups), source("users.yaml", &users)]
}

/// Users with a model and an amount of their own.
fn overrides() -> Vec<Document> {
    let of = |index: usize| Document {
        principal: Principal { kind: Kind::User, id: format!("{index:024x}").into() },
        priority: Kind::User.priority(),
        version: 1,
        text: format!("{{endpoints: {{bedrock: {{models: [own-{index}]}}}}, limits: {{day: {{tokens: 600k}}}}}}")
            .into(),
    };
    (1..=OVERRIDES).map(of).collect()
}

/// How long each of these takes, on average of the quickest of some rounds: what else the machine does only makes rounds slower.
fn each(rounds: usize, times: u32, mut work: impl FnMut()) -> Duration {
    let clock = Clock::system();
    let mut round = || {
        let begun = clock.tick();
        (0..times).for_each(|_| work());
        clock.tick().duration_since(begun) / times
    };
    (0..rounds).map(|_| round()).min().unwrap()
}

#[test]
#[ignore = "it measures, and takes a release build and a quiet machine"]
#[expect(clippy::print_stderr, reason = "the figures are what is asked for")]
fn a_large_policy_compiles_within_a_second_and_decides_within_microseconds() {
    if cfg!(debug_assertions) {
        panic!("without --release these figures mean nothing");
    }
    let sources = large(GROUPS, USERS);
    let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    let compiled = each(ROUNDS, 1, || drop(black_box(compile(&sources)).unwrap()));
    let listed = each(ROUNDS, 1, || drop(black_box(compile_listed(&sources, &UserDefaults::default())).unwrap()));
    eprintln!(
        "{GROUPS} groups, {USERS} users, {} KiB: compiled in {compiled:?}, with its statements in {listed:?}",
        bytes / 1024
    );
    assert!(compiled < COMPILED_WITHIN && listed < COMPILED_WITHIN, "{compiled:?}, {listed:?}");
    let (files, _) = compile(&sources).unwrap();
    assert_eq!((files.counts().groups, files.counts().users), (GROUPS, USERS));
    let documents = overrides();
    let laid = each(ROUNDS, 1, || drop(black_box(files.with_overrides(&documents))));
    eprintln!("{OVERRIDES} overrides on it: in {laid:?}");
    assert!(laid < COMPILED_WITHIN, "{laid:?}");
    let (policy, faulty) = files.with_overrides(&documents);
    assert!(faulty.is_empty() && policy.override_count() == OVERRIDES, "{faulty:?}");

    let member =
        caller("USER", &["group-1", "group-10", "group-500", "group-998", "group-999"], "user-9999@example.edu");
    let overridden = Caller { user: format!("{:024x}", 77).into(), ..member.clone() };
    let nobody = caller("USER", &[], "");
    for (what, caller, target, rule) in [
        (
            "the user's own model",
            &member,
            model("google", "gemini-9999"),
            "users.user-9999@example.edu.endpoints.google.models",
        ),
        (
            "a model of the last of five groups",
            &member,
            model("Campus", "model-999"),
            "groups.group-999.endpoints.custom.Campus.models",
        ),
        (
            "a model that five groups deny",
            &member,
            model("openAI", "gpt-4o-preview"),
            "groups.group-1.endpoints.openAI.deny",
        ),
        (
            "a model that nothing names",
            &member,
            model("anthropic", "other"),
            "groups.group-1.endpoints.anthropic.models",
        ),
        ("a model of the role", &nobody, model("openAI", "gpt-4o-mini"), "roles.USER.endpoints.openAI.models"),
        (
            "a model of an override",
            &overridden,
            model("bedrock", "own-77"),
            "overrides.user.00000000000000000000004d.endpoints.bedrock.models",
        ),
    ] {
        let targets = [target];
        let ask = Ask { caller, targets: &targets };
        assert_eq!(decide(&policy, &ask).because[0].as_str(), rule);
        let decided = each(ROUNDS, QUESTIONS, || drop(black_box(decide(&policy, black_box(&ask)))));
        eprintln!("{what}: decided in {decided:?}");
        assert!(decided < DECIDED_WITHIN, "{what}: {decided:?}");
    }
    let targets = [model("openAI", "gpt-4o")];
    let runs = [Run { endpoint: "openAI", model: "gpt-4o", tokens: Tokens { input: 1_000, ..Tokens::default() } }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    for (what, caller) in [("by the files", &member), ("by an override", &overridden)] {
        let ask = Ask { caller, targets: &targets };
        let told = each(ROUNDS, QUESTIONS, || drop(black_box(policy.charges(black_box(&ask), &amounts))));
        eprintln!("what it takes from limits {what}: told in {told:?}");
        assert!(told < DECIDED_WITHIN, "{what}: {told:?}");
    }
}

/// In any build, on any machine: fifty times as large a policy decides as quickly, as nothing is looked for in all of it.
#[test]
fn a_decision_takes_no_longer_because_the_policy_is_larger() {
    let decided = |groups: usize, users: usize| {
        let (policy, _) = compile(&large(groups, users)).unwrap();
        let (group, user) = (format!("group-{}", groups - 1), users - 1);
        let caller = caller("USER", &["group-1", "group-2", &group], &format!("user-{user}@example.edu"));
        let targets = [model("google", &format!("gemini-{user}"))];
        let ask = Ask { caller: &caller, targets: &targets };
        assert!(decide(&policy, &ask).goes_on());
        each(50, 100, || drop(black_box(decide(&policy, black_box(&ask)))))
    };
    let (small, large) = (decided(6, 40), decided(300, 2_000));
    assert!(large < small * 5, "{large:?} in a policy fifty times as large, {small:?} in the small one");
}
