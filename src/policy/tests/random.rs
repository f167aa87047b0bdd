//! Policies by chance.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

pub(crate) const ENDPOINTS: [&str; 4] = ["openAI", "google", "anthropic", "MindRoom"];
pub(crate) const MODELS: [&str; 5] = ["gpt-4o", "gpt-4o-mini", "o1", "o1-preview", "claude"];
pub(crate) const PATTERNS: [&str; 9] =
    ["gpt-4o", "gpt-4o-mini", "o1", "o1-preview", "claude", "gpt-*", "*-preview", "o*", "*"];
pub(crate) const ROLES: [&str; 3] = ["USER", "ADMIN", "GUEST"];
pub(crate) const GROUPS: [&str; 3] = ["a", "b", "c"];
pub(crate) const USERS: [&str; 2] = ["ann@example.edu", "65f0c1d2e3a4b5c6d7e8f901"];

/// What an entry says of an endpoint: its allowed and its denied models.
pub(crate) type Endpoint = (Option<Vec<String>>, Option<Vec<String>>);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) unrestricted: bool,
    pub(crate) endpoints: Option<BTreeMap<&'static str, Endpoint>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) shadow: bool,
    pub(crate) endpoint: &'static str,
    pub(crate) role: &'static str,
    pub(crate) roles: BTreeMap<&'static str, Entry>,
    pub(crate) groups: BTreeMap<&'static str, Entry>,
    pub(crate) users: BTreeMap<&'static str, Entry>,
}

pub(crate) fn list(smallest: usize) -> impl Strategy<Value = Vec<String>> {
    btree_set(proptest::sample::select(&PATTERNS[..]), smallest..4)
        .prop_map(|set| set.into_iter().map(str::to_owned).collect())
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let endpoint = (option::weighted(0.8, list(0)), option::weighted(0.3, list(1)));
    let endpoints = btree_map(proptest::sample::select(&ENDPOINTS[..]), endpoint, 0..4);
    (proptest::bool::weighted(0.1), option::weighted(0.9, endpoints))
        .prop_map(|(unrestricted, endpoints)| Entry { unrestricted, endpoints })
}

pub(crate) fn entries(names: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<&'static str, Entry>> {
    btree_map(proptest::sample::select(names), entry(), 0..=names.len())
}

pub(crate) fn any_policy() -> impl Strategy<Value = Policy> {
    let fallback = || proptest::sample::select(&["allow", "deny"][..]);
    (any::<bool>(), fallback(), fallback(), entries(&ROLES), entries(&GROUPS), entries(&USERS)).prop_map(
        |(shadow, endpoint, role, roles, groups, users)| Policy { shadow, endpoint, role, roles, groups, users },
    )
}

pub(crate) fn any_caller() -> impl Strategy<Value = Caller> {
    let groups = vec(proptest::sample::select(&["a", "b", "c", "stranger"][..]), 0..4);
    let user = proptest::sample::select(&["", USERS[0], USERS[1]][..]);
    (proptest::sample::select(&["USER", "ADMIN", "GUEST", "NOBODY"][..]), groups, user)
        .prop_map(|(role, groups, user)| caller(role, &groups, user))
}

/// The policy without what `check` refuses, so that most random policies compile.
pub(crate) fn corrected(mut policy: Policy) -> Policy {
    let sections = [&mut policy.roles, &mut policy.groups, &mut policy.users];
    for (index, section) in sections.into_iter().enumerate() {
        for entry in section.values_mut() {
            correct(entry, index == 2);
        }
    }
    policy
}

pub(crate) fn correct(entry: &mut Entry, is_user: bool) {
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

pub(crate) fn yaml(policy: &Policy) -> String {
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

/// All pairs of an endpoint and a model, some of them named by no policy.
pub(crate) fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let endpoints = ENDPOINTS.into_iter().chain(["bedrock"]);
    endpoints.flat_map(|endpoint| MODELS.into_iter().chain(["other"]).map(move |model| (endpoint, model)))
}
