//! The fork's sections, and what becomes of them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::policy::fork::{Entry, Listed};
use crate::policy::{Ask, Caller, Snapshot, Target, compile, decide};
use crate::report::Report;

fn read(text: &str) -> Result<Fork, Report> {
    fork::read(&Source { path: "librechat.yaml".into(), text: text.into() })
}

fn made_policy(fork: &Fork) -> Snapshot {
    let text = made::policy(fork);
    let (policy, warnings) = compile(&[Source { path: "policy.yaml".into(), text: text.as_str().into() }])
        .unwrap_or_else(|report| panic!("{report}\n{text}"));
    assert!(warnings.is_empty(), "{warnings}\n{text}");
    policy
}

fn policy_allows(policy: &Snapshot, role: &str, groups: &[&str], endpoint: &str, model: &str) -> bool {
    let caller = Caller {
        user: "000000000000000000000000".into(),
        email: None,
        role: role.into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
    };
    let target = match endpoint {
        "assistants" | "azureAssistants" => Target::Assistant { endpoint: endpoint.into(), model: model.into() },
        _ => Target::Model { endpoint: endpoint.into(), model: model.into() },
    };
    decide(policy, &Ask { caller: &caller, targets: &[target] }).goes_on()
}

const FORK: &str = r#"
version: 1.2.8
roles:
  USER:
    endpoints:
      openAI: &small { models: [gpt-4o-mini, gpt-4o-mini] }
      google: { models: [] }
      assistants: { models: [gpt-4o] }
      custom:
        MindRoom: { models: [mindroom-basic] }
        Ollama: { models: ["llama3:8b"] }
  TRAINEE:
    endpoints:
      <<: { anthropic: { models: [claude] } }
      openAI: *small
  STAR: { endpoints: { openAI: { models: ["*", "gpt-*"] } } }
  OPEN: { endpoints: {} }
  ALSO_OPEN: {}
  ADMIN:
groups:
  writers: { endpoints: { openAI: { models: [gpt-4o] } } }
  thinkers: { endpoints: { openAI: { models: [o1] }, anthropic: { models: [claude] } } }
  hidden: { endpoints: { openAI: { models: [] } } }
  everything: { endpoints: {} }
  nothing: {}
"#;

/// What the fork's own code answers, worked out by hand from it (`getAppConfig`, `filterModelsByRole`).
const ANSWERS: &[(&str, &[&str], &str, &str, bool)] = &[
    ("USER", &[], "openAI", "gpt-4o-mini", true),
    ("USER", &[], "openAI", "gpt-4o", false),
    ("USER", &[], "openAI", "GPT-4o-mini", false),
    ("USER", &[], "google", "gemini", false),
    ("USER", &[], "anthropic", "claude", true),
    ("USER", &[], "assistants", "gpt-4o", true),
    ("USER", &[], "assistants", "gpt-4o-mini", false),
    ("USER", &[], "azureAssistants", "any", true),
    ("USER", &[], "MindRoom", "mindroom-basic", true),
    ("USER", &[], "MindRoom", "mindroom-large", false),
    ("USER", &[], "Another", "any", true),
    ("USER", &[], "ollama", "llama3:8b", true),
    ("USER", &[], "ollama", "mistral", false),
    ("TRAINEE", &[], "openAI", "gpt-4o-mini", true),
    ("TRAINEE", &[], "openAI", "o1", false),
    ("TRAINEE", &[], "anthropic", "claude", true),
    ("TRAINEE", &[], "anthropic", "other", false),
    // A star is a name there, and nothing is called so.
    ("STAR", &[], "openAI", "gpt-4o", false),
    ("STAR", &[], "google", "gemini", true),
    ("OPEN", &[], "openAI", "any", true),
    ("ALSO_OPEN", &[], "openAI", "any", true),
    ("ADMIN", &[], "openAI", "any", true),
    ("NEVER NAMED", &[], "openAI", "any", true),
    // Groups stand in for the role, and are united.
    ("USER", &["writers"], "openAI", "gpt-4o", true),
    ("USER", &["writers"], "openAI", "gpt-4o-mini", false),
    ("USER", &["writers"], "google", "gemini", true),
    ("USER", &["writers", "thinkers"], "openAI", "gpt-4o", true),
    ("USER", &["writers", "thinkers"], "openAI", "o1", true),
    ("USER", &["writers", "thinkers"], "openAI", "gpt-4o-mini", false),
    // One group lists it, the other does not: the list counts.
    ("USER", &["writers", "thinkers"], "anthropic", "other", false),
    ("USER", &["writers", "hidden"], "openAI", "gpt-4o", true),
    ("USER", &["hidden"], "openAI", "gpt-4o", false),
    ("USER", &["everything"], "openAI", "gpt-4o", true),
    ("USER", &["everything", "writers"], "openAI", "o1", false),
    ("USER", &["nothing"], "openAI", "gpt-4o", false),
    ("USER", &["never named"], "openAI", "gpt-4o", false),
    ("ADMIN", &["writers"], "openAI", "o1", false),
];

#[test]
fn the_policy_answers_as_the_fork_does() {
    let fork = read(FORK).unwrap_or_else(|report| panic!("{report}"));
    let policy = made_policy(&fork);
    for (role, groups, endpoint, model, wanted) in ANSWERS {
        let told = format!("{role} {groups:?} {endpoint}|{model}");
        assert_eq!(fork.allows(role, groups, endpoint, model), *wanted, "the fork: {told}");
        assert_eq!(policy_allows(&policy, role, groups, endpoint, model), *wanted, "the policy: {told}");
    }
    let (_, pinned) = tried(&fork).map_err(|_| "a case fails").unwrap();
    assert!(pinned.cells > 200, "{} cells", pinned.cells);
    assert!(pinned.left_out.is_empty(), "{:?}", pinned.left_out);
    assert_eq!(pinned.text.matches("\n  - name: ").count(), 1, "one table is enough");
}

/// A fork of so many groups, each with three models of its own.
fn teams(count: usize) -> Fork {
    let mut text = "roles: { USER: { endpoints: { openAI: { models: [base] } } } }\ngroups:\n".to_owned();
    for team in 0..count {
        text.push_str(&format!(
            "  team{team}: {{ endpoints: {{ openAI: {{ models: [m{team}-a, m{team}-b, m{team}-c] }} }} }}\n"
        ));
    }
    read(&text).unwrap_or_else(|report| panic!("{report}"))
}

/// The names of the cases that fail once the policy says something else.
fn failing(fork: &Fork, from: &str, to: &str) -> Vec<String> {
    let text = made::policy(fork);
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let (policy, statements, _) =
        compile_listed(&[source("policy.yaml", &text.replace(from, to))], &Default::default()).unwrap();
    let cases = [source("policy.test.yaml", &pinned::cases(fork).text)];
    let (listed, warnings) =
        policy::cases::read(&cases, &policy, &statements).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{warnings}");
    let run = cases::run(&policy, statements, listed, 1);
    run.failures().map(|tried| tried.case.name.to_string()).collect()
}

#[test]
fn every_group_is_pinned_alone_however_many_there_are() {
    let fork = teams(30);
    let (_, pinned) = tried(&fork).map_err(|_| "a case fails").unwrap();
    for team in 0..30 {
        let alone = format!("\n  \"group team{team}\": {{ role: USER, groups: [team{team}] }}\n");
        assert_eq!(pinned.text.matches(&alone).count(), 1, "{alone}");
    }
    for two in ["groups team0 and team1", "groups team28 and team29"] {
        assert!(pinned.text.contains(&format!("\n  \"{two}\": {{ role: USER")), "{two}");
    }
    assert_eq!(pinned.left_out, Vec::<String>::new());
    // What the last one has more or less is seen, and so is what everybody has.
    for (from, to, seen) in [
        ("[m29-a, m29-b, m29-c]", "[m29-a, m29-b, m29-c, m3-a]", "What the fork allows: group team29, openAI|m3-a"),
        ("[m29-a, m29-b, m29-c]", "[m29-a, m29-b]", "What the fork allows: group team29, openAI|m29-c"),
        ("[base]", "[base, m29-c]", "What the fork allows: role USER, openAI|m29-c"),
    ] {
        let failing = failing(&fork, from, to);
        assert!(failing.iter().any(|name| name == seen), "{to}: {failing:#?}");
    }
}

#[test]
fn what_no_case_pins_is_told() {
    let fork = teams(250);
    let (files, pinned) = tried(&fork).map_err(|_| "a case fails").unwrap();
    assert!(files.iter().all(|(_, text)| text.len() < 1024 * 1024), "what is written can be read");
    for team in [0, 137, 249] {
        assert!(pinned.text.contains(&format!("\n  \"group team{team}\": {{ role: USER, groups: [team{team}] }}\n")));
    }
    let [others, pairs] = pinned.left_out.as_slice() else { panic!("{:#?}", pinned.left_out) };
    assert!(others.starts_with("what other lists name: 753 models for each of 252 roles and groups"), "{others}");
    assert!(pairs.contains(" of 31125 pairs of groups, from groups team"), "{pairs}");
    let args = Args { file: "librechat.yaml".into(), to: "made".into(), mongo: false, config: None };
    let mut out = Vec::new();
    report(&args, &fork, &pinned, &[], &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(&format!("\npinned by no case:\n  {others}\n  {pairs}\n")), "{out}");
    // What its own list loses is seen all the same.
    let failing = failing(&fork, "[m249-a, m249-b, m249-c]", "[m249-a, m249-b]");
    assert_eq!(failing[0], "What the fork allows to group team249: group team249, openAI|m249-c");
}

#[test]
fn groups_that_are_called_as_two_groups_are_stay_apart() {
    let fork = read("groups: { a: {}, b and c: {}, a and b: {}, c: {} }").unwrap_or_else(|report| panic!("{report}"));
    let (_, pinned) = tried(&fork).map_err(|_| "a case fails").unwrap();
    for name in ["\"groups a and b and c\":", "\"groups a and b and c!\":"] {
        assert!(pinned.text.contains(&format!("\n  {name}")), "{name} in {}", pinned.text);
    }
}

#[test]
fn what_is_not_taken_over_is_told_with_its_line() {
    let fork = read(FORK).unwrap();
    let notes: Vec<String> = fork.notes.iter().map(line).collect();
    for (start, part) in [
        ("librechat.yaml:6: ", "\"gpt-4o-mini\" stands twice"),
        ("librechat.yaml:16: ", "\"*\" is a name to the fork"),
        ("librechat.yaml:16: ", "\"gpt-*\" is a name to the fork"),
        ("librechat.yaml:19: ", "\"ADMIN\" has nothing behind its name"),
    ] {
        assert!(notes.iter().any(|note| note.starts_with(start) && note.contains(part)), "{part}: {notes:#?}");
    }
    for (text, part) in [
        ("roles: { USER: { note: x, endpoints: {} } }", "\"note\" means nothing here"),
        ("roles: { USER: { endpoints: { openAI: { models: [a], deny: [b] } } } }", "\"deny\" means nothing here"),
        ("roles: { USER: { endpoints: { agents: { models: [a] } } } }", "restrict nothing in the fork"),
        ("roles: { USER: { endpoints: { openAI: { models: ['${MODEL}'] } } } }", "LibreChat fills in no variables"),
        ("roles: { '${ROLE}': {} }", "LibreChat fills in no variables"),
        ("roles: { USER: { endpoints: { openAI: { models: ['', ' a'] } } } }", "no model is called so"),
    ] {
        let fork = read(text).unwrap_or_else(|report| panic!("{report}"));
        assert!(fork.notes.iter().any(|note| note.told.contains(part)), "{text}: {:#?}", fork.notes);
        tried(&fork).map_err(|_| text).unwrap();
    }
}

#[test]
fn other_sections_are_told_and_unknown_ones_too() {
    let text = "version: 1.2.8\nbalance: { enabled: true }\ninterface: {}\nmodelSpecs: { list: [] }\nfoo: 1\n\
                endpoints: { custom: [{ name: MindRoom }] }\n\
                roles: { USER: { endpoints: { custom: { MindRoom: { models: [a] }, Mindroom: { models: [a] } } } } }\n";
    let told: Vec<String> = others::in_file(&read(text).unwrap()).iter().map(line).collect();
    for (start, part) in [
        ("librechat.yaml:2: balance: ", "Tollgate checks them"),
        ("librechat.yaml:3: interface: ", "LibreChat goes on"),
        ("librechat.yaml:4: modelSpecs: ", "Tollgate hides"),
        ("librechat.yaml:5: foo: ", "does not have"),
        ("endpoints.custom has no \"Mindroom\"", "slip"),
    ] {
        assert!(told.iter().any(|line| line.starts_with(start) && line.contains(part)), "{start}: {told:#?}");
    }
    assert!(!told.iter().any(|line| line.contains("version")), "{told:#?}");
}

#[test]
fn balances_are_told_as_the_file_has_them() {
    for (balance, lines) in [
        (
            "{ enabled: true, startBalance: 20000, autoRefillEnabled: true, refillIntervalValue: 30, refillIntervalUnit: days, refillAmount: 10000.5 }",
            &[
                "LibreChat goes on keeping balances: who has none begins with 20000 credits (0.02 USD), and who has used up theirs gets \
               10000.5 credits (0.0100005 USD) more, at most every 30 days. Tollgate checks them before a turn",
            ][..],
        ),
        // Whoever takes this for balances that are kept looks for money that nobody counts.
        (
            "{ enabled: false, startBalance: 20000 }",
            &["not enabled: LibreChat checks no balances, and neither does Tollgate"],
        ),
        (
            "{}",
            &[
                "does not say \"enabled\", so that CHECK_BALANCE in LibreChat's environment decides. Where that is true, what somebody",
            ],
        ),
        (
            "{ enabled: true, autoRefillEnabled: false, refillAmount: 5 }",
            &[
                "LibreChat goes on keeping balances: what somebody begins with (startBalance) is not written here, and nothing is refilled",
            ],
        ),
        (
            "{ enabled: true, startBalance: 0, autoRefillEnabled: true, refillAmount: 5 }",
            &[
                "LibreChat goes on keeping balances: who has none begins with 0 credits (0 USD), and balances are refilled, but \
               refillIntervalValue, refillIntervalUnit is not written here",
            ],
        ),
        (
            "{ enabled: 'yes', startBalance: sk-lots, refillIntervalUnit: day, refilAmount: 5 }",
            &[
                "does not say \"enabled\"",
                "\"enabled\" is not true or false: with this LibreChat does not start",
                "\"startBalance\" is not a number: with this LibreChat does not start",
                "\"refillIntervalUnit\" is not seconds, minutes, hours, days, weeks, months: with this",
                "\"refilAmount\" means nothing to LibreChat there",
            ],
        ),
        ("true", &["does not say \"enabled\"", "it is no mapping: with this LibreChat does not start"]),
    ] {
        let fork =
            read(&format!("roles: {{ USER: {{}} }}\nbalance: {balance}\n")).unwrap_or_else(|report| panic!("{report}"));
        let told: Vec<String> = others::in_file(&fork).iter().map(line).collect();
        assert_eq!(told.len(), lines.len(), "{told:#?}");
        for (line, start) in told.iter().zip(lines) {
            assert!(line.starts_with(&format!("librechat.yaml:2: balance: {start}")), "{line}\n{start}");
            assert!(!line.contains("sk-lots"), "{line}");
        }
    }
}

#[test]
fn what_the_fork_refuses_or_no_policy_can_say_is_a_fault_and_never_opens_anything() {
    for (text, code) in [
        ("roles: [USER]", "wrong-type"),
        ("roles: { USER: { endpoints: { openAI: [a] } } }", "wrong-type"),
        ("roles: { USER: { endpoints: { openAI: { models: a } } } }", "wrong-type"),
        ("roles: { USER: { endpoints: { openAI: { models: [1] } } } }", "wrong-type"),
        ("roles: { USER: { endpoints: { openAI: {} } } }", "missing-key"),
        ("roles: { USER: { endpoints: { openai: { models: [a] } } } }", "unknown-endpoint"),
        ("roles: { USER: { endpoints: { custom: { openAI: { models: [a] } } } } }", "builtin-under-custom"),
        (
            "roles: { USER: { endpoints: { custom: { Ollama: { models: [] }, OLLAMA: { models: [] } } } } }",
            "defined-twice",
        ),
        ("roles: { 'a*': {} }", "bad-name"),
        ("groups: { ' a': {} }", "bad-name"),
        ("groups: { g: { endpoints: { custom: { 'a|b': { models: [] } } } } }", "bad-name"),
        ("roles: { USER: {} }\nroles: {}", "duplicate-key"),
        ("roles: [", "bad-yaml"),
    ] {
        let report = read(text).unwrap_err();
        let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, [code], "{text}");
    }
}

#[test]
fn a_fault_does_not_quote_the_file() {
    let report =
        read("apiKey: sk-secret\nroles: { USER: { endpoints: { openai: { models: [sk-secret] } } } }").unwrap_err();
    assert!(!report.render_human(false).contains("sk-secret"), "{}", report.render_human(false));
}

#[test]
fn names_that_yaml_would_take_for_something_else_stay_names() {
    let text = r#"roles: { "no": { endpoints: { openAI: { models: ["1", "true", "a: b", "c #d", "e\"f", "g,h", "~", "ü|x", "@at", "&and"] } } } }"#;
    let fork = read(text).unwrap_or_else(|report| panic!("{report}"));
    let policy = made_policy(&fork);
    for model in ["1", "true", "a: b", "c #d", "e\"f", "g,h", "~", "ü|x", "@at", "&and"] {
        assert!(policy_allows(&policy, "no", &[], "openAI", model), "{model}");
    }
    assert!(!policy_allows(&policy, "no", &[], "openAI", "other"));
    tried(&fork).map_err(|_| "a case fails").unwrap();
}

// === by chance ===

const MODELS: [&str; 5] = ["a", "b", "c d", "true", "e|f"];
const ENDPOINTS: [(&str, bool); 6] = [
    ("openAI", false),
    ("google", false),
    ("assistants", false),
    ("agents", false),
    ("MindRoom", true),
    ("ollama", true),
];

fn entries(names: &'static [&'static str]) -> impl Strategy<Value = Vec<Entry>> {
    let models = || subsequence(&MODELS[..], 0..=MODELS.len());
    let lists = vec(option::of(models()), ENDPOINTS.len());
    let entry = option::weighted(0.85, lists);
    vec(entry, names.len()).prop_flat_map(move |entries| {
        subsequence(names, 0..=names.len()).prop_map(move |kept| {
            let kept = kept.iter().zip(&entries);
            kept.map(|(name, lists)| Entry {
                name: (*name).into(),
                place: None,
                endpoints: lists.as_ref().map(|lists| listed(lists)),
            })
            .collect()
        })
    })
}

fn listed(lists: &[Option<Vec<&str>>]) -> Vec<Listed> {
    let there = ENDPOINTS.iter().zip(lists).filter_map(|(of, models)| Some((of, models.as_ref()?)));
    // What the fork lists for agents restricts nothing, and is not taken over.
    let there = there.filter(|((endpoint, _), _)| *endpoint != "agents");
    there
        .map(|((endpoint, custom), models)| Listed {
            endpoint: (*endpoint).into(),
            custom: *custom,
            models: models.iter().map(|model| (*model).into()).collect(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whatever the fork says, its policy has no fault, all of its cases hold, and everybody has what they had.
    #[test]
    fn any_fork_becomes_a_policy_that_answers_alike(
        roles in entries(&["USER", "ADMIN", "no"]),
        groups in entries(&["g", "h i", "j"]),
        role in select(&["USER", "ADMIN", "no", "OTHER"][..]),
        of in subsequence(&["g", "h i", "j", "k"][..], 0..=4),
        endpoint in select(&["openAI", "google", "assistants", "azureAssistants", "MindRoom", "ollama", "Else"][..]),
        model in select(&["a", "b", "c d", "true", "e|f", "z"][..]),
    ) {
        let fork = Fork { roles, groups, ..Fork::default() };
        let policy = made_policy(&fork);
        prop_assert_eq!(policy_allows(&policy, role, &of, endpoint, model), fork.allows(role, &of, endpoint, model));
        prop_assert!(tried(&fork).is_ok());
        // What is written is read again as what it was.
        let text = made::policy(&fork).replace("version: 1\n", "").replace("unlisted: { endpoint: allow, role: allow }\n", "");
        let again = read(&text).unwrap_or_else(|report| panic!("{report}\n{text}"));
        for (one, other) in fork.roles.iter().chain(&fork.groups).zip(again.roles.iter().chain(&again.groups)) {
            let sorted = |entry: &Entry| {
                let mut lists = entry.endpoints.clone();
                lists.iter_mut().for_each(|lists| lists.sort_by(|one, other| one.endpoint.cmp(&other.endpoint)));
                (entry.name.clone(), lists)
            };
            prop_assert_eq!(sorted(one), sorted(other));
        }
    }
}
