use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::super::explain_model;
use super::*;
use crate::policy::charge::Charge;
use crate::policy::overrides::{Document, Kind, Principal};
use crate::policy::tests::any::any_text;
use crate::policy::tests::random::any_caller;
use crate::policy::tests::{caller, policy, source};
use crate::policy::{Mode, Outcome, compile, decide};

const BEFORE: &str = r#"
roles:
  USER:
    endpoints:
      openAI: { models: [gpt-4o-mini, "gpt-4.1-*"] }
    tools: { deny: [execute_code] }
    limits: [{ id: day, requests: 10, per: user, window: day }]
  ADMIN: { unrestricted: true }
groups:
  lab: { endpoints: { anthropic: { models: [claude-opus-4] } } }
users:
  ann@example.edu: { endpoints: { google: { models: [gemini] } } }
"#;

/// What changes for a caller: `+what before -> after`, `-what ...`, `~limit`.
fn told(before: &str, after: &str, who: &Caller) -> Vec<String> {
    let (before, after) = (policy(before), policy(after));
    let changes = Changes::between(&before, &after, &Universe::of(&[&before, &after]), who);
    let line =
        |sign: char| move |change: &Change| format!("{sign}{} {} -> {}", change.what, change.before, change.after);
    let limits = changes.limits.iter().map(|limit| {
        let amount = |side: &Option<LimitStatement>| side.as_ref().map_or("-".to_owned(), |limit| limit.amount.clone());
        format!("~{} {} -> {}", limit.id, amount(&limit.before), amount(&limit.after))
    });
    changes.gains.iter().map(line('+')).chain(changes.loses.iter().map(line('-'))).chain(limits).collect()
}

#[test]
fn a_policy_changes_nothing_against_itself() {
    for who in [caller("USER", &["lab"], "ann@example.edu"), caller("ADMIN", &[], ""), caller("NOBODY", &[], "")] {
        assert_eq!(told(BEFORE, BEFORE, &who), Vec::<String>::new());
    }
}

#[test]
fn what_is_written_in_either_policy_is_compared_with_the_statements_that_decide() {
    let list = "roles.USER.endpoints.openAI.models";
    let user = caller("USER", &[], "");
    for (what, from, to, expected) in [
        ("a name is added", "gpt-4o-mini,", "gpt-4o-mini, o1,", vec![format!("+openAI|o1 {list} -> {list}")]),
        ("a pattern is gone", ", \"gpt-4.1-*\"", "", vec![format!("-openAI|gpt-4.1-* {list} -> {list}")]),
        (
            "an endpoint has everything: its models are not named one by one",
            "[gpt-4o-mini, \"gpt-4.1-*\"]",
            "[\"*\"]",
            vec![format!("+openAI|* {list} -> {list}")],
        ),
        (
            "a tool is denied no more",
            "deny: [execute_code]",
            "deny: [dalle]",
            vec![
                "+tool execute_code roles.USER.tools.deny -> tools".to_owned(),
                "-tool dalle tools -> roles.USER.tools.deny".to_owned(),
            ],
        ),
        ("a limit is raised", "requests: 10", "requests: 20", vec!["~day 10 -> 20".to_owned()]),
        ("another group's list", "claude-opus-4", "claude-sonnet-4", vec![]),
    ] {
        let after = BEFORE.replace(from, to);
        assert_ne!(after, BEFORE, "{what}");
        assert_eq!(told(BEFORE, &after, &user), expected, "{what}");
    }
}

#[test]
fn what_nothing_names_is_one_thing() {
    let open = format!("unlisted: {{ endpoint: allow }}\n{BEFORE}");
    let expected = ["+*|* unlisted.endpoint -> unlisted.endpoint"];
    assert_eq!(told(BEFORE, &open, &caller("USER", &[], "")), expected, "google and anthropic are among it");
    let closed = "roles: { USER: { endpoints: { openAI: { models: [gpt-4o-mini] } } } }";
    let told = told(BEFORE, closed, &caller("ADMIN", &[], ""));
    assert_eq!(told[0], "-*|* roles.ADMIN.unrestricted -> unlisted.role");
    let named: Vec<_> = told.iter().filter(|line| line.contains('|') && !line.starts_with("-*|*")).collect();
    assert_eq!(named, Vec::<&String>::new(), "no model is named beside it");
}

#[test]
fn shadow_mode_allows_everything_so_that_enforcing_takes_it_away() {
    let shadow = format!("mode: shadow\n{BEFORE}");
    let told = told(&shadow, BEFORE, &caller("USER", &[], ""));
    assert!(told.iter().any(|line| line == "-*|* unlisted.endpoint -> unlisted.endpoint"), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("-tool execute_code ")), "{told:?}");
    let limit = told.iter().find(|line| line.starts_with("~day"));
    assert!(limit.is_some(), "what only recorded refuses now: {told:?}");
    assert!(!told.iter().any(|line| line.starts_with('+')), "{told:?}");
}

#[test]
fn a_limit_of_0_takes_models_away() {
    let after = BEFORE
        .replace("limits: [", "limits: [{ id: closed, requests: 0, per: user, window: day, models: [gpt-4o-mini] }, ");
    let told = told(BEFORE, &after, &caller("USER", &[], ""));
    assert_eq!(
        told,
        ["-openAI|gpt-4o-mini roles.USER.endpoints.openAI.models -> roles.USER.limits.closed", "~closed - -> 0"]
    );
}

#[test]
fn who_stands_alike_has_one_standing() {
    let policy = policy(BEFORE);
    let alike = [("USER", &["x"][..], "bob@example.edu"), ("USER", &[], "eve@example.edu")];
    let alike = alike.map(|(role, groups, user)| policy.standing(&caller(role, groups, user)));
    assert_eq!(alike[0], alike[1]);
    let apart = [
        policy.standing(&caller("USER", &[], "ann@example.edu")),
        policy.standing(&caller("USER", &["lab"], "")),
        policy.standing(&caller("NOBODY", &[], "")),
        policy.standing(&caller("ADMIN", &[], "")),
        alike[0].clone(),
    ];
    let distinct: BTreeSet<_> = apart.iter().collect();
    assert_eq!(distinct.len(), apart.len(), "{apart:?}");
    let roles = [policy.standing(&caller("NOBODY", &[], "")), policy.standing(&caller("NONE", &[], ""))];
    assert_eq!(roles[0], roles[1], "roles without an entry are all one");
}

#[test]
fn who_is_let_in_no_more_or_again_is_told_and_nothing_else_of_them() {
    let blocked = format!("blocked: {{ users: [ann@example.edu], groups: [lab] }}\n{BEFORE}");
    let domains = format!("email_domains: [other.test]\n{BEFORE}");
    let ann = caller("USER", &[], "ann@example.edu");
    let change = |before: &str, after: &str, who: &Caller| {
        let (before, after) = (policy(before), policy(after));
        let changes = Changes::between(&before, &after, &Universe::of(&[&before, &after]), who);
        assert!(changes.let_in.is_none() || (changes.gains.is_empty() && changes.loses.is_empty()), "{changes:?}");
        changes.let_in.map(|LetIn { before, after }| {
            let word = |rule: Option<RuleId>| rule.map_or_else(|| "in".to_owned(), |rule| rule.to_string());
            format!("{} -> {}", word(before), word(after))
        })
    };
    let other = BEFORE.replace("gpt-4o-mini", "o1");
    let in_lab = caller("USER", &["lab"], "bob@other.test");
    for (what, before, after, who, expected) in [
        ("a user", BEFORE, &*blocked, &ann, Some("in -> blocked.users")),
        ("a group", BEFORE, &blocked, &in_lab, Some("in -> blocked.groups")),
        ("a domain", BEFORE, &domains, &ann, Some("in -> email_domains")),
        ("no address", BEFORE, &domains, &caller("USER", &[], ""), Some("in -> email_domains")),
        ("a domain that is let in", BEFORE, &domains, &in_lab, None),
        ("let in again", &blocked, &other, &ann, Some("blocked.users -> in")),
        ("kept out by both", &blocked, &domains, &ann, None),
        ("shadow mode lets in", BEFORE, &format!("mode: shadow\n{blocked}"), &ann, None),
        ("enforcing it does not", &format!("mode: shadow\n{blocked}"), &blocked, &ann, Some("in -> blocked.users")),
    ] {
        assert_eq!(change(before, after, who).as_deref(), expected, "{what}");
    }
    let stands =
        |text: &str| policy(text).standing(&ann) == policy(text).standing(&caller("USER", &[], "eve@other.test"));
    let without_her = |text: &str| text.replace("ann@example.edu: {", "somebody@example.edu: {");
    assert!(stands(&without_her(BEFORE)), "nothing sets them apart");
    assert!(!stands(&without_her(&blocked)) && !stands(&without_her(&domains)), "whether they are let in does");
    for (text, addresses, groups) in [
        ("", false, false),
        ("blocked: { users: [ann@example.edu] }", true, false),
        ("blocked: { users: [65f0c1d2e3a4b5c6d7e8f901] }", false, false),
        ("email_domains: [example.edu]", true, false),
        ("blocked: { groups: [lab] }", false, true),
    ] {
        assert_eq!((policy(text).names_addresses(), policy(text).names_groups()), (addresses, groups), "{text}");
    }
}

const ANN: &str = "65f0c1d2e3a4b5c6d7e8f901";

fn document(kind: Kind, id: &str, text: &str) -> Document {
    Document { principal: Principal { kind, id: id.into() }, priority: kind.priority(), version: 1, text: text.into() }
}

#[test]
fn what_only_overrides_name_is_compared_and_sets_people_apart() {
    let documents = [
        document(Kind::User, ANN, "{endpoints: {bedrock: {models: [nova]}}, tools: {deny: [dalle]}}"),
        document(Kind::Group, "lab", "{limits: {day: {models: [gpt-4.1-nano]}}}"),
        document(Kind::Role, "USER", "{limits: {day: {requests: 0}}}"),
    ];
    let with = |text: &str| {
        let (policy, faulty) = policy(text).with_overrides(&documents);
        assert!(faulty.is_empty(), "{:?}", faulty.first().map(|faulty| faulty.report.to_string()));
        policy
    };
    let before = with(BEFORE);
    let universe = |policies: &[&Snapshot]| Universe::of(policies).0.iter().map(name).collect::<BTreeSet<_>>();
    let named = universe(&[&before]);
    for what in ["bedrock|*", "bedrock|nova", "tool dalle", "openAI|gpt-4.1-nano", "*|gpt-4.1-nano"] {
        assert!(named.contains(what), "{what}: {named:?}");
    }
    // The files deny what her override gives.
    let after = with(
        &BEFORE
            .replace("tools: {", "tools: { allow: [web_search],")
            .replace("openAI: { models", "bedrock: { deny: [nova] }\n      openAI: { models"),
    );
    let ann = Caller { user: ANN.into(), ..caller("USER", &[], "") };
    let bob = caller("USER", &[], "");
    let changes = |who: &Caller| Changes::between(&before, &after, &Universe::of(&[&before, &after]), who);
    let loses = |who: &Caller| changes(who).loses.into_iter().map(|change| change.what).collect::<Vec<_>>();
    assert!(!loses(&bob).contains(&"bedrock|nova".to_owned()), "{:?}", loses(&bob));
    assert_ne!(before.standing(&ann), before.standing(&bob), "her override sets her apart");
    let in_lab = caller("USER", &["lab"], "");
    assert_ne!(before.standing(&in_lab), before.standing(&bob), "and so does the group's");
    assert!(before.names_groups() && policy("").with_overrides(&documents[..1]).0.standing(&ann).contains('['));
}

/// What serving does with a request for these, step by step: who is let in, what the policy says, and limits that never have room.
fn served(policy: &Snapshot, caller: &Caller, targets: &[Target], runs: bool) -> Fate {
    if policy.mode() == Mode::Enforce && policy.turned_away(caller).is_some() {
        return Fate::Deny;
    }
    let ask = Ask { caller, targets };
    let verdict = decide(policy, &ask);
    let amounts = Amounts { requests: 1, messages: 1, runs: &[] };
    if !verdict.goes_on() || (runs && policy.charges(&ask, &amounts).iter().any(Charge::never_fits)) {
        return Fate::Deny;
    }
    let watched = runs && policy.shadow_charges(&ask, &amounts).iter().any(Charge::never_fits);
    if watched || verdict.outcome != Outcome::Allow { Fate::Shadow } else { Fate::Allow }
}

fn lines() -> impl Strategy<Value = String> {
    const LINES: [&str; 4] = [
        "blocked: { users: [ann@example.edu] }",
        "blocked: { users: [65f0c1d2e3a4b5c6d7e8f901], groups: [stranger] }",
        "blocked: { groups: [b] }",
        "email_domains: [example.edu, \"*.lab.test\"]",
    ];
    prop_oneof![2 => Just(String::new()), 1 => select(&LINES[..]).prop_map(str::to_owned)]
}

/// Documents that may have faults, as of limits that the files do not have; these are set aside, as in service.
fn documents() -> impl Strategy<Value = Vec<Document>> {
    let of = |kind: Kind, id: &'static str| {
        let parts = vec![
            "endpoints: {openAI: {models: [small, fresh]}}",
            "endpoints: {openAI: {deny: [small]}}",
            "endpoints: {bedrock: {models: [nova, \"old-*\"]}}",
            "endpoints: {google: {deny: [\"*\"]}}",
            "unrestricted: true",
            "tools: {deny: [extra]}",
            "limits: none",
            "limits: {own-KIND: {requests: 0, per: user, window: day, models: [fresh]}}",
            "limits: {own-KIND: {requests: 0, per: user, window: day, endpoints: [bedrock]}}",
            "limits: {own-KIND: {requests: 5, per: user, window: day}}",
            "limits: {own-KIND: {requests: 0, per: user, window: day, mode: shadow}}",
            "limits: {limit-0: {mode: enforce}}",
            "limits: {limit-0: {requests: 0}}",
            "limits: {limit-0: {models: [nova, big]}}",
            "limits: {limit-1: {tokens: 0, models: [fresh]}}",
        ];
        (select(parts), -5..50, any::<bool>()).prop_map(move |(text, priority, there)| {
            let text = format!("{{{}}}", text.replace("KIND", kind.as_str()));
            there.then(|| Document { priority, ..document(kind, id, &text) })
        })
    };
    let all = (of(Kind::Role, "USER"), of(Kind::Group, "a"), of(Kind::Group, "b"), of(Kind::User, ANN));
    all.prop_map(|(role, a, b, user)| [role, a, b, user].into_iter().flatten().collect())
}

fn whoever() -> impl Strategy<Value = Caller> {
    let address = prop_oneof![
        Just(None),
        Just(Some("ann@example.edu")),
        Just(Some("bob@cs.lab.test")),
        Just(Some("eve@other.test")),
    ];
    (any_caller(), address).prop_map(|(caller, address)| {
        let groups: BTreeSet<Box<str>> = caller.groups.iter().cloned().collect();
        Caller { email: address.map(Into::into), groups: groups.into_iter().collect(), ..caller }
    })
}

/// Names by the words that policies by chance have.
fn things() -> Vec<Target> {
    let endpoints = ["openAI", "bedrock", "google", "MindRoom", "assistants"];
    let models = ["small", "big", "bad-1", "old-7", "fresh", "nova", "other"];
    let models = endpoints.into_iter().flat_map(|endpoint| models.map(|model| super::super::target(endpoint, model)));
    let tools = ["extra", "shell", "web_search", "x_mcp_z"].map(|name| Target::Tool(Tool::Named(name.into())));
    models.chain(tools).collect()
}

fn starts_a_run(target: &Target) -> bool {
    matches!(target, Target::Model { .. } | Target::Assistant { .. })
}

/// Two policies by chance, the same people and overrides under both.
fn held_together(before: &Snapshot, after: &Snapshot, people: &[Caller]) {
    let universe = Universe::of(&[before, after]);
    let mut seen: Vec<(String, Changes)> = Vec::new();
    for who in people {
        let changes = Changes::between(before, after, &universe, who);
        let standing = format!("{} / {}", before.standing(who), after.standing(who));
        for (other, told) in &seen {
            assert!(*other != standing || *told == changes, "{standing}: {told:?} and {changes:?}");
        }
        let refused = |policy: &Snapshot, target: &Target| {
            served(policy, who, slice::from_ref(target), starts_a_run(target)) == Fate::Deny
        };
        let told = |list: &[Change], of: &Target| list.iter().any(|change| change.what == name(of));
        for target in &universe.0 {
            let (was, is) = (refused(before, target), refused(after, target));
            let list = if is { &changes.loses } else { &changes.gains };
            let mut names = wider(target).into_iter().flatten().chain([target.clone()]);
            match was == is {
                true => {
                    assert!(!told(&changes.gains, target) && !told(&changes.loses, target), "{target:?} is the same")
                }
                false => {
                    assert!(changes.let_in.is_some() || names.any(|of| told(list, &of)), "{target:?}: {changes:?}")
                }
            }
        }
        for target in things() {
            let targets = slice::from_ref(&target);
            for policy in [before, after] {
                let run = starts_a_run(&target);
                let fate = if run { policy.foresee_run(who, targets).0 } else { policy.foresee(who, targets).0 };
                assert_eq!(fate, served(policy, who, targets, run), "{target:?}");
                if let Target::Model { endpoint, model } | Target::Assistant { endpoint, model } = &target {
                    let word = explain_model(policy, who, endpoint, model).verdict;
                    let words = [(Fate::Allow, "allowed"), (Fate::Shadow, "shadowed"), (Fate::Deny, "denied")];
                    assert!(words.contains(&(fate, word)), "{target:?}: {fate:?}, {word}");
                }
            }
            let differs = refused(before, &target) != refused(after, &target);
            assert!(!differs || !changes.is_empty(), "{target:?} changes, and nothing is told");
        }
        seen.push((standing, changes));
    }
}

/// In a debug build, all that goes into one case takes most of a test's stack.
#[test]
fn what_is_foreseen_is_what_is_served_for_policies_people_and_overrides_by_chance() {
    let roomy = std::thread::Builder::new().stack_size(16 << 20);
    let ended = roomy.spawn(foreseen_is_served_by_chance).unwrap().join();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[expect(clippy::print_stderr, reason = "how many of them are compared is worth knowing")]
fn foreseen_is_served_by_chance() {
    let (pairs, turned, laid) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    let one = || (any_text(), lines());
    let people = proptest::collection::vec(whoever(), 1..5);
    let result =
        runner.run(&(one(), one(), documents(), people), |((first, lines), (second, other), documents, people)| {
            let compiled = |text: &str, lines: &str| {
                // The policy by chance is JSON, which is one mapping of YAML: lines are members of it.
                let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
                let more = match lines {
                    "" => serde_json::Map::new(),
                    lines => serde_saphyr::from_str(lines).unwrap(),
                };
                members.extend(more);
                let text = serde_json::Value::Object(members).to_string();
                compile(&[source("p.yaml", &text)]).ok().map(|(policy, _)| policy.with_overrides(&documents).0)
            };
            let Some(before) = compiled(&first, &lines) else { return Ok(()) };
            // Where the other one has faults, the same one is taken with other people let in.
            let Some(after) = compiled(&second, &other).or_else(|| compiled(&first, &other)) else { return Ok(()) };
            held_together(&before, &after, &people);
            pairs.fetch_add(1, Ordering::Relaxed);
            let away = people.iter().any(|who| before.turned_away(who).is_some() || after.turned_away(who).is_some());
            turned.fetch_add(usize::from(away), Ordering::Relaxed);
            let apply = people.iter().any(|who| !before.overrides_of(who).is_empty());
            laid.fetch_add(usize::from(apply), Ordering::Relaxed);
            Ok(())
        });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (pairs, turned, laid) = (pairs.into_inner(), turned.into_inner(), laid.into_inner());
    eprintln!("{pairs} pairs of policies, {turned} with people turned away, {laid} with overrides");
    assert!(pairs >= 250 && turned >= 50 && laid >= 50, "{pairs}, {turned}, {laid}: too few are tried");
}
