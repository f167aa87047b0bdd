//! A large policy, measured: `cargo test --release --lib policy::tests::size -- --ignored --nocapture`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::defaults::UserDefaults;

const GROUPS: usize = 1_000;
const USERS: usize = 10_000;
const COMPILES: usize = 10;
const QUESTIONS: u32 = 100_000;

/// 1,000 groups with three lists each, and 10,000 users with one.
fn large() -> Vec<Source> {
    let mut groups = String::from(
        "version: 1\nroles:\n  USER:\n    endpoints: { openAI: { models: [gpt-4o-mini] } }\n    \
         limits: [{ id: day, tokens: 500k, per: user, window: day }]\n  ADMIN: { unrestricted: true }\ngroups:\n",
    );
    for group in 0..GROUPS {
        let _ = writeln!(
            groups,
            "  group-{group}:\n    endpoints:\n      openAI: {{ models: [gpt-4o, \"gpt-4.{group}-*\", \"o{group}*\"], deny: [\"*-preview\"] }}\n      \
             anthropic: {{ models: [\"claude-*-{group}\"] }}\n      custom: {{ Campus: {{ models: [model-{group}] }} }}"
        );
    }
    let mut users = String::from("version: 1\nusers:\n");
    for user in 0..USERS {
        let _ =
            writeln!(users, "  user-{user}@example.edu: {{ endpoints: {{ google: {{ models: [gemini-{user}] }} }} }}");
    }
    vec![source("groups.yaml", &groups), source("users.yaml", &users)]
}

/// How long each of these takes, on average.
fn each(times: u32, mut work: impl FnMut()) -> Duration {
    let clock = Clock::system();
    let begun = clock.tick();
    for _ in 0..times {
        work();
    }
    clock.tick().duration_since(begun) / times
}

#[test]
#[ignore = "it measures, and takes a quiet machine"]
#[expect(clippy::print_stderr, reason = "the figures are what is asked for")]
fn a_large_policy_compiles_within_a_second_and_decides_within_microseconds() {
    let sources = large();
    let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
    let fastest = |work: &dyn Fn()| (0..COMPILES).map(|_| each(1, work)).min().unwrap();
    let compiles = fastest(&|| drop(black_box(compile(&sources)).unwrap()));
    let listed = fastest(&|| drop(black_box(compile_listed(&sources, &UserDefaults::default())).unwrap()));
    eprintln!(
        "{GROUPS} groups, {USERS} users, {} KiB: compiled in {compiles:?}, with its statements in {listed:?}",
        bytes / 1024
    );
    let (policy, _) = compile(&sources).unwrap();
    assert_eq!((policy.counts().groups, policy.counts().users), (GROUPS, USERS));

    let member =
        caller("USER", &["group-1", "group-10", "group-500", "group-998", "group-999"], "user-9999@example.edu");
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
    ] {
        let targets = [target];
        let ask = Ask { caller, targets: &targets };
        assert_eq!(decide(&policy, &ask).because[0].as_str(), rule);
        let decides = each(QUESTIONS, || drop(black_box(decide(&policy, black_box(&ask)))));
        eprintln!("{what}: decided in {decides:?}");
        assert!(decides < Duration::from_millis(1), "{what}: {decides:?}");
    }
    let targets = [model("openAI", "gpt-4o")];
    let ask = Ask { caller: &member, targets: &targets };
    let runs = [Run { endpoint: "openAI", model: "gpt-4o", tokens: Tokens { input: 1_000, ..Tokens::default() } }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    let charges = each(QUESTIONS, || drop(black_box(policy.charges(black_box(&ask), &amounts))));
    eprintln!("what it takes from limits: told in {charges:?}");
    if !cfg!(debug_assertions) {
        assert!(compiles < Duration::from_secs(1), "{compiles:?}");
    }
}
