//! Cases that are run: limits with their windows, mappings, strict and shadow limits, and laws for any policy and any case file.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::policy::cases::{Expected, UNJUDGED, read};
use crate::policy::defaults::UserDefaults;
use crate::policy::tests::random::{any_caller, any_policy, corrected, pairs, yaml};
use crate::policy::{Ask, Outcome, Source, Target, compile_listed, decide};
use crate::report::Report;

const POLICY: &str = r#"version: 1
roles:
  USER:
    endpoints:
      openAI: { models: [small, "big*"], deny: [big-old] }
      assistants: { models: [small] }
    tools: { deny: [shell, "*_mcp_secret"] }
    limits:
      - { id: rpm, requests: 60, per: user, window: 1m }
      - { id: day, tokens: 10k, per: user, window: day, timezone: Europe/Berlin }
      - { id: talk, messages: 5, per: user, window: hour, timezone: Asia/Kolkata }
      - { id: open, concurrent: 2, per: user }
      - { id: closed, requests: 0, per: user, window: day, models: [big-closed] }
      - { id: watched, input_tokens: 1k, per: role, window: week, mode: shadow }
  STAFF: { unrestricted: true }
groups:
  strict:
    endpoints: { openAI: { models: [small] } }
    limits: [{ id: purse, cost: 1 USD, per: group, window: month, strict: true }]
  other:
    limits: [{ id: elsewhere, requests: 1, per: group, window: day }]
role_mapping:
  - { claim: groups, token: id, has: staff, role: STAFF }
group_mapping:
  - { claim: teams, token: access, strip: "tg-" }
prices:
  small: { input: 10, output: 100 }
  default: { input: 10, output: 100 }
"#;

fn sources(texts: &[&str], name: &str) -> Vec<Source> {
    texts.iter().map(|text| Source { path: name.into(), text: (*text).into() }).collect()
}

fn compiled(policy: &str) -> (Snapshot, Vec<Statement>) {
    let compiled = compile_listed(&sources(&[policy], "p.yaml"), &UserDefaults::default());
    let (policy, statements, _) = compiled.unwrap_or_else(|report| panic!("{report}"));
    (policy, statements)
}

fn tried(policy: &str, cases: &str) -> Result<Run, Report> {
    run_on(&compiled(policy), cases)
}

fn run_on((policy, statements): &(Snapshot, Vec<Statement>), cases: &str) -> Result<Run, Report> {
    let (cases, _) = read(&sources(&[cases], "p.test.yaml"), policy, statements)?;
    Ok(run(policy, statements.clone(), cases, 1))
}

/// [`POLICY`], read once.
static COMPILED: LazyLock<(Snapshot, Vec<Statement>)> = LazyLock::new(|| compiled(POLICY));

/// The rows of one case at nine o'clock in Berlin, `what: got` each, those that differ with what was expected.
fn rows(case: &str) -> Vec<String> {
    let text = format!("version: 1\nnow: 2026-11-23T09:00:00+01:00\ncases:\n  - {{ name: x, {case} }}\n");
    let run = run_on(&COMPILED, &text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(run.tried.len(), 1);
    let told = |row: &Row| match row.differs {
        true => format!("{}: {}, not {}", row.what, row.got, row.expected),
        false => format!("{}: {}", row.what, row.got),
    };
    run.tried[0].rows.iter().map(told).collect()
}

#[track_caller]
fn holds(case: &str) {
    let rows = rows(case);
    assert!(!rows.iter().any(|row| row.contains(", not ")), "{case}\n{rows:#?}");
}

#[track_caller]
fn fails(case: &str, differing: &[&str]) {
    let rows: Vec<_> = rows(case).into_iter().filter(|row| row.contains(", not ")).collect();
    assert_eq!(rows, differing, "{case}");
}

#[test]
fn a_verdict_and_its_rule_come_out_or_are_told_side_by_side() {
    let ask = "caller: { role: USER }, asks: openAI|small";
    let rule = "roles.USER.endpoints.openAI.models";
    holds(&format!("{ask}, expect: {{ verdict: allow, rule: {rule} }}"));
    holds(&format!("{ask}, expect: {{ verdict: allow, rule: [{rule}] }}"));
    fails(&format!("{ask}, expect: deny"), &["verdict: allow, not deny"]);
    fails(
        &format!("{ask}, expect: {{ verdict: allow, rule: roles.STAFF.unrestricted }}"),
        &["rule: roles.USER.endpoints.openAI.models, not roles.STAFF.unrestricted"],
    );
}

#[test]
fn everything_that_can_be_asked_for_is_asked_as_it_is_written() {
    for (asks, expect) in [
        ("openAI|big-new", "{ verdict: allow, rule: roles.USER.endpoints.openAI.models }"),
        ("{ endpoint: openAI, model: big-old }", "{ verdict: deny, rule: roles.USER.endpoints.openAI.deny }"),
        ("{ endpoint: openAI }", "{ verdict: allow, rule: roles.USER.endpoints.openAI.models }"),
        ("{ endpoint: google }", "{ verdict: deny, rule: unlisted.endpoint }"),
        ("assistants|small", "{ verdict: deny, rule: surface.assistants }"),
        ("{ tool: calculator }", "{ verdict: allow, rule: tools }"),
        ("{ tool: shell }", "{ verdict: deny, rule: roles.USER.tools.deny }"),
        ("{ tool: \"*_mcp_secret\" }", "{ verdict: deny, rule: roles.USER.tools.deny }"),
        ("{ tool: \"*_mcp_open\" }", "{ verdict: allow, rule: tools }"),
        ("{ feature: user_keys }", "{ verdict: allow, rule: user_keys }"),
        ("{ feature: speech }", "{ verdict: allow, rule: system_models.speech }"),
        ("{ surface: remote_api }", "{ verdict: allow, rule: remote_api.enabled }"),
        ("{ surface: assistants }", "{ verdict: deny, rule: surface.assistants }"),
        ("{ surface: agents }", "{ verdict: deny, rule: surface.agents }"),
        ("{ agent: agent_a }", "{ verdict: allow, rule: agents }"),
        (
            "{ agent: agent_a, models: [openAI|small] }",
            "{ verdict: allow, rule: [agents, roles.USER.endpoints.openAI.models] }",
        ),
        ("{ agent: agent_a, models: [Elsewhere|big-old] }", "{ verdict: deny, rule: unlisted.endpoint }"),
        ("{ agent: agent_a, tools: [shell] }", "{ verdict: deny, rule: roles.USER.tools.deny }"),
        ("{ agent: agent_a, unjudged: agent.parameters }", "{ verdict: deny, rule: agent.parameters }"),
        ("[openAI|small, { tool: shell }]", "{ verdict: deny, rule: [roles.USER.tools.deny] }"),
    ] {
        holds(&format!("caller: {{}}, asks: {asks}, expect: {expect}"));
    }
}

#[test]
fn reasons_for_which_agents_cannot_be_judged_are_those_of_the_record() {
    use crate::librechat::agents;
    let mut known = UNJUDGED;
    let mut told = [
        agents::MISSING,
        agents::NO_VERSION,
        agents::NO_STORE,
        agents::TOO_MANY,
        agents::TOO_DEEP,
        agents::DOCUMENT,
        agents::CHANGED,
        agents::PROVIDER,
        agents::MODEL,
        agents::PARAMETERS,
    ];
    known.sort_unstable();
    told.sort_unstable();
    assert_eq!(known, told);
}

#[test]
fn limits_count_what_was_used_and_what_the_request_takes() {
    let ask = "caller: {}, asks: openAI|small";
    // Pieces of the calendar, in the limit's time zone.
    holds(&format!(
        "{ask}, tokens: {{ input: 600, output: 400 }}, used: {{ day: 9k }}, expect: {{ verdict: allow, remaining: {{ day: 0 }} }}"
    ));
    holds(&format!(
        "{ask}, tokens: {{ input: 601, output: 400 }}, used: {{ day: 9k }}, \
         expect: {{ verdict: limit, rule: roles.USER.limits.day, resets_at: 2026-11-24T00:00:00+01:00, remaining: {{ day: 1k }} }}"
    ));
    // Half past one in Kolkata: its hours begin half an hour after those of UTC.
    holds(&format!(
        "{ask}, used: {{ talk: 5 }}, expect: {{ verdict: limit, rule: roles.USER.limits.talk, resets_at: 2026-11-23T08:30:00Z }}"
    ));
    holds(&format!("{ask}, messages: 0, used: {{ talk: 5 }}, expect: {{ verdict: allow, remaining: {{ talk: 0 }} }}"));
    // A rolling window forgets steadily: one request in a second.
    holds(&format!(
        "{ask}, used: {{ rpm: 60 }}, expect: {{ verdict: limit, rule: roles.USER.limits.rpm, resets_at: 2026-11-23T08:00:01Z }}"
    ));
    holds(&format!("{ask}, used: {{ rpm: 59 }}, expect: {{ verdict: allow, remaining: {{ rpm: 0 }} }}"));
    // Turns that run; when they end nobody knows.
    holds(&format!(
        "{ask}, used: {{ open: 2 }}, expect: {{ verdict: limit, rule: roles.USER.limits.open, resets_at: none }}"
    ));
    holds(&format!(
        "{ask}, used: {{ roles.USER.limits.open: 1 }}, expect: {{ verdict: allow, remaining: {{ open: 0 }} }}"
    ));
    // Without tokens, the allowance for an answer is taken.
    holds(&format!("{ask}, expect: {{ verdict: allow, remaining: {{ day: 9k }} }}"));
    holds(&format!("{ask}, tokens: {{ input: 50 }}, expect: {{ verdict: allow, remaining: {{ day: 8950 }} }}"));
    // Two models take twice.
    holds("caller: {}, asks: [openAI|small, openAI|big-new], expect: { verdict: allow, remaining: { day: 8k } }");
    // What an agent hands over to with the same model counts once.
    holds(
        "caller: {}, asks: { agent: a, models: [openAI|small, openAI|small, openAI|big-1] }, expect: { verdict: allow, remaining: { day: 8k } }",
    );
    // More than a limit holds never fits, and a limit of 0 is closed.
    holds(&format!(
        "{ask}, tokens: {{ input: 11k }}, expect: {{ verdict: limit, rule: roles.USER.limits.day, resets_at: none }}"
    ));
    holds(
        "caller: {}, asks: openAI|big-closed, expect: { verdict: limit, rule: roles.USER.limits.closed, resets_at: none }",
    );
    // What resets last decides.
    holds(&format!(
        "{ask}, used: {{ rpm: 60, day: 10k, open: 2 }}, expect: {{ verdict: limit, rule: [roles.USER.limits.day, roles.USER.limits.rpm, roles.USER.limits.open] }}"
    ));
    // What starts no model takes nothing.
    holds(
        "caller: {}, asks: { tool: calculator }, used: { rpm: 60 }, expect: { verdict: allow, remaining: { rpm: 0 } }",
    );
    // What the lists refuse takes nothing either.
    holds("caller: {}, asks: openAI|big-old, used: { rpm: 60 }, expect: { verdict: deny, remaining: { rpm: 0 } }");
}

#[test]
fn an_hour_of_summer_time_is_one_of_the_limits_day() {
    let day = "caller: {}, asks: openAI|small, used: { day: 10k }";
    // Clocks go forward on 29 March 2026, and back on 25 October.
    for (now, resets) in [
        ("2026-03-29T00:30:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2026-10-25T00:30:00+02:00", "2026-10-26T00:00:00+01:00"),
    ] {
        holds(&format!(
            "{day}, now: {now}, expect: {{ verdict: limit, rule: roles.USER.limits.day, resets_at: {resets} }}"
        ));
    }
    fails(
        &format!("{day}, expect: {{ verdict: limit, resets_at: 2026-11-24T00:00:00Z }}"),
        &["resets at: 2026-11-24T00:00:00+01:00, not 2026-11-24T01:00:00+01:00"],
    );
}

#[test]
fn limits_in_shadow_mode_let_pass_and_say_so() {
    let ask = "caller: {}, asks: openAI|small, tokens: { input: 2 }";
    holds(&format!("{ask}, used: {{ watched: 998 }}, expect: {{ verdict: allow, remaining: {{ watched: 0 }} }}"));
    holds(&format!(
        "{ask}, used: {{ watched: 999 }}, expect: {{ verdict: shadow, rule: roles.USER.limits.watched, resets_at: 2026-11-30T00:00:00Z }}"
    ));
    // One that refuses comes first.
    holds(&format!(
        "{ask}, used: {{ watched: 999, rpm: 60 }}, expect: {{ verdict: limit, rule: roles.USER.limits.rpm }}"
    ));
}

#[test]
fn strict_limits_bound_the_answer_and_refuse_what_cannot_be_bounded() {
    let ask = "caller: { groups: [strict] }, asks: openAI|small, tokens: { input: 1000 }";
    // 0.01 USD for the prompt, 4,096 tokens at 100 USD a million for the longest answer.
    holds(&format!("{ask}, expect: {{ verdict: allow, remaining: {{ purse: 0.5804 USD, day: 4904 }} }}"));
    holds(&format!("{ask}, used: {{ purse: 0.9 USD }}, expect: {{ verdict: allow, remaining: {{ purse: 0 USD }} }}"));
    holds(&format!(
        "{ask}, used: {{ purse: 0.99 USD }}, expect: {{ verdict: limit, rule: groups.strict.limits.purse, resets_at: 2026-12-01T00:00:00Z }}"
    ));
    for asks in ["{ agent: a, models: [openAI|small] }", "[openAI|small, { tool: x }]"] {
        holds(&format!(
            "caller: {{ groups: [strict] }}, asks: {asks}, expect: {{ verdict: deny, rule: groups.strict.limits.purse }}"
        ));
    }
}

#[test]
fn claims_are_mapped_as_in_service() {
    let claims = "claims: { id: { groups: [staff, x] }, access: { teams: [tg-strict, else] } }";
    let ask = format!("caller: {{ groups: [known], {claims} }}, asks: google|any");
    holds(
        &format!(
            "{ask}, expect: {{ verdict: allow, rule: roles.STAFF.unrestricted, role: STAFF, groups: [strict, known] }}"
        )
        .replace("google|any", "{ endpoint: google }"),
    );
    fails(
        &format!(
            "caller: {{ groups: [known], {claims} }}, asks: {{ tool: x }}, expect: {{ verdict: allow, role: USER, groups: [] }}"
        ),
        &["role: STAFF, not USER", "groups: known, strict, not none"],
    );
    // A list with anything else in it is none.
    holds(
        "caller: { claims: { id: { groups: [staff, 5] } } }, asks: { tool: x }, expect: { verdict: allow, role: USER }",
    );
}

#[test]
fn a_limit_that_is_not_the_callers_makes_the_case_fail() {
    for case in [
        "caller: {}, asks: openAI|small, used: { elsewhere: 1 }, expect: allow",
        "caller: {}, asks: openAI|small, expect: { verdict: allow, remaining: { elsewhere: 1 } }",
    ] {
        let told = "cannot be told: the limit groups.other.limits.elsewhere does not count for this caller";
        fails(case, &[&format!("verdict: {told}, not allow")]);
    }
}

#[test]
fn a_policy_in_shadow_mode_refuses_nothing_and_says_what_it_would() {
    let policy = "version: 1\nmode: shadow\nroles: { USER: { endpoints: { openAI: { models: [small] } }, \
                  limits: [{ id: day, requests: 1, per: user, window: day }] } }\n";
    let cases = "version: 1\nnow: 2026-11-23T09:00:00Z\ncases:\n  \
        - { name: a, caller: {}, asks: openAI|big, used: { day: 1 }, expect: { verdict: shadow, rule: roles.USER.endpoints.openAI.models, resets_at: none } }\n  \
        - { name: b, caller: {}, asks: openAI|small, used: { day: 1 }, expect: { verdict: shadow, rule: roles.USER.limits.day, resets_at: 2026-11-24T00:00:00Z } }\n\
        matrix:\n  - { name: c, callers: [x], models: [openAI|small, openAI|big], allow: { x: [openAI|small] } }\ncallers: { x: }\n";
    let run = tried(policy, cases).unwrap_or_else(|report| panic!("{report}"));
    let failing: Vec<_> = run.failures().map(|tried| failure(tried, Path::new("p"))).collect();
    assert!(failing.is_empty(), "{}", failing.join("\n"));
    assert_eq!(run.tried.len(), 4);
}

#[test]
fn a_matrix_holds_where_everything_else_is_refused() {
    let with = |allow: &str| {
        let cases = format!(
            "version: 1\ncallers: {{ user: , staff: {{ role: STAFF }} }}\nmatrix:\n  - name: table\n    callers: [user, staff]\n    \
             models: [openAI|small, openAI|big-old, openAI|big-closed]\n    allow: {allow}\n"
        );
        let run = tried(POLICY, &cases).unwrap_or_else(|report| panic!("{report}"));
        let failing: Vec<_> = run.failures().map(|tried| tried.case.name.to_string()).collect();
        failing
    };
    assert_eq!(with("{ user: [openAI|small], staff: all }"), [""; 0]);
    assert_eq!(with("{ user: [], staff: all }"), ["table: user, openAI|small"]);
    assert_eq!(
        with("{ user: all, staff: [openAI|small, openAI|big-old] }"),
        ["table: user, openAI|big-old", "table: user, openAI|big-closed", "table: staff, openAI|big-closed"]
    );
}

#[test]
fn rules_are_counted_that_decide() {
    let cases = "version: 1\nnow: 2026-11-23T09:00:00Z\ncases:\n  \
        - { name: a, caller: {}, asks: [openAI|small, openAI|big-1], expect: allow }\n  \
        - { name: b, caller: {}, asks: openAI|small, used: { rpm: 60, day: 10k }, expect: limit }\n  \
        - { name: c, caller: {}, asks: openAI|big-old, expect: deny }\n";
    let run = tried(POLICY, cases).unwrap_or_else(|report| panic!("{report}"));
    let covered: Vec<_> =
        run.coverage().into_iter().map(|of| format!("{} {} {}", of.place.line, of.rule, of.cases)).collect();
    assert_eq!(
        covered,
        [
            "5 roles.USER.endpoints.openAI.models 1",
            "5 roles.USER.endpoints.openAI.deny 1",
            "6 roles.USER.endpoints.assistants.models 0",
            "7 roles.USER.tools.deny 0",
            "9 roles.USER.limits.rpm 0",
            "10 roles.USER.limits.day 1",
            "11 roles.USER.limits.talk 0",
            "12 roles.USER.limits.open 0",
            "13 roles.USER.limits.closed 0",
            "14 roles.USER.limits.watched 0",
            "15 roles.STAFF.unrestricted 0",
            "18 groups.strict.endpoints.openAI.models 0",
            "19 groups.strict.limits.purse 0",
            "21 groups.other.limits.elsewhere 0",
        ]
    );
}

#[test]
fn a_failure_tells_all_that_is_needed_to_look_further() {
    let cases = "version: 1\nnow: 2026-11-23T09:00:00+01:00\ncallers:\n  ann: { groups: [\"it's\"], email: ann@example.edu }\ncases:\n  \
        - name: The day is used up\n    caller: ann\n    asks: openAI|small\n    used: { day: 8k }\n    \
        expect: { verdict: limit, rule: roles.USER.limits.day, resets_at: 2026-11-24T00:00:00+01:00 }\n";
    let run = tried(POLICY, cases).unwrap_or_else(|report| panic!("{report}"));
    let text = failure(run.failures().next().unwrap(), Path::new("my policies"));
    let expected = "\
FAILED  The day is used up
  p.test.yaml:6:11
  asked      openAI|small by ann (role USER, groups it's, ann@example.edu), at 2026-11-23T08:00:00+00:00
             expected                   got
! verdict    limit                      allow
! rule       roles.USER.limits.day      roles.USER.endpoints.openAI.models
! resets at  2026-11-24T00:00:00+01:00  none
  see        tollgate explain --policies 'my policies' --role USER --group 'it'\\''s' --user ann@example.edu --endpoint openAI --model small

";
    assert_eq!(text, expected);
}

#[test]
fn of_several_things_the_one_that_was_refused_is_looked_at_further() {
    for (asks, expect, model) in [
        ("[openAI|small, openAI|big-old]", "allow", Some("big-old")),
        ("[openAI|small, openAI|big-closed]", "allow", Some("big-closed")),
        ("[openAI|big-old, openAI|small]", "allow", Some("big-old")),
        ("[openAI|small, openAI|big]", "deny", Some("small")),
        ("[openAI|small, { tool: shell }]", "allow", None),
        ("[openAI|small, { agent: agent_x, models: [openAI|small, openAI|big-old] }]", "allow", Some("big-old")),
    ] {
        let cases = format!(
            "version: 1\nnow: 2026-11-23T09:00:00+01:00\ncases:\n  - {{ name: x, caller: {{}}, asks: {asks}, expect: {expect} }}\n"
        );
        let run = run_on(&COMPILED, &cases).unwrap_or_else(|report| panic!("{report}"));
        let line = explain_line(run.failures().next().unwrap_or_else(|| panic!("{asks} holds")), Path::new("p"));
        let expected = model.map_or(String::new(), |model| format!(" --endpoint openAI --model {model}"));
        assert_eq!(line, format!("tollgate explain --policies p --role USER{expected}"), "{asks}");
    }
}

/// Words that cases are made of, right ones and wrong ones.
fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(
        &[
            "version",
            "1",
            "now",
            "callers",
            "cases",
            "matrix",
            "name",
            "caller",
            "asks",
            "messages",
            "tokens",
            "used",
            "expect",
            "verdict",
            "rule",
            "resets_at",
            "remaining",
            "allow",
            "deny",
            "limit",
            "shadow",
            "all",
            "none",
            "day",
            "rpm",
            "purse",
            "openAI|small",
            "2026-11-23T09:00:00Z",
            "{",
            "}",
            "[",
            "]",
            ": ",
            ", ",
            "\n",
            "\n  - ",
            "\n    ",
            "x",
            "9k",
            "1 USD",
            "null",
            "models",
            "agent",
            "tool",
            "feature",
            "surface",
            "endpoint",
            "role",
            "groups",
            "claims",
            "id",
            "\"",
            "*",
            "&a",
            "18446744073709551615",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_case_file_makes_a_panic(words in proptest::collection::vec(word(), 0..40), head in any::<bool>()) {
        let text = format!("{}{}", if head { "version: 1\ncases:\n  - name: a\n    " } else { "" }, words.concat());
        match run_on(&COMPILED, &text) {
            Ok(run) => prop_assert!(!run.tried.is_empty()),
            Err(report) => prop_assert!(report.faults().iter().all(|fault| fault.place.is_some()), "{report}"),
        }
    }

    #[test]
    fn no_case_makes_a_panic(
        used in proptest::collection::vec((proptest::sample::select(&["rpm", "day", "talk", "open", "closed", "watched", "purse", "elsewhere"][..]), any::<u64>()), 0..4),
        tokens in any::<[u64; 4]>(), messages in any::<u64>(), second in -377_705_023_201_i64..=253_402_207_200,
        groups in proptest::sample::subsequence(vec!["strict", "other", "stranger"], 0..=3),
        asks in proptest::sample::subsequence(vec!["openAI|small", "openAI|big-1", "openAI|big-closed", "assistants|small", "{ tool: x }", "{ agent: a, models: [openAI|small] }"], 1..=6),
    ) {
        let mut seen = Vec::new();
        let amount = |id: &str, amount: u64| if id == "purse" { format!("{} USD", amount % 18_446_744) } else { amount.to_string() };
        let used: Vec<_> = used.into_iter().filter(|(id, _)| !seen.contains(id) && { seen.push(*id); true }).map(|(id, of)| format!("{id}: {}", amount(id, of))).collect();
        let [input, cached, written, output] = tokens;
        let now = jiff::Timestamp::from_second(second).unwrap();
        let text = format!(
            "version: 1\ncases:\n  - {{ name: a, now: \"{now}\", caller: {{ groups: [{}] }}, asks: [{}], messages: {messages}, \
             tokens: {{ input: {input}, cached_input: {cached}, cache_write: {written}, output: {output} }}, used: {{ {} }}, \
             expect: {{ verdict: allow, remaining: {{ day: 0 }} }} }}\n",
            groups.join(", "), asks.join(", "), used.join(", "),
        );
        let run = run_on(&COMPILED, &text);
        prop_assert!(run.is_ok(), "{}\n{text}", run.unwrap_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What a matrix says of a random policy is what the policy decides; and every rule that decides is one that a case may name.
    #[test]
    fn cases_say_what_decide_says(policy in any_policy().prop_map(corrected), caller in any_caller()) {
        let text = yaml(&policy);
        let (snapshot, statements, _) = compile_listed(&sources(&[&text], "p.yaml"), &UserDefaults::default()).unwrap();
        let groups: Vec<_> = caller.groups.iter().map(|group| group.to_string()).collect();
        let mut cases = String::from("version: 1\ncases:\n");
        let mut wanted = Vec::new();
        for (index, (endpoint, model)) in pairs().enumerate() {
            let target = Target::Model { endpoint: endpoint.into(), model: model.into() };
            let verdict = decide(&snapshot, &Ask { caller: &caller, targets: &[target] });
            let word = match verdict.outcome {
                Outcome::Allow => Expected::Allow,
                Outcome::Deny(_) => Expected::Deny,
                Outcome::Shadowed(_) => Expected::Shadow,
            };
            let (email, id) = (caller.email.as_deref().unwrap_or("none@example.org"), if caller.user.len() == 24 { &*caller.user } else { "000000000000000000000000" });
            let (word_, rule) = (word.as_str(), &verdict.because[0]);
            cases.push_str(&format!(
                "  - {{ name: \"{index}\", caller: {{ role: {}, groups: {groups:?}, email: {email}, id: \"{id}\" }}, \
                 asks: {endpoint}|{model}, expect: {{ verdict: {word_}, rule: {rule} }} }}\n", caller.role,
            ));
            wanted.push(word);
        }
        let read = read(&sources(&[&cases], "p.test.yaml"), &snapshot, &statements);
        let (read, _) = read.unwrap_or_else(|report| panic!("{report}\n{text}"));
        let run = run(&snapshot, statements, read, 1);
        let got: Vec<_> = run.tried.iter().map(|tried| tried.got.as_ref().unwrap().verdict).collect();
        prop_assert_eq!(got, wanted);
        let failing: Vec<_> = run.failures().map(|tried| failure(tried, Path::new("p"))).collect();
        prop_assert!(failing.is_empty(), "{}", failing.join("\n"));
    }
}
