//! Stored agents: looked up as they are now, or as a request would make them, with all that they can reach, before the
//! policy is asked.
//!
//! Nothing is remembered: between two requests anybody with the right to edit may have changed an agent, and LibreChat reads
//! it anew each time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use indexmap::IndexSet;
use serde_json::Value;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::Spine;
use super::passage::Upstream;
use super::refusal::Refusal;
use crate::librechat::agents::written::{self, Written, merged};
use crate::librechat::agents::{self, Closure};
use crate::policy::{Part, Sight, Snapshot, Target};
use crate::store::{Agents, Fields, StoreError};

/// How long all look-ups of one request may take. Somebody waits for them.
const LONGEST: Duration = Duration::from_secs(5);

/// Most agents of a list that are looked up; what comes after them is not shown to who may not use everything.
const MOST_LISTED: usize = 1_000;

/// Agents of a list that are followed together.
const AT_ONCE: usize = 50;

impl<U: Upstream> Spine<U> {
    /// The targets of a request, with all that they would run in the place of the agents that it names.
    pub(super) async fn look_into_agents(
        &self,
        policy: &Snapshot,
        targets: Vec<Target>,
    ) -> Result<Vec<Target>, Refusal> {
        in_time(timeout(LONGEST, look_into(self.parts.agents.as_deref(), policy, targets)).await)
    }

    /// All that an agent runs; where a request writes it, all that it would run afterwards.
    pub(super) async fn look_into_written(
        &self,
        policy: &Snapshot,
        agent: &str,
        written: Option<&Written>,
    ) -> Result<Vec<Target>, Refusal> {
        let found = look_into_written(self.parts.agents.as_deref(), policy, agent, written);
        let parts = in_time(timeout(LONGEST, found).await)?;
        Ok(parts.into_iter().map(|part| Target::Agent { agent: agent.into(), part }).collect())
    }

    /// Those of these agents that the caller may use. What comes after the first [`MOST_LISTED`] is none of them.
    pub(super) async fn usable_agents(
        &self,
        policy: &Snapshot,
        ids: impl Iterator<Item = &str>,
        sight: &(dyn Sight + Sync),
    ) -> Result<HashSet<Box<str>>, Refusal> {
        let ids: IndexSet<Box<str>> = ids.take(MOST_LISTED).map(Box::from).collect();
        match self.parts.agents.as_deref() {
            Some(store) => in_time(timeout(LONGEST, usable(store, policy, &ids, sight)).await),
            None => Ok(HashSet::new()),
        }
    }
}

fn in_time<T>(found: Result<Result<T, StoreError>, Elapsed>) -> Result<T, Refusal> {
    found.unwrap_or_else(|_| Err(slow())).map_err(Refusal::NoDirectory)
}

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

async fn look_into_written(
    store: Option<&dyn Agents>,
    policy: &Snapshot,
    agent: &str,
    written: Option<&Written>,
) -> Result<Vec<Part>, StoreError> {
    let Some(store) = store else { return Ok(vec![Part::Itself, agents::without_store(agent)]) };
    let mut closure = Closure::of(agent);
    let documents = match written {
        None => return follow(store, policy, agent).await,
        Some(Written::Equipped(tools)) => {
            let mut parts = follow(store, policy, agent).await?;
            parts.extend(tools.iter().cloned().map(Part::Tool));
            return Ok(parts);
        }
        Some(Written::New(fields)) => {
            closure = Closure::of_new();
            vec![written::new(fields)]
        }
        Some(Written::Changed(fields)) => {
            let stored = store.agents(closure.wanted()).await?;
            stored.iter().map(|stored| merged(stored, fields)).collect()
        }
        Some(Written::Version(index)) => {
            let stored = store.agents(closure.wanted()).await?;
            let versions = store.versions(agent, *index).await?;
            if versions.is_empty() && !stored.is_empty() {
                return Ok(written::without_version(agent, *index));
            }
            // Of an id that several tenants have nobody can say whose version it is: each of them must do.
            stored.iter().flat_map(|stored| versions.iter().map(|version| merged(stored, version))).collect()
        }
    };
    closure.take(&documents, policy.agent_parameters());
    finish(store, policy, closure).await
}

/// Those of these agents that the caller may use. What cannot be looked up is none of them.
///
/// # Errors
/// [`StoreError`] where nothing could be looked up.
async fn usable(
    store: &dyn Agents,
    policy: &Snapshot,
    ids: &IndexSet<Box<str>>,
    sight: &(dyn Sight + Sync),
) -> Result<HashSet<Box<str>>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    let (mut followed, mut fault) = (Vec::with_capacity(ids.len()), None);
    for ids in ids.chunks(AT_ONCE) {
        match follow_all(store, policy, ids).await {
            Ok(closures) => followed.extend(ids.iter().zip(closures)),
            // One of them may have too much to look at: it must not hide the others.
            Err(_) => {
                for id in ids {
                    match follow_all(store, policy, &[id]).await {
                        Ok(closures) => followed.extend(std::iter::once(id).zip(closures)),
                        Err(error) => fault = Some(error),
                    }
                }
            }
        }
    }
    if let (true, Some(fault)) = (followed.is_empty(), fault) {
        return Err(fault);
    }
    let may = |agent: &str, part| sight.target(&Target::Agent { agent: agent.into(), part });
    followed.retain(|(agent, closure)| parts(policy, closure).into_iter().all(|part| may(agent, part)));
    Ok(followed.into_iter().map(|(agent, _)| (*agent).into()).collect())
}

/// The closures of several agents, a level of all their graphs at a time; each document is asked for once.
async fn follow_all(store: &dyn Agents, policy: &Snapshot, ids: &[&str]) -> Result<Vec<Closure>, StoreError> {
    let mut known: HashMap<Box<str>, Vec<Fields>> = HashMap::new();
    let mut closures: Vec<Closure> = ids.iter().map(|id| Closure::of(id)).collect();
    while closures.iter().any(|closure| !closure.wanted().is_empty()) {
        let wanted = closures.iter().flat_map(Closure::wanted).filter(|id| !known.contains_key(*id));
        let wanted: IndexSet<Box<str>> = wanted.cloned().collect();
        let wanted: Vec<Box<str>> = wanted.into_iter().collect();
        let documents = if wanted.is_empty() { Vec::new() } else { store.agents(&wanted).await? };
        known.extend(wanted.iter().cloned().map(|id| (id, Vec::new())));
        for document in documents {
            match document.get("id").and_then(Value::as_str).and_then(|id| known.get_mut(id)) {
                Some(found) => found.push(document),
                // It could be any of them, and keeps all of them from being judged.
                None => wanted.iter().for_each(|id| known.entry(id.clone()).or_default().push(document.clone())),
            }
        }
        for closure in &mut closures {
            let found: Vec<&Fields> = closure.wanted().iter().filter_map(|id| known.get(id)).flatten().collect();
            if !closure.wanted().is_empty() {
                closure.take(&found, policy.agent_parameters());
            }
        }
    }
    Ok(closures)
}

/// All that an agent would run, a level of its graph at a time. The closure has bounds, so that this ends.
async fn follow(store: &dyn Agents, policy: &Snapshot, agent: &str) -> Result<Vec<Part>, StoreError> {
    finish(store, policy, Closure::of(agent)).await
}

async fn finish(store: &dyn Agents, policy: &Snapshot, mut closure: Closure) -> Result<Vec<Part>, StoreError> {
    while !closure.wanted().is_empty() {
        let documents = store.agents(closure.wanted()).await?;
        closure.take(&documents, policy.agent_parameters());
    }
    Ok(parts(policy, &closure))
}

/// What is judged of a closure: tools where the policy says anything about tools.
fn parts(policy: &Snapshot, closure: &Closure) -> Vec<Part> {
    let mut parts = closure.parts();
    if !policy.limits_tools() {
        parts.retain(|part| !matches!(part, Part::Tool(_)));
    }
    parts
}

#[cfg(test)]
mod tests;
