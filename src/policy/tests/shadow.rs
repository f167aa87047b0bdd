//! `mode: shadow` on an entry or on a list: what it would refuse goes on, and is told.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

use super::random::{any_caller, any_policy, corrected, pairs, yaml};
use super::*;
use crate::policy::charges::Amounts;

#[test]
fn a_list_on_trial_refuses_nothing_of_its_endpoint() {
    let policy = policy(
        "roles:\n  USER:\n    endpoints:\n      openAI: { models: [gpt-4o-mini], mode: shadow }\n      google: { models: [gemini-2.5-flash] }\n\
         groups:\n  class:\n    endpoints:\n      openAI: { deny: [o1] }\n      anthropic: { deny: [\"*\"], mode: shadow }\n",
    );
    let (user, pupil) = (caller("USER", &[], ""), caller("USER", &["class"], ""));
    let list = "roles.USER.endpoints.openAI.models";
    for (who, target, expected) in [
        (&user, model("openAI", "gpt-4o-mini"), format!("allow {list}")),
        (&user, model("openAI", "o1"), format!("shadowed {list}")),
        (&user, Target::Endpoint("openAI".into()), format!("allow {list}")),
        (&user, model("google", "gemini-2.5-pro"), "deny roles.USER.endpoints.google.models".to_owned()),
        (&user, model("anthropic", "claude"), "deny unlisted.endpoint".to_owned()),
        // What is denied elsewhere is.
        (&pupil, model("openAI", "o1"), "deny groups.class.endpoints.openAI.deny".to_owned()),
        (&pupil, model("openAI", "o3"), format!("shadowed {list}")),
        // The trial does not open what nobody has listed.
        (&pupil, model("anthropic", "claude"), "deny unlisted.endpoint".to_owned()),
    ] {
        assert_eq!(answer(&policy, who, target.clone()), expected, "{target:?}");
        let shown = policy.view(who).target(&target);
        assert_eq!(shown, !expected.starts_with("deny"), "{target:?}");
    }
}

#[test]
fn an_entry_on_trial_refuses_nothing_to_those_for_whom_it_holds() {
    let policy = policy(
        "roles:\n  USER:\n    mode: shadow\n    endpoints:\n      openAI: { models: [gpt-4o-mini], deny: [o1] }\n    tools: { allow: [web_search] }\n    \
         limits: [ { id: day, requests: 1, per: user, window: day } ]\n\
         groups:\n  class:\n    endpoints:\n      openAI: { deny: [o3] }\n",
    );
    let (user, pupil) = (caller("USER", &[], ""), caller("USER", &["class"], ""));
    let tool = || Target::Tool(Tool::Named("shell".into()));
    for (who, target, expected) in [
        (&user, model("openAI", "o1"), "shadowed roles.USER.endpoints.openAI.deny"),
        (&user, model("google", "gemini"), "shadowed unlisted.endpoint"),
        (&user, tool(), "shadowed roles.USER.tools.allow"),
        (&pupil, tool(), "shadowed roles.USER.tools.allow"),
        (&pupil, model("google", "gemini"), "shadowed unlisted.endpoint"),
        (&pupil, model("openAI", "o3"), "deny groups.class.endpoints.openAI.deny"),
    ] {
        assert_eq!(answer(&policy, who, target.clone()), expected, "{target:?}");
    }
    assert!(policy.view(&user).everything() && !policy.view(&pupil).everything());
    let targets = [model("openAI", "gpt-4o-mini")];
    let (ask, once) = (Ask { caller: &user, targets: &targets }, Amounts { requests: 1, messages: 1, runs: &[] });
    assert!(policy.charges(&ask, &once).is_empty(), "its limits refuse nothing, either");
    assert_eq!(policy.shadow_charges(&ask, &once).len(), 1);
}

#[test]
fn of_several_targets_one_that_is_refused_decides() {
    let policy = policy(
        "roles:\n  USER:\n    endpoints:\n      openAI: { models: [small], mode: shadow }\n      google: { models: [flash] }\n",
    );
    let user = caller("USER", &[], "");
    let verdict = |targets: &[Target]| {
        let verdict = decide(&policy, &Ask { caller: &user, targets });
        (verdict.goes_on(), verdict.because.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let (list, google) = ("roles.USER.endpoints.openAI.models", "roles.USER.endpoints.google.models");
    assert_eq!(verdict(&[model("openAI", "big"), model("google", "pro")]), (false, vec![google.to_owned()]));
    assert_eq!(verdict(&[model("google", "flash"), model("openAI", "big")]), (true, vec![list.to_owned()]));
}

#[test]
fn nothing_is_enforced_within_what_is_in_shadow_mode() {
    for (text, line, inside) in [
        (
            "mode: shadow\nroles: { USER: { mode: enforce, endpoints: { openAI: { models: [a] } } } }",
            3,
            "the whole policy",
        ),
        (
            "mode: shadow\nroles: { USER: { endpoints: { openAI: { models: [a], mode: enforce } } } }",
            3,
            "the whole policy",
        ),
        (
            "roles: { USER: { mode: shadow, endpoints: { openAI: { models: [a], mode: enforce } } } }",
            2,
            "the entry of role \"USER\"",
        ),
        (
            "roles: { USER: { mode: shadow, endpoints: { openAI: { models: [a] } }, tools: { deny: [x], mode: enforce } } }",
            2,
            "the entry",
        ),
    ] {
        let report = compile(&[source("p.yaml", &format!("version: 1\n{text}\n"))]).expect_err(text);
        let [fault] = report.faults()[..] else { panic!("{report}") };
        assert_eq!(
            (fault.code, fault.place.as_ref().map(|place| place.line)),
            (codes::BAD_VALUE, Some(line)),
            "{fault}"
        );
        assert!(fault.message.contains(inside), "{fault}");
    }
}

#[test]
fn an_override_puts_no_limit_of_an_entry_on_trial_into_force() {
    use crate::policy::overrides::{Document, Kind, Principal};
    let files = policy(
        "groups:\n  pilot:\n    mode: shadow\n    endpoints: { openAI: { models: [m] } }\n    \
         limits: [ { id: pilot-day, requests: 50, per: user, window: day }, { id: tried, messages: 50, per: user, window: hour, mode: shadow } ]\n\
         roles:\n  USER:\n    endpoints: { openAI: { models: [m] } }\n    \
         limits: [ { id: role-day, requests: 9, per: user, window: 1h, mode: shadow } ]\n",
    );
    let with = |text: &str| {
        let principal = Principal { kind: Kind::Group, id: "pilot".into() };
        files.with_overrides(&[Document { principal, priority: 20, version: 1, text: text.into() }])
    };
    let pupil = caller("USER", &["pilot"], "");
    let mode = |policy: &Snapshot, id: &str| {
        let rule = RuleId::new(format!("overrides.group.pilot.limits.{id}"));
        assert!(policy.limits_of(&pupil).into_iter().any(|held| held.statement.rule == rule), "{rule}");
        policy.terms(&rule).expect("terms").mode
    };
    for text in ["{limits: {pilot-day: {requests: 2}}}", "{limits: {pilot-day: {requests: 90}}}"] {
        let (policy, faulty) = with(text);
        assert!(faulty.is_empty(), "{text}");
        assert_eq!(mode(&policy, "pilot-day"), Mode::Shadow, "{text}");
    }
    let (policy, faulty) = with("{limits: {role-day: {mode: enforce}}}");
    assert!(faulty.is_empty(), "a limit that is on trial by itself can be put into force");
    assert_eq!(mode(&policy, "role-day"), Mode::Enforce);
    for text in ["{limits: {pilot-day: {mode: enforce}}}", "{limits: {tried: {mode: enforce}}}"] {
        let (_, faulty) = with(text);
        let faults: Vec<_> = faulty.iter().flat_map(|of| of.report.faults()).collect();
        let [fault] = faults[..] else { panic!("{text}: {faulty:?}") };
        assert_eq!(fault.code, codes::OVERRIDE_LIMIT, "{fault}");
        assert!(fault.message.contains("in shadow mode"), "{fault}");
    }
}

#[test]
fn what_goes_on_is_marked_where_a_policy_is_explained() {
    let policy = policy(
        "roles:\n  USER:\n    endpoints:\n      openAI: { models: [small], deny: [bad], mode: shadow }\n      google: { models: [flash] }\n  \
         TRIAL:\n    mode: shadow\n    endpoints:\n      openAI: { models: [small] }\n",
    );
    let marked = |role: &str| -> BTreeSet<String> {
        let told = explain::explain(&policy, &caller(role, &[], ""));
        told.statements.iter().filter(|statement| statement.shadow).map(|of| of.rule.to_string()).collect()
    };
    let lists = ["roles.USER.endpoints.openAI.deny", "roles.USER.endpoints.openAI.models"];
    assert_eq!(marked("USER"), lists.map(str::to_owned).into());
    let entry = ["roles.TRIAL.endpoints.openAI.models", "surface.agents", "surface.assistants", "unlisted.endpoint"];
    assert_eq!(marked("TRIAL"), entry.map(str::to_owned).into());
    let table = explain::explain(&policy, &caller("USER", &[], "")).to_table();
    assert!(table.contains("denies (shadow)") && table.contains("allows (shadow)"), "{table}");
    let answer = explain::explain_model(&policy, &caller("USER", &[], ""), "openAI", "big");
    assert_eq!(answer.verdict, "shadowed");
}

/// Puts `mode: shadow` into what a bit of `which` says, part by part.
fn mark(value: &mut Value, which: u32, next: &mut u32) {
    let Value::Object(members) = value else { return };
    let is_list = members.contains_key("models") || members.contains_key("deny");
    members.values_mut().for_each(|member| mark(member, which, next));
    if is_list {
        if which >> (*next % 32) & 1 == 1 {
            members.insert("mode".to_owned(), "shadow".into());
        }
        *next += 1;
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    /// A trial changes nothing but whether a refusal is carried out, and nothing that another statement refuses.
    #[test]
    fn a_trial_only_turns_refusals_into_records(
        written in any_policy(), caller in any_caller(), which in any::<u32>(), entries in any::<[bool; 3]>(),
    ) {
        let mut written = corrected(written);
        written.shadow = false;
        let plain = yaml(&written);
        let Ok((without, _)) = compile(&[source("p.yaml", &plain)]) else { return Ok(()) };
        let mut marked: Value = serde_json::from_str(&plain).unwrap();
        for (section, whole) in ["roles", "groups", "users"].into_iter().zip(entries) {
            for entry in marked[section].as_object_mut().unwrap().values_mut() {
                mark(entry, which, &mut 0);
                if whole {
                    entry["mode"] = "shadow".into();
                }
            }
        }
        let (with, _) = compile(&[source("p.yaml", &marked.to_string())]).unwrap_or_else(|report| panic!("{report}"));
        for (endpoint, name) in pairs() {
            let before = answer(&without, &caller, model(endpoint, name));
            let after = answer(&with, &caller, model(endpoint, name));
            let (said, rule) = after.split_once(' ').unwrap();
            prop_assert_eq!(before.starts_with("allow"), said == "allow", "{} {}", before, after);
            if said == "shadowed" {
                // By the very statement that refuses without the trial.
                prop_assert_eq!(before, format!("deny {rule}"));
            }
            prop_assert_eq!(with.view(&caller).model(endpoint, name), said != "deny");
        }
    }
}
