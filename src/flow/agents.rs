//! Stored agents in a turn: looked up as they are now, all that they can reach, before the policy is asked.
//!
//! Nothing is remembered: between two requests anybody with the right to edit may have changed an agent, and LibreChat reads
//! it anew each time.

use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexSet;
use serde_json::Value;
use tokio::time::timeout;

use super::Spine;
use super::passage::Upstream;
use super::refusal::Refusal;
use crate::librechat::agents::{self, Closure};
use crate::policy::{Part, Snapshot, Target};
use crate::store::{Agents, Fields, StoreError};

/// How long all look-ups of one request may take. Somebody waits for them.
const LONGEST: Duration = Duration::from_secs(5);

impl<U: Upstream> Spine<U> {
    /// The targets of a request, with all that they would run in the place of the agents that it names.
    pub(super) async fn look_into_agents(
        &self,
        policy: &Snapshot,
        targets: Vec<Target>,
    ) -> Result<Vec<Target>, Refusal> {
        let found = timeout(LONGEST, look_into(self.parts.agents.as_deref(), policy, targets)).await;
        found.unwrap_or_else(|_| Err(slow())).map_err(Refusal::NoDirectory)
    }

    /// What each of these agents would run, in their order.
    pub(super) async fn look_into_each(
        &self,
        policy: &Snapshot,
        ids: &[Box<str>],
    ) -> Result<Vec<Vec<Target>>, Refusal> {
        let found = timeout(LONGEST, each(self.parts.agents.as_deref(), policy, ids)).await;
        found.unwrap_or_else(|_| Err(slow())).map_err(Refusal::NoDirectory)
    }
}

/// Most agents that are asked for in one question.
const MOST_AT_ONCE: usize = 100;

fn slow() -> StoreError {
    let message = format!("the agents of one request took longer than {} s", LONGEST.as_secs());
    StoreError { store: "agents", message, transient: true }
}

async fn look_into(
    store: Option<&dyn Agents>,
    policy: &Snapshot,
    named: Vec<Target>,
) -> Result<Vec<Target>, StoreError> {
    let mut targets = Vec::with_capacity(named.len() * 2);
    for target in named {
        let Some(agent) = agents::unresolved(&target).map(Box::<str>::from) else {
            targets.push(target);
            continue;
        };
        // A spec often names the agent that the body names, too.
        if targets.iter().any(|known| matches!(known, Target::Agent { agent: known, .. } if *known == agent)) {
            continue;
        }
        let parts = match store {
            Some(store) => follow(store, policy, &agent).await?,
            None => vec![Part::Itself, agents::without_store(&agent)],
        };
        targets.extend(parts.into_iter().map(|part| Target::Agent { agent: agent.clone(), part }));
    }
    Ok(targets)
}

/// All that an agent would run, a level of its graph at a time. The closure has bounds, so that this ends.
async fn follow(store: &dyn Agents, policy: &Snapshot, agent: &str) -> Result<Vec<Part>, StoreError> {
    let mut closure = Closure::of(agent);
    while !closure.wanted().is_empty() {
        let documents = store.agents(closure.wanted()).await?;
        closure.take(&documents, policy.agent_parameters());
    }
    Ok(parts_of(&closure, policy))
}

fn parts_of(closure: &Closure, policy: &Snapshot) -> Vec<Part> {
    let mut parts = closure.parts();
    if !policy.limits_tools() {
        parts.retain(|part| !matches!(part, Part::Tool(_)));
    }
    parts
}

/// Many agents at once: their graphs are followed side by side, and no document is asked for twice.
async fn each(store: Option<&dyn Agents>, policy: &Snapshot, ids: &[Box<str>]) -> Result<Vec<Vec<Target>>, StoreError> {
    let part = |agent: &str, part| Target::Agent { agent: agent.into(), part };
    let Some(store) = store else {
        return Ok(ids.iter().map(|id| vec![part(id, agents::without_store(id))]).collect());
    };
    let mut closures: Vec<Closure> = ids.iter().map(|id| Closure::of(id)).collect();
    let mut known: HashMap<Box<str>, Vec<Fields>> = HashMap::new();
    while closures.iter().any(|closure| !closure.wanted().is_empty()) {
        let wanted = closures.iter().flat_map(Closure::wanted).filter(|id| !known.contains_key(*id));
        let wanted: Vec<Box<str>> = wanted.collect::<IndexSet<_>>().into_iter().cloned().collect();
        for some in wanted.chunks(MOST_AT_ONCE) {
            known.extend(some.iter().map(|id| (id.clone(), Vec::new())));
            for document in store.agents(some).await? {
                let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
                match known.get_mut(id) {
                    Some(documents) => documents.push(document),
                    // It was found by an id that it does not have: whoever asked for it would take it for missing.
                    None => return Err(misfiled()),
                }
            }
        }
        for closure in &mut closures {
            let found = closure.wanted().iter().filter_map(|id| known.get(id)).flatten();
            let found: Vec<Fields> = found.cloned().collect();
            closure.take(&found, policy.agent_parameters());
        }
    }
    let targets = |id: &str, closure| parts_of(closure, policy).into_iter().map(|found| part(id, found)).collect();
    Ok(ids.iter().zip(&closures).map(|(id, closure)| targets(id, closure)).collect())
}

fn misfiled() -> StoreError {
    let message = "an agent was found that was not looked for".to_owned();
    StoreError { store: "agents", message, transient: false }
}

#[cfg(test)]
mod tests;
