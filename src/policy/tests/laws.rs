//! Laws that hold for every policy.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

const ENDPOINTS: [&str; 4] = ["openAI", "google", "anthropic", "MindRoom"];
const MODELS: [&str; 5] = ["gpt-4o", "gpt-4o-mini", "o1", "o1-preview", "claude"];
const PATTERNS: [&str; 9] = ["gpt-4o", "gpt-4o-mini", "o1", "o1-preview", "claude", "gpt-*", "*-preview", "o*", "*"];
const ROLES: [&str; 3] = ["USER", "ADMIN", "GUEST"];
const GROUPS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["ann@example.edu", "65f0c1d2e3a4b5c6d7e8f901"];

/// What an entry says of an endpoint: its allowed and its denied models.
type Endpoint = (Option<Vec<String>>, Option<Vec<String>>);

#[derive(Clone, Debug)]
struct Entry {
    unrestricted: bool,
    endpoints: Option<BTreeMap<&'static str, Endpoint>>,
}

#[derive(Clone, Debug)]
struct Policy {
    shadow: bool,
    endpoint: &'static str,
    role: &'static str,
    roles: BTreeMap<&'static str, Entry>,
    groups: BTreeMap<&'static str, Entry>,
    users: BTreeMap<&'static str, Entry>,
}

fn list(smallest: usize) -> impl Strategy<Value = Vec<String>> {
    btree_set(proptest::sample::select(&PATTERNS[..]), smallest..4)
        .prop_map(|set| set.into_iter().map(str::to_owned).collect())
}

fn entry() -> impl Strategy<Value = Entry> {
    let endpoint = (option::weighted(0.8, list(0)), option::weighted(0.3, list(1)));
    let endpoints = btree_map(proptest::sample::select(&ENDPOINTS[..]), endpoint, 0..4);
    (proptest::bool::weighted(0.1), option::weighted(0.9, endpoints))
        .prop_map(|(unrestricted, endpoints)| Entry { unrestricted, endpoints })
}

fn entries(names: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<&'static str, Entry>> {
    btree_map(proptest::sample::select(names), entry(), 0..=names.len())
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let fallback = || proptest::sample::select(&["allow", "deny"][..]);
    (any::<bool>(), fallback(), fallback(), entries(&ROLES), entries(&GROUPS), entries(&USERS)).prop_map(
        |(shadow, endpoint, role, roles, groups, users)| Policy { shadow, endpoint, role, roles, groups, users },
    )
}

fn any_caller() -> impl Strategy<Value = Caller> {
    let groups = vec(proptest::sample::select(&["a", "b", "c", "stranger"][..]), 0..4);
    let user = proptest::sample::select(&["", USERS[0], USERS[1]][..]);
    (proptest::sample::select(&["USER", "ADMIN", "GUEST", "NOBODY"][..]), groups, user)
        .prop_map(|(role, groups, user)| caller(role, &groups, user))
}

/// The policy without what `check` refuses, so that most random policies compile.
fn corrected(mut policy: Policy) -> Policy {
    let sections = [&mut policy.roles, &mut policy.groups, &mut policy.users];
    for (index, section) in sections.into_iter().enumerate() {
        for entry in section.values_mut() {
            correct(entry, index == 2);
        }
    }
    policy
}

fn correct(entry: &mut Entry, is_user: bool) {
    let Some(endpoints) = &mut entry.endpoints else { return };
    for (models, deny) in endpoints.values_mut() {
        for list in [&mut *models, &mut *deny].into_iter().flatten() {
            if list.iter().any(|model| model == "*") {
                *list = vec!["*".to_owned()];
            }
        }
        if let (Some(models), Some(deny)) = (&mut *models, &*deny) {
            models.retain(|model| !deny.iter().any(|deny| pattern::covers(deny, model)));
        }
        if entry.unrestricted || is_user && models.as_ref().is_some_and(Vec::is_empty) {
            *models = None;
        }
    }
    endpoints.retain(|_, (models, deny)| models.is_some() || deny.is_some());
    if endpoints.is_empty() {
        entry.endpoints = None;
    }
}

fn yaml(policy: &Policy) -> String {
    // JSON is YAML, and quotes everything.
    let entry = |entry: &Entry| {
        let mut object = serde_json::json!({});
        if entry.unrestricted {
            object["unrestricted"] = true.into();
        }
        if let Some(endpoints) = &entry.endpoints {
            object["endpoints"] = serde_json::json!({});
            for (name, (models, deny)) in endpoints {
                let lists = [("models", models), ("deny", deny)];
                let lists: serde_json::Map<_, _> =
                    lists.into_iter().filter_map(|(key, list)| Some((key.to_owned(), list.clone()?.into()))).collect();
                match *name {
                    "MindRoom" => object["endpoints"]["custom"]["MindRoom"] = lists.into(),
                    name => object["endpoints"][name] = lists.into(),
                }
            }
        }
        object
    };
    let section = |entries: &BTreeMap<&str, Entry>| -> serde_json::Value {
        entries.iter().map(|(name, of)| ((*name).to_owned(), entry(of))).collect::<serde_json::Map<_, _>>().into()
    };
    serde_json::json!({
        "version": 1,
        "mode": if policy.shadow { "shadow" } else { "enforce" },
        "unlisted": { "endpoint": policy.endpoint, "role": policy.role },
        "roles": section(&policy.roles),
        "groups": section(&policy.groups),
        "users": section(&policy.users),
    })
    .to_string()
}

fn compiled(policy: &Policy) -> Snapshot {
    let text = yaml(policy);
    compile(&[source("p.yaml", &text)]).unwrap_or_else(|report| panic!("{report}\n{text}")).0
}

fn allowed(snapshot: &Snapshot, caller: &Caller, endpoint: &str, name: &str) -> bool {
    let verdict = decide(snapshot, &Ask { caller, targets: &[model(endpoint, name)] });
    verdict.outcome == Outcome::Allow
}

/// All pairs of an endpoint and a model, some of them named by no policy.
fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let endpoints = ENDPOINTS.into_iter().chain(["bedrock"]);
    endpoints.flat_map(|endpoint| MODELS.into_iter().chain(["other"]).map(move |model| (endpoint, model)))
}

/// What a fork's `roles:` and `groups:` sections give: groups that have `endpoints` unite and replace the role, and an
/// endpoint without a list is not filtered.
fn fork_allows(policy: &Policy, caller: &Caller, endpoint: &str, model: &str) -> bool {
    let groups: Vec<_> = caller
        .groups
        .iter()
        .filter_map(|group| policy.groups.get(&**group))
        .filter_map(|entry| entry.endpoints.as_ref())
        .collect();
    let role = policy.roles.get(&*caller.role).and_then(|entry| entry.endpoints.as_ref());
    let maps = if groups.is_empty() { role.into_iter().collect() } else { groups };
    let mut lists = maps
        .iter()
        .filter_map(|endpoints| endpoints.get(endpoint))
        .filter_map(|(models, _)| models.as_ref())
        .peekable();
    lists.peek().is_none() || lists.flatten().any(|listed| listed == model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn compiling_never_panics_and_what_it_accepts_can_be_asked(text in "[a-zA-Z:{}\\[\\]\\-*&!<>|,'\"# \n0-9]{0,120}") {
        let text = format!("version: 1\n{text}");
        if let Ok((snapshot, _)) = compile(&[source("p.yaml", &text)]) {
            let _ = allowed(&snapshot, &caller("USER", &["a"], ""), "openAI", "x");
        }
    }

    #[test]
    fn a_policy_with_random_words_gives_faults_with_places(policy in any_policy()) {
        match compile(&[source("p.yaml", &yaml(&policy))]) {
            Ok((_, warnings)) => prop_assert!(!warnings.has_errors()),
            Err(report) => {
                prop_assert!(report.has_errors());
                prop_assert!(report.faults().iter().all(|fault| fault.place.is_some() && fault.help.is_some()));
            }
        }
    }

    #[test]
    fn the_view_shows_what_decide_allows(policy in any_policy().prop_map(corrected), caller in any_caller()) {
        let snapshot = compiled(&policy);
        let view = snapshot.view(&caller);
        for (endpoint, name) in pairs() {
            let allowed = allowed(&snapshot, &caller, endpoint, name);
            prop_assert_eq!(view.model(endpoint, name), allowed || policy.shadow, "{} {}", endpoint, name);
            if view.everything() && !policy.shadow {
                prop_assert!(allowed, "everything is shown, but {endpoint} {name} is denied");
            }
        }
        for surface in [Surface::Agents, Surface::RemoteApi, Surface::Assistants] {
            let verdict = decide(&snapshot, &Ask { caller: &caller, targets: &[Target::Surface(surface)] });
            prop_assert_eq!(view.surface(surface), verdict.goes_on());
            prop_assert_eq!(view.surface(surface), surface == Surface::RemoteApi || view.everything());
        }
    }

    #[test]
    fn shadow_mode_changes_no_judgement(policy in any_policy().prop_map(corrected), caller in any_caller()) {
        let enforced = compiled(&Policy { shadow: false, ..policy.clone() });
        let shadowed = compiled(&Policy { shadow: true, ..policy });
        for (endpoint, name) in pairs() {
            let targets = [model(endpoint, name)];
            let enforced = decide(&enforced, &Ask { caller: &caller, targets: &targets });
            let shadowed = decide(&shadowed, &Ask { caller: &caller, targets: &targets });
            prop_assert!(shadowed.goes_on());
            prop_assert_eq!(&shadowed.because, &enforced.because);
            match enforced.outcome {
                Outcome::Deny(reason) => prop_assert_eq!(shadowed.outcome, Outcome::Shadowed(reason)),
                outcome => prop_assert_eq!(shadowed.outcome, outcome),
            }
        }
    }

    #[test]
    fn a_denial_only_takes_away(
        policy in any_policy().prop_map(corrected),
        caller in any_caller(),
        denied in proptest::sample::select(&MODELS[..]),
    ) {
        let before = compiled(&policy);
        let mut policy = policy;
        // To every entry there is, add a denial that leaves its own lists free of contradiction.
        let sections = [&mut policy.roles, &mut policy.groups, &mut policy.users];
        let mut added = false;
        let entries = sections.into_iter().flat_map(BTreeMap::values_mut);
        let endpoints = entries.flat_map(|entry| entry.endpoints.iter_mut()).flat_map(BTreeMap::values_mut);
        for (models, deny) in endpoints {
            if deny.is_some() || models.iter().flatten().any(|model| model == denied) {
                continue;
            }
            *deny = Some(vec![denied.to_owned()]);
            added = true;
        }
        prop_assume!(added);
        let after = compiled(&policy);
        for (endpoint, name) in pairs() {
            let (was, is) = (allowed(&before, &caller, endpoint, name), allowed(&after, &caller, endpoint, name));
            prop_assert!(was || !is, "a denial allowed {endpoint} {name}");
            prop_assert!(was == is || name == denied, "a denial of {denied} took {endpoint} {name} away");
        }
    }

    #[test]
    fn groups_that_stand_in_unite(
        a in btree_map(proptest::sample::select(&ENDPOINTS[..]), list(0), 1..4),
        b in btree_map(proptest::sample::select(&ENDPOINTS[..]), list(0), 1..4),
        policy in any_policy(),
    ) {
        let group = |lists: BTreeMap<&'static str, Vec<String>>| Entry {
            unrestricted: false,
            endpoints: Some(lists.into_iter().map(|(name, list)| (name, (Some(list), None))).collect()),
        };
        let mut policy = corrected(Policy { groups: [("a", group(a)), ("b", group(b))].into(), ..policy });
        // An endpoint that only one of the two names would be open to the members of the other.
        policy.endpoint = "deny";
        // The role's denials hold in either case, and an unrestricted role would hide the groups.
        policy.roles.values_mut().for_each(|role| role.unrestricted = false);
        let snapshot = compiled(&policy);
        for (endpoint, name) in pairs() {
            let of = |groups: &[&str]| allowed(&snapshot, &caller("USER", groups, ""), endpoint, name);
            prop_assert_eq!(of(&["a", "b"]), of(&["a"]) || of(&["b"]), "{} {}", endpoint, name);
            prop_assert_eq!(of(&["a", "b"]), of(&["b", "a"]), "the order of groups decides nothing");
        }
    }

    #[test]
    fn a_pasted_section_means_what_it_means_in_the_fork(policy in any_policy(), caller in any_caller()) {
        let mut policy = policy;
        policy.shadow = false;
        (policy.endpoint, policy.role) = ("allow", "allow");
        policy.users.clear();
        for entry in policy.roles.values_mut().chain(policy.groups.values_mut()) {
            entry.unrestricted = false;
            for (models, deny) in entry.endpoints.iter_mut().flat_map(BTreeMap::values_mut) {
                *deny = None;
                // There, every endpoint has `models`, and a star is a character like any other.
                models.get_or_insert_default().retain(|model| !model.contains('*'));
            }
        }
        let snapshot = compiled(&policy);
        for (endpoint, name) in pairs() {
            let here = allowed(&snapshot, &caller, endpoint, name);
            prop_assert_eq!(here, fork_allows(&policy, &caller, endpoint, name), "{} {} {:?}", endpoint, name, caller);
        }
    }

    #[test]
    fn the_explanation_names_every_rule_that_decides(
        policy in any_policy().prop_map(corrected),
        caller in any_caller(),
    ) {
        let snapshot = compiled(&policy);
        let statements = explain::explain(&snapshot, &caller).statements;
        for (endpoint, name) in pairs() {
            let verdict = decide(&snapshot, &Ask { caller: &caller, targets: &[model(endpoint, name)] });
            for rule in &verdict.because {
                let statement = statements.iter().find(|statement| statement.rule == *rule);
                prop_assert!(statement.is_some(), "{rule} decides, but is not explained");
                let effect = statement.unwrap().effect;
                prop_assert_ne!(effect, explain::Effect::Unused, "{} decides, but is said to be unused", rule);
            }
        }
    }
}
