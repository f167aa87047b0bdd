//! Faults of case files: each with its code and its place, all at once.

use super::*;
use crate::policy::cases::read;
use crate::policy::defaults::{Given, UserDefaults};

const POLICY: &str = "version: 1
roles:
  USER:
    endpoints: { openAI: { models: [small], deny: [bad] }, google: { models: [] } }
    limits:
      - { id: day, tokens: 10k, per: user, window: day }
      - { id: purse, cost: 1 USD, per: user, window: month }
      - { id: strict-day, tokens: 20k, per: user, window: day, models: [small], strict: true }
      - { id: watched, requests: 1, per: user, window: day, mode: shadow }
  ADMIN: { unrestricted: true }
prices: { default: { input: 1, output: 1 } }
";

/// What is wrong with case files of this policy, as `code line:column`.
fn faults_of(policy: &str, texts: &[&str]) -> Vec<String> {
    let (policy, statements, _) = compile_listed(&[source("p.yaml", policy)], &UserDefaults::default())
        .unwrap_or_else(|report| panic!("{report}"));
    let names = ["a.test.yaml", "b.test.yaml"];
    let sources: Vec<_> = names.iter().zip(texts).map(|(name, text)| source(name, text)).collect();
    match read(&sources, &policy, &statements) {
        Ok((cases, warnings)) => {
            let mut told = super::faults::listed(&warnings);
            told.push(format!("{} cases", cases.len()));
            told
        }
        Err(report) => {
            for fault in report.faults() {
                assert!(fault.place.is_some(), "{report}");
                assert!(!fault.message.ends_with('.') && !fault.message.starts_with(char::is_uppercase), "{report}");
            }
            super::faults::listed(&report)
        }
    }
}

/// The faults of a file with one case in one line, which begins in column 13 of line 2.
fn of_case(case: &str) -> Vec<String> {
    faults_of(POLICY, &[&format!("version: 1\ncases: [ {{ {case} }} ]\n")])
}

/// A case without a fault, with something more in it.
fn and(more: &str) -> String {
    format!("name: a, caller: {{}}, asks: openAI|small, {more}")
}

/// Faults of files, by what they say after `version: 1`.
pub(super) const FILES: &[(&str, &[&str])] = &[
    ("", &["no-cases 0:0"]),
    ("callers: { ann: }", &["no-cases 0:0"]),
    ("cases: []", &["no-cases 0:0"]),
    ("cases: []\nmatrix: []", &["no-cases 0:0"]),
    ("cases: {}", &["wrong-type 2:8"]),
    ("cases: [x]", &["wrong-type 2:9"]),
    ("case: []", &["unknown-key 2:1"]),
    ("cases: [", &["bad-yaml 2:8"]),
    ("cases: []\ncases: []", &["duplicate-key 3:1"]),
    ("cases: [{}]", &["missing-key 2:9", "missing-key 2:9", "missing-key 2:9", "missing-key 2:9"]),
    ("now: 2026-11-23", &["bad-time 2:6"]),
    ("now: 2026-11-23T09:00:00", &["bad-time 2:6"]),
    ("now: 5", &["bad-time 2:6"]),
    ("callers: { ann: x }", &["wrong-type 2:17"]),
    ("callers: { ann: { mail: x } }", &["unknown-key 2:19"]),
    ("callers: { ann: { email: x } }", &["user-key 2:26"]),
    ("callers: { ann: { id: x } }", &["user-key 2:23"]),
    ("callers: { ann: { groups: x } }", &["wrong-type 2:27"]),
    ("callers: { ann: { groups: [1] } }", &["wrong-type 2:28"]),
    ("callers: { ann: { claims: {} } }", &["says-nothing 2:19"]),
    ("callers: { ann: { claims: { id: x } } }", &["wrong-type 2:33"]),
    ("callers: { ann: { claims: { jd: {} } } }", &["unknown-key 2:29"]),
    ("matrix: [{}]", &["missing-key 2:10", "missing-key 2:10", "missing-key 2:10", "missing-key 2:10"]),
    (
        "callers: { a: }\nmatrix: [{ name: t, callers: [a, b], models: [x, openAI|y], allow: { a: all } }]",
        &["unknown-caller 3:34", "bad-value 3:47", "missing-key 3:61"],
    ),
    (
        "callers: { a: }\nmatrix: [{ name: t, callers: [a, a], models: [e|x, e|x], allow: { a: [e|x, e|x, e|z], c: [] } }]",
        &[
            "duplicate-model 3:34",
            "duplicate-model 3:52",
            "duplicate-model 3:76",
            "bad-value 3:81",
            "unknown-caller 3:87",
        ],
    ),
    ("callers: { a: }\nmatrix: [{ name: t, callers: [a], models: [e|x], allow: { a: none } }]", &["wrong-type 3:62"]),
    ("callers: { a: }\nmatrix: [{ name: t, callers: [], models: [e|x], allow: {} }]", &["no-cases 3:21"]),
];

#[test]
fn every_fault_of_a_file_has_its_code_and_place() {
    let mut wrong = String::new();
    for (text, expected) in FILES {
        let found = faults_of(POLICY, &[&format!("version: 1\n{text}\n")]);
        if found != *expected {
            wrong.push_str(&format!("{text}\n  has {found:?}\n  not {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(faults_of(POLICY, &["cases: []"])[0], "version-missing 0:0");
    assert_eq!(faults_of(POLICY, &["version: 2\ncases: []"]), ["version-unknown 1:10"]);
}

/// Faults of a case, by what it says beside a name, a caller and a model; `code` alone, as all stand in one line.
pub(super) const CASES: &[(&str, &[&str])] = &[
    ("expect: 5", &["wrong-type"]),
    ("expect: yes", &["bad-value"]),
    ("expect: alow", &["bad-value"]),
    ("expect: {}", &["missing-key"]),
    ("expect: { rule: roles.ADMIN.unrestricted }", &["missing-key"]),
    ("expect: { verdict: deny, rules: [] }", &["unknown-key"]),
    ("expect: { verdict: deny, rule: roles.USER.endpoints.openAI.denny }", &["unknown-rule"]),
    ("expect: { verdict: deny, rule: [] }", &["impossible-case"]),
    ("expect: { verdict: deny, rule: [x, 5] }", &["unknown-rule", "wrong-type"]),
    // What a rule can never decide.
    ("expect: { verdict: allow, rule: roles.USER.endpoints.openAI.deny }", &["impossible-case"]),
    ("expect: { verdict: allow, rule: roles.USER.endpoints.google.models }", &["impossible-case"]),
    ("expect: { verdict: allow, rule: roles.USER.limits.day }", &["impossible-case"]),
    ("expect: { verdict: allow, rule: agent.model }", &["impossible-case"]),
    ("expect: { verdict: allow, rule: unlisted.role }", &["impossible-case"]),
    ("expect: { verdict: deny, rule: roles.ADMIN.unrestricted }", &["impossible-case"]),
    ("expect: { verdict: deny, rule: agents }", &["impossible-case"]),
    ("expect: { verdict: deny, rule: roles.USER.limits.day }", &["impossible-case"]),
    ("expect: { verdict: limit, rule: roles.USER.endpoints.openAI.models }", &["impossible-case"]),
    ("expect: { verdict: limit, rule: roles.USER.limits.watched }", &["impossible-case"]),
    ("expect: { verdict: shadow, rule: roles.USER.limits.day }", &["impossible-case"]),
    // Nothing resets where no limit decides.
    ("now: 2026-11-23T09:00:00Z, expect: { verdict: allow, resets_at: 2026-11-24T00:00:00Z }", &["impossible-case"]),
    ("now: 2026-11-23T09:00:00Z, expect: { verdict: deny, resets_at: none }", &["impossible-case"]),
    ("expect: { verdict: limit, resets_at: soon }", &["bad-time"]),
    ("expect: { verdict: limit, resets_at: 2026-11-24T00:00:00Z }", &["case-without-clock"]),
    ("used: { day: 1k }, expect: limit", &["case-without-clock"]),
    ("now: 2026-11-23T09:00:00Z, used: { dai: 1k }, expect: limit", &["unknown-limit"]),
    ("now: 2026-11-23T09:00:00Z, used: { day: 1 USD, purse: 1 }, expect: limit", &["limit-amount", "limit-amount"]),
    ("now: 2026-11-23T09:00:00Z, used: { day: 1, roles.USER.limits.day: 1 }, expect: limit", &["duplicate-key"]),
    ("expect: { verdict: allow, remaining: { roles.ADMIN.unrestricted: 1 } }", &["unknown-limit"]),
    ("messages: -1, expect: allow", &["limit-amount"]),
    ("tokens: { in: 1 }, expect: allow", &["unknown-key"]),
    ("tokens: { input: 1.5 }, expect: allow", &["limit-amount"]),
    ("tokens: 5, expect: allow", &["wrong-type"]),
];

#[test]
fn every_fault_of_a_case_has_its_code() {
    let mut wrong = String::new();
    for (more, expected) in CASES {
        let found: Vec<_> =
            of_case(&and(more)).iter().map(|fault| fault.split(' ').next().unwrap().to_owned()).collect();
        if found != *expected {
            wrong.push_str(&format!("{more}\n  has {found:?}\n  not {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn cases_without_a_fault_are_read() {
    for more in [
        "expect: allow",
        "expect: { verdict: deny, rule: roles.USER.limits.strict-day }",
        "expect: { verdict: deny, rule: [agent.model] }",
        "expect: { verdict: limit, rule: roles.USER.limits.strict-day, resets_at: none }",
        "expect: { verdict: shadow, rule: roles.USER.limits.watched }",
        "now: 2026-11-23T09:00:00-05:00, used: { day: 18446744073709551615, purse: 0.5 USD }, expect: limit",
    ] {
        assert_eq!(of_case(&and(more)), ["1 cases"], "{more}");
    }
}

#[test]
fn what_is_asked_for_is_one_thing_that_there_is() {
    for (asks, expected) in [
        ("openAI", "bad-value"),
        ("\"|x\"", "bad-value"),
        ("[]", "wrong-type"),
        ("[openAI|small, x]", "bad-value"),
        ("{}", "bad-value"),
        ("{ model: x }", "bad-value"),
        ("{ endpoint: openAI, model: x, tools: [y] }", "bad-value"),
        ("{ endpoint: agents, model: agent_a }", "bad-value"),
        ("agents|agent_a", "bad-value"),
        ("{ tool: x, feature: speech }", "bad-value"),
        ("{ feature: agents }", "bad-value"),
        ("{ surface: chat }", "bad-value"),
        ("{ agent: a, unjudged: agent.strange }", "bad-value"),
        ("{ agent: a, models: [small] }", "bad-value"),
        ("{ agent: a, model: x }", "bad-value"),
        ("{ endpoints: x }", "unknown-key"),
        ("5", "wrong-type"),
    ] {
        let found = of_case(&format!("name: a, caller: {{}}, asks: {asks}, expect: allow"));
        let codes: Vec<_> = found.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
        assert_eq!(codes, [expected], "{asks}");
    }
}

/// A case about something that is called otherwise holds, and guards nothing.
#[test]
fn names_with_a_slip_in_them_are_told() {
    let policy = "version: 1
blocked: { groups: [gone] }
roles:
  USER:
    endpoints: { openAI: { models: [small] }, custom: { MindRoom: { models: [basic] }, Ollama: { models: [llama] } } }
  ADMIN: { unrestricted: true }
groups: { staff: { endpoints: { custom: { Campus: { deny: [old] } } } } }
role_mapping: [{ claim: groups, token: id, has: teachers, role: TEACHER }]
limits: [{ id: day, tokens: 1k, per: user, window: day, endpoints: [Metered] }]
unlisted: { role: deny }
";
    let case = |caller: &str, asks: &str| {
        format!("version: 1\ncases: [{{ name: a, caller: {caller},\nasks: {asks}, expect: deny }}]")
    };
    for (asks, expected) in [
        // An endpoint that is like one that there is would be refused as none that anything names.
        ("openai|small", "unknown-endpoint 3:7"),
        ("OpenAI|small", "unknown-endpoint 3:7"),
        ("azureOpenAi|small", "unknown-endpoint 3:7"),
        ("mindroom|basic", "unknown-endpoint 3:7"),
        ("Ollama|llama", "unknown-endpoint 3:7"),
        ("Meterd|x", "unknown-endpoint 3:7"),
        ("[openAI|small, openai|small]", "unknown-endpoint 3:22"),
        ("{ endpoint: anthropc, model: x }", "unknown-endpoint 3:19"),
        ("{ endpoint: anthropc }", "unknown-endpoint 3:19"),
        ("{ agent: agent_a, models: [openAI|small, goggle|x] }", "unknown-endpoint 3:48"),
        // What is like nothing may well be an endpoint that nothing names.
        ("Some other endpoint|small", "1 cases"),
        ("{ endpoint: Elsewhere, model: x }", "1 cases"),
        ("ollama|llama", "1 cases"),
        ("Metered|x", "1 cases"),
        ("Campus|old", "1 cases"),
        ("anthropic|x", "1 cases"),
        // A star is no model: no request has it.
        ("openAI|gpt-*", "wildcard-in-name 3:7"),
        ("\"*|small\"", "wildcard-in-name 3:7"),
        ("{ endpoint: openAI, model: '*' }", "wildcard-in-name 3:34"),
        ("{ agent: 'agent_*' }", "wildcard-in-name 3:16"),
        ("{ agent: agent_a, models: ['openAI|gpt-*'] }", "wildcard-in-name 3:34"),
        ("{ agent: agent_a, tools: ['web_*'] }", "wildcard-in-name 3:33"),
        ("{ tool: 'web_*' }", "wildcard-in-name 3:15"),
        ("{ tool: '*_mcp_github' }", "1 cases"),
    ] {
        assert_eq!(faults_of(policy, &[&case("{}", asks)]), [expected], "{asks}");
    }
    for (caller, expected) in [
        ("{ role: USR }", &["not-named 2:36", "1 cases"][..]),
        (
            "{ role: TEACHR, groups: [staf, staff, nope] }",
            &["not-named 2:36", "not-named 2:53", "not-named 2:66", "1 cases"],
        ),
        ("{ role: TEACHER, groups: [gone, staff] }", &["1 cases"]),
        ("{ role: ADMIN }", &["1 cases"]),
        // The policy says what holds for roles that it does not name.
        ("{ role: Visiting scholar }", &["1 cases"]),
    ] {
        assert_eq!(faults_of(policy, &[&case(caller, "openAI|small")]), expected, "{caller}");
    }
    let silent = policy.replace("unlisted: { role: deny }\n", "");
    let visitor = case("{ role: Visiting scholar }", "openAI|small");
    assert_eq!(faults_of(&silent, &[&visitor]), ["not-named 2:36", "1 cases"]);
    // In a table, too, and above the cases.
    let table = "version: 1\ncallers: { a: { role: USR } }\n\
                 matrix: [{ name: t, callers: [a], models: ['openAI|gpt-*', opnAI|x], allow: { a: [] } }]";
    assert_eq!(faults_of(policy, &[table]), ["not-named 2:23", "wildcard-in-name 3:44", "unknown-endpoint 3:60"]);
}

#[test]
fn callers_are_those_of_the_same_file() {
    let one = "version: 1\ncallers: { ann: }\ncases: [{ name: a, caller: ann, asks: openAI|small, expect: allow }]";
    let two = "version: 1\ncases: [{ name: b, caller: ann, asks: openAI|small, expect: allow }]";
    assert_eq!(faults_of(POLICY, &[one]), ["1 cases"]);
    assert_eq!(faults_of(POLICY, &[one, two]), ["unknown-caller 2:28"]);
    // Who has a fault has had it.
    let faulty = one.replace("ann: }", "ann: { rol: x } }");
    assert_eq!(faults_of(POLICY, &[&faulty]), ["unknown-key 2:19"]);
}

#[test]
fn a_name_stands_for_one_case_whatever_the_file() {
    let case = "version: 1\ncases: [{ name: a, caller: {}, asks: openAI|small, expect: allow }]";
    let table = "version: 1\ncallers: { x: }\nmatrix: [{ name: a, callers: [x], models: [e|m], allow: { x: [] } }]";
    assert_eq!(faults_of(POLICY, &[case, table]), ["defined-twice 3:18"]);
    assert_eq!(faults_of(POLICY, &[&case.replace("name: a", "name: ''")]), ["empty-name 2:17"]);
    assert_eq!(faults_of(POLICY, &[&case.replace("name: a", "name: \"a\\e[2J\"")]), ["bad-name 2:17"]);
}

#[test]
fn verdicts_that_a_policy_never_gives_are_not_expected() {
    let open = "version: 1\nroles: { USER: { unrestricted: true } }\n";
    let shadow = "version: 1\nmode: shadow\nroles: { USER: { unrestricted: true } }\n";
    let case =
        |verdict: &str| format!("version: 1\ncases: [{{ name: a, caller: {{}}, asks: openAI|x, expect: {verdict} }}]");
    for (policy, verdict, possible) in [
        (open, "allow", true),
        (open, "deny", true),
        (open, "limit", false),
        (open, "shadow", false),
        (shadow, "allow", true),
        (shadow, "deny", false),
        (shadow, "limit", false),
        (shadow, "shadow", true),
        (POLICY, "limit", true),
        (POLICY, "shadow", true),
    ] {
        let expected = if possible { "1 cases" } else { "impossible-case 2:56" };
        assert_eq!(faults_of(policy, &[&case(verdict)]), [expected], "{verdict} of {policy}");
    }
}

#[test]
fn a_table_is_not_larger_than_can_be_meant() {
    let names =
        |letter: char, count: usize| (0..count).map(|at| format!("\"{letter}|{at}\"")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nmatrix: [{{ name: t, callers: [{}], models: [{}], allow: {{}} }}]",
        names('c', 400),
        names('m', 400)
    );
    assert!(faults_of(POLICY, &[&text]).contains(&"too-large 2:10".to_owned()));
}

#[test]
fn every_statement_that_is_written_has_its_place() {
    let text = "version: 1
unlisted: { endpoint: allow, role: deny }
user_keys: deny
remote_api: { enabled: false }
system_models: { speech: deny }
roles:
  USER: { endpoints: { openAI: &list { models: [a], deny: [b] } }, tools: { allow: [c], deny: [d] } }
  OTHER: { endpoints: { google: *list } }
users:
  Ann@Example.edu: { limits: [{ id: l, requests: 1, per: user, window: 1m }] }
agents: { tools: { deny: [e] } }
defaults: { user: { requests_per_minute: 5 } }
";
    let given = |name, text: &str| Some(Given { name, text: text.to_owned() });
    let environment = UserDefaults { budget: given("DEFAULT_USER_MAX_BUDGET", "5"), ..UserDefaults::default() };
    let text = format!("{text}prices: {{ default: {{ input: 1, output: 1 }} }}\n");
    let (_, statements, _) =
        compile_listed(&[source("p.yaml", &text)], &environment).unwrap_or_else(|report| panic!("{report}"));
    let written = statements.iter().filter_map(|of| Some(format!("{} {}", of.place.as_ref()?.line, of.rule)));
    assert_eq!(
        written.collect::<Vec<_>>(),
        [
            "2 unlisted.endpoint",
            "2 unlisted.role",
            "3 user_keys",
            "4 remote_api.enabled",
            "5 system_models.speech",
            "7 roles.USER.endpoints.openAI.models",
            "7 roles.OTHER.endpoints.google.models",
            "7 roles.USER.endpoints.openAI.deny",
            "7 roles.OTHER.endpoints.google.deny",
            "7 roles.USER.tools.allow",
            "7 roles.USER.tools.deny",
            "10 users.ann@example.edu.limits.l",
            "11 agents.tools.deny",
            "12 defaults.user.requests_per_minute",
        ]
    );
    let unwritten: Vec<_> = statements.iter().filter(|of| of.place.is_none()).map(|of| of.rule.as_str()).collect();
    assert_eq!(unwritten, ["agents", "tools", "surface.agents", "surface.assistants", "defaults.user.budget"]);
}
