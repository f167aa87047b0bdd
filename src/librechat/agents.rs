//! Stored agents: what a document of LibreChat's collection `agents` would make LibreChat run (CONTRACT.md B.4, B.5).
//!
//! [`Agent::read`] reads one document strictly: its provider and model, its parameters against a list of known ones, its
//! tools, and the agents that it can hand over to. [`Closure`] follows those from the agent that a caller names, a level at
//! a time, and says everything that must be allowed. Both are plain functions of documents; whoever asks the database hands
//! the documents in. A document that is not understood makes the whole agent unjudged: nothing is guessed and nothing left
//! out.

pub mod action;
mod closure;
mod document;
mod parameters;
pub mod shown;
pub mod written;

pub use closure::{Closure, MOST_AGENTS, MOST_LEVELS};
pub use document::Agent;
pub use parameters::check as check_parameters;

use crate::policy::words::{Part, Target, Unjudged};

/// Documents as they are handed in: the fields of one agent.
pub type Fields = serde_json::Map<String, serde_json::Value>;

/// LibreChat has no agent with the id that was asked for.
pub const MISSING: &str = "agent.missing";
/// The agent has no such version.
pub const NO_VERSION: &str = "agent.no-version";
/// LibreChat's database is not configured, so that agents cannot be looked up.
pub const NO_STORE: &str = "agent.no-store";
/// The agent was not looked up.
pub const UNRESOLVED: &str = "agent.unresolved";
/// The agent can reach more agents than are judged.
pub const TOO_MANY: &str = "agent.too-many";
/// The agent reaches others over more steps than are followed.
pub const TOO_DEEP: &str = "agent.too-deep";
/// A field of a document has another type than LibreChat writes.
pub const DOCUMENT: &str = "agent.document";
/// The agent is another one than it was a moment ago.
pub const CHANGED: &str = "agent.changed";
/// The provider is none that a model is called from.
pub const PROVIDER: &str = "agent.provider";
/// There is no model, or one whose name can be read in several ways.
pub const MODEL: &str = "agent.model";
/// `model_parameters` has a key that is not known to be harmless, or a value of another type.
pub const PARAMETERS: &str = "agent.parameters";

/// What a caller reads who may not use an agent. It names nothing of what the agent runs.
pub const DENIED: &str =
    "This agent uses something that you may not use. Choose another one or a model, or ask your administrator.";

/// What a caller reads whose agent cannot be judged.
pub fn sentence(unjudged: &Unjudged) -> &'static str {
    match unjudged.code {
        MISSING => "There is no such agent. Choose another one.",
        NO_VERSION => "The agent has no such version. Reload the page and choose another one.",
        NO_STORE => {
            "Your access is limited, and agents cannot be limited without LibreChat's database: MONGO_URI is not set."
        }
        TOO_MANY | TOO_DEEP => "This agent hands over to more agents than can be checked. Choose another one.",
        _ => "This agent has settings that cannot be checked. Choose another one, or ask its author.",
    }
}

/// An agent that a request names. Until it is looked up it cannot be judged, so that one that nobody looked up is refused.
pub fn named(agent: &str) -> Target {
    let part = Part::Unjudged(unjudged(UNRESOLVED, agent, "it was not looked up"));
    Target::Agent { agent: agent.into(), part }
}

/// The id of an agent that is still to be looked up.
pub fn unresolved(target: &Target) -> Option<&str> {
    match target {
        Target::Agent { agent, part: Part::Unjudged(unjudged) } if unjudged.code == UNRESOLVED => Some(agent),
        _ => None,
    }
}

/// An agent that cannot be looked up, because LibreChat's database is not known.
pub fn without_store(agent: &str) -> Part {
    Part::Unjudged(unjudged(NO_STORE, agent, "LibreChat's database is not configured (MONGO_URI)"))
}

/// What a caller is told of an agent that is hidden: as much as of one that is not there.
pub fn hidden(agent: &str) -> Part {
    Part::Unjudged(unjudged(MISSING, agent, "it is hidden from the caller, who may not use it"))
}

/// An agent that LibreChat's answer shows otherwise than it was when it was judged.
pub fn changed(agent: &str) -> Part {
    Part::Unjudged(unjudged(CHANGED, agent, "LibreChat's answer shows another agent than was judged"))
}

/// Longest part of a text of a document that is repeated in the record, in characters.
const LONGEST_QUOTE: usize = 64;

/// What keeps an agent from being judged. `place` is the id of the agent whose document it is.
fn unjudged(code: &'static str, place: &str, what: &str) -> Unjudged {
    Unjudged { code, detail: format!("{}: {what}", quoted(place)).into() }
}

/// A text of a document for the record: short, and nothing in it that could pass for something else.
fn quoted(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests;
