//! What a turn will take, told before it runs: the new text, what was said before, instructions, and an allowance for the
//! answer, for each model that it will run.
//!
//! An estimate is held until the turn is over, and then replaced by what was used. So it says what is *likely*, on the high
//! side. [`input_at_most`] says what cannot be exceeded, for limits that are to hold whatever happens.
//!
//! The rules:
//! - Each model that a turn names gets the whole prompt and the whole allowance, or the caller's own bound for the answer
//!   where that is smaller. A second conversation with the same model counts again.
//! - A stored agent gets its instructions, too. Agents that it can hand over to are counted once for each other model among
//!   them, with the prompt and the instructions of the first: a turn seldom goes through several with the same model.
//! - What is not known is counted by an allowance: [`IMAGE`], [`FILE`], [`TOOL`], [`ARTIFACTS`]. What tools bring back, titles,
//!   memories and summaries are not in it; what of them LibreChat records is counted when the turn is settled.

mod counted;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexSet;

use counted::Counted;
pub use counted::MOST_COUNTED;

use crate::librechat::prompt::bound::Unbounded;
use crate::librechat::prompt::history::Said;
use crate::librechat::prompt::{Brief, Files, Prompt, Second};
use crate::meter::tokens::Tokenizer;
use crate::policy::charges::{Run, Tokens};
use crate::policy::{Part, Target};
use crate::store::{Agents, StoreError};

/// Tokens of a picture: about what the largest one costs that OpenAI (high detail) or Anthropic takes without making it smaller.
pub const IMAGE: u64 = 1_600;

/// Tokens of any other file: some pages of text. LibreChat gives at most `fileTokenLimit` of it, 100,000 as it comes.
pub const FILE: u64 = 4_000;

/// Tokens of a tool's description. For a server of tools, that is one of its tools.
pub const TOOL: u64 = 250;

/// Tokens of LibreChat's explanation of artifacts: 2,700, and with its components 7,000.
pub const ARTIFACTS: u64 = 7_000;

/// Tokens around a message that a strict bound allows: [`crate::meter::tokens::PER_MESSAGE`], and the longest name that LibreChat writes beside a
/// message, 64 characters, twice.
const AROUND_AT_MOST: u64 = 136;

/// What is known of a turn before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// What its body says.
    pub prompt: &'a Prompt,
    /// What was said before, the newest first; see [`crate::librechat::prompt::history::History::branch`].
    pub history: &'a [&'a Said],
    /// What was judged, agents looked into. The first one is what the body itself names.
    pub targets: &'a [Target],
    /// What the agents say that it names.
    pub briefs: &'a [Brief],
}

/// What one model is thought to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimated {
    /// LibreChat's name of the endpoint.
    pub endpoint: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// How many tokens, all of the input as if nothing were cached.
    pub tokens: Tokens,
}

/// A model that will run, once, and for which agent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Planned<'a> {
    agent: Option<&'a str>,
    endpoint: &'a str,
    model: &'a str,
}

/// What the agents say that these targets name, without those that they can hand over to.
///
/// # Errors
/// [`StoreError`] where the store cannot answer.
pub async fn briefs(store: &dyn Agents, targets: &[Target]) -> Result<Vec<Brief>, StoreError> {
    let named = targets.iter().filter_map(|target| match target {
        Target::Agent { agent, .. } => Some(Box::<str>::from(&**agent)),
        _ => None,
    });
    let named: IndexSet<Box<str>> = named.collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let named: Vec<Box<str>> = named.into_iter().collect();
    Ok(store.briefs(&named).await?.iter().map(Brief::of_agent).collect())
}

/// What a turn is likely to take: an entry for each model that it runs, in the order of the targets. `allowance` is for each answer, in
/// tokens.
///
/// Counting takes two to seven milliseconds for each hundred kilobytes of text that LibreChat has not counted yet, and at most
/// [`MOST_COUNTED`] are counted.
pub fn estimate(given: &Given<'_>, allowance: u64) -> Vec<Estimated> {
    let mut counted = HashMap::new();
    let runs = planned(given).into_iter().map(|run| {
        let briefs = given.briefs.iter().enumerate().filter(|(_, brief)| run.agent == Some(&*brief.agent));
        // An id that several tenants have: whichever of them says more.
        let brief = briefs.max_by_key(|(_, brief)| brief.instructions.len());
        // Each has the bounds of whoever wrote its parameters: the caller for the body's own model, its author for an agent itself.
        let (output, context) = match brief {
            Some((_, brief)) if is_first(given, &run) => (brief.output, brief.context),
            None if is_own(given, &run) => (given.prompt.output, given.prompt.context),
            _ => (None, None),
        };
        let tokenizer = Tokenizer::of(run.model);
        let vocabulary = tokenizer.vocabulary();
        let counts: &Counted = counted.entry(vocabulary).or_insert_with(|| Counted::new(given, vocabulary));
        Estimated {
            endpoint: run.endpoint.into(),
            model: run.model.into(),
            tokens: Tokens {
                input: counts.input(given, tokenizer, brief, context.unwrap_or(u64::MAX)),
                output: output.map_or(allowance, |own| own.min(allowance)),
                ..Tokens::default()
            },
        }
    });
    runs.collect()
}

/// More tokens than this the model cannot be given by the turn. `body` is the canonical text that was selected from, with
/// the bound of the answer in it or without; `whole`: whether all messages before it are in `given.history`.
///
/// What the operator has LibreChat add is not known here, and not in it: memories of the user, and parameters or prompts of a
/// custom endpoint. Titles and summaries are calls of their own.
///
/// # Errors
/// [`Unbounded`] where something can be in the prompt whose size is not known. What `bound_output` refuses is for that to say.
pub fn input_at_most(given: &Given<'_>, body: &str, whole: bool) -> Result<u64, Unbounded> {
    let mut model = None;
    for target in given.targets {
        match target {
            Target::Model { model: named, .. } if model.is_none_or(|known| known == &**named) => model = Some(&**named),
            Target::Model { .. } => return Err(Unbounded::Added),
            Target::Agent { .. } => return Err(Unbounded::Agent),
            Target::Tool(_) => return Err(Unbounded::Tools),
            Target::Assistant { .. } | Target::Endpoint(_) | Target::Feature(_) | Target::Surface(_) => {
                return Err(Unbounded::Endpoint);
            }
        }
    }
    let tokenizer = Tokenizer::of(model.ok_or(Unbounded::Endpoint)?);
    if !whole {
        return Err(Unbounded::History);
    }
    if !all_files(given).is_none() {
        return Err(Unbounded::Files);
    }
    // The whole body stands for what of it reaches the model: the text, the instructions, an edited answer.
    let new = tokenizer.at_most(body).saturating_add(AROUND_AT_MOST.saturating_mul(3));
    let said = |said: &&Said| tokenizer.at_most(&said.text).saturating_add(AROUND_AT_MOST);
    Ok(given.history.iter().map(said).fold(new, u64::saturating_add))
}

/// The models that will run.
fn planned<'a>(given: &Given<'a>) -> Vec<Planned<'a>> {
    let planned = given.targets.iter().filter_map(|target| match target {
        Target::Model { endpoint, model } | Target::Assistant { endpoint, model } => {
            Some(Planned { agent: None, endpoint, model })
        }
        Target::Agent { agent, part: Part::Model { endpoint, model } } => {
            Some(Planned { agent: Some(agent), endpoint, model })
        }
        _ => None,
    });
    let mut planned: Vec<Planned<'a>> = planned.collect::<IndexSet<_>>().into_iter().collect();
    // What the second conversation runs, too, stands there once: LibreChat runs it twice.
    let second = given.prompt.added.as_ref().map(|added| &added.runs);
    let again = match (given.targets.first(), second) {
        (Some(Target::Model { endpoint, model }), Some(Second::Model { endpoint: too, model: this })) => {
            **endpoint == **too && **model == **this
        }
        (Some(Target::Agent { agent, .. }), Some(Second::Agent(too))) => **agent == **too,
        _ => false,
    };
    let first = planned.first().copied();
    planned.extend(first.filter(|_| again));
    planned
}

/// Whether a run is that of the model that the body itself names.
fn is_own(given: &Given<'_>, run: &Planned<'_>) -> bool {
    let own = |target: &Target| match target {
        Target::Model { endpoint, model } => **endpoint == *run.endpoint && **model == *run.model,
        _ => false,
    };
    run.agent.is_none() && given.targets.first().is_some_and(own)
}

/// Whether a run is the first one of its agent: that of the agent itself.
fn is_first(given: &Given<'_>, run: &Planned<'_>) -> bool {
    let first = given.targets.iter().find_map(|target| match target {
        Target::Agent { agent, part: Part::Model { endpoint, model } } if Some(&**agent) == run.agent => {
            Some((&**endpoint, &**model))
        }
        _ => None,
    });
    first == Some((run.endpoint, run.model))
}

fn all_files(given: &Given<'_>) -> Files {
    given.history.iter().fold(given.prompt.files, |sum, said| sum.and(said.files))
}

// === impl Estimated ===

impl Estimated {
    /// The same as a run.
    pub fn run(&self) -> Run<'_> {
        Run { endpoint: &self.endpoint, model: &self.model, tokens: self.tokens }
    }
}

#[cfg(test)]
mod tests;
