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

/// An agent that no look-up can take.
const HUGE: &str = "agent_huge";

/// LibreChat's agents in memory, and what was asked of them.
#[derive(Default)]
struct Memory {
    agents: Vec<Fields>,
    versions: Vec<Fields>,
    asked: Mutex<Vec<Vec<Box<str>>>>,
}

#[async_trait]
impl Agents for Memory {
    async fn agents(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        self.asked.lock().unwrap().push(ids.to_vec());
        if ids.iter().any(|id| **id == *HUGE) {
            return Err(StoreError { store: "memory", message: "too much".to_owned(), transient: true });
        }
        let wanted = |agent: &&Fields| ids.iter().any(|id| agent["id"] == **id);
        Ok(self.agents.iter().filter(wanted).cloned().collect())
    }

    async fn briefs(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
        Ok(Vec::new())
    }

    async fn versions(&self, _id: &str, index: u32) -> Result<Vec<Fields>, StoreError> {
        Ok(self.versions.get(index as usize).cloned().into_iter().collect())
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
    let caller = Caller { user: "u".into(), email: None, role: "USER".into(), groups: [].into() };
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

fn fields(value: serde_json::Value) -> Fields {
    value.as_object().unwrap().clone()
}

/// Whether a user may write this.
fn may_write(store: Option<&dyn Agents>, agent: &str, written: Option<&Written>) -> bool {
    let policy = policy("");
    let parts = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(look_into_written(store, &policy, agent, written))
        .unwrap();
    let target = |part| Target::Agent { agent: agent.into(), part };
    goes_on(&policy, &parts.into_iter().map(target).collect::<Vec<_>>())
}

#[test]
fn what_is_written_is_judged_as_it_will_be() {
    let stored = json!({
        "id": "agent_0", "provider": "openAI", "model": "mini", "model_parameters": {"model": "mini"},
        "edges": [{"from": "agent_0", "to": "agent_1"}],
    });
    let store = Memory {
        agents: vec![fields(stored), agent("agent_1", "mini", &[]), agent("agent_2", "dear", &[])],
        versions: vec![
            fields(json!({"name": "only a name"})),
            fields(json!({"model": "dear"})),
            fields(json!({"provider": "anthropic"})),
            fields(json!({"model_parameters": {"modelKwargs": {"model": "dear"}}})),
            fields(json!({"edges": [{"from": "agent_0", "to": "agent_2"}]})),
            fields(json!({"agent_ids": ["agent_1", "agent_0"]})),
        ],
        ..Memory::default()
    };
    // What is laid over the agent, and whether it may be.
    let over = [
        (json!({"name": "n"}), true),
        (json!({"model": "dear"}), false),
        (json!({"model": "mini"}), true),
        (json!({"model": "mini", "edges": []}), true),
        (json!({"provider": "anthropic"}), false),
        (json!({"model_parameters": {"temperature": 1}}), true),
        (json!({"model_parameters": {"modelKwargs": {"model": "dear"}}}), false),
        (json!({"model_parameters": {"fallbacks": []}}), false),
        (json!({"edges": [{"from": "agent_2", "to": "agent_0"}]}), false),
        (json!({"edges": [{"from": "SELF", "to": "agent_1"}]}), true),
        (json!({"agent_ids": ["agent_2"]}), false),
        (json!({"subagents": {"enabled": true, "agent_ids": ["agent_2"]}}), false),
        (json!({"tools": {"0": "x"}}), false),
    ];
    for (change, allowed) in &over {
        let changed = Written::Changed(fields(change.clone()));
        assert_eq!(may_write(Some(&store), "agent_0", Some(&changed)), *allowed, "{change}");
        // A new agent is what its body says, whatever another one is.
        let mut new = fields(json!({"id": "agent_0", "provider": "openAI", "model": "mini"}));
        new.extend(fields(change.clone()));
        assert_eq!(may_write(Some(&store), written::NEW, Some(&Written::New(new))), *allowed, "new with {change}");
    }
    for (index, allowed) in [(0, true), (1, false), (2, false), (3, false), (4, false), (5, true), (6, false)] {
        let version = Written::Version(index);
        assert_eq!(may_write(Some(&store), "agent_0", Some(&version)), allowed, "version {index}");
    }
    // A dear agent may be made a cheap one, and copied by nobody.
    let cheap = Written::Changed(fields(json!({"model": "mini"})));
    assert!(may_write(Some(&store), "agent_2", Some(&cheap)));
    assert!(!may_write(Some(&store), "agent_2", Some(&Written::Changed(Fields::new()))));
    assert!(!may_write(Some(&store), "agent_2", None));
    assert!(may_write(Some(&store), "agent_0", None));
    for written in [None, Some(&cheap), Some(&Written::Version(0))] {
        assert!(
            !may_write(Some(&store), "agent_gone", written),
            "what is not there may have been made by the next moment"
        );
        assert!(!may_write(None, "agent_0", written), "without a store");
    }
    assert!(!may_write(Some(&store), written::NEW, Some(&Written::New(fields(json!({"provider": "openAI"}))))));
}

fn listed(store: &Memory, ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let policy = policy("");
    let caller = Caller { user: "u".into(), email: None, role: "USER".into(), groups: [].into() };
    let ids: IndexSet<Box<str>> = ids.iter().map(|id| Box::from(*id)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let usable = runtime.block_on(usable(store, &policy, &ids, &policy.view(&caller)))?;
    Ok(ids.iter().filter(|id| usable.contains(*id)).map(ToString::to_string).collect())
}

#[test]
fn an_agent_that_cannot_be_looked_up_hides_itself_alone() {
    let store = Memory {
        agents: vec![
            agent("agent_0", "mini", &[]),
            agent("agent_1", "mini", &[HUGE.to_owned()]),
            agent("agent_2", "dear", &[]),
            agent("agent_3", "mini", &["agent_0".to_owned()]),
        ],
        ..Memory::default()
    };
    assert_eq!(listed(&store, &["agent_0", HUGE, "agent_1", "agent_2", "agent_3"]).unwrap(), ["agent_0", "agent_3"]);
    assert_eq!(listed(&store, &["agent_2"]).unwrap(), [""; 0]);
    assert_eq!(listed(&store, &[]).unwrap(), [""; 0]);
    listed(&store, &[HUGE, "agent_1"]).unwrap_err();
    // One without a readable id, which a look-up has found nevertheless, could be any of them.
    let odd = fields(json!({"id": ["agent_0"], "provider": "openAI", "model": "dear"}));
    assert!(!may_list(odd));
}

/// Whether a list would show an agent beside this document.
fn may_list(other: Fields) -> bool {
    struct Both(Fields);
    #[async_trait]
    impl Agents for Both {
        async fn agents(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
            Ok(vec![agent("agent_0", "mini", &[]), self.0.clone()])
        }
        async fn briefs(&self, _ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError> {
            Ok(Vec::new())
        }
        async fn versions(&self, _id: &str, _index: u32) -> Result<Vec<Fields>, StoreError> {
            Ok(Vec::new())
        }
        async fn api_key(&self, _hash: &str) -> Result<Option<ApiKey>, StoreError> {
            Ok(None)
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let closures = runtime.block_on(follow_all(&Both(other), &policy(""), &["agent_0"])).unwrap();
    let target = |part| Target::Agent { agent: "agent_0".into(), part };
    goes_on(
        &policy(""),
        &closures[0]
            .parts()
            .into_iter()
            .map(target)
            .filter(|target| !matches!(target, Target::Agent { part: Part::Tool(_), .. }))
            .collect::<Vec<_>>(),
    )
}

#[test]
fn an_id_of_several_tenants_is_written_as_each_of_them() {
    let store = Memory {
        agents: vec![agent("agent_0", "mini", &[]), agent("agent_0", "dear", &[])],
        versions: vec![fields(json!({"tools": []})), fields(json!({"model": "mini"}))],
        ..Memory::default()
    };
    for (written, allowed) in [
        (Written::Changed(fields(json!({"tools": []}))), false),
        (Written::Changed(fields(json!({"model": "mini"}))), true),
        (Written::Version(0), false),
        (Written::Version(1), true),
    ] {
        assert_eq!(may_write(Some(&store), "agent_0", Some(&written)), allowed, "{written:?}");
    }
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
    fn a_list_shows_exactly_the_agents_that_a_chat_may_use(graph in graphs()) {
        let id = |n: usize| format!("agent_{n}");
        let write = |(n, (denied, next)): (usize, &(bool, BTreeSet<usize>))| {
            agent(&id(n), if *denied { "dear" } else { "mini" }, &next.iter().map(|n| id(*n)).collect::<Vec<_>>())
        };
        let store = Memory { agents: graph.iter().enumerate().map(write).collect(), ..Memory::default() };
        let policy = policy("");
        let caller = Caller { user: "u".into(), email: None, role: "USER".into(), groups: [].into() };
        let ids: IndexSet<Box<str>> = (0..14).map(|n| id(n).into()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shown = runtime.block_on(usable(&store, &policy, &ids, &policy.view(&caller))).unwrap();
        // One question a level, however many agents the list has, and none twice.
        let asked: Vec<Box<str>> = store.asked.lock().unwrap().concat();
        prop_assert!(store.asked.lock().unwrap().len() <= MOST_LEVELS);
        prop_assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
        for agent in &ids {
            let targets = found(Some(&store), &policy, vec![agents::named(agent)]);
            prop_assert_eq!(shown.contains(agent), goes_on(&policy, &targets), "{}", agent);
        }
    }
}
