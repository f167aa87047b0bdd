//! From documents to verdicts: what a graph of agents says, and what the policy answers.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::librechat::agents::MOST_LEVELS;
use crate::policy::{Ask, Caller, Source, compile, decide};
use crate::store::{ApiKey, Fields};

/// LibreChat's agents in memory, and what was asked of them.
#[derive(Default)]
struct Memory {
    agents: Vec<Fields>,
    asked: Mutex<Vec<Vec<Box<str>>>>,
}

#[async_trait]
impl Agents for Memory {
    async fn agents(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        self.asked.lock().unwrap().push(ids.to_vec());
        let wanted = |agent: &&Fields| ids.iter().any(|id| agent["id"] == **id);
        Ok(self.agents.iter().filter(wanted).cloned().collect())
    }

    async fn versions(&self, _id: &str, _index: u32) -> Result<Vec<Fields>, StoreError> {
        Ok(Vec::new())
    }

    async fn api_key(&self, _hash: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(None)
    }
}

fn policy(more: &str) -> Snapshot {
    let text = format!("version: 1\nroles: {{ USER: {{ endpoints: {{ openAI: {{ models: [mini] }} }} }} }}\n{more}");
    compile(&[Source { path: "p.yaml".into(), text: text.into() }]).unwrap().0
}

fn agent(id: &str, model: &str, next: &[String]) -> Fields {
    let agent = json!({"id": id, "provider": "openAI", "model": model, "tools": ["dalle"], "agent_ids": next});
    agent.as_object().unwrap().clone()
}

fn found(store: Option<&dyn Agents>, policy: &Snapshot, named: Vec<Target>) -> Vec<Target> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(look_into(store, policy, named)).unwrap()
}

fn goes_on(policy: &Snapshot, targets: &[Target]) -> bool {
    let caller = Caller { user: "u".into(), email: None, role: "USER".into(), groups: Box::default() };
    decide(policy, &Ask { caller: &caller, targets }).goes_on()
}

#[test]
fn each_level_is_one_question_and_each_agent_is_followed_once() {
    let id = |n: usize| format!("agent_{n}");
    let store = Memory {
        agents: vec![
            agent("agent_0", "mini", &[id(1), id(2)]),
            agent("agent_1", "mini", &[id(3)]),
            agent("agent_2", "mini", &[id(3)]),
        ],
        ..Memory::default()
    };
    let model = Target::Model { endpoint: "openAI".into(), model: "mini".into() };
    let named = vec![model.clone(), agents::named("agent_0"), agents::named("agent_0")];
    let targets = found(Some(&store), &policy(""), named);
    let parts = [Part::Itself, Part::Model { endpoint: "openAI".into(), model: "mini".into() }];
    let expected = parts.map(|part| Target::Agent { agent: "agent_0".into(), part });
    assert_eq!(targets, [&[model][..], &expected].concat(), "nobody asks about tools, so that none are there");
    let asked: Vec<Vec<&str>> = vec![vec!["agent_0"], vec!["agent_1", "agent_2"], vec!["agent_3"]];
    assert_eq!(
        *store.asked.lock().unwrap(),
        asked.iter().map(|ids| ids.iter().map(|id| Box::from(*id)).collect()).collect::<Vec<Vec<Box<str>>>>()
    );
}

#[test]
fn tools_count_where_the_policy_says_anything_about_tools() {
    let store = Memory { agents: vec![agent("agent_0", "mini", &[])], ..Memory::default() };
    for (more, allowed) in
        [("", true), ("agents: { tools: { deny: [dalle] } }", false), ("agents: { tools: { deny: [flux] } }", true)]
    {
        let policy = policy(more);
        let targets = found(Some(&store), &policy, vec![agents::named("agent_0")]);
        assert_eq!(goes_on(&policy, &targets), allowed, "{more}");
    }
}

#[test]
fn what_nobody_looks_up_is_refused() {
    let policy = policy("");
    assert!(!goes_on(&policy, &[agents::named("agent_0")]), "as the body names it");
    assert!(!goes_on(&policy, &found(None, &policy, vec![agents::named("agent_0")])), "without a store");
    assert!(!goes_on(&policy, &found(Some(&Memory::default()), &policy, vec![agents::named("agent_0")])), "unknown");
}

/// For each agent of a graph whether its model is denied, and whom it can hand over to. Some ids lead nowhere.
fn graphs() -> impl Strategy<Value = Vec<(bool, BTreeSet<usize>)>> {
    let next = proptest::collection::btree_set(0..14_usize, 0..3);
    proptest::collection::vec((proptest::bool::weighted(0.15), next), 1..12)
}

proptest! {
    #[test]
    fn a_graph_is_refused_if_and_only_if_it_reaches_what_is_denied(graph in graphs()) {
        let id = |n: usize| format!("agent_{n}");
        let write = |(n, (denied, next)): (usize, &(bool, BTreeSet<usize>))| {
            agent(&id(n), if *denied { "dear" } else { "mini" }, &next.iter().map(|n| id(*n)).collect::<Vec<_>>())
        };
        let store = Memory { agents: graph.iter().enumerate().map(write).collect(), ..Memory::default() };
        let policy = policy("");
        let targets = found(Some(&store), &policy, vec![agents::named("agent_0")]);
        // The definition: step by step, everything that is a step away.
        let mut reached = BTreeSet::from([0]);
        let mut steps = 0;
        loop {
            let all = reached.iter().filter_map(|n: &usize| graph.get(*n)).flat_map(|(_, next)| next.iter().copied());
            let more: BTreeSet<usize> = reached.iter().copied().chain(all).collect();
            if more == reached { break }
            (reached, steps) = (more, steps + 1);
        }
        let denied = reached.iter().filter_map(|n| graph.get(*n)).any(|(denied, _)| *denied);
        prop_assert_eq!(goes_on(&policy, &targets), !denied && steps < MOST_LEVELS);
        prop_assert!(store.asked.lock().unwrap().len() <= MOST_LEVELS);
    }

    #[test]
    fn many_at_once_are_what_each_of_them_is_alone(graph in graphs()) {
        let id = |n: usize| format!("agent_{n}");
        let write = |(n, (denied, next)): (usize, &(bool, BTreeSet<usize>))| {
            agent(&id(n), if *denied { "dear" } else { "mini" }, &next.iter().map(|n| id(*n)).collect::<Vec<_>>())
        };
        let store = Memory { agents: graph.iter().enumerate().map(write).collect(), ..Memory::default() };
        let policy = policy("");
        let ids: Vec<Box<str>> = (0..14).map(|n| id(n).into()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let together = runtime.block_on(each(Some(&store), &policy, &ids)).unwrap();
        let asked: Vec<Box<str>> = std::mem::take(&mut *store.asked.lock().unwrap()).concat();
        let once: BTreeSet<_> = asked.iter().collect();
        prop_assert_eq!(once.len(), asked.len(), "each document is asked for once");
        prop_assert_eq!(together.len(), ids.len());
        for (id, together) in ids.iter().zip(&together) {
            let alone = found(Some(&store), &policy, vec![agents::named(id)]);
            prop_assert_eq!(together, &alone, "{}", id);
        }
    }
}

#[test]
fn many_at_once_are_refused_without_a_store_and_after_a_stray_document() {
    let policy = policy("");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ids: [Box<str>; 2] = ["agent_0".into(), "agent_1".into()];
    for targets in runtime.block_on(each(None, &policy, &ids)).unwrap() {
        assert!(!goes_on(&policy, &targets), "{targets:?}");
    }
    assert!(runtime.block_on(each(Some(&Astray), &policy, &ids)).is_err());
}

/// Answers with an agent that nobody asked for.
struct Astray;

#[async_trait]
impl Agents for Astray {
    async fn agents(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        Ok(vec![agent("agent_9", "mini", &[])])
    }

    async fn versions(&self, _id: &str, _index: u32) -> Result<Vec<Fields>, StoreError> {
        Ok(Vec::new())
    }

    async fn api_key(&self, _hash: &str) -> Result<Option<ApiKey>, StoreError> {
        Ok(None)
    }
}
