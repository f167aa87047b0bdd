//! Defaults for users: what somebody has who is given nothing else, from the files or from the environment.

use super::*;
use crate::policy::charge::{Unit, Window};
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::defaults::{Given, UserDefaults};

const POLICY: &str = r#"version: 1
roles:
  USER: { unrestricted: true }
  STAFF:
    unrestricted: true
    limits:
      - { id: staff-rpm, requests: 600, per: user, window: 60s }
      - { id: staff-day, tokens: 1M, per: user, window: day }
      - { id: staff-gpt, cost: 5 USD, per: user, window: month, models: ["gpt*"] }
      - { id: staff-pool, cost: 500 USD, per: role, window: month }
  ADMIN: { unrestricted: true, limits: none }
users:
  ann@example.edu: { limits: [{ id: ann-month, cost: 50 USD, per: user, window: month }] }
defaults:
  user:
    budget: { cost: 10 USD, window: month, timezone: Europe/Berlin }
    tokens_per_minute: 20k
    requests_per_minute: 30
prices: { default: { input: 1, output: 1 } }
"#;

fn given(name: &'static str, text: &str) -> Option<Given> {
    Some(Given { name, text: text.to_owned() })
}

fn compiled(text: &str, defaults: &UserDefaults) -> Snapshot {
    compile_with(&[source("p.yaml", text)], defaults).unwrap_or_else(|report| panic!("{report}")).0
}

/// What a chat with gpt-4o of 1,000 tokens is charged, as `rule amount/ceiling`.
fn charged(policy: &Snapshot, caller: &Caller) -> Vec<String> {
    let targets = [model("openAI", "gpt-4o")];
    let runs = [Run { endpoint: "openAI", model: "gpt-4o", tokens: Tokens { input: 1000, ..Tokens::default() } }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    let charges = policy.charges(&Ask { caller, targets: &targets }, &amounts);
    charges.iter().map(|charge| format!("{} {}/{}", charge.rule, charge.amount, charge.ceiling)).collect()
}

#[test]
fn a_default_holds_for_whom_nothing_nearer_says_the_same() {
    let policy = compiled(POLICY, &UserDefaults::default());
    let (budget, tpm, rpm) = (
        "defaults.user.budget 1000000000/10000000000000",
        "defaults.user.tokens_per_minute 1000/20000",
        "defaults.user.requests_per_minute 1/30",
    );
    for (role, user, expected) in [
        ("USER", "", &[budget, rpm, tpm][..]),
        ("USER", "ann@example.edu", &["users.ann@example.edu.limits.ann-month 1000000000/50000000000000", rpm, tpm]),
        // Another window, some models or a shared pool are not the same.
        (
            "STAFF",
            "",
            &[
                "roles.STAFF.limits.staff-day 1000/1000000",
                "roles.STAFF.limits.staff-gpt 1000000000/5000000000000",
                "roles.STAFF.limits.staff-pool 1000000000/500000000000000",
                "roles.STAFF.limits.staff-rpm 1/600",
                budget,
                tpm,
            ],
        ),
        ("ADMIN", "", &[]),
    ] {
        assert_eq!(charged(&policy, &caller(role, &[], user)), expected, "{role} {user}");
    }
    let targets = [model("openAI", "gpt-4o")];
    let ask = Ask { caller: &caller("USER", &[], "65f0c1d2e3a4b5c6d7e8f901"), targets: &targets };
    let charges = policy.charges(&ask, &Amounts::default());
    assert_eq!(&*charges[0].key, "defaults.user.budget:cost:user:65f0c1d2e3a4b5c6d7e8f901");
    assert!(
        matches!(&charges[0].window, Window::Calendar { unit: Unit::Month, zone } if zone.iana_name() == Some("Europe/Berlin"))
    );
    assert_eq!(charges[1].window, Window::Rolling(std::time::Duration::from_secs(60)));
    assert_eq!(policy.counts().limits, 8);
}

#[test]
fn the_environment_stands_in_for_the_files() {
    let defaults = UserDefaults {
        budget: given("DEFAULT_USER_MAX_BUDGET", "2.50"),
        tokens_per_minute: given("DEFAULT_USER_TPM_LIMIT", "40k"),
        requests_per_minute: given("DEFAULT_USER_RPM_LIMIT", " 60 "),
    };
    let user = caller("USER", &[], "");
    let expected = [
        "defaults.user.budget 1000000000/2500000000000",
        "defaults.user.requests_per_minute 1/60",
        "defaults.user.tokens_per_minute 1000/40000",
    ];
    let written = compiled(POLICY, &defaults);
    assert_eq!(charged(&written, &user), expected);
    assert_ne!(written.revision(), compiled(POLICY, &UserDefaults::default()).revision(), "another policy");
    // Without any in the files, a budget is one for a month.
    let bare = "version: 1\nroles: { USER: { unrestricted: true } }\nprices: { default: { input: 1, output: 1 } }\n";
    let policy = compiled(bare, &defaults);
    assert_eq!(charged(&policy, &user), expected);
    let explained = explain::explain(&policy, &user).limits;
    let windows: Vec<_> = explained.iter().map(|limit| limit.window.as_deref()).collect();
    assert_eq!(windows, [Some("month"), Some("1m"), Some("1m")]);
    assert_eq!(policy.enforced_limits().count(), 3);
}

#[test]
fn what_the_environment_says_wrongly_is_told_with_its_name() {
    for (text, reads) in [("", false), ("10 EUR", false), ("-1", false), ("1e3", false), ("10 USD", true), ("0", true)]
    {
        let defaults = UserDefaults { budget: given("DEFAULT_USER_MAX_BUDGET", text), ..UserDefaults::default() };
        let result = compile_with(&[source("p.yaml", POLICY)], &defaults);
        assert_eq!(result.is_ok(), reads, "{text}");
        let Err(report) = result else { continue };
        let faults = report.faults();
        assert_eq!((faults.len(), faults[0].code), (1, codes::BAD_DEFAULT), "{text}");
        assert!(faults[0].message.starts_with("DEFAULT_USER_MAX_BUDGET cannot be"), "{}", faults[0].message);
    }
    // A budget is money, and money needs prices.
    let defaults = UserDefaults { budget: given("DEFAULT_USER_MAX_BUDGET", "5"), ..UserDefaults::default() };
    let text = "version: 1\nroles: { USER: { endpoints: { openAI: { models: [a] } } } }\n";
    let report = compile_with(&[source("p.yaml", text)], &defaults).unwrap_err();
    let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [codes::WITHOUT_PRICE]);
}

#[test]
fn a_default_of_zero_closes_only_those_who_are_given_nothing_else() {
    let policy = policy(
        "roles: { USER: { unrestricted: true } }\n\
         users: { ann@example.edu: { limits: [{ id: ann, requests: 5, per: user, window: 1m }] } }\n\
         defaults: { user: { requests_per_minute: 0 } }",
    );
    assert_eq!(charged(&policy, &caller("USER", &[], "")), ["defaults.user.requests_per_minute 1/0"]);
    assert_eq!(charged(&policy, &caller("USER", &[], "ann@example.edu")), ["users.ann@example.edu.limits.ann 1/5"]);
}
