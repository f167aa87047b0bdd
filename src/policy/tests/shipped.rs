//! The policies that are shipped, and the operators' page about the language: they load, and do what they say.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::reload;

const README: &str = include_str!("../../../policies/README.md");

fn policies() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn shipped(name: &str) -> Snapshot {
    let (snapshot, warnings) = reload::load(&policies().join(name)).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{name}: {warnings}");
    snapshot
}

#[test]
fn every_shipped_policy_has_no_fault_and_no_warning_and_is_on_the_page() {
    let mut count = 0;
    for entry in fs::read_dir(policies()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            shipped(name);
            assert!(README.contains(&format!("| `{name}/` |")), "{name} is not on the page");
            count += 1;
        }
    }
    assert_eq!(count, 6);
}

#[test]
fn observe_only_refuses_nothing() {
    let snapshot = shipped("observe-only");
    assert_eq!(snapshot.mode(), Mode::Shadow);
    assert_eq!(answer(&snapshot, &caller("ANY", &["any"], ""), model("any", "any")), "allow unlisted.role");
}

#[test]
fn shipped_policies_do_what_they_say() {
    for (name, role, groups, user, endpoint, of, expected) in [
        ("demo", "USER", &[][..], "", "openAI", "gpt-4o-mini", "allow roles.USER.endpoints.openAI.models"),
        ("demo", "USER", &[], "", "openAI", "gpt-4o", "deny roles.USER.endpoints.openAI.models"),
        ("demo", "USER", &[], "", "MindRoom", "mindroom-basic", "allow roles.USER.endpoints.custom.MindRoom.models"),
        (
            "demo",
            "USER",
            &["premium-openai"],
            "",
            "openAI",
            "gpt-4o",
            "allow groups.premium-openai.endpoints.openAI.models",
        ),
        (
            "demo",
            "USER",
            &["premium-openai"],
            "",
            "openAI",
            "gpt-4o-mini",
            "allow groups.premium-openai.endpoints.openAI.models",
        ),
        ("demo", "ADMIN", &[], "", "google", "gemini", "allow roles.ADMIN.unrestricted"),
        ("university", "USER", &["staff"], "", "openAI", "o1-preview", "deny groups.staff.endpoints.openAI.deny"),
        ("university", "USER", &["staff"], "", "openAI", "gpt-4o", "allow groups.staff.endpoints.openAI.models"),
        (
            "university",
            "USER",
            &["staff", "exam-in-progress"],
            "",
            "openAI",
            "gpt-4o",
            "deny groups.exam-in-progress.endpoints.openAI.deny",
        ),
        (
            "university",
            "USER",
            &["exam-in-progress"],
            "",
            "Campus",
            "any",
            "allow roles.USER.endpoints.custom.Campus.models",
        ),
        (
            "university",
            "USER",
            &[],
            "ada@university.example",
            "google",
            "gemini-2.5-pro",
            "allow users.ada@university.example.endpoints.google.models",
        ),
        ("company", "ADMIN", &[], "", "openAI", "gpt-4o", "deny roles.ADMIN.endpoints.openAI.deny"),
        (
            "company",
            "USER",
            &["marketing"],
            "",
            "google",
            "gemini-2.5-flash-lite",
            "allow groups.marketing.endpoints.google.models",
        ),
        ("company", "USER", &["platform-team"], "", "openAI", "gpt-4o", "allow groups.platform-team.unrestricted"),
        ("classroom", "USER", &[], "", "google", "gemini-2.5-flash", "deny roles.USER.endpoints.google.models"),
        (
            "classroom",
            "USER",
            &[],
            "pupil-07@school.example",
            "google",
            "gemini-2.5-flash",
            "allow users.pupil-07@school.example.endpoints.google.models",
        ),
    ] {
        let caller = caller(role, groups, user);
        assert_eq!(answer(&shipped(name), &caller, model(endpoint, of)), expected, "{name}: {of} of {endpoint}");
    }
}

#[test]
fn the_budget_holds_for_whom_it_says() {
    let snapshot = shipped("budget");
    let targets = [model("openAI", "o1-mini")];
    for (role, groups, user, expected) in [
        (
            "USER",
            &[][..],
            "",
            &[
                "roles.USER.limits.dear-models",
                "roles.USER.limits.parallel",
                "roles.USER.limits.user-day",
                "roles.USER.limits.user-rpm",
                "limits.everybody",
                "defaults.user.budget",
            ][..],
        ),
        (
            "USER",
            &["research"],
            "guest@partner.example",
            &[
                "users.guest@partner.example.limits.guest-month",
                "groups.research.limits.research-day",
                "groups.research.limits.research-month",
                "roles.USER.limits.dear-models",
                "roles.USER.limits.parallel",
                "roles.USER.limits.user-rpm",
                "limits.everybody",
            ],
        ),
        ("ADMIN", &[], "", &["limits.everybody", "defaults.user.budget"]),
    ] {
        let caller = caller(role, groups, user);
        let ask = Ask { caller: &caller, targets: &targets };
        let charges = snapshot.charges(&ask, &charges::Amounts::default());
        let rules: Vec<_> = charges.iter().map(|charge| charge.rule.as_str()).collect();
        assert_eq!(rules, expected, "{role} {groups:?} {user}");
    }
}

/// The page's YAML blocks: what stands behind "yaml", and the text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let blocks = README.split("\n```yaml").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().split_once('\n').unwrap()).collect()
}

#[test]
fn every_block_of_the_page_loads_or_has_the_fault_it_names() {
    let blocks = blocks();
    assert!(blocks.len() >= 10, "the page has its blocks");
    for (info, text) in blocks {
        match (info.trim().strip_prefix("fault: "), compile(&[source("README.md", text)])) {
            (None, Ok((_, warnings))) => assert!(warnings.is_empty(), "{warnings}"),
            (None, Err(report)) => panic!("{report}"),
            (Some(code), result) => {
                let report = result.map(|_| ()).expect_err("the block is to have a fault");
                let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
                assert_eq!(codes, [code]);
            }
        }
    }
}

#[test]
fn the_page_lists_every_code() {
    let (_, table) = README.split_once("| code | description |\n|---|---|\n").unwrap();
    let listed: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let expected: Vec<_> =
        codes::ALL.iter().map(|(code, description)| format!("| `{code}` | {} |", description.trim())).collect();
    assert_eq!(listed, expected, "the table must be:\n{}\n", expected.join("\n"));
}

#[test]
fn the_page_keeps_its_words_about_groups() {
    let (_, text) = blocks().into_iter().find(|(_, text)| text.contains("thinkers")).unwrap();
    let (snapshot, _) = compile(&[source("README.md", text)]).unwrap();
    let both = caller("USER", &["writers", "thinkers"], "");
    for (endpoint, name, expected) in
        [("openAI", "gpt-4o", true), ("anthropic", "claude-opus-4", true), ("openAI", "gpt-4o-mini", false)]
    {
        assert_eq!(snapshot.view(&both).model(endpoint, name), expected, "{name}");
    }
}

#[test]
fn built_in_endpoints_are_all_on_the_page() {
    for name in check::BUILT_IN {
        assert!(README.contains(&format!("`{name}`")), "{name}");
    }
}
