use super::*;
use crate::policy::tests::{caller, policy};

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
