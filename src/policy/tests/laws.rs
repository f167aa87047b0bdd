//! Laws that hold for every policy.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::random::*;
use super::*;

fn compiled(policy: &Policy) -> Snapshot {
    let text = yaml(policy);
    compile(&[source("p.yaml", &text)]).unwrap_or_else(|report| panic!("{report}\n{text}")).0
}

fn allowed(snapshot: &Snapshot, caller: &Caller, endpoint: &str, name: &str) -> bool {
    let verdict = decide(snapshot, &Ask { caller, targets: &[model(endpoint, name)] });
    verdict.outcome == Outcome::Allow
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
