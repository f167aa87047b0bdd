//! Everything that an agent can make LibreChat run: the agent and all that it can reach.
//!
//! The ids of a level are asked for at once, their documents name the next level, and so on until nothing new is named. An
//! id without a document is passed over, as LibreChat passes over it; the first one must have one.

use std::borrow::Borrow;
use std::collections::HashSet;

use indexmap::IndexSet;

use super::written::NEW;
use super::{Agent, DOCUMENT, Fields, MISSING, TOO_DEEP, TOO_MANY, UNRESOLVED, unjudged};
use crate::policy::words::{Part, Unjudged};

/// Most agents that are judged as one: LibreChat's own bound for the nodes of a graph (CONTRACT.md B.4). Ids that lead
/// nowhere count too, for each is looked up.
pub const MOST_AGENTS: usize = 50;

/// Most levels that are followed, each of which is a question to the database while somebody waits.
pub const MOST_LEVELS: usize = 12;

/// An agent that is being followed.
#[derive(Clone, Debug)]
pub struct Closure {
    seen: HashSet<Box<str>>,
    wanted: Vec<Box<str>>,
    levels: usize,
    members: Vec<Agent>,
    fault: Option<Unjudged>,
}

// === impl Closure ===

impl Closure {
    /// Begins with the agent that was named.
    pub fn of(agent: &str) -> Self {
        Self {
            seen: HashSet::from([agent.into()]),
            wanted: vec![agent.into()],
            levels: 0,
            members: Vec::new(),
            fault: None,
        }
    }

    /// Begins with an agent that is not there yet and whose document [`Self::take`] wants next. Whatever the document names
    /// is another agent.
    pub fn of_new() -> Self {
        Self { seen: HashSet::new(), ..Self::of(NEW) }
    }

    /// The ids whose documents [`Self::take`] wants next. Empty once there is nothing more to know.
    pub fn wanted(&self) -> &[Box<str>] {
        &self.wanted
    }

    /// Takes the documents of all agents that are wanted and exist. `extra` names further harmless parameters.
    pub fn take(&mut self, documents: &[impl Borrow<Fields>], extra: &[Box<str>]) {
        let wanted = std::mem::take(&mut self.wanted);
        if let Err(fault) = self.follow(&wanted, documents, extra) {
            self.wanted.clear();
            self.fault = Some(fault);
        }
    }

    /// Everything that must be allowed, the agent itself first. Where something could not be judged, that is among it; where
    /// documents are still wanted, too.
    pub fn parts(&self) -> Vec<Part> {
        // Many members use the same model and the same tools.
        let mut parts = IndexSet::from([Part::Itself]);
        let model = |member: &Agent| Part::Model { endpoint: member.endpoint.clone(), model: member.model.clone() };
        parts.extend(self.members.iter().map(model));
        parts.extend(self.members.iter().flat_map(|member| &member.tools).cloned().map(Part::Tool));
        parts.extend(self.fault.clone().map(Part::Unjudged));
        let open = self.wanted.first().map(|wanted| unjudged(UNRESOLVED, wanted, "it was not looked up"));
        parts.extend(open.map(Part::Unjudged));
        parts.into_iter().collect()
    }

    fn follow(
        &mut self,
        wanted: &[Box<str>],
        documents: &[impl Borrow<Fields>],
        extra: &[Box<str>],
    ) -> Result<(), Unjudged> {
        let is_first = self.levels == 0;
        self.levels += 1;
        if let (true, true, [agent, ..]) = (is_first, documents.is_empty(), wanted) {
            return Err(unjudged(MISSING, agent, "there is no such agent"));
        }
        let mut next = Vec::new();
        for document in documents {
            let member = Agent::read(document.borrow(), extra)?;
            if !wanted.contains(&member.id) {
                return Err(unjudged(DOCUMENT, &member.id, "it was found although it was not looked for"));
            }
            for id in &member.next {
                if self.seen.insert(id.clone()) {
                    next.push(id.clone());
                }
            }
            if self.seen.len() > MOST_AGENTS {
                return Err(unjudged(TOO_MANY, &member.id, &format!("more than {MOST_AGENTS} agents are reached")));
            }
            self.members.push(member);
        }
        if let Some(id) = next.first()
            && self.levels >= MOST_LEVELS
        {
            return Err(unjudged(TOO_DEEP, id, &format!("it is reached over more than {MOST_LEVELS} agents")));
        }
        self.wanted = next;
        Ok(())
    }
}
