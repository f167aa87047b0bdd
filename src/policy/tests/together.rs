//! More limits than can be counted together: found when the policy is read, not when somebody asks.

use super::*;
use crate::policy::charges::{Amounts, MOST_TOGETHER};
use crate::report::{Fault, Severity};

/// So many limits that are alike in nothing: each in a longer window, with a larger amount.
fn limits(prefix: &str, count: usize, from: usize, says: &str) -> String {
    let limit = |n: usize| format!("{{ id: {prefix}{n}, requests: {}, window: {n}s, {says} }}", n + 100);
    (from..from + count).map(limit).collect::<Vec<_>>().join(", ")
}

fn users(prefix: &str, count: usize, from: usize) -> String {
    limits(prefix, count, from, "per: user")
}

/// What is said about a policy, each as `code line: message`.
fn said(text: &str) -> Vec<String> {
    let report = match compile(&[source("p.yaml", &format!("version: 1\n{text}"))]) {
        Ok((_, warnings)) => warnings,
        Err(report) => report,
    };
    let line = |fault: &Fault| fault.place.as_ref().map_or(0, |place| place.line);
    for fault in report.faults() {
        assert_eq!(fault.severity == Severity::Error, fault.code == "too-many-limits", "{fault}");
        assert!(fault.help.is_some(), "{fault}");
    }
    report.faults().iter().map(|fault| format!("{} {}: {}", fault.code, line(fault), fault.message)).collect()
}

#[test]
fn a_policy_that_can_never_be_counted_has_a_fault_where_it_is_written() {
    let open = "unrestricted: true";
    let shadow = |count, from| limits("s", count, from, "per: user, mode: shadow");
    let everybody = |count: usize, whom: &str| {
        format!("{count} limits apply to every request of {whom}, and 254 can be counted together")
    };
    let groups: String =
        (0..26).map(|n| format!("  g{n}: {{ {open}, limits: [{}] }}\n", users(&format!("g{n}-"), 10, 1))).collect();
    let some = limits("m", 300, 1, "per: user, models: [gpt-4o]");
    for (text, expected) in [
        (format!("limits: [{}]", users("l", 254, 1)), vec![]),
        (
            format!("limits: [{}]", users("l", 255, 1)),
            vec![format!("too-many-limits 2: {}", everybody(255, "everybody"))],
        ),
        // Those that refuse and those in shadow mode are counted in a step each.
        (format!("limits: [{}, {}]", users("l", 254, 1), shadow(254, 1_000)), vec![]),
        (
            format!("limits: [{}, {}]", users("l", 3, 1), shadow(255, 1_000)),
            vec![format!("too-many-limits 2: {}", everybody(255, "everybody"))],
        ),
        (
            format!("mode: shadow\nlimits: [{}, {}]", users("l", 127, 1), shadow(128, 1_000)),
            vec![format!("too-many-limits 3: {}", everybody(255, "everybody"))],
        ),
        (
            format!("roles:\n  A: {{ {open}, limits: [{}] }}\nlimits: [{}]", users("a", 200, 1), users("l", 55, 500)),
            vec![format!("too-many-limits 3: {}", everybody(255, "the role \"A\""))],
        ),
        (format!("roles:\n  A: {{ {open}, limits: none }}\nlimits: [{}]", users("l", 254, 1)), vec![]),
        // The nearer one stands in for the other: nobody has more than 200.
        (
            format!("roles:\n  A: {{ {open}, limits: [{}] }}\nlimits: [{}]", users("a", 200, 1), users("l", 55, 1)),
            vec![
                "many-limits 3: up to 255 limits can apply to one request, and 254 can be counted together".to_owned(),
            ],
        ),
        // What several people share has nothing that stands in for it.
        (
            format!(
                "roles:\n  A: {{ {open}, limits: [{}] }}\nlimits: [{}]",
                users("a", 200, 1),
                limits("l", 55, 1, "per: global")
            ),
            vec![format!("too-many-limits 3: {}", everybody(255, "the role \"A\""))],
        ),
        (
            format!(
                "roles:\n  A: {{ {open}, limits: [{}] }}\nusers:\n  a@b.c: {{ limits: [{}] }}\nlimits: [{}]",
                users("a", 100, 1),
                users("u", 100, 200),
                users("l", 55, 500)
            ),
            vec![format!("too-many-limits 5: {}", everybody(255, "the user \"a@b.c\" in the role \"A\""))],
        ),
        (
            format!("users:\n  a@b.c: {{ limits: [{}] }}\nlimits: [{}]", users("u", 200, 200), users("l", 55, 500)),
            vec![format!("too-many-limits 3: {}", everybody(255, "the user \"a@b.c\""))],
        ),
        // Whether anybody is in all groups, or may run what some limits are about, is not known.
        (
            format!("groups:\n{groups}"),
            vec![
                "many-limits 3: up to 260 limits can apply to one request, and 254 can be counted together".to_owned(),
            ],
        ),
        (
            format!("unlisted: {{ endpoint: allow }}\nlimits: [{some}]"),
            vec![
                "many-limits 3: up to 300 limits can apply to one request, and 254 can be counted together".to_owned(),
            ],
        ),
    ] {
        assert_eq!(said(&text), expected, "{}", text.chars().take(200).collect::<String>());
    }
}

#[test]
fn what_is_told_is_what_a_request_takes() {
    let text = format!("unlisted: {{ endpoint: allow, role: allow }}\nlimits: [{}]", users("l", MOST_TOGETHER, 1));
    let (policy, ann) = (policy(&text), caller("USER", &[], "ann@example.edu"));
    let targets = [model("openAI", "gpt-4o")];
    let ask = Ask { caller: &ann, targets: &targets };
    assert_eq!(policy.charges(&ask, &Amounts { requests: 1, messages: 1, runs: &[] }).len(), MOST_TOGETHER);
}
