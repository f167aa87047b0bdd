//! Overrides: what they change, what they cannot change, and which policy they make.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::policy::charges::{Amounts, Run, Tokens};
use crate::policy::snapshot::Mode;
use crate::policy::tests::{answer, caller, model, policy};
use crate::policy::{Ask, Caller, Snapshot, Target, Tool};

const ANN: &str = "65f0c1d2e3a4b5c6d7e8f901";
const BOB: &str = "65f0c1d2e3a4b5c6d7e8f902";

const FILES: &str = r#"
roles:
  USER:
    endpoints:
      openAI: { models: [gpt-4o-mini, o1], deny: ["*-preview"] }
    limits:
      - { id: user-day, tokens: 500k, per: user, window: day, timezone: Europe/Berlin }
      - { id: role-month, cost: 100 USD, per: role, window: month }
      - { id: closed, requests: 0, per: user, window: day, models: [o1] }
  GUEST: { endpoints: { openAI: { models: [gpt-4o-mini] } } }
groups:
  staff:
    endpoints: { openAI: { models: [gpt-4o-mini, gpt-4o] } }
    limits: [{ id: staff-hour, requests: 100, per: group, window: hour }]
  lab: { endpoints: { anthropic: { models: [claude-opus-4] } } }
limits: [{ id: everybody, requests: 2000, per: global, window: 1m }]
defaults: { user: { requests_per_minute: 60 } }
prices: { default: { input: 1, output: 2 } }
"#;

fn document(kind: Kind, id: &str, text: &str) -> Document {
    Document { principal: Principal { kind, id: id.into() }, priority: kind.priority(), version: 1, text: text.into() }
}

fn user(text: &str) -> Document {
    document(Kind::User, ANN, text)
}

/// The files with these documents, none of which has a fault.
fn with(documents: &[Document]) -> Snapshot {
    let (policy, faulty) = policy(FILES).with_overrides(documents);
    assert!(faulty.is_empty(), "{:?}", faulty.first().map(|faulty| faulty.report.to_string()));
    policy
}

/// The faults of one document, as `code line:column`.
fn faults(document: Document) -> Vec<String> {
    let (policy, faulty) = policy(FILES).with_overrides(&[document]);
    assert_eq!(policy.override_count() + faulty.len(), 1);
    let all = faulty.iter().flat_map(|faulty| faulty.report.faults());
    all.map(|fault| {
        let place = fault.place.as_ref().expect("a document");
        format!("{} {}:{}", fault.code, place.line, place.column)
    })
    .collect()
}

/// The limits that a request of gpt-4o-mini meets: `rule key ceiling`.
fn limits(policy: &Snapshot, caller: &Caller) -> Vec<String> {
    let targets = [model("openAI", "gpt-4o-mini")];
    let runs = [Run { endpoint: "openAI", model: "gpt-4o-mini", tokens: Tokens::default() }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    let charges = policy.charges(&Ask { caller, targets: &targets }, &amounts);
    charges.iter().map(|charge| format!("{} {} {}", charge.rule, charge.key, charge.ceiling)).collect()
}

/// The same, of those that only record.
fn shadow_limits(policy: &Snapshot, caller: &Caller) -> Vec<String> {
    let targets = [model("openAI", "gpt-4o-mini")];
    let runs = [Run { endpoint: "openAI", model: "gpt-4o-mini", tokens: Tokens::default() }];
    let amounts = Amounts { requests: 1, messages: 1, runs: &runs };
    let charges = policy.shadow_charges(&Ask { caller, targets: &targets }, &amounts);
    charges.iter().map(|charge| format!("{} {} {}", charge.rule, charge.key, charge.ceiling)).collect()
}

#[test]
fn lists_of_documents_are_judged_as_one_more_entry_of_the_user() {
    let ann = caller("USER", &[], ANN);
    let in_staff = caller("USER", &["staff"], ANN);
    let rule = |path: &str| format!("overrides.user.{ANN}.{path}");
    let table: [(&str, &[Document], &Caller, Target, String); 14] = [
        (
            "what is allowed is added",
            &[user("{endpoints: {openAI: {models: [gpt-4o]}}}")],
            &ann,
            model("openAI", "gpt-4o"),
            format!("allow {}", rule("endpoints.openAI.models")),
        ),
        (
            "to what the role has",
            &[user("{endpoints: {openAI: {models: [gpt-4o]}}}")],
            &ann,
            model("openAI", "gpt-4o-mini"),
            "allow roles.USER.endpoints.openAI.models".into(),
        ),
        (
            "what is denied is denied",
            &[user("{endpoints: {openAI: {deny: [gpt-4o-mini]}}}")],
            &ann,
            model("openAI", "gpt-4o-mini"),
            format!("deny {}", rule("endpoints.openAI.deny")),
        ),
        (
            "a denial of the files keeps holding",
            &[user("{endpoints: {openAI: {models: [o1-preview]}}}")],
            &ann,
            model("openAI", "o1-preview"),
            "deny roles.USER.endpoints.openAI.deny".into(),
        ),
        (
            "and against unrestricted",
            &[user("{unrestricted: true}")],
            &ann,
            model("openAI", "o1-preview"),
            "deny roles.USER.endpoints.openAI.deny".into(),
        ),
        (
            "unrestricted lifts all lists",
            &[user("{unrestricted: true}")],
            &ann,
            model("google", "gemini"),
            format!("allow {}", rule("unrestricted")),
        ),
        (
            "a custom endpoint",
            &[user("{endpoints: {custom: {MindRoom: {models: [\"mind*\"]}}}}")],
            &ann,
            model("MindRoom", "mindroom-basic"),
            format!("allow {}", rule("endpoints.custom.MindRoom.models")),
        ),
        (
            "a role's document gives to members of groups, too",
            &[document(Kind::Role, "USER", "{endpoints: {google: {models: [gemini]}}}")],
            &in_staff,
            model("google", "gemini"),
            "allow overrides.role.USER.endpoints.google.models".into(),
        ),
        (
            "a role's document is not for others",
            &[document(Kind::Role, "GUEST", "{endpoints: {google: {models: [gemini]}}}")],
            &ann,
            model("google", "gemini"),
            "deny unlisted.endpoint".into(),
        ),
        (
            "a role without an entry has what its document gives",
            &[document(Kind::Role, "NEW", "{endpoints: {google: {models: [gemini]}}}")],
            &caller("NEW", &[], ANN),
            model("google", "gemini"),
            "allow overrides.role.NEW.endpoints.google.models".into(),
        ),
        (
            "and no more",
            &[document(Kind::Role, "NEW", "{endpoints: {google: {models: [gemini]}}}")],
            &caller("NEW", &[], ANN),
            model("openAI", "gpt-4o"),
            "deny unlisted.role".into(),
        ),
        (
            "the later list takes the place of the earlier one",
            &[
                document(Kind::Group, "staff", "{endpoints: {google: {models: [gemini]}}}"),
                user("{endpoints: {google: {models: [gemini-pro]}}}"),
            ],
            &in_staff,
            model("google", "gemini"),
            "deny unlisted.endpoint".into(),
        ),
        (
            "null takes away what an earlier document says",
            &[
                document(Kind::Group, "staff", "{endpoints: {openAI: {deny: [gpt-4o]}}}"),
                user("{endpoints: {openAI: {deny: null}}}"),
            ],
            &in_staff,
            model("openAI", "gpt-4o"),
            "allow groups.staff.endpoints.openAI.models".into(),
        ),
        (
            "tools",
            &[user("{tools: {deny: [web_search]}}")],
            &ann,
            Target::Tool(Tool::Named("web_search".into())),
            format!("deny {}", rule("tools.deny")),
        ),
    ];
    for (why, documents, caller, target, expected) in table {
        assert_eq!(answer(&with(documents), caller, target), expected, "{why}");
    }
}

#[test]
fn priorities_decide_whose_word_is_the_last() {
    let group =
        |priority| Document { priority, ..document(Kind::Group, "staff", "{endpoints: {google: {deny: [gemini]}}}") };
    let own = user("{endpoints: {google: {deny: [other], models: [gemini]}}}");
    let ann = caller("USER", &["staff", "staff"], ANN);
    for (priority, expected) in [
        (29, format!("allow overrides.user.{ANN}.endpoints.google.models")),
        // Of equal priority, the user's comes after the group's.
        (30, format!("allow overrides.user.{ANN}.endpoints.google.models")),
        (31, "deny overrides.group.staff.endpoints.google.deny".to_owned()),
    ] {
        let policy = with(&[own.clone(), group(priority)]);
        assert_eq!(answer(&policy, &ann, model("google", "gemini")), expected, "{priority}");
    }
}

#[test]
fn a_limit_of_the_files_is_changed_and_keeps_its_counter() {
    let ann = caller("USER", &["staff"], ANN);
    let before = limits(&policy(FILES), &ann);
    let policy = with(&[
        user("{limits: {user-day: {tokens: 1M}}}"),
        document(
            Kind::Group,
            "staff",
            "{limits: [{id: user-day, tokens: 750k, strict: true}, {id: staff-hour, requests: 9}]}",
        ),
    ]);
    let rule = format!("overrides.group.staff+user.{ANN}.limits.user-day");
    let expected: Vec<String> = before
        .iter()
        .map(|limit| {
            let limit = limit.replace("groups.staff.limits.staff-hour", "overrides.group.staff.limits.staff-hour");
            let limit = limit.replace("group:staff 100", "group:staff 9");
            limit
                .replace("roles.USER.limits.user-day", &rule)
                .replace(&format!("user:{ANN} 500000"), &format!("user:{ANN} 1000000"))
        })
        .collect();
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(sorted(limits(&policy, &ann)), sorted(expected));
    assert_eq!(before.len(), 5, "{before:?}");
    let of = |rule: &str| policy.limits_of(&ann).into_iter().find(|held| held.statement.rule.as_str() == rule).unwrap();
    let terms = policy.terms(&of(&rule).statement.rule).unwrap();
    assert!(terms.strict, "the group's word on what the user's document does not speak of");
    assert_eq!(terms.mode, Mode::Enforce);
    // Nobody else has it.
    let bob = caller("USER", &[], BOB);
    assert_eq!(limits(&policy, &bob), limits(&super::super::tests::policy(FILES), &bob));
}

#[test]
fn new_limits_stand_where_an_entry_of_whom_they_are_about_would() {
    let ann = caller("USER", &["staff"], ANN);
    let rules = |documents: &[Document]| {
        limits(&with(documents), &ann)
            .iter()
            .map(|limit| limit.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let same = "{id: ID, tokens: 2M, per: user, window: day}";
    let users = rules(&[user(&format!("{{limits: [{}]}}", same.replace("ID", "more")))]);
    assert!(users.contains(&format!("overrides.user.{ANN}.limits.more")), "{users:?}");
    assert!(!users.contains(&"roles.USER.limits.user-day".to_owned()), "it stands in for the role's: {users:?}");
    let roles = rules(&[document(Kind::Role, "USER", &format!("{{limits: [{}]}}", same.replace("ID", "more")))]);
    assert!(roles.contains(&"roles.USER.limits.user-day".to_owned()), "of one level both hold: {roles:?}");
    let none = rules(&[user("{limits: none}")]);
    let shared = ["groups.staff.limits.staff-hour", "roles.USER.limits.role-month", "limits.everybody"];
    assert_eq!(none, shared, "what people share is lifted by no document");
    let group = rules(&[document(Kind::Group, "staff", "{limits: none}")]);
    assert_eq!(group, shared);
    let later = rules(&[document(Kind::Group, "staff", "{limits: none}"), user("{limits: {user-day: {tokens: 1}}}")]);
    assert_eq!(later.len(), 5, "a later list of limits takes the place of none: {later:?}");
}

#[test]
fn what_cannot_be_meant_is_a_fault_with_its_line() {
    let group = |text: &str| document(Kind::Group, "staff", text);
    for (document, expected) in [
        (user("{limits: {role-month: {cost: 1 USD}}}"), &["override-limit 1:11"] as &[_]),
        (user("limits:\n  staff-hour: { requests: 1 }"), &["override-limit 2:3"]),
        (document(Kind::Group, "lab", "{limits: {staff-hour: {requests: 1}}}"), &["override-limit 1:11"]),
        (user("{limits: {everybody: {requests: 1}}}"), &["override-limit 1:11"]),
        (user("{limits: {closed: {requests: 1}}}"), &["override-limit 1:11"]),
        (document(Kind::Role, "GUEST", "{limits: {user-day: {tokens: 1}}}"), &["override-limit 1:11"]),
        (user("{limits: {user-day: {requests: 1}}}"), &["override-limit 1:22"]),
        (user("{limits: {user-day: {tokens: 1, window: hour}}}"), &["override-limit 1:41"]),
        (user("{limits: {user-day: {tokens: 1, timezone: UTC}}}"), &["override-limit 1:43"]),
        (user("{limits: {user-day: {tokens: 1, per: role}}}"), &["override-limit 1:38"]),
        (user("{limits: {user-day: {}}}"), &["override-limit 1:11"]),
        (user("{limits: {user-day: {tokens: many}}}"), &["limit-amount 1:30"]),
        (user("{limits: {user-day: {tokens: 1, sum: 2}}}"), &["unknown-key 1:33"]),
        (user("{limits: [{id: new, tokens: 1, per: user}]}"), &["limit-without-window 1:11"]),
        (user("{limits: [{id: new, tokens: 1, per: group, window: day}]}"), &["limit-per 1:37"]),
        (group("{limits: [{id: new one, tokens: 1, per: user, window: day}]}"), &["limit-id 1:16"]),
        (user("{limits: []}"), &["says-nothing 1:2"]),
        (user("{}"), &["says-nothing 1:1"]),
        (user("[]"), &["wrong-type 1:1"]),
        (document(Kind::User, "ann@example.edu", "{unrestricted: true}"), &["user-key 1:1"]),
        (document(Kind::User, &ANN.to_uppercase(), "{unrestricted: true}"), &["user-key 1:1"]),
        (document(Kind::Group, " staff", "{unrestricted: true}"), &["bad-name 1:1"]),
        (user("{endpoints: {openai: {models: [x]}}}"), &["unknown-endpoint 1:14"]),
        (user("{endpoints: {openai: null}}"), &["unknown-endpoint 1:14"]),
        (user("{endpoints: {openAI: {}}}"), &["endpoint-says-nothing 1:14"]),
        (group("{endpoints: {openAI: {models: []}}}"), &["hides-nothing 1:23"]),
        (user("{endpoints: {openAI: {deny: []}}}"), &["empty-deny 1:23"]),
        (user("{unrestricted: true, endpoints: {openAI: {models: [x]}}}"), &["unrestricted-with-models 1:43"]),
        (user("{mode: shadow, unrestricted: true}"), &["bad-value 1:8"]),
        (user("{tools: {deny: [x], mode: shadow}}"), &["bad-value 1:27"]),
        (user("{endpoints: {openAI: {deny: [x], mode: enforce}}}"), &["bad-value 1:40"]),
        (user("{model: null}"), &["unknown-key 1:2"]),
        (user("{tools: {}}"), &["says-nothing 1:2"]),
        (user("{tools: {allow: null"), &["bad-yaml 1:9"]),
    ] {
        let text = document.text.clone();
        assert_eq!(faults(document), expected, "{text}");
    }
}

/// Files in which money is limited, and one model has a price.
const MONEY: &str = r#"
roles:
  USER:
    endpoints: { openAI: { models: [gpt-4o-mini] } }
    limits: [{ id: budget, cost: 10 USD, per: user, window: month }]
  GUEST: { endpoints: { openAI: { models: [o1] } } }
  ADMIN: { unrestricted: true, limits: none }
prices: { gpt-4o-mini: { input: 1, output: 2 } }
"#;

/// Each document that is set aside, with the codes of its faults.
fn set_aside(files: &str, documents: &[Document]) -> Vec<String> {
    let (_, faulty) = policy(files).with_overrides(documents);
    let codes = |of: &Faulty| of.report.faults().iter().map(|fault| fault.code).collect::<Vec<_>>().join(" ");
    faulty.iter().map(|of| format!("{}: {}", of.principal.kind, codes(of))).collect()
}

#[test]
fn a_model_without_a_price_and_a_limit_of_money_do_not_meet_by_a_document_either() {
    let own = |text: &str| vec![user(text)];
    let claude = "endpoints: {anthropic: {models: [\"claude-*\"]}}";
    let budget = "limits: [{id: more, cost: 5 USD, per: user, window: day}]";
    let no_cost = MONEY.replace("cost: 10 USD", "tokens: 10M");
    for (why, files, documents, expected) in [
        ("a model without a price", MONEY, own(&format!("{{{claude}}}")), &["user: without-price"] as &[_]),
        ("one with a price", MONEY, own("{endpoints: {openAI: {models: [gpt-4o-mini]}}}"), &[]),
        ("anything", MONEY, own("{unrestricted: true}"), &["user: without-price"]),
        ("the limit lifted with it", MONEY, own(&format!("{{{claude}, limits: none}}")), &[]),
        ("whom the limit does not concern", MONEY, vec![document(Kind::Role, "GUEST", &format!("{{{claude}}}"))], &[]),
        ("whose entry lifts it", MONEY, vec![document(Kind::Role, "ADMIN", &format!("{{{claude}}}"))], &[]),
        ("a limit of money over the files' lists", &no_cost, own(&format!("{{{budget}}}")), &["user: without-price"]),
        (
            "one for a role that has a price for all",
            &no_cost,
            vec![document(Kind::Role, "USER", &format!("{{{budget}}}"))],
            &[],
        ),
        (
            "one for a role that is open",
            &no_cost,
            vec![document(Kind::Role, "ADMIN", &format!("{{{budget}}}"))],
            &["role: without-price"],
        ),
        (
            "one about what has a price",
            &no_cost,
            own("{limits: [{id: m, cost: 5 USD, per: user, window: day, models: [gpt-4o-mini], endpoints: [openAI]}]}"),
            &[],
        ),
        (
            "a limit whose scope is widened",
            &MONEY
                .replace("window: month", "window: month, models: [gpt-4o-mini]")
                .replace("[gpt-4o-mini] } }\n", "[gpt-4o-mini, o1] } }\n"),
            own("{limits: {budget: {models: [gpt-4o-mini, o1]}}}"),
            &["user: without-price"],
        ),
        (
            "a limit of one document and a model of another",
            &no_cost,
            vec![
                document(Kind::Role, "USER", &format!("{{{budget}}}")),
                document(Kind::Group, "lab", &format!("{{{claude}}}")),
            ],
            &["group: without-price"],
        ),
        (
            "of roles that nobody has together",
            &no_cost,
            vec![
                document(Kind::Role, "USER", &format!("{{{budget}}}")),
                document(Kind::Role, "GUEST", &format!("{{{claude}}}")),
            ],
            &[],
        ),
        (
            "with a price for everything",
            &format!("{no_cost}  default: {{ input: 1, output: 1 }}\n"),
            own(&format!("{{{claude}, {budget}}}")),
            &[],
        ),
    ] {
        let files = files.replace(
            "output: 2 } }\n  default: { input: 1, output: 1 }",
            "output: 2 }, default: { input: 1, output: 1 } }",
        );
        assert_eq!(set_aside(&files, &documents), expected, "{why}");
    }
}

#[test]
fn what_takes_away_alone_is_a_document_too() {
    for text in [
        "{unrestricted: null}",
        "{endpoints: null}",
        "{endpoints: {openAI: null, custom: {MindRoom: null}}}",
        "{endpoints: {custom: null}}",
        "{endpoints: {openAI: {models: null}}}",
        "{tools: {allow: null}}",
        "{limits: null}",
        "{limits: {user-day: null}}",
        "{limits: {user-day: {tokens: null, strict: null}}}",
        "{limits: {gone: null}}",
    ] {
        assert_eq!(faults(user(text)), Vec::<String>::new(), "{text}");
        let ann = caller("USER", &["staff"], ANN);
        assert_eq!(limits(&with(&[user(text)]), &ann), limits(&policy(FILES), &ann), "{text}");
    }
}

#[test]
fn whom_a_faulty_document_is_about_is_refused_and_the_rest_is_in_force() {
    let good = document(Kind::Group, "staff", "{endpoints: {google: {models: [gemini]}}}");
    let bad = user("{endpoints: {google: {deny: [gemini]}}, limits: {everybody: {requests: 1}}}");
    let (policy, faulty) = policy(FILES).with_overrides(&[good.clone(), bad]);
    assert_eq!(faulty.iter().map(|faulty| faulty.principal.to_string()).collect::<Vec<_>>(), [format!("user {ANN}")]);
    let (ann, bob) = (caller("USER", &["staff"], ANN), caller("USER", &["staff"], BOB));
    let allowed = "allow overrides.group.staff.endpoints.google.models";
    let refused = format!("deny overrides.user.{ANN}.faulty");
    assert_eq!(answer(&policy, &ann, model("google", "gemini")), refused, "nobody knows what it denies");
    assert_eq!(answer(&policy, &ann, model("openAI", "gpt-4o-mini")), refused);
    assert_eq!(answer(&policy, &bob, model("google", "gemini")), allowed);
    assert!(policy.turns_anybody_away());
    assert_ne!(policy.revision(), with(std::slice::from_ref(&good)).revision(), "whom it refuses is another policy");
    let (mended, faulty) = policy.with_overrides(std::slice::from_ref(&good));
    assert!(faulty.is_empty() && !mended.turns_anybody_away());
    assert_eq!(mended.revision(), with(&[good]).revision());
}

#[test]
fn whom_a_document_is_about_that_nobody_can_read_is_refused() {
    let (ann, bob) = (caller("USER", &["staff"], ANN), caller("GUEST", &["lab"], BOB));
    let of = |kind, id: &str| Principal { kind, id: id.into() };
    for (principal, rule, refuses_bob) in [
        (of(Kind::User, &ANN.to_uppercase()), format!("overrides.user.{}.faulty", ANN.to_uppercase()), false),
        (of(Kind::Group, "lab"), "overrides.group.lab.faulty".to_owned(), true),
        (of(Kind::Role, "USER"), "overrides.role.USER.faulty".to_owned(), false),
    ] {
        let (policy, _) = policy(FILES).with_all_overrides(&[], &[principal]);
        let (refused, other) = if refuses_bob { (&bob, &ann) } else { (&ann, &bob) };
        assert_eq!(answer(&policy, refused, model("openAI", "gpt-4o-mini")), format!("deny {rule}"));
        assert!(!answer(&policy, other, model("openAI", "gpt-4o-mini")).contains("faulty"), "{rule}");
        assert_ne!(policy.revision(), super::super::tests::policy(FILES).revision());
    }
    // In shadow mode it is only said.
    let tried = policy(&format!("{FILES}\nmode: shadow\n"));
    let (policy, _) = tried.with_all_overrides(&[], &[of(Kind::User, ANN)]);
    let told = format!("shadowed overrides.user.{ANN}.faulty");
    assert_eq!(answer(&policy, &ann, model("openAI", "gpt-4o-mini")), told);
}

#[test]
fn of_two_documents_about_one_principal_none_wins() {
    let (one, two) = (user("{unrestricted: true}"), user("{endpoints: {openAI: {deny: [\"*\"]}}}"));
    for documents in [[one.clone(), two.clone()], [two, one]] {
        let (policy, faulty) = policy(FILES).with_overrides(&documents);
        let codes: Vec<_> = faulty.iter().map(|of| of.report.faults()[0].code).collect();
        assert_eq!(codes, ["defined-twice"]);
        assert!(faulty[0].report.to_string().contains("there are several overrides"), "{}", faulty[0].report);
        assert_eq!(policy.override_count(), 0);
        let ann = caller("USER", &[], ANN);
        assert_eq!(answer(&policy, &ann, model("openAI", "gpt-4o-mini")), format!("deny overrides.user.{ANN}.faulty"));
    }
}

#[test]
fn what_people_share_is_changed_and_taken_away_by_its_own_document_alone() {
    let ann = caller("USER", &["staff", "lab"], ANN);
    let held = |documents: &[Document], of: &Caller| {
        limits(&with(documents), of).iter().map(|limit| limit.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let group = |text: &str| document(Kind::Group, "staff", text);
    let adds = group("{limits: {extra: {requests: 5, per: group, window: hour}, staff-hour: {requests: 9}}}");
    let own = ["overrides.group.staff.limits.extra", "overrides.group.staff.limits.staff-hour"];
    for taking in ["{limits: none}", "{limits: null}", "{limits: {extra: null, staff-hour: null}}"] {
        for other in [user(taking), Document { priority: 40, ..document(Kind::Role, "USER", taking) }] {
            let rules = held(&[adds.clone(), other], &ann);
            assert!(own.iter().all(|rule| rules.contains(&(*rule).to_owned())), "{taking}: {rules:?}");
        }
    }
    // One limit for everybody is lifted by nobody, and what nobody shares is.
    let rules = held(&[user("{limits: none}")], &ann);
    assert!(rules.contains(&"limits.everybody".to_owned()), "{rules:?}");
    assert!(!rules.contains(&"roles.USER.limits.user-day".to_owned()), "{rules:?}");
    // What a group's document has lifted, a later one of the role does not bring back.
    let role = Document { priority: 40, ..document(Kind::Role, "USER", "{limits: none}") };
    let rules = held(&[group("{limits: none}"), role], &ann);
    assert!(!rules.contains(&"roles.USER.limits.user-day".to_owned()), "{rules:?}");
    // But one that says nothing of limits any more does.
    let role = Document { priority: 40, ..document(Kind::Role, "USER", "{limits: null}") };
    let rules = held(&[group("{limits: none}"), role], &ann);
    assert!(rules.contains(&"roles.USER.limits.user-day".to_owned()), "{rules:?}");
}

#[test]
fn two_documents_cannot_share_a_limit_by_accident() {
    let new = |per: &str| format!("{{limits: [{{id: extra, tokens: 1, per: {per}, window: day}}]}}");
    let both = |one: &str, other: &str| {
        let documents = [document(Kind::Group, "staff", &new(other)), document(Kind::Group, "lab", &new(one))];
        let (_, faulty) = policy(FILES).with_overrides(&documents);
        faulty.iter().map(|faulty| (faulty.principal.to_string(), faulty.report.faults()[0].code)).collect::<Vec<_>>()
    };
    assert_eq!(both("user", "user"), []);
    for (one, other) in [("group", "group"), ("group", "user"), ("user", "group")] {
        assert_eq!(both(one, other), [("group staff".to_owned(), "defined-twice")], "{one} {other}");
    }
}

#[test]
fn the_revision_is_that_of_the_files_and_says_which_documents_are_in_force() {
    let (one, two) = (user("{unrestricted: true}"), document(Kind::Role, "USER", "{tools: {deny: [x]}}"));
    let files = policy(FILES);
    assert_eq!(with(&[]).revision(), files.revision());
    let both = with(&[one.clone(), two.clone()]);
    assert!(both.revision().starts_with(&format!("{}+", files.revision())), "{}", both.revision());
    assert_eq!(both.revision().len(), 25);
    assert_eq!(with(&[two.clone(), one.clone()]).revision(), both.revision(), "in any order");
    assert_eq!(with(&[Document { version: 9, ..one.clone() }, two.clone()]).revision(), both.revision());
    assert_eq!(both.files_revision(), files.revision());
    let others = [
        with(std::slice::from_ref(&one)),
        with(std::slice::from_ref(&two)),
        with(&[Document { priority: 31, ..one.clone() }, two.clone()]),
        with(&[Document { text: "{unrestricted: false}".into(), ..one.clone() }, two.clone()]),
        with(&[document(Kind::User, BOB, "{unrestricted: true}"), two]),
    ];
    let mut revisions: Vec<_> = others.iter().chain([&both]).map(Snapshot::revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 6);
    let (again, _) = both.with_overrides(&[]);
    assert_eq!(again.revision(), files.revision());
}

#[test]
fn what_did_not_change_is_not_merged_again() {
    let own = user("{endpoints: {google: {models: [gemini]}}}");
    let group = document(Kind::Group, "staff", "{limits: {user-day: {tokens: 1}}}");
    let (ann, bob) = (caller("USER", &[], ANN), caller("USER", &["staff"], BOB));
    let first = with(&[own.clone(), group.clone()]);
    let overlay = |policy: &Snapshot, caller: &Caller| policy.overlay(caller).expect("documents apply");
    let (of_ann, of_bob) = (overlay(&first, &ann), overlay(&first, &bob));
    assert!(Arc::ptr_eq(&of_ann, &overlay(&first, &ann)));
    let changed = Document { version: 2, text: "{limits: {user-day: {tokens: 2}}}".into(), ..group };
    let (second, _) = first.with_overrides(&[own.clone(), changed]);
    assert!(Arc::ptr_eq(&of_ann, &overlay(&second, &ann)), "the user's document is as it was");
    assert!(!Arc::ptr_eq(&of_bob, &overlay(&second, &bob)));
    assert!(limits(&first, &bob).iter().any(|limit| limit.ends_with(" 1")), "{:?}", limits(&first, &bob));
    assert!(limits(&second, &bob).iter().any(|limit| limit.ends_with(" 2")), "{:?}", limits(&second, &bob));
    // Other files may mean something else by the same words.
    let other = super::super::tests::policy(&format!("{FILES}\nmode: shadow\n"));
    let (other, _) = other.with_overrides(&[own]);
    assert!(!Arc::ptr_eq(&of_ann, &overlay(&other, &ann)));
    let nobody = caller("GUEST", &[], BOB);
    assert!(second.overlay(&nobody).is_none());
}

#[test]
fn conflicts_say_whose_word_holds_over_whose() {
    let policy = with(&[
        user("{limits: {user-day: {tokens: 1M}}, endpoints: {google: {models: [gemini]}}}"),
        document(Kind::Group, "staff", "{limits: {user-day: {tokens: 500k}}, endpoints: {google: {models: [gemini]}}}"),
        document(Kind::Role, "USER", "{endpoints: {google: null}}"),
    ]);
    let ann = caller("USER", &["staff"], ANN);
    let told: Vec<_> = policy.conflicts_of(&ann).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [format!("limits.user-day.amount: 1000000 from user {ANN} (30) over 500000 from group staff (20)")],
        "the role takes away what nobody has said"
    );
    let applied: Vec<_> = policy.overrides_of(&ann).into_iter().map(|of| (of.kind, of.priority)).collect();
    assert_eq!(applied, [("role", 10), ("group", 20), ("user", 30)]);
}

#[test]
fn conflicts_name_only_what_somebody_has_said() {
    let told = |group: &str, own: &str| {
        let policy = with(&[document(Kind::Group, "staff", group), user(own)]);
        let ann = caller("USER", &["staff"], ANN);
        let short =
            |text: String| text.replace(" from group staff (20)", "").replace(&format!(" from user {ANN} (30)"), "");
        policy.conflicts_of(&ann).into_iter().map(|conflict| short(conflict.to_string())).collect::<Vec<_>>()
    };
    let google = "{endpoints: {google: {models: [gemini]}}}";
    for (group, own, expected) in [
        ("{endpoints: null}", "{endpoints: null}", &[] as &[_]),
        ("{endpoints: {google: null}}", "{endpoints: null}", &[]),
        ("{endpoints: null}", google, &[]),
        (google, "{endpoints: null}", &["endpoints.google.models: null over [gemini]"]),
        ("{limits: none}", "{limits: {user-day: {tokens: 1}}}", &["limits.user-day.amount: 1 over none"]),
        ("{limits: {staff-hour: {requests: 9}}}", "{limits: none}", &[]),
        (google, google, &[]),
    ] {
        assert_eq!(told(group, own), expected, "{group} {own}");
    }
}

#[test]
fn before_documents_are_known_a_policy_is_not_whole() {
    let files = policy(FILES);
    assert!(files.is_whole());
    let unknown = files.without_knowing_overrides();
    assert!(!unknown.is_whole());
    assert!(unknown.with_overrides(&[]).0.is_whole());
}

/// What an entry of a user may say: lists, tools, limits, some of these in shadow mode.
fn entries() -> impl Strategy<Value = String> {
    let tools = proptest::sample::select(vec![
        "allow: [web_search]",
        "deny: [shell]",
        "allow: [web_search, \"x*\"], deny: [shell]",
    ]);
    let limit = (
        proptest::sample::select(vec!["requests", "messages", "tokens", "cost"]),
        1..1_000_u32,
        proptest::sample::select(vec!["day", "month", "1m", "hour"]),
        proptest::option::of(proptest::sample::select(vec!["models: [gpt-4o-mini]", "endpoints: [openAI]"])),
        proptest::sample::select(vec!["enforce", "shadow"]),
    );
    let limits = proptest::collection::vec(limit, 1..3).prop_map(|limits| {
        let one = |(index, (measure, amount, window, scope, mode)): (usize, (&str, u32, &str, Option<&str>, &str))| {
            let scope = scope.map(|scope| format!(", {scope}")).unwrap_or_default();
            let unit = if measure == "cost" { " USD" } else { "" };
            format!("{{id: own-{index}, {measure}: {amount}{unit}, per: user, window: {window}, mode: {mode}{scope}}}")
        };
        limits.into_iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    });
    let parts = (proptest::option::of(lists()), proptest::option::of(tools), proptest::option::of(limits));
    parts.prop_filter_map("an entry says something", |(lists, tools, limits)| {
        let lists = lists.map(|lists| lists.trim_start_matches('{').trim_end_matches('}').to_owned() + "}}");
        let parts =
            [lists, tools.map(|tools| format!("tools: {{{tools}}}")), limits.map(|all| format!("limits: [{all}]"))];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(", ")))
    })
}

fn lists() -> impl Strategy<Value = String> {
    let models = proptest::sample::subsequence(vec!["gpt-4o", "gpt-4o-mini", "\"o1*\"", "claude"], 1..=3);
    let denied = proptest::option::of(proptest::sample::select(vec!["x*", "\"*-preview\"", "o1-mini"]));
    (models, denied, proptest::sample::select(vec!["openAI", "anthropic", "google"])).prop_map(
        |(models, denied, at)| {
            let deny = denied.map(|denied| format!(", deny: [{denied}]")).unwrap_or_default();
            format!("{{endpoints: {{{at}: {{models: [{}]{deny}}}}}}}", models.join(", "))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_document_of_a_user_decides_as_the_same_entry_would(
        text in entries(), in_staff in any::<bool>(), shadow in any::<bool>(),
    ) {
        let files = if shadow { format!("{FILES}\nmode: shadow\n") } else { FILES.to_owned() };
        let (as_document, faulty) = policy(&files).with_overrides(&[user(&text)]);
        prop_assume!(faulty.is_empty());
        let as_entry = policy(&format!("{files}\nusers:\n  {ANN}: {text}\n"));
        let same = |of_document: Vec<String>, of_entry: Vec<String>| {
            let of_document: Vec<_> = of_document.iter().map(|of| of.replace("overrides.user.", "users.")).collect();
            prop_assert_eq!(of_document, of_entry);
            Ok(())
        };
        let own = caller("USER", if in_staff { &["staff"] } else { &[] }, ANN);
        same(limits(&as_document, &own), limits(&as_entry, &own))?;
        same(shadow_limits(&as_document, &own), shadow_limits(&as_entry, &own))?;
        for tool in ["web_search", "shell", "other"] {
            let target = || Target::Tool(Tool::Named(tool.into()));
            same(vec![answer(&as_document, &own, target())], vec![answer(&as_entry, &own, target())])?;
        }
        let ann = caller("USER", if in_staff { &["staff"] } else { &[] }, ANN);
        for endpoint in ["openAI", "anthropic", "google", "custom"] {
            for name in ["gpt-4o", "gpt-4o-mini", "o1-mini", "o1-preview", "claude", "x"] {
                let of_document = answer(&as_document, &ann, model(endpoint, name));
                let of_entry = answer(&as_entry, &ann, model(endpoint, name));
                prop_assert_eq!(of_document.replace("overrides.user.", "users."), of_entry);
            }
        }
    }

    #[test]
    fn nothing_in_a_document_lifts_a_denial_of_the_files(own in lists(), of_group in lists(), priority in -50..50) {
        let group = Document { priority, ..document(Kind::Group, "staff", &of_group) };
        let (policy, _) = policy(FILES).with_overrides(&[user(&own), group]);
        let ann = caller("USER", &["staff"], ANN);
        let denied = answer(&policy, &ann, model("openAI", "any-preview"));
        prop_assert!(denied.starts_with("deny "), "{}", denied);
    }
}
