//! Stored agents in a turn: looked up as they are now, all that they can reach, before the policy is asked.
//!
//! Nothing is remembered: between two requests anybody with the right to edit may have changed an agent, and LibreChat reads
//! it anew each time.

use std::time::Duration;

use tokio::time::timeout;

use super::Spine;
use super::passage::Upstream;
use super::refusal::Refusal;
use crate::librechat::agents::{self, Closure};
use crate::policy::{Part, Snapshot, Target};
use crate::store::{Agents, StoreError};

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

/// All that an agent would run, a level of its graph at a time. The closure has bounds, so that this ends.
async fn follow(store: &dyn Agents, policy: &Snapshot, agent: &str) -> Result<Vec<Part>, StoreError> {
    let mut closure = Closure::of(agent);
    while !closure.wanted().is_empty() {
        let documents = store.agents(closure.wanted()).await?;
        closure.take(&documents, policy.agent_parameters());
    }
    let mut parts = closure.parts();
    if !policy.limits_tools() {
        parts.retain(|part| !matches!(part, Part::Tool(_)));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
