//! What a recorded request asked the policy for, made anew out of its audit entry. What an entry does not say whole is unknown, and never
//! guessed.

use serde::Deserialize;

use crate::librechat::tools;
use crate::policy::explain::fate::turns_away;
use crate::policy::{Feature, Part, Surface, Target, Tool};
use crate::record::entry::MOST_ALSO;

/// What is read of an audit entry.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    pub(super) request_id: Option<Box<str>>,
    pub(super) user_id: Option<Box<str>>,
    pub(super) role: Option<Box<str>>,
    /// Absent in entries of earlier versions.
    pub(super) groups: Option<Vec<Box<str>>>,
    pub(super) action: Box<str>,
    pub(super) decision: Option<Box<str>>,
    pub(super) rules: Vec<Box<str>>,
    /// Those of them that would have refused it; absent in entries of earlier versions.
    would_refuse: Vec<Box<str>>,
    pub(super) policy_revision: Box<str>,
    pub(super) erased: Option<Box<str>>,
    details: Details,
    metadata: About,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    path: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    endpoint: Option<Box<str>>,
    model: Option<Box<str>>,
    agent: Option<Box<str>>,
    also: Vec<Box<str>>,
}

/// Why an entry does not say what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unknown {
    /// Somebody was taken out of the record.
    Erased,
    /// Who asked was not looked up, or is not told.
    Caller,
    /// The groups of whoever asked are not in entries of earlier versions.
    Groups,
    /// A policy goes by addresses, and the directory does not know (any more) who asked.
    Address,
    /// Whoever asked was turned away before anybody looked what for.
    Door,
    /// It asked for more than an entry has room for.
    TooMuch,
    /// It asked for something that entries tell in words alone.
    Words,
    /// What the entry tells is not what the policy answered about.
    Otherwise,
}

// === impl Unknown ===

impl Unknown {
    /// For people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "the entry was erased",
            Self::Caller => "the entry does not tell who asked",
            Self::Groups => "the entry, of an earlier version, does not tell the groups",
            Self::Address => "a policy goes by e-mail addresses, and whoever asked is not (any more) in the directory",
            Self::Door => "whoever asked was turned away before it was looked at what for, and would be let in",
            Self::TooMuch => "more was asked for than an entry has room for",
            Self::Words => "what was asked for is told in words alone",
            Self::Otherwise => "the policy had answered about something else than what the entry tells",
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Whether the policy's lists were asked at all.
    pub(super) fn is_question(&self) -> bool {
        let asks = matches!(
            &*self.action,
            "chat.turn"
                | "tool"
                | "agents"
                | "assistants"
                | "remote.run"
                | "remote.models"
                | "remote.answer"
                | "user-keys"
                | "speech"
        );
        asks && self.decision.is_some() && !self.rules.is_empty()
    }

    /// Whether a limit refused it, or LibreChat's balance.
    pub(super) fn is_refused_by_limit(&self) -> bool {
        self.is_refused() && self.rules.iter().any(|rule| is_limit(rule))
    }

    /// Whether it was refused for another reason than the policy: by its form, who asked, or because something was away.
    pub(super) fn is_refused_otherwise(&self) -> bool {
        self.is_refused() && !self.rules.iter().any(|rule| is_limit(rule) || is_of_policy(rule))
    }

    /// Whether the policy refused it, or would have.
    pub(super) fn was_denied(&self) -> bool {
        match self.decision.as_deref() {
            Some("shadow") if !self.would_refuse.is_empty() => self.would_refuse.iter().any(|rule| is_of_policy(rule)),
            Some("shadow" | "deny") => self.rules.len() == 1 && self.rules.iter().all(|rule| is_of_policy(rule)),
            _ => false,
        }
    }

    /// Whether whoever asked was turned away before anybody looked what for: then the entry does not tell it.
    pub(super) fn stopped_at_the_door(&self) -> bool {
        self.is_refused() && self.rules.iter().any(|rule| turns_away(rule))
    }

    /// Whether it began a run of a model, which is what limits count.
    pub(super) fn starts_a_run(&self) -> bool {
        match &*self.action {
            "chat.turn" | "remote.run" => true,
            // Lists and changes of assistants are told under the same name.
            "assistants" => self.details.path.trim_end_matches('/').ends_with("/chat"),
            _ => false,
        }
    }

    /// The statement that refused it, or would have.
    pub(super) fn denied_by(&self) -> Option<&str> {
        let by = if self.would_refuse.is_empty() { &self.rules } else { &self.would_refuse };
        by.iter().map(|rule| &**rule).find(|rule| self.was_denied() && is_of_policy(rule))
    }

    /// What it was about, in a word.
    pub(super) fn subject(&self) -> String {
        let About { endpoint, model, agent, .. } = &self.metadata;
        match (agent, endpoint, model) {
            (Some(agent), ..) => format!("agent {agent}"),
            (None, Some(endpoint), Some(model)) => format!("{endpoint}|{model}"),
            (None, Some(endpoint), None) => endpoint.to_string(),
            (None, None, _) => self.action.to_string(),
        }
    }

    /// What it asked for: all of these.
    pub(super) fn targets(&self) -> Result<Vec<Target>, Unknown> {
        if self.metadata.also.len() >= MOST_ALSO {
            return Err(Unknown::TooMuch);
        }
        let mut targets = self.named()?;
        // Where it went on, each of them has its statement.
        let statements = self.rules.iter().filter(|rule| !is_limit(rule)).count();
        if !self.is_refused() && !self.was_denied() && statements != targets.len() {
            let itself = |target: &Target| matches!(target, Target::Agent { part: Part::Itself, .. });
            // An agent that is being made, or is changed, is judged by what it would run.
            match targets.first() {
                Some(first) if itself(first) && targets.len() == statements + 1 => {
                    targets.remove(0);
                }
                _ => return Err(Unknown::Otherwise),
            }
        }
        // No list was asked before the door itself.
        if self.action.starts_with("remote.") && !targets.contains(&Target::Surface(Surface::RemoteApi)) {
            targets.insert(0, Target::Surface(Surface::RemoteApi));
        }
        Ok(targets)
    }

    fn named(&self) -> Result<Vec<Target>, Unknown> {
        let About { endpoint, model, agent, also } = &self.metadata;
        let mut targets = Vec::with_capacity(also.len() + 2);
        match &*self.action {
            "tool" => return tools::called(&self.details.path).map(|tool| vec![tool]).ok_or(Unknown::Words),
            "speech" => return Ok(vec![Target::Feature(Feature::Speech)]),
            "user-keys" => {
                targets.push(Target::Feature(Feature::UserKeys));
                targets.extend(endpoint.clone().map(Target::Endpoint));
                return Ok(targets);
            }
            "remote.models" | "remote.answer" if also.is_empty() && agent.is_none() => {
                return Ok(vec![Target::Surface(Surface::RemoteApi)]);
            }
            _ => {}
        }
        if let Some(agent) = agent {
            targets.push(Target::Agent { agent: agent.clone(), part: Part::Itself });
        }
        match (endpoint.as_deref(), model) {
            (Some("agents"), _) if agent.is_some() => {}
            (Some("agents"), None) => targets.push(Target::Surface(Surface::Agents)),
            (Some(endpoint), Some(model)) => targets.push(of_model(endpoint, model)),
            (Some(_), None) | (None, Some(_)) => return Err(Unknown::Words),
            (None, None) if agent.is_some() || !also.is_empty() => {}
            (None, None) if &*self.action == "assistants" => targets.push(Target::Surface(Surface::Assistants)),
            (None, None) if &*self.action == "remote.run" => targets.push(Target::Surface(Surface::RemoteApi)),
            (None, None) => return Err(Unknown::Words),
        }
        for item in also {
            targets.push(one(item, agent.as_deref()).ok_or(Unknown::Words)?);
        }
        Ok(targets)
    }

    fn is_refused(&self) -> bool {
        self.decision.as_deref() == Some("deny")
    }
}

// === helpers ===

/// One of those that stand in `also`.
fn one(item: &str, agent: Option<&str>) -> Option<Target> {
    if let Some(tool) = item.strip_prefix("tool ") {
        return Some(Target::Tool(match tool.strip_prefix('*') {
            Some(end) => Tool::Ending(end.into()),
            None => Tool::Named(tool.into()),
        }));
    }
    let (endpoint, model) = item.split_once('|')?;
    match (endpoint, agent) {
        ("agents", _) => Some(Target::Agent { agent: model.into(), part: Part::Itself }),
        // Of an agent, or of a second conversation: an agent's is judged under more spellings of the endpoint.
        (_, Some(agent)) => {
            let part = Part::Model { endpoint: endpoint.into(), model: model.into() };
            Some(Target::Agent { agent: agent.into(), part })
        }
        (_, None) => Some(of_model(endpoint, model)),
    }
}

fn of_model(endpoint: &str, model: &str) -> Target {
    match endpoint {
        "assistants" | "azureAssistants" => Target::Assistant { endpoint: endpoint.into(), model: model.into() },
        _ => Target::Model { endpoint: endpoint.into(), model: model.into() },
    }
}

/// Whether a rule is a limit, or LibreChat's balance.
pub(super) fn is_limit(rule: &str) -> bool {
    rule.contains(".limits.")
        || rule.starts_with("limits.")
        || rule.starts_with("defaults.user.")
        || rule == "librechat.balance"
}

/// Whether a rule is a statement about models, tools, agents or parts of LibreChat, and no code of another refusal.
fn is_of_policy(rule: &str) -> bool {
    let sections = [
        "roles.",
        "groups.",
        "users.",
        "overrides.",
        "unlisted.",
        "agents.tools.",
        "agent.",
        "surface.",
        "system_models.",
    ];
    let settings = ["user_keys", "remote_api.enabled", "assistants.enabled", "agents", "tools"];
    !is_limit(rule)
        && (turns_away(rule) || sections.iter().any(|section| rule.starts_with(section)) || settings.contains(&rule))
}

#[cfg(test)]
mod tests;
