//! The policies that are shipped, and the operators' page about the language: they load, and do what they say.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::reload;

const README: &str = include_str!("../../../policies/README.md");

fn policies() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies")
}

pub(in crate::policy) const SHIPPED: [&str; 6] =
    ["budget", "classroom", "company", "demo", "observe-only", "university"];

fn shipped(name: &str) -> Snapshot {
    let (snapshot, warnings) = reload::load(&policies().join(name)).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{name}: {warnings}");
    snapshot
}

fn tested(policies: &std::path::Path) -> reload::Tested {
    let tested = reload::load_tested(policies, &Default::default());
    tested.unwrap_or_else(|rejected| panic!("{}", rejected.render_human(false, policies)))
}

#[test]
fn every_shipped_policy_has_no_fault_and_no_warning_and_is_on_the_page() {
    let mut found = Vec::new();
    for entry in fs::read_dir(policies()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            shipped(name);
            assert!(README.contains(&format!("| `{name}/` |")), "{name} is not on the page");
            found.push(name.to_owned());
        }
    }
    found.sort();
    assert_eq!(found, SHIPPED);
}

#[test]
fn the_cases_of_every_shipped_policy_hold_and_decide_every_rule() {
    for name in SHIPPED {
        let tested = tested(&policies().join(name));
        assert!(tested.run.tried.len() >= 4, "{name} has too few cases to copy");
        let undecided: Vec<_> = tested.run.coverage().into_iter().filter(|covered| covered.cases == 0).collect();
        assert!(undecided.is_empty(), "{name}: no case decides {undecided:?}");
    }
}

/// Each statement of each shipped policy is taken out, or turned round, by itself: a case must notice.
#[test]
fn no_line_of_a_shipped_policy_can_go_without_a_case_that_fails() {
    let (mut tried, mut unnoticed) = (0, Vec::new());
    for name in SHIPPED {
        let directory = policies().join(name);
        let files = reload::read(&directory).0;
        for (index, source) in files.iter().enumerate() {
            for (line, text) in source.text.lines().enumerate() {
                let Some(changed) = changed(text) else { continue };
                let lines = source.text.lines().enumerate().map(|(at, text)| if at == line { &*changed } else { text });
                let mut files = files.clone();
                files[index].text = lines.collect::<Vec<_>>().join("\n").into();
                // What is no policy any more is refused anyway.
                let Ok((policy, statements, _)) = compile_listed(&files, &Default::default()) else { continue };
                let cases = reload::case_files(&directory).unwrap();
                let texts: Vec<_> =
                    cases.iter().map(|path| self::source("cases", &fs::read_to_string(path).unwrap())).collect();
                tried += 1;
                let Ok((cases, _)) = crate::policy::cases::read(&texts, &policy, &statements) else { continue };
                let run = crate::cases::run(&policy, statements, cases, 1);
                // Where nothing is denied, refusing what is denied makes no difference that a case could see.
                if run.holds() && text != "mode: shadow" {
                    unnoticed.push(format!("{name}: {text:?} can become {changed:?}"));
                }
            }
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    assert!(tried >= 40, "only {tried} lines were changed");
}

/// A line with another meaning: a list of a model that nobody asks for, another amount, or the other word.
fn changed(line: &str) -> Option<Box<str>> {
    let code = line.split(" # ").next()?;
    if code.trim_start().starts_with('#') {
        return None;
    }
    for (from, to) in [("deny: [", "deny: [none-of-them, "), ("models: [", "models: [none-of-them, ")] {
        if let Some((before, rest)) = code.split_once(from) {
            let (_, after) = rest.rsplit_once(']')?;
            return Some(format!("{before}{}]{after}", to.trim_end_matches(", ")).into());
        }
    }
    for (from, to) in [
        ("unrestricted: true", "unrestricted: false"),
        ("role: allow", "role: deny"),
        ("role: deny", "role: allow"),
        ("endpoint: deny", "endpoint: allow"),
        ("mode: shadow }", "mode: enforce }"),
        ("mode: shadow", "mode: enforce"),
        ("strict: true", "strict: false"),
        ("window: day", "window: hour"),
        ("window: month", "window: day"),
        ("window: 1m", "window: 2m"),
        ("concurrent: 2", "concurrent: 3"),
    ] {
        if code.contains(from) {
            return Some(code.replace(from, to).into());
        }
    }
    None
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
pub(in crate::policy) fn blocks() -> Vec<(&'static str, &'static str)> {
    let blocks = README.split("\n```yaml").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().split_once('\n').unwrap()).collect()
}

#[test]
fn every_block_of_the_page_loads_or_has_the_fault_it_names() {
    let blocks = blocks();
    assert!(blocks.len() >= 10, "the page has its blocks");
    // Cases are those of the policy before them.
    let mut policy: Option<(Snapshot, Vec<statements::Statement>)> = None;
    for (info, text) in blocks {
        if let Some(info) = info.trim().strip_prefix("override ") {
            let (policy, _) = policy.as_ref().expect("overrides stand behind their files");
            override_of(policy, info, text);
            continue;
        }
        let (cases, info) = match info.trim().strip_prefix("cases") {
            Some(rest) => (true, rest.trim()),
            None => (false, info.trim()),
        };
        let result = match (&policy, cases) {
            (Some((policy, statements)), true) => cases_of(policy, statements, text),
            (None, true) => panic!("cases before any policy"),
            (_, false) => {
                compile_listed(&[source("README.md", text)], &Default::default()).map(|(snapshot, list, warnings)| {
                    assert!(warnings.is_empty(), "{warnings}");
                    policy = Some((snapshot, list));
                })
            }
        };
        match (info.strip_prefix("fault: "), result) {
            (None, Ok(())) => {}
            (None, Err(report)) => panic!("{report}"),
            (Some(code), result) => {
                let report = result.expect_err("the block is to have a fault");
                let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
                assert_eq!(codes, [code]);
            }
        }
    }
}

/// Reads an override, of `group staff`, or of `group staff fault: override-limit`.
fn override_of(files: &Snapshot, info: &str, text: &str) {
    let (of, fault) = match info.split_once(" fault: ") {
        Some((of, fault)) => (of, vec![fault]),
        None => (info, vec![]),
    };
    let (kind, id) = of.split_once(' ').expect("whom it is about");
    let kind = overrides::Kind::named(kind).expect("a kind");
    let principal = overrides::Principal { kind, id: id.into() };
    let document = overrides::Document { principal, priority: kind.priority(), version: 1, text: text.into() };
    let checked = files.check_override(&document, std::path::Path::new("README.md"));
    let report = checked.err().unwrap_or_default();
    let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, fault, "{report}");
}

/// Reads a block of cases, which must hold.
fn cases_of(policy: &Snapshot, statements: &[statements::Statement], text: &str) -> Result<(), crate::report::Report> {
    let (cases, warnings) = crate::policy::cases::read(&[source("README.test.yaml", text)], policy, statements)?;
    assert!(warnings.is_empty(), "{warnings}");
    let run = crate::cases::run(policy, statements.to_vec(), cases, 1);
    let failing: Vec<_> =
        run.failures().map(|tried| crate::cases::failure(tried, std::path::Path::new("policies"))).collect();
    assert!(failing.is_empty(), "{}", failing.concat());
    Ok(())
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
